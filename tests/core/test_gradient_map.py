"""Gradient maps: gradients against loops, and identities of the responses to the orientations."""

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core import gradient_map


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("space", [(2, 2), (2, 5), (4, 3)])
def test_gradients_equal_the_definition_in_loops(space, dtype, rng):
    X = rng.randn(3, *space, 2).astype(dtype)
    expected = np.empty((*X.shape, 2), dtype)
    for i, *u, channel in np.ndindex(*X.shape):
        expected[(i, *u, channel)] = naive.gradient(X[i], u, channel)
    assert gradient_map.gradient(X).dtype == dtype
    assert_array_equal(gradient_map.gradient(X), expected)
    assert_array_equal(np.stack(np.gradient(X, axis=(1, 2)), axis=-1), expected)


def test_the_derivative_along_an_axis_of_one_position_is_zero(rng):
    X = rng.randn(3, 1, 5, 2)
    G = gradient_map.gradient(X)
    assert not G[..., 0].any()
    assert_array_equal(G[..., 1], np.gradient(X, axis=2))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 2e-6)])
@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_responses_depend_on_the_angle_to_each_orientation(n, dtype, tolerance):
    """A gradient along an orientation has the response 1, and ``1 / e`` to the neighbours of this orientation."""
    W = gradient_map.orientations(n)
    found = gradient_map.responses(W[None].astype(dtype), W)[0]
    assert found.dtype == dtype
    assert_allclose(np.diag(found), 1, rtol=tolerance)
    for shift in (-1, 1):
        assert_allclose(np.diag(np.roll(found, shift, axis=1)), np.exp(-1), rtol=tolerance)


def test_products_of_responses_approximate_the_exponential_kernel():
    W, angles = gradient_map.orientations(12), np.linspace(0, 2 * np.pi, 97)
    F = gradient_map.responses(np.stack([np.cos(angles), np.sin(angles)], axis=-1)[None], W)[0]
    sizes = np.linalg.norm(F, axis=1)
    kernel = np.exp((np.cos(angles[:, None] - angles) - 1) / ((W[1] - W[0]) ** 2).sum())
    assert_allclose(F @ F.T / np.outer(sizes, sizes), kernel, atol=0.03)


def test_rounding_does_not_amplify_responses():
    """With many orientations, even a cosine just above 1 would make the exponential function overflow."""
    W = gradient_map.orientations(10**6)[:1000]
    found = gradient_map.responses(W[None].astype(np.float32), W)
    assert found.min() >= 0 and found.max() <= 1 + 1e-6
