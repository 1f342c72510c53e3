"""The classifier and the regressor that choose their feature map, and the functions they use."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, KFold, PredefinedSplit, ShuffleSplit

from sklearn_ckn import AutoCKNClassifier, AutoCKNRegressor, CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn._auto import base, branches
from sklearn_ckn._auto.selection import Kernel, Limits, of_angles
from sklearn_ckn._auto.tasks import Labels


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Use few filters, so that every fit takes a fraction of a second."""
    sizes = {"fast": (4, 8), "balanced": (6, 12), "accurate": (8, 16)}
    monkeypatch.setattr(branches, "FILTERS", sizes)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits().images, load_digits().target
    return images[:400], labels[:400]


def fast(**parameters):
    return AutoCKNClassifier("fast", **{"random_state": 0, **parameters})


def series(n=90, length=40, n_channels=2, seed=0):
    """Series of three classes that differ in frequency, with channels in different units."""
    rng = np.random.RandomState(seed)
    y = rng.randint(3, size=n)
    t = np.arange(length)[None, :, None] + rng.uniform(0, 9, (n, 1, 1))
    X = np.sin(t * (0.5 + 0.3 * y[:, None, None])) + 0.3 * rng.randn(n, length, n_channels)
    return X * [1, 1000][:n_channels], y


def test_classifier_learns_digits_and_predicts_calibrated_probabilities(digits):
    X, y = digits
    model = fast().fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.9
    P = model.predict_proba(X[300:])
    assert_allclose(P.sum(axis=1), 1)
    assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X[300:]))
    uncalibrated = np.exp(model.decision_function(X[300:]))
    uncalibrated /= uncalibrated.sum(axis=1, keepdims=True)
    assert log_loss(y[300:], P) < 0.5 * log_loss(y[300:], uncalibrated)


@pytest.mark.parametrize("effort", ["fast", "balanced", "accurate"])
def test_pipeline_of_public_estimators_makes_the_same_predictions(digits, effort):
    X, y = digits
    model = AutoCKNClassifier(effort, random_state=0, n_jobs=2).fit(X[:150], y[:150])
    pipeline = model.to_pipeline()
    assert_array_equal(pipeline.predict(X), model.predict(X))
    assert_array_equal(pipeline.predict_proba(X), model.predict_proba(X))
    assert isinstance(pipeline[-1], LinearClassifier)
    features = model.feature_map_.transform(X)
    norms = np.linalg.norm(features, axis=1)
    assert_allclose(norms, 1, rtol=1e-3)  # the Gaussian kernel is approximated
    again = clone(pipeline).fit(X[:150], y[:150])
    assert (again.predict(X) == model.predict(X)).mean() > 0.97
    probable = clone(pipeline).set_params(linear__loss="logistic").fit(X[:150], y[:150])
    assert probable.predict_proba(X).shape == (400, 10)


def test_tables_describe_what_was_chosen(digits):
    X, y = digits
    model = fast().fit(X, y)
    names = [row["branch"] for row in model.branches_]
    assert names == ["centred", "uncentred", "whitened"]
    weights = {row["branch"]: row["weight"] for row in model.branches_ if row["weight"]}
    assert weights == model.chosen_["weights"] and len(weights) <= 2
    assert_allclose(sum(weights.values()), 1)
    for pyramid in model.chosen_["pyramids"].values():
        assert set(pyramid) <= {4, 3, 2, 1}
        assert_allclose(sum(pyramid.values()), 1)
    assert all(0 < row["validation_score"] <= 1 and row["seconds"] > 0 for row in model.branches_)
    union = model.feature_map_["branches"]
    assert [name for name, _ in union.transformer_list] == list(weights)
    assert_allclose(list(union.transformer_weights.values()), np.sqrt(list(weights.values())))


def test_results_are_reproducible(digits):
    X, y = digits
    first, second = (fast(n_jobs=n).fit(X[:120], y[:120]) for n in (1, 2))
    assert_allclose(first.decision_function(X), second.decision_function(X), rtol=1e-3, atol=1e-3)
    assert_array_equal(fast().fit(X[:120], y[:120]).decision_function(X), first.decision_function(X))


def test_branches_are_chosen_by_some_signals_and_learned_from_all(digits, monkeypatch):
    X, y = digits
    monkeypatch.setitem(base.N_SELECTED, "fast", 100)
    model = fast().fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.85 and len(model.classifier_.validation_scores_) == 3
    assert log_loss(y[300:], model.predict_proba(X[300:])) < 1
    again = clone(model.to_pipeline()).fit(X[:300], y[:300])
    assert_array_equal(again[:-1].transform(X), model.feature_map_.transform(X))


@pytest.mark.parametrize("n_channels", [1, 2])
def test_series(n_channels):
    X, y = series(n_channels=n_channels)
    model = fast(ndim=1).fit(X[:60], y[:60])
    assert model.score(X[60:], y[60:]) > 0.9
    names = [row["branch"] for row in model.branches_]
    assert names[:4] == ["uncentred", "centred", "differences", "differences_uncentred"]
    assert ("channels" in names) == (n_channels == 2)
    if n_channels == 1:
        rows = fast(ndim=1).fit(X[:60, :, 0], y[:60])
        assert_array_equal(rows.predict(X[60:, :, 0]), model.predict(X[60:]))


def test_units_of_channels_do_not_matter():
    X, y = series()
    scaled = X * [1.0, 2.0**-10]
    scores = [fast(ndim=1).fit(each[:60], y[:60]).decision_function(each[60:]) for each in (X, scaled)]
    assert_allclose(*scores, rtol=1e-6, atol=1e-8)


def test_volumes():
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=40)
    X = rng.randn(40, 6, 6, 6) + np.cumsum(rng.randn(40, 6, 6, 6), axis=1) * y[:, None, None, None]
    model = fast(ndim=3).fit(X[:30], y[:30])
    assert model.score(X[30:], y[30:]) > 0.8
    assert model.predict_proba(X).shape == (40, 2)


def test_images_of_different_sizes():
    rng = np.random.RandomState(0)
    y = np.arange(40) % 2
    heights = 10 + np.arange(40) % 5
    X = [np.sin(np.arange(h) * (0.5 + label))[:, None] + 0.2 * rng.randn(h, 9) for h, label in zip(heights, y)]
    model = fast().fit(X[:30], y[:30])
    assert model.score(X[30:], y[30:]) == 1
    assert model.input_shape_ == (None, 9, 1)
    assert model.predict([X[0][:8]]).shape == (1,)


def test_flattened_images(digits):
    X, y = digits
    model = fast().fit(X[:100], y[:100])
    rows = fast(input_shape=(8, 8)).fit(X[:100].reshape(100, 64), y[:100])
    assert_array_equal(rows.predict(X.reshape(-1, 64)), model.predict(X))
    assert_array_equal(rows.to_pipeline().predict(X.reshape(-1, 64)), model.predict(X))
    assert rows.n_features_in_ == 64


@pytest.mark.parametrize(("whiten", "expected"), [(True, ["whitened"]), (False, ["centred", "uncentred"])])
def test_whitening_can_be_required_or_forbidden(digits, whiten, expected):
    X, y = digits
    model = fast(whiten=whiten).fit(X[:60], y[:60])
    assert [row["branch"] for row in model.branches_] == expected


def test_symmetries():
    rng = np.random.RandomState(0)
    y = np.arange(80) % 2
    X = np.cumsum(rng.randn(80, 9, 9), axis=1) * y[:, None, None] + np.cumsum(rng.randn(80, 9, 9), axis=2)
    model = fast(symmetries="rotate").fit(X, y)
    assert model.chosen_["symmetries"] == "rotate"
    assert_allclose(model.decision_function(X), model.decision_function(np.rot90(X, axes=(1, 2))), atol=1e-4)
    assert fast().fit(X, y).chosen_["symmetries"] is None
    with pytest.raises(ValueError, match="square images"):
        fast(symmetries="rotate").fit(X[:, :8], y)


def test_samples_without_weight_are_ignored_and_weights_matter(digits):
    X, y = digits
    weights = np.ones(200)
    weights[100:] = 0
    some, all_ = fast().fit(X[:200], y[:200], sample_weight=weights), fast().fit(X[:100], y[:100])
    assert_array_equal(some.decision_function(X), all_.decision_function(X))
    scaled = fast().fit(X[:100], y[:100], sample_weight=np.full(100, 8.0))
    assert_array_equal(scaled.predict(X), all_.predict(X))
    tiny = fast().fit(X[:200], y[:200], sample_weight=np.where(weights > 0, 1, 1e-310))
    assert_array_equal(tiny.decision_function(X), all_.decision_function(X))
    heavy = fast(class_weight={3: 100}).fit(X[:100], y[:100])
    assert heavy.predict_proba(X)[:, 3].mean() > all_.predict_proba(X)[:, 3].mean()


def test_groups_and_folds(digits):
    X, y = digits
    twice, labels = np.repeat(X[:60], 2, axis=0), np.repeat(y[:60], 2)
    groups = np.repeat(np.arange(60), 2)
    naive = fast().fit(twice, labels)
    honest = fast().fit(twice, labels, groups=groups)

    def scores(model):
        return np.array([row["validation_score"] for row in model.branches_])

    assert (scores(naive) >= 0.99).all()  # every image is predicted from its copy
    assert (scores(honest) < 0.95).all()
    same = fast(cv=GroupKFold(10)).fit(twice, labels, groups=groups)
    assert_array_equal(same.decision_function(X), honest.decision_function(X))
    for cv in (4, KFold(5)):
        assert fast(cv=cv).fit(X[:80], y[:80]).score(X, y) > 0.7
    with pytest.raises(ValueError, match="every signal exactly once"):
        fast(cv=ShuffleSplit(3, random_state=0)).fit(X[:80], y[:80])


def test_scoring(digits):
    X, y = digits
    accuracies, losses = (
        [row["validation_score"] for row in fast(scoring=scoring).fit(X[:100], y[:100]).branches_]
        for scoring in ("balanced_accuracy", "neg_log_loss")
    )
    assert all(0 < score <= 1 for score in accuracies) and all(score < 0 for score in losses)
    two = y < 2
    scores = fast(scoring="roc_auc").fit(X[two], y[two]).branches_
    assert all(row["validation_score"] > 0.95 for row in scores)


def test_time_budget(digits, capsys):
    X, y = digits
    with pytest.warns(UserWarning, match="longer than time_budget=1e-06"):
        model = fast(time_budget=1e-6, verbose=True).fit(X[:60], y[:60])
    assert [row["branch"] for row in model.branches_] == ["centred"]
    assert "skipped whitened because of time_budget" in capsys.readouterr().out
    assert len(fast(time_budget=1000).fit(X[:60], y[:60]).branches_) == 3


def test_verbose(digits, capsys, monkeypatch):
    X, y = digits
    monkeypatch.setattr(base, "is_first_use", lambda: True)
    fast(verbose=True).fit(X[:60], y[:60])
    lines = capsys.readouterr().out
    for text in (
        "compiling, which happens only once",
        "centred: score",
        "chose",
        "features of 60 signals",
        "fitted the linear model",
    ):
        assert text in lines
    fast().fit(X[:60], y[:60])
    assert not capsys.readouterr().out


def test_labels_are_checked_before_anything_is_computed(digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr(CKNFeatureMap, "fit", None)
    with pytest.raises(ValueError, match="at least two classes"):
        fast().fit(X[:9], np.zeros(9))
    with pytest.raises(ValueError, match="Unknown label type"):
        fast().fit(X[:9], np.linspace(0, 1, 9))
    with pytest.raises(ValueError, match="At least one class must have two signals"):
        fast().fit(X[:5], np.arange(5))
    with pytest.raises(ValueError, match="At least three signals"):
        AutoCKNRegressor("fast").fit(X[:2], np.arange(2.0))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fast().fit(X[:9], y[:9], groups=np.zeros(8))


def test_doubtful_signals(digits):
    y = digits[1]
    with pytest.warns(UserWarning, match="set ndim=1"):
        fast().fit(*series(n=30))
    with pytest.raises((TypeError, ValueError), match="number"):
        fast().fit([f"{i}.png" for i in range(20)], y[:20])
    constant = fast().fit(np.ones((20, 8, 8)), np.arange(20) // 12)
    assert set(constant.predict(np.ones((3, 8, 8)))) == {0}
    assert_allclose(constant.predict_proba(np.ones((1, 8, 8))), [[0.6, 0.4]], atol=0.1)


def test_classes_of_one_signal_are_kept(digits):
    X, y = digits
    y = y[:60].copy()
    y[7] = 77
    model = fast().fit(X[:60], y)
    assert 77 in model.classes_ and np.isfinite(model.predict_proba(X)).all()


def test_regressor():
    rng = np.random.RandomState(0)
    frequency, phase = rng.uniform(0.5, 1.5, (2, 150))
    X = np.sin(frequency[:, None] * np.arange(32) + 4 * phase[:, None])
    y = np.stack([100 + frequency, -frequency], axis=1)
    model = AutoCKNRegressor("fast", ndim=1, random_state=0).fit(X[:100], y[:100])
    assert model.predict(X).shape == (150, 2) and model.score(X[100:], y[100:]) > 0.9
    one = AutoCKNRegressor("fast", ndim=1, scoring="neg_mean_absolute_error", random_state=0).fit(X[:100], y[:100, 0])
    assert_allclose(one.predict(X), model.predict(X)[:, 0], atol=0.02)
    assert all(row["validation_score"] < 0 for row in one.branches_)
    assert_allclose(one.to_pipeline().predict(X), one.predict(X))


def test_drawn_signals_represent_every_class():
    labels = np.repeat([0, 1, 2], [500, 40, 1])
    ones = np.ones(len(labels))
    task = Labels(labels, np.arange(3), ones, ones, None)
    rows = task.some(54, np.random.RandomState(0))
    counts = np.bincount(labels[rows])
    assert counts[2] == 1 and counts[1] >= 2 and len(rows) == 54 == len(set(rows))
    assert abs(counts[0] / 50 - 1) < 0.1
    assert len(task.some(2, np.random.RandomState(0))) == 4 and len(task.some(5, np.random.RandomState(0))) == 6


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_levels_divide_the_features_of_a_branch(ndim):
    rng = np.random.RandomState(0)
    X = rng.randn(6, *(16, 12, 8)[:ndim], 2)
    for branch in branches.candidates(branches.FILTERS["fast"], X.shape[1:], X.shape[1:-1], None, "auto", 0):
        fitted = branch.feature_map(None, None).fit(X)
        parts = branch.split(fitted.transform(X), fitted)
        assert list(parts) == list(branch.levels)
        for k, F in parts.items():
            branches.with_choice(fitted, {k: 1.0}, None)
            assert_allclose(F * np.sqrt(len(parts)), fitted.transform(X), rtol=1e-5, atol=1e-6)
            assert F.shape[1] % k**ndim == 0


def test_kernels_of_angles_are_those_of_layers():
    F = np.random.RandomState(0).randn(20, 7)
    F /= np.linalg.norm(F, axis=1, keepdims=True)
    F[3] = 0
    union = branches.with_gaussian_kernel(19, 0.8, {"linear": 0.7**0.5, "gaussian": 0.3**0.5}, 0, None).fit(F)
    features = union.transform(F)
    expected = 0.7 * F @ F.T + 0.3 * of_angles(F @ F.T, 0.8)
    assert_allclose(features @ features.T, expected, atol=1e-3)  # the regularisation of the layer


def test_kernels_are_centred_and_scaled():
    F = np.random.RandomState(0).randn(9, 3) + 5
    kernel = Kernel.of(F @ F.T)
    centred = F - F.mean(axis=0)
    assert_allclose(kernel.matrix * kernel.size, centred @ centred.T, atol=1e-10)
    assert_allclose(np.trace(kernel.matrix), 9)


@pytest.mark.parametrize("way", ["sample_weight", "class_weight"])
def test_classes_without_weight_are_not_learned(digits, way):
    X, y = digits
    if way == "sample_weight":
        model = fast().fit(X[:200], y[:200], sample_weight=y[:200] != 3)
    else:
        model = fast(class_weight={3: 0}).fit(X[:200], y[:200])
    assert_array_equal(model.classes_, np.delete(np.arange(10), 3))
    without = fast().fit(X[:200][y[:200] != 3], y[:200][y[:200] != 3])
    assert_array_equal(model.predict(X), without.predict(X))
    assert_array_equal(model.predict(X), model.to_pipeline().predict(X))
    with pytest.raises(ValueError, match="At least two classes must have a positive weight"):
        fast().fit(X[:200], y[:200], sample_weight=y[:200] == 3)


@pytest.mark.parametrize("seed", range(3))
def test_many_equal_kernels_are_not_all_dropped(seed):
    """There are 40 kernels, whose shares in the model are all small."""
    rng = np.random.RandomState(seed)
    y = np.arange(24) % 2
    t = np.arange(80)[None, :, None] + rng.uniform(0, 9, (24, 1, 1))
    X = np.sin(t * (0.5 + 0.5 * y[:, None, None])) + 0.2 * rng.randn(24, 80, 3)
    model = AutoCKNClassifier("accurate", ndim=1, random_state=0).fit(X, y)
    assert model.score(X, y) == 1 and len(model.chosen_["weights"]) > 1
    regressor = AutoCKNRegressor("accurate", ndim=1, random_state=0).fit(X, np.full(24, 7.0))
    assert_allclose(regressor.predict(X), 7)


def test_mirror_images_are_used_if_they_help():
    """Every image shows a pattern or its mirror image, so that few images show the same pattern the same way."""
    rng = np.random.RandomState(0)
    patterns = rng.randn(12, 8, 8)
    labels = np.repeat(np.arange(12), 4)
    X = patterns[labels]
    mirrored = rng.rand(48) < 0.5
    X[mirrored] = X[mirrored, :, ::-1]
    X += 0.3 * rng.randn(*X.shape)
    model = AutoCKNClassifier(random_state=0).fit(X, labels)
    assert model.chosen_["symmetries"] == "flip"
    assert_allclose(model.decision_function(X), model.decision_function(X[:, :, ::-1]), atol=1e-4)


@pytest.mark.parametrize(("ndim", "shape"), [(3, (6, 6, 6)), (2, (2, 7)), (1, (20,))])
def test_signals_that_cannot_be_whitened(ndim, shape):
    rng = np.random.RandomState(0)
    X, y = rng.randn(24, *shape), np.arange(24) % 2
    model = fast(ndim=ndim, whiten=True).fit(X + y.reshape(-1, *[1] * ndim), y)
    assert "whitened" not in [row["branch"] for row in model.branches_]


@pytest.mark.parametrize("shape", [(2, 8, 3), (1, 8, 3), (8, 2, 3)])
def test_narrow_images(shape):
    rng, y = np.random.RandomState(0), np.arange(60) % 2
    along = np.where(y[:, None], np.arange(8), np.arange(8)[::-1]) ** 2 / 49  # The class decides which end is brighter.
    X = 0.3 * rng.rand(60, *shape) + along.reshape(60, *(8 if n == 8 else 1 for n in shape[:2]), 1)
    assert fast().fit(X[:40], y[:40]).score(X[40:], y[40:]) > 0.9


@pytest.mark.parametrize("length", [2, 3, 5])
def test_short_series(length):
    rng, y = np.random.RandomState(0), np.arange(60) % length
    X = 0.3 * rng.rand(60, length) + 2 * np.eye(length)[y]
    assert fast(ndim=1).fit(X[:30], y[:30]).score(X[30:], y[30:]) > 0.9


def test_tables_as_output_of_transformers_do_not_matter(digits):
    X, y = digits
    model = fast().fit(X[:100], y[:100])
    with config_context(transform_output="pandas"):
        pytest.importorskip("pandas")
        assert_array_equal(fast().fit(X[:100], y[:100]).predict(X), model.predict(X))


def test_folds_are_those_of_all_signals(digits, monkeypatch):
    """Branches are chosen on a subset, but the splitter receives all signals, with their labels and groups."""
    X, y = digits
    monkeypatch.setitem(base.N_SELECTED, "fast", 60)
    weights = np.ones(200)
    weights[7] = 0
    folds = np.arange(200) % 4
    by_numbers = fast(cv=PredefinedSplit(folds)).fit(X[:200], y[:200], sample_weight=weights)
    by_groups = fast(cv=4).fit(X[:200], y[:200], sample_weight=weights, groups=folds)
    scores = [[row["validation_score"] for row in model.branches_] for model in (by_numbers, by_groups)]
    assert_array_equal(*scores)
    assert by_groups.classifier_.validation_scores_ is None  # No C is chosen on a set that ignores the groups.
    with pytest.raises(ValueError, match="at least two groups"):
        fast().fit(X[:60], y[:60], groups=np.zeros(60))
    with pytest.raises(ValueError, match="all signals outside its test set"):
        fast(cv=[([0], np.arange(30)), ([1], np.arange(30, 60))]).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="scor"):
        fast(scoring="no such score").fit(X[:60], y[:60])


@pytest.mark.parametrize("n", [60, 120])
def test_probabilities_of_separable_classes_are_not_overconfident(digits, monkeypatch, n):
    monkeypatch.setitem(base.N_SELECTED, "fast", 80)
    X, y = digits
    two = (y == 1) | (y == 8)
    images, labels = np.concatenate([X[two]] * 2), np.concatenate([y[two]] * 2)
    model = fast().fit(images[:n], labels[:n])
    assert log_loss(y[two], model.predict_proba(X[two])) < 0.3


def test_fewer_branches_and_features_if_time_or_memory_are_limited(digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr(base, "OPERATIONS", {"fast": (1, 1e15)})
    model = fast().fit(X[:150], y[:150])
    assert len(model.chosen_["weights"]) == 1 and len(model.branches_) == 3
    monkeypatch.setattr(base, "OPERATIONS", {"fast": (1e15, 1e15)})
    monkeypatch.setattr(base, "NUMBERS_PER_VALUE", 0)
    for n_features in (200, 60, 1):
        monkeypatch.setattr(base, "NUMBERS", 150 * (150 + n_features))
        model = fast().fit(X[:150], y[:150])
        assert model.feature_map_["branches"].transform(X).shape[1] <= max(n_features, branches.FILTERS["fast"][1])
    assert list(model.chosen_["pyramids"].values()) == [{1: 1.0}]
    monkeypatch.setattr(base, "NUMBERS_PER_VALUE", 1e9)
    assert len(fast().fit(X[:150], y[:150]).chosen_["weights"]) == 2


def test_more_filters_for_very_many_images(monkeypatch):
    monkeypatch.setattr(branches, "VERY_MANY", 100)
    limits = Limits(100, 3, np.inf, np.inf, np.inf, 0)
    assert branches.numbers_of_filters("accurate", 2, limits) == (128, 1024)
    assert branches.numbers_of_filters("accurate", 1, limits) == branches.FILTERS["accurate"]
    assert branches.numbers_of_filters("balanced", 2, limits) == branches.FILTERS["balanced"]
    assert branches.numbers_of_filters("accurate", 2, limits._replace(n_samples=99)) == branches.FILTERS["accurate"]
    few = limits._replace(numbers=100 * 18_000)  # 2 x 9 x 1 024 features for 100 images are more.
    assert branches.numbers_of_filters("accurate", 2, few) == branches.FILTERS["accurate"]


def test_limits():
    branch = branches.Branch("one", (), (1,), 6.0)
    limits = Limits(10, 2, 120, 11_000, 250, 0)
    assert limits.allow_layers([branch, branch], None) and not limits.allow_layers([branch, branch], "flip")
    assert limits.allow_layers([branch], "dihedral") and not limits.allow_layers([branch] * 3, None)
    allowed = [d for d in range(1, 40) if limits.allow_features(d)]
    assert allowed == [*range(1, 14), *range(20, 26)]  # The limits 11 000 and, for d > 25, 250 are exceeded otherwise.
    assert not limits._replace(n_landmarks=25).allow_features(25)
    layer = CKNLayer(4, patch_size=(3, 2))
    assert branches.multiplications(layer, (5, 7), 2) == 5 * 7 * (3 * 2 * 2 + 4) * 4
