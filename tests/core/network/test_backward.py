"""The fast vector-Jacobian product, compared with the definition."""

import math

import numpy as np
import pytest
from gradients import CASES, KERNELS, a_layer
from layers import PARAMETERS, layer_settings, unit_rows
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import definition, kappa, patches
from sklearn_ckn._core.network import backward, epilogue, single_patch, winograd
from sklearn_ckn._core.network.convolution import make_convolution
from sklearn_ckn._core.network.packed_filters import PackedFilters


def assert_equals_definition(layer, X, Z, A, dtype, tolerance, rng):
    """Check the maps and gradients of a layer against the definition, and return the prepared layer."""
    Y, cache = definition.encode_and_cache(X, Z, A, layer)
    G = rng.randn(*Y.shape)
    expected = [Y, *definition.encode_vjp(G, Z, A, layer, cache)]
    made = backward.prepare(PackedFilters(Z.astype(dtype)), A.astype(dtype), layer, X.shape[1:], is_first=False)
    got, cache = backward.encode(X.astype(dtype), made)
    got = [got, *backward.encode_vjp(G.astype(dtype), made, cache)]
    for a, b in zip(expected, got):
        assert b.dtype == dtype and b.shape == a.shape
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(a)
    return made


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_gradients_equal_those_of_the_definition(case, ndim, dtype, tolerance, rng):
    layer, X, Z, A = a_layer(rng, ndim, case)
    X[0, 1:3] = 0  # includes zero patches
    assert_equals_definition(layer, X, Z, A, dtype, tolerance, rng)


@pytest.mark.parametrize(
    "space, case",
    [
        ((1,), {}),
        ((1, 1), {"size": (2, 4), "width": 3}),
        ((5,), {"size": 5, "padding": "valid", "centering": True}),
        ((4, 3), {"size": (4, 3), "padding": "valid", "kind": "average", "width": 1}),
    ],
    ids=str,
)
def test_gradients_of_maps_of_one_patch_equal_those_of_the_definition(space, case, rng):
    layer = layer_settings(len(space), **case)
    X, Z = rng.randn(7, *space, 3), unit_rows(rng, 5, math.prod(layer.patch.size) * 3)
    X[3] = 0
    made = assert_equals_definition(layer, X, Z, rng.randn(5, 5), np.float64, 1e-12, rng)
    assert type(made.convolution) is single_patch.SinglePatch


POLYNOMIALS = [kappa.make("polynomial", degree=degree, coef0=coef0) for degree, coef0 in ((1, 0.0), (2, 0.5), (4, 3.0))]


@pytest.mark.parametrize("kernel", [*(kappa.make(name, **PARAMETERS) for name in KERNELS), *POLYNOMIALS], ids=str)
def test_gradients_of_every_kernel_equal_those_of_the_definition(kernel, rng):
    layer, X, Z, A = a_layer(rng, 2, {})
    X[0, 1:3] = 0
    assert_equals_definition(layer._replace(kernel=kernel), X, Z, A, np.float64, 1e-12, rng)


@pytest.mark.parametrize("space, size, padding", [((13, 8), 3, "same"), ((9, 14), 2, "valid"), ((33,), 9, "same")])
@pytest.mark.parametrize("m", [32, 37])
def test_gradients_by_winograd_equal_those_of_the_definition(space, size, padding, m, rng):
    layer = layer_settings(len(space), size=size, padding=padding)
    X, Z = rng.randn(3, *space, 64), unit_rows(rng, m, math.prod(layer.patch.size) * 64)
    made = assert_equals_definition(layer, X, Z, rng.randn(m, m), np.float32, 1e-4, rng)
    assert isinstance(made.convolution, winograd.Winograd) and isinstance(made.mirrored, winograd.Winograd)


def test_first_layer_has_no_gradient_with_respect_to_the_signals(rng):
    layer, X, Z, A = a_layer(rng, 2, {})
    made = backward.prepare(PackedFilters(Z), A, layer, X.shape[1:], is_first=True)
    Y, cache = backward.encode(X, made)
    assert made.mirrored is None and backward.encode_vjp(np.ones_like(Y), made, cache, wanted=False)[0] is None


def test_constant_signals_have_finite_gradients(rng):
    for case in ({}, {"centering": True}):
        layer, X, Z, A = a_layer(rng, 2, case)
        for value in (0, 1):
            X[:] = value
            made = backward.prepare(PackedFilters(Z), A, layer, X.shape[1:], is_first=False)
            Y, cache = backward.encode(X, made)
            assert all(np.isfinite(G).all() for G in backward.encode_vjp(np.ones_like(Y), made, cache))


def test_kept_products_are_those_of_patches_and_filters(rng):
    layer, X, Z, _ = a_layer(rng, 2, {})
    out = np.zeros((2, 6, 7, 32))
    make_convolution(PackedFilters(Z), layer, X.shape[1:], epilogue.Kept()).add_to(out, X)
    assert_allclose(out[..., :5], patches.extract(X, layer.patch) @ Z.T, atol=1e-13)
