"""Arrays of Dask: blocks of signals become maps, patches or kernels where they are, on the workers of a cluster.

What travels to the workers is the estimator; what comes home are the patches that `fit` draws, and errors. A task takes
one thread of its worker. Dask is imported where it is used: it is there if there is an array of it.
"""

import copy
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import config_context, get_config

from ._signals import EncodedSignals, Signals
from ._stores import told_where


def encoded(signals, layers, n_threads):  # -> EncodedSignals or EncodedBlocks
    """Signals seen through fitted layers, wherever they are."""
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)


class EncodedBlocks:
    """Signals of a Dask array, seen through fitted layers: what is asked of their maps is found where blocks are."""

    def __init__(self, signals, layers, n_threads):
        self.signals, self.layers, self.n_threads, self.dtype = signals, layers, n_threads, signals.dtype
        self.shape = signals.shape
        for layer in layers:
            self.shape = (*layer._settings.pooled_positions(self.shape[:-1]), len(layer.filters_))

    def __len__(self):
        return len(self.signals)

    def fill(self, rows, finish, beside, out):
        """``out[i] = finish(maps, beside)`` for the maps of ``rows[i]`` and ``beside[i]``, block by block."""
        from dask import compute, delayed

        X, order = self.signals.array.source, np.argsort(rows, kind="stable")
        starts = np.cumsum((0, *X.chunks[0]))
        check, layers = self.signals.array.check, [in_one_thread(layer) for layer in self.layers]
        work = partial(as_here(fill_block), self.signals.shape, check, layers, finish, out[:0])
        work, tasks, places = delayed(work, traverse=False), [], []
        parts = np.split(order, np.searchsorted(rows[order], starts[1:-1]))
        for block, start, part in zip(blocks_of(X), starts, parts):
            if len(part):
                name = f"X[{start}:{start + block.shape[0]}]"
                tasks.append(work(*block, name, rows[part] - start, beside[part]))
                places.append(part)
        with told_where(f"This was asked of Dask: patches of {len(rows)} signals in {len(tasks)} blocks."):
            results = compute(*tasks)
        for part, found in zip(places, results):
            out[part] = found


def fill_block(shape, check, layers, finish, like, block, block_shape, dtype, name, rows, beside):
    """On a worker: what `EncodedSignals.fill` does, for rows of one block."""
    block = np.asarray(block)
    check_block(block, block_shape, dtype)
    check(block, name)
    found = np.empty((len(rows), *like.shape[1:]), dtype=like.dtype)
    EncodedSignals(Signals(block, shape), layers, n_threads=1).fill(rows, finish, beside, found)
    return found


def transform_blocks(transformer, signals, shape):  # -> dask.array (n, *shape)
    """What a fitted transformer makes of signals, not computed yet."""
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
    """On a worker; a block without signals, as a selection may leave it, gives none."""
    check_block(block, tuple(stop - start for start, stop in block_info[0]["array-location"]), dtype)
    return configured(config, transformer.transform, block) if len(block) else like


def kernel_blocks(kernel, X, Y, dtype):  # Signals -> dask.array (len(X), len(Y))
    """The kernel of the blocks of two Dask arrays, not computed yet; of one with itself, pairs are computed once."""
    import dask.array
    from dask import delayed

    work = delayed(partial(as_here(kernel_block), in_one_thread(kernel)), traverse=False)
    rows, columns = ([block for block in blocks_of(Z.array.source) if block.shape[0]] for Z in (X, Y))

    def block_at(i, j):
        x, y = rows[i], columns[j]
        pair = work(tuple(x), None if X is Y and i == j else tuple(y))
        return dask.array.from_delayed(pair, (x.shape[0], y.shape[0]), meta=np.empty((0, 0), dtype=dtype))

    upper = {(i, j): block_at(i, j) for i in range(len(rows)) for j in range(i if X is Y else 0, len(columns))}
    table = [[upper[i, j] if (i, j) in upper else upper[j, i].T for j in range(len(columns))] for i in range(len(rows))]
    return dask.array.block(table)


def kernel_block(kernel, x, y):  # fields of a `Block`, computed; y may be None
    """On a worker."""
    for block in filter(None, (x, y)):
        check_block(*block)
    return kernel(x[0], None if y is None else y[0])


def check_block(block, shape, dtype):
    """It is what the array tells."""
    if block.shape != shape or block.dtype != dtype:
        raise ValueError(
            f"A block of shape {block.shape} and dtype {block.dtype} stands where the Dask array tells {shape} and "
            f"{dtype}: what makes it gives other blocks than it promises."
        )


def whole_signals(X):
    """Cut along the first axis only."""
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1))


class Block(NamedTuple):
    """Whole signals, to be computed, and what the array tells of them."""

    signals: object  # delayed
    shape: tuple
    dtype: np.dtype


def blocks_of(X):  # -> list of Block
    """One after the other."""
    X = whole_signals(X)
    return [Block(block, (n, *X.shape[1:]), X.dtype) for block, n in zip(X.to_delayed().ravel(), X.chunks[0])]


def in_one_thread(estimator):
    """A copy that is one task's: silent, and without the patches that it would go on learning from."""
    copied = copy.copy(estimator)
    for name, value in {"n_jobs": 1, "verbose": False, "_reservoir": None}.items():
        if hasattr(copied, name):
            setattr(copied, name, value)
    return copied


def as_here(function):
    """The function with scikit-learn's configuration of this thread, wherever it runs."""
    return partial(configured, get_config(), function)


def configured(config, function, *args, **kwargs):
    with config_context(**config):
        return function(*args, **kwargs)
