"""The inverse square root and the whitening, and their derivatives."""

import numpy as np
import pytest
from layers import layer_settings, unit_rows
from numpy.testing import assert_allclose

from sklearn_ckn._core import riemannian_sgd
from sklearn_ckn._core.layer import nystroem, patches


def test_inverse_sqrt_inverts_the_square_root(rng):
    B = rng.randn(20, 7)
    K, reg = B @ B.T, 1e-2  # singular
    A = nystroem.inverse_sqrt(K, reg).value
    assert_allclose(A @ (K + reg * np.eye(20)) @ A, np.eye(20), atol=1e-12)
    assert_allclose(A, A.T, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_sqrt_is_computed_in_double_precision(dtype, rng):
    B = rng.randn(30, 5)
    assert nystroem.inverse_sqrt((B @ B.T).astype(dtype), 1e-3).value.dtype == np.float64


def test_inverse_sqrt_treats_negative_eigenvalues_as_zero():
    assert_allclose(nystroem.inverse_sqrt(np.diag([1.0, -1e-3]), 1e-4).value, np.diag([1.0001**-0.5, 100]), rtol=1e-12)


def test_whitening_of_single_precision_filters_is_in_double_precision(rng):
    layer, Z = layer_settings(2), unit_rows(rng, 30, 18, np.float32)
    assert_allclose(nystroem.whitening(Z, layer), nystroem.whitening(Z.astype(float), layer), rtol=1e-13)


SPECTRA = {
    "spread": [3.0, 2.0, 1.0, 0.5, 0.1],
    "equal": [1.0, 1.0, 1.0, 1.0, 1.0],
    "singular": [2.0, 1.0, 1.0, 0.0, 0.0],
    "nearly singular": [2.0, 1.0, 1e-9, 1e-10, 0.0],
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_vjp_of_the_inverse_square_root_equals_central_differences(spectrum, rng):
    V = np.linalg.qr(rng.randn(5, 5))[0]
    K, G, D = (V * SPECTRA[spectrum]) @ V.T, rng.randn(5, 5), rng.randn(5, 5)
    # Eigenvalues that become negative are clipped, which would make the derivative one-sided.
    D = D @ D.T if "singular" in spectrum else D + D.T
    h = 1e-6

    def function(t):  # the formula without clipping
        eigenvalues, vectors = np.linalg.eigh(K + t * D)
        return (G * ((vectors / np.sqrt(eigenvalues + 1e-3)) @ vectors.T)).sum()

    exact = (nystroem.inverse_sqrt(K, 1e-3).vjp(G) * D).sum()
    assert exact == pytest.approx((function(h) - function(-h)) / (2 * h), rel=1e-5)


def test_whitening_vjp_equals_central_differences_for_nearly_equal_filters(rng):
    Z = unit_rows(rng, 6, 8)
    Z[1] = patches.normalize(Z[:1] + 1e-7 * rng.randn(1, 8))[1]
    layer, G = layer_settings(1), rng.randn(6, 6)
    exact = nystroem.whitening_vjp(G, Z, layer, nystroem.whitening_and_cache(Z, layer))
    D = riemannian_sgd.tangent(rng.randn(6, 8), Z)

    def function(t):
        return (G * nystroem.whitening(patches.normalize(Z + t * D)[1], layer)).sum()

    h = 1e-6
    assert (riemannian_sgd.tangent(exact, Z) * D).sum() == pytest.approx(
        (function(h) - function(-h)) / (2 * h), rel=1e-6
    )
