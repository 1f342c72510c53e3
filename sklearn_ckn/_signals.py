"""Signals as the estimators read them: a few at a time, raw or through the layers fitted so far."""

from weakref import WeakKeyDictionary

import numpy as np
from sklearn import get_config

from ._core import blocks


def computing_dtype(dtype):
    """float64 for float64 (and longer), float32 for everything else."""
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize > 4 else np.float32)


class Signals:
    """An array of signals, read as contiguous maps ``(n, *space, n_channels)`` of a float dtype.

    float32 and float64 are kept; integers, booleans and half precision become float32, only those that are read.
    Chosen signals stay where they are until they are read, too.
    """

    def __init__(self, array, shape, dtype=None, chosen=None):
        self.array, self.shape = array, tuple(shape)  # (n, ...), (*space, n_channels)
        self.dtype = computing_dtype(array.dtype) if dtype is None else np.dtype(dtype)
        self.chosen = chosen  # indices of the array's signals; None: all of them

    def __len__(self):
        return len(self.array if self.chosen is None else self.chosen)

    def __getitem__(self, rows):
        if self.chosen is None and isinstance(rows, slice):
            return Signals(self.array[rows], self.shape, self.dtype)
        return Signals(self.array, self.shape, self.dtype, self._indices(rows))

    def read(self, rows):
        """The maps of these rows, a slice or an array of indices; never to be written to."""
        return np.ascontiguousarray(self.array[self._indices(rows)], dtype=self.dtype).reshape(-1, *self.shape)

    def _indices(self, rows):
        return rows if self.chosen is None else self.chosen[rows]


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
    """The same, seen through fitted layers: what is read is the last layer's map, and nothing else is computed."""

    def __init__(self, signals, layers, n_threads):
        self.signals, self.n_threads, self.dtype = signals, n_threads, signals.dtype
        self.network, self.shape = [], signals.shape
        for layer in layers:
            self.network.append(_ready(layer, self.shape, self.dtype))
            self.shape = self.network[-1].output_shape

    def __len__(self):
        return len(self.signals)

    def read(self, rows):
        """The maps of these rows, a slice or an array of indices."""
        signals = self.signals[rows]
        return self.write(signals, np.empty((len(signals), *self.shape), dtype=self.dtype))

    def write(self, signals, out, finish=None, flip=False):
        """Fill ``out`` with the maps of ``signals``, each block of them ``finish``ed first."""
        memory = get_config()["working_memory"] * 2**20
        return blocks.encode_signals(signals, self.network, out, self.n_threads, memory, finish, flip)
