"""Test error on real images and series, with seconds and memory: AutoCKNClassifier and other methods.

    python benchmarks/accuracy.py --data FOLDER --dataset mnist --method balanced
    python benchmarks/accuracy.py --data FOLDER --dataset mnist --method hog

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz``, ``cifar10.npz`` (uint8 arrays X_train, y_train, X_test, y_test) and
``ucr/*.npz`` (series). A method is an effort of AutoCKNClassifier, fast, balanced or accurate, or one of `contenders`.
Every method makes all its choices on the training data. The test data is used once, at the end. With ``--held-out``,
some training images take the place of the test images. Each method first classifies a few signals of every set, so that
the measured time does not include imports and compilation. Memory is that of the process, without the processes that it
starts. One JSON line is appended to ``--output``.
"""

import argparse
import json
import resource
import time
import warnings
from collections import Counter
from pathlib import Path

import contenders
import images
import numpy as np
from machine import describe

from sklearn_ckn import AutoCKNClassifier

IMAGES, SIGNALS = ("mnist", "fashion_mnist", "cifar10"), "ucr"
EFFORTS = ("fast", "balanced", "accurate")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--dataset", choices=(*IMAGES, SIGNALS), default="mnist")
    methods = (*EFFORTS, *contenders.OF_IMAGES, *contenders.OF_SIGNALS)
    parser.add_argument("--method", choices=methods, default="balanced")
    parser.add_argument(
        "--symmetries",
        choices=["flip", "rotate", "dihedral"],
        help="group of symmetries over which features are averaged",
    )
    parser.add_argument("--n-train", type=int, help="training images drawn at random; all by default")
    parser.add_argument("--held-out", type=int, default=0, help="training images to test on instead of the test images")
    parser.add_argument("--minutes", type=float, default=5, help="of the convolutional network")
    parser.add_argument("--seed", type=int, default=0, help="draws the training images, and everything in the method")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "accuracy.jsonl")
    options = parser.parse_args()
    if options.method not in EFFORTS and options.symmetries not in (None, "flip"):
        parser.error(f"{options.method} supports only --symmetries flip: omit the option, or pass flip")
    if options.dataset == SIGNALS and (options.held_out or options.n_train):
        parser.error("the sets of signals are taken as they are: no --held-out, no --n-train")
    return options


def drawn_images(options):
    """Training images, all or some, and the test images."""
    X, y, *test = images.read(options)
    drawn = np.random.RandomState(options.seed).permutation(len(X))[: options.n_train]
    return X[drawn], y[drawn], *test


def signals(options):
    """Names, training and test signals of all sets, as they are in the archives."""
    for path in sorted((options.data / SIGNALS).glob("*.npz")):
        with np.load(path) as file:
            yield path.stem, *(file[name] for name in ("X_train", "y_train", "X_test", "y_test"))


def sets(options):
    """Names, training and test data."""
    return signals(options) if options.dataset == SIGNALS else [(options.dataset, *drawn_images(options))]


def ours(X, y, X_test, options):
    """AutoCKNClassifier with an effort. Unless there is an option for symmetries, it chooses whether to use flips."""
    settings = {"symmetries": options.symmetries or "auto", "n_jobs": options.n_jobs, "random_state": options.seed}
    begin = time.perf_counter()
    model = AutoCKNClassifier(options.method, ndim=1 if options.dataset == SIGNALS else 2, **settings).fit(X, y)
    seconds = time.perf_counter() - begin
    predicted = model.predict(X_test)
    n_features = model.classifier_.n_features_in_
    return predicted, model.chosen_ | {"n_features": n_features, "fit_seconds": round(seconds, 1)}


def classify(X, y, X_test, options):
    """Predictions, and what was chosen."""
    if options.method in EFFORTS:
        return ours(X, y, X_test, options)
    method = (contenders.OF_IMAGES | contenders.OF_SIGNALS)[options.method]
    return method(X, y, X_test, options)


def warm_up(X, y, options):
    """Once with a few signals of every class."""
    few = np.sort(np.concatenate([np.flatnonzero(y == label)[:30] for label in np.unique(y)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as fewer distinct patches than filters
        classify(X[few], y[few], X[few], argparse.Namespace(**vars(options) | {"minutes": 0.1}))


def run(X, y, X_test, y_test, options):
    """Error in %, the classes confused most often (true, predicted, times), what was chosen, and seconds in all."""
    begin = time.perf_counter()
    predicted, chosen = classify(X, y, X_test, options)
    seconds = time.perf_counter() - begin
    wrong = predicted != y_test
    pairs = Counter(zip(y_test[wrong].tolist(), predicted[wrong].tolist())).most_common(5)
    error, confused = 100 * float(wrong.mean()), [(*pair, times) for pair, times in pairs]
    print(f"error {error:.2f} %, {seconds:.0f} s, {chosen}, confused {confused}", flush=True)
    return {"error": round(error, 3), "seconds": round(seconds, 1), "confused": confused, "chosen": chosen}


def main():
    options, machine, runs = parse_arguments(), describe(), []
    for name, X, y, *test in sets(options):
        warm_up(X, y, options)
        runs.append({"set": name} | run(X, y, *test, options))
    result = {
        **{name: value for name, value in vars(options).items() if name not in ("data", "output")},
        "error": round(float(np.mean([one["error"] for one in runs])), 3),
        "seconds": round(float(np.mean([one["seconds"] for one in runs])), 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "runs": runs,
        **machine,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "runs"}, indent=1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a") as lines:
        lines.write(json.dumps(result, default=lambda numbers: numbers.tolist()) + "\n")


if __name__ == "__main__":
    main()
