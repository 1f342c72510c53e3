"""The covariance of many rows, and coordinates in which it is close to the identity.

A square array stores a symmetric matrix above its diagonal and, on and below the diagonal, the Cholesky factor L of the
scaled matrix. The covariance of few rows needs no square array, only an orthonormal basis of the span of the rows.
"""

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs, solve_triangular
from scipy.linalg.lapack import dpstrf

from ..runtime.threads import over_blocks, single_threaded_blas, slices
from .tall_skinny import product, product_adjoint, read, row_blocks

NUMBERS = 2**23  # number of elements of X that are read at a time
TILE = 512  # number of rows and columns of a tile, the part of a square array that one thread computes at a time
SEED = 0  # random seed for drawing rows for the covariance, fixed so that fits are reproducible bit for bit
ROWS_PER_COLUMN, FEWEST_ROWS = 16, 2**13  # rows drawn if X has more: their number per column, and their minimum number
MOST_COLUMNS = 2**14  # maximum number of columns in one covariance; more columns are split into groups
COLUMNS_PER_ROW = 4  # columns per row at which two products with the rows are as fast as one with a triangular matrix
SMALLEST_SUM = 1e-290  # lower bound of a sum of second derivatives
JITTER = 10  # initial value added to a diagonal of ones, in units of the rounding error; multiplied by 10 on failure


def covariance(X, mean, weights, n_threads):  # (n, d), (d,), (n,) -> (d, d)
    """Return ``sum_i weights_i (x_i - mean) (x_i - mean)^T``, on and above the diagonal, in the dtype of the weights.

    If there are many rows, the sum is estimated from a random subset of the rows.
    """
    d, dtype, rows = X.shape[1], weights.dtype, np.flatnonzero(weights)
    enough = max(ROWS_PER_COLUMN * d, FEWEST_ROWS)
    if len(rows) > enough:
        rows = np.sort(np.random.RandomState(SEED).choice(rows, enough, replace=False))
        weights = weights * (weights.sum() / weights[rows].sum())
    square, mean, roots = np.zeros((d, d), dtype), mean.astype(dtype), np.sqrt(weights)[:, None]

    def add(some):
        centred = read(X, some, dtype)  # a copy, because ``some`` is an array of indices
        centred -= mean
        centred *= roots[some]
        _add_gram(centred, square, n_threads)

    for block in slices(len(rows), max(TILE, NUMBERS // d)):
        add(rows[block])
    return square


def sums_of_rows(X, H, n_threads=1):  # (n, d), (n, q) -> (q, d)
    """Return ``H^T X``, computed in the dtype of H and accumulated in double precision."""

    def add(rows):
        return product_adjoint(read(X, rows, H.dtype), H[rows]).astype(float)

    return sum(over_blocks(add, row_blocks(X.shape), n_threads))


def inner_products(X, mean, n_threads):  # (n, d), (d,) -> (n, n)
    """Return the matrix of ``<x_i - mean, x_j - mean>``, on and above its diagonal, in double precision."""
    square = np.zeros((len(X), len(X)))
    for columns in slices(X.shape[1], max(TILE, NUMBERS // len(X))):
        _add_gram((X[:, columns] - mean[columns]).T, square, n_threads)
    return square


def _tiles(d):
    """Return the tiles (rows, columns) on or above the diagonal of a square array with d rows."""
    return [(rows, columns) for columns in slices(d, TILE) for rows in slices(columns.stop, TILE)]


def _add_gram(B, square, n_threads):  # (any, d), out (d, d)
    def add(tile):
        rows, columns = tile
        square[tile] += B[:, rows].T @ B[:, columns]

    over_blocks(add, _tiles(len(square)), n_threads)


class Factor:
    """Coordinates ``v = L^T S^-1 w`` for a symmetric matrix, where ``matrix + ridge I = S^-1 L L^T S^-1``.

    S is diagonal. The matrix is given on and above the diagonal of ``square``.
    """

    def __init__(self, square):  # (d, d), which is overwritten
        self.square, self.diagonal = square, square.diagonal().astype(float)
        self.trace = self.diagonal.sum()

    def choose(self, ridge):
        """Compute S and L for the given ridge, increasing the diagonal if rounding has made the matrix indefinite."""
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
        """Return the vectors ``W = V L^-1 S`` with coordinates V."""
        return self._triangular("trsm", V) * self.scale

    def coordinates(self, W):
        """Return the coordinates ``W S^-1 L`` of W. This is the inverse of `vectors`."""
        return self._triangular("trmm", W / self.scale)

    def gradients(self, D):
        """Return the gradient with respect to V from the gradient D with respect to W: ``D S L^-T``."""
        return self._triangular("trsm", D * self.scale, trans_a=True)

    def _triangular(self, function, A, **options):
        """Apply a BLAS function for triangular matrices to the transposed arrays.

        The arrays are transposed because BLAS stores matrices by columns.
        """
        with single_threaded_blas():
            columns = np.asarray(A, self.square.dtype).T
            return get_blas_funcs(function, dtype=self.square.dtype)(1, self.square.T, columns, **options).T


class FewRows:
    """Coordinates ``v = w M^(1/2)`` for ``M = B^T B + ridge I``, where B has far fewer rows than columns.

    The powers of M are ``M^p = ridge^p (I + Q^T ((1 + e / ridge)^p - 1) Q)``, where e are the eigenvalues of ``B B^T``
    and the rows of Q are orthonormal and span the rows of B.
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
    """Return the cheaper kind of coordinates for ``sum_i weights_i (x_i - mean) (x_i - mean)^T``."""
    rows = np.flatnonzero(weights)
    if COLUMNS_PER_ROW * len(rows) > X.shape[1]:
        return Factor(covariance(X, mean, weights, n_threads))
    return FewRows((read(X, rows, float) - mean) * np.sqrt(weights[rows], dtype=float)[:, None])


class Coordinates:
    """Coordinates z of weights and intercepts (W, b) in which the Hessian of a linear model is close to the identity.

    The block of the Hessian that belongs to the weights is approximated by ``ridge I`` plus the covariance of the rows
    of X, weighted by the second derivatives of their losses.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    H : ndarray of shape (n, k) or (n, 1), second derivatives for every row of W, or shared by all rows of W
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
        """Set the ridge; the coordinates are not defined before this call."""
        for factors in self.factors:
            for factor in factors:
                factor.choose(ridge)

    def trace(self):
        """Return the trace of the weights' block of the Hessian without the ridge, maximised over the rows of W."""
        return max(sum(factor.trace for factor in factors) for factors in self.factors)

    def model(self, z):  # (k, d + 1) or (k, d) -> (k, d), (k,)
        """Return the weights and intercepts whose coordinates are z."""
        W = self._each("vectors", z[:, : self.means.shape[1]])
        if not self.fit_intercept:
            return W, np.zeros(len(W))
        return W, z[:, -1] / self.roots[:, 0] - (W * self.means).sum(axis=1)

    def coordinates(self, W, b):
        """Return the coordinates z of weights and intercepts. This is the inverse of `model`."""
        return self._join("coordinates", W, (b + (W * self.means).sum(axis=1))[:, None] * self.roots)

    def gradients(self, D, e):
        """Return the gradient with respect to z from the gradients D and e with respect to W and b."""
        return self._join("gradients", D - e[:, None] * self.means, e[:, None] / self.roots)

    def _join(self, method, A, last):
        return np.hstack([self._each(method, A), last][: 1 + self.fit_intercept])

    def _each(self, method, A):  # name of a method, (k, d) -> (k, d)
        """Apply a method of the factors to A. Each row has its own factors, or all rows share the same factors."""
        rows = [slice(None)] if len(self.factors) == 1 else slices(len(A), 1)
        parts = [
            np.hstack([getattr(factor, method)(A[row, group]) for factor, group in zip(factors, self.groups)])
            for row, factors in zip(rows, self.factors)
        ]
        return np.vstack(parts).astype(float)


class Span:
    """Low-dimensional features f of n rows with far more columns: ``x_i - mean = f_i Q``, where Q has orthonormal rows.

    A linear model v of the features f is a linear model ``w = v Q`` of x, with the same penalty. The features are the
    rows of the pivoted Cholesky factor of the inner products of the rows of X. The r pivots are rows of X that span all
    rows of X.
    """

    def __init__(self, X, mean, n_threads):  # (n, d), (d,)
        self.X, self.mean, products = X, mean, inner_products(X, mean, n_threads)
        rounding = len(X) * np.finfo(float).eps * products.diagonal().max()
        with single_threaded_blas():
            factor, pivots, rank, _ = dpstrf(products.T, tol=rounding, lower=True, overwrite_a=True)
        rank = max(1, rank)
        self.pivots, factor = pivots[:rank] - 1, np.tril(factor)[:, :rank]
        self.L = factor[:rank] if factor[0, 0] else np.eye(1)  # (r, r)
        self.features = np.empty(factor.shape)  # (n, r)
        self.features[pivots - 1] = factor

    def coordinates(self, W):  # (k, d) -> (k, r)
        """Return the coordinates V of the projection of W onto the span of the rows, in double precision."""
        W = W.astype(float)

        def products(rows):
            return product(read(self.X, self.pivots[rows], W.dtype), W)

        S = np.vstack(over_blocks(products, row_blocks((len(self.pivots), len(self.mean))))) - W @ self.mean
        return solve_triangular(self.L, S, lower=True, check_finite=False).T

    def vectors(self, V):  # (k, r) -> (k, d)
        A = np.zeros((len(V), len(self.X)))
        A[:, self.pivots] = solve_triangular(self.L, V.T, trans=1, lower=True, check_finite=False).T
        return sums_of_rows(self.X, A.T) - np.outer(A.sum(axis=1), self.mean)
