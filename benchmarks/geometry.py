"""Speed of dilated patches, of signals of many sizes and of symmetries, as ratios within one run.

    python benchmarks/geometry.py

All networks have two layers with 64 and 256 filters. The alternatives of a comparison take turns in every round, and
the median over the rounds is reported. The ratios are:

- dilation: signals per second with a dilation of 2 and of 4 over those with a dilation of 1, for the same signals;
- sizes: pixels per second for 2 000 images of 200 random shapes, from 24 to 64 pixels, over those for images of one
  shape with as many pixels; in the first call, layers are prepared for every shape, and later calls reuse them;
- symmetries: seconds of the eight symmetries of the square over those of eight plain transforms.
"""

import argparse
import copy
import json
import statistics
import time
from pathlib import Path

import numpy as np
from machine import describe
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer

SHAPES = {"28 x 28": (28, 28, 1), "32 x 32 x 3": (32, 32, 3), "512, series": (512, 1)}
N_SIGNALS, N_IMAGES, N_SHAPES = 256, 2000, 200


def feature_map(X, last, n_jobs, dilation=1, **parameters):
    """Return a fitted feature map of two layers; ``last`` holds the pooling of the second layer."""
    ndim = X[0].ndim - 1
    common = {"ndim": ndim, "patch_size": 3 if ndim == 2 else 9, "dilation": dilation, "init": "random"}
    first = CKNLayer(64, pooling_width=2, n_patches=2000, random_state=0, **common)
    second = CKNLayer(256, n_patches=2000, random_state=0, **common, **last)
    return CKNFeatureMap(make_pipeline(first, second), n_jobs=n_jobs, **parameters).fit(X)


def medians(functions, rounds):
    """Return the median seconds of every function; the functions take turns."""
    for function in functions:
        function()
    seconds = [[] for _ in functions]
    for _ in range(rounds):
        for function, times in zip(functions, seconds):
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in seconds]


def dilations(rng, options):
    """Return the speed with each dilation relative to the speed without, for every shape."""
    found = {}
    for name, shape in SHAPES.items():
        X = rng.rand(N_SIGNALS, *shape).astype(np.float32)
        maps = [feature_map(X, {"pooling_width": 6}, options.n_jobs, dilation) for dilation in (1, 2, 4)]
        plain, *dilated = medians([lambda each=each, X=X: each.transform(X) for each in maps], options.rounds)
        found[name] = {f"dilation {d}": plain / seconds for d, seconds in zip((2, 4), dilated)}
    return found


def sizes(rng, options):
    """Return the speed for images of many shapes relative to the speed for images of one shape."""
    spaces = rng.randint(24, 65, size=(N_SHAPES, 2))[rng.randint(N_SHAPES, size=N_IMAGES)]
    X = [rng.rand(*space, 3).astype(np.float32) for space in spaces]
    n_pixels = sum(x.size // 3 for x in X)
    side = round((n_pixels / N_IMAGES) ** 0.5)
    one = rng.rand(round(n_pixels / side**2), side, side, 3).astype(np.float32)
    fitted = feature_map(one[:300], {"n_positions": 4}, options.n_jobs)

    def first_call():
        # Prepared forms are kept for each layer object, so copies of the layers are prepared again.
        fitted.network_.steps = [(name, copy.copy(layer)) for name, layer in fitted.network_.steps]
        fitted.transform(X)

    of_one, first, later = medians(
        [lambda: fitted.transform(one), first_call, lambda: fitted.transform(X)], options.rounds
    )
    return {"first call": of_one / first, "later calls": of_one / later}


def symmetries(rng, options):
    """Return the seconds of the eight symmetries relative to those of eight plain transforms."""
    found = {}
    for name in ("28 x 28", "32 x 32 x 3"):
        X = rng.rand(N_SIGNALS, *SHAPES[name]).astype(np.float32)
        plain = feature_map(X, {"pooling_width": 6}, options.n_jobs)
        averaged = feature_map(X, {"pooling_width": 6}, options.n_jobs, symmetries="dihedral")

        def eight(plain=plain, X=X):
            for _ in range(8):
                plain.transform(X)

        of_eight, of_group = medians([eight, lambda averaged=averaged, X=X: averaged.transform(X)], options.rounds)
        found[name] = of_group / of_eight
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="file for the results")
    options = parser.parse_args()
    results = {"machine": describe(), "rounds": options.rounds, "n_jobs": options.n_jobs}
    for measure in (dilations, sizes, symmetries):
        results[measure.__name__] = measure(np.random.RandomState(0), options)
        print(measure.__name__, json.dumps(results[measure.__name__]), flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")
