"""Products of patches and filters, the patches read where they lie in the map.

This is the way for any number of axes, any patch and both precisions. Patches to be centred are copied first, those of
a tile at a time.
"""

from typing import NamedTuple

import numpy as np

from . import patches, simd
from .fused import finish
from .machine import compiled
from .panels import ROWS, multiply, pack

TILE_BYTES = 2**14  # products of a tile: they stay in the first cache


class Direct(NamedTuple):
    """A layer's products, and what becomes of them, made ready for signals of one shape."""

    at: patches.Layout
    centering: bool
    tiles: np.ndarray  # (n_tiles, 4): lines from, to, columns from, to
    panels: np.ndarray  # (n_panels, d, n_lanes)
    ending: tuple  # fused.Ending or fused.Kept

    size = 0  # numbers that it holds for every signal of a block: its tiles are those of one at a time

    def add_to(self, Q, X):  # out (n, pooled_lines, pooled_length, n_panels * n_lanes), (n, *space, c)
        """Add all patches of the maps, pooled, to Q; or keep their products in it."""
        at, (_, d, lanes) = self.at, self.panels.shape
        sizes = self.tiles[:, 1::2] - self.tiles[:, ::2]
        n_patches = sizes.prod(axis=1).max() + ROWS - 1
        T, scratch = simd.aligned((n_patches, lanes), X.dtype), self.ending.scratch(sizes[:, 1].max(), Q)
        starts = np.empty(n_patches, dtype=np.int64)
        by_lines, padded = patches.by_lines(X), at.padded(X.dtype)
        arguments = by_lines, self.tiles, at, padded, self.panels, self.ending, starts, T, scratch, Q
        if self.centering:
            add_centered_tiles(*arguments, np.zeros((n_patches, d), dtype=X.dtype))
        else:
            add_tiles(*arguments)


def make(Z, settings, shape, ending):  # (m, d), (*space, c)
    """This way, for maps of ``shape``."""
    *space, _ = shape
    widths = (*settings.padding_widths, (0, 0))
    at = patches.layout(shape, widths, settings.patch_size, settings.patch_positions(space))
    tiles = cut_tiles(len(at.starts), at.length)
    return Direct(at, settings.patch_centering, tiles, pack(Z), ending)


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


@compiled
def add_tiles(X, tiles, at, padded, panels, ending, starts, T, scratch, Q):
    """Tile by tile, patches as they lie."""
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    shape = len(at.starts), at.length
    r, inverse = np.empty(shape, X.dtype), np.empty(shape, X.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        patches.find_norms(padded, at, squares, sums, r, inverse)
        for line, last_line, column, last_column in tiles:
            find_starts(at, line, last_line, column, last_column, starts)
            here = slice(line, last_line), slice(column, last_column)
            norms, place = (r[here], inverse[here]), (starts, at.runs, at.run)
            add_tile(padded.ravel(), place, norms, panels, ending, line, column, T, scratch, Q[signal])


@compiled
def add_centered_tiles(X, tiles, at, padded, panels, ending, starts, T, scratch, Q, P):  # P (len(starts), d)
    """Tile by tile, patches copied and centred."""
    d = P.shape[1]
    place = np.arange(len(P)) * d, np.zeros(1, np.int64), d
    r, inverse = np.zeros(len(P), P.dtype), np.zeros(len(P), P.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        for line, last_line, column, last_column in tiles:
            shape = last_line - line, last_column - column
            n_patches = shape[0] * shape[1]
            find_starts(at, line, last_line, column, last_column, starts)
            patches.gather(padded.ravel(), starts[:n_patches], at.runs, at.run, P)
            patches.center_rows(P[:n_patches], at.n_channels)
            patches.sum_squares(P, r)
            patches.take_roots(r, inverse)
            norms = r[:n_patches].reshape(shape), inverse[:n_patches].reshape(shape)
            add_tile(P.ravel(), place, norms, panels, ending, line, column, T, scratch, Q[signal])


@compiled
def find_starts(at, line, last_line, column, last_column, starts):
    """The first numbers of a tile's patches; those after them, up to `ROWS` - 1, repeat the last one."""
    i = 0
    for k in range(line, last_line):
        for j in range(column, last_column):
            starts[i] = at.starts[k] + j * at.n_channels
            i += 1
    for k in range(i, min(i + ROWS - 1, len(starts))):
        starts[k] = starts[i - 1]


@compiled
def add_tile(x, place, norms, panels, ending, line, column, T, scratch, Q):
    """Multiply the patches of a tile by one panel after the other, and finish the products."""
    (starts, runs, run), shape, lanes = place, norms[0].shape, T.shape[1]
    n_patches = shape[0] * shape[1]
    products = T[:n_patches].reshape(shape + (lanes,))
    for panel in range(len(panels)):
        multiply(x, starts, n_patches, runs, run, panels[panel], T, panels[panel, :0])
        finish(products, norms, ending, line, column, scratch, Q, panel * lanes)
