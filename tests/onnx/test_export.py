"""The export of whole models: their metadata, and the estimators that are supported."""

import subprocess
import sys

import numpy as np
import pytest
from onnx_graphs import DIGITS, IMAGES, assert_graph_agrees, feature_map, layer, to_onnx
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import (
    AutoCKNClassifier,
    AutoCKNRegressor,
    CKNFeatureMap,
    CKNLayer,
    Flatten,
    LinearClassifier,
    PatchWhitening,
)


def test_model_states_its_name_origin_and_input():
    fitted_map = feature_map(layer(16, pooling_width=4), center=True, scale=True).fit(IMAGES[:50])
    model = to_onnx(fitted_map)
    assert (model.graph.name, model.producer_name) == ("CKNFeatureMap", "sklearn_ckn")
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)
    (given,) = model.graph.input
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == ["n", 8, 8, 1]


def test_double_precision_is_rounded():
    model = make_pipeline(feature_map(layer(), center=True, scale=True), LinearClassifier())
    model.fit(IMAGES[:100].astype(float), DIGITS[:100])
    assert model[0].network_[0].filters_.dtype == np.float64
    assert_graph_agrees(model, IMAGES[:100])


@pytest.mark.parametrize("shape, settings", [((8, 8, 3), {"symmetries": "flip"}), ((30, 2), {"ndim": 1})])
def test_estimators_that_choose(shape, settings, rng):
    y = np.arange(60) % 3
    X = (rng.rand(60, *shape) + np.multiply.outer(y, rng.rand(*shape))).astype(np.float32)
    y = np.where(rng.rand(60) < 0.3, 0, y)  # Errors of labels prevent a large C, which would magnify rounding errors.
    assert_graph_agrees(AutoCKNClassifier("fast", random_state=0, **settings).fit(X, y), X)
    assert_graph_agrees(AutoCKNRegressor("fast", random_state=0, **settings).fit(X, y), X)


def fit(*steps, y=None):
    return make_pipeline(*steps).fit(IMAGES[:30], y)


@pytest.mark.parametrize(
    "estimator, error, message",
    [
        (lambda: CKNFeatureMap(layer()), NotFittedError, "not fitted"),
        (lambda: make_pipeline(layer(), Flatten()), NotFittedError, "not fitted"),
        (
            lambda: fit(layer(), Flatten(), SVC(), y=DIGITS[:30]),
            TypeError,
            "'svc', which is an object of type SVC.*CKNFeatureMap",
        ),
        (lambda: CKNLayer, TypeError, "the class CKNLayer"),
        (lambda: make_pipeline("passthrough"), TypeError, "no step"),
        (lambda: FeatureUnion([("maps", layer().fit(IMAGES[:30]))]), TypeError, "'maps'.*Flatten"),
        (lambda: PatchWhitening(reg=0).fit(IMAGES[:30]), ValueError, "reg=0:.*global"),
        (lambda: PatchWhitening(exponent=0.3).fit(IMAGES[:30]), ValueError, "0.25.*exponent=0.3"),
        (lambda: RidgeClassifier().fit(np.eye(3), np.eye(3, dtype=int)), TypeError, "several labels"),
    ],
)
def test_unsupported_estimators_are_rejected(estimator, error, message):
    with pytest.raises(error, match=message):
        to_onnx(estimator())


def test_importing_the_package_does_not_import_onnx():
    code = "import sys, sklearn_ckn; assert 'onnx' not in sys.modules and 'sklearn_ckn.onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
