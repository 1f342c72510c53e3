"""Graphs of feature maps, of the steps of pipelines, and of classifiers and regressors."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx_graphs import DIGITS, IMAGES, assert_graph_agrees, feature_map, layer, session, to_onnx
from sklearn.base import clone
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_ckn import CKNClassifier, CKNRegressor, Flatten, LinearClassifier, LinearRegressor
from sklearn_ckn.preprocessing import ChannelScaler, GradientMap

# Transformers


@pytest.mark.parametrize(
    "parameters",
    [{"symmetries": "flip"}, {"symmetries": "rotate"}, {"symmetries": "dihedral", "center": True, "scale": True}],
)
def test_feature_maps(parameters):
    assert_graph_agrees(feature_map(layer(), layer(patch_centering=True), **parameters).fit(IMAGES[:50]), IMAGES[:7])


@pytest.mark.parametrize("parameters", [{}, {"symmetries": "dihedral", "center": True, "scale": True}])
@pytest.mark.parametrize("pyramid", [{1: 1.0}, {4: 0.6, 3: 0.3, 1: 0.1}])
def test_pyramids(pyramid, parameters):
    assert_graph_agrees(feature_map(layer(), pyramid=pyramid, **parameters).fit(IMAGES[:50]), IMAGES[:7])


@pytest.mark.parametrize("shape", [(64, 1), (4, 4, 4, 1)])
def test_pyramids_of_series_and_volumes(shape):
    signals = IMAGES[:50].reshape(50, *shape)
    assert_graph_agrees(feature_map(layer(ndim=len(shape) - 1), pyramid={2: 0.5, 1: 0.5}).fit(signals), signals[:7])


def test_pyramids_of_images_of_another_size(rng):
    fitted = feature_map(layer(n_positions=4), pyramid={2: 0.5, 1: 0.5}).fit(IMAGES[:50])
    assert_graph_agrees(fitted, rng.rand(3, 10, 7, 1).astype(np.float32), input_shape=(10, 7, 1))


def test_graph_is_as_accurate_as_the_estimator_if_rounding_is_amplified(rng):
    """Features of noise are nearly equal, so that subtracting their mean loses much of single precision."""
    images = rng.rand(100, 12, 12, 3).astype(np.float32)
    single = feature_map(layer(32), layer(64), center=True, scale=True).fit(images)
    double = copy.deepcopy(single)
    for _, fitted in double.network_.steps:
        fitted.filters_, fitted.whitening_ = fitted.filters_.astype(float), fitted.whitening_.astype(float)
    expected = double.transform(images.astype(float))
    errors = [
        np.linalg.norm(found - expected) for found in (session(single)(images)["features"], single.transform(images))
    ]
    assert errors[0] <= errors[1] <= 1e-3 * np.linalg.norm(expected)


def test_steps_one_by_one():
    network = make_pipeline(layer(), None, layer(), "passthrough", Flatten(center=True, scale=True), StandardScaler())
    assert_graph_agrees(network.fit(IMAGES[:50]), IMAGES[:7])
    assert_graph_agrees(network[:3], IMAGES[:7])


@pytest.mark.parametrize("n_orientations", [None, 3, 12])
@pytest.mark.parametrize("shape", [(8, 8, 1), (4, 8, 2), (2, 2, 16)])
def test_gradient_maps(shape, n_orientations):
    images, rows = IMAGES[:50].reshape(-1, *shape), IMAGES[:50].reshape(50, -1)
    assert_graph_agrees(GradientMap(n_orientations).fit(images), images)
    flat = GradientMap(n_orientations, input_shape=shape)
    assert_graph_agrees(make_pipeline(flat, feature_map(layer())).fit(rows), rows[:7])


@pytest.mark.parametrize("channels", [None, [1], [1, 0]])
@pytest.mark.parametrize("shape", [(32, 2), (8, 4, 2), (4, 4, 2, 2)])
def test_channel_scalers(shape, channels, rng):
    signals = (rng.rand(50, *shape) * [1, 100]).astype(np.float32)
    rows = signals.reshape(50, -1)
    ndim = len(shape) - 1
    assert_graph_agrees(ChannelScaler(channels=channels, ndim=ndim).fit(signals), signals)
    flat = ChannelScaler(channels=channels, ndim=ndim, input_shape=shape)
    assert_graph_agrees(make_pipeline(flat, feature_map(layer(ndim=ndim))).fit(rows), rows[:7])


def test_rows_with_an_input_shape():
    rows = IMAGES.reshape(len(IMAGES), -1)
    assert_graph_agrees(feature_map(layer(input_shape=(8, 8))).fit(rows[:50]), rows[:7])


def test_union_with_a_dropped_step(rng):
    features = {"a": feature_map(layer()), "b": "drop", "c": make_pipeline(layer(), Flatten())}
    assert_graph_agrees(
        FeatureUnion(list(features.items()), transformer_weights={"a": 2.0}).fit(IMAGES[:50]), IMAGES[:7]
    )


# Classifiers and regressors
LABELS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
CLASSIFIERS = [
    LinearClassifier(),
    LinearClassifier("logistic"),
    RidgeClassifier(),
    RidgeClassifierCV(),
    LinearSVC(),
    LogisticRegression(),
    SGDClassifier(random_state=0),
    SGDClassifier("log_loss", random_state=0),
]


@pytest.fixture(scope="module")
def fitted_map():
    return feature_map(layer(16, pooling_width=4), center=True, scale=True).fit(IMAGES[:50])


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("head", CLASSIFIERS, ids=lambda head: type(head).__name__)
def test_classifiers(head, n_classes, fitted_map):
    known = np.isin(DIGITS, range(n_classes))
    X, y = IMAGES[known][:200], DIGITS[known][:200]
    head = clone(head).fit(fitted_map.transform(X), y if n_classes == 10 else LABELS[y])
    assert_graph_agrees(Pipeline([("features", fitted_map), ("head", head)]), X)


def test_probabilities_without_a_graph_are_left_out(fitted_map):
    head = SGDClassifier("modified_huber", random_state=0).fit(fitted_map.transform(IMAGES[:50]), DIGITS[:50])
    assert [output.name for output in to_onnx(head).graph.output] == ["label", "scores"]


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
@pytest.mark.parametrize("head", [LinearRegressor(), Ridge(), LinearRegression()], ids=lambda head: type(head).__name__)
def test_regressors(head, shape, rng):
    features = rng.rand(100, 5).astype(np.float32)
    assert_graph_agrees(clone(head).fit(features, rng.rand(100, *shape)), features)


def test_sparse_coefficients():
    images = IMAGES[:60].reshape(60, -1)
    assert_graph_agrees(LogisticRegression(max_iter=5, tol=1).fit(images, DIGITS[:60]).sparsify(), images)


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_end_to_end_classifiers(loss, n_classes):
    known = np.isin(DIGITS, range(n_classes))
    X, y = IMAGES[known][:60], LABELS[DIGITS[known][:60]]
    options = {"loss": loss, "symmetries": "dihedral" if n_classes == 3 else None}
    assert_graph_agrees(CKNClassifier(make_pipeline(layer()), **options, max_iter=1, random_state=0).fit(X, y), X)


def test_end_to_end_regressors(rng):
    targets = DIGITS[:60] + 100.0
    assert_graph_agrees(
        CKNRegressor(layer(), max_iter=1, center=False, random_state=0).fit(IMAGES[:60], targets), IMAGES[:60]
    )


DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", "float16", "float64", ">i4"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_have_the_values_and_the_type_that_were_passed(dtype, fitted_map):
    features = fitted_map.transform(IMAGES[:60])
    largest = 1 if np.dtype(dtype).kind == "b" else np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 100
    y = np.where(DIGITS[:60] > 4, np.array(largest, dtype), np.array(0, dtype))
    head = LinearClassifier().fit(features, y)
    found = session(head)(features)["label"]
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert_array_equal(found, head.predict(features))


@pytest.mark.parametrize("dtype", ["datetime64[D]", "datetime64[ns]", "timedelta64[s]", "longdouble"])
def test_labels_without_a_type_in_onnx_are_refused_by_name(dtype, fitted_map):
    features = fitted_map.transform(IMAGES[:60])
    head = LinearClassifier().fit(features, (DIGITS[:60] % 2).astype(dtype))
    name = str(np.dtype(dtype)).replace("[", r"\[")
    with pytest.raises(TypeError, match=rf"fitted to labels of dtype {name}.*y.astype\(str\)"):
        to_onnx(head)
