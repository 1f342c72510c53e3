"""Coordinates in which the Hessian is close to the identity, and the covariance from which they are computed."""

import numpy as np
import pytest
from linear_problems import every_dtype, every_loss
from numpy.testing import assert_allclose

from sklearn_ckn import LinearClassifier
from sklearn_ckn._core.linear import preconditioner


@every_dtype
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("k_of_H", [1, 3])
@pytest.mark.parametrize("n_rows", [50, 2])
def test_coordinates_turn_the_hessian_into_the_identity(rng, monkeypatch, dtype, intercept, k_of_H, n_rows):
    """The squared norm of coordinates is the quadratic form of the Hessian, and the three maps are consistent."""
    monkeypatch.setattr(preconditioner, "TILE", 3)  # so that a square array has several tiles
    X, H, ridge = rng.randn(50, 8).astype(dtype) + 2, rng.rand(50, k_of_H).astype(dtype) / 50, 0.1
    H[n_rows:] = 0  # only the first rows count: few or all of them
    coordinates = preconditioner.Coordinates(X, H, intercept, n_threads=2)
    for _ in range(2):  # a ridge does not overwrite the covariance
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


def test_coordinates_of_no_rows_depend_only_on_the_ridge(rng):
    none, W = preconditioner.FewRows(np.zeros((0, 8))), rng.randn(3, 8)
    none.choose(4.0)
    assert none.trace == 0
    for found, factor in ((none.coordinates(W), 2), (none.vectors(W), 0.5), (none.gradients(W), 0.5)):
        assert_allclose(found, factor * W)


def test_groups_of_columns_do_not_change_the_optimum(rng, monkeypatch):
    monkeypatch.setattr(preconditioner, "MOST_COLUMNS", 3)
    X, y = rng.randn(60, 8), rng.randint(3, size=60)
    found = LinearClassifier(tol=1e-10).fit(X, y)
    monkeypatch.undo()
    assert_allclose(found.coef_, LinearClassifier(tol=1e-10).fit(X, y).coef_, atol=1e-5)


def test_covariance_estimated_from_some_rows_is_close(rng, monkeypatch):
    X, weights = rng.randn(5000, 4).cumsum(axis=1), np.full(5000, 1 / 5000)
    mean = weights @ X
    whole = preconditioner.covariance(X, mean, weights, 1)
    assert_allclose(np.triu(whole), np.triu((X - mean).T @ (X - mean) / 5000), rtol=1e-12)
    monkeypatch.setattr(preconditioner, "FEWEST_ROWS", 1000)
    assert_allclose(preconditioner.covariance(X, mean, weights, 1), whole, rtol=0.2)


@every_loss
def test_fit_converges_for_rows_in_a_periodic_order(rng, monkeypatch, loss):
    """The rows from which the covariance is estimated are drawn at random, so a period of the rows does no harm."""
    monkeypatch.setattr(preconditioner, "FEWEST_ROWS", 400)
    y = np.arange(4000) % 10
    X = np.zeros((4000, 20))
    X[np.arange(4000), y], X[np.arange(4000), y + 10] = rng.randn(2, 4000) + 1
    assert LinearClassifier(loss).fit(X, y).n_iter_ < 60


@every_dtype
def test_span_keeps_the_inner_products_of_the_rows(rng, dtype):
    """The features have the inner products of the rows, even if rows are equal or a column is constant."""
    X = 1e3 * rng.randn(12, 40).astype(dtype)
    X[5], X[8], X[:, 7] = X[4], X[4], 3
    mean, tolerance = X.mean(axis=0, dtype=float), {"float32": 1e-6, "float64": 1e-11}[dtype]
    span, centred = preconditioner.Span(X, mean, 1), X - mean
    assert span.features.shape == (12, 9)
    products = centred @ centred.T
    assert np.abs(span.features @ span.features.T - products).max() <= tolerance * products.max()
    V = rng.randn(2, 9)
    W = span.vectors(V)
    assert_allclose((W**2).sum(), (V**2).sum(), rtol=1e-10)
    assert_allclose(centred @ W.T, span.features @ V.T, atol=tolerance * np.abs(centred @ W.T).max())
    assert_allclose(span.coordinates(W), V, atol=1e3 * tolerance)
    nothing = preconditioner.Span(np.ones((3, 8)), np.ones(8), 1)
    assert not nothing.features.any() and np.isfinite(nothing.vectors(np.zeros((1, 1)))).all()
