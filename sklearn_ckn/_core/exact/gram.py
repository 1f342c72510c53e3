"""Gram matrices of the exact kernel, computed in several threads.

The norms of the patches of each signal are computed first. The kernel is then computed for tiles of pairs of signals.
If there is a group of symmetries, the result for two signals x and y is the mean over all pairs of an image of x and an
image of y, where the images of a signal are its transforms under all elements of the group.
"""

from itertools import islice, permutations
from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..layer import kappa, patches, pooling
from ..layer.symmetries import mean_over_orbits, orbits, order
from ..runtime import simd
from ..runtime.threads import over_blocks, slices
from . import sparsity
from .layer import ExactLayer, add_traces, copy_to_lanes, find_norms, find_products
from .patch_products import Derivatives, PairGeometry, Quantities, Tangent, make_scratch, make_side

WORK = 2**24  # approximate number of products of patches per lane and tile; one tile takes a few tenths of a second
MEMORY = 2**20  # maximum size in bytes of each array for a batch of signals, unless the batch is a single signal
SHARES = 8  # minimum number of parts into which rows and columns are cut, so that all threads have work
TILES = 1024  # maximum number of tiles that are submitted to the threads at a time
SMALL_SIGMA = 0.15  # sigma below which rounding a cosine to single precision affects the kernel noticeably
LANES_AT_ONCE = 8  # maximum number of blocks of signals that a thread prepares at a time


class ExactNetwork(NamedTuple):
    """A network that has been prepared for pairs of signals of given shapes."""

    layers: list  # one layer.ExactLayer for each layer
    centred: patches.PatchGeometry | None  # geometry of the first layer's patches if they are centred, otherwise None
    n_channels: int
    dtype: np.dtype
    symmetries: str | None  # key of `symmetries.GROUPS`, the group over which the kernel is averaged

    @property
    def order(self):
        """The number of images of each signal, which is the order of the group of symmetries."""
        return order(self.symmetries)

    def read(self, signals, rows):  # -> (order, n, *space, c), (n,)
        """Return the maps that the first layer reads, and the exponents of the powers of two that scale the signals.

        Each signal is divided by the smallest power of two that exceeds its absolute values. The first axis of the maps
        enumerates the images of the signals under the elements of the group of symmetries.
        """
        X = signals.read(rows).astype(self.dtype, copy=False)
        exponents = np.frexp(np.abs(X.reshape(len(X), -1)).max(axis=1))[1]
        X = orbits(np.ldexp(X, -exponents.reshape(-1, *[1] * (X.ndim - 1))), self.symmetries)
        X = patches.extract(X, self.centred) if self.centred else X
        return X.reshape(self.order, -1, *X.shape[1:]), exponents

    def sides(self, n):
        """Allocate one `Side` of n blocks of signals for each layer."""
        return [make_side(k.geometry, k.quantities, n, self.n_channels, self.dtype) for k in self.layers]

    def scratch(self, n):
        """Allocate the scratch memory of each layer for a batch of n signals."""
        return [make_scratch(k.geometry, k.quantities, n, self.dtype) for k in self.layers]

    def batch(self):
        """Return the largest number of signals, at least one, for which each array fits in `MEMORY` bytes."""
        one = [*self.sides(1), *self.scratch(1)]
        return max(1, MEMORY // max(array.nbytes for record in one for array in record))

    def nothing_below(self, n):
        """Return an empty array in place of the products from the layer below, which the first layer does not read."""
        return np.empty((n, 0, 0, 0, 0, simd.n_lanes(self.dtype)), dtype=self.dtype)

    @property
    def n_quantities(self):
        """The number of quantities of the last maps."""
        return self.layers[-1].quantities.n_made

    @property
    def result(self):
        """The slice of the quantities that are the result: the tangent kernel, or the kernel and its derivatives."""
        return slice(-1 if self.layers[-1].quantities.tangent else 0, None)


def prepare(settings, shapes, dtype, differentiated, tangent=False, symmetries=None):
    """Prepare a network for pairs of signals of the given shapes.

    Parameters
    ----------
    settings : list of LayerSettings
    shapes : pair of tuples, shapes ``(*space, c)`` of the signals x and of the signals y
        If they are not equal, the last maps must have the same number of positions.
    dtype : dtype of the signals
    differentiated : list of bool, whether to differentiate the kernel with respect to ``log(sigma)`` of each layer
    tangent : bool, whether the result is the tangent kernel, which cannot be differentiated
    symmetries : key of `symmetries.GROUPS`, the group over which the result is averaged

    Returns
    -------
    network : ExactNetwork
    """
    spaces, c, (first, *others), centred = [shape[:-1] for shape in shapes], shapes[0][-1], settings, None
    dtype = exact_dtype(settings, dtype, tangent)
    if first.patch.centering:  # Centring is exact if each centred patch becomes a single position of the map.
        centred, spaces = first.patch, [first.patch_positions(space) for space in spaces]
        c *= prod(centred.size)
        first = first._replace(patch=patches.PatchGeometry.of((1,) * len(centred.size), "valid"))
    settings, made, n_inherited = [first, *others], [], 0
    related = sparsity.of_network(settings, spaces)
    for k, (layer, has_own) in enumerate(zip(settings, differentiated)):
        derivatives = Derivatives(n_inherited, has_own) if n_inherited + has_own else None
        quantities = Quantities(derivatives, Tangent(is_inherited=k > 0) if tangent else None)
        geometry = make_geometry(layer, spaces, dtype, related[2 * k : 2 * k + 3])._replace(is_first=k == 0)
        made.append(ExactLayer(geometry, layer.kernel, quantities))
        n_inherited, spaces = n_inherited + has_own, [layer.pooled_positions(space) for space in spaces]
    return ExactNetwork(made, centred, c, dtype, symmetries)


def exact_dtype(settings, dtype, tangent):
    """Return float64 if single precision would lose too many digits, otherwise ``dtype``.

    Digits are lost if the slope of a kernel is steep or if patches are centred after the first layer. The tangent
    kernel contains the slope of `kappa.ArcCosine1`, which is `kappa.ArcCosine0`.
    """
    steep_types = (kappa.ArcCosine0, kappa.ArcCosine1) if tangent else (kappa.ArcCosine0,)
    steep = [
        isinstance(layer.kernel, steep_types) or getattr(layer.kernel, "sigma", 1) < SMALL_SIGMA for layer in settings
    ]
    return np.dtype(np.float64 if any(steep) or any(layer.patch.centering for layer in settings[1:]) else dtype)


def make_geometry(settings, spaces, dtype, related):  # -> PairGeometry
    """Return the geometry of a layer for maps x and y of the spatial shapes ``spaces``.

    The sequence ``related`` contains the relations (see `sparsity`) of the input positions, the patches and the pooled
    positions.
    """
    (read, met, kept), patch, space = related, settings.patch, spaces[0]
    (*outer, length), (*outer_of_y, length_of_y) = map(settings.patch_positions, spaces)
    over_lines = settings.pooling.along(slice(-1))
    line_taps, line_taps_of_y = (pooling.taps(over_lines, tuple(n), dtype) for n in (outer, outer_of_y))
    taps = pooling.taps(settings.pooling.along(slice(-1, None)), (length,), dtype)
    starts, weights = settings.pooling.windows(-1, length_of_y)
    ones = np.ones(len(line_taps.outputs))
    reached = sparse.csc_array((ones, line_taps.outputs, line_taps.pointers), (len(kept.pairs), len(met.pairs))).T
    step, (before, _), n_rows = patch.dilation[-1], patch.padding[-1], patch.reach[-1] + 1
    under = np.arange(length)[:, None] + step * np.arange(patch.size[-1]) - before
    return PairGeometry(
        is_first=False,
        read=read,
        met=met,
        kept=kept,
        sources=lines_under(space[:-1], outer, patch),
        sources_of_y=lines_under(spaces[1][:-1], outer_of_y, patch),
        before=before,
        step=step,
        n_rows=n_rows,
        slots=np.where((under >= 0) & (under < space[-1]), under % n_rows, n_rows),
        centring=-1 / prod(patch.size) if patch.centering else 0.0,
        line_taps=line_taps,
        line_taps_of_y=line_taps_of_y,
        taps=taps,
        windows=pooling.Windows(starts, weights.astype(dtype)),
        wanted=reached @ (kept.pairs >= 0) > 0,
    )


def lines_under(space, positions, patch):  # two tuples without the last axis, PatchGeometry with all axes
    """Return the indices of the lines of a map that each line of patches covers, with -1 for lines outside the map."""
    size, widths = patch.size[:-1], patch.padding[:-1]
    columns = [first for first, _ in widths], patch.dilation[:-1], space
    before, steps, space = (np.array(column, dtype=int).reshape(-1, 1, 1) for column in columns)
    of_patches, of_offsets = np.indices((*positions, *size)).reshape(2, len(before), prod(positions), prod(size))
    index = of_patches + steps * of_offsets - before
    inside = ((index >= 0) & (index < space)).all(axis=0)
    flat = np.ravel_multi_index((np.zeros_like(inside, dtype=int), *index), (1, *space.ravel()), mode="clip")
    return np.where(inside, flat, -1)


class Described(NamedTuple):
    """Signals that have been prepared for pairing with other signals.

    The sides contain all blocks of the first images of the signals, then all blocks of the second images, and so on.
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
    blocks, images = slices(len(signals), lanes), range(network.order)
    sides, n_quantities, n_blocks = network.sides(len(images) * len(blocks)), network.n_quantities, len(blocks)
    kernel = np.zeros((len(images), len(images), n_blocks, n_quantities, lanes))  # of each pair of images of a signal
    exponents = np.zeros(len(signals), int)

    def describe_blocks(chosen):
        work = network.scratch(1)
        for block in range(chosen.start, chosen.stop):
            X, exponents[blocks[block]] = network.read(signals, blocks[block])
            for g in images:
                write_lanes(X[g], sides[0].maps[g * n_blocks + block])
                describe_block(network, sides, g * n_blocks + block, work, kernel[g, g, block : block + 1])
            for g, h in permutations(images, 2):
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
    """Return the mean over all pairs of images."""
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
    """Return the mean of `meet` over all pairs of images of the signals of X and Y."""
    lanes, images = simd.n_lanes(network.dtype), range(network.order)
    (n_blocks_x, n_blocks_y), K = (-(-len(described) // lanes) for described in (X, Y)), []
    of_all_images = [h * n_blocks_y + block for h in images for block in blocks]
    for g in images:
        start = g * n_blocks_x * lanes
        K.append(meet(network, X, slice(start + rows.start, start + rows.stop), Y, of_all_images))
    K = np.stack(K)  # (order, rows, order * columns, quantities)
    K = K.reshape(*K.shape[:2], len(images), -1, K.shape[-1])
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


def describe_groups(groups, prepare, n_threads):  # [(rows, Signals)] -> list of Group
    """Describe signals of several shapes; ``prepare(shapes)`` prepares the network for a pair of shapes."""
    return [
        Group(rows, part.shape, describe(part, prepare((part.shape, part.shape)), n_threads)) for rows, part in groups
    ]


def fill_groups(prepare, X, Y, matrix, n_threads, count):  # lists of Group
    """Write the kernel of all signals of X with all signals of Y to a matrix, one pair of groups at a time.

    If Y is X, each pair of groups is computed only once. See `fill` for the other parameters.
    """
    for k, x in enumerate(X):
        for y in Y[k if Y is X else 0 :]:
            network = prepare((x.shape, y.shape))
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
