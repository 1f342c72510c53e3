"""The pairs of positions of two maps that the exact kernel needs, from its trace down to the signals.

The kernel of two signals is the sum of ``k(u, u)`` over the positions u of the last maps. Pooling and patches reach
around u, so each layer below is needed only at pairs ``(u, u')`` of positions that are close to each other along every
axis. Such a set of pairs is a *relation*, the product of one relation per axis, each held by a boolean matrix.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np


class Relation(NamedTuple):
    """Pairs of positions by lines along the last spatial axis: which lines meet, and which positions on them."""

    pairs: np.ndarray  # (n_lines, n_lines) the number of a pair of lines, -1 if it is not in the relation
    begin: np.ndarray  # (length,) position i meets the positions from begin[i] to end[i] - 1
    end: np.ndarray

    @property
    def shape(self):
        """The number of lines, and of positions on each."""
        return len(self.pairs), len(self.begin)

    @property
    def n_pairs(self):
        """The number of pairs of lines."""
        return int(self.pairs.max()) + 1

    @property
    def n_products(self):
        """The number of pairs of positions."""
        return self.n_pairs * int((self.end - self.begin).sum())

    @property
    def stored(self):
        """The shape of the products of two lines: a position meets at most ``width`` others."""
        return len(self.begin), int((self.end - self.begin).max())


def of_network(settings, space):
    """Return the relations of all maps and of all patches between them, from the signals to the trace.

    Parameters
    ----------
    settings : list of LayerSettings
    space : tuple of ints, of the signals

    Returns
    -------
    relations : list of 2 * len(settings) + 1 Relation
        Those of the signals, the patches of the first layer, its pooled map, the patches of the second, and so on.
    """
    spaces = [tuple(space)]
    for layer in settings:
        spaces.append(layer.pooled_positions(spaces[-1]))
    axes = [np.eye(n, dtype=bool) for n in spaces[-1]]
    relations = [_by_lines(axes)]
    for layer, below in zip(reversed(settings), reversed(spaces[:-1])):
        axes = [_read_by_pooling(axis, T.toarray() > 0) for axis, T in zip(axes, layer.pooling_operators(below))]
        relations.append(_by_lines(axes))
        axes = [_read_by_patches(related, below[axis], layer.patch, axis) for axis, related in enumerate(axes)]
        relations.append(_by_lines(axes))
    return relations[::-1]


def _read_by_pooling(related, windows):  # (pooled, pooled), (pooled, positions) -> (positions, positions)
    read = windows.T.astype(int) @ related @ windows > 0
    for row in read:  # Gaps are filled, because lines are read as a whole.
        inside = np.flatnonzero(row)
        if len(inside):
            row[inside[0] : inside[-1]] = True
    return read


def _read_by_patches(related, n, patch, axis):  # (positions, positions), int, PatchGeometry, int -> (n, n)
    positions, size, (before, _) = len(related), patch.size[axis], patch.padding[axis]
    read = np.zeros((positions + size - 1,) * 2, dtype=bool)  # of the padded map
    for v in range(size):
        for w in range(size) if patch.centering else [v]:
            read[v : v + positions, w : w + positions] |= related
    return read[before : before + n, before : before + n]


def _by_lines(axes):  # [(n, n) of every axis] -> Relation
    *outer, last = axes
    lines = reduce(np.kron, outer, np.ones((1, 1), dtype=bool))
    begin, any_related = last.argmax(axis=1), last.any(axis=1)
    end = np.where(any_related, last.shape[1] - last[:, ::-1].argmax(axis=1), begin)
    return Relation(np.where(lines, np.cumsum(lines).reshape(lines.shape) - 1, -1), begin, end)
