"""Signals as the estimators read them: a few at a time, raw or through the layers fitted so far."""

from functools import partial
from math import lcm, prod
from weakref import WeakKeyDictionary

import numpy as np
from sklearn import config_context, get_config

from ._core import blocks
from ._core.machine import slices
from ._stores import Stored, ahead, is_lazy, rows_of_chunk, told_where

PIECE = 1 / 16  # of the working memory: what is read from a store, or written to one, at once


def working_memory():
    """Bytes that blocks of signals may take."""
    return int(get_config()["working_memory"] * 2**20)


def computing_dtype(dtype):
    """float64 for float64 (and longer), float32 for everything else."""
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize > 4 else np.float32)


class Signals:
    """An array of signals, read as contiguous maps ``(n, *space, n_channels)`` of a float dtype.

    float32 and float64 are kept; integers, booleans and half precision become float32, only those that are read.
    Chosen signals stay where they are until they are read, too.
    """

    def __init__(self, array, shape, dtype=None, chosen=None):
        self.array, self.shape = array, tuple(shape)  # ndarray or Stored (n, ...), (*space, n_channels)
        self.dtype = computing_dtype(array.dtype) if dtype is None else np.dtype(dtype)
        self.chosen = chosen  # indices of the array's signals; None: all of them

    def __len__(self):
        return len(self.array if self.chosen is None else self.chosen)

    @property
    def is_lazy(self):
        """Whether they are blocks of a Dask array, to be computed where they are."""
        return isinstance(self.array, Stored) and is_lazy(self.array.source)

    def __getitem__(self, rows):
        if self.chosen is None and isinstance(rows, slice):
            return Signals(self.array[rows], self.shape, self.dtype)
        return Signals(self.array, self.shape, self.dtype, self._indices(rows))

    def read(self, rows):
        """The maps of these rows, a slice or an array of indices; never to be written to."""
        return np.ascontiguousarray(self.array[self._indices(rows)], dtype=self.dtype).reshape(-1, *self.shape)

    def _indices(self, rows):
        return rows if self.chosen is None else self.chosen[rows]

    def pieces(self, out=None):
        """Parts of the signals that are in memory, and where they stand among all: a slice, or indices (n,).

        They are all of them, unless they are stored or `out` is: then as many as a part of the working memory takes, of
        whole chunks of a store, the next ones being read meanwhile.
        """
        if not isinstance(self.array, Stored) and (out is None or isinstance(out, np.ndarray)):
            return [(self, slice(0, len(self)))]
        order, config = None if self.chosen is None else np.argsort(self.chosen, kind="stable"), get_config()

        def read(rows):
            places = rows if order is None else order[rows]
            with config_context(**config):  # of the thread that asks
                return self[places]._in_memory(), places

        return ahead(read, slices(len(self), piece_size(self, out)))

    def _in_memory(self):
        if not isinstance(self.array, Stored):
            return self
        return Signals(self.array[slice(None) if self.chosen is None else self.chosen], self.shape, self.dtype)


def piece_size(signals, out):
    """Signals in a piece: whole chunks of the store that is written to, or else of the one that is read."""
    chunk = 1 if out is None else rows_of_chunk(out)
    n_bytes = prod(signals.shape) * signals.dtype.itemsize
    if out is not None and not isinstance(out, np.ndarray):
        n_bytes += prod(out.shape[1:]) * out.dtype.itemsize
    most = int(working_memory() * PIECE / n_bytes)
    if isinstance(signals.array, Stored) and signals.chosen is None:
        both = lcm(chunk, signals.array.rows_of_chunk)
        chunk = both if chunk == 1 or both <= most else chunk
    return max(1, most // chunk) * chunk


def over_pieces(signals, out, fill, is_kept=False):
    """``fill(piece, target, place)`` for pieces of signals; ``target[place(rows)]`` is what becomes of a piece's rows.

    The target is ``out``, or a part of it in memory: an array of a store is written to by whole chunks, from one
    thread. If someone keeps ``out`` after an error, that tells what is in it.
    """
    n_done = 0
    try:
        for piece, places in signals.pieces(out):
            if isinstance(out, np.ndarray):
                fill(piece, out, partial(within, places))
            else:
                rows = np.empty((len(piece), *out.shape[1:]), dtype=out.dtype)
                fill(piece, rows, partial(within, slice(0, len(piece))))
                with told_where(f"While writing out[{n_done}:{n_done + len(piece)}]."):
                    out[n_done : n_done + len(piece)] = rows
            n_done += len(piece)
    except BaseException as error:
        if is_kept and n_done:
            error.add_note(f"out[:{n_done}] is finished; the rest of it is not.")
        raise
    if hasattr(out, "id") and hasattr(out, "flush"):  # what HDF5 has not written yet would fail later, and be lost
        out.flush()
    return out


def within(places, rows):
    """Some rows, a slice, of those that stand at these places."""
    if isinstance(places, slice):
        return slice(places.start + rows.start, places.start + rows.stop)
    return places[rows]


_LAST_READY = WeakKeyDictionary()  # fitted layer -> what it was made ready from, and for; the result: its filters anew


def _ready(layer, shape, dtype):
    """A fitted layer made ready for maps of this shape; one after the other of the same shape and dtype share it."""
    wanted = layer.filters_, layer.whitening_, layer._settings, shape, dtype
    found, ready = _LAST_READY.get(layer, (None, None))
    same_layer = found is not None and all(a is b for a, b in zip(found[:3], wanted))
    if not same_layer or found[3:] != wanted[3:]:
        m, patch = len(layer.filters_), (*layer._settings.patch_size, shape[-1])
        if layer.filters_.shape[1:] != patch or layer.whitening_.shape != (m, m):  # compiled code does not look again
            raise ValueError(
                f"filters_ must have shape (n_filters, {', '.join(map(str, patch))}) and whitening_ (n_filters, "
                f"n_filters); got {layer.filters_.shape} and {layer.whitening_.shape}: fit the layer again."
            )
        if not (np.isfinite(layer.filters_).all() and np.isfinite(layer.whitening_).all()):
            raise ValueError("filters_ and whitening_ must be finite, as after fit: fit the layer again.")
        layer.filters_.setflags(write=False)  # a change in place would not be seen: replace the array
        layer.whitening_.setflags(write=False)
        Z = layer.filters_.reshape(m, -1).astype(dtype, copy=False)
        ready = blocks.make_layer(Z, layer.whitening_.astype(dtype, copy=False), layer._settings, shape)
        _LAST_READY[layer] = wanted, ready
    return ready


class EncodedSignals:
    """The same, seen through fitted layers: only what is asked for of the last layer's maps is computed."""

    def __init__(self, signals, layers, n_threads):
        self.signals, self.n_threads, self.dtype = signals, n_threads, signals.dtype
        self.network, self.shape = [], signals.shape
        for layer in layers:
            self.network.append(_ready(layer, self.shape, self.dtype))
            self.shape = self.network[-1].output_shape

    def __len__(self):
        return len(self.signals)

    def fill(self, rows, finish, beside, out):
        """``out[i] = finish(maps, beside)`` for the maps of ``rows[i]`` and ``beside[i]``, block by block."""
        self.write(self.signals[rows], out, finish, beside=(beside,))

    def write(self, signals, out, finish=None, flip=False, beside=(), count=None, is_kept=False):
        """Fill ``out`` with the maps of ``signals``, each block of them ``finish``ed first.

        Parameters
        ----------
        beside : arrays whose rows stand beside the signals', and are given to ``finish`` with their maps
        count : callable, told how many signals are done
        is_kept : bool, as for `over_pieces`
        """

        def fill(piece, target, place):
            def use(rows, maps):
                here = place(rows)
                target[here] = finish(maps, *(array[here] for array in beside)) if finish else maps
                if count is not None:
                    count(len(maps))

            blocks.encode_signals(piece, self.network, use, self.n_threads, working_memory(), flip)

        return over_pieces(signals, out, fill, is_kept)
