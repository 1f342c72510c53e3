"""Linear pooling, axis by axis: a window of weights around some centres (gaussian: a low-pass filter).

The output at i is the sum over t of ``weights[t] * x(i * stride + offsets[t])``, where x is zero outside the map.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse


def gaussian(width):
    """Offsets ``|d| <= width``, weights ``exp(-(d / width)^2)`` divided by their sum."""
    reach = width if width > 1 else 0  # a width of one position does not smooth
    d = np.arange(-reach, reach + 1)
    weights = np.exp(-((d / width) ** 2))
    return d, weights / weights.sum()


def average(width):
    """Offsets from 0, equal weights: the mean of ``width`` positions."""
    return np.arange(width), np.full(width, 1 / width)


class Pooling(NamedTuple):
    window: Callable  # width -> offsets, weights
    is_full: bool  # a window must lie inside the map; else its centre must


POOLINGS = {"gaussian": Pooling(gaussian, is_full=False), "average": Pooling(average, is_full=True)}


def window(pooling, width, length):
    """Offsets and weights, without those that are beyond a map of this length from anywhere."""
    offsets, weights = POOLINGS[pooling].window(width)
    near = np.abs(offsets) < length
    return offsets[near], weights[near]


def n_positions(pooling, space, width, stride):
    """How many positions are left along each axis."""
    is_full = POOLINGS[pooling].is_full
    return tuple(len(range(0, n - w + 1 if is_full else n, s)) for n, w, s in zip(space, width, stride))


def operators(pooling, space, width, stride):
    """The sparse matrix ``(positions, length)`` of every axis."""
    return [_operator(pooling, *axis) for axis in zip(space, width, stride)]


def _operator(pooling, length, width, stride):
    (count,), (offsets, weights) = n_positions(pooling, [length], [width], [stride]), window(pooling, width, length)
    positions = stride * np.arange(count)[:, None] + offsets
    inside = (positions >= 0) & (positions < length)
    rows, values = np.nonzero(inside)[0], np.broadcast_to(weights, inside.shape)[inside]
    return sparse.csc_array((values, (rows, positions[inside])), shape=(count, length))


def pool(X, matrices, first_axis):
    """Apply ``matrices[a]`` along axis ``first_axis + a`` of X."""
    for axis, matrix in enumerate(matrices, first_axis):
        X = np.moveaxis(np.tensordot(matrix.toarray().astype(X.dtype), X, (1, axis)), 0, axis)
    return X


def pool_adjoint(Q, matrices, first_axis):
    """The adjoint of `pool`."""
    return pool(Q, [matrix.T for matrix in matrices], first_axis)


class Taps(NamedTuple):
    """Position u adds ``weights[t] * x(u)`` to ``outputs[t]`` for ``pointers[u] <= t < pointers[u + 1]``."""

    pointers: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=16)
def taps(pooling, space, width, stride, dtype):
    """The operators' Kronecker product by columns: which outputs every input position adds to, with what weight."""
    product = sparse.csc_array(np.ones((1, 1)))
    for matrix in operators(pooling, space, width, stride):
        product = sparse.kron(product, matrix, format="csc")
    return Taps(product.indptr.astype(np.int64), product.indices.astype(np.int64), product.data.astype(dtype))
