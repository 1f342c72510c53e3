"""Graphs of layers and of patch whitening."""

import numpy as np
import pytest
from onnx_graphs import assert_graph_agrees, feature_map, layer
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNRegressor, PatchWhitening
from sklearn_ckn._core.layer.kappa import KERNELS
from sklearn_ckn.onnx import to_onnx
from sklearn_ckn.preprocessing import Differences, GradientMap


@pytest.fixture
def signals(rng):
    """A function that returns seven signals of two channels, with some zeros, for a number of spatial axes."""

    def make(ndim):
        X = rng.rand(7, *(9, 8, 6)[:ndim], 2).astype(np.float32)
        return X * (rng.rand(*X.shape) < 0.7)

    return make


@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "arccos0"])
def test_kernels(kernel, signals):
    X = signals(2).astype(np.float32)
    assert_graph_agrees(layer(kernel=kernel, degree=3, coef0=1.0).fit(X), X)


@pytest.mark.parametrize("patch_centering", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {"padding": "valid", "pooling": "average"},
        {"patch_size": 2, "pooling_width": 3, "subsampling": 1},
        {"patch_size": 4, "pooling_width": 1, "subsampling": 2},
        {"pooling_width": 1},
        {"dilation": 2},
        {"n_positions": 2},
        {"n_positions": 5, "pooling": "average"},
        {"dilation": 2, "patch_size": 2, "padding": "valid"},
    ],
)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_geometry(ndim, parameters, patch_centering, signals):
    X = signals(ndim).astype(np.float32)
    network = layer(ndim=ndim, patch_centering=patch_centering, **parameters), layer(ndim=ndim, patch_size=2)
    assert_graph_agrees(CKNFeatureMap(make_pipeline(*network), scale=True).fit(X), X)
    assert_graph_agrees(network[0].fit(X), X)


def test_graphs_of_networks_for_signals_of_any_size(rng):
    X = [rng.rand(*size, 2).astype(np.float32) for size in ((9, 8), (7, 7), (12, 6))]
    network = make_pipeline(layer(), layer(n_positions=2))
    fitted = CKNFeatureMap(network, scale=True).fit(X)
    for x in X:
        assert_graph_agrees(fitted, x[None], n_single=1, input_shape=x.shape)
    trained = CKNRegressor(network, max_iter=0, random_state=0).fit(X, [10.0, 11.0, 12.0])
    assert_graph_agrees(trained, X[0][None], n_single=1, input_shape=(9, 8, 2))
    with pytest.raises(ValueError, match=r"with ints >= 1\. In fit, it was \(None, None, 2\), where None stands"):
        to_onnx(fitted)
    with pytest.raises(ValueError, match=r"got \(9, 8, 3\)"):
        to_onnx(fitted, input_shape=(9, 8, 3))
    one_size = CKNFeatureMap(layer()).fit(np.stack([X[0], X[0]]))
    with pytest.raises(ValueError, match="Only a network with n_positions accepts other sizes"):
        to_onnx(one_size, input_shape=(7, 7, 2))
    assert_graph_agrees(layer().fit(np.stack([X[0], X[0]])), X[1][None], n_single=1, input_shape=X[1].shape)


@pytest.mark.parametrize(
    "estimator, shape, message",
    [
        (Differences(), (30, 1), "was fitted on signals of shape"),
        (GradientMap(4), (1, 5, 1), "input_shape gives images of shape .* gradients need"),
        (layer(patch_size=5, padding="valid"), (3, 8, 1), "must not exceed the spatial shape of the layer's input"),
        (layer(pooling="average", pooling_width=4), (3, 8, 1), "pooling_width=.* must not exceed"),
        (
            CKNFeatureMap(make_pipeline(layer(padding="valid"), layer(n_positions=1, padding="valid"))),
            (5, 8, 1),
            "patch_",
        ),
        (PatchWhitening(5), (3, 8, 1), "input_shape gives signals of shape .* smaller than"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_shapes_that_the_estimator_refuses(estimator, shape, message, rng):
    X = rng.rand(4, 20) if len(shape) == 2 else rng.rand(4, 12, 12)
    with pytest.raises(ValueError, match=message):
        to_onnx(estimator.fit(X), input_shape=shape)


def test_small_variations_of_large_values(rng):
    """The norms of centred patches are not computed as differences of large squares, which would be inexact."""
    X = (200 + rng.rand(7, 8, 8, 1)).astype(np.float32)
    assert_graph_agrees(feature_map(layer(patch_centering=True, padding="valid")).fit(X), X)


@pytest.mark.parametrize("shape", [(9, 8, 3), (20, 1)])
@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "global"},
        {"exponent": 0.5, "reg": 0.01},
        {"exponent": 0.25, "normalize_contrast": False},
        {"exponent": 0.0, "reg": 0.0},
    ],
)
def test_patch_whitening(shape, parameters, rng):
    X = rng.rand(7, *shape).astype(np.float32).cumsum(axis=1)
    whitening = PatchWhitening(ndim=len(shape) - 1, **parameters).fit(X)
    assert_graph_agrees(whitening, X)


@pytest.mark.parametrize("reg", [1.0, 0.1, 1e-3, 1e-5])
@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_powers_of_matrices_of_any_spectrum(reg, exponent, rng):
    """The iterations converge both for images with one dominant direction and for noise."""
    noise = rng.rand(2, 16, 16, 3)
    waves = np.broadcast_to(np.sin(np.arange(16))[:, None, None], (1, 16, 16, 3)) + 1e-3 * noise[:1]
    X = np.concatenate([noise, waves]).astype(np.float32)
    whitening = PatchWhitening(exponent=exponent, reg=reg).fit(X)
    assert_graph_agrees(whitening, X)
