"""Linear pooling, axis by axis: a window of weights moves over the map with a stride.

Along one axis, with stride s, the output at i is the sum over t of ``weights[t] * x(i s + offsets[t])``, where x is
zero outside the map. To add a kind of pooling, write a function that returns its offsets and weights, and add an
entry to `WINDOWS`.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod, sqrt
from typing import NamedTuple

import numpy as np
from scipy import sparse


def gaussian(width):
    """Return the offsets ``|d| <= width`` and the weights ``exp(-(d / width)^2)`` divided by their sum."""
    reach = width if width > 1 else 0  # A width of one position means no smoothing.
    d = np.arange(-reach, reach + 1)
    weights = np.exp(-((d / width) ** 2))
    return d, weights / weights.sum()


def average(width):
    """Return the offsets from 0 to ``width - 1`` and equal weights that sum to 1."""
    return np.arange(width), np.full(width, 1 / width)


class Window(NamedTuple):
    """The weights of a kind of pooling, and whether its windows must lie entirely inside the map."""

    weights: Callable  # width -> offsets, weights
    is_full: bool  # whether the whole window must lie inside the map, rather than only its centre


WINDOWS = {
    "gaussian": Window(gaussian, is_full=False),
    "average": Window(average, is_full=True),
}


class Taps(NamedTuple):
    """The columns of a pooling operator: position u adds ``weights[t] * x(u)`` to output ``outputs[t]``.

    The index t runs from ``pointers[u]`` to ``pointers[u + 1] - 1``.
    """

    pointers: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray


class Pooling(NamedTuple):
    """A window, and its width and stride along each axis, in positions."""

    window: str  # a name in `WINDOWS`
    width: tuple
    stride: tuple

    def along(self, axes):
        """Return the pooling along only the axes in the slice ``axes``."""
        return self._replace(width=self.width[axes], stride=self.stride[axes])

    def positions(self, space):
        """Return the number of positions of the pooled map along each axis."""
        is_full = WINDOWS[self.window].is_full
        sizes = zip(space, self.width, self.stride)
        return tuple(len(range(0, n - w + 1 if is_full else n, s)) for n, w, s in sizes)

    def weights(self, axis, length):
        """Return the offsets along one axis whose absolute values are below ``length``, and their weights."""
        offsets, weights = WINDOWS[self.window].weights(self.width[axis])
        near = np.abs(offsets) < length
        return offsets[near], weights[near]

    def operators(self, space):
        """Return one sparse matrix of shape ``(positions, length)`` for each axis."""
        return [self._operator(axis, *sizes) for axis, sizes in enumerate(zip(space, self.positions(space)))]

    def norm(self, space):
        """Return the operator norm of the pooling of a map, which is the product of the norms along its axes."""
        return prod(_norm(matrix) for matrix in self.operators(space))

    def _operator(self, axis, length, count):
        offsets, weights = self.weights(axis, length)
        positions = self.stride[axis] * np.arange(count)[:, None] + offsets
        inside = (positions >= 0) & (positions < length)
        rows, values = np.nonzero(inside)[0], np.broadcast_to(weights, inside.shape)[inside]
        return sparse.csc_array((values, (rows, positions[inside])), shape=(count, length))


def _norm(matrix, n_iter=100):
    """Return a close upper bound of the largest singular value of a non-negative sparse matrix A without zero rows.

    For every positive vector v, the largest eigenvalue of ``G = A A^T`` is at most ``max_i (G v)_i / v_i`` (Collatz and
    Wielandt). Power iteration makes the bound tight.
    """
    v = np.ones(matrix.shape[0])
    for _ in range(n_iter):
        previous, v = v, matrix @ (matrix.T @ v)
        largest = (v / previous).max()
        v /= largest
    return sqrt(largest)


@lru_cache(maxsize=16)
def taps(pooling, space, dtype):
    """Return the columns of the operators' Kronecker product: the outputs and weights of each position."""
    product = sparse.csc_array(np.ones((1, 1)))
    for matrix in pooling.operators(space):
        product = sparse.kron(product, matrix, format="csc")
    return Taps(product.indptr.astype(np.int64), product.indices.astype(np.int64), product.data.astype(dtype))


def pool(X, matrices, first_axis):
    """Apply ``matrices[a]`` along axis ``first_axis + a`` of X."""
    for axis, matrix in enumerate(matrices, first_axis):
        X = np.moveaxis(np.tensordot(matrix.toarray().astype(X.dtype), X, (1, axis)), 0, axis)
    return X


def pool_adjoint(Q, matrices, first_axis):
    """Apply the adjoint of `pool`."""
    return pool(Q, [matrix.T for matrix in matrices], first_axis)
