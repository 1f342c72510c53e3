"""One and two Dask workers of one thread: a store of images through a network to a store of features.

    python benchmarks/cluster.py --folder FOLDER

FOLDER takes the images (as ``out_of_core.py`` makes them) and the features. Workers are processes that read and write
the stores themselves, over TCP on this machine, beside the scheduler and this process. They run in turn; compilation is
over before the clock starts. The features are compared with those of this process.
"""

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster
from machine import describe
from out_of_core import make_store, network

N_CHECKED = 2000  # images whose features are compared


def run(store, features, n_workers):
    """Seconds of fit and of transform on a cluster of so many workers."""
    shutil.rmtree(features, ignore_errors=True)
    where = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": ":0"}
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, **where) as cluster,
        Client(cluster) as client,
    ):
        X = da.from_zarr(str(store))
        client.run(warm, str(store))
        begin = time.perf_counter()
        fitted = network().fit(X)
        fit_seconds, begin = time.perf_counter() - begin, time.perf_counter()
        fitted.transform(X).to_zarr(str(features))
        return {"fit": fit_seconds, "transform": time.perf_counter() - begin}


def warm(store):
    """On a worker."""
    images = zarr.open(store, mode="r")[:200]
    network().set_params(n_jobs=1).fit(images).transform(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are")
    parser.add_argument("--n", type=int, default=50_000, help="images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="append a line of JSON")
    options = parser.parse_args()
    store, features = options.folder / f"images_{options.n}.zarr", options.folder / "features.zarr"
    make_store(store, options.n)
    found = {1: [], 2: []}
    for _ in range(options.rounds):
        for n_workers, runs in found.items():
            seconds = run(store, features, n_workers)
            runs.append(seconds)
            print(f"{n_workers} workers: {options.n / seconds['transform']:.0f} images/s", seconds, flush=True)
    images = zarr.open(str(store), mode="r")
    local = network().fit(images)
    expected, got = local.transform(images[:N_CHECKED]), zarr.open(str(features), mode="r")[:N_CHECKED]
    difference = np.abs(got - expected).max() / np.abs(expected).max()
    rates = [[options.n / seconds["transform"] for seconds in runs] for runs in found.values()]
    ratio = statistics.median(two / one for one, two in zip(*rates))
    medians = [statistics.median(each) for each in rates]
    print(f"medians {medians[0]:.0f} and {medians[1]:.0f} images/s, ratio {ratio:.2f}")
    print(f"largest difference to the features of this process, relative: {difference:.1e}")
    shutil.rmtree(features)
    if options.output:
        with options.output.open("a") as file:
            record = {"benchmark": "cluster", "n": options.n, "runs": found, "ratio": ratio}
            file.write(json.dumps(describe() | record | {"difference": float(difference)}) + "\n")


if __name__ == "__main__":
    main()
