"""The innermost loop of the package, which multiplies patches by the filters of a panel without copying the patches.

A row of a panel is a `Vector`. The sums for `ROWS` patches are computed together, because the registers of the
processor have room for `ROWS` sums.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import simd
from .compilation import compiled

ROWS = 8 if simd.REGISTER_BYTES == 64 else 6  # number of patches whose sums fit in 32 or 16 registers
TILE = 96  # number of rows that are multiplied by a panel while it is in the cache
DEPTH = 512  # number of columns summed at a time: more would be a tenth faster, but longer sums are less accurate


class Runs(NamedTuple):
    """Patches in memory: patch i consists of the ``run`` elements that begin at ``starts[i] + runs[j]``, for each j."""

    memory: np.ndarray  # (size,)
    starts: np.ndarray  # (n_patches + up to ROWS - 1,) the entries after the last patch are also read
    runs: np.ndarray  # (n_runs,)
    run: int


def count_panels(m, dtype):
    """Return the number of panels for m filters."""
    return -(-m // simd.n_lanes(dtype))


def pack(Z):  # (m, d) -> (n_panels, d, n_lanes)
    """Return filters as panels; the last panel is padded with zeros."""
    lanes = simd.n_lanes(Z.dtype)
    panels = simd.aligned((count_panels(len(Z), Z.dtype), Z.shape[1], lanes), Z.dtype, np.zeros)
    for first, panel in zip(range(0, len(Z), lanes), panels):
        filters = Z[first : first + lanes]
        panel[:, : len(filters)] = filters.T
    return panels


@njit(inline="always")
def multiply_panel(patches, n, Z, T, following):
    """Multiply n patches by a panel: ``T[i] = sum over j, k of memory[starts[i] + runs[j] + k] Z[j, k]``.

    Parameters
    ----------
    patches : Runs
    n : int, number of patches
    Z : ndarray of shape (n_runs * run, n_lanes), a panel
    T : ndarray of shape (len(starts), n_lanes), out
    following : ndarray of shape (any, n_lanes), memory to prefetch during the multiplication
    """
    ahead, fetched = -(-ROWS * len(following) // n), 0
    for i in range(0, n, ROWS):
        multiply_rows(patches.memory, patches.starts, patches.runs, patches.run, Z, T, i)
        for j in range(fetched, min(fetched + ahead, len(following))):
            simd.prefetch(following, (j, 0))
        fetched += ahead


@intrinsic
def multiply_rows(typing, x, starts, runs, run, Z, T, first):
    """Multiply `ROWS` patches, starting with patch ``first``, by a panel, with all sums in registers."""
    vector = simd.Vector(x.dtype)
    signature = types.void(x, starts, runs, types.intp, Z, T, types.intp)

    def generate(context, builder, signature, values):
        x, starts, runs, Z, T = (
            context.make_array(signature.args[i])(context, builder, values[i]) for i in (0, 1, 2, 4, 5)
        )
        run, first = values[3], values[6]
        zeros, width = ir.Constant(vector.llvm, [0.0] * vector.n_lanes), ir.Constant(simd.INT, vector.n_lanes)

        def at(pointer, *offsets):
            for offset in offsets:
                pointer = builder.gep(pointer, [offset])
            return pointer

        rows = [builder.add(first, ir.Constant(simd.INT, i)) for i in range(ROWS)]
        patches = [at(x.data, builder.load(at(starts.data, row))) for row in rows]
        sums = [cgutils.alloca_once(builder, vector.llvm) for _ in rows]
        for s in sums:
            builder.store(zeros, s)
        z = cgutils.alloca_once(builder, Z.data.type)
        builder.store(Z.data, z)
        with cgutils.for_range(builder, cgutils.unpack_tuple(builder, runs.shape, 1)[0], intp=simd.INT) as j:
            begin = builder.load(at(runs.data, j.index))
            with cgutils.for_range(builder, run, intp=simd.INT) as k:
                z_row = simd.load_vector(builder, builder.load(z), vector)
                builder.store(at(builder.load(z), width), z)
                for patch, s in zip(patches, sums):
                    number = simd.splat(builder, builder.load(at(patch, begin, k.index)), vector.llvm)
                    builder.store(simd.call(builder, "llvm.fmuladd", number, z_row, builder.load(s)), s)
        for row, s in zip(rows, sums):
            simd.store_vector(builder, builder.load(s), at(T.data, builder.mul(row, width)), vector)
        return context.get_dummy_value()

    return signature, generate


def add_product(X, panels, out):  # (k, at least d), (n_panels, d, n_lanes), out (k, m)
    """Add ``X Z^T`` to ``out``, where the rows of Z are the m filters in the panels."""
    add_product_to(X, panels, simd.aligned((TILE + ROWS - 1, panels.shape[2]), X.dtype), out)


@compiled
def add_product_to(X, panels, T, out):
    """Add ``X Z^T`` to ``out``, `TILE` rows and `DEPTH` columns of X at a time; T is overwritten."""
    (k, m), (n_panels, d, lanes), step, memory = out.shape, panels.shape, X.shape[1], X.ravel()
    starts, no_offset = np.empty(len(T), np.int64), np.zeros(1, np.int64)
    for row in range(0, k, TILE):
        n_rows = min(TILE, k - row)
        for first in range(0, d, DEPTH):
            depth = min(DEPTH, d - first)
            for i in range(len(starts)):
                starts[i] = min(row + i, k - 1) * step + first
            for panel in range(n_panels):
                Z, column = panels[panel, first : first + depth], panel * lanes
                multiply_panel(Runs(memory, starts, no_offset, depth), n_rows, Z, T, Z[:0])
                if column + lanes <= m:
                    for i in range(n_rows):
                        total = simd.load(out, (row + i, column)) + simd.load(T, (i, 0))
                        simd.store(total, out, (row + i, column))
                else:
                    for i in range(n_rows):
                        for j in range(m - column):
                            out[row + i, column + j] += T[i, j]
