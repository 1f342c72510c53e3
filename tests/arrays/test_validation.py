"""Bad input: every error message is clear, and no estimator is left half fitted."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, Flatten
from sklearn_ckn.presets import make_network

IMAGES = np.random.RandomState(0).rand(6, 8, 7, 2)


def layer(n_filters=4, **parameters):
    """Return a small layer with a fixed random seed."""
    return CKNLayer(n_filters, **{"n_patches": 200, "max_iter": 2, "random_state": 0, **parameters})


def with_value(value, dtype=float):
    """Return the images with another value at one position."""
    X = IMAGES.astype(dtype)
    X[1, 2, 3, 0] = value
    return X


BAD_X = [
    pytest.param(np.ones((6, 64)), r"shape \(6, 64\).*set input_shape=\(height, width\).*series", id="flat"),
    pytest.param(
        np.ones(6),
        r"shape \(6,\), but .* Reshape your data: .* pass numpy\.asarray\(X\)\[None\]",
        id="one axis",
    ),
    pytest.param(np.ones((6, 8, 8, 2, 2)), r"shape \(6, 8, 8, 2, 2\), but with ndim=2", id="too many axes"),
    pytest.param(with_value(np.nan), "X contains NaN", id="nan"),
    pytest.param(with_value(np.inf, np.float32), "X contains infinity", id="infinity"),
    pytest.param(with_value(2e16, np.float32), r"values up to 2e\+16.*in float32.*1.8e\+16", id="large"),
    pytest.param(with_value(-1e152), r"values up to 1e\+152.*in float64", id="large negative"),
    pytest.param(IMAGES * 1j, "Complex data not supported", id="complex"),
    pytest.param(IMAGES.astype("datetime64[s]"), r"dtype datetime64\[s\], but signals must be real", id="dates"),
    pytest.param(IMAGES.astype(str), "dtype='numeric' is not compatible with arrays of bytes/strings", id="strings"),
    pytest.param(with_value({}, object), "argument must be .*number", id="object"),
    pytest.param(sparse.csr_array(np.eye(6)), "[Ss]parse", id="sparse"),
    pytest.param(IMAGES[0, ..., 0], r"one signal with one channel, pass X\[None\]", id="one signal"),
    pytest.param("images.npy", r"X must be an array; got str\. Open a file first", id="path"),
    pytest.param({"images": IMAGES}, r"X must be an array; got dict.*group\['images'\]", id="group"),
    pytest.param(IMAGES[:0], "0 sample", id="no signal"),
    pytest.param(IMAGES[:, :, :0], "every axis must have a length of at least 1", id="no position"),
    pytest.param([[[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, 4.0]]], r"X\[0\] has rows of different lengths", id="ragged"),
]


@pytest.mark.parametrize("X, message", BAD_X)
@pytest.mark.parametrize("make", [layer, lambda: CKNFeatureMap(layer())], ids=["layer", "feature map"])
def test_bad_X_is_refused_and_leaves_the_estimator_unchanged(make, X, message):
    estimator = make()
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(X)
    assert set(vars(estimator)) == set(vars(make()))
    fitted = make().fit(IMAGES)
    before = dict(vars(fitted))
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.fit(X)
    with pytest.raises((ValueError, TypeError)):
        fitted.transform(X)
    assert all(vars(fitted)[name] is value for name, value in before.items())


BAD_PARAMETERS = [
    ({"n_filters": 0}, r"'n_filters' parameter of CKNLayer must be an int in the range \[1, inf\). Got 0"),
    ({"patch_size": 0}, r"'patch_size' parameter .* Got 0"),
    ({"patch_size": (3, 0)}, r"patch_size must be an int >= 1 or, with ndim=2, a tuple of length 2.*\(3, 0\)"),
    ({"patch_size": (3, 3, 3)}, r"patch_size must be .*got \(3, 3, 3\)"),
    ({"patch_size": 2.5}, r"'patch_size' parameter .* Got 2.5"),
    ({"pooling_width": -1}, r"'pooling_width' parameter .* Got -1"),
    ({"pooling_width": (2, "a")}, r"pooling_width must be .*got \(2, 'a'\)"),
    ({"subsampling": 0}, r"'subsampling' parameter .* Got 0"),
    ({"subsampling": (1,)}, r"subsampling must be .*got \(1,\)"),
    ({"pooling": "max"}, r"'pooling' parameter .*'gaussian'.* Got 'max'"),
    ({"padding": "full"}, r"'padding' parameter .* Got 'full'"),
    ({"patch_centering": "yes"}, r"'patch_centering' parameter .* Got 'yes'"),
    ({"kernel": "rbf"}, r"'kernel' parameter .*'exponential'.* Got 'rbf'"),
    ({"kernel": "arccos0"}, r"kernel='arccos0' .*Use kernel='arccos1'"),
    ({"sigma": 0.0}, r"'sigma' parameter .* Got 0.0"),
    ({"sigma": "scale"}, r"'sigma' parameter .* Got 'scale'"),
    ({"degree": 0}, r"'degree' parameter .* Got 0"),
    ({"coef0": -0.5}, r"'coef0' parameter .* Got -0.5"),
    ({"init": "k-means++"}, r"'init' parameter .* Got 'k-means\+\+'"),
    ({"init": np.ones((4, 3, 3, 1))}, r"init must have shape \(4, 3, 3, 2\).*got \(4, 3, 3, 1\)"),
    ({"init": np.zeros((4, 3, 3, 2))}, "init must not contain an all-zero filter, but filter 0 is all zeros"),
    ({"init": np.full((4, 3, 3, 2), np.nan)}, "init contains NaN"),
    ({"n_patches": 0}, r"'n_patches' parameter .* Got 0"),
    ({"max_iter": -1}, r"'max_iter' parameter .* Got -1"),
    ({"reg": 0.0}, r"'reg' parameter .* Got 0.0"),
    ({"ndim": 4}, r"'ndim' parameter .* Got 4"),
    ({"input_shape": (8,)}, r"input_shape must be \(height, width\) or .*got \(8,\)"),
    ({"input_shape": (-1, -1)}, r"input_shape must be .*got \(-1, -1\)"),
    ({"input_shape": (8, 0)}, r"input_shape must be .*got \(8, 0\)"),
    ({"input_shape": (5, 7, 2)}, r"input_shape=\(5, 7, 2\).*\(8, 7, 2\)"),
    ({"n_jobs": 0}, "n_jobs"),
    ({"n_jobs": 1.5}, r"'n_jobs' parameter .* Got 1.5"),
    ({"random_state": "seed"}, r"'random_state' parameter .* Got 'seed'"),
    ({"patch_centering": True, "patch_size": 1}, "patch_centering=True needs a patch_size of at least two positions"),
    ({"patch_size": 9, "padding": "valid"}, r"patch_size=\(9, 9\) must not exceed .*\(8, 7\).*padding='same'"),
    ({"pooling": "average", "pooling_width": 10**12}, r"pooling_width=\(10{12}, 10{12}\) must not exceed"),
    ({"pooling": "average", "pooling_width": 9}, r"pooling_width=\(9, 9\) must not exceed .*pooling='gaussian'"),
]


@pytest.mark.parametrize("parameters, message", BAD_PARAMETERS, ids=lambda value: str(value)[:40])
def test_bad_parameters_are_refused(parameters, message):
    for estimator in (layer(**parameters), CKNFeatureMap(layer(**parameters))):
        names = set(vars(estimator))
        with pytest.raises(ValueError, match=message):
            if isinstance(estimator, CKNFeatureMap) and "n_jobs" in parameters:
                estimator.set_params(n_jobs=parameters["n_jobs"]).fit(IMAGES)
            else:
                estimator.fit(IMAGES)
        assert set(vars(estimator)) == names


def test_unknown_symmetries_are_refused():
    with pytest.raises(ValueError, match=r"'symmetries' parameter of CKNFeatureMap .*'flip'.* Got 'turn'"):
        CKNFeatureMap(layer(), symmetries="turn").fit(IMAGES)
    with pytest.raises(ValueError, match=r"'symmetries' parameter of CKNFeatureMap .*'flip'.* Got 'turn'"):
        CKNFeatureMap(layer()).fit(IMAGES).set_params(symmetries="turn").transform(IMAGES)


@pytest.mark.parametrize("symmetries", ["rotate", "dihedral"])
@pytest.mark.parametrize(
    "space, message",
    [
        ((8,), r"requires ndim=2; got signals with 1 spatial axis, of shape \(8,\)\. Set symmetries to 'flip' or None"),
        ((5, 5, 5), r"requires ndim=2; got signals with 3 spatial axes, of shape \(5, 5, 5\)\. Set symmetries to"),
        ((8, 6), r"requires square images; got images of spatial shape \(8, 6\)\. Crop or pad the images, or set"),
    ],
)
def test_quarter_turns_require_square_images(symmetries, space, message):
    X, ndim = np.random.RandomState(0).rand(20, *space), len(space)
    feature_map = CKNFeatureMap(layer(ndim=ndim), symmetries=symmetries)
    with pytest.raises(ValueError, match=f"symmetries='{symmetries}' rotates images by quarter turns, which {message}"):
        feature_map.fit(X)
    fitted = feature_map.set_params(symmetries=None).fit(X)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(symmetries=symmetries).transform(X)


def test_input_shape_must_match_the_number_of_columns():
    with pytest.raises(ValueError, match=r"input_shape=\(8, 8\) does not fit X: .*64 values, but X has 60 columns"):
        layer(input_shape=(8, 8)).fit(np.ones((3, 60)))
    with pytest.raises(ValueError, match=r"input_shape=\(7, -1\) does not fit X: .*a multiple of 7 values"):
        layer(input_shape=(7, -1)).fit(np.ones((3, 60)))


def test_transform_refuses_signals_of_another_shape_than_fit():
    fitted = layer().fit(IMAGES)
    with pytest.raises(
        ValueError, match=r"X of shape \(6, 8, 7, 1\) has signals of .*fitted on signals of .*\(8, 7, 2\)"
    ):
        fitted.transform(IMAGES[..., :1])
    with pytest.raises(ValueError, match=r"\(8, 7, 1\)"):
        fitted.transform(IMAGES[..., 0])
    series = layer(ndim=1).fit(IMAGES[:, 0])
    with pytest.raises(ValueError, match=r"X of shape \(6, 7\) has signals of shape \(7, 1\).*fitted on .*\(7, 2\)"):
        series.transform(IMAGES[:, 0, :, 0])
    flat = layer(input_shape=(8, 7, 2)).fit(IMAGES.reshape(6, -1))
    with pytest.raises(ValueError, match="X has 56 features, but CKNLayer is expecting 112 features"):
        flat.transform(IMAGES[..., 0].reshape(6, -1))
    for strict in (CKNFeatureMap(layer()).fit(IMAGES), Flatten().fit(IMAGES)):
        with pytest.raises(ValueError, match=r"\(7, 7, 2\).*\(8, 7, 2\)"):
            strict.transform(IMAGES[:, :7])
    small = layer(patch_size=5, padding="valid").fit(IMAGES)
    with pytest.raises(ValueError, match=r"patch_size=\(5, 5\) must not exceed the spatial shape of the layer's input"):
        small.transform(IMAGES[:, :4])


@pytest.mark.parametrize(
    "network, error, message",
    [
        (
            Ridge(),
            TypeError,
            r"must be a CKNLayer or a Pipeline of CKNLayers \(use make_pipeline .*\); got an object of type Ridge\.",
        ),
        (make_pipeline(layer(), Flatten()), TypeError, "; step 'flatten'"),
        (None, TypeError, "got an object of type NoneType"),
        ("passthrough", TypeError, "got an object of type str"),
        (np.zeros(3), TypeError, "got an object of type ndarray"),
        (Pipeline([("a", "passthrough")]), ValueError, "at least one CKNLayer"),
        (make_pipeline(layer(), layer(ndim=1)), ValueError, r"share ndim; got \[2, 1\]"),
        (make_pipeline(layer(), layer(input_shape=(8, 7))), ValueError, "Only the first layer"),
        (make_pipeline(layer(), layer(sigma=-1)), ValueError, "'sigma' parameter of CKNLayer.*\n.*'cknlayer-2'"),
        (
            make_pipeline(layer(), layer(patch_size=9, padding="valid")),
            ValueError,
            r"the layer's input, \(4, 4\).*\n.*'cknlayer-2'",
        ),
    ],
)
def test_bad_networks_are_refused(network, error, message):
    feature_map = CKNFeatureMap(network)
    with pytest.raises(error, match=message):
        feature_map.fit(IMAGES)
    assert set(vars(feature_map)) == set(vars(clone(CKNFeatureMap(layer()))))
    repr(feature_map), feature_map._repr_html_()


def test_column_names_of_mixed_types_leave_no_estimator_half_fitted():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(IMAGES[0, :, :2, 0], columns=["a", 1])
    for estimator in (layer(ndim=1), CKNFeatureMap(layer(ndim=1)), Flatten()):
        names = set(vars(estimator))
        with pytest.raises(TypeError, match="string"):
            estimator.fit(frame)
        assert set(vars(estimator)) == names


def test_unfitted_estimators_are_refused():
    for estimator in (layer(), CKNFeatureMap(layer()), Flatten()):
        with pytest.raises(NotFittedError):
            estimator.transform(IMAGES)
        with pytest.raises(NotFittedError):
            estimator.get_feature_names_out()


def test_a_single_signal_is_refused():
    fitted = CKNFeatureMap(layer()).fit(IMAGES)
    with pytest.raises(ValueError, match=r"is one signal of the shape with which CKNFeatureMap was fitted: pass X\[No"):
        fitted.transform(IMAGES[0])


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 3), (9,), (9, 1), (9, 6)], ids=str)
@pytest.mark.parametrize("flattened", [False, True])
def test_a_single_signal_is_refused_by_estimators_of_every_kind(shape, flattened):
    """A signal alone is neither read as a batch of smaller signals nor counted as rows with too few columns."""
    X = np.random.RandomState(0).rand(12, *shape).astype(np.float32)
    parameters = {"ndim": 1 if len(shape) == 1 or shape[1] in (1, 6) else 2}
    if flattened:
        X, parameters["input_shape"] = X.reshape(12, -1), shape
    one = X[0].reshape(shape)
    for estimator in (layer(**parameters), CKNFeatureMap(layer(**parameters))):
        fitted = estimator.fit(X)
        with pytest.raises(ValueError, match=r"pass (X|numpy\.asarray\(X\))\[None\]"):
            fitted.transform(one)
        assert fitted.transform(X[:1]).shape == (1, *fitted.transform(X).shape[1:])


def test_channels_that_come_first_are_named():
    X = np.random.RandomState(0).rand(12, 9, 8, 3)
    first = np.moveaxis(X, -1, 1)
    moved = r"if the channels come first, pass np\.moveaxis\(X, 1, -1\)"
    with pytest.raises(ValueError, match=rf"input_shape=\(9, 8, 3\) does not fit X.*{moved}"):
        layer(input_shape=(9, 8, 3)).fit(first)
    with pytest.raises(ValueError, match=rf"must be the same: {moved}"):
        layer().fit(X).transform(first[:, :, 2:])
    with pytest.raises(ValueError, match=r"must be the same\.$"):  # Moving the axis would not give this shape.
        CKNFeatureMap(layer()).fit(X).transform(first[:, :, 2:])


def test_shape_of_all_signals_is_recognised():
    X = np.random.RandomState(0).rand(12, 9, 8, 3)
    with pytest.raises(ValueError, match=r"the shape of one signal .*got \(12, 9, 8, 3\).*set shape=X.shape\[1:\]"):
        make_network("fast", X.shape)
    with pytest.raises(ValueError, match=r"the shape of one signal.*set input_shape=X.shape\[1:\]"):
        layer(input_shape=X.shape).fit(X)
    with pytest.raises(ValueError, match=r"with ndim=2 spatial axes, .*got .*If your signals are not images, set ndim"):
        layer(input_shape=(9, 8, 7, 2)).fit(X)


def test_a_batch_of_one_signal_of_one_position_is_accepted():
    X = np.random.RandomState(0).rand(12, 1, 1)
    fitted = layer(1, patch_size=1).fit(X)
    assert_array_equal(fitted.transform(X[:1]), fitted.transform(X)[:1])


@pytest.mark.parametrize("value, name", [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_signals_that_are_not_finite_are_counted(value, name):
    X = np.random.RandomState(0).rand(12, 9, 8)
    X[5, 2, 3] = X[7, 0, 0] = value
    X[3, 1, 1] = np.inf if name == "NaN" else 0
    with pytest.raises(ValueError, match=rf"^X contains {name} in 2 of 12 signals, first in X\[5\]: remove "):
        layer().fit(X)
