"""The settings of a layer: everything that defines it except its filters."""

from typing import NamedTuple

import numpy as np

from . import kappa, pooling
from .patches import PatchGeometry


class LayerSettings(NamedTuple):
    """A patch geometry, a kernel, a pooling, and the number added to the eigenvalues of the filters' Gram matrix."""

    patch: PatchGeometry
    kernel: tuple  # a record whose class is in `kappa.KERNELS`
    pooling: pooling.Sliding | pooling.Fixed
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
        return pooling.operators(self.pooling, self.patch.positions(space))


def lipschitz_factors(layers, space):  # LayerSettings of each layer, (*space,) -> (n_layers, 3)
    """Return the Lipschitz constant of each kernel mapping and the norms of each patch extraction and each pooling.

    The product of all factors bounds the Lipschitz constant of the network for signals of the spatial shape ``space``.
    It bounds the Lipschitz constant of the exact kernel and, because a Nyström projection does not increase distances,
    of the approximation by any filters.
    """
    factors = []
    for layer in layers:
        positions = layer.patch_positions(space)
        norms = layer.patch.norm(space), pooling.norm(layer.pooling, positions)
        factors.append((kappa.lipschitz_constant(layer.kernel), *norms))
        space = layer.pooling.positions(positions)
    return np.array(factors)
