"""A Gaussian process on 300 digits tunes sigma of the exact kernel, beside one that tunes an RBF kernel of the pixels.

    python benchmarks/gaussian_process.py

Both start from the same variance, and are tested on the digits that are left.
"""

import argparse
import json
import time
from pathlib import Path

from machine import describe
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.model_selection import train_test_split

from sklearn_ckn import CKNKernel, CKNLayer


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "gaussian_process.json")
    options = parser.parse_args()
    X, X_test, y, y_test = train_test_split(
        *load_digits(return_X_y=True), train_size=options.train, random_state=0, stratify=load_digits().target
    )
    results = {"machine": describe(), "train": options.train}
    exact = CKNKernel(CKNLayer(input_shape=(8, 8)), normalize=True, n_jobs=2)
    for name, kernel in (("exact kernel", exact), ("RBF kernel", RBF(20.0))):
        begin = time.perf_counter()
        process = GaussianProcessClassifier(ConstantKernel(10.0) * kernel).fit(X, y)
        results[name] = {
            "seconds": time.perf_counter() - begin,
            "accuracy": process.score(X_test, y_test),
            "theta": [kernel.theta.tolist() for kernel in process.kernel_.kernels],
        }
        print(name, json.dumps(results[name]), flush=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
