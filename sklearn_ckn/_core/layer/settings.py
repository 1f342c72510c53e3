"""The settings of a layer: everything that defines it except its filters."""

from typing import NamedTuple

from .patches import PatchGeometry
from .pooling import Pooling


class LayerSettings(NamedTuple):
    """A patch geometry, a kernel, a pooling, and the number added to the eigenvalues of the filters' Gram matrix."""

    patch: PatchGeometry
    kernel: tuple  # a record whose class is in `kappa.KERNELS`
    pooling: Pooling
    reg: float

    def __eq__(self, other):
        """Compare the types of the kernels, too, because all kernels without parameters are equal as tuples."""
        return tuple(self) == tuple(other) and type(self.kernel) is type(other.kernel)

    def __ne__(self, other):
        return not self == other

    __hash__ = tuple.__hash__

    def patch_positions(self, space):
        """Return the number of patches along each axis of a map."""
        return self.patch.positions(space)

    def pooled_positions(self, space):
        """Return the number of positions along each axis of the pooled map."""
        return self.pooling.positions(self.patch.positions(space))

    def pooling_operators(self, space):
        """Return the pooling operator of each axis, for a map of the spatial shape ``space``."""
        return self.pooling.operators(self.patch.positions(space))
