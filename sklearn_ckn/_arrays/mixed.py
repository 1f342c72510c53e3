"""Signals of different shapes, which are processed in groups of equal shape."""

from math import prod

import numpy as np

from .._core.runtime.threads import over_blocks
from .groups import Grouped
from .signals import EncodedSignals


class MixedSignals(Grouped):
    """Signals of different spatial shapes, with the same number of channels.

    Parameters
    ----------
    groups : list of (ndarray of ints, Signals)
        For each shape, the indices of its signals among all signals, and the signals.
    """

    is_lazy = False

    def __init__(self, groups):
        self.groups, self.dtype = groups, groups[0][1].dtype
        self.shape = common_shape([part.shape for _, part in groups])

    def __len__(self):
        return sum(len(part) for _, part in self.groups)

    def __getitem__(self, rows):
        chosen = np.arange(len(self))[rows]
        group, place = self.places[:, chosen]
        wanted = [(np.flatnonzero(group == k), part) for k, (_, part) in enumerate(self.groups)]
        return MixedSignals([(members, part[place[members]]) for members, part in wanted if len(members)])

    @property
    def array(self):
        """The values of all signals, for comparisons with the signals of another fit."""
        return [(rows, part.array, part.chosen) for rows, part in self.groups]

    def of_dtype(self, dtype):
        """Return the same signals, to be read in another dtype."""
        return MixedSignals([(rows, part.of_dtype(dtype)) for rows, part in self.groups])

    def combined(self, function, n_threads, like=None):
        """Apply a function to every group. Return the results as an array if ``like`` is given, otherwise as a list.

        If there are at least twice as many groups as threads, each group is processed by a single thread.

        Parameters
        ----------
        function : callable, (Signals, number of threads) -> ndarray of shape (n, *shape)
        n_threads : int
        like : ndarray like the result, of any length, or None if results depend on the shapes of signals
        """
        results = [None] * len(self) if like is None else np.empty((len(self), *like.shape[1:]), like.dtype)
        n_together = n_threads if len(self.groups) >= 2 * n_threads else 1

        def compute(group):
            rows, part = group
            for row, result in zip(rows, function(part, n_threads // n_together)):
                results[row] = result

        largest_first = sorted(self.groups, key=lambda group: -len(group[1]) * prod(group[1].shape))
        over_blocks(compute, largest_first, n_together)
        return results


class EncodedMixed(Grouped):
    """Signals of different shapes, encoded by fitted layers; maps are computed only when they are needed."""

    def __init__(self, signals, layers, n_threads):
        self.layers, self.n_threads, self.dtype = layers, n_threads, signals.dtype
        self.groups = [(rows, EncodedSignals(part, layers, n_threads)) for rows, part in signals.groups]
        self.shape = common_shape([maps.shape for _, maps in self.groups])

    def __len__(self):
        return sum(len(maps) for _, maps in self.groups)


def common_shape(shapes):
    """Return the sizes that all shapes have in common, with None for every axis along which they differ."""
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes))
