"""The estimator checks of scikit-learn, and the estimators within its tools."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_ckn import (
    AutoCKNClassifier,
    AutoCKNRegressor,
    CKNClassifier,
    CKNFeatureMap,
    CKNLayer,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    LinearRegressor,
)
from sklearn_ckn._auto import branches
from sklearn_ckn.preprocessing import ChannelScaler, Differences, GradientMap, PatchWhitening, _gradient_map


def layer(n_filters=4, **parameters):
    return CKNLayer(n_filters, **{"n_patches": 500, "max_iter": 5, "random_state": 0, **parameters})


# The checks pass tables, whose rows are read as series (ndim=1) or as images of one row (input_shape). Without one of
# these parameters, the tags of a layer state that it accepts no tables, and scikit-learn would check nothing.
# Some checks use data that are nearly constant, so that no step of the usual size lowers the objective.
@pytest.mark.filterwarnings("ignore:No round lowered:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        layer(ndim=1),
        layer(ndim=1, kernel="polynomial", sigma="auto", patch_size=2, pooling="average", pooling_width=1),
        layer(input_shape=(1, -1)),
        layer(ndim=3, input_shape=(1, -1, 1)),
        Flatten(),
        Flatten(center=True, scale=True),
        CKNFeatureMap(layer(ndim=1)),
        CKNFeatureMap(make_pipeline(layer(input_shape=(1, -1)), layer()), symmetries="flip", center=True, scale=True),
        LinearClassifier(),
        LinearClassifier("logistic"),
        LinearClassifier("squared_error"),
        LinearClassifier(C=[0.1, 1], validation_fraction=0.3, random_state=0),
        LinearRegressor(),
        LinearRegressor(C=[1e3, 1e6], validation_fraction=0.3, random_state=0),
        CKNClassifier(layer(ndim=1), max_iter=2, random_state=0),
        CKNClassifier(make_pipeline(layer(input_shape=(1, -1)), layer()), loss="logistic", max_iter=2, random_state=0),
        CKNRegressor(layer(8, ndim=1, pooling_width=1), max_iter=2, random_state=0),
        PatchWhitening(2, ndim=1),
        PatchWhitening((1, 2), method="global", input_shape=(1, -1), random_state=0),
        ChannelScaler(ndim=1),
        ChannelScaler(channels=[0], input_shape=(1, -1)),
        Differences(),
        Differences(input_shape=(-1, 1)),
    ],
    expected_failed_checks=lambda estimator: (
        {"check_sample_weight_equivalence_on_dense_data": "which samples and patches are drawn depends on their number"}
        if isinstance(getattr(estimator, "C", None), list) or isinstance(estimator, (CKNClassifier, CKNRegressor))
        else {}
    ),
)
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks([GradientMap(input_shape=(1, -1)), GradientMap(None, input_shape=(-1, 1, 1))])
def test_gradient_maps_pass_the_checks_of_scikit_learn(estimator, check, monkeypatch):
    """The checks pass tables of any number of columns, whose rows are read as images of one row or one column."""
    monkeypatch.setattr(_gradient_map, "SMALLEST", 1)
    check(estimator)


# Kernel matrices are computed in another order if there are other signals, and rounding decides between near ties.
@parametrize_with_checks(
    [
        AutoCKNClassifier("fast", ndim=1, random_state=0),
        AutoCKNClassifier("fast", input_shape=(1, -1), class_weight="balanced", random_state=0),
        AutoCKNRegressor("fast", ndim=1, random_state=0),
    ],
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": "which patches are drawn depends on the number of signals"
    },
)
def test_estimators_that_choose_pass_the_checks_of_scikit_learn(estimator, check, monkeypatch):
    monkeypatch.setitem(branches.FILTERS, "fast", (4, 8))
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    images, target = load_digits(return_X_y=True)
    return images[:400].reshape(-1, 8, 8).astype(np.float32), target[:400]


def features(**parameters):
    return CKNFeatureMap(make_pipeline(layer(16, **parameters), layer(24)), center=True, scale=True)


def classifier(**parameters):
    return make_pipeline(features(**parameters), RidgeClassifier(0.01))


def test_cross_validation(digits):
    assert cross_val_score(classifier(), *digits, cv=3).mean() > 0.8


@pytest.mark.parametrize("flattened", [False, True])
def test_grid_search_in_two_processes(digits, flattened):
    X, y = digits
    if flattened:
        X, model = X.reshape(len(X), -1), classifier(input_shape=(8, 8))
    else:
        model = make_pipeline(layer(16), layer(24), Flatten(center=True, scale=True), RidgeClassifier(0.01))
    prefix = "cknfeaturemap__network__cknlayer-1__" if flattened else "cknlayer-1__"
    grid = {prefix + "patch_size": [2, 3], prefix + "pooling_width": [1, 2]}
    scores = [GridSearchCV(model, grid, cv=3, n_jobs=n).fit(X, y).cv_results_["mean_test_score"] for n in (1, 2)]
    assert_array_equal(*scores)
    assert scores[0].max() > 0.8


def test_feature_union(digits):
    X, y = digits
    union = FeatureUnion([("fine", features()), ("coarse", features(patch_size=5))])
    assert make_pipeline(union, RidgeClassifier(0.01)).fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.8
    assert len(union.fit(X).get_feature_names_out()) == union.transform(X).shape[1]


def test_stacking_and_calibration(digits):
    X, y = digits
    stack = StackingClassifier([("fine", classifier()), ("coarse", classifier(patch_size=5))], LogisticRegression())
    assert stack.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.8
    calibrated = CalibratedClassifierCV(classifier(), cv=3).fit(X[:300], y[:300])
    assert calibrated.score(X[300:], y[300:]) > 0.8
    np.testing.assert_allclose(calibrated.predict_proba(X[300:]).sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore:Persisting input arguments took")  # of joblib, on a busy machine
def test_pipeline_with_memory(digits, tmp_path):
    X, y = digits
    steps = (layer(8), layer(12), Flatten(), RidgeClassifier(0.01))
    remembered = make_pipeline(*steps, memory=str(tmp_path))
    expected = make_pipeline(*steps).fit(X, y).predict(X)
    for _ in range(2):  # The maps are computed first, and then read from the memory.
        assert_array_equal(remembered.fit(X, y).predict(X), expected)


def test_html_links_to_the_documentation():
    model = make_pipeline(CKNFeatureMap(CKNLayer()), LinearClassifier())
    for name in ("CKNFeatureMap", "CKNLayer", "LinearClassifier"):
        assert f'/api/sklearn_ckn.{name}.html"' in model._repr_html_()
