"""Products of patches and filters with fewer multiplications, by Winograd's minimal filtering (see `transforms`).

Tiles of the map and filters are transformed; summed over channels, and over the axes along which nothing is
transformed, the product is one matrix product for each entry of the transformed tiles; it is transformed back.

The error grows with the transforms' matrices, up to tenfold, and is shared by the patches of a tile: that of a faint
patch is relative to the largest ones beside it. That is for float32; float64 never takes this way.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import patches, simd
from .fused import finish
from .machine import compiled, single_threaded_blas
from .panels import ROWS, count_panels, multiply
from .transforms import backward, choose, forward

TILES = 96  # of products at a time: as many use a panel while it is in the cache
MOST_TILES = 2048  # in a band: longer ones leave the cache
MOST_NUMBERS = 2**22  # in the transformed tiles of some bands, which every thread holds
SPACING = 48  # numbers between the entries of all tiles, which must not lie powers of two apart
FEWEST_CHANNELS = simd.n_lanes(np.float32)  # they fill the vectors
MOST_WORK = 0.6  # of the patches' own multiplications; with more, the transforms cost what is saved


class Tiling(NamedTuple):
    """A padded signal as planes (lines, if the scheme has one axis) of rows and columns of tiles.

    A *band* is one row of tiles of all planes of a signal; as many bands as take `TILES` are transformed together.
    """

    n_planes: int
    n_outputs: int  # planes of products
    n_blocks: int  # filters side by side along the columns
    n_rows: int
    n_columns: int
    n_bands: int
    n_numbers: int  # of each entry in the transformed tiles of these bands
    starts: np.ndarray  # (n_bands * n_outputs * n_columns + ROWS - 1,) of tiles, as of patches in a `Layout`
    runs: np.ndarray  # (n_runs,)


class Winograd(NamedTuple):
    """A layer's products, and what becomes of them, made ready for signals of one shape."""

    scheme: tuple
    at: patches.Layout  # with zeros around the signal so that tiles and vectors fill it
    tiling: Tiling
    panels: np.ndarray  # (n_panels, entries of a tile, n_runs * c, n_lanes)
    ending: tuple  # fused.Ending or fused.Kept

    size = 0  # numbers that it holds for every signal of a block: its tiles are those of one at a time

    def add_to(self, Q, X):  # out (n, pooled_lines, pooled_length, n_panels * n_lanes), (n, *space, c)
        """Add all patches of the maps, pooled, to Q; or keep their products in it."""
        at, rows, columns, tiling = self.at, self.scheme.rows, self.scheme.columns, self.tiling
        lanes = self.panels.shape[3]
        V = simd.aligned((rows.n, columns.n, tiling.n_numbers + SPACING), X.dtype)
        products = simd.aligned((rows.n, columns.n, len(tiling.starts), lanes), X.dtype)
        T = simd.aligned((rows.m, tiling.n_columns * columns.m, lanes), X.dtype)
        scratch = self.ending.scratch(at.length, Q)
        by_lines, padded = patches.by_lines(X), at.padded(X.dtype)
        add_bands(by_lines, self.scheme, tiling, at, padded, self.panels, self.ending, V, products, T, scratch, Q)


def make(Z, settings, shape, ending):  # (m, d), (*space, c)
    """This way for maps of ``shape``, or None where it is slower, not precise enough or takes too much memory."""
    (*space, c), size, positions = shape, settings.patch_size, settings.patch_positions(shape[:-1])
    if Z.dtype != np.float32 or settings.patch_centering or c < FEWEST_CHANNELS:
        return None
    scheme, work = choose(positions, size)
    c_padded = c + -c % simd.n_lanes(Z.dtype)
    if work * c_padded > MOST_WORK * c:
        return None
    tiling, padded = cut(scheme, positions, size, c_padded)
    if tiling is None:
        return None
    widths = [(before, full - n - before) for n, full, (before, _) in zip(space, padded, settings.padding_widths)]
    at = patches.layout(shape, (*widths, (0, c_padded - c)), size, positions)
    return Winograd(scheme, at, tiling, transform(Z, scheme, tiling, c_padded), ending)


def cut(scheme, positions, size, c):
    """The tiling for patches of so many channels, None if even one band is too large, and the padded signal's space."""
    split = len(positions) - len(scheme.filterings)
    grid = [filtering.n_tiles(n) for filtering, n in zip(scheme.filterings, positions[split:])]
    filled = [*positions[:split], *(n * filtering.m for n, filtering in zip(grid, scheme.filterings))]
    padded = [n + k - 1 for n, k in zip(filled, size)]

    outer, (n_rows, n_columns), n_blocks = padded[:split], [1, *grid][-2:], size[-1] // scheme.columns.k
    outputs, offsets = patches.box(positions[:split], outer), patches.box(size[:split], outer)
    n_tiles, n_numbers = len(outputs) * n_columns, prod(outer) * n_blocks * n_columns * c  # of a band
    most = MOST_NUMBERS // (scheme.rows.n * scheme.columns.n * n_numbers)
    n_bands = min(max(1, TILES // n_tiles), MOST_TILES // n_tiles, most)
    if n_bands == 0:
        return None, padded

    planes = np.add.outer(np.arange(n_bands) * prod(outer), outputs)
    starts = np.add.outer(planes * n_blocks * n_columns, np.arange(n_columns)).ravel()
    runs = np.add.outer(offsets * n_blocks, np.arange(n_blocks)).ravel() * n_columns
    counts = prod(outer), len(outputs), n_blocks, n_rows, n_columns, n_bands, n_bands * n_numbers
    return Tiling(*counts, np.pad(starts, (0, ROWS - 1), mode="edge") * c, runs * c), padded


def transform(Z, scheme, tiling, c_padded):  # (m, n_offsets * k_y * n_blocks * k_x * c)
    """The filters, transformed, as panels, with zeros for the channels that fill the vectors."""
    lanes, rows, columns = simd.n_lanes(Z.dtype), scheme.rows, scheme.columns
    n_entries, n_runs, n_blocks = rows.n * columns.n, len(tiling.runs), tiling.n_blocks
    panels = simd.aligned((count_panels(len(Z), Z.dtype), n_entries, n_runs, c_padded, lanes), Z.dtype, np.zeros)
    G, c = np.kron(rows.G, columns.G), Z.shape[1] // (rows.k * columns.k * n_runs)
    with single_threaded_blas():
        for first, panel in zip(range(0, len(Z), lanes), panels):
            filters = Z[first : first + lanes].reshape(-1, n_runs // n_blocks, rows.k, n_blocks, columns.k, c)
            by_tap = filters.transpose(2, 4, 1, 3, 5, 0).reshape(rows.k * columns.k, -1).astype(np.float64)
            panel[:, :, :c, : len(filters)] = (G @ by_tap).reshape(n_entries, n_runs, c, -1)
    return panels.reshape(len(panels), n_entries, -1, lanes)


@compiled
def add_bands(X, scheme, tiling, at, padded, panels, ending, V, products, T, scratch, Q):
    """Transform some bands, multiply them, transform them back and add them to the pooled maps.

    Parameters
    ----------
    X : ndarray of shape (n, n_lines, length, c), the maps
    padded : ndarray for one of them, padded; overwritten
    panels : ndarray of shape (n_panels, n_y * n_x, d, n_lanes)
    V : ndarray of shape (n_y, n_x, numbers of the transformed tiles in some bands), overwritten
    products : ndarray of shape (n_y, n_x, tiles of products in some bands, n_lanes), overwritten
    T : ndarray of shape (m_y, m_x * n_columns, n_lanes), overwritten
    Q : ndarray of shape (n, pooled_lines, pooled_length, n_panels * n_lanes), out
    """
    (n_y, n_x, _), (m_y, width, lanes), c = V.shape, T.shape, at.n_channels
    m_x, n_lines, length = width // tiling.n_columns, len(at.starts), at.length
    height = n_lines // tiling.n_outputs
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    r, inverse = np.empty((len(X), n_lines, length), X.dtype), np.empty((len(X), n_lines, length), X.dtype)
    planes = padded.reshape(tiling.n_planes, m_y * tiling.n_rows + n_y - m_y, -1, c)
    entry_panels = panels.reshape(len(panels) * n_y * n_x, -1, lanes)
    entries, entry_products = V.reshape(n_y * n_x, -1), products.reshape(n_y * n_x, -1, lanes)
    for first in range(0, len(X) * tiling.n_rows, tiling.n_bands):
        n_bands = min(tiling.n_bands, len(X) * tiling.n_rows - first)
        n_tiles, place = n_bands * tiling.n_outputs * tiling.n_columns, 0
        for band in range(first, first + n_bands):
            signal, y = divmod(band, tiling.n_rows)
            if y == 0:
                patches.read(X[signal], at, padded)
                patches.find_norms(padded, at, squares, sums, r[signal], inverse[signal])
            for plane in range(tiling.n_planes):
                for block in range(tiling.n_blocks):
                    for x in range(tiling.n_columns):
                        for j in range(0, c, lanes):
                            source = plane, m_y * y, m_x * x + (n_x - m_x + 1) * block, j
                            forward(scheme, planes, source, V, (0, 0, place))
                            place += lanes
        for panel in range(len(panels)):
            for entry in range(n_y * n_x):
                i = panel * n_y * n_x + entry
                Z, following = entry_panels[i], entry_panels[min(i + 1, len(entry_panels) - 1)]
                multiply(entries[entry], tiling.starts, n_tiles, tiling.runs, c, Z, entry_products[entry], following)
            place = 0
            for band in range(first, first + n_bands):
                signal, y = divmod(band, tiling.n_rows)
                for plane in range(tiling.n_outputs):
                    for x in range(tiling.n_columns):
                        backward(scheme, products, (0, 0, place, 0), T, (0, m_x * x, 0))
                        place += 1
                    line = plane * height + m_y * y
                    lines = slice(line, min(line + m_y, (plane + 1) * height))
                    norms = r[signal, lines], inverse[signal, lines]
                    finish(T, norms, ending, line, 0, scratch, Q[signal], panel * lanes)
