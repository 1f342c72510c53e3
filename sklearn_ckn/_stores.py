"""Arrays that need not be in memory: read, and written, a few rows at a time."""

import errno
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from scipy.sparse import issparse

UNKNOWN_TO_THE_DISK = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # some network disks cannot reserve space


def is_stored(X):
    """Whether X is a file of numbers, such as a memmap or an array of zarr or h5py, or acts like one."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap)
    try:
        is_numeric = np.dtype(X.dtype).kind in "fiub"
    except (AttributeError, TypeError):  # no dtype, or one of another library
        return False
    has_rows = isinstance(getattr(X, "shape", None), tuple) and len(X.shape) > 1 and hasattr(X, "__getitem__")
    return is_numeric and has_rows and not issparse(X)


def is_lazy(X):
    """Whether X is an array of Dask."""
    library = sys.modules.get("dask.array")
    return library is not None and isinstance(X, library.Array)


def rows_of_chunk(array):
    """So many rows are read or written together; 1 where any may be alone."""
    if is_lazy(array):
        return max(array.chunks[0])
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    return chunks[0] if chunks else 1


class Stored:
    """An array that is never read as a whole: by slices of rows, each of which is checked.

    Parameters
    ----------
    source : object with `shape`, `dtype` and slices of rows
    name : what an error calls it
    check : callable, raises for rows with values that are refused: ``check(rows, name)``
    """

    def __init__(self, source, name, check):
        self.source, self.name, self.check = source, name, check
        self.shape, self.dtype, self.ndim = source.shape, np.dtype(source.dtype), len(source.shape)
        if np.isnan(self.shape).any():
            raise ValueError(f"{name} has an unknown shape, {self.shape}: call {name}.compute_chunk_sizes() first.")
        self.rows_of_chunk = rows_of_chunk(source)
        n_chunks, n_written = count_chunks(source)
        if n_written < n_chunks:
            raise ValueError(
                f"{name} ends early: only {n_written} of its {n_chunks} chunks are stored, and the others would be "
                f"read as a constant. Write all of them (chunks of nothing but the fill value too: "
                f"write_empty_chunks=True in zarr)."
            )

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):  # -> ndarray
        """Rows of a slice, or of an increasing array of indices."""
        if isinstance(rows, slice):
            return self._read(*rows.indices(len(self))[:2])
        cuts = np.flatnonzero(np.diff(rows // self.rows_of_chunk)) + 1
        parts = [self._read(int(some[0]), int(some[-1]) + 1)[some - some[0]] for some in np.split(rows, cuts)]
        return np.concatenate(parts)

    def _read(self, start, stop):
        name = f"{self.name}[{start}:{stop}]"
        with told_where(f"This was read: {name}."):
            rows = np.asarray(self.source[start:stop])
        if rows.shape != (stop - start, *self.shape[1:]) or rows.dtype != self.dtype:
            raise ValueError(
                f"{name} has shape {rows.shape} and dtype {rows.dtype}, but {self.name} is of shape {self.shape} and "
                f"dtype {self.dtype}: it ends early, or was changed meanwhile."
            )
        self.check(rows, name)
        return rows


def count_chunks(source):
    """How many parts it has, and how many of these are stored; zarr and HDF5 give a constant for the others."""
    if hasattr(source, "nchunks_initialized"):
        return source.nchunks, source.nchunks_initialized
    if hasattr(getattr(source, "id", None), "get_num_chunks"):
        if source.chunks is None:
            return 1, int(source.id.get_storage_size() > 0)
        return int(np.prod([-(-n // k) for n, k in zip(source.shape, source.chunks)])), source.id.get_num_chunks()
    return 0, 0


@contextmanager
def told_where(note):
    """An error tells what was done."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise


def ahead(function, items):
    """``function(item)`` for one item after the other, the next one in a thread while this one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="sklearn_ckn_reader") as reader:
        coming = deque()
        try:
            for item in items:
                coming.append(reader.submit(function, item))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def reserve(out):
    """Take the space of a memmap's file on the disk: a full one is an error now, and would end the process later."""
    if not isinstance(out, np.memmap) or out.filename is None or out.mode == "c" or not hasattr(os, "posix_fallocate"):
        return
    if not os.path.exists(out.filename):  # it has no name any more
        return
    with open(out.filename, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in UNKNOWN_TO_THE_DISK:
                return
            raise OSError(
                error.errno, f"out needs {size / 1e9:.3g} GB on the disk: {error.strerror}", os.fspath(out.filename)
            ) from None
