"""CKNClassifier and CKNRegressor: what they learn, when they stop, how training continues, and what they refuse."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from supervised import assert_same_model, classifier, interrupt_call, interruptible, layer, network, regressor

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNLayer, LinearClassifier, LinearRegressor
from sklearn_ckn import _training as training
from sklearn_ckn._core.layer.flatten import flatten
from sklearn_ckn._core.layer.nystroem import whitening
from sklearn_ckn._core.linear import solver
from sklearn_ckn._targets import hold_out


@pytest.fixture(scope="module")
def fitted(digits):
    return classifier().fit(*digits)


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_without_rounds_the_classifier_equals_feature_map_and_linear_classifier(loss, digits):
    X, y = digits
    model = classifier(loss=loss, alpha=1e-3, max_iter=0).fit(X, y)
    linear = LinearClassifier(loss, C=1 / (1e-3 * len(X)), tol=training.HEAD_TOL)
    expected = make_pipeline(CKNFeatureMap(network(), center=True, scale=True), linear).fit(X, y)
    assert_array_equal(model.coef_, linear.coef_)
    assert_allclose(model.decision_function(X), expected.decision_function(X), atol=1e-5)
    assert model.n_iter_ == 0 and len(model.loss_curve_) == 1 and model.validation_scores_ is None


def test_without_rounds_the_regressor_equals_feature_map_and_linear_regressor(digits):
    X, y = digits
    model = regressor(alpha=1e-3, max_iter=0).fit(X, y)
    linear = LinearRegressor(C=1 / (1e-3 * len(X)), tol=training.HEAD_TOL)
    expected = make_pipeline(CKNFeatureMap(network(), center=True, scale=True), linear).fit(X, y)
    assert_array_equal(model.coef_, linear.coef_)
    assert_allclose(model.predict(X), expected.predict(X), atol=1e-4)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_symmetries_average_the_features_of_training_and_prediction(make, digits):
    """Without rounds, the model equals a feature map and a linear model. With rounds, it remains invariant."""
    X, y = digits
    model = make(symmetries="dihedral", alpha=1e-3, max_iter=0).fit(X, y)
    features = CKNFeatureMap(network(), symmetries="dihedral", center=True, scale=True).fit(X)
    S = features.transform(X) @ np.atleast_2d(model.coef_).T + model.intercept_
    assert_allclose(scores(model, X).reshape(len(X), -1), S, atol=1e-4)
    trained = make(symmetries="dihedral", early_stopping=True, max_iter=2).fit(X, y)
    assert trained.loss_curve_[-1] < trained.loss_curve_[0]
    for other in (X[:, ::-1], np.rot90(X, axes=(1, 2))):
        assert_array_equal(scores(trained, other), scores(trained, X))
    before = scores(trained, X)
    assert_array_equal(scores(trained.set_params(symmetries=None), X), before)  # The features are those of the fit.
    trained.set_params(symmetries="dihedral", warm_start=True, max_iter=1, early_stopping=False).fit(X, y)
    trained.partial_fit(X, y)
    assert_array_equal(scores(trained, X[:, ::-1]), scores(trained, X))
    assert np.abs(scores(trained, X) - before).max() > 1e-3


def scores(model, X):
    """Return the scores or predictions of a model for all signals."""
    return getattr(model, "decision_function", model.predict)(X)


@pytest.mark.parametrize("name", ["symmetries", "augmentation"])
def test_quarter_turns_require_square_images(name, digits):
    X, y = digits
    fitted = classifier(max_iter=0).fit(X[:, :6], y)
    for model in (classifier(**{name: "rotate"}), fitted.set_params(**{name: "rotate"}, warm_start=True)):
        with pytest.raises(ValueError, match=rf"{name}='rotate' rotates .* requires square .* \(6, 8\)\. Crop or pad"):
            model.fit(X[:, :6], y)
    with pytest.raises(ValueError, match=rf"{name}='rotate' .* Set {name} to 'flip' or None"):
        CKNClassifier(layer(ndim=1), **{name: "rotate"}).fit(X[:, 0], y)


def test_rounds_lower_the_objective(fitted, digits):
    X, y = digits
    assert fitted.n_iter_ == 3 and len(fitted.loss_curve_) == 4
    assert (np.diff(fitted.loss_curve_) < 0).all()
    S, Y = fitted.decision_function(X), np.where(y[:, None] == np.arange(10), 1, -1)
    objective = fitted.alpha / 2 * (fitted.coef_**2).sum() + (np.maximum(1 - Y * S, 0) ** 2).sum(axis=1).mean()
    assert fitted.loss_curve_[-1] == pytest.approx(objective, rel=1e-4)


def test_training_with_labels_raises_the_accuracy_on_new_images():
    images, y = load_digits(return_X_y=True)
    X = images.reshape(-1, 8, 8).astype(np.float32)
    layers = make_pipeline(layer(6, pooling_width=1), layer(8))
    scores = [
        CKNClassifier(layers, max_iter=n, random_state=0, batch_size=32).fit(X[:600], y[:600]).score(X[600:], y[600:])
        for n in (0, 8)
    ]
    assert scores[1] > scores[0] + 0.01


def test_fitted_network_consists_of_ordinary_fitted_layers(fitted, digits):
    X, _ = digits
    assert isinstance(fitted.network_, Pipeline) and [*fitted.network_.named_steps] == ["cknlayer-1", "cknlayer-2"]
    for fitted_layer in fitted.network_:
        Z = fitted_layer.filters_.reshape(len(fitted_layer.filters_), -1)
        assert_allclose(np.linalg.norm(Z, axis=1), 1, rtol=1e-6)
        expected = whitening(Z, fitted_layer._settings)
        assert_allclose(fitted_layer.whitening_, expected, atol=1e-4 * np.abs(expected).max())
    features = flatten(fitted.network_.transform(X), center=True, scale=True)
    scores = features @ fitted.coef_.T + fitted.intercept_
    assert_allclose(fitted.decision_function(X), scores, atol=1e-4)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.decision_function(X), fitted.decision_function(X))


def test_fit_changes_nothing_of_the_caller(digits):
    X, y = (a.copy() for a in digits)
    X.flags.writeable = y.flags.writeable = False
    model, architecture, state = classifier(augmentation="flip-crop"), network(), np.random.get_state()[1].copy()
    before = {name: repr(value) for name, value in model.set_params(network=architecture).get_params().items()}
    model.fit(X, y)
    assert {name: repr(value) for name, value in model.get_params().items()} == before
    assert all(not hasattr(step, "filters_") for step in architecture)
    assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    "parameters", [{}, {"early_stopping": True, "augmentation": "flip-crop", "symmetries": "flip"}], ids=str
)
def test_random_state_determines_the_model_for_any_number_of_threads(parameters, digits):
    one, two = (classifier(n_jobs=n, **parameters).fit(*digits) for n in (1, 2))
    assert_same_model(one, two)
    assert one.validation_scores_ == two.validation_scores_
    assert_array_equal(one.decision_function(digits[0]), two.decision_function(digits[0]))


def test_parameters_of_numpy_types_give_the_same_model(digits):
    of_numpy = {name: np.float64(getattr(classifier(), name)) for name in ("alpha", "learning_rate", "momentum")}
    one, two = classifier().fit(*digits), classifier(**of_numpy).fit(*digits)
    assert_same_model(one, two)
    assert two.network_[0].filters_.dtype == np.float32


def test_parameters_changed_after_fit_do_not_change_predictions(digits):
    X, y = digits
    model = classifier(center=False, scale=False, alpha=1.0, max_iter=1).fit(X, y)
    assert model.loss_curve_[1] < model.loss_curve_[0] and model.score(X, y) > 0.9
    features = flatten(model.network_.transform(X), center=False, scale=False)
    assert_allclose(model.decision_function(X), features @ model.coef_.T + model.intercept_, rtol=1e-3, atol=1e-3)
    before = model.decision_function(X)
    assert_array_equal(model.set_params(scale=True, loss="logistic").decision_function(X), before)
    assert not hasattr(model, "predict_proba")


def test_layers_without_random_state_use_that_of_the_classifier(digits):
    free = make_pipeline(layer(random_state=None), layer(random_state=None))
    models = [CKNClassifier(free, max_iter=1, random_state=n).fit(*digits) for n in (1, 1, 2)]
    assert all(isinstance(step.random_state, int) for step in models[0].network_)
    assert_same_model(*models[:2])
    assert models[0].loss_curve_ != models[2].loss_curve_


def test_labels_may_have_any_type(digits):
    X, y = digits
    names = np.array([f"digit {digit}" for digit in y])
    by_name, by_number = classifier(max_iter=1).fit(X, names), classifier(max_iter=1).fit(X, y)
    assert_array_equal(by_name.classes_, np.unique(names))
    assert_array_equal(by_name.coef_, by_number.coef_)
    two = classifier(max_iter=1).fit(X, y > 4)
    assert two.coef_.shape == (1, 192) and two.decision_function(X).shape == (len(X),)
    assert two.predict(X).dtype == bool and two.score(X, y > 4) > 0.9


def test_weights_of_samples_and_classes_act_like_repeated_samples(digits):
    X, y = digits
    y = y[:100] > 4
    given = np.random.RandomState(1).rand(8, 3, 3, 1)  # The filters are given, so no patches are drawn.
    fixed = CKNClassifier(layer(init=given), max_iter=0, alpha=1e-3)
    twice = clone(fixed).fit(np.concatenate([X[:100], X[:50]]), np.concatenate([y, y[:50]]))
    weighted = clone(fixed).fit(X[:100], y, sample_weight=np.where(np.arange(100) < 50, 2, 1))
    assert_allclose(twice.decision_function(X), weighted.decision_function(X), atol=2e-3)
    by_class = clone(fixed).set_params(class_weight={True: 3, False: 1}).fit(X[:100], y)
    by_sample = clone(fixed).fit(X[:100], y, sample_weight=np.where(y, 3, 1))
    assert_allclose(by_class.decision_function(X), by_sample.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("n, wide", [(200, False), (90, True)])
def test_samples_of_weight_zero_have_no_effect(n, wide, digits, monkeypatch):
    """Only the other samples count, even if the solver replaces features by coordinates in their span."""
    monkeypatch.setattr(solver, "WIDE", 0)
    X, y = digits
    weights = (np.arange(300) < n).astype(float)
    other = X.copy()
    other[n:] = 7 * other[299 - n :: -1]
    one, two = (classifier(max_iter=2).fit(signals, y, sample_weight=weights) for signals in (X, other))
    assert (2 * n <= one.coef_.shape[1]) == wide
    assert_same_model(one, two)
    assert_same_model(one, classifier(max_iter=2).fit(X[:n], y[:n]))


def test_held_out_signals_have_no_effect_on_the_filters(digits):
    X, y = digits
    model = classifier(early_stopping=True, max_iter=1)
    held_out, other = hold_out(model, np.ones(len(X)), y, "", ""), X.copy()
    other[held_out] = 0
    one, two = clone(model).fit(X, y), clone(model).fit(other, y)
    assert_same_model(one, two)
    assert one.validation_scores_ != two.validation_scores_


def test_early_stopping_keeps_the_best_filters(digits):
    X, y = digits
    model = classifier(early_stopping=True, validation_fraction=0.3, max_iter=6, learning_rate=0.2).fit(X, y)
    assert len(model.validation_scores_) == len(model.loss_curve_) == model.n_iter_ + 1
    held_out = hold_out(model, np.ones(len(X)), y, "", "")
    assert model.score(X[held_out], y[held_out]) == pytest.approx(max(model.validation_scores_))
    idle = classifier(early_stopping=True, n_iter_no_change=2, tol=1.0, max_iter=50).fit(X, y)
    assert idle.n_iter_ == 2
    assert classifier(tol=1.0, n_iter_no_change=3, max_iter=50).fit(X, y).n_iter_ == 3


def test_training_that_never_lowers_the_objective_gives_a_warning(digits):
    message = r"the same as before training.*was 30(.0)? in the first round and at most 15 in the last .* rounds: 2"
    with pytest.warns(ConvergenceWarning, match=message):
        model = classifier(learning_rate=30, schedule="constant", max_iter=2).fit(*digits)
    expected = classifier(max_iter=0).fit(*digits)
    assert_array_equal(model.network_[0].filters_, expected.network_[0].filters_)
    assert_array_equal(model.coef_, expected.coef_)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_gradients_that_overflow_cause_no_warning_of_numpy(method, digits):
    """The derivatives of features that are divided by their tiny norms overflow. Such steps are undone."""
    X, y = digits
    model = regressor(scale=True, max_iter=1, n_jobs=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(model, method)((X[:64] * 1e-22).astype(np.float32), y[:64].astype(float))
    assert {warning.category for warning in caught} <= {UserWarning, ConvergenceWarning}
    assert any("and was undone" in str(each.message) or "No round lowered" in str(each.message) for each in caught)
    assert np.isfinite(model.coef_).all()


def test_partial_fit_learns_from_batches_and_refuses_other_classes(digits):
    X, y = digits
    model = classifier()
    for i in range(4):
        model.partial_fit(X[i::4], y[i::4], classes=np.arange(10) if i == 0 else None)
    assert model.n_iter_ == 4 and len(model.loss_curve_) == 5
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match=r"not among \[0, .*9\]: \[10\]"):
        model.partial_fit(X[:2], [1, 10])
    with pytest.raises(ValueError, match=r"are not the classes of the previous fit"):
        model.partial_fit(X[:2], [1, 2], classes=[1, 2])
    with pytest.raises(ValueError, match=r"classes must have at least two classes; got one class, 1"):
        classifier().partial_fit(X[y == 1], y[y == 1], classes=[1])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all samples"):
        classifier(class_weight="balanced").partial_fit(X, y, classes=np.arange(10))


def mean_loss(model, X, y, weights):
    """Return the weighted mean of the squared hinge loss."""
    S, Y = model.decision_function(X), np.where(y[:, None] == model.classes_, 1, -1)
    return np.average((np.maximum(1 - Y * S, 0) ** 2).sum(axis=1), weights=weights)


def test_partial_fit_records_the_weighted_mean_loss(digits, fitted):
    X, y = digits
    weights = np.random.RandomState(0).randint(3, size=len(X)).astype(float)
    model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=300, learning_rate=1e-9)
    model.partial_fit(X, y, sample_weight=weights)  # The loss is recorded before the only step.
    assert model.loss_curve_[-1] == pytest.approx(mean_loss(fitted, X, y, weights), rel=1e-4)
    other = X.copy()
    other[weights == 0] = 0
    again = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=300, learning_rate=1e-9)
    assert_array_equal(again.partial_fit(other, y, sample_weight=weights).coef_, model.coef_)
    assert mean_loss(model, X, y, weights) < mean_loss(fitted, X, y, weights)


@pytest.mark.parametrize("batch_size", [1, 4, 600])
def test_samples_of_small_weight_have_little_effect_in_partial_fit(batch_size, digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=batch_size, learning_rate=1e-9)
    right_and_wrong, weights = np.concatenate([y, (y + 1) % 10]), np.repeat([1, 1e-3], len(y))
    model.partial_fit(np.concatenate([X, X]), right_and_wrong, sample_weight=weights)
    assert model.score(X, y) > 0.95


def test_a_short_last_mini_batch_moves_the_model_little(digits, fitted):
    X, y = digits
    moved = []
    for n in (256, 257):
        model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=256)
        model.partial_fit(X[:n], y[:n])
        arrays = (model.coef_, fitted.coef_), (model.network_[0].filters_, fitted.network_[0].filters_)
        moved.append([np.abs(now - before).max() for now, before in arrays])
    assert_allclose(moved[1], moved[0], rtol=0.3)


def test_partial_fit_keeps_the_feature_names(digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits[0].reshape(300, -1), digits[1]
    names = [f"pixel {i}" for i in range(64)]
    model = CKNClassifier(layer(input_shape=(8, 8)), max_iter=1)
    model.partial_fit(pandas.DataFrame(X, columns=names), y, classes=np.arange(10))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.partial_fit(X, y)
    assert [*model.feature_names_in_] == names


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_partial_fit_learns_from_signals_of_any_scale(size, digits):
    X, y = digits
    model = classifier(center=False, scale=False, alpha=1e-3 * size**2)
    for _ in range(3):
        model.partial_fit(size * X, y, classes=np.arange(10))
    assert model.score(size * X, y) > 0.95
    darker = np.concatenate([1e-3 * size * X[:16], size * X[16:]])  # The first signals say nothing about the others.
    before = model.score(darker, y)
    assert model.partial_fit(darker, y).score(darker, y) > before - 0.05


def test_partial_fit_continues_after_fit(digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).partial_fit(X, y)
    assert model.n_iter_ == fitted.n_iter_ + 1
    moved = np.abs(model.network_[0].filters_ - fitted.network_[0].filters_).max()
    assert 0 < moved < 0.5 and model.score(X, y) > 0.95


@pytest.mark.parametrize("first, then", [(np.float32, np.float64), (np.float64, np.float32), (np.uint8, np.float64)])
def test_training_continues_with_signals_of_another_dtype(first, then, digits):
    X, y = digits
    model = classifier(max_iter=1, warm_start=True).fit(X.astype(first), y)
    longer = np.result_type(model.coef_, then)
    for resume in (model.partial_fit, model.partial_fit, model.fit):
        resume(X.astype(then), y)
        assert model.coef_.dtype == model.network_[0].filters_.dtype == longer
    assert model.score(X, y) > 0.95


def test_partial_fit_of_the_regressor(digits):
    X, y = digits
    model = regressor(learning_rate=0.005)
    for i in (0, 1, 2, 0, 1, 2):
        model.partial_fit(X[i::3], y[i::3])
    assert model.score(X, y) > 0.6
    with pytest.raises(ValueError, match=r"y must have shape \(n_samples\), as in the previous fit; got \(300, 2\)"):
        model.partial_fit(X, np.stack([y, y], axis=1))


def test_regressor_ignores_targets_of_weight_zero(digits):
    X, y = digits
    targets = np.stack([y, y % 3], axis=1).astype(float)
    weights = (np.arange(300) < 200).astype(float)
    other = targets.copy()
    other[200:] = 1e30
    one, two = (regressor().fit(X, Y, sample_weight=weights) for Y in (targets, other))
    assert_same_model(one, two)
    assert one.score(X[:200], targets[:200]) > 0.6


def test_warm_start_continues_from_the_previous_fit(digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    before = model.loss_curve_[-1]
    model.fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(before, rel=1e-5) and model.loss_curve_[-1] < before
    with pytest.raises(ValueError, match="not among"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="fitted on signals of shape"):
        model.fit(X[:, 1:], y)


def test_interrupted_fit_keeps_the_finished_rounds(digits):
    interrupt_call(16, KeyboardInterrupt())
    with pytest.warns(UserWarning, match="Interrupted after 1 of max_iter=3 rounds"):
        model = classifier(augmentation=interruptible).fit(*digits)
    assert model.n_iter_ == 1 and model.score(*digits) > 0.9
    penalty = model.alpha / 2 * (model.coef_**2).sum()
    assert model.loss_curve_[-1] == pytest.approx(penalty + mean_loss(model, *digits, None), rel=1e-4)
    interrupt_call(1, KeyboardInterrupt())  # This is before any round has finished.
    model = classifier(augmentation=interruptible)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*digits)
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    "augmentation, message",
    [
        (lambda X, rng: X[:, 1:], r"augmented has shape \(256, 7, 8, 1\)"),
        (lambda X, rng: X[..., :0], r"augmented has shape \(256, 8, 8, 0\)"),
        (lambda X, rng: X * np.nan, "contains NaN"),
        (lambda X, rng: [x[: 1 + i % 2] for i, x in enumerate(X)], "256 signals of 2 shapes"),
        (lambda X, rng: 1e30 * X, "augmented has values up to .*divide"),
        (lambda X, rng: np.zeros(X.shape, "f4, f4"), "structured array with the field"),
    ],
)
def test_result_of_a_user_augmentation_is_checked(augmentation, message, digits):
    rule = r"augmentation must return finite signals of the same shape as its input, \(256, 8, 8, 1\)\. The result"
    with pytest.raises(ValueError, match=f"{rule}, here called augmented, is invalid: .*{message}"):
        classifier(augmentation=augmentation).fit(*digits)


def test_probabilities_agree_with_predictions(digits):
    X, y = digits
    model = classifier(loss="logistic", max_iter=1).fit(X, y)
    P = model.predict_proba(X)
    assert_allclose(P.sum(axis=1), 1, rtol=1e-5)
    assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X))
    assert_allclose(np.log(P), model.predict_log_proba(X), atol=1e-5)
    with pytest.raises(AttributeError, match="predict_proba"):
        classifier().predict_proba(X)
    calibrated = CalibratedClassifierCV(classifier(max_iter=1), cv=2).fit(X, y)
    assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


def test_grid_search_tunes_parameters_of_layers(digits):
    grid = {"network__cknlayer-1__patch_size": [2, 3], "alpha": [1e-4, 1e-1]}
    search = GridSearchCV(classifier(max_iter=1), grid, cv=2).fit(*digits)
    assert search.best_params_["alpha"] == 1e-4 and search.best_score_ > 0.8


@pytest.mark.parametrize(
    "shape, parameters",
    [
        ((40, 12), {"ndim": 1}),
        ((40, 12, 2), {"ndim": 1, "padding": "valid"}),
        ((40, 4, 5, 3), {"ndim": 3, "kernel": "polynomial"}),
        ((40, 24), {"input_shape": (4, 6)}),
        ((40, 6, 6), {"pooling": "average", "kernel": "inverse_polynomial"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_signals_may_have_any_number_of_axes_and_any_dtype(shape, parameters, dtype, rng):
    X, y = (255 * rng.rand(*shape)).astype(dtype), rng.randint(3, size=40)
    model = CKNClassifier(layer(5, **parameters), max_iter=2, random_state=0, learning_rate=0.005).fit(X, y)
    expected = np.float64 if dtype == np.float64 else np.float32
    assert model.coef_.dtype == model.decision_function(X).dtype == model.network_[0].filters_.dtype == expected
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_regression_of_several_targets(digits):
    X, y = digits
    targets = np.stack([y, 100 - 10 * y, np.full(len(y), 3)], axis=1)
    both, one = regressor(max_iter=2).fit(X, targets), regressor(max_iter=2).fit(X, y)
    assert both.predict(X).shape == targets.shape and one.predict(X).shape == y.shape
    assert both.coef_.shape == (3, 192) and one.coef_.shape == (192,) and np.ndim(one.intercept_) == 0
    assert_allclose(both.predict(X)[:, 2], 3, atol=1e-4)
    assert_allclose(both.predict(X)[:, 1], 100 - 10 * both.predict(X)[:, 0], atol=0.05)
    assert (np.diff(one.loss_curve_) < 0).all()
    pixels = Ridge(1.0).fit(X.reshape(300, -1)[:200], y[:200]).score(X.reshape(300, -1)[200:], y[200:])
    assert regressor(max_iter=5, alpha=1e-3).fit(X[:200], y[:200]).score(X[200:], y[200:]) > pixels


BAD_FITS = [
    pytest.param(lambda X, y: (X, np.zeros(300)), {}, ValueError, "y must have at least two classes", id="one class"),
    pytest.param(lambda X, y: (X, np.where(y == 1, np.nan, y)), {}, ValueError, "NaN", id="NaN in y"),
    pytest.param(lambda X, y: (X, None), {}, ValueError, "requires y to be passed", id="no y"),
    pytest.param(lambda X, y: (X, y[1:]), {}, ValueError, "inconsistent numbers", id="length"),
    pytest.param(lambda X, y: (X, y + 0.5), {}, ValueError, "Unknown label type", id="real labels"),
    pytest.param(lambda X, y: (X, y, -np.ones(300)), {}, ValueError, "sample_weight must be >= 0", id="weights"),
    pytest.param(lambda X, y: (X, y), {"network": Ridge()}, TypeError, "network must be a CKNLayer", id="no network"),
    pytest.param(lambda X, y: (X, y), {"network": CKNLayer}, TypeError, "the class CKNLayer, not an", id="a class"),
    pytest.param(
        lambda X, y: (X, y), {"network": CKNFeatureMap(layer())}, TypeError, "estimator's network", id="feature map"
    ),
    pytest.param(
        lambda X, y: (X, y), {"network": layer(kernel="arccos0")}, ValueError, "infinite slope", id="arccos0"
    ),
    pytest.param(lambda X, y: (X, y), {"alpha": 0}, ValueError, "'alpha' parameter", id="alpha"),
    pytest.param(lambda X, y: (X, y), {"learning_rate": -1}, ValueError, "'learning_rate'", id="learning rate"),
    pytest.param(lambda X, y: (X, y), {"augmentation": "turn"}, ValueError, "'augmentation'", id="augmentation"),
    pytest.param(
        lambda X, y: (X[:2], np.arange(2)), {"early_stopping": True}, ValueError,
        r"early_stopping=True requires .* none can be drawn from 2 samples with validation_fraction=0\.1",
        id="too few to hold out",
    ),
    pytest.param(lambda X, y: (X.reshape(300, -1), y), {}, ValueError, "set input_shape", id="flat"),
]  # fmt: skip


@pytest.mark.parametrize("data, parameters, error, message", BAD_FITS)
def test_bad_fits_are_refused(data, parameters, error, message, digits):
    model = classifier(**parameters) if "network" not in parameters else CKNClassifier(**parameters)
    before = set(vars(model))
    with pytest.raises(error, match=message):
        model.fit(*data(*digits))
    assert set(vars(model)) - {"_skl_callbacks"} == before
    with pytest.raises(NotFittedError):
        model.predict(digits[0])


def test_bad_targets_of_a_regressor_are_refused(digits):
    X, y = digits
    for bad, message in ((np.where(y == 1, np.nan, y), "NaN"), (y * 1e37, "divide y by a constant")):
        with pytest.raises(ValueError, match=message):
            regressor().fit(X, bad)


def test_failed_fit_leaves_the_model_unchanged(fitted, digits):
    X, _ = digits
    model = pickle.loads(pickle.dumps(fitted))
    with pytest.raises(ValueError, match="two classes"):
        model.fit(X, np.zeros(300))
    assert_array_equal(model.decision_function(X), fitted.decision_function(X))


@pytest.mark.parametrize("make", [lambda net: CKNFeatureMap(net), lambda net: CKNClassifier(net)])
def test_column_names_of_mixed_types_are_refused_before_training(make, digits, monkeypatch):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    monkeypatch.setattr(CKNLayer, "_learn", lambda *_: pytest.fail("training began"))
    names = [*map(str, range(63)), 63]
    with pytest.raises(TypeError, match="Feature names"):
        make(layer(input_shape=(8, 8))).fit(pandas.DataFrame(X.reshape(len(X), -1), columns=names), y)


def test_ordinary_fits_cause_no_warning(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(max_iter=1).fit(*digits).predict(digits[0])
