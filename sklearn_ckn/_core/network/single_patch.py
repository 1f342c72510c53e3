"""The convolution of maps that are a single patch each: the signals of a block side by side.

Maps are a single patch where a patch is as large as the map, and where signals are rows, maps of a single position.
"""

from typing import NamedTuple

import numpy as np

from ..layer import patches
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import add_product, pack
from .epilogue import finish_signals


class SinglePatch(NamedTuple):
    """A `convolution.Convolution` by one matrix product for the block."""

    patch: patches.PatchGeometry
    panels: np.ndarray  # (n_panels, d, n_lanes)
    epilogue: tuple  # epilogue.Pooled or epilogue.Kept

    @property
    def size(self):
        """Numbers that it holds for every signal of a block: a patch and its products."""
        n_panels, d, lanes = self.panels.shape
        return d + n_panels * lanes

    @classmethod
    def make(cls, Z, settings, shape, epilogue):  # (m, d), LayerSettings, (*space, c)
        """Prepare the filters, or return None if maps of this shape have several patches."""
        if max(settings.patch_positions(shape[:-1])) > 1:
            return None
        return cls(settings.patch, pack(Z), epilogue)

    def add_to(self, Q, X):  # out (n, 1, 1, n_panels * n_lanes), (n, *space, c)
        """Finish the products of the patch of every map."""
        P = patches.extract(X, self.patch).reshape(len(X), -1)
        T = simd.aligned((len(P), 1, 1, Q.shape[-1]), P.dtype, np.zeros)
        add_product(P, self.panels, T.reshape(len(P), -1))
        norms = patches.Norms(*np.empty((2, len(P), 1, 1), P.dtype))
        find_row_norms(P, norms.r.ravel(), norms.inverse.ravel())
        finish_signals(T, norms, self.epilogue, self.epilogue.scratch(1, Q), Q)


@compiled
def find_row_norms(P, r, inverse):  # (n, d), out (n,), out (n,)
    """Compute the norms of rows and their inverses."""
    patches.sum_squares(P, r)
    patches.take_roots(r, inverse)
