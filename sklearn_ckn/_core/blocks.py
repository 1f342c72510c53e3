"""`encode`, tile by tile: what it says of all patches at once is done for a few lines of the map in the cache.

A tile is some lines of patches, or a piece of a long line: the patches are gathered and multiplied by the filters; then
norm, kappa and pooling are one pass over the products, which adds them to the pooled map. The map before pooling never
exists.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import patches, pooling
from .kappa import kappa
from .machine import compiled, over_blocks, slices

TILE_BYTES = 2**20  # patches and products of a tile: about what a core's cache holds
BLOCK = 32  # signals at most that one thread takes through the network together


class Network(NamedTuple):
    """The layers of a network: for each its filters, its whitening and its settings."""

    filters: tuple  # of (m, d)
    whitening: tuple  # of (m, m)
    settings: tuple  # of LayerSettings

    def layers(self):
        return zip(*self)

    def output_shape(self, shape):
        """The shape ``(*pooled, m)`` of the last map of a signal of ``shape`` ``(*space, c)``."""
        for Z, _, layer in self.layers():
            shape = (*layer.pooled_positions(shape[:-1]), len(Z))
        return shape


@compiled
def add_pooled(T, r, kernel, first_line, line_taps, first_column, column_taps, Q):
    """Norm, kappa and pooling of one tile in one pass.

    Along a line, ``r kappa(T / r)`` is pooled as it is computed; the pooled line is then added, with the weights of
    the other axes, to the pooled lines of its signal.

    Parameters
    ----------
    T : ndarray of shape (n_lines, length, m), products of patches and filters
    r : ndarray of shape (n_lines, length), patch norms
    kernel : record of `kappa`
    first_line, first_column : ints, where the tile begins among the block's lines and in each of them
    line_taps, column_taps : tuples of `pooling.taps`, of all axes but the last and of the last
    Q : ndarray of shape (n, pooled_lines, pooled_length, m), out
    """
    line_pointers, line_outputs, line_weights = line_taps
    pointers, outputs, weights = column_taps
    n_lines, length, m = T.shape
    reached = outputs[pointers[first_column] : pointers[first_column + length]]
    if len(reached) == 0:
        return
    begin, end = reached.min(), reached.max() + 1
    pooled = np.empty((end - begin, m), T.dtype)
    row = np.empty(m, T.dtype)
    for line in range(n_lines):
        pooled[:] = 0
        for i in range(length):
            norm = r[line, i]
            if norm > 0:
                inverse = 1 / norm
                for j in range(m):
                    row[j] = norm * kappa(kernel, min(max(T[line, i, j] * inverse, -1.0), 1.0))
                for t in range(pointers[first_column + i], pointers[first_column + i + 1]):
                    target = pooled[outputs[t] - begin]
                    for j in range(m):
                        target[j] += weights[t] * row[j]
        signal, at = divmod(first_line + line, len(line_pointers) - 1)
        for t in range(line_pointers[at], line_pointers[at + 1]):
            for i in range(end - begin):
                target = Q[signal, line_outputs[t], begin + i]
                for j in range(m):
                    target[j] += line_weights[t] * pooled[i, j]


def cut_tiles(n_lines, length, row_bytes):
    """Tiles of about `TILE_BYTES`, as pairs of slices of lines and of columns; lines are cut only if they are long."""
    n_pieces = -(-length // max(1, TILE_BYTES // row_bytes))
    columns = slices(length, -(-length // n_pieces))
    lines_per_tile = min(n_lines, max(1, TILE_BYTES // (length * row_bytes)))
    return [(lines, piece) for lines in slices(n_lines, lines_per_tile) for piece in columns]


def tile_shape(tile):
    """Its lines and its columns, never more than the first tile has."""
    return tuple(part.stop - part.start for part in tile)


def encode_block(X, Z, A, layer):  # (n, *space, c), (m, d), (m, m) -> (n, *pooled, m)
    """`encode.encode` for a block of signals."""
    (n, *space, c), (m, d) = X.shape, Z.shape
    positions, width, stride = layer.patch_positions(space), layer.pooling_width, layer.subsampling
    line_taps = pooling.taps(layer.pooling, positions[:-1], width[:-1], stride[:-1], X.dtype)
    column_taps = pooling.taps(layer.pooling, positions[-1:], width[-1:], stride[-1:], X.dtype)
    *pooled_lines, pooled_length = layer.pooled_positions(space)
    Q = np.zeros((n, prod(pooled_lines), pooled_length, m), dtype=X.dtype)

    padded = patches.pad(X, layer.padding_widths)
    at, memory = patches.lines(padded, layer.patch_size), padded.ravel()
    tiles = cut_tiles(len(at.starts), at.length, (d + m) * X.itemsize)
    largest = prod(tile_shape(tiles[0]))
    patch_rows, products = np.empty((largest, d), dtype=X.dtype), np.empty((largest, m), dtype=X.dtype)
    for tile in tiles:
        (lines, columns), shape = tile, tile_shape(tile)
        P, T = patch_rows[: prod(shape)], products[: prod(shape)]
        patches.gather(memory, at.starts[lines] + columns.start * at.step, at.runs, at.run, at.step, P)
        if layer.patch_centering:
            P = patches.center(P, c)
        r = np.sqrt(np.einsum("ij,ij->i", P, P)).reshape(shape)
        np.matmul(P, Z.T, out=T)
        add_pooled(T.reshape(*shape, m), r, layer.kernel, lines.start, line_taps, columns.start, column_taps, Q)
    return (Q.reshape(-1, m) @ A).reshape(n, *pooled_lines, pooled_length, m)


def encode_network(X, network):
    """All layers, one after the other, for a block of signals."""
    for Z, A, layer in network.layers():
        X = encode_block(X, Z, A, layer)
    return X


def encode_signals(signals, network, out, n_threads, memory, finish=None):
    """Stream signals through a network, block by block: ``out[rows] = finish(maps)``.

    Parameters
    ----------
    signals : object with ``len``, ``shape`` ``(*space, c)`` and ``read(rows)``, the maps of a slice of signals
    out : array of len(signals) rows, out
    memory : bytes that the maps of one block may take
    """

    def encode_rows(rows):
        maps = encode_network(signals.read(rows), network)
        out[rows] = finish(maps) if finish else maps

    size = block_size(len(signals), signals.shape, network, out.itemsize, memory)
    over_blocks(encode_rows, slices(len(signals), size), n_threads)
    return out


def block_size(n_signals, shape, network, itemsize, memory):
    """Signals in a block: few enough that their maps fit in ``memory`` bytes and that every thread gets some."""
    *space, c = shape
    largest = 1
    for Z, _, layer in network.layers():
        padded = prod(length + before + after for length, (before, after) in zip(space, layer.padding_widths)) * c
        space, c = layer.pooled_positions(space), len(Z)
        largest = max(largest, 2 * padded + 2 * prod(space) * c)
    return max(1, min(BLOCK, int(memory / (largest * itemsize)), n_signals // 8))
