"""How time series change, before the first layer."""

from math import prod

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from . import _validation
from ._maps import channel_names
from ._persistence import PersistentMixin


class Slopes(PersistentMixin, TransformerMixin, BaseEstimator):
    """Differences of neighbours in time series, divided channel by channel by their root mean square::

        d_t = x_(t+1) - x_t,    d_t / sqrt(mean over t of d_t^2)

    Those of a constant channel are 0.

    Parameters
    ----------
    input_shape : tuple of ints or None, default=None
        Shape ``(length,)`` or ``(length, n_channels)`` of the series in the rows of a 2-D `X`, as in `CKNLayer`.

    Attributes
    ----------
    input_shape_ : tuple
        Shape ``(length, n_channels)`` of the series seen in `fit`.

    n_features_in_ : int
        Values in one series, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        In `fit` and `transform`: `X` has other axes or channels than expected, is empty or not finite; in `transform`
        its series are of another length than in `fit`.
    """

    _doc_link_module = ""  # it has no page

    def __init__(self, *, input_shape=None):
        self.input_shape = input_shape

    def fit(self, X, y=None):
        """Record the shape of the series: `X` is ``(n_samples, length[, n_channels])``, or rows of `input_shape`."""
        signals = _validation.as_signals(self, X, 1, self.input_shape)
        _validation.record_feature_names(self, X)
        self.input_shape_ = signals.shape
        self.n_features_in_ = prod(signals.shape)
        return self

    def transform(self, X):
        """Rows of ``(length - 1, n_channels)`` values, ndarray of shape (n_samples, (length - 1) * n_channels)."""
        check_is_fitted(self)
        signals = _validation.as_fitted_signals(self, X, self.input_shape is not None, same_space=True)
        return slopes(signals.read(slice(None))).reshape(len(signals), -1)

    def get_feature_names_out(self, input_features=None):
        """Name the rows' values."""
        check_is_fitted(self)
        length, n_channels = self.input_shape_
        return channel_names("slope", (length - 1) * n_channels)


def slopes(X):  # (n, length, c) -> (n, length - 1, c)
    """Differences of neighbours, divided by their root mean square."""
    differences = X[:, 1:] - X[:, :-1]
    sizes = np.sqrt((differences**2).mean(axis=1, keepdims=True))
    return differences / np.where(sizes > 0, sizes, 1)
