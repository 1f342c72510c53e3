"""Linear models: the optimum against scikit-learn's, the pieces against plain formulas."""

import pickle
import tracemalloc
import warnings

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import LinearSVC

from sklearn_ckn import LinearClassifier, LinearRegressor
from sklearn_ckn._core.linear import lbfgs, losses, preconditioner, solver, tall_skinny
from sklearn_ckn._core.linear.losses import LOSSES
from sklearn_ckn._targets import hold_out

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
every_loss = pytest.mark.parametrize("loss", LOSSES)
RELATIVE = {"float32": 2e-6, "float64": 1e-14}


# The pieces


@every_dtype
@pytest.mark.parametrize(
    "n, d, k", [(1, 1, 1), (7, 1, 2), (50, 3, 3), (13, 40, 2), (100, 33, 5), (20, 1100, 10), (9, 5, 40)]
)
def test_products(rng, dtype, n, d, k):
    """Rows, columns and vectors that fill no tile; nothing is read or written beyond the arrays."""
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
def test_products_are_adjoint(n, d, k, seed):
    rng = np.random.RandomState(seed)
    X, W, G = rng.randn(n, d), rng.randn(k, d), rng.randn(n, k)
    inner = (tall_skinny.product(X, W) * G).sum(), (tall_skinny.product_adjoint(X, G) * W).sum()
    assert_allclose(*inner, rtol=1e-11, atol=1e-11)


@every_loss
@pytest.mark.parametrize("k", [1, 3])
def test_losses(rng, loss, k):
    """Values, first and second derivatives, against the definition and central differences."""
    S, Y = 2 * rng.randn(6, k), solver.Signs.of_all(np.arange(6) % max(2, k), max(2, k))[:]
    record = LOSSES[loss]
    values, gradients = record.function(S, Y)
    assert values.shape == (6, k if record.separable else 1)
    assert_allclose(values.sum(axis=1), [naive.LOSSES[loss](s, y) for s, y in zip(S, Y)])
    step = 1e-6
    second = np.full(S.shape, record.typical_curvature) if record.second is None else record.second(S, Y)
    for c in range(k):
        shift = step * (np.arange(k) == c)
        (above, g_above), (below, g_below) = record.function(S + shift, Y), record.function(S - shift, Y)
        assert_allclose(gradients[:, c], (above - below).sum(axis=1) / (2 * step), atol=1e-8)
        assert_allclose(second[:, c], (g_above - g_below)[:, c] / (2 * step), atol=1e-8)


def test_large_scores_overflow_nothing():
    values, gradients = losses.logistic(np.array([[1e30, -1e30], [-1e38, 1e38]], np.float32), np.array([[1, -1]] * 2))
    assert values[0] == 0 and np.isfinite(values[0]) and not gradients[0].any()
    assert_array_equal(gradients[1], [-1, 1])


@every_dtype
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("k_of_H", [1, 3])
@pytest.mark.parametrize("n_rows", [50, 2])
def test_coordinates(rng, monkeypatch, dtype, intercept, k_of_H, n_rows):
    """Z^T Z is the Hessian; the three maps belong together; the groups of columns do too."""
    monkeypatch.setattr(preconditioner, "TILE", 3)  # so that there are several
    X, H, ridge = rng.randn(50, 8).astype(dtype) + 2, rng.rand(50, k_of_H).astype(dtype) / 50, 0.1
    H[n_rows:] = 0  # those of the others, which are few or many
    coordinates = preconditioner.Coordinates(X, H, intercept, n_threads=2)
    for _ in range(2):  # the covariance is not lost with the first ridge
        coordinates.choose(10 * ridge)
        coordinates.choose(ridge)
    W, b, D, e = rng.randn(3, 8), rng.randn(3) * intercept, rng.randn(3, 8), rng.randn(3) * intercept
    z = coordinates.coordinates(W, b)
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    for found, expected in zip(coordinates.model(z), (W, b)):
        assert_allclose(found, expected, atol=100 * tolerance)
    inner = (coordinates.gradients(D, e) * z).sum(), (D * W).sum() + e @ b
    assert_allclose(*inner, rtol=100 * tolerance)
    for c in range(3):
        h = H[:, c % k_of_H].astype(float)
        energy = h @ (X.astype(float) @ W[c] + b[c]) ** 2 + ridge * W[c] @ W[c]
        assert_allclose(z[c] @ z[c], energy, rtol=20 * tolerance)


def test_coordinates_of_no_rows_are_those_of_the_ridge(rng):
    none, W = preconditioner.FewRows(np.zeros((0, 8))), rng.randn(3, 8)
    none.choose(4.0)
    assert none.trace == 0
    for found, factor in ((none.coordinates(W), 2), (none.vectors(W), 0.5), (none.gradients(W), 0.5)):
        assert_allclose(found, factor * W)


def test_groups_of_features(rng, monkeypatch):
    monkeypatch.setattr(preconditioner, "MOST_COLUMNS", 3)
    X, y = rng.randn(60, 8), rng.randint(3, size=60)
    found = LinearClassifier(tol=1e-10).fit(X, y)
    monkeypatch.undo()
    assert_allclose(found.coef_, LinearClassifier(tol=1e-10).fit(X, y).coef_, atol=1e-5)


def test_covariance_of_some_rows_is_close(rng, monkeypatch):
    X, weights = rng.randn(5000, 4).cumsum(axis=1), np.full(5000, 1 / 5000)
    mean = weights @ X
    whole = preconditioner.covariance(X, mean, weights, 1)
    assert_allclose(np.triu(whole), np.triu((X - mean).T @ (X - mean) / 5000), rtol=1e-12)
    monkeypatch.setattr(preconditioner, "FEWEST_ROWS", 1000)
    assert_allclose(preconditioner.covariance(X, mean, weights, 1), whole, rtol=0.2)


@every_dtype
def test_span(rng, dtype):
    """The features have the rows' inner products; equal rows and a constant column do no harm."""
    X = 1e3 * rng.randn(12, 40).astype(dtype)
    X[5], X[8], X[:, 7] = X[4], X[4], 3
    mean, tolerance = X.mean(axis=0, dtype=float), {"float32": 1e-6, "float64": 1e-11}[dtype]
    span, centred = preconditioner.Span(X, mean, np.dtype(dtype), 1), X - mean
    assert span.features.shape == (12, 9) and span.features.dtype == dtype
    products = centred @ centred.T
    assert np.abs(span.features @ span.features.T - products).max() <= tolerance * products.max()
    V = rng.randn(2, 9)
    W = span.vectors(V)
    assert_allclose((W**2).sum(), (V**2).sum(), rtol=1e-10)
    assert_allclose(centred @ W.T, span.features @ V.T, atol=tolerance * np.abs(centred @ W.T).max())
    assert_allclose(span.coordinates(W), V, atol=1e3 * tolerance)
    nothing = preconditioner.Span(np.ones((3, 8)), np.ones(8), np.dtype(dtype), 1)
    assert not nothing.features.any() and np.isfinite(nothing.vectors(np.zeros((1, 1)))).all()


@pytest.mark.parametrize("wide", [False, True])
def test_start_at_the_optimum(rng, monkeypatch, wide):
    """The coefficients of an optimum are a start that there is nothing to be gained from."""
    monkeypatch.setattr(solver, "WIDE", 0)
    X, weights = rng.randn(12 if wide else 60, 30), rng.rand(12 if wide else 60)
    Y = solver.Signs.of_all(np.arange(len(X)) % 3, 3)
    model = solver.LinearModel(X + 2, Y, weights, "squared_hinge", True, 1)
    assert (model.span is not None) == wide
    cold = model.solve(10.0, weights, None, 1e-9, 1000)
    warm = model.solve(10.0, weights, model.solution(*model.coefficients(cold)), 1e-7, 1000)
    assert warm.converged and warm.n_passes <= 2 < cold.n_passes  # in the common coordinates and in those of the rows
    assert_allclose(warm.value, cold.value, rtol=1e-12)


def test_newtons_method_has_half_of_the_passes(rng, monkeypatch):
    """However long a first round would be."""
    monkeypatch.setattr(solver, "SMALL", 0)
    monkeypatch.setattr(solver, "PASS", 1)
    y = np.arange(60) % 3
    X, weights = rng.randn(60, 30) + 3 * np.eye(3)[y] @ rng.randn(3, 30), np.ones(60)
    model = solver.LinearModel(X, solver.Signs.of_all(y, 3), weights, "squared_hinge", True, 1)
    assert model.first_round > 80
    first = model.solve(1e6, weights, None, 1e-9, 80)
    assert model.common is None and first.n_passes == 80  # rows of W had coordinates of their own


def test_a_large_problem_is_solved_again_from_none(rng, monkeypatch):
    """After the rows of W have taken coordinates of their own there are none in common; the optimum is the same."""
    monkeypatch.setattr(solver, "SMALL", 0)
    monkeypatch.setattr(solver, "FIRST_ROUND", 1)
    X, weights, Y = rng.randn(60, 30), rng.rand(60), solver.Signs.of_all(np.arange(60) % 3, 3)
    model = solver.LinearModel(X, Y, weights, "squared_hinge", True, 1)
    first, again = (model.solve(10.0, weights, None, 1e-9, 1000) for _ in range(2))
    assert model.common is None and first.converged and again.converged
    assert_allclose(again.value, first.value, rtol=1e-9)


@pytest.mark.parametrize("mean", [0, 100, 1e5])
def test_rounding_ends_the_descent(rng, mean):
    """Where the rows' mean is so large that rounding is all that is left, it is not searched for more."""
    X, y = problem("plain", rng)
    for loss in LOSSES:
        assert LinearClassifier(loss).fit(X + mean, y).n_iter_ < 50
        assert LinearClassifier(loss).fit((X + min(mean, 1e3)).astype(np.float32), y).n_iter_ < 120


@every_loss
def test_rows_in_a_periodic_order(rng, monkeypatch, loss):
    """Those from which the covariance is estimated have no period."""
    monkeypatch.setattr(preconditioner, "FEWEST_ROWS", 400)
    y = np.arange(4000) % 10
    X = np.zeros((4000, 20))
    X[np.arange(4000), y], X[np.arange(4000), y + 10] = rng.randn(2, 4000) + 1
    assert LinearClassifier(loss).fit(X, y).n_iter_ < 60


def test_lbfgs_solves_every_problem_on_its_own(rng):
    """Side by side each takes the steps that it takes alone."""
    scales, centres = np.exp(rng.randn(3, 6)), rng.randn(3, 6)

    def function_of(rows):
        def function(z):
            u = z - centres[rows]
            size = np.sqrt(1 + scales[rows] * u**2)
            return (size - 0.5).sum(axis=1), scales[rows] * u / size

        return function

    together = lbfgs.minimise(function_of(slice(None)), np.zeros((3, 6)), 1e-14, 200, 1e-16)
    assert together.converged
    assert_allclose(together.z, centres, atol=1e-6)
    for i in range(3):
        alone = lbfgs.minimise(function_of([i]), np.zeros((1, 6)), 0, together.n_calls, 0)
        assert_allclose(alone.z[0], together.z[i], atol=1e-7)


def test_lbfgs_backs_off_where_there_is_no_number():
    def function(z):
        with np.errstate(invalid="ignore", divide="ignore"):
            return (z - 2 * np.log(z)).sum(axis=1), 1 - 2 / z

    found = lbfgs.minimise(function, np.full((1, 2), 0.01), 1e-12, 200, 1e-16)
    assert found.converged
    assert_allclose(found.z, 2, rtol=1e-5)


# The optimum


def problem(kind, rng):
    n, d, k = {
        "wide": (40, 120, 3),
        "one feature": (200, 1, 3),
        "two classes": (200, 20, 2),
        "hundred": (600, 20, 100),
    }.get(kind, (200, 20, 3))
    X = rng.randn(n, d)
    if kind == "span":
        X = rng.randn(40, solver.WIDE + 52)
    if kind == "collinear":
        X[:, 10:], X[:, 3] = X[:, :10] @ rng.randn(10, 10), X[:, 4]
    y = (X[:, :20] @ rng.randn(min(d, 20), k) + 2 * rng.randn(len(X), k)).argmax(axis=1)
    y[:k] = np.arange(k)
    if kind == "constant":
        X[:, ::3] = 5
    if kind == "unscaled":
        X = X * 10.0 ** rng.uniform(-3, 3, d)
    return X, y


def objective(X, y, coef, intercept, C, loss):
    """From the definition, in double precision."""
    S = X @ coef.T.astype(float) + intercept.astype(float)
    Y = solver.Signs.of_all(y, max(2, len(coef)))[:]
    return (coef.astype(float) ** 2).sum() / 2 + C * LOSSES[loss].function(S, Y)[0].sum()


def scikit_learns(loss, C):
    """The same optimum; LinearSVC's intercept is penalised, by very little."""
    if loss == "squared_hinge":
        return LinearSVC(C=C, tol=1e-10, dual=False, intercept_scaling=1e3, max_iter=10**6)
    if loss == "logistic":
        return LogisticRegression(C=C, tol=1e-11, solver="newton-cg", max_iter=10**5)
    return RidgeClassifier(alpha=1 / (2 * C), solver="cholesky")


KINDS = ["plain", "wide", "collinear", "constant", "one feature", "two classes", "hundred", "unscaled", "span"]
CASES = [(kind, C) for kind in KINDS for C in (1e-3, 1, 100) if C < 100 or kind not in ("wide", "hundred", "span")]


@every_loss
@pytest.mark.parametrize("kind, C", CASES)  # without those where scikit-learn takes long and remains inexact
def test_optimum_is_scikit_learns(rng, loss, kind, C):
    X, y = problem(kind, rng)
    expected = scikit_learns(loss, C).fit(X, y)
    expected.coef_ = np.atleast_2d(expected.coef_)
    best = objective(X, y, expected.coef_, expected.intercept_, C, loss)
    found = LinearClassifier(loss, C=C, tol=1e-12).fit(X, y)
    assert objective(X, y, found.coef_, found.intercept_, C, loss) <= best * (1 + 1e-9)
    error = np.linalg.norm(found.coef_ - expected.coef_) / np.linalg.norm(expected.coef_)
    assert error <= 1e-4
    for dtype in ("float64", "float32"):
        found = LinearClassifier(loss, C=C).fit(X.astype(dtype), y)
        assert found.coef_.dtype == found.intercept_.dtype == dtype
        assert objective(X, y, found.coef_, found.intercept_, C, loss) <= best * (1 + 1e-4)


EXTREMES = [(loss, C, kind) for loss in LOSSES for C in (1e-8, 1e5) for kind in ("plain", "wide", "two classes")]


@pytest.mark.parametrize("loss, C, kind", [*EXTREMES, ("squared_hinge", 1e5, "hundred")])
def test_optimum_for_extreme_C(rng, loss, C, kind):
    """The gradient with respect to the coefficients is known from the definition: it tells how far the optimum is.

    The objective is strongly convex with modulus 1, so it is at most half the square of the gradient above its minimum.
    The curvature is up to 1e8 times that, and the bound so much above the truth: only where rounding ends the fit, not
    ``tol``, is it small whatever the order of the sums.
    """
    X, y = problem(kind, rng)
    found = LinearClassifier(loss, C=C, tol=1e-17, max_iter=5000).fit(X, y)
    k = len(found.coef_)
    _, G = LOSSES[loss].function(X @ found.coef_.T + found.intercept_, solver.Signs.of_all(y, max(2, k))[:])
    gap = ((found.coef_ + C * G.T @ X) ** 2).sum() / 2
    assert gap <= 1e-4 * objective(X, y, found.coef_, found.intercept_, C, loss)
    assert np.abs(G.sum(axis=0)).max() <= 1e-4 * np.abs(G).sum()


def test_columns_one_after_the_other(rng, monkeypatch):
    """What large problems do that are hard, as if these were."""
    X, y = problem("plain", rng)
    expected = LinearClassifier(C=1e3, tol=1e-12).fit(X, y)
    monkeypatch.setattr(solver, "SMALL", 1)
    monkeypatch.setattr(solver, "SQUARES_BYTES", 1)
    monkeypatch.setattr(solver, "FIRST_ROUND", 3)
    columns = []
    choose = solver.Signs.columns
    monkeypatch.setattr(solver.Signs, "columns", lambda Y, chosen: columns.append(chosen) or choose(Y, chosen))
    found = LinearClassifier(C=1e3, tol=1e-12).fit(X, y)
    assert_allclose(found.coef_, expected.coef_, rtol=1e-5)
    assert columns == [slice(0, 1), slice(1, 2), slice(2, 3)]
    path = LinearClassifier(C=[1, 1e3], tol=1e-12, random_state=0).fit(X, y)
    monkeypatch.undo()
    assert_allclose(path.coef_, LinearClassifier(C=path.C_, tol=1e-12).fit(X, y).coef_, rtol=1e-4, atol=1e-6)


@every_loss
@pytest.mark.parametrize("kind", ["two classes", "plain", "span"])
def test_without_intercept(rng, loss, kind):
    X, y = problem(kind, rng)
    found = LinearClassifier(loss, fit_intercept=False, tol=1e-12).fit(X, y)
    expected = scikit_learns(loss, 1.0).set_params(fit_intercept=False).fit(X, y)
    assert not found.intercept_.any()
    assert_allclose(found.coef_, np.atleast_2d(expected.coef_), rtol=1e-4, atol=1e-6)


@every_loss
def test_weights(rng, loss):
    """Of samples: as if they were repeated. Of classes: as those of their samples."""
    X, y = problem("plain", rng)
    repetitions = rng.randint(3, size=len(X))
    model = LinearClassifier(loss, tol=1e-12)
    weighted = clone(model).fit(X, y, sample_weight=repetitions)
    repeated = clone(model).fit(X.repeat(repetitions, axis=0), y.repeat(repetitions))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-7)
    by_class = clone(model).set_params(class_weight={0: 2.0, 2: 0.5}).fit(X, y)
    by_sample = clone(model).fit(X, y, sample_weight=np.array([2, 1, 0.5])[y])
    assert_array_equal(by_class.coef_, by_sample.coef_)
    balanced = clone(model).set_params(class_weight="balanced").fit(X, y, sample_weight=repetitions)
    sums = np.bincount(y, repetitions)
    by_sample = clone(model).fit(X, y, sample_weight=repetitions * (sums.sum() / (3 * sums))[y])
    assert_allclose(balanced.coef_, by_sample.coef_, rtol=1e-6)


@every_dtype
@pytest.mark.parametrize("shape", [(80, 12), (20, 50)])
@pytest.mark.parametrize("n_targets", [None, 1, 4])
def test_regression_is_ridge(rng, dtype, shape, n_targets):
    X = rng.randn(*shape).astype(dtype)
    y = 1e6 + 1e3 * rng.randn(shape[0], *(() if n_targets is None else (n_targets,)))
    weights = rng.rand(shape[0])
    found = LinearRegressor(C=3.0, tol=1e-12).fit(X, y, sample_weight=weights)
    expected = Ridge(alpha=1 / 6).fit(X.astype(float), y, sample_weight=weights)
    assert found.coef_.shape == (*y.shape[1:], shape[1]) and found.coef_.dtype == dtype
    assert found.intercept_.dtype == np.float64
    assert np.shape(found.intercept_) == y.shape[1:]
    assert np.linalg.norm(found.coef_ - expected.coef_) <= 1e-4 * np.linalg.norm(expected.coef_)
    prediction = found.predict(X)
    assert prediction.shape == y.shape
    assert_allclose(prediction, expected.predict(X).reshape(y.shape), rtol=1e-6)


def test_constant_target(rng):
    found = LinearRegressor().fit(rng.randn(10, 3), np.full(10, 7.0))
    assert not found.coef_.any() and found.intercept_ == 7


@pytest.mark.parametrize("scale, shift", [(1e-200, 0), (1e200, 0), (100, 1e15)])
def test_targets_of_any_size(rng, scale, shift):
    X = rng.randn(50, 3)
    assert_allclose(LinearRegressor(C=1e6).fit(X, scale * X[:, 0] + shift).coef_ / scale, [1, 0, 0], atol=0.01)


# The estimator


@pytest.mark.parametrize("k", [2, 3])
def test_probabilities(rng, k):
    X, y = problem("two classes" if k == 2 else "plain", rng)
    found = LinearClassifier("logistic", tol=1e-12).fit(X, y)
    expected = scikit_learns("logistic", 1.0).fit(X, y)
    assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)
    assert_allclose(found.predict_log_proba(X), expected.predict_log_proba(X), atol=1e-5)
    assert_allclose(found.decision_function(X), expected.decision_function(X), atol=1e-5)
    with pytest.raises(AttributeError) as error:
        LinearClassifier("squared_hinge").predict_proba(X)
    assert str(error.value.__cause__) == "Probabilities need loss='logistic'; got loss='squared_hinge'."


def test_path(rng):
    """The C with the best score of a held-out part, whatever the order; then all samples."""
    X, y = problem("plain", rng)
    path = [1.0, 1e-5, 1e-2, 1e-3]
    found = LinearClassifier(C=path, random_state=3, validation_fraction=0.3, tol=1e-10).fit(X, y)
    fitted, held_out = train_test_split(np.arange(len(X)), test_size=0.3, stratify=y, random_state=3)
    for C, score in zip(path, found.validation_scores_):
        expected = LinearClassifier(C=C, tol=1e-10).fit(X[fitted], y[fitted]).score(X[held_out], y[held_out])
        assert_allclose(score, expected, atol=1.5 / len(held_out))
    assert found.validation_scores_[path.index(found.C_)] == found.validation_scores_.max()
    assert_allclose(found.coef_, LinearClassifier(C=found.C_, tol=1e-10).fit(X, y).coef_, atol=1e-5)
    again = LinearClassifier(C=path[::-1], random_state=3, validation_fraction=0.3, tol=1e-10).fit(X, y)
    assert_array_equal(found.coef_, again.coef_)
    assert_array_equal(found.validation_scores_, again.validation_scores_[::-1])
    assert LinearClassifier().fit(X, y).validation_scores_ is None


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_scores_are_told_apart_by_the_loss(rng, loss):
    """Classes far from each other: every C classifies all, and those of weaker penalties with less loss."""
    y = np.arange(60) % 3
    X = 10 * np.eye(3)[y] + rng.randn(60, 3)
    found = LinearClassifier(loss, C=[1e-4, 1e-2, 1e-3], random_state=0).fit(X, y)
    assert (found.validation_scores_ == 1).all() and found.C_ == 1e-2


def test_path_of_a_regression(rng):
    X = rng.randn(300, 10)
    y = X @ rng.randn(10, 2) + 0.1 * rng.randn(300, 2)
    found = LinearRegressor(C=[1e-6, 1e-3, 1.0], random_state=0).fit(X, y)
    assert found.C_ == 1 and (np.diff(found.validation_scores_) > 0).all() and found.score(X, y) > 0.98


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_same_bits_for_any_number_of_threads(rng, loss):
    X, y = rng.randn(3000, 700).astype(np.float32), rng.randint(4, size=3000)
    fits = [LinearClassifier(loss, C=0.01, n_jobs=n).fit(X, y) for n in (1, 2, 3)]
    for other in fits[1:]:
        assert_array_equal(fits[0].coef_, other.coef_)
        assert_array_equal(fits[0].decision_function(X), other.decision_function(X))


def test_any_array_gives_the_same(rng, tmp_path):
    """In other orders, read-only and on disk; bytes are read as float32."""
    X, y = rng.randint(256, size=(300, 30)).astype(np.uint8), rng.randint(3, size=300)
    numbers = X.astype(np.float32)
    numbers.tofile(tmp_path / "X")
    on_disk = np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape)
    wider = np.zeros((300, 60), np.float32)
    wider[:, ::2] = numbers
    expected = LinearClassifier(C=1e-4).fit(numbers, y)
    for other in (X, on_disk, np.asfortranarray(numbers), wider[:, ::2], X.astype(np.int16), X.astype(np.float16)):
        before = np.array(other)
        found = LinearClassifier(C=1e-4).fit(other, y)
        assert_array_equal(found.coef_, expected.coef_)
        assert_array_equal(found.decision_function(other), expected.decision_function(numbers))
        assert_array_equal(other, before)
    assert expected.coef_.dtype == np.float32
    assert expected.decision_function(numbers.astype(float)).dtype == np.float64


def test_large_integers(rng):
    """float32 does not hold them."""
    X = 1_700_000_000 + rng.randint(60, size=(500, 1))
    y = X[:, 0] - 1_700_000_000
    found = LinearRegressor().fit(X, y)
    assert found.coef_.dtype == np.float64 and found.score(X, y) > 0.999
    assert LinearClassifier().fit(X, y > 30).score(X, y > 30) > 0.95


@pytest.mark.parametrize("model", [LinearClassifier(C=[0.1, 1.0]), LinearClassifier("logistic"), LinearRegressor()])
def test_features_are_not_copied(rng, model):
    X = rng.rand(60_000, 300).astype(np.float32)
    y = rng.randint(3, size=len(X))
    tracemalloc.start()
    model.fit(X, y).predict(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_pickle_labels_and_grid_search(rng):
    X, y = problem("plain", rng)
    names = np.array(["cat", "dog", "owl"])[y]
    found = LinearClassifier().fit(X, names)
    assert_array_equal(found.classes_, ["cat", "dog", "owl"])
    assert_array_equal(pickle.loads(pickle.dumps(found)).predict(X), found.predict(X))
    search = GridSearchCV(LinearClassifier(), {"C": [1e-3, 1], "loss": list(LOSSES)}, cv=3, n_jobs=2).fit(X, names)
    assert search.best_score_ > 0.5


@pytest.mark.parametrize("kind, C", [("plain", 1), ("wide", 1e5)])
def test_not_converged(rng, kind, C):
    """The best that was found is kept."""
    X, y = problem(kind, rng)
    values = []
    for max_iter in (2, 10, 50, 52, 70):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = LinearClassifier(C=C, max_iter=max_iter, tol=0).fit(X, y)
        converged = not caught
        assert converged or f" after max_iter={max_iter} passes over X" in str(caught[0].message)
        assert found.n_iter_ == max_iter or converged
        values.append(objective(X, y, found.coef_, found.intercept_, C, "squared_hinge"))
    assert (np.diff(values) <= 1e-9 * values[0]).all() and values[-1] < 0.99 * values[0]


def test_path_not_converged(rng):
    X, y = problem("wide", rng)
    failed = r"tol=0.001 with C=1, tol=0.001 with C=1e\+03, tol=1e-06 with C=.* after max_iter=3 passes"
    with pytest.warns(ConvergenceWarning, match=failed):
        LinearClassifier(C=[1e3, 1], max_iter=3, random_state=0).fit(X, y)


BAD = [
    ({"C": 0}, {}, r"'C' parameter .* must be"),
    ({"C": [1, -1]}, {}, r"C must be a positive finite number or a list of them; got \[1, -1\]"),
    ({"C": []}, {}, r"C must be a positive finite number or a list of them; got \[\]"),
    ({"C": [[1.0]]}, {}, r"C must be a positive finite number or a list"),
    ({"C": [1, np.nan]}, {}, r"C must be a positive finite number or a list"),
    ({"C": [1, "a"]}, {}, r"C must be a positive finite number or a list of them; got \[1, 'a'\]"),
    ({"C": 1e-320}, {}, r"C times the sum of weights must lie between 1e-37 and 1e38; got C=9.99"),
    ({"class_weight": {0: -1.0}}, {}, r"sample_weight times class_weight must be >= 0 .* got values from -1.0 to 1.0"),
    ({"class_weight": {0: np.nan}}, {}, r"sample_weight times class_weight must be >= 0"),
    ({"class_weight": dict.fromkeys(range(3), 0)}, {}, r"sample_weight times class_weight must be >= 0"),
    ({"loss": "hinge"}, {}, r"'loss' parameter .* must be"),
    ({"tol": -1}, {}, r"'tol' parameter .* must be"),
    ({"class_weight": "even"}, {}, r"'class_weight' parameter .* must be"),
    ({}, {"X": np.full((30, 4), np.nan)}, "X contains NaN"),
    ({}, {"X": np.full((30, 4), 1e200)}, r"X has values up to 1e\+200 in magnitude, but for computations in float64"),
    (
        {},
        {"X": np.ones((30, 4, 2))},
        r"X has shape \(30, 4, 2\), but Linear.* expects .*: use Flatten\(\) to turn maps into features",
    ),
    ({}, {"X": np.ones((29, 4))}, "inconsistent numbers of samples"),
    ({}, {"y": np.zeros(30)}, r"y must have at least two classes; got one class, 0.0\."),
    ({}, {"y": np.linspace(0, 1, 30)}, "Unknown label type"),
    ({}, {"y": np.full(30, np.nan)}, "y contains NaN"),
    ({}, {"sample_weight": np.zeros(30)}, "[Ss]ample.weight"),
    ({}, {"sample_weight": -np.ones(30)}, r"sample_weight must be >= 0 and not 0 everywhere.*got values from -1.0"),
    ({}, {"sample_weight": np.ones(29)}, "sample_weight.shape"),
    ({}, {"sample_weight": np.full(30, 1e308)}, r"sample_weight must be >= 0 and not 0 everywhere, with a finite sum"),
    ({}, {"sample_weight": np.full(30, np.nan)}, r"sample_weight contains NaN"),
]


@pytest.mark.parametrize("parameters, data, message", BAD)
def test_bad_input(rng, parameters, data, message):
    data = {"X": rng.randn(30, 4), "y": np.arange(30) % 3, **data}
    classifier = LinearClassifier(**parameters)
    with pytest.raises(ValueError, match=message):
        classifier.fit(**data)
    assert set(vars(classifier)) == set(vars(LinearClassifier()))
    if not {"loss", "class_weight"} & set(parameters) and "class" not in message and "label" not in message:
        regressor = LinearRegressor(**parameters)
        with pytest.raises(ValueError, match=message):
            regressor.fit(**data)
        assert set(vars(regressor)) == set(vars(LinearRegressor()))


def test_target_too_large(rng):
    with pytest.raises(
        ValueError,
        match=r"y has values up to 1e\+40 in magnitude, but for computations in float32 they must not exceed",
    ):
        LinearRegressor().fit(rng.randn(5, 2).astype(np.float32), np.full(5, 1e40))


def test_too_few_targets_to_hold_out(rng):
    message = r"=0.01 of 30 samples cannot be held out .* One sample is not enough for a score"
    with pytest.raises(ValueError, match=message):
        LinearRegressor(C=[1, 2], validation_fraction=0.01).fit(rng.randn(30, 4), rng.randn(30))


def test_weights_leave_too_little(rng):
    """Rows of weight 0 are not held out, and do not count as samples of their class."""
    X, y, weights = rng.randn(30, 4), np.arange(30) % 3, np.ones(30)
    weights[3:] = 0  # one sample of each class is left
    message = r"of 3 samples cannot be held out .* No class has two samples\. .* or pass a single C"
    with pytest.raises(ValueError, match=message):
        LinearClassifier(C=[1, 2]).fit(X, y, weights)
    assert LinearClassifier().fit(X, y, weights).n_iter_ > 0


def test_what_is_held_out(rng):
    """The part that was asked for, one sample of every class at least, and nothing of those that have one sample."""
    for numbers, expected in [((10, 20, 30), (1, 2, 3)), ((4, 4, 4, 4), (1, 1, 1, 1)), ((1, 9, 20), (0, 1, 2))]:
        y, weights = np.repeat(np.arange(len(numbers)), numbers), np.ones(sum(numbers))
        held_out = hold_out(LinearClassifier(random_state=0), weights, y, "", "")
        assert_array_equal(np.bincount(y[held_out], minlength=len(numbers)), expected)
        assert LinearClassifier(C=[1, 2], random_state=0).fit(rng.randn(len(y), 4), y).coef_.shape == (len(numbers), 4)
