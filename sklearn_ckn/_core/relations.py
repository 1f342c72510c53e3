"""Which pairs of positions of two maps the exact kernel reads: from its trace downward, layer by layer.

The kernel of two signals is the sum of ``k(u, u)`` over the last maps. Pooling and patches reach around u, so that each
layer below is read at pairs ``(u, u')`` whose positions are near each other on every axis: a *relation*, the product
of one relation per axis, which a boolean matrix holds.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np


class Relation(NamedTuple):
    """Pairs of positions by lines (along the last space axis): which lines, and which positions on them."""

    pairs: np.ndarray  # (n_lines, n_lines) the number of a pair of lines, -1 if it is not in the relation
    begin: np.ndarray  # (length,) position i goes with those from begin[i] to end[i] - 1
    end: np.ndarray

    @property
    def shape(self):
        """Lines, and positions on each."""
        return len(self.pairs), len(self.begin)

    @property
    def n_pairs(self):
        """Of lines."""
        return int(self.pairs.max()) + 1

    @property
    def n_products(self):
        """Pairs of positions."""
        return self.n_pairs * int((self.end - self.begin).sum())

    @property
    def stored(self):
        """Shape of the products of two lines: position i goes with ``width`` others at most."""
        return len(self.begin), int((self.end - self.begin).max())


def of_network(layers, space):
    """The relations of all maps and of all patches between them, from the signals to the trace.

    Parameters
    ----------
    layers : list of `encode.LayerSettings`
    space : tuple of ints, of the signals

    Returns
    -------
    relations : list of 2 * len(layers) + 1 Relation
        Signals, patches of the first layer, its pooled map, patches of the second, ...
    """
    spaces = [tuple(space)]
    for layer in layers:
        spaces.append(layer.pooled_positions(spaces[-1]))
    axes = [np.eye(n, dtype=bool) for n in spaces[-1]]
    relations = [_by_lines(axes)]
    for layer, below in zip(reversed(layers), reversed(spaces[:-1])):
        axes = [_read_by_pooling(axis, T.toarray() > 0) for axis, T in zip(axes, layer.pooling_operators(below))]
        relations.append(_by_lines(axes))
        geometry = zip(axes, below, layer.patch_size, layer.padding_widths)
        axes = [_read_by_patches(*axis, layer.patch_centering) for axis in geometry]
        relations.append(_by_lines(axes))
    return relations[::-1]


def _read_by_pooling(related, windows):  # (pooled, pooled), (pooled, positions) -> (positions, positions)
    read = windows.T.astype(int) @ related @ windows > 0
    for row in read:  # without gaps, as lines are read
        inside = np.flatnonzero(row)
        if len(inside):
            row[inside[0] : inside[-1]] = True
    return read


def _read_by_patches(related, n, size, widths, centering):  # (positions, positions) -> (n, n)
    positions, (before, _) = len(related), widths
    read = np.zeros((positions + size - 1,) * 2, dtype=bool)  # of the padded map
    for v in range(size):
        for w in range(size) if centering else [v]:
            read[v : v + positions, w : w + positions] |= related
    return read[before : before + n, before : before + n]


def _by_lines(axes):  # [(n, n) of every axis]
    *outer, last = axes
    lines = reduce(np.kron, outer, np.ones((1, 1), dtype=bool))
    begin, any_related = last.argmax(axis=1), last.any(axis=1)
    end = np.where(any_related, last.shape[1] - last[:, ::-1].argmax(axis=1), begin)
    return Relation(np.where(lines, np.cumsum(lines).reshape(lines.shape) - 1, -1), begin, end)
