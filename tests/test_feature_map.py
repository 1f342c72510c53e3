"""CKNFeatureMap on signals with one, two and three spatial axes, which the checks of scikit-learn do not cover."""

import pickle
import threading
import warnings

import joblib
import numpy as np
import pytest
from estimators import SHAPES, TOLERANCE, every_ndim_and_dtype, layer, network, relative_error, signals
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags
from threadpoolctl import threadpool_limits

from sklearn_ckn import CKNFeatureMap, CKNLayer, Flatten
from sklearn_ckn._core.network import forward


@every_ndim_and_dtype
def test_features_equal_those_of_the_pipeline(ndim, dtype):
    X = signals(ndim, dtype)
    pipeline = make_pipeline(*[step for _, step in network(ndim).steps], Flatten(center=True, scale=True)).fit(X)
    feature_map = CKNFeatureMap(network(ndim), center=True, scale=True).fit(X)
    expected, features = pipeline.transform(X), feature_map.transform(X)
    assert features.dtype == dtype and features.shape == (len(X), np.prod(feature_map.output_shape_))
    assert relative_error(features, expected) < TOLERANCE[dtype]
    assert_array_equal(feature_map.get_feature_names_out(), pipeline.get_feature_names_out())
    for (_, mine), (_, other) in zip(feature_map.network_.steps, pipeline.steps):
        assert relative_error(mine.filters_, other.filters_) < TOLERANCE[dtype]


SQUARE = (9, 9, 2)
IMAGES_OF = {  # group -> images of X under all of its elements
    "flip": lambda X: [X, X[..., ::-1, :]],
    "rotate": lambda X: [np.rot90(X, k, axes=(1, 2)) for k in range(4)],
    "dihedral": lambda X: [Y for k in range(4) for Y in IMAGES_OF["flip"](np.rot90(X, k, axes=(1, 2)))],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "group, shape", [*(("flip", shape) for shape in SHAPES.values()), ("rotate", SQUARE), ("dihedral", SQUARE)], ids=str
)
def test_symmetries_average_the_maps_over_a_group(group, shape, dtype):
    X = np.random.RandomState(0).rand(24, *shape).astype(dtype)
    plain = CKNFeatureMap(network(len(shape) - 1), center=True, scale=True).fit(X)
    averaged = clone(plain).set_params(symmetries=group).fit(X)
    images = [np.ascontiguousarray(image) for image in IMAGES_OF[group](X)]
    maps = [plain.network_.transform(image) for image in images]
    assert min(relative_error(others, maps[0]) for others in maps[1:]) > 1e-3
    features, expected = averaged.transform(X), Flatten(center=True, scale=True).fit_transform(sum(maps))
    assert relative_error(features, expected) < 2 * TOLERANCE[dtype]  # The mean is computed before the whitening.
    for image in images:  # The features are invariant bit for bit.
        assert_array_equal(averaged.transform(image), features)
    assert_array_equal(clone(averaged).set_params(n_jobs=2).fit(X).transform(X), features)
    with config_context(working_memory=1e-4):  # one signal at a time
        assert_array_equal(averaged.transform(X), features)
    assert_array_equal(plain.set_params(symmetries=group).transform(X), features)


def test_fit_encodes_only_the_signals_that_patches_are_drawn_from(monkeypatch):
    encoded = []
    monkeypatch.setattr(
        forward,
        "encode_network",
        lambda X, net, *group, f=forward.encode_network: encoded.append(len(X) * len(net)) or f(X, net, *group),
    )
    X = signals(2, "float32", n=2000)
    CKNFeatureMap(make_pipeline(layer(n_patches=1000), layer(n_patches=1000))).fit(X)
    assert 1000 / 16 <= sum(encoded) <= 1000 / 16 + 32


def test_results_are_identical_for_any_number_of_blas_threads():
    X = np.random.RandomState(0).rand(100, 8, 8)
    fitted = []
    for limit in (1, 2):
        with threadpool_limits(limit):
            fitted.append(CKNFeatureMap(layer(256, n_patches=5000)).fit(X))
    assert_array_equal(*(one.network_[0].whitening_ for one in fitted))
    assert_array_equal(*(one.transform(X) for one in fitted))


@every_ndim_and_dtype
def test_results_are_identical_for_any_n_jobs(ndim, dtype):
    X = signals(ndim, dtype, n=40)
    one = CKNFeatureMap(network(ndim)).fit(X)
    for n_jobs in (2, 3, -1):
        other = CKNFeatureMap(network(ndim), n_jobs=n_jobs).fit(X)
        assert_array_equal(other.transform(X), one.transform(X))
        single = clone(one.network.steps[0][1]).set_params(n_jobs=n_jobs)
        assert_array_equal(single.fit_transform(X), one.network_.steps[0][1].transform(X))
    with joblib.parallel_config("threading", n_jobs=2):
        assert_array_equal(one.transform(X), CKNFeatureMap(network(ndim)).fit(X).transform(X))


def test_threads_of_n_jobs_run_simultaneously_in_fit_and_transform(monkeypatch):
    X, feature_map = signals(2, n=32), CKNFeatureMap(make_pipeline(layer(), layer()), n_jobs=2).fit(signals(2))
    sizes, barrier, encode = [], threading.Barrier(2, timeout=20), forward.encode_network

    def watched(maps, net, *group):
        barrier.wait()  # Only two threads together pass. There are 4 blocks here, and 4 for each layer in fit.
        sizes.append(len(maps))
        return encode(maps, net, *group)

    monkeypatch.setattr(forward, "encode_network", watched)
    feature_map.transform(X)
    feature_map.fit(X)
    assert sizes[:4] == [8] * 4
    assert sorted(sizes[4:]) == [4] * 2 + [7] * 6  # The 400 patches come from 25 signals.


@every_ndim_and_dtype
def test_permuted_signals_give_permuted_features(ndim, dtype):
    X, order = signals(ndim, dtype), np.random.RandomState(1).permutation(24)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    assert relative_error(fitted.transform(X[order]), fitted.transform(X)[order]) < TOLERANCE[dtype]


@every_ndim_and_dtype
def test_pickled_and_cloned_feature_maps_give_the_same_features(ndim, dtype):
    X = signals(ndim, dtype)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(X), fitted.transform(X))
    assert not hasattr(clone(fitted), "network_")
    assert_array_equal(clone(fitted).fit(X).transform(X), fitted.transform(X))


def test_fit_leaves_the_given_network_unchanged():
    net = network(2)
    feature_map = CKNFeatureMap(net).fit(signals(2))
    assert feature_map.network is net
    assert not hasattr(net.steps[0][1], "filters_")
    assert isinstance(feature_map.network_, Pipeline)
    assert isinstance(CKNFeatureMap(layer()).fit(signals(2)).network_.steps[0][1], CKNLayer)


def test_passthrough_steps_are_left_out():
    X = signals(2)
    deep = CKNFeatureMap(Pipeline([("one", layer()), ("two", "passthrough")])).fit(X)
    assert_array_equal(deep.transform(X), CKNFeatureMap(layer()).fit(X).transform(X))
    grid = CKNFeatureMap(network(2)).set_params(**{"network__cknlayer-1__patch_size": 2})
    assert grid.network.steps[0][1].patch_size == 2


def test_zero_images_give_zero_features():
    X = signals(2)
    X[3] = 0
    features = CKNFeatureMap(network(2), center=True, scale=True).fit(X).transform(X)
    assert not features[3].any() and np.isfinite(features).all()


@pytest.mark.parametrize("dtype, power", [("float32", 50), ("float32", -30), ("float64", 500), ("float64", -400)])
def test_features_are_exactly_homogeneous_up_to_the_largest_accepted_values(dtype, power):
    X, factor = signals(2).astype(dtype), np.ldexp(np.ones((), dtype=dtype), power)
    features, scaled = (CKNFeatureMap(network(2)).fit_transform(images) for images in (X, factor * X))
    assert_array_equal(scaled, factor * features)


def test_constant_images_have_zero_features_if_patches_are_centred():
    X = signals(2)
    X[:4] = np.random.RandomState(1).rand(4, 1, 1, 2)
    for dtype in ("float32", "float64"):
        net = make_pipeline(layer(patch_centering=True, padding="valid"), layer())
        features = CKNFeatureMap(net, center=True, scale=True).fit_transform(X.astype(dtype))
        assert not features[:4].any() and features[4:].any(axis=1).all()


def test_html_representation_shows_layers_and_validates_nothing():
    html = CKNFeatureMap(network(2))._repr_html_()
    assert "cknlayer-2" in html
    for wrong in (CKNLayer(ndim="2"), CKNFeatureMap(Pipeline([])), CKNFeatureMap(None)):
        assert type(wrong).__name__ in wrong._repr_html_()


def test_tags_equal_those_of_the_first_layer():
    for first, two_d in ((layer(ndim=1), True), (layer(ndim=3), False), (layer(ndim=3, input_shape=(2, 2, 2)), True)):
        for net in (first, make_pipeline(first, layer()), Pipeline([("none", "passthrough"), ("first", first)])):
            assert get_tags(CKNFeatureMap(net)).input_tags.two_d_array == two_d


def test_ordinary_signals_cause_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CKNFeatureMap(network(2)).fit_transform(signals(2))


# Spatial pyramids
PYRAMID = {3: 0.6, 2: 0.3, 1: 0.1}


def levels(ndim, dtype="float64", **parameters):
    """Return features with a pyramid, and those of a network for each level, which differ in the pooling at the end.

    Pooling and whitening commute, so that the pooling of a last map at full resolution is that of the last layer.
    """
    X = signals(ndim, dtype)

    def features(pyramid=None, **pooling):
        net = make_pipeline(layer(64, ndim=ndim), layer(10, ndim=ndim, pooling="average", **pooling))
        return CKNFeatureMap(net, pyramid=pyramid, **parameters).fit(X)

    return X, features(PYRAMID, pooling_width=1), [features(n_positions=k) for k in PYRAMID]


@pytest.mark.parametrize(
    "parameters", [{}, {"center": True, "scale": True}, {"symmetries": "flip", "scale": True}], ids=str
)
@every_ndim_and_dtype
def test_pyramid_places_the_features_of_its_levels_side_by_side(ndim, dtype, parameters):
    X, fitted, separate = levels(ndim, dtype, **parameters)
    features, blocks = fitted.transform(X), [each.transform(X) for each in separate]
    expected = np.hstack([np.sqrt(weight) * block for weight, block in zip(PYRAMID.values(), blocks)])
    assert features.dtype == dtype and features.shape == (24, 10 * sum(k**ndim for k in PYRAMID))
    assert relative_error(features, expected) < 4 * TOLERANCE[dtype]
    gram = sum(weight * block @ block.T for weight, block in zip(PYRAMID.values(), blocks))
    assert relative_error(features @ features.T, gram) < 4 * TOLERANCE[dtype]
    names = [f"p{k}_{name}" for k, each in zip(PYRAMID, separate) for name in each.get_feature_names_out()]
    assert [*fitted.get_feature_names_out()] == names
    assert fitted.output_shape_ == (*fitted.network_[0].transform(X).shape[1:-1], 10)


@pytest.mark.parametrize("group", ["rotate", "dihedral"])
def test_pyramid_of_averaged_maps(group):
    X = np.random.RandomState(0).rand(24, *SQUARE)
    averaged = CKNFeatureMap(network(2), symmetries=group, pyramid=PYRAMID, center=True, scale=True).fit(X)
    features = averaged.transform(X)
    for image in IMAGES_OF[group](X):  # The features are invariant bit for bit.
        assert_array_equal(averaged.transform(np.ascontiguousarray(image)), features)


def test_pyramid_with_the_positions_of_the_map_equals_the_map():
    X = signals(2)
    plain = CKNFeatureMap(layer(n_positions=4)).fit(X)
    for weight in (1.0, 0.25):
        found = clone(plain).set_params(pyramid={4: weight}).fit(X).transform(X)
        assert_array_equal(found, np.sqrt(weight) * plain.transform(X))


def test_pyramid_with_more_positions_than_the_map_repeats_positions():
    X = signals(2)
    plain = CKNFeatureMap(layer(n_positions=2)).fit(X)
    found = clone(plain).set_params(pyramid={4: 1}).fit(X).transform(X).reshape(24, 4, 4, -1)
    expected = plain.transform(X).reshape(24, 2, 2, -1).repeat(2, axis=1).repeat(2, axis=2)
    assert relative_error(found, expected) < 1e-15


@every_ndim_and_dtype
def test_pyramid_does_not_depend_on_blocks_and_threads_and_takes_out(ndim, dtype):
    X, fitted, _ = levels(ndim, dtype)
    features = fitted.transform(X)
    with config_context(working_memory=1e-4):  # one signal at a time
        assert_array_equal(fitted.transform(X), features)
    assert_array_equal(clone(fitted).set_params(n_jobs=2).fit(X).transform(X), features)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), features)
    out = np.empty_like(features)
    assert fitted.transform(X, out=out) is out
    assert_array_equal(out, features)
    with pytest.raises(ValueError, match=r"out must be a writeable array"):
        fitted.transform(X, out=out[:, 1:])


def test_pyramid_of_signals_of_different_sizes():
    """The cells of coarse levels consist of whole cells of a last map with 4 positions."""
    X = [image[: 9 - i % 3, : 5 + i % 4] for i, image in enumerate(signals(2))]
    fine, *coarse = (layer(n_positions=k, pooling="average") for k in (4, 2, 1))
    fitted = CKNFeatureMap(fine, pyramid={2: 0.5, 1: 0.25}).fit(X)
    features, blocks = fitted.transform(X), [CKNFeatureMap(each).fit(X).transform(X) for each in coarse]
    assert relative_error(features, np.hstack([np.sqrt(0.5) * blocks[0], 0.5 * blocks[1]])) < 1e-12
    assert_array_equal(fitted.transform([X[5]])[0], features[5])


def test_pyramid_may_be_changed_after_fit():
    X = signals(2)
    fitted = CKNFeatureMap(network(2)).fit(X)
    pandas = pytest.importorskip("pandas")
    for pyramid in (PYRAMID, {2: 1}, None):
        expected = CKNFeatureMap(network(2), pyramid=pyramid).fit(X).transform(X)
        found = fitted.set_params(pyramid=pyramid).set_output(transform="pandas").transform(X)
        assert isinstance(found, pandas.DataFrame) and [*found] == [*fitted.get_feature_names_out()]
        assert_array_equal(found, expected)


BAD_PYRAMIDS = [{}, {0: 1.0}, {-1: 1.0}, {2.0: 1.0}, {True: 1.0}, {"2": 1.0}, {2: 0}, {2: -1.0}, {2: None}, {2: "1"}]


@pytest.mark.parametrize("pyramid", [*BAD_PYRAMIDS, {2: np.nan}, {2: np.inf}, {4: 0.5, 1: 0.0}], ids=str)
def test_bad_pyramids_are_refused(pyramid):
    X = signals(2)
    fitted = CKNFeatureMap(network(2)).fit(X).set_params(pyramid=pyramid)
    for call in (fitted.transform, clone(fitted).fit):
        with pytest.raises(ValueError, match=r"pyramid must be None or a dict of one or more levels, .*; got \{"):
            call(X)


@pytest.mark.parametrize("pyramid", [4, [4, 1], "4"], ids=str)
def test_pyramids_that_are_not_dicts_are_refused(pyramid):
    with pytest.raises(ValueError, match="'pyramid' parameter of CKNFeatureMap must be an instance of 'dict' or None"):
        CKNFeatureMap(network(2), pyramid=pyramid).fit(signals(2))
