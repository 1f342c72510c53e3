"""Products of tall matrices with few vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_problems import every_dtype
from numpy.testing import assert_allclose

from sklearn_ckn._core.linear import tall_skinny

RELATIVE = {"float32": 2e-6, "float64": 1e-14}


@every_dtype
@pytest.mark.parametrize(
    "n, d, k", [(1, 1, 1), (7, 1, 2), (50, 3, 3), (13, 40, 2), (100, 33, 5), (20, 1100, 10), (9, 5, 40)]
)
def test_products_equal_those_of_numpy(rng, dtype, n, d, k):
    """The sizes need not be whole tiles, and nothing is read or written outside the arrays."""
    memory = np.full(n * d + 200, np.nan, dtype)
    X = memory[100:-100].reshape(n, d)
    X[:], W, G = rng.randn(n, d), rng.randn(k, d).astype(dtype), rng.randn(n, k).astype(dtype)
    for found, expected in [
        (tall_skinny.product(X, W), X.astype(float) @ W.astype(float).T),
        (tall_skinny.product_adjoint(X, G), G.astype(float).T @ X.astype(float)),
    ]:
        assert found.dtype == dtype and found.shape == expected.shape
        assert np.linalg.norm(found - expected) <= RELATIVE[dtype] * np.sqrt(n * d * k * max(n, d))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 6), st.integers(0, 2**31))
def test_products_are_adjoint_to_each_other(n, d, k, seed):
    rng = np.random.RandomState(seed)
    X, W, G = rng.randn(n, d), rng.randn(k, d), rng.randn(n, k)
    inner = (tall_skinny.product(X, W) * G).sum(), (tall_skinny.product_adjoint(X, G) * W).sum()
    assert_allclose(*inner, rtol=1e-11, atol=1e-11)
