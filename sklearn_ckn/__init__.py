"""Convolutional kernel networks for scikit-learn."""

from ._auto.estimators import AutoCKNClassifier, AutoCKNRegressor
from ._environment import show_versions, warmup
from ._feature_map import CKNFeatureMap
from ._flatten import Flatten
from ._kernel import CKNKernel
from ._layer import CKNLayer
from ._linear import LinearClassifier, LinearRegressor
from ._supervised import CKNClassifier, CKNRegressor
from .preprocessing import PatchWhitening

__version__ = "0.1.0"
__all__ = [
    "AutoCKNClassifier",
    "AutoCKNRegressor",
    "CKNClassifier",
    "CKNFeatureMap",
    "CKNKernel",
    "CKNLayer",
    "CKNRegressor",
    "Flatten",
    "LinearClassifier",
    "LinearRegressor",
    "PatchWhitening",
    "show_versions",
    "warmup",
]
