"""Memory that ``CKNFeatureMap.transform`` takes beyond its input and its output, for several numbers of images.

    python benchmarks/memory.py --data FOLDER --dataset cifar10 --n 5000 50000

Each number is measured in a process of its own, with 64/256 filters (Linux only: it resets the peak).
"""

import argparse
from pathlib import Path

import numpy as np
from machine import added_memory, in_a_process
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer

POOLING = {"mnist": 4, "fashion_mnist": 4, "cifar10": 6}  # of the second layer


def measure(path, pooling_width, n, n_jobs):
    with np.load(path) as data:
        X = data["X_train"][:n].copy()
    layers = [CKNLayer(64, random_state=0), CKNLayer(256, pooling_width=pooling_width, random_state=0)]
    feature_map = CKNFeatureMap(make_pipeline(*layers), center=True, scale=True, n_jobs=n_jobs)
    feature_map.fit(X[:2000]).transform(X[:100])
    features, _, added = added_memory(lambda: feature_map.transform(X))
    return features.nbytes / 2**20, added


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--dataset", choices=POOLING, default="mnist")
    parser.add_argument("--n", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    path = options.data / f"{options.dataset}.npz"
    for n in options.n:
        output, added = in_a_process(measure, path, POOLING[options.dataset], n, options.n_jobs)
        print(f"{n:>7} images: output {output:7.0f} MB, beyond input and output {added - output:5.0f} MB", flush=True)


if __name__ == "__main__":
    main()
