"""Test error where labels are few: the exact kernel beside networks with filters and an RBF kernel of the pixels.

    python benchmarks/small_data.py --data FOLDER --dataset mnist --train 1000
    python benchmarks/small_data.py --data FOLDER --dataset cifar10 --train 2000 --draws 1 --test 1000

FOLDER holds ``mnist.npz`` and ``cifar10.npz``. Every draw takes other training images, and its own part of the test
images: together the draws are tested on all of them once, unless ``--test`` says how many each. What is chosen among a
few (the architecture, C, gamma) is chosen by three-fold cross-validation on the training images of the first draw.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from machine import describe
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer, LinearClassifier


def centred(patch_size, pooling_width, sigma):
    return CKNLayer(patch_size=patch_size, pooling_width=pooling_width, sigma=sigma, patch_centering=True)


def layer(patch_size, pooling_width, sigma=0.6):
    return CKNLayer(patch_size=patch_size, pooling_width=pooling_width, sigma=sigma)


def whole(size, sigma):
    """A layer whose only patch is the whole map: the Gaussian kernel of the normalised maps."""
    return CKNLayer(patch_size=size, padding="valid", pooling_width=1, sigma=sigma)


NETWORKS = {
    "mnist": {
        "5/3 with sigma 0.5": centred(5, 3, 0.5),
        "5/3 with sigma 0.5, the whole map with 0.6": make_pipeline(centred(5, 3, 0.5), whole(10, 0.6)),
        "5/3 with sigma 0.5, the whole map with 0.8": make_pipeline(centred(5, 3, 0.5), whole(10, 0.8)),
        "5/3 with sigma 0.5, the whole map with 1.1": make_pipeline(centred(5, 3, 0.5), whole(10, 1.1)),
        "5/4 with sigma 0.5, the whole map with 0.8": make_pipeline(centred(5, 4, 0.5), whole(7, 0.8)),
    },
    "cifar10": {"3/2, 3/5": make_pipeline(centred(3, 2, 0.6), layer(3, 5))},
}
FILTERS = (256, 1024)  # of the network that is compared, for images of two layers
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def draw(data, k, n_draws, n_train, n_test):
    """Training and test images of draw k."""
    train = np.random.RandomState(k).permutation(len(data["y_train"]))[:n_train]
    test = np.array_split(np.random.RandomState(0).permutation(len(data["y_test"])), n_draws)[k][:n_test]
    images = (data[f"X_{part}"][rows].astype(np.float32) / 255 for part, rows in (("train", train), ("test", test)))
    return *images, data["y_train"][train], data["y_test"][test]


def tune(estimator, grid, X, y):
    """The best of a grid, and its cross-validated error in %."""
    search = GridSearchCV(estimator, grid, cv=FOLDS).fit(X, y)
    return search.best_estimator_, 100 * (1 - search.best_score_)


def choose(networks, X, y):
    """The network and the machine with the least cross-validated error, and its Gram matrix."""
    chosen = []
    for name, network in networks.items():
        kernel = CKNKernel(network, normalize=True, n_jobs=2)
        K = kernel(X)
        machine, error = tune(SVC(kernel="precomputed"), {"C": [1, 10, 100, 1000]}, K, y)
        print(f"{name}: {error:.2f} % in cross-validation, C = {machine.C}", flush=True)
        chosen.append((error, name, kernel, clone(machine), K))
    return min(chosen, key=lambda choice: choice[0])[1:]


def error_of(predicted, y):
    return 100 * float((predicted != y).mean())


def run(data, options):
    """Test errors of every draw."""
    kernel, errors = None, {"exact kernel": [], "RBF of pixels": []}
    for k in range(options.draws):
        begin = time.perf_counter()
        X, X_test, y, y_test = draw(data, k, options.draws, options.train, options.test)
        pixels, pixels_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
        if kernel is None:
            name, kernel, machine, K = choose(NETWORKS[options.dataset], X, y)
            scale = 1 / (pixels.shape[1] * pixels.var())
            grid = {"C": [1, 10, 100], "gamma": [scale / 3, scale, 3 * scale]}
            rbf = clone(tune(SVC(), grid, pixels, y)[0])
        else:
            K = kernel(X)
        machine.fit(K, y)
        errors["exact kernel"].append(error_of(machine.predict(kernel(X_test, X)), y_test))
        errors["RBF of pixels"].append(error_of(rbf.fit(pixels, y).predict(pixels_test), y_test))
        if options.filters:
            features = CKNFeatureMap(with_filters(kernel.network), center=True, scale=True, n_jobs=2).fit(X)
            linear = LinearClassifier(C=[0.1, 1, 10, 100, 1000], n_jobs=2, random_state=0).fit(features.transform(X), y)
            predicted = linear.predict(features.transform(X_test))
            errors.setdefault("filters", []).append(error_of(predicted, y_test))
        seconds = time.perf_counter() - begin
        print(k, {method: values[-1] for method, values in errors.items()}, f"{seconds:.0f} s", flush=True)
    return {"network": name, "C": machine.C, "errors": errors} | {
        "means": {method: float(np.mean(values)) for method, values in errors.items()}
    }


def with_filters(network):
    """The same network with filters, `FILTERS` of them."""
    layers = [clone(network)] if isinstance(network, CKNLayer) else [clone(step) for _, step in network.steps]
    return make_pipeline(*(step.set_params(n_filters=n, random_state=0) for step, n in zip(layers, FILTERS)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz and cifar10.npz")
    parser.add_argument("--dataset", choices=sorted(NETWORKS), default="mnist")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--test", type=int, default=None, help="test images of a draw; default: its part of all")
    parser.add_argument("--filters", action="store_true", help="also a network with 256 and 1024 filters")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "small_data.jsonl")
    options = parser.parse_args()
    with np.load(options.data / f"{options.dataset}.npz") as file:
        data = dict(file)
    asked = {"dataset": options.dataset, "train": options.train, "draws": options.draws, "test": options.test}
    result = asked | run(data, options) | {"machine": describe()}
    print(json.dumps(result["means"]))
    with options.output.open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
