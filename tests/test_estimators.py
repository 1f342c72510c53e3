"""The estimators on signals of one, two and three axes, which scikit-learn's own checks, fed tables, cannot see."""

import inspect
import pickle
import warnings

import joblib
import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context, set_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags

from sklearn_ckn import CKNFeatureMap, CKNLayer, Flatten

SHAPES = {1: (18, 2), 2: (9, 8, 2), 3: (6, 5, 7, 2)}  # (*space, n_channels)
CASES = [pytest.param(ndim, dtype, id=f"{ndim}d-{dtype}") for ndim in SHAPES for dtype in ("float32", "float64")]
every_case = pytest.mark.parametrize("ndim, dtype", CASES)
RELATIVE = {"float32": 1e-6, "float64": 1e-12}


def signals(ndim, dtype="float64", n=24, channels=None, seed=0):
    *space, c = SHAPES[ndim]
    return np.random.RandomState(seed).rand(n, *space, channels or c).astype(dtype)


def layer(n_filters=8, **parameters):
    return CKNLayer(n_filters, **{"n_patches": 400, "max_iter": 5, "random_state": 0, **parameters})


def network(ndim):
    """In single precision the second layer goes by Winograd's filtering."""
    return make_pipeline(layer(64, ndim=ndim), layer(10, ndim=ndim, pooling_width=3))


def relative_error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@every_case
def test_layer_is_the_definition(ndim, dtype):
    X = signals(ndim, dtype, n=3)
    fitted = layer(5, ndim=ndim, sigma=0.8).fit(X)
    Z, A = fitted.filters_.reshape(5, -1).astype(float), fitted.whitening_.astype(float)
    sizes = ((3,) * ndim, "exponential", {"sigma": 0.8}, (2,) * ndim, (2,) * ndim)
    expected = [naive.layer(x.astype(float), Z, A, *sizes) for x in X]
    maps = fitted.transform(X)
    assert maps.dtype == fitted.filters_.dtype == fitted.whitening_.dtype == dtype
    assert relative_error(maps, expected) < RELATIVE[dtype]


@every_case
def test_fitted_attributes(ndim, dtype):
    X = signals(ndim, dtype)
    fitted = layer(7, ndim=ndim, sigma="auto").fit(X)
    assert fitted.filters_.shape == (7, *[3] * ndim, 2)
    assert_allclose(np.linalg.norm(fitted.filters_.reshape(7, -1), axis=1), 1, rtol=1e-6)
    assert fitted.input_shape_ == X.shape[1:]
    assert fitted.n_features_in_ == X[0].size
    assert 0 < fitted.sigma_ < 2 and 1 <= fitted.n_iter_ <= 5
    u = fitted.filters_.reshape(7, -1).astype(float)
    K = np.exp((u @ u.T - 1) / fitted.sigma_**2) + fitted.reg * np.eye(7)
    A = fitted.whitening_.astype(float)
    assert_allclose(A @ K @ A, np.eye(7), atol=1e-10 if dtype == "float64" else 1e-4)


@every_case
def test_feature_map_equals_the_pipeline(ndim, dtype):
    X = signals(ndim, dtype)
    pipeline = make_pipeline(*[step for _, step in network(ndim).steps], Flatten(center=True, scale=True)).fit(X)
    feature_map = CKNFeatureMap(network(ndim), center=True, scale=True).fit(X)
    expected, features = pipeline.transform(X), feature_map.transform(X)
    assert features.dtype == dtype and features.shape == (len(X), np.prod(feature_map.output_shape_))
    assert relative_error(features, expected) < RELATIVE[dtype]
    assert_array_equal(feature_map.get_feature_names_out(), pipeline.get_feature_names_out())
    for (_, mine), (_, other) in zip(feature_map.network_.steps, pipeline.steps):
        assert relative_error(mine.filters_, other.filters_) < RELATIVE[dtype]


@every_case
def test_features_are_those_of_the_mirror_image_too(ndim, dtype):
    X = signals(ndim, dtype)
    mirrored = X[..., ::-1, :]
    plain, both = (
        CKNFeatureMap(network(ndim), augment=augment, center=True, scale=True).fit(X) for augment in (None, "flip")
    )
    maps = [plain.network_.transform(signals) for signals in (X, mirrored)]
    assert relative_error(maps[0], maps[1]) > 1e-3
    features = both.transform(X)
    assert relative_error(features, Flatten(center=True, scale=True).fit_transform(sum(maps))) < RELATIVE[dtype]
    assert_array_equal(both.transform(mirrored), features)
    assert_array_equal(clone(both).set_params(n_jobs=2).fit(X).transform(X), features)


def test_feature_map_fits_on_as_few_signals_as_the_patches_need(monkeypatch):
    from sklearn_ckn._core.network import forward

    encoded = []
    monkeypatch.setattr(
        forward,
        "encode_network",
        lambda X, net, f=forward.encode_network: encoded.append(len(X) * len(net)) or f(X, net),
    )
    X = signals(2, "float32", n=2000)
    CKNFeatureMap(make_pipeline(layer(n_patches=1000), layer(n_patches=1000))).fit(X)
    assert 1000 / 16 <= sum(encoded) <= 1000 / 16 + 32


@every_case
@pytest.mark.parametrize("block", [1, 5])
def test_block_size_and_company_change_no_bit(ndim, dtype, block, monkeypatch):
    from sklearn_ckn._core.network import forward

    X = signals(ndim, dtype)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    expected = fitted.transform(X)
    assert_array_equal(np.concatenate([fitted.transform(x[None]) for x in X]), expected)
    with config_context(working_memory=1e-9):
        assert_array_equal(fitted.transform(X), expected)
    monkeypatch.setattr(forward, "BLOCK", block)
    assert_array_equal(fitted.transform(X), expected)


@every_case
def test_the_network_of_these_tests_takes_both_ways_of_products(ndim, dtype):
    from sklearn_ckn._arrays.signals import EncodedSignals, Signals
    from sklearn_ckn._core.network import direct, winograd

    X = signals(ndim, dtype)
    layers = [step for _, step in network(ndim).fit(X).steps]
    ways = [type(made.convolution) for made in EncodedSignals(Signals(X, X.shape[1:]), layers, 1).network]
    assert ways == [direct.Direct, winograd.Winograd if dtype == "float32" else direct.Direct]


def test_a_block_takes_the_working_memory_of_scikit_learn(monkeypatch):
    from sklearn_ckn._core.network import forward

    X, read = signals(2, "float32", n=2000), []
    fitted = CKNFeatureMap(layer(32, pooling_width=1)).fit(X)
    encoded = np.zeros((2000, 9, 8, 32))
    monkeypatch.setattr(forward, "encode_network", lambda X, network: read.append(len(X)) or encoded[: len(X)])
    monkeypatch.setattr(forward, "BLOCK", 10**6)
    with config_context(working_memory=0.5):  # MB
        fitted.transform(X)
    maps = 9 * 8 * 32 * 4  # bytes of a signal's output; it and what it comes from are counted twice
    assert 2**19 / maps / 4 < max(read) < 2**19 / maps


def test_same_bits_for_any_number_of_blas_threads():
    from threadpoolctl import threadpool_limits

    X = np.random.RandomState(0).rand(100, 8, 8)
    fitted = []
    for limit in (1, 2):
        with threadpool_limits(limit):
            fitted.append(CKNFeatureMap(layer(256, n_patches=5000)).fit(X))
    assert_array_equal(*(one.network_[0].whitening_ for one in fitted))
    assert_array_equal(*(one.transform(X) for one in fitted))


@every_case
def test_same_bits_for_any_n_jobs(ndim, dtype):
    X = signals(ndim, dtype, n=40)
    one = CKNFeatureMap(network(ndim)).fit(X)
    for n_jobs in (2, 3, -1):
        other = CKNFeatureMap(network(ndim), n_jobs=n_jobs).fit(X)
        assert_array_equal(other.transform(X), one.transform(X))
        single = clone(one.network.steps[0][1]).set_params(n_jobs=n_jobs)
        assert_array_equal(single.fit_transform(X), one.network_.steps[0][1].transform(X))
    with joblib.parallel_config("threading", n_jobs=2):
        assert_array_equal(one.transform(X), CKNFeatureMap(network(ndim)).fit(X).transform(X))


def test_n_jobs_are_threads_that_run_at_the_same_time_in_fit_and_transform(monkeypatch):
    import threading

    from sklearn_ckn._core.network import forward

    X, feature_map = signals(2, n=32), CKNFeatureMap(make_pipeline(layer(), layer()), n_jobs=2).fit(signals(2))
    sizes, barrier, encode = [], threading.Barrier(2, timeout=20), forward.encode_network

    def watched(maps, net):
        barrier.wait()  # passed only by two threads together; 4 blocks, in transform as for every layer
        sizes.append(len(maps))
        return encode(maps, net)

    monkeypatch.setattr(forward, "encode_network", watched)
    feature_map.transform(X)
    feature_map.fit(X)
    assert sizes[:4] == [8] * 4
    assert sorted(sizes[4:]) == [4] * 2 + [7] * 6  # of 25 signals that give 400 patches


@every_case
def test_order_of_rows_only_permutes(ndim, dtype):
    X, order = signals(ndim, dtype), np.random.RandomState(1).permutation(24)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    assert relative_error(fitted.transform(X[order]), fitted.transform(X)[order]) < RELATIVE[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_line_is_an_image_of_one_row_and_a_volume_of_one_slice(dtype):
    X = signals(1, dtype)
    line = layer(ndim=1).fit(X)
    for ndim in (2, 3):
        ones = (1,) * (ndim - 1)
        image = layer(ndim=ndim, patch_size=(*ones, 3), pooling_width=(*ones, 2)).fit(X.reshape(24, *ones, 18, 2))
        maps = image.transform(X.reshape(24, *ones, 18, 2))
        assert_allclose(maps.reshape(24, 9, 8), line.transform(X), rtol=1e-5 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("ndim", SHAPES)
def test_one_channel_may_be_left_out_and_rows_may_be_flattened(ndim):
    X = signals(ndim, channels=1)
    expected = layer(ndim=ndim).fit_transform(X)
    assert_array_equal(layer(ndim=ndim).fit_transform(X[..., 0]), expected)
    for input_shape in (X.shape[1:-1], X.shape[1:], [-1, *X.shape[2:-1]]):
        flat = layer(ndim=ndim, input_shape=input_shape).fit(X.reshape(24, -1))
        assert flat.input_shape_ == X.shape[1:]
        assert_array_equal(flat.transform(X.reshape(24, -1)), expected)
        assert_array_equal(flat.transform(X), expected)


def test_space_may_differ_at_transform():
    fitted = layer().fit(signals(2))
    bigger = np.random.RandomState(0).rand(3, 21, 16, 2)
    assert fitted.transform(bigger).shape == (3, 11, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16])
def test_other_dtypes_are_read_as_float32(dtype):
    X = (signals(2) * 3).astype(dtype)
    maps = layer().fit_transform(X)
    assert maps.dtype == np.float32
    assert_array_equal(maps, layer().fit_transform(X.astype(np.float32)))


def test_integers_are_never_copied_as_a_whole(monkeypatch):
    from sklearn_ckn._arrays.signals import Signals

    read = []
    monkeypatch.setattr(
        Signals, "read", lambda self, rows, f=Signals.read: read.append(len(f(self, rows))) or f(self, rows)
    )
    X = (signals(2, n=400) * 255).astype(np.uint8)
    CKNFeatureMap(make_pipeline(layer(), layer())).fit(X).transform(X)
    assert max(read) <= 32


def test_a_layer_transforms_in_the_precision_of_X():
    X = signals(2, "float32")
    single = layer().fit(X)
    assert single.transform(X.astype(np.float64)).dtype == np.float64
    assert relative_error(single.transform(X.astype(np.float64)), single.transform(X)) < 1e-6


@every_case
def test_X_is_never_written_to(ndim, dtype, tmp_path):
    X = signals(ndim, dtype)
    joblib.dump(X, tmp_path / "X.joblib")
    memmap = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    before = X.copy()
    expected = CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(X)
    assert_array_equal(X, before)
    assert_array_equal(CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(memmap), expected)
    strided = np.repeat(X, 2, axis=0)[::2]
    assert_array_equal(CKNFeatureMap(network(ndim), center=True, scale=True).fit_transform(strided), expected)


@every_case
def test_pickle_and_clone(ndim, dtype):
    X = signals(ndim, dtype)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(X), fitted.transform(X))
    assert not hasattr(clone(fitted), "network_")
    assert_array_equal(clone(fitted).fit(X).transform(X), fitted.transform(X))


def test_parameters_and_network_are_left_as_they_are():
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


def test_changed_parameters_wait_for_the_next_fit():
    X = signals(2)
    fitted = layer().fit(X)
    expected = fitted.transform(X)
    fitted.set_params(sigma=2.0, pooling_width=3, ndim=1, input_shape=(7, 7))
    assert_array_equal(fitted.transform(X), expected)


def test_parameter_checks_can_be_skipped():
    for estimator in (layer(max_iter=2.5), CKNFeatureMap(layer(max_iter=2.5))):
        with pytest.raises(ValueError, match="max_iter"):
            estimator.fit(signals(2))
        with config_context(skip_parameter_validation=True):
            estimator.fit(signals(2))


def test_init_random_and_array():
    X = signals(2)
    drawn = layer(init="random").fit(X)
    assert drawn.n_iter_ == 0
    given = layer(init=drawn.filters_ * 3).fit(X)
    assert_allclose(given.filters_, drawn.filters_, rtol=1e-14)
    for power in (-600, 600):  # their squares are no numbers
        assert_array_equal(layer(init=np.ldexp(3 * drawn.filters_, power)).fit(X).filters_, given.filters_)
    assert relative_error(given.transform(X), drawn.transform(X)) < 1e-12
    directions = {
        tuple(np.round(p / np.linalg.norm(p), 9)) for x in X for p in naive.patches(x, (3, 3)).reshape(-1, 18)
    }
    assert {tuple(np.round(z, 9)) for z in drawn.filters_.reshape(8, -1)} <= directions


def test_k_means_matches_patches_better_than_random_ones():
    X = signals(2)
    P = np.concatenate([naive.patches(x, (3, 3)).reshape(-1, 18) for x in X])
    U = P / np.linalg.norm(P, axis=1, keepdims=True)
    learned, drawn = (
        (U @ layer(init=init).fit(X).filters_.reshape(8, -1).T).max(axis=1).mean() for init in ("k-means", "random")
    )
    assert learned > drawn + 0.01


def test_constant_images_warn_and_work():
    X = np.ones((5, 8, 8)) * np.arange(1, 6)[:, None, None]
    for images in (X, np.zeros((5, 8, 8))):
        with pytest.warns(UserWarning, match="n_filters=8, but only 1 distinct patches") as record:
            maps = layer(padding="valid").fit_transform(images)
        assert len(record) == 1 and maps.shape == (5, 3, 3, 1)
        assert np.isfinite(maps).all() and maps.any() == images.any()
        with pytest.warns(UserWarning, match="only 1 distinct"):
            assert not layer(padding="valid", patch_centering=True).fit_transform(images).any()


@pytest.mark.parametrize("dtype, scale", [("float32", 1e-30), ("float64", 1e-300)])
@pytest.mark.parametrize("init", ["k-means", "random"])
def test_images_whose_squares_vanish_are_as_zero(dtype, scale, init):
    X = (scale * np.random.RandomState(0).rand(5, 8, 8)).astype(dtype)
    with pytest.warns(UserWarning, match="n_filters=8, but only 1 distinct patches"):
        fitted = layer(init=init).fit(X)
    assert_array_equal(fitted.filters_, layer(1, init=init).fit(np.zeros_like(X)).filters_)
    assert not fitted.transform(X).any()


def test_constant_images_of_many_colours_give_filters_of_these_colours():
    X = np.ones((100, 8, 8, 3)) * np.random.RandomState(0).rand(100, 1, 1, 3)
    filters = layer(padding="valid", init="random").fit(X).filters_
    colours = X[:, 0, 0] / np.linalg.norm(X[:, 0, 0], axis=1, keepdims=True)
    assert_allclose((filters[:, 1, 1] @ colours.T).max(axis=1), 1 / 3, rtol=1e-12)  # 9 positions of norm 1 / 3


@pytest.mark.parametrize("centering", [False, True])
def test_images_that_vary_are_found_among_many_constant_ones(centering):
    X = np.zeros((300, 8, 8))
    X[100] = np.random.RandomState(0).rand(8, 8)
    for seed in range(3):
        fitted = layer(padding="valid", patch_centering=centering, n_patches=5000, random_state=seed).fit(X)
        assert len(fitted.filters_) == 8


def test_fewer_distinct_patches_than_filters_warn_once():
    X = np.zeros((6, 8, 8), dtype=np.float32)
    X[:, :, 4:] = 1
    with pytest.warns(UserWarning, match="distinct patches") as record:
        fitted = layer(50, patch_size=2, padding="valid").fit(X)
    assert len(record) == 1 and len(fitted.filters_) < 50
    assert np.isfinite(fitted.transform(X)).all()


def test_zero_images_give_zero_features():
    X = signals(2)
    X[3] = 0
    features = CKNFeatureMap(network(2), center=True, scale=True).fit(X).transform(X)
    assert not features[3].any() and np.isfinite(features).all()


@pytest.mark.parametrize("dtype, power", [("float32", 50), ("float32", -30), ("float64", 500), ("float64", -400)])
def test_homogeneity_to_the_last_bit_up_to_the_largest_values_accepted(dtype, power):
    X, factor = signals(2).astype(dtype), np.ldexp(np.ones((), dtype=dtype), power)
    features, scaled = (CKNFeatureMap(network(2)).fit_transform(images) for images in (X, factor * X))
    assert_array_equal(scaled, factor * features)


def test_constant_images_have_no_features_after_centring():
    X = signals(2)
    X[:4] = np.random.RandomState(1).rand(4, 1, 1, 2)
    for dtype in ("float32", "float64"):
        net = make_pipeline(layer(patch_centering=True, padding="valid"), layer())
        features = CKNFeatureMap(net, center=True, scale=True).fit_transform(X.astype(dtype))
        assert not features[:4].any() and features[4:].any(axis=1).all()


def test_sigma_auto_is_the_sigma_of_the_transform():
    X = signals(2)
    fitted = layer(sigma="auto").fit(X)
    fixed = layer(sigma=fitted.sigma_, init=fitted.filters_).fit(X)
    assert relative_error(fitted.transform(X), fixed.transform(X)) < 1e-12
    assert relative_error(fitted.transform(X), layer(sigma=0.1, init=fitted.filters_).fit_transform(X)) > 0.01


def test_random_state_decides_the_filters():
    one, same, other = (layer(random_state=seed).fit(signals(2)).filters_ for seed in (0, 0, 1))
    assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_centred_patches_ignore_a_constant():
    X = signals(2)
    fitted = layer(patch_centering=True, padding="valid").fit(X)
    assert relative_error(fitted.transform(X + 10), fitted.transform(X)) < 1e-12


def test_feature_names_and_set_output():
    X = signals(2)
    names = ["y0_x0_f0", "y0_x0_f1", "y0_x1_f0", "y0_x1_f1", "y1_x0_f0", "y1_x0_f1", "y1_x1_f0", "y1_x1_f1"]
    feature_map = CKNFeatureMap(layer(2, pooling_width=5)).set_output(transform="pandas").fit(X)
    frame = feature_map.transform(X)
    assert list(frame.columns) == names
    pipeline = make_pipeline(layer(2, pooling_width=5), Flatten()).set_output(transform="pandas")
    assert_array_equal(pipeline.fit_transform(X).to_numpy(), frame.to_numpy())
    set_config(transform_output="pandas")
    try:
        assert list(pipeline.fit(X).transform(X).columns) == names
    finally:
        set_config(transform_output="default")
    assert Flatten().fit(np.ones((2, 2, 1, 1, 1))).get_feature_names_out()[1] == "z1_y0_x0_f0"
    assert list(Flatten().fit(np.ones((2, 2))).get_feature_names_out()) == ["f0", "f1"]


def test_html_repr_shows_the_layers_and_fits_nothing():
    html = CKNFeatureMap(network(2))._repr_html_()
    assert "cknlayer-2" in html
    for wrong in (CKNLayer(ndim="2"), CKNFeatureMap(Pipeline([])), CKNFeatureMap(None)):
        assert type(wrong).__name__ in wrong._repr_html_()


def test_tags_are_those_of_the_first_layer():
    for first, two_d in ((layer(ndim=1), True), (layer(ndim=3), False), (layer(ndim=3, input_shape=(2, 2, 2)), True)):
        for net in (first, make_pipeline(first, layer()), Pipeline([("none", "passthrough"), ("first", first)])):
            assert get_tags(CKNFeatureMap(net)).input_tags.two_d_array == two_d


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    assert_array_equal(layer(random_state=1).fit_transform(signals(2)), layer(random_state=1).fit_transform(signals(2)))
    assert_array_equal(np.random.get_state()[1], before)


def test_no_warning_on_ordinary_signals():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CKNFeatureMap(network(2)).fit_transform(signals(2))


def test_a_fitted_layer_is_read_anew_when_it_changes():
    X, fitted = signals(2), layer(n_filters=5).fit(signals(2))
    before = fitted.transform(X)
    with pytest.raises(ValueError, match="read-only"):
        fitted.filters_[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        fitted.whitening_ *= 2
    fitted.whitening_ = 2 * fitted.whitening_
    np.testing.assert_allclose(fitted.transform(X), 2 * before, rtol=1e-5)
    for wrong in (np.eye(4), np.eye(6)):
        fitted.whitening_ = wrong
        with pytest.raises(ValueError, match="whitening_"):
            fitted.transform(X)
    fitted.fit(X).filters_ = np.full_like(fitted.filters_, np.nan)
    with pytest.raises(ValueError, match="finite"):
        fitted.transform(X)
    np.testing.assert_array_equal(fitted.fit(X).transform(X), before)


def test_arrays_of_the_user_stay_writeable_and_their_changes_are_seen():
    X, fitted = signals(2), layer(n_filters=5).fit(signals(2))
    expected = fitted.transform(X)
    filters, whitening = np.array(fitted.filters_), np.array(fitted.whitening_)
    seen_through = whitening.view()
    seen_through.flags.writeable = False
    for mine in (whitening, seen_through):  # a read-only view changes with what it is a view of
        fitted.filters_, fitted.whitening_ = filters, mine
        assert_array_equal(fitted.transform(X), expected)
        assert filters.flags.writeable and whitening.flags.writeable
        whitening *= 2
        np.testing.assert_allclose(fitted.transform(X), 2 * expected, rtol=1e-5)
        whitening /= 2
    filters[:] = filters[::-1].copy()
    assert not np.allclose(fitted.transform(X), expected)


@pytest.mark.parametrize("wrap", [lambda few: few, lambda few: make_pipeline(few, Flatten()), CKNFeatureMap])
def test_warnings_point_at_the_line_of_the_caller(wrap):
    X = np.tile(np.arange(8.0), (10, 8, 1))  # of few distinct patches
    with pytest.warns(UserWarning, match="distinct patches") as caught:
        wrap(layer(50, n_patches=200)).fit(X)
    line = inspect.currentframe().f_lineno - 1
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
