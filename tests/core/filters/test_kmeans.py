"""Spherical k-means, compared with loops, and its behaviour in special cases."""

import numpy as np
import pytest
from layers import unit_rows
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.filters import kmeans
from sklearn_ckn._core.layer import patches


def test_assignments_and_averages_equal_those_of_loops(rng):
    U, Z = unit_rows(rng, 60, 4), unit_rows(rng, 5, 4)
    labels, cosines = kmeans.assign(U, Z, 1)
    for i, u in enumerate(U):
        assert labels[i] == max(range(5), key=lambda j, u=u: u @ Z[j])
        assert_allclose(cosines[i], max(u @ z for z in Z), rtol=1e-14)
    for j, z in enumerate(kmeans.update(U, labels, cosines, Z)):
        total = sum(U[i] for i in range(60) if labels[i] == j)
        assert_allclose(z, total / np.linalg.norm(total), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k, d, m", [(1, 1, 1), (7, 3, 2), (500, 5, 100), (301, 40, 33)])
def test_ties_are_broken_in_favour_of_the_first_centre(k, d, m, dtype, rng):
    U, Z = np.abs(unit_rows(rng, k, d, dtype)), -np.abs(unit_rows(rng, m, d, dtype))  # no product is positive
    Z[m - m // 2 :] = Z[: m // 2]  # nearly every centre comes twice
    labels, products = kmeans.assign(U, Z, 1)
    exact = U.astype(float) @ Z.T.astype(float)
    assert (labels < m - m // 2).all() and labels.min() >= 0
    assert_allclose(exact[np.arange(k), labels], exact.max(axis=1), rtol=10 * np.finfo(dtype).eps)
    assert_allclose(products, exact.max(axis=1), rtol=10 * np.finfo(dtype).eps)


def test_initial_centres_are_spread(rng):
    far = np.eye(5)
    U = np.concatenate([np.repeat(far[:1], 200, axis=0) + 1e-3 * rng.rand(200, 5), far[1:]])
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    Z = kmeans.spread(U, 5, rng)
    assert_allclose(np.sort(Z.argmax(axis=1)), np.arange(5))  # the four isolated rows, and one row of the crowd
    crowd = np.repeat(far[:1], 30, axis=0)
    assert kmeans.spread(crowd, 10, rng).shape == (10, 5)  # all rows are equal


def test_subspace_keeps_most_of_the_energy_or_is_none(rng):
    factors, noise = rng.randn(3000, 80), rng.randn(3000, 600)
    # 80 dimensions contain 99 % of the energy, and 64 contain less.
    _, U = patches.normalize(factors @ rng.randn(80, 600) + noise)
    basis = kmeans.subspace(U, np.random.RandomState(0))
    assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    assert basis.shape == (600, 128)
    assert np.linalg.norm(U @ basis) ** 2 >= kmeans.ENERGY * len(U)
    assert kmeans.subspace(patches.normalize(noise)[1], np.random.RandomState(0)) is None


def test_subspace_of_long_rows_hardly_lowers_the_objective(rng, monkeypatch):
    centres = unit_rows(rng, 200, 300)
    U = patches.normalize(
        centres[rng.randint(200, size=4000)] @ np.diag(0.97 ** np.arange(300)) + 0.003 * rng.randn(4000, 300)
    )
    U = U[1].astype(np.float32)

    def fit(n_threads=1):
        return kmeans.spherical_kmeans(U, 50, 20, np.random.RandomState(0), n_threads)[0]

    def objective(Z):
        return kmeans.assign(U, Z, 1)[1].mean(dtype=float)

    Z = fit()
    assert kmeans.subspace(U, np.random.RandomState(0)) is not None
    assert all(kmeans.spherical_kmeans(U, 50, k, np.random.RandomState(0))[1] <= k for k in range(6))
    assert_array_equal(Z, fit(n_threads=2))
    monkeypatch.setattr(kmeans, "SHORTER", np.inf)
    assert objective(Z) > objective(fit()) - 2e-3


def test_rare_rows_outside_the_subspace_become_centres(rng):
    """The rows are one-hot and most of them rare. The projections of rare rows are 0, but the rows are distinct."""
    frequency = 1 / np.arange(1, 301) ** 2
    U = np.eye(300, dtype=np.float32)[rng.choice(300, 20_000, p=frequency / frequency.sum())]
    n_distinct = len(np.unique(U, axis=0))
    Z = kmeans.spherical_kmeans(U, n_distinct, 20, np.random.RandomState(0))[0]
    assert Z.shape == (n_distinct, 300) and np.isfinite(Z).all()
    assert_allclose(Z @ Z.T, np.eye(n_distinct), atol=1e-6)


def test_objective_rises_and_centres_do_not_depend_on_threads(rng):
    U = unit_rows(rng, 10_000, 6, np.float32)
    objective = [
        kmeans.assign(U, kmeans.spherical_kmeans(U, 8, k, np.random.RandomState(1))[0], 1)[1].mean() for k in range(6)
    ]
    assert all(np.diff(objective) > 0)
    one, two = (kmeans.spherical_kmeans(U, 8, 20, np.random.RandomState(1), n_threads)[0] for n_threads in (1, 2))
    assert_array_equal(one, two)


def test_empty_cluster_gets_the_row_with_the_lowest_similarity():
    U = np.array([[1.0, 0], [1, 0], [0.6, 0.8], [0, -1]])
    Z = np.array([[1.0, 0], [-1, 0]])
    labels, cosines = kmeans.assign(U, Z, 1)
    assert_array_equal(labels, 0)
    assert_array_equal(kmeans.update(U, labels, cosines, Z)[1], [0, -1])


def test_iterations_stop_when_the_objective_hardly_rises(rng, monkeypatch):
    monkeypatch.setattr(kmeans, "TOLERANCE", 1e-4)
    U = unit_rows(rng, 5000, 4)

    def run(max_iter):
        return kmeans.spherical_kmeans(U, 6, max_iter, np.random.RandomState(1))

    objective = np.array([kmeans.assign(U, run(k)[0], 1)[1].mean() for k in range(40)])
    little = np.diff(objective) <= 1e-4 * objective[1:]
    assert run(1000)[1] == np.flatnonzero(little)[0] + 2 < 40


def test_centre_whose_rows_cancel_is_kept():
    U, Z = np.array([[1.0, 0], [-1, 0]]), np.array([[0.0, 1]])
    assert_array_equal(kmeans.update(U, np.zeros(2, dtype=np.int64), np.zeros(2), Z), Z)


def test_averages_are_computed_in_double_precision(rng):
    u = unit_rows(rng, 1, 3).astype(np.float32)
    U, labels = np.repeat(u, 300_000, axis=0), np.zeros(300_000, dtype=np.int64)
    # Sums in single precision would have errors of 1e-4 or more.
    assert_allclose(kmeans.update(U, labels, np.ones(len(U)), u), u, rtol=2e-7)


def test_distinct_rows_are_drawn_without_repetition(rng):
    few = unit_rows(rng, 3, 5, np.float32)
    U = np.concatenate([few] * 40)
    assert len(kmeans.distinct(U, 10, rng)) == 3
    assert len(kmeans.distinct(unit_rows(rng, 100, 5), 100, rng)) == 100
    assert len(kmeans.distinct(np.array([[0.0, 1.0], [-0.0, 1.0]]), 2, rng)) == 1
    in_order = np.arange(1, 1001.0)[:, None]
    assert np.ptp(kmeans.distinct(in_order, 10, rng)) > 500  # not only the first rows are drawn
