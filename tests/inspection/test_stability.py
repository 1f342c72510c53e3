"""The report and the display of how stable features and kernels are to deformations."""

import numpy as np
import pytest
from drawings import drawn
from inspected_networks import DIGITS, KINDS, layer
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from sklearn_ckn import CKNFeatureMap, CKNKernel
from sklearn_ckn.inspection import StabilityDisplay, deformation, stability_report

C2 = np.array([2, 4, 8]) * np.sqrt([2 / np.pi, np.pi / 2, 8 / np.pi])  # 2^d times the mean norm of a Gaussian vector


def test_linear_kernel_of_pixels_changes_like_the_pixels():
    pixels = CKNKernel(layer(patch_size=1, pooling_width=1, kernel="linear"))
    report = stability_report(pixels, DIGITS.astype(np.float32), [0.5, 1.5], random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for size, change in zip((0.5, 1.5), report.change):
        difference = deformation(DIGITS, size, random_state=seed).signals - DIGITS
        norms = (np.linalg.norm(x.reshape(60, -1), axis=1) for x in (difference, DIGITS))
        assert_allclose(change, np.divide(*norms), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_network_with_all_patches_as_filters_changes_like_its_kernel(complete, signals, kind):
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
    for name in reports[0].keys() - {"change"}:
        assert_array_equal(reports[0][name], reports[1][name])


def test_change_is_that_of_the_features_and_zero_without_deformation(feature_map):
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
        assert_allclose(report.translation_term, C2[1] * sizes / (4 / np.sqrt(2)), rtol=1e-12)
    assert stability_report(CKNKernel(layer()), DIGITS[:5], [0]).change.max() < 1e-7


def test_scale_beta_and_factors_of_the_lipschitz_constant_follow_from_the_layers():
    first = layer(patch_size=(3, 2), pooling_width=(2, 3), sigma=0.5)
    second = layer(patch_size=3, pooling_width=(3, 4), subsampling=2, sigma=2)
    third = layer(patch_size=(2, 1), pooling_width=2, pooling="average", sigma=0.25)
    report = stability_report(CKNKernel(make_pipeline(first, second, third)), DIGITS[:2], [1], random_state=0)
    assert_allclose(report.scale, min(2 * 2 * 2, 2 * 3 * 2) / np.sqrt(2))
    radii, scales = [np.hypot(1, 1), np.hypot(2 * 1, 3 * 1), 2 * 2 * 1], [1, 2 / np.sqrt(2), 2 * 3 / np.sqrt(2)]
    assert_allclose(report.beta, np.divide(radii, scales).max())
    assert_allclose(report.translation_term, C2[1] / report.scale)
    assert_allclose(report.kernel_constants, [2, 1, 4])
    assert_allclose(report.patch_norms, np.sqrt([3 * 2, 3 * 3, 2 * 1]))  # maps of 8 x 8, 4 x 3 and 2 x 2 positions
    assert_allclose(report.pooling_norms[2], 1 / 2)
    factors = report.kernel_constants, report.patch_norms, report.pooling_norms
    assert_allclose(report.lipschitz_constant, np.prod(factors))


def test_representations_without_a_finite_lipschitz_constant():
    infinite = (
        CKNKernel(layer(kernel="arccos0")),
        CKNKernel(layer(), normalize=True),
        CKNKernel(layer(kernel="arccos1"), tangent=True),
        CKNFeatureMap(layer(), scale=True).fit(DIGITS),
        CKNFeatureMap(layer(), pyramid={2: 0.5, 1: 0.5}).fit(DIGITS),
    )
    for estimator in infinite:
        report = stability_report(estimator, DIGITS[:2], [1])
        assert report.lipschitz_constant == np.inf and np.isfinite(report.change).all()


def test_tangent_kernel_of_relu_is_not_lipschitz():
    """For two unit vectors at a small angle t, the squared distance is ``2 t / pi``, up to terms of order ``t^2``."""
    angles = np.array([1e-3, 1e-4, 1e-5])
    X = np.stack([np.cos([0, *angles]), np.sin([0, *angles])], axis=1).reshape(4, 1, 2)
    K = CKNKernel(layer(kernel="arccos1", ndim=1, patch_size=1, pooling_width=1), tangent=True)(X)
    assert_allclose(2 * K[0, 0] - 2 * K[0, 1:], 2 * angles / np.pi, rtol=1e-2)


def test_printed_bounds_hold_for_a_translation_by_one_pixel():
    """The norm of the maps is more than 17 times that of the signal."""
    u = np.arange(20) - 9.5
    x = np.where(np.hypot(u[:, None], u) < 5, np.exp(-(u[:, None] ** 2 + u**2) / 6) * np.sin(u), 0)
    y, norm = np.roll(x, 1, axis=1), np.linalg.norm(x)
    common = {"kernel": "inverse_polynomial", "patch_size": 3, "subsampling": 1}
    kernel = CKNKernel(make_pipeline(*(layer(pooling_width=width, **common) for width in (1, 1, 4))))
    report, K = stability_report(kernel, x[None], [1], kind="translation", random_state=0), kernel(np.stack([x, y]))
    change = np.sqrt(K[0, 0] + K[1, 1] - 2 * K[0, 1])
    assert change <= report.lipschitz_constant * np.linalg.norm(x - y)
    assert change <= np.prod([report.kernel_constants, report.patch_norms]) * report.translation_term[0] * norm
    assert np.sqrt(K[0, 0]) > 17 * norm and change > C2[1] / 4 * norm  # Bounds without the norms would be violated.


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("pooling", ["gaussian", "average"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_bound_for_translations_by_whole_positions_holds(ndim, pooling, padding, rng):
    first = layer(patch_size=2, ndim=ndim, padding=padding, pooling=pooling)
    second = layer(patch_size=3, pooling_width=2, subsampling=1, ndim=ndim, padding=padding, pooling=pooling)
    X = np.zeros((2, *[28] * ndim))
    X[(slice(None), *[slice(13, 16)] * ndim)] = rng.randn(2, *[3] * ndim)
    shift = 2 * np.array([1, -2, 1])[:ndim]  # a multiple of the subsampling of the first layer
    Y = np.roll(X, shift, axis=range(1, ndim + 1))
    features = CKNFeatureMap(make_pipeline(first, second)).fit(rng.randn(*X.shape))
    report = stability_report(features, X, [np.linalg.norm(shift)], kind="translation", random_state=0)
    bound = np.prod([report.kernel_constants, report.patch_norms]) * report.translation_term
    change = np.linalg.norm(features.transform(X) - features.transform(Y), axis=1)
    assert (change <= bound * np.linalg.norm(X.reshape(2, -1), axis=1)).all()


def test_change_of_zero_signals_is_zero():
    X = DIGITS[:3] * [[[0]], [[1]], [[0]]]
    for estimator in (CKNKernel(layer()), CKNFeatureMap(layer()).fit(DIGITS)):
        change = stability_report(estimator, X, [1], random_state=0).change[0]
        assert change[1] > 0 and not change[[0, 2]].any()


def test_flat_signals_in_a_table_are_deformed_as_images():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(DIGITS.reshape(60, 64), columns=[f"pixel{i}" for i in range(64)])
    flat, images = (CKNFeatureMap(layer(input_shape=shape)) for shape in ((8, 8), None))
    flat.set_output(transform="pandas").fit(table)
    expected = stability_report(images.fit(DIGITS), DIGITS, [1], random_state=0).change
    assert_array_equal(stability_report(flat, table, [1], random_state=0).change, expected)
    assert hasattr(flat, "feature_names_in_")
    rows = stability_report(CKNKernel(layer(input_shape=(8, 8))), table[:5], [1], random_state=0)
    assert_array_equal(rows.change, stability_report(CKNKernel(layer()), DIGITS[:5], [1], random_state=0).change)


def test_displays_can_share_axes(pyplot, feature_map):
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


@pytest.mark.parametrize("sizes", [[-1], [np.nan], [np.inf], [], 1.0, ["a"], [[1.0]]])
def test_bad_sizes(feature_map, sizes):
    with pytest.raises(ValueError, match="sizes must be a non-empty list of finite numbers >= 0; got"):
        stability_report(feature_map, DIGITS, sizes)


def test_bad_input(feature_map):
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
