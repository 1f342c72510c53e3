"""Images, and small estimators for them, for the tests of arrays outside of memory: stores and Dask arrays."""

import estimators
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap


def images(n):
    """Return `n` random images of 9 x 8 positions with two channels, in single precision."""
    return estimators.signals(2, "float32", n)


def layer(n_filters=8, **parameters):
    """Return a layer that draws up to 2000 patches."""
    return estimators.layer(n_filters, **{"n_patches": 2000, **parameters})


def feature_map(**parameters):
    """Return a feature map of two layers, whose rows are scaled to norm 1."""
    return CKNFeatureMap(make_pipeline(layer(), layer(10, pooling_width=3)), scale=True, **parameters)
