"""Weights of kernels that are learned: which kernels get more weight, and the loss that is reached."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.multiple_kernels import weights
from sklearn_ckn._core.multiple_kernels.cross_validated import CrossValidated, centred
from sklearn_ckn._core.multiple_kernels.losses import LogLoss, SquaredError
from sklearn_ckn._core.multiple_kernels.weights import STRENGTHS, learn_weights

N, LABELS = 60, np.arange(60) % 3
FOLDS = np.array_split(np.random.RandomState(0).permutation(N), 5)
every_division = pytest.mark.parametrize("folds", [None, FOLDS], ids=["leave-one-out", "folds"])
every_task = pytest.mark.parametrize("task", ["classes", "numbers"])


def kernel(F):
    """Return the kernel of features, centred, with a mean of 1 on the diagonal."""
    K = centred(F @ F.T)
    return K / np.diag(K).mean()


def problem(task, rng):
    """Return an informative kernel and a kernel of noise, targets, weights of the signals and a loss."""
    centres, noise = np.eye(3)[LABELS], rng.randn(N, 30)
    F = 2 * centres + rng.randn(N, 3)
    Y = 2 * centres - 1 if task == "classes" else F @ rng.randn(3, 2) + 0.1 * rng.randn(N, 2)
    s = np.full(N, 1 / N)
    return [kernel(F), kernel(noise)], Y, np.ones(N), LogLoss(Y, s) if task == "classes" else SquaredError(s)


@pytest.fixture
def converged(monkeypatch):
    """Let the search end only at a minimum."""
    monkeypatch.setattr(weights, "FTOL", 1e-12)


@every_division
@every_task
def test_noise_gets_less_weight_than_an_informative_kernel(rng, task, folds):
    found = learn_weights(*problem(task, rng), folds=folds)
    assert found.v[1] < found.v[0]


@every_division
@every_task
def test_noise_gets_hardly_any_weight_at_the_minimum(rng, task, folds, converged):
    kernels, *others = problem(task, rng)
    found = learn_weights(kernels, *others, folds=folds, max_iter=200)
    assert found.v[1] < 0.1 * found.v[0]
    turned = learn_weights(kernels[::-1], *others, folds=folds, max_iter=200)
    assert_allclose(turned.loss, found.loss, rtol=1e-6)
    assert_allclose(turned.shares[::-1], found.shares, atol=1e-3)


@every_division
@every_task
def test_shares_are_parts_of_the_variance_of_the_fitted_values(rng, task, folds):
    kernels, Y, s, loss = problem(task, rng)
    found = learn_weights(kernels, Y, s, loss, folds)
    A = sum(v * K for v, K in zip(found.v, kernels)) + np.diag(1 / s)
    coefficients = np.linalg.solve(np.block([[A, np.ones((N, 1))], [np.ones((1, N)), 0]]), np.vstack([Y, 0 * Y[:1]]))
    C = coefficients[:N]  # of the model that is fitted to all signals, whose sums are 0 because of the intercept
    parts = [v * K @ C for v, K in zip(found.v, kernels)]
    covariances = [np.trace(part.T @ sum(parts)) for part in parts]
    assert_allclose(found.shares, covariances / np.sum(covariances), rtol=1e-8)


@every_task
def test_search_from_given_weights_continues_from_them(rng, task, converged):
    given = problem(task, rng)
    found = learn_weights(*given, max_iter=200)
    again = learn_weights(*given, start=found, max_iter=200)
    assert again.loss <= found.loss
    assert_allclose(again.loss, found.loss, rtol=1e-4)
    assert_array_equal(learn_weights(*given, n_threads=2, max_iter=200).v, found.v)


@every_division
@every_task
@pytest.mark.parametrize("spread", [None, 1.0, 1e-3])
def test_loss_is_at_most_that_of_the_best_equal_weights(rng, task, folds, spread):
    kernels, Y, s, loss = problem(task, rng)
    found, model = learn_weights(kernels, Y, s, loss, folds, spread), CrossValidated(kernels, Y, s, folds)
    residuals = [model.residuals(np.full(2, np.exp(strength) / 2))[0] for strength in STRENGTHS]
    assert found.loss <= min(loss(R, t)[0] for R in residuals for t in loss.starts)
    R, _ = model.residuals(found.v)
    assert_array_equal(found.R, R)
    assert found.loss == loss(R, found.t)[0]
    assert task == "classes" or found.t == 0


@every_task
def test_small_spread_keeps_the_weights_nearly_equal(rng, task, converged):
    given = problem(task, rng)
    ratios = [np.divide(*learn_weights(*given, spread=spread).v) for spread in (1e-3, 1.0, None)]
    assert 1 <= ratios[0] < 1.01 < ratios[1] < ratios[2]


@every_task
def test_equal_kernels_get_equal_weights(rng, task, converged):
    (K, _), *others = problem(task, rng)
    found = learn_weights([K, K, K], *others)
    assert_allclose(found.v, found.v.mean(), rtol=1e-6)
    alone = learn_weights([K], *others)
    assert_allclose(alone.loss, found.loss, rtol=1e-3)


def test_learned_temperature_calibrates_the_probabilities(rng, converged):
    """At the minimum, the derivative of the loss with respect to the temperature is zero."""
    *given, loss = problem("classes", rng)
    found = learn_weights(*given, loss, max_iter=200)
    assert abs(loss(found.R, found.t)[2]) < 1e-5
