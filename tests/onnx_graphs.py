"""Small estimators for the tests of ONNX graphs, and the comparison of an estimator with its graph."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer

# Without the package onnx, the name `onnx` is the folder tests/onnx, which has no module `helper`.
pytest.importorskip("onnx.helper")
onnxruntime = pytest.importorskip("onnxruntime")
to_onnx = pytest.importorskip("sklearn_ckn.onnx").to_onnx

MULTIPLIES_EMPTY_MATRICES = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)
TOLERANCE = 1e-4  # relative to the largest value
METHODS = {
    "features": "transform",
    "maps": "transform",
    "targets": "predict",
    "label": "predict",
    "scores": "decision_function",
    "probabilities": "predict_proba",
}
IMAGES, DIGITS = load_digits().images.astype(np.float32)[..., None], load_digits().target


def session(estimator, input_shape=None):
    """Return a function that runs the graph of an estimator on X and returns the outputs by name."""
    model = to_onnx(estimator, input_shape=input_shape)
    assert {found.domain for found in (*model.opset_import, *model.graph.node)} == {""}
    running = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in running.get_outputs()]
    return lambda X: dict(zip(names, running.run(None, {"X": X})))


def assert_close(found, expected):
    assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def assert_outputs_agree(estimator, outputs, X):
    """Check that every output equals the result of the estimator's method: labels exactly, numbers up to rounding."""
    assert_array_equal({name for name in METHODS.values() if hasattr(estimator, name)}, {METHODS[n] for n in outputs})
    for name, found in outputs.items():
        expected = getattr(estimator, METHODS[name])(X)
        assert found.shape == expected.shape
        if name == "label":
            assert_array_equal(found, expected)
        else:
            assert found.dtype == np.float32
            assert_close(found, expected)
            if name == "features":
                for row, expected_row in zip(found, expected):
                    assert_close(row, expected_row)


def assert_graph_agrees(estimator, X, n_single=2, input_shape=None):
    """Check that a fitted estimator and its graph agree on a batch, on single signals and on constant signals.

    The graph must also return empty results for an empty batch, which estimators reject. Older versions of onnxruntime
    cannot multiply empty matrices and raise an error.
    """
    run = session(estimator, input_shape)
    outputs = run(X)
    if MULTIPLIES_EMPTY_MATRICES:
        assert {name: found.shape for name, found in run(X[:0]).items()} == {
            name: (0, *found.shape[1:]) for name, found in outputs.items()
        }
    special = np.concatenate([np.zeros_like(X[:1]), np.ones_like(X[:1]), np.full_like(X[:1], 0.1)])
    for batch in (X, *(X[i : i + 1] for i in range(n_single)), special):
        assert_outputs_agree(estimator, run(batch), batch)


def layer(n_filters=8, **parameters):
    """Return a layer that is fitted quickly."""
    return CKNLayer(n_filters, n_patches=300, **{"random_state": 0, **parameters})


def feature_map(*layers, **parameters):
    return CKNFeatureMap(make_pipeline(*layers), **parameters)
