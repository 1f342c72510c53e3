"""The types to trust when an estimator is loaded from a skops file.

`TRUSTED_TYPES` lists the names of the package's estimators. No other types need to be trusted, because, apart from
these estimators, the files contain only arrays, numbers and scikit-learn objects.

Examples
--------
>>> import skops.io
>>> from sklearn.datasets import load_digits
>>> from sklearn_ckn import CKNLayer
>>> from sklearn_ckn.persistence import TRUSTED_TYPES
>>> layer = CKNLayer(8, random_state=0).fit(load_digits().images)
>>> loaded = skops.io.loads(skops.io.dumps(layer), trusted=TRUSTED_TYPES)
>>> bool((loaded.filters_ == layer.filters_).all())
True
"""

from ._auto.estimators import AutoCKNClassifier, AutoCKNRegressor
from ._feature_map import CKNFeatureMap
from ._flatten import Flatten
from ._kernel import CKNKernel
from ._layer import CKNLayer
from ._linear import LinearClassifier, LinearRegressor
from ._supervised import CKNClassifier, CKNRegressor
from .preprocessing import ChannelScaler, Differences, GradientMap, PatchWhitening

__all__ = ["TRUSTED_TYPES"]

TRUSTED_TYPES = [  # names by which skops identifies the estimators: ``skops.io.load(file, trusted=TRUSTED_TYPES)``
    f"{estimator.__module__}.{estimator.__qualname__}"
    for estimator in (
        AutoCKNClassifier,
        AutoCKNRegressor,
        CKNClassifier,
        CKNFeatureMap,
        CKNKernel,
        CKNLayer,
        CKNRegressor,
        ChannelScaler,
        Differences,
        Flatten,
        GradientMap,
        LinearClassifier,
        LinearRegressor,
        PatchWhitening,
    )
]
