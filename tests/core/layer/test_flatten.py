"""The flattening of maps to rows of features, and its derivative."""

import numpy as np
import pytest
from gradients import assert_is_gradient
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.layer import flatten


def test_flatten_centres_and_scales_rows(rng):
    X = rng.randn(3, 4, 2)
    X[1] = 0
    assert_array_equal(flatten.flatten(X, False, False), X.reshape(3, 8))
    rows = flatten.flatten(X, True, True)
    assert_allclose(rows[[0, 2]].mean(axis=1), 0, atol=1e-15)
    assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1])


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_flatten_vjp_equals_central_differences(center, scale, rng):
    X = rng.randn(3, 2, 3, 4)
    G = rng.randn(3, 24)
    G_X = flatten.flatten_vjp(G, X, center, scale)
    assert_is_gradient(G_X, lambda X: (G * flatten.flatten(X, center, scale)).sum(), X, rng)
    X[1] = 1  # a constant signal is 0 after centring, and scaling leaves it 0
    assert np.isfinite(flatten.flatten_vjp(G, X, center, scale)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_rows_become_zero_by_centring(rng, dtype):
    X = np.tile(10.0 ** rng.uniform(-20, 20, (200, 1, 1)), (1, 7, 5)).astype(dtype)
    for scale in (False, True):
        assert not flatten.flatten(X, True, scale).any()
