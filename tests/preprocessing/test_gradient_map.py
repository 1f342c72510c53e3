"""GradientMap: results against loops and identities, and what the transformer refuses."""

import pickle

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn._core import gradient_map
from sklearn_ckn.preprocessing import GradientMap

ORIENTATIONS = [3, 4, 5, 12]


def maps(X, n_orientations=12, **parameters):
    """Return the gradient maps of images."""
    return GradientMap(n_orientations, **parameters).fit_transform(X)


def turned(F, n_orientations, function):
    """Return maps whose orientations j are replaced by the orientations ``function(j)``."""
    F = F.reshape(*F.shape[:-1], -1, n_orientations)
    return F[..., function(np.arange(n_orientations)) % n_orientations].reshape(*F.shape[:-2], -1)


@pytest.mark.parametrize("n", ORIENTATIONS)
@pytest.mark.parametrize("space", [(2, 2), (5, 6)])
def test_maps_equal_the_definition_in_loops(space, n, rng):
    X = rng.randn(3, *space, 2)
    X[0, :, :, 1] = 0.1
    expected = np.array([naive.gradient_map(x, n) for x in X])
    assert_allclose(maps(X, n), expected, rtol=1e-12, atol=1e-13)
    single = maps(X.astype(np.float32), n)
    assert single.dtype == np.float32
    assert_allclose(single, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_raw_gradients_are_those_of_numpy(dtype, rng):
    X = rng.randn(3, 6, 5, 2).astype(dtype)
    found = maps(X, None)
    assert found.dtype == dtype
    assert_array_equal(found.reshape(3, 6, 5, 2, 2), np.stack(np.gradient(X, axis=(1, 2)), axis=-1))
    for channel in (0, 1):
        assert_array_equal(found[..., 2 * channel : 2 * channel + 2], maps(X[..., channel], None))


@pytest.mark.parametrize("n", [None, *ORIENTATIONS])
def test_each_channel_has_its_own_block_of_channels(n, rng):
    X = rng.randn(2, 5, 6, 3)
    found = maps(X, n)
    assert_array_equal(found, np.concatenate([maps(X[..., channel], n) for channel in range(3)], axis=-1))
    names = GradientMap(n).fit(X).get_feature_names_out()
    kinds = ["dy", "dx"] if n is None else [f"o{j}" for j in range(n)]
    assert [*names] == [f"c{channel}_{kind}" for channel in range(3) for kind in kinds]
    assert found.shape[-1] == len(names) and names.dtype == object


@pytest.mark.parametrize("n", [None, *ORIENTATIONS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_are_homogeneous_and_ignore_the_brightness(n, dtype, rng):
    X = rng.randint(-50, 50, size=(3, 6, 7, 2)).astype(dtype)
    F = maps(X, n)
    for factor in (2.0**-20, 2.0**20):
        assert_array_equal(maps(factor * X, n), dtype(factor) * F)
    assert_allclose(maps(3 * X, n), 3 * F, rtol=1e-5 if dtype is np.float32 else 1e-13)
    assert_array_equal(maps(X + dtype(100), n), F)


@pytest.mark.parametrize("n", [None, *ORIENTATIONS])
@pytest.mark.parametrize("value", [0, 7, 1e4 / 3, 0.1])
def test_constant_images_become_exactly_zero(n, value, rng):
    X = rng.randn(3, 6, 6, 2).astype(np.float32)
    X[1], X[2, :, :, 0] = value, value
    F = maps(X, n)
    half = F.shape[-1] // 2
    assert F[0].any() and not F[1].any() and not F[2, ..., :half].any() and F[2, ..., half:].any()


@pytest.mark.parametrize("n", ORIENTATIONS)
def test_a_layer_whose_filters_are_the_orientations_whitens_the_maps(n, rng):
    X = rng.randn(3, 6, 7)
    transformer = GradientMap(n).fit(X)
    W = transformer.orientations_
    sigma = np.linalg.norm(W[1] - W[0]) / 2**0.5
    layer = CKNLayer(n, patch_size=1, pooling_width=1, init=W[:, None, None], sigma=sigma)
    G = maps(X, None)
    assert_allclose(layer.fit(G).transform(G), transformer.transform(X) @ layer.whitening_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [4, 8, 12])
def test_a_quarter_turn_of_the_image_permutes_the_orientations(n, rng):
    X = rng.randn(3, 5, 7, 2)
    F, rotated = maps(X, n), maps(np.rot90(X, axes=(1, 2)), n)
    expected = turned(np.rot90(F, axes=(1, 2)), n, lambda j: j - n // 4)
    assert_allclose(rotated, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", ORIENTATIONS)
def test_the_mirror_image_permutes_the_orientations(n, rng):
    X = rng.randn(3, 5, 7, 2)
    F = maps(X, n)
    assert_allclose(maps(X[:, :, ::-1], n), turned(F[:, :, ::-1], n, lambda j: -j), rtol=1e-12, atol=1e-13)
    assert_allclose(maps(-X, 4), turned(maps(X, 4), 4, lambda j: j + 2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [None, 5, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_are_computed_independently_and_identically_for_any_number_of_threads(n, dtype, rng, monkeypatch):
    X = rng.randn(50, 10, 9, 3).astype(dtype)
    X.flags.writeable = False
    transformer = GradientMap(n).fit(X)
    F = transformer.transform(X)
    for numbers in (1, 10_000):
        monkeypatch.setattr(gradient_map, "NUMBERS", numbers)
        assert (gradient_map.block_size(F.shape[1:]) < 50) and gradient_map.block_size((10, 10)) == max(
            1, numbers // 100
        )
        assert_array_equal(transformer.transform(X), F)
        assert_array_equal(maps(X, n, n_jobs=2), F)
    assert_array_equal(transformer.transform(X[::-1])[::-1], F)
    assert_array_equal(transformer.transform(X[7:8])[0], F[7])
    assert_array_equal(pickle.loads(pickle.dumps(transformer)).transform(X), F)
    out = np.empty_like(F)
    assert transformer.transform(X, out=out) is out
    assert_array_equal(out, F)


def test_flattened_images_integers_and_other_spatial_sizes_are_accepted(rng):
    X = rng.randint(256, size=(6, 8, 7), dtype=np.uint8)
    expected = maps(X.astype(np.float32))
    assert expected.shape == (6, 8, 7, 12) and expected.dtype == np.float32
    assert_array_equal(maps(X), expected)
    assert_array_equal(maps(X[..., None]), expected)
    assert_array_equal(maps(X.reshape(6, -1), input_shape=(8, 7)), expected)
    assert_array_equal(GradientMap().fit(X[:, :5]).transform(X), expected)
    fitted = GradientMap().fit(X)
    assert fitted.input_shape_ == (8, 7, 1) and fitted.n_features_in_ == 56 and fitted.orientations_.shape == (12, 2)


def test_changed_parameters_take_effect_at_the_next_fit(rng):
    X = rng.randn(5, 8, 8, 2)
    transformer = GradientMap().fit(X)
    F = transformer.transform(X)
    for n in (None, 5):
        assert_array_equal(transformer.set_params(n_orientations=n).transform(X), F)
        F = transformer.fit(X).transform(X)
        assert_array_equal(F, maps(X, n))


def test_gradient_maps_work_in_a_pipeline(digits):
    X, y = digits
    features = CKNFeatureMap(CKNLayer(16, n_patches=1000, random_state=0), scale=True)
    model = make_pipeline(GradientMap(8), features, LinearClassifier()).set_output(transform="pandas")
    assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.85
    assert model[:-1].transform(X).shape == (300, 256)


BAD = [
    (
        {"n_orientations": 2},
        "n_orientations must be at least 3, or None for the gradients themselves; got 2. Fewer orientations lie on",
    ),
    ({"n_orientations": -1}, "n_orientations must be at least 3, .*; got -1"),
    ({"n_orientations": 2.5}, "'n_orientations' parameter .* Got 2.5"),
    ({"n_jobs": 0.5}, "'n_jobs' parameter .* Got 0.5"),
    ({"input_shape": 8}, "'input_shape' parameter .* Got 8"),
]


@pytest.mark.parametrize("parameters, message", BAD, ids=lambda value: str(value)[:40])
def test_bad_parameters_are_refused(parameters, message, rng):
    estimator = GradientMap(**parameters)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=message):
        estimator.fit(rng.randn(3, 8, 8))
    assert vars(estimator) == before


def test_bad_images_are_refused(rng):
    X = rng.randn(3, 8, 8, 2)
    with pytest.raises(NotFittedError):
        GradientMap().transform(X)
    with pytest.raises(NotFittedError):
        GradientMap().get_feature_names_out()
    fitted = GradientMap().fit(X)
    narrow = r"images of shape .*, but gradients need at least 2 positions along each spatial axis.* remove GradientMap"
    for bad, message in (
        (np.where(X > 2, np.nan, X), "X contains NaN"),
        (X[:0], "0 sample"),
        (X.reshape(3, -1), "set input_shape"),
        (X.reshape(3, -1), "if they are series, remove GradientMap, which is only for images; if"),
        (X[..., None], "If signals have another number of spatial axes, remove GradientMap, which is only for images"),
        ([X[0], X[0, :4, :, :, None]], r"X\[1\] .* of spatial axes, remove GradientMap, which is only for images"),
        (X[:, :1], narrow),
        (X[:, :, :1], narrow),
    ):
        for call in (fitted.transform, GradientMap().fit):
            with pytest.raises(ValueError, match=message):
                call(bad)
    with pytest.raises(ValueError, match="The number of channels, the last axis, must be the same"):
        fitted.transform(X[..., :1])
    with pytest.raises(ValueError, match="If your signals are not images, remove GradientMap, which is only for"):
        GradientMap(input_shape=(2, 4, 8, 2)).fit(X.reshape(3, -1))
    with pytest.warns(UserWarning, match="If its last axis holds the channels, remove GradientMap, which is only for"):
        GradientMap().fit(np.cumsum(rng.randn(8, 100, 3), axis=1))
    assert fitted._get_doc_link().endswith("/api/sklearn_ckn.preprocessing.GradientMap.html")
