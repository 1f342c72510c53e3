"""L-BFGS for several independent problems in the same calls."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_ckn._core.linear import lbfgs


def test_problems_are_independent(rng):
    """Each problem takes the same steps as when it is solved alone."""
    scales, centres = np.exp(rng.randn(3, 6)), rng.randn(3, 6)

    def function_of(rows):
        def function(z):
            u = z - centres[rows]
            size = np.sqrt(1 + scales[rows] * u**2)
            return (size - 0.5).sum(axis=1), scales[rows] * u / size, np.full(len(z), np.inf)

        return function

    together = lbfgs.minimise(function_of(slice(None)), np.zeros((3, 6)), 1e-14, np.inf, 200, 1e-16)
    assert together.converged
    assert_allclose(together.z, centres, atol=1e-6)
    for i in range(3):
        alone = lbfgs.minimise(function_of([i]), np.zeros((1, 6)), 0, 0, together.n_calls, 0)
        assert_allclose(alone.z[0], together.z[i], atol=1e-7)


def test_line_search_backs_off_from_points_without_a_finite_value():
    def function(z):
        with np.errstate(invalid="ignore", divide="ignore"):
            return (z - 2 * np.log(z)).sum(axis=1), 1 - 2 / z, np.full(1, np.inf)

    found = lbfgs.minimise(function, np.full((1, 2), 0.01), 1e-12, np.inf, 200, 1e-16)
    assert found.converged
    assert_allclose(found.z, 2, rtol=1e-5)


def test_start_without_a_finite_value_does_not_converge():
    with np.errstate(invalid="ignore"):
        found = lbfgs.minimise(lambda z: (z[:, 0] * np.inf, 0 * z, z[:, 0] * np.inf), np.ones((1, 2)), 1e-3, 0, 200, 0)
    assert not found.converged


@pytest.mark.parametrize("trust", [0, 10])
def test_prediction_is_trusted_only_if_the_gap_is_small(trust):
    """Directions of tiny curvature hide a decrease that the quadratic model does not predict."""
    curvatures, tol = 10.0 ** np.linspace(-4, 0, 30)[None], 1e-4
    centre = 1 / np.sqrt(curvatures)

    def function(z):
        u = z - centre
        excess = (curvatures * u**2).sum(axis=1) / 2
        return 1 + excess, curvatures * u, excess

    found = lbfgs.minimise(function, np.zeros((1, 30)), tol, trust, 5000, 1e-16)
    assert found.converged and found.gap <= max(1, trust) * tol * found.value
    hasty = lbfgs.minimise(function, np.zeros((1, 30)), tol, np.inf, 5000, 1e-16)
    assert hasty.converged and hasty.gap > 10 * tol * hasty.value
