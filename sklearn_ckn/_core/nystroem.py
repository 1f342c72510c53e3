"""The Nyström projection on the filters: the inverse square root of their kernel matrix."""

from contextlib import nullcontext

import numpy as np

from .machine import single_threaded_blas

LARGE = 2048  # filters from which on BLAS may use the threads that its user allows: the last bits depend on them


def inverse_sqrt(K, reg):  # (m, m), float
    """``(K + reg I)^(-1/2)`` in double precision, negative eigenvalues (rounding) taken as 0."""
    with single_threaded_blas() if len(K) < LARGE else nullcontext():
        eigenvalues, vectors = np.linalg.eigh(K.astype(np.float64))
        root = vectors / (np.maximum(eigenvalues, 0) + reg) ** 0.25
        return root @ root.T  # a symmetric product, of half the work
