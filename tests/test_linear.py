"""Linear models: their optimum, compared with scikit-learn's, and their behaviour as estimators."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from linear_problems import every_dtype, every_loss, problem
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import LinearSVC

from sklearn_ckn import LinearClassifier, LinearRegressor
from sklearn_ckn._core.linear.losses import LOSSES, log_probabilities, probability_scale
from sklearn_ckn._core.linear.objective import Signs
from sklearn_ckn._targets import hold_out

# The optimum


def objective(X, y, coef, intercept, C, loss):
    """Return the objective by its definition, in double precision."""
    S = X @ coef.T.astype(float) + intercept.astype(float)
    Y = Signs.of_all(y, max(2, len(coef)))[:]
    return (coef.astype(float) ** 2).sum() / 2 + C * LOSSES[loss].function(S, Y)[0].sum()


def duality_gap(X, y, found, C, loss):
    """Return bounds of the excess of the objective over its minimum, due to the coefficients and to the intercepts.

    Half the squared norm of the gradient with respect to the coefficients is the duality gap if the derivatives with
    respect to the intercepts are 0. Otherwise, these are squared and divided by twice the second derivatives.
    """
    k = len(found.coef_)
    _, G = LOSSES[loss].function(X @ found.coef_.T + found.intercept_, Signs.of_all(y, max(2, k))[:])
    second = LOSSES[loss].second(G).sum(axis=0)
    of_intercepts = C / 2 * (G.sum(axis=0) ** 2 / np.where(second > 0, second, 1)).sum()
    return ((found.coef_ + C * G.T @ X) ** 2).sum() / 2, of_intercepts


def scikit_learn_model(loss, C):
    """Return a model of scikit-learn with the same optimum; LinearSVC penalises its intercept, but very little."""
    if loss == "squared_hinge":
        return LinearSVC(C=C, tol=1e-10, dual=False, intercept_scaling=1e3, max_iter=10**6)
    if loss == "logistic":
        return LogisticRegression(C=C, tol=1e-11, solver="newton-cg", max_iter=10**5)
    return RidgeClassifier(alpha=1 / (2 * C), solver="cholesky")


KINDS = ["plain", "wide", "collinear", "constant", "one feature", "two classes", "hundred", "unscaled", "span"]
# Cases in which scikit-learn takes long and remains inexact are left out.
CASES = [(kind, C) for kind in KINDS for C in (1e-3, 1, 100) if C < 100 or kind not in ("wide", "hundred", "span")]


@every_loss
@pytest.mark.parametrize("kind, C", CASES)
def test_optimum_equals_that_of_scikit_learn(rng, loss, kind, C):
    X, y = problem(kind, rng)
    expected = scikit_learn_model(loss, C).fit(X, y)
    expected.coef_ = np.atleast_2d(expected.coef_)
    best = objective(X, y, expected.coef_, expected.intercept_, C, loss)
    found = LinearClassifier(loss, C=C, tol=1e-12).fit(X, y)
    assert objective(X, y, found.coef_, found.intercept_, C, loss) <= best * (1 + 1e-9)
    error = np.linalg.norm(found.coef_ - expected.coef_) / np.linalg.norm(expected.coef_)
    assert error <= 1e-4
    for dtype in ("float64", "float32"):
        found = LinearClassifier(loss, C=C).fit(X.astype(dtype), y)
        assert found.coef_.dtype == found.intercept_.dtype == dtype
        assert objective(X, y, found.coef_, found.intercept_, C, loss) <= best * (1 + 1e-4)


EXTREMES = [(loss, C, kind) for loss in LOSSES for C in (1e-8, 1e5) for kind in ("plain", "wide", "two classes")]


@pytest.mark.parametrize("loss, C, kind", [*EXTREMES, ("squared_hinge", 1e5, "hundred")])
def test_optimum_for_extreme_C(rng, loss, C, kind):
    """The gradient with respect to the coefficients bounds the distance of the objective from its minimum.

    The objective is strongly convex with modulus 1, so it exceeds its minimum by at most half the squared norm of the
    gradient. The curvature is up to 1e8 times the modulus, and the bound is loose by the same factor. It is small for
    any order of the sums only if rounding ends the fit, rather than ``tol``.
    """
    X, y = problem(kind, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Rounding errors end the fit.
        found = LinearClassifier(loss, C=C, tol=1e-17, max_iter=5000).fit(X, y)
    assert sum(duality_gap(X, y, found, C, loss)) <= 1e-4 * objective(X, y, found.coef_, found.intercept_, C, loss)


@every_loss
@pytest.mark.parametrize("kind", ["two classes", "plain", "span"])
def test_without_intercept(rng, loss, kind):
    X, y = problem(kind, rng)
    found = LinearClassifier(loss, fit_intercept=False, tol=1e-12).fit(X, y)
    expected = scikit_learn_model(loss, 1.0).set_params(fit_intercept=False).fit(X, y)
    assert not found.intercept_.any()
    assert_allclose(found.coef_, np.atleast_2d(expected.coef_), rtol=1e-4, atol=1e-6)


@every_loss
def test_weights_of_samples_and_classes(rng, loss):
    """Weights of samples act like repetitions, and weights of classes like weights of their samples."""
    X, y = problem("plain", rng)
    repetitions = rng.randint(3, size=len(X))
    model = LinearClassifier(loss, tol=1e-12)
    weighted = clone(model).fit(X, y, sample_weight=repetitions)
    repeated = clone(model).fit(X.repeat(repetitions, axis=0), y.repeat(repetitions))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-7)
    by_class = clone(model).set_params(class_weight={0: 2.0, 2: 0.5}).fit(X, y)
    by_sample = clone(model).fit(X, y, sample_weight=np.array([2, 1, 0.5])[y])
    assert_array_equal(by_class.coef_, by_sample.coef_)
    balanced = clone(model).set_params(class_weight="balanced").fit(X, y, sample_weight=repetitions)
    sums = np.bincount(y, repetitions)
    by_sample = clone(model).fit(X, y, sample_weight=repetitions * (sums.sum() / (3 * sums))[y])
    assert_allclose(balanced.coef_, by_sample.coef_, rtol=1e-6)


@every_dtype
@pytest.mark.parametrize("shape", [(80, 12), (20, 50)])
@pytest.mark.parametrize("n_targets", [None, 1, 4])
def test_regression_equals_ridge_regression(rng, dtype, shape, n_targets):
    X = rng.randn(*shape).astype(dtype)
    y = 1e6 + 1e3 * rng.randn(shape[0], *(() if n_targets is None else (n_targets,)))
    weights = rng.rand(shape[0])
    found = LinearRegressor(C=3.0, tol=1e-12).fit(X, y, sample_weight=weights)
    expected = Ridge(alpha=1 / 6).fit(X.astype(float), y, sample_weight=weights)
    assert found.coef_.shape == (*y.shape[1:], shape[1]) and found.coef_.dtype == dtype
    assert found.intercept_.dtype == np.float64
    assert np.shape(found.intercept_) == y.shape[1:]
    assert np.linalg.norm(found.coef_ - expected.coef_) <= 1e-4 * np.linalg.norm(expected.coef_)
    prediction = found.predict(X)
    assert prediction.shape == y.shape
    assert_allclose(prediction, expected.predict(X).reshape(y.shape), rtol=1e-6)


def test_constant_target(rng):
    found = LinearRegressor().fit(rng.randn(10, 3), np.full(10, 7.0))
    assert not found.coef_.any() and found.intercept_ == 7


@pytest.mark.parametrize("scale, shift", [(1e-200, 0), (1e200, 0), (100, 1e15)])
def test_targets_of_any_magnitude(rng, scale, shift):
    X = rng.randn(50, 3)
    assert_allclose(LinearRegressor(C=1e6).fit(X, scale * X[:, 0] + shift).coef_ / scale, [1, 0, 0], atol=0.01)


DIGITS = load_digits(return_X_y=True)
RAW = [
    (255 / 16, np.uint8, "squared_hinge", 1e-3),
    (255 / 16, np.float32, "logistic", 100.0),
    (1023 / 16, np.float32, "logistic", 100.0),
    (1023 / 16, np.uint16, "squared_hinge", 1e-4),
    (1e-17, np.float32, "squared_hinge", 1e32),
    (1e13, np.float32, "squared_hinge", 1e-28),
    (1e-17, np.float64, "logistic", 1e33),
    (1e15, np.float64, "squared_error", 1e-30),
    (10.0 ** np.linspace(-5, 2, 64), np.float64, "squared_hinge", 1e-2),
]


@pytest.mark.parametrize("scale, dtype, loss, C", RAW)
def test_features_of_any_scale(scale, dtype, loss, C):
    """The objective is within ``tol`` of a lower bound that a fit in double precision provides, and nothing warns."""
    X, y = (DIGITS[0][:100] * scale).astype(dtype), DIGITS[1][:100]
    found, exact = LinearClassifier(loss, C=C).fit(X, y), LinearClassifier(loss, C=C, tol=1e-9).fit(X.astype(float), y)
    best = objective(X, y, exact.coef_, exact.intercept_, C, loss)
    gap = sum(duality_gap(X.astype(float), y, exact, C, loss))
    assert gap <= 1e-6 * best
    assert objective(X, y, found.coef_, found.intercept_, C, loss) <= (best - gap) * (1 + 2e-6)


@pytest.mark.parametrize("dtype, advised", [("float32", True), ("float64", False)])
def test_every_reason_for_not_converging_is_stated(dtype, advised):
    model, failed = LinearRegressor(max_iter=10), [(1e-4, 1, 10), (1e-4, 100, 4), (1e-6, 10, 10)]
    with pytest.warns(ConvergenceWarning) as caught:
        model._warn_about(failed, np.dtype(dtype))
    limited, rounded = (str(warning.message) for warning in caught)
    assert "tol=0.0001 with C=1, tol=1e-06 with C=10 after max_iter=10 passes over X. Raise max_iter, " in limited
    assert "tol=0.0001 with C=100 because of rounding errors. Choose a larger tol or a smaller C, " in rounded
    assert ("in double precision" in rounded) == advised


@pytest.mark.parametrize("scale, dtype", [(10.0 ** (np.arange(64) % 32), float), (255 / 16, np.uint8)])
def test_rounding_errors_end_in_one_warning(scale, dtype):
    """Double precision does not resolve the first problem, and single precision not the coefficients of the second."""
    X, y = (DIGITS[0][:100] * scale).astype(dtype), DIGITS[1][:100]
    with pytest.warns(ConvergenceWarning, match=r"LinearClassifier has not reached tol=1e-06 with C=1e\+04 ") as caught:
        LinearClassifier(C=1e4, max_iter=300).fit(X, y)
    assert len(caught) == 1


# The estimators


@pytest.mark.parametrize("k", [2, 3])
def test_probabilities(rng, k):
    X, y = problem("two classes" if k == 2 else "plain", rng)
    found = LinearClassifier("logistic", tol=1e-12).fit(X, y)
    expected = scikit_learn_model("logistic", 1.0).fit(X, y)
    assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)
    assert_allclose(found.predict_log_proba(X), expected.predict_log_proba(X), atol=1e-5)
    assert_allclose(found.decision_function(X), expected.decision_function(X), atol=1e-5)
    with pytest.raises(AttributeError) as error:
        LinearClassifier("squared_hinge").predict_proba(X)
    needed = "Probabilities need loss='logistic' or, after fit, a list for C; got loss='squared_hinge'."
    assert str(error.value.__cause__) == needed


@pytest.mark.parametrize("loss", ["squared_hinge", "squared_error", "logistic"])
@pytest.mark.parametrize("k", [2, 3])
def test_probabilities_are_calibrated_on_the_validation_set(rng, k, loss):
    X, y = problem("two classes" if k == 2 else "plain", rng)
    found = LinearClassifier(loss, C=[0.01, 0.1], validation_fraction=0.4, random_state=0).fit(X, y)
    S = found.decision_function(X).reshape(len(X), -1) * found.probability_scale_
    assert_allclose(found.predict_log_proba(X), log_probabilities(S), rtol=1e-6, atol=1e-6)
    assert (found.probability_scale_ == 1) == (loss == "logistic")
    assert not hasattr(found.set_params(C=0.1).fit(X, y), "probability_scale_") or loss == "logistic"


@pytest.mark.parametrize("k", [1, 3])
def test_scale_of_probabilities_has_the_smallest_log_loss(rng, k):
    labels, weights = rng.randint(max(k, 2), size=50), rng.rand(50)
    Y = Signs.of_all(labels, max(k, 2))[np.arange(50)]
    S = Y + rng.randn(50, k)

    def log_loss(factor):
        logs = log_probabilities(factor * S)
        own = logs[np.arange(50), labels]
        return -weights @ (51 * own + (logs.sum(axis=1) - own) / (logs.shape[1] - 1)) / 52

    best = probability_scale(S, Y, weights)
    assert log_loss(best) < min(log_loss(1.01 * best), log_loss(0.99 * best))


def test_probabilities_of_separable_classes_are_not_overconfident():
    X, y = load_digits(return_X_y=True)
    two = (y == 3) | (y == 8)
    X, y = X[two] / 16, y[two]
    for seed in range(4):
        model = LinearClassifier("squared_error", C=[0.01, 0.1, 1], random_state=seed).fit(X[:100], y[:100])
        P = model.predict_proba(X[100:])
        assert -np.log(P[np.arange(len(P)), (y[100:] == 8).astype(int)]).mean() < 0.3


def test_C_with_the_best_validation_score_is_chosen(rng):
    """The C with the best validation score is chosen, in any order of the list, and then fitted to all samples."""
    X, y = problem("plain", rng)
    path = [1.0, 1e-5, 1e-2, 1e-3]
    found = LinearClassifier(C=path, random_state=3, validation_fraction=0.3, tol=1e-10).fit(X, y)
    fitted, held_out = train_test_split(np.arange(len(X)), test_size=0.3, stratify=y, random_state=3)
    for C, score in zip(path, found.validation_scores_):
        expected = LinearClassifier(C=C, tol=1e-10).fit(X[fitted], y[fitted]).score(X[held_out], y[held_out])
        assert_allclose(score, expected, atol=1.5 / len(held_out))
    assert found.validation_scores_[path.index(found.C_)] == found.validation_scores_.max()
    assert_allclose(found.coef_, LinearClassifier(C=found.C_, tol=1e-10).fit(X, y).coef_, atol=1e-5)
    again = LinearClassifier(C=path[::-1], random_state=3, validation_fraction=0.3, tol=1e-10).fit(X, y)
    assert_array_equal(found.coef_, again.coef_)
    assert_array_equal(found.validation_scores_, again.validation_scores_[::-1])
    assert LinearClassifier().fit(X, y).validation_scores_ is None


@pytest.mark.parametrize("loss", LOSSES)
def test_ties_between_scores_are_broken_by_the_loss(rng, loss):
    """Every C separates classes that are far apart, and the largest C, the weakest penalty, has the lowest loss."""
    y = np.arange(60) % 3
    X = 10 * np.eye(3)[y] + rng.randn(60, 3)
    found = LinearClassifier(loss, C=[1e-4, 1e-2, 1e-3], random_state=0).fit(X, y)
    assert (found.validation_scores_ == 1).all() and found.C_ == 1e-2


def test_C_of_a_regression_is_chosen(rng):
    X = rng.randn(300, 10)
    y = X @ rng.randn(10, 2) + 0.1 * rng.randn(300, 2)
    with pytest.warns(UserWarning, match=r"chose C=1, the largest value of the list.* Add larger values to C\.$"):
        found = LinearRegressor(C=[1e-6, 1e-3, 1.0], random_state=0).fit(X, y)
    assert found.C_ == 1 and (np.diff(found.validation_scores_) > 0).all() and found.score(X, y) > 0.98


def test_held_out_samples_represent_the_classes(rng):
    """Every class loses the requested fraction and at least one sample, unless it has only one."""
    for numbers, expected in [((10, 20, 30), (1, 2, 3)), ((4, 4, 4, 4), (1, 1, 1, 1)), ((1, 9, 20), (0, 1, 2))]:
        y, weights = np.repeat(np.arange(len(numbers)), numbers), np.ones(sum(numbers))
        held_out = hold_out(LinearClassifier(random_state=0), weights, y, "", "")
        assert_array_equal(np.bincount(y[held_out], minlength=len(numbers)), expected)
        assert LinearClassifier(C=[1, 2], random_state=0).fit(rng.randn(len(y), 4), y).coef_.shape == (len(numbers), 4)


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_result_does_not_depend_on_the_number_of_threads(rng, loss):
    X, y = rng.randn(3000, 700).astype(np.float32), rng.randint(4, size=3000)
    fits = [LinearClassifier(loss, C=0.01, n_jobs=n).fit(X, y) for n in (1, 2, 3)]
    for other in fits[1:]:
        assert_array_equal(fits[0].coef_, other.coef_)
        assert_array_equal(fits[0].decision_function(X), other.decision_function(X))


def test_every_kind_of_array_gives_the_same_result(rng, tmp_path):
    """Arrays may be in any memory order, strided, or read-only on disk, and small integers are read as float32."""
    X, y = rng.randint(256, size=(300, 30)).astype(np.uint8), rng.randint(3, size=300)
    numbers = X.astype(np.float32)
    numbers.tofile(tmp_path / "X")
    on_disk = np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape)
    wider = np.zeros((300, 60), np.float32)
    wider[:, ::2] = numbers
    expected = LinearClassifier(C=1e-4).fit(numbers, y)
    for other in (X, on_disk, np.asfortranarray(numbers), wider[:, ::2], X.astype(np.int16), X.astype(np.float16)):
        before = np.array(other)
        found = LinearClassifier(C=1e-4).fit(other, y)
        assert_array_equal(found.coef_, expected.coef_)
        assert_array_equal(found.decision_function(other), expected.decision_function(numbers))
        assert_array_equal(other, before)
    assert expected.coef_.dtype == np.float32
    assert expected.decision_function(numbers.astype(float)).dtype == np.float64


def test_large_integers(rng):
    """Integers that float32 cannot represent are read as float64."""
    X = 1_700_000_000 + rng.randint(60, size=(500, 1))
    y = X[:, 0] - 1_700_000_000
    found = LinearRegressor().fit(X, y)
    assert found.coef_.dtype == np.float64 and found.score(X, y) > 0.999
    assert LinearClassifier().fit(X, y > 30).score(X, y > 30) > 0.95


@pytest.mark.parametrize("model", [LinearClassifier(C=[0.1, 1.0]), LinearClassifier("logistic"), LinearRegressor()])
def test_features_are_not_copied(rng, model):
    X = rng.rand(60_000, 300).astype(np.float32)
    y = rng.randint(3, size=len(X))
    tracemalloc.start()
    model.fit(X, y).predict(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_pickle_labels_and_grid_search(rng):
    X, y = problem("plain", rng)
    names = np.array(["cat", "dog", "owl"])[y]
    found = LinearClassifier().fit(X, names)
    assert_array_equal(found.classes_, ["cat", "dog", "owl"])
    assert_array_equal(pickle.loads(pickle.dumps(found)).predict(X), found.predict(X))
    search = GridSearchCV(LinearClassifier(), {"C": [1e-3, 1], "loss": list(LOSSES)}, cv=3, n_jobs=2).fit(X, names)
    assert search.best_score_ > 0.5


@pytest.mark.parametrize("kind, C", [("plain", 1), ("wide", 1e5)])
def test_fit_that_does_not_converge(rng, kind, C):
    """The model keeps the best coefficients that were found."""
    X, y = problem(kind, rng)
    values = []
    for max_iter in (2, 10, 50, 52, 70):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = LinearClassifier(C=C, max_iter=max_iter, tol=0).fit(X, y)
        rounded = found.n_iter_ < max_iter
        reason = "because of rounding errors" if rounded else f"after max_iter={max_iter} passes over X"
        assert f"has not reached tol=0 with C={C:.3g} {reason}" in str(caught[0].message)
        values.append(objective(X, y, found.coef_, found.intercept_, C, "squared_hinge"))
    assert (np.diff(values) <= 1e-9 * values[0]).all() and values[-1] < 0.99 * values[0]


def test_warning_names_every_C_that_does_not_converge(rng):
    X, y = problem("wide", rng)
    failed = r"tol=0.001 with C=1, tol=0.001 with C=1e\+03, tol=1e-06 with C=.* after max_iter=3 passes"
    with pytest.warns(ConvergenceWarning, match=failed):
        LinearClassifier(C=[1e3, 1], max_iter=3, random_state=0).fit(X, y)


# Bad input
BAD = [
    ({"C": 0}, {}, r"'C' parameter .* must be"),
    ({"C": [1, -1]}, {}, r"C must be a positive finite number or a list of them; got \[1, -1\]"),
    ({"C": []}, {}, r"C must be a positive finite number or a list of them; got \[\]"),
    ({"C": [[1.0]]}, {}, r"C must be a positive finite number or a list"),
    ({"C": [1, np.nan]}, {}, r"C must be a positive finite number or a list"),
    ({"C": [1, "a"]}, {}, r"C must be a positive finite number or a list of them; got \[1, 'a'\]"),
    ({"C": 1e-320}, {}, r"C times the sum of weights must be between 1e-37 and 1e38; got C=9.99"),
    ({"class_weight": {0: -1.0}}, {}, r"sample_weight times class_weight must be >= 0 .* got values from -1.0 to 1.0"),
    ({"class_weight": {0: np.nan}}, {}, r"sample_weight times class_weight must be >= 0"),
    ({"class_weight": dict.fromkeys(range(3), 0)}, {}, r"sample_weight times class_weight must be >= 0"),
    ({"loss": "hinge"}, {}, r"'loss' parameter .* must be"),
    ({"tol": -1}, {}, r"'tol' parameter .* must be"),
    ({"class_weight": "even"}, {}, r"'class_weight' parameter .* must be"),
    ({}, {"X": np.full((30, 4), np.nan)}, "X contains NaN"),
    ({}, {"X": np.full((30, 4), 1e200)}, r"X has values up to 1e\+200 in magnitude, but for computations in float64"),
    (
        {},
        {"X": np.ones((30, 4, 2))},
        r"X has shape \(30, 4, 2\), but Linear.* expects .*: use Flatten\(\) to turn maps into features",
    ),
    ({}, {"X": np.ones((29, 4))}, "inconsistent numbers of samples"),
    ({}, {"y": np.zeros(30)}, r"y must have at least two classes; got one class, 0.0\."),
    ({}, {"y": np.linspace(0, 1, 30)}, "Unknown label type"),
    ({}, {"y": np.full(30, np.nan)}, "y contains NaN"),
    ({}, {"sample_weight": np.zeros(30)}, "[Ss]ample.weight"),
    ({}, {"sample_weight": -np.ones(30)}, r"sample_weight must be >= 0 and not 0 everywhere.*got values from -1.0"),
    ({}, {"sample_weight": np.ones(29)}, "sample_weight.shape"),
    ({}, {"sample_weight": np.full(30, 1e308)}, r"sample_weight must be >= 0 and not 0 everywhere, with a finite sum"),
    ({}, {"sample_weight": np.full(30, np.nan)}, r"sample_weight contains NaN"),
]


@pytest.mark.parametrize("parameters, data, message", BAD)
def test_bad_input(rng, parameters, data, message):
    data = {"X": rng.randn(30, 4), "y": np.arange(30) % 3, **data}
    classifier = LinearClassifier(**parameters)
    with pytest.raises(ValueError, match=message):
        classifier.fit(**data)
    assert set(vars(classifier)) == set(vars(LinearClassifier()))
    if not {"loss", "class_weight"} & set(parameters) and "class" not in message and "label" not in message:
        regressor = LinearRegressor(**parameters)
        with pytest.raises(ValueError, match=message):
            regressor.fit(**data)
        assert set(vars(regressor)) == set(vars(LinearRegressor()))


def test_prediction_refuses_what_fit_refuses(rng):
    fitted = LinearClassifier("logistic").fit(rng.randn(30, 4), np.arange(30) % 3)
    for method in (fitted.predict, fitted.predict_proba, fitted.decision_function):
        with pytest.raises(ValueError, match=r"X has values up to 1e\+308 in magnitude, but for computations"):
            method(np.full((2, 4), 1e308))


def test_sum_of_targets_does_not_overflow(rng):
    with pytest.raises(ValueError, match=r"y has values up to 1\.5e\+305 in magnitude"):
        LinearRegressor().fit(rng.randn(2000, 3), np.full(2000, 1.5e305))


def test_target_too_large(rng):
    with pytest.raises(
        ValueError,
        match=r"y has values up to 1e\+40 in magnitude, but for computations in float32 they must not exceed",
    ):
        LinearRegressor().fit(rng.randn(5, 2).astype(np.float32), np.full(5, 1e40))


def test_too_few_samples_to_hold_out(rng):
    message = r"none can be drawn from 30 samples with validation_fraction=0.01: One sample is not enough for a score"
    with pytest.raises(ValueError, match=message):
        LinearRegressor(C=[1, 2], validation_fraction=0.01).fit(rng.randn(30, 4), rng.randn(30))


def test_weights_leave_too_few_samples_to_hold_out(rng):
    """Rows of weight 0 are not held out, and do not count as samples of their class."""
    X, y, weights = rng.randn(30, 4), np.arange(30) % 3, np.ones(30)
    weights[3:] = 0  # one sample of each class is left
    message = r"A list for C requires .* none can be drawn from 3 samples .* No class has two samples\. .* a single C\."
    with pytest.raises(ValueError, match=message):
        LinearClassifier(C=[1, 2]).fit(X, y, weights)
    assert LinearClassifier().fit(X, y, weights).n_iter_ > 0


# The ends of a list for C


def noisy(rng, n=400):
    """Return features of different scales, and classes that depend most on the smallest features."""
    X = rng.normal(size=(n, 20))
    y = (X @ np.linspace(0, 1, 20) + rng.normal(size=n) > 0).astype(int)
    return X * np.geomspace(1, 0.01, 20), y


ENDS = [([1e-3, 1e-2, 1e3], "largest", "larger"), ([1e5, 1e3, 10, 1e-3], None, None), ([1e2, 1e3, 1e4], None, None)]


@pytest.mark.parametrize("path, end, side", ENDS, ids=str)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_end_of_a_list_is_reported_if_it_is_clearly_better(rng, kind, path, end, side):
    X, y = noisy(rng)
    model = (LinearClassifier if kind == "classifier" else LinearRegressor)(C=path, random_state=0)
    model.set_params(validation_fraction=0.5)
    if end is None:
        model.fit(X, y)  # without a warning
        return
    with pytest.warns(UserWarning, match=f"the {end} value of the list, .* Add {side} values to C") as caught:
        model.fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_the_smallest_value_of_a_list_is_reported_if_it_is_clearly_better(rng):
    X = rng.normal(size=(100, 90))
    y = X[:, 0] + 3 * rng.normal(size=100)
    with pytest.warns(UserWarning, match=r"LinearRegressor chose C=0.1, the smallest .* Add smaller values to C\.$"):
        LinearRegressor(C=[10, 0.1, 1e3], validation_fraction=0.5, random_state=0).fit(X, y)


def test_the_end_of_a_list_is_not_reported_if_scores_are_equal(rng):
    X = np.concatenate([rng.normal(size=(50, 4)) - 5, rng.normal(size=(50, 4)) + 5])
    model = LinearClassifier(C=[1, 1e-3, 1e-2], random_state=0).fit(X, np.arange(100) // 50)
    assert model.C_ == 1 and (model.validation_scores_ == 1).all()
