"""Other ways to classify images and signals on a CPU, each with its own tuning on training data.

A contender is a function ``(X, y, X_test, options) -> predictions, settings``: images ``(n, height, width[, 3])`` of
uint8, or signals ``(n, length, channels)``; labels 0, 1, ... What it imports is imported where it is used. With
``options.symmetries="flip"``, features are averaged over each image and its mirror image.
"""

import time
from functools import partial

import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklearn_ckn import LinearClassifier

PATH = np.logspace(-5, 2, 8)  # of C, for standardised features
PATH_OF_KERNEL = np.logspace(-1, 5, 7)  # for features of a kernel that is 1 at most
TOL = 1e-4
FEW = 3000  # images to choose parameters of features and kernels by


def linear(F, y, F_test, options, path):
    """The package's own linear classifier: what differs are the features."""
    model = LinearClassifier(C=list(path), tol=TOL, random_state=options.seed, n_jobs=options.n_jobs).fit(F, y)
    return model.predict(F_test), {"C": model.C_, "n_features": F.shape[1]}


def standardised(F, y, F_test, options):
    scaler = StandardScaler(copy=False).fit(F)
    return linear(scaler.transform(F), y, scaler.transform(F_test), options, PATH)


def flipped(X):
    return np.ascontiguousarray(X[:, :, ::-1])


def mirrored(features, images, options):
    """Features of images, or the means of theirs and of their mirror images'."""
    F = features(images)
    if options.symmetries == "flip":
        F += features(flipped(images))
        F /= 2
    return F


def pixels(X):
    return X.reshape(len(X), -1).astype(np.float32) / 255


def tuned_rbf(F, y, options):
    """C and gamma of an SVM by three-fold cross-validation on a few images."""
    few = np.random.RandomState(options.seed).permutation(len(F))[:FEW]
    scale = 1 / (F.shape[1] * F[few].var())
    grid = {"C": [1, 10, 100], "gamma": [float(factor * scale) for factor in (1 / 9, 1 / 3, 1, 3)]}
    return GridSearchCV(SVC(), grid, cv=3, n_jobs=options.n_jobs).fit(F[few], y[few]).best_params_


def rbf(X, y, X_test, options):
    """A support vector machine with an RBF kernel of the pixels."""
    if options.symmetries:
        raise ValueError("rbf has no features that could be averaged: run it without --symmetries")
    F, F_test = pixels(X), pixels(X_test)
    best = tuned_rbf(F, y, options)
    return SVC(**best, cache_size=2000).fit(F, y).predict(F_test), best


def nystroem(X, y, X_test, options):
    """4 000 Nyström features of the same kernel and a linear classifier."""
    gamma = tuned_rbf(pixels(X), y, options)["gamma"]
    landmarks = min(4000, len(X))
    kernel = Nystroem(gamma=gamma, n_components=landmarks, n_jobs=options.n_jobs, random_state=options.seed)
    kernel.fit(pixels(X))

    def features(images):
        return kernel.transform(pixels(images))

    F, F_test = mirrored(features, X, options), mirrored(features, X_test, options)
    predicted, settings = linear(F, y, F_test, options, PATH_OF_KERNEL)  # standardised, what is noise would grow
    return predicted, settings | {"gamma": float(gamma)}


def hog(X, y, X_test, options):
    """Histograms of oriented gradients and a linear classifier."""
    from skimage.feature import hog as histograms

    def of_block(images, cell):
        axis = -1 if images.ndim == 4 else None
        boxes = {"pixels_per_cell": (cell, cell), "cells_per_block": (2, 2)}
        found = [histograms(image, orientations=9, **boxes, channel_axis=axis) for image in images]
        return np.array(found, dtype=np.float32)

    def of_all(images):
        blocks = [images[start : start + 500] for start in range(0, len(images), 500)]
        with Parallel(options.n_jobs) as parallel:
            return np.hstack(
                [np.vstack(parallel(delayed(of_block)(block, cell) for block in blocks)) for cell in cells]
            )

    cells = 4, X.shape[1] // 4
    return standardised(mirrored(of_all, X, options), y, mirrored(of_all, X_test, options), options)


def k_means(X, y, X_test, options, n_centres=1600, size=6):
    """Whitened patches, soft assignments to k-means centres, sums over quadrants: Coates, Lee and Ng (2011)."""
    from sklearn.cluster import MiniBatchKMeans

    def patches(images):
        images = images.reshape(*images.shape[:3], -1).astype(np.float32)
        views = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
        P = views.reshape(*views.shape[:3], -1)
        P = P - P.mean(axis=-1, keepdims=True)
        return P / np.sqrt(P.var(axis=-1, keepdims=True) + 10)

    def some(image):
        P = patches(image[None])
        return rng.permutation(P.reshape(-1, P.shape[-1]))[:100]

    rng = np.random.RandomState(options.seed)
    drawn = np.concatenate([some(X[i]) for i in rng.permutation(len(X))[:4000]])
    mean = drawn.mean(axis=0)
    eigenvalues, U = np.linalg.eigh(np.cov(drawn.T))
    W = ((U / np.sqrt(eigenvalues + 0.1)) @ U.T).astype(np.float32)
    clusters = MiniBatchKMeans(
        n_centres, batch_size=10_000, n_init=1, max_iter=20, max_no_improvement=None, random_state=options.seed
    )
    centres = clusters.fit((drawn - mean) @ W).cluster_centers_.astype(np.float32)
    squares = (centres**2).sum(axis=1)

    def sums(image):
        P = (patches(image[None])[0] - mean) @ W
        distances = P @ (-2 * centres.T)
        distances += (P**2).sum(axis=-1, keepdims=True) + squares
        np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
        active = np.subtract(distances.mean(axis=-1, keepdims=True), distances, out=distances)
        np.maximum(active, 0, out=active)
        halves = slice(len(active) // 2), slice(len(active) // 2, None)
        return [active[i, j].sum(axis=(0, 1)) for i in halves for j in halves]

    def features(images):
        F = np.empty((len(images), 4, n_centres), dtype=np.float32)

        def fill(i):
            F[i] = sums(images[i])

        with threadpool_limits(1):  # of BLAS: there are as many threads as jobs
            Parallel(options.n_jobs, "threading")(delayed(fill)(i) for i in range(len(images)))
        return F.reshape(len(images), -1)

    return standardised(mirrored(features, X, options), y, mirrored(features, X_test, options), options)


def scattering(X, y, X_test, options):
    """Wavelet scattering of two orders, at the scale that suits a few images better, and a linear classifier."""
    import torch
    from kymatio.torch import Scattering2D

    torch.set_num_threads(options.n_jobs)
    transforms = {scale: Scattering2D(J=scale, shape=X.shape[1:3]) for scale in (2, 3)}  # windows of 2^J pixels

    def features(images, scale):
        channels = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
        parts = (torch.from_numpy(channels[i : i + 128].astype(np.float32) / 255) for i in range(0, len(images), 128))
        return np.vstack([transforms[scale](part.contiguous()).reshape(len(part), -1).numpy() for part in parts])

    few = np.random.RandomState(options.seed).permutation(len(X))[:FEW]
    judged, kept = np.split(few, [len(few) // 3])
    accuracies = {}
    for scale in transforms:
        F, F_judged = features(X[kept], scale), features(X[judged], scale)
        accuracies[scale] = float((standardised(F, y[kept], F_judged, options)[0] == y[judged]).mean())
    of_scale = partial(features, scale=max(accuracies, key=accuracies.get))
    F, F_test = mirrored(of_scale, X, options), mirrored(of_scale, X_test, options)
    predicted, settings = standardised(F, y, F_test, options)
    return predicted, settings | {"accuracy_of_scale": accuracies}


def cnn(X, y, X_test, options):
    """A small convolutional network, trained for so many minutes; its learning rate is chosen in a third of them."""
    import torch
    from torch import nn

    torch.set_num_threads(options.n_jobs)
    torch.manual_seed(options.seed)
    rng, n_classes, flips = np.random.RandomState(options.seed), int(y.max()) + 1, options.symmetries == "flip"

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
        labels = []
        with torch.no_grad():
            for x in images.split(500):
                scores = model(x).softmax(1) + (model(x.flip(-1)).softmax(1) if flips else 0)
                labels.append(scores.argmax(1).numpy())
        return np.concatenate(labels)

    images, labels = tensor(X), torch.from_numpy(y.astype(np.int64))
    held_out, kept = np.split(rng.permutation(len(X)), [len(X) // 10])
    seconds, rates = 60 * options.minutes, [0.02, 0.1]
    accuracies = []
    for rate in rates:
        model = train(images[kept], labels[kept], rate, seconds / 3 / len(rates))
        accuracies.append(round(100 * float((predict(model, images[held_out]) == y[held_out]).mean()), 2))
    rate = rates[int(np.argmax(accuracies))]
    model = train(images, labels, rate, 2 / 3 * seconds)
    return predict(model, tensor(X_test)), {"learning_rate": dict(zip(rates, accuracies)), "minutes": options.minutes}


def mini_rocket(X, y, X_test, options):
    """MiniRocket and a ridge classifier, as its authors use it."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    model = MiniRocketClassifier(random_state=options.seed, n_jobs=options.n_jobs)
    return model.fit(X.transpose(0, 2, 1), y).predict(X_test.transpose(0, 2, 1)), {}


def multi_rocket(X, y, X_test, options):
    """MultiRocket and a ridge classifier, as its authors use it."""
    from aeon.classification.convolution_based import MultiRocketClassifier

    model = MultiRocketClassifier(random_state=options.seed, n_jobs=options.n_jobs)
    return model.fit(X.transpose(0, 2, 1), y).predict(X_test.transpose(0, 2, 1)), {}


def searched(model, grid, F, y, F_test, options):
    """Predictions of a classifier whose parameters are chosen by three-fold cross-validation."""
    with parallel_config("threading", n_jobs=options.n_jobs):
        search = GridSearchCV(model, grid, cv=3).fit(F, y)
    return search.predict(F_test), {name: str(value) for name, value in search.best_params_.items()}


def flat(X):
    """Values of signals as rows. The values of images are scaled to the range from 0 to 1."""
    return pixels(X) if X.dtype == np.uint8 else X.reshape(len(X), -1)


def support_vectors(X, y, X_test, options):
    """A support vector machine with an RBF kernel of the standardised values."""
    steps = make_pipeline(StandardScaler(), SVC(cache_size=1000))
    n_values = X[0].size
    grid = {"svc__C": [1, 10, 100], "svc__gamma": [factor / n_values for factor in (0.1, 0.3, 1, 3)]}
    return searched(steps, grid, flat(X), y, flat(X_test), options)


def forest(X, y, X_test, options):
    """A random forest of the values."""
    model = RandomForestClassifier(300, random_state=options.seed)
    return searched(model, {"max_features": ["sqrt", 0.1]}, flat(X), y, flat(X_test), options)


def neighbours(X, y, X_test, options):
    """Nearest neighbours of the values."""
    steps = make_pipeline(StandardScaler(with_std=X.dtype != np.uint8), KNeighborsClassifier())
    return searched(steps, {"kneighborsclassifier__n_neighbors": [1, 3, 5, 9]}, flat(X), y, flat(X_test), options)


def binary_patterns(X, y, X_test, options):
    """Histograms of uniform local binary patterns of every channel in 1, 4 or 16 cells, and an RBF kernel."""
    from skimage.feature import local_binary_pattern

    def histograms(images, n_cells):
        rows = []
        for image in images.reshape(*images.shape[:3], -1):
            found = []
            for channel in np.moveaxis(image, -1, 0):
                for n_points, radius in ((8, 1), (16, 2)):
                    codes = local_binary_pattern(channel, n_points, radius, "uniform").astype(int)
                    for band in np.array_split(codes, n_cells):
                        for cell in np.array_split(band, n_cells, axis=1):
                            found.append(np.bincount(cell.ravel(), minlength=n_points + 2) / cell.size)
            rows.append(np.concatenate(found))
        return np.sqrt(np.array(rows))

    best = None
    for n_cells in (1, 2, 4):
        F = histograms(X, n_cells)
        scale = 1 / (F.shape[1] * F.var())
        grid = {"C": [1, 10, 100], "gamma": [factor * scale for factor in (0.1, 0.3, 1)]}
        with parallel_config("threading", n_jobs=options.n_jobs):
            search = GridSearchCV(SVC(), grid, cv=3).fit(F, y)
        if best is None or search.best_score_ > best[1].best_score_:
            best = n_cells, search
    n_cells, search = best
    return search.predict(histograms(X_test, n_cells)), {"cells": n_cells**2, "C": search.best_params_["C"]}


OF_IMAGES = {way.__name__: way for way in (rbf, nystroem, hog, k_means, scattering, cnn)}
OF_SIGNALS = {"mini_rocket": mini_rocket}
