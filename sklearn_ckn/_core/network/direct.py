"""The convolution that reads patches directly from the padded map, without copying them.

This strategy supports any number of spatial axes, any patch geometry, and both single and double precision. Patches are
copied, one tile at a time, only if they must be centred.
"""

from typing import NamedTuple

import numpy as np

from ..layer import patches
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import ROWS, Runs, multiply_panel
from .epilogue import Place, finish

TILE_BYTES = 2**14  # maximum size in bytes of the products of a tile, which must fit in the first-level cache


class Direct(NamedTuple):
    """A `convolution.Convolution` that is computed tile by tile."""

    at: patches.Layout
    centering: bool
    tiles: np.ndarray  # (n_tiles, 4) start and end of the lines, start and end of the columns; the ends are exclusive
    panels: np.ndarray  # (n_panels, d, n_lanes)
    epilogue: tuple  # epilogue.Pooled or epilogue.Kept

    numbers_per_signal = 0  # The scratch memory does not grow with the number of signals in a block.

    @classmethod
    def make(cls, filters, settings, shape, epilogue):  # PackedFilters, LayerSettings, (*space, c)
        """Prepare the filters. This strategy supports maps of any shape."""
        at = patches.layout(shape, settings.patch)
        return cls(at, settings.patch.centering, cut_tiles(len(at.starts), at.length), filters.panels, epilogue)

    def add_to(self, Q, X):  # out (n, lines, length, n_panels * n_lanes), (n, *space, c)
        """Compute the products of the filters and all patches of the maps, and apply the epilogue."""
        sizes = self.tiles[:, 1::2] - self.tiles[:, ::2]
        n_patches, (_, d, lanes) = sizes.prod(axis=1).max() + ROWS - 1, self.panels.shape
        scratch = Scratch(
            padded=self.at.padded(X.dtype),
            starts=np.empty(n_patches, dtype=np.int64),
            T=simd.aligned((n_patches, lanes), X.dtype),
            epilogue=self.epilogue.scratch(sizes[:, 1].max(), Q),
        )
        if self.centering:
            add_centered_tiles(patches.by_lines(X), self, scratch, np.zeros((n_patches, d), dtype=X.dtype), Q)
        else:
            add_tiles(patches.by_lines(X), self, scratch, Q)


class Scratch(NamedTuple):
    """Scratch memory for the products of one tile."""

    padded: np.ndarray  # a padded signal
    starts: np.ndarray  # (n_patches,) start of each patch of a tile, followed by copies of the last start
    T: np.ndarray  # (n_patches, n_lanes) products of the patches of a tile and one panel
    epilogue: tuple


def cut_tiles(n_lines, length):  # -> (n_tiles, 4)
    """Cut a map into tiles whose products with one panel have at most `TILE_BYTES` bytes.

    A tile consists of whole lines, or of a part of one line if a whole line is too long.
    """
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
def add_tiles(X, direct, scratch, Q):
    """Multiply the patches in the padded map by the filters, tile by tile, and apply the epilogue."""
    at, padded = direct.at, scratch.padded
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    shape = len(at.starts), at.length
    norms = patches.Norms(np.empty(shape, X.dtype), np.empty(shape, X.dtype))
    in_place = Runs(padded.ravel(), scratch.starts, at.runs, at.run)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        patches.find_norms(padded, at, squares, sums, norms)
        for line, last_line, column, last_column in direct.tiles:
            find_starts(at, line, last_line, column, last_column, scratch.starts)
            here = slice(line, last_line), slice(column, last_column)
            of_tile = patches.Norms(norms.r[here], norms.inverse[here])
            add_tile(in_place, of_tile, direct, Place(line, column, 0, 1), scratch, Q[signal])


@compiled
def add_centered_tiles(X, direct, scratch, P, Q):  # P (n_patches, d)
    """Copy the patches of each tile to P, centre P, multiply P by the filters, and apply the epilogue."""
    at, d = direct.at, P.shape[1]
    copied = Runs(P.ravel(), np.arange(len(P)) * d, np.zeros(1, np.int64), d)
    r, inverse = np.zeros(len(P), P.dtype), np.zeros(len(P), P.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, scratch.padded)
        for line, last_line, column, last_column in direct.tiles:
            shape = last_line - line, last_column - column
            n_patches = shape[0] * shape[1]
            find_starts(at, line, last_line, column, last_column, scratch.starts)
            patches.gather(scratch.padded.ravel(), scratch.starts[:n_patches], at.runs, at.run, P)
            patches.center_rows(P[:n_patches], at.n_channels)
            patches.sum_squares(P, r)
            patches.take_roots(r, inverse)
            of_tile = patches.Norms(r[:n_patches].reshape(shape), inverse[:n_patches].reshape(shape))
            add_tile(copied, of_tile, direct, Place(line, column, 0, 1), scratch, Q[signal])


@compiled
def find_starts(at, line, last_line, column, last_column, starts):
    """Compute the start of each patch of a tile.

    The last start is repeated `ROWS` - 1 times, because `multiply_panel` reads `ROWS` patches at a time.
    """
    i = 0
    for k in range(line, last_line):
        for j in range(column, last_column):
            starts[i] = at.starts[k] + j * at.n_channels
            i += 1
    for k in range(i, min(i + ROWS - 1, len(starts))):
        starts[k] = starts[i - 1]


@compiled
def add_tile(tile, norms, direct, place, scratch, Q):  # Runs, patches.Norms of the tile's shape, ...
    """Multiply the patches of a tile by each panel in turn, and apply the epilogue to the products."""
    shape, T = norms.r.shape, scratch.T
    n_patches, lanes = shape[0] * shape[1], T.shape[1]
    products = T[:n_patches].reshape(shape + (lanes,))
    for panel in range(len(direct.panels)):
        multiply_panel(tile, n_patches, direct.panels[panel], T, direct.panels[panel, :0])
        here = Place(place.line, place.column, panel * lanes, 1)
        finish(products, norms, direct.epilogue, here, scratch.epilogue, Q)
