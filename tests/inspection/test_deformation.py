"""Warps, translations and rotations of signals."""

import numpy as np
import pytest
from inspected_networks import DIGITS, KINDS
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn.inspection import deformation

every_kind_and_space = pytest.mark.parametrize(
    "kind, ndim", [(kind, ndim) for kind in KINDS for ndim in (1, 2, 3) if (kind, ndim) != ("rotation", 1)]
)


def coordinates(n, ndim):
    """Return two signals whose values are the coordinates of the positions."""
    return np.stack([np.moveaxis(np.indices((n,) * ndim), 0, -1)] * 2).astype(float)


@every_kind_and_space
def test_deformed_signals_are_read_at_the_displaced_positions(kind, ndim):
    x = coordinates(44, ndim)
    deformed = deformation(x, 1.7, kind=kind, ndim=ndim, random_state=0)
    assert deformed.displacement.shape == x.shape
    middle = (slice(None), *[slice(20, 24)] * ndim)  # far from the zeros outside, which affect the splines
    assert_allclose(deformed.signals[middle], (x - deformed.displacement)[middle], rtol=1e-10)


@every_kind_and_space
def test_size_is_the_largest_displacement(kind, ndim):
    x = np.ones((6, 7, 6, 9)[: ndim + 1])
    for size in (0.3, 4):
        deformed = deformation(x, size, kind=kind, ndim=ndim, random_state=0)
        assert_allclose(deformed.displacement_norm, size, rtol=1e-14)
        lengths = np.sqrt((deformed.displacement**2).sum(axis=-1))
        assert_allclose(lengths.reshape(6, -1).max(axis=1), size, rtol=1e-14)
        assert len(np.unique(deformed.displacement, axis=0)) > 1  # every signal has its own field


def test_translation_by_whole_positions_moves_values_and_fills_with_zeros():
    x = np.random.RandomState(0).rand(6, 9)
    deformed = deformation(x, 2, kind="translation", ndim=1, random_state=0)
    shifts = deformed.displacement[:, 0, 0]
    assert set(shifts) == {-2, 2}
    for before, after, shift in zip(x, deformed.signals, shifts):
        expected = np.roll(before, int(shift))
        expected[:2] = expected[:2] if shift < 0 else 0
        expected[-2:] = expected[-2:] if shift > 0 else 0
        assert_allclose(after, expected, atol=1e-12)
    assert not deformed.gradient_norm.any()
    assert not deformation(x, 1e30, kind="translation", ndim=1, random_state=0).signals.any()


def test_quarter_and_half_turns_permute_positions():
    x = np.random.RandomState(0).rand(8, 5, 5, 2)
    diameter = 4 * np.sqrt(2)
    half = deformation(x, diameter, kind="rotation", random_state=0)
    assert_allclose(half.signals, x[:, ::-1, ::-1], atol=1e-12)
    assert_allclose(half.gradient_norm, 2, rtol=1e-12)
    quarter = deformation(x, 4, kind="rotation", random_state=0)
    assert_allclose(quarter.gradient_norm, np.sqrt(2), rtol=1e-12)
    senses = [[np.allclose(np.rot90(b, k), a, atol=1e-9) for k in (1, -1)] for b, a in zip(x, quarter.signals)]
    assert all(sum(sense) == 1 for sense in senses) and {sense[0] for sense in senses} == {True, False}


def test_gradient_of_a_warp_consists_of_first_differences():
    deformed = deformation(np.ones((2, 6, 5)), 1.5, smoothness=1, random_state=0)
    for tau, gradient_norm in zip(deformed.displacement, deformed.gradient_norm):
        tau = np.pad(tau, ((0, 1), (0, 1), (0, 0)), mode="edge")
        jacobians = [
            np.stack([tau[i + 1, j] - tau[i, j], tau[i, j + 1] - tau[i, j]], axis=1) for i, j in np.ndindex(6, 5)
        ]
        assert_allclose(gradient_norm, max(np.linalg.norm(jacobian, 2) for jacobian in jacobians), rtol=1e-12)


def test_random_state_determines_the_field_for_any_size_and_number_of_signals():
    one, twice = (deformation(DIGITS, size, random_state=3) for size in (0.5, 1))
    assert_array_equal(twice.displacement, 2 * one.displacement)
    assert_array_equal(twice.gradient_norm, 2 * one.gradient_norm)
    assert_array_equal(deformation(DIGITS[:7], 0.5, random_state=3).signals, one.signals[:7])
    rough, smooth = (deformation(DIGITS, 1, smoothness=width, random_state=3).gradient_norm for width in (0.5, 8))
    assert (smooth < rough / 4).all()
    rng = np.random.RandomState(3)
    assert_array_equal(deformation(DIGITS, 0.5, random_state=rng).signals, one.signals)
    assert not np.array_equal(deformation(DIGITS, 0.5, random_state=rng).signals, one.signals)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_shape_and_dtype_are_kept_and_size_0_changes_nothing(kind, dtype):
    X = DIGITS[:4].astype(dtype)
    before = X.copy()
    for x in (X, X[..., None], np.stack([X, X], axis=-1)):
        deformed = deformation(x, 1, kind=kind, random_state=0).signals
        assert deformed.shape == x.shape and deformed.dtype == (np.float32 if dtype == np.uint8 else dtype)
        still = deformation(x, 0, kind=kind, random_state=0)
        assert_array_equal(still.signals, x)
        assert not still.displacement.any() and not still.gradient_norm.any()
        assert not np.shares_memory(still.signals, x)
    assert_array_equal(X, before)


def test_single_position_can_be_rotated_with_size_0():
    assert_array_equal(deformation(np.ones((2, 1, 1)), 0, kind="rotation").signals, np.ones((2, 1, 1)))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"size": -1}, r"'size' parameter of deformation must be a float in the range \[0.0, inf\). Got -1"),
        ({"size": np.nan}, "'size' parameter .* Got nan"),
        ({"size": np.inf}, "'size' parameter .* Got inf"),
        ({"kind": "shear"}, "'kind' parameter .*'rotation'.* Got 'shear'"),
        ({"smoothness": 0}, "'smoothness' parameter .* Got 0"),
        ({"ndim": 4}, "'ndim' parameter .* Got 4"),
        ({"random_state": "seed"}, "'random_state' parameter .* Got 'seed'"),
        (
            {"ndim": 3},
            r"X must have shape \(n_samples, depth, height, width\) or .* with ndim=3; got \(60, 8, 8\).*ndim",
        ),
        ({"X": DIGITS.reshape(60, 64)}, r"X must have shape .* with ndim=2; got \(60, 64\).*reshape"),
        ({"X": np.full((2, 3, 3), np.nan)}, "X contains NaN"),
        ({"X": DIGITS[:, 0], "kind": "rotation", "ndim": 1}, "kind='rotation' needs .*ndim=2 or 3; got ndim=1"),
        (
            {"kind": "rotation", "size": 9.9},
            "size must be at most 9.899 with kind='rotation'.* 8 x 8 positions moves no position further; got 9.9",
        ),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        deformation(**{"X": DIGITS, "size": 1.0, **parameters})
