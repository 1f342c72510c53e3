"""Graphs of layers and patch whitening: the formulas of `_core.layer` and `_core.patch_whitening` as convolutions.

Unlike in these two modules, channels come first: maps have the shape ``(n, c, *space)``, and patches have the shape
``(n, c, k, *positions)``, where k is the number of positions in a patch.
"""

from math import prod

import numpy as np

from .._arrays.parameters import check_space
from .._core.layer import patches

CONVERGED = 1e-8  # distance from 1 below which an eigenvalue counts as converged
SMALLEST_REG = 1e-6  # smallest `reg` for which the iterations are as accurate as an eigendecomposition
ROOTS = {0.25: 2, 0.5: 1}  # number of successive square roots for each exponent


def encode(X, layer):  # (n, c, *space), a fitted CKNLayer -> (n, m, *pooled)
    """Apply a layer to maps, by the same steps as `definition.encode`."""
    settings = layer._settings
    check_space(settings, X.shape[2:])
    Z = np.moveaxis(layer.filters_, -1, 1)  # (m, c, *patch)
    products, r = products_and_norms(X, Z, settings)  # (n, m, *positions), (n, 1, *positions)
    T = np.clip(products / np.where(r > 0, r, 1), -1, 1)
    F = r * settings.kernel.kappa(T)
    Q = pool(F, settings.pooling_operators(X.shape[2:]))  # (n, m, *pooled)
    return multiply_channels(Q, layer.whitening_.T)


def products_and_norms(X, Z, settings):  # -> (n, m, *positions), (n, 1, *positions)
    """Return the products of patches and filters, and the norms of patches. Patches are extracted only if centred."""
    patch = settings.patch
    if patch.centering:
        P = center(extract(X, patch))
        P = P.reshape(-1, prod(P.shape[1:3]), *P.shape[3:])  # (n, d, *positions)
        return multiply_channels(P, Z.reshape(len(Z), -1)), np.linalg.norm(P, axis=1, keepdims=True)
    squares = convolve((X * X).sum(axis=1, keepdims=True), np.ones((1, 1, *patch.size)), patch)
    return convolve(X, Z, patch), np.sqrt(squares)


def convolve(X, W, patch, groups=1):  # (n, c, *space), (m, c / groups, *size), PatchGeometry -> (n, m, *positions)
    """Return the products of uncentred patches and filters."""
    positions = patch.positions(X.shape[2:])
    # If each signal has only one patch, the convolution is a matrix product.
    if groups == 1 and X.shape[2:] == W.shape[2:] and not np.any(patch.padding):
        return (X.reshape(len(X), -1) @ W.reshape(len(W), -1).T).reshape(-1, len(W), *positions)
    empty = np.empty((0, len(W), *positions), X.dtype)
    geometry = {"pads": [int(n) for n in np.transpose(patch.padding).ravel()], "dilations": list(patch.dilation)}
    return X.graph.node("Conv", [X, W.astype(X.dtype)], empty, group=groups, **geometry)


def multiply_channels(X, W):  # (n, c, *space), (m, c) -> (n, m, *space)
    """Multiply the channels by the matrix W at every position."""
    n_axes = len(X.shape) - 2
    return convolve(X, W.reshape(*W.shape, *[1] * n_axes), patches.PatchGeometry.of((1,) * n_axes, "valid"))


def one_by_one(c, size):  # -> (c * k, 1, *size)
    """Return the filters of a depthwise convolution, each of which selects one value of a patch."""
    return np.tile(np.eye(prod(size)), (c, 1)).reshape(-1, 1, *size)


def extract(X, patch):  # (n, c, *space), PatchGeometry -> (n, c, k, *positions)
    """Extract all patches, as `patches.extract` does, but without centring them."""
    c = X.shape[1]
    P = convolve(X, one_by_one(c, patch.size), patch, groups=c)
    return P.reshape(-1, c, prod(patch.size), *P.shape[2:])


def center(P):  # (n, c, k, ...)
    """Subtract from each patch its mean over positions, as `patches.center` does.

    The value at the first position is subtracted before the mean, so that constant patches become exactly 0.
    """
    centred = P - P[:, :, :1]
    return centred - centred.mean(axis=2, keepdims=True)


def pool(F, operators):  # (n, m, *positions) -> (n, m, *pooled)
    """Pool along every spatial axis, as `pooling.pool` does, but skip operators that are the identity."""
    m, positions = F.shape[1], F.shape[2:]
    for axis, operator in enumerate(matrix.toarray() for matrix in operators):
        (count, length), after = operator.shape, prod(positions[axis + 1 :])
        if count == length and (operator == np.eye(length)).all():
            continue
        F = operator @ F.reshape(-1, length, after) if after > 1 else F.reshape(-1, length) @ operator.T
    return F.reshape(-1, m, *(matrix.shape[0] for matrix in operators))


def whiten(X, whitening):  # (n, c, *space), a fitted PatchWhitening -> (n, c, *space)
    """Whiten the patches of images and reassemble the images, as `patch_whitening.whiten` does."""
    settings, c, space = whitening._settings, X.shape[1], X.shape[2:]
    size = settings.patch.size
    P = center(extract(normalize_contrast(X) if settings.normalize_contrast else X, settings.patch))
    positions = P.shape[3:]
    P = P.reshape(-1, c * prod(size), prod(positions))  # (n, d, number of positions)
    if whitening.whitening_ is not None:
        P = reordered(whitening.whitening_, c) @ P
    elif settings.exponent:  # If the exponent is 0, the matrix is the identity.
        P = negative_power(P, settings.exponent, settings.reg) @ P
    return put_together(P.reshape(-1, c * prod(size), *positions), (*space, c), settings.patch)


def reordered(W, c):  # (d, d) -> (d, d)
    """Convert a matrix for patches with channels last to a matrix for patches with channels first."""
    k = len(W) // c
    return W.reshape(k, c, k, c).transpose(1, 0, 3, 2).reshape(W.shape)


def normalize_contrast(X):  # (n, c, *space)
    """Normalise the contrast of every signal, as `patch_whitening.normalize_contrast` does."""
    d = prod(X.shape[1:])
    _, directions = patches.normalize(center(X.reshape(-1, 1, d)))
    return (directions * np.sqrt(d)).reshape(-1, *X.shape[1:])


def negative_power(P, exponent, reg):  # (n, d, k) -> (n, d, d)
    """Return the negative power of the second-moment matrices of patches, computed in double precision.

    Unlike the matrix that `patch_whitening.negative_power` returns, the result has non-zero eigenvalues in the
    directions that are orthogonal to all patches. These eigenvalues do not affect the product of the matrix and the
    patches. If all patches are 0, the matrix is arbitrary.
    """
    if exponent not in ROOTS or reg < SMALLEST_REG:
        raise ValueError(
            f"PatchWhitening with method='local' must have exponent=0, or an exponent of 0.25 or 0.5 and reg >= "
            f"{SMALLEST_REG}, because ONNX has no eigenvalue decomposition and the graph computes matrix square roots "
            f"iteratively; got exponent={exponent} and reg={reg}: change these parameters, or use method='global'."
        )
    (d, k), dtype, P = P.shape[1:], P.dtype, P.astype(np.float64)
    # The maximum changes nothing, but separates the transposition from the product: older versions of onnxruntime fuse
    # the two to an operator that they do not have in double precision.
    C, identity = P @ np.maximum(np.moveaxis(P, 1, 2), -np.inf) / k, np.eye(d)
    trace = (C * identity).sum(axis=(1, 2), keepdims=True)
    C = C + reg / d * trace * identity
    size = (1 + reg) * np.where(trace > 0, trace, 1)  # the trace of C, an upper bound on its eigenvalues
    C, smallest = C / size, reg / (d * (1 + reg))
    for _ in range(ROOTS[exponent]):
        C, inverse = square_roots(C, smallest)
        smallest = np.sqrt(smallest)
    return (inverse / size**exponent).astype(dtype)


def square_roots(A, smallest):  # (n, d, d) -> (n, d, d), (n, d, d)
    """Return ``A^(1/2)`` and ``A^(-1/2)`` for symmetric A with eigenvalues from ``smallest`` to 1.

    This is the coupled Newton-Schulz iteration (Higham, Functions of Matrices, 2008, equation 6.35). The
    eigenvalues of the product of the two iterates are initially the eigenvalues of A. Each step replaces every
    eigenvalue x by ``x (3 - x)^2 / 4``, so the eigenvalues converge to 1.
    """
    identity = np.eye(A.shape[1])
    inverse = (3 * identity - A) / 2  # the first step, for which the initial inverse is the identity
    root, x = A @ inverse, smallest * (3 - smallest) ** 2 / 4
    while 1 - x > CONVERGED:
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
        x = x * (3 - x) ** 2 / 4
    return root, inverse


def put_together(P, shape, patch):  # (n, d, *positions), (*space, c), PatchGeometry -> (n, c, *space)
    """Reassemble signals from their patches, as `patch_whitening.put_together` does."""
    *space, c = shape
    once = np.ones((1, *P.shape[2:], prod(patch.size)), np.float32)
    counts = patches.scatter(once, tuple(space), patch._replace(centering=False))[0, ..., 0]
    weights = one_by_one(c, patch.size).astype(P.dtype)
    sums = P.graph.node("ConvTranspose", [P, weights], np.empty((0, c, *space), P.dtype), group=c)
    return sums / counts
