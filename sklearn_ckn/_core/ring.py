"""Products of positions and of patches, for `n_lanes` pairs of signals side by side; the words are those of `pairs`.

What a layer is to a pair of maps, what it knows of signals, its memory, and its first step: rows of products of
positions, a few of them in a ring, and patches as diagonals of it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from . import simd
from .machine import compiled_loops
from .pooling import Taps
from .relations import Relation

COLUMNS = 4  # of products, summed side by side


class Geometry(NamedTuple):
    """Where a layer reads and writes, the same for all pairs of maps."""

    is_first: bool  # it reads signals
    read: Relation  # of its map
    met: Relation  # of its patches
    kept: Relation  # of its pooled map
    sources: np.ndarray  # (n_lines, n_runs) the line of the map under every run of a patch, -1 outside
    before: int  # zeros before a line
    size: int  # positions of a run
    slots: np.ndarray  # (length, size) the rows of the ring under every patch; the last one is zero
    mean: float  # -1 / positions of a patch if patches are centred, else 0
    line_taps: Taps  # from lines to pooled lines
    taps: Taps  # and along them
    wanted: np.ndarray  # (n_lines, pooled_lines) whether a line of x meets a pooled line of y
    first: int  # pooled position j is the sum over k of ``window[k] * x(first + j * stride + k)``
    stride: int
    window: np.ndarray


class Side(NamedTuple):
    """Blocks of `n_lanes` signals as a layer sees them."""

    maps: np.ndarray  # (n_blocks, n_lines, length + COLUMNS - 1, c, n_lanes), for the first layer
    r: np.ndarray  # (n_blocks, n_lines, length, n_lanes) norms of patches
    inverse: np.ndarray
    growth: np.ndarray  # (n_blocks, parts - 1, n_lines, length, n_lanes) derivatives of log(r)
    begin: np.ndarray  # (n_blocks, n_lines) the patches that are not zero
    end: np.ndarray


class Scratch(NamedTuple):
    """What is overwritten on the way, and what is made."""

    ring: np.ndarray
    means: np.ndarray  # (parts, size + 1, length, n_lanes) what centring adds to the ring's rows
    buffer: np.ndarray  # (columns, n_lanes)
    row: np.ndarray
    pooled: np.ndarray  # (pooled_length, n_lanes)
    plane: np.ndarray
    sums: np.ndarray
    above: np.ndarray  # several of them


def make_side(geometry, n, n_channels, n_parts, dtype):
    """A side of n blocks, not yet filled."""
    lines, length = geometry.met.shape
    n_lines, n_positions = geometry.read.shape
    maps = (n_lines, n_positions + COLUMNS - 1, n_channels) if geometry.is_first else (0, 0, 0)
    shapes = maps, (lines, length), (lines, length), (n_parts - 1, lines, length)
    extents = (np.zeros((n, lines), dtype=np.int64) for _ in range(2))
    return Side(*(zeros((n, *shape), dtype) for shape in shapes), *extents)


def make_scratch(geometry, n, n_parts, n_parts_after, dtype):
    """Memory of a layer, for n signals x after one another."""
    (_, length), pooled_lines, pooled = geometry.met.shape, len(geometry.kept.pairs), geometry.kept.stored
    columns, rows = length + geometry.size - 1 + COLUMNS, (n_parts, geometry.size + 1)
    return Scratch(
        ring=zeros((*rows, columns), dtype),
        means=zeros((*rows, length) if geometry.mean else (0, 0, 0), dtype),
        buffer=zeros((columns,), dtype),
        row=zeros((n_parts_after, length), dtype),
        pooled=zeros(pooled[:1], dtype),
        plane=zeros((n_parts_after, *pooled), dtype),
        sums=zeros((pooled_lines, n_parts_after, *pooled), dtype),
        above=zeros((n, geometry.kept.n_pairs, n_parts_after, *pooled), dtype),
    )


def zeros(shape, dtype):
    """Vectors of zeros."""
    return simd.aligned((*shape, simd.n_lanes(dtype)), dtype, np.zeros)


# Products of positions


@njit(inline="always")
def multiply(geometry, x, y, below, o, p, m, slot, begin, end, scratch):
    """A row of the ring, columns begin to end - 1: products of position m, added over the runs of patches.

    Parameters
    ----------
    x, y : ndarrays of shape (n_lines, length, c, n_lanes), the maps of signals; some zeros follow y's lines
    below : ndarray of shape (n_pairs, parts, length, width, n_lanes), the products of maps
    """
    lines = geometry.sources[o], geometry.sources[p]
    if geometry.is_first:
        multiply_signals(x, y, lines, m, begin, end, scratch.ring, slot, geometry.before)
    else:
        for part in range(len(scratch.ring)):
            ring, means = scratch.ring[part, slot], scratch.means
            for j in range(begin + geometry.before, end + geometry.before):
                simd.store(0.0, ring, (j, 0))
            for run in range(len(lines[0])):
                add_products(below, geometry, part, lines[0][run], lines[1][run], m, begin, end, ring)
            if geometry.mean != 0:
                multiply_means(geometry, below, lines, part, m, begin, end, scratch.buffer, means[part, slot])


@njit(inline="always")
def multiply_signals(x, y, lines, m, begin, end, ring, slot, before):
    for j in range(begin, end, COLUMNS):
        sum0 = sum1 = sum2 = sum3 = simd.zeros(x)
        for run in range(len(lines[0])):
            a, b = lines[0][run], lines[1][run]
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
def add_products(below, geometry, part, a, b, m, begin, end, target):
    if a >= 0 and b >= 0:
        pair, first, before = geometry.read.pairs[a, b], geometry.read.begin[m], geometry.before
        for j in range(begin, end):
            total = simd.load(target, (before + j, 0)) + simd.load(below, (pair, part, m, j - first, 0))
            simd.store(total, target, (before + j, 0))


@compiled_loops
def multiply_means(geometry, below, lines, part, m, begin, end, buffer, means):
    """The products of position m and of the sums of all patches on a line: what centring subtracts."""
    for j in range(len(buffer)):
        simd.store(0.0, buffer, (j, 0))
    for a in lines[0]:
        for b in lines[1]:
            add_products(below, geometry, part, a, b, m, begin, end, buffer)
    for j in range(len(means)):
        total = simd.zeros(means)
        for t in range(geometry.size):
            total = total + simd.load(buffer, (j + t, 0))
        simd.store(geometry.mean * total, means, (j, 0))


# Products of patches


@njit(inline="always")
def fill_ring(geometry, x, y, below, o, p, i, begin, end, next_row, scratch):
    """Make the rows under patch i, for patches begin to end - 1 of the other line; gives the first row not made."""
    first, size, n = i - geometry.before, geometry.size, len(geometry.read.begin)
    for m in range(max(first, next_row), min(first + size, n)):
        low = max(geometry.read.begin[m], begin - geometry.before)
        high = min(geometry.read.end[m], end - geometry.before + size - 1)
        multiply(geometry, x, y, below, o, p, m, geometry.slots[i, m - first], low, high, scratch)
    return max(next_row, min(first + size, n))


@njit(inline="always")
def multiply_patches(ring, means, slots, part, j, mean):
    """Of the patch whose rows are in the ring and patch j."""
    total = add_diagonal(ring, slots, part, j)
    if mean != 0:
        for t in range(len(slots)):
            total = total + simd.load(means, (part, slots[t], j, 0))
    return total


@njit(inline="always")
def add_diagonal(ring, slots, part, j):
    total = simd.load(ring, (part, slots[0], j, 0))
    for t in range(1, len(slots)):
        total = total + simd.load(ring, (part, slots[t], j + t, 0))
    return total
