"""The values of the arrays that users pass: real and finite numbers whose squares can be summed."""

from functools import partial

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_array

from .._core.layer.patches import smallest_norm
from .._utils.caller import warn
from .conversion import as_rows, is_real
from .signals import LARGEST_EXACT, computing_dtype, exact_dtype
from .stores import Stored, is_lazy, is_stored

# Ratio of the smallest value whose square overflows to the largest accepted value, so that a million squares can be
# summed.
MARGIN = 1000


def in_memory(X, name="X"):
    """Return ``X`` as an array or a table of numbers in memory."""
    X = as_rows(X.compute() if is_lazy(X) else X, name)
    if not is_stored(X):
        return X
    stored = Stored(X, name, check=lambda rows, name, numbers: None)
    array = stored[:]
    stored.warn_of_doubts()
    return array


def check_values(estimator, X, name="X", stored=False):
    """Check that ``X`` has at least two axes and finite real values whose squares can be summed; return an array."""
    if stored and is_stored(X):
        array = Stored(as_rows(X, name), name, partial(_check_stored_values, type(estimator).__name__))
    else:
        array = _as_batch(in_memory(X, name), estimator, name)
    if not is_real(array.dtype):
        raise ValueError(
            f"{name} has dtype {array.dtype}, but signals must be real numbers: convert {name} to a numeric dtype."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}, but every axis must have a length of at least 1.")
    if isinstance(array, np.ndarray):
        _, doubt = _check_signals(array, name, range(len(array)))
        if doubt and not getattr(estimator, "_accepts_tiny_values", False):
            warn(doubt)
    return array


@np.errstate(over="ignore", invalid="ignore")
def as_array(array, check=check_array, **checks):
    """Call a check of scikit-learn, whose sums over finite values may overflow, without warnings of NumPy."""
    return check(array, **checks)


def _as_batch(X, estimator, name):
    """Return an array of at least two axes. `_check_signals` checks that its values are finite."""
    if len(getattr(X, "shape", "")) == 1:
        raise ValueError(
            f"{name} has shape {X.shape}, but signals have at least two axes, of which the first counts the signals. "
            f"Reshape your data: if {name} is one signal, pass numpy.asarray({name})[None]."
        )
    return as_array(X, allow_nd=True, input_name=name, estimator=estimator, ensure_all_finite=False)


def _check_stored_values(estimator, X, name, numbers):  # -> str or None
    """Check the signals of a store with the given numbers, and return a warning about them.

    Stores are computed in `computing_dtype`, which is chosen before the values are known, so integers that need float64
    are rejected.
    """
    array = _as_batch(X, estimator, name)
    largest, doubt = _check_signals(array, name, numbers)
    if exact_dtype(array.dtype, largest) != computing_dtype(array.dtype):
        raise ValueError(
            f"{name} has integers up to {largest:.10g} in magnitude, but integers outside of memory "
            f"are computed in float32, which is exact only up to {LARGEST_EXACT}: convert the array to float64, or "
            f"subtract a constant."
        )
    return doubt


def _check_signals(array, name, numbers):  # -> float, str or None
    """Check that values are finite and that their squares can be summed.

    Return the largest magnitude, and a warning if the squares of a whole signal underflow. Messages count signals by
    their numbers in the whole array, of which ``array`` may be a part.
    """
    return judge(*extremes(array), array.dtype, name, numbers)


def extremes(array):  # (n, ...) -> (n,), (n,)
    """Return the smallest and the largest value of each signal."""
    axes = tuple(range(1, array.ndim))
    with np.errstate(over="ignore", invalid="ignore"):
        return array.min(axis=axes), array.max(axis=axes)


def judge(low, high, dtype, name, numbers, is_list=False):  # (n,), (n,), dtype of the signals, str, (n,)
    """Check signals, given their smallest and largest values; see `_check_signals`."""
    whole = name.partition("[")[0]
    sizes = np.maximum(high.astype(float), -low.astype(float))
    is_nan = np.isnan(low)
    replacement = f"numpy.nan_to_num({'x' if is_list else whole}, posinf=0, neginf=0)"
    replacement = f"[{replacement} for x in {whole}]" if is_list else replacement
    kind, spoiled = ("NaN", is_nan) if is_nan.any() else ("infinity", ~(np.isfinite(low) & np.isfinite(high)))
    if spoiled.any() and not get_config()["assume_finite"]:
        raise ValueError(
            f"{name} contains {kind} in {np.count_nonzero(spoiled)} of {len(low)} signals, first in "
            f"{whole}[{numbers[spoiled.argmax()]}]: remove such signals, or replace the values, for example with "
            f"{replacement}."
        )
    largest = float(np.nanmax(sizes, initial=0))
    dtype = exact_dtype(dtype, largest)
    check_size(largest, dtype, name)
    smallest = smallest_norm(dtype)
    tiny = (sizes > 0) & (sizes < smallest)
    if not tiny.any():
        return largest, None
    first = tiny.argmax()
    which, size = (f"{whole}[{numbers[first]}]", sizes[first]) if largest >= smallest else (name, largest)
    return largest, (
        f"{which} has values up to {size:.2g} in magnitude, but for computations in {dtype} they should exceed "
        f"{smallest:.2g}, because the squares of much smaller values lose digits or become 0: multiply {whole} by a "
        f"constant, or replace such signals by zeros."
    )


def check_size(largest, dtype, name="X"):
    """Check that the squares of values up to a magnitude can be summed in ``dtype``."""
    limit = np.sqrt(np.finfo(dtype).max) / MARGIN
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.2g} in magnitude, but for computations in {dtype} they must not exceed "
            f"{limit:.2g}, because their squares are summed: divide {name.partition('[')[0]} by a constant."
        )


def check_diagonal(diagonal, dtype):
    """Check that ``dtype`` can represent a Gram matrix, whose largest entry is on its diagonal."""
    if diagonal.max() > np.finfo(dtype).max:
        raise ValueError(
            f"The kernel of a signal with itself is {diagonal.max():.2g}, which is too large for {dtype}: divide X by "
            f"a constant, or set normalize=True."
        )
