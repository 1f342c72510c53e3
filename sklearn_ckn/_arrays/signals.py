"""Signals as the layers read them: a few at a time, raw or encoded by the layers fitted so far."""

from functools import partial
from math import lcm, prod
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from sklearn import config_context, get_config

from .._core.network import forward
from .._core.runtime.threads import slices
from .groups import OneGroup
from .stores import Stored, ahead, is_lazy, rows_of_chunk, with_note

LARGEST_EXACT = 2**24  # Single precision represents all integers up to this magnitude.
MOST_SHAPES = 256  # maximum number of shapes of maps for which the prepared forms of a layer are kept
PIECE = 1 / 16  # size of the pieces in which stores are read and written, as a fraction of the working memory


def working_memory():
    """Return the maximum number of bytes in a block of signals."""
    return int(get_config()["working_memory"] * 2**20)


def computing_dtype(dtype):
    """Return float64 for float64 and longer floats, float32 for everything else."""
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize > 4 else np.float32)


def exact_dtype(dtype, largest):
    """Return the dtype for computing values of up to a magnitude: `computing_dtype`, or float64 for large integers."""
    rounded = dtype.kind in "iu" and largest > LARGEST_EXACT
    return np.dtype(np.float64) if rounded else computing_dtype(dtype)


def largest_magnitude(array):
    """Return the largest absolute value of an array as a float."""
    return max(float(array.max()), -float(array.min()))


class Signals(OneGroup):
    """An array of signals, read as contiguous maps ``(n, *space, n_channels)`` of a float dtype.

    The dtype is `exact_dtype` for an array in memory, and `computing_dtype` for a store. Signals are converted only
    when they are read. Selecting signals does not copy them.

    Parameters
    ----------
    array : ndarray or Stored of shape (n, ...)
    shape : tuple, ``(*space, n_channels)``
    dtype : dtype or None, the dtype described above if None
    chosen : ndarray of shape (n_chosen,) or None, indices of the selected signals, all if None
    """

    def __init__(self, array, shape, dtype=None, chosen=None):
        self.array, self.shape, self.chosen = array, tuple(shape), chosen
        if dtype is None:
            values_matter = array.dtype.kind in "iu" and array.dtype.itemsize > 2 and not isinstance(array, Stored)
            dtype = exact_dtype(array.dtype, largest_magnitude(array) if values_matter else 0)
        self.dtype = np.dtype(dtype)

    def __len__(self):
        return len(self.array if self.chosen is None else self.chosen)

    @property
    def is_lazy(self):
        """Whether the signals are blocks of a Dask array, which are computed on the workers."""
        return isinstance(self.array, Stored) and is_lazy(self.array.source)

    def __getitem__(self, rows):
        if self.chosen is None and isinstance(rows, slice):
            return Signals(self.array[rows], self.shape, self.dtype)
        return Signals(self.array, self.shape, self.dtype, self._indices(rows))

    def of_dtype(self, dtype):
        """Return the same signals, to be read in another dtype."""
        return Signals(self.array, self.shape, dtype, self.chosen)

    def read(self, rows):
        """Return the maps of ``rows``, a slice or an array of indices. The maps must not be modified."""
        return np.ascontiguousarray(self.array[self._indices(rows)], dtype=self.dtype).reshape(-1, *self.shape)

    def _indices(self, rows):
        return rows if self.chosen is None else self.chosen[rows]

    def pieces(self, out=None):
        """Yield parts of the signals, loaded into memory, and their places among all signals (a slice or indices).

        If neither the signals nor ``out`` is stored, there is a single piece. Otherwise, a piece fits in a fraction
        of the working memory and consists of whole chunks of a store, and the next piece is read while the
        current piece is in use.
        """
        if not isinstance(self.array, Stored) and (out is None or isinstance(out, np.ndarray)):
            return [(self, slice(0, len(self)))]
        order, config = None if self.chosen is None else np.argsort(self.chosen, kind="stable"), get_config()

        def read(rows):
            places = rows if order is None else order[rows]
            with config_context(**config):  # The reading thread has a configuration of its own.
                return self[places]._in_memory(), places

        return self._checked(ahead(read, slices(len(self), piece_size(self, out))))

    def _checked(self, pieces):
        """Yield the pieces, and warn about doubtful data."""
        for piece in pieces:
            if isinstance(self.array, Stored):
                self.array.warn_of_doubts()
            yield piece

    def _in_memory(self):
        if not isinstance(self.array, Stored):
            return self
        return Signals(self.array[slice(None) if self.chosen is None else self.chosen], self.shape, self.dtype)


def piece_size(signals, out):
    """Return the number of signals in a piece: whole chunks of the output and, if possible, of the input."""
    chunk = 1 if out is None else rows_of_chunk(out)
    n_bytes = prod(signals.shape) * signals.dtype.itemsize
    if out is not None and not isinstance(out, np.ndarray):
        n_bytes += prod(out.shape[1:]) * out.dtype.itemsize
    most = int(working_memory() * PIECE / n_bytes)
    if isinstance(signals.array, Stored) and signals.chosen is None:
        both = lcm(chunk, signals.array.rows_of_chunk)
        chunk = both if chunk == 1 or both <= most else chunk
    return max(1, most // chunk) * chunk


class Destination(NamedTuple):
    """The array to which a result is written: an ndarray, or an array of a store."""

    array: object
    is_callers: bool = False  # whether the caller passed the array, and so still has it after an error


def over_pieces(signals, destination, fill):
    """Fill an array with results computed from signals, piece by piece, and return the array.

    Parameters
    ----------
    signals : Signals
    destination : Destination
    fill : callable ``fill(piece, part, place)``, which sets ``part[place(rows)]`` for slices of the rows of a piece.
        ``part`` is the array itself or, if the array belongs to a store, a buffer in memory, because a store is written
        in whole chunks from one thread.
    """
    out, n_done = destination.array, 0
    try:
        for piece, places in signals.pieces(out):
            if isinstance(out, np.ndarray):
                fill(piece, out, partial(within, places))
            else:
                rows = np.empty((len(piece), *out.shape[1:]), dtype=out.dtype)
                fill(piece, rows, partial(within, slice(0, len(piece))))
                with with_note(f"The error occurred while writing out[{n_done}:{n_done + len(piece)}]."):
                    out[n_done : n_done + len(piece)] = rows
            n_done += len(piece)
    except BaseException as error:
        if destination.is_callers and n_done:
            error.add_note(f"out[:{n_done}] is finished. The rest is not.")
        raise
    if hasattr(out, "id") and hasattr(out, "flush"):  # Without this flush, HDF5 could fail later and lose data.
        out.flush()
    return out


def within(places, rows):
    """Return the places of a slice of the rows of a piece, given the places of all signals in the piece."""
    if isinstance(places, slice):
        return slice(places.start + rows.start, places.start + rows.stop)
    return places[rows]


def frozen(array):
    """Return the array itself if its values cannot change, and a read-only copy otherwise."""
    if is_frozen(array):
        return array
    copied = np.array(array)
    copied.setflags(write=False)
    return copied


def is_frozen(array):
    """Return whether an array, and every array of which it is a view, is read-only."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return True


class Prepared(NamedTuple):
    """A fitted layer in the form in which it was last used, and everything from which this form was computed."""

    filters: np.ndarray  # frozen
    whitening: np.ndarray  # frozen
    others: tuple  # the settings of the layer, and the number of channels and the dtype of its maps
    layer: forward.PackedLayer
    by_shape: dict  # shape of maps -> forward.PreparedLayer

    def is_of(self, layer, others):
        """Return whether this form was computed from the current state of the layer."""
        arrays = (self.filters, layer.filters_), (self.whitening, layer.whitening_)
        return self.others == others and all(a is b or np.array_equal(a, b) for a, b in arrays)

    def for_shape(self, shape):  # (*space, c) -> forward.PreparedLayer
        """Return the layer prepared for maps of the given shape, which is kept for the next calls."""
        made = self.by_shape.get(shape)
        if made is None:
            made = self.by_shape[shape] = self.layer.prepare(shape)
            for oldest in list(self.by_shape)[:-MOST_SHAPES]:
                self.by_shape.pop(oldest, None)
        return made


_LAST_PREPARED = WeakKeyDictionary()  # fitted layer -> Prepared


def _prepare(layer, n_channels, dtype):  # -> Prepared
    """Return a fitted layer prepared for maps of any size, reusing its last form if nothing has changed."""
    others, last = (layer._settings, n_channels, dtype), _LAST_PREPARED.get(layer)
    if last is None or not last.is_of(layer, others):
        m, patch = len(layer.filters_), (*layer._settings.patch.size, n_channels)
        if layer.filters_.shape[1:] != patch or layer.whitening_.shape != (m, m):  # Compiled code cannot check shapes.
            raise ValueError(
                f"filters_ must have shape (n_filters, {', '.join(map(str, patch))}) and whitening_ (n_filters, "
                f"n_filters); got {layer.filters_.shape} and {layer.whitening_.shape}: fit the layer again."
            )
        if not (np.isfinite(layer.filters_).all() and np.isfinite(layer.whitening_).all()):
            raise ValueError("filters_ and whitening_ must be finite, as they are after fit: fit the layer again.")
        filters, whitening = frozen(layer.filters_), frozen(layer.whitening_)
        Z, A = filters.reshape(m, -1).astype(dtype, copy=False), whitening.astype(dtype, copy=False)
        last = Prepared(filters, whitening, others, forward.pack_layer(Z, A, layer._settings), {})
        _LAST_PREPARED[layer] = last
    return last


class EncodedSignals(OneGroup):
    """Signals encoded by fitted layers; maps of the last layer are computed only when they are needed."""

    def __init__(self, signals, layers, n_threads):
        self.signals, self.layers, self.n_threads, self.dtype = signals, layers, n_threads, signals.dtype
        self.network, self.shape = [], signals.shape
        for layer in layers:
            self.network.append(_prepare(layer, self.shape[-1], self.dtype).for_shape(self.shape))
            self.shape = self.network[-1].output_shape

    def __len__(self):
        return len(self.signals)

    def fill(self, rows, finish, companion, out):
        """Set ``out[i]`` to the result of ``finish`` for the maps of signal ``rows[i]`` and for ``companion[i]``."""
        self.write(self.signals[rows], Destination(out), finish, companions=(companion,))

    def write(self, signals, destination, finish=None, symmetries=None, companions=(), count=None):
        """Fill an array with the maps of ``signals``, and return it.

        Parameters
        ----------
        signals : Signals
        destination : Destination
        finish : callable or None, applied to each block of maps before the block is stored
        symmetries : key of `symmetries.GROUPS`, the group over which the maps of each signal are averaged
        companions : tuple of arrays with one row per signal, whose rows are passed to ``finish`` with the maps
        count : callable or None, to which the number of finished signals is passed after each block
        """

        def fill(piece, part, place):
            def use(rows, maps):
                here = place(rows)
                part[here] = finish(maps, *(array[here] for array in companions)) if finish else maps
                if count is not None:
                    count(len(maps))

            forward.encode_signals(piece, self.network, use, self.n_threads, working_memory(), symmetries)

        return over_pieces(signals, destination, fill)
