"""Linear pooling, axis by axis: weighted sums of the values in windows of a map.

Along one axis, output i is the sum over t of ``weights[i, t] * x(starts[i] + t)``, where x is zero outside the map.
There are two ways to place the windows: a window of a given width moves over the map with a stride (`Sliding`), or the
map is divided evenly into a given number of cells, with one window for each cell (`Fixed`). To add a kind of window,
write one function for each of the two ways, and add an entry to `WINDOWS`.
"""

from collections.abc import Callable
from functools import lru_cache, partial, reduce
from math import prod, sqrt
from typing import NamedTuple

import numpy as np
from scipy import sparse


class Windows(NamedTuple):
    """The windows along one axis, in the order of their starts."""

    starts: np.ndarray  # (count,) first position of each window, which may lie outside the map
    weights: np.ndarray  # (count, size)


# Windows of a given width: the offsets of their positions and their weights


def gaussian(width):
    """Return the offsets ``|d| <= width`` and the weights ``exp(-(d / width)^2)`` divided by their sum."""
    reach = width if width > 1 else 0  # A width of one position means no smoothing.
    d = np.arange(-reach, reach + 1)
    weights = np.exp(-((d / width) ** 2))
    return d, weights / weights.sum()


def average(width):
    """Return the offsets from 0 to ``width - 1`` and equal weights that sum to 1."""
    return np.arange(width), np.full(width, 1 / width)


# A given number of windows: positions u are compared with the edges i * length / count and (i + 1) * length / count of
# cell i, in units of 1 / count, so that all comparisons are exact.


def centred_cells(length, count, profile):
    """Return windows centred at the centres c of the cells.

    For a cell of width w, the weights ``profile((u - c) / w)``, for ``|u - c| <= w``, are divided by their sum over the
    positions in the map. If no cell is wider than one position, the windows are those of `average_cells`.
    """
    if length <= count:
        return average_cells(length, count)
    centres = (2 * np.arange(count)[:, None] + 1) * length - count  # in units of 1 / (2 count)
    starts = np.maximum(-((2 * length - centres) // (2 * count)), 0)
    u = starts + np.arange(2 * length // count + 1)
    d = (2 * count * u - centres) / (2 * length)
    weights = np.where((np.abs(d) <= 1) & (u < length), profile(d), 0)
    return Windows(starts[:, 0], weights / weights.sum(axis=1, keepdims=True))


def gaussian_cells(length, count):
    """Return windows with the weights ``exp(-((u - c) / w)^2)``; see `centred_cells`."""
    return centred_cells(length, count, lambda d: np.exp(-(d**2)))


def average_cells(length, count):
    """Return windows that take the mean over each cell; positions only partly in a cell have smaller weights."""
    low = np.arange(count)[:, None] * length
    starts = low // count
    u = starts + np.arange(-(-length // count) + 1)
    parts = np.minimum(count * (u + 1), low + length) - np.maximum(count * u, low)
    return Windows(starts[:, 0], np.maximum(parts, 0) / length)


class Window(NamedTuple):
    """A kind of window."""

    of_width: Callable  # width -> offsets, weights
    of_cells: Callable  # length of the map, number of windows -> Windows
    is_full: bool  # whether a window of a given width must lie inside the map, rather than only its centre


WINDOWS = {
    "gaussian": Window(gaussian, gaussian_cells, is_full=False),
    "average": Window(average, average_cells, is_full=True),
}


class Sliding(NamedTuple):
    """Pooling by windows that move over the map, with a width and a stride along each axis, in positions."""

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

    def windows(self, axis, length):  # -> Windows
        """Return the windows along one axis, restricted to offsets whose absolute values are below ``length``."""
        offsets, weights = WINDOWS[self.window].of_width(self.width[axis])
        near = np.abs(offsets) < length
        (count,) = self.along(slice(axis, axis + 1 or None)).positions((length,))
        starts = self.stride[axis] * np.arange(count) + offsets[near][0]
        return Windows(starts, np.tile(weights[near], (count, 1)))

    def widths(self, space):
        """Return the width of the windows along each axis."""
        return self.width

    def strides(self, space):
        """Return the distance between the centres of neighbouring windows along each axis."""
        return self.stride


class Fixed(NamedTuple):
    """Pooling by a fixed number of windows along each axis, one for each cell of an evenly divided map."""

    window: str  # a name in `WINDOWS`
    count: tuple

    def along(self, axes):
        """Return the pooling along only the axes in the slice ``axes``."""
        return self._replace(count=self.count[axes])

    def positions(self, space):
        """Return the number of positions of the pooled map along each axis."""
        return self.count

    def windows(self, axis, length):  # -> Windows
        """Return the windows along one axis."""
        return WINDOWS[self.window].of_cells(length, self.count[axis])

    def widths(self, space):
        """Return the width of the windows along each axis, which need not be a whole number."""
        return tuple(n / count for n, count in zip(space, self.count))

    strides = widths


def operators(pooling, space):  # Sliding or Fixed, (*space,) -> [(positions, length) for every axis]
    """Return the pooling along each axis as a sparse matrix."""
    matrices = []
    for axis, length in enumerate(space):
        starts, weights = pooling.windows(axis, length)
        positions = starts[:, None] + np.arange(weights.shape[1])
        inside = (positions >= 0) & (positions < length) & (weights > 0)
        entries = weights[inside], (np.nonzero(inside)[0], positions[inside])
        matrices.append(sparse.csc_array(entries, shape=(len(starts), length)))
    return matrices


def norm(pooling, space):
    """Return the operator norm of the pooling of a map, which is the product of the norms along its axes."""
    return prod(_norm(matrix) for matrix in operators(pooling, space))


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


class Taps(NamedTuple):
    """The columns of a pooling operator: position u adds ``weights[t] * x(u)`` to output ``outputs[t]``.

    The index t runs from ``pointers[u]`` to ``pointers[u + 1] - 1``.
    """

    pointers: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray


def taps(pooling, space, dtype):
    """Return the columns of the operators' Kronecker product: the outputs and weights of each position."""
    return (_taps_of_line if len(space) == 1 else _taps_of_map)(pooling, space, dtype)


def _taps(pooling, space, dtype):
    matrices = operators(pooling, space) or [sparse.csc_array(np.ones((1, 1)))]
    product = reduce(partial(sparse.kron, format="csc"), matrices)
    return Taps(product.indptr.astype(np.int64), product.indices.astype(np.int64), product.data.astype(dtype))


_taps_of_line = lru_cache(maxsize=256)(_taps)
_taps_of_map = lru_cache(maxsize=16)(_taps)  # The taps of a large map may need tens of megabytes.


def pool(X, matrices, first_axis):
    """Apply ``matrices[a]`` along axis ``first_axis + a`` of X."""
    for axis, matrix in enumerate(matrices, first_axis):
        X = np.moveaxis(np.moveaxis(X, axis, -1) @ matrix.toarray().astype(X.dtype).T, -1, axis)
    return X


def pool_adjoint(Q, matrices, first_axis):
    """Apply the adjoint of `pool`."""
    return pool(Q, [matrix.T for matrix in matrices], first_axis)
