"""Patches: their extraction, compared with loops, its adjoint, centring and norms."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import SPACES
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.layer import patches


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size, dilation", [(1, 1), (2, 1), (3, 1), (3, 2), (2, 3)])
def test_extract_equals_loops(space, padding, size, dilation, rng):
    X = rng.randn(2, *(dilation * n for n in space), 3)
    size, dilation = (size,) * len(space), (dilation,) * len(space)
    expected = [naive.patches(x, size, padding, dilation=dilation) for x in X]
    assert_array_equal(patches.extract(X, patches.PatchGeometry.of(size, padding, dilation=dilation)), expected)


def test_extract_equals_loops_for_unequal_sizes(rng):
    X, size = rng.randn(2, 5, 6, 2), (2, 4)
    assert_array_equal(patches.extract(X, patches.PatchGeometry.of(size, "same")), [naive.patches(x, size) for x in X])


@pytest.mark.parametrize(
    "space, size, dilation", [((9,), (3,), (3,)), ((7, 6), (2, 3), (4, 2)), ((4, 3, 5), (2, 1, 3), (3, 2, 2))]
)
def test_dilated_patches_are_parts_of_larger_ones(space, size, dilation, rng):
    X, patch = rng.randn(2, *space, 3), patches.PatchGeometry.of(size, "valid", dilation=dilation)
    large = patches.PatchGeometry.of([n + 1 for n in patch.reach], "valid")
    whole = patches.extract(X, large)
    parts = whole.reshape(*whole.shape[:-1], *large.size, 3)[
        (..., *(slice(None, None, step) for step in dilation), slice(None))
    ]
    assert_array_equal(patches.extract(X, patch), parts.reshape(*whole.shape[:-1], -1))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("centering", [False, True])
def test_inner_products_are_those_of_the_extracted_patches(space, centering, rng):
    ndim = len(space)
    patch = patches.PatchGeometry.of((2,) * ndim, "same", centering, (2,) * (ndim - 1) + (1,))
    x, y = rng.randn(2, *space, 3)
    P, R = (patches.extract(z[None], patch)[0] for z in (x, y))
    found = patches.inner_products(np.tensordot(x, y, (-1, -1)), patch)
    assert_allclose(found, np.tensordot(P, R, (-1, -1)), atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-7), (np.float64, 2e-16)])
@pytest.mark.parametrize("space, size", [((9,), (4,)), ((6, 5), (3, 2)), ((4, 3, 5), (2, 3, 1))], ids=str)
def test_norms_are_those_of_the_patches(space, size, dtype, tolerance, rng):
    at = patches.layout((*space, 5), patches.PatchGeometry.of(size, "same"), extra_channels=2)
    padded, (squares, sums) = at.padded(dtype), np.empty((2, at.n_pixels), dtype=dtype)
    r, inverse = np.empty((2, len(at.starts), at.length), dtype=dtype)
    for x in (rng.randn(*space, 5).astype(dtype), np.zeros((*space, 5), dtype=dtype)):
        patches.read(x.reshape(-1, *x.shape[-2:]), at, padded)
        patches.find_norms(padded, at, squares, sums, patches.Norms(r, inverse))
        expected = np.linalg.norm(naive.patches(x, size), axis=-1).reshape(r.shape)
        assert_allclose(r, expected, rtol=8 * tolerance)
        assert_allclose(r * inverse, expected > 0, rtol=2 * tolerance)


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_scatter_is_the_adjoint_of_extract(data):
    ndim, padding = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["same", "valid"]))
    size = data.draw(st.tuples(*[st.integers(1, 3)] * ndim))
    dilation = data.draw(st.tuples(*[st.integers(1, 2)] * ndim))
    space = data.draw(st.tuples(*[st.integers(5, 6)] * ndim))
    patch = patches.PatchGeometry.of(size, padding, data.draw(st.booleans()), dilation)
    rng = np.random.RandomState(0)
    X = rng.randn(2, *space, 2)
    P = patches.extract(X, patch)
    G = rng.randn(*P.shape)
    assert_allclose((P * G).sum(), (X * patches.scatter(G, space, patch)).sum(), rtol=1e-10, atol=1e-10)


def test_centring_is_its_own_adjoint(rng):
    P, G = rng.randn(2, 7, 12)
    assert_allclose((patches.center(P, 3) * G).sum(), (P * patches.center(G, 3)).sum(), rtol=1e-10)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("length", [5, 9, 10, 19])
def test_norm_is_that_of_the_extraction_of_patches(padding, size, dilation, length):
    patch = patches.PatchGeometry.of((size, 1), padding, dilation=(dilation, 1))
    if 0 in patch.positions((length, 2)):
        return
    unit_signals = np.eye(2 * length).reshape(-1, length, 2, 1)

    def largest_singular_value(patch):
        return np.linalg.norm(patches.extract(unit_signals, patch).reshape(2 * length, -1), 2)

    norm, largest = patch.norm((length, 2)), largest_singular_value(patch)
    if dilation == 1 or padding == "valid":
        assert_allclose(norm, largest, rtol=1e-12)
    assert max(largest, largest_singular_value(patch._replace(centering=True))) <= norm + 1e-12


@pytest.mark.parametrize("size", [(4,), (3, 2)])
def test_radius_is_the_distance_to_the_furthest_position_of_a_patch(size):
    patch = patches.PatchGeometry.of(size, "same", dilation=(2,) * len(size))
    assert patch.radius == tuple(2 * (k // 2) for k in size)
