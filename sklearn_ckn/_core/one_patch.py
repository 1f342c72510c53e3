"""Products of patches and filters where a map is one patch: the signals of a block side by side.

So it is where a patch is as large as the map, and where signals are rows, maps of a single position.
"""

from typing import NamedTuple

import numpy as np

from . import patches, simd
from .fused import finish
from .machine import compiled
from .panels import add_product, pack


class OnePatch(NamedTuple):
    """A layer's products, and what becomes of them, made ready for signals of one shape."""

    patch_size: tuple
    padding_widths: tuple
    centering: bool
    panels: np.ndarray  # (n_panels, d, n_lanes)
    ending: tuple  # fused.Ending or fused.Kept

    @property
    def size(self):
        """Numbers that it holds for every signal of a block: a patch and its products."""
        n_panels, d, lanes = self.panels.shape
        return d + n_panels * lanes

    def add_to(self, Q, X):  # out (n, 1, 1, n_panels * n_lanes), (n, *space, c)
        """Add the patch of every map; or keep its products."""
        P = patches.extract(X, self.patch_size, self.padding_widths).reshape(len(X), -1)
        if self.centering:
            patches.center_rows(P, X.shape[-1])
        T = simd.aligned((len(P), Q.shape[-1]), P.dtype, np.zeros)
        add_product(P, self.panels, T)
        finish_rows(P, T, self.ending, self.ending.scratch(1, Q), Q)


def make(Z, settings, shape, ending):  # (m, d), (*space, c)
    """This way, for maps of ``shape``; None if they have several patches."""
    if max(settings.patch_positions(shape[:-1])) > 1:
        return None
    return OnePatch(settings.patch_size, settings.padding_widths, settings.patch_centering, pack(Z), ending)


@compiled
def finish_rows(P, T, ending, scratch, Q):  # (n, d), (n, m), ..., out (n, 1, 1, m)
    """The products of every signal end as a map of one line and one column."""
    r, inverse, lanes = np.empty(len(P), P.dtype), np.empty(len(P), P.dtype), simd.lanes_of(P)
    patches.sum_squares(P, r)
    patches.take_roots(r, inverse)
    for i in range(len(P)):
        norms = r[i : i + 1].reshape(1, 1), inverse[i : i + 1].reshape(1, 1)
        for first in range(0, T.shape[1], lanes):
            finish(T[i, first : first + lanes].reshape(1, 1, lanes), norms, ending, 0, 0, scratch, Q[i], first)
