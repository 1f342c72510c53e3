"""The microkernel, which computes the innermost matrix product."""

import numpy as np
import pytest

from sklearn_ckn._core.runtime import microkernel


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-6), (np.float64, 4e-15)])
@pytest.mark.parametrize("k, m", [(1, 1), (100, 7), (97, 40), (5, 64), (3, 1100)])
def test_add_product_adds_a_matrix_product(k, m, dtype, tolerance, rng):
    A = rng.randn(m, m).astype(dtype)
    A_panels = microkernel.pack(A.T)
    Q, maps = np.zeros((k, len(A_panels) * A_panels.shape[2]), dtype=dtype), np.zeros((k, m), dtype=dtype)
    Q[:, :m] = rng.randn(k, m)
    microkernel.add_product(Q, A_panels, maps)
    expected = Q[:, :m].astype(float) @ A.astype(float)
    assert np.linalg.norm(maps - expected) <= tolerance * np.linalg.norm(expected)
