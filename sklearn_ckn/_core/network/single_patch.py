"""The convolution of maps that have a single patch each, computed for all signals of a block at once.

A map has a single patch if the patch is as large as the map. If the signals are rows of a matrix, each row is a map of
a single position, which also has a single patch.
"""

from typing import NamedTuple

import numpy as np

from ..layer import patches
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import add_product
from .epilogue import finish_signals


class SinglePatch(NamedTuple):
    """A `convolution.Convolution` that is computed by one matrix product for all signals of a block."""

    patch: patches.PatchGeometry
    panels: np.ndarray  # (n_panels, d, n_lanes)
    epilogue: tuple  # epilogue.Pooled or epilogue.Kept

    @property
    def numbers_per_signal(self):
        """The number of array elements in the patch of one signal and in its products with the filters."""
        n_panels, d, lanes = self.panels.shape
        return d + n_panels * lanes

    @classmethod
    def make(cls, filters, settings, shape, epilogue):  # PackedFilters, LayerSettings, (*space, c)
        """Prepare the filters, or return None if maps of the given shape have more than one patch."""
        if max(settings.patch_positions(shape[:-1])) > 1:
            return None
        return cls(settings.patch, filters.panels, epilogue)

    def add_to(self, Q, X):  # out (n, 1, 1, n_panels * n_lanes), (n, *space, c)
        """Compute the products of the filters and the patch of every map, and apply the epilogue."""
        P = patches.extract(X, self.patch).reshape(len(X), -1)
        T = simd.aligned((len(P), 1, 1, Q.shape[-1]), P.dtype, np.zeros)
        add_product(P, self.panels, T.reshape(len(P), -1))
        norms = patches.Norms(*np.empty((2, len(P), 1, 1), P.dtype))
        find_row_norms(P, norms.r.ravel(), norms.inverse.ravel())
        finish_signals(T, norms, self.epilogue, self.epilogue.scratch(1, Q), Q)


@compiled
def find_row_norms(P, r, inverse):  # (n, d), out (n,), out (n,)
    """Compute the norm of each row of P and the inverse of this norm, which is 0 for a zero row."""
    patches.sum_squares(P, r)
    patches.take_roots(r, inverse)
