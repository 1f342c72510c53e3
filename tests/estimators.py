"""Random signals, and small estimators for them, for the tests of the public classes."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNLayer

SHAPES = {1: (18, 2), 2: (9, 8, 2), 3: (6, 5, 7, 2)}  # number of spatial axes -> (*space, n_channels)
CASES = [pytest.param(ndim, dtype, id=f"{ndim}d-{dtype}") for ndim in SHAPES for dtype in ("float32", "float64")]
every_ndim_and_dtype = pytest.mark.parametrize("ndim, dtype", CASES)
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}  # of the relative error


def signals(ndim, dtype="float64", n=24, channels=None, seed=0):
    """Return `n` random signals with values between 0 and 1."""
    *space, c = SHAPES[ndim]
    return np.random.RandomState(seed).rand(n, *space, channels or c).astype(dtype)


def layer(n_filters=8, **parameters):
    """Return a layer that is fitted quickly, with a fixed random seed."""
    return CKNLayer(n_filters, **{"n_patches": 400, "max_iter": 5, "random_state": 0, **parameters})


def network(ndim):
    """Return an architecture of two layers. In single precision, the second one uses Winograd's method."""
    return make_pipeline(layer(64, ndim=ndim), layer(10, ndim=ndim, pooling_width=3))


def relative_error(got, expected):
    """Return the norm of the error divided by the norm of the expected array."""
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)
