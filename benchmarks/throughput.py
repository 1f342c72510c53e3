"""Images per second of whole networks, beside the same network in PyTorch and other features, all in one process.

    python benchmarks/throughput.py

Every contender transforms the same batch in turn, again and again for 0.3 seconds, for several rounds; what is reported
is the median, and the median of the ratios within a round. PyTorch runs at the best of its memory formats and, with two
threads, of one and two threads.
The fractions compare the arithmetic of the plain formulas with the machine's matrix product (one thread): Winograd's
filtering makes them larger than 1. Contenders that cannot be imported are left out. A configuration that is measured
again replaces its results in the output.
"""

import argparse
import copy
import json
import statistics
from math import prod
from pathlib import Path

import numpy as np
from machine import alternate, describe, median_ratio
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from threadpoolctl import ThreadpoolController

from sklearn_ckn import CKNFeatureMap, CKNLayer

CONFIGURATIONS = {  # shape, filters, patches, pooling
    "A": ((32, 32, 3), (64, 256), (3, 3), (2, 6)),
    "A28": ((28, 28, 1), (64, 256), (3, 3), (2, 6)),
    "B": ((32, 32, 3), (256, 1024), (3, 3), (2, 6)),
    "C": ((32, 32, 3), (512, 8192), (3, 2), (2, 6)),
    "S": ((512, 1), (64, 128), (9, 9), (4, 8)),
    "V": ((24, 24, 24, 1), (32, 64), (3, 3), (2, 4)),
}
OURS = "sklearn_ckn"


def build(shape, filters, patches, pooling):
    """The network, its filters random patches of random signals: speed does not depend on them."""
    layers = [
        CKNLayer(m, patch_size=k, pooling_width=w, ndim=len(shape) - 1, init="random", n_patches=2 * m, random_state=0)
        for m, k, w in zip(filters, patches, pooling)
    ]
    X = np.random.RandomState(0).rand(200, *shape).astype(np.float32)
    return CKNFeatureMap(make_pipeline(*layers)).fit(X)


def ours(feature_map, X, n_jobs, dtype=np.float32):
    X, feature_map = X.astype(dtype), copy.deepcopy(feature_map)

    def run():
        feature_map.n_jobs = n_jobs
        return feature_map.transform(X)

    return run


def torch_network(feature_map, X, channels_last):
    """The same network, plainly: convolution, exp, depth-wise Gaussian convolution, 1x1 product after pooling."""
    import torch
    from torch.nn import functional

    ndim = X.ndim - 2
    convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[ndim]
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    layers = []
    for _, layer in feature_map.network_.steps:
        (m, *size, c), w = layer.filters_.shape, layer.pooling_width
        window = np.exp(-((np.arange(-w, w + 1) / w) ** 2))
        window = window / window.sum()
        gaussian = np.ones(())
        for _ in range(ndim):
            gaussian = np.multiply.outer(gaussian, window)
        layers.append(
            {
                "filters": torch.tensor(np.moveaxis(layer.filters_, -1, 1)).contiguous(memory_format=memory_format),
                "ones": torch.ones(1, c, *size),
                "pooling": torch.tensor(np.broadcast_to(gaussian, (m, 1, *gaussian.shape)).astype(np.float32)),
                "whitening": torch.tensor(layer.whitening_.T.copy()).reshape(m, m, *[1] * ndim),
                "padding": [n for k in reversed(size) for n in ((k - 1) // 2, k // 2)],
                "sigma": layer.sigma_,
                "width": w,
            }
        )
    signals = torch.tensor(np.moveaxis(X, -1, 1)).contiguous(memory_format=memory_format)

    def run():
        with torch.no_grad():
            x = signals
            for layer in layers:
                symmetric = len(set(layer["padding"])) == 1
                if not symmetric:
                    x = functional.pad(x, layer["padding"])
                padding = layer["padding"][0] if symmetric else 0
                r = convolve(x * x, layer["ones"], padding=padding).clamp_min(1e-12).sqrt()
                x = r * torch.exp((convolve(x, layer["filters"], padding=padding) / r - 1) / layer["sigma"] ** 2)
                w = layer["width"]
                x = convolve(x, layer["pooling"], stride=w, padding=w, groups=x.shape[1])
                x = convolve(x, layer["whitening"])
            return x

    return run


def torch_contenders(feature_map, X):
    """PyTorch with one and with up to two threads, at its best memory format and number of threads."""
    try:
        import torch
    except ImportError:
        return {}
    runs = {}
    for channels_last in (False, True) if X.ndim == 4 else (False,):
        network = torch_network(feature_map, X, channels_last)
        for n_threads in (1, 2):

            def run(network=network, n_threads=n_threads):
                torch.set_num_threads(n_threads)
                return network()

            runs[n_threads, channels_last] = run
    expected = feature_map.transform(X)
    got = np.moveaxis(next(iter(runs.values()))().numpy(), 1, -1).reshape(expected.shape)
    error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
    assert error < 1e-3, f"PyTorch computes something else: relative error {error:.1e}"
    seconds = {setting: min(times) for setting, times in alternate(runs, 2).items()}
    one = min((setting for setting in runs if setting[0] == 1), key=seconds.get)
    best = min(runs, key=seconds.get)
    return {"PyTorch, 1 thread": runs[one], "PyTorch, at its best": runs[best]}


def other_contenders(X):
    """Features that a user would pick instead: for the orientation only, they are other features.

    HOG runs on one thread, as it does; the others on two, if BLAS and PyTorch may.
    """
    contenders = {}
    rows = X.reshape(len(X), -1)
    nystroem = Nystroem(n_components=256, gamma=1 / rows.shape[1], random_state=0).fit(np.tile(rows, (2, 1)))
    contenders["Nystroem on pixels"] = lambda: nystroem.transform(rows)
    if X.ndim != 4:
        return contenders
    try:
        from skimage.feature import hog

        def run_hog():
            return [hog(image, pixels_per_cell=(4, 4), cells_per_block=(2, 2), channel_axis=-1) for image in X]

        contenders["HOG (scikit-image)"] = run_hog
    except ImportError:
        pass
    channels_first = np.ascontiguousarray(np.moveaxis(X, -1, 1))
    # kymatio.numpy and .torch load its 3-D scattering too, which recent versions of SciPy do not serve
    try:
        from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

        scatter = ScatteringNumPy2D(J=2, shape=X.shape[1:3])
        contenders["Scattering2D (kymatio, NumPy)"] = lambda: scatter(channels_first)
    except ImportError as reason:
        print(f"  kymatio's NumPy front end left out: {reason!r}")
    try:
        import torch
        from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D

        scatter_torch, signals = ScatteringTorch2D(J=2, shape=X.shape[1:3]), torch.tensor(channels_first)

        def run_torch():
            torch.set_num_threads(2)
            return scatter_torch(signals)

        contenders["Scattering2D (kymatio, torch)"] = run_torch
    except ImportError as reason:
        print(f"  kymatio's torch front end left out: {reason!r}")
    return contenders


def layer_contenders(feature_map, X):
    """Every layer alone, one thread, with the multiplications and additions of its formulas."""
    runs, work = {}, {}
    x, counts, n_images = X, [], len(X)
    for k, (_, layer) in enumerate(copy.deepcopy(feature_map).network_.steps, 1):
        m, d = len(layer.filters_), layer.filters_[0].size
        runs[f"layer {k}"] = lambda layer=layer, x=x: layer.transform(x)
        after = layer.transform(x)
        positions, pooled = prod(x.shape[1:-1]), prod(after.shape[1:-1])  # padding is "same"
        counts.append(2 * n_images * (positions * d * m + pooled * m * m))
        work[f"layer {k}"], x = counts[-1], after
    return runs, work, sum(counts) / n_images


def measure(name, options):
    shape, *sizes = CONFIGURATIONS[name]
    feature_map = build(shape, *sizes)
    X = np.random.RandomState(1).rand(options.batch, *shape).astype(np.float32)
    contenders = {
        f"{OURS}, 1 thread": ours(feature_map, X, 1),
        f"{OURS}, 2 threads": ours(feature_map, X, 2),
        f"{OURS}, 2 threads, float64": ours(feature_map, X, 2, np.float64),
        **torch_contenders(feature_map, X),
        **({} if options.no_others else other_contenders(X)),
    }
    layers, work, work_per_image = layer_contenders(feature_map, X)
    square = np.random.RandomState(0).rand(1536, 1536).astype(np.float32)

    controller = ThreadpoolController()

    def product():
        with controller.limit(limits=1, user_api="blas"):
            square @ square

    seconds = alternate({**contenders, **layers, "product": product}, options.rounds)
    peak = [2 * len(square) ** 3 / t for t in seconds.pop("product")]
    layer_seconds = {layer: seconds.pop(layer) for layer in layers}
    per_second = {contender: options.batch / statistics.median(times) for contender, times in seconds.items()}

    def fraction(work, times, n_threads=1):
        return statistics.median(work / t / p / n_threads for t, p in zip(times, peak))

    result = {
        "images_per_second": per_second,
        "peak_gflops_per_thread": statistics.median(peak) / 1e9,
        "fraction_of_peak": {
            **{layer: fraction(work[layer], times) for layer, times in layer_seconds.items()},
            "network, 1 thread": fraction(options.batch * work_per_image, seconds[f"{OURS}, 1 thread"]),
            "network, 2 threads": fraction(options.batch * work_per_image, seconds[f"{OURS}, 2 threads"], 2),
        },
        "ratios": {
            "2 threads over 1": median_ratio(seconds[f"{OURS}, 1 thread"], seconds[f"{OURS}, 2 threads"]),
        },
    }
    if "PyTorch, 1 thread" in seconds:
        one, best = seconds["PyTorch, 1 thread"], seconds["PyTorch, at its best"]
        result["ratios"] |= {
            "2 threads over PyTorch at its best": median_ratio(best, seconds[f"{OURS}, 2 threads"]),
            "1 thread over PyTorch, 1 thread": median_ratio(one, seconds[f"{OURS}, 1 thread"]),
            "float64 over PyTorch at its best": median_ratio(best, seconds[f"{OURS}, 2 threads, float64"]),
        }
    show(name, result)
    return result


def show(name, result):
    shape, filters, patches, pooling = CONFIGURATIONS[name]
    print(f"\n{name}: signals {shape}, filters {filters}, patches {patches}, pooling {pooling}")
    for contender, rate in result["images_per_second"].items():
        print(f"  {contender:<32}{rate:>12,.1f} images/s")
    for title, values in (("ratio", result["ratios"]), ("fraction of GEMM peak", result["fraction_of_peak"])):
        for label, value in values.items():
            print(f"  {title}: {label:<36}{value:>8.2f}")
    print(f"  GEMM peak {result['peak_gflops_per_thread']:.0f} GFLOP/s per thread", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--configurations", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--no-others", action="store_true", help="only PyTorch beside this package")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "throughput.json")
    options = parser.parse_args()
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for name in options.configurations:
        run = {"machine": describe(), "rounds": options.rounds, "batch": options.batch}
        results[name] = run | measure(name, options)
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
