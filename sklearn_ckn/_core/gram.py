"""Matrices of the exact kernel: what is known of signals by themselves, then tile by tile what they have in common."""

from itertools import islice
from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from . import kappa, pairs, patches, pooling, relations, ring, simd
from .machine import over_blocks, slices

WORK = 2**24  # products of patches, about, for every lane of a tile: some tenths of a second
MEMORY = 2**20  # bytes that are taken for several signals one after the other, rather than for one
SHARES = 8  # of rows and of columns, at least: work for threads
TILES = 1024  # that are handed to threads together
SMALL_SIGMA = 0.15  # below it rounding of a cosine in single precision is seen


class Layer(NamedTuple):
    """One layer of a network, for pairs of maps."""

    geometry: ring.Geometry
    kernel: tuple
    n_parts: int  # of what it reads: the product, and its derivatives by log(sigma) of earlier layers
    has_own: bool  # it adds the derivative by its own

    @property
    def n_parts_after(self):
        return self.n_parts + self.has_own

    @property
    def tangents(self):
        """As `pairs.find_products` takes them."""
        return self.has_own if self.n_parts_after > 1 else None


class Network(NamedTuple):
    """A network, for pairs of signals of a shape."""

    layers: list
    centering: tuple  # of the first layer's patches, if it does that: their size and the widths of padding
    n_channels: int
    dtype: np.dtype

    def read(self, signals, rows):  # -> (n, *space, c), (n,)
        """Maps of signals as the first layer reads them, of values up to 1, and the powers of two left out of them."""
        X = signals.read(rows).astype(self.dtype, copy=False)
        exponents = np.frexp(np.abs(X.reshape(len(X), -1)).max(axis=1))[1]
        X = np.ldexp(X, -exponents.reshape(-1, *[1] * (X.ndim - 1)))
        if self.centering:
            X = patches.center(patches.extract(X, *self.centering), X.shape[-1])
        return X, exponents

    def sides(self, n):
        """Of n blocks of signals, for every layer."""
        return [ring.make_side(k.geometry, n, self.n_channels, k.n_parts, self.dtype) for k in self.layers]

    def scratch(self, n):
        """For n signals one after the other."""
        return [ring.make_scratch(k.geometry, n, k.n_parts, k.n_parts_after, self.dtype) for k in self.layers]

    def batch(self):
        """How many signals are taken one after the other: as many as fit into some memory."""
        one = [*self.sides(1), *self.scratch(1)]
        return max(1, MEMORY // max(array.nbytes for record in one for array in record))

    def nothing_below(self, n):
        """The maps of products below the first layer, never read."""
        return np.empty((n, 0, 0, 0, 0, simd.n_lanes(self.dtype)), dtype=self.dtype)


def make_network(settings, shape, dtype, differentiated):
    """The network of these layers, for signals of ``shape`` ``(*space, c)``.

    Parameters
    ----------
    settings : list of `encode.LayerSettings`
    differentiated : list of bool, by which layers' ``log(sigma)``
    """
    (*space, c), (first, *others), centering, dtype = shape, settings, (), computing_dtype(settings, dtype)
    if first.patch_centering:  # exactly: its map is one of centred patches then, and its patches are positions of that
        centering, space = (first.patch_size, first.padding_widths), first.patch_positions(space)
        c, positions, no_padding = c * prod(first.patch_size), (1,) * len(space), ((0, 0),) * len(space)
        first = first._replace(patch_size=positions, padding_widths=no_padding, patch_centering=False)
    settings, layers, n_parts = [first, *others], [], 1
    related = relations.of_network(settings, space)
    for k, layer in enumerate(settings):
        geometry = make_geometry(layer, space, dtype, *related[2 * k : 2 * k + 3])._replace(is_first=k == 0)
        layers.append(Layer(geometry, layer.kernel, n_parts, differentiated[k]))
        n_parts, space = layers[-1].n_parts_after, layer.pooled_positions(space)
    return Network(layers, centering, c, dtype)


def computing_dtype(settings, dtype):
    """Double where single precision loses too much: at steep slopes, and where products cancel by centring."""
    steep = [
        isinstance(layer.kernel, kappa.ArcCosine0) or getattr(layer.kernel, "sigma", 1) < SMALL_SIGMA
        for layer in settings
    ]
    return np.dtype(np.float64 if any(steep) or any(layer.patch_centering for layer in settings[1:]) else dtype)


def make_geometry(layer, space, dtype, read, met, kept):
    """Of a layer, for maps of a space and with these `relations.Relation`."""
    *outer, length = layer.patch_positions(space)
    offsets, window = pooling.window(layer.pooling, layer.pooling_width[-1], length)
    line_taps, taps = (
        pooling.taps(layer.pooling, positions, layer.pooling_width[axes], layer.subsampling[axes], dtype)
        for positions, axes in ((tuple(outer), slice(-1)), ((length,), slice(-1, None)))
    )
    columns = np.ones(len(line_taps.outputs)), line_taps.outputs, line_taps.pointers
    reached = sparse.csc_array(columns, (len(kept.pairs), len(met.pairs))).T
    size, before = layer.patch_size[-1], layer.padding_widths[-1][0]
    under = np.arange(length)[:, None] + np.arange(size) - before
    return ring.Geometry(
        is_first=False,
        read=read,
        met=met,
        kept=kept,
        sources=lines_under(space[:-1], outer, layer.patch_size[:-1], layer.padding_widths[:-1]),
        before=before,
        size=size,
        slots=np.where((under >= 0) & (under < space[-1]), under % size, size),
        mean=-1 / prod(layer.patch_size) if layer.patch_centering else 0.0,
        line_taps=line_taps,
        taps=taps,
        wanted=reached @ (kept.pairs >= 0) > 0,
        first=int(offsets[0]),
        stride=layer.subsampling[-1],
        window=window.astype(dtype),
    )


def lines_under(space, positions, size, widths):
    """The line under every run of the patches at ``positions``, -1 outside of ``space``; all without the last axis."""
    before, space = (np.array(n, dtype=int).reshape(-1, 1, 1) for n in ([first for first, _ in widths], space))
    index = np.indices((*positions, *size)).reshape(2, len(before), prod(positions), prod(size)).sum(axis=0) - before
    inside = ((index >= 0) & (index < space)).all(axis=0)
    flat = np.ravel_multi_index((np.zeros_like(inside, dtype=int), *index), (1, *space.ravel()), mode="clip")
    return np.where(inside, flat, -1)


class Described(NamedTuple):
    """Signals, ready to be paired with others."""

    exponents: np.ndarray  # (n,) the signals are divided by these powers of two, and the kernel is that of what is left
    sides: list  # of `ring.Side`, one per layer
    kernel: np.ndarray  # (n, parts) of each with itself, in double precision

    def __len__(self):
        return len(self.exponents)

    @property
    def diagonal(self):
        """The kernel of each signal with itself; the kernel is homogeneous."""
        with np.errstate(over="ignore"):
            return np.ldexp(self.kernel[:, 0], 2 * self.exponents)


def describe(signals, network, n_threads):
    """Read signals and find the norms of all patches in all layers.

    Parameters
    ----------
    signals : object with ``len`` and ``read(rows)``, the maps ``(n, *space, c)`` of a slice of signals
    """
    blocks = slices(len(signals), simd.n_lanes(network.dtype))
    sides, n_parts = network.sides(len(blocks)), network.layers[-1].n_parts_after
    kernel, exponents = np.zeros((len(blocks), n_parts, simd.n_lanes(network.dtype))), np.zeros(len(signals), int)

    def describe_blocks(chosen):
        work = network.scratch(1)
        for block in range(chosen.start, chosen.stop):
            X, exponents[blocks[block]] = network.read(signals, blocks[block])
            write_lanes(X, sides[0].maps[block])
            below = network.nothing_below(1)
            for layer, side, scratch in zip(network.layers, sides, work):
                pairs.find_norms(layer.geometry, side, block, below[0], scratch)
                pairs.find_products(*layer[:2], layer.tangents, side, block, side, block, below, scratch)
                below = scratch.above
            pairs.add_traces(below, kernel[block : block + 1])

    over_blocks(describe_blocks, slices(len(blocks), min(8, -(-len(blocks) // (2 * n_threads)))), n_threads)
    return Described(exponents, sides, kernel.swapaxes(1, 2).reshape(-1, n_parts)[: len(signals)])


def write_lanes(X, maps):  # (n, *space, c), out (n_lines, length and more, c, n_lanes)
    """Signals side by side; lanes that are left over stay zero."""
    lines = X.reshape(len(X), len(maps), -1, X.shape[-1])
    maps[:, : lines.shape[2], :, : len(X)] = np.moveaxis(lines, 0, -1)


def meet(network, X, rows, Y, blocks):
    """The kernel of some signals of X and some blocks of Y, ``(rows, blocks * n_lanes, parts)`` in double precision."""
    n, n_parts, lanes = rows.stop - rows.start, network.layers[-1].n_parts_after, simd.n_lanes(network.dtype)
    xs, work = network.sides(n), network.scratch(n)
    for side, x in zip(X.sides, xs):
        pairs.spread(side, rows.start, x)
    totals = np.zeros((len(blocks), n, n_parts, lanes))
    for block, total in zip(blocks, totals):
        below = network.nothing_below(n)
        for layer, x, y, scratch in zip(network.layers, xs, Y.sides, work):
            pairs.find_products(*layer[:2], layer.tangents, x, 0, y, block, below, scratch)
            below = scratch.above
        pairs.add_traces(below, total)
    return totals.transpose(1, 0, 3, 2).reshape(n, -1, n_parts)


def fill(network, X, Y, out, gradient, normalize, n_threads, finished, count):
    """Write the kernel of all signals of X and of Y; of X among themselves, if Y is X.

    Parameters
    ----------
    X, Y : Described
    out : ndarray of shape (len(X), len(Y)), out
    gradient : ndarray of shape (len(X), len(Y), parts - 1), out, or None
    finished : list, out: slices (rows, columns) of the tiles that are written
    count : callable, told how many pairs are done
    """
    lanes = simd.n_lanes(network.dtype)
    n_blocks = -(-len(Y) // lanes)
    work = sum(layer.geometry.met.n_products for layer in network.layers)
    n_rows = max(1, min(network.batch(), WORK // work, -(-len(X) // SHARES)))
    width = max(1, min(WORK // (work * n_rows), -(-n_blocks // SHARES)))
    tiles = (
        (rows, range(first, min(first + width, n_blocks)))
        for rows in slices(len(X), n_rows)
        for first in range(rows.start // lanes if X is Y else 0, n_blocks, width)
    )

    def fill_tile(tile):
        rows, blocks = tile
        here = rows, slice(blocks.start * lanes, min(blocks.stop * lanes, len(Y)))
        K = meet(network, X, rows, Y, blocks)[:, : here[1].stop - here[1].start]
        if normalize:
            K = to_cosines(K, X.kernel[rows], Y.kernel[here[1]])
        else:
            K = np.ldexp(K, np.add.outer(X.exponents[rows], Y.exponents[here[1]])[..., None])
        if X is Y:  # what is below the diagonal is written as what is above
            chosen = np.arange(rows.start, rows.stop)[:, None] <= np.arange(here[1].start, here[1].stop)
            write(K, here, out, gradient, chosen)
            write(K.swapaxes(0, 1), here[::-1], out, gradient, chosen.T)
        else:
            write(K, here, out, gradient, True)
        finished.append(here)
        count(int(chosen.sum()) if X is Y else K.shape[0] * K.shape[1])

    while some := list(islice(tiles, TILES)):
        over_blocks(fill_tile, some, n_threads)


def write(K, here, out, gradient, chosen):  # (rows, columns, parts)
    """Where it is chosen."""
    np.copyto(out[here], K[..., 0], where=chosen, casting="same_kind")
    if gradient is not None:
        chosen = np.broadcast_to(chosen, K.shape[:2])[..., None]
        np.copyto(gradient[here], K[..., 1:], where=chosen, casting="same_kind")


def to_cosines(K, xx, yy):  # (rows, columns, parts), (rows, parts), (columns, parts)
    """``k(x, y) / sqrt(k(x, x) k(y, y))``, 0 where a signal's kernel with itself is 0, and its derivatives."""
    size = np.sqrt(np.multiply.outer(xx[:, 0], yy[:, 0]))[..., None]
    cosines = np.divide(K, size, out=np.zeros_like(K), where=size > 0)
    x_growth, y_growth = (k[:, 1:] / np.where(k[:, :1] > 0, k[:, :1], 1) for k in (xx, yy))
    cosines[..., 1:] -= cosines[..., :1] * (x_growth[:, None] + y_growth) / 2
    return cosines
