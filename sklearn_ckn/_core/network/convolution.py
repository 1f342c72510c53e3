"""The strategies for multiplying the patches of a map by filters: their common interface, and the choice between them.

To add a strategy, write a record with this interface in a file of its own and add it to `STRATEGIES`, before those that
it is faster than.
"""

from typing import Protocol, Self

import numpy as np

from ..layer.settings import LayerSettings
from .direct import Direct
from .epilogue import Kept, Pooled
from .single_patch import SinglePatch
from .winograd import Winograd


class Convolution(Protocol):
    """All products of patches and filters, and their epilogue, prepared for signals of one shape."""

    numbers_per_signal: int  # count of the numbers held for every signal of a block, besides input and output

    @classmethod
    def make(cls, Z: np.ndarray, settings: LayerSettings, shape: tuple, epilogue: Pooled | Kept) -> Self | None:
        """Prepare filters ``(m, d)`` for maps of ``shape`` ``(*space, c)``, or return None if that does not pay off."""

    def add_to(self, Q: np.ndarray, X: np.ndarray) -> None:
        """Finish the products of maps ``(n, *space, c)``.

        Parameters
        ----------
        Q : ndarray of shape (n, lines, length, n_panels * n_lanes), out
            The pooled maps, to which the results are added; or, for `Kept`, maps of products, which are overwritten.
        X : ndarray of shape (n, *space, c)
        """


STRATEGIES = (  # the fastest first; the last one takes everything
    SinglePatch,
    Winograd,
    Direct,
)


def make_convolution(Z, settings, shape, epilogue):  # (m, d), LayerSettings, (*space, c) -> Convolution
    """Return the first strategy that takes maps of this shape."""
    for strategy in STRATEGIES:
        made = strategy.make(Z, settings, shape, epilogue)
        if made is not None:
            return made
    raise AssertionError("The last strategy must take everything.")
