"""L-BFGS for several independent problems in the same calls."""

import numpy as np
from numpy.testing import assert_allclose

from sklearn_ckn._core.linear import lbfgs


def test_problems_are_independent(rng):
    """Each problem takes the same steps as when it is solved alone."""
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


def test_line_search_backs_off_from_points_without_a_finite_value():
    def function(z):
        with np.errstate(invalid="ignore", divide="ignore"):
            return (z - 2 * np.log(z)).sum(axis=1), 1 - 2 / z

    found = lbfgs.minimise(function, np.full((1, 2), 0.01), 1e-12, 200, 1e-16)
    assert found.converged
    assert_allclose(found.z, 2, rtol=1e-5)
