"""The Nyström projection on the filters: the inverse square root of their kernel matrix."""

import numpy as np
from scipy import linalg


def inverse_sqrt(K, reg):  # (m, m), float
    """``(K + reg I)^(-1/2)`` in double precision, negative eigenvalues (rounding) taken as 0."""
    eigenvalues, vectors = linalg.eigh(K.astype(np.float64))
    return (vectors / np.sqrt(np.maximum(eigenvalues, 0) + reg)) @ vectors.T
