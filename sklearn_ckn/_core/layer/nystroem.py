"""The Nyström projection onto the filters: the inverse square root of their Gram matrix, and its derivative.

All computations are in double precision.
"""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from ..runtime.threads import single_threaded_blas

LARGE = 2048  # minimum number of filters for multi-threaded BLAS, where the last bits depend on the number of threads


def filter_gram(Z, kernel):  # (m, d) -> (m, m)
    """Return ``kappa(Z Z^T)``, the Gram matrix of the filters."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():  # With several threads, the last bits would depend on their number.
        return kernel.kappa(np.clip(Z @ Z.T, -1, 1))


def whitening(Z, settings):  # (m, d) -> (m, m)
    """Return ``A = (kappa(Z Z^T) + reg I)^(-1/2)``."""
    return whitening_and_cache(Z, settings).value


def whitening_and_cache(Z, settings):  # (m, d) -> InverseSqrt
    """Return an `InverseSqrt`, which computes the whitening and its derivative."""
    return inverse_sqrt(filter_gram(Z, settings.kernel), settings.reg)


def whitening_vjp(G, Z, settings, cache):  # (m, m), (m, d), ... -> (m, d)
    """Return the gradient with respect to Z of a function whose gradient with respect to ``whitening(Z)`` is G."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():
        G_K = cache.vjp(G) * settings.kernel.slope(np.clip(Z @ Z.T, -1, 1))
        return (G_K + G_K.T) @ Z


class InverseSqrt(NamedTuple):
    """The matrix ``A = (K + reg I)^(-1/2)`` and its derivative.

    ``A = V diag(1 / s) V^T``, where V contains the eigenvectors of K and s the square roots of ``eigenvalues + reg``.
    Negative eigenvalues of K, which are rounding errors, are set to 0.
    """

    vectors: np.ndarray  # (m, m)
    roots: np.ndarray  # (m,)

    @property
    def value(self):  # (m, m)
        """The matrix A."""
        with _few_threads(self.vectors):
            half = self.vectors / np.sqrt(self.roots)
            return half @ half.T  # BLAS computes a symmetric product in half the time.

    def vjp(self, G):  # (m, m), with respect to A -> (m, m), with respect to K
        """Return ``-V [(V^T G V) / (s_i s_j (s_i + s_j))] V^T`` for any G, even if K has equal eigenvalues."""
        V, s = self.vectors, self.roots
        with _few_threads(V):
            return -V @ ((V.T @ G @ V) / (np.multiply.outer(s, s) * np.add.outer(s, s))) @ V.T


def inverse_sqrt(K, reg):  # (m, m), float -> InverseSqrt
    """Return the inverse square root of ``K + reg I``, from the eigenvalues of K."""
    with _few_threads(K):
        eigenvalues, vectors = np.linalg.eigh(K.astype(np.float64))
    return InverseSqrt(vectors, np.sqrt(np.maximum(eigenvalues, 0) + reg))


def _few_threads(K):
    return single_threaded_blas() if len(K) < LARGE else nullcontext()
