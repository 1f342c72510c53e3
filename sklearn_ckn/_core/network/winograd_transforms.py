"""The matrices of Winograd's minimal filtering, the schemes that combine them, and compiled transforms of tiles.

Minimal filtering computes m consecutive products of a signal d and a filter g of size k as ``A [(G g) * (B d)]``, with
the matrices of Cook and Toom. It needs n = m + k - 1 multiplications instead of m k. Along two axes, the products are
``A [(G g G^T) * (B d B^T)] A^T`` (Lavin and Gray, 2016).
"""

from collections import namedtuple
from math import prod
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..runtime import simd

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, -0.5, 0.5)


class Filtering(NamedTuple):
    """The matrices of F(m, k), which computes m neighbouring products with a filter of size k along one axis."""

    A: np.ndarray  # (m, n)
    G: np.ndarray  # (n, k)
    B: np.ndarray  # (n, n)

    m = property(lambda self: len(self.A))
    n = property(lambda self: len(self.B))
    k = property(lambda self: self.G.shape[1])

    def n_tiles(self, length):
        """Return the number of tiles of m products that are needed to cover ``length`` products."""
        return -(-length // self.m)

    def work(self, length, size, n_phases):
        """Return the number of multiplications as a fraction of ``length * size``.

        A long filter counts as several filters of size k. The fraction is infinite if the size is not a multiple of k.
        """
        n_tiles = n_phases * self.n_tiles(-(-length // n_phases))
        return n_tiles * self.n / (length * self.k) if size % self.k == 0 else np.inf


def cook_toom(m, k):
    """Return F(m, k), derived from interpolation at n - 1 points and at infinity."""
    n = m + k - 1
    points = POINTS[: n - 1]

    def powers(count):
        return np.array([*([p**i for i in range(count)] for p in points), [0.0] * (count - 1) + [1.0]])

    B, G = np.zeros((n, n)), powers(k)
    for j in range(n):
        polynomial = np.ones(1)  # coefficients of the product of x - p over all other points p, lowest degree first
        for p in points[:j] + points[j + 1 :]:
            polynomial = np.convolve(polynomial, [-p, 1])
        B[j, : len(polynomial)] = polynomial
        if j < n - 1:
            G[j] /= np.polyval(polynomial[::-1], points[j])
    return Filtering(powers(m).T, G, B)


def _scheme(name, *filterings):
    """Return a record type without fields, whose class attributes are the filterings of the last one or two axes.

    The scheme is a type, because Numba compiles code separately for each type.
    """
    scheme = namedtuple(name, (), module=__name__)
    scheme.filterings, (scheme.rows, scheme.columns) = filterings, (cook_toom(1, 1), *filterings)[-2:]
    return scheme


Square43, Square53, Square63 = (_scheme(f"Square{m}3", cook_toom(m, 3), cook_toom(m, 3)) for m in (4, 5, 6))
Square42, Square52, Square62 = (_scheme(f"Square{m}2", cook_toom(m, 2), cook_toom(m, 2)) for m in (4, 5, 6))
Line43, Line53, Line63 = (_scheme(f"Line{m}3", cook_toom(m, 3)) for m in (4, 5, 6))

SCHEMES = Square43, Square53, Square63, Square42, Square52, Square62, Line43, Line53, Line63


def choose(positions, patch):
    """Return the scheme with the fewest multiplications, and its fraction of the direct convolution's multiplications.

    Ties are broken in favour of smaller tiles. A patch can span several filters of the scheme only along the last
    axis. If patches are dilated, each phase is covered by tiles of its own.
    """

    def work(scheme):
        if scheme.rows.k not in (1, *patch.size[-2:-1]):
            return np.inf
        axes = zip(scheme.filterings[::-1], positions[::-1], patch.size[::-1], patch.dilation[::-1])
        return prod(filtering.work(length, size, step) for filtering, length, size, step in axes)

    scheme = min(SCHEMES, key=lambda scheme: (work(scheme), scheme.rows.n * scheme.columns.n))
    return scheme(), work(scheme)


# The transforms are compiled for each scheme into sequences of vector operations without loops.


def _combination(builder, coefficients, vectors, groups):
    """Return a linear combination of vectors.

    The vectors of each group are summed first, up to a factor, so that the compiler can reuse sums that several rows
    have in common.
    """
    total = None
    for group in groups:
        terms = [(c, v) for c, v in zip(coefficients[group], vectors[group]) if c]
        if terms:
            lead = min((c for c, _ in terms), key=lambda c: (c != 1, abs(c) != 1))
            part = None
            for c, vector in terms:
                part = _add(builder, part, c / lead, vector)
            total = _add(builder, total, lead, part)
    return total


def _add(builder, total, factor, vector):
    """Return ``total + factor * vector``."""
    if abs(factor) != 1 or (total is None and factor == -1):
        constant = ir.Constant(vector.type, [float(factor)] * vector.type.count)
        vector, factor = builder.fmul(vector, constant, flags=simd.FLAGS), 1
    if total is None:
        return vector
    return (builder.fadd if factor == 1 else builder.fsub)(total, vector, flags=simd.FLAGS)


def both_sides(read, source_axis):
    """Return a compiled function that computes ``Y = R X C^T`` for a grid of vectors.

    The axes of the grid are ``source_axis`` and ``source_axis + 1`` in X, and 0 and 1 in Y. For a `Filtering`, ``read``
    returns the matrix R or C and the groups of its columns.
    """

    @intrinsic
    def transform(typing, scheme, X, x, Y, y):
        vector, scheme_class = simd.Vector(X.dtype), scheme.instance_class
        (R, row_groups), (C, column_groups) = read(scheme_class.rows), read(scheme_class.columns)

        def grid(context, builder, kinds, values, axis, shape):
            array = context.make_array(kinds[0])(context, builder, values[0])
            strides = cgutils.unpack_tuple(builder, array.strides)[axis : axis + 2]
            first = builder.ptrtoint(simd.pointer(context, builder, kinds, *values), simd.INT)
            for i in np.ndindex(*shape):
                offsets = [builder.mul(s, ir.Constant(simd.INT, n)) for s, n in zip(strides, i)]
                yield i, builder.inttoptr(builder.add(first, builder.add(*offsets)), array.data.type)

        def generate(context, builder, signature, values):
            kinds, entries = signature.args, np.empty((R.shape[1], C.shape[1]), dtype=object)
            for i, at in grid(context, builder, kinds[1:3], values[1:3], source_axis, entries.shape):
                entries[i] = simd.load_vector(builder, at, vector)
            half = np.array([[_combination(builder, row, column, row_groups) for column in entries.T] for row in R])
            for (i, j), at in grid(context, builder, kinds[3:], values[3:], 0, (len(R), len(C))):
                simd.store_vector(builder, _combination(builder, C[j], half[i], column_groups), at, vector)
            return context.get_dummy_value()

        return types.void(scheme, X, x, Y, y), generate

    return transform


def _even_and_odd(filtering):
    """Return B, and the indices of its even and odd columns.

    The rows of B for the points p and -p differ only in the signs of every second column.
    """
    return filtering.B, [range(0, filtering.n, 2), range(1, filtering.n, 2)]


def _opposite(filtering):
    """Return A, and the indices of its columns, grouped by opposite points.

    The columns of A for the points p and -p are adjacent and differ only in the signs of some elements.
    """
    n = filtering.n
    return filtering.A, [
        range(0, 1),
        *(range(i, min(i + 2, n - 1)) for i in range(1, n - 1, 2)),
        range(max(1, n - 1), n),
    ]


transform_tile = both_sides(_even_and_odd, source_axis=1)
transform_back = both_sides(_opposite, source_axis=0)
