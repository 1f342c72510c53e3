"""The Nyström projection on the filters: the inverse square root of their kernel matrix, and its derivative."""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from .machine import single_threaded_blas

LARGE = 2048  # filters from which on BLAS may use the threads that its user allows: the last bits depend on them


class InverseSqrt(NamedTuple):
    """``A = (K + reg I)^(-1/2)`` in double precision, negative eigenvalues (rounding) taken as 0, and its derivative.

    With the eigenvectors V of K and the square roots s of ``eigenvalues + reg``, ``A = V diag(1 / s) V^T``.
    """

    vectors: np.ndarray  # (m, m)
    roots: np.ndarray  # (m,)

    @property
    def value(self):  # (m, m)
        with _few_threads(self.vectors):
            half = self.vectors / np.sqrt(self.roots)
            return half @ half.T  # a symmetric product, of half the work

    def vjp(self, G):  # (m, m), with respect to A -> (m, m), to K
        """``-V [(V^T G V) / (s_i s_j (s_i + s_j))] V^T``, for any G: equal eigenvalues are no special case."""
        V, s = self.vectors, self.roots
        with _few_threads(V):
            return -V @ ((V.T @ G @ V) / (np.multiply.outer(s, s) * np.add.outer(s, s))) @ V.T


def _few_threads(K):
    return single_threaded_blas() if len(K) < LARGE else nullcontext()


def inverse_sqrt(K, reg):  # (m, m), float -> InverseSqrt
    """From the eigenvalues of K, in double precision."""
    with _few_threads(K):
        eigenvalues, vectors = np.linalg.eigh(K.astype(np.float64))
    return InverseSqrt(vectors, np.sqrt(np.maximum(eigenvalues, 0) + reg))
