"""Inner products of patches, as sums over diagonals of a ring buffer of a few rows of inner products of positions.

This file also defines the records of the subpackage: the geometry of a layer for a pair of maps, the data that the
layer stores about signals, and the scratch memory of the layer.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ..layer.pooling import Taps, Windows
from ..runtime import simd
from ..runtime.compilation import compiled_loops, inlined_loops
from .sparsity import Relation

COLUMNS = 4  # number of columns of products that are summed simultaneously


class Derivatives(NamedTuple):
    """The derivatives of the kernel with respect to ``log(sigma)`` of a layer and of all previous layers."""

    n_inherited: int  # number of derivatives with respect to parameters of previous layers
    has_own: bool  # whether the derivative with respect to the layer's own parameter is added


class Tangent(NamedTuple):
    """The tangent kernel, which is the last quantity. Below the first layer, it is equal to the kernel."""

    is_inherited: bool  # whether the layer reads the tangent kernel from a previous layer


class Quantities(NamedTuple):
    """The quantities that a layer propagates, in order: the kernel itself, then the quantities of each field.

    A field is None if its quantities are not propagated. To add a quantity, add a field after the others, count it
    in `n_read` and `n_made`, compute its row next to `layer.map_derivatives`, and select it in
    `network.ExactNetwork.result`. Products of patches and pooling treat all quantities alike.
    """

    derivatives: Derivatives | None
    tangent: Tangent | None

    @property
    def n_read(self):
        """The number of quantities that the layer reads from the layer below."""
        inherited = self.derivatives.n_inherited if self.derivatives else 0
        return 1 + inherited + (self.tangent.is_inherited if self.tangent else 0)

    @property
    def n_made(self):
        """The number of quantities that the layer computes."""
        return 1 + (sum(self.derivatives) if self.derivatives else 0) + (self.tangent is not None)


class PairGeometry(NamedTuple):
    """The indices and weights that a layer uses for all pairs of maps."""

    is_first: bool  # whether the layer reads signals
    read: Relation  # relation of the positions of the map that the layer reads
    met: Relation  # relation of the patches of that map
    kept: Relation  # relation of the positions of the pooled map
    sources: np.ndarray  # (lines of x, n_sources) lines of the map under every line of patches, -1 for lines outside
    sources_of_y: np.ndarray  # (lines of y, n_sources)
    before: int  # number of zeros before a line
    step: int  # distance between neighbouring positions of a patch along a line
    n_rows: int  # number of positions from the first to the last position of a patch along a line
    slots: np.ndarray  # (length, size) indices of the rows of the ring under every patch; the last row is zero
    centring: float  # factor of the centring term of a product: -1 / number of positions in a patch, 0 without centring
    line_taps: Taps  # pooling from lines of x to pooled lines
    line_taps_of_y: Taps
    taps: Taps  # pooling along the lines of x, position by position
    windows: Windows  # pooling along the lines of y
    wanted: np.ndarray  # (lines of x, pooled lines of y) whether a line of x meets a pooled line of y


class Side(NamedTuple):
    """The data that a layer stores about blocks of `n_lanes` signals. For a single block, the first axis is omitted."""

    maps: np.ndarray  # (n_blocks, n_lines, length + COLUMNS - 1, c, n_lanes), empty except in the first layer
    r: np.ndarray  # (n_blocks, n_lines, length, n_lanes) norms of patches
    inverse: np.ndarray  # inverses of the norms
    growth: np.ndarray  # (n_blocks, n_inherited, n_lines, length, n_lanes) derivatives of log(r)
    begin: np.ndarray  # (n_blocks, n_lines) index of the first non-zero patch of every line
    end: np.ndarray  # (n_blocks, n_lines) index of the last non-zero patch of every line, plus 1


class Scratch(NamedTuple):
    """The scratch memory of a layer. The last field receives the result of the layer."""

    ring: np.ndarray
    means: np.ndarray  # (quantities, n_rows + 1, length, n_lanes) terms that centring adds, for each row of the ring
    buffer: np.ndarray  # (columns, n_lanes)
    row: np.ndarray
    pooled: np.ndarray  # (pooled_length, n_lanes)
    plane: np.ndarray
    sums: np.ndarray
    above: np.ndarray  # products of positions that the next layer reads, for several signals x


class Pair(NamedTuple):
    """A pair of blocks of signals in a layer, with the geometry and the scratch memory of the layer."""

    geometry: PairGeometry
    x: Side
    y: Side
    below: np.ndarray  # (n_pairs, quantities, length, width, n_lanes) products of positions, from the layer below
    scratch: Scratch


def make_side(geometry, quantities, n, n_channels, dtype):
    """Allocate a `Side` of n blocks, filled with zeros."""
    lines, length = geometry.met.shape
    n_lines, n_positions = geometry.read.shape
    maps = (n_lines, n_positions + COLUMNS - 1, n_channels) if geometry.is_first else (0, 0, 0)
    n_inherited = quantities.derivatives.n_inherited if quantities.derivatives else 0
    shapes = maps, (lines, length), (lines, length), (n_inherited, lines, length)
    extents = (np.zeros((n, lines), dtype=np.int64) for _ in range(2))
    return Side(*(zeros((n, *shape), dtype) for shape in shapes), *extents)


def make_scratch(geometry, quantities, n, dtype):
    """Allocate the scratch memory of a layer for n signals x, which are processed in sequence."""
    length, kept = geometry.met.length, geometry.kept
    columns, rows = length + geometry.n_rows - 1 + COLUMNS, (quantities.n_read, geometry.n_rows + 1)
    return Scratch(
        ring=zeros((*rows, columns), dtype),
        means=zeros((*rows, length) if geometry.centring else (0, 0, 0), dtype),
        buffer=zeros((columns,), dtype),
        row=zeros((quantities.n_made, length), dtype),
        pooled=zeros((kept.length,), dtype),
        plane=zeros((quantities.n_made, *kept.stored), dtype),
        sums=zeros((kept.pairs.shape[1], quantities.n_made, *kept.stored), dtype),
        above=zeros((n, kept.n_pairs, quantities.n_made, *kept.stored), dtype),
    )


def zeros(shape, dtype):
    """Allocate an array of vectors, filled with zeros."""
    return simd.aligned((*shape, simd.n_lanes(dtype)), dtype, np.zeros)


# Products of positions. In this section, ``lines`` are the lines o and p of patches, ``sources`` are the lines a and b
# of the maps under these patches, and ``columns`` is a range of positions on b. The end of the range is exclusive.


@njit(inline="always")
def multiply_positions(pair, lines, m, slot, columns):
    """Compute a row of the ring: products of position m and a range of columns, summed over the lines under a patch."""
    geometry, scratch = pair.geometry, pair.scratch
    sources = geometry.sources[lines[0]], geometry.sources_of_y[lines[1]]
    if geometry.is_first:
        multiply_signals(pair, sources, m, slot, columns)
    else:
        for quantity in range(len(scratch.ring)):
            ring = scratch.ring[quantity, slot]
            for j in range(columns[0] + geometry.before, columns[1] + geometry.before):
                simd.store(0.0, ring, (j, 0))
            for line in range(len(sources[0])):
                add_from_below(pair, quantity, (sources[0][line], sources[1][line]), m, columns, ring)
            if geometry.centring != 0:
                multiply_means(pair, quantity, sources, m, slot, columns)


@njit(inline="always")
def multiply_signals(pair, sources, m, slot, columns):
    """Compute a row of the ring from signals, `COLUMNS` columns at a time."""
    x, y, ring, before = pair.x.maps, pair.y.maps, pair.scratch.ring, pair.geometry.before
    for j in range(columns[0], columns[1], COLUMNS):
        sum0 = sum1 = sum2 = sum3 = simd.zeros(x)
        for line in range(len(sources[0])):
            a, b = sources[0][line], sources[1][line]
            if a >= 0 and b >= 0:
                for k in range(x.shape[2]):
                    value = simd.load(x, (a, m, k, 0))
                    sum0 = sum0 + value * simd.load(y, (b, j, k, 0))
                    sum1 = sum1 + value * simd.load(y, (b, j + 1, k, 0))
                    sum2 = sum2 + value * simd.load(y, (b, j + 2, k, 0))
                    sum3 = sum3 + value * simd.load(y, (b, j + 3, k, 0))
        simd.store(sum0, ring, (0, slot, before + j, 0))
        simd.store(sum1, ring, (0, slot, before + j + 1, 0))
        simd.store(sum2, ring, (0, slot, before + j + 2, 0))
        simd.store(sum3, ring, (0, slot, before + j + 3, 0))


@njit(inline="always")
def add_from_below(pair, quantity, sources, m, columns, target):
    """Add to a row the products of position m on line a and a range of columns of line b."""
    a, b = sources
    if a >= 0 and b >= 0:
        read, before = pair.geometry.read, pair.geometry.before
        pair_of_lines, first = read.pairs[a, b], read.begin[m]
        for j in range(columns[0], columns[1]):
            product = simd.load(pair.below, (pair_of_lines, quantity, m, j - first, 0))
            simd.store(simd.load(target, (before + j, 0)) + product, target, (before + j, 0))


@compiled_loops
def multiply_means(pair, quantity, sources, m, slot, columns):
    """Compute the terms that centring adds: products of position m and the sums of patches, times a negative factor."""
    geometry, buffer, means = pair.geometry, pair.scratch.buffer, pair.scratch.means[quantity, slot]
    for j in range(len(buffer)):
        simd.store(0.0, buffer, (j, 0))
    for a in sources[0]:
        for b in sources[1]:
            add_from_below(pair, quantity, (a, b), m, columns, buffer)
    for j in range(len(means)):
        total = simd.zeros(means)
        for t in range(geometry.slots.shape[1]):
            total = total + simd.load(buffer, (j + t * geometry.step, 0))
        simd.store(geometry.centring * total, means, (j, 0))


# Products of patches. A ``span`` is a range of patches j on line p. The end of the range is exclusive.


@inlined_loops
def fill_ring(pair, lines, i, span, next_row):
    """Compute the missing rows of the ring for patch i and a span of patches j; return the next missing row's index."""
    geometry = pair.geometry
    first, n_rows, n = i - geometry.before, geometry.n_rows, len(geometry.read.begin)
    for m in range(max(first, next_row, 0), min(first + n_rows, n)):
        low = max(geometry.read.begin[m], span[0] - geometry.before)
        high = min(geometry.read.end[m], span[1] - geometry.before + n_rows - 1)
        multiply_positions(pair, lines, m, m % n_rows, (low, high))
    return max(next_row, min(first + n_rows, n))


@njit(inline="always")
def multiply_patches(pair, quantity, i, j):
    """Return the product of patch i, whose rows are in the ring, and patch j."""
    slots, means = pair.geometry.slots[i], pair.scratch.means
    total = add_diagonal(pair.scratch.ring, slots, pair.geometry.step, quantity, j)
    if pair.geometry.centring != 0:
        for t in range(len(slots)):
            total = total + simd.load(means, (quantity, slots[t], j, 0))
    return total


@njit(inline="always")
def add_diagonal(ring, slots, step, quantity, j):
    """Return the sum over a diagonal of the ring, which is the product of two patches before centring."""
    total = simd.load(ring, (quantity, slots[0], j, 0))
    for t in range(1, len(slots)):
        total = total + simd.load(ring, (quantity, slots[t], j + t * step, 0))
    return total
