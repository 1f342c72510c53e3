"""The step from maps to features."""

from math import prod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from . import _validation
from ._core import encode
from ._persistence import PersistentMixin
from ._typing import Result, Rows, typed


class Flatten(PersistentMixin, TransformerMixin, BaseEstimator):
    """Maps as rows of features: the step between the layers of a network and any other estimator.

    The inner product of two rows is the kernel of the two signals as the network approximates it, see `CKNKernel`,
    unless `center` or `scale` is set.

    Parameters
    ----------
    center : bool, default=False
        Subtract from each row its own mean.

    scale : bool, default=False
        Divide each row by its own norm, after centring; a row of zeros stays.

    Attributes
    ----------
    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the maps seen in `fit`.

    n_features_in_ : int
        Values in one map, ``prod(input_shape_)``.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        `X` is empty, not finite or so large that its squares are not; in `transform`, its maps are of another shape
        than in `fit`.

    See Also
    --------
    CKNFeatureMap : Layers and this step in one, without the intermediate maps in memory.
    CKNLayer : The steps before.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn import Flatten
    >>> flatten = Flatten().fit(np.ones((5, 2, 1, 3)))
    >>> flatten.transform(np.ones((5, 2, 1, 3))).shape
    (5, 6)
    >>> list(flatten.get_feature_names_out())
    ['y0_x0_f0', 'y0_x0_f1', 'y0_x0_f2', 'y1_x0_f0', 'y1_x0_f1', 'y1_x0_f2']
    """

    _parameter_constraints = {"center": ["boolean"], "scale": ["boolean"]}

    def __init__(self, *, center: bool = False, scale: bool = False) -> None:
        self.center = center
        self.scale = scale

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Record the shape of the maps.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`
            Maps with at most three space axes; a 2-D `X` has none.
        y : None
            Ignored.

        Returns
        -------
        self : Flatten
            The fitted transformer.
        """
        signals = _validation.as_maps(self, X)
        _validation.record_feature_names(self, X)
        self.input_shape_ = signals.shape
        self.n_features_in_ = prod(signals.shape)
        return self

    def transform(self, X: Rows) -> Result:
        """Flatten, centre and scale.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`
            Maps of the shape seen in `fit`.

        Returns
        -------
        features : ndarray of shape `(n_samples, n_features)`
            Numbers in float64 if `X` is (or longer), else in float32. Without `center` and `scale` they share memory
            with `X` where they can.
        """
        check_is_fitted(self)
        maps = _validation.as_fitted_maps(self, X)
        return encode.flatten(maps.read(slice(None)), self.center, self.scale)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the position and the channel of every feature.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            Such as ``"y0_x2_f17"``: row 0, column 2, filter 17 (and ``z`` first in a volume).
        """
        check_is_fitted(self)
        return feature_names(self.input_shape_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def feature_names(shape):
    """Names of the values of a flattened map of ``shape`` ``(*space, n_channels)``."""
    letters = [*"zyx"[4 - len(shape) :], "f"]
    return np.array(
        ["_".join(letter + str(i) for letter, i in zip(letters, index)) for index in np.ndindex(*shape)], dtype=object
    )
