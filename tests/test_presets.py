"""The recipes: the steps that they consist of, and signals of every shape that they learn from."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from small import few

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier, PatchWhitening
from sklearn_ckn.preprocessing import Differences
from sklearn_ckn.presets import _with_gaussian_kernel, make_classifier, make_network

KINDS = ["fast", "balanced", "accurate"]


@pytest.mark.parametrize(
    "shape, ndim, positions, n_filters, centred",
    [
        ((28, 28), 2, (4, 4), [(32, 128), (64, 256), (64, 512)], [(1, 0), (1, 0), (1, 1)]),
        ((32, 30, 3), 2, (3, 3), [(32, 128), (64, 256), (256, 1024)], [(0, 0)] * 3),
        ((9, 7, 5), 2, (3, 4), [(32, 128), (64, 256), (64, 512)], [(1, 0), (1, 0), (1, 1)]),
        ((50,), 1, (3,), [(32, 128), (64, 256), (128, 512)], [(1, 0)] * 3),
    ],
)
def test_networks_have_the_layers_of_the_recipes(shape, ndim, positions, n_filters, centred):
    for kind, of_kind, centred_of_kind in zip(KINDS, n_filters, centred):
        network = make_network(kind, shape, ndim=ndim, random_state=3)
        layers = [layer for _, layer in network.steps]
        assert all(type(layer) is CKNLayer and layer.random_state == 3 and layer.ndim == ndim for layer in layers)
        assert tuple(layer.n_filters for layer in layers) == of_kind
        assert tuple(layer.n_patches for layer in layers) == tuple(30 * m for m in of_kind)
        assert tuple(layer.patch_centering for layer in layers) == centred_of_kind
        maps = few(network).fit_transform(np.random.RandomState(0).rand(5, *shape))
        assert maps.shape[1:-1] == positions


def features(*layers, symmetries=None):
    """Return a feature map. A layer is given by its filters, patch size, sigma, pooling, input shape and centring."""
    made = []
    for m, size, sigma, width, shape, centred in layers:
        patches = {"patch_size": size, "patch_centering": centred, "n_patches": 30 * m}
        other = {"pooling_width": width, "sigma": sigma, "ndim": len(size), "input_shape": shape, "random_state": 3}
        made.append(CKNLayer(m, **patches, **other))
    return CKNFeatureMap(make_pipeline(*made), symmetries=symmetries, center=True, scale=True)


def linear_classifier(loss, path):
    return LinearClassifier(loss, C=path, tol=1e-4, random_state=3)


def grey():
    first, second = (64, (3, 3), 0.6, (2, 2), (28, 20, 1), True), (256, (3, 3), 0.6, (4, 3), None, False)
    return make_pipeline(features(first, second), linear_classifier("squared_hinge", [1.0, 10.0, 100.0, 1000.0]))


def with_kernel(*steps):
    """Return these steps, a Gaussian kernel alongside their features, and a classifier of both, as a pipeline."""
    landmarks = {"init": "random", "n_patches": 6000, "ndim": 1, "input_shape": (1, -1), "random_state": 3}
    kernel = CKNLayer(3000, patch_size=1, pooling_width=1, sigma=0.8, **landmarks)
    parts = [("linear", "passthrough"), ("gaussian", CKNFeatureMap(kernel))]
    union = FeatureUnion(parts, transformer_weights={"gaussian": 0.5})
    return make_pipeline(*steps, union, linear_classifier("squared_error", [10.0, 100.0, 1000.0, 10_000.0]))


def accurate_grey():
    first, second = (64, (3, 3), 0.6, (2, 2), (28, 28, 1), True), (512, (2, 2), 0.8, (4, 4), None, True)
    return with_kernel(features(first, second, symmetries="dihedral"))


def colour():
    first, second = (256, (3, 3), 0.6, (2, 2), (32, 30, 3), False), (1024, (3, 3), 0.6, (6, 5), None, False)
    return with_kernel(PatchWhitening((3, 3), input_shape=(32, 30, 3)), features(first, second, symmetries="flip"))


def signals():
    def network(shape, centred):
        return features((32, (9,), 0.6, (4,), shape, centred), (128, (9,), 0.6, (4,), None, False))

    differences = make_pipeline(Differences(input_shape=(40, 2)), network((39, 2), True))
    parts = [("shapes", network((40, 2), True)), ("differences", differences), ("levels", network((40, 2), False))]
    union = FeatureUnion(parts, transformer_weights={"differences": 0.5, "levels": 0.5})
    return make_pipeline(union, RidgeClassifierCV(np.logspace(-6, 2, 9)))


@pytest.mark.parametrize(
    "arguments, settings, expected",
    [
        (("balanced", (28, 20)), {}, grey),
        (("accurate", (28, 28)), {"symmetries": "dihedral"}, accurate_grey),
        (("accurate", (32, 30, 3)), {"symmetries": "flip"}, colour),
        (("fast", (40, 2)), {"ndim": 1}, signals),
    ],
)
def test_recipes_have_these_steps_and_parameters(arguments, settings, expected):
    made = Pipeline(make_classifier(*arguments, random_state=3, **settings).steps)
    assert made.__repr__(N_CHAR_MAX=10_000) == expected().__repr__(N_CHAR_MAX=10_000)


def test_defaults_that_recipes_rely_on():
    layer = {"padding": "same", "subsampling": None, "pooling": "gaussian", "kernel": "exponential", "reg": 1e-3}
    layer |= {"init": "k-means", "max_iter": 20}
    whitening = {"method": "local", "exponent": 0.5, "reg": 0.1, "normalize_contrast": True}
    for estimator, defaults in ((CKNLayer(), layer), (PatchWhitening(), whitening)):
        assert {name: estimator.get_params()[name] for name in defaults} == defaults


@pytest.mark.parametrize("kind", KINDS)
def test_classifiers_learn_from_images(kind):
    images, y = load_digits(return_X_y=True)
    X = images[:400].reshape(-1, 8, 8)
    model = few(make_classifier(kind, (8, 8), random_state=0)).fit(X[:300], y[:300])
    gaussian = ["featureunion"] * (kind == "accurate")
    assert [*model.named_steps] == ["cknfeaturemap", *gaussian, "linearclassifier"]
    assert model.score(X[300:], y[300:400]) > 0.8
    assert_array_equal(clone(model).fit(X[:300], y[:300]).predict(X), model.predict(X))
    colour = few(make_classifier(kind, (8, 8, 3), symmetries="flip", random_state=0, n_jobs=2))
    assert [*colour.named_steps] == ["patchwhitening", "cknfeaturemap", *gaussian, "linearclassifier"]
    assert colour[1].symmetries == "flip" and model[0].symmetries is None
    threaded = ["patchwhitening", "cknfeaturemap", *["featureunion__gaussian"] * len(gaussian), "linearclassifier"]
    assert all(colour.get_params()[f"{name}__n_jobs"] == 2 for name in threaded)
    X = np.stack([X, 16 - X, 0 * X], axis=-1)
    assert colour.fit(X[:300], y[:300]).score(X[300:], y[300:400]) > 0.7


@pytest.mark.filterwarnings("ignore:n_filters=8, but only")
@pytest.mark.parametrize("kind", KINDS)
def test_classifiers_learn_from_a_few_images_of_each_class(kind):
    """A tenth of these images is not enough for a validation set, and one class has a single image."""
    images, y = load_digits(return_X_y=True)
    taught = np.concatenate([np.flatnonzero(y == label)[: 3 if label else 1] for label in range(10)])
    model = few(make_classifier(kind, (8, 8), random_state=0)).fit(images[taught], y[taught])
    assert model.score(images[300:], y[300:]) > 0.6


@pytest.mark.parametrize("shape", [(2, 8, 3), (1, 8, 3), (8, 2, 3)])
def test_classifiers_learn_from_narrow_images(shape):
    rng, y = np.random.RandomState(0), np.arange(60) % 2
    along = np.where(y[:, None], np.arange(8), np.arange(8)[::-1]) ** 2 / 49  # The class decides which end is brighter.
    X = 0.3 * rng.rand(60, *shape) + along.reshape(60, *(8 if n == 8 else 1 for n in shape[:2]), 1)
    model = few(make_classifier("fast", shape, random_state=0)).fit(X[:40], y[:40])
    assert model.score(X[40:], y[40:]) > 0.9


@pytest.mark.filterwarnings("ignore:n_filters=200, but only 1[0-9]+ distinct patches")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussian_kernel_is_added_to_the_linear_kernel(dtype):
    """The inner product of the features is the sum of the linear kernel and a quarter of the Gaussian kernel.

    Some rows are repeated, exactly or up to a small difference.
    """
    rng = np.random.RandomState(0)
    X = rng.randn(60, 9)
    X = np.concatenate([X, X, X + 1e-4 * rng.randn(60, 9)]).astype(dtype)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    features = _with_gaussian_kernel(200, None, 0).fit_transform(X)
    assert features.dtype == dtype
    assert_allclose(features @ features.T, X @ X.T + np.exp((X @ X.T - 1) / 0.8**2) / 4, atol=5e-4)


@pytest.mark.filterwarnings("ignore:n_filters=8, but only")
@pytest.mark.parametrize("kind, ndim", [("accurate", 2), ("fast", 1)])
def test_tables_keep_their_index(kind, ndim):
    """The parts of the features are joined row by row, whatever the labels of the rows."""
    pandas = pytest.importorskip("pandas")
    X, y = load_digits(return_X_y=True)
    X, y = X[:200], y[:200]
    shape = (8, 8) if ndim == 2 else (64,)
    model = few(make_classifier(kind, shape, ndim=ndim, random_state=0)).fit(X, y)
    expected = model[:-1].transform(X)
    for labels in (np.random.RandomState(0).permutation(200), 1000 + np.arange(200)):
        table = pandas.DataFrame(X, index=labels)
        of_tables = clone(model).set_output(transform="pandas").fit(table, y)
        found = of_tables[:-1].transform(table)
        assert found.index.equals(table.index) and found.columns.is_unique
        assert_array_equal(found, expected)


@pytest.mark.parametrize("n_channels", [None, 2])
def test_classifiers_learn_from_series(n_channels):
    rng, y = np.random.RandomState(0), np.arange(60) % 3
    t = np.arange(40) + rng.randint(10, size=(60, 1))
    X = np.sin(t * (0.5 + 0.2 * y[:, None])) + 0.2 * rng.randn(60, 40)
    shape = (40,)
    if n_channels:
        X, shape = np.stack([X, rng.randn(60, 40)], axis=-1), (40, n_channels)
    model = few(make_classifier("fast", shape, ndim=1, random_state=0)).fit(X[:30], np.array([*"abc"])[y[:30]])
    assert (model.predict(X[30:]) == np.array([*"abc"])[y[30:]]).mean() > 0.9
    names = model[:-1].get_feature_names_out()
    assert len({*names}) == model[:-1].transform(X).shape[1]
    X[40] = 7  # This series is constant.
    assert np.isfinite(model[:-1].transform(X)).all()
    rows = few(make_classifier("fast", shape, ndim=1, random_state=0)).set_output(transform="pandas")
    rows.fit(X[:30].reshape(30, -1), y[:30])
    assert_array_equal(rows[:-1].transform(X.reshape(60, -1)), model[:-1].transform(X))


@pytest.mark.filterwarnings("ignore:n_filters=8, but only .* distinct patches")
@pytest.mark.parametrize("length", [3, 5])
def test_classifiers_learn_from_short_series(length):
    rng, y = np.random.RandomState(0), np.arange(60) % 3
    X = 0.3 * rng.randn(60, length) + 2 * np.eye(length)[y]
    model = few(make_classifier("fast", (length,), ndim=1, random_state=0)).fit(X[:30], y[:30])
    assert model.score(X[30:], y[30:]) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_signals_must_have_the_shape_of_the_recipe(kind):
    """Rows are read as signals of this shape, and signals of another shape are refused."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    model = few(make_classifier(kind, (8, 8), random_state=0))
    assert_array_equal(clone(model).fit(X, y).predict(X), clone(model).fit(X.reshape(-1, 8, 8), y).predict(X))
    rgb = np.repeat(X.reshape(-1, 8, 8, 1), 3, axis=-1)
    series, photographs = make_classifier(kind, (64, 1), ndim=1), make_classifier(kind, (8, 8, 3))
    for other, signals in [(model, rgb), (model, rgb[:, 1:, :, 0]), (photographs, rgb[..., 0]), (series, X[:, 1:])]:
        with pytest.raises(ValueError, match=r"input_shape=.* does not fit X"):
            other.fit(signals, y)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("slow", (8, 8)), "'kind' parameter of make_.* Got 'slow'"),
        (("fast", 8), "'shape' parameter .* Got 8"),
        (("fast", (8,)), r"^shape must be \(height, width\)"),
        (("fast", (8, 0)), r"^shape must be .*got \(8, 0\)"),
        (("fast", (8, -1)), r"^shape must be .*ints >= 1; got \(8, -1\)"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    for make in (make_network, make_classifier):
        with pytest.raises(ValueError, match=message):
            make(*arguments)
    for make in (make_network, make_classifier):
        message = r"shape must have at least 3 positions along its longest axis; got \(2,\)"
        with pytest.raises(ValueError, match=message):
            make("fast", (2,), ndim=1)
    with pytest.raises(ValueError, match=r"symmetries must be None with ndim=1, .*got 'flip'"):
        make_classifier("fast", (50,), ndim=1, symmetries="flip")
    with pytest.raises(ValueError, match=r"symmetries='rotate' rotates .* requires square images; got .*\(8, 9\)"):
        make_classifier("fast", (8, 9, 3), symmetries="rotate")
    with pytest.raises(ValueError, match=r"'ndim' parameter .* Got 3"):
        make_network("fast", (8, 8, 8), ndim=3)
