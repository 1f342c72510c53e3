"""Test error on real images and signals, with seconds and memory: the package's recipes beside other methods.

    python benchmarks/accuracy.py --data FOLDER --dataset mnist --method balanced
    python benchmarks/accuracy.py --data FOLDER --dataset mnist --method hog

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz``, ``cifar10.npz`` (uint8 arrays X_train, y_train, X_test, y_test) and
``ucr/*.npz`` (signals). A method is one of the package's recipes, fast, balanced or accurate, or one of `contenders`.
Whatever a method chooses, it chooses on training data; the test data is looked at once, at the end. With ``--held-out``
training data takes its place: so the recipes of images were chosen. Every method runs on a few signals of every set
first: its seconds are without imports and compilation. Memory is that of the process, without those it starts. One JSON
line is appended to ``--output``.
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

from sklearn_ckn import presets

IMAGES, SIGNALS = ("mnist", "fashion_mnist", "cifar10"), "ucr"
RECIPES = ("fast", "balanced", "accurate")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--dataset", choices=(*IMAGES, SIGNALS), default="mnist")
    methods = (*RECIPES, *contenders.OF_IMAGES, *contenders.OF_SIGNALS)
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
    if options.method not in RECIPES and options.symmetries not in (None, "flip"):
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


def recipe(X, y, X_test, options):
    """One of the package's, step by step, with the seconds of every step."""
    seconds, begin = {}, time.perf_counter()

    def lap(stage):
        nonlocal begin
        now = time.perf_counter()
        seconds[stage] = round(seconds.get(stage, 0) + now - begin, 1)
        begin = now

    is_signal, shape = options.dataset == SIGNALS, X.shape[1:]
    settings = {"symmetries": options.symmetries, "n_jobs": options.n_jobs, "random_state": options.seed}
    model = presets.make_classifier(options.method, shape, ndim=1 if is_signal else 2, **settings)
    F = X
    for name, step in model.steps[:-1]:
        step.fit(F)
        lap(f"{name}, fit")
        F = step.transform(F)
        lap(f"{name}, transform")
    model[-1].fit(F, y)
    n_features = F.shape[1]
    del F
    lap("classifier, fit")
    predicted = model.predict(X_test)
    lap("test")
    chosen = {
        "n_features": n_features,
        "C": getattr(model[-1], "C_", None),
        "alpha": getattr(model[-1], "alpha_", None),
        "validation_scores": getattr(model[-1], "validation_scores_", None),
    }
    return predicted, {name: value for name, value in chosen.items() if value is not None} | {"seconds": seconds}


def classify(X, y, X_test, options):
    """Predictions, and what was chosen."""
    if options.method in RECIPES:
        return recipe(X, y, X_test, options)
    method = (contenders.OF_IMAGES | contenders.OF_SIGNALS)[options.method]
    return method(X, y, X_test, options)


def warm_up(X, y, options):
    """Once with a few signals of every class."""
    few = np.sort(np.concatenate([np.flatnonzero(y == label)[:30] for label in np.unique(y)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer than a recipe has landmarks
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
