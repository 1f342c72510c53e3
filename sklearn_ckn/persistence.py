"""What is to be trusted when an estimator is loaded from a file of skops."""

from ._feature_map import CKNFeatureMap
from ._flatten import Flatten
from ._kernel import CKNKernel
from ._layer import CKNLayer
from ._linear import LinearClassifier, LinearRegressor
from ._slopes import Slopes
from ._supervised import CKNClassifier, CKNRegressor
from .preprocessing import PatchWhitening

__all__ = ["TRUSTED_TYPES"]

TRUSTED_TYPES = [  # the estimators, as skops calls them: ``skops.io.load(file, trusted=TRUSTED_TYPES)``
    f"{estimator.__module__}.{estimator.__qualname__}"
    for estimator in (
        CKNClassifier,
        CKNFeatureMap,
        CKNKernel,
        CKNLayer,
        CKNRegressor,
        Flatten,
        LinearClassifier,
        LinearRegressor,
        PatchWhitening,
        Slopes,
    )
]
