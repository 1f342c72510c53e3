"""What settings are compared by: training images held out, and the best linear classifier for each setting."""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from sklearn_ckn import LinearClassifier

HERE = Path(__file__).parent
PATHS = {  # values of C for each loss, for features whose norms are near 1
    "squared_hinge": (1.0, 10.0, 100.0, 1000.0),
    "squared_error": (10.0, 100.0, 1000.0, 10_000.0),
}
TOL = 1e-4


def parser(description, name, datasets, **defaults):
    """Arguments of a script whose results are called so; ``defaults`` of train, test and seeds."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    made.add_argument("--datasets", nargs="+", default=list(datasets), choices=list(datasets))
    made.add_argument("--train", type=int, help="training images")
    made.add_argument("--test", type=int, help="other training images, to judge by")
    made.add_argument("--seeds", type=int)
    made.add_argument("--output", type=Path, default=HERE / "results" / f"{name}.json")
    made.set_defaults(**defaults)
    return made


def images_of(name, folder, seed, n_train, n_test):
    """Training images and others to judge by, both from the training set."""
    if name == "digits":
        X, y = load_digits().images, load_digits().target
        n_train, n_test = 900, len(X) - 900
    else:
        with np.load(folder / f"{name}.npz") as file:
            X, y = file["X_train"], file["y_train"]
    order = np.random.RandomState(seed).permutation(len(X))
    train, test = order[:n_train], order[n_train : n_train + n_test]
    return X[train].astype(np.float32), y[train], X[test].astype(np.float32), y[test]


def accuracy(F, y, F_test, y_test, loss="squared_hinge"):
    """In %, with the best C, so that other settings are compared and not choices of C; and this C."""
    models = [LinearClassifier(loss, C=C, tol=TOL, n_jobs=2).fit(F, y) for C in PATHS.get(loss, PATHS["squared_hinge"])]
    return max(((float(100 * model.score(F_test, y_test)), model.C) for model in models), key=lambda found: found[0])
