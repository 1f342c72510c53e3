"""ChannelScaler: results against identities and StandardScaler, and what the transformer refuses."""

import pickle

import numpy as np
import pytest
from estimators import SHAPES, every_ndim_and_dtype, signals
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn.preprocessing import ChannelScaler, _channel_scaler


@every_ndim_and_dtype
def test_values_equal_those_of_a_scaler_of_all_positions(ndim, dtype):
    X = (signals(ndim, channels=3) * [1, 100, 0.01] + [0, 50, -1]).astype(dtype)
    scaler, expected = ChannelScaler(ndim=ndim).fit(X), StandardScaler().fit(X.reshape(-1, 3).astype(float))
    assert_allclose(scaler.mean_, expected.mean_, rtol=1e-12)
    assert_allclose(scaler.scale_, expected.scale_, rtol=1e-10)
    found = scaler.transform(X)
    assert found.dtype == dtype and found.shape == X.shape
    tolerance = {"float32": 1e-3, "float64": 1e-10}[dtype]  # The third channel has a mean of 346 standard deviations.
    assert_allclose(found, expected.transform(X.reshape(-1, 3).astype(float)).reshape(X.shape), atol=tolerance)
    assert scaler.input_shape_ == X.shape[1:] and scaler.n_features_in_ == X[0].size


@pytest.mark.parametrize("channels", [[0], [2], [2, 0], (1, 2), np.array([1])], ids=str)
def test_channels_are_chosen_by_their_indices(channels):
    X = signals(2, channels=3)
    scaler = ChannelScaler(channels=channels).fit(X)
    assert_array_equal(scaler.transform(X), ChannelScaler().fit_transform(X)[..., list(channels)])
    assert [*scaler.get_feature_names_out()] == [f"c{channel}" for channel in channels]
    assert scaler.get_feature_names_out().dtype == object
    assert_array_equal(scaler.mean_, ChannelScaler().fit(X).mean_[list(channels)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0, 7, 0.1, 1e4 / 3])
def test_constant_channels_become_exactly_zero(value, dtype):
    X = signals(2, dtype, channels=2)
    X[..., 0] = value
    scaler = ChannelScaler().fit(X)
    assert scaler.mean_[0] == X[0, 0, 0, 0] and scaler.scale_[0] == 1
    found = scaler.transform(X)
    assert not found[..., 0].any()
    assert_array_equal(found[..., 1], ChannelScaler().fit_transform(X[..., 1])[..., 0])


def test_channels_that_are_constant_except_for_rounding_are_not_amplified(rng):
    X = 0.1 * (1 + 2e-16 * rng.randint(-1, 2, size=(10, 5, 4, 1)))
    scaler = ChannelScaler().fit(X)
    assert scaler.scale_ == 1 and np.abs(scaler.transform(X)).max() < 1e-15


@pytest.mark.parametrize("dtype, scale", [("float32", 2.0**-80), ("float64", 2.0**-600), ("float64", 2.0**400)])
def test_scale_of_a_channel_does_not_matter(dtype, scale):
    X = signals(2, dtype, channels=2)
    expected = ChannelScaler().fit_transform(X)
    assert_array_equal(ChannelScaler().fit_transform((X * scale).astype(dtype)), expected)  # no warning
    assert_array_equal(ChannelScaler().fit_transform((X * [1, scale]).astype(dtype)), expected)


@every_ndim_and_dtype
def test_signals_are_transformed_independently_and_identically_for_any_number_of_threads(ndim, dtype, monkeypatch):
    X = signals(ndim, dtype)
    X.flags.writeable = False
    scaler = ChannelScaler(ndim=ndim).fit(X)
    Z = scaler.transform(X)
    for block in (1, 1000):
        monkeypatch.setattr(_channel_scaler, "BLOCK", block)
        assert_array_equal(scaler.transform(X), Z)
        again = ChannelScaler(ndim=ndim, n_jobs=2).fit(X)
        assert_allclose(again.mean_, scaler.mean_, rtol=1e-12)
        assert_allclose(again.scale_, scaler.scale_, rtol=1e-12)
        assert_array_equal(again.transform(X), ChannelScaler(ndim=ndim).fit_transform(X))
    assert_array_equal(scaler.transform(X[::-1])[::-1], Z)
    assert_array_equal(scaler.transform(X[7:8])[0], Z[7])
    assert_array_equal(pickle.loads(pickle.dumps(scaler)).transform(X), Z)
    out = np.empty_like(Z)
    assert scaler.transform(X, out=out) is out
    assert_array_equal(out, Z)


def test_flattened_signals_integers_and_other_spatial_sizes_are_accepted(rng):
    X = rng.randint(256, size=(6, 8, 7), dtype=np.uint8)
    expected = ChannelScaler().fit_transform(X.astype(np.float32))
    assert expected.shape == (6, 8, 7, 1) and expected.dtype == np.float32
    assert_array_equal(ChannelScaler().fit_transform(X), expected)
    assert_array_equal(ChannelScaler(input_shape=(8, 7)).fit_transform(X.reshape(6, -1)), expected)
    assert_array_equal(ChannelScaler(input_shape=(8, -1, 1)).fit_transform(X.reshape(6, -1)), expected)
    assert_array_equal(ChannelScaler().fit(X).transform(X[:, :5]), expected[:, :5])


@pytest.mark.parametrize("ndim", SHAPES)
def test_all_positions_of_signals_of_different_sizes_count_equally(ndim):
    X = [signal[: 2 + i % 3] for i, signal in enumerate(signals(ndim))]
    scaler = ChannelScaler(ndim=ndim).fit(X)
    positions = np.concatenate([signal.reshape(-1, 2) for signal in X])
    assert_allclose(scaler.mean_, positions.mean(axis=0), rtol=1e-12)
    assert_allclose(scaler.scale_, positions.std(axis=0), rtol=1e-12)
    for signal, found in zip(X, scaler.transform(X)):
        assert_array_equal(found, scaler.transform(signal[None])[0])


def test_changed_channels_take_effect_at_the_next_fit():
    X = signals(2, channels=3)
    scaler = ChannelScaler().fit(X)
    Z = scaler.transform(X)
    assert_array_equal(scaler.set_params(channels=[1]).transform(X), Z)
    assert_array_equal(scaler.fit(X).transform(X), Z[..., 1:2])


def test_channel_scalers_work_in_a_pipeline(digits):
    X, y = digits
    X = np.stack([1e4 + 0 * X, 1e3 * X], axis=-1)  # The first channel has no information, but would be all of the norm.
    features = CKNFeatureMap(CKNLayer(16, n_patches=1000, random_state=0), scale=True)
    model = make_pipeline(ChannelScaler(), features, LinearClassifier()).set_output(transform="pandas")
    assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.85


BAD_CHANNELS = [[], [3], [-1], [0, 0], [0.0], [[0]], [True], ["0"]]


@pytest.mark.parametrize("channels", BAD_CHANNELS, ids=str)
def test_bad_channels_are_refused(channels):
    scaler = ChannelScaler(channels=channels)
    with pytest.raises(ValueError, match=r"channels must be None or a list of distinct ints from 0 to 2, .*; got \["):
        scaler.fit(signals(2, channels=3))
    assert not hasattr(scaler, "mean_") and not hasattr(scaler, "input_shape_")


BAD = [({"channels": 1}, "channels"), ({"ndim": 4}, "ndim"), ({"n_jobs": 0.5}, "n_jobs"), ({"input_shape": 8}, "input")]


@pytest.mark.parametrize("parameters, name", BAD, ids=str)
def test_bad_parameters_are_refused(parameters, name):
    with pytest.raises(ValueError, match=f"'{name}.*' parameter of ChannelScaler"):
        ChannelScaler(**parameters).fit(signals(2))


def test_bad_signals_are_refused():
    X = signals(2)
    for call in (lambda scaler: scaler.transform(X), lambda scaler: scaler.get_feature_names_out()):
        with pytest.raises(NotFittedError):
            call(ChannelScaler())
    fitted = ChannelScaler().fit(X)
    for bad, message in (
        (np.where(X > 0.9, np.nan, X), "X contains NaN"),
        (X[:0], "0 sample"),
        (X.reshape(24, -1), "set input_shape"),
        (X[..., None], "spatial axes"),
    ):
        for call in (fitted.transform, ChannelScaler().fit):
            with pytest.raises(ValueError, match=message):
                call(bad)
    with pytest.raises(ValueError, match="The number of channels, the last axis, must be the same"):
        fitted.transform(X[..., :1])
    assert fitted._get_doc_link().endswith("/api/sklearn_ckn.preprocessing.ChannelScaler.html")
