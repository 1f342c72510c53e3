"""`encode` for speed: networks over blocks of signals, each layer by the products that are fastest for it.

A layer is a product of patches and filters (`direct`, or `winograd` where that takes fewer multiplications) that ends,
tile by tile, in norm, kappa and pooling (`fused`); the whitening is one matrix product for the whole block.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import direct, simd, winograd
from .machine import over_blocks, slices

BLOCK = 32  # signals at most that one thread takes through the network together


class Layer(NamedTuple):
    """A layer made ready for signals of one shape."""

    shape: tuple  # (*space, c) of its maps
    output_shape: tuple  # (*pooled, m)
    products: tuple  # direct.Direct or winograd.Winograd
    whitening: np.ndarray  # (m, m)


def make_layer(Z, A, settings, shape):  # (m, d), (m, m)
    """The layer with these filters, for maps of ``shape`` ``(*space, c)``."""
    *space, c = shape
    products = winograd.make(Z, settings, shape) or direct.make(Z, settings, shape)
    return Layer(tuple(shape), (*settings.pooled_positions(space), len(Z)), products, A)


def make_network(filters, whitenings, settings, shape):
    """Layers for signals of ``shape``, one after the other."""
    network = []
    for Z, A, layer_settings in zip(filters, whitenings, settings):
        network.append(make_layer(Z, A, layer_settings, shape))
        shape = network[-1].output_shape
    return network


def encode_block(X, layer):  # (n, *space, c) -> (n, *pooled, m)
    """`encode.encode` for a block of signals."""
    *lines, length, m = layer.output_shape
    panels = layer.products.panels
    Q = simd.aligned((len(X), prod(lines), length, len(panels) * panels.shape[-1]), X.dtype, np.zeros)
    layer.products.add_to(Q, X)
    return (Q.reshape(-1, Q.shape[-1])[:, :m] @ layer.whitening).reshape(len(X), *layer.output_shape)


def encode_network(X, network):
    """All layers, one after the other, for a block of signals."""
    for layer in network:
        X = encode_block(X, layer)
    return X


def encode_signals(signals, network, out, n_threads, memory, finish=None):
    """Stream signals through a network, block by block: ``out[rows] = finish(maps)``.

    Parameters
    ----------
    signals : object with ``len``, ``shape`` ``(*space, c)`` and ``read(rows)``, the maps of a slice of signals
    network : list of Layer
    out : array of len(signals) rows, out
    memory : bytes that the maps of one block may take
    """

    def encode_rows(rows):
        maps = encode_network(signals.read(rows), network)
        out[rows] = finish(maps) if finish else maps

    size = block_size(len(signals), network, out.itemsize, memory)
    over_blocks(encode_rows, slices(len(signals), size), n_threads)
    return out


def block_size(n_signals, network, itemsize, memory):
    """Signals in a block: few enough that their maps fit in ``memory`` bytes and that every thread gets some."""
    largest = 1
    for layer in network:
        padded = prod(n + before + after for n, (before, after) in zip(layer.shape, layer.products.padding))
        largest = max(largest, 2 * padded + 2 * prod(layer.output_shape))
    return max(1, min(BLOCK, int(memory / (largest * itemsize)), n_signals // 8))
