"""Arrays that may be larger than memory, which are read and written a few rows at a time."""

import errno
import mmap
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

UNKNOWN_TO_THE_DISK = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # errors of file systems that cannot reserve space


def is_stored(X):
    """Return whether X is a memmap, a zarr, h5py or Dask array, or a similar array of real numbers."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap)
    try:
        is_numeric = np.dtype(X.dtype).kind in "fiub"
    except (AttributeError, TypeError):  # X has no dtype, or a dtype of another library.
        return False
    has_rows = isinstance(getattr(X, "shape", None), tuple) and len(X.shape) > 1 and hasattr(X, "__getitem__")
    return is_numeric and has_rows and not issparse(X)


def is_lazy(X):
    """Return whether X is a Dask array."""
    library = sys.modules.get("dask.array")
    return library is not None and isinstance(X, library.Array)


def rows_of_chunk(array, names=("shards", "chunks")):
    """Return the maximum number of rows in a chunk, or in a shard if the array has shards.

    The result is 1 if the array has no chunks.
    """
    chunks = next(filter(None, (getattr(array, name, None) for name in names)), None)
    first = chunks[0] if chunks else 1
    return max(first) if isinstance(first, tuple) else first


class Stored:
    """An array that is never read as a whole, but in slices of rows whose values are checked when they are read.

    Parameters
    ----------
    source : object that has `shape` and `dtype` and can be sliced by rows
    name : str, the name of the array in error messages
    check : callable ``check(rows, name)``, which raises an error if the rows contain invalid values
    """

    def __init__(self, source, name, check):
        self.source, self.name, self.check = source, name, check
        self.shape, self.dtype, self.ndim = source.shape, np.dtype(source.dtype), len(source.shape)
        if np.isnan(self.shape).any():
            raise ValueError(f"{name} has an unknown shape, {self.shape}: call {name}.compute_chunk_sizes() first.")
        place = place_in_file(source)
        if place is not None and os.path.getsize(place.path) < place.stop:
            raise ValueError(
                f"{name} is truncated: its file has {os.path.getsize(place.path)} bytes, but {name} extends to byte "
                f"{place.stop}. Write the file again."
            )
        self.rows_of_chunk = rows_of_chunk(source)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):  # -> ndarray
        """Return the rows that a slice or an increasing array of indices selects."""
        if isinstance(rows, slice):
            return self._read(*rows.indices(len(self))[:2])
        if isinstance(self.source, np.memmap):
            found = np.asarray(self.source[rows])
            self.check(found, self.name)
            return found
        parts, k = [], self.rows_of_chunk
        for some in np.split(rows, np.flatnonzero(np.diff(rows // k)) + 1):
            start = int(some[0]) // k * k
            parts.append(self._read(start, min(start + k, len(self)))[some - start])
        return np.concatenate(parts)

    def _read(self, start, stop):
        name = f"{self.name}[{start}:{stop}]"
        with with_note(f"The error occurred while reading {name}."):
            rows = np.asarray(self.source[start:stop])
        if rows.shape != (stop - start, *self.shape[1:]) or rows.dtype != self.dtype:
            raise ValueError(
                f"{name} has shape {rows.shape} and dtype {rows.dtype}, but {self.name} has shape {self.shape} and "
                f"dtype {self.dtype}: {self.name} is truncated, or was changed while it was being read. Check that "
                f"{self.name} is complete."
            )
        self._check_written(rows, start)
        self.check(rows, name)
        return rows

    def _check_written(self, rows, start):
        """Reject chunks that were never written, for which zarr and HDF5 return the fill value of the array."""
        fill = getattr(self.source, "fill_value", getattr(self.source, "fillvalue", None))
        k = rows_of_chunk(self.source, ["chunks"])
        if fill is None or k == 1:
            return
        for chunk in range(start // k * k, start + len(rows), k):
            size = min(k, len(self) - chunk)
            some = rows[max(chunk - start, 0) : chunk + size - start]
            if 2 * len(some) >= size and some.flat[0] == fill and (some == fill).all():
                raise ValueError(
                    f"{self.name}[{chunk}:{chunk + size}], a whole chunk, is {fill} everywhere, which is the "
                    f"fill value of chunks that were never written. If {self.name} was not written completely, write "
                    f"the missing chunks. If the values are intended, create the store with another fill_value, or "
                    f"wrap {self.name} in an object that exposes only its shape and dtype and supports slicing."
                )


class Place(NamedTuple):
    """The part of a file that contains the data of an array."""

    path: str
    start: int  # offset of the first byte
    stop: int  # offset of the last byte, plus 1


def place_in_file(array):  # -> Place, or None if there is no file
    """Return the part of a file that contains the data of a memmap or of a view of a memmap."""
    owner = array
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    mapped = getattr(owner, "_mmap", None)
    if not isinstance(owner, np.memmap) or mapped is None or owner.filename is None or owner.mode == "c":
        return None
    if not os.path.exists(owner.filename):  # The file was deleted or renamed.
        return None
    begin = np.frombuffer(mapped, dtype=np.uint8).__array_interface__["data"][0]
    first = array.__array_interface__["data"][0] - begin + owner.offset - owner.offset % mmap.ALLOCATIONGRANULARITY
    spans = [(length - 1) * stride for length, stride in zip(array.shape, array.strides)]
    low, high = sum(span for span in spans if span < 0), sum(span for span in spans if span > 0)
    return Place(os.path.realpath(owner.filename), first + low, first + high + array.itemsize)


def overlap(one, other):
    """Return whether two arrays may share data, in memory or in a file."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return one is other
    if np.may_share_memory(one, other):
        return True
    a, b = place_in_file(one), place_in_file(other)
    return a is not None and b is not None and a.path == b.path and a.start < b.stop and b.start < a.stop


def reserve(out):
    """Reserve disk space for a memmap, so that a full disk raises an error now instead of killing the process later."""
    place = place_in_file(out)
    if place is None or not hasattr(os, "posix_fallocate") or not os.access(place.path, os.W_OK):
        return
    with open(place.path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), place.start, place.stop - place.start)
        except OSError as error:
            if error.errno in UNKNOWN_TO_THE_DISK:
                return
            size = f"{(place.stop - place.start) / 1e9:.3g} GB"
            raise OSError(error.errno, f"out needs {size} of disk space: {error.strerror}", place.path) from None


@contextmanager
def with_note(note):
    """Add ``note``, which states what was being done, to any exception raised in the context."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise


def ahead(function, items):
    """Yield ``function(item)`` for each item, in order.

    A thread computes the next result while the caller uses the current result.
    """
    here = copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="sklearn_ckn_reader") as reader:
        coming = deque()
        try:
            for item in items:
                coming.append(reader.submit(here.run, function, item))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
