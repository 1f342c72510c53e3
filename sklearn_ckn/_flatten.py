"""A transformer that flattens maps to rows of features."""

from math import prod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from ._arrays import tables, validation
from ._core.layer.flatten import flatten
from ._utils.serialization import PersistentMixin
from ._utils.typing import Result, Rows, typed


class Flatten(PersistentMixin, TransformerMixin, BaseEstimator):
    """Last step of a network, which flattens maps to rows of features for any other estimator.

    Unless `center` or `scale` is set, the inner product of two rows is the network's approximation of the kernel of the
    corresponding signals; see `CKNKernel`.

    Parameters
    ----------
    center : bool, default=False
        Whether to centre each row of features by subtracting its mean.

    scale : bool, default=False
        Whether to divide each row by its own norm, after centring. A row of zeros stays zero.

    Attributes
    ----------
    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the maps seen in `fit`.

    n_features_in_ : int
        Number of values in one map, ``prod(input_shape_)``.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    ValueError
        If `X` is empty, is not finite, has masked values, or has values so large that their squares overflow, or if the
        maps in `transform` have a different shape from that in `fit`.

    See Also
    --------
    CKNFeatureMap : The layers and this step in one estimator, which does not keep intermediate maps in memory.
    CKNLayer : One layer of the network, which produces maps.

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
            Maps with up to three spatial axes. A 2-D `X` has no spatial axes.
        y : None
            Ignored.

        Returns
        -------
        self : Flatten
            The fitted transformer.
        """
        signals = validation.as_maps(self, X)
        tables.record_feature_names(self, X)
        self.input_shape_ = signals.shape
        self.n_features_in_ = prod(signals.shape)
        return self

    def transform(self, X: Rows) -> Result:
        """Flatten the maps, then centre and scale the rows as specified.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`
            Maps of the shape seen in `fit`.

        Returns
        -------
        features : ndarray of shape `(n_samples, n_features)`
            The dtype is float64 for float64 input and integers beyond ``2**24``, float32 otherwise. Without `center`
            and `scale`, the features share memory with `X` if possible.
        """
        check_is_fitted(self)
        maps = validation.as_fitted_maps(self, X)
        return flatten(maps.read(slice(None)), self.center, self.scale)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return feature names, which state the position and the channel of each feature.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            Names such as ``"y0_x2_f17"``: row 0, column 2, filter 17. In volumes, ``z`` comes first.
        """
        check_is_fitted(self)
        return feature_names(self.input_shape_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def feature_names(shape):
    """Return the names of the values of a flattened map of ``shape`` ``(*space, n_channels)``."""
    letters = [*"zyx"[4 - len(shape) :], "f"]
    return np.array(
        ["_".join(letter + str(i) for letter, i in zip(letters, index)) for index in np.ndindex(*shape)], dtype=object
    )
