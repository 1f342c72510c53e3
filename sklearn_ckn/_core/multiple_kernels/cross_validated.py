"""Cross-validated predictions of kernel ridge regression, in closed form."""

import numpy as np
from scipy.linalg import lapack

from ..runtime.threads import over_blocks, single_threaded_blas, slices

ROWS = 128  # number of rows that a thread processes at a time


class CrossValidated:
    """Kernel ridge regression with an intercept, cross-validated without fitting any model a second time.

    For weights v of the kernels, the model f minimises ``sum_i s_i |f(x_i) - y_i|^2 + |f - b|^2`` over functions
    ``f = b + g`` with an intercept b and g in the space of the kernel ``sum_b v_b K_b``. Let A be the kernel matrix
    plus ``diag(1 / s)``, and ``G = A^-1 - A^-1 1 1^T A^-1 / (1^T A^-1 1)``. For the signals F of a fold, the residuals
    of the model that has not seen these signals are ``R_F = (G_FF)^-1 (G Y)_F``. Leave-one-out is the case of n folds.

    Parameters
    ----------
    kernels : list of ndarray of shape (n, n)
    Y : ndarray of shape (n, k)
    s : ndarray of shape (n,), positive
    folds : list of ndarray, indices of the signals of every fold, or None for leave-one-out
    n_threads : int
    """

    def __init__(self, kernels, Y, s, folds=None, n_threads=1):
        self.kernels, self.Y, self.s, self.folds, self.n_threads = kernels, Y, s, folds, n_threads

    def residuals(self, v):  # -> R, and what `gradient` needs
        """Return the cross-validated residuals for the weights v, and the matrices from which the gradient follows."""
        A = self._regularised(v)
        with single_threaded_blas():
            G = projected_inverse(A, 1 / self.s.max())
            C = G @ self.Y
            return self._solve(G, C), (G, C)

    def _solve(self, G, C):  # -> (n, k)
        """Return ``(G_FF)^-1 C_F`` for every fold F."""
        if self.folds is None:
            return C / np.diag(G)[:, None]
        solutions = np.empty_like(C)
        for F in self.folds:
            solutions[F] = np.linalg.solve(G[np.ix_(F, F)], C[F])
        return solutions

    def gradient(self, D, R, matrices):  # (n, k) -> (b,)
        """Return the derivative with respect to v of a function whose derivative with respect to R is D.

        With ``dG = -G dK G``, the derivative with respect to a kernel is ``G B G - (G U) C^T``. Here, ``C = G Y``,
        ``U_F = (G_FF)^-1 D_F``, and B consists of the diagonal blocks ``B_FF = U_F R_F^T``.
        """
        G, C = matrices
        with single_threaded_blas():
            U = self._solve(G, D)
            if self.folds is None:
                BG = (U * R).sum(axis=1)[:, None] * G
            else:
                BG = np.empty_like(G)
                for F in self.folds:
                    BG[F] = U[F] @ (R[F].T @ G[F])

        def of_rows(rows):
            M = G[rows] @ BG - (G[rows] @ U) @ C.T
            return [np.vdot(K[rows], M) for K in self.kernels]

        return np.sum(over_blocks(of_rows, slices(len(G), ROWS), self.n_threads), axis=0)

    def _regularised(self, v):
        """Return ``sum_b v_b K_b + diag(1 / s)``."""
        A = np.diag(1 / self.s)

        def fill(rows):
            for weight, K in zip(v, self.kernels):
                A[rows] += weight * K[rows]

        over_blocks(fill, slices(len(A), ROWS), self.n_threads)
        return A


def projected_inverse(A, smallest):
    """Return ``A^-1 - A^-1 1 1^T A^-1 / (1^T A^-1 1)``.

    No eigenvalue of A is less than ``smallest``, except by rounding errors of the kernels.
    """
    G = inverse(A, smallest)
    g = G.sum(axis=1)
    G -= np.outer(g, g / g.sum())
    return G


def inverse(A, smallest):
    """Return the inverse of a symmetric positive definite matrix, from its Cholesky factor or its eigenvalues."""
    factor, failed = lapack.dpotrf(A.T)  # the transpose has the order of LAPACK
    if failed:
        eigenvalues, Q = np.linalg.eigh(A)
        return (Q / np.maximum(eigenvalues, smallest)) @ Q.T
    upper, _ = lapack.dpotri(factor, overwrite_c=True)
    upper = np.triu(upper)
    return upper + np.triu(upper, 1).T


def centred(K):
    """Return the kernel of the features minus their means over the signals.

    The intercept makes both kernels equivalent. After centring, the entries are smaller, and so are rounding errors.
    """
    means = K.mean(axis=0)
    return K - means - means[:, None] + means.mean()
