"""`encode` for speed: networks over blocks of signals, each layer by the products that are fastest for it.

A layer is a product of patches and filters (`direct`, or `winograd` where that takes fewer multiplications) that ends,
tile by tile, in norm, kappa and pooling (`fused`), and then in the whitening. Every signal is computed by itself: its
maps are the same to the last bit whatever the block that it is in.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import direct, fused, patches, simd, winograd
from .machine import compiled, over_blocks, slices
from .panels import ROWS, multiply, pack

BLOCK = 32  # signals at most that one thread takes through the network together
TILE = 96  # rows that are whitened together
DEPTH = 512  # filters of the pooled map at a time: more would be faster by a tenth, but sums of so many lose digits


class Layer(NamedTuple):
    """A layer made ready for signals of one shape."""

    shape: tuple  # (*space, c) of its maps
    output_shape: tuple  # (*pooled, m)
    products: tuple  # direct.Direct or winograd.Winograd
    whitening: np.ndarray  # (n_panels, m, n_lanes)


def make_layer(Z, A, settings, shape):  # (m, d), (m, m)
    """The layer with these filters, for maps of ``shape`` ``(*space, c)``."""
    products = make_products(Z, settings, shape, fused.ending(settings, shape[:-1], Z.dtype))
    return Layer(tuple(shape), (*settings.pooled_positions(shape[:-1]), len(Z)), products, pack(A.T))


def make_products(Z, settings, shape, ending):  # -> winograd.Winograd or direct.Direct
    """The way with the fewest multiplications."""
    return winograd.make(Z, settings, shape, ending) or direct.make(Z, settings, shape, ending)


def encode_block(X, layer):  # (n, *space, c) -> (n, *pooled, m)
    """`encode.encode` for a block of signals."""
    *lines, length, m = layer.output_shape
    n_panels, lanes = len(layer.whitening), layer.whitening.shape[2]
    Q = simd.aligned((len(X), prod(lines), length, n_panels * lanes), X.dtype, np.zeros)
    layer.products.add_to(Q, X)
    maps = np.zeros((len(X), *layer.output_shape), dtype=X.dtype)
    T = simd.aligned((TILE + ROWS - 1, lanes), X.dtype)
    add_whitened(Q.reshape(-1, n_panels * lanes), layer.whitening, T, maps.reshape(-1, m))
    return maps


@compiled
def add_whitened(Q, panels, T, maps):  # (k, at least m), (n_panels, m, n_lanes), scratch, out (k, m)
    """``Q A``, some rows and some filters at a time."""
    (k, m), lanes, step, memory = maps.shape, panels.shape[2], Q.shape[1], Q.ravel()
    starts, whole = np.empty(TILE + ROWS - 1, np.int64), np.zeros(1, np.int64)
    for row in range(0, k, TILE):
        n_rows = min(TILE, k - row)
        for first in range(0, m, DEPTH):
            depth = min(DEPTH, m - first)
            for i in range(len(starts)):
                starts[i] = min(row + i, k - 1) * step + first
            for panel in range(len(panels)):
                Z, column = panels[panel, first : first + depth], panel * lanes
                multiply(memory, starts, n_rows, whole, depth, Z, T, Z[:0])
                if column + lanes <= m:
                    for i in range(n_rows):
                        total = simd.load(maps, (row + i, column)) + simd.load(T, (i, 0))
                        simd.store(total, maps, (row + i, column))
                else:
                    for i in range(n_rows):
                        for j in range(m - column):
                            maps[row + i, column + j] += T[i, j]


def encode_network(X, network):
    """All layers, one after the other, for a block of signals."""
    for layer in network:
        X = encode_block(X, layer)
    return X


def encode_signals(signals, network, out, n_threads, memory, finish=None, flip=False):
    """Stream signals through a network, block by block: ``out[rows] = finish(maps)``.

    Parameters
    ----------
    signals : object with ``len``, ``shape`` ``(*space, c)`` and ``read(rows)``, the maps of a slice of signals
    network : list of Layer
    out : array of len(signals) rows, out
    memory : bytes that the maps of one block may take
    flip : bool, whether maps are the means of those of a signal and of its mirror image
    """

    def encode_rows(rows):
        X = signals.read(rows)
        maps = encode_network(X, network)
        if flip:
            maps += encode_network(patches.flip(X), network)
            maps /= 2
        out[rows] = finish(maps) if finish else maps

    size = block_size(len(signals), network, out.itemsize, memory, n_threads, flip)
    over_blocks(encode_rows, slices(len(signals), size), n_threads)
    return out


def block_size(n_signals, network, itemsize, memory, n_threads, flip=False):
    """Signals in a block: few enough that their maps fit in ``memory`` bytes and that every thread gets two blocks."""
    largest = 0
    for layer in network:
        *pooled, m = layer.output_shape
        n_panels, _, lanes = layer.whitening.shape
        largest = max(largest, prod(layer.shape) + prod(pooled) * (n_panels * lanes + m))
    if flip:  # the signals and what was made of them stay meanwhile
        largest += prod(network[0].shape) + prod(network[-1].output_shape)
    return max(1, min(BLOCK, int(memory / (largest * itemsize)), -(-n_signals // (2 * n_threads))))
