"""A network of the exact kernel, prepared for pairs of signals of given shapes."""

from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..layer import kappa, patches, pooling
from ..layer.symmetries import orbits, order
from ..runtime import simd
from . import sparsity
from .layer import ExactLayer
from .patch_products import Derivatives, PairGeometry, Quantities, Tangent, make_scratch, make_side

MEMORY = 2**20  # maximum size in bytes of each array for a batch of signals, unless the batch is a single signal
SMALL_SIGMA = 0.15  # sigma below which rounding a cosine to single precision affects the kernel noticeably


class ExactNetwork(NamedTuple):
    """A network that has been prepared for pairs of signals of given shapes."""

    layers: list  # one layer.ExactLayer for each layer
    centred: patches.PatchGeometry | None  # geometry of the first layer's patches if they are centred, otherwise None
    n_channels: int
    dtype: np.dtype
    symmetries: str | None  # key of `symmetries.GROUPS`, the group over which the kernel is averaged

    @property
    def order(self):
        """The number of transforms of each signal, which is the order of the group of symmetries."""
        return order(self.symmetries)

    def read(self, signals, rows):  # -> (order, n, *space, c), (n,)
        """Return the maps that the first layer reads, and the exponents of the powers of two that scale the signals.

        Each signal is divided by the smallest power of two that exceeds its absolute values. The first axis of the maps
        enumerates the transforms of the signals under the elements of the group of symmetries.
        """
        X = signals.read(rows).astype(self.dtype, copy=False)
        exponents = np.frexp(np.abs(X.reshape(len(X), -1)).max(axis=1))[1]
        X = orbits(np.ldexp(X, -exponents.reshape(-1, *[1] * (X.ndim - 1))), self.symmetries)
        X = patches.extract(X, self.centred) if self.centred else X
        return X.reshape(self.order, -1, *X.shape[1:]), exponents

    def sides(self, n):
        """Allocate one `Side` of n blocks of signals for each layer."""
        return [make_side(k.geometry, k.quantities, n, self.n_channels, self.dtype) for k in self.layers]

    def scratch(self, n):
        """Allocate the scratch memory of each layer for a batch of n signals."""
        return [make_scratch(k.geometry, k.quantities, n, self.dtype) for k in self.layers]

    def batch(self):
        """Return the largest number of signals, at least one, for which each array fits in `MEMORY` bytes."""
        one = [*self.sides(1), *self.scratch(1)]
        return max(1, MEMORY // max(array.nbytes for record in one for array in record))

    def nothing_below(self, n):
        """Return an empty array in place of the products from the layer below, which the first layer does not read."""
        return np.empty((n, 0, 0, 0, 0, simd.n_lanes(self.dtype)), dtype=self.dtype)

    @property
    def n_quantities(self):
        """The number of quantities of the last maps."""
        return self.layers[-1].quantities.n_made

    @property
    def result(self):
        """The slice of the quantities that are the result: the tangent kernel, or the kernel and its derivatives."""
        return slice(-1 if self.layers[-1].quantities.tangent else 0, None)


def prepare(settings, shapes, dtype, differentiated, tangent=False, symmetries=None):
    """Prepare a network for pairs of signals of the given shapes.

    Parameters
    ----------
    settings : list of LayerSettings
    shapes : pair of tuples, shapes ``(*space, c)`` of the signals x and of the signals y
        If they are not equal, the last maps must have the same number of positions.
    dtype : dtype of the signals
    differentiated : list of bool, whether to differentiate the kernel with respect to ``log(sigma)`` of each layer
    tangent : bool, whether the result is the tangent kernel, which cannot be differentiated
    symmetries : key of `symmetries.GROUPS`, the group over which the result is averaged

    Returns
    -------
    network : ExactNetwork
    """
    spaces, c, (first, *others), centred = [shape[:-1] for shape in shapes], shapes[0][-1], settings, None
    dtype = exact_dtype(settings, dtype, tangent)
    if first.patch.centering:  # Centring is exact if each centred patch becomes a single position of the map.
        centred, spaces = first.patch, [first.patch_positions(space) for space in spaces]
        c *= prod(centred.size)
        first = first._replace(patch=patches.PatchGeometry.of((1,) * len(centred.size), "valid"))
    settings, made, n_inherited = [first, *others], [], 0
    related = sparsity.of_network(settings, spaces)
    for k, (layer, has_own) in enumerate(zip(settings, differentiated)):
        derivatives = Derivatives(n_inherited, has_own) if n_inherited + has_own else None
        quantities = Quantities(derivatives, Tangent(is_inherited=k > 0) if tangent else None)
        geometry = make_geometry(layer, spaces, dtype, related[2 * k : 2 * k + 3])._replace(is_first=k == 0)
        made.append(ExactLayer(geometry, layer.kernel, quantities))
        n_inherited, spaces = n_inherited + has_own, [layer.pooled_positions(space) for space in spaces]
    return ExactNetwork(made, centred, c, dtype, symmetries)


def exact_dtype(settings, dtype, tangent):
    """Return float64 if single precision would lose too many digits, otherwise ``dtype``.

    Digits are lost if the slope of a kernel is steep or if patches are centred after the first layer. The tangent
    kernel contains the slope of `kappa.ArcCosine1`, which is `kappa.ArcCosine0`.
    """
    steep_types = (kappa.ArcCosine0, kappa.ArcCosine1) if tangent else (kappa.ArcCosine0,)
    steep = [
        isinstance(layer.kernel, steep_types) or getattr(layer.kernel, "sigma", 1) < SMALL_SIGMA for layer in settings
    ]
    return np.dtype(np.float64 if any(steep) or any(layer.patch.centering for layer in settings[1:]) else dtype)


def make_geometry(settings, spaces, dtype, related):  # -> PairGeometry
    """Return the geometry of a layer for maps x and y of the spatial shapes ``spaces``.

    The sequence ``related`` contains the relations (see `sparsity`) of the input positions, the patches and the pooled
    positions.
    """
    (read, met, kept), patch, space = related, settings.patch, spaces[0]
    (*outer, length), (*outer_of_y, length_of_y) = map(settings.patch_positions, spaces)
    over_lines = settings.pooling.along(slice(-1))
    line_taps, line_taps_of_y = (pooling.taps(over_lines, tuple(n), dtype) for n in (outer, outer_of_y))
    taps = pooling.taps(settings.pooling.along(slice(-1, None)), (length,), dtype)
    starts, weights = settings.pooling.windows(-1, length_of_y)
    ones = np.ones(len(line_taps.outputs))
    reached = sparse.csc_array((ones, line_taps.outputs, line_taps.pointers), (len(kept.pairs), len(met.pairs))).T
    step, (before, _), n_rows = patch.dilation[-1], patch.padding[-1], patch.reach[-1] + 1
    under = np.arange(length)[:, None] + step * np.arange(patch.size[-1]) - before
    return PairGeometry(
        is_first=False,
        read=read,
        met=met,
        kept=kept,
        sources=lines_under(space[:-1], outer, patch),
        sources_of_y=lines_under(spaces[1][:-1], outer_of_y, patch),
        before=before,
        step=step,
        n_rows=n_rows,
        slots=np.where((under >= 0) & (under < space[-1]), under % n_rows, n_rows),
        centring=-1 / prod(patch.size) if patch.centering else 0.0,
        line_taps=line_taps,
        line_taps_of_y=line_taps_of_y,
        taps=taps,
        windows=pooling.Windows(starts, weights.astype(dtype)),
        wanted=reached @ (kept.pairs >= 0) > 0,
    )


def lines_under(space, positions, patch):  # two tuples without the last axis, PatchGeometry with all axes
    """Return the indices of the lines of a map that each line of patches covers, with -1 for lines outside the map."""
    size, widths = patch.size[:-1], patch.padding[:-1]
    columns = [first for first, _ in widths], patch.dilation[:-1], space
    before, steps, space = (np.array(column, dtype=int).reshape(-1, 1, 1) for column in columns)
    of_patches, of_offsets = np.indices((*positions, *size)).reshape(2, len(before), prod(positions), prod(size))
    index = of_patches + steps * of_offsets - before
    inside = ((index >= 0) & (index < space)).all(axis=0)
    flat = np.ravel_multi_index((np.zeros_like(inside, dtype=int), *index), (1, *space.ravel()), mode="clip")
    return np.where(inside, flat, -1)
