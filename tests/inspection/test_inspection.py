"""What all reports and displays have in common."""

import sys

import numpy as np
import pytest
from inspected_networks import DIGITS, KINDS, LABELS, layer
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNKernel
from sklearn_ckn.inspection import (
    ApproximationDisplay,
    FeatureMapDisplay,
    FilterDisplay,
    KernelMatrixDisplay,
    StabilityDisplay,
    approximation_report,
    lipschitz_bound,
    stability_report,
)


def test_displays_reject_bad_input(pyplot, feature_map):
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
    with pytest.raises(ValueError, match=r"matrix must be square.*got shape \(2, 3\)"):
        KernelMatrixDisplay(matrix=np.zeros((2, 3))).plot()
    with pytest.raises(
        ValueError, match=r"labels must have one label for each of the 3 rows of matrix; got shape \(2,\)"
    ):
        KernelMatrixDisplay(matrix=np.eye(3), labels=[0, 1]).plot()
    with pytest.raises(ValueError, match=r"y must have one label for each of the 60 signals of X; got shape \(59,\)"):
        KernelMatrixDisplay.from_estimator(CKNKernel(layer()), DIGITS, LABELS[1:])


def test_displays_say_what_to_install_if_matplotlib_is_missing(monkeypatch, feature_map):
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


def test_tables_are_accepted_with_their_columns_in_order(pyplot, recwarn):
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


def test_signals_are_not_changed(pyplot, feature_map):
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
