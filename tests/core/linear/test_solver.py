"""The solver: how it starts, when it stops, and how it divides a problem."""

import numpy as np
import pytest
from linear_problems import every_loss, problem
from numpy.testing import assert_allclose

from sklearn_ckn import LinearClassifier
from sklearn_ckn._core.linear import solver
from sklearn_ckn._core.linear.losses import LOSSES
from sklearn_ckn._core.linear.objective import Objective, Signs


@pytest.mark.parametrize("wide", [False, True])
def test_start_at_the_optimum_needs_two_passes(rng, monkeypatch, wide):
    """A minimisation that starts from the coefficients of the optimum stops after two passes."""
    monkeypatch.setattr(solver, "WIDE", 0)
    X, weights = rng.randn(12 if wide else 60, 30), rng.rand(12 if wide else 60)
    Y = Signs.of_all(np.arange(len(X)) % 3, 3)
    model = solver.LinearModel(X + 2, Y, weights, "squared_hinge", True, 1)
    assert (model.span is not None) == wide
    cold = model.solve(10.0, weights, None, 1e-9, 1000)
    warm = model.solve(10.0, weights, model.solution(*model.coefficients(cold)), 1e-7, 1000)
    # One pass is made in the common coordinates, and one in the coordinates of every row of W.
    assert warm.converged and warm.n_passes <= 2 < cold.n_passes
    assert_allclose(warm.value, cold.value, rtol=1e-12)


@pytest.mark.parametrize("small", [solver.SMALL, 0])
@pytest.mark.parametrize("loss", ["squared_hinge", "logistic", "squared_error"])
def test_start_that_overflows_does_no_harm(rng, monkeypatch, loss, small):
    """A gradient step on the filters can leave a linear model of any finite size."""
    monkeypatch.setattr(solver, "SMALL", small)
    X, weights = rng.randn(60, 5), np.ones(60)
    Y = Signs.of_all(np.arange(60) % 3, 3)
    model = solver.LinearModel(X, Y, weights, loss, True, 1)
    huge = solver.Solution(1e300 * rng.randn(3, 5), 1e300 * rng.randn(3))
    for _ in range(2):  # In the second call, a large model has no shared coordinates.
        found = model.solve(10.0, weights, huge, 1e-9, 1000)
        assert found.converged
        expected = model.solve(10.0, weights, None, 1e-9, 1000)
        assert_allclose(found.value, expected.value, rtol=1e-8)


def test_newtons_method_gets_half_of_the_passes(rng, monkeypatch):
    """The first round takes at most half of the passes, even if its own limit is higher."""
    monkeypatch.setattr(solver, "SMALL", 0)
    monkeypatch.setattr(solver, "PASS", 1)
    y = np.arange(60) % 3
    X, weights = rng.randn(60, 30) + 3 * np.eye(3)[y] @ rng.randn(3, 30), np.ones(60)
    model = solver.LinearModel(X, Signs.of_all(y, 3), weights, "squared_hinge", True, 1)
    assert model.first_round > 80
    first = model.solve(1e6, weights, None, 1e-9, 80)
    assert model.common is None and first.n_passes == 80  # the rows of W had their own coordinates


def test_large_problem_is_solved_again_without_common_coordinates(rng, monkeypatch):
    """The first solution discards the common coordinates, and the second one reaches the same optimum."""
    monkeypatch.setattr(solver, "SMALL", 0)
    monkeypatch.setattr(solver, "FIRST_ROUND", 1)
    X, weights, Y = rng.randn(60, 30), rng.rand(60), Signs.of_all(np.arange(60) % 3, 3)
    model = solver.LinearModel(X, Y, weights, "squared_hinge", True, 1)
    first, again = (model.solve(10.0, weights, None, 1e-9, 1000) for _ in range(2))
    assert model.common is None and first.converged and again.converged
    assert_allclose(again.value, first.value, rtol=1e-9)


def test_columns_of_large_problems_are_solved_in_sequence(rng, monkeypatch):
    """Hard problems that are large, as this one is with lower limits, are solved column by column."""
    X, y = problem("plain", rng)
    expected = LinearClassifier(C=1e3, tol=1e-12).fit(X, y)
    monkeypatch.setattr(solver, "SMALL", 1)
    monkeypatch.setattr(solver, "SQUARES_BYTES", 1)
    monkeypatch.setattr(solver, "FIRST_ROUND", 3)
    columns = []
    choose = Signs.columns
    monkeypatch.setattr(Signs, "columns", lambda Y, chosen: columns.append(chosen) or choose(Y, chosen))
    found = LinearClassifier(C=1e3, tol=1e-12).fit(X, y)
    assert_allclose(found.coef_, expected.coef_, rtol=1e-5)
    assert columns == [slice(0, 1), slice(1, 2), slice(2, 3)]
    path = LinearClassifier(C=[1, 1e3], tol=1e-12, random_state=0).fit(X, y)
    monkeypatch.undo()
    assert_allclose(path.coef_, LinearClassifier(C=path.C_, tol=1e-12).fit(X, y).coef_, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mean", [0, 100, 1e5])
def test_rounding_errors_end_the_descent(rng, mean):
    """The descent stops early if the mean of the rows is so large that only rounding errors are left to minimise."""
    X, y = problem("plain", rng)
    for loss in LOSSES:
        assert LinearClassifier(loss).fit(X + mean, y).n_iter_ < 50
        assert LinearClassifier(loss).fit((X + min(mean, 1e3)).astype(np.float32), y).n_iter_ < 120


@every_loss
def test_gap_bounds_the_excess_over_the_minimum(rng, loss):
    """Without intercepts, no coefficients have a smaller gap than excess."""
    X, weights, Y = rng.randn(60, 5), rng.rand(60), Signs.of_all(np.arange(60) % 3, 3)
    model = solver.LinearModel(X, Y, weights, loss, False, 1)
    best = model.solve(10.0, weights, None, 1e-12, 1000)
    share = (weights / weights.sum())[:, None]
    objective = Objective(X, Y, LOSSES[loss], share, 1 / (10 * weights.sum()), False, 1)
    for distance in 10.0 ** np.arange(-8, 3):
        W = best.W + distance * rng.randn(3, 5)
        values, _, _, gaps = objective.evaluate(W, np.zeros(3), np.zeros((1, 5)))
        assert 0 <= values.sum() - best.value <= gaps.sum() * (1 + 1e-9) + 1e-12 * best.value


@pytest.mark.parametrize("offset", [0, 1e4])
def test_single_precision_is_raised_if_it_is_too_low(rng, monkeypatch, offset):
    """Features with a large mean reach the optimum in double precision, and others need only single precision."""
    X, y = problem("plain", rng)
    X = (X + offset).astype(np.float32)
    expected = LinearClassifier(C=1e-2, tol=1e-9).fit(X.astype(float), y)
    monkeypatch.setattr(solver, "EXACT", 0)
    precisions, compute_in = [], solver.LinearModel._compute_in

    def record(model, precision):
        precisions.append(precision)
        compute_in(model, precision)

    monkeypatch.setattr(solver.LinearModel, "_compute_in", record)
    found = LinearClassifier(C=1e-2).fit(X, y)
    assert precisions == ([np.float32, np.float64] if offset else [np.float32]) and found.coef_.dtype == np.float32
    best, reached = (_objective(X.astype(float), y, model) for model in (expected, found))
    assert best * (1 - 1e-8) <= reached <= best * (1 + 2e-6)


def _objective(X, y, model):
    S = X @ model.coef_.T.astype(float) + model.intercept_.astype(float)
    losses = LOSSES["squared_hinge"].function(S, Signs.of_all(y, 3)[:])[0]
    return (model.coef_.astype(float) ** 2).sum() / 2 + model.C_ * losses.sum()


def test_shares_are_in_double_precision():
    """NumPy before version 2 divides float32 arrays by float64 numbers in single precision."""
    assert solver.shares(np.ones(3, np.float32)).dtype == np.float64
