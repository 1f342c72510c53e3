"""Fitted networks and matplotlib, for the tests of inspection."""

import numpy as np
import pytest
from inspected_networks import DIGITS, layer
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap


@pytest.fixture(scope="module")
def feature_map():
    """A feature map of two layers, fitted to digits."""
    return CKNFeatureMap(make_pipeline(layer(8), layer(12))).fit(DIGITS)


@pytest.fixture(scope="module")
def signals():
    """Three small images, for the network `complete`."""
    return np.random.RandomState(0).rand(3, 5, 4)


@pytest.fixture(scope="module")
def complete(signals):
    """A network whose filters are all patches of the signals: each of the three signals has 20, then 6."""
    layers = [layer(n, init="random", reg=1e-11) for n in (60, 18)]
    return CKNFeatureMap(make_pipeline(*layers)).fit(signals)


@pytest.fixture
def pyplot():
    """matplotlib.pyplot, without a screen; all figures are closed after the test."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield pyplot
    pyplot.close("all")
