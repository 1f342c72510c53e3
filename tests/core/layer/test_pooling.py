"""Pooling, compared with loops, its adjoint, and the columns of its operators."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import SPACES
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import pooling


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_pool_equals_loops(kind, data):
    ndim = data.draw(st.integers(1, 3))
    sizes = [data.draw(st.tuples(*[st.integers(1, high)] * ndim)) for high in (6, 4, 5)]
    space, width, stride = sizes
    F = np.random.RandomState(0).randn(*space, 2)
    expected = naive.pool(F, kind, width, stride)
    assert pooling.Pooling(kind, width, stride).positions(space) == expected.shape[:-1]
    if 0 not in expected.shape:
        matrices = pooling.Pooling(kind, width, stride).operators(space)
        assert_allclose(pooling.pool(F[None], matrices, 1)[0], expected, atol=1e-14)


@pytest.mark.parametrize("space", [(), *SPACES])
def test_taps_are_the_columns_of_the_kronecker_product(space):
    width, stride = (2,) * len(space), (3,) * len(space)
    full = np.ones((1, 1))
    for matrix in pooling.Pooling("gaussian", width, stride).operators(space):
        full = np.kron(full, matrix.toarray())
    pointers, outputs, weights = pooling.taps(pooling.Pooling("gaussian", width, stride), space, np.dtype(float))
    dense = np.zeros_like(full)
    for u in range(full.shape[1]):
        dense[outputs[pointers[u] : pointers[u + 1]], u] += weights[pointers[u] : pointers[u + 1]]
    assert_allclose(dense, full, rtol=1e-15)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
def test_number_of_taps_is_proportional_to_the_length_of_an_axis(kind):
    """A dense operator of this length would take four terabytes."""
    pointers, outputs, weights = pooling.taps(pooling.Pooling(kind, (2,), (2,)), (10**6,), np.dtype(np.float32))
    assert len(pointers) == 10**6 + 1 and len(outputs) == len(weights) < 2.5 * 10**6 + 1
    assert_allclose(np.bincount(outputs, weights)[1:-1], 1, rtol=1e-6)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pool_adjoint_is_the_adjoint_of_pool(kind, ndim, rng):
    F = rng.randn(2, *SPACES[ndim - 1], 3)
    operators = pooling.Pooling(kind, (3, 2, 3)[:ndim], (2, 1, 3)[:ndim]).operators(SPACES[ndim - 1])
    Q = pooling.pool(F, operators, 1)
    G = rng.randn(*Q.shape)
    assert_allclose((Q * G).sum(), (F * pooling.pool_adjoint(G, operators, 1)).sum(), rtol=1e-10)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@pytest.mark.parametrize("width, stride", [(1, 1), (2, 2), (4, 1), (3, 2), (2, 5)])
@pytest.mark.parametrize("length", [4, 7, 12])
def test_norm_is_the_largest_singular_value(kind, width, stride, length):
    matrix = pooling.Pooling(kind, (width,), (stride,)).operators((length,))[0].toarray()
    along_two_axes = pooling.Pooling(kind, (width, 1), (stride, 1)).norm((length, 3))
    assert_allclose(along_two_axes, np.linalg.norm(matrix, 2), rtol=1e-6)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
def test_norm_for_a_long_axis_is_never_too_small(kind):
    shorter = pooling.Pooling(kind, (4,), (1,)).operators((300,))[0].toarray()
    norm = pooling.Pooling(kind, (4,), (1,)).norm((10**5,))
    assert np.linalg.norm(shorter, 2) <= norm <= 1 + 1e-12
