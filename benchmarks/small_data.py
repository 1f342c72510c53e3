"""Test error where labels are few: with the exact kernel, with filters and with pixels.

    python benchmarks/small_data.py --data FOLDER --dataset mnist --train 1000
    python benchmarks/small_data.py --data FOLDER --dataset mnist --train 1000 --methods filters
    python benchmarks/small_data.py --data FOLDER --train 300 --draws 3 --test 1000 --methods patches \\
        gradients orientations
    python benchmarks/small_data.py --data FOLDER --dataset cifar10 --train 2000 --draws 1 --test 1000

FOLDER holds ``mnist.npz`` and ``cifar10.npz``. Every draw takes other training images, and its own part of the test
images: together the draws are tested on all of them once, unless ``--test`` says how many each. What is chosen among a
few (the architecture of the exact kernel or the Gaussian's sigma; a support vector machine or ridge classifier, and its
penalty) is chosen by three-fold cross-validation on the training images of the first draw. The architecture of the
networks with filters was chosen on other draws of training images.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from machine import describe
from sklearn.base import ClassifierMixin, clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer
from sklearn_ckn.preprocessing import GradientMap


def layer(patch_size, pooling_width, sigma=0.6, n_filters=64, patch_centering=False):
    return CKNLayer(
        n_filters,
        patch_size=patch_size,
        pooling_width=pooling_width,
        sigma=sigma,
        patch_centering=patch_centering,
        random_state=0,
    )


centred = partial(layer, patch_centering=True)


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


def features(network):
    return CKNFeatureMap(network, center=True, scale=True, n_jobs=2)


def seeing(n_orientations):
    """A network whose first layer sees gradients, one position at a time."""
    network = make_pipeline(layer(1, 2, 0.5, 16), centred(3, 3, n_filters=1024))
    return make_pipeline(GradientMap(n_orientations), features(network))


PATCH_MAP = features(make_pipeline(centred(3, 2), centred(3, 3, n_filters=1024)))
GRADIENT_MAP = seeing(None)
WITH_FILTERS = {
    "mnist": FeatureUnion(
        [("patches", PATCH_MAP), ("gradients", GRADIENT_MAP)],
        transformer_weights=dict.fromkeys(("patches", "gradients"), 0.5**0.5),
    ),
    "cifar10": features(make_pipeline(centred(3, 2, n_filters=256), layer(3, 5, n_filters=1024))),
}
SIGMAS = (0.5, 0.6, 0.8, 1.1, 1.5)  # of the Gaussian kernel of their normalised maps
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def draw(data, k, n_draws, n_train, n_test):
    """Training and test images of draw k."""
    train = np.random.RandomState(k).permutation(len(data["y_train"]))[:n_train]
    test = np.array_split(np.random.RandomState(0).permutation(len(data["y_test"])), n_draws)[k][:n_test]
    images = (data[f"X_{part}"][rows].astype(np.float32) / 255 for part, rows in (("train", train), ("test", test)))
    return *images, data["y_train"][train], data["y_test"][test]


class KernelRidgeClassifier(ClassifierMixin, KernelRidge):
    """One class against all others, with the squared error."""

    def fit(self, K, y):
        self.classes_ = np.unique(y)
        return super().fit(K, np.where(y[:, None] == self.classes_, 1.0, -1.0))

    def predict(self, K):
        return self.classes_[super().predict(K).argmax(axis=1)]


CLASSIFIERS = [
    (SVC(kernel="precomputed"), {"C": [1, 10, 100, 1000]}),
    (KernelRidgeClassifier(kernel="precomputed"), {"alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1]}),
]


def choose(kernels, F, y):
    """Name, kernel and classifier with the least cross-validated error."""
    chosen = []
    for name, kernel in kernels.items():
        K = kernel(F)
        for classifier, grid in CLASSIFIERS:
            search = GridSearchCV(classifier, grid, cv=FOLDS, refit=False).fit(K, y)
            best, error = clone(classifier).set_params(**search.best_params_), 100 * (1 - search.best_score_)
            print(f"{name}: {error:.2f} % in cross-validation with {best}", flush=True)
            chosen.append((error, f"{name}, {best}", kernel, best))
    return min(chosen, key=lambda choice: choice[0])[1:]


def classify(kernels, F, y, F_test, chosen):
    """Predictions, and what was chosen now or before."""
    chosen = chosen or choose(kernels, F, y)
    _, kernel, classifier = chosen
    return classifier.fit(kernel(F), y).predict(kernel(F_test, F)), chosen


def exact(X, y, X_test, options, chosen):
    """Exact kernels of networks."""
    networks = NETWORKS[options.dataset]
    kernels = {name: CKNKernel(network, normalize=True, n_jobs=2) for name, network in networks.items()}
    return classify(kernels, X, y, X_test, chosen)


def gaussians(sigmas):
    return {f"sigma {sigma:.3g}": partial(gaussian, sigma=sigma) for sigma in sigmas}


def gaussian(F, F_other=None, *, sigma):
    return rbf_kernel(F, F_other, gamma=1 / (2 * sigma**2)).astype(float)


def filters(X, y, X_test, options, chosen, network=None):
    """A Gaussian kernel of the features of a network with filters, learned without labels from the training images."""
    network = clone(network or WITH_FILTERS[options.dataset])
    return classify(gaussians(SIGMAS), network.fit_transform(X), y, network.transform(X_test), chosen)


def pixels(X, y, X_test, options, chosen):
    """The Gaussian kernel of the pixels."""
    X, X_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    scale = float(np.sqrt(X.shape[1] * X.var() / 2))
    return classify(gaussians([scale * factor**0.5 for factor in (1 / 3, 1, 3, 9)]), X, y, X_test, chosen)


PARTS = {"patches": PATCH_MAP, "gradients": GRADIENT_MAP, "orientations": seeing(12)}
METHODS = {method.__name__: method for method in (exact, filters, pixels)}
METHODS |= {name: partial(filters, network=network) for name, network in PARTS.items()}


def run(data, options):
    """Test errors of every draw, in %, and what was chosen in the first."""
    errors, chosen = {name: [] for name in options.methods}, dict.fromkeys(options.methods)
    for k in range(options.draws):
        begin = time.perf_counter()
        X, X_test, y, y_test = draw(data, k, options.draws, options.train, options.test)
        for name in options.methods:
            predicted, chosen[name] = METHODS[name](X, y, X_test, options, chosen[name])
            errors[name].append(round(100 * float((predicted != y_test).mean()), 3))
        seconds = time.perf_counter() - begin
        print(k, {name: values[-1] for name, values in errors.items()}, f"{seconds:.0f} s", flush=True)
    return {"chosen": {name: choice[0] for name, choice in chosen.items()}, "errors": errors} | {
        "means": {name: round(float(np.mean(values)), 3) for name, values in errors.items()}
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz and cifar10.npz")
    parser.add_argument("--dataset", choices=sorted(NETWORKS), default="mnist")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--test", type=int, default=None, help="test images of a draw; default: its part of all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["exact", "pixels"])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "small_data.jsonl")
    options = parser.parse_args()
    with np.load(options.data / f"{options.dataset}.npz") as file:
        data = dict(file)
    asked, begin = {name: value for name, value in vars(options).items() if name not in ("data", "output")}, time.time()
    result = asked | run(data, options) | {"seconds": round(time.time() - begin, 1), "machine": describe()}
    print(json.dumps(result["means"]))
    with options.output.open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
