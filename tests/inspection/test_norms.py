"""Norms and Lipschitz bounds of linear models of features."""

import numpy as np
import pytest
from inspected_networks import DIGITS, LABELS, layer
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_ckn import CKNFeatureMap, Flatten, LinearClassifier, LinearRegressor
from sklearn_ckn.inspection import deformation, lipschitz_bound, rkhs_norm


@pytest.mark.parametrize(
    "model", [LinearClassifier(), LinearSVC(), LogisticRegression(max_iter=2000), SVC(kernel="linear")], ids=repr
)
@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_std=False), "passthrough"], ids=repr)
def test_lipschitz_bound_holds(model, scaler):
    features = CKNFeatureMap(layer(), scale=True)
    pipeline = make_pipeline(features, scaler, model).fit(DIGITS, LABELS % 2)
    deformed = deformation(DIGITS, 1, random_state=0).signals
    change = np.abs(pipeline.decision_function(DIGITS) - pipeline.decision_function(deformed))
    bound = lipschitz_bound(pipeline, DIGITS, deformed)
    assert bound.shape == (60, 1) and rkhs_norm(pipeline).shape == (1,)
    assert (change <= bound[:, 0]).all()
    assert not lipschitz_bound(pipeline, DIGITS, DIGITS).any()


@pytest.mark.parametrize("scaler", [StandardScaler(), "passthrough"], ids=repr)
def test_lipschitz_bound_is_attained_in_the_direction_of_the_difference(scaler):
    Y = DIGITS[:, [0, 2]].reshape(60, -1)
    pipeline = make_pipeline(layer(), layer(), Flatten(), scaler, Ridge()).fit(DIGITS, Y)
    first, second = pipeline[:3].transform(DIGITS[:2]).reshape(2, -1)
    scale = pipeline[3].scale_ if scaler != "passthrough" else 1
    pipeline[-1].coef_[3] = (first - second) * scale
    x, y = (pipeline.predict(DIGITS[i : i + 1])[0] for i in (0, 1))
    bound = lipschitz_bound(pipeline, DIGITS[:1], DIGITS[1:2])[0]
    assert bound.shape == (16,) and (np.abs(x - y) <= bound * (1 + 1e-12)).all()
    assert_allclose(np.abs(x - y)[3], bound[3], rtol=1e-10)
    assert_allclose(rkhs_norm(pipeline)[3], np.linalg.norm(first - second), rtol=1e-12)


def test_norm_equals_that_of_kernel_ridge_regression(feature_map):
    model = make_pipeline(feature_map, Ridge(alpha=5.0, fit_intercept=False, solver="cholesky")).fit(DIGITS, LABELS)
    features = model[0].transform(DIGITS)
    K = features @ features.T
    a = KernelRidge(alpha=5.0, kernel="precomputed").fit(K, LABELS).dual_coef_
    assert_allclose(rkhs_norm(model), np.sqrt(a @ K @ a), rtol=1e-8)


def test_every_output_has_its_own_norm():
    classes = make_pipeline(CKNFeatureMap(layer()), LinearClassifier()).fit(DIGITS, LABELS)
    assert_array_equal(rkhs_norm(classes), np.linalg.norm(classes[-1].coef_, axis=1))
    target = make_pipeline(layer(), Flatten(), LinearRegressor()).fit(DIGITS, LABELS)
    assert_array_equal(rkhs_norm(target), np.linalg.norm(target[-1].coef_[None], axis=1))


@pytest.mark.parametrize(
    "wrong",
    [
        make_pipeline(CKNFeatureMap(layer(ndim=1)), SVC()),
        make_pipeline(CKNFeatureMap(layer(ndim=1)), StandardScaler()),
        make_pipeline(StandardScaler(), CKNFeatureMap(layer(ndim=1)), Ridge()),
        make_pipeline(StandardScaler(), Ridge()),
        Pipeline([("none", "passthrough")]),
        Ridge(),
    ],
    ids=["no coef_", "no model", "not a layer first", "no features", "no step", "no pipeline"],
)
def test_estimators_other_than_linear_models_of_features_are_rejected(wrong):
    wrong.fit(DIGITS[:, 0], LABELS)
    with pytest.raises(
        TypeError,
        match=r"estimator must be a fitted Pipeline of a CKNFeatureMap .*coef_; got an object.* best_estimator_",
    ):
        rkhs_norm(wrong)


def test_unfitted_pipelines_and_unequal_numbers_of_signals_are_rejected():
    pipeline = make_pipeline(CKNFeatureMap(layer()), Ridge())
    with pytest.raises(NotFittedError):
        lipschitz_bound(pipeline, DIGITS, DIGITS)
    with pytest.raises(ValueError, match="X and Y must have the same number of signals; got 60 and 59"):
        lipschitz_bound(pipeline.fit(DIGITS, LABELS), DIGITS, DIGITS[1:])
