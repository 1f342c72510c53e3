"""The values of the arrays that users pass: real and finite numbers whose squares can be summed."""

from functools import partial

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_array

from .._utils.caller import warn
from .conversion import as_rows, is_real
from .signals import LARGEST_EXACT, computing_dtype, exact_dtype, largest_magnitude
from .stores import Stored, is_lazy, is_stored

# Ratio of the smallest value whose square overflows to the largest accepted value, so that a million squares can be
# summed.
MARGIN = 1000


def in_memory(X, name="X"):
    """Return ``X`` as an array or a table of numbers in memory."""
    X = as_rows(X.compute() if is_lazy(X) else X, name)
    if not is_stored(X):
        return X
    stored = Stored(X, name, check=lambda rows, name: None)
    array = stored[:]
    stored.warn_of_doubts()
    return array


def check_values(estimator, X, name="X", stored=False):
    """Check that ``X`` has at least two axes and finite real values whose squares can be summed; return an array."""
    if stored and is_stored(X):
        array = Stored(as_rows(X, name), name, partial(_check_stored_values, type(estimator).__name__))
    else:
        array = _as_signals_of_numbers(in_memory(X, name), estimator, name)
    if not is_real(array.dtype):
        raise ValueError(
            f"{name} has dtype {array.dtype}, but signals must be real numbers: convert {name} to a numeric dtype."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}, but every axis must have a length of at least 1.")
    doubt = _check_magnitudes(array, name) if isinstance(array, np.ndarray) else None
    if doubt:
        warn(doubt)
    return array


@np.errstate(over="ignore", invalid="ignore")
def as_array(array, check=check_array, **checks):
    """Call a check of scikit-learn, whose sums over finite values may overflow, without warnings of NumPy."""
    return check(array, **checks)


def _as_signals_of_numbers(X, estimator, name):
    """Return an array of at least two axes. `_check_magnitudes` checks that its values are finite."""
    if len(getattr(X, "shape", "")) == 1:
        raise ValueError(
            f"{name} has shape {X.shape}, but signals have at least two axes, of which the first counts the signals. "
            f"Reshape your data: if {name} is one signal, pass {name}[None]."
        )
    return as_array(X, allow_nd=True, input_name=name, estimator=estimator, ensure_all_finite=False)


def _check_stored_values(estimator, X, name):  # -> str or None
    """Check the values of some rows of a store, and return what to warn of.

    The computing dtype is determined before any values are read.
    """
    array = _as_signals_of_numbers(X, estimator, name)
    doubt, largest = _check_magnitudes(array, name), largest_magnitude(array)
    if exact_dtype(array.dtype, largest) != computing_dtype(array.dtype):
        raise ValueError(
            f"{name} has integers up to {largest:.10g} in magnitude, but integers outside of memory "
            f"are computed in float32, which is exact only up to {LARGEST_EXACT}: convert the array to float64, or "
            f"subtract a constant."
        )
    return doubt


def _check_magnitudes(array, name):  # -> str or None
    """Check finite values whose squares can be summed, and return a warning if those of a whole signal underflow."""
    axes = tuple(range(1, array.ndim))
    with np.errstate(invalid="ignore"):
        largest = np.maximum(array.max(axis=axes).astype(float), -array.min(axis=axes).astype(float))
    spoiled = np.flatnonzero(~np.isfinite(largest))
    if len(spoiled) and not get_config()["assume_finite"]:
        raise ValueError(
            f"{name} contains {'NaN' if np.isnan(largest).any() else 'infinity'} in {len(spoiled)} of {len(array)} "
            f"signals, first in signal {spoiled[0]}: replace such values, for example with "
            f"numpy.nan_to_num({name}), or remove the signals."
        )
    dtype = exact_dtype(array.dtype, largest.max())
    check_size(largest.max(), dtype, name)
    smallest = np.sqrt(np.finfo(dtype).tiny)
    tiny = np.flatnonzero((largest > 0) & (largest < smallest))
    if len(tiny) == 0:
        return None
    which, size = name, largest.max()
    if size >= smallest:
        which, size = f"Signal {tiny[0]} of {name}", largest[tiny[0]]
    return (
        f"{which} has values up to {size:.2g} in magnitude, but for computations in {dtype} they should exceed "
        f"{smallest:.2g}, because the squares of smaller values lose digits or become 0: multiply {name} by a "
        f"constant, or replace such signals by zeros."
    )


def check_size(largest, dtype, name="X"):
    """Check that the squares of values up to a magnitude can be summed in ``dtype``."""
    limit = np.sqrt(np.finfo(dtype).max) / MARGIN
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.2g} in magnitude, but for computations in {dtype} they must not exceed "
            f"{limit:.2g}, because their squares are summed: divide {name} by a constant."
        )
