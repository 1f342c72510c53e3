"""Signals in groups of equal shape: what all kinds of signals have in common."""

from functools import cached_property

import numpy as np


class Grouped:
    """A mixin for signals in groups of equal shape.

    The property ``groups`` is a list with a pair for each group: the indices of its signals, and the signals.
    """

    @cached_property
    def places(self):  # (2, n)
        """The index of the group of each signal, and the index of the signal in the group."""
        places = np.empty((2, len(self)), dtype=int)
        for k, (rows, _) in enumerate(self.groups):
            places[0, rows], places[1, rows] = k, np.arange(len(rows))
        return places


class OneGroup(Grouped):
    """A mixin for signals that all have one shape."""

    @property
    def groups(self):
        """The only group, which contains all signals."""
        return [(np.arange(len(self)), self)]

    def combined(self, function, n_threads, like=None):
        """Return the results of a function of the signals; see `MixedSignals.combined`."""
        return function(self, n_threads)
