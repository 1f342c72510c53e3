"""The pairs of positions whose inner products the exact kernel needs, from the last maps down to the signals.

The kernel of two signals is the sum of ``k(u, u)`` over all positions u of their last maps. A pooling window or a patch
covers only positions near u, so the layers below need only the pairs ``(u, u')`` of positions that are close to each
other along every axis. Such a set of pairs is called a *relation*. Two positions *meet* if their pair is in the
relation, and two lines meet if any of their positions meet. A relation is the product of one relation per axis, and the
relation along one axis is a boolean matrix. The two signals may have different sizes if their last maps have the same
number of positions.
"""

from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np


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
    by_axis = [_along_axis(tuple(settings), axis, *sizes) for axis, sizes in enumerate(zip(*spaces))]
    return [_by_lines(axes) for axes in zip(*by_axis)]


@lru_cache(maxsize=1024)
def _along_axis(settings, axis, n, n_others):  # -> 2 * len(settings) + 1 boolean matrices
    """Return the relations along one axis, from the signals to the last map."""
    layers, levels = [layer.along(axis) for layer in settings], [((n,), (n_others,))]
    for layer in layers:
        levels.append(tuple(layer.pooled_positions(space) for space in levels[-1]))
    assert levels[-1][0] == levels[-1][1], "The last maps must have the same number of positions."
    relations = [np.eye(*levels[-1][0], dtype=bool)]
    for layer, below in zip(reversed(layers), reversed(levels[:-1])):
        (T,), (R,) = (layer.pooling_operators(space) for space in below)
        relations.append(_read_by_pooling(relations[-1], T, R))
        relations.append(_read_by_patches(relations[-1], [space[0] for space in below], layer.patch))
    return relations[::-1]


def _read_by_pooling(related, T, R):  # (pooled, pooled), operators of x and y -> (positions, positions)
    windows, others = (matrix.toarray() > 0 for matrix in (T, R))
    return _without_gaps(windows.T.astype(int) @ related @ others > 0)


def _read_by_patches(related, sizes, patch):  # (positions, positions), two ints, PatchGeometry of one axis -> sizes
    (positions, others), (reach,), ((before, _),) = related.shape, patch.reach, patch.padding
    offsets = range(0, reach + 1, *patch.dilation)
    read = np.zeros((positions + reach, others + reach), dtype=bool)  # relation of the positions of the padded maps
    for v in offsets:
        for w in offsets if patch.centering else [v]:
            read[v : v + positions, w : w + others] |= related
    return _without_gaps(read[tuple(slice(before, before + n) for n in sizes)])


def _without_gaps(read):
    """Fill the gaps in each row of a relation, because `Relation` stores a single range for each position."""
    for row in read:
        inside = np.flatnonzero(row)
        if len(inside):
            row[inside[0] : inside[-1]] = True
    return read


def _by_lines(axes):  # [(n, n_others) for every axis] -> Relation
    *outer, last = axes
    lines = reduce(np.kron, outer, np.ones((1, 1), dtype=bool))
    begin, any_related = last.argmax(axis=1), last.any(axis=1)
    end = np.where(any_related, last.shape[1] - last[:, ::-1].argmax(axis=1), begin)
    pairs = np.where(lines, np.cumsum(lines).reshape(lines.shape) - 1, -1)
    return Relation(pairs, begin, end, last.shape[1])
