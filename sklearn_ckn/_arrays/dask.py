"""Dask arrays: maps, patches and kernels are computed from blocks of signals on the workers of a cluster.

The estimator is sent to the workers, which send back the patches that `fit` draws and any errors. A task uses one
thread of its worker. Dask is imported only in functions that receive a Dask array, so it need not be installed if no
Dask arrays are used.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import config_context, get_config

from .._utils.caller import warn
from .conversion import as_numbers
from .groups import OneGroup
from .signals import EncodedSignals, Signals, computing_dtype
from .stores import with_note


class EncodedBlocks(OneGroup):
    """Signals of a Dask array encoded by fitted layers; the maps are computed on the workers."""

    def __init__(self, signals, layers, n_threads):
        self.signals, self.layers, self.n_threads, self.dtype = signals, layers, n_threads, signals.dtype
        self.shape = signals.shape
        for layer in layers:
            self.shape = (*layer._settings.pooled_positions(self.shape[:-1]), len(layer.filters_))

    def __len__(self):
        return len(self.signals)

    def fill(self, rows, finish, companion, out):
        """Set ``out[i]`` to the result of ``finish`` for the maps of signal ``rows[i]`` and for ``companion[i]``."""
        from dask import compute, delayed

        X, order = self.signals.array.source, np.argsort(rows, kind="stable")
        starts = np.cumsum((0, *X.chunks[0]))
        layers = [in_one_thread(layer) for layer in self.layers]
        fill_block = FillBlock(self.signals.shape, self.signals.array.check, layers, finish, out[:0])
        work, tasks, places = delayed(configured_as_here(fill_block), traverse=False), [], []
        parts = np.split(order, np.searchsorted(rows[order], starts[1:-1]))
        for block, start, part in zip(blocks_of(X), starts, parts):
            if len(part):
                tasks.append(work(*block, start, rows[part] - start, companion[part]))
                places.append(part)
        with with_note(f"The error occurred while Dask drew patches of {len(rows)} signals in {len(tasks)} blocks."):
            results = compute(*tasks)
        for part, (found, _) in zip(places, results):
            out[part] = found
        doubt = next((doubt for _, doubt in results if doubt), None)
        if doubt:
            warn(doubt)


class FillBlock(NamedTuple):
    """The task that a worker runs for `EncodedBlocks.fill`: apply `EncodedSignals.fill` to rows of one block."""

    signal_shape: tuple  # (*space, n_channels)
    check: Callable  # the `check` of `Stored`
    layers: list  # the fitted layers
    finish: Callable
    like: np.ndarray  # a result with 0 rows, which specifies the shape and the dtype of each row

    def __call__(self, block, shape, dtype, start, rows, companion):  # -> ndarray, str or None
        """Return the results, and a warning about doubtful values.

        ``start`` is the number of the block's first signal.
        """
        check_block(block, shape, dtype)
        name = f"X[{start}:{start + len(block)}]"
        block = as_numbers(block, name)
        doubt = self.check(block, name, range(start, start + len(block)))
        found = np.empty((len(rows), *self.like.shape[1:]), dtype=self.like.dtype)
        maps = EncodedSignals(Signals(block, self.signal_shape, computing_dtype(block.dtype)), self.layers, n_threads=1)
        maps.fill(rows, self.finish, companion, found)
        return found, doubt


def transform_blocks(transformer, signals, shape):  # -> dask.array (n, *shape)
    """Return the output of a fitted transformer for signals, as a Dask array that is not computed yet."""
    from dask import delayed

    X = whole_signals(signals.array.source)
    return X.map_blocks(
        transform_block,
        delayed(in_one_thread(transformer), traverse=False),
        np.empty((0, *shape), dtype=signals.dtype),
        X.dtype,
        get_config(),
        chunks=(X.chunks[0], *[(length,) for length in shape]),
        drop_axis=range(1, X.ndim),
        new_axis=range(1, 1 + len(shape)),
        dtype=signals.dtype,
        meta=np.empty((0,) * (1 + len(shape)), dtype=signals.dtype),
    )


def transform_block(block, transformer, like, dtype, config, block_info):
    """Transform a block on a worker. If the block has no signals, as can happen after a selection, return ``like``."""
    location = block_info[0]["array-location"]
    check_block(block, tuple(stop - start for start, stop in location), dtype)
    with with_note(f"The error occurred in signals {location[0][0]} to {location[0][1] - 1} of a Dask array."):
        return configured(config, transformer.transform, block) if len(block) else like


def kernel_blocks(kernel, X, Y, dtype):  # Signals -> dask.array (len(X), len(Y))
    """Return the kernel matrix of two Dask arrays, as a Dask array that is not computed yet.

    If Y is X, each pair of blocks is computed only once.
    """
    import dask.array
    from dask import delayed

    work = delayed(partial(configured_as_here(kernel_block), in_one_thread(kernel)), traverse=False)
    rows, columns = ([block for block in blocks_of(Z.array.source) if block.shape[0]] for Z in (X, Y))

    def block_at(i, j):
        x, y = rows[i], columns[j]
        pair = work(tuple(x), None if X is Y and i == j else tuple(y))
        return dask.array.from_delayed(pair, (x.shape[0], y.shape[0]), meta=np.empty((0, 0), dtype=dtype))

    upper = {(i, j): block_at(i, j) for i in range(len(rows)) for j in range(i if X is Y else 0, len(columns))}
    table = [[upper[i, j] if (i, j) in upper else upper[j, i].T for j in range(len(columns))] for i in range(len(rows))]
    return dask.array.block(table)


def kernel_block(kernel, x, y):  # x and y are tuples of the fields of a computed `Block`; y may be None
    """Compute the kernel of two blocks, or of one block with itself, on a worker."""
    for block in filter(None, (x, y)):
        check_block(*block)
    return kernel(x[0], None if y is None else y[0])


def check_block(block, shape, dtype):
    """Check that a block has the shape and the dtype that the metadata of the Dask array specify."""
    if block.shape != shape or block.dtype != dtype:
        raise ValueError(
            f"The block has shape {block.shape} and dtype {block.dtype}, but the Dask metadata specify shape {shape} "
            f"and dtype {dtype}: correct the function that creates the blocks, or the metadata (chunks, dtype, meta)."
        )


def whole_signals(X):
    """Return the Dask array rechunked so that it is divided along its first axis only."""
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1))


class Block(NamedTuple):
    """A block of whole signals that is not computed yet, with the shape and dtype that the metadata specify."""

    signals: object  # delayed
    shape: tuple
    dtype: np.dtype


def blocks_of(X):  # -> list of Block
    """Return the blocks of a Dask array in order."""
    X = whole_signals(X)
    return [Block(block, (n, *X.shape[1:]), X.dtype) for block, n in zip(X.to_delayed().ravel(), X.chunks[0])]


def in_one_thread(estimator):
    """Return a copy of an estimator for one task: single-threaded, silent, and without the reservoir of patches."""
    copied = copy.copy(estimator)
    for name, value in {"n_jobs": 1, "verbose": False, "_reservoir": None}.items():
        if hasattr(copied, name):
            setattr(copied, name, value)
    return copied


def configured_as_here(function):
    """Return a function that uses this thread's configuration of scikit-learn wherever it runs."""
    return partial(configured, get_config(), function)


def configured(config, function, *args, **kwargs):
    """Call a function with the given configuration of scikit-learn."""
    with config_context(**config):
        return function(*args, **kwargs)
