"""The common interface of the strategies that multiply patches by filters, and the choice between the strategies.

To add a strategy, write a record with the interface `Convolution` in a file of its own, and add the record to
`STRATEGIES`, before all slower strategies.
"""

from typing import Protocol, Self

import numpy as np

from ..layer.settings import LayerSettings
from .direct import Direct
from .epilogue import Kept, Pooled
from .packed_filters import PackedFilters
from .single_patch import SinglePatch
from .winograd import Winograd


class Convolution(Protocol):
    """A strategy that multiplies patches by filters and applies an epilogue, prepared for signals of a given shape."""

    numbers_per_signal: int  # number of array elements stored for each signal of a block, besides input and output

    @classmethod
    def make(
        cls, filters: PackedFilters, settings: LayerSettings, shape: tuple, epilogue: Pooled | Kept
    ) -> Self | None:
        """Prepare filters for maps of shape ``(*space, c)``.

        Return None if the strategy does not support such maps or does not pay off for them.
        """

    def add_to(self, Q: np.ndarray, X: np.ndarray) -> None:
        """Compute the products of the patches of X and the filters, and apply the epilogue.

        Parameters
        ----------
        Q : ndarray of shape (n, lines, length, n_panels * n_lanes), out
            The pooled maps, to which the results are added. If the epilogue is `Kept`, the maps of products, which are
            overwritten.
        X : ndarray of shape (n, *space, c)
        """


STRATEGIES = (  # the fastest strategy first; the last strategy supports all maps
    SinglePatch,
    Winograd,
    Direct,
)


def make_convolution(filters, settings, shape, epilogue):  # PackedFilters, LayerSettings, (*space, c) -> Convolution
    """Prepare the first strategy that supports maps of the given shape and pays off for them."""
    for strategy in STRATEGIES:
        made = strategy.make(filters, settings, shape, epilogue)
        if made is not None:
            return made
    raise AssertionError("The last strategy must support all maps.")
