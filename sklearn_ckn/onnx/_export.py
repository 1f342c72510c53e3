"""A fitted estimator as a whole graph."""

import onnx

from .. import __version__
from . import _steps
from ._graph import Graph


def to_onnx(estimator):
    """Write."""
    _steps.check(estimator)
    graph = Graph()
    X = graph.input("X", _steps.input_shape(estimator))
    found = _steps.outputs(estimator, X)
    model = graph.to_model(type(estimator).__name__, X, found, producer_name="sklearn_ckn", producer_version=__version__)
    onnx.checker.check_model(model, full_check=True)
    return model
