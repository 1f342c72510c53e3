"""`encode.encode_kernel` for speed: the exact kernel between many signals, `n_lanes` pairs side by side in a vector.

In every lane a signal x meets a signal y. Maps are read by *lines* along the last space axis, one of x and one of y at
a time: row m of their products, of position m on x's line and all positions on y's, comes from the layer below; a few
rows are kept in a ring, patches add diagonals of it, then come kappa and pooling, along y's line first. Only pairs of
positions that the trace reads are computed (`relations`), and no patches that are zero in all lanes.

======  =====================================================  =====================================================
ring    ``(parts, size + 1, columns, n_lanes)``                products of positions: some rows, and a row of zeros
row     ``(parts, length, n_lanes)``                           of patches, mapped by the kernel
plane   ``(parts, pooled_length, width, n_lanes)``             pooled along the two lines
sums    ``(pooled_lines, parts, pooled_length, width, ...)``   and over y's lines
above   ``(n_pairs, parts, pooled_length, width, ...)``        and over x's lines: the map of products of the next
                                                               layer, as its relation has them
======  =====================================================  =====================================================

Part 0 is the product itself, the others are its derivatives by ``log(sigma)`` of the layers so far. In the functions o
and p are lines of x's and y's patches, i and j positions on them; a and b are lines of their maps, m a position on a.
"""

import numpy as np
from numba import njit

from . import kappa, patches, simd
from .machine import compiled_loops
from .ring import Side, add_diagonal, fill_ring, multiply_patches


@njit(inline="always")
def size_and_cosine(geometry, x_r, x_inverse, y, p, i, j, scratch):
    """``r r'`` and ``P / (r r')``, for patch i of a line, of which r and 1 / r are given, and patch j of line p."""
    product = multiply_patches(scratch.ring, scratch.means, geometry.slots[i], 0, j, geometry.mean)
    c = product * x_inverse * simd.load(y.inverse, (p, j, 0))
    return x_r * simd.load(y.r, (p, j, 0)), simd.larger(simd.smaller(c, 1), -1)


@njit(inline="always")
def map_row(geometry, kernel, x, y, o, p, i, begin, end, scratch):
    """``r r' kappa(c)``, for patch i of line o and patches begin to end - 1 of line p."""
    x_r, x_inverse = simd.load(x.r, (o, i, 0)), simd.load(x.inverse, (o, i, 0))
    for j in range(begin, end):
        size, c = size_and_cosine(geometry, x_r, x_inverse, y, p, i, j, scratch)
        simd.store(size * kappa.kappa(kernel, c), scratch.row, (0, j, 0))


@njit(inline="always")
def map_tangents(geometry, kernel, has_own, x, y, o, p, i, begin, end, scratch):
    """The derivatives of the same.

    With ``g = dr / r + dr' / r'`` that is ``r r' g (kappa(c) - c kappa'(c)) + kappa'(c) dP`` by what lies below, and
    ``r r' dkappa(c)`` by the layer's own parameter.
    """
    ring, means, slots = scratch.ring, scratch.means, geometry.slots[i]
    x_r, x_inverse = simd.load(x.r, (o, i, 0)), simd.load(x.inverse, (o, i, 0))
    for j in range(begin, end):
        size, c = size_and_cosine(geometry, x_r, x_inverse, y, p, i, j, scratch)
        slope = kappa.slope(kernel, c)
        stretch = size * (kappa.kappa(kernel, c) - c * slope)
        for part in range(1, len(ring)):
            growth = simd.load(x.growth, (part - 1, o, i, 0)) + simd.load(y.growth, (part - 1, p, j, 0))
            tangent = growth * stretch + slope * multiply_patches(ring, means, slots, part, j, geometry.mean)
            simd.store(tangent, scratch.row, (part, j, 0))
        if has_own:
            simd.store(size * kappa.slope_of_log_sigma(kernel, c), scratch.row, (len(ring), j, 0))


# Pooling


@njit(inline="always")
def pool_row(geometry, i, begin, end, part, scratch):
    """Add the row of patch i, which has patches begin to end - 1 of the other line, to the plane: pool j, then i."""
    window, kept, row, pooled, plane = geometry.window, geometry.kept, scratch.row, scratch.pooled, scratch.plane
    pointers, outputs, weights = geometry.taps
    from_j, to_j = len(pooled), 0  # what all pooled positions of i keep
    for t in range(pointers[i], pointers[i + 1]):
        k = outputs[t]
        if kept.begin[k] < kept.end[k]:
            from_j, to_j = min(from_j, kept.begin[k]), max(to_j, kept.end[k])
    for j in range(from_j, to_j):
        start, total = j * geometry.stride + geometry.first, simd.zeros(row)
        for k in range(max(start, begin), min(start + len(window), end)):
            total = total + window[k - start] * simd.load(row, (part, k, 0))
        simd.store(total, pooled, (j, 0))
    for t in range(pointers[i], pointers[i + 1]):
        k, weight, first = outputs[t], weights[t], kept.begin[outputs[t]]
        for j in range(first, kept.end[k]):
            total = simd.load(plane, (part, k, j - first, 0)) + weight * simd.load(pooled, (j, 0))
            simd.store(total, plane, (part, k, j - first, 0))


@njit(inline="always")
def pool_lines(geometry, kernel, tangents, x, y, below, o, p, scratch):
    """The plane of two lines."""
    clear(scratch.plane)
    met, next_row = geometry.met, 0
    for i in range(x.begin[o], x.end[o]):
        begin, end = max(met.begin[i], y.begin[p]), min(met.end[i], y.end[p])
        if begin < end:
            next_row = fill_ring(geometry, x.maps, y.maps, below, o, p, i, y.begin[p], y.end[p], next_row, scratch)
            map_row(geometry, kernel, x, y, o, p, i, begin, end, scratch)
            if tangents is not None:
                map_tangents(geometry, kernel, tangents, x, y, o, p, i, begin, end, scratch)
            for part in range(len(scratch.row)):
                pool_row(geometry, i, begin, end, part, scratch)


@compiled_loops
def find_products(geometry, kernel, tangents, X, first, Y, block, below, scratch):
    """Maps of products above a layer, from those below: of some blocks of X from the first on with one block of Y.

    Parameters
    ----------
    tangents : None, or whether the kernel has a derivative of its own to be found; then all others are, too
    X, Y : Side
    below : ndarray of shape (n, n_pairs, parts, length, width, n_lanes), of signals: (n, 0, 0, 0, 0, n_lanes)
    scratch : Scratch, whose ``above`` is filled
    """
    (pointers, outputs, weights), kept = geometry.line_taps, geometry.kept.pairs
    y = at_block(Y, block)
    for q in range(len(below)):
        x, above = at_block(X, first + q), scratch.above[q]
        for pair in above:
            clear(pair)
        for o in range(len(geometry.sources)):
            if x.begin[o] >= x.end[o]:
                continue
            for line in scratch.sums:
                clear(line)
            for p in range(len(geometry.sources)):
                if geometry.met.pairs[o, p] >= 0 and y.begin[p] < y.end[p]:
                    pool_lines(geometry, kernel, tangents, x, y, below[q], o, p, scratch)
                    for t in range(pointers[p], pointers[p + 1]):
                        if geometry.wanted[o, outputs[t]]:
                            add_scaled(weights[t], scratch.plane, scratch.sums[outputs[t]])
            for t in range(pointers[o], pointers[o + 1]):
                for line in range(len(kept)):
                    if kept[outputs[t], line] >= 0:
                        add_scaled(weights[t], scratch.sums[line], above[kept[outputs[t], line]])


@njit(inline="always")
def clear(X):  # (parts, length, width, n_lanes), out
    for i in range(0, X.size, simd.lanes_of(X)):
        simd.store(0.0, X, (0, 0, 0, i))


@njit(inline="always")
def add_scaled(weight, X, total):  # (parts, length, width, n_lanes), out
    for i in range(0, X.size, simd.lanes_of(X)):
        simd.store(simd.load(total, (0, 0, 0, i)) + weight * simd.load(X, (0, 0, 0, i)), total, (0, 0, 0, i))


# Signals by themselves


@njit(inline="always")
def at_block(side, k):
    return Side(side.maps[k], side.r[k], side.inverse[k], side.growth[k], side.begin[k], side.end[k])


@compiled_loops
def find_norms(geometry, side, block, below, scratch):
    """Norms of the patches of a block of signals, from its products with itself, and derivatives of their logarithms.

    They are added in the order of `map_row`: a patch and its equal have a cosine of 1, but for the last bits.
    """
    x, met, ring, means = at_block(side, block), geometry.met, scratch.ring, scratch.means
    number, mean = np.finfo(ring.dtype), geometry.mean
    rounding = patches.ROUNDING_OF_A_LAYER * number.eps if mean != 0 else 0.0  # what centring leaves of a constant one
    for o in range(len(met.pairs)):
        x.begin[o], x.end[o] = len(met.begin), 0
        for i in range(len(met.begin)):
            if met.pairs[o, o] >= 0 and met.begin[i] <= i < met.end[i]:
                fill_ring(geometry, x.maps, x.maps, below, o, o, i, i, i + 1, 0, scratch)
                slots = geometry.slots[i]
                square = multiply_patches(ring, means, slots, 0, i, mean)
                r = simd.sqrt(simd.where_larger(square, rounding * add_diagonal(ring, slots, 0, i), square, 0.0))
                inverse = simd.where_larger(r, 0.0, 1 / simd.larger(r, number.tiny), 0.0)
                simd.store(r, x.r, (o, i, 0))
                simd.store(inverse, x.inverse, (o, i, 0))
                for part in range(1, len(ring)):
                    growth = multiply_patches(ring, means, slots, part, i, mean) * inverse * inverse * 0.5
                    simd.store(growth, x.growth, (part - 1, o, i, 0))
                if simd.largest(r) > 0:
                    x.begin[o], x.end[o] = min(x.begin[o], i), i + 1


@compiled_loops
def spread(side, first, out):
    """Write one signal after the other to all lanes of a block of its own."""
    lanes = side.r.shape[-1]
    for q in range(len(out.r)):
        block, lane = divmod(first + q, lanes)
        for a in range(side.maps.shape[1]):
            for j in range(side.maps.shape[2]):
                for k in range(side.maps.shape[3]):
                    simd.store(side.maps[block, a, j, k, lane], out.maps, (q, a, j, k, 0))
        for o in range(side.r.shape[1]):
            out.begin[q, o], out.end[q, o] = side.r.shape[2], 0
            for i in range(side.r.shape[2]):
                simd.store(side.r[block, o, i, lane], out.r, (q, o, i, 0))
                simd.store(side.inverse[block, o, i, lane], out.inverse, (q, o, i, 0))
                for part in range(side.growth.shape[1]):
                    simd.store(side.growth[block, part, o, i, lane], out.growth, (q, part, o, i, 0))
                if side.r[block, o, i, lane] > 0:
                    out.begin[q, o], out.end[q, o] = min(out.begin[q, o], i), i + 1


@compiled_loops
def add_traces(maps, totals):  # (n, n_pairs, parts, length, 1, n_lanes), out (n, parts, n_lanes) in double precision
    """The kernel from the last map of products, which holds pairs of equal positions."""
    n, n_pairs, n_parts, length, _, lanes = maps.shape
    for q in range(n):
        for pair in range(n_pairs):
            for part in range(n_parts):
                for i in range(length):
                    for lane in range(lanes):
                        totals[q, part, lane] += maps[q, pair, part, i, 0, lane]
