"""PatchWhitening: results against loops and identities, and what the transformer refuses."""

import pickle

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn._core import patch_whitening
from sklearn_ckn._core.layer import patches
from sklearn_ckn.preprocessing import PatchWhitening

SPACES = [((9,), (3,)), ((6, 7), (3, 2)), ((4, 5, 4), (2, 2, 3))]
METHODS = ["local", "global"]


def put_together(P, shape, size):
    """Return one signal (*space, c) that is put together from its patches, position by position."""
    sums, counts = np.zeros(shape), np.zeros((*shape[:-1], 1))
    for u in np.ndindex(*P.shape[: len(size)]):
        for v, values in zip(np.ndindex(*size), P[u].reshape(-1, shape[-1])):
            at = tuple(a + b for a, b in zip(u, v))
            sums[at] += values
            counts[at] += 1
    return sums / counts


def whitened(images, size, method, exponent, reg):
    """Return whitened images, by a singular value decomposition of the patches of each image or of all images."""
    P = [naive.patches(x, size, "valid", centering=True) for x in images]
    d, out = P[0].shape[-1], []
    for i, x in enumerate(images):
        rows = (P[i] if method == "local" else np.stack(P)).reshape(-1, d)
        _, s, V = np.linalg.svd(rows, full_matrices=False)
        squares = s**2 / len(rows)
        kept = s > 1e-6 * s[0]
        W = V[kept].T @ np.diag((squares[kept] + reg * squares.sum() / d) ** -exponent) @ V[kept]
        out.append(put_together(P[i] @ W, x.shape, size))
    return np.array(out)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent, reg", [(0.25, 0), (0.5, 0.1), (0.5, 0), (1, 0.3)])
@pytest.mark.parametrize("space, size", SPACES, ids=["1-D", "2-D", "3-D"])
def test_whitening_equals_the_definition_in_loops(space, size, exponent, reg, method, rng, monkeypatch):
    monkeypatch.setattr(patch_whitening, "NUMBERS", 1)  # Every image is a block.
    X = rng.randn(4, *space, 2).cumsum(axis=1) + 3
    parameters = {"exponent": exponent, "reg": reg, "normalize_contrast": False, "ndim": len(space)}
    found = PatchWhitening(size, method=method, **parameters).fit_transform(X)
    expected = whitened(X, size, method, exponent, reg)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    single = PatchWhitening(size, method=method, **parameters).fit_transform(X.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_contrast_has_no_effect_once_it_is_normalised(method, rng):
    X, factors = rng.randn(5, 8, 8, 3), np.array([1, 2, 4, 0.5, 0.25])[:, None, None, None]
    whitening = PatchWhitening(method=method)
    assert_allclose(whitening.fit_transform(factors * X + 8), whitening.fit_transform(X), atol=1e-12)
    plain = clone(whitening).set_params(normalize_contrast=False, exponent=0.25)
    grown = np.sqrt(factors) if method == "local" else factors  # The second moments grow with the square.
    assert_allclose(plain.fit(X).transform(factors * X), grown * plain.transform(X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_are_whitened_independently_and_identically_for_any_number_of_threads(method, dtype, rng, monkeypatch):
    X = rng.randn(50, 10, 9, 3).astype(dtype)
    X.flags.writeable = False
    monkeypatch.setattr(patch_whitening, "NUMBERS", 10_000)
    assert patch_whitening.block_size(X.shape[1:], patches.PatchGeometry.of((3, 3), "valid")) == 4
    whitening = PatchWhitening(method=method).fit(X)
    images = whitening.transform(X)
    assert_array_equal(PatchWhitening(method=method, n_jobs=2).fit_transform(X), images)
    assert_array_equal(whitening.transform(X[::-1])[::-1], images)
    assert_array_equal(whitening.transform(X[7:8])[0], images[7])
    assert_array_equal(pickle.loads(pickle.dumps(whitening)).transform(X), images)
    monkeypatch.setattr(patch_whitening, "NUMBERS", 1)
    assert_array_equal(whitening.transform(X), images)


def test_whitening_accepts_flattened_images_integers_and_other_spatial_sizes(rng):
    X = rng.randint(256, size=(6, 8, 7), dtype=np.uint8)
    expected = PatchWhitening().fit_transform(X.astype(np.float32))
    assert expected.shape == (6, 8, 7, 1) and expected.dtype == np.float32
    assert_array_equal(PatchWhitening().fit_transform(X), expected)
    assert_array_equal(PatchWhitening().fit_transform(X[..., None]), expected)
    assert_array_equal(PatchWhitening(input_shape=(8, 7)).fit_transform(X.reshape(6, -1)), expected)
    assert_array_equal(PatchWhitening().fit(X[:, :5]).transform(X), expected)  # The spatial shape differs.
    assert PatchWhitening(ndim=1).fit_transform(X[:, 0]).shape == (6, 7, 1)
    assert [*PatchWhitening().fit(np.ones((1, 4, 4, 2))).get_feature_names_out()] == ["c0", "c1"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, 7, 1e4 / 3])
@pytest.mark.parametrize("normalize_contrast", [True, False])
def test_constant_images_become_zero(method, value, normalize_contrast, rng):
    X = rng.randn(4, 6, 6, 3).astype(np.float32)
    X[1] = value
    parameters = {"method": method, "normalize_contrast": normalize_contrast}
    images = PatchWhitening(**parameters).fit_transform(X)
    assert np.isfinite(images).all() and not images[1].any() and images[0].any()
    assert not PatchWhitening(**parameters).fit_transform(X[1:2]).any()


@pytest.mark.parametrize("method", METHODS)
def test_images_whose_squares_underflow_become_zero(method, rng):
    """Values count as zero if their squares underflow, for any exponent. Larger values are whitened as usual."""
    images = PatchWhitening(method=method, exponent=1, reg=0, normalize_contrast=False)
    X = rng.randn(3, 8, 8, 1)
    with pytest.warns(UserWarning, match=r"X has values up to .*e-20 in magnitude, but .*: multiply X by a constant"):
        assert not images.fit_transform((1e-20 * X).astype(np.float32)).any()
    assert_allclose(1e-20 * images.fit_transform(1e-20 * X), images.fit_transform(X), rtol=1e-9, atol=1e-9)
    small = images.fit_transform((1e-15 * X).astype(np.float32))
    assert_allclose(1e-15 * small, images.fit_transform(X), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_changed_parameters_take_effect_at_the_next_fit(method, rng):
    X = rng.randn(5, 8, 8, 2)
    whitening = PatchWhitening(method=method).fit(X)
    images, other = whitening.transform(X), {"patch_size": 2, "exponent": 0.25, "reg": 0, "normalize_contrast": False}
    assert_array_equal(whitening.set_params(**other).transform(X), images)
    assert_array_equal(whitening.fit(X).transform(X), PatchWhitening(method=method, **other).fit(X).transform(X))


def test_set_output_leaves_images_as_arrays(rng):
    X = rng.randn(5, 6, 6, 2)
    with config_context(transform_output="pandas"):
        assert PatchWhitening().fit(X).transform(X).shape == X.shape
    pipeline = make_pipeline(PatchWhitening(), CKNFeatureMap(CKNLayer(4, random_state=0)))
    assert pipeline.set_output(transform="pandas").fit_transform(X).shape == (5, 36)


def test_rounding_does_not_add_directions_to_patches_of_low_rank(rng):
    """The patches of three equal channels span a third of all directions, and rounding does not add the others."""
    grey = rng.randn(2, 9, 9, 1).astype(np.float32)
    for exponent in (0.25, 0.5, 1):
        images = PatchWhitening(exponent=exponent, reg=0).fit_transform(grey.repeat(3, axis=-1))
        assert_allclose(images, images[..., :1].repeat(3, axis=-1), atol=1e-4 * np.abs(images).max())
    smallest = PatchWhitening().fit_transform(grey[:, :3, :3])  # These images are a single patch.
    assert smallest.shape == (2, 3, 3, 1) and np.isfinite(smallest).all()


def test_global_whitening_is_learned_from_a_random_subsample(rng):
    X = rng.randn(40, 8, 8, 1)
    parameters = {"method": "global", "subsample": 10, "random_state": 0}
    some = PatchWhitening(**parameters).fit(X)
    assert_array_equal(some.whitening_, PatchWhitening(**parameters).fit(X).whitening_)
    drawn = np.sort(np.random.RandomState(0).choice(40, 10, replace=False))
    assert_allclose(some.whitening_, PatchWhitening(method="global").fit(X[drawn]).whitening_, rtol=1e-12)
    assert PatchWhitening().fit(X).whitening_ is None


def test_whitening_works_in_a_pipeline_and_a_grid_search():
    images, y = load_digits(return_X_y=True)
    X = images[:300].reshape(-1, 8, 8)
    features = CKNFeatureMap(CKNLayer(16, n_patches=1000, random_state=0), scale=True)
    model = make_pipeline(PatchWhitening(), features, LinearClassifier(C=10))
    search = GridSearchCV(model, {"patchwhitening__exponent": [0.25, 0.5]}, cv=2).fit(X[:200], y[:200])
    assert search.best_estimator_.score(X[200:], y[200:300]) > 0.85
    assert len(model.fit(X, y[:300])[:-1].get_feature_names_out()) == 256


BAD = [
    ({"patch_size": 1}, "patch_size must have at least two positions; got 1. A patch of one position"),
    ({"patch_size": (1, 1)}, r"patch_size must have at least two positions; got \(1, 1\). A patch of one position"),
    ({"patch_size": (3, 3, 3)}, "patch_size must be .*got"),
    ({"patch_size": 9}, r"shape \(8, 8, 1\) .*, which are smaller than a patch of size \(9, 9\). Reduce patch_size"),
    ({"method": "both"}, "'method' parameter .* Got 'both'"),
    ({"exponent": -0.5}, r"'exponent' parameter .* Got -0.5"),
    ({"reg": -1}, "'reg' parameter .* Got -1"),
    ({"subsample": 0}, "'subsample' parameter .* Got 0"),
    ({"normalize_contrast": 2}, "'normalize_contrast' parameter .* Got 2"),
]


@pytest.mark.parametrize("parameters, message", BAD, ids=lambda value: str(value)[:40])
def test_bad_parameters_are_refused(parameters, message, rng):
    estimator = PatchWhitening(**parameters)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=message):
        estimator.fit(rng.randn(3, 8, 8))
    assert vars(estimator) == before


def test_bad_images_are_refused(rng):
    X = rng.randn(3, 8, 8, 2)
    with pytest.raises(NotFittedError):
        PatchWhitening().transform(X)
    fitted = PatchWhitening().fit(X)
    for bad, message in (
        (np.where(X > 2, np.nan, X), "X contains NaN"),
        (X[:0], "0 sample"),
        (X.reshape(3, -1), "set input_shape"),
        (X[:, :2], r"of shape \(2, 8, 2\) .*smaller than a patch"),
    ):
        for call in (fitted.transform, PatchWhitening().fit):
            with pytest.raises(ValueError, match=message):
                call(bad)
    with pytest.raises(ValueError, match="The number of channels, the last axis, must be the same"):
        fitted.transform(X[..., :1])
