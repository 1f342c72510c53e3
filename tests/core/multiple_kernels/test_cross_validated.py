"""Cross-validated residuals, compared with models that are fitted again, and their gradients."""

import naive
import numpy as np
import pytest
from gradients import assert_is_gradient
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.multiple_kernels import cross_validated
from sklearn_ckn._core.multiple_kernels.cross_validated import (
    CrossValidated,
    centred,
    inverse,
    projected_inverse,
)
from sklearn_ckn._core.multiple_kernels.losses import LogLoss, SquaredError

N, V = 14, np.array([0.5, 2.0, 0.1])
every_division = pytest.mark.parametrize("n_folds", [N, 4, 2])


def problem(rng):
    """Return the features of three kernels, targets of three classes and weights of the signals."""
    features = [rng.randn(N, d) + 1 for d in (2, 5, 20)]
    Y = np.where(np.arange(N)[:, None] % 3 == np.arange(3), 1.0, -1.0)
    return features, Y, rng.rand(N) + 0.1


def division(n_folds, rng):
    """Return folds of different sizes, of which each signal is in exactly one."""
    return np.array_split(rng.permutation(N), n_folds)


@every_division
def test_residuals_equal_those_of_models_that_are_fitted_again(rng, n_folds):
    features, Y, s = problem(rng)
    kernels, folds = [F @ F.T for F in features], division(n_folds, rng)
    expected = naive.cross_validated_residuals(features, Y, V, s, folds)
    found, _ = CrossValidated(kernels, Y, s, folds).residuals(V)
    assert_allclose(found, expected, atol=1e-10)
    if n_folds == N:
        assert_allclose(CrossValidated(kernels, Y, s).residuals(V)[0], expected, atol=1e-10)


@every_division
def test_gradients_of_linear_functions_of_the_residuals(rng, n_folds):
    features, Y, s = problem(rng)
    model = CrossValidated([F @ F.T for F in features], Y, s, None if n_folds == N else division(n_folds, rng))
    D = rng.randn(*Y.shape)
    R, matrices = model.residuals(V)
    assert_is_gradient(model.gradient(D, R, matrices), lambda v: (D * model.residuals(v)[0]).sum(), V, rng)


@every_division
@pytest.mark.parametrize("kind", [LogLoss, SquaredError])
def test_gradients_of_losses(rng, n_folds, kind):
    features, Y, s = problem(rng)
    model = CrossValidated([F @ F.T for F in features], Y, s, None if n_folds == N else division(n_folds, rng))
    loss = LogLoss(Y, s / s.sum()) if kind is LogLoss else SquaredError(s / s.sum())

    def value(parameters):  # logarithms of the weights of the kernels, and the parameter of the loss
        return loss(model.residuals(np.exp(parameters[:-1]))[0], parameters[-1])[0]

    R, matrices = model.residuals(V)
    _, D, dt = loss(R, 0.7)
    assert_is_gradient(np.append(V * model.gradient(D, R, matrices), dt), value, np.append(np.log(V), 0.7), rng)


@every_division
def test_results_are_identical_for_any_number_of_threads(rng, n_folds, monkeypatch):
    monkeypatch.setattr(cross_validated, "ROWS", 4)
    features, Y, s = problem(rng)
    kernels, folds, D = [F @ F.T for F in features], division(n_folds, rng), rng.randn(*Y.shape)
    found = []
    for n_threads in (1, 2):
        model = CrossValidated(kernels, Y, s, None if n_folds == N else folds, n_threads)
        R, matrices = model.residuals(V)
        found.append([R, model.gradient(D, R, matrices)])
    for one, two in zip(*found):
        assert_array_equal(one, two)


def test_weights_of_signals_are_numbers_of_repetitions(rng):
    """A signal with the weight 3 has the same effect on the predictions for others as three signals of weight 1."""
    features, Y, _ = problem(rng)
    times = np.arange(N) % 3 + 1
    rows, kernels = np.repeat(np.arange(N), times), [F @ F.T for F in features]
    folds = [np.flatnonzero(rows == i) for i in range(N)]
    repeating = CrossValidated([K[np.ix_(rows, rows)] for K in kernels], Y[rows], np.ones(len(rows)), folds)
    repeated, _ = repeating.residuals(V)
    found, _ = CrossValidated(kernels, Y, times.astype(float)).residuals(V)
    assert_allclose(repeated, found[rows], atol=1e-10)


@every_division
def test_centred_kernels_have_the_same_residuals(rng, n_folds):
    features, Y, s = problem(rng)
    kernels, folds = [F @ F.T for F in features], division(n_folds, rng)
    found = [centred(K) for K in kernels]
    for K, F in zip(found, features):
        G = F - F.mean(axis=0)
        assert_allclose(K, G @ G.T, atol=1e-12)
    expected, _ = CrossValidated(kernels, Y, s, folds).residuals(V)
    assert_allclose(CrossValidated(found, Y, s, folds).residuals(V)[0], expected, atol=1e-10)


def test_projected_inverse_is_the_inverse_on_vectors_whose_sum_is_0(rng):
    features, _, s = problem(rng)
    kernels = [F @ F.T for F in features]
    A = sum(weight * K for weight, K in zip(V, kernels)) + np.diag(1 / s)
    G, P = projected_inverse(A, 1 / s.max()), np.eye(N) - 1 / N
    assert_allclose(G, np.linalg.pinv(P @ A @ P, rcond=1e-10, hermitian=True), atol=1e-10)
    assert_allclose(G.sum(axis=0), 0, atol=1e-12)


def test_inverse_is_symmetric_and_corrects_eigenvalues_that_rounding_made_too_small(rng):
    F = rng.randn(6, 6)
    A = F @ F.T + np.eye(6)
    found = inverse(A, 1)
    assert_allclose(found, np.linalg.inv(A), atol=1e-12)
    assert_array_equal(found, found.T)
    assert_allclose(inverse(np.diag([4.0, -1e-9]), 0.5), np.diag([0.25, 2]))
