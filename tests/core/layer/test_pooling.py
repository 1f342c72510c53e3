"""Pooling, compared with loops, its adjoint, and the columns of its operators."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import SPACES
from numpy.testing import assert_allclose, assert_array_equal

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
    assert pooling.Sliding(kind, width, stride).positions(space) == expected.shape[:-1]
    if 0 not in expected.shape:
        matrices = pooling.operators(pooling.Sliding(kind, width, stride), space)
        assert_allclose(pooling.pool(F[None], matrices, 1)[0], expected, atol=1e-14)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 12, 31])
def test_fixed_pooling_equals_loops(kind, length, count):
    fixed = pooling.Fixed(kind, (count,))
    (matrix,) = pooling.operators(fixed, (length,))
    assert fixed.positions((length,)) == (count,)
    assert_allclose(matrix.toarray(), naive.pooling_axis(kind, length, None, None, count), rtol=1e-13, atol=1e-15)
    assert_allclose(matrix.sum(axis=1), 1, rtol=1e-14)  # means
    assert_allclose(matrix.toarray()[::-1, ::-1], matrix.toarray(), rtol=1e-14, atol=1e-16)  # the same from either end
    if length == count:
        assert_array_equal(matrix.toarray(), np.eye(length))


def test_one_fixed_position_is_the_mean_of_all_positions():
    (matrix,) = pooling.operators(pooling.Fixed("average", (1,)), (7,))
    assert_allclose(matrix.toarray(), np.full((1, 7), 1 / 7), rtol=1e-15)
    weights = np.exp(-((np.arange(7) - 3) ** 2) / 49)
    (matrix,) = pooling.operators(pooling.Fixed("gaussian", (1,)), (7,))
    assert_allclose(matrix.toarray()[0], weights / weights.sum(), rtol=1e-15)


def test_cells_of_whole_positions_are_averages_of_full_windows():
    fixed, sliding = pooling.Fixed("average", (3,)), pooling.Sliding("average", (4,), (4,))
    assert_array_equal(*(pooling.operators(kind, (12,))[0].toarray() for kind in (fixed, sliding)))


def test_windows_of_a_long_axis_take_memory_in_proportion_to_its_length():
    for kind in pooling.WINDOWS:
        for count in (1, 10**5):
            assert pooling.Fixed(kind, (count,)).windows(0, 10**6).weights.size < 3 * 10**6 + 10


@pytest.mark.parametrize("space", [(), *SPACES])
def test_taps_are_the_columns_of_the_kronecker_product(space):
    width, stride = (2,) * len(space), (3,) * len(space)
    full = np.ones((1, 1))
    for matrix in pooling.operators(pooling.Sliding("gaussian", width, stride), space):
        full = np.kron(full, matrix.toarray())
    pointers, outputs, weights = pooling.taps(pooling.Sliding("gaussian", width, stride), space, np.dtype(float))
    dense = np.zeros_like(full)
    for u in range(full.shape[1]):
        dense[outputs[pointers[u] : pointers[u + 1]], u] += weights[pointers[u] : pointers[u + 1]]
    assert_allclose(dense, full, rtol=1e-15)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
def test_number_of_taps_is_proportional_to_the_length_of_an_axis(kind):
    """A dense operator of this length would take four terabytes."""
    pointers, outputs, weights = pooling.taps(pooling.Sliding(kind, (2,), (2,)), (10**6,), np.dtype(np.float32))
    assert len(pointers) == 10**6 + 1 and len(outputs) == len(weights) < 2.5 * 10**6 + 1
    assert_allclose(np.bincount(outputs, weights)[1:-1], 1, rtol=1e-6)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pool_adjoint_is_the_adjoint_of_pool(kind, ndim, rng):
    F = rng.randn(2, *SPACES[ndim - 1], 3)
    operators = pooling.operators(pooling.Sliding(kind, (3, 2, 3)[:ndim], (2, 1, 3)[:ndim]), SPACES[ndim - 1])
    Q = pooling.pool(F, operators, 1)
    G = rng.randn(*Q.shape)
    assert_allclose((Q * G).sum(), (F * pooling.pool_adjoint(G, operators, 1)).sum(), rtol=1e-10)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
@pytest.mark.parametrize("width, stride", [(1, 1), (2, 2), (4, 1), (3, 2), (2, 5)])
@pytest.mark.parametrize("length", [4, 7, 12])
def test_norm_is_the_largest_singular_value(kind, width, stride, length):
    matrix = pooling.operators(pooling.Sliding(kind, (width,), (stride,)), (length,))[0].toarray()
    along_two_axes = pooling.norm(pooling.Sliding(kind, (width, 1), (stride, 1)), (length, 3))
    assert_allclose(along_two_axes, np.linalg.norm(matrix, 2), rtol=1e-6)


@pytest.mark.parametrize("kind", pooling.WINDOWS)
def test_norm_for_a_long_axis_is_never_too_small(kind):
    shorter = pooling.operators(pooling.Sliding(kind, (4,), (1,)), (300,))[0].toarray()
    norm = pooling.norm(pooling.Sliding(kind, (4,), (1,)), (10**5,))
    assert np.linalg.norm(shorter, 2) <= norm <= 1 + 1e-12
