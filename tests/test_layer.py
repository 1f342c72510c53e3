"""CKNLayer on signals with one, two and three spatial axes: the transform, the filters, and learning in batches."""

import naive
import numpy as np
import pytest
from estimators import SHAPES, TOLERANCE, every_ndim_and_dtype, layer, relative_error, signals
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone

from sklearn_ckn import CKNFeatureMap, CKNKernel
from sklearn_ckn._core.filters import kmeans


@every_ndim_and_dtype
def test_transform_equals_the_definition(ndim, dtype):
    X = signals(ndim, dtype, n=3)
    fitted = layer(5, ndim=ndim, sigma=0.8).fit(X)
    Z, A = fitted.filters_.reshape(5, -1).astype(float), fitted.whitening_.astype(float)
    sizes = ((3,) * ndim, "exponential", {"sigma": 0.8}, (2,) * ndim, (2,) * ndim)
    expected = [naive.layer(x.astype(float), Z, A, *sizes) for x in X]
    maps = fitted.transform(X)
    assert maps.dtype == fitted.filters_.dtype == fitted.whitening_.dtype == dtype
    assert relative_error(maps, expected) < TOLERANCE[dtype]


@every_ndim_and_dtype
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dilation_is_the_distance_between_the_positions_of_a_patch(ndim, dtype, padding):
    """Every second position of a map is a map on which a patch with a dilation of 2 is not dilated."""
    X, Z = signals(ndim, dtype, n=3), signals(ndim, dtype, n=5)[(slice(None), *[slice(2)] * ndim)]
    every_second = (slice(None), *[slice(None, None, 2)] * ndim)
    case = {"ndim": ndim, "patch_size": 2, "padding": padding, "pooling_width": 1, "init": Z}
    dilated, plain = layer(5, dilation=2, **case).fit(X), layer(5, **case).fit(X[every_second])
    expected = plain.transform(X[every_second])
    at = (slice(None), *[slice(n) for n in expected.shape[1:-1]])
    assert relative_error(dilated.transform(X)[every_second][at], expected) < TOLERANCE[dtype]


@every_ndim_and_dtype
@pytest.mark.parametrize("pooling", ["gaussian", "average"])
def test_the_number_of_positions_may_be_fixed_for_maps_of_any_size(ndim, dtype, pooling):
    X = signals(ndim, dtype, n=3)
    fitted = layer(5, ndim=ndim, n_positions=3, pooling=pooling).fit(X)
    Z, A = fitted.filters_.reshape(5, -1).astype(float), fitted.whitening_.astype(float)
    case = ((3,) * ndim, "exponential", {"sigma": 0.6}, (None,) * ndim, (None,) * ndim, "same", pooling)
    for signals_of_a_size in (X, X[(slice(None), *[slice(4)] * ndim)], X[(slice(None), *[slice(1)] * ndim)]):
        expected = [naive.layer(x.astype(float), Z, A, *case, count=(3,) * ndim) for x in signals_of_a_size]
        maps = fitted.transform(signals_of_a_size)
        assert maps.shape == (3, *[3] * ndim, 5)
        assert relative_error(maps, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize(
    "parameters", [{"pooling_width": 2}, {"subsampling": 1}, {"pooling_width": 2, "subsampling": 1}]
)
def test_a_fixed_number_of_positions_excludes_a_width_and_a_subsampling(parameters):
    with pytest.raises(ValueError, match="n_positions replaces pooling_width and subsampling, which must both be None"):
        layer(n_positions=2, **parameters).fit(signals(2, "float32"))


def test_dilated_patches_that_do_not_fit_in_the_map_are_rejected():
    X = signals(2, "float32")
    n = max(X.shape[1:-1])
    with pytest.raises(ValueError, match=rf"with dilation=\({n}, {n}\), which extends over .*, a smaller dilation or"):
        layer(dilation=n, padding="valid").fit(X)
    with pytest.raises(ValueError, match="dilation must be an int >= 1"):
        layer(dilation=(1, 0)).fit(X)
    layer(dilation=n).fit(X)  # with zeros around the map, only the central position of such a patch is inside


@every_ndim_and_dtype
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_series_equals_an_image_or_a_volume_of_a_single_line(dtype):
    X = signals(1, dtype)
    series = layer(ndim=1).fit(X)
    for ndim in (2, 3):
        ones = (1,) * (ndim - 1)
        image = layer(ndim=ndim, patch_size=(*ones, 3), pooling_width=(*ones, 2)).fit(X.reshape(24, *ones, 18, 2))
        maps = image.transform(X.reshape(24, *ones, 18, 2))
        assert_allclose(maps.reshape(24, 9, 8), series.transform(X), rtol=1e-5 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("ndim", SHAPES)
def test_the_channel_axis_is_optional_and_signals_may_be_flattened(ndim):
    X = signals(ndim, channels=1)
    expected = layer(ndim=ndim).fit_transform(X)
    assert_array_equal(layer(ndim=ndim).fit_transform(X[..., 0]), expected)
    for input_shape in (X.shape[1:-1], X.shape[1:], [-1, *X.shape[2:-1]]):
        flat = layer(ndim=ndim, input_shape=input_shape).fit(X.reshape(24, -1))
        assert flat.input_shape_ == X.shape[1:]
        assert_array_equal(flat.transform(X.reshape(24, -1)), expected)
        assert_array_equal(flat.transform(X), expected)


def test_transform_accepts_other_spatial_sizes_than_fit():
    fitted = layer().fit(signals(2))
    bigger = np.random.RandomState(0).rand(3, 21, 16, 2)
    assert fitted.transform(bigger).shape == (3, 11, 8, 8)


def test_transform_has_the_precision_of_its_input():
    X = signals(2, "float32")
    single = layer().fit(X)
    assert single.transform(X.astype(np.float64)).dtype == np.float64
    assert relative_error(single.transform(X.astype(np.float64)), single.transform(X)) < 1e-6


def test_changed_parameters_take_effect_at_the_next_fit():
    X = signals(2)
    fitted = layer().fit(X)
    expected = fitted.transform(X)
    fitted.set_params(sigma=2.0, pooling_width=3, ndim=1, input_shape=(7, 7))
    assert_array_equal(fitted.transform(X), expected)


def test_parameter_validation_can_be_skipped():
    for estimator in (layer(max_iter=2.5), CKNFeatureMap(layer(max_iter=2.5))):
        with pytest.raises(ValueError, match="max_iter"):
            estimator.fit(signals(2))
        with config_context(skip_parameter_validation=True):
            estimator.fit(signals(2))


def test_init_is_random_patches_or_an_array_of_any_scale():
    X = signals(2)
    drawn = layer(init="random").fit(X)
    assert drawn.n_iter_ == 0
    given = layer(init=drawn.filters_ * 3).fit(X)
    assert_allclose(given.filters_, drawn.filters_, rtol=1e-14)
    for power in (-600, 600):  # The squares of the filters overflow or underflow.
        assert_array_equal(layer(init=np.ldexp(3 * drawn.filters_, power)).fit(X).filters_, given.filters_)
    assert relative_error(given.transform(X), drawn.transform(X)) < 1e-12
    directions = {
        tuple(np.round(p / np.linalg.norm(p), 9)) for x in X for p in naive.patches(x, (3, 3)).reshape(-1, 18)
    }
    assert {tuple(np.round(z, 9)) for z in drawn.filters_.reshape(8, -1)} <= directions


def test_filters_of_kmeans_match_patches_better_than_random_filters():
    X = signals(2)
    P = np.concatenate([naive.patches(x, (3, 3)).reshape(-1, 18) for x in X])
    U = P / np.linalg.norm(P, axis=1, keepdims=True)
    learned, drawn = (
        (U @ layer(init=init).fit(X).filters_.reshape(8, -1).T).max(axis=1).mean() for init in ("k-means", "random")
    )
    assert learned > drawn + 0.01


def test_constant_images_give_one_filter_and_a_warning():
    X = np.ones((5, 8, 8)) * np.arange(1, 6)[:, None, None]
    for images in (X, np.zeros((5, 8, 8))):
        with pytest.warns(UserWarning, match="n_filters=8, but all patches .* are zero or constant") as record:
            maps = layer(padding="valid").fit_transform(images)
        assert len(record) == 1 and maps.shape == (5, 3, 3, 1)
        assert np.isfinite(maps).all() and maps.any() == images.any()
        with pytest.warns(UserWarning, match="all patches .* are zero or constant, so the number of filters is 1"):
            assert not layer(padding="valid", patch_centering=True).fit_transform(images).any()


@pytest.mark.parametrize("dtype, scale", [("float32", 1e-30), ("float64", 1e-300)])
@pytest.mark.parametrize("init", ["k-means", "random"])
def test_images_whose_squares_underflow_count_as_zero(dtype, scale, init):
    X = (scale * np.random.RandomState(0).rand(5, 8, 8)).astype(dtype)
    small = rf"X has values up to 1e-\d+ in magnitude, but for computations in {dtype} .*: multiply X by a constant"
    with (
        pytest.warns(
            UserWarning,
            match="n_filters=8, but all patches .* are zero or constant",
        ),
        pytest.warns(match=small),
    ):
        fitted = layer(init=init).fit(X)
    assert_array_equal(fitted.filters_, layer(1, init=init).fit(np.zeros_like(X)).filters_)
    with pytest.warns(match=small):
        assert not fitted.transform(X).any()


@pytest.mark.parametrize("dtype, scale", [("float32", 1e-17), ("float64", 1e-147)])
def test_signals_whose_small_parts_underflow_cause_a_warning(rng, dtype, scale):
    """The square of a thousandth of the largest value has fewer digits than usual."""
    X = rng.rand(5, 8, 8).astype(dtype)
    layer().fit(100 * scale * X)  # no warning
    with pytest.warns(UserWarning, match="squares of much smaller values lose digits"):
        layer().fit(scale * X)


def test_one_signal_whose_squares_underflow_is_named(rng):
    X = rng.rand(5, 8, 8).astype(np.float32)
    X[0], X[3] = 0, 1e-25 * X[3] / X[3].max()
    fitted = layer().fit(X[:3])
    with pytest.warns(UserWarning, match=r"^X\[3\] has values up to 1e-25 in magnitude, .* by zeros"):
        found = fitted.transform(X)
    with pytest.warns(UserWarning, match=r"^X has values up to 1e-25 in magnitude, "):
        assert_array_equal(found[3:4], fitted.transform(X[3:4]))


def test_finite_values_whose_sum_overflows_cause_no_warning():
    """The partial sums of these half-precision values are infinite, and their sum is not a number."""
    X = np.full((4, 16, 16), 60000, np.float16)
    X[:, 8:] *= -1
    assert np.isfinite(layer(1, padding="valid").fit(X).transform(X)).all()


def test_constant_colour_images_give_filters_of_their_colours():
    X = np.ones((100, 8, 8, 3)) * np.random.RandomState(0).rand(100, 1, 1, 3)
    filters = layer(padding="valid", init="random").fit(X).filters_
    colours = X[:, 0, 0] / np.linalg.norm(X[:, 0, 0], axis=1, keepdims=True)
    # A filter has 9 equal positions, each of norm 1 / 3.
    assert_allclose((filters[:, 1, 1] @ colours.T).max(axis=1), 1 / 3, rtol=1e-12)


@pytest.mark.parametrize("centering", [False, True])
def test_an_image_that_varies_is_found_among_constant_ones(centering):
    X = np.zeros((300, 8, 8))
    X[100] = np.random.RandomState(0).rand(8, 8)
    for seed in range(3):
        fitted = layer(padding="valid", patch_centering=centering, n_patches=5000, random_state=seed).fit(X)
        assert len(fitted.filters_) == 8


def test_fewer_distinct_patches_than_filters_give_one_warning():
    X = np.zeros((6, 8, 8), dtype=np.float32)
    X[:, :, 4:] = 1
    with pytest.warns(UserWarning, match="only 1 distinct patch was drawn") as record:
        fitted = layer(50, patch_size=2, padding="valid").fit(X)
    assert len(record) == 1 and len(fitted.filters_) < 50
    assert np.isfinite(fitted.transform(X)).all()


def test_transform_uses_the_sigma_that_fit_has_chosen():
    X = signals(2)
    fitted = layer(sigma="auto").fit(X)
    fixed = layer(sigma=fitted.sigma_, init=fitted.filters_).fit(X)
    assert relative_error(fitted.transform(X), fixed.transform(X)) < 1e-12
    assert relative_error(fitted.transform(X), layer(sigma=0.1, init=fitted.filters_).fit_transform(X)) > 0.01


def test_random_state_determines_the_filters():
    one, same, other = (layer(random_state=seed).fit(signals(2)).filters_ for seed in (0, 0, 1))
    assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_global_random_state_is_not_used():
    before = np.random.get_state()[1].copy()
    assert_array_equal(layer(random_state=1).fit_transform(signals(2)), layer(random_state=1).fit_transform(signals(2)))
    assert_array_equal(np.random.get_state()[1], before)


def test_adding_a_constant_does_not_change_maps_of_centred_patches():
    X = signals(2)
    fitted = layer(patch_centering=True, padding="valid").fit(X)
    assert relative_error(fitted.transform(X + 10), fitted.transform(X)) < 1e-12


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("exponent", [13, 17, 20])
def test_offsets_that_float32_holds_exactly_change_nothing(ndim, exponent):
    """A barometer: centred patches of float32 signals with a large mean, on the grid that float32 resolves there."""
    steps = np.random.RandomState(0).randint(-5, 6, (20, *(9,) * ndim))
    X = (2.0 ** max(exponent - 23, -6) * steps).astype(np.float32)
    offset = np.float32(1.25 * 2**exponent)
    moved = X + offset
    assert_array_equal(moved - offset, X)
    parameters = {"ndim": ndim, "patch_centering": True, "padding": "valid"}
    expected, found = layer(**parameters).fit(X), layer(**parameters).fit(moved)
    assert_array_equal(found.filters_, expected.filters_)
    assert_array_equal(found.transform(moved), expected.transform(X))
    kernel = CKNKernel(layer(**parameters))
    assert_array_equal(kernel(moved), kernel(X))


@pytest.mark.parametrize("offset, dtype", [(10**6, "float32"), (2**24 - 5, "float32"), (2**25 + 1, "float64")])
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_integers_with_an_offset_are_read_exactly(offset, dtype, kind):
    """Integers that float32 does not represent are computed in float64."""
    X = np.random.RandomState(0).randint(-5, 6, (20, 9, 9))
    fitted = layer(patch_centering=True, padding="valid").fit((X + offset).astype(kind))
    expected = layer(patch_centering=True, padding="valid").fit(X.astype(dtype))
    maps = fitted.transform((X + offset).astype(kind))
    assert maps.dtype == dtype and maps.any()
    assert_array_equal(maps, expected.transform(X.astype(dtype)))


# partial_fit


def test_the_first_partial_fit_equals_fit():
    X, unfitted = signals(2, "float32", n=500), layer(sigma="auto", n_patches=2000)
    one, other = clone(unfitted).fit(X), clone(unfitted).partial_fit(X)
    assert_array_equal(other.transform(X), one.transform(X))
    assert vars(one).keys() == vars(other).keys()


def test_partial_fit_draws_uniformly_from_all_batches(rng):
    """Each batch has the same share of the reservoir as of all signals. A patch is recognised by its direction."""
    share = np.zeros(3)
    for seed in range(50):
        streamed = layer(2, patch_size=1, n_patches=600, random_state=seed, max_iter=1)
        for batch, n in enumerate((10, 40, 50)):
            direction = np.eye(3)[batch]
            streamed.partial_fit(direction + 1e-3 * rng.rand(n, 6, 6, 3))
        (drawn, n_wanted), _ = streamed._reservoir
        assert n_wanted == 100 * 36 and len(drawn) == 600
        assert len(np.unique(drawn, axis=0)) == 600
        share += np.bincount(drawn.argmax(axis=1), minlength=3) / 600
    assert_allclose(share / 50, [0.1, 0.4, 0.5], atol=0.005)


def test_filters_of_partial_fit_suit_batches_of_different_classes():
    """After batches of different classes, the filters are about as good as those of all images at once."""
    X = signals(2, "float32", n=500)
    images = np.concatenate([X[:200] * [1, 0.1], X[200:400] * [0.1, 1]]).astype(np.float32)
    streamed = layer(16, n_patches=2000)
    for start in range(0, 400, 100):
        streamed.partial_fit(images[start : start + 100])
    at_once = layer(16, n_patches=2000).fit(images)

    def objective(fitted):
        U = layer(max_iter=0, random_state=1, n_filters=1000, n_patches=4000).fit(images).filters_.reshape(-1, 18)
        return kmeans.assign(U, fitted.filters_.reshape(16, -1), 1)[1].mean()

    assert objective(streamed) > objective(at_once) - 0.005


def test_partial_fit_accepts_constant_batches():
    with pytest.warns(UserWarning, match="only 8 distinct patches"):  # Only patches at the edges vary.
        streamed = layer(20, n_patches=2000).partial_fit(np.ones((5, 9, 8, 2), np.float32))
    assert len(streamed.filters_) == 8
    streamed.partial_fit(signals(2, "float32", n=500))
    assert len(streamed.filters_) == 20
    assert len(streamed.partial_fit(np.ones((5, 9, 8, 2), np.float32)).filters_) == 20


def test_partial_fit_refuses_other_channels_and_patches():
    X = signals(2, "float32", n=500)
    streamed = layer(n_patches=2000).partial_fit(X)
    with pytest.raises(ValueError, match="The number of channels, the last axis, must be the same"):
        streamed.partial_fit(X[..., :1])
    with pytest.raises(ValueError, match="patch_size, dilation, padding and patch_centering must stay the same"):
        streamed.set_params(patch_size=2).partial_fit(X)
    assert streamed.fit(X).partial_fit(X).filters_.shape == (8, 2, 2, 2)  # fit starts from scratch.


@pytest.mark.parametrize(
    "parameters", [{"sigma": 1e-200}, {"sigma": 1e200}, {"degree": 10**8}, {"coef0": 1e39}, {"reg": 1e300}, {"reg": 0}]
)
def test_parameters_that_no_dtype_can_compute_are_refused(parameters):
    with pytest.raises(ValueError, match=rf"'{next(iter(parameters))}' parameter of CKNLayer must be"):
        layer(**{"kernel": "polynomial", **parameters}).fit(signals(2))
