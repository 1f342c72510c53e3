"""What the inspection of a network reports and draws, by identities."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import Bunch

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer, Flatten, LinearClassifier, LinearRegressor
from sklearn_ckn.inspection import (
    ApproximationDisplay,
    FeatureMapDisplay,
    FilterDisplay,
    KernelMatrixDisplay,
    StabilityDisplay,
    approximation_report,
    deformation,
    lipschitz_bound,
    rkhs_norm,
    stability_report,
)

DIGITS, LABELS = load_digits().images[:60], load_digits().target[:60]
KINDS = ["warp", "translation", "rotation"]
every_kind_and_space = pytest.mark.parametrize(
    "kind, ndim", [(kind, ndim) for kind in KINDS for ndim in (1, 2, 3) if (kind, ndim) != ("rotation", 1)]
)


def layer(n_filters=8, **parameters):
    return CKNLayer(n_filters, **{"n_patches": 400, "max_iter": 3, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def feature_map():
    return CKNFeatureMap(make_pipeline(layer(8), layer(12))).fit(DIGITS)


@pytest.fixture(scope="module")
def signals():
    return np.random.RandomState(0).rand(3, 5, 4)


@pytest.fixture(scope="module")
def complete(signals):
    """A network with every patch of the signals for a filter: 20, then 6 in each of them."""
    layers = [layer(n, init="random", reg=1e-11) for n in (60, 18)]
    return CKNFeatureMap(make_pipeline(*layers)).fit(signals)


# Approximation


def test_all_patches_as_filters_give_the_exact_kernel(complete, signals):
    report = approximation_report(complete, signals)
    assert report.layers == ["cknlayer-1", "cknlayer-2"]
    assert max(*report.frobenius_error, *report.spectral_error) < 1e-8
    for k, K in enumerate(report.exact, 1):
        assert_array_equal(K, CKNKernel(complete.network_[:k])(signals))
    features = complete.transform(signals)
    assert_allclose(report.approximate[1], features @ features.T, rtol=1e-12)


def test_errors_are_the_norms_of_the_difference(feature_map):
    report = approximation_report(feature_map, DIGITS[:10], n_jobs=2)
    for k, (K, K_hat) in enumerate(zip(report.exact, report.approximate)):
        missed, whole = (np.abs(np.linalg.eigvalsh(matrix)) for matrix in (K - K_hat, K))
        assert_allclose(report.spectral_error[k], missed.max() / whole.max(), rtol=1e-10)
        assert_allclose(report.frobenius_error[k] ** 2, (missed**2).sum() / (whole**2).sum(), rtol=1e-10)
        assert 1e-3 < report.spectral_error[k] < 0.2


@pytest.mark.parametrize("n_orthogonal", [1, 4])
def test_orthogonal_filters_have_an_effective_rank_of_their_number(n_orthogonal):
    filters = np.eye(9)[:n_orthogonal].repeat(4 // n_orthogonal, axis=0).reshape(4, 3, 3, 1)
    fitted = layer(4, init=filters, kernel="linear").fit(DIGITS)
    report = approximation_report(fitted, DIGITS[:2])
    assert_allclose(report.effective_rank, n_orthogonal, rtol=1e-12)
    assert_allclose(report.spectra[0], [4 / n_orthogonal] * n_orthogonal + [0] * (4 - n_orthogonal), atol=1e-14)


def test_spectra_add_up_to_the_number_of_filters(feature_map):
    for spectrum, n_filters in zip(approximation_report(feature_map, DIGITS[:2]).spectra, (8, 12)):
        assert spectrum.shape == (n_filters,) and (np.diff(spectrum) <= 0).all() and spectrum.min() >= 0
        assert_allclose(spectrum.sum(), n_filters, rtol=1e-12)


def test_a_network_is_inspected_however_it_is_wrapped(feature_map):
    expected = approximation_report(feature_map, DIGITS[:5])
    for network in (feature_map.network_, Pipeline([("none", "passthrough"), *feature_map.network_.steps])):
        assert_array_equal(approximation_report(network, DIGITS[:5]).frobenius_error, expected.frobenius_error)
    first = approximation_report(feature_map.network_[0], DIGITS[:5])
    assert_array_equal(first.spectral_error, expected.spectral_error[:1])
    normalised = CKNFeatureMap(feature_map.network, center=True, scale=True).fit(DIGITS)
    assert_array_equal(approximation_report(normalised, DIGITS[:5]).exact[1], expected.exact[1])


def test_a_flattened_network_with_sigma_auto_is_inspected():
    rows = DIGITS.reshape(len(DIGITS), -1).astype(np.float32)
    fitted = layer(12, input_shape=(8, 8), sigma="auto").fit(rows)
    report = approximation_report(fitted, rows[:10])
    assert report.exact[0].dtype == report.approximate[0].dtype == np.float64 and report.frobenius_error < 0.2


def test_parameters_changed_after_fit_are_refused():
    fitted = layer().fit(DIGITS).set_params(sigma=0.2)
    with pytest.raises(ValueError, match=r"parameters of layer 'cknlayer' were changed after fit\. Fit"):
        approximation_report(fitted, DIGITS[:2])


def test_zero_signals_are_approximated_without_an_error(feature_map):
    report = approximation_report(feature_map, 0 * DIGITS[:2])
    assert not report.frobenius_error.any() and not report.spectral_error.any()


@pytest.mark.parametrize("wrong", [Ridge(), make_pipeline(layer(), Flatten()), Pipeline([("none", "passthrough")])])
def test_what_is_no_network_is_refused(wrong):
    with pytest.raises(TypeError, match=r"feature_map must be a fitted CKNFeatureMap, .*pipeline"):
        approximation_report(wrong, DIGITS)


def test_what_is_not_fitted_is_refused():
    for unfitted in (CKNFeatureMap(layer()), layer(), make_pipeline(layer())):
        with pytest.raises(NotFittedError):
            approximation_report(unfitted, DIGITS)


# Deformations


def coordinates(n, ndim):
    """Two signals whose value at every position is where it is."""
    return np.stack([np.moveaxis(np.indices((n,) * ndim), 0, -1)] * 2).astype(float)


@every_kind_and_space
def test_a_deformed_signal_is_read_where_the_displacement_says(kind, ndim):
    x = coordinates(44, ndim)
    deformed = deformation(x, 1.7, kind=kind, ndim=ndim, random_state=0)
    assert deformed.displacement.shape == x.shape
    middle = (slice(None), *[slice(20, 24)] * ndim)  # far from the zeros outside, which splines feel
    assert_allclose(deformed.signals[middle], (x - deformed.displacement)[middle], rtol=1e-10)


@every_kind_and_space
def test_the_largest_displacement_is_the_size(kind, ndim):
    x = np.ones((6, 7, 6, 9)[: ndim + 1])
    for size in (0.3, 4):
        deformed = deformation(x, size, kind=kind, ndim=ndim, random_state=0)
        assert_allclose(deformed.displacement_norm, size, rtol=1e-14)
        lengths = np.sqrt((deformed.displacement**2).sum(axis=-1))
        assert_allclose(lengths.reshape(6, -1).max(axis=1), size, rtol=1e-14)
        assert len(np.unique(deformed.displacement, axis=0)) > 1  # a field for every signal


def test_a_translation_by_whole_positions_moves_values_and_fills_with_zeros():
    x = np.random.RandomState(0).rand(6, 9)
    deformed = deformation(x, 2, kind="translation", ndim=1, random_state=0)
    shifts = deformed.displacement[:, 0, 0]
    assert set(shifts) == {-2, 2}
    for before, after, shift in zip(x, deformed.signals, shifts):
        expected = np.roll(before, int(shift))
        expected[:2] = expected[:2] if shift < 0 else 0
        expected[-2:] = expected[-2:] if shift > 0 else 0
        assert_allclose(after, expected, atol=1e-12)
    assert not deformed.gradient_norm.any()
    assert not deformation(x, 1e30, kind="translation", ndim=1, random_state=0).signals.any()


def test_quarter_and_half_turns_permute_the_positions():
    x = np.random.RandomState(0).rand(8, 5, 5, 2)
    diameter = 4 * np.sqrt(2)
    half = deformation(x, diameter, kind="rotation", random_state=0)
    assert_allclose(half.signals, x[:, ::-1, ::-1], atol=1e-12)
    assert_allclose(half.gradient_norm, 2, rtol=1e-12)
    quarter = deformation(x, 4, kind="rotation", random_state=0)
    assert_allclose(quarter.gradient_norm, np.sqrt(2), rtol=1e-12)
    senses = [[np.allclose(np.rot90(b, k), a, atol=1e-9) for k in (1, -1)] for b, a in zip(x, quarter.signals)]
    assert all(sum(sense) == 1 for sense in senses) and {sense[0] for sense in senses} == {True, False}


def test_the_gradient_of_a_warp_is_that_of_its_neighbours():
    deformed = deformation(np.ones((2, 6, 5)), 1.5, smoothness=1, random_state=0)
    for tau, gradient_norm in zip(deformed.displacement, deformed.gradient_norm):
        tau = np.pad(tau, ((0, 1), (0, 1), (0, 0)), mode="edge")
        jacobians = [
            np.stack([tau[i + 1, j] - tau[i, j], tau[i, j + 1] - tau[i, j]], axis=1) for i, j in np.ndindex(6, 5)
        ]
        assert_allclose(gradient_norm, max(np.linalg.norm(jacobian, 2) for jacobian in jacobians), rtol=1e-12)


def test_one_seed_is_one_field_of_any_size_and_for_any_company():
    one, twice = (deformation(DIGITS, size, random_state=3) for size in (0.5, 1))
    assert_array_equal(twice.displacement, 2 * one.displacement)
    assert_array_equal(twice.gradient_norm, 2 * one.gradient_norm)
    assert_array_equal(deformation(DIGITS[:7], 0.5, random_state=3).signals, one.signals[:7])
    rough, smooth = (deformation(DIGITS, 1, smoothness=width, random_state=3).gradient_norm for width in (0.5, 8))
    assert (smooth < rough / 4).all()
    rng = np.random.RandomState(3)
    assert_array_equal(deformation(DIGITS, 0.5, random_state=rng).signals, one.signals)
    assert not np.array_equal(deformation(DIGITS, 0.5, random_state=rng).signals, one.signals)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_shape_and_dtype_are_kept_and_size_0_changes_nothing(kind, dtype):
    X = DIGITS[:4].astype(dtype)
    before = X.copy()
    for x in (X, X[..., None], np.stack([X, X], axis=-1)):
        deformed = deformation(x, 1, kind=kind, random_state=0).signals
        assert deformed.shape == x.shape and deformed.dtype == (np.float32 if dtype == np.uint8 else dtype)
        still = deformation(x, 0, kind=kind, random_state=0)
        assert_array_equal(still.signals, x)
        assert not still.displacement.any() and not still.gradient_norm.any()
        assert not np.shares_memory(still.signals, x)
    assert_array_equal(X, before)


def test_a_single_position_can_be_turned_by_nothing_only():
    assert_array_equal(deformation(np.ones((2, 1, 1)), 0, kind="rotation").signals, np.ones((2, 1, 1)))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"size": -1}, r"'size' parameter of deformation must be a float in the range \[0.0, inf\). Got -1"),
        ({"size": np.nan}, "'size' parameter .* Got nan"),
        ({"size": np.inf}, "'size' parameter .* Got inf"),
        ({"kind": "shear"}, "'kind' parameter .*'rotation'.* Got 'shear'"),
        ({"smoothness": 0}, "'smoothness' parameter .* Got 0"),
        ({"ndim": 4}, "'ndim' parameter .* Got 4"),
        ({"random_state": "seed"}, "'random_state' parameter .* Got 'seed'"),
        (
            {"ndim": 3},
            r"X must have shape \(n_samples, depth, height, width\) or .* with ndim=3; got \(60, 8, 8\).*ndim",
        ),
        ({"X": DIGITS.reshape(60, 64)}, r"X must have shape .* with ndim=2; got \(60, 64\).*reshape"),
        ({"X": np.full((2, 3, 3), np.nan)}, "X contains NaN"),
        ({"X": DIGITS[:, 0], "kind": "rotation", "ndim": 1}, "kind='rotation' needs .*ndim=2 or 3; got ndim=1"),
        ({"kind": "rotation", "size": 9.9}, "size must be at most 9.899 with kind='rotation'.* 8 x 8 further; got 9.9"),
    ],
)
def test_bad_deformations(parameters, message):
    with pytest.raises(ValueError, match=message):
        deformation(**{"X": DIGITS, "size": 1.0, **parameters})


# Stability


def test_the_linear_kernel_of_pixels_changes_as_the_pixels_do():
    pixels = CKNKernel(layer(patch_size=1, pooling_width=1, kernel="linear"))
    report = stability_report(pixels, DIGITS.astype(np.float32), [0.5, 1.5], random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for size, change in zip((0.5, 1.5), report.change):
        difference = deformation(DIGITS, size, random_state=seed).signals - DIGITS
        norms = (np.linalg.norm(x.reshape(60, -1), axis=1) for x in (difference, DIGITS))
        assert_allclose(change, np.divide(*norms), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_complete_network_changes_as_its_kernel_does(complete, signals, kind):
    sizes, seed = [0.5, 1.0], np.random.RandomState(1).randint(2**31 - 1)
    deformed = [deformation(signals, size, kind=kind, random_state=seed).signals for size in sizes]
    everything = np.concatenate([signals, *deformed])
    layers = [layer(n, init="random", reg=1e-11) for n in (180, 54)]
    of_all = CKNFeatureMap(make_pipeline(*layers)).fit(everything)
    reports = [
        stability_report(estimator, signals, sizes, kind=kind, random_state=1)
        for estimator in (of_all, CKNKernel(of_all.network_))
    ]
    assert_allclose(reports[0].change, reports[1].change, rtol=1e-6)
    for name in ("gradient_term", "translation_term", "lipschitz", "scale", "beta"):
        assert_array_equal(reports[0][name], reports[1][name])


def test_change_is_that_of_the_features_and_0_without_deformation(feature_map):
    sizes = np.array([0, 1, 2])
    for estimator in (feature_map, CKNFeatureMap(feature_map.network, center=True, scale=True).fit(DIGITS)):
        report = stability_report(estimator, DIGITS, sizes, smoothness=2, random_state=np.random.RandomState(5))
        seed = np.random.RandomState(5).randint(2**31 - 1)
        deformed = deformation(DIGITS, 2, smoothness=2, random_state=seed)
        before, after = (estimator.transform(x) for x in (DIGITS, deformed.signals))
        expected = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
        assert_allclose(report.change[2], expected, rtol=1e-12)
        assert not report.change[0].any() and report.change.shape == (3, 60)
        assert_array_equal(report.sizes, sizes)
        assert_allclose(report.gradient_term, 3 * deformed.gradient_norm.mean() * sizes / 2, rtol=1e-12)
        assert_allclose(report.translation_term, sizes / 4, rtol=1e-12)
    assert stability_report(CKNKernel(layer()), DIGITS[:5], [0]).change.max() < 1e-7


def test_the_scale_beta_and_lipschitz_constant_are_those_of_the_layers():
    first = layer(patch_size=(3, 2), pooling_width=(2, 3), sigma=0.5)
    second = layer(patch_size=3, pooling_width=(3, 4), subsampling=2, sigma=2)
    third = layer(patch_size=(2, 1), pooling_width=2, sigma=0.25)
    report = stability_report(CKNKernel(make_pipeline(first, second, third)), DIGITS[:2], [1], random_state=0)
    assert report.scale == min(2 * 2 * 2, 2 * 3 * 2)
    assert report.beta == max(3, 2, 3 * 2 / 2, 3 * 3 / 3, 2 * 4 / (3 * 2), 1 * 6 / (4 * 3))
    assert_allclose(report.lipschitz, 2 * 1 * 4, rtol=1e-12)
    assert_allclose(report.translation_term, 1 / 8, rtol=1e-12)


def test_a_kernel_of_infinite_slope_has_no_lipschitz_constant():
    report = stability_report(CKNKernel(layer(kernel="arccos0")), DIGITS[:2], [1])
    assert report.lipschitz == np.inf and np.isfinite(report.change).all()


def test_zero_signals_change_by_0():
    X = DIGITS[:3] * [[[0]], [[1]], [[0]]]
    for estimator in (CKNKernel(layer()), CKNFeatureMap(layer()).fit(DIGITS)):
        change = stability_report(estimator, X, [1], random_state=0).change[0]
        assert change[1] > 0 and not change[[0, 2]].any()


def test_flattened_signals_of_a_table_are_deformed_as_images():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(DIGITS.reshape(60, 64), columns=[f"pixel{i}" for i in range(64)])
    flat, images = (CKNFeatureMap(layer(input_shape=shape)) for shape in ((8, 8), None))
    flat.set_output(transform="pandas").fit(table)
    expected = stability_report(images.fit(DIGITS), DIGITS, [1], random_state=0).change
    assert_array_equal(stability_report(flat, table, [1], random_state=0).change, expected)
    assert hasattr(flat, "feature_names_in_")
    rows = stability_report(CKNKernel(layer(input_shape=(8, 8))), table[:5], [1], random_state=0)
    assert_array_equal(rows.change, stability_report(CKNKernel(layer()), DIGITS[:5], [1], random_state=0).change)


@pytest.mark.parametrize("sizes", [[-1], [np.nan], [np.inf], [], 1.0, ["a"], [[1.0]]])
def test_bad_sizes(feature_map, sizes):
    with pytest.raises(ValueError, match="sizes must be a non-empty list of finite numbers >= 0; got"):
        stability_report(feature_map, DIGITS, sizes)


def test_bad_stability(feature_map):
    with pytest.raises(
        TypeError,
        match=r"estimator must be a fitted CKNFeatureMap or a CKNKernel; got an object of type Ridge.* CKNKernel\(netw",
    ):
        stability_report(Ridge(), DIGITS, [1])
    with pytest.raises(NotFittedError):
        stability_report(CKNFeatureMap(layer()), DIGITS, [1])
    with pytest.raises(ValueError, match=r"'kind' parameter of stability_report .* Got 'shear'"):
        stability_report(feature_map, DIGITS, [1], kind="shear")
    with pytest.raises(ValueError, match=r"signals of shape \(8, 7, 1\), but CKNFeatureMap was fitted on"):
        stability_report(feature_map, DIGITS[:, :, :7], [1])
    with pytest.raises(ValueError, match=r"size must be at most 9\.899"):
        stability_report(feature_map, DIGITS, [1, 10], kind="rotation")


# Norms


@pytest.mark.parametrize(
    "model", [LinearClassifier(), LinearSVC(), LogisticRegression(max_iter=2000), SVC(kernel="linear")], ids=repr
)
@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_std=False), "passthrough"], ids=repr)
def test_the_bound_holds(model, scaler):
    features = CKNFeatureMap(layer(), scale=True)
    pipeline = make_pipeline(features, scaler, model).fit(DIGITS, LABELS % 2)
    deformed = deformation(DIGITS, 1, random_state=0).signals
    change = np.abs(pipeline.decision_function(DIGITS) - pipeline.decision_function(deformed))
    bound = lipschitz_bound(pipeline, DIGITS, deformed)
    assert bound.shape == (60, 1) and rkhs_norm(pipeline).shape == (1,)
    assert (change <= bound[:, 0]).all()
    assert not lipschitz_bound(pipeline, DIGITS, DIGITS).any()


@pytest.mark.parametrize("scaler", [StandardScaler(), "passthrough"], ids=repr)
def test_the_bound_is_attained_in_the_direction_of_the_difference(scaler):
    Y = DIGITS[:, [0, 2]].reshape(60, -1)
    pipeline = make_pipeline(layer(), layer(), Flatten(), scaler, Ridge()).fit(DIGITS, Y)
    first, second = pipeline[:3].transform(DIGITS[:2]).reshape(2, -1)
    scale = pipeline[3].scale_ if scaler != "passthrough" else 1
    pipeline[-1].coef_[3] = (first - second) * scale
    x, y = (pipeline.predict(DIGITS[i : i + 1])[0] for i in (0, 1))
    bound = lipschitz_bound(pipeline, DIGITS[:1], DIGITS[1:2])[0]
    assert bound.shape == (16,) and (np.abs(x - y) <= bound * (1 + 1e-12)).all()
    assert_allclose(np.abs(x - y)[3], bound[3], rtol=1e-10)
    assert_allclose(rkhs_norm(pipeline)[3], np.linalg.norm(first - second), rtol=1e-12)


def test_the_norm_is_that_of_the_kernel_machine(feature_map):
    model = make_pipeline(feature_map, Ridge(alpha=5.0, fit_intercept=False, solver="cholesky")).fit(DIGITS, LABELS)
    features = model[0].transform(DIGITS)
    K = features @ features.T
    a = KernelRidge(alpha=5.0, kernel="precomputed").fit(K, LABELS).dual_coef_
    assert_allclose(rkhs_norm(model), np.sqrt(a @ K @ a), rtol=1e-8)


def test_one_norm_for_every_output():
    classes = make_pipeline(CKNFeatureMap(layer()), LinearClassifier()).fit(DIGITS, LABELS)
    assert_array_equal(rkhs_norm(classes), np.linalg.norm(classes[-1].coef_, axis=1))
    target = make_pipeline(layer(), Flatten(), LinearRegressor()).fit(DIGITS, LABELS)
    assert_array_equal(rkhs_norm(target), [np.linalg.norm(target[-1].coef_)])


@pytest.mark.parametrize(
    "wrong",
    [
        make_pipeline(CKNFeatureMap(layer(ndim=1)), SVC()),
        make_pipeline(CKNFeatureMap(layer(ndim=1)), StandardScaler()),
        make_pipeline(StandardScaler(), CKNFeatureMap(layer(ndim=1)), Ridge()),
        make_pipeline(StandardScaler(), Ridge()),
        Pipeline([("none", "passthrough")]),
        Ridge(),
    ],
    ids=["no coef_", "no model", "not a layer first", "no features", "no step", "no pipeline"],
)
def test_what_is_no_linear_model_of_features_is_refused(wrong):
    wrong.fit(DIGITS[:, 0], LABELS)
    with pytest.raises(
        TypeError,
        match=r"estimator must be a fitted Pipeline of a CKNFeatureMap .*coef_; got an object.* best_estimator_",
    ):
        rkhs_norm(wrong)


def test_bad_pairs_and_unfitted_pipelines():
    pipeline = make_pipeline(CKNFeatureMap(layer()), Ridge())
    with pytest.raises(NotFittedError):
        lipschitz_bound(pipeline, DIGITS, DIGITS)
    with pytest.raises(ValueError, match="X and Y must have the same number of signals; got 60 and 59"):
        lipschitz_bound(pipeline.fit(DIGITS, LABELS), DIGITS, DIGITS[1:])


# Displays


@pytest.fixture
def pyplot():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield pyplot
    pyplot.close("all")


def drawn(display):
    """The display, after matplotlib has drawn it without a complaint."""
    display.figure_.canvas.draw()
    assert display.figure_ is display.ax_.figure
    return display


def test_approximation_display_holds_the_report(pyplot, feature_map):
    display = drawn(ApproximationDisplay.from_estimator(feature_map, DIGITS[:9], n_jobs=1))
    report = approximation_report(feature_map, DIGITS[:9])
    for name in ("exact", "approximate", "frobenius_error", "layers"):
        assert_array_equal(display.report[name], report[name])
    pairs = np.triu_indices(9)
    for points, K, K_hat in zip(display.points_, report.exact, report.approximate):
        assert_array_equal(points.get_offsets(), np.stack([K[pairs], K_hat[pairs]], axis=1) / K.max())
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [f"{n}: {100 * e:.2g} %" for n, e in zip(report.layers, report.frobenius_error)]
    assert display.ax_.get_aspect() == 1 and len(display.ax_.lines) == 1
    heights = [points.zorder for points in display.points_]
    assert_array_equal(np.diff(heights) < 0, np.diff(report.frobenius_error) > 0)
    assert len(set(heights)) == 2  # what is closer to the line lies above
    drawn(ApproximationDisplay.from_estimator(feature_map, 0 * DIGITS[:2]))


def test_stability_displays_share_axes(pyplot, feature_map):
    axes, sizes = pyplot.subplots()[1], [0, 1, 2]
    display = StabilityDisplay.from_estimator(feature_map, DIGITS, sizes, random_state=0, name="features", ax=axes)
    report = stability_report(feature_map, DIGITS, sizes, random_state=0)
    assert_array_equal(display.report.change, report.change)
    other = drawn(StabilityDisplay.from_estimator(CKNKernel(layer()), DIGITS[:5], sizes, kind="rotation", ax=axes))
    assert display.ax_ is other.ax_ is axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["features", "CKNKernel"]
    assert_array_equal(display.line_.get_xydata(), np.stack([sizes, report.change.mean(axis=1)], axis=1))
    band = display.band_.get_paths()[0].vertices
    assert_allclose(band[:, 1].max(), np.quantile(report.change[2], 0.9), rtol=1e-12)
    assert display.line_.get_color() != other.line_.get_color()
    StabilityDisplay(Bunch(sizes=report.sizes, change=9 * report.change)).plot(axes)
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 9 * np.quantile(report.change[2], 0.9)
    assert drawn(StabilityDisplay(report).plot()).ax_.get_legend() is None
    shuffled = StabilityDisplay(Bunch(sizes=report.sizes[[2, 0, 1]], change=report.change[[2, 0, 1]])).plot()
    assert_array_equal(drawn(shuffled).line_.get_xydata(), display.line_.get_xydata())
    renamed = StabilityDisplay(report).plot(name="again")
    assert renamed.ax_.get_legend().get_texts()[0].get_text() == "again"


def tiles(display, height, width):
    """The image of a grid, cut into its tiles, (m, height, width) or (m, height, width, 4); gaps must show nothing."""
    (image,) = display.ax_.images
    image = np.ma.filled(image.get_array(), np.nan)
    gap = np.full((1, *image.shape[1:]), np.nan if image.ndim == 2 else 0)
    image = np.concatenate([image, gap])
    image = np.concatenate([image, np.broadcast_to(gap[:, :1], (len(image), 1, *image.shape[2:]))], axis=1)
    rows, columns = image.shape[0] // (height + 1), image.shape[1] // (width + 1)
    cells = image.reshape(rows, height + 1, columns, width + 1, *image.shape[2:]).swapaxes(1, 2)
    for between in (cells[:, :, -1], cells[:, :, :, -1]):
        assert np.isnan(between).all() if image.ndim == 2 else not between.any()
    return cells[:, :, :-1, :-1].reshape(-1, height, width, *image.shape[2:])


def random_filters(*shape):
    return np.random.RandomState(0).randn(*shape)


def full_contrast(filters):
    return np.stack([one / np.abs(one).max() for one in filters])


def test_filters_are_tiles(pyplot):
    fitted = layer(7, patch_size=(2, 3), patch_centering=True).fit(DIGITS)
    display = drawn(FilterDisplay.from_estimator(fitted))
    assert display.filters is fitted.filters_
    shown = tiles(display, 2, 3)
    assert_allclose(shown[:7], full_contrast(fitted.filters_[..., 0]), rtol=1e-6)
    assert display.ax_.images[0].get_clim() == (-1, 1)
    assert shown.shape[0] == 9 and np.isnan(shown[7:]).all()
    (frames,) = display.ax_.collections
    boxes = [frame.get_extents().bounds for frame in frames.get_paths()]
    assert len(boxes) == 7 and not display.ax_.axison and display.ax_.get_aspect() == 1
    assert_allclose(boxes[0], [0, 0, 3, 2])
    assert_allclose(boxes[4], [3.45, 2.45, 3, 2])  # second row and column, with gaps of 15 % of 3


def test_filters_of_several_channels_are_colours_or_norms(pyplot):
    filters = random_filters(5, 3, 3, 3)
    colours = tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 3)
    assert_allclose(colours[:5, ..., :3], (full_contrast(filters) + 1) / 2, rtol=1e-12)
    assert (colours[:5, ..., 3] == 1).all() and (colours[5:] == 0).all()
    filters = random_filters(4, 3, 2, 6)
    norms = np.sqrt((filters**2).sum(axis=-1))
    assert_allclose(tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 2)[:4], full_contrast(norms), rtol=1e-12)


def test_filters_that_are_few_tall_or_zero(pyplot):
    for filters in (random_filters(1, 3, 3, 1), random_filters(2, 9, 1, 1)):
        shown = tiles(drawn(FilterDisplay(filters=filters.tolist()).plot()), *filters.shape[1:3])
        assert_allclose(shown, full_contrast(filters[..., 0]), rtol=1e-12)  # and no empty cell
    drawn(FilterDisplay(filters=np.zeros((2, 3, 3, 1))).plot())
    (line, curve) = drawn(FilterDisplay(filters=random_filters(1, 1, 1)).plot()).ax_.lines
    assert curve.get_marker() == "o" and np.abs(curve.get_ydata()) == 0.4
    assert_array_equal(line.get_xdata(), [0, 0.8])


def test_filters_of_three_axes_are_slices_and_of_one_are_curves(pyplot):
    filters = random_filters(4, 2, 3, 5, 1)
    slices = tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 10)[:4].reshape(4, 3, 2, 5).swapaxes(1, 2)
    assert_allclose(slices, full_contrast(filters[..., 0]), rtol=1e-12)
    filters = random_filters(5, 8, 3)
    lines = drawn(FilterDisplay(filters=filters).plot()).ax_.lines
    assert len(lines) == 5 * (1 + 3)  # zero and three channels
    first = [line.get_ydata() for line in lines[1:4]]
    assert_allclose(first, 0.4 * full_contrast(filters)[0].T, rtol=1e-12)
    assert all(line.get_ydata().min() >= -1.4 and line.get_ydata().max() <= 0.4 for line in lines)


def test_the_strongest_maps_come_first(pyplot, feature_map):
    display = drawn(FeatureMapDisplay.from_estimator(feature_map, DIGITS[0], n_maps=5))
    maps = feature_map.network_.transform(DIGITS[:1])[0]
    assert_array_equal(display.maps, maps[..., display.channels])
    strength = np.linalg.norm(maps, axis=(0, 1))
    assert_array_equal(display.channels, np.argsort(-strength)[:5])
    shown = tiles(display, 2, 2)[:5]
    assert_array_equal(shown, np.moveaxis(display.maps, -1, 0))
    assert [text.get_text() for text in display.ax_.texts] == [str(channel) for channel in display.channels]
    assert display.colorbar_.vmin == min(display.maps.min(), 0) and display.colorbar_.vmax == display.maps.max()
    corners = [frame.get_extents().bounds[:2] for frame in display.ax_.collections[0].get_paths()]
    assert_allclose([text.get_position() for text in display.ax_.texts], np.add(corners, 0.075))
    everything = FeatureMapDisplay.from_estimator(feature_map.network_[0], DIGITS[0], n_maps=99)
    assert everything.maps.shape == (4, 4, 8)
    drawn(FeatureMapDisplay.from_estimator(feature_map, 0 * DIGITS[0]))
    series = layer(ndim=1).fit(DIGITS[:, 0])
    curves = drawn(FeatureMapDisplay.from_estimator(series, DIGITS[0, 0]))
    assert len(curves.ax_.lines) == 8 * 2 and curves.colorbar_ is None
    places = [(i % 3, -(i // 3)) for i in range(8)]
    assert_array_equal([text.get_position() for text in curves.ax_.texts], places)


def test_scale_and_numbers_of_maps(pyplot):
    maps = np.random.RandomState(0).rand(3, 3, 64)
    for signed, limits in ((maps, (0, maps.max())), (-maps, (-maps.max(), 0)), (0 * maps, (0, 1))):
        display = drawn(FeatureMapDisplay(maps=signed, channels=np.arange(64)).plot())
        assert_allclose(display.ax_.images[0].get_clim(), limits)
        assert len(display.ax_.texts) == 64
    many = FeatureMapDisplay(maps=np.repeat(maps, 2, axis=-1), channels=np.arange(128)).plot()
    assert not drawn(many).ax_.texts


def test_one_signal_is_drawn_and_not_several(pyplot):
    fitted, flat = layer().fit(DIGITS), layer(input_shape=(8, 8)).fit(DIGITS.reshape(60, 64))
    one = FeatureMapDisplay.from_estimator(fitted, DIGITS[0]).maps
    for same in (DIGITS[0], DIGITS[0, ..., None], DIGITS[0].ravel()):
        assert_array_equal(FeatureMapDisplay.from_estimator(flat, same).maps, one)
    whole, message = CKNFeatureMap(layer()).fit(DIGITS), r"x must be one signal like those in fit, of shape"
    for several in (DIGITS[:3], DIGITS[:1], DIGITS[:3].reshape(3, 64), DIGITS[:1].reshape(1, 64), DIGITS[0, :7]):
        for network in (flat, whole):
            with pytest.raises(ValueError, match=rf"{message} \(8, 8, 1\); got \({several.shape[0]}, "):
                FeatureMapDisplay.from_estimator(network, several)
    with pytest.raises(ValueError, match=rf"{message} \(height, width, 1\); got \(3, 8, 8\)\. For .* pass X\[0\]"):
        FeatureMapDisplay.from_estimator(fitted, DIGITS[:3])
    smaller = fitted.transform(DIGITS[:1, :7])[0]  # a layer takes signals of any space
    display = FeatureMapDisplay.from_estimator(fitted, DIGITS[0, :7])
    assert_array_equal(display.maps, smaller[..., display.channels])


@pytest.mark.parametrize("names", [np.array(["zero", "one"]), np.array([0, 1])])
def test_a_kernel_matrix_is_sorted_by_its_labels(pyplot, names):
    y = names[LABELS[:12] % 2]
    kernel = CKNKernel(layer())
    display = drawn(KernelMatrixDisplay.from_estimator(kernel, DIGITS[:12], list(y)))
    K = kernel(DIGITS[:12])
    assert_array_equal(display.matrix, K)
    assert_array_equal(display.labels, y)
    order = np.argsort(y, kind="stable")
    assert_array_equal(display.image_.get_array(), K[order][:, order])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == sorted(map(str, names))
    edge = np.sum(y == min(y)) - 0.5
    assert [line.get_xdata()[0] for line in display.ax_.lines if line.get_ydata()[0] == 0] == [edge]
    assert_array_equal(
        KernelMatrixDisplay(matrix=K.tolist(), labels=list(y)).plot().image_.get_array(), K[order][:, order]
    )
    as_it_is = drawn(KernelMatrixDisplay.from_estimator(kernel, DIGITS[:12]))
    assert_array_equal(as_it_is.image_.get_array(), K)
    assert not as_it_is.ax_.lines and as_it_is.colorbar_.ax in as_it_is.figure_.axes
    many = drawn(KernelMatrixDisplay(matrix=np.eye(31), labels=np.arange(31)).plot())
    assert not many.ax_.lines
    names = np.repeat(np.array([0.1 + 0.2, 1.5]), [6, 2])
    few = drawn(KernelMatrixDisplay(matrix=np.eye(8), labels=names).plot())
    assert [text.get_text() for text in few.ax_.get_xticklabels()] == ["0.3", "1.5"]
    assert_array_equal(few.ax_.get_xticks(), [2.5, 6.5])
    assert_array_equal(few.ax_.get_yticks(), [2.5, 6.5])
    assert [line.get_ydata()[0] for line in few.ax_.lines if line.get_xdata()[0] == 0] == [5.5]
    crowded = drawn(KernelMatrixDisplay(matrix=np.eye(30), labels=np.arange(30)).plot())
    assert len(crowded.ax_.lines) == 2 * 29
    for display, angle in ((few, 0), (crowded, 90)):
        assert {text.get_rotation() for text in display.ax_.get_xticklabels()} == {angle}


def test_displays_refuse_what_they_cannot_draw(pyplot, feature_map):
    with pytest.raises(
        TypeError,
        match=r"layer must be a fitted CKNLayer, such as feature_map.network_\[0\].*got an object of type CKNF",
    ):
        FilterDisplay.from_estimator(feature_map)
    with pytest.raises(NotFittedError):
        FilterDisplay.from_estimator(layer())
    with pytest.raises(ValueError, match="n_maps must be an int >= 1; got 0"):
        FeatureMapDisplay.from_estimator(feature_map, DIGITS[0], n_maps=0)
    with pytest.raises(
        TypeError, match="kernel must be a CKNKernel or another function of X; got an object of type CKNF"
    ):
        KernelMatrixDisplay.from_estimator(feature_map, DIGITS)
    with pytest.raises(TypeError, match="another function of X; got the class CKNKernel, not an instance"):
        KernelMatrixDisplay.from_estimator(CKNKernel, DIGITS)
    with pytest.raises(ValueError, match=r"matrix must be square.*got \(2, 3\)"):
        KernelMatrixDisplay(matrix=np.zeros((2, 3))).plot()
    with pytest.raises(
        ValueError, match=r"labels must have one label for each of the 3 rows of matrix; got shape \(2,\)"
    ):
        KernelMatrixDisplay(matrix=np.eye(3), labels=[0, 1]).plot()
    with pytest.raises(ValueError, match=r"y must have one label for each of the 60 signals of X; got shape \(59,\)"):
        KernelMatrixDisplay.from_estimator(CKNKernel(layer()), DIGITS, LABELS[1:])


def test_without_matplotlib_displays_say_what_to_install(monkeypatch, feature_map):
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    message = r'pip install "sklearn-ckn\[plot\]"'
    for display, *arguments in (
        (ApproximationDisplay, "never looked at", DIGITS),
        (StabilityDisplay, "never looked at", DIGITS, [1]),
        (KernelMatrixDisplay, "never looked at", DIGITS),
        (FilterDisplay, feature_map.network_[0]),
        (FeatureMapDisplay, feature_map, DIGITS[0]),
    ):
        with pytest.raises(ImportError, match=message):
            display.from_estimator(*arguments)


# All of them


def test_signals_are_never_changed(pyplot, feature_map):
    X = DIGITS[:6].copy()
    X.setflags(write=False)
    model = make_pipeline(feature_map, Ridge()).fit(X, LABELS[:6])
    approximation_report(feature_map, X)
    for kind in KINDS:
        stability_report(feature_map, X, [0, 1], kind=kind)
        stability_report(CKNKernel(layer()), X, [0, 1], kind=kind)
    lipschitz_bound(model, X, X[::-1])
    KernelMatrixDisplay.from_estimator(CKNKernel(layer()), X, LABELS[:6])
    FeatureMapDisplay.from_estimator(feature_map, X[0])
    assert_array_equal(X, DIGITS[:6])


def test_columns_of_tables(pyplot, recwarn):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(DIGITS.reshape(60, 64), columns=[f"p{i}" for i in range(64)])
    flat = layer(input_shape=(8, 8)).fit(table)
    networks = [flat, CKNFeatureMap(layer(input_shape=(8, 8))).fit(table)]
    for network in networks:
        report = approximation_report(network, table[:9])
        assert_array_equal(report.exact[0], CKNKernel(layer())(DIGITS[:9]))
        FeatureMapDisplay.from_estimator(network, table.iloc[0])
    stability_report(networks[1], table[:9], [1])
    assert not recwarn.list
    for network in networks:
        with pytest.raises(ValueError, match="feature names should match"):
            approximation_report(network, table[table.columns[::-1]])
