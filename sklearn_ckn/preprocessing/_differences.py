"""First differences of time series."""

from collections.abc import Sequence
from math import prod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from .._arrays import tables, validation
from .._utils.maps import channel_names
from .._utils.serialization import PAGES, PersistentMixin
from .._utils.typing import Result, Rows, typed


class Differences(PersistentMixin, TransformerMixin, BaseEstimator):
    """First differences of time series, divided by their root mean square in each channel.

    For each channel x of a series, the transformed channel z is::

        d_t = x_(t+1) - x_t
        z_t = d_t / sqrt(mean over t of d_t^2)

    If the channel is constant, z is 0. Adding a constant to a channel, or multiplying the channel by a positive number,
    does not change z. The differences of each series are returned as one row. A `CKNLayer` with ``ndim=1`` and
    ``input_shape=(length - 1, n_channels)`` reads such rows as series.

    Parameters
    ----------
    input_shape : tuple of ints or None, default=None
        Shape ``(length,)`` or ``(length, n_channels)`` of the series in the rows of a 2-D `X`, as in `CKNLayer`. If
        None, the rows of a 2-D `X` are series with one channel.

    Attributes
    ----------
    input_shape_ : tuple
        Shape ``(length, n_channels)`` of the series seen in `fit`.

    n_features_in_ : int
        Number of values in one series, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If `X` contains no numbers, as described in `CKNLayer`.
    ValueError
        If, in `fit` or `transform`, `X` is invalid for one of the reasons listed in `CKNLayer`, or if the series in
        `transform` have a different length from that in `fit`.

    Warns
    -----
    UserWarning
        If, in `fit`, `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    sklearn_ckn.CKNFeatureMap : Network that usually follows this transformer.
    sklearn_ckn.AutoCKNClassifier : Classifier that tries first differences of time series.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn.preprocessing import Differences
    >>> series = np.array([[0.0, 1.0, 3.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    >>> Differences().fit_transform(series).round(2)
    array([[0.77, 1.55, 0.  ],
           [0.  , 0.  , 0.  ]])
    """

    ndim = 1  # number of spatial axes, which is a parameter of other transformers
    _accepts_tiny_values = True  # The differences are divided by their size.
    _parameter_constraints = {"input_shape": [tuple, list, None]}
    _doc_link_template = PAGES.replace("{estimator_name}", "preprocessing.{estimator_name}")

    def __init__(self, *, input_shape: Sequence[int] | None = None) -> None:
        self.input_shape = input_shape

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Record the shape of the series.

        Parameters
        ----------
        X : array-like of shape `(n_samples, length, n_channels)`, `(n_samples, length)` or `(n_samples, n_features)`
            Time series; see `input_shape`.
        y : None
            Ignored.

        Returns
        -------
        self : Differences
            The fitted transformer.

        Raises
        ------
        ValueError
            If `input_shape` is not a valid shape for series or does not match `X`, or if the series have only one value
            per channel.
        """
        signals = validation.as_signals(self, X, self.ndim, self.input_shape)
        if signals.shape[0] < 2:
            raise ValueError(
                f"X has series of shape {signals.shape} (n_features={prod(signals.shape)}), but differences need a "
                f"length of at least 2. If the last axis of X is time, set input_shape or move that axis to axis 1."
            )
        tables.record_feature_names(self, X)
        self.input_shape_ = signals.shape
        self.n_features_in_ = prod(signals.shape)
        return self

    def transform(self, X: Rows) -> Result:
        """Compute the first differences and divide them by their root mean square.

        Parameters
        ----------
        X : array-like of shape `(n_samples, length, n_channels)`, `(n_samples, length)` or `(n_samples, n_features)`
            Time series of the shape seen in `fit`.

        Returns
        -------
        differences : ndarray of shape `(n_samples, (length - 1) * n_channels)`
            Flattened series of shape ``(length - 1, n_channels)``, one per row. The dtype is float64 for float64 input
            and integers beyond ``2**24``, float32 otherwise.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If the series have a different shape from that in `fit`.
        """
        check_is_fitted(self)
        signals = validation.as_fitted_signals(self, X, self.input_shape is not None, same_space=True)
        return first_differences(signals.read(slice(None))).reshape(len(signals), -1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the differences.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            ``["difference0", "difference1", ...]``, in the order of the columns.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        """
        check_is_fitted(self)
        length, n_channels = self.input_shape_
        return channel_names("difference", (length - 1) * n_channels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def first_differences(X):  # (n, length, c) -> (n, length - 1, c)
    """Return the differences of successive values, divided by their root mean square.

    They are divided by their largest magnitude first, so that no square overflows or underflows.
    """
    differences = X[:, 1:] - X[:, :-1]
    largest = np.abs(differences).max(axis=1, keepdims=True)
    differences = differences / np.where(largest > 0, largest, 1)
    sizes = np.sqrt((differences**2).mean(axis=1, keepdims=True))
    return differences / np.where(sizes > 0, sizes, 1)
