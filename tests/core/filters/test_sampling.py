"""Sampling of patches: which patches are drawn, and from which signals."""

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._arrays.signals import EncodedSignals, Signals
from sklearn_ckn._core.filters import sampling
from sklearn_ckn._core.layer import patches
from sklearn_ckn._core.layer.patches import PatchGeometry


def valid(size):
    return PatchGeometry.of(size, "valid")


def maps_of(X):
    return EncodedSignals(Signals(X, X.shape[1:]), [], 1)


def test_sample_draws_every_varying_patch_once_and_no_constant_one(rng):
    """With enough draws from signals that begin with zeros, every patch that varies is drawn exactly once."""
    X = np.concatenate([np.zeros((40, 6, 1)), rng.rand(40, 6, 1) + 0.1], axis=1)
    U, n_wanted = sampling.sample(maps_of(X), 10_000, valid((2,)), rng)
    varying = [patch for x in X for patch in naive.patches(x, (2,), "valid") if patch[0] != patch[1]]
    expected = [patch / np.linalg.norm(patch) for patch in varying]
    assert_allclose(sorted(map(tuple, U)), sorted(map(tuple, expected)), rtol=1e-14)
    assert n_wanted == len(expected)


@pytest.mark.parametrize("dtype, scale", [("float32", 1e-21), ("float64", 1e-160)])
def test_directions_of_tiny_patches_have_norm_one(rng, dtype, scale):
    """The squares of the values have few digits."""
    X = (scale * rng.randn(5, 8, 1)).astype(dtype)
    U, _ = sampling.sample(maps_of(X), 20, valid((3,)), rng, sampling.not_zero)
    assert len(U) == 20
    assert_allclose(np.linalg.norm(U, axis=-1), 1, rtol=4 * np.finfo(dtype).eps)


def test_sample_is_uniform_over_signals_and_positions(rng):
    """In 1000 samples of 80, each of 100 x 20 patches is drawn 40 times on average."""
    X = np.stack(np.divmod(np.arange(2000.0), 20) + (np.ones(2000),), axis=-1).reshape(100, 20, 3)
    counts = np.zeros((100, 20))
    for _ in range(1000):
        U, _ = sampling.sample(maps_of(X), 80, valid((1,)), rng)
        signal, position = (U[:, :2] / U[:, 2:]).round().astype(int).T
        assert len(set(zip(signal, position))) == 80
        np.add.at(counts, (signal, position), 1)
    for mean_counts, n in ((counts.mean(axis=0), 100), (counts.mean(axis=1), 20)):
        # Each of the five signals in a sample gives 16 patches, so the variance of its count is 16 times a patch's.
        assert np.abs(mean_counts - 40).max() < 4.5 * np.sqrt(40 / n * (1 if n == 100 else 16))


def test_sample_reads_only_the_signals_it_needs_and_not_just_the_first(rng):
    read = []

    class Reader:
        dtype = np.dtype(np.float64)

        def __getitem__(self, rows):
            read.extend(rows)
            return rng.randn(len(rows), 8, 8, 1)

        def __len__(self):
            return 5000

    maps = EncodedSignals(Signals(Reader(), (8, 8, 1)), [], 1)
    U, _ = sampling.sample(maps, 640, PatchGeometry.of((3, 3), "same", centering=True), rng)
    assert U.shape == (640, 9)
    assert_allclose(np.linalg.norm(U, axis=1), 1)
    assert_allclose(U.mean(axis=1), 0, atol=1e-15)  # centred
    assert len(read) == len(set(read)) == 40  # 16 patches from each
    assert max(read) > 4000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_constant_patches_become_zero_by_centring(dtype, rng):
    eps = np.finfo(dtype).eps

    def vary(P, c):  # Each patch is part of a signal whose other values vary.
        X = np.concatenate([P.reshape(len(P), -1, c), rng.rand(len(P), 4, c).astype(P.dtype)], axis=1)
        found = sampling.varies(P[:, None], X)
        assert_array_equal(sampling.varies_in_signal(P[:, None], X), found)
        return found[:, 0]

    for n_positions, c in ((9, 1), (25, 1), (27, 3), (225, 1), (961, 2)):
        constant = np.tile(rng.rand(500, c).astype(dtype), n_positions)
        assert not patches.center(constant, c).any()
        assert not vary(constant, c).any()
        faint = constant * (1 + 1000 * eps * rng.rand(*constant.shape).astype(dtype))
        assert patches.center(faint, c).any(axis=1).all()
        assert vary(faint, c).all()
        # The rounding errors of a layer can have this size.
        rounded = constant * (1 + 50 * eps * rng.rand(*constant.shape).astype(dtype))
        assert not vary(rounded, c).any()
        assert patches.center(constant[:0], c).shape == (0, n_positions * c)
    assert_array_equal(vary(np.array([[0.0, 0.0], [1.0, 1.0]]), 2), [False, True])  # patches of one position


def test_signals_may_vary_less_than_the_rounding_errors_of_a_layer(rng):
    """In a signal with a large mean, patches may vary less than rounding errors in proportion to the mean."""
    steps, patch = np.arange(32.0).reshape(1, 32, 1), np.array([[[3.0, 4.0], [3.0, 3.0]]])
    for offset in (0, 0.25 / np.finfo(float).eps):
        assert_array_equal(sampling.varies_in_signal(patch + offset, steps + offset), [[True, False]])
    assert not sampling.varies(patch + offset, steps + offset).any()


def test_sample_allocates_no_more_memory_than_all_patches_need(rng):
    X = rng.rand(3, 5, 1)
    assert sampling.sample(maps_of(X), 10**12, valid((2,)), rng)[0].shape == (12, 2)


def test_sample_draws_more_patches_of_each_signal_if_there_are_few_signals(rng):
    X = rng.rand(4, 50, 50, 1)
    U, _ = sampling.sample(maps_of(X), 9000, PatchGeometry.of((3, 3), "same"), rng)
    assert len(np.unique(U, axis=0)) == 9000
