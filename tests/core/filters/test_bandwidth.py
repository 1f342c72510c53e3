"""The bandwidth sigma that is chosen from the distances between patches."""

import numpy as np
from layers import unit_rows
from numpy.testing import assert_allclose

from sklearn_ckn._core.filters import bandwidth


def test_square_of_typical_sigma_is_a_quantile_of_squared_distances(rng):
    U = unit_rows(rng, 300, 3)
    squared = [((U[i] - U[j]) ** 2).sum() for i in range(300) for j in range(i)]
    sigma = bandwidth.typical_sigma(U, rng, n_pairs=2_000_000)
    assert_allclose(sigma**2, np.quantile(squared, 0.1), rtol=0.01)
    assert bandwidth.typical_sigma(U[[0, 0, 0]], rng) == 1
    assert bandwidth.typical_sigma(U[[0, 0, 0]] * (1 + 1e-15 * rng.rand(3, 3)), rng) == 1
