"""The report and the display of how well a network approximates its kernel."""

import copy

import numpy as np
import pytest
from drawings import drawn
from inspected_networks import DIGITS, layer
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn import CKNFeatureMap, CKNKernel
from sklearn_ckn.inspection import ApproximationDisplay, approximation_report


def test_all_patches_as_filters_give_the_exact_kernel(complete, signals):
    report = approximation_report(complete, signals)
    assert report.layers == ["cknlayer-1", "cknlayer-2"]
    assert max(*report.frobenius_error, *report.spectral_error) < 1e-8
    for k, K in enumerate(report.exact, 1):
        assert_array_equal(K, CKNKernel(complete.network_[:k])(signals))
    features = complete.transform(signals)
    assert_allclose(report.approximate[1], features @ features.T, rtol=1e-12)


def test_maps_and_kernels_are_averaged_over_the_symmetries_of_the_feature_map(feature_map):
    averaged = copy.copy(feature_map).set_params(symmetries="dihedral")
    report, plain = (approximation_report(fitted, DIGITS[:10]) for fitted in (averaged, feature_map))
    features = averaged.transform(DIGITS[:10])
    assert_allclose(report.approximate[1], features @ features.T, rtol=1e-10)
    assert_array_equal(report.exact[1], CKNKernel(averaged.network_, symmetries="dihedral")(DIGITS[:10]))
    assert (
        report.spectral_error[1] < 0.2 and np.abs(report.exact[1] - plain.exact[1]).max() > 0.01 * plain.exact[1].max()
    )
    wide = CKNFeatureMap(layer()).fit(DIGITS[:, 1:]).set_params(symmetries="rotate")
    with pytest.raises(ValueError, match="requires square images"):
        approximation_report(wide, DIGITS[:, 1:])


def test_errors_are_relative_norms_of_the_difference(feature_map):
    report = approximation_report(feature_map, DIGITS[:10], n_jobs=2)
    for k, (K, K_hat) in enumerate(zip(report.exact, report.approximate)):
        missed, whole = (np.abs(np.linalg.eigvalsh(matrix)) for matrix in (K - K_hat, K))
        assert_allclose(report.spectral_error[k], missed.max() / whole.max(), rtol=1e-10)
        assert_allclose(report.frobenius_error[k] ** 2, (missed**2).sum() / (whole**2).sum(), rtol=1e-10)
        assert 1e-3 < report.spectral_error[k] < 0.2


@pytest.mark.parametrize("n_orthogonal", [1, 4])
def test_effective_rank_is_the_number_of_orthogonal_filters(n_orthogonal):
    filters = np.eye(9)[:n_orthogonal].repeat(4 // n_orthogonal, axis=0).reshape(4, 3, 3, 1)
    fitted = layer(4, init=filters, kernel="linear").fit(DIGITS)
    report = approximation_report(fitted, DIGITS[:2])
    assert_allclose(report.effective_rank, n_orthogonal, rtol=1e-12)
    assert_allclose(report.spectra[0], [4 / n_orthogonal] * n_orthogonal + [0] * (4 - n_orthogonal), atol=1e-14)


def test_spectra_sum_to_the_number_of_filters(feature_map):
    for spectrum, n_filters in zip(approximation_report(feature_map, DIGITS[:2]).spectra, (8, 12)):
        assert spectrum.shape == (n_filters,) and (np.diff(spectrum) <= 0).all() and spectrum.min() >= 0
        assert_allclose(spectrum.sum(), n_filters, rtol=1e-12)


def test_network_of_flat_rows_with_sigma_auto():
    rows = DIGITS.reshape(len(DIGITS), -1).astype(np.float32)
    fitted = layer(12, input_shape=(8, 8), sigma="auto").fit(rows)
    report = approximation_report(fitted, rows[:10])
    assert report.exact[0].dtype == report.approximate[0].dtype == np.float64 and report.frobenius_error < 0.2


def test_errors_of_zero_signals_are_zero(feature_map):
    report = approximation_report(feature_map, 0 * DIGITS[:2])
    assert not report.frobenius_error.any() and not report.spectral_error.any()


def test_display_shows_the_report(pyplot, feature_map):
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
    assert len(set(heights)) == 2  # points closer to the line are drawn above the others
    drawn(ApproximationDisplay.from_estimator(feature_map, 0 * DIGITS[:2]))
