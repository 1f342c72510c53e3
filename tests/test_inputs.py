"""One list of inputs for everything that reads signals: the result is that of the same values in an ordinary array."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from sklearn_ckn import AutoCKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, Flatten, LinearClassifier
from sklearn_ckn.inspection import (
    FeatureMapDisplay,
    KernelMatrixDisplay,
    approximation_report,
    deformation,
    lipschitz_bound,
    stability_report,
)
from sklearn_ckn.preprocessing import ChannelScaler, Differences, GradientMap, PatchWhitening

BITS = np.random.RandomState(0).randint(2, size=(12, 8, 6)).astype(np.float32)  # Every dtype can represent them.
LABELS = np.arange(12) % 2


def layer(**parameters):
    return CKNLayer(4, n_patches=200, max_iter=2, random_state=0, **parameters)


def chosen(**parameters):
    return AutoCKNClassifier("fast", whiten=False, random_state=0, **parameters)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def in_zarr(X):
    return pytest.importorskip("zarr").array(X, chunks=(4, *X.shape[1:]))


INPUTS = {
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in ("uint8", "int64", "bool", "float16")},
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in ("float64", "longdouble", ">f4", ">f8", ">i2")},
    "nested lists of integers": lambda X: X.astype(int).tolist(),
    "nested lists of floats": lambda X: X.tolist(),
    "list of arrays": list,
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "zarr": in_zarr,
}


def plain(X):
    """Return the values in an ordinary array: float64 for float64 and longer floats, float32 for everything else."""
    X = np.asarray(X)
    return np.array(X, order="C", dtype=np.float64 if X.dtype.kind == "f" and X.dtype.itemsize > 4 else np.float32)


FEATURES = CKNFeatureMap(layer()).fit(BITS)
MODEL = make_pipeline(CKNFeatureMap(layer(), scale=True), LinearClassifier()).fit(BITS, LABELS)
ARGUMENTS = {"sizes": [0, 1], "random_state": 0}
FUNCTIONS = {
    "deformation": lambda X: deformation(X, 1.0, random_state=0).signals,
    "stability_report": lambda X: stability_report(FEATURES, X, **ARGUMENTS).change,
    "stability_report of a kernel": lambda X: stability_report(CKNKernel(layer()), X, **ARGUMENTS).change,
    "approximation_report": lambda X: approximation_report(FEATURES, X).exact[0],
    "lipschitz_bound": lambda X: lipschitz_bound(MODEL, X, BITS[::-1]),
    "KernelMatrixDisplay": lambda X: KernelMatrixDisplay.from_estimator(CKNKernel(layer()), X, LABELS).matrix,
    "FeatureMapDisplay": lambda X: FeatureMapDisplay.from_estimator(FEATURES, X[0]).maps,
    "PatchWhitening": lambda X: PatchWhitening().fit_transform(X),
    "GradientMap": lambda X: GradientMap().fit_transform(X),
    "ChannelScaler": lambda X: ChannelScaler().fit_transform(X),
    "Differences": lambda X: Differences().fit_transform(X),
    "AutoCKNClassifier": lambda X: chosen().fit(X, LABELS).decision_function(X),
    "to_onnx": lambda X: np.frombuffer(to_onnx(CKNFeatureMap(layer()).fit(X)), np.uint8),
    "CKNLayer": lambda X: layer().fit_transform(X),
    "CKNFeatureMap": lambda X: CKNFeatureMap(layer()).fit_transform(X),
    "CKNKernel": lambda X: CKNKernel(layer())(X),
    "CKNKernel.diag": lambda X: CKNKernel(layer()).diag(X),
    "Flatten": lambda X: Flatten(center=True).fit_transform(X),
}


def to_onnx(estimator):
    pytest.importorskip("onnx")
    from sklearn_ckn.onnx import to_onnx

    return to_onnx(estimator).SerializeToString()


@pytest.fixture(autouse=True)
def _without_a_screen():
    """Draw without a screen, and close all figures after the test."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


@cache
def of_an_ordinary_array(name, dtype):
    return FUNCTIONS[name](BITS.astype(dtype))


@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_an_ordinary_array(name, given):
    X = INPUTS[given](BITS)
    found, expected = FUNCTIONS[name](X), of_an_ordinary_array(name, plain(X).dtype)
    assert found.dtype == expected.dtype
    assert_array_equal(found, expected)


ROWS = BITS.reshape(12, 48)
FLAT = CKNFeatureMap(layer(input_shape=(8, 6))).fit(ROWS)
FLAT_MODEL = make_pipeline(CKNFeatureMap(layer(input_shape=(8, 6)), scale=True), LinearClassifier()).fit(ROWS, LABELS)
KERNEL = CKNKernel(layer(input_shape=(8, 6)))
TABLES = {
    "integers": lambda table: table.astype("int16"),
    "booleans": lambda table: table.astype(bool),
    "float32": lambda table: table,
    "float64": lambda table: table.astype(float),
    "mixed": lambda table: table.astype({"a0": "int8", "a1": bool}),
    "another index": lambda table: table.set_index(np.arange(12)[::-1]),
}
FUNCTIONS_OF_TABLES = {
    "deformation": lambda X: deformation(X, 1.0, ndim=1, random_state=0).signals,
    "stability_report": lambda X: stability_report(FLAT, X, **ARGUMENTS).change,
    "stability_report of a kernel": lambda X: stability_report(KERNEL, X, **ARGUMENTS).change,
    "approximation_report": lambda X: approximation_report(FLAT, X).exact[0],
    "lipschitz_bound": lambda X: lipschitz_bound(FLAT_MODEL, X, X[::-1]),
    "KernelMatrixDisplay": lambda X: KernelMatrixDisplay.from_estimator(KERNEL, X, LABELS).matrix,
    "PatchWhitening": lambda X: PatchWhitening(input_shape=(8, 6)).fit_transform(X),
    "GradientMap": lambda X: GradientMap(input_shape=(8, 6)).fit_transform(X),
    "ChannelScaler": lambda X: ChannelScaler(input_shape=(8, 6)).fit_transform(X),
    "Differences": lambda X: Differences(input_shape=(24, 2)).fit_transform(X),
    "AutoCKNClassifier": lambda X: chosen(input_shape=(8, 6)).fit(X, LABELS).decision_function(X),
    "CKNFeatureMap": lambda X: CKNFeatureMap(layer(input_shape=(8, 6))).fit_transform(X),
    "LinearClassifier": lambda X: LinearClassifier().fit(X, LABELS).decision_function(X),
}


@pytest.mark.filterwarnings("ignore:X has feature names")  # Some of the estimators above were fitted to arrays.
@pytest.mark.parametrize("given", TABLES)
@pytest.mark.parametrize("name", FUNCTIONS_OF_TABLES)
def test_results_are_those_of_the_rows_of_a_table(name, given):
    pandas = pytest.importorskip("pandas")
    table = TABLES[given](pandas.DataFrame(ROWS, columns=[f"a{i}" for i in range(48)]))
    found, expected = FUNCTIONS_OF_TABLES[name](table), FUNCTIONS_OF_TABLES[name](plain(table))
    assert found.dtype == expected.dtype
    assert_array_equal(found, expected)
