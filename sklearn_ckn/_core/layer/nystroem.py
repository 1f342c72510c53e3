"""The Nyström projection on the filters: the inverse square root of their kernel matrix, and its derivative.

All of it is computed in double precision.
"""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from ..runtime.threads import single_threaded_blas

LARGE = 2048  # number of filters from which BLAS may use several threads; the last bits then depend on their number


def filter_gram(Z, kernel):  # (m, d) -> (m, m)
    """Return ``kappa(Z Z^T)``, the kernel matrix of the filters."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():  # The last bits depend on the number of threads.
        return kernel.kappa(np.clip(Z @ Z.T, -1, 1))


def whitening(Z, settings):  # (m, d) -> (m, m)
    """Return ``A = (kappa(Z Z^T) + reg I)^(-1/2)``."""
    return whitening_and_cache(Z, settings).value


def whitening_and_cache(Z, settings):  # (m, d) -> InverseSqrt
    """Return `whitening` together with what its derivative needs."""
    return inverse_sqrt(filter_gram(Z, settings.kernel), settings.reg)


def whitening_vjp(G, Z, settings, cache):  # (m, m), (m, d), ... -> (m, d)
    """Return the gradient with respect to Z of a function whose gradient with respect to ``whitening(Z)`` is G."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():
        G_K = cache.vjp(G) * settings.kernel.slope(np.clip(Z @ Z.T, -1, 1))
        return (G_K + G_K.T) @ Z


class InverseSqrt(NamedTuple):
    """``A = (K + reg I)^(-1/2)`` and its derivative, with negative eigenvalues of K (rounding errors) set to 0.

    With the eigenvectors V of K and the square roots s of ``eigenvalues + reg``, ``A = V diag(1 / s) V^T``.
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
        """Return ``-V [(V^T G V) / (s_i s_j (s_i + s_j))] V^T`` for any G; equal eigenvalues are no special case."""
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
