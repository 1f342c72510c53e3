"""The epilogue of a convolution, which applies norms, kappa and pooling to the products while they are in the cache.

The products of patches and filters are computed in tiles. A tile covers a range of columns in a range of *lines* (rows
of positions along the last spatial axis of the map), for the filters of one panel. The epilogue adds the results
directly to the pooled map, so the map before pooling is never stored. Training stores the products themselves instead.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba.extending import overload

from ..layer import kappa, patches, pooling
from ..runtime import simd
from ..runtime.compilation import compiled

LINES = 16  # number of lines of stored products that are processed at a time and stay in the first-level cache


class Pooled(NamedTuple):
    """The epilogue that applies the kernel of a layer and pools the resulting map."""

    kernel: tuple
    line_taps: pooling.Taps  # pooling along all axes except the last
    windows: pooling.Windows  # pooling along the last axis
    begin: np.ndarray  # (length,) index of the first window that contains each column or a later one
    end: np.ndarray  # (length,) index of the last window that contains each column or an earlier one, plus 1

    def scratch(self, n_columns, Q):
        """Allocate the scratch memory of `add_pooled` for tiles of ``n_columns`` columns: a row and a pooled row."""
        return tuple(simd.aligned((n, simd.n_lanes(Q.dtype)), Q.dtype) for n in (n_columns, Q.shape[2]))


class Kept(NamedTuple):
    """The epilogue that stores the products in Q, which has the same lines and columns as the patches."""

    def scratch(self, n_columns, Q):
        """Return None, because this epilogue needs no scratch memory."""
        return None


class Place(NamedTuple):
    """The indices at which a tile begins in the map of products."""

    line: int
    column: int
    filter: int  # index of the first filter in the panel of the tile
    step: int  # distance between neighbouring lines of the tile


def make_pooled(settings, space, dtype):  # -> Pooled
    """Return the epilogue of a layer for maps of the spatial shape ``space``.

    The epilogue pools the last axis first, and then all other axes.
    """
    *outer, length = settings.patch_positions(space)
    taps = pooling.taps(settings.pooling.along(slice(-1)), tuple(outer), dtype)
    return Pooled(settings.kernel, taps, *_of_line(settings.pooling.along(slice(-1, None)), length, dtype))


def make_pooled_by_patch(settings, space, dtype):  # -> Pooled
    """Return an epilogue that pools all axes at once, because it treats every patch as a line of one column."""
    taps = pooling.taps(settings.pooling, settings.patch_positions(space), dtype)
    return Pooled(settings.kernel, taps, *_of_line(pooling.Sliding("average", (1,), (1,)), 1, dtype))


@lru_cache(maxsize=256)
def _of_line(windows, length, dtype):  # Sliding or Fixed along one axis, int, dtype -> Windows, (length,), (length,)
    """Return the windows along a line, and the first window and the end of the windows that contain each column."""
    (starts, weights), columns = windows.windows(0, length), np.arange(length)
    begin = np.searchsorted(starts + weights.shape[1], columns, side="right")
    end = np.searchsorted(starts, columns, side="right")
    return pooling.Windows(starts, weights.astype(dtype)), begin, end


def finish(T, norms, epilogue, place, scratch, Q):
    """Pool a tile or store it, depending on the type of the epilogue.

    Only compiled code can call this function.
    """


@overload(finish, inline="always")
def _compile_finish(T, norms, epilogue, place, scratch, Q):
    if epilogue.instance_class is Kept:
        return lambda T, norms, epilogue, place, scratch, Q: keep(T, norms.r.shape, place, Q)
    return lambda T, norms, epilogue, place, scratch, Q: add_pooled(T, norms, epilogue, place, scratch, Q)


@compiled
def keep(T, shape, place, Q):  # (n_lines, n_columns) of T
    """Store a tile in the map of products Q."""
    for line in range(shape[0]):
        for i in range(shape[1]):
            in_map = place.line + line * place.step
            simd.store(simd.load(T, (line, i, 0)), Q, (in_map, place.column + i, place.filter))


@compiled
def add_pooled(T, norms, epilogue, place, scratch, Q):
    """Pool ``r kappa(T / r)`` and add the result to the pooled map of a signal.

    Parameters
    ----------
    T : ndarray of shape (n_lines, at least n_columns, n_lanes), products of patches and filters
    norms : patches.Norms of shape (n_lines, n_columns)
    epilogue : Pooled
    place : Place
    scratch : result of `Pooled.scratch`, overwritten
    Q : ndarray of shape (pooled_lines, pooled_length, n_filled), out
    """
    (r, inverse), (row, pooled), (starts, window) = norms, scratch, epilogue.windows
    (n_lines, n_columns), (pointers, outputs, weights) = r.shape, epilogue.line_taps
    begin, end = epilogue.begin[place.column], epilogue.end[place.column + n_columns - 1]
    for line in range(n_lines):
        for i in range(n_columns):
            cosines = simd.load(T, (line, i, 0)) * inverse[line, i]
            simd.store(kappa.homogeneous(epilogue.kernel, r[line, i], cosines), row, (i, 0))
        for o in range(end - begin):
            start, total = starts[begin + o] - place.column, simd.zeros(T)
            first = max(0, start)
            columns, taps = row[first:], window[begin + o, first - start :]
            for i in range(min(start + window.shape[1], n_columns) - first):
                total = total + taps[i] * simd.load(columns, (i, 0))
            simd.store(total, pooled, (o, 0))
        in_map = place.line + line * place.step
        for t in range(pointers[in_map], pointers[in_map + 1]):
            weight, target = weights[t], Q[outputs[t], begin:]
            for o in range(end - begin):
                total = simd.load(target, (o, place.filter)) + weight * simd.load(pooled, (o, 0))
                simd.store(total, target, (o, place.filter))


@compiled
def finish_signals(T, norms, epilogue, scratch, Q):
    """Apply the epilogue to the stored products of a block of signals.

    Parameters
    ----------
    T : ndarray of shape (n, n_lines, n_columns, n_filled), products of patches and filters
    norms : patches.Norms of shape (n, n_lines, n_columns)
    epilogue : Pooled or Kept
    scratch : result of ``epilogue.scratch``, overwritten
    Q : ndarray of shape (n, lines, length, n_filled), out
    """
    lanes, n_lines = simd.lanes_of(T), T.shape[1]
    for signal in range(len(T)):
        for line in range(0, n_lines, LINES):
            lines = slice(line, min(line + LINES, n_lines))
            of_lines = patches.Norms(norms.r[signal, lines], norms.inverse[signal, lines])
            for first in range(0, T.shape[3], lanes):
                tile = T[signal, lines, :, first : first + lanes]
                finish(tile, of_lines, epilogue, Place(line, 0, first, 1), scratch, Q[signal])
