"""What is to be trusted when an estimator is loaded from a file of skops.

`TRUSTED_TYPES` are the names of the package's estimators, and all that skops has to be told: their files hold nothing
else but arrays, numbers and what scikit-learn has.

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
