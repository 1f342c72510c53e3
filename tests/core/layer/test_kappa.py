"""The kernels: their formulas and derivatives, for arrays and in compiled code."""

import naive
import numpy as np
import pytest
from layers import PARAMETERS, kernels
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import kappa
from sklearn_ckn._core.runtime import simd
from sklearn_ckn._core.runtime.compilation import compiled


@pytest.mark.parametrize("name", kernels())
def test_kappa_is_the_published_formula(name):
    kernel = kappa.make(name, **PARAMETERS)
    u = np.linspace(-1, 1, 41)
    expected = [naive.KAPPA[name](a, PARAMETERS) for a in u]
    assert_allclose(kernel.kappa(u), expected, rtol=1e-14, atol=1e-15)
    assert kernel.kappa(np.float64(1)) == 1


@pytest.mark.parametrize("name", kernels())
def test_slope_is_the_derivative_of_kappa(name):
    kernel, h = kappa.make(name, **PARAMETERS), 1e-6
    u = np.linspace(-0.95, 0.95, 39)
    assert_allclose(kernel.slope(u), (kernel.kappa(u + h) - kernel.kappa(u - h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_keep_the_dtype(name, dtype):
    kernel, u = kappa.make(name, **PARAMETERS), np.linspace(-0.9, 0.9, 5, dtype=dtype)
    assert kernel.kappa(u).dtype == kernel.slope(u).dtype == dtype


@compiled
def evaluate(kernel, u, out, lanes):
    for i in range(0, len(u), lanes):
        simd.store(kappa.value(kernel, simd.load(u, (i,))), out, (i,))


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-14), (np.float32, 4e-7)])
@pytest.mark.parametrize("name", kernels())
def test_compiled_kappa_equals_the_array_formula(name, dtype, tolerance):
    kernel, u = kappa.make(name, **PARAMETERS), np.linspace(-1, 1, 2**14).astype(dtype)
    out = np.empty_like(u)
    evaluate(kernel, u, out, simd.n_lanes(dtype))
    assert_allclose(out, kernel.kappa(u.astype(float)), rtol=tolerance, atol=tolerance)


@compiled
def exponential(x, out, lanes):
    for i in range(0, len(x), lanes):
        simd.store(kappa.exp2(simd.load(x, (i,))), out, (i,))


@pytest.mark.parametrize("dtype, lowest, tolerance", [(np.float64, -1022, 2e-14), (np.float32, -126, 1e-6)])
def test_compiled_exponential_is_accurate_over_its_whole_range(dtype, lowest, tolerance):
    x = np.linspace(lowest, 0, 2**16).astype(dtype)
    out = np.empty_like(x)
    exponential(x, out, simd.n_lanes(dtype))
    assert_allclose(out, np.exp2(x.astype(float)), rtol=tolerance)
    exponential(np.full_like(x, 10 * lowest), out, simd.n_lanes(dtype))
    assert (out < 1e-37).all() and (out >= 0).all()


@pytest.mark.parametrize("sigma, degree, coef0", [(0.6, 3, 0.5), (1.5, 2, 1.0)])
@pytest.mark.parametrize("name", kernels())
def test_kernel_mapping_does_not_exceed_its_lipschitz_constant(name, sigma, degree, coef0):
    """``|phi(z) - phi(z')|^2 = 1 + r^2 - 2 r kappa(u)`` if the norms are 1 and r and the cosine is u."""
    kernel = kappa.make(name, sigma=sigma, degree=degree, coef0=coef0)
    u, r = np.linspace(-1, 1, 1001), np.linspace(0, 2, 41)[:, None]
    squares, constant = 1 + r**2 - 2 * r * u, kappa.lipschitz_constant(kernel)
    ratio = np.sqrt((1 + r**2 - 2 * r * kernel.kappa(u)) / np.where(squares > 0, squares, np.inf))
    assert ratio.max() <= constant
    assert ratio.max() > 0.99 * constant or name == "arccos0"
