"""Pairs of signals per second of the exact kernel, on one thread and on two, and the cost of the tangent kernel.

    python benchmarks/exact_kernel.py --data FOLDER

FOLDER holds ``mnist.npz`` and ``cifar10.npz``. Layers have patches of 3 x 3 and an exponential kernel; two layers pool
by 2 and 5, one layer by 2. A pair is an entry of ``CKNKernel(network)(X, Y)``, with all that belongs to it: norms of
patches, the kernel of each signal with itself, checks of the input. Random images have no zeros that could be skipped.
The cost of the tangent kernel is its time divided by the time of the kernel, within a round.
"""

import argparse
import json
import statistics
from functools import partial
from pathlib import Path

import numpy as np
from machine import alternate, describe
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNKernel, CKNLayer

ONE = CKNLayer(pooling_width=2)
TWO = make_pipeline(CKNLayer(pooling_width=2), CKNLayer(pooling_width=5))


def load(folder):
    """Name -> images, network, how many images meet as many others, and the goal in pairs per second and thread."""

    def images(name):
        with np.load(folder / f"{name}.npz") as data:
            return data["X_train"][:1024].astype(np.float32) / 255

    mnist, cifar = images("mnist"), images("cifar10")
    digits, random = load_digits().images.astype(np.float32), np.random.RandomState(0).rand(256, 28, 28)
    return {
        "MNIST, 28 x 28 x 1, two layers": (mnist, TWO, 128, 2000),
        "CIFAR-10, 32 x 32 x 3, two layers": (cifar, TWO, 64, 750),
        "MNIST, 28 x 28 x 1, one layer": (mnist, ONE, 512, 14_000),
        "digits, 8 x 8 x 1, one layer": (digits, ONE, 896, 500_000),
        "random, 28 x 28 x 1, two layers": (random.astype(np.float32), TWO, 96, None),
        "random, 28 x 28 x 1, two layers, float64": (random, TWO, 64, None),
    }


def measure(images, network, n, n_rounds):
    """Pairs per second, the median over rounds, and the ratio of two threads to one within a round."""
    X, Y = images[:n], images[n : 2 * n]
    kernels = {n_jobs: CKNKernel(network, n_jobs=n_jobs) for n_jobs in (1, 2)}
    seconds = alternate({n_jobs: lambda k=kernel: k(X, Y) for n_jobs, kernel in kernels.items()}, n_rounds)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2])]
    return {
        "pairs_per_second": {n_jobs: round(n * n / statistics.median(values)) for n_jobs, values in seconds.items()},
        "two_over_one": statistics.median(ratios),
        "rounds": [min(ratios), max(ratios)],
    }


def measure_tangent(images, n, n_rounds):
    """Time of the tangent kernel over the time of the kernel of two layers, by function kappa and dtype."""
    results = {"goal": 2.2}
    for kappa in ("exponential", "polynomial", "arccos1"):
        network = make_pipeline(*(clone(layer).set_params(kernel=kappa) for layer in TWO))
        kernels = {tangent: CKNKernel(network, tangent=tangent) for tangent in (False, True)}
        for dtype in ("float32", "float64"):
            X, Y = images[:n].astype(dtype), images[n : 2 * n].astype(dtype)
            seconds = alternate({tangent: partial(kernel, X, Y) for tangent, kernel in kernels.items()}, n_rounds)
            ratios = [tangent / kernel for kernel, tangent in zip(seconds[False], seconds[True])]
            results[f"{kappa}, {dtype}"] = {
                "tangent_over_kernel": statistics.median(ratios),
                "rounds": [min(ratios), max(ratios)],
            }
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz and cifar10.npz")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "exact_kernel.json")
    options = parser.parse_args()
    results, cases = {"machine": describe()}, load(options.data)
    for name, (images, network, n, goal) in cases.items():
        results[name] = measure(images, network, n, options.rounds) | {"goal": goal}
        print(name, json.dumps(results[name]), flush=True)
    name = "MNIST, 28 x 28 x 1, two layers, tangent kernel"
    results[name] = measure_tangent(cases["MNIST, 28 x 28 x 1, two layers"][0], 64, options.rounds)
    print(name, json.dumps(results[name]), flush=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
