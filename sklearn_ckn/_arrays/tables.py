"""Tables of features, and the targets, class labels and sample weights that are passed with samples."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, _check_y, check_consistent_length, check_X_y, validate_data

from .conversion import as_labels, as_rows, check_unmasked
from .signals import computing_dtype, largest_magnitude
from .values import MARGIN, as_array, check_size, in_memory


def record_feature_names(estimator, X):
    """Set ``feature_names_in_``, or remove it if ``X`` has no column names, as scikit-learn does."""
    validate_data(estimator, X, reset=True, skip_check_array=True, ensure_2d=False)


def check_feature_names(X):
    """Reject column names of mixed types before any work is done."""
    record_feature_names(BaseEstimator(), X)


def record_columns(estimator, X):
    """Set ``n_features_in_`` and ``feature_names_in_``, or remove the latter if ``X`` has no column names."""
    validate_data(estimator, _with_columns(X), reset=True, skip_check_array=True)


def check_columns(estimator, X):
    """Check that a table has the number of columns and the column names seen in ``fit``."""
    validate_data(estimator, _with_columns(X), reset=False, skip_check_array=True)


def _with_columns(X):
    """Return rows that are passed one by one as one array with columns, and everything else unchanged."""
    return as_rows(X) if len(getattr(X, "shape", "")) == 1 else X


def features_dtype(dtype):
    """Return float32 if it can represent all values of ``dtype``, float64 otherwise."""
    return computing_dtype(np.result_type(dtype, np.float32))


def as_features(estimator, X, y, **checks):
    """Check ``X``, a table of finite real numbers whose squares can be summed, and ``y``, and return both."""
    check_feature_names(X)
    rows = in_memory(X)
    if len(getattr(rows, "shape", ())) > 2:
        raise ValueError(
            f"X has shape {rows.shape}, but {type(estimator).__name__} expects (n_samples, n_features): use Flatten() "
            f"to turn maps into features."
        )
    X, y = as_array(rows, check_X_y, y=_read_y(y, **checks), estimator=estimator, **checks)
    check_size(largest_magnitude(X), features_dtype(X.dtype))
    return X, y


def as_fitted_features(estimator, X):
    """Check that ``X`` has the columns and the column names seen in ``fit``, and return it as an array."""
    X = as_array(in_memory(X), lambda X: validate_data(estimator, X, reset=False))
    check_size(largest_magnitude(X), features_dtype(X.dtype))
    return X


def _read_y(y, y_numeric=False, **_):
    """Reject masked values, and return the targets, or class labels with the values that were passed."""
    check_unmasked(y, "y", can_fill=False)
    return y if y is None or y_numeric else as_labels(y)


def as_labels_or_targets(estimator, X, y, **checks):
    """Check ``y``, which contains one label, or one or more numbers, for each signal of ``X``, and return it."""
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    y = as_array(_read_y(y, **checks), _check_y, estimator=estimator, **checks)
    check_consistent_length(X, y)
    return y


def check_weights(sample_weight, X, dtype, factors=1, factors_name=""):
    """Return the sample weights times ``factors``, checked to be finite, non-negative and not all 0."""
    check_unmasked(sample_weight, "sample_weight")
    with np.errstate(over="ignore", invalid="ignore"):
        weights = _check_sample_weight(sample_weight, X, dtype=dtype)
        weights = weights * np.asarray(factors, dtype=weights.dtype)
        total = weights.sum()
    if not (np.isfinite(total) and total > 0 and weights.min() >= 0):
        raise ValueError(
            f"sample_weight{factors_name} must be >= 0 and not 0 everywhere, with a finite sum; got values from "
            f"{weights.min()} to {weights.max()}."
        )
    return weights


def as_targets(y, dtype):
    """Return the targets in double precision, as ``(n, n_targets)``, checked to be far from overflow in ``dtype``."""
    targets, limit = y.reshape(len(y), -1).astype(float), np.finfo(dtype).max / MARGIN / len(y)
    largest = np.abs(targets).max()
    if largest > limit:
        raise ValueError(
            f"y has values up to {largest:.2g} in magnitude, but for computations in {dtype} they must not exceed "
            f"{limit:.2g}: divide y by a constant."
        )
    return targets
