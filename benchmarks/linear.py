"""The linear classifier at the end of a network beside others: seconds, memory beyond X, objective and test accuracy.

    python benchmarks/linear.py --data FOLDER

FOLDER holds ``cifar10.npz`` and ``mnist.npz``. The features are those of networks without labels, centred and scaled.
Every fit runs in a process of its own, after a small one that compiles; those of a round follow each other. Tasks:

- ``contenders``: 16 000 images, 2 304 features, the same C; "gap" is how far the objective is above the optimum, which
  is that of a long run in double precision or the lowest that any contender found;
- ``ridge``: all of CIFAR-10, 2 304 features, beside RidgeClassifier, C and alpha chosen on the same tenth;
- ``path``: 60 000 digits, 2 304 features, six values of C; ``large``: 50 000 images, 9 216 features.
"""

import argparse
import json
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from machine import added_memory, describe, in_a_process
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn._core.linear.losses import LOSSES
from sklearn_ckn._core.linear.objective import Signs

N_JOBS = 2
PATH = [0.01, 0.1, 1, 10, 100, 1000]


def ours(loss, C, n, **parameters):
    return LinearClassifier(loss, C=C, n_jobs=N_JOBS, random_state=0, **parameters)


def cyanure(loss, C, n):
    """Its squared hinge is half of ours; its objective is a mean."""
    from cyanure.estimators import Classifier

    name, penalty = {"squared_hinge": ("sqhinge", 1 / (2 * C * n)), "logistic": ("logistic", 1 / (C * n))}[loss]
    return Classifier(
        loss=name, penalty="l2", lambda_1=penalty, fit_intercept=True, tol=1e-4, verbose=False, n_threads=N_JOBS
    )


def logistic_regression(loss, C, n):
    return LogisticRegression(C=C, max_iter=1000)


def linear_svc(loss, C, n):
    return LinearSVC(C=C, max_iter=100, random_state=0)  # far from its tolerance after a minute


def sgd(loss, C, n):
    name = {"logistic": "log_loss"}.get(loss, loss)
    return SGDClassifier(name, alpha=1 / (C * n), max_iter=50, n_jobs=N_JOBS, random_state=0)  # it does not converge


CONTENDERS = {  # what makes it, and its loss
    "LinearClassifier": (ours, "squared_hinge"),
    "cyanure": (cyanure, "squared_hinge"),
    "LinearClassifier, logistic": (ours, "logistic"),
    "cyanure, logistic": (cyanure, "logistic"),
    "LogisticRegression": (logistic_regression, "logistic"),
    "SGDClassifier": (sgd, "squared_hinge"),
    "LinearSVC": (linear_svc, "squared_hinge"),
}
ONCE = {"cyanure, logistic", "SGDClassifier", "LinearSVC"}  # in the first round only


def make_features(data, dataset, filters, folder):
    """Write the features of all images, and the labels."""
    with np.load(data / f"{dataset}.npz") as arrays:
        X_train, y_train, X_test, y_test = (arrays[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    first = CKNLayer(filters[0], patch_centering=True, random_state=0)
    network = make_pipeline(first, CKNLayer(filters[1], pooling_width=6, random_state=0))
    feature_map = CKNFeatureMap(network, center=True, scale=True, n_jobs=N_JOBS).fit(X_train)
    for name, X in {"X_train": X_train, "X_test": X_test}.items():
        np.save(folder / name, feature_map.transform(X))
    np.save(folder / "y_train", y_train)
    np.save(folder / "y_test", y_test)


def objective(W, b, X, y, loss, C):
    """``1/2 |W|^2 + C sum of losses``, in double precision."""
    W, b, Y, total = W.astype(float), b.astype(float), Signs.of_all(y, len(W)), 0.0
    for start in range(0, len(X), 4096):
        rows = slice(start, start + 4096)
        total += LOSSES[loss].function(X[rows].astype(float) @ W.T + b, Y[rows])[0].sum()
    return float((W**2).sum() / 2 + C * total)


def coefficients(model):
    """Rows of classes; cyanure has columns."""
    n_classes = len(np.ravel(model.intercept_))
    W = model.coef_ if len(model.coef_) == n_classes else model.coef_.T
    return W, np.ravel(model.intercept_)


def measure(folder, make, loss, C, n):
    """Fit to the first n rows; everything that is told of it."""
    warnings.simplefilter("ignore")
    X, y, X_test, y_test = (np.load(folder / f"{name}.npy") for name in ("X_train", "y_train", "X_test", "y_test"))
    X, y = X[:n].copy(), y[:n]
    make(loss, 1.0, 500).fit(X[:500, :50].copy(), y[:500])
    model = make(loss, C, n)
    _, seconds, memory = added_memory(lambda: model.fit(X, y))
    result = {"seconds": seconds, "memory_mb": memory, "test_accuracy": float(model.score(X_test, y_test))}
    if np.ndim(C):
        return result | {"C": model.C_, "validation_scores": list(model.validation_scores_)}
    return result | {"objective": objective(*coefficients(model), X, y, loss, C)}


def lowest_objective(folder, loss, C, n):
    """Of a long run in double precision."""
    X, y = np.load(folder / "X_train.npy")[:n].astype(float), np.load(folder / "y_train.npy")[:n]
    model = ours(loss, C, n, tol=1e-10).fit(X, y)
    return objective(*coefficients(model), X, y, loss, C)


def contend(folder, n, C, n_rounds, names):
    found = {name: [] for name in names}
    for i in range(n_rounds):
        for name in names:
            if i == 0 or name not in ONCE:
                found[name].append(in_a_process(measure, folder, *CONTENDERS[name], C, n))
                print(f"  {name:<27}", json.dumps(found[name][-1]), flush=True)
    best = {loss: in_a_process(lowest_objective, folder, loss, C, n) for loss in ("squared_hinge", "logistic")}
    for name, results in found.items():
        loss = CONTENDERS[name][1]
        best[loss] = min([best[loss], *(result["objective"] for result in results)])
    table = {}
    for name, results in found.items():
        middle = {key: float(np.median([result[key] for result in results])) for key in results[0]}
        rival = "LinearClassifier" + ", logistic" * (CONTENDERS[name][1] == "logistic")
        ratios = [theirs["seconds"] / mine["seconds"] for theirs, mine in zip(results, found.get(rival, []))]
        gap = middle.pop("objective") / best[CONTENDERS[name][1]] - 1
        table[name] = middle | {"gap": gap, "times_slower": float(np.median(ratios)) if ratios else None}
    return table


def ridge_path(folder, alphas):
    """RidgeClassifier with alpha chosen on a tenth; the features are copied by it."""
    warnings.simplefilter("ignore")
    X, y, X_test, y_test = (np.load(folder / f"{name}.npy") for name in ("X_train", "y_train", "X_test", "y_test"))
    begin = time.perf_counter()
    fitted, held_out = train_test_split(np.arange(len(X)), test_size=0.1, stratify=y, random_state=0)
    part, scores = X[fitted], []
    for alpha in alphas:
        scores.append(RidgeClassifier(alpha=alpha).fit(part, y[fitted]).score(X[held_out], y[held_out]))
    alpha = alphas[int(np.argmax(scores))]
    model = RidgeClassifier(alpha=alpha).fit(X, y)
    seconds = time.perf_counter() - begin
    accuracy = float(model.score(X_test, y_test))
    return {"seconds": seconds, "test_accuracy": accuracy, "alpha": alpha, "validation_scores": scores}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--tasks", nargs="+", default=["contenders", "ridge", "path", "large"])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--n", type=int, default=16_000, help="images of the contenders")
    parser.add_argument("--C", type=float, default=1.0, help="of the contenders and of the large task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "linear.json")
    options = parser.parse_args()
    result, tasks = describe() | {"C": options.C, "n": options.n, "n_jobs": N_JOBS}, set(options.tasks)
    runs = [
        ("cifar10", (64, 256), {"contenders", "ridge"}),
        ("mnist", (64, 256), {"path"}),
        ("cifar10", (256, 1024), {"large"}),
    ]
    for dataset, filters, wanted in runs:
        if not wanted & tasks:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            in_a_process(make_features, options.data, dataset, filters, folder)
            run = partial(in_a_process, measure, folder, ours, "squared_hinge")
            if "contenders" in wanted & tasks:
                result["contenders"] = contend(folder, options.n, options.C, options.rounds, options.contenders)
            if "ridge" in wanted & tasks:
                result["LinearClassifier, path"] = run([0.1, 1, 10, 100, 1000, 10000], None)
                result["RidgeClassifier, path"] = in_a_process(ridge_path, folder, [1e-3, 1e-2, 0.1, 1, 10, 100])
            if "path" in wanted & tasks:
                result["path"] = run(PATH, None)
            if "large" in wanted & tasks:
                result["large"] = run(options.C, None)
    print(json.dumps(result, indent=1))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
