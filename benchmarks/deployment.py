"""Images per second of a network: onnxruntime beside the package, on the same batch and threads.

    python benchmarks/deployment.py

The network is A of ``throughput.py``: 32 x 32 x 3, 64/256 filters, patches 3/3, pooling 2/6. The images are cut out of
photographs: noise, whose features are nearly the same everywhere, has larger rounding errors in both.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import onnxruntime
from machine import alternate, describe, median_ratio
from sklearn.datasets import load_sample_images
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer
from sklearn_ckn.onnx import to_onnx


def session_of(graph, n_threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def crops(n):
    """Squares of 32 x 32 out of the two photographs of scikit-learn, of values up to 1."""
    rng, photographs = np.random.default_rng(0), load_sample_images().images
    height, width, _ = photographs[0].shape
    corners = rng.integers([2, height - 31, width - 31], size=(n, 3))
    return np.array([photographs[k][i : i + 32, j : j + 32] for k, i, j in corners], dtype=np.float32) / 255


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="append a line of JSON")
    options = parser.parse_args()
    found, X = [], crops(1000)
    layers = CKNLayer(64, random_state=0), CKNLayer(256, pooling_width=6, random_state=0)
    fitted, X = CKNFeatureMap(make_pipeline(*layers), center=True, scale=True).fit(X), X[: options.batch]
    graph = to_onnx(fitted).SerializeToString()
    print(f"graph of {len(graph) / 1e6:.2f} MB")
    for n_threads in options.threads:
        session = session_of(graph, n_threads)
        fitted.set_params(n_jobs=n_threads)
        expected, (got,) = fitted.transform(X), session.run(["features"], {"X": X})
        seconds = alternate(
            {"package": lambda: fitted.transform(X), "onnxruntime": lambda s=session: s.run(["features"], {"X": X})},
            options.rounds,
        )
        rates = {name: options.batch / statistics.median(each) for name, each in seconds.items()}
        ratio = median_ratio(seconds["onnxruntime"], seconds["package"])
        difference = float(np.abs(got - expected).max() / np.abs(expected).max())
        found.append({"threads": n_threads, **rates, "ratio": ratio, "difference": difference})
        speeds = ", ".join(f"{name} {rate:.0f} images/s" for name, rate in rates.items())
        print(f"{n_threads} threads: {speeds}, ratio {ratio:.1f}, largest relative difference {difference:.1e}")
    if options.output:
        with options.output.open("a") as file:
            record = {"benchmark": "deployment", "batch": options.batch, "found": found}
            file.write(json.dumps(describe() | record) + "\n")


if __name__ == "__main__":
    main()
