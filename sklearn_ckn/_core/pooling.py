"""Linear pooling: one small matrix per space axis, applied axis by axis (gaussian weights: a low-pass filter)."""

from functools import lru_cache

import numpy as np
from scipy import sparse


def gaussian(length, width, stride):
    """Weights ``exp(-(d / width)^2)``, ``|d| <= width``, around the centres 0, stride, 2 stride, ...

    They are divided by their full sum; outside the map there are zeros.
    """
    d = np.arange(length) - np.arange(0, length, stride)[:, None]  # (centres, length)
    reach = width if width > 1 else 0  # a width of one position does not smooth
    full = np.exp(-((np.arange(-reach, reach + 1) / width) ** 2)).sum()
    return np.where(np.abs(d) <= reach, np.exp(-((d / width) ** 2)), 0) / full


def average(length, width, stride):
    """The mean of ``width`` positions from 0, stride, 2 stride, ... on; full windows only."""
    d = np.arange(length) - np.arange(0, length - width + 1, stride)[:, None]
    return ((d >= 0) & (d < width)) / width


POOLINGS = {"gaussian": gaussian, "average": average}


def n_positions(pooling, space, width, stride):
    """How many positions are left along each axis."""
    reach = 1 if pooling == "gaussian" else 0
    return tuple(max(-(-(n - (0 if reach else w - 1)) // s), 0) for n, w, s in zip(space, width, stride))


def operators(pooling, space, width, stride):
    """The matrix ``(positions, length)`` of every axis."""
    return [POOLINGS[pooling](n, w, s) for n, w, s in zip(space, width, stride)]


def pool(X, matrices, first_axis):
    """Apply ``matrices[a]`` along axis ``first_axis + a`` of X."""
    for axis, matrix in enumerate(matrices, first_axis):
        X = np.moveaxis(np.tensordot(matrix.astype(X.dtype), X, (1, axis)), 0, axis)
    return X


@lru_cache(maxsize=64)
def taps(pooling, space, width, stride, dtype):
    """The operators' Kronecker product by columns: which outputs every input position adds to, with what weight.

    Returns
    -------
    pointers, outputs, weights : ndarrays
        Position u adds ``weights[t] * x(u)`` to ``outputs[t]`` for ``pointers[u] <= t < pointers[u + 1]``.
    """
    product = sparse.csc_array(np.ones((1, 1)))
    for matrix in operators(pooling, space, width, stride):
        product = sparse.csc_array(sparse.kron(product, sparse.csc_array(matrix)))
    return product.indptr, product.indices, product.data.astype(dtype)
