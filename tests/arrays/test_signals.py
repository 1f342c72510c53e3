"""Signals as the layers read them: their blocks, their dtypes, and the layers that are prepared for them."""

import pickle

import joblib
import numpy as np
import pytest
from estimators import every_ndim_and_dtype, layer, network, signals
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap
from sklearn_ckn._arrays.signals import _LAST_PREPARED, EncodedSignals, Signals
from sklearn_ckn._core.layer import kappa
from sklearn_ckn._core.network import direct, forward, winograd


@every_ndim_and_dtype
@pytest.mark.parametrize("block", [1, 5])
def test_features_are_identical_for_any_block_size_and_any_neighbours(ndim, dtype, block, monkeypatch):
    X = signals(ndim, dtype)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    expected = fitted.transform(X)
    assert_array_equal(np.concatenate([fitted.transform(x[None]) for x in X]), expected)
    with config_context(working_memory=1e-9):
        assert_array_equal(fitted.transform(X), expected)
    monkeypatch.setattr(forward, "BLOCK", block)
    assert_array_equal(fitted.transform(X), expected)


@every_ndim_and_dtype
def test_the_network_of_these_tests_uses_direct_and_winograd_convolution(ndim, dtype):
    X = signals(ndim, dtype)
    layers = [step for _, step in network(ndim).fit(X).steps]
    strategies = [type(prepared.convolution) for prepared in EncodedSignals(Signals(X, X.shape[1:]), layers, 1).network]
    assert strategies == [direct.Direct, winograd.Winograd if dtype == "float32" else direct.Direct]


def test_blocks_use_the_working_memory_of_scikit_learn(monkeypatch):
    X, read = signals(2, "float32", n=2000), []
    fitted = CKNFeatureMap(layer(32, pooling_width=1)).fit(X)
    encoded = np.zeros((2000, 9, 8, 32))
    monkeypatch.setattr(forward, "encode_network", lambda X, network, *group: read.append(len(X)) or encoded[: len(X)])
    monkeypatch.setattr(forward, "BLOCK", 10**6)
    with config_context(working_memory=0.5):  # MB
        fitted.transform(X)
    # A block holds the input, the output and products that are as large as the output.
    maps = 9 * 8 * 32 * 4  # bytes of the output of one signal
    assert 2**19 / maps / 4 < max(read) < 2**19 / maps


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16])
def test_other_dtypes_are_read_as_float32(dtype):
    X = (signals(2) * 3).astype(dtype)
    maps = layer().fit_transform(X)
    assert maps.dtype == np.float32
    assert_array_equal(maps, layer().fit_transform(X.astype(np.float32)))


def test_integers_are_converted_in_blocks(monkeypatch):
    read = []
    monkeypatch.setattr(
        Signals, "read", lambda self, rows, f=Signals.read: read.append(len(f(self, rows))) or f(self, rows)
    )
    X = (signals(2, n=400) * 255).astype(np.uint8)
    CKNFeatureMap(make_pipeline(layer(), layer())).fit(X).transform(X)
    assert max(read) <= 32


@every_ndim_and_dtype
def test_X_is_never_written_to(ndim, dtype, tmp_path):
    X = signals(ndim, dtype)
    joblib.dump(X, tmp_path / "X.joblib")
    memmap = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    before = X.copy()
    expected = CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(X)
    assert_array_equal(X, before)
    assert_array_equal(CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(memmap), expected)
    strided = np.repeat(X, 2, axis=0)[::2]
    assert_array_equal(CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(strided), expected)


def test_a_fitted_layer_is_prepared_again_if_its_arrays_change():
    X, fitted = signals(2), layer(n_filters=5).fit(signals(2))
    before = fitted.transform(X)
    with pytest.raises(ValueError, match="read-only"):
        fitted.filters_[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        fitted.whitening_ *= 2
    fitted.whitening_ = 2 * fitted.whitening_
    assert_allclose(fitted.transform(X), 2 * before, rtol=1e-5)
    for wrong in (np.eye(4), np.eye(6)):
        fitted.whitening_ = wrong
        with pytest.raises(ValueError, match="whitening_"):
            fitted.transform(X)
    fitted.fit(X).filters_ = np.full_like(fitted.filters_, np.nan)
    with pytest.raises(ValueError, match="finite"):
        fitted.transform(X)
    assert_array_equal(fitted.fit(X).transform(X), before)


def test_a_layer_is_prepared_again_if_only_its_kernel_changes():
    X, refitted = signals(1), layer(1, ndim=1, sigma=1.0)  # All kernels have the same whitening for a single filter.
    for kernel in sorted(set(kappa.KERNELS) - {"arccos0"}):
        refitted.set_params(kernel=kernel).fit(X).transform(X)
        assert_array_equal(refitted.transform(X), clone(refitted).fit(X).transform(X))


def test_arrays_from_files_are_compared_with_the_prepared_ones_by_identity():
    X = signals(1)
    loaded = pickle.loads(pickle.dumps(layer(ndim=1).fit(X)))
    loaded.transform(X)
    last = _LAST_PREPARED[loaded]
    assert last.filters is loaded.filters_ and last.whitening is loaded.whitening_


def test_arrays_of_the_user_stay_writeable_and_their_changes_take_effect():
    X, fitted = signals(2), layer(n_filters=5).fit(signals(2))
    expected = fitted.transform(X)
    filters, whitening = np.array(fitted.filters_), np.array(fitted.whitening_)
    seen_through = whitening.view()
    seen_through.flags.writeable = False
    for mine in (whitening, seen_through):  # A read-only view changes with its base array.
        fitted.filters_, fitted.whitening_ = filters, mine
        assert_array_equal(fitted.transform(X), expected)
        assert filters.flags.writeable and whitening.flags.writeable
        whitening *= 2
        assert_allclose(fitted.transform(X), 2 * expected, rtol=1e-5)
        whitening /= 2
    filters[:] = filters[::-1].copy()
    assert not np.allclose(fitted.transform(X), expected)
