"""CKNClassifier and CKNRegressor: what they learn, how they stop, resume and fail."""

import functools
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

from sklearn_ckn import (
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNLayer,
    CKNRegressor,
    LinearClassifier,
    LinearRegressor,
)
from sklearn_ckn import _training as training
from sklearn_ckn._core.layer.flatten import flatten
from sklearn_ckn._core.layer.nystroem import whitening
from sklearn_ckn._core.linear import solver
from sklearn_ckn._targets import hold_out


def layer(n_filters=8, **parameters):
    return CKNLayer(n_filters, **{"n_patches": 1000, "max_iter": 3, "random_state": 0, **parameters})


def network():
    return make_pipeline(layer(pooling_width=1, patch_centering=True), layer(12, patch_size=2))


def classifier(**parameters):
    return CKNClassifier(network(), **{"max_iter": 3, "batch_size": 32, "random_state": 0, **parameters})


def regressor(**parameters):
    return CKNRegressor(network(), **{"max_iter": 3, "batch_size": 32, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def digits():
    images, target = load_digits(return_X_y=True)
    return images[:300].reshape(-1, 8, 8).astype(np.float32), target[:300]


@pytest.fixture(scope="module")
def fitted(digits):
    return classifier().fit(*digits)


def assert_same_model(a, b):
    assert_array_equal(a.coef_, b.coef_)
    assert_array_equal(a.intercept_, b.intercept_)
    for one, other in zip(a.network_, b.network_):
        assert_array_equal(one.filters_, other.filters_)
        assert_array_equal(one.whitening_, other.whitening_)
    assert a.loss_curve_ == b.loss_curve_ and a.n_iter_ == b.n_iter_


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_without_rounds_it_is_the_feature_map_and_the_linear_classifier(loss, digits):
    X, y = digits
    model = classifier(loss=loss, alpha=1e-3, max_iter=0).fit(X, y)
    linear = LinearClassifier(loss, C=1 / (1e-3 * len(X)), tol=training.HEAD_TOL)
    expected = make_pipeline(CKNFeatureMap(network(), center=True, scale=True), linear).fit(X, y)
    assert_array_equal(model.coef_, linear.coef_)
    assert_allclose(model.decision_function(X), expected.decision_function(X), atol=1e-5)
    assert model.n_iter_ == 0 and len(model.loss_curve_) == 1 and model.validation_scores_ is None


def test_without_rounds_the_regressor_is_the_feature_map_and_the_linear_regressor(digits):
    X, y = digits
    model = regressor(alpha=1e-3, max_iter=0).fit(X, y)
    linear = LinearRegressor(C=1 / (1e-3 * len(X)), tol=training.HEAD_TOL)
    expected = make_pipeline(CKNFeatureMap(network(), center=True, scale=True), linear).fit(X, y)
    assert_array_equal(model.coef_, linear.coef_)
    assert_allclose(model.predict(X), expected.predict(X), atol=1e-4)


@pytest.mark.parametrize("small", [solver.SMALL, 0])
def test_the_linear_model_starts_from_that_of_the_epoch(small, digits, monkeypatch):
    """The same optimum is found from there, with coordinates of the rows of W or without."""
    solve, excesses = training.Problem.solve, []

    def both(problem, layers, start=None, *more):
        found, from_none = solve(problem, layers, start, *more), solve(problem, layers)
        excesses.append(found[1] / from_none[1] - 1)
        return found

    monkeypatch.setattr(solver, "SMALL", small)
    monkeypatch.setattr(training.Problem, "solve", both)
    classifier(alpha=1e-3).fit(*digits)
    assert len(excesses) == 4 and excesses[0] == 0 and any(excesses)
    assert max(excesses) < training.HEAD_TOL


@pytest.mark.parametrize("setting", ["few passes", "worse than what there was"])
def test_a_start_that_leads_nowhere_leaves_no_trace(setting, digits, monkeypatch):
    solve = training.Problem.solve
    if setting == "few passes":
        monkeypatch.setattr(training, "FEW_PASSES", 1)
        model = classifier().fit(*digits)
    else:

        def refuse(problem, layers, start=None, *_):
            return solve(problem, layers, start, -1)

        monkeypatch.setattr(training.Problem, "solve", refuse)
        model = classifier().fit(*digits)
    monkeypatch.setattr(training.Problem, "solve", lambda problem, layers, *_: solve(problem, layers))
    assert_same_model(model, classifier().fit(*digits))


def test_rounds_lower_the_objective(fitted, digits):
    X, y = digits
    assert fitted.n_iter_ == 3 and len(fitted.loss_curve_) == 4
    assert (np.diff(fitted.loss_curve_) < 0).all()
    S, Y = fitted.decision_function(X), np.where(y[:, None] == np.arange(10), 1, -1)
    objective = fitted.alpha / 2 * (fitted.coef_**2).sum() + (np.maximum(1 - Y * S, 0) ** 2).sum(axis=1).mean()
    assert fitted.loss_curve_[-1] == pytest.approx(objective, rel=1e-4)


def test_labels_help_on_new_images():
    images, y = load_digits(return_X_y=True)
    X = images.reshape(-1, 8, 8).astype(np.float32)
    few = make_pipeline(layer(6, pooling_width=1), layer(8))
    scores = [
        CKNClassifier(few, max_iter=n, random_state=0, batch_size=32).fit(X[:600], y[:600]).score(X[600:], y[600:])
        for n in (0, 8)
    ]
    assert scores[1] > scores[0] + 0.01


def test_network_is_one_of_ordinary_fitted_layers(fitted, digits):
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


def test_nothing_of_the_callers_is_changed(digits):
    X, y = (a.copy() for a in digits)
    X.flags.writeable = y.flags.writeable = False
    model, architecture, state = classifier(augmentation="flip-crop"), network(), np.random.get_state()[1].copy()
    before = {name: repr(value) for name, value in model.set_params(network=architecture).get_params().items()}
    model.fit(X, y)
    assert {name: repr(value) for name, value in model.get_params().items()} == before
    assert all(not hasattr(step, "filters_") for step in architecture)
    assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True, "augmentation": "flip-crop"}], ids=str)
def test_same_random_state_same_model_for_any_number_of_threads(parameters, digits):
    one, two = (classifier(n_jobs=n, **parameters).fit(*digits) for n in (1, 2))
    assert_same_model(one, two)
    assert one.validation_scores_ == two.validation_scores_
    assert_array_equal(one.decision_function(digits[0]), two.decision_function(digits[0]))


def test_numbers_of_any_type_give_the_same_bits(digits):
    by_numpy = {name: np.float64(getattr(classifier(), name)) for name in ("alpha", "learning_rate", "momentum")}
    one, two = classifier().fit(*digits), classifier(**by_numpy).fit(*digits)
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


def test_layers_without_random_state_draw_from_that_of_the_classifier(digits):
    free = make_pipeline(layer(random_state=None), layer(random_state=None))
    models = [CKNClassifier(free, max_iter=1, random_state=n).fit(*digits) for n in (1, 1, 2)]
    assert all(isinstance(step.random_state, int) for step in models[0].network_)
    assert_same_model(*models[:2])
    assert models[0].loss_curve_ != models[2].loss_curve_


def test_labels_of_any_type(digits):
    X, y = digits
    names = np.array([f"digit {digit}" for digit in y])
    by_name, by_number = classifier(max_iter=1).fit(X, names), classifier(max_iter=1).fit(X, y)
    assert_array_equal(by_name.classes_, np.unique(names))
    assert_array_equal(by_name.coef_, by_number.coef_)
    two = classifier(max_iter=1).fit(X, y > 4)
    assert two.coef_.shape == (1, 192) and two.decision_function(X).shape == (len(X),)
    assert two.predict(X).dtype == bool and two.score(X, y > 4) > 0.9


def test_weights_count_in_the_linear_model(digits):
    X, y = digits
    y = y[:100] > 4
    given = np.random.RandomState(1).rand(8, 3, 3, 1)  # no patches are drawn
    fixed = CKNClassifier(layer(init=given), max_iter=0, alpha=1e-3)
    twice = clone(fixed).fit(np.concatenate([X[:100], X[:50]]), np.concatenate([y, y[:50]]))
    weighted = clone(fixed).fit(X[:100], y, sample_weight=np.where(np.arange(100) < 50, 2, 1))
    assert_allclose(twice.decision_function(X), weighted.decision_function(X), atol=2e-3)
    by_class = clone(fixed).set_params(class_weight={True: 3, False: 1}).fit(X[:100], y)
    by_sample = clone(fixed).fit(X[:100], y, sample_weight=np.where(y, 3, 1))
    assert_allclose(by_class.decision_function(X), by_sample.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("n, wide", [(200, False), (90, True)])
def test_samples_of_weight_zero_teach_nothing(n, wide, digits, monkeypatch):
    """Neither do they where the samples that count span the features in their stead."""
    monkeypatch.setattr(solver, "WIDE", 0)
    X, y = digits
    weights = (np.arange(300) < n).astype(float)
    other = X.copy()
    other[n:] = 7 * other[299 - n :: -1]
    one, two = (classifier(max_iter=2).fit(signals, y, sample_weight=weights) for signals in (X, other))
    assert (2 * n <= one.coef_.shape[1]) == wide
    assert_same_model(one, two)
    assert_same_model(one, classifier(max_iter=2).fit(X[:n], y[:n]))


def test_signals_that_are_held_out_do_not_make_filters(digits):
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


def test_a_round_that_raises_the_objective_is_taken_back(digits):
    model = classifier(learning_rate=3.0, schedule="constant", max_iter=8).fit(*digits)
    curve = np.array(model.loss_curve_)
    assert (np.diff(curve) <= 0).all() and (np.diff(curve) == 0).any() and curve[-1] < curve[0]


def test_a_descent_that_never_descends_says_so(digits):
    message = r"None of 2 rounds.*rates from 30(.0)? down to 15.*training began with"
    with pytest.warns(ConvergenceWarning, match=message):
        model = classifier(learning_rate=30, schedule="constant", max_iter=2).fit(*digits)
    expected = classifier(max_iter=0).fit(*digits)
    assert_array_equal(model.network_[0].filters_, expected.network_[0].filters_)
    assert_array_equal(model.coef_, expected.coef_)


def test_partial_fit(digits):
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
    S, Y = model.decision_function(X), np.where(y[:, None] == model.classes_, 1, -1)
    return np.average((np.maximum(1 - Y * S, 0) ** 2).sum(axis=1), weights=weights)


def test_epochs_of_partial_fit_record_the_mean_loss_and_count_weights(digits, fitted):
    X, y = digits
    weights = np.random.RandomState(0).randint(3, size=len(X)).astype(float)
    model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=300, learning_rate=1e-9)
    model.partial_fit(X, y, sample_weight=weights)  # one step, after the loss of all
    assert model.loss_curve_[-1] == pytest.approx(mean_loss(fitted, X, y, weights), rel=1e-4)
    other = X.copy()
    other[weights == 0] = 0
    again = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=300, learning_rate=1e-9)
    assert_array_equal(again.partial_fit(other, y, sample_weight=weights).coef_, model.coef_)
    assert mean_loss(model, X, y, weights) < mean_loss(fitted, X, y, weights)


@pytest.mark.parametrize("batch_size", [1, 4, 600])
def test_samples_of_little_weight_count_little_in_a_stream(batch_size, digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=batch_size, learning_rate=1e-9)
    right_and_wrong, weights = np.concatenate([y, (y + 1) % 10]), np.repeat([1, 1e-3], len(y))
    model.partial_fit(np.concatenate([X, X]), right_and_wrong, sample_weight=weights)
    assert model.score(X, y) > 0.95


def test_a_short_last_minibatch_moves_little(digits, fitted):
    X, y = digits
    moved = []
    for n in (256, 257):
        model = pickle.loads(pickle.dumps(fitted)).set_params(batch_size=256)
        model.partial_fit(X[:n], y[:n])
        arrays = (model.coef_, fitted.coef_), (model.network_[0].filters_, fitted.network_[0].filters_)
        moved.append([np.abs(now - before).max() for now, before in arrays])
    assert_allclose(moved[1], moved[0], rtol=0.3)


def test_partial_fit_keeps_the_names_of_the_columns(digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits[0].reshape(300, -1), digits[1]
    names = [f"pixel {i}" for i in range(64)]
    model = CKNClassifier(layer(input_shape=(8, 8)), max_iter=1)
    model.partial_fit(pandas.DataFrame(X, columns=names), y, classes=np.arange(10))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.partial_fit(X, y)
    assert [*model.feature_names_in_] == names


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_partial_fit_of_signals_and_features_of_any_size(size, digits):
    X, y = digits
    model = classifier(center=False, scale=False, alpha=1e-3 * size**2)
    for _ in range(3):
        model.partial_fit(size * X, y, classes=np.arange(10))
    assert model.score(size * X, y) > 0.95
    darker = np.concatenate([1e-3 * size * X[:16], size * X[16:]])  # the first signals tell nothing of the others
    before = model.score(darker, y)
    assert model.partial_fit(darker, y).score(darker, y) > before - 0.05


def test_partial_fit_goes_on_after_fit(digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).partial_fit(X, y)
    assert model.n_iter_ == fitted.n_iter_ + 1
    moved = np.abs(model.network_[0].filters_ - fitted.network_[0].filters_).max()
    assert 0 < moved < 0.5 and model.score(X, y) > 0.95


@pytest.mark.parametrize("first, then", [(np.float32, np.float64), (np.float64, np.float32), (np.uint8, np.float64)])
def test_going_on_with_signals_of_another_dtype(first, then, digits):
    X, y = digits
    model = classifier(max_iter=1, warm_start=True).fit(X.astype(first), y)
    longer = np.result_type(model.coef_, then)
    for go_on in (model.partial_fit, model.partial_fit, model.fit):
        go_on(X.astype(then), y)
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


@pytest.mark.parametrize("offset", [0, 1e6, 1e9])
def test_targets_with_a_mean_far_larger_than_their_deviations(offset, digits):
    X, y = digits
    model = regressor(max_iter=2, early_stopping=True).fit(X, y + offset)
    held_out = hold_out(model, np.ones(len(X)), None, "", "")
    assert max(model.validation_scores_) > 0.4
    assert model.score(X[held_out], y[held_out] + offset) == pytest.approx(max(model.validation_scores_), rel=1e-3)
    assert model.partial_fit(X, y + offset).score(X, y + offset) > 0.5
    linear = LinearRegressor().fit(X.reshape(300, -1) / 16, y + offset)
    assert linear.score(X.reshape(300, -1) / 16, y + offset) > 0.7


def test_weights_of_the_regressor(digits):
    X, y = digits
    targets = np.stack([y, y % 3], axis=1).astype(float)
    weights = (np.arange(300) < 200).astype(float)
    other = targets.copy()
    other[200:] = 1e30
    one, two = (regressor().fit(X, Y, sample_weight=weights) for Y in (targets, other))
    assert_same_model(one, two)
    assert one.score(X[:200], targets[:200]) > 0.6


def test_the_regressor_goes_on(digits, tmp_path):
    X, y = digits
    path = tmp_path / "fit.ckpt"
    CALLS.update(left=16, error=Killed())
    with pytest.raises(Killed):
        regressor(checkpoint=path, augmentation=interrupted).fit(X, y)
    model = regressor(checkpoint=path, augmentation=interrupted, warm_start=True).fit(X, y)
    assert_same_model(model, regressor(augmentation=interrupted).fit(X, y))
    before = model.loss_curve_[-1]
    model.set_params(checkpoint=None).fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(before, rel=1e-5) and model.loss_curve_[-1] < before


def test_warm_start(digits, fitted):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    before = model.loss_curve_[-1]
    model.fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(before, rel=1e-5) and model.loss_curve_[-1] < before
    with pytest.raises(ValueError, match="not among"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="fitted on signals of shape"):
        model.fit(X[:, 1:], y)


class Killed(Exception):
    pass


CALLS = {"left": 0, "error": None}


def interrupted(X, rng):
    """An augmentation that changes nothing and, some time, does not come back."""
    CALLS["left"] -= 1
    if CALLS["left"] == 0:
        raise CALLS["error"]
    return X


@pytest.mark.parametrize("early_stopping", [False, True])
def test_killed_fit_goes_on_from_its_checkpoint(early_stopping, digits, tmp_path):
    parameters = {"augmentation": interrupted, "early_stopping": early_stopping, "random_state": None}
    model = classifier(checkpoint=tmp_path / "fit.ckpt", **parameters)
    CALLS.update(left=16, error=Killed())  # in the second round
    with pytest.raises(Killed):
        model.fit(*digits)
    assert not hasattr(model, "network_")
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((tmp_path / "fit.ckpt").read_bytes())
    model.fit(*digits)
    again = classifier(checkpoint=copy, n_jobs=2, **parameters).fit(*digits)
    assert model.n_iter_ == 3
    assert_same_model(model, again)
    done = classifier(checkpoint=copy, **parameters).fit(*digits)  # nothing is left to be done
    assert_same_model(model, done)
    assert not list(tmp_path.glob("*.part"))


def test_checkpoint_gives_what_a_fit_without_gives(digits, tmp_path):
    path = tmp_path / "fit.ckpt"
    CALLS.update(left=16, error=Killed())
    with pytest.raises(Killed):
        classifier(checkpoint=path, augmentation=interrupted).fit(*digits)
    resumed = classifier(checkpoint=path, augmentation=interrupted).fit(*digits)
    assert_same_model(resumed, classifier(augmentation=interrupted).fit(*digits))


def test_warm_start_from_a_checkpoint(fitted, digits, tmp_path):
    path = tmp_path / "fit.ckpt"
    model, again = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    for one in (model, again):
        one.set_params(warm_start=True, checkpoint=path, augmentation=interrupted)
    CALLS.update(left=16, error=Killed())
    with pytest.raises(Killed):
        model.fit(*digits)
    assert_same_model(model, fitted)
    again.fit(*digits)
    expected = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True, augmentation=interrupted)
    assert_same_model(again, expected.fit(*digits))
    # The fit now starts from other filters.
    with pytest.raises(ValueError, match="belongs to a fit with other data or parameters"):
        again.fit(*digits)


def scaled(by, X, rng):
    return by * X


def brighter(by):
    return lambda X, rng: scaled(by, X, rng)


class Brighter:
    def __init__(self, by):
        self.by = by

    def augment(self, X, rng):
        return scaled(self.by, X, rng)

    __call__ = augment


@pytest.mark.parametrize(
    "make",
    [
        brighter,
        Brighter,
        lambda by: Brighter(by).augment,
        lambda by: functools.partial(scaled, by),
        {0.5: lambda X, rng: 0.5 * X, 0.7: lambda X, rng: 0.7 * X}.get,
    ],
    ids=["closure", "object", "method", "partial", "lambda"],
)
def test_checkpoint_knows_what_a_function_holds(make, digits, tmp_path):
    path = tmp_path / "fit.ckpt"
    model = classifier(checkpoint=path, max_iter=0)
    model.set_params(augmentation=make(0.5)).fit(*digits)
    assert_same_model(clone(model).fit(*digits), model)
    with pytest.raises(ValueError, match="belongs to a fit with other data or parameters"):
        clone(model).set_params(augmentation=make(0.7)).fit(*digits)


def test_checkpoint_of_what_cannot_be_pickled(digits, tmp_path):
    class Local(Brighter):
        pass

    with pytest.raises(ValueError, match=r"checkpoint cannot be used with augmentation=.*cannot be hashed"):
        classifier(checkpoint=tmp_path / "fit.ckpt", augmentation=Local(0.5)).fit(*digits)


def test_checkpoint_of_a_random_state_that_was_drawn_from(digits, tmp_path):
    model = classifier(random_state=np.random.RandomState(0), checkpoint=tmp_path / "fit.ckpt", max_iter=1)
    coef = model.fit(*digits).coef_
    assert_array_equal(model.fit(*digits).coef_, coef)


def test_bad_checkpoints(digits, tmp_path):
    X, y = digits
    path = tmp_path / "fit.ckpt"
    classifier(checkpoint=path, max_iter=1).fit(X, y)
    for model, data in ((classifier(checkpoint=path, max_iter=2), X), (classifier(checkpoint=path, max_iter=1), X + 1)):
        with pytest.raises(ValueError, match="belongs to a fit with other data or parameters: delete the file"):
            model.fit(data, y)
    with pytest.raises(ValueError, match="belongs to a fit with other data"):
        classifier(checkpoint=path, max_iter=1).set_params(**{"network__cknlayer-1__sigma": 0.5}).fit(X, y)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="exists but cannot be read"):
        classifier(checkpoint=path).fit(X, y)
    for place in (tmp_path, tmp_path / "nowhere" / "fit.ckpt"):
        with pytest.raises(ValueError, match="checkpoint must be the path of a file in a folder that exists"):
            classifier(checkpoint=str(place)).fit(X, y)


def test_interrupted_fit_keeps_what_it_has(digits):
    CALLS.update(left=16, error=KeyboardInterrupt())
    with pytest.warns(UserWarning, match="Interrupted: the result after 1 of max_iter=3 rounds is kept"):
        model = classifier(augmentation=interrupted).fit(*digits)
    assert model.n_iter_ == 1 and model.score(*digits) > 0.9
    penalty = model.alpha / 2 * (model.coef_**2).sum()
    assert model.loss_curve_[-1] == pytest.approx(penalty + mean_loss(model, *digits, None), rel=1e-4)
    CALLS.update(left=1, error=KeyboardInterrupt())  # before there is anything
    model = classifier(augmentation=interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*digits)
    assert not hasattr(model, "network_")


def test_verbose(digits, capsys):
    classifier(max_iter=1, verbose=True, early_stopping=True).fit(*digits)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s: ")[1].split(",")[0] for line in lines] == [
        "cknlayer-1", "cknlayer-2", "linear model", "round 1",
    ]  # fmt: skip
    assert "objective" in lines[-1] and "validation score" in lines[-1]
    feature_map = CKNFeatureMap(network(), verbose=True).fit(digits[0])
    assert capsys.readouterr().out.count("[CKNFeatureMap]") == 2
    feature_map.transform(digits[0])
    CKNKernel(CKNLayer(), verbose=True)(digits[0][:30])
    lines = capsys.readouterr().out.splitlines()
    last = {line.split()[0]: line.partition(" s: ")[2] for line in lines}
    n = len(digits[0])
    assert last == {"[CKNFeatureMap]": f"{n} of {n} signals", "[CKNKernel]": "465 of 465 pairs"}


class Recorder:
    """A callback: what it is told, and when it asks to stop."""

    def __init__(self, stop_at=None):
        self.told, self.stop_at, self.scores = [], stop_at, []

    def setup(self, estimator, context):
        self.told.append("setup")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.told.append(context.task_name)
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == self.stop_at

    def teardown(self, estimator, context):
        self.told.append("teardown")


def test_callbacks(digits):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    recorder = Recorder()
    model = classifier(max_iter=2).set_callbacks(recorder).fit(*digits)
    tasks = ["cknlayer-1", "cknlayer-2", "linear model", "round 1", "round 2", "fit"]
    assert recorder.told == ["setup", *tasks, "teardown"]
    assert len(recorder.scores) == 4 and recorder.scores[-1] == model.score(*digits)
    model = classifier(max_iter=9).set_callbacks(Recorder(stop_at="round 1")).fit(*digits)
    assert model.n_iter_ == 1
    recorder = Recorder()
    model = classifier().set_callbacks(recorder).partial_fit(*digits, classes=np.arange(10))
    assert recorder.told == ["setup", *tasks[:3], "epoch", "fit", "teardown"]
    recorder.told.clear()
    model.partial_fit(*digits)
    assert recorder.told == ["setup", "epoch", "fit", "teardown"]
    recorder = Recorder()
    CKNFeatureMap(network()).set_callbacks(recorder).fit(digits[0])
    assert recorder.told == ["setup", "cknlayer-1", "cknlayer-2", "fit", "teardown"]
    recorder = Recorder()
    layer().set_callbacks(recorder).fit(digits[0])
    assert recorder.told == ["setup", "fit", "teardown"]


def test_augmentations(rng):
    X, generator = rng.rand(200, 8, 10, 2), np.random.default_rng(0)
    flipped = training.flip(X, generator)
    is_flipped = (flipped == X[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((flipped == X).all(axis=(1, 2, 3)) ^ is_flipped).all() and 70 < is_flipped.sum() < 130
    moved = training.flip_and_crop(np.ones((200, 8, 16, 1)), generator)
    assert moved.shape == (200, 8, 16, 1) and set(np.unique(moved)) == {0, 1}
    lengths = moved.sum(axis=(1, 2, 3))
    assert lengths.min() == 7 * 14 and lengths.max() == 8 * 16
    assert_array_equal(training.flip_and_crop(np.ones((9, 1, 5, 2)), generator), 1)  # an eighth of 5 is no position


def test_own_augmentation_is_checked(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"augmentation must return finite signals .*got shape \(256, 7, 8, 1\)"):
        classifier(augmentation=lambda X, rng: X[:, 1:]).fit(X, y)
    with pytest.raises(ValueError, match=r"augmentation must return finite signals .*contains NaN"):
        classifier(augmentation=lambda X, rng: X * np.nan).fit(X, y)
    with pytest.raises(ValueError, match=r"augmentation must return finite signals .*inhomogeneous"):
        classifier(augmentation=lambda X, rng: [x[: 1 + i % 2] for i, x in enumerate(X)]).fit(X, y)
    with pytest.raises(ValueError, match=r"augmentation's result has values up to .*divide"):
        classifier(augmentation=lambda X, rng: 1e30 * X).fit(X, y)

    def spoil(X, rng):
        kept = X.copy()
        X[:] = 0
        return kept

    before = X.copy()
    classifier(augmentation=spoil, max_iter=1).fit(X, y)
    assert_array_equal(X, before)


def test_probabilities(digits):
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


def test_grid_search(digits):
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
def test_signals_of_any_kind(shape, parameters, dtype, rng):
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
        lambda X, y: (X, y), {"network": CKNFeatureMap(layer())}, TypeError, "Pass its network", id="feature map"
    ),
    pytest.param(
        lambda X, y: (X, y), {"network": layer(kernel="arccos0")}, ValueError, "infinite slope", id="arccos0"
    ),
    pytest.param(lambda X, y: (X, y), {"alpha": 0}, ValueError, "'alpha' parameter", id="alpha"),
    pytest.param(lambda X, y: (X, y), {"learning_rate": -1}, ValueError, "'learning_rate'", id="learning rate"),
    pytest.param(lambda X, y: (X, y), {"augmentation": "turn"}, ValueError, "'augmentation'", id="augmentation"),
    pytest.param(
        lambda X, y: (X[:2], np.arange(2)), {"early_stopping": True}, ValueError,
        "early_stopping=True, but validation_fraction=0.1 of 2", id="too few to hold out",
    ),
    pytest.param(lambda X, y: (X.reshape(300, -1), y), {}, ValueError, "set input_shape", id="flat"),
]  # fmt: skip


@pytest.mark.parametrize("data, parameters, error, message", BAD_FITS)
def test_bad_fits(data, parameters, error, message, digits):
    model = classifier(**parameters) if "network" not in parameters else CKNClassifier(**parameters)
    before = set(vars(model))
    with pytest.raises(error, match=message):
        model.fit(*data(*digits))
    assert set(vars(model)) - {"_skl_callbacks"} == before
    with pytest.raises(NotFittedError):
        model.predict(digits[0])


def test_bad_targets_of_the_regressor(digits):
    X, y = digits
    for bad, message in ((np.where(y == 1, np.nan, y), "NaN"), (y * 1e37, "divide y by a constant")):
        with pytest.raises(ValueError, match=message):
            regressor().fit(X, bad)


def test_failed_fit_leaves_the_model_as_it_was(fitted, digits):
    X, _ = digits
    model = pickle.loads(pickle.dumps(fitted))
    with pytest.raises(ValueError, match="two classes"):
        model.fit(X, np.zeros(300))
    assert_array_equal(model.decision_function(X), fitted.decision_function(X))


def test_an_epoch_of_a_stream_that_diverges_is_taken_back(fitted, digits, monkeypatch):
    X, y = digits
    model = pickle.loads(pickle.dumps(fitted))

    def diverge(state, layers, problem, angle):
        turned = tuple(np.roll(Z, 1, axis=0) for Z in state.filters)
        return turned, turned, state.head._replace(W=state.head.W + 1), np.inf

    monkeypatch.setattr(training, "descend", diverge)
    with pytest.warns(ConvergenceWarning, match="diverged and was undone"):
        model.partial_fit(X, y)
    for taken_back, before in zip(model.network_, fitted.network_):
        assert_array_equal(taken_back.filters_, before.filters_)
    assert_array_equal(model.coef_, fitted.coef_)
    assert model.loss_curve_ == fitted.loss_curve_


def test_a_linear_model_that_does_not_converge_says_so(digits, monkeypatch):
    monkeypatch.setattr(training, "HEAD_PASSES", 1)
    with pytest.warns(ConvergenceWarning, match="linear model has not reached its optimum after 1 passes.*raise alpha"):
        classifier(max_iter=0).fit(*digits)


@pytest.mark.parametrize("make", [lambda net: CKNFeatureMap(net), lambda net: CKNClassifier(net)])
def test_names_of_several_types_are_refused_before_the_work(make, digits, monkeypatch):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    monkeypatch.setattr(CKNLayer, "_learn", lambda *_: pytest.fail("the work began"))
    names = [*map(str, range(63)), 63]
    with pytest.raises(TypeError, match="Feature names"):
        make(layer(input_shape=(8, 8))).fit(pandas.DataFrame(X.reshape(len(X), -1), columns=names), y)


def test_no_warning_where_all_is_well(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(max_iter=1).fit(*digits).predict(digits[0])
