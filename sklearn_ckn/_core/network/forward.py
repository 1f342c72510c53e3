"""The forward pass of a network for blocks of signals: convolution, epilogue and whitening in every layer.

No sum combines terms from different signals, so the maps of a signal are the same, bit for bit, whichever block the
signal is in. The maps may be averaged over a group of symmetries. For this purpose, the orbit of each signal is encoded
in the same block as the signal.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ..layer.settings import LayerSettings
from ..layer.symmetries import mean_over_orbits, orbits, order
from ..runtime import simd
from ..runtime.microkernel import add_product, pack
from ..runtime.threads import over_blocks, slices
from . import epilogue
from .convolution import Convolution, make_convolution
from .packed_filters import PackedFilters

BLOCK = 32  # maximum number of signals in a block; each block is encoded by a single thread


class PreparedLayer(NamedTuple):
    """A layer that has been prepared for signals of a given shape."""

    shape: tuple  # (*space, c), shape of its input maps
    output_shape: tuple  # (*pooled, m)
    convolution: Convolution
    whitening: np.ndarray  # (n_panels, m, n_lanes)


class PackedLayer(NamedTuple):
    """A layer that has been prepared for maps of any shape."""

    filters: PackedFilters
    whitening: np.ndarray  # (n_panels, m, n_lanes)
    settings: LayerSettings

    def prepare(self, shape):  # (*space, c) -> PreparedLayer
        """Prepare the layer for maps of the given shape."""
        filters, settings = self.filters, self.settings
        pooled = epilogue.make_pooled(settings, shape[:-1], filters.Z.dtype)
        made = make_convolution(filters, settings, shape, pooled)
        output_shape = (*settings.pooled_positions(shape[:-1]), len(filters.Z))
        return PreparedLayer(tuple(shape), output_shape, made, self.whitening)


def pack_layer(Z, A, settings):  # (m, d), (m, m), LayerSettings -> PackedLayer
    """Prepare a layer with filters Z and whitening A for maps of any shape."""
    return PackedLayer(PackedFilters(Z), pack(A.T), settings)


def prepare(Z, A, settings, shape):  # (m, d), (m, m), LayerSettings, (*space, c) -> PreparedLayer
    """Prepare a layer with filters Z and whitening A for maps of the given shape."""
    return pack_layer(Z, A, settings).prepare(shape)


def encode_block(X, layer, symmetries=None):  # (n, *space, c), PreparedLayer -> (n, *pooled, m)
    """Compute `definition.encode` for a block of signals.

    If X consists of orbits, the result is the mean over each orbit. The mean is computed before the whitening, which is
    linear, so that there are fewer maps to whiten.
    """
    *lines, length, m = layer.output_shape
    n_panels, lanes = len(layer.whitening), layer.whitening.shape[2]
    Q = simd.aligned((len(X), prod(lines), length, n_panels * lanes), X.dtype, np.zeros)
    layer.convolution.add_to(Q, X)
    Q = mean_over_orbits(Q, symmetries)
    maps = np.zeros((len(Q), *layer.output_shape), dtype=X.dtype)
    add_product(Q.reshape(-1, n_panels * lanes), layer.whitening, maps.reshape(-1, m))
    return maps


def encode_network(X, network, symmetries=None):  # (n, *space, c), list of PreparedLayer, key of GROUPS
    """Return the maps of the last layer for a block of signals, averaged over a group of symmetries."""
    X = orbits(X, symmetries)
    for layer in network[:-1]:
        X = encode_block(X, layer)
    return encode_block(X, network[-1], symmetries) if network else X


def encode_signals(signals, network, use, n_threads, memory, symmetries=None):
    """Encode signals block by block in several threads, and pass each block of maps to ``use``.

    Parameters
    ----------
    signals : object with a length, the attributes ``shape`` (``(*space, c)``) and ``dtype``, and a method ``read``
        ``read(rows)`` returns the signals in a slice.
    network : list of PreparedLayer
    use : callable ``use(rows, maps)``, which is called with each slice of signals and their maps
    n_threads : int
    memory : int, maximum number of bytes for the maps of one block
    symmetries : key of `symmetries.GROUPS`, the group over which the maps of each signal are averaged
    """

    def encode_rows(rows):
        use(rows, encode_network(signals.read(rows), network, symmetries))

    size = block_size(signals, network, memory, n_threads, order(symmetries))
    over_blocks(encode_rows, slices(len(signals), size), n_threads)


def block_size(signals, network, memory, n_threads, n_transforms=1):
    """Return a block size: the maps fit in ``memory`` bytes, and each of several threads gets about two blocks or more.

    Each signal stands for ``n_transforms`` signals in the block, which are the elements of its orbit.
    """
    largest = prod(signals.shape)
    for layer in network:
        *pooled, m = layer.output_shape
        n_panels, _, lanes = layer.whitening.shape
        held = prod(layer.shape) + layer.convolution.numbers_per_signal + prod(pooled) * (n_panels * lanes + m)
        largest = max(largest, held)
    n_fitting = min(BLOCK, int(memory / (largest * signals.dtype.itemsize))) // n_transforms
    n_blocks = 2 * n_threads if n_threads > 1 else 1
    return max(1, min(n_fitting, -(-len(signals) // n_blocks)))
