"""Other ways to classify images and signals on a CPU, each with its own tuning on training data.

A contender is a function ``(X, y, X_test, options) -> predictions, settings``: images ``(n, height, width[, 3])`` of
uint8, or signals ``(n, length, channels)``; labels 0, 1, ... What it imports is imported where it is used.
"""

import time

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_ckn import LinearClassifier

PATHS = {  # of C: for standardised features, and for those of a kernel that is 1 at most
    True: np.logspace(-5, 2, 8),
    False: np.logspace(-1, 5, 7),
}
FEW = 3000  # images to choose parameters of kernels by


def linear(F, y, F_test, options, standardise=True):
    """The package's own linear classifier: what differs are the features."""
    scaler = StandardScaler(copy=False, with_mean=standardise, with_std=standardise).fit(F)
    model = LinearClassifier(C=list(PATHS[standardise]), tol=1e-4, random_state=options.seed, n_jobs=options.n_jobs)
    model.fit(scaler.transform(F), y)
    return model.predict(scaler.transform(F_test)), {"C": model.C_, "n_features": F.shape[1]}


def pixels(X):
    return X.reshape(len(X), -1).astype(np.float32) / 255


def tuned_rbf(F, y, options):
    """C and gamma of an SVM by three-fold cross-validation on a few images."""
    few = np.random.RandomState(options.seed).permutation(len(F))[:FEW]
    scale = 1 / (F.shape[1] * F[few].var())
    grid = {"C": [1, 10, 100], "gamma": [float(factor * scale) for factor in (1 / 3, 1, 3)]}
    return GridSearchCV(SVC(), grid, cv=3, n_jobs=options.n_jobs).fit(F[few], y[few]).best_params_


def rbf(X, y, X_test, options):
    """A support vector machine with an RBF kernel of the pixels."""
    F, F_test = pixels(X), pixels(X_test)
    best = tuned_rbf(F, y, options)
    return SVC(**best, cache_size=2000).fit(F, y).predict(F_test), best


def nystroem(X, y, X_test, options):
    """4 000 Nyström features of the same kernel and a linear classifier."""
    F, F_test = pixels(X), pixels(X_test)
    gamma = tuned_rbf(F, y, options)["gamma"]
    features = Nystroem(gamma=gamma, n_components=4000, random_state=options.seed).fit(F)
    rows, rows_test = features.transform(F), features.transform(F_test)
    predicted, settings = linear(rows, y, rows_test, options, standardise=False)  # it would enlarge what is noise
    return predicted, settings | {"gamma": float(gamma)}


def hog(X, y, X_test, options):
    """Histograms of oriented gradients and a linear classifier."""
    from joblib import Parallel, delayed
    from skimage.feature import hog as histograms

    def of_one(image, cell):
        axis = -1 if image.ndim == 3 else None
        cells = {"pixels_per_cell": (cell, cell), "cells_per_block": (2, 2)}
        return histograms(image, orientations=9, **cells, channel_axis=axis).astype(np.float32)

    def of_all(images):
        with Parallel(options.n_jobs) as parallel:
            return np.hstack([parallel(delayed(of_one)(image, cell) for image in images) for cell in (4, 7)])

    return linear(of_all(X), y, of_all(X_test), options)


def k_means(X, y, X_test, options, n_centres=1600, size=6):
    """Whitened patches, soft assignments to k-means centres, sums over quadrants: Coates, Lee and Ng (2011)."""
    from sklearn.cluster import MiniBatchKMeans

    def patches(images):
        images = images.reshape(*images.shape[:3], -1).astype(np.float32)
        views = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
        P = views.reshape(*views.shape[:3], -1)
        P = P - P.mean(axis=-1, keepdims=True)
        return P / np.sqrt(P.var(axis=-1, keepdims=True) + 10)

    rng = np.random.RandomState(options.seed)
    drawn = patches(X[rng.permutation(len(X))[:4000]])
    drawn = drawn.reshape(-1, drawn.shape[-1])
    drawn = drawn[rng.permutation(len(drawn))[:400_000]]
    mean = drawn.mean(axis=0)
    eigenvalues, U = np.linalg.eigh(np.cov(drawn.T))
    W = ((U / np.sqrt(eigenvalues + 0.1)) @ U.T).astype(np.float32)
    clusters = MiniBatchKMeans(n_centres, batch_size=10_000, n_init=1, max_iter=50, random_state=options.seed)
    centres = clusters.fit((drawn - mean) @ W).cluster_centers_.astype(np.float32)

    def features(images):
        rows = []
        for start in range(0, len(images), 20):
            P = (patches(images[start : start + 20]) - mean) @ W
            squares = (P**2).sum(-1, keepdims=True) - 2 * P @ centres.T + (centres**2).sum(axis=1)
            distances = np.sqrt(np.maximum(squares, 0))
            active = np.maximum(distances.mean(axis=-1, keepdims=True) - distances, 0)
            half = active.shape[1] // 2
            parts = [active[:, i, j].sum(axis=(1, 2)) for i in (slice(half), slice(half, None)) for j in (
                slice(half), slice(half, None))]  # fmt: skip
            rows.append(np.hstack(parts))
        return np.vstack(rows)

    return linear(features(X), y, features(X_test), options)


def scattering(X, y, X_test, options):
    """Wavelet scattering of two orders at scale 4, and a linear classifier."""
    import torch
    from kymatio.torch import Scattering2D

    torch.set_num_threads(options.n_jobs)
    transform = Scattering2D(J=2, shape=X.shape[1:3])

    def features(images):
        channels = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2).astype(np.float32) / 255
        parts = [np.ascontiguousarray(channels[i : i + 128]) for i in range(0, len(images), 128)]
        return np.vstack([transform(torch.from_numpy(part)).reshape(len(part), -1).numpy() for part in parts])

    return linear(features(X), y, features(X_test), options)


def cnn(X, y, X_test, options):
    """A small convolutional network, trained for so many minutes; its learning rate is chosen in a quarter of them."""
    import torch
    from torch import nn

    torch.set_num_threads(options.n_jobs)
    torch.manual_seed(options.seed)
    rng, n_classes, flips = np.random.RandomState(options.seed), int(y.max()) + 1, X.ndim == 4

    def tensor(images):
        maps = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2).astype(np.float32) / 255
        return torch.from_numpy(np.ascontiguousarray(maps)).to(memory_format=torch.channels_last)

    def network(c):
        def block(inside, outside):
            return [nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]

        return nn.Sequential(
            *block(c, 32), *block(32, 32), nn.MaxPool2d(2), *block(32, 64), *block(64, 64), nn.MaxPool2d(2),
            *block(64, 128), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(512, n_classes),
        ).to(memory_format=torch.channels_last)  # fmt: skip

    def train(images, labels, rate, seconds):
        model, begin, part = network(images.shape[1]), time.perf_counter(), 0.0
        optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
        model.train()
        while part < 1:
            for rows in np.array_split(rng.permutation(len(images)), max(1, len(images) // 128)):
                part = (time.perf_counter() - begin) / seconds
                if part >= 1:
                    break
                for group in optimiser.param_groups:
                    group["lr"] = rate * (1 + np.cos(np.pi * part)) / 2
                x = images[rows]
                if flips:
                    turned = torch.from_numpy(rng.rand(len(x)) < 0.5)[:, None, None, None]
                    x = torch.where(turned, x.flip(-1), x)
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x), labels[rows]).backward()
                optimiser.step()
        return model.eval()

    def predict(model, images):
        with torch.no_grad():
            return np.concatenate([model(images[i : i + 500]).argmax(1).numpy() for i in range(0, len(images), 500)])

    images, labels = tensor(X), torch.from_numpy(y.astype(np.int64))
    held_out, kept = np.split(rng.permutation(len(X)), [len(X) // 10])
    seconds, rates = 60 * options.minutes, [0.02, 0.05, 0.1]
    accuracies = []
    for rate in rates:
        model = train(images[kept], labels[kept], rate, seconds / 4 / len(rates))
        accuracies.append(float((predict(model, images[held_out]) == y[held_out]).mean()))
    rate = rates[int(np.argmax(accuracies))]
    model = train(images, labels, rate, 3 / 4 * seconds)
    return predict(model, tensor(X_test)), {"learning_rate": rate, "minutes": options.minutes}


def mini_rocket(X, y, X_test, options):
    """MiniRocket and a ridge classifier, as its authors use it."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    model = MiniRocketClassifier(random_state=options.seed, n_jobs=options.n_jobs)
    return model.fit(X.transpose(0, 2, 1), y).predict(X_test.transpose(0, 2, 1)), {}


OF_IMAGES = {way.__name__: way for way in (rbf, nystroem, hog, k_means, scattering, cnn)}
OF_SIGNALS = {"mini_rocket": mini_rocket}
