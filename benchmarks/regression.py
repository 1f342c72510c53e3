"""The angle by which a digit was turned: a supervised network beside other regressors on the pixels.

    python benchmarks/regression.py --data FOLDER

FOLDER holds ``mnist.npz``. Every image is turned by an angle drawn uniformly from -45 to 45 degrees. All contenders see
the same training images and choose their penalty on a held-out fifth of them, from as many values; then they are fitted
to all. One JSON line is appended to ``--output``.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from machine import describe
from scipy.ndimage import rotate
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNLayer, CKNRegressor

LARGEST = 45.0  # degrees


def turned(images, rng):  # (n, 28, 28) uint8 -> the same in [0, 1], (n,)
    angles = rng.uniform(-LARGEST, LARGEST, len(images))
    X = [rotate(image / 255, angle, reshape=False, order=1) for image, angle in zip(images, angles)]
    return np.array(X, dtype=np.float32), angles


def contenders(options):
    layers = CKNLayer(32, patch_centering=True), CKNLayer(64, pooling_width=4)
    network = CKNRegressor(make_pipeline(*layers), max_iter=options.rounds, random_state=0, n_jobs=options.n_jobs)
    mlp = MLPRegressor(hidden_layer_sizes=(256, 128), early_stopping=True, max_iter=500, random_state=0)
    paths = [1e-7, 1e-6, 1e-5], [1e-6, 1e-4, 1e-2], [1.0, 10.0, 100.0]
    return {
        "CKNRegressor": (network, paths[0]),
        "CKNRegressor without labels": (clone(network).set_params(max_iter=0), paths[0]),
        "MLPRegressor": (mlp, paths[1]),
        "Ridge": (Ridge(), paths[2]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz")
    parser.add_argument("--n-train", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "regression.jsonl")
    options = parser.parse_args()
    result, rng = {"n_train": options.n_train, "rounds": options.rounds, **describe()}, np.random.RandomState(0)
    with np.load(options.data / "mnist.npz") as data:
        drawn = rng.permutation(len(data["X_train"]))[: options.n_train]
        (X, y), (X_test, y_test) = turned(data["X_train"][drawn], rng), turned(data["X_test"], rng)
    for name, (regressor, path) in contenders(options).items():
        is_network, begin = isinstance(regressor, CKNRegressor), time.perf_counter()
        train, test = (X, X_test) if is_network else (X.reshape(len(X), -1), X_test.reshape(len(X_test), -1))
        search = GridSearchCV(
            regressor,
            {"alpha": path},
            scoring="neg_mean_absolute_error",
            cv=ShuffleSplit(1, test_size=0.2, random_state=0),
        ).fit(train, y)
        error = np.abs(search.predict(test) - y_test)
        result[name] = {
            "mean_absolute_error_degrees": round(float(error.mean()), 2),
            "r2": round(float(1 - (error**2).mean() / y_test.var()), 4),
            "alpha": search.best_params_["alpha"],
            "seconds": round(time.perf_counter() - begin, 1),
        }
        print(name, json.dumps(result[name]), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a") as lines:
        lines.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
