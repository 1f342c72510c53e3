"""A zarr store of images through a network to a memmap, in limited memory, beside the same images in memory.

    python benchmarks/out_of_core.py --folder FOLDER

FOLDER takes the store (2.4 GB of random images, kept for the next run) and the features (1.8 GB). Each way runs in a
process of its own, in turn. Linux only: the one that reads the store may not have more private memory than ``--limit``
beyond what it has with all libraries loaded and all loops compiled; pages of the memmap belong to the file.
"""

import argparse
import json
import resource
import statistics
import time
from math import prod
from pathlib import Path

import numpy as np
import zarr
from machine import describe, in_a_process
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer

SHAPE = 32, 32, 3
CHUNK = 1000  # images


def make_store(path, n):
    """Random images, unless they are there."""
    if path.exists() and zarr.open(str(path), mode="r").shape == (n, *SHAPE):
        return
    store = zarr.open(str(path), mode="w", shape=(n, *SHAPE), chunks=(CHUNK, *SHAPE), dtype="float32")
    rng = np.random.default_rng(0)
    for start in range(0, n, CHUNK):
        store[start : start + CHUNK] = rng.random((min(CHUNK, n - start), *SHAPE), dtype=np.float32)


def network():
    layers = CKNLayer(64, random_state=0), CKNLayer(256, pooling_width=6, random_state=0)
    return CKNFeatureMap(make_pipeline(*layers), center=True, scale=True, n_jobs=2)


def private_bytes():
    """Memory of this process that no file stands for, as the limit counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmData")) * 1024


def run(path, features, is_stored, limit):
    """Seconds of reading all images into memory, of fit and of transform; a checksum."""
    store = zarr.open(str(path), mode="r")
    network().fit(store[:500]).transform(store[:500])  # everything is loaded and compiled
    begin = time.perf_counter()
    X = store if is_stored else store[:]
    load_seconds = time.perf_counter() - begin
    if is_stored:
        allowed = private_bytes() + limit
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    begin = time.perf_counter()
    fitted = network().fit(X)
    fit_seconds, begin = time.perf_counter() - begin, time.perf_counter()
    shape = X.shape[0], prod(fitted.output_shape_)
    out = np.memmap(features, mode="w+", dtype=np.float32, shape=shape) if is_stored else None
    result = fitted.transform(X, out=out)
    seconds = time.perf_counter() - begin
    return {
        "load": load_seconds,
        "fit": fit_seconds,
        "transform": seconds,
        "checksum": float(np.abs(result[:: X.shape[0] // 100]).sum(dtype=float)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the store and the features are written")
    parser.add_argument("--n", type=int, default=200_000, help="images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1.5e9, help="bytes beyond the libraries")
    parser.add_argument("--output", type=Path, help="append a line of JSON")
    options = parser.parse_args()
    store, features = options.folder / f"images_{options.n}.zarr", options.folder / "features.dat"
    make_store(store, options.n)
    found = {False: [], True: []}
    for _ in range(options.rounds):
        for is_stored, runs in found.items():
            runs.append(in_a_process(run, store, features, is_stored, int(options.limit)))
            print("store " if is_stored else "memory", runs[-1], flush=True)
    features.unlink()
    assert len({each["checksum"] for runs in found.values() for each in runs}) == 1, "results differ"
    ratios = {}
    for name, parts in (("transform", ["transform"]), ("all", ["load", "fit", "transform"])):
        memory, store = ([options.n / sum(each[part] for part in parts) for each in runs] for runs in found.values())
        ratios[name] = statistics.median(b / a for a, b in zip(memory, store))
        medians = statistics.median(memory), statistics.median(store)
        print(f"{name}: {medians[0]:.0f} images/s in memory, {medians[1]:.0f} from the store, ratio {ratios[name]:.3f}")
    if options.output:
        with options.output.open("a") as file:
            record = {"benchmark": "out_of_core", "n": options.n, "limit": options.limit, "runs": list(found.values())}
            file.write(json.dumps(describe() | record | {"ratios": ratios}) + "\n")


if __name__ == "__main__":
    main()
