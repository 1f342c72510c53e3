"""Whitening of images by their patches: ``x' = E^T W M E x / E^T 1``, E taking patches and M their means from them.

W is a negative power of the second moments of ``M E x``, from the positions of one image or of many. A patch stays
where it was (zero-phase components, ZCA), and where patches overlap their mean is taken.
"""

from functools import reduce

import numpy as np

from . import patches

NUMBERS = 2**20  # at most in the patches that are taken together: they stay in the cache
NEGLIGIBLE = 1e-12  # of the largest eigenvalue: what rounding leaves of patches in single precision, squared


def normalize_contrast(X):  # (n, *space, c) -> (n, *space, c)
    """Signals less their mean, divided by their standard deviation; a constant one becomes 0."""
    _, directions = patches.normalize(patches.center(X.reshape(len(X), -1), 1))
    return (directions * np.sqrt(X.dtype.type(directions.shape[1]))).reshape(X.shape)


def centred_patches(X, size):  # (n, *space, c) -> (n, k, d)
    """All that lie inside, less their means over positions, channel by channel."""
    P = patches.center(patches.extract(X, size, patches.padding_widths(size, "valid")), X.shape[-1])
    return P.reshape(len(X), -1, P.shape[-1])


def second_moments(P):  # (n, k, d) -> (n, d, d)
    """``sum over patches of z z^T / k`` for every signal, in double precision."""
    P = P.astype(np.float64)
    return P.transpose(0, 2, 1) @ P / P.shape[1]


def negative_power(C, exponent, reg, dtype):  # (..., d, d)
    """``(C + reg trace(C) / d I)^(-exponent)`` on the directions that C has in this dtype, 0 on the others."""
    eigenvalues, U = np.linalg.eigh(C)
    largest, mean = eigenvalues[..., -1:], np.trace(C, axis1=-2, axis2=-1)[..., None] / C.shape[-1]
    kept = eigenvalues > np.maximum(NEGLIGIBLE * largest, np.finfo(dtype).tiny)
    powers = np.where(kept, np.where(kept, eigenvalues + reg * mean, 1) ** -exponent, 0)
    return (U * powers[..., None, :]) @ np.swapaxes(U, -1, -2)


def put_together(P, shape, size):  # (n, k, d), (*space, c) -> (n, *space, c)
    """Signals of which these are the patches, or the means of them where they overlap."""
    space, inside = shape[:-1], patches.padding_widths(size, "valid")
    positions = patches.n_positions(space, size, inside)
    sums = patches.scatter(P.reshape(len(P), *positions, -1), space, size, inside)
    counts = [np.convolve(np.ones(n, P.dtype), np.ones(k, P.dtype)) for n, k in zip(positions, size)]
    return sums / reduce(np.multiply.outer, counts)[..., None]


def whiten(X, size, whitening):  # (n, *space, c), callable -> (n, *space, c)
    """Images from the products of their patches and ``whitening(P)``, which is ``(d, d)`` or one for each image."""
    P = centred_patches(X, size)
    return put_together(P @ whitening(P).astype(P.dtype), X.shape[1:], size)


def block_size(shape, size):  # (*space, c), -> signals
    """Few enough for their patches to stay in the cache."""
    d = shape[-1] * np.prod(size)
    return int(max(1, NUMBERS // (np.prod(shape[:-1]) * d)))
