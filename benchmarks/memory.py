"""Memory that ``CKNFeatureMap.transform`` takes beyond its input and its output, for several numbers of images.

    python benchmarks/memory.py --data FOLDER --n 5000 60000

Each number is measured in a process of its own, on MNIST with 64/256 filters (Linux only: it resets the peak).
"""

import argparse
import ctypes
import multiprocessing
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer


def status(field):
    """A field of the process's status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def measure(path, n, n_jobs):
    with np.load(path) as data:
        X = data["X_train"][:n].copy()
    layers = [CKNLayer(64, random_state=0), CKNLayer(256, pooling_width=4, random_state=0)]
    feature_map = CKNFeatureMap(make_pipeline(*layers), center=True, scale=True, n_jobs=n_jobs)
    feature_map.fit(X[:2000]).transform(X[:100])
    ctypes.CDLL(None).malloc_trim(0)  # gives back what fit has freed: nothing of it may serve transform unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = status("VmRSS")
    features = feature_map.transform(X)
    output = features.nbytes / 2**20
    added = status("VmHWM") - before - output
    print(f"{n:>7} images: output {output:7.0f} MB, beyond input and output {added:5.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz")
    parser.add_argument("--n", type=int, nargs="+", default=[5000, 60000])
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    for n in options.n:
        process = multiprocessing.get_context("spawn").Process(
            target=measure, args=(options.data / "mnist.npz", n, options.n_jobs)
        )
        process.start()
        process.join()


if __name__ == "__main__":
    main()
