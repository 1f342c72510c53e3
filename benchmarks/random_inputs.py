"""Check that random inputs to all public functions lead to a right answer, or to one clear error or warning.

    python benchmarks/random_inputs.py
    python benchmarks/random_inputs.py --only layer kernel --n 1000
    python benchmarks/random_inputs.py --case 17

A case is drawn from its own seed: a function, parameters, and small signals or features of any shape, dtype, scale,
offset and memory layout, as arrays, lists, tables or memory maps. A case ends as one of:

- ``right``: the answer agrees with the definitions, which are computed here and in ``tests/naive.py`` in extended
  precision from exactly the same values and the fitted filters, and with further identities (threads, dtypes, shapes,
  scaling);
- ``warned``: the package warned, and the answer is right, or inexact as the warning says; ``refused``: a ValueError or
  TypeError that the package or scikit-learn raises itself;
- ``violation``: a warning of NumPy, another exception, values that are not finite, a wrong answer, a changed input,
  changed global state, or more than 20 seconds.

An answer is right if its error is less than `FACTOR` roundings of the dtype of the computation, times the condition
number of each layer, ``(1 + kappa'(1)) |A|`` for the whitening matrix A. The error is relative to the norm of the patch
at the same position, minus its mean if patches are centred. Errors are pooled like the values. Values whose squares are
0 may count as 0.
"""

import argparse
import copy
import json
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from functools import reduce
from math import prod
from pathlib import Path
from textwrap import shorten

import numpy as np
import pandas as pd
from machine import describe
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info

from sklearn_ckn import (
    AutoCKNClassifier,
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNLayer,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    LinearRegressor,
    PatchWhitening,
    inspection,
)
from sklearn_ckn.preprocessing import Differences, GradientMap

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import naive

SECONDS, COMPILING = 20, 300  # time limits of a case whose code is compiled, and of a case that may compile code
FACTOR = 100
DTYPES = ["f4"] * 6 + ["f8"] * 5 + ["f2", "g", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?", ">f4", ">f8", ">i2"]
FORMS = ["C"] * 4 + ["F", "reversed", "strided", "read-only", "list", "memmap", "broadcast", "table", "transposed"]
VALUES = ["normal"] * 4 + ["uniform", "counts", "sparse", "constant", "zero", "duplicates", "one", "wide", "mixed"]
KERNELS = ["exponential"] * 3 + ["polynomial", "inverse_polynomial", "arccos1", "vovk", "linear"]
SLOPES = {
    "exponential": lambda layer: 1 / layer.sigma_**2,
    "polynomial": lambda layer: layer.degree / (1 + layer.coef0),
}  # kappa'(1), which is 1 for all other kernels
TEMPORARY = tempfile.TemporaryDirectory()


class Violation(Exception):
    """An answer that is neither right nor an error."""


def expect(condition, what):
    if not condition:
        raise Violation(what)


class Draw:
    """The random choices of a case, and the arrays that it passes to the package."""

    def __init__(self, seed):
        self.seed, self.rng, self.record, self.passed = seed, np.random.default_rng(seed), {}, []

    def one(self, name, choices):
        self.record[name] = choices[self.rng.integers(len(choices))]
        return self.record[name]

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability):
        return bool(self.rng.random() < probability)

    def shape(self, ndim):
        """Return a shape ``(n, *space, n_channels)``."""
        longest = {1: 30, 2: 9, 3: 5}[ndim]
        return (self.int(1, 5), *(self.int(1 + (ndim == 1), longest) for _ in range(ndim)), self.one("c", [1, 1, 2, 3]))

    def values(self, shape):
        """Return values in double precision, before they are converted to the dtype of the case."""
        rng, kind = self.rng, self.one("values", VALUES)
        X = rng.standard_normal(shape)
        if kind == "uniform":
            X = rng.random(shape)
        elif kind == "counts":
            X = rng.integers(0, 256, shape).astype(float)
        elif kind == "sparse":
            X *= rng.random(shape) < 0.1
        elif kind == "constant":
            X[:] = X.flat[0]
        elif kind == "zero":
            X[:] = 0
        elif kind == "duplicates":
            X[:] = X[:1]
        elif kind == "one":
            X[:] = 0
            X.flat[rng.integers(X.size)] = 1
        elif kind == "wide":
            X *= 10.0 ** rng.uniform(-15, 15, shape)
        elif kind == "mixed":
            X *= 10.0 ** rng.integers(-8, 8, (len(X), *[1] * (X.ndim - 1)))
            X[0] = 0
        if self.chance(0.25):
            self.record["offset"] = float(10 ** rng.uniform(0, 6))
            X = X + self.record["offset"]
        if self.chance(0.35):
            self.record["magnitude"] = float(10 ** rng.uniform(-30, 30))
            X = X * self.record["magnitude"]
        if self.chance(0.01):
            X.flat[0] = self.one("spoiled", [np.nan, np.inf, -np.inf])
        return X

    def array(self, shape):
        """Return an array of a random dtype with random values, as large as the dtype allows."""
        X, dtype = self.values(shape), np.dtype(self.one("dtype", DTYPES))
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            X = np.nan_to_num(X)
            if np.abs(X).max() < 1:
                X = X * 100 / max(np.abs(X).max(), 1e-300)
            X = np.clip(X, float(limits.min), float(limits.max) * (1 - 2**-53)).round()
        elif dtype.kind == "f":
            X = np.where(np.isfinite(X), np.clip(X, *(float(np.finfo(dtype).max) * np.array([-0.9, 0.9]))), X)
        X = X.astype(dtype)
        self.record["extreme"] = self.extreme(X)
        return X

    def extreme(self, X):
        """Return a name for values that may lose precision, by which violations are grouped."""
        sizes = np.abs(X.astype(np.longdouble))
        if X.dtype.kind in "iu" and sizes.max() > 2**24:
            return "integers above 2^24"
        smallest = sizes[sizes > 0].min(initial=1)
        return "tiny values" if smallest < {4: 1e-18, 2: 0}.get(X.dtype.itemsize, 1e-150) else ""

    def given(self, X, rows=False):
        """Return the object that is passed for an array, and its exact values. A table is passed only for rows."""
        form = self.one("form", FORMS)
        if form == "F":
            X = np.asfortranarray(X)
        elif form == "reversed":
            X = X[tuple([slice(None, None, -1)] * X.ndim)].copy()[tuple([slice(None, None, -1)] * X.ndim)]
        elif form == "strided":
            X = np.repeat(X, 2, axis=-1)[..., ::2]
        elif form == "transposed":
            X = np.moveaxis(np.moveaxis(X, -1, 0).copy(), 0, -1)
        elif form == "broadcast":
            X = np.broadcast_to(X[:1], X.shape)
        elif form == "memmap":
            path = Path(TEMPORARY.name) / "array"
            path.unlink(missing_ok=True)
            stored = np.memmap(path, X.dtype, "w+", shape=X.shape)
            stored[:] = X
            X = np.memmap(path, X.dtype, "r", shape=X.shape)
        elif form == "read-only":
            X = X.copy()
            X.flags.writeable = False
        self.passed.append((X, X.copy(), X.flags.writeable, X.strides))
        exact = X.astype(np.longdouble)
        if form == "list":
            return X.tolist(), exact.astype(float).astype(np.longdouble) if X.dtype.kind == "f" else exact
        if form == "table" and rows:
            names = [f"a{i}" for i in range(X.shape[1])]
            return pd.DataFrame(X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("=")), columns=names), exact
        return X, exact

    def signals(self, ndim):
        """Return signals as they are passed, their exact values ``(n, *space, c)``, and the `input_shape` they need."""
        X = self.array(self.shape(ndim))
        shape = X.shape
        rows = self.chance(0.2)
        if rows:
            X = X.reshape(len(X), -1)
        elif shape[-1] == 1 and self.chance(0.5):
            X = X[..., 0]
        given, exact = self.given(X, rows)
        return given, exact.reshape(shape), shape[1:] if rows else None

    def layer(self, ndim, input_shape=None, kernels=KERNELS):
        """Return an unfitted layer with random parameters."""

        def size(largest, smallest=1):
            sizes = tuple(self.int(smallest, largest) for _ in range(ndim))
            return sizes[0] if self.chance(0.7) else sizes

        centred = self.chance(0.35)

        parameters = {
            "patch_size": size(4, 1 + (centred and self.chance(0.95))),
            "dilation": size(3) if self.chance(0.3) else 1,
            **({"n_positions": size(4)} if self.chance(0.25) else self.sliding(size)),
            "pooling": "average" if self.chance(0.25) else "gaussian",
            "padding": "valid" if self.chance(0.25) else "same",
            "patch_centering": centred,
            "kernel": kernels[self.int(0, len(kernels) - 1)],
            "sigma": "auto" if self.chance(0.1) else float(10 ** self.rng.uniform(-0.7, 0.5)),
            "degree": self.int(1, 4),
            "coef0": float(self.one("coef0", [0, 0.5, 1])),
            "init": "random" if self.chance(0.3) else "k-means",
            "n_patches": self.int(1, 300),
            "max_iter": self.int(0, 4),
            "reg": float(10 ** self.rng.uniform(-6, 0)),
            "n_jobs": self.one("n_jobs", [None, 1, 2]),
        }
        self.record.setdefault("layers", []).append(parameters)
        common = {"ndim": ndim, "input_shape": input_shape, "random_state": self.seed}
        return CKNLayer(self.int(1, 8), **parameters, **common)

    def sliding(self, size):
        """Return the parameters of pooling by windows that move over the map."""
        return {"pooling_width": size(3), "subsampling": None if self.chance(0.7) else size(3)}

    def network(self, ndim, input_shape=None, kernels=KERNELS):
        """Return one layer or two. The exact kernel is compiled for every pair of kernels, so there are few pairs."""
        first = self.layer(ndim, input_shape, kernels)
        second = ["arccos1" if first.kernel in ("vovk", "linear", "inverse_polynomial") else "exponential"]
        return make_pipeline(first, self.layer(ndim, kernels=second)) if self.chance(0.4) else first

    def check_passed(self):
        for X, before, writeable, strides in self.passed:
            same = X.tobytes() == before.tobytes() and X.flags.writeable == writeable and X.strides == strides
            expect(same, "the input was changed")


# ---- The definitions in extended precision


def computing_dtype(given):
    """Return float64 for float64 and for integers in memory that float32 would round, float32 otherwise."""
    X = given.to_numpy() if isinstance(given, pd.DataFrame) else np.asarray(given)
    rounded = X.dtype.kind in "iu" and max(float(X.max()), -float(X.min())) > 2**24
    return np.dtype("f8" if rounded or (X.dtype.kind == "f" and X.dtype.itemsize > 4) else "f4")


def patches_of(X, layer, centred):
    """Return all patches ``(n, *positions, d)``."""
    ndim = X.ndim - 2
    size, dilation = (np.broadcast_to(sizes, ndim) for sizes in (layer.patch_size, layer.dilation))
    X = np.pad(X, [(0, 0), *around(layer, ndim), (0, 0)])
    reach = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation))
    if any(a < k for a, k in zip(X.shape[1:], reach)):
        raise ValueError("no patch fits")
    P = np.lib.stride_tricks.sliding_window_view(X, reach, axis=tuple(range(1, ndim + 1)))
    P = P[(..., *(slice(None, None, d) for d in dilation))]
    P = np.moveaxis(P, ndim + 1, -1)  # (n, *positions, *size, c)
    if centred:
        P = P - P[(slice(None),) * (ndim + 1) + (slice(1),) * ndim]  # The mean of what is left is more exact.
        P = P - P.mean(axis=tuple(range(ndim + 1, 2 * ndim + 1)), keepdims=True)
    return P.reshape(*P.shape[: ndim + 1], -1)


def around(layer, ndim):
    """Return the numbers of zeros before and after the map along each axis."""
    sizes = zip(np.broadcast_to(layer.patch_size, ndim), np.broadcast_to(layer.dilation, ndim))
    return [(d * ((k - 1) // 2), d * (k // 2)) if layer.padding == "same" else (0, 0) for k, d in sizes]


def function_of(functions, layer, sigma):
    """Return the function kappa of a layer, or its derivative, from `naive.KAPPA` or `naive.SLOPE`."""
    parameters = {"sigma": sigma, "degree": layer.degree, "coef0": layer.coef0}
    return np.vectorize(lambda u: functions[layer.kernel](float(u), parameters), otypes=[float])


def operator_of(layer, positions):
    """Return the pooling matrix, and the number of pooled positions along each axis."""
    if layer.n_positions is not None:
        counts = np.broadcast_to(layer.n_positions, len(positions))
        axes = [naive.pooling_axis(layer.pooling, n, None, None, count) for n, count in zip(positions, counts)]
    else:
        width = np.broadcast_to(layer.pooling_width, len(positions))
        stride = width if layer.subsampling is None else np.broadcast_to(layer.subsampling, len(positions))
        axes = [naive.pooling_axis(layer.pooling, *sizes) for sizes in zip(positions, width, stride)]
    return reduce(np.kron, axes).astype(np.longdouble), [len(axis) for axis in axes]


def condition(layer):
    slope = SLOPES.get(layer.kernel, lambda layer: 1)(layer)
    return (1 + slope) * np.linalg.norm(layer.whitening_.astype(float), 2)


def encode(X, layer, error, eps):  # (n, *space, c), layer, (n, *space, 1), float -> (n, *pooled, m), (n, *pooled, 1)
    """Return the maps of a fitted layer and the norms of their possible errors, given the errors of the signals."""
    P = patches_of(X, layer, layer.patch_centering)
    r = np.sqrt((P**2).sum(axis=-1, keepdims=True))
    before = np.sqrt((patches_of(error, layer, False) ** 2).sum(axis=-1, keepdims=True))
    Z = layer.filters_.reshape(len(layer.filters_), -1).astype(np.longdouble)
    F = r * function_of(naive.KAPPA, layer, layer.sigma_)(np.clip(P / np.where(r > 0, r, 1) @ Z.T, -1, 1))
    W, pooled = operator_of(layer, P.shape[1:-1])

    def pool(A):
        return (W @ A.reshape(len(X), -1, A.shape[-1])).reshape(len(X), *pooled, -1)

    maps = pool(F) @ layer.whitening_.astype(np.longdouble)
    return maps, condition(layer) * pool(before + FACTOR * eps * r)


def encode_all(X, layers, dtype):
    """Return the maps of a fitted network and the norms of their possible errors."""
    smallest = np.sqrt(np.finfo(dtype).smallest_subnormal)  # The squares of smaller values are 0.
    error = np.full((*X.shape[:-1], 1), smallest, np.longdouble)
    for layer in layers:
        X, error = encode(X, layer, error, np.finfo(dtype).eps)
    return X, error


def exact_kernels(X, layers):
    """Return the exact kernel and the tangent kernel of all pairs of signals."""
    K, T, space = None, None, X.shape[1:-1]
    for layer in layers:
        if K is None:  # the products of the patches themselves, so that no constant is lost
            P = patches_of(X, layer, layer.patch_centering)
            space, flat = P.shape[1:-1], P.reshape(-1, P.shape[-1])
            K = T = (flat @ flat.T).reshape(len(X), prod(space), len(X), -1)
        else:
            T, _ = products_of_patches(T, space, layer)
            K, space = products_of_patches(K, space, layer)
        r = np.sqrt(np.maximum(np.einsum("iuiu->iu", K), 0))
        r = np.multiply.outer(r, r)
        cosines = np.clip(K / np.where(r > 0, r, 1), -1, 1)
        K = r * function_of(naive.KAPPA, layer, layer.sigma)(cosines)
        T = np.where(r > 0, function_of(naive.SLOPE, layer, layer.sigma)(cosines), 0) * T
        W, space = operator_of(layer, space)
        K, T = (np.einsum("au,iujv,bv->iajb", W, A, W, optimize=True) for A in (K, T))
        T = K + T
    return [np.einsum("iuju->ij", A) for A in (K, T)]


def products_of_patches(K, space, layer):  # (n, positions, n, positions) -> the same for patches, their positions
    """Return the products of all patches of the maps whose products are K."""
    n, ndim = len(K), len(space)
    size, dilation = tuple(np.broadcast_to(layer.patch_size, ndim)), np.broadcast_to(layer.dilation, ndim)
    K = np.pad(K.reshape(n, *space, n, *space), [(0, 0), *around(layer, ndim)] * 2)
    positions = [a - d * (k - 1) for a, k, d in zip(K.shape[1:], size, dilation)]

    def windows(offset):
        return [slice(d * v, d * v + p) for v, d, p in zip(offset, dilation, positions)]

    def sum_over_patches(K, axis):
        return sum(K[(slice(None),) * axis + tuple(windows(v))] for v in np.ndindex(size))

    total = sum(K[(slice(None), *windows(v), slice(None), *windows(v))] for v in np.ndindex(size))
    if layer.patch_centering:
        total = total - sum_over_patches(sum_over_patches(K, 1), 2 + ndim) / prod(size)
    return total.reshape(n, prod(positions), n, -1), positions


def agree(found, exact, error, what):
    """Expect that no value differs by more than its possible error."""
    expect(np.shape(found) == np.shape(exact), f"{what}: shape {np.shape(found)} instead of {np.shape(exact)}")
    expect(np.isfinite(found).all(), f"{what}: not finite")
    difference = np.abs(found.astype(np.longdouble) - exact)
    ratio = (difference / np.maximum(error, np.finfo(np.longdouble).tiny)).max()
    expect(ratio <= 1, f"{what}: wrong by {FACTOR * float(ratio):.1e} roundings")


# ---- The checks, one for each public class or function


def check_layer(draw):
    ndim = draw.one("ndim", [1, 2, 2, 3])
    X, exact, input_shape = draw.signals(ndim)
    layer, dtype = draw.layer(ndim, input_shape), computing_dtype(X)
    fit = layer.partial_fit if draw.chance(0.2) else layer.fit
    fit(X)
    check_filters(layer, dtype)
    maps = layer.transform(X)
    expect(maps.dtype == dtype, f"dtype {maps.dtype} instead of {dtype}")
    agree(maps, *encode_all(exact, [layer], dtype), "maps")
    same = layer.set_params(n_jobs=2 if layer.n_jobs == 1 else 1).transform(X)
    expect((same == maps).all(), "the result depends on n_jobs")
    if input_shape is None:
        expect((layer.transform(np.ascontiguousarray(X)) == maps).all(), "the result depends on the memory layout")


def check_filters(layer, dtype):
    """Expect filters of norm 1, and a whitening that is the inverse square root of their kernel."""
    Z, A = layer.filters_.reshape(len(layer.filters_), -1).astype(np.longdouble), layer.whitening_
    expect(len(Z) <= layer.n_filters and Z.dtype and A.dtype == dtype, "filters: number or dtype")
    eps = np.finfo(dtype).eps
    expect(np.abs((Z**2).sum(axis=1) - 1).max() < 20 * eps, "filters: norms are not 1")
    G = function_of(naive.KAPPA, layer, layer.sigma_)(np.clip(Z @ Z.T, -1, 1)) + layer.reg * np.eye(len(Z))
    A = A.astype(float)
    slope = 1 + SLOPES.get(layer.kernel, lambda layer: 1)(layer)
    expect(
        np.abs(A @ G @ A - np.eye(len(Z))).max() < FACTOR * eps * slope * len(Z) * np.linalg.norm(A, 2) ** 2,
        "whitening: not the inverse square root",
    )


def orbit(X, symmetries):
    """Return the transforms of signals under all elements of a group of symmetries."""
    transforms = [X] if symmetries in (None, "flip") else [np.rot90(X, k, axes=(1, 2)) for k in range(4)]
    return transforms if symmetries in (None, "rotate") else [*transforms, *(Y[..., ::-1, :] for Y in transforms)]


def draw_symmetries(draw, space):
    """Return None or a group of symmetries for signals of the spatial shape ``space``."""
    is_square = len(space) == 2 and space[0] == space[1]
    groups = ["flip", "rotate", "dihedral"] if is_square else ["flip"]
    return groups[draw.int(0, len(groups) - 1)] if draw.chance(0.3) else None


def features_of(exact, layers, feature_map, dtype):
    """Return the features of a fitted feature map and their possible errors."""
    pairs = [encode_all(transforms, layers, dtype) for transforms in orbit(exact, feature_map.symmetries)]
    F, error = sum(F for F, _ in pairs) / len(pairs), np.max([error for _, error in pairs], axis=0)
    F, error = F.reshape(len(F), -1), np.broadcast_to(error, F.shape).reshape(len(F), -1)
    return finish(F, error, feature_map.center, feature_map.scale)


def finish(F, error, center, scale):  # (n, d), (n, d) -> (n, d), (n, d)
    """Centre and scale rows, with their possible errors. Rows whose norm is only rounding may have any direction."""
    if center:
        F, error = F - F.mean(axis=1, keepdims=True), error + error.mean(axis=1, keepdims=True)
    if scale:
        norms, errors = (np.sqrt((A**2).sum(axis=1, keepdims=True)) for A in (F, error))
        size = np.where(norms > 0, norms, 1)
        F, error = F / size, np.where(norms > 2 * errors, 2 * (error + errors * np.abs(F) / size) / size, 2)
    return F, error


def draw_feature_map(draw, ndims=(1, 2, 2, 3), kernels=KERNELS):
    ndim = draw.one("ndim", ndims)
    X, exact, input_shape = draw.signals(ndim)
    symmetries = draw_symmetries(draw, exact.shape[1:-1])
    options = {"symmetries": symmetries, "center": draw.chance(0.4), "scale": draw.chance(0.4)}
    draw.record |= options
    return (
        X,
        exact,
        CKNFeatureMap(draw.network(ndim, input_shape, kernels), **options, n_jobs=draw.one("n_jobs", [None, 2])),
    )


def check_feature_map(draw):
    X, exact, feature_map = draw_feature_map(draw)
    feature_map.fit(X)
    F, dtype = feature_map.transform(X), computing_dtype(X)
    expect(F.dtype == dtype, f"dtype {F.dtype} instead of {dtype}")
    agree(F, *features_of(exact, [*feature_map.network_], feature_map, dtype), "features")
    expect((feature_map.set_params(n_jobs=1).transform(X) == F).all(), "the result depends on n_jobs")
    check_list(draw, X, [*feature_map.network_], feature_map.transform, F)


def check_list(draw, X, layers, function, results):
    """Expect the same results, bit for bit, if signals are passed in a list with a signal of another size."""
    if layers[-1].n_positions is None or layers[0].input_shape is not None or not isinstance(X, np.ndarray):
        return
    X = X if X.ndim == layers[0].ndim + 2 else X[..., np.newaxis]
    smaller = np.ascontiguousarray(X[:1, : max(1, X.shape[1] - 1)])
    if computing_dtype(smaller) != computing_dtype(X):
        return
    try:
        alone = function(smaller)
    except ValueError as error:
        expect(re.search("must not exceed the|requires square images", str(error)), f"a smaller signal: {error}")
        return
    draw.record["list"] = True
    expect((function([*X, smaller[0]]) == np.concatenate([results, alone])).all(), "a list differs")


def cosine_of(A):
    """Return a kernel matrix divided by the norms of its signals, and these norms."""
    norms = np.sqrt(np.maximum(np.diag(A), 0))
    return A / np.where(np.outer(norms, norms) > 0, np.outer(norms, norms), 1), norms


def check_kernel(draw):
    ndim = draw.one("ndim", [1, 2, 2, 3])
    X, exact, input_shape = draw.signals(ndim)
    network = draw.network(ndim, input_shape, [*KERNELS, "arccos0"])
    layers = [network] if isinstance(network, CKNLayer) else [*network]
    for layer in layers:
        layer.sigma = 0.6 if layer.sigma == "auto" else layer.sigma
        layer.sigma_ = layer.sigma  # for `SLOPES`
    names = {layer.kernel for layer in layers}
    options = {"tangent": "arccos0" not in names and draw.chance(0.3), "normalize": draw.chance(0.3)}
    options["symmetries"] = draw_symmetries(draw, exact.shape[1:-1])
    draw.record |= options
    kernel = CKNKernel(network, **options, n_jobs=draw.one("n_jobs", [None, 2]))
    K, dtype = kernel(X), computing_dtype(X)
    expect(K.dtype == dtype, f"dtype {K.dtype} instead of {dtype}")

    def exact_kernel(layers):
        transforms = orbit(exact, kernel.symmetries)
        A = exact_kernels(np.concatenate(transforms), layers)[kernel.tangent]
        return A.reshape(len(transforms), len(exact), len(transforms), -1).mean(axis=(0, 2))

    eps, condition = np.finfo(dtype).eps, prod(1 + SLOPES.get(layer.kernel, lambda layer: 1)(layer) for layer in layers)
    if "arccos0" in names:
        eps = np.sqrt(eps)  # its slope at 1 is infinite
    if kernel.tangent:
        condition *= prod(1 + curvature(layer) for layer in layers)
        eps = max(eps, np.sqrt(np.finfo(float).eps)) if "arccos1" in names else eps  # its slope is steep at 1
    expected, norms = cosine_of(exact_kernel(layers))
    scaled = K if kernel.normalize else K / np.where(np.outer(norms, norms) > 0, np.outer(norms, norms), 1)
    uncentred = [layers[0], *(copy.copy(layer).set_params(patch_centering=False) for layer in layers[1:])]
    # Centring the patches of maps loses what they have in common.
    lost = cosine_of(exact_kernel(uncentred))[1] / np.where(norms > 0, norms, 1)
    agree(scaled, expected, FACTOR * eps * condition * np.maximum(1, np.outer(lost, lost)), "kernel")
    expect((K == K.T).all(), "the kernel is not symmetric")
    agree(kernel.diag(X), np.diag(K), 10 * eps * np.abs(np.diag(K)), "diag")
    if isinstance(X, np.ndarray):  # The kernel of a copy is not made exactly symmetric.
        check_list(draw, X, layers, lambda Y: kernel(Y, X), kernel(X.copy(), X))
    if names == {"exponential"} and not kernel.tangent:
        _, gradient = kernel(X, eval_gradient=True)
        expect(np.isfinite(gradient).all(), "the gradient is not finite")


def curvature(layer):
    """Return the largest second derivative of kappa, or 1 for ``"arccos1"``, whose second derivative is infinite."""
    slope, h = function_of(naive.SLOPE, layer, layer.sigma), 1e-4
    return 1 if layer.kernel == "arccos1" else float(abs(slope(1) - slope(1 - h)) / h)


def check_flatten(draw):
    X, exact = draw.given(draw.array(draw.shape(draw.one("ndim", [1, 2, 3]))))
    flatten = Flatten(center=draw.chance(0.5), scale=draw.chance(0.5))
    draw.record |= flatten.get_params()
    F, dtype = flatten.fit(X).transform(X), computing_dtype(X)
    expect(F.dtype == dtype, f"dtype {F.dtype} instead of {dtype}")
    exact = exact.reshape(len(exact), -1)
    expected, error = finish(exact, np.finfo(dtype).eps * np.abs(exact), flatten.center, flatten.scale)
    agree(F, expected, FACTOR * error, "rows")
    constant = (exact == exact[:, :1]).all(axis=1)
    directed = flatten.center and flatten.scale and F[constant].any()
    expect(not directed, "a constant row is not 0 after centring and scaling")


def check_differences(draw):
    X, exact, input_shape = draw.signals(1)
    differences = Differences(input_shape=input_shape)
    F, dtype = differences.fit(X).transform(X), computing_dtype(X)
    expect(F.dtype == dtype, f"dtype {F.dtype} instead of {dtype}")
    d = np.diff(exact, axis=1)
    size = np.sqrt((d**2).mean(axis=1, keepdims=True))
    expected = (d / np.where(size > 0, size, 1)).reshape(len(d), -1)
    agree(F, expected, FACTOR * np.finfo(dtype).eps * np.abs(expected), "differences")


def check_gradient_map(draw):
    X, exact, input_shape = draw.signals(2)
    n = draw.one("n_orientations", [12, 12, 3, 5, 2, None])
    transformer = GradientMap(n, input_shape=input_shape, n_jobs=draw.one("n_jobs", [None, 2]))
    found, dtype = transformer.fit(X).transform(X), computing_dtype(X)
    expect(found.dtype == dtype, f"dtype {found.dtype} instead of {dtype}")
    expect((transformer.set_params(n_jobs=1).transform(X) == found).all(), "the result depends on n_jobs")
    G, eps = np.stack(np.gradient(exact, axis=(1, 2)), axis=-1), np.finfo(dtype).eps
    if n is None:
        error = FACTOR * (eps * np.abs(G) + np.finfo(dtype).smallest_subnormal)
        agree(found, G.reshape(found.shape), error.reshape(found.shape), "gradients")
        return
    sizes = np.linalg.norm(G.astype(np.longdouble), axis=-1).repeat(n, axis=-1)
    smallest = np.sqrt(np.finfo(dtype).smallest_subnormal)  # The squares of smaller values are 0.
    condition = 1 + 1 / (1 - np.cos(2 * np.pi / n))
    agree(
        found, np.array([naive.gradient_map(x, n) for x in exact]), condition * (FACTOR * eps * sizes + smallest), "map"
    )


def check_whitening(draw):
    """Compare a whitening with itself in double precision, because it has no condition number of its own."""
    ndim = draw.one("ndim", [1, 2, 2, 3])
    X, exact, input_shape = draw.signals(ndim)
    parameters = {
        "patch_size": draw.one("patch_size", [2] * 6 + [3, 1]),
        "method": draw.one("method", ["local", "global"]),
        "exponent": float(draw.one("exponent", [0.5, 0.25, 0, 1])),
        "reg": float(draw.one("reg", [0.1, 0.01, 1, 0])),
        "normalize_contrast": draw.chance(0.6),
    }
    draw.record |= parameters
    whitening = PatchWhitening(**parameters, ndim=ndim, input_shape=input_shape, n_jobs=draw.one("n_jobs", [None, 2]))
    found, dtype = whitening.fit(X).transform(X), computing_dtype(X)
    expect(found.dtype == dtype, f"dtype {found.dtype} instead of {dtype}")
    expect(np.isfinite(found).all(), "whitened: not finite")
    expect((whitening.set_params(n_jobs=1).transform(X) == found).all(), "the result depends on n_jobs")
    if parameters["reg"] >= 0.01:
        reference = PatchWhitening(**parameters, ndim=ndim).fit(exact.astype(float)).transform(exact.astype(float))
        size = np.abs(reference).max(axis=tuple(range(1, found.ndim)), keepdims=True)
        agree(found, reference, FACTOR * np.finfo(dtype).eps / parameters["reg"] * size, "whitened")


def draw_rows(draw):
    """Return rows of features as they are passed, and their exact values."""
    X = draw.array((draw.int(2, 30), draw.int(1, 20)))
    return draw.given(X, rows=True)


def draw_labels(draw, n):
    """Return labels of at least two classes, of any type."""
    labels = draw.rng.integers(0, draw.one("n_classes", [2, 3, 5]), n)
    labels[:2] = 0, 1
    kind = draw.one("labels", ["int", "str", "bool", "float", "object", "int8", "list"])
    labels = labels > 0 if kind == "bool" else labels
    return {
        "str": lambda: np.array([f"class {c}" for c in labels]),
        "float": lambda: labels.astype(float),
        "object": lambda: np.array([f"class {c}" for c in labels], dtype=object),
        "int8": lambda: labels.astype(np.int8) - 1,
        "list": labels.tolist,
    }.get(kind, lambda: labels)()


def draw_weights(draw, n):
    if draw.chance(0.6):
        return None
    weights = draw.rng.random(n) * 10 ** draw.rng.uniform(-3, 3)
    weights[2:] *= draw.rng.random(n - 2) < 0.8
    return weights


def draw_targets(draw, n):
    y = draw.values((n,) if draw.chance(0.6) else (n, draw.int(1, 3)))
    return y.astype(draw.one("y", ["f4", "f8", "f8"])) if np.abs(np.nan_to_num(y)).max() < 1e30 else y


def check_scores(model, X, exact, dtype):
    """Expect the scores that follow from the coefficients."""
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    expect(np.isfinite(coef).all() and np.isfinite(intercept).all(), "coefficients: not finite")
    predict = model.decision_function if hasattr(model, "classes_") else model.predict
    scores = np.asarray(predict(X)).reshape(len(exact), -1)
    S = exact @ coef.T.astype(np.longdouble) + intercept
    error = FACTOR * np.finfo(dtype).eps * (np.abs(exact) @ np.abs(coef.T) + np.abs(intercept))
    agree(scores, S, error + np.finfo(dtype).tiny, "scores")  # Smaller scores lose digits.


def check_linear_classifier(draw):
    X, exact = draw_rows(draw)
    y, weights = draw_labels(draw, len(exact)), draw_weights(draw, len(exact))
    C = [0.1, 10.0] if draw.chance(0.1) else float(10 ** draw.rng.uniform(-4, 4))
    loss = draw.one("loss", ["squared_hinge", "logistic", "squared_error"])
    draw.record |= {"C": C, "weights": weights is not None}
    model = LinearClassifier(loss, C=C, fit_intercept=draw.chance(0.7), max_iter=200, random_state=0)
    model.fit(X, y, sample_weight=weights)
    check_scores(model, X, exact, computing_dtype_of_features(X))
    expect(set(np.unique(model.predict(X))) <= set(np.unique(y)), "labels that were not given")
    coef = model.coef_
    model.set_params(n_jobs=2).fit(X, y, sample_weight=weights)
    expect((model.coef_ == coef).all(), "the result depends on n_jobs")
    if loss == "logistic":
        P = model.predict_proba(X)
        expect(np.isfinite(P).all() and np.abs(P.sum(axis=1) - 1).max() < 1e-5, "probabilities do not sum to 1")


def check_linear_regressor(draw):
    X, exact = draw_rows(draw)
    y, weights = draw_targets(draw, len(exact)), draw_weights(draw, len(exact))
    C = [0.1, 10.0] if draw.chance(0.1) else float(10 ** draw.rng.uniform(-4, 4))
    draw.record |= {"C": C, "weights": weights is not None}
    model = LinearRegressor(C=C, fit_intercept=draw.chance(0.7), max_iter=200, random_state=0)
    model.fit(X, y, sample_weight=weights)
    check_scores(model, X, exact, computing_dtype_of_features(X))


def computing_dtype_of_features(X):
    dtype = np.result_type(*X.dtypes) if isinstance(X, pd.DataFrame) else np.asarray(X).dtype
    return np.dtype("f8" if np.result_type(dtype, np.float32).itemsize > 4 else "f4")


def end_to_end(draw, estimator, y_of):
    ndim = draw.one("ndim", [1, 2, 2])
    X, exact, input_shape = draw.signals(ndim)
    if len(exact) < 3:
        X, exact = np.repeat(np.asarray(X), 3, axis=0), np.repeat(exact, 3, axis=0)
    y, weights = y_of(draw, len(exact)), draw_weights(draw, len(exact))
    network = draw.network(ndim, input_shape, ["exponential", "polynomial"])  # gradients take long to compile
    parameters = {
        "center": draw.chance(0.5),
        "scale": draw.chance(0.5),
        "alpha": float(10 ** draw.rng.uniform(-6, 0)),
        "max_iter": draw.int(0, 2),
        "batch_size": draw.int(1, 8),
        "learning_rate": float(10 ** draw.rng.uniform(-4, 0)),
        "augmentation": draw.one("augmentation", [None, None, "flip", "flip-crop"]),
        "symmetries": draw_symmetries(draw, exact.shape[1:-1]),
    }
    draw.record |= parameters
    model = estimator(network, **parameters, random_state=0)
    model.fit(X, y, sample_weight=weights)
    curve = np.array(model.loss_curve_)
    expect(np.isfinite(curve).all() and (np.diff(curve) <= 1e-6 * np.abs(curve[:-1])).all(), "loss curve rises")
    features = CKNFeatureMap(model.network_, symmetries=model.symmetries, center=model.center, scale=model.scale)
    features.network_, features.input_shape_ = model.network_, model.input_shape_
    features.output_shape_ = None
    dtype = computing_dtype(X)
    F, error = features_of(exact, [*model.network_], features, dtype)
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    expect(np.isfinite(coef).all() and np.isfinite(intercept).all(), "coefficients: not finite")
    predict = model.decision_function if hasattr(model, "classes_") else model.predict
    scores = np.asarray(predict(X)).reshape(len(exact), -1)
    S = F @ coef.T.astype(np.longdouble) + intercept
    error = (error + FACTOR * np.finfo(dtype).eps * np.abs(F)) @ np.abs(coef.T)
    error = error + FACTOR * np.finfo(dtype).eps * np.abs(intercept)
    agree(scores, S, error, "scores")
    check_list(draw, X, [*model.network_], predict, predict(X))


def check_classifier(draw):
    end_to_end(draw, CKNClassifier, draw_labels)


def check_regressor(draw):
    end_to_end(draw, CKNRegressor, draw_targets)


def check_chosen(draw):
    ndim = draw.one("ndim", [1, 2, 3])
    X, exact = draw.given(draw.array((draw.int(4, 8), *draw.shape(ndim)[1:])))
    y = draw_labels(draw, len(exact))
    model = AutoCKNClassifier("fast", ndim=ndim, random_state=0)
    predicted = model.fit(X, y).predict(X)
    expect(set(np.unique(predicted)) <= set(np.unique(y)), "labels that were not given")
    expect(np.isfinite(model.decision_function(X)).all(), "scores: not finite")


def check_deformation(draw):
    ndim = draw.one("ndim", [1, 2, 3])
    X, exact = draw.given(draw.array(draw.shape(ndim)))
    kind, size = draw.one("kind", ["warp", "translation", "rotation"]), float(draw.rng.uniform(0, 2))
    size = draw.one("size", [0, size, size])
    result = inspection.deformation(X, size, kind=kind, ndim=ndim, random_state=0)
    dtype = computing_dtype(X)
    expect(result.signals.dtype == dtype and result.signals.shape == exact.shape, "dtype or shape")
    expect(np.isfinite(result.signals).all(), "deformed signals: not finite")
    expect(np.isfinite(result.gradient_norm).all(), "gradient_norm: not finite")
    expect(np.allclose(result.displacement_norm, size), "displacement_norm is not the size")
    if size == 0:
        expect((result.signals == exact.astype(dtype)).all(), "size=0 changes the signals")


def check_reports(draw):
    """Check the reports of a fitted feature map, and the bound of a linear model on its features."""
    X, exact, feature_map = draw_feature_map(draw, [1, 2], ["exponential"])
    feature_map.fit(X)
    report = inspection.approximation_report(feature_map, X)
    for name in ("frobenius_error", "spectral_error", "effective_rank"):
        expect(np.isfinite(report[name]).all(), f"approximation_report: {name} is not finite")
    report = inspection.stability_report(feature_map, X, [0, 0.5], random_state=0)
    expect(np.isfinite(report.change).all() and (report.change[0] == 0).all(), "stability_report: change")
    y = np.arange(len(exact)) % 2
    if len(exact) > 1:
        model = make_pipeline(feature_map, LinearClassifier()).fit(X, y)
        bound, scores = inspection.lipschitz_bound(model, X, X[::-1]), model.decision_function(X)
        difference = np.abs(scores - scores[::-1])
        eps = np.finfo(computing_dtype(X)).eps
        size = np.abs(scores).max() + np.abs(model[-1].intercept_).max()
        expect(
            (difference <= bound[:, 0] * (1 + FACTOR * eps) + FACTOR * eps * size).all(), "lipschitz_bound: exceeded"
        )
        expect(np.isfinite(inspection.rkhs_norm(model)).all(), "rkhs_norm: not finite")


CHECKS = {
    "layer": check_layer,
    "feature_map": check_feature_map,
    "kernel": check_kernel,
    "flatten": check_flatten,
    "differences": check_differences,
    "gradient_map": check_gradient_map,
    "whitening": check_whitening,
    "linear_classifier": check_linear_classifier,
    "linear_regressor": check_linear_regressor,
    "classifier": check_classifier,
    "regressor": check_regressor,
    "chosen": check_chosen,
    "deformation": check_deformation,
    "reports": check_reports,
}


# ---- The judgement of a case


def global_state():
    blas = sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info())
    return np.random.get_state()[1].tobytes(), str(np.geterr()), blas


def stop(number, frame):
    raise TimeoutError(f"more than {COMPILING} seconds")


def judge(seed, names):
    """Judge a case, and judge it again if it was slow, because its code may have been compiled."""
    begin = time.perf_counter()
    result = judge_once(seed, names)
    if time.perf_counter() - begin < SECONDS:
        return result
    begin = time.perf_counter()
    name, outcome, message, record = judge_once(seed, names)
    seconds = time.perf_counter() - begin
    return (name, outcome, message, record) if seconds < SECONDS else (name, "violation", f"{seconds:.0f} s", record)


def judge_once(seed, names):
    """Return the function of a case, how it ended, a message, and what was drawn."""
    draw = Draw(seed)
    name = names[seed % len(names)]
    state, message, outcome = global_state(), "", "right"
    signal.alarm(COMPILING)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            CHECKS[name](draw)
        except Exception as error:
            outcome, message = judge_error(error)
        finally:
            signal.alarm(0)
    own = {str(w.message) for w in caught if w.category.__name__ in ("UserWarning", "ConvergenceWarning")}
    foreign = {f"{w.category.__name__}: {w.message}" for w in caught} - {f"UserWarning: {m}" for m in own}
    foreign -= {f"ConvergenceWarning: {m}" for m in own}
    if outcome != "violation" and foreign:
        outcome, message = "violation", min(foreign)
    elif outcome == "right" and own:
        outcome, message = "warned", min(own)
    elif re.search("wrong by|norms are not 1", message) and not foreign and any("lose digits" in each for each in own):
        reason = min(each for each in own if "lose digits" in each)
        outcome, message = "warned", f"the result is inexact, as the warning says: {reason}"
    try:
        draw.check_passed()
        expect(global_state() == state, "global state was changed")
    except Violation as error:
        outcome, message = "violation", str(error)
    return name, outcome, message, draw.record


def judge_error(error):
    """Return ``refused`` for errors that the package or scikit-learn raises itself, and ``violation`` otherwise."""
    if isinstance(error, Violation):
        return "violation", str(error)
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    own = "sklearn" in innermost  # the package or scikit-learn
    if own and isinstance(error, (ValueError, TypeError)):
        return "refused", str(error)
    return "violation", f"{type(error).__name__}: {error} ({Path(innermost).name})"


def shortened(message):
    """Return a message without its numbers, so that equal messages can be counted."""
    return shorten(re.sub(r"[-+]?\d[\d.,e+-]*", "#", message.split("\n")[0]), 110, placeholder="...")


def report(counts, messages):
    outcomes = "right", "warned", "refused", "violation"
    print(f"{'':<20}", *(f"{outcome:>10}" for outcome in outcomes))
    for name, found in counts.items():
        print(f"{name:<20}", *(f"{found[outcome]:>10}" for outcome in outcomes))
    for outcome in outcomes[1:]:
        print(f"\n{outcome}:")
        for message, names in sorted(messages[outcome].items(), key=lambda item: -sum(item[1].values())):
            print(f"{sum(names.values()):>7} {message}  [{', '.join(names)}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=100_000, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case")
    parser.add_argument("--seconds", type=float, default=np.inf, help="time limit for all cases together")
    parser.add_argument("--only", nargs="+", default=list(CHECKS), choices=CHECKS, help="functions")
    parser.add_argument("--case", type=int, help="seed of a single case; needs --only NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "random_inputs.json")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, stop)
    seeds = range(options.seed, options.seed + options.n) if options.case is None else [options.case]
    counts, messages, bad = {name: Counter() for name in options.only}, defaultdict(lambda: defaultdict(Counter)), []
    begin = time.perf_counter()
    for seed in seeds:
        name, outcome, message, record = judge(seed, options.only)
        counts[name][outcome] += 1
        if message:
            kind = f"{record['extreme']}: " if outcome == "violation" and record.get("extreme") else ""
            messages[outcome][kind + shortened(message)][name] += 1
        if outcome == "violation" or options.case is not None:
            bad.append({"seed": seed, "function": name, "message": message, **record})
            print(f"{outcome}: --case {seed} --only {name}: {message} {record}", flush=True)
        if time.perf_counter() - begin > options.seconds:
            break
    report(counts, messages)
    if options.case is None:
        result = {
            "machine": describe(),
            "only": options.only,
            "counts": counts,
            "messages": messages,
            "violations": bad,
        }
        options.output.write_text(json.dumps(result, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
