"""`encode` for speed: networks over blocks of signals, each layer by the products that are fastest for it.

A layer is a product of patches and filters (`one_patch` where maps are one patch, `winograd` where that takes fewer
multiplications, or `direct`) that ends, tile by tile, in norm, kappa and pooling (`fused`), and then in the whitening.
No sum has terms of two signals: maps are the same to the last bit whatever the block that their signal is in.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import direct, fused, one_patch, patches, simd, winograd
from .machine import over_blocks, slices
from .panels import add_product, pack

BLOCK = 32  # signals at most that one thread takes through the network together


class Layer(NamedTuple):
    """A layer made ready for signals of one shape."""

    shape: tuple  # (*space, c) of its maps
    output_shape: tuple  # (*pooled, m)
    products: tuple  # from `make_products`
    whitening: np.ndarray  # (n_panels, m, n_lanes)


def make_layer(Z, A, settings, shape):  # (m, d), (m, m)
    """The layer with these filters, for maps of ``shape`` ``(*space, c)``."""
    products = make_products(Z, settings, shape, fused.ending(settings, shape[:-1], Z.dtype))
    return Layer(tuple(shape), (*settings.pooled_positions(shape[:-1]), len(Z)), products, pack(A.T))


def make_products(Z, settings, shape, ending):  # -> one_patch.OnePatch, winograd.Winograd or direct.Direct
    """The fastest way for maps of this shape."""
    arguments = Z, settings, shape, ending
    return one_patch.make(*arguments) or winograd.make(*arguments) or direct.make(*arguments)


def encode_block(X, layer):  # (n, *space, c) -> (n, *pooled, m)
    """`encode.encode` for a block of signals."""
    *lines, length, m = layer.output_shape
    n_panels, lanes = len(layer.whitening), layer.whitening.shape[2]
    Q = simd.aligned((len(X), prod(lines), length, n_panels * lanes), X.dtype, np.zeros)
    layer.products.add_to(Q, X)
    maps = np.zeros((len(X), *layer.output_shape), dtype=X.dtype)
    add_product(Q.reshape(-1, n_panels * lanes), layer.whitening, maps.reshape(-1, m))
    return maps


def encode_network(X, network):
    """All layers, one after the other, for a block of signals."""
    for layer in network:
        X = encode_block(X, layer)
    return X


def encode_signals(signals, network, use, n_threads, memory, flip=False):
    """Stream signals through a network, block by block: ``use(rows, maps)``, in threads.

    Parameters
    ----------
    signals : object with ``len``, ``shape`` ``(*space, c)``, ``dtype`` and ``read(rows)``, the maps of a slice of them
    network : list of Layer
    use : callable, for a slice of signals and their maps
    memory : bytes that the maps of one block may take
    flip : bool, whether maps are the means of those of a signal and of its mirror image
    """

    def encode_rows(rows):
        X = signals.read(rows)
        maps = encode_network(X, network)
        if flip:
            maps += encode_network(patches.flip(X), network)
            maps /= 2
        use(rows, maps)

    size = block_size(signals, network, memory, n_threads, flip)
    over_blocks(encode_rows, slices(len(signals), size), n_threads)


def block_size(signals, network, memory, n_threads, flip=False):
    """Signals in a block: few enough that their maps fit in ``memory`` bytes and that every thread gets two blocks."""
    largest = prod(signals.shape)
    for layer in network:
        *pooled, m = layer.output_shape
        n_panels, _, lanes = layer.whitening.shape
        largest = max(largest, prod(layer.shape) + layer.products.size + prod(pooled) * (n_panels * lanes + m))
    if flip:  # the signals and what was made of them stay meanwhile
        largest += prod(network[0].shape) + prod(network[-1].output_shape)
    return max(1, min(BLOCK, int(memory / (largest * signals.dtype.itemsize)), -(-len(signals) // (2 * n_threads))))
