"""Norm, kappa and pooling of the products of patches and filters, in one pass while they are in the cache.

The products arrive as tiles: some columns of some *lines* of the map (positions along its last space axis), for the
filters of one panel. They leave as sums in the pooled map. The map before pooling never exists. (Where the products
themselves are wanted, they end as they are: `Kept`.)
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from . import pooling, simd
from .kappa import kappa
from .machine import compiled


class Ending(NamedTuple):
    """What becomes of a layer's products: its kernel, and where its lines and columns go when it is pooled."""

    kernel: tuple
    line_taps: pooling.Taps  # of all axes but the last
    first: int  # column o of the pooled line is the sum over i of ``weights[i] * x(first + o * stride + i)``
    stride: int
    weights: np.ndarray

    def scratch(self, n_columns, Q):
        """What `add_pooled` overwrites, for tiles of so many columns: a row of the map, and one pooled."""
        window, lanes = len(self.weights), simd.n_lanes(Q.dtype)
        n_pooled = min(Q.shape[2], (n_columns + window) // self.stride + 1)
        return tuple(simd.aligned((n, lanes), Q.dtype) for n in (n_columns + 2 * window, n_pooled))


class Kept(NamedTuple):
    """Nothing: Q is a map of products, of as many lines and columns."""

    def scratch(self, n_columns, Q):
        return None


def ending(layer, space, dtype):
    """Of a layer, for maps of this space."""
    *outer, length = layer.patch_positions(space)
    offsets, weights = pooling.window(layer.pooling, layer.pooling_width[-1], length)
    taps = pooling.taps(layer.pooling, tuple(outer), layer.pooling_width[:-1], layer.subsampling[:-1], dtype)
    return Ending(layer.kernel, taps, int(offsets[0]), layer.subsampling[-1], weights.astype(dtype))


def finish(T, norms, ending, first_line, first_column, scratch, Q, first_filter):
    """`add_pooled` or `keep`, by the type of the ending."""


@overload(finish, inline="always")
def _compile_finish(T, norms, ending, first_line, first_column, scratch, Q, first_filter):
    if ending.instance_class is Kept:
        return lambda T, norms, ending, first_line, first_column, scratch, Q, first_filter: keep(
            T, norms[0].shape, first_line, first_column, Q, first_filter
        )
    return lambda T, norms, ending, first_line, first_column, scratch, Q, first_filter: add_pooled(
        T, norms, ending, first_line, first_column, scratch, Q, first_filter
    )


@compiled
def keep(T, shape, first_line, first_column, Q, first_filter):  # (n_lines, n_columns) of T
    """Write a tile to its place in the map, Q."""
    for line in range(shape[0]):
        for i in range(shape[1]):
            simd.store(simd.load(T, (line, i, 0)), Q, (first_line + line, first_column + i, first_filter))


@compiled
def add_pooled(T, norms, ending, first_line, first_column, scratch, Q, first_filter):
    """Add a tile to the pooled map of its signal.

    Parameters
    ----------
    T : ndarray of shape (n_lines, at least n_columns, n_lanes), products of patches and filters
    norms : ndarrays r and 1 / r of shape (n_lines, n_columns), as from `patches.find_norms`
    first_line, first_column : where the tile begins
    scratch : from `Ending.scratch`, overwritten
    Q : ndarray of shape (pooled_lines, pooled_length, filters of all panels), out
    first_filter : where the panel begins among them
    """
    (r, inverse), (row, pooled), window = norms, scratch, len(ending.weights)
    (n_lines, n_columns), (pointers, outputs, weights) = r.shape, ending.line_taps
    begin = max(0, -(-(first_column - ending.first - window + 1) // ending.stride))
    end = min(Q.shape[1], (first_column + n_columns - 1 - ending.first) // ending.stride + 1)
    start = window + ending.first + begin * ending.stride - first_column  # of the first window in the row
    for i in range(window):  # zeros before and after the tile's columns
        simd.store(0.0, row, (i, 0))
        simd.store(0.0, row, (window + n_columns + i, 0))
    for line in range(n_lines):
        columns = row[window:]
        for i in range(n_columns):
            cosines = simd.load(T, (line, i, 0)) * inverse[line, i]
            cosines = simd.larger(simd.smaller(cosines, 1), -1)  # rounding carries those of faint patches far beyond
            simd.store(r[line, i] * kappa(ending.kernel, cosines), columns, (i, 0))
        for o in range(end - begin):
            total, columns = simd.zeros(T), row[start + o * ending.stride :]
            for i in range(window):
                total = total + ending.weights[i] * simd.load(columns, (i, 0))
            simd.store(total, pooled, (o, 0))
        in_map = first_line + line
        for t in range(pointers[in_map], pointers[in_map + 1]):
            weight, target = weights[t], Q[outputs[t], begin:]
            for o in range(end - begin):
                total = simd.load(target, (o, first_filter)) + weight * simd.load(pooled, (o, 0))
                simd.store(total, target, (o, first_filter))
