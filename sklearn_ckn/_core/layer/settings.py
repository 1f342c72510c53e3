"""The settings of a layer: everything that defines it except its filters."""

from typing import NamedTuple

from .patches import PatchGeometry
from .pooling import Pooling


class LayerSettings(NamedTuple):
    """A patch geometry, a kernel, a pooling, and what is added to the eigenvalues of the filters' kernel matrix."""

    patch: PatchGeometry
    kernel: tuple  # a record of `kappa.KERNELS`
    pooling: Pooling
    reg: float

    def patch_positions(self, space):
        """Return the number of patches along each axis of a map."""
        return self.patch.positions(space)

    def pooled_positions(self, space):
        """Return the number of positions along each axis of the pooled map."""
        return self.pooling.positions(self.patch.positions(space))

    def pooling_operators(self, space):
        """Return the pooling operator of each axis, for a map of this space."""
        return self.pooling.operators(self.patch.positions(space))
