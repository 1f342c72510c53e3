"""Matrices of the exact kernel: what is known of signals by themselves, then tile by tile what they have in common."""

from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from . import kappa, pairs, patches, pooling, relations, simd
from .machine import over_blocks, slices

ROWS = 32  # signals at most that meet a block of others in one tile
WORK = 2**24  # products of patches, about, for every lane of a tile: some tenths of a second
MEMORY = 2**20  # bytes that are taken for several signals one after the other, rather than for one


class Layer(NamedTuple):
    """One layer of a network, for pairs of maps."""

    geometry: pairs.Geometry
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

    def read(self, signals, rows):  # -> (n, *space, c)
        """Maps of signals as the first layer reads them."""
        X = signals.read(rows).astype(self.dtype, copy=False)
        return patches.center(patches.extract(X, *self.centering), X.shape[-1]) if self.centering else X

    def sides(self, n):
        """Of n blocks of signals, for every layer."""
        return [pairs.make_side(k.geometry, n, self.n_channels, k.n_parts, self.dtype) for k in self.layers]

    def scratch(self, n):
        """For n signals one after the other."""
        return [pairs.make_scratch(k.geometry, n, k.n_parts, k.n_parts_after, self.dtype) for k in self.layers]

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
    """Double where single precision loses too much: at an infinite slope, and where products cancel by centring."""
    loses = [isinstance(layer.kernel, kappa.ArcCosine0) for layer in settings]
    return np.dtype(np.float64 if any(loses) or any(layer.patch_centering for layer in settings[1:]) else dtype)


def make_geometry(layer, space, dtype, read, met, kept):
    """Of a layer, for maps of a space and with these `relations.Relation`."""
    *outer, length = layer.patch_positions(space)
    offsets, window = pooling.window(layer.pooling, layer.pooling_width[-1], length)
    taps = pooling.taps(layer.pooling, tuple(outer), layer.pooling_width[:-1], layer.subsampling[:-1], dtype)
    reached = sparse.csc_array((np.ones(len(taps[1])), taps[1], taps[0]), (len(kept.pairs), len(met.pairs))).T
    return pairs.Geometry(
        is_first=False,
        read=read,
        met=met,
        kept=kept,
        sources=lines_under(space[:-1], outer, layer.patch_size[:-1], layer.padding_widths[:-1]),
        before=layer.padding_widths[-1][0],
        size=layer.patch_size[-1],
        mean=-1 / prod(layer.patch_size) if layer.patch_centering else 0.0,
        pointers=taps[0],
        outputs=taps[1],
        weights=taps[2],
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

    n: int
    sides: list  # of `pairs.Side`, one per layer
    kernel: np.ndarray  # (n, parts) of each with itself, in double precision


def describe(signals, network, n_threads):
    """Read signals and find the norms of all patches in all layers.

    Parameters
    ----------
    signals : object with ``len`` and ``read(rows)``, the maps ``(n, *space, c)`` of a slice of signals
    """
    blocks = slices(len(signals), simd.n_lanes(network.dtype))
    sides, n_parts = network.sides(len(blocks)), network.layers[-1].n_parts_after
    kernel = np.zeros((len(blocks), n_parts, simd.n_lanes(network.dtype)))

    def describe_blocks(chosen):
        work = network.scratch(1)
        for block in range(chosen.start, chosen.stop):
            write_lanes(network.read(signals, blocks[block]), sides[0].maps[block])
            below = network.nothing_below(1)
            for layer, side, scratch in zip(network.layers, sides, work):
                pairs.find_norms(layer.geometry, side, block, below[0], scratch)
                pairs.find_products(*layer[:2], layer.tangents, side, block, side, block, below, scratch)
                below = scratch.above
            pairs.add_traces(below, kernel[block : block + 1])

    over_blocks(describe_blocks, slices(len(blocks), -(-len(blocks) // (2 * n_threads))), n_threads)
    return Described(len(signals), sides, kernel.swapaxes(1, 2).reshape(-1, n_parts)[: len(signals)])


def write_lanes(X, maps):  # (n, *space, c), out (n_lines, length and more, c, n_lanes)
    """Signals side by side; lanes that are left over stay zero."""
    lines = X.reshape(len(X), len(maps), -1, X.shape[-1])
    maps[:, : lines.shape[2], :, : len(X)] = np.moveaxis(lines, 0, -1)


def meet(network, X, rows, Y, block):
    """The kernel of some signals of X and a block of Y, ``(rows, n_lanes, parts)`` in double precision."""
    n_rows, one = rows.stop - rows.start, [network.sides(1), network.scratch(1)]
    n_bytes = max(array.nbytes for records in one for record in records for array in record)
    batch = min(n_rows, max(1, MEMORY // n_bytes))
    xs, work = network.sides(batch), network.scratch(batch)
    totals = np.zeros((n_rows, network.layers[-1].n_parts_after, simd.n_lanes(network.dtype)))
    for first in range(0, n_rows, batch):
        n = min(batch, n_rows - first)
        below = network.nothing_below(n)
        for layer, x, X_side, Y_side, scratch in zip(network.layers, xs, X.sides, Y.sides, work):
            pairs.spread(X_side, rows.start + first, x)
            pairs.find_products(*layer[:2], layer.tangents, x, 0, Y_side, block, below, scratch)
            below = scratch.above[:n]
        pairs.add_traces(below, totals[first : first + n])
    return totals.swapaxes(1, 2)


def fill(network, X, Y, out, gradient, normalize, n_threads, finished):
    """Write the kernel of all signals of X and of Y; of X among themselves, if Y is X.

    Parameters
    ----------
    X, Y : Described
    out : ndarray of shape (X.n, Y.n), out
    gradient : ndarray of shape (X.n, Y.n, parts - 1), out, or None
    finished : list, out: slices (rows, columns) of the tiles that are written
    """
    lanes = simd.n_lanes(network.dtype)
    columns = slices(Y.n, lanes)
    work = sum(layer.geometry.met.n_products for layer in network.layers)
    n_rows = max(1, min(ROWS, WORK // work, X.n * len(columns) // (4 * n_threads)))
    tiles = [
        (rows, block)
        for rows in slices(X.n, n_rows)
        for block in range(rows.start // lanes if X is Y else 0, len(columns))
    ]

    def fill_tile(tile):
        rows, block = tile
        here = rows, columns[block]
        K = meet(network, X, rows, Y, block)[:, : here[1].stop - here[1].start]
        if normalize:
            K = to_cosines(K, X.kernel[rows], Y.kernel[here[1]])
        if X is Y:  # what is below the diagonal is written as what is above
            chosen = np.arange(rows.start, rows.stop)[:, None] <= np.arange(here[1].start, here[1].stop)
            write(K, here, out, gradient, chosen)
            write(K.swapaxes(0, 1), here[::-1], out, gradient, chosen.T)
        else:
            write(K, here, out, gradient, True)
        finished.append(here)

    over_blocks(fill_tile, tiles, n_threads)


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
