"""Layers and whitening as graphs: the steps of `_core.encode` and `_core.zca`, with convolutions for loops.

Maps have their channels first here, ``(n, c, *space)``, and patches are ``(n, c, k, *positions)``, k being the
positions of a patch.
"""

from math import prod

import numpy as np

from .._core import patches

NEGLIGIBLE = (patches.ROUNDING * np.finfo(np.float32).eps) ** 2  # part of a patch's squares, as in `patches.center`
CONVERGED = 1e-8  # distance of an eigenvalue from 1
SMALLEST_REG = 1e-6  # below it the iterations are less accurate than eigenvalues
ROOTS = {0.25: 2, 0.5: 1}  # exponent -> square roots to be taken


def encode(X, layer):  # (n, c, *space), a fitted CKNLayer -> (n, m, *pooled)
    """`_core.encode.encode`, line by line."""
    settings = layer._settings
    Z = np.moveaxis(layer.filters_, -1, 1)  # (m, c, *patch)
    products, r = products_and_norms(X, Z, settings)  # (n, m, *positions), (n, 1, *positions)
    T = np.clip(products / np.where(r > 0, r, 1), -1, 1)
    F = r * settings.kernel.kappa(T)
    Q = pool(F, settings.pooling_operators(X.shape[2:]))  # (n, m, *pooled)
    return multiply(Q, layer.whitening_.T)


def products_and_norms(X, Z, settings):  # -> (n, m, *positions), (n, 1, *positions)
    """Of the patches, which exist themselves only where they are centred."""
    size, widths = settings.patch_size, settings.padding_widths
    if settings.patch_centering:
        P = center(extract(X, size, widths))
        P = P.reshape(-1, prod(P.shape[1:3]), *P.shape[3:])  # (n, d, *positions)
        return multiply(P, Z.reshape(len(Z), -1)), np.linalg.norm(P, axis=1, keepdims=True)
    squares = convolve((X * X).sum(axis=1, keepdims=True), np.ones((1, 1, *size)), widths)
    return convolve(X, Z, widths), np.sqrt(squares)


def convolve(X, W, widths, groups=1):  # (n, c, *space), (m, c / groups, *size) -> (n, m, *positions)
    """Products of patches and filters; the maps get so many zeros before and after every axis."""
    positions = patches.n_positions(X.shape[2:], W.shape[2:], widths)
    if prod(positions) == groups == 1 and not np.any(widths):  # one patch of each signal: one product of all
        return (X.reshape(len(X), -1) @ W.reshape(len(W), -1).T).reshape(-1, len(W), *positions)
    empty, pads = np.empty((0, len(W), *positions), X.dtype), [int(width) for width in np.transpose(widths).ravel()]
    return X.graph.node("Conv", [X, W.astype(X.dtype)], empty, pads=pads, group=groups)


def multiply(X, W):  # (n, c, *space), (m, c) -> (n, m, *space)
    """The product at every position."""
    n_axes = len(X.shape) - 2
    return convolve(X, W.reshape(*W.shape, *[1] * n_axes), [(0, 0)] * n_axes)


def one_by_one(c, size):  # -> (c * k, 1, *size)
    """Filters, each of which sees one value of a patch."""
    return np.tile(np.eye(prod(size)), (c, 1)).reshape(-1, 1, *size)


def extract(X, size, widths):  # (n, c, *space) -> (n, c, k, *positions)
    """`patches.extract`."""
    c = X.shape[1]
    P = convolve(X, one_by_one(c, size), widths, groups=c)
    return P.reshape(-1, c, prod(size), *P.shape[2:])


def center(P):  # (n, c, k, ...)
    """`patches.center`: means are taken over k, and of differences, so that constant patches are 0."""
    centred = P - P[:, :, :1]
    centred = centred - centred.mean(axis=2, keepdims=True)
    before, after = ((A * A).sum(axis=(1, 2), keepdims=True) for A in (P, centred))
    return np.where(after > NEGLIGIBLE * before, centred, 0)


def pool(F, operators):  # (n, m, *positions) -> (n, m, *pooled)
    """`pooling.pool`; operators that do nothing are left out."""
    m, positions = F.shape[1], F.shape[2:]
    for axis, operator in enumerate(matrix.toarray() for matrix in operators):
        (count, length), after = operator.shape, prod(positions[axis + 1 :])
        if count == length and (operator == np.eye(length)).all():
            continue
        F = operator @ F.reshape(-1, length, after) if after > 1 else F.reshape(-1, length) @ operator.T
    return F.reshape(-1, m, *(matrix.shape[0] for matrix in operators))


def whiten(X, whitening):  # (n, c, *space), a fitted PatchWhitening -> (n, c, *space)
    """`zca.whiten`."""
    size, has_normal_contrast, *power = whitening._settings
    c, space = X.shape[1], X.shape[2:]
    if has_normal_contrast:
        X = normalize_contrast(X)
    P = center(extract(X, size, patches.padding_widths(size, "valid")))
    positions = P.shape[3:]
    P = P.reshape(-1, c * prod(size), prod(positions))  # (n, d, number of positions)
    if whitening.whitening_ is not None:
        P = reordered(whitening.whitening_, c) @ P
    elif power[0]:  # to the power of 0 it is the identity
        P = negative_power(P, *power) @ P
    return put_together(P.reshape(-1, c * prod(size), *positions), (*space, c), size)


def reordered(W, c):  # (d, d) -> (d, d)
    """A matrix of patches whose channels are first, from one of patches whose channels are last."""
    k = len(W) // c
    return W.reshape(k, c, k, c).transpose(1, 0, 3, 2).reshape(W.shape)


def normalize_contrast(X):  # (n, c, *space)
    """`zca.normalize_contrast`."""
    d = prod(X.shape[1:])
    _, directions = patches.normalize(center(X.reshape(-1, 1, d)))
    return (directions * np.sqrt(d)).reshape(-1, *X.shape[1:])


def negative_power(P, exponent, reg):  # (n, d, k) -> (n, d, d)
    """`zca.negative_power` of the second moments of patches, in double precision; where all are 0, any matrix.

    Directions that the patches lack have other eigenvalues than there, which nothing is multiplied with.
    """
    if exponent not in ROOTS or reg < SMALLEST_REG:
        raise ValueError(
            f"PatchWhitening with method='local' must have exponent 0, or 0.25 or 0.5 and reg >= {SMALLEST_REG}, as a "
            f"graph has no eigenvalues, but takes square roots by iterations; got exponent={exponent} and reg={reg}: "
            f"change them, or use method='global'."
        )
    (d, k), dtype, P = P.shape[1:], P.dtype, P.astype(np.float64)
    C, identity = np.einsum("nik,njk->nij", P, P) / k, np.eye(d)
    trace = (C * identity).sum(axis=(1, 2), keepdims=True)
    C = C + reg / d * trace * identity
    size = (1 + reg) * np.where(trace > 0, trace, 1)  # the trace of C, not smaller than its largest eigenvalue
    C, smallest = C / size, reg / (d * (1 + reg))
    for _ in range(ROOTS[exponent]):
        C, inverse = square_roots(C, smallest)
        smallest = np.sqrt(smallest)
    return (inverse / size**exponent).astype(dtype)


def square_roots(A, smallest):  # (n, d, d) -> (n, d, d), (n, d, d)
    """``A^(1/2)`` and ``A^(-1/2)``, for eigenvalues from ``smallest`` to 1.

    It is the coupled Newton-Schulz iteration (Higham, Functions of Matrices, 2008, equation 6.35). The eigenvalues x of
    the product of both, first those of A, become ``x (3 - x)^2 / 4`` and go to 1.
    """
    identity = np.eye(A.shape[1])
    inverse = (3 * identity - A) / 2  # the first step begins with the identity
    root, x = A @ inverse, smallest * (3 - smallest) ** 2 / 4
    while 1 - x > CONVERGED:
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
        x = x * (3 - x) ** 2 / 4
    return root, inverse


def put_together(P, shape, size):  # (n, d, *positions), (*space, c) -> (n, c, *space)
    """`zca.put_together`."""
    *space, c = shape
    once = np.ones((1, *P.shape[2:], prod(size)), np.float32)
    counts = patches.scatter(once, tuple(space), size, patches.padding_widths(size, "valid"))[0, ..., 0]
    weights = one_by_one(c, size).astype(P.dtype)
    sums = P.graph.node("ConvTranspose", [P, weights], np.empty((0, c, *space), P.dtype), group=c)
    return sums / counts
