"""Lists of signals of different sizes: the same results as for each signal alone, in the order of the list."""

import pickle
from functools import partial

import numpy as np
import pytest
from estimators import SHAPES, layer, signals
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import (
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNLayer,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    PatchWhitening,
    inspection,
)
from sklearn_ckn._arrays import signals as arrays_signals
from sklearn_ckn._arrays import validation
from sklearn_ckn._arrays.encoded import encoded
from sklearn_ckn._arrays.mixed import MixedSignals
from sklearn_ckn._core.exact import gram
from sklearn_ckn._core.network import forward
from sklearn_ckn.preprocessing import ChannelScaler, GradientMap

RELATIVE = {"float32": 1e-5, "float64": 1e-10}


def mixed(ndim=2, dtype="float32", n=24, channels=2, least=5, most=9):
    """Return signals of random sizes, the first two of which have the same size."""
    rng = np.random.RandomState(ndim)
    sizes = rng.randint(least, most + 1, size=(n, ndim))
    sizes[1] = sizes[0]
    return [rng.rand(*size, channels).astype(dtype) for size in sizes]


def network(ndim=2, n_positions=2, **parameters):
    last = layer(6, ndim=ndim, patch_size=2, n_positions=n_positions)
    return make_pipeline(layer(5, ndim=ndim, **parameters), last)


LABELS = np.arange(24) % 3


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("ndim", SHAPES)
def test_every_signal_has_the_features_that_it_has_alone(ndim, dtype):
    X = mixed(ndim, dtype)
    feature_map = CKNFeatureMap(network(ndim), scale=True).fit(X)
    features = feature_map.transform(X)
    assert features.dtype == dtype and features.shape == (24, 6 * 2**ndim)
    assert_array_equal(features, np.concatenate([feature_map.transform(x[None]) for x in X]))
    assert_array_equal(features[:2], feature_map.transform(np.stack(X[:2])))
    order = np.random.RandomState(0).permutation(24)
    assert_array_equal(feature_map.transform([X[i] for i in order]), features[order])
    with config_context(working_memory=1e-3):
        assert_array_equal(clone(feature_map).set_params(n_jobs=2).fit(X).transform(X), features)
    assert feature_map.input_shape_ == (*[None] * ndim, 2) and not hasattr(feature_map, "n_features_in_")
    assert feature_map.output_shape_ == (*[2] * ndim, 6)
    assert len(feature_map.get_feature_names_out()) == features.shape[1]


def test_features_are_averaged_over_the_symmetries_of_each_signal():
    X = mixed()
    flipped = CKNFeatureMap(network(), symmetries="flip").fit(X)
    features = flipped.transform(X)
    assert_array_equal(features, np.concatenate([flipped.transform(x[None]) for x in X]))
    assert_array_equal(features, flipped.transform([x[:, ::-1] for x in X]))
    squares = [x[:5, :5] if i % 2 else x[:4, :4] for i, x in enumerate(X)]
    turned = flipped.set_params(symmetries="dihedral").transform([np.rot90(x) for x in squares])
    assert_array_equal(turned, flipped.transform(squares))
    model = CKNClassifier(network(), symmetries="rotate", augmentation="flip", max_iter=1, random_state=0)
    model.fit(squares, LABELS)
    assert_array_equal(model.decision_function([np.rot90(x) for x in squares]), model.decision_function(squares))
    for estimator in (flipped, model):
        with pytest.raises(ValueError, match=r"symmetries='.*' rotates .* requires square images; got .* Crop or pad"):
            estimator.fit(X, LABELS)


def test_a_pipeline_of_layers_gives_the_same_features():
    X = mixed()
    pipeline = make_pipeline(*(step for _, step in network().steps), Flatten())
    assert_array_equal(pipeline.fit_transform(X), CKNFeatureMap(network()).fit_transform(X))


def test_signals_of_one_size_give_the_same_filters_as_an_array():
    X = signals(2, "float32")
    fitted = layer(n_positions=2).fit(list(X))
    assert_array_equal(fitted.filters_, layer(n_positions=2).fit(X).filters_)
    fitted.transform([X[0], X[1][:4]])  # A layer that was fitted to one size accepts others.
    assert CKNFeatureMap(network()).fit(X).transform([X[0], X[1][:4]]).shape == (2, 24)


@pytest.mark.parametrize(
    "transformer",
    [layer(3), PatchWhitening(), GradientMap(4), ChannelScaler()],
    ids=["layer", "whitening", "gradient", "scaler"],
)
def test_transformers_return_lists_of_maps_of_different_sizes(transformer):
    X = mixed(channels=3)
    maps = transformer.fit(X).transform(X)
    assert isinstance(maps, list) and len({m.shape for m in maps}) > 5
    for x, result in zip(X, maps):
        assert_array_equal(result, transformer.transform(x[None])[0])
    with pytest.raises(ValueError, match="out must be None for signals of different shapes"):
        transformer.transform(X, out=np.empty(24))


def test_global_whitening_averages_over_all_patches():
    X = mixed(channels=1, n=5)
    whitening = PatchWhitening(2, method="global", normalize_contrast=False).fit(X)
    views = [np.lib.stride_tricks.sliding_window_view(x[..., 0].astype(float), (2, 2)).reshape(-1, 4) for x in X]
    P = np.concatenate(views)
    P -= P.mean(axis=1, keepdims=True)
    C = P.T @ P / len(P)
    eigenvalues, U = np.linalg.eigh(C)
    kept = eigenvalues > 1e-12 * eigenvalues[-1]
    powers = np.where(kept, np.maximum(eigenvalues, 0) + 0.1 * np.trace(C) / 4, np.inf) ** -0.5
    np.testing.assert_allclose(whitening.whitening_, (U * powers) @ U.T, rtol=1e-4, atol=1e-5)


def test_patches_are_drawn_uniformly_over_all_patches_of_all_signals():
    """A quarter of the patches come from the large one of these signals, as the direction of a patch shows."""
    X = [*(np.tile([1.0, 0.1], (4, 4, 1)) for _ in range(48)), np.tile([0.1, 1.0], (16, 16, 1))]
    X, shares = validation.as_signals(layer(), X, 2, mixed=True), []
    for seed in range(100):
        one = layer(patch_size=1, n_patches=600)
        drawn, n_wanted = one._draw(encoded(X, [], 1), one._read_settings(), np.random.RandomState(seed))
        assert len(drawn) <= 600 and abs(n_wanted - 1024) < 20
        shares.append((np.sum(drawn[:, 1] > drawn[:, 0]), len(drawn)))
    of_large, of_all = np.sum(shares, axis=0)
    assert abs(of_large / of_all - 0.25) < 0.015


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [[6] * 18 + [60] * 2, [5, 6, 7, 8, 9] * 5, [8] * 60 + [9], [40] + [6] * 30])
def test_all_patches_of_all_signals_are_drawn_once_if_enough_are_wanted(sizes, seed):
    directions = np.linspace(0.1, 1.4, sum(n * n for n in sizes))
    ends = np.cumsum([n * n for n in sizes])[:-1]
    X = [np.stack([np.cos(t), np.sin(t)], axis=-1).reshape(-1, n, 2) for n, t in zip(sizes, np.split(directions, ends))]
    X, one = validation.as_signals(layer(), X, 2, mixed=True), layer(patch_size=1, n_patches=len(directions) + seed)
    drawn, n_wanted = one._draw(encoded(X, [], 1), one._read_settings(), np.random.RandomState(seed))
    assert n_wanted == len(directions)
    assert_allclose(np.sort(np.arctan2(drawn[:, 1], drawn[:, 0])), directions, rtol=1e-12)


def test_series_and_object_arrays_of_signals_are_read():
    X = mixed(channels=1)
    expected = CKNFeatureMap(network()).fit_transform(X)
    objects = np.empty(24, dtype=object)
    objects[:] = [x[..., 0] for x in X]  # without an axis for the single channel
    assert_array_equal(CKNFeatureMap(network()).fit_transform(objects), expected)
    pandas = pytest.importorskip("pandas")
    assert_array_equal(CKNFeatureMap(network()).fit_transform(pandas.Series(list(X))), expected)
    assert CKNFeatureMap(network()).set_output(transform="pandas").fit_transform(X).shape == expected.shape


def test_integers_are_computed_in_single_precision_and_large_ones_in_double_precision():
    X = [(255 * x).astype(np.uint8) for x in mixed()]
    assert_array_equal(
        CKNFeatureMap(network()).fit_transform(X), CKNFeatureMap(network()).fit_transform([x.astype("f4") for x in X])
    )
    X[3] = X[3].astype(int) * 2**20
    assert CKNFeatureMap(network()).fit_transform(X).dtype == np.float64


def test_searches_and_cross_validation_index_lists():
    X = mixed()
    for x, label in zip(X, LABELS):
        x += 2 * (label == 1)
    model = make_pipeline(PatchWhitening(2, normalize_contrast=False), CKNFeatureMap(network()), LinearClassifier())
    assert np.isfinite(cross_val_score(model, X, LABELS, cv=3, error_score="raise")).all()
    search = GridSearchCV(model, {"cknfeaturemap__network__cknlayer-2__n_positions": [1, 3]}, cv=2, error_score="raise")
    assert search.fit(X, LABELS).predict(X).shape == (24,)


@pytest.mark.parametrize("augmentation", [None, "flip-crop"])
@pytest.mark.parametrize("make", [CKNClassifier, CKNRegressor])
def test_end_to_end_training(make, augmentation, tmp_path):
    X = mixed()
    path = tmp_path / "checkpoint"
    model = make(network(), max_iter=2, random_state=0, augmentation=augmentation, checkpoint=path).fit(X, LABELS)
    again = clone(model).set_params(checkpoint=None, n_jobs=2).fit(X, LABELS)
    assert_array_equal(again.coef_, model.coef_)
    assert_array_equal(clone(model).fit(X, LABELS).coef_, model.coef_)  # from the finished checkpoint
    assert_array_equal(model.predict(X), np.concatenate([model.predict(x[None]) for x in X]))
    assert model.input_shape_ == (None, None, 2)
    if make is CKNClassifier:
        scores = model.decision_function(X)
        assert_array_equal(scores, np.concatenate([model.decision_function(x[None]) for x in X]))
        stopped = make(network(), max_iter=2, random_state=0, early_stopping=True, warm_start=True).fit(X, LABELS)
        assert stopped.fit(X[::-1], LABELS[::-1]).validation_scores_
    streamed = make(network(), random_state=0)
    streamed.partial_fit(X, LABELS, **({"classes": [0, 1, 2]} if make is CKNClassifier else {}))
    assert len(streamed.partial_fit(X[:7], LABELS[:7]).loss_curve_) == 3


def test_signals_of_one_size_in_two_groups_train_like_an_array(monkeypatch):
    """The gradients of a mini-batch are sums over the groups of equal shape."""
    X = signals(2, "float64")
    model = CKNClassifier(network(), max_iter=2, random_state=0).fit(X, LABELS)
    read = validation.as_signals

    def in_two_groups(*args, **kwargs):
        whole = read(*args, **kwargs)
        return MixedSignals([(rows, whole[rows]) for rows in (np.arange(0, 24, 2), np.arange(1, 24, 2))])

    monkeypatch.setattr(validation, "as_signals", in_two_groups)
    again = CKNClassifier(network(), max_iter=2, random_state=0).fit(X, LABELS)
    np.testing.assert_allclose(again.loss_curve_, model.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-4 * np.abs(model.coef_).max())


def test_series_of_another_length_may_be_passed_alone_or_together():
    """A list of series is not a table, whose number of columns would have to be that of fit."""
    rng = np.random.RandomState(0)
    X = [rng.rand(n) for n in (30, 30, 30, 50)]
    fitted = CKNFeatureMap(CKNLayer(4, ndim=1, n_positions=2, n_patches=100, random_state=0)).fit(X[:3])
    expected = fitted.transform([X[0], X[3]])
    assert_array_equal(fitted.transform([X[3]])[0], expected[1])
    assert_array_equal(fitted.transform([X[3], X[3]])[1], expected[1])
    with pytest.raises(ValueError, match="X has 50 features, but CKNFeatureMap is expecting 30"):
        fitted.transform(X[3][None])
    streamed = CKNLayer(4, ndim=1, n_positions=2, n_patches=100, random_state=0).partial_fit(X[:3]).partial_fit(X[3:])
    assert streamed.input_shape_ == (None, 1)


def test_images_with_and_without_an_axis_for_their_single_channel_are_alike():
    X = mixed(channels=1, n=4)
    X[1] = X[1][..., 0]
    assert CKNFeatureMap(network()).fit_transform(X).shape == (4, 24)
    same = [X[0], X[1], X[0][..., 0]]  # one shape, so any network accepts them
    unfixed = CKNFeatureMap(layer()).fit(same)
    assert_array_equal(unfixed.transform(same), unfixed.transform(np.stack([X[0], X[1][..., None], X[0]])))
    with pytest.raises(ValueError, match=r"was fitted on signals of shape .* unless a layer has n_positions"):
        unfixed.transform([X[2], X[2][..., 0]])


def test_layers_return_lists_for_lists_even_if_all_maps_have_one_shape():
    X = [np.random.RandomState(n).rand(n, 8, 2) for n in (7, 8)]
    fitted = layer(pooling_width=2).fit(X)
    maps = fitted.transform(X)
    assert isinstance(maps, list) and maps[0].shape == maps[1].shape == (4, 4, 8)
    assert isinstance(layer(n_positions=2).fit(X).transform(X), np.ndarray)


def test_a_fixed_number_of_positions_in_an_earlier_layer_is_enough():
    X = mixed()
    early = make_pipeline(layer(5, n_positions=6), layer(6, pooling_width=2))
    assert CKNFeatureMap(early).fit_transform(X).shape == (24, 3 * 3 * 6)
    assert CKNKernel(make_pipeline(layer(n_positions=3, sigma=0.5), layer(sigma=0.5)))(X[:3]).shape == (3, 3)


def test_more_positions_than_the_map_has_cause_a_warning():
    with pytest.warns(UserWarning, match=r"n_positions=\(20, 20\) exceeds the number of patches .*, \(9, 8\)"):
        layer(n_positions=20).fit(signals(2, "float32"))


def test_an_interrupted_kernel_of_lists_says_that_out_is_not_finished(monkeypatch):
    X, kernel, out = mixed(n=6), CKNKernel(network()), np.empty((6, 6), np.float32)
    fill, calls = gram.fill, []

    def interrupted(*args):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        fill(*args)

    monkeypatch.setattr(gram, "fill", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        kernel(X, out=out)
    assert "finished parts are not listed" in caught.value.__notes__[0]


def test_prepared_layers_are_kept_for_a_limited_number_of_shapes(monkeypatch):
    monkeypatch.setattr(arrays_signals, "MOST_SHAPES", 3)
    fitted, made = layer(n_positions=2).fit(mixed()), []
    prepare = forward.PackedLayer.prepare
    monkeypatch.setattr(forward.PackedLayer, "prepare", lambda self, shape: made.append(shape) or prepare(self, shape))
    X = [np.random.RandomState(n).rand(n, 8, 2).astype(np.float32) for n in (5, 6, 7)]
    for n_expected in (3, 3, 3):
        fitted.transform(X)
        assert len(made) == n_expected
    fitted.transform([*X, X[0][:, :7]])
    assert len(made) == 4
    fitted.transform(X[:2])  # These shapes are still prepared.
    assert len(made) == 4
    fitted.transform(X[2:])  # The shape that was prepared first, that of the largest signals, has been dropped.
    assert len(made) == 5


def test_warnings_about_misread_axes_name_a_signal_of_the_list():
    ramps = [np.add.outer(np.arange(n), np.zeros(3)) + np.arange(3) for n in (30, 40, 40)]
    with pytest.warns(UserWarning, match=r"X\[1\] of shape \(40, 3\) is read .* \[x\[..., None\] for x in X\]"):
        layer(n_positions=1).fit(ramps)
    images = [np.random.RandomState(n).rand(3, n, 20).cumsum(axis=1).cumsum(axis=2) for n in (24, 30)]
    with pytest.warns(UserWarning, match=r"pass \[np.moveaxis\(x, 0, -1\) for x in X\]"):
        layer(n_positions=1, padding="same").fit([np.ascontiguousarray(image) for image in images])


BAD = {
    "channels": (lambda X: [X[0], X[1][:, :5, :1]], r"different numbers of channels.*2 in X\[0\] and 1 in X\[1\]"),
    "channels first": (lambda X: [np.moveaxis(x, -1, 0) for x in X], r"np.moveaxis\(x, 0, -1\) for x in X"),
    "NaN": (
        lambda X: [*X[:5], np.full((7, 6, 2), np.nan), *X[5:]],
        r"NaN in 1 of 25 signals, first in X\[5\].*\[numpy.nan_to_num\(x, posinf=0, neginf=0\) for x in X\]",
    ),
    "empty": (lambda X: [*X, np.empty((0, 4, 2))], r"X\[24\] has shape \(0, 4, 2\)"),
    "text": (lambda X: [X[0], np.array([["a", "b"]])], r"X\[1\] has shape \(1, 2\) and dtype <U1"),
    "too few axes": (lambda X: [X[0], X[2][0, 0]], r"X\[1\] has shape \(2,\)"),
    "ragged signal": (lambda X: [X[0], [[1.0, 2.0], [3.0]]], r"X\[1\] has rows of different lengths"),
    "paths": (lambda X: [X[0], "image.png"], "contains paths or other text"),
    "masked": (lambda X: [X[0], np.ma.masked_less(X[2], 0.5)], "masked values"),
    "large": (lambda X: [X[0], 1e30 * X[2]], "must not exceed"),
}


@pytest.mark.parametrize("make, message", BAD.values(), ids=BAD)
def test_bad_lists_are_refused(make, message):
    X = mixed()
    for estimator in (layer(), PatchWhitening(2), CKNFeatureMap(network()), CKNClassifier(network(), max_iter=0)):
        with pytest.raises(ValueError if "paths" not in message else TypeError, match=message):
            estimator.fit(make(X), np.arange(len(make(X))) % 2)


def test_networks_without_a_fixed_number_of_positions_name_the_parameter():
    X, message = mixed(), "24 signals of .* shapes, .*, but network accepts .* no layer has n_positions: set n_pos"
    unfixed = make_pipeline(layer(), layer())
    for estimator in (CKNFeatureMap(unfixed), CKNClassifier(unfixed, max_iter=0)):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, LABELS)
    fitted = CKNFeatureMap(unfixed).fit(signals(2, "float32"))
    with pytest.raises(ValueError, match=message):
        fitted.transform(X)
    for estimator in (Flatten(), LinearClassifier()):
        with pytest.raises(ValueError, match=r"set n_positions in the last layer|must have the same shape"):
            estimator.fit(X, LABELS)


def test_kernels_without_a_fixed_number_of_positions_name_the_parameter():
    X, kernel = mixed(), CKNKernel(layer(sigma=0.5))
    for pair in ((X, None), (X[:1], X)):
        with pytest.raises(ValueError, match=r"signals of .* shapes, .*, but network accepts signals of one"):
            kernel(*pair)
    with pytest.raises(ValueError, match="unless a layer has n_positions, their spatial shapes must be the same"):
        kernel(X[:1], X[2:3])


def test_a_support_vector_machine_with_the_kernel_takes_lists():
    X, labels, kernel = mixed(), LABELS, CKNKernel(network(n_positions=1), normalize=True)
    of_matrix = SVC(kernel="precomputed").fit(kernel(X[:16]), labels[:16])
    scores = SVC(kernel=kernel).fit(X[:16], labels[:16]).decision_function(X[16:])
    assert_allclose(scores, of_matrix.decision_function(kernel(X[16:], X[:16])), rtol=1e-6)


def test_a_list_of_signals_is_not_a_table():
    with pytest.raises(ValueError, match=r"expects \(n_samples, n_features\): use Flatten"):
        LinearClassifier().fit(list(signals(2, "float32")), LABELS)
    with pytest.raises(ValueError, match="input_shape must be None"):
        layer(input_shape=(9, 8, 2)).fit(mixed())


def test_signals_that_are_smaller_than_a_patch_are_refused():
    small = [*mixed(), np.ones((1, 1, 2), np.float32)]
    with pytest.raises(ValueError, match="must not exceed the spatial shape of the layer's input"):
        CKNFeatureMap(network(padding="valid")).fit(small)
    fitted = CKNFeatureMap(network(padding="valid")).fit(mixed())
    kernel = CKNKernel(network(padding="valid", sigma=0.5).set_params(**{"cknlayer-2__sigma": 0.5}))
    for call, name in ((fitted.transform, "X"), (partial(kernel, mixed()), "Y")):
        with pytest.raises(ValueError, match="must not exceed the spatial shape of the layer's input") as caught:
            call(small)
        notes = [f"The error concerns {name}[24].", "The error occurred in step 'cknlayer-1' of network."]
        assert caught.value.__notes__ == notes
    for transformer, message in ((PatchWhitening(2), "smaller than a patch"), (GradientMap(), "gradients need at")):
        for call in (transformer.fit, clone(transformer).fit(mixed()).transform):
            with pytest.raises(ValueError, match=message) as caught:
                call(small)
            assert caught.value.__notes__ == ["The error concerns X[24]."]


def test_signals_that_do_not_fit_the_fitted_estimator_are_refused():
    X = mixed()
    fitted = CKNFeatureMap(network()).fit(X)
    with pytest.raises(ValueError, match=r"9 channels.*: if the channels come first, pass \[np.moveaxis\(x, 0, -1\)"):
        fitted.transform([np.zeros((2, n, 9)) for n in (7, 8)])
    with pytest.raises(ValueError, match=r"3 channels.* must be the same\.$"):
        fitted.transform([np.zeros((n, 9, 3)) for n in (7, 8)])
    with pytest.raises(ValueError, match=r"1 channel, but .* 2 channels\. .* must be the same\.$"):
        fitted.transform([np.zeros((2, n)) for n in (7, 8)])
    rows = layer(n_positions=2, input_shape=(6, 6, 2)).fit(np.random.RandomState(0).rand(5, 72))
    with pytest.raises(ValueError, match=r"rows of different lengths.* \(6, 6, 2\) in rows of 72 values"):
        rows.transform([np.zeros(72), np.zeros(70)])


@pytest.mark.parametrize("make", [CKNLayer, CKNClassifier, CKNRegressor])
def test_training_continues_with_signals_of_the_declared_shape(make):
    X, others = np.random.RandomState(0).rand(6, 6, 6), np.random.RandomState(1).rand(6, 5, 6)
    model = layer(4, n_positions=2, input_shape=(6, 6))
    model = model if make is CKNLayer else make(model, max_iter=1, warm_start=True, random_state=0)
    first = {"classes": [0, 1]} if make is CKNClassifier else {}
    model.partial_fit(X.reshape(6, -1), np.arange(6) % 2, **first)
    for call in (model.partial_fit, model.partial_fit if make is CKNLayer else model.fit):
        for bad in (others, [*X[:5], others[0]]):
            with pytest.raises(ValueError, match=r"first fitted with an input_shape, .* \(6, 6, 1\)\. All training"):
                call(bad, np.arange(6) % 2)
    assert model.input_shape_ == (6, 6, 1)
    model.partial_fit(X.reshape(6, -1), np.arange(6) % 2)


@pytest.mark.parametrize("make", [CKNClassifier, CKNRegressor])
def test_predictions_with_quarter_turns_require_square_images(make):
    X = np.random.RandomState(0).rand(6, 6, 6)
    model = make(layer(4, n_positions=2), symmetries="rotate", max_iter=0, random_state=0).fit(X, np.arange(6) % 2)
    model.symmetries = None  # The features are those of the fit.
    for bad in (X[:, :5], [*X, X[0, :5]]):
        with pytest.raises(ValueError, match=r"requires square images; got images of spatial shape \(.*\)") as caught:
            model.predict(bad)
        assert caught.value.__notes__[-1].startswith("The symmetries are those of the last fit.")


@pytest.mark.parametrize("ndim, channels", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
def test_one_signal_alone_is_not_a_batch(ndim, channels):
    X = mixed(ndim, channels=channels)
    fitted = CKNFeatureMap(network(ndim)).fit(X)
    with pytest.raises(ValueError, match=rf"is one signal with {channels} channels?: pass X\[None\]"):
        fitted.transform(X[0])


def test_networks_that_were_fitted_on_lists_can_be_inspected():
    X = np.random.RandomState(0).rand(5, 10, 10, 2)
    fitted = CKNFeatureMap(network()).fit(mixed())
    assert np.shape(inspection.approximation_report(fitted, X).exact) == (2, 5, 5)
    assert inspection.stability_report(fitted, X, [1], random_state=0).change.shape == (1, 5)
    with pytest.raises(ValueError, match="all signals must have the same shape"):
        inspection.approximation_report(fitted, mixed())
    kernel = CKNKernel(layer(sigma=0.5, n_positions=1))
    assert inspection.stability_report(kernel, X, [1], random_state=0).change.shape == (1, 5)
    with pytest.raises(ValueError, match="all signals must have the same shape"):
        inspection.stability_report(kernel, mixed(), [1])


def test_networks_that_were_fitted_on_lists_can_be_stored():
    fitted = CKNFeatureMap(network()).fit(mixed())
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(mixed()), fitted.transform(mixed()))


def test_a_fit_to_one_size_restores_the_number_of_features():
    feature_map = CKNFeatureMap(network()).fit(mixed())
    assert feature_map.fit(signals(2, "float32")).n_features_in_ == 144
