"""Arrays that may be larger than memory, which are read and written a few rows at a time."""

import base64
import os
import struct
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cached_property

import numpy as np
from scipy.sparse import issparse

from .._utils.caller import warn
from .conversion import as_numbers, is_real
from .files import place_in_file


def is_stored(X):
    """Return whether X is a memmap, a zarr, h5py or Dask array, or a similar array of real numbers."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap)
    try:
        is_numeric = is_real(np.dtype(X.dtype))
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
    check : callable ``check(rows, name, numbers)``, which raises an error if the rows with these numbers are invalid,
        and returns a warning about doubtful values, or None
    """

    def __init__(self, source, name, check):
        self.source, self.name, self.check = source, name, check
        self.shape, self.dtype, self.ndim = source.shape, dtype_of_slices(source), len(source.shape)
        if np.isnan(self.shape).any():
            raise ValueError(f"{name} has an unknown shape, {self.shape}: call {name}.compute_chunk_sizes() first.")
        place = place_in_file(source)
        if place is not None and os.path.getsize(place.path) < place.stop:
            raise ValueError(
                f"{name} is truncated: its file has {os.path.getsize(place.path)} bytes, but {name} extends to byte "
                f"{place.stop}. Write the file again."
            )
        if is_unwritten(source):
            raise ValueError(f"{name} is an HDF5 dataset that was never written: write it first.")
        self.rows_of_chunk, self.missing = rows_of_chunk(source), missing_values(source, self.dtype)
        self._doubts = {}  # for each kind of doubt, the first warning, or None after it was given

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):  # -> ndarray
        """Return the rows that a slice or an increasing array of indices selects."""
        if isinstance(rows, slice):
            return self._read(*rows.indices(len(self))[:2])
        if isinstance(self.source, np.memmap):
            found = as_numbers(self.source[rows], self.name)
            self._note("value", self.check(found, self.name, rows))
            return found
        parts, k = [], self.rows_of_chunk
        for some in np.split(rows, np.flatnonzero(np.diff(rows // k)) + 1):
            start = int(some[0]) // k * k
            parts.append(self._read(start, min(start + k, len(self)))[some - start])
        return np.concatenate(parts)

    def _read(self, start, stop):
        name = f"{self.name}[{start}:{stop}]"
        with with_note(f"The error occurred while reading {name}."):
            rows = self.source[start:stop]
            rows = as_numbers(rows.compute() if is_lazy(rows) else rows, name)
        if rows.shape != (stop - start, *self.shape[1:]):
            raise ValueError(
                f"{name} has shape {rows.shape}, but {self.name} has shape {self.shape}: {self.name} is truncated, or "
                f"was changed while it was being read. Check that {self.name} is complete."
            )
        if rows.dtype != self.dtype:
            raise ValueError(
                f"{name} has dtype {rows.dtype}, but {self.name} has dtype {self.dtype}: its values are converted when "
                f"they are read. Wrap {self.name} in an object that has the dtype of its slices."
            )
        self._check_declared(rows, name)
        self._check_written(rows, start)
        self._note("value", self.check(rows, name, range(start, stop)))
        return rows

    def _check_declared(self, rows, name):
        """Reject values that the attributes of the array declare as missing."""
        is_missing = np.isin(rows, self.missing) if len(self.missing) else None
        if is_missing is not None and is_missing.any():
            raise ValueError(
                f"{name} contains the value {rows[is_missing][0]}, which the attributes of {self.name} declare as "
                f"missing: replace the missing values, or remove the signals that contain them. If the value is not "
                f"missing, delete the attribute."
            )

    def _check_written(self, rows, start):
        """Reject or note chunks that were never written, for which zarr and HDF5 return the fill value."""
        fill = getattr(self.source, "fill_value", getattr(self.source, "fillvalue", None))
        k = rows_of_chunk(self.source, ["chunks"])
        if fill is None or (k == 1 and not hasattr(self.source, "id")):  # HDF5 states which chunks were written.
            return
        for chunk in range(start // k * k, start + len(rows), k):
            size = min(k, len(self) - chunk)
            some = rows[max(chunk - start, 0) : chunk + size - start]
            if 2 * len(some) >= size and some.flat[0] == fill and (some == fill).all():
                name = f"{self.name}[{chunk}:{chunk + size}]"
                if is_unallocated(self.source, chunk):
                    raise ValueError(
                        f"{name}, a whole chunk of an HDF5 dataset, was never written: write the missing chunks. If "
                        f"the fill value {fill} is intended, write it, for example with {name} = {fill}."
                    )
                if not self._has_all_chunks:
                    self._note(
                        "chunk",
                        f"{name}, a whole chunk, is {fill} everywhere, and some chunks of {self.name} are not in the "
                        f"store. A chunk is missing if it was never written, or if its values all equal the fill "
                        f"value, because zarr may leave out such chunks. Check that {self.name} was written "
                        f"completely. To avoid this warning, create the array with write_empty_chunks=True.",
                    )

    def _note(self, kind, warning):
        """Keep the first warning of each kind until `warn_of_doubts` issues it."""
        if warning is not None:
            self._doubts.setdefault(kind, warning)

    @cached_property
    def _has_all_chunks(self):
        """Whether the store is known to contain all of its chunks."""
        try:
            return hasattr(self.source, "id") or self.source.nchunks_initialized == self.source.nchunks
        except Exception:  # The object has no such attributes, or its files cannot be listed.
            return False

    def warn_of_doubts(self):
        """Warn once about each kind of doubtful data among those that were read.

        This method is called in the thread of the caller, so that the warning points to the line of the caller.
        """
        for kind, warning in list(self._doubts.items()):  # The thread that reads may add another kind.
            if warning is not None:
                self._doubts[kind] = None
                warn(warning)


def dtype_of_slices(source):
    """Return the dtype of slices in memory, which differs from that of the array if values are scaled when read."""
    if not is_lazy(source):
        try:
            found = as_numbers(source[0:0], "")
            if found.shape[1:] == tuple(source.shape[1:]) and is_real(found.dtype):
                return found.dtype
        except Exception:  # The object does not support empty slices.
            pass
    return as_numbers(np.empty(0, source.dtype), "").dtype


def missing_values(source, dtype):  # -> ndarray
    """Return the values that the attributes of a netCDF, HDF5 or zarr array declare as missing (CF conventions)."""
    attributes = getattr(source, "attrs", None) or {}
    values = [attributes[name] for name in ("_FillValue", "missing_value") if name in attributes]
    if "_ARRAY_DIMENSIONS" in attributes:  # xarray stores the missing value as the fill value of version 2 of zarr.
        values.append(getattr(source, "fill_value", None) or None)  # 0 is the default and does not mean "missing".
    numbers = np.array([as_number(value) for listed in values for value in np.ravel(listed)], dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    with np.errstate(over="ignore"):
        numbers = numbers.astype(dtype) if dtype.kind == "f" else numbers
    return numbers[np.isfinite(numbers)]


def as_number(value):
    """Return an attribute as a number, or NaN if it is not a number.

    A string is a decimal number or, as xarray writes it, a base64-encoded double.
    """
    for read in (float, lambda text: struct.unpack("<d", base64.b64decode(text))[0]):
        try:
            return read(value)
        except (TypeError, ValueError, struct.error):
            pass
    return np.nan


def is_unwritten(source):
    """Return whether nothing was ever written to an HDF5 dataset without chunks."""
    if not hasattr(getattr(source, "id", None), "get_storage_size") or source.chunks or source.is_virtual:
        return False
    return not source.external and source.id.get_storage_size() == 0


def is_unallocated(source, row):
    """Return whether the chunk of an HDF5 dataset that begins with the given row was never written."""
    if not hasattr(getattr(source, "id", None), "get_chunk_info_by_coord"):
        return False
    return source.id.get_chunk_info_by_coord((row, *[0] * (len(source.shape) - 1))).byte_offset is None


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
