"""Warnings that point at the line of the caller."""

import inspect

import numpy as np
import pytest
from estimators import layer
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, Flatten


@pytest.mark.parametrize(
    "wrap", [lambda a_layer: a_layer, lambda a_layer: make_pipeline(a_layer, Flatten()), CKNFeatureMap]
)
def test_warnings_point_at_the_line_of_the_caller(wrap):
    X = np.tile(np.arange(8.0), (10, 8, 1))  # The images have few distinct patches.
    with pytest.warns(UserWarning, match="distinct patches") as caught:
        wrap(layer(50, n_patches=200)).fit(X)
    line = inspect.currentframe().f_lineno - 1
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
