"""The covariance of many rows, and coordinates in which it is close to the identity.

A square array holds a symmetric matrix above its diagonal and, from the diagonal down, the triangle L of a matrix
``L L^T`` that is made of it. A covariance of few rows needs no square array, only the space that they span.
"""

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs, solve_triangular
from scipy.linalg.lapack import dpstrf

from .machine import over_blocks, single_threaded_blas, slices
from .products import multiply, multiply_adjoint, read, row_blocks

NUMBERS = 2**23  # of X, read at a time
TILE = 512  # columns on the side of what one thread computes at a time
ROWS_PER_COLUMN, FEWEST_ROWS = 16, 2**13  # of more rows than both, as many are drawn for the covariance
MOST_COLUMNS = 2**14  # with a covariance in common
COLUMNS_PER_ROW = 4  # from which on products with rows, there and back, take no longer than one with a triangle
SMALLEST_SUM = 1e-6  # of second derivatives
JITTER = 10  # added to a diagonal of ones, in units of the rounding error; ten times as much if that is too little


def covariance(X, mean, weights, n_threads):  # (n, d), (d,), (n,) -> (d, d)
    """``sum_i weights_i (x_i - mean) (x_i - mean)^T``, above the diagonal and on it, in the weights' dtype."""
    d, dtype, rows = X.shape[1], weights.dtype, np.flatnonzero(weights)
    enough = max(ROWS_PER_COLUMN * d, FEWEST_ROWS)
    if len(rows) > enough:
        rows = np.sort(np.random.RandomState(0).choice(rows, enough, replace=False))
        weights = weights * (weights.sum() / weights[rows].sum())
    square, mean, roots = np.zeros((d, d), dtype), mean.astype(dtype), np.sqrt(weights)[:, None]

    def add(some):
        centred = read(X, some, dtype)  # a copy, as indices choose it
        centred -= mean
        centred *= roots[some]
        _add_gram(centred, square, n_threads)

    for block in slices(len(rows), max(TILE, NUMBERS // d)):
        add(rows[block])
    return square


def sums_of_rows(X, H, n_threads=1):  # (n, d), (n, q) -> (q, d)
    """``H^T X``, computed in the dtype of H and added up in double precision."""

    def add(rows):
        return multiply_adjoint(read(X, rows, H.dtype), H[rows]).astype(float)

    return sum(over_blocks(add, row_blocks(X.shape), n_threads))


def inner_products(X, mean, n_threads):  # (n, d), (d,) -> (n, n)
    """``<x_i - mean, x_j - mean>``, above the diagonal and on it, in double precision."""
    square = np.zeros((len(X), len(X)))
    for columns in slices(X.shape[1], max(TILE, NUMBERS // len(X))):
        _add_gram((X[:, columns] - mean[columns]).T, square, n_threads)
    return square


def _tiles(d):
    """Rows and columns of those of a square array on its diagonal and above."""
    return [(rows, columns) for columns in slices(d, TILE) for rows in slices(columns.stop, TILE)]


def _add_gram(B, square, n_threads):  # (any, d), out (d, d)
    def add(tile):
        rows, columns = tile
        square[tile] += B[:, rows].T @ B[:, columns]

    over_blocks(add, _tiles(len(square)), n_threads)


class Factor:
    """Coordinates ``v = L^T S^-1 w`` for a symmetric matrix, with ``matrix + ridge I = S^-1 L L^T S^-1``.

    S is diagonal. The matrix stands above the diagonal of ``square`` and on it.
    """

    def __init__(self, square):  # (d, d), from now on ours
        self.square, self.diagonal = square, square.diagonal().astype(float)
        self.trace = self.diagonal.sum()

    def choose(self, ridge):
        """Compute S and L, if rounding has left no positive definite matrix of one with a larger diagonal."""
        square, dtype = self.square, self.square.dtype
        self.scale = 1 / np.sqrt(self.diagonal + ridge)
        scale, jitter, failed = self.scale.astype(dtype), JITTER * np.finfo(dtype).eps, 1
        while failed:
            for rows, columns in _tiles(len(square)):
                tile = square[rows, columns]
                below = scale[columns, None] * tile.T * scale[rows]
                square[columns, rows] = below if rows != columns else np.triu(tile, 1) + np.tril(below, -1)
            np.fill_diagonal(square, 1 + jitter)
            with single_threaded_blas():
                _, failed = get_lapack_funcs("potrf", dtype=dtype)(square.T, clean=False, overwrite_a=True)
            jitter *= 10

    def vectors(self, V):  # (k, d) -> (k, d)
        """W from its coordinates: ``V L^-1 S``."""
        return self._triangular("trsm", V) * self.scale

    def coordinates(self, W):
        """The inverse of `vectors`: ``W S^-1 L``."""
        return self._triangular("trmm", W / self.scale)

    def gradients(self, D):
        """The gradient with respect to V, from that with respect to W: ``D S L^-T``."""
        return self._triangular("trsm", D * self.scale, trans_a=True)

    def _triangular(self, function, A, **options):
        """BLAS takes columns for rows, hence all is transposed."""
        with single_threaded_blas():
            columns = np.asarray(A, self.square.dtype).T
            return get_blas_funcs(function, dtype=self.square.dtype)(1, self.square.T, columns, **options).T


class FewRows:
    """Coordinates ``v = w M^(1/2)`` for ``M = B^T B + ridge I``, the matrix B having far fewer rows than columns.

    With the eigenvalues e of ``B B^T``, and rows Q that are orthonormal and span those of B, its powers are
    ``M^p = ridge^p (I + Q^T ((1 + e / ridge)^p - 1) Q)``.
    """

    def __init__(self, B):  # (m, d), in double precision
        with single_threaded_blas():
            values, vectors = np.linalg.eigh(B @ B.T)
            kept = values > len(B) * np.finfo(float).eps * values.sum()
            self.values = values[kept]
            self.Q = (vectors[:, kept].T @ B) / np.sqrt(self.values)[:, None]
        self.trace = self.values.sum()

    def choose(self, ridge):
        self.ridge = ridge

    def vectors(self, V):  # (k, d) -> (k, d)
        return self._power(V, -0.5)

    def coordinates(self, W):
        return self._power(W, 0.5)

    def gradients(self, D):
        return self._power(D, -0.5)

    def _power(self, A, p):
        with single_threaded_blas():
            return self.ridge**p * (A + (A @ self.Q.T) * ((1 + self.values / self.ridge) ** p - 1) @ self.Q)


def factorise(X, mean, weights, n_threads):  # (n, d), (d,), (n,) -> Factor or FewRows
    """Coordinates for ``sum_i weights_i (x_i - mean) (x_i - mean)^T``."""
    rows = np.flatnonzero(weights)
    if COLUMNS_PER_ROW * len(rows) > X.shape[1]:
        return Factor(covariance(X, mean, weights, n_threads))
    return FewRows((read(X, rows, float) - mean) * np.sqrt(weights[rows], dtype=float)[:, None])


class Coordinates:
    """Coordinates z of weights and intercepts (W, b), in which the Hessian of a linear model is close to the identity.

    The weights' part of the Hessian is taken to be the covariance of the rows, weighted by the second derivatives of
    their losses, and ``ridge I``.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    H : ndarray of shape (n, k) or (n, 1), second derivatives for every row of W, or for all of them the same
    fit_intercept : bool
    n_threads : int
    """

    def __init__(self, X, H, fit_intercept, n_threads):
        self.groups, self.fit_intercept = slices(X.shape[1], MOST_COLUMNS), fit_intercept
        sums = np.maximum(H.sum(axis=0, dtype=float), SMALLEST_SUM)[:, None]
        self.roots, self.means = np.sqrt(sums), np.zeros((len(sums), X.shape[1]))
        if fit_intercept:
            self.means = sums_of_rows(X, H, n_threads) / sums
        self.factors = [
            [factorise(X[:, group], mean[group], h, n_threads) for group in self.groups]
            for mean, h in zip(self.means, H.T)
        ]

    def choose(self, ridge):
        """Fix the ridge; nothing else works before."""
        for factors in self.factors:
            for factor in factors:
                factor.choose(ridge)

    def trace(self):
        """Of the weights' part of the Hessian, without the ridge."""
        return max(sum(factor.trace for factor in factors) for factors in self.factors)

    def model(self, z):  # (k, d + 1) or (k, d) -> (k, d), (k,)
        """Weights and intercepts."""
        W = self._each("vectors", z[:, : self.means.shape[1]])
        if not self.fit_intercept:
            return W, np.zeros(len(W))
        return W, z[:, -1] / self.roots[:, 0] - (W * self.means).sum(axis=1)

    def coordinates(self, W, b):
        """The inverse of `model`."""
        return self._join("coordinates", W, (b + (W * self.means).sum(axis=1))[:, None] * self.roots)

    def gradients(self, D, e):
        """The gradient with respect to z, from those with respect to W and b."""
        return self._join("gradients", D - e[:, None] * self.means, e[:, None] / self.roots)

    def _join(self, method, A, last):
        return np.hstack([self._each(method, A), last][: 1 + self.fit_intercept])

    def _each(self, method, A):  # name of a method, (k, d) -> (k, d)
        """Every row by its own factors, or all by the same."""
        rows = [slice(None)] if len(self.factors) == 1 else slices(len(A), 1)
        parts = [
            np.hstack([getattr(factor, method)(A[row, group]) for factor, group in zip(factors, self.groups)])
            for row, factors in zip(rows, self.factors)
        ]
        return np.vstack(parts).astype(float)


class Span:
    """Features of n rows in the place of many more columns: ``x_i - mean = f_i Q``, the rows of Q orthonormal.

    A linear model of the features f is one of x, with the same penalty: ``w = v Q``. They are the rows of the
    Cholesky factor, with pivots, of the rows' inner products; r of these rows, the pivots, span all of them.
    """

    def __init__(self, X, mean, dtype, n_threads):  # (n, d), (d,)
        self.X, self.mean, products = X, mean, inner_products(X, mean, n_threads)
        rounding = len(X) * np.finfo(float).eps * products.diagonal().max()
        with single_threaded_blas():
            factor, pivots, rank, _ = dpstrf(products.T, tol=rounding, lower=True, overwrite_a=True)
        rank = max(1, rank)
        self.pivots, factor = pivots[:rank] - 1, np.tril(factor)[:, :rank]
        self.L = factor[:rank] if factor[0, 0] else np.eye(1)  # (r, r)
        self.features = np.empty(factor.shape, dtype)  # (n, r)
        self.features[pivots - 1] = factor

    def coordinates(self, W):  # (k, d) -> (k, r)
        """V of the part of W that is spanned, in double precision."""
        W = W.astype(float)

        def products(rows):
            return multiply(read(self.X, self.pivots[rows], W.dtype), W)

        S = np.vstack(over_blocks(products, row_blocks((len(self.pivots), len(self.mean))))) - W @ self.mean
        return solve_triangular(self.L, S, lower=True, check_finite=False).T

    def vectors(self, V):  # (k, r) -> (k, d)
        A = np.zeros((len(V), len(self.X)))
        A[:, self.pivots] = solve_triangular(self.L, V.T, trans=1, lower=True, check_finite=False).T
        return sums_of_rows(self.X, A.T) - np.outer(A.sum(axis=1), self.mean)
