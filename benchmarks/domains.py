"""Accuracy on small data sets of many domains: the classifiers that choose their feature map, and other methods.

    python benchmarks/domains.py --data FOLDER
    python benchmarks/domains.py --data FOLDER --sets wbc neu --methods balanced hog

FOLDER contains npz files with X_train, y_train, X_test and y_test: uint8 images or float32 series. Every method makes
all its choices on the training data. The test data is used once, at the end. Each run is a separate process, which
first classifies a few signals, so that the measured time does not include imports and compilation. The training time
of the convolutional network is the time that ``balanced`` took. Results are appended to the file ``--output``.
``--report`` writes a table and a figure of these results to doc/benchmarks.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import contenders
import numpy as np
from machine import describe
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from sklearn_ckn import AutoCKNClassifier

EFFORTS = ("fast", "balanced", "accurate")
OF_ALL = ("support_vectors", "forest", "neighbours")
OF_IMAGES = (*OF_ALL, "hog", "binary_patterns", "scattering", "cnn")
OF_SERIES = (*OF_ALL, "mini_rocket", "multi_rocket")
NAMES = {
    "support_vectors": "SVM, RBF kernel",
    "forest": "random forest",
    "neighbours": "nearest neighbours",
    "hog": "HOG and linear",
    "binary_patterns": "LBP and SVM",
    "scattering": "wavelet scattering",
    "cnn": "small CNN (PyTorch)",
    "mini_rocket": "MiniRocket",
    "multi_rocket": "MultiRocket",
} | {effort: f'"{effort}"' for effort in EFFORTS}
HERE = Path(__file__).parent


def read(path):
    """Signals with their channels and labels 0, 1, ... of the training part and of the test part."""
    with np.load(path) as file:
        X, y, X_test, y_test = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    is_series = X.dtype != np.uint8
    if X.ndim == 2:
        X, X_test = X[..., None], X_test[..., None]
    labels, y = np.unique(y, return_inverse=True)
    return is_series, X, y, X_test, np.searchsorted(labels, y_test)


def ours(X, y, X_test, options):
    """AutoCKNClassifier with an effort and otherwise default parameters."""
    ndim = 1 if X.dtype != np.uint8 else 2
    model = AutoCKNClassifier(options.method, ndim=ndim, n_jobs=options.n_jobs, random_state=options.seed).fit(X, y)
    return model.predict(X_test), {"chosen": model.chosen_, "branches": model.branches_}


def classify(X, y, X_test, options):
    method = ours if options.method in EFFORTS else getattr(contenders, options.method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(X, y, X_test, options)


def measure(path, options):
    """Result of one method on one data set."""
    _, X, y, X_test, y_test = read(path)
    counts = np.cumsum(y[:, None] == np.arange(y.max() + 1), axis=0)[np.arange(len(y)), y]  # 1, 2, ... in each class
    few = np.flatnonzero(counts <= 4)[:200]
    few = few[np.isin(y[few], np.unique(y[few])[:10])]
    labels = np.unique(y[few], return_inverse=True)[1]
    classify(X[few], labels, X[few], argparse.Namespace(**vars(options) | {"minutes": 0.02}))
    begin, cpu = time.perf_counter(), time.process_time()
    predicted, chosen = classify(X, y, X_test, options)
    return {
        "set": path.stem,
        "method": options.method,
        "accuracy": round(100 * accuracy_score(y_test, predicted), 2),
        "balanced_accuracy": round(100 * balanced_accuracy_score(y_test, predicted), 2),
        "n_test": len(y_test),
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "chosen": chosen,
    }


def report(lines, folder):
    """Write the table and the figure of the last run of every method on every set."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    found = {(line["set"], line["method"]): line for line in lines}
    sets, methods = sorted({key[0] for key in found}), [m for m in NAMES if any(key[1] == m for key in found)]
    methods = [*EFFORTS, *(method for method in methods if method not in EFFORTS)]
    with (folder / "domains.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["set", *(NAMES[method] for method in methods)])
        for name in sets:
            cells = [found.get((name, method)) for method in methods]
            best = max(cell["accuracy"] for cell in cells if cell)
            marks = ["" if c is None else f"{c['accuracy']:.1f}" for c in cells]
            table.writerow([name, *(f"**{m}**" if c and c["accuracy"] == best else m for m, c in zip(marks, cells))])
        means = [[found[name, method]["accuracy"] for name in sets if (name, method) in found] for method in methods]
        table.writerow(["mean", *(f"{np.mean(m):.1f}" if len(m) == len(sets) else "" for m in means)])
    figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for method in methods:
        places, ranks = [], []
        for place, name in enumerate(sets):
            if (name, method) in found:
                own = found[name, method]["accuracy"]
                places.append(place)
                ranks.append(1 + sum(found[name, m]["accuracy"] > own for m in methods if (name, m) in found))
        ax.plot(places, ranks, "o-" if method in EFFORTS else "s:", label=NAMES[method], alpha=0.8)
    ax.set(
        xticks=range(len(sets)), xticklabels=sets, ylabel="rank (1 is best)", title="Rank of every method on every set"
    )
    ax.invert_yaxis()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    figure.savefig(folder / "domains.svg")


def suitable(path):
    """Names of the methods that suit a data set."""
    return (*EFFORTS, *(OF_SERIES if read(path)[0] else OF_IMAGES))


def measure_and_store(path, method, options):
    """Append the line of one method on one set to the results."""
    line = measure(path, argparse.Namespace(**vars(options) | {"method": method, "symmetries": None}))
    print({name: value for name, value in line.items() if name != "chosen"}, flush=True)
    with options.output.open("a") as file:
        file.write(json.dumps(line | {"seed": options.seed} | describe()) + "\n")


def measure_in_processes(pairs, options):
    """Call this script for every pair of a set and a method."""
    minutes = {}
    for path, method in pairs:
        command = [sys.executable, __file__, "--data", options.data, "--sets", path.stem, "--methods", method]
        command += ["--seed", options.seed, "--n-jobs", options.n_jobs, "--output", options.output]
        command += ["--minutes", minutes.get(path, options.minutes)]
        if subprocess.run([str(word) for word in command]).returncode == 0 and method == "balanced":
            minutes[path] = json.loads(options.output.read_text().splitlines()[-1])["seconds"] / 60


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the npz files")
    parser.add_argument("--sets", nargs="+", help="names of files; all by default")
    parser.add_argument("--methods", nargs="+", choices=list(NAMES), help="all that suit a set by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "domains.jsonl")
    parser.add_argument("--report", action="store_true", help="only write the table and the figure")
    parser.add_argument("--minutes", type=float, default=1, help="of the convolutional network, if it runs alone")
    options = parser.parse_args()
    if not options.report:
        paths = [path for path in sorted(options.data.glob("*.npz")) if not options.sets or path.stem in options.sets]
        pairs = [(path, method) for path in paths for method in suitable(path) if method in (options.methods or NAMES)]
        if len(pairs) == 1:
            measure_and_store(*pairs[0], options)
        else:
            measure_in_processes(pairs, options)
        return
    lines = [json.loads(line) for line in options.output.read_text().splitlines()]
    report(lines, HERE.parent / "doc" / "benchmarks")


if __name__ == "__main__":
    main()
