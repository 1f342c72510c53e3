"""Losses of cross-validated predictions, compared with loops, and their derivatives."""

import math

import numpy as np
import pytest
from gradients import assert_is_gradient
from numpy.testing import assert_allclose
from sklearn.metrics import mean_squared_error

from sklearn_ckn._core.multiple_kernels.losses import LogLoss, SquaredError

N, K, T = 9, 3, 0.7
LABELS = np.arange(N) % K
Y = np.where(LABELS[:, None] == np.arange(K), 1.0, -1.0)
LOSSES = {"log loss": lambda s: LogLoss(Y, s), "squared error": SquaredError}
every_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


def weights(rng):
    s = rng.rand(N)
    return s / s.sum()


def test_log_loss_equals_that_of_a_loop(rng):
    s, R = weights(rng), rng.randn(N, K)
    S, loss = Y - R, LogLoss(Y, s)
    expected = []
    for scores, label in zip(S, LABELS):
        powers = [math.exp(math.exp(T) * score) for score in scores]
        logs = [math.log(power / sum(powers)) for power in powers]
        others = (sum(logs) - logs[label]) / (K - 1)
        expected.append(-((N + 1) * logs[label] + others) / (N + 2))
    assert_allclose(loss.values(R, T)[0], expected, rtol=1e-12)
    assert_allclose(loss(R, T)[0], s @ expected, rtol=1e-12)


def test_squared_error_equals_that_of_scikit_learn(rng):
    s, R = weights(rng), rng.randn(N, K)
    loss = SquaredError(s)
    assert_allclose(loss.values(R, T)[0], [sum(r**2 for r in row) / K for row in R], rtol=1e-12)
    assert_allclose(loss(R, T)[0], mean_squared_error(R, np.zeros((N, K)), sample_weight=s), rtol=1e-12)


@every_loss
def test_derivatives_of_losses(rng, make):
    s, R = weights(rng), rng.randn(N, K)
    loss = make(s)
    value, D, dt = loss(R, T)
    values, D_of_each, dt_of_each = loss.values(R, T)
    assert_allclose([value, dt], [s @ values, s @ dt_of_each], rtol=1e-12)
    assert_allclose(D, s[:, None] * D_of_each, rtol=1e-12)

    def of_both(parameters):
        return loss(parameters[:-1].reshape(N, K), parameters[-1])[0]

    assert_is_gradient(np.append(D, dt), of_both, np.append(R, T), rng)


def test_log_loss_of_large_scores_does_not_overflow():
    """The cost of a certain prediction is the difference L of the scores times the targets of the other classes."""
    loss = LogLoss(Y[:2], np.full(2, 0.5))
    S = np.array([[1e3, -1e3, -1e3], [1e3, -1e3, -1e3]])
    values, D, dt = loss.values(Y[:2] - S, 3.0)
    L = 2e3 * np.exp(3)
    assert_allclose(values, [L / 4, 7 / 8 * L])
    assert_allclose(D, np.exp(3) * np.array([[-1 / 4, 1 / 8, 1 / 8], [-7 / 8, 3 / 4, 1 / 8]]), atol=1e-12)
    assert_allclose(dt, [L / 4, 7 / 8 * L])
