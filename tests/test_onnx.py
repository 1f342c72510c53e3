"""Graphs compute what the estimators compute, in any batch, with the standard operators only."""

import copy
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
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
from sklearn.svm import SVC, LinearSVC
from small import few

from sklearn_ckn import (
    CKNClassifier,
    CKNFeatureMap,
    CKNLayer,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    LinearRegressor,
    PatchWhitening,
)
from sklearn_ckn._core.layer.kappa import KERNELS
from sklearn_ckn.presets import make_classifier

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
to_onnx = pytest.importorskip("sklearn_ckn.onnx").to_onnx

TOLERANCE = 1e-4  # of the largest value
METHODS = {
    "features": "transform",
    "maps": "transform",
    "targets": "predict",
    "label": "predict",
    "scores": "decision_function",
    "probabilities": "predict_proba",
}
IMAGES, DIGITS = load_digits().images.astype(np.float32)[..., None], load_digits().target


def session(estimator):
    """The estimator's graph, ready to run: X -> outputs by name."""
    model = to_onnx(estimator)
    assert {found.domain for found in (*model.opset_import, *model.graph.node)} == {""}
    running = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in running.get_outputs()]
    return lambda X: dict(zip(names, running.run(None, {"X": X})))


def assert_close(found, expected):
    assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def assert_equal_to(estimator, outputs, X):
    """Every output is what the method of the estimator gives for X: labels are equal, numbers but for rounding."""
    assert_array_equal({name for name in METHODS.values() if hasattr(estimator, name)}, {METHODS[n] for n in outputs})
    for name, found in outputs.items():
        expected = getattr(estimator, METHODS[name])(X)
        assert found.shape == expected.shape
        if name == "label":
            assert_array_equal(found, expected)
        else:
            assert found.dtype == np.float32
            assert_close(found, expected)
            if name == "features":
                for row, expected_row in zip(found, expected):
                    assert_close(row, expected_row)


def check(estimator, X, n_single=2):
    """A fitted estimator and its graph agree, on a batch, on single signals and on signals that are 0 or constant."""
    run = session(estimator)
    special = np.concatenate([np.zeros_like(X[:1]), np.ones_like(X[:1]), np.full_like(X[:1], 0.1)])
    for batch in (X, *(X[i : i + 1] for i in range(n_single)), special):
        assert_equal_to(estimator, run(batch), batch)


def layer(n_filters=8, **parameters):
    return CKNLayer(n_filters, n_patches=300, **{"random_state": 0, **parameters})


@pytest.fixture
def signals(rng):
    """Seven of so many axes, of two channels, with some zeros."""

    def make(ndim):
        X = rng.rand(7, *(9, 8, 6)[:ndim], 2).astype(np.float32)
        return X * (rng.rand(*X.shape) < 0.7)

    return make


@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "arccos0"])
def test_kernels(kernel, signals):
    X = signals(2).astype(np.float32)
    check(layer(kernel=kernel, degree=3, coef0=1.0).fit(X), X)


@pytest.mark.parametrize("patch_centering", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {"padding": "valid", "pooling": "average"},
        {"patch_size": 2, "pooling_width": 3, "subsampling": 1},
        {"patch_size": 4, "pooling_width": 1, "subsampling": 2},
        {"pooling_width": 1},
    ],
)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_geometry(ndim, parameters, patch_centering, signals):
    X = signals(ndim).astype(np.float32)
    network = layer(ndim=ndim, patch_centering=patch_centering, **parameters), layer(ndim=ndim, patch_size=2)
    check(CKNFeatureMap(make_pipeline(*network), scale=True).fit(X), X)
    check(network[0].fit(X), X)


def feature_map(*layers, **parameters):
    return CKNFeatureMap(make_pipeline(*layers), **parameters)


@pytest.mark.parametrize(
    "parameters", [{"augment": "flip"}, {"center": True}, {"augment": "flip", "center": True, "scale": True}]
)
def test_feature_maps(parameters):
    check(feature_map(layer(), layer(patch_centering=True), **parameters).fit(IMAGES[:50]), IMAGES[:7])


def test_steps_one_by_one():
    network = make_pipeline(layer(), None, layer(), "passthrough", Flatten(center=True, scale=True), StandardScaler())
    check(network.fit(IMAGES[:50]), IMAGES[:7])
    check(network[:3], IMAGES[:7])


def test_rows_are_read_with_an_input_shape():
    rows = IMAGES.reshape(len(IMAGES), -1)
    check(feature_map(layer(input_shape=(8, 8))).fit(rows[:50]), rows[:7])


def test_large_values_and_small_variations(rng):
    """Centred patches of large means are not a difference of large squares."""
    X = (200 + rng.rand(7, 8, 8, 1)).astype(np.float32)
    check(feature_map(layer(patch_centering=True, padding="valid")).fit(X), X)


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
    check(whitening, X)


@pytest.mark.parametrize("reg", [1.0, 0.1, 1e-3, 1e-5])
@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_powers_of_matrices_of_any_spectrum(reg, exponent, rng):
    """The iteration has converged, whatever the spectrum: of images with one dominant direction, and of noise."""
    noise = rng.rand(2, 16, 16, 3)
    waves = np.broadcast_to(np.sin(np.arange(16))[:, None, None], (1, 16, 16, 3)) + 1e-3 * noise[:1]
    X = np.concatenate([noise, waves]).astype(np.float32)
    whitening = PatchWhitening(exponent=exponent, reg=reg).fit(X)
    check(whitening, X)


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
    check(Pipeline([("features", fitted_map), ("head", head)]), X)


def test_probabilities_without_a_graph_are_left_out(fitted_map):
    head = SGDClassifier("modified_huber", random_state=0).fit(fitted_map.transform(IMAGES[:50]), DIGITS[:50])
    assert [output.name for output in to_onnx(head).graph.output] == ["label", "scores"]


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
@pytest.mark.parametrize("head", [LinearRegressor(), Ridge(), LinearRegression()], ids=lambda head: type(head).__name__)
def test_regressors(head, shape, rng):
    features = rng.rand(100, 5).astype(np.float32)
    check(clone(head).fit(features, rng.rand(100, *shape)), features)


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_end_to_end_classifiers(loss, n_classes):
    known = np.isin(DIGITS, range(n_classes))
    X, y = IMAGES[known][:60], LABELS[DIGITS[known][:60]]
    check(CKNClassifier(make_pipeline(layer()), loss=loss, max_iter=1, random_state=0).fit(X, y), X)


def test_end_to_end_regressors(rng):
    targets = DIGITS[:60] + 100.0
    check(CKNRegressor(layer(), max_iter=1, center=False, random_state=0).fit(IMAGES[:60], targets), IMAGES[:60])


def test_double_precision_is_rounded():
    model = make_pipeline(feature_map(layer(), center=True, scale=True), LinearClassifier())
    model.fit(IMAGES[:100].astype(float), DIGITS[:100])
    assert model[0].network_[0].filters_.dtype == np.float64
    check(model, IMAGES[:100])


def test_where_rounding_is_amplified_a_graph_is_as_accurate_as_the_estimator(rng):
    """Features of noise are nearly the same everywhere: less their mean, much of single precision is lost."""
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


def test_sparse_coefficients():
    images = IMAGES[:60].reshape(60, -1)
    check(LogisticRegression(max_iter=5, tol=1).fit(images, DIGITS[:60]).sparsify(), images)


@pytest.mark.parametrize(
    "kind, shape, settings",
    [
        ("fast", (8, 8), {}),
        ("balanced", (8, 8), {"augment": "flip"}),
        ("accurate", (8, 8), {}),
        ("fast", (12, 12, 3), {"augment": "flip"}),
        ("accurate", (12, 12, 3), {}),
        ("fast", (30, 2), {"ndim": 1}),
    ],
)
def test_recipes(kind, shape, settings, rng):
    y = np.arange(60) % 3
    rows = (rng.rand(60, np.prod(shape)) + np.outer(y, np.linspace(0, 1, np.prod(shape)))).astype(np.float32)
    check(few(make_classifier(kind, shape, random_state=0, **settings)).fit(rows, y), rows)


def test_union_of_some(rng):
    features = {"a": feature_map(layer()), "b": "drop", "c": make_pipeline(layer(), Flatten())}
    check(FeatureUnion(list(features.items()), transformer_weights={"a": 2.0}).fit(IMAGES[:50]), IMAGES[:7])


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
def test_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        to_onnx(estimator())


def test_model_says_what_it_is(fitted_map):
    model = to_onnx(fitted_map)
    assert (model.graph.name, model.producer_name) == ("CKNFeatureMap", "sklearn_ckn")
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)
    (given,) = model.graph.input
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == ["n", 8, 8, 1]


def test_package_does_not_import_onnx():
    code = "import sys, sklearn_ckn; assert 'onnx' not in sys.modules and 'sklearn_ckn.onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
