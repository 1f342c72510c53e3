"""Convolution by Winograd's minimal filtering, which needs fewer multiplications (see `winograd_transforms`).

Tiles of the map are transformed, and so are the filters. For each entry of the transformed tiles, the sum over the
channels and over the axes that are not transformed is one matrix product. The products are then transformed back.

If patches are dilated, neighbouring positions of a patch are ``dilation`` positions apart. The positions whose indices
have the same remainder modulo the dilation form a *phase*. Within a phase, patches are not dilated, so each phase is
divided into tiles of its own.

The transforms amplify rounding errors up to tenfold. The error of a product is relative to the largest patches in the
same tile, so the products of patches of small norm are less accurate. This strategy supports float32 only.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ..layer import patches
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import ROWS, Runs, count_panels, multiply_panel
from ..runtime.threads import single_threaded_blas
from .epilogue import Place, finish
from .winograd_transforms import choose, transform_back, transform_tile

TILES = 96  # approximate number of tiles of products that are computed while a panel is in the cache
MOST_TILES = 2048  # maximum number of tiles in a band, so that the band fits in the cache
MOST_NUMBERS = 2**22  # maximum number of elements in the transformed tiles that a thread stores at a time
SPACING = 48  # number of padding elements after the values of each tile entry, so that strides are not powers of two
FEWEST_CHANNELS = simd.n_lanes(np.float32)  # minimum number of channels: one full vector
MOST_WORK = 0.6  # largest fraction of the direct convolution's multiplications for which the transforms pay off


class Tiling(NamedTuple):
    """The division of a padded signal into planes, and of each phase of a plane into rows and columns of tiles.

    If the scheme has only one axis, each plane is a single line. A *band* is one row of tiles of all planes of a
    signal, with all phases of columns but only one phase of rows. Several bands with about `TILES` tiles in total are
    transformed together.
    """

    n_planes: int
    n_outputs: int  # number of planes of products
    n_blocks: int  # number of short filters into which a long filter is cut along the columns
    n_rows: int
    n_columns: int
    steps: tuple  # number of phases of rows and of columns
    n_bands: int  # number of bands that are transformed together
    n_numbers: int  # number of elements per entry in the transformed tiles of `n_bands` bands
    starts: np.ndarray  # (n_bands * n_outputs * tiles of a line + ROWS - 1,) start of each tile, as in `Runs.starts`
    runs: np.ndarray  # (n_runs,)


class Winograd(NamedTuple):
    """A `convolution.Convolution` that is computed from transformed tiles."""

    scheme: tuple  # one of `winograd_transforms.SCHEMES`
    at: patches.Layout  # layout of signals that are padded with zeros so that all tiles and vectors are whole
    tiling: Tiling
    panels: np.ndarray  # (n_panels, entries of a tile, n_runs * c, n_lanes)
    epilogue: tuple  # epilogue.Pooled or epilogue.Kept

    numbers_per_signal = 0  # The scratch memory does not grow with the number of signals in a block.

    @classmethod
    def make(cls, filters, settings, shape, epilogue):  # PackedFilters, LayerSettings, (*space, c)
        """Prepare the filters, or return None if this strategy is too slow or imprecise, or needs too much memory."""
        (*space, c), patch, positions = shape, settings.patch, settings.patch_positions(shape[:-1])
        dtype = filters.Z.dtype
        if dtype != np.float32 or patch.centering or c < FEWEST_CHANNELS:
            return None
        scheme, work = choose(positions, patch)
        c_padded = c + -c % simd.n_lanes(dtype)
        if work * c_padded > MOST_WORK * c:
            return None
        tiling, padded = cut(scheme, positions, patch, c_padded)
        if tiling is None:
            return None
        widths = tuple((before, full - n - before) for n, full, (before, _) in zip(space, padded, patch.padding))
        at = patches.layout(shape, patch._replace(padding=widths), positions, extra_channels=c_padded - c)
        how = type(scheme), len(tiling.runs), tiling.n_blocks, c_padded
        panels = filters.transformed(transform_filters, *how)
        return cls(scheme, at, tiling, panels, epilogue)

    def add_to(self, Q, X):  # out (n, lines, length, n_panels * n_lanes), (n, *space, c)
        """Compute the products of the filters and all patches of the maps, and apply the epilogue."""
        rows, columns, tiling, lanes = self.scheme.rows, self.scheme.columns, self.tiling, self.panels.shape[3]
        scratch = Scratch(
            padded=self.at.padded(X.dtype),
            V=simd.aligned((rows.n, columns.n, tiling.n_numbers + SPACING), X.dtype),
            products=simd.aligned((rows.n, columns.n, len(tiling.starts), lanes), X.dtype),
            T=simd.aligned((rows.m, tiling.n_columns * columns.m, tiling.steps[1], lanes), X.dtype),
            epilogue=self.epilogue.scratch(self.at.length, Q),
        )
        add_bands(patches.by_lines(X), self, scratch, Q)


class Scratch(NamedTuple):
    """Scratch memory for a few bands of tiles."""

    padded: np.ndarray  # a padded signal
    V: np.ndarray  # (n_y, n_x, n_numbers + SPACING) transformed tiles of a few bands
    products: np.ndarray  # (n_y, n_x, n_tiles + ROWS - 1, n_lanes) products of the transformed tiles and one panel
    T: np.ndarray  # (m_y, m_x * n_columns, phases, n_lanes) products of one row of tiles, transformed back
    epilogue: tuple


def cut(scheme, positions, patch, c):
    """Return the tiling for patches of c channels, and the spatial shape of the padded signal.

    The tiling is None if even one band is too large.
    """
    split = len(positions) - len(scheme.filterings)
    axes = list(zip(scheme.filterings, positions[split:], patch.dilation[split:]))
    grid = [filtering.n_tiles(-(-n // step)) for filtering, n, step in axes]
    filled = [*positions[:split], *(n * filtering.m * step for n, (filtering, _, step) in zip(grid, axes))]
    padded = [n + reach for n, reach in zip(filled, patch.reach)]

    outer, (n_rows, n_columns), n_blocks = padded[:split], [1, *grid][-2:], patch.size[-1] // scheme.columns.k
    steps, (outer_steps, outer_sizes) = (1, *patch.dilation[split:])[-2:], (patch.dilation[:split], patch.size[:split])
    outputs, offsets = patches.box(positions[:split], outer), patches.box(outer_sizes, outer, outer_steps)
    in_line = steps[1] * n_columns  # number of tiles of all phases of a line
    # Number of tiles of products in one band, and number of elements per entry in one band.
    n_tiles, n_numbers = len(outputs) * in_line, prod(outer) * n_blocks * in_line * c
    most = MOST_NUMBERS // (scheme.rows.n * scheme.columns.n * n_numbers)
    n_bands = min(max(1, TILES // n_tiles), MOST_TILES // n_tiles, most)
    if n_bands == 0:
        return None, padded

    planes = np.add.outer(np.arange(n_bands) * prod(outer), outputs)
    starts = np.add.outer(planes * n_blocks * in_line, np.arange(in_line)).ravel()
    runs = np.add.outer(offsets * n_blocks, np.arange(n_blocks)).ravel() * in_line
    counts = prod(outer), len(outputs), n_blocks, n_rows, n_columns, steps, n_bands, n_bands * n_numbers
    return Tiling(*counts, np.append(starts, np.full(ROWS - 1, starts[-1])) * c, runs * c), padded


def transform_filters(Z, scheme, n_runs, n_blocks, c_padded):  # (m, n_offsets * k_y * n_blocks * k_x * c)
    """Return the transformed filters as panels, with zeros for the additional channels that fill the vectors."""
    lanes, rows, columns = simd.n_lanes(Z.dtype), scheme.rows, scheme.columns
    n_entries = rows.n * columns.n
    panels = simd.aligned((count_panels(len(Z), Z.dtype), n_entries, n_runs, c_padded, lanes), Z.dtype, np.zeros)
    G, c = np.kron(rows.G, columns.G), Z.shape[1] // (rows.k * columns.k * n_runs)
    with single_threaded_blas():
        for first, panel in zip(range(0, len(Z), lanes), panels):
            filters = Z[first : first + lanes].reshape(-1, n_runs // n_blocks, rows.k, n_blocks, columns.k, c)
            by_tap = filters.transpose(2, 4, 1, 3, 5, 0).reshape(rows.k * columns.k, -1).astype(np.float64)
            panel[:, :, :c, : len(filters)] = (G @ by_tap).reshape(n_entries, n_runs, c, -1)
    return panels.reshape(len(panels), n_entries, -1, lanes)


@compiled
def add_bands(X, winograd, scratch, Q):
    """Compute the products of the filters and all patches of the maps, and apply the epilogue.

    The maps are processed a few bands at a time. The tiles are transformed and multiplied by the filters, and the
    products are transformed back.

    Parameters
    ----------
    X : ndarray of shape (n, n_lines, length, c), maps
    winograd : Winograd
    scratch : Scratch, overwritten
    Q : ndarray of shape (n, lines, length, n_panels * n_lanes), out
    """
    at, tiling, V, T = winograd.at, winograd.tiling, scratch.V, scratch.T
    (n_y, n_x, _), (m_y, width, _, lanes), c, (step_y, step_x) = V.shape, T.shape, at.n_channels, tiling.steps
    m_x, n_lines, length = width // tiling.n_columns, len(at.starts), at.length
    height, by_signal = n_lines // tiling.n_outputs, step_y * tiling.n_rows
    lines_of_products = T.reshape(m_y, width * step_x, lanes)
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    r, inverse = np.empty((len(X), n_lines, length), X.dtype), np.empty((len(X), n_lines, length), X.dtype)
    n_padded_rows = m_y * tiling.n_rows + n_y - m_y
    planes = scratch.padded.reshape(tiling.n_planes, n_padded_rows, step_y, -1, step_x, c)
    entry_panels = winograd.panels.reshape(len(winograd.panels) * n_y * n_x, -1, lanes)
    entries, entry_products = V.reshape(n_y * n_x, -1), scratch.products.reshape(n_y * n_x, -1, lanes)
    for first in range(0, len(X) * by_signal, tiling.n_bands):
        n_bands = min(tiling.n_bands, len(X) * by_signal - first)
        n_tiles, place = n_bands * tiling.n_outputs * tiling.n_columns * step_x, 0
        for band in range(first, first + n_bands):
            signal, of_signal = divmod(band, by_signal)
            y, phase_y = divmod(of_signal, step_y)
            if of_signal == 0:
                patches.read(X[signal], at, scratch.padded)
                norms = patches.Norms(r[signal], inverse[signal])
                patches.find_norms(scratch.padded, at, squares, sums, norms)
            for plane in range(tiling.n_planes):
                for block in range(tiling.n_blocks):
                    for phase_x in range(step_x):
                        phase = planes[:, :, phase_y, :, phase_x]
                        for x in range(tiling.n_columns):
                            for j in range(0, c, lanes):
                                source = plane, m_y * y, m_x * x + (n_x - m_x + 1) * block, j
                                transform_tile(winograd.scheme, phase, source, V, (0, 0, place))
                                place += lanes
        for panel in range(len(winograd.panels)):
            for entry in range(n_y * n_x):
                i = panel * n_y * n_x + entry
                Z, following = entry_panels[i], entry_panels[min(i + 1, len(entry_panels) - 1)]
                tiles = Runs(entries[entry], tiling.starts, tiling.runs, c)
                multiply_panel(tiles, n_tiles, Z, entry_products[entry], following)
            place = 0
            for band in range(first, first + n_bands):
                signal, of_signal = divmod(band, by_signal)
                y, phase_y = divmod(of_signal, step_y)
                for plane in range(tiling.n_outputs):
                    for phase_x in range(step_x):
                        for x in range(tiling.n_columns):
                            at_tile = 0, m_x * x, phase_x, 0
                            transform_back(winograd.scheme, scratch.products, (0, 0, place, 0), T, at_tile)
                            place += 1
                    line = plane * height + step_y * m_y * y + phase_y
                    lines = slice(line, min(line + step_y * m_y, (plane + 1) * height), step_y)
                    norms = patches.Norms(r[signal, lines], inverse[signal, lines])
                    here = Place(line, 0, panel * lanes, step_y)
                    finish(lines_of_products, norms, winograd.epilogue, here, scratch.epilogue, Q[signal])
