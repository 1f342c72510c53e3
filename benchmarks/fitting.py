"""Seconds of what happens in ``fit``: spherical k-means beside PyTorch, the inverse square root, and a whole network.

    python benchmarks/fitting.py --data FOLDER

FOLDER holds ``cifar10.npz``. The patches are those that the two layers of a network see; a fifth as many more are held
out and tell how good the centres are. PyTorch's k-means is the plain loop: product, arg-max, sum by index, normalise.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from machine import alternate, describe, median_ratio
from scipy import linalg
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer
from sklearn_ckn._arrays.signals import EncodedSignals, Signals
from sklearn_ckn._core.filters import kmeans, sampling
from sklearn_ckn._core.layer import kappa, nystroem, patches

PATCH = patches.PatchGeometry.of((3, 3), "same")


def sample(X, n_patches):
    """Directions of 3x3 patches, and of a fifth as many more, to be held out."""
    rng = np.random.RandomState(0)
    maps = EncodedSignals(Signals(X, X.shape[1:]), [], 1)
    U, _ = sampling.sample(maps, n_patches + n_patches // 5, PATCH, rng)
    return U[:n_patches], U[n_patches:]


def objective(U, Z):
    return kmeans.assign(U, Z, 2)[1].mean(dtype=np.float64)


def torch_step(U, Z):
    import torch

    _, labels = (U @ Z.T).max(dim=1)
    return torch.nn.functional.normalize(torch.zeros_like(Z).index_add_(0, labels, U), dim=1)


def short_patches(X, n_rounds):
    """One iteration: 200 000 patches of 27 numbers, 256 centres."""
    import torch

    U, _ = sample(X, 200_000)
    Z = U[:256].copy()
    U_torch, Z_torch = torch.tensor(U), torch.tensor(Z)

    def step():
        labels, products = kmeans.assign(U, Z, 2)
        return kmeans.update(U, labels, products, Z, 2)

    assert np.allclose(step(), torch_step(U_torch, Z_torch).numpy(), atol=1e-3)
    seconds = alternate({"ours": step, "PyTorch": lambda: torch_step(U_torch, Z_torch)}, n_rounds)
    return {
        "milliseconds": {name: 1e3 * float(np.median(values)) for name, values in seconds.items()},
        "ratio": median_ratio(seconds["PyTorch"], seconds["ours"]),
    }


def long_patches(X):
    """Everything: 40 000 patches of 2304 numbers, 1024 centres, until PyTorch is as good on held-out patches."""
    import torch

    maps = CKNLayer(256, n_jobs=2, random_state=0).fit(X[:6000]).transform(X[:6000])
    U, held_out = sample(maps, 40_000)
    begin = time.perf_counter()
    Z, n_iter = kmeans.spherical_kmeans(U, 1024, 20, np.random.RandomState(0), 2)
    result = {"seconds": time.perf_counter() - begin, "n_iter": n_iter, "held_out": objective(held_out, Z)}
    U_torch, seconds, iterations = torch.tensor(U), 0.0, []
    Z_torch = U_torch[torch.tensor(np.random.RandomState(0).permutation(len(U))[:1024])]
    while len(iterations) < 30 and (not iterations or iterations[-1][1] < result["held_out"]):
        begin = time.perf_counter()
        Z_torch = torch_step(U_torch, Z_torch)
        seconds += time.perf_counter() - begin
        iterations.append((seconds, objective(held_out, Z_torch.numpy())))
    reached = iterations[-1][1] >= result["held_out"]  # if not, the ratio is a lower bound
    return result | {"PyTorch": iterations, "PyTorch is as good": bool(reached), "ratio": seconds / result["seconds"]}


def inverse_square_root(n_filters):
    """Beside the plain formula with SciPy's eigenvectors, at its default, for random filters; one run each."""
    Z = patches.normalize(np.random.RandomState(0).rand(n_filters, 512))[1]
    K = kappa.Exponential(0.6).kappa(np.clip(Z @ Z.T, -1, 1))
    begin = time.perf_counter()
    A = nystroem.inverse_sqrt(K, 1e-3).value
    middle = time.perf_counter()
    eigenvalues, vectors = linalg.eigh(K)
    plain = (vectors / np.sqrt(np.maximum(eigenvalues, 0) + 1e-3)) @ vectors.T
    end = time.perf_counter()
    error = np.linalg.norm(A - plain) / np.linalg.norm(plain)
    return {"n_filters": n_filters, "seconds": middle - begin, "plain_seconds": end - middle, "difference": error}


def network(X):
    """64/256 filters, 100 000 patches per layer."""
    layers = [CKNLayer(64, random_state=0), CKNLayer(256, pooling_width=6, random_state=0)]
    feature_map = CKNFeatureMap(make_pipeline(*layers), n_jobs=2).fit(X[:500])
    feature_map.transform(X[:100])
    begin = time.perf_counter()
    feature_map.fit(X)
    middle = time.perf_counter()
    feature_map.transform(X)
    return {"n_images": len(X), "fit": middle - begin, "transform": time.perf_counter() - middle}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10.npz")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--filters", type=int, default=8192, help="for the inverse square root")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "fitting.json")
    options = parser.parse_args()
    results = {"machine": describe()}
    with np.load(options.data / "cifar10.npz") as data:
        images = data["X_train"]
    X = images[:20_000].astype(np.float32) / 255
    for name, measure in {
        "network": lambda: network(images),
        "short patches": lambda: short_patches(X, options.rounds),
        "long patches": lambda: long_patches(X),
        "inverse square root": lambda: inverse_square_root(options.filters),
    }.items():
        results[name] = measure()
        print(name, json.dumps(results[name], indent=1), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
