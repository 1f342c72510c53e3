"""Test error of an unsupervised network and a linear classifier on real images, with seconds and memory.

    python benchmarks/accuracy.py --data FOLDER --dataset mnist

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz`` or ``cifar10.npz`` with uint8 arrays X_train, y_train, X_test, y_test.
The classifier's C is chosen on a held-out tenth of the training images; the test images are looked at once, at the end.
The architectures below were chosen on training images too. One JSON line is appended to ``--output``.
"""

import argparse
import json
import resource
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from machine import describe
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier

GREY = {"patches": [3, 3], "pooling": [2, 4], "centering": [1, 0]}
COLOUR = {"patches": [3, 3], "pooling": [2, 6], "centering": [1, 0]}
ARCHITECTURES = {"mnist": GREY, "fashion_mnist": GREY, "cifar10": COLOUR}
PATH = [0.1, 1, 10, 100, 1000]  # of C


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--dataset", choices=ARCHITECTURES, default="mnist")
    parser.add_argument("--n-train", type=int, help="training images drawn at random; all by default")
    parser.add_argument("--filters", type=int, nargs="+", default=[64, 256], help="filters of every layer")
    parser.add_argument("--patches", type=int, nargs="+", help="patch size of every layer")
    parser.add_argument("--pooling", type=int, nargs="+", help="pooling width of every layer")
    parser.add_argument("--centering", type=int, nargs="+", help="1 where a layer centres its patches, else 0")
    parser.add_argument("--sigma", type=float, default=0.6)
    parser.add_argument("--loss", default="squared_hinge", help="of the classifier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "accuracy.jsonl")
    options = parser.parse_args()
    for name, values in ARCHITECTURES[options.dataset].items():
        if getattr(options, name) is None:
            setattr(options, name, values)
    return options


def build(options):
    sizes = zip(options.filters, options.patches, options.pooling, options.centering, strict=True)
    layers = [
        CKNLayer(
            n_filters,
            patch_size=patch_size,
            pooling_width=pooling_width,
            patch_centering=bool(centering),
            sigma=options.sigma,
            random_state=options.seed,
        )
        for n_filters, patch_size, pooling_width, centering in sizes
    ]
    return CKNFeatureMap(make_pipeline(*layers), center=True, scale=True, n_jobs=options.n_jobs)


def main():
    options = parse_arguments()
    machine, start, seconds = describe(), time.perf_counter(), {}

    @contextmanager
    def timed(stage):
        begin = time.perf_counter()
        yield
        seconds[stage] = round(time.perf_counter() - begin, 1)
        print(f"{stage:<10} {seconds[stage]:8.1f} s", flush=True)

    with timed("load"), np.load(options.data / f"{options.dataset}.npz") as data:
        X_train, y_train, X_test, y_test = (data[name] for name in ("X_train", "y_train", "X_test", "y_test"))
        drawn = np.random.RandomState(options.seed).permutation(len(X_train))[: options.n_train]
        X_train, y_train = X_train[drawn], y_train[drawn]
    feature_map = build(options)
    with timed("fit"):
        feature_map.fit(X_train)
    with timed("transform"):
        features = feature_map.transform(X_train)
    with timed("classify"):
        classifier = LinearClassifier(options.loss, C=PATH, random_state=options.seed, n_jobs=options.n_jobs)
        classifier.fit(features, y_train)
    n_features = features.shape[1]
    del features
    with timed("test"):
        error = 1 - classifier.score(feature_map.transform(X_test), y_test)

    result = {
        "dataset": options.dataset,
        "n_train": len(X_train),
        **{name: getattr(options, name) for name in ("filters", "patches", "pooling", "centering", "sigma", "seed")},
        "n_features": n_features,
        "loss": options.loss,
        "C": classifier.C_,
        "held_out_error_percent": round(100 * (1 - classifier.validation_scores_.max()), 2),
        "test_error_percent": round(100 * error, 2),
        "seconds": seconds | {"total": round(time.perf_counter() - start, 1)},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "n_jobs": options.n_jobs,
        **machine,
    }
    print(json.dumps(result, indent=1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a") as lines:
        lines.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
