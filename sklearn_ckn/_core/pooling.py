"""Linear pooling, axis by axis: a window of weights around some centres (gaussian: a low-pass filter).

A pooling gives, for an axis, ``centres``, ``offsets`` and ``weights``: its output at i is the sum over t of
``weights[t] * x(centres[i] + offsets[t])``, where x is zero outside the map.
"""

from functools import lru_cache

import numpy as np
from scipy import sparse


def gaussian(length, width, stride):
    """Weights ``exp(-(d / width)^2)``, ``|d| <= width``, divided by their sum, around 0, stride, 2 stride, ..."""
    reach = width if width > 1 else 0  # a width of one position does not smooth
    d = np.arange(-reach, reach + 1)
    weights = np.exp(-((d / width) ** 2))
    return np.arange(0, length, stride), d, weights / weights.sum()


def average(length, width, stride):
    """The mean of ``width`` positions from 0, stride, 2 stride, ... on; full windows only."""
    return np.arange(0, length - width + 1, stride), np.arange(width), np.full(width, 1 / width)


POOLINGS = {"gaussian": gaussian, "average": average}


def n_positions(pooling, space, width, stride):
    """How many positions are left along each axis."""
    return tuple(len(POOLINGS[pooling](*axis)[0]) for axis in zip(space, width, stride))


def operator(pooling, length, width, stride):
    """The sparse matrix ``(centres, length)`` of one axis."""
    centres, offsets, weights = POOLINGS[pooling](length, width, stride)
    near = np.abs(offsets) < length
    positions = centres[:, None] + offsets[near]
    inside = (positions >= 0) & (positions < length)
    rows, values = np.nonzero(inside)[0], np.broadcast_to(weights[near], inside.shape)[inside]
    return sparse.csc_array((values, (rows, positions[inside])), shape=(len(centres), length))


def operators(pooling, space, width, stride):
    """The matrix of every axis."""
    return [operator(pooling, *axis) for axis in zip(space, width, stride)]


def pool(X, matrices, first_axis):
    """Apply ``matrices[a]`` along axis ``first_axis + a`` of X."""
    for axis, matrix in enumerate(matrices, first_axis):
        X = np.moveaxis(np.tensordot(matrix.toarray().astype(X.dtype), X, (1, axis)), 0, axis)
    return X


@lru_cache(maxsize=16)
def taps(pooling, space, width, stride, dtype):
    """The operators' Kronecker product by columns: which outputs every input position adds to, with what weight.

    Returns
    -------
    pointers, outputs, weights : ndarrays
        Position u adds ``weights[t] * x(u)`` to ``outputs[t]`` for ``pointers[u] <= t < pointers[u + 1]``.
    """
    product = sparse.csc_array(np.ones((1, 1)))
    for matrix in operators(pooling, space, width, stride):
        product = sparse.kron(product, matrix, format="csc")
    return product.indptr, product.indices, product.data.astype(dtype)
