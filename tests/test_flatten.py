"""Flatten: the names of features, which are the columns of tables."""

import numpy as np
from estimators import layer, signals
from numpy.testing import assert_array_equal
from sklearn import set_config
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, Flatten


def test_feature_names_are_the_columns_of_tables():
    X = signals(2)
    names = ["y0_x0_f0", "y0_x0_f1", "y0_x1_f0", "y0_x1_f1", "y1_x0_f0", "y1_x0_f1", "y1_x1_f0", "y1_x1_f1"]
    feature_map = CKNFeatureMap(layer(2, pooling_width=5)).set_output(transform="pandas").fit(X)
    frame = feature_map.transform(X)
    assert list(frame.columns) == names
    pipeline = make_pipeline(layer(2, pooling_width=5), Flatten()).set_output(transform="pandas")
    assert_array_equal(pipeline.fit_transform(X).to_numpy(), frame.to_numpy())
    set_config(transform_output="pandas")
    try:
        assert list(pipeline.fit(X).transform(X).columns) == names
    finally:
        set_config(transform_output="default")
    assert Flatten().fit(np.ones((2, 2, 1, 1, 1))).get_feature_names_out()[1] == "z1_y0_x0_f0"
    assert list(Flatten().fit(np.ones((2, 2))).get_feature_names_out()) == ["f0", "f1"]
