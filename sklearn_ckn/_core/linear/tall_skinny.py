"""Products of a tall matrix and a few vectors: ``X W^T``, and the adjoint ``G^T X``.

The matrix product of a BLAS library first copies X into another layout, which takes longer than the multiplications if
there are few vectors. Here X is read without copying, and several sums are accumulated in registers at the same time.
"""

import numpy as np

from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.threads import slices

# The adjoint processes `ROWS` rows of X at a time, the product `SHORT_ROWS` rows, and both process `PAIR` vectors.
ROWS, SHORT_ROWS, PAIR = 6, 3, 2
COLUMNS = 1024  # number of columns of X read at a time; `ROWS` rows of this length fit in the first-level cache
# Number of elements in a block of X, chosen so that it fits in a cache; smallest and largest number of rows in a block.
BLOCK_NUMBERS, BLOCK_ROWS = 2**19, (192, 4096)
FEW = 32  # number of vectors above which the product of a BLAS library is as fast


def row_blocks(shape):  # (n, d)
    """Split the rows of an array into slices that are read one at a time."""
    return slices(shape[0], int(np.clip(BLOCK_NUMBERS // shape[1], *BLOCK_ROWS)))


def read(X, rows, dtype):
    """Return some rows of X as a contiguous array.

    If ``rows`` is a slice, the array may share memory with X and must not be modified.
    """
    return np.ascontiguousarray(X[rows], dtype=dtype)


def _up(n, step):
    return -(-n // step) * step


def _in_tiles(X, width):
    """Split X into two parts of whole tiles of `ROWS` rows, so that ``width`` elements of every row can be read.

    Elements past the end of a row belong to the next row, and callers ignore them. The last rows are copied and padded
    with zeros, because reading ``width`` elements of these rows would pass the end of the array. Both parts are
    read-only so that compiled code receives a single type of input.
    """
    n, d = X.shape
    n_whole = max(0, n - -(-(width - d) // d)) // ROWS * ROWS
    rest = np.zeros((_up(n - n_whole, ROWS), width), X.dtype)
    rest[: n - n_whole, :d] = X[n_whole:]
    whole = X[:n_whole]
    whole.flags.writeable = rest.flags.writeable = False
    return (slice(0, n_whole), whole), (slice(n_whole, None), rest)


def _filled(A, n_rows, n_columns):
    """Return a copy of A, padded with zeros to the given shape."""
    filled = np.zeros((n_rows, n_columns), A.dtype)
    filled[: A.shape[0], : A.shape[1]] = A
    return filled


def product(X, W):  # (n, d) contiguous, (k, d) -> (n, k)
    """Return ``X W^T``."""
    if len(W) > FEW:
        return X @ W.T
    (n, d), k = X.shape, len(W)
    width = _up(d, simd.n_lanes(X.dtype))
    W, S = _filled(W, _up(k, PAIR), width), np.zeros((_up(n, ROWS), _up(k, PAIR)), X.dtype)
    for rows, x in _in_tiles(X, width):
        add_products(x, W, S[rows])
    return S[:n, :k]


def product_adjoint(X, G):  # (n, d) contiguous, (n, k) -> (k, d)
    """Return ``G^T X``."""
    if G.shape[1] > FEW:
        return G.T @ X
    (n, d), k = X.shape, G.shape[1]
    width = _up(d, simd.n_lanes(X.dtype))
    G, D = _filled(G, _up(n, ROWS), _up(k, PAIR)), np.zeros((_up(k, PAIR), width), X.dtype)
    for rows, x in _in_tiles(X, width):
        add_adjoint(x, G[rows], D)
    return D[:k, :d]


@compiled
def add_products(X, W, S):  # (n, d), (k, width), out (n, k); n and k fill whole tiles
    """Add ``X W^T`` to S."""
    (n, k), width, lanes = S.shape, W.shape[1], simd.lanes_of(X)
    for first in range(0, width, COLUMNS):
        last = min(first + COLUMNS, width)
        for i in range(0, n, SHORT_ROWS):
            for c in range(0, k, PAIR):
                a0 = a1 = a2 = b0 = b1 = b2 = simd.zeros(X)
                for j in range(first, last, lanes):
                    a, b = simd.load(W, (c, j)), simd.load(W, (c + 1, j))
                    x0, x1, x2 = simd.load(X, (i, j)), simd.load(X, (i + 1, j)), simd.load(X, (i + 2, j))
                    a0, a1, a2 = a0 + a * x0, a1 + a * x1, a2 + a * x2
                    b0, b1, b2 = b0 + b * x0, b1 + b * x1, b2 + b * x2
                for row, (a, b) in enumerate(((a0, b0), (a1, b1), (a2, b2))):
                    S[i + row, c] += simd.total(a)
                    S[i + row, c + 1] += simd.total(b)


@compiled
def add_adjoint(X, G, D):  # (n, d), (n, k), out (k, width); n and k fill whole tiles
    """Add ``G^T X`` to D."""
    (n, k), width, lanes = G.shape, D.shape[1], simd.lanes_of(X)
    for first in range(0, width, COLUMNS):
        last = min(first + COLUMNS, width)
        for i in range(0, n, ROWS):
            for c in range(0, k, PAIR):
                g, h = G[i : i + ROWS, c], G[i : i + ROWS, c + 1]
                for j in range(first, last, lanes):
                    a, b = simd.load(D, (c, j)), simd.load(D, (c + 1, j))
                    for row in range(ROWS):
                        x = simd.load(X, (i + row, j))
                        a, b = a + g[row] * x, b + h[row] * x
                    simd.store(a, D, (c, j))
                    simd.store(b, D, (c + 1, j))
