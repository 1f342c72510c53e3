"""Gram matrices of the exact kernel, computed in several threads.

The norms of the patches of each signal are computed first. The kernel is then computed for tiles of pairs of signals.
With a group of symmetries, the result for two signals x and y is the mean over all pairs of a transform of x and a
transform of y, where the transforms of a signal are the elements of its orbit.
"""

from itertools import islice, permutations
from typing import NamedTuple

import numpy as np

from ..layer.symmetries import mean_over_orbits
from ..runtime import simd
from ..runtime.threads import over_blocks, slices
from .layer import add_traces, copy_to_lanes, find_norms, find_products

WORK = 2**24  # approximate number of products of patches per lane and tile; one tile takes a few tenths of a second
SHARES = 8  # minimum number of parts into which rows and columns are cut, so that all threads have work
TILES = 1024  # maximum number of tiles that are submitted to the threads at a time
LANES_AT_ONCE = 8  # maximum number of blocks of signals that a thread prepares at a time


class Described(NamedTuple):
    """Signals that have been prepared for pairing with other signals.

    The sides contain all blocks of the first transforms of the signals, then all blocks of the second, and so on.
    """

    exponents: np.ndarray  # (n,) A signal is divided by ``2^exponent``, and its kernel with itself by ``4^exponent``.
    sides: list  # one patch_products.Side of (order * n_blocks) blocks for each layer
    kernel: np.ndarray  # (n, quantities) result for each scaled signal paired with itself, in double precision

    def __len__(self):
        return len(self.exponents)

    @property
    def diagonal(self):
        """The kernel of each unscaled signal with itself, which follows from the homogeneity of the kernel."""
        with np.errstate(over="ignore"):
            return np.ldexp(self.kernel[:, 0], 2 * self.exponents)


def describe(signals, network, n_threads):  # -> Described
    """Read signals, and compute the norms of all patches in all layers and the kernel of each signal with itself.

    Parameters
    ----------
    signals : object with ``len`` and ``read(rows)``, which returns the maps ``(n, *space, c)`` of a slice of signals
    network : ExactNetwork
    n_threads : int
    """
    lanes = simd.n_lanes(network.dtype)
    blocks, transforms = slices(len(signals), lanes), range(network.order)
    sides, n_quantities, n_blocks = network.sides(len(transforms) * len(blocks)), network.n_quantities, len(blocks)
    kernel = np.zeros((len(transforms), len(transforms), n_blocks, n_quantities, lanes))  # of each pair of transforms
    exponents = np.zeros(len(signals), int)

    def describe_blocks(chosen):
        work = network.scratch(1)
        for block in range(chosen.start, chosen.stop):
            X, exponents[blocks[block]] = network.read(signals, blocks[block])
            for g in transforms:
                write_lanes(X[g], sides[0].maps[g * n_blocks + block])
                describe_block(network, sides, g * n_blocks + block, work, kernel[g, g, block : block + 1])
            for g, h in permutations(transforms, 2):
                pair = g * n_blocks + block, h * n_blocks + block
                add_kernel(network, sides, sides, pair, work, kernel[g, h, block : block + 1])

    at_once = min(LANES_AT_ONCE, -(-n_blocks // (2 * n_threads)))
    over_blocks(describe_blocks, slices(n_blocks, at_once), n_threads)
    kernel = mean_over_pairs(kernel, network.symmetries)
    kernel = kernel.swapaxes(1, 2).reshape(-1, n_quantities)[: len(signals), network.result]
    return Described(exponents, sides, kernel)


def describe_block(network, sides, block, work, total):
    """Compute the norms of all patches of a block, and add the kernel of each signal with itself to ``total``."""
    below = network.nothing_below(1)
    for layer, side, scratch in zip(network.layers, sides, work):
        find_norms(layer.geometry, side, block, below[0], scratch)
        find_products(layer, *layer.quantities, side, side, (block, block), below, scratch)
        below = scratch.above
    add_traces(below, total)


def add_kernel(network, xs, ys, blocks, work, totals):
    """Add the kernel of n blocks of signals with one other block to ``totals``.

    Parameters
    ----------
    network : ExactNetwork
    xs, ys : lists of one Side for each layer
    blocks : tuple of two ints, the index of the first of n blocks of xs and the index of the block of ys
    work : list of one Scratch for each layer, overwritten
    totals : ndarray of shape (n, quantities, n_lanes), out
    """
    below = network.nothing_below(len(totals))
    for layer, x, y, scratch in zip(network.layers, xs, ys, work):
        find_products(layer, *layer.quantities, x, y, blocks, below, scratch)
        below = scratch.above
    add_traces(below, totals)


def mean_over_pairs(K, symmetries):  # (order, order, ...) -> (...)
    """Return the mean over all pairs of transforms."""
    for _ in range(2):
        (K,) = mean_over_orbits(K, symmetries)
    return K


def write_lanes(X, maps):  # (n, *space, c), out (n_lines, at least length, c, n_lanes)
    """Write each signal to a separate lane. Unused lanes stay zero."""
    lines = X.reshape(len(X), len(maps), -1, X.shape[-1])
    maps[:, : lines.shape[2], :, : len(X)] = np.moveaxis(lines, 0, -1)


def meet(network, X, rows, Y, blocks):
    """Return the kernel of the signals of X in ``rows`` with the signals of Y in ``blocks``.

    The result has shape ``(rows, blocks * n_lanes, quantities)`` and dtype float64.
    """
    n, n_quantities, lanes = rows.stop - rows.start, network.n_quantities, simd.n_lanes(network.dtype)
    xs, work = network.sides(n), network.scratch(n)
    for side, x in zip(X.sides, xs):
        copy_to_lanes(side, rows.start, x)
    totals = np.zeros((len(blocks), n, n_quantities, lanes))
    for block, total in zip(blocks, totals):
        add_kernel(network, xs, Y.sides, (0, block), work, total)
    return totals.transpose(1, 0, 3, 2).reshape(n, -1, n_quantities)[..., network.result]


def meet_orbits(network, X, rows, Y, blocks):
    """Return the mean of `meet` over all pairs of transforms of the signals of X and Y."""
    lanes, transforms = simd.n_lanes(network.dtype), range(network.order)
    (n_blocks_x, n_blocks_y), K = (-(-len(described) // lanes) for described in (X, Y)), []
    of_all_transforms = [h * n_blocks_y + block for h in transforms for block in blocks]
    for g in transforms:
        start = g * n_blocks_x * lanes
        K.append(meet(network, X, slice(start + rows.start, start + rows.stop), Y, of_all_transforms))
    K = np.stack(K)  # (order, rows, order * columns, quantities)
    K = K.reshape(*K.shape[:2], len(transforms), -1, K.shape[-1])
    return mean_over_pairs(np.moveaxis(K, 2, 1), network.symmetries)


class Matrix(NamedTuple):
    """A Gram matrix that is written tile by tile."""

    values: np.ndarray  # (n, n_Y)
    gradient: np.ndarray | None  # (n, n_Y, quantities - 1)
    normalize: bool
    finished: list  # pairs (rows, columns) of slices, one for each tile that has been written

    def like(self, n, n_others):
        """Return a matrix of another size that is not filled yet."""
        gradient = None if self.gradient is None else np.empty((n, n_others, self.gradient.shape[2]), self.values.dtype)
        return Matrix(np.empty((n, n_others), self.values.dtype), gradient, self.normalize, finished=[])

    def put(self, part, rows, columns, is_symmetric):
        """Copy a matrix to the given rows and columns and, if the whole matrix is symmetric, also its transpose."""
        for whole, block in ((self.values, part.values), (self.gradient, part.gradient)):
            if whole is not None:
                whole[np.ix_(rows, columns)] = block
                if is_symmetric:
                    whole[np.ix_(columns, rows)] = block.swapaxes(0, 1)

    def write(self, K, here, chosen):  # (rows, columns, quantities), two slices, (rows, columns) of bool
        """Write the entries of a tile K that are selected by ``chosen`` to the slices ``here`` of the matrix."""
        np.copyto(self.values[here], K[..., 0], where=chosen, casting="same_kind")
        if self.gradient is not None:
            chosen = np.broadcast_to(chosen, K.shape[:2])[..., None]
            np.copyto(self.gradient[here], K[..., 1:], where=chosen, casting="same_kind")


class Group(NamedTuple):
    """Signals of one shape."""

    rows: np.ndarray  # indices of the signals among all signals
    shape: tuple  # (*space, c)
    described: Described


def describe_groups(groups, network_for, n_threads):  # [(rows, Signals)] -> list of Group
    """Describe signals of several shapes; ``network_for(shapes)`` returns the network for a pair of shapes."""
    return [
        Group(rows, part.shape, describe(part, network_for((part.shape, part.shape)), n_threads))
        for rows, part in groups
    ]


def fill_groups(network_for, X, Y, matrix, n_threads, count):  # lists of Group
    """Write the kernel of all signals of X with all signals of Y to a matrix, one pair of groups at a time.

    If Y is X, each pair of groups is computed only once. See `fill` for the other parameters.
    """
    for k, x in enumerate(X):
        for y in Y[k if Y is X else 0 :]:
            network = network_for((x.shape, y.shape))
            part = matrix if len(X) == len(Y) == 1 else matrix.like(len(x.rows), len(y.rows))
            fill(network, x.described, y.described, part, n_threads, count)
            if part is not matrix:
                matrix.put(part, x.rows, y.rows, Y is X)


def fill(network, X, Y, matrix, n_threads, count):
    """Write the kernel of all signals of X with all signals of Y to a matrix.

    If Y is X, only the tiles that overlap the upper triangle are computed.

    Parameters
    ----------
    network : ExactNetwork
    X, Y : Described
    matrix : Matrix
    n_threads : int
    count : callable, called after each tile with the number of new pairs in the tile
    """
    lanes = simd.n_lanes(network.dtype)

    def fill_tile(tile):
        rows, blocks = tile
        columns = slice(blocks.start * lanes, min(blocks.stop * lanes, len(Y)))
        K = meet_orbits(network, X, rows, Y, blocks)[:, : columns.stop - columns.start]
        if matrix.normalize:
            K = to_cosines(K, X.kernel[rows], Y.kernel[columns])
        else:
            K = np.ldexp(K, np.add.outer(X.exponents[rows], Y.exponents[columns])[..., None])
        chosen = np.ones(K.shape[:2], dtype=bool)
        if X is Y:  # The matrix is symmetric, so the part above the diagonal is also written below the diagonal.
            chosen = np.arange(rows.start, rows.stop)[:, None] <= np.arange(columns.start, columns.stop)
            matrix.write(K.swapaxes(0, 1), (columns, rows), chosen.T)
        matrix.write(K, (rows, columns), chosen)
        matrix.finished.append((rows, columns))
        count(int(chosen.sum()))

    tiles = cut_tiles(network, len(X), len(Y), X is Y)
    while some := list(islice(tiles, TILES)):
        over_blocks(fill_tile, some, n_threads)


def cut_tiles(network, n, n_Y, is_symmetric):  # -> (slice of rows, range of blocks of columns), ...
    """Yield tiles of about `WORK` products that cover a matrix, or only the upper triangle of a symmetric matrix."""
    lanes = simd.n_lanes(network.dtype)
    n_blocks = -(-n_Y // lanes)
    work = network.order**2 * sum(layer.geometry.met.n_products for layer in network.layers)
    n_rows = max(1, min(network.batch(), WORK // work, -(-n // SHARES)))
    width = max(1, min(WORK // (work * n_rows), -(-n_blocks // SHARES)))
    for rows in slices(n, n_rows):
        for first in range(rows.start // lanes if is_symmetric else 0, n_blocks, width):
            yield rows, range(first, min(first + width, n_blocks))


def to_cosines(K, xx, yy):  # (rows, columns, quantities), (rows, quantities), (columns, quantities)
    """Return ``k(x, y) / sqrt(k(x, x) k(y, y))`` and its derivatives, or 0 if ``k(x, x)`` or ``k(y, y)`` is 0."""
    size = np.sqrt(np.multiply.outer(xx[:, 0], yy[:, 0]))[..., None]
    cosines = np.divide(K, size, out=np.zeros_like(K), where=size > 0)
    x_growth, y_growth = (k[:, 1:] / np.where(k[:, :1] > 0, k[:, :1], 1) for k in (xx, yy))
    cosines[..., 1:] -= cosines[..., :1] * (x_growth[:, None] + y_growth) / 2
    return cosines
