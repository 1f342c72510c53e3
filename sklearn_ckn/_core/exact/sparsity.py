"""The pairs of positions whose inner products the exact kernel needs, from the last maps down to the signals.

The kernel of two signals is the sum of ``k(u, u)`` over all positions u of their last maps. A pooling window or a patch
covers only positions near u, so the layers below need only the pairs ``(u, u')`` of positions that are close to each
other along every axis. Such a set of pairs is called a *relation*. Two positions *meet* if their pair is in the
relation, and two lines meet if any of their positions meet. A relation is the product of one relation per axis. Along
one axis, each position of one map meets a range of positions of the other map. The two signals may have different sizes
if their last maps have the same number of positions.
"""

from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np

from ..layer import pooling


class Ranges(NamedTuple):
    """The relation along one axis: the range of positions that each position meets, which may be empty."""

    begin: np.ndarray  # (n,)
    end: np.ndarray  # (n,), exclusive
    n_others: int  # number of positions of the other map

    @property
    def matrix(self):  # (n, n_others) of bool
        """The relation as a matrix."""
        others = np.arange(self.n_others)
        return (self.begin[:, None] <= others) & (others < self.end[:, None])


class Relation(NamedTuple):
    """A relation, stored as pairs of lines along the last spatial axis and as a range for each position on a line."""

    pairs: np.ndarray  # (lines of x, lines of y) index of each pair of lines that meet, -1 for lines that do not meet
    begin: np.ndarray  # (length,) start of the range of positions that position i meets
    end: np.ndarray  # (length,) end of the range of positions that position i meets; the end is exclusive
    length: int  # number of positions on each line of y

    @property
    def shape(self):
        """The number of lines of x and the number of positions on each line of x."""
        return len(self.pairs), len(self.begin)

    @property
    def n_pairs(self):
        """The number of pairs of lines that meet."""
        return int(self.pairs.max()) + 1

    @property
    def n_products(self):
        """The number of pairs of positions that meet."""
        return self.n_pairs * int((self.end - self.begin).sum())

    @property
    def stored(self):
        """The shape ``(length, width)`` of the array that stores the products of two lines.

        A position on one line meets at most ``width`` positions on the other line.
        """
        return len(self.begin), int((self.end - self.begin).max())


def of_network(settings, spaces):
    """Return the relations of the positions and the patches of all maps, from the signals to the last map.

    Parameters
    ----------
    settings : list of LayerSettings
    spaces : pair of tuples of ints, spatial shapes of the signals x and y

    Returns
    -------
    relations : list of Relation, of length 2 * len(settings) + 1
        The relations of the positions of the signals, of the patches of the first layer, of the positions of the first
        pooled map, of the patches of the second layer, and so on.
    """
    layers = tuple((layer.patch, layer.pooling) for layer in settings)
    by_axis = [_along_axis(layers, axis, *sizes) for axis, sizes in enumerate(zip(*spaces))]
    return [_by_lines(axes) for axes in zip(*by_axis)]


@lru_cache(maxsize=1024)
def _along_axis(layers, axis, n, n_others):  # pairs of a PatchGeometry and a pooling -> 2 * len(layers) + 1 Ranges
    """Return the relations along one axis, from the signals to the last map."""
    here, levels = slice(axis, axis + 1), [(n, n_others)]
    layers = [(patch.along(here), windows.along(here)) for patch, windows in layers]
    for patch, windows in layers:
        levels.append(tuple(windows.positions(patch.positions((size,)))[0] for size in levels[-1]))
    assert levels[-1][0] == levels[-1][1], "The last maps must have the same number of positions."
    last = np.arange(levels[-1][0])
    relations = [Ranges(last, last + 1, len(last))]
    for (patch, windows), sizes in zip(reversed(layers), reversed(levels[:-1])):
        relations.append(_read_by_pooling(relations[-1], windows, [patch.positions((size,)) for size in sizes]))
        relations.append(_read_by_patches(relations[-1], patch, sizes))
    return relations[::-1]


def _read_by_pooling(related, windows, spaces):  # Ranges, pooling along one axis, two spatial shapes -> Ranges
    """Return which positions are in windows of pooled positions that meet."""
    (first, last), (first_of_others, last_of_others) = (_extents(pooling.operators(windows, n)[0]) for n in spaces)
    (n,), (n_others,) = spaces
    begin, end = np.full(n, n_others), np.zeros(n, int)
    for o in np.flatnonzero(related.begin < related.end):
        inside, met = slice(first[o], last[o] + 1), slice(related.begin[o], related.end[o])
        begin[inside] = np.minimum(begin[inside], first_of_others[met].min())
        end[inside] = np.maximum(end[inside], last_of_others[met].max() + 1)
    return _ranges(begin, end, n_others)


def _extents(matrix):  # sparse (pooled, n) -> (pooled,), (pooled,)
    """Return the first and the last position in each window."""
    matrix = matrix.tocsr()
    starts = matrix.indptr[:-1]
    return np.minimum.reduceat(matrix.indices, starts), np.maximum.reduceat(matrix.indices, starts)


def _read_by_patches(related, patch, sizes):  # Ranges, PatchGeometry of one axis, two ints -> Ranges
    """Return which positions are in patches that meet, at the same offset unless the patches are centred."""
    (n, n_others), (reach,), ((before, _),) = sizes, patch.reach, patch.padding
    n_patches, offsets = len(related.begin), range(0, reach + 1, *patch.dilation)
    begin, end = np.full(n_patches + reach, n_others), np.zeros(n_patches + reach, int)  # of the positions with padding
    for v in offsets:
        for w in offsets if patch.centering else [v]:
            low, high = (np.clip(edge + w - before, 0, n_others) for edge in (related.begin, related.end))
            meets, inside = low < high, slice(v, v + n_patches)
            begin[inside] = np.where(meets, np.minimum(begin[inside], low), begin[inside])
            end[inside] = np.where(meets, np.maximum(end[inside], high), end[inside])
    return _ranges(begin[before : before + n], end[before : before + n], n_others)


def _ranges(begin, end, n_others):
    """Return ranges, with 0 as the limits of all empty ranges."""
    return Ranges(*(np.where(begin < end, edge, 0) for edge in (begin, end)), n_others)


def _by_lines(axes):  # list of Ranges, one for each axis -> Relation
    *outer, last = axes
    lines = reduce(np.kron, [ranges.matrix for ranges in outer], np.ones((1, 1), dtype=bool))
    pairs = np.where(lines, np.cumsum(lines).reshape(lines.shape) - 1, -1)
    return Relation(pairs, last.begin, last.end, last.n_others)
