"""One layer of the exact kernel and of the tangent kernel for blocks of signals, as `definition` defines them.

Two signals x and y are processed line by line. The ring of `patch_products` stores a few rows of inner products of
positions. As soon as it contains the rows that a patch of x needs, the inner products of this patch and the patches on
a line of y are computed, mapped by kappa, and pooled along the line of y, then along the line of x, and then over all
pairs of lines. Patches that are zero in all lanes are skipped.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ..layer import kappa, patches
from ..runtime import simd
from ..runtime.compilation import compiled_loops, inlined_loops
from .patch_products import Pair, PairGeometry, Quantities, Side, add_diagonal, fill_ring, multiply_patches


class ExactLayer(NamedTuple):
    """One layer of a network, for pairs of maps."""

    geometry: PairGeometry
    kernel: tuple  # a record of `kappa.KERNELS`
    quantities: Quantities


@njit(inline="always")
def norms_and_cosine(pair, p, i, j, x_r, x_inverse):
    """Return ``r r'`` and ``P / (r r')`` for patch i of a line of x and patch j of line p of y.

    P is the product of the two patches. ``x_r`` and ``x_inverse`` are r and 1 / r of patch i.
    """
    y = pair.y
    cosine = multiply_patches(pair, 0, i, j) * x_inverse * simd.load(y.inverse, (p, j, 0))
    return x_r * simd.load(y.r, (p, j, 0)), cosine


@inlined_loops
def map_row(kernel, pair, lines, i, span):
    """Compute ``r r' kappa(c)``, where c is the cosine, for patch i of line o and a span of patches of line p."""
    o, p = lines
    x_r, x_inverse = simd.load(pair.x.r, (o, i, 0)), simd.load(pair.x.inverse, (o, i, 0))
    for j in range(span[0], span[1]):
        norms, cosine = norms_and_cosine(pair, p, i, j, x_r, x_inverse)
        simd.store(kappa.homogeneous(kernel, norms, cosine), pair.scratch.row, (0, j, 0))


@inlined_loops
def map_derivatives(derivatives, kernel, pair, lines, i, span):
    """Compute the derivatives of ``r r' kappa(c)`` for patch i of line o and a span of patches of line p.

    Let c be the cosine of the two patches and ``g = dr / r + dr' / r'``. The derivatives with respect to the parameters
    of the layers below are ``r r' g (kappa(c) - c kappa'(c)) + kappa'(c) dP``. The derivative with respect to the
    layer's own parameter is ``r r' dkappa(c)``.
    """
    (o, p), x, y, row, own = lines, pair.x, pair.y, pair.scratch.row, 1 + derivatives.n_inherited
    x_r, x_inverse = simd.load(x.r, (o, i, 0)), simd.load(x.inverse, (o, i, 0))
    for j in range(span[0], span[1]):
        norms, cosine = norms_and_cosine(pair, p, i, j, x_r, x_inverse)
        c = kappa.clip(cosine)
        slope = kappa.slope(kernel, c)
        stretch = norms * (kappa.value(kernel, c) - c * slope)
        for quantity in range(1, own):
            growth = simd.load(x.growth, (quantity - 1, o, i, 0)) + simd.load(y.growth, (quantity - 1, p, j, 0))
            derivative = growth * stretch + slope * multiply_patches(pair, quantity, i, j)
            simd.store(derivative, row, (quantity, j, 0))
        if derivatives.has_own:
            simd.store(norms * kappa.slope_of_log_sigma(kernel, c), row, (own, j, 0))


@inlined_loops
def map_tangent(kernel, pair, lines, i, span):
    """Compute ``r r' kappa(c)`` and ``r r' kappa(c) + kappa'(c) P_T`` for patch i of line o and a span of patches.

    ``P_T`` is computed from the tangent kernel of the layer below as P is computed from the kernel. The tangent kernel
    is the last quantity of the ring. In the first layer, this quantity is the kernel.
    """
    (o, p), ring, row = lines, pair.scratch.ring, pair.scratch.row
    x_r, x_inverse = simd.load(pair.x.r, (o, i, 0)), simd.load(pair.x.inverse, (o, i, 0))
    for j in range(span[0], span[1]):
        norms, cosine = norms_and_cosine(pair, p, i, j, x_r, x_inverse)
        value, product = kappa.homogeneous(kernel, norms, cosine), multiply_patches(pair, len(ring) - 1, i, j)
        simd.store(value, row, (0, j, 0))
        simd.store(value + kappa.slope_of_pair(kernel, norms, cosine) * product, row, (len(row) - 1, j, 0))


# Pooling


@inlined_loops
def pool_row(pair, quantity, i, span):
    """Pool the row of patch i along j and then along i, and add the result to the plane.

    The row contains values only for a span of patches j.
    """
    geometry, scratch = pair.geometry, pair.scratch
    (starts, window), kept, row, pooled, plane = (
        geometry.windows,
        geometry.kept,
        scratch.row,
        scratch.pooled,
        scratch.plane,
    )
    pointers, outputs, weights = geometry.taps
    from_v, to_v = len(pooled), 0  # range of v that the pooled positions of patch i need
    for t in range(pointers[i], pointers[i + 1]):
        u = outputs[t]
        if kept.begin[u] < kept.end[u]:
            from_v, to_v = min(from_v, kept.begin[u]), max(to_v, kept.end[u])
    for v in range(from_v, to_v):
        start, total = starts[v], simd.zeros(row)
        for j in range(max(start, span[0]), min(start + window.shape[1], span[1])):
            total = total + window[v, j - start] * simd.load(row, (quantity, j, 0))
        simd.store(total, pooled, (v, 0))
    for t in range(pointers[i], pointers[i + 1]):
        u, weight, first = outputs[t], weights[t], kept.begin[outputs[t]]
        for v in range(first, kept.end[u]):
            total = simd.load(plane, (quantity, u, v - first, 0)) + weight * simd.load(pooled, (v, 0))
            simd.store(total, plane, (quantity, u, v - first, 0))


@njit(inline="always")
def pool_lines(kernel, derivatives, tangent, pair, lines):
    """Compute the plane of a pair of lines."""
    (o, p), x, y, met = lines, pair.x, pair.y, pair.geometry.met
    clear(pair.scratch.plane)
    next_row = -pair.geometry.before  # No row has been computed yet.
    for i in range(x.begin[o], x.end[o]):
        span = max(met.begin[i], y.begin[p]), min(met.end[i], y.end[p])
        if span[0] < span[1]:
            next_row = fill_ring(pair, lines, i, (y.begin[p], y.end[p]), next_row)
            if tangent is None:
                map_row(kernel, pair, lines, i, span)
            else:
                map_tangent(kernel, pair, lines, i, span)
            if derivatives is not None:
                map_derivatives(derivatives, kernel, pair, lines, i, span)
            for quantity in range(len(pair.scratch.row)):
                pool_row(pair, quantity, i, span)


@compiled_loops
def find_products(layer, derivatives, tangent, X, Y, blocks, below, scratch):
    """Compute the products of positions above a layer from the products of positions below the layer.

    Parameters
    ----------
    layer : ExactLayer
    derivatives : Derivatives or None, the value of ``layer.quantities.derivatives``
    tangent : Tangent or None, the value of ``layer.quantities.tangent``
        Both are separate arguments, because Numba removes a branch only if an argument is None.
    X, Y : Side
    blocks : tuple of two ints, the index of the first of n blocks of X and the index of the block of Y
    below : ndarray of shape (n, n_pairs, quantities, length, width, n_lanes)
        The shape is (n, 0, 0, 0, 0, n_lanes) for the first layer.
    scratch : Scratch, whose field ``above`` is filled
    """
    geometry, y = layer.geometry, at_block(Y, blocks[1])
    (pointers, outputs, weights), kept = geometry.line_taps, geometry.kept.pairs
    pointers_of_y, outputs_of_y, weights_of_y = geometry.line_taps_of_y
    for q in range(len(below)):
        x, above = at_block(X, blocks[0] + q), scratch.above[q]
        pair = Pair(geometry, x, y, below[q], scratch)
        for pair_of_lines in above:
            clear(pair_of_lines)
        for o in range(len(geometry.sources)):
            if x.begin[o] >= x.end[o]:
                continue
            for line in scratch.sums:
                clear(line)
            for p in range(len(geometry.sources_of_y)):
                if geometry.met.pairs[o, p] >= 0 and y.begin[p] < y.end[p]:
                    pool_lines(layer.kernel, derivatives, tangent, pair, (o, p))
                    for t in range(pointers_of_y[p], pointers_of_y[p + 1]):
                        if geometry.wanted[o, outputs_of_y[t]]:
                            add_scaled(weights_of_y[t], scratch.plane, scratch.sums[outputs_of_y[t]])
            for t in range(pointers[o], pointers[o + 1]):
                for line in range(kept.shape[1]):
                    if kept[outputs[t], line] >= 0:
                        add_scaled(weights[t], scratch.sums[line], above[kept[outputs[t], line]])


@compiled_loops
def clear(X):  # out (quantities, length, width, n_lanes)
    """Set an array of vectors to zero."""
    for i in range(0, X.size, simd.lanes_of(X)):
        simd.store(0.0, X, (0, 0, 0, i))


@compiled_loops
def add_scaled(weight, X, total):  # float, (quantities, length, width, n_lanes), out of the same shape
    """Add a multiple of an array of vectors to another one."""
    for i in range(0, X.size, simd.lanes_of(X)):
        simd.store(simd.load(total, (0, 0, 0, i)) + weight * simd.load(X, (0, 0, 0, i)), total, (0, 0, 0, i))


# Norms, copies and traces


@njit(inline="always")
def at_block(side, k):
    """Return block k of a side."""
    return Side(side.maps[k], side.r[k], side.inverse[k], side.growth[k], side.begin[k], side.end[k])


@compiled_loops
def find_norms(geometry, side, block, below, scratch):
    """Compute the norms of the patches of a block of signals, and the derivatives of the logarithms of the norms.

    Both are computed from the products of the block with itself. Products are added in the same order as in `map_row`,
    so that a patch and its copy have a cosine of 1 up to floating-point rounding.
    """
    x, met, ring = at_block(side, block), geometry.met, scratch.ring
    pair, number = Pair(geometry, x, x, below, scratch), np.finfo(ring.dtype)
    rounding = patches.ROUNDING_OF_A_LAYER * number.eps if geometry.centring != 0 else 0.0  # bound for constant patches
    for o in range(len(met.pairs)):
        x.begin[o], x.end[o] = len(met.begin), 0
        for i in range(len(met.begin)):
            if met.pairs[o, o] >= 0 and met.begin[i] <= i < met.end[i]:
                fill_ring(pair, (o, o), i, (i, i + 1), i - geometry.before)
                square = multiply_patches(pair, 0, i, i)
                uncentred = add_diagonal(ring, geometry.slots[i], geometry.step, 0, i)
                r = simd.sqrt(simd.where_larger(square, rounding * uncentred, square, 0.0))
                inverse = simd.where_larger(r, 0.0, 1 / simd.larger(r, number.tiny), 0.0)
                simd.store(r, x.r, (o, i, 0))
                simd.store(inverse, x.inverse, (o, i, 0))
                for k in range(len(x.growth)):
                    growth = multiply_patches(pair, 1 + k, i, i) * inverse * inverse * 0.5
                    simd.store(growth, x.growth, (k, o, i, 0))
                if simd.largest(r) > 0:
                    x.begin[o], x.end[o] = min(x.begin[o], i), i + 1


@compiled_loops
def copy_to_lanes(side, first, out):
    """Copy signals, starting at index ``first``, each to all lanes of a block of its own."""
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
                for k in range(side.growth.shape[1]):
                    simd.store(side.growth[block, k, o, i, lane], out.growth, (q, k, o, i, 0))
                if side.r[block, o, i, lane] > 0:
                    out.begin[q, o], out.end[q, o] = min(out.begin[q, o], i), i + 1


@compiled_loops
def add_traces(maps, totals):  # (n, n_pairs, quantities, length, 1, n_lanes), out (n, quantities, n_lanes), float64
    """Add the products of corresponding positions of the last maps to the totals of all quantities."""
    n, n_pairs, n_quantities, length, _, lanes = maps.shape
    for q in range(n):
        for pair in range(n_pairs):
            for quantity in range(n_quantities):
                for i in range(length):
                    for lane in range(lanes):
                        totals[q, quantity, lane] += maps[q, pair, quantity, i, 0, lane]
