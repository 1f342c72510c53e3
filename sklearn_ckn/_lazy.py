"""Arrays of Dask: blocks of signals become maps, patches or kernels where they are, on the workers of a cluster.

What travels to the workers is the estimator; what comes home are the patches that `fit` draws, and errors. A task takes
one thread of its worker. Dask is imported where it is used: it is there if there is an array of it.
"""

import copy
from functools import partial

import numpy as np

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

        X, order = whole_signals(self.signals.array.source), np.argsort(rows, kind="stable")
        starts = np.cumsum((0, *X.chunks[0]))
        work = partial(fill_block, self.signals.shape, self.signals.array.check, self.layers, finish, out[:0])
        work, tasks, places = delayed(work, traverse=False), [], []
        parts = np.split(order, np.searchsorted(rows[order], starts[1:-1]))
        for (block, block_shape), start, part in zip(blocks_of(X), starts, parts):
            if len(part):
                tasks.append(work(block, block_shape, rows[part] - start, beside[part]))
                places.append(part)
        with told_where(f"This was asked of Dask: patches of {len(rows)} signals in {len(tasks)} blocks."):
            results = compute(*tasks)
        for part, found in zip(places, results):
            out[part] = found


def fill_block(shape, check, layers, finish, like, block, block_shape, rows, beside):
    """On a worker: what `EncodedSignals.fill` does, for rows of one block."""
    block = np.asarray(block)
    check_block(block, block_shape)
    check(block, "A block of X")
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
        chunks=(X.chunks[0], *[(length,) for length in shape]),
        drop_axis=range(1, X.ndim),
        new_axis=range(1, 1 + len(shape)),
        dtype=signals.dtype,
        meta=np.empty((0,) * (1 + len(shape)), dtype=signals.dtype),
    )


def transform_block(block, transformer, like, block_info):
    """On a worker; a block without signals, as a selection may leave it, gives none."""
    check_block(block, tuple(stop - start for start, stop in block_info[0]["array-location"]))
    return transformer.transform(block) if len(block) else like


def kernel_blocks(kernel, X, Y, dtype):  # Signals -> dask.array (len(X), len(Y))
    """The kernel of the blocks of two Dask arrays, not computed yet; of one with itself, pairs are computed once."""
    import dask.array
    from dask import delayed

    work = delayed(partial(kernel_block, in_one_thread(kernel)), traverse=False)
    rows, columns = ([(z, shape) for z, shape in blocks_of(Z.array.source) if shape[0]] for Z in (X, Y))

    def block_at(i, j):
        pair = work(rows[i], None if X is Y and i == j else columns[j])
        shape = rows[i][1][0], columns[j][1][0]
        return dask.array.from_delayed(pair, shape, meta=np.empty((0, 0), dtype=dtype))

    upper = {(i, j): block_at(i, j) for i in range(len(rows)) for j in range(i if X is Y else 0, len(columns))}
    table = [[upper[i, j] if (i, j) in upper else upper[j, i].T for j in range(len(columns))] for i in range(len(rows))]
    return dask.array.block(table)


def kernel_block(kernel, x, y):  # blocks and their shapes; y may be None
    """On a worker."""
    for each in (x, y):
        if each is not None:
            check_block(*each)
    return kernel(x[0], None if y is None else y[0])


def check_block(block, shape):
    """It is what the array's chunks tell."""
    if block.shape != shape:
        raise ValueError(
            f"A block of shape {block.shape} stands where the chunks of the Dask array tell {shape}: what makes it "
            f"gives other blocks than it promises."
        )


def whole_signals(X):
    """Cut along the first axis only."""
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1))


def blocks_of(X):  # -> list of (delayed block, shape)
    """Whole signals, block by block, and what shape each should have."""
    X = whole_signals(X)
    return [(block, (n, *X.shape[1:])) for block, n in zip(X.to_delayed().ravel(), X.chunks[0])]


def in_one_thread(estimator):
    """A copy that is one task's, and silent."""
    copied = copy.copy(estimator)
    copied.n_jobs = 1
    if hasattr(copied, "verbose"):
        copied.verbose = False
    return copied
