"""Products of patches and filters, the patches read where they lie in the map.

This is the way for any number of axes, any patch and both precisions. Patches to be centred are copied first, those of
a tile at a time.
"""

from typing import NamedTuple

import numpy as np

from . import patches, simd
from .fused import Ending, add_pooled, ending
from .machine import compiled

TILE_BYTES = 2**14  # products of a tile: they stay in the first cache


class Direct(NamedTuple):
    """A layer's products and pooling made ready for signals of one shape."""

    padding: tuple  # zeros before and after each axis and the channels
    at: patches.Layout
    centering: bool
    tiles: np.ndarray  # (n_tiles, 4): lines from, to, columns from, to
    panels: np.ndarray  # (n_panels, d, n_lanes)
    ending: Ending

    def add_to(self, Q, X):  # out (n, pooled_lines, pooled_length, n_panels * n_lanes), (n, *space, c)
        """Add all patches of the maps, pooled, to Q."""
        X, at = patches.pad(X, self.padding), self.at
        n_patches = np.prod(self.tiles[:, 1::2] - self.tiles[:, ::2], axis=1).max()
        T = simd.aligned((n_patches + simd.ROWS - 1, self.panels.shape[2]), X.dtype)
        scratch = self.ending.scratch(at.starts.shape[1], Q)
        if self.centering:
            P = np.zeros((len(T), self.panels.shape[1]), dtype=X.dtype)
            add_centered_tiles(X.reshape(len(X), -1), self.tiles, at, P, self.panels, self.ending, T, scratch, Q)
        else:
            starts = np.pad(at.starts.ravel(), (0, simd.ROWS - 1), mode="edge")
            norms = patches.norms(X, at)
            add_tiles(X.reshape(len(X), -1), self.tiles, at, starts, norms, self.panels, self.ending, T, scratch, Q)


def make(Z, settings, shape):  # (m, d), (*space, c)
    """This way, for maps of ``shape``."""
    *space, _ = shape
    padding, positions = (*settings.padding_widths, (0, 0)), settings.patch_positions(space)
    padded = [n + before + after for n, (before, after) in zip(shape, padding)]
    at = patches.layout(padded, settings.patch_size, positions)
    tiles = cut_tiles(*at.starts.shape)
    return Direct(padding, at, settings.patch_centering, tiles, pack(Z), ending(settings, space, Z.dtype))


def cut_tiles(n_lines, length):  # -> (n_tiles, 4)
    """Tiles of `TILE_BYTES` at most: whole lines, or parts of a long one."""
    n_patches = max(1, TILE_BYTES // simd.VECTOR_BYTES)
    lines, columns = max(1, n_patches // length), -(-length // -(-length // n_patches))
    return np.array(
        [
            (line, min(line + lines, n_lines), column, min(column + columns, length))
            for line in range(0, n_lines, lines)
            for column in range(0, length, columns)
        ]
    )


def pack(Z):  # (m, d) -> (n_panels, d, n_lanes)
    """The filters as panels, the last one filled up with zeros."""
    lanes = simd.n_lanes(Z.dtype)
    panels = simd.aligned((-(-len(Z) // lanes), Z.shape[1], lanes), Z.dtype, np.zeros)
    for first, panel in zip(range(0, len(Z), lanes), panels):
        filters = Z[first : first + lanes]
        panel[:, : len(filters)] = filters.T
    return panels


@compiled
def add_tiles(X, tiles, at, starts, norms, panels, ending, T, scratch, Q):
    """Tile by tile, patches as they lie; ``starts`` has `simd.ROWS` - 1 more of them."""
    (r, inverse), length = norms, at.starts.shape[1]
    for signal in range(len(X)):
        for line, last_line, column, last_column in tiles:
            here = slice(line, last_line), slice(column, last_column)
            tile = r[signal][here], inverse[signal][here]
            first = line * length + column
            add_tile(
                X[signal], starts[first:], at.runs, at.run, tile, panels, ending, line, column, T, scratch, Q[signal]
            )


@compiled
def add_centered_tiles(X, tiles, at, P, panels, ending, T, scratch, Q):  # P (at least simd.ROWS - 1 + a tile, d)
    """Tile by tile, patches copied and centred."""
    d, length, starts = P.shape[1], at.starts.shape[1], at.starts.ravel()
    rows, whole = np.arange(len(P)) * d, np.zeros(1, np.int64)
    r, inverse = np.zeros(len(P), P.dtype), np.zeros(len(P), P.dtype)
    for signal in range(len(X)):
        for line, last_line, column, last_column in tiles:
            shape = last_line - line, last_column - column
            first, n_patches = line * length + column, shape[0] * shape[1]
            patches.gather(X[signal], starts[first : first + n_patches], at.runs, at.run, P)
            patches.center_rows(P[:n_patches], at.n_channels)
            patches.sum_squares(P, r)
            patches.take_roots(r, inverse)
            tile = r[:n_patches].reshape(shape), inverse[:n_patches].reshape(shape)
            add_tile(P.ravel(), rows, whole, d, tile, panels, ending, line, column, T, scratch, Q[signal])


@compiled
def add_tile(x, starts, runs, run, norms, panels, ending, line, column, T, scratch, Q):
    """Multiply the patches of a tile by one panel after the other, and add them to the pooled map."""
    shape, lanes = norms[0].shape, T.shape[1]
    n_patches = shape[0] * shape[1]
    products = T[:n_patches].reshape(shape + (lanes,))
    for panel in range(len(panels)):
        for i in range(0, n_patches, simd.ROWS):
            simd.multiply(x, starts, i, runs, run, panels[panel], T, i)
        add_pooled(products, norms, ending, line, column, scratch, Q, panel * lanes)
