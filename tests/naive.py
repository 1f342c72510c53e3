"""The definitions in explicit loops, for small signals. They import nothing from the package."""

import math
from functools import reduce
from itertools import product

import numpy as np

KAPPA = {
    "exponential": lambda u, p: math.exp((u - 1) / p["sigma"] ** 2),
    "polynomial": lambda u, p: ((p["coef0"] + u) / (p["coef0"] + 1)) ** p["degree"],
    "inverse_polynomial": lambda u, p: 1 / (2 - u),
    "arccos0": lambda u, p: 1 - math.acos(u) / math.pi,
    "arccos1": lambda u, p: (math.sin(math.acos(u)) + (math.pi - math.acos(u)) * u) / math.pi,
    "vovk": lambda u, p: (1 + u + u**2) / 3,
    "linear": lambda u, p: u,
}

SLOPE = {  # the derivatives of the functions in KAPPA
    "exponential": lambda u, p: math.exp((u - 1) / p["sigma"] ** 2) / p["sigma"] ** 2,
    "polynomial": lambda u, p: p["degree"] * (p["coef0"] + u) ** (p["degree"] - 1) / (p["coef0"] + 1) ** p["degree"],
    "inverse_polynomial": lambda u, p: 1 / (2 - u) ** 2,
    "arccos0": lambda u, p: math.nan,  # infinite at 1, so the tangent kernel does not exist
    "arccos1": lambda u, p: 1 - math.acos(u) / math.pi,
    "vovk": lambda u, p: (1 + 2 * u) / 3,
    "linear": lambda u, p: 1.0,
}


def logistic_loss(s, y):
    """Return minus the log-probability of the class with y = 1. A single score belongs to the second of two classes."""
    if len(s) == 1:
        s, y = [0, *s], [-y[0], *y]
    return math.log(sum(math.exp(a) for a in s)) - next(a for a, b in zip(s, y) if b > 0)


LOSSES = {  # loss of one sample, from its scores and its targets
    "squared_hinge": lambda s, y: sum(max(0, 1 - a * b) ** 2 for a, b in zip(s, y)),
    "squared_error": lambda s, y: sum((a - b) ** 2 for a, b in zip(s, y)),
    "logistic": logistic_loss,
}


def patches(x, size, padding="same", centering=False, dilation=None):
    """Return the patches (*positions, d) of a signal (*space, c), one patch at a time."""
    *space, c = x.shape
    dilation = dilation or (1,) * len(size)
    before, positions = patch_positions(space, size, padding, dilation)
    out = np.zeros((*positions, math.prod(size), c))
    for u in np.ndindex(*positions):
        for j, v in enumerate(np.ndindex(*size)):
            at = tuple(a + step * b - first for a, b, step, first in zip(u, v, dilation, before))
            if all(0 <= a < n for a, n in zip(at, space)):
                out[(*u, j)] = x[at]
        if centering:
            out[u] -= sum(out[(*u, j)] for j in range(out.shape[-2])) / out.shape[-2]
    return out.reshape(*positions, -1)


def patch_positions(space, size, padding, dilation):
    """Return the number of zeros before the map and the number of patches, along each axis."""
    if padding == "same":
        return [d * ((k - 1) // 2) for k, d in zip(size, dilation)], list(space)
    return [0] * len(size), [n - d * (k - 1) for n, k, d in zip(space, size, dilation)]


def pooling_weight(kind, centre, position, width):
    """Return the weight of a position for the pooled position at ``centre``, a multiple of the stride, on one axis."""
    if kind == "average":
        return 1 / width if centre <= position < centre + width else 0
    if width == 1:
        return float(position == centre)
    total = sum(math.exp(-((d / width) ** 2)) for d in range(-width, width + 1))
    d = position - centre
    return math.exp(-((d / width) ** 2)) / total if abs(d) <= width else 0


PROFILE = {  # weights of a window, as a function of the distance from its centre divided by its width
    "gaussian": lambda d: math.exp(-(d**2)),
}


def cell_weight(kind, i, position, length, count):
    """Return the weight of a position for cell i of an axis that is divided evenly into ``count`` cells."""
    low, high = i * length / count, (i + 1) * length / count
    if kind == "average" or length <= count:
        return max(0, min(high, position + 1) - max(low, position)) / (high - low)

    def weight(u):
        d = (u - (low + high - 1) / 2) / (high - low)
        return PROFILE[kind](d) if abs(d) <= 1 + 1e-12 else 0

    return weight(position) / sum(weight(u) for u in range(length))


def pooling_axis(kind, length, width, stride, count=None):
    """Return the pooling along one axis (pooled, length), one weight at a time."""
    if count is not None:
        return np.array([[cell_weight(kind, i, u, length, count) for u in range(length)] for i in range(count)])
    centres = [i for i in range(0, length, stride) if kind != "average" or i + width <= length]
    weights = [[pooling_weight(kind, i, u, width) for u in range(length)] for i in centres]
    return np.array(weights).reshape(len(centres), length)


def pool(F, kind, width, stride, count=None):
    """Return the pooled map (*pooled, m) of a map (*positions, m)."""
    *positions, m = F.shape
    axes = [pooling_axis(kind, *sizes) for sizes in zip(positions, width, stride, count or [None] * len(width))]
    out = np.zeros((*(len(axis) for axis in axes), m))
    for i, u in product(np.ndindex(*out.shape[:-1]), np.ndindex(*positions)):
        out[i] += math.prod(axis[a, b] for axis, a, b in zip(axes, i, u)) * F[u]
    return out


def dot_product_kernel(z, zz, kernel, parameters):
    """Return |z| |z'| kappa(cos), which is 0 if either vector is 0."""
    norms = math.sqrt(sum(a * a for a in z)) * math.sqrt(sum(a * a for a in zz))
    if norms == 0:
        return 0.0
    u = sum(a * b for a, b in zip(z, zz)) / norms
    return norms * KAPPA[kernel](min(max(u, -1.0), 1.0), parameters)


def layer(
    x, Z, A, size, kernel, parameters, width, stride, padding="same", pooling="gaussian", centering=False,
    dilation=None, count=None,
):  # fmt: skip
    """Return the map of one signal (*space, c) after a layer with filters (m, d) and whitening (m, m)."""
    P = patches(x, size, padding, centering, dilation)
    F = np.zeros((*P.shape[:-1], len(Z)))
    for u in np.ndindex(*P.shape[:-1]):
        F[u] = [dot_product_kernel(P[u], z, kernel, parameters) for z in Z]
    return pool(F, pooling, width, stride, count) @ A


def patch_products(K, size, padding, centering, dilation):
    """Return inner products of patches (*positions, *positions) from inner products of positions (*space, *space)."""
    ndim = len(size)
    (before, positions), (_, others) = (
        patch_positions(space, size, padding, dilation) for space in (K.shape[:ndim], K.shape[ndim:])
    )
    box = list(np.ndindex(*size))

    def value(u, v, other, w):
        at = [a + d * b - first for a, b, d, first in zip((*u, *other), (*v, *w), 2 * dilation, 2 * before)]
        return K[tuple(at)] if all(0 <= a < n for a, n in zip(at, K.shape)) else 0.0

    out = np.zeros((*positions, *others))
    for index in np.ndindex(*out.shape):
        u, other = index[:ndim], index[ndim:]
        out[index] = sum(value(u, v, other, v) for v in box)
        if centering:
            out[index] -= sum(value(u, v, other, w) for v in box for w in box) / len(box)
    return out


def exact_kernels(x, y, layers):
    """Return the exact kernel and the tangent kernel of two signals (*space, c), given a dict of settings per layer."""
    kernels = [np.tensordot(a, b, (-1, -1)) for a, b in ((x, y), (x, x), (y, y))]
    tangent = kernels[0]
    for layer in layers:
        geometry = layer["size"], layer.get("padding", "same"), layer.get("centering", False)
        geometry = *geometry, layer.get("dilation", (1,) * len(layer["size"]))
        P, xx, yy = (patch_products(K, *geometry) for K in kernels)
        T = P if tangent is kernels[0] else patch_products(tangent, *geometry)
        mapped, slopes = zip(*(map_products(*three, layer) for three in ((P, xx, yy), [xx] * 3, [yy] * 3)))
        kernels = [pool_products(F, layer) for F in mapped]
        tangent = kernels[0] + pool_products(slopes[0] * T, layer)
    return [np.trace(K.reshape(math.isqrt(K.size), -1)) for K in (kernels[0], tangent)]


def map_products(P, xx, yy, layer):
    """Return ``r r' kappa(c)`` and ``kappa'(c)`` for every pair of patches. Both are 0 if a patch is 0."""
    F, slopes, ndim = np.zeros(P.shape), np.zeros(P.shape), len(layer["size"])
    for index in np.ndindex(*P.shape):
        u, v = index[:ndim], index[ndim:]
        squares = max(xx[u + u], 0) * max(yy[v + v], 0)
        if squares > 0:  # The root of the product of equal factors is exact.
            cosine = min(max(P[index] / math.sqrt(squares), -1.0), 1.0)
            F[index] = math.sqrt(squares) * KAPPA[layer["kernel"]](cosine, layer["parameters"])
            slopes[index] = SLOPE[layer["kernel"]](cosine, layer["parameters"])
    return F, slopes


def pool_products(F, layer):
    """Return products of positions after pooling, (*pooled, *pooled), from products before it."""
    ndim = len(layer["size"])
    kind, sizes = (
        layer.get("pooling", "gaussian"),
        (layer["width"], layer["stride"], layer.get("count") or [None] * ndim),
    )
    axes = [[pooling_axis(kind, *n) for n in zip(space, *sizes)] for space in (F.shape[:ndim], F.shape[ndim:])]
    W, V = (reduce(np.kron, matrices) for matrices in axes)
    return (W @ F.reshape(W.shape[1], -1) @ V.T).reshape([len(matrix) for matrix in (*axes[0], *axes[1])])


def gradient(x, u, channel):
    """Return the derivatives of an image (height, width, c) at position u: central differences, one-sided at an end."""
    derivatives = []
    for axis, length in enumerate(x.shape[:2]):
        before, after = list(u), list(u)
        before[axis], after[axis] = max(u[axis] - 1, 0), min(u[axis] + 1, length - 1)
        difference = x[(*after, channel)] - x[(*before, channel)]
        derivatives.append(difference / (after[axis] - before[axis]))
    return derivatives


def gradient_map(x, n):
    """Return the gradient map (height, width, c * n) of an image (height, width, c), one channel at a time."""
    step = 2 * math.pi / n
    squared_sigma = (1 - math.cos(step)) ** 2 + math.sin(step) ** 2
    out = np.zeros((*x.shape, n))
    for *u, channel in np.ndindex(*x.shape):
        g = gradient(x, u, channel)
        size = math.hypot(*g)
        for j in range(n if size > 0 else 0):
            w = math.cos(j * step), math.sin(j * step)
            distance = sum((a - b / size) ** 2 for a, b in zip(w, g))
            out[(*u, channel, j)] = size * math.exp(-distance / squared_sigma)
    return out.reshape(*x.shape[:2], -1)


def ridge(F, y, s):
    """Return the coefficients and the intercept that minimise ``sum_i s_i (F_i w + b - y_i)^2 + |w|^2``."""
    n, d = F.shape
    rows = np.vstack([np.sqrt(s)[:, None] * np.hstack([F, np.ones((n, 1))]), np.eye(d, d + 1)])
    values = np.concatenate([np.sqrt(s) * y, np.zeros(d)])
    *w, b = np.linalg.lstsq(rows, values, rcond=None)[0]
    return np.array(w), b


def cross_validated_residuals(features, Y, v, s, folds):
    """Return targets minus predictions of models fitted without the signal's fold, from one array per kernel."""
    F, R = np.hstack([math.sqrt(weight) * each for weight, each in zip(v, features)]), np.empty_like(Y)
    for fold in folds:
        seen = np.setdiff1d(np.arange(len(Y)), fold)
        for j in range(Y.shape[1]):
            w, b = ridge(F[seen], Y[seen, j], s[seen])
            R[fold, j] = Y[fold, j] - F[fold] @ w - b
    return R
