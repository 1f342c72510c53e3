"""The display of the feature maps of one signal."""

import numpy as np
import pytest
from drawings import drawn, tiles
from inspected_networks import DIGITS, layer
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn import CKNFeatureMap
from sklearn_ckn.inspection import FeatureMapDisplay


def test_strongest_maps_come_first(pyplot, feature_map):
    display = drawn(FeatureMapDisplay.from_estimator(feature_map, DIGITS[0], n_maps=5))
    maps = feature_map.network_.transform(DIGITS[:1])[0]
    assert_array_equal(display.maps, maps[..., display.channels])
    strength = np.linalg.norm(maps, axis=(0, 1))
    assert_array_equal(display.channels, np.argsort(-strength)[:5])
    shown = tiles(display, 2, 2)[:5]
    assert_array_equal(shown, np.moveaxis(display.maps, -1, 0))
    assert [text.get_text() for text in display.ax_.texts] == [str(channel) for channel in display.channels]
    assert display.colorbar_.vmin == min(display.maps.min(), 0) and display.colorbar_.vmax == display.maps.max()
    corners = [frame.get_extents().bounds[:2] for frame in display.ax_.collections[0].get_paths()]
    assert_allclose([text.get_position() for text in display.ax_.texts], np.add(corners, 0.075))
    everything = FeatureMapDisplay.from_estimator(feature_map.network_[0], DIGITS[0], n_maps=99)
    assert everything.maps.shape == (4, 4, 8)
    drawn(FeatureMapDisplay.from_estimator(feature_map, 0 * DIGITS[0]))
    series = layer(ndim=1).fit(DIGITS[:, 0])
    curves = drawn(FeatureMapDisplay.from_estimator(series, DIGITS[0, 0]))
    assert len(curves.ax_.lines) == 8 * 2 and curves.colorbar_ is None
    places = [(i % 3, -(i // 3)) for i in range(8)]
    assert_array_equal([text.get_position() for text in curves.ax_.texts], places)


def test_colour_scale_and_channel_numbers(pyplot):
    maps = np.random.RandomState(0).rand(3, 3, 64)
    for signed, limits in ((maps, (0, maps.max())), (-maps, (-maps.max(), 0)), (0 * maps, (0, 1))):
        display = drawn(FeatureMapDisplay(maps=signed, channels=np.arange(64)).plot())
        assert_allclose(display.ax_.images[0].get_clim(), limits)
        assert len(display.ax_.texts) == 64
    many = FeatureMapDisplay(maps=np.repeat(maps, 2, axis=-1), channels=np.arange(128)).plot()
    assert not drawn(many).ax_.texts


def test_exactly_one_signal_is_accepted(pyplot):
    fitted, flat = layer().fit(DIGITS), layer(input_shape=(8, 8)).fit(DIGITS.reshape(60, 64))
    one = FeatureMapDisplay.from_estimator(fitted, DIGITS[0]).maps
    for same in (DIGITS[0], DIGITS[0, ..., None], DIGITS[0].ravel()):
        assert_array_equal(FeatureMapDisplay.from_estimator(flat, same).maps, one)
    whole, message = CKNFeatureMap(layer()).fit(DIGITS), r"x must be a single signal of shape"
    seen = "like the signals seen in fit; got shape"
    for several in (DIGITS[:3], DIGITS[:1], DIGITS[:3].reshape(3, 64), DIGITS[:1].reshape(1, 64), DIGITS[0, :7]):
        for network in (flat, whole):
            with pytest.raises(ValueError, match=rf"{message} \(8, 8, 1\), {seen} \({several.shape[0]}, "):
                FeatureMapDisplay.from_estimator(network, several)
    expected = rf"{message} \(height, width, 1\), {seen} \(3, 8, 8\)\. For .* pass X\[0\]"
    with pytest.raises(ValueError, match=expected):
        FeatureMapDisplay.from_estimator(fitted, DIGITS[:3])
    smaller = fitted.transform(DIGITS[:1, :7])[0]  # a layer accepts signals of any spatial shape
    display = FeatureMapDisplay.from_estimator(fitted, DIGITS[0, :7])
    assert_array_equal(display.maps, smaller[..., display.channels])
