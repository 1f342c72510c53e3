"""The losses, compared with loops, and their derivatives."""

import naive
import numpy as np
import pytest
from linear_problems import every_loss
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.linear import losses
from sklearn_ckn._core.linear.losses import LOSSES
from sklearn_ckn._core.linear.objective import Signs


@every_loss
@pytest.mark.parametrize("k", [1, 3])
def test_values_and_derivatives_of_losses(rng, loss, k):
    """Values equal those of loops, and first and second derivatives equal central differences."""
    S, Y = 2 * rng.randn(6, k), Signs.of_all(np.arange(6) % max(2, k), max(2, k))[:]
    record = LOSSES[loss]
    values, gradients = record.function(S, Y)
    assert values.shape == (6, k if record.separable else 1)
    assert_allclose(values.sum(axis=1), [naive.LOSSES[loss](s, y) for s, y in zip(S, Y)])
    step = 1e-6
    second = record.second(gradients)
    for c in range(k):
        shift = step * (np.arange(k) == c)
        (above, g_above), (below, g_below) = record.function(S + shift, Y), record.function(S - shift, Y)
        assert_allclose(gradients[:, c], (above - below).sum(axis=1) / (2 * step), atol=1e-8)
        assert_allclose(second[:, c], (g_above - g_below)[:, c] / (2 * step), atol=1e-8)


def test_large_scores_do_not_overflow():
    values, gradients = losses.logistic(np.array([[1e30, -1e30], [-1e38, 1e38]], np.float32), np.array([[1, -1]] * 2))
    assert values[0] == 0 and np.isfinite(values[0]) and not gradients[0].any()
    assert_array_equal(gradients[1], [-1, 1])


@pytest.mark.parametrize("k", [1, 3])
def test_logistic_loss_of_certain_classes_is_exact(k):
    """A probability close to 1 does not round the loss, its gradient and its curvature to 0."""
    S = np.array([[40.0]] if k == 1 else [[40.0, 0.0, -np.inf]])
    Y, expected = np.array([[1, -1, -1][:k]]), np.exp(-40.0)
    values, gradients = losses.logistic(S, Y)
    assert_allclose(values, [[expected]], rtol=1e-14)
    assert_allclose(gradients, [[-expected, expected, 0][:k]], rtol=1e-14)
    assert_allclose(losses.logistic_second(gradients), np.abs(gradients), rtol=1e-14)
    assert not losses.logistic_second(np.array([[-1 - 1e-15]])).any()
