"""Checks of user input: this file alone decides which arrays and sizes are accepted and what the errors state."""

from functools import partial
from math import prod
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_array,
    check_consistent_length,
    check_X_y,
    validate_data,
)

from .._utils.caller import warn
from .conversion import as_labels, as_rows, check_unmasked, is_real
from .misread import warn_of_misreading
from .signals import LARGEST_EXACT, Signals, computing_dtype, exact_dtype, largest_magnitude
from .stores import Stored, is_lazy, is_stored

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
KINDS = {1: "series", 2: "images", 3: "volumes"}
# Ratio of the smallest value whose square overflows to the largest accepted value, so that a million squares can be
# summed.
MARGIN = 1000


def as_signals(estimator, X, ndim, input_shape=None, name="X", stored=False):
    """Check ``X`` and return it as `Signals`, whose shape follows from ``X`` and ``input_shape``.

    If ``stored``, an array in a store is not loaded, and its values are checked when they are read.
    """
    signals = _read_axes(estimator, _check_values(estimator, X, name, stored), ndim, input_shape, name)
    declared = signals.shape if input_shape is None else check_input_shape(input_shape, ndim)
    if any(size not in (-1, found) for size, found in zip(declared, signals.shape)):
        raise ValueError(
            f"input_shape={input_shape!r} does not fit {name}, whose signals have shape {signals.shape}: set "
            f"input_shape to {name}.shape[1:]."
        )
    is_flat = signals.array.ndim == 2 and input_shape is not None
    has_channels = (len(input_shape) if is_flat else signals.array.ndim - 1) > ndim
    warn_of_misreading(signals, ndim, has_channels, name)
    return signals


def as_fitted_signals(estimator, X, flattened, same_space=False, stored=False):
    """Check that ``X`` has the columns, channels and, if ``same_space``, spatial shape of ``fit``; return `Signals`."""
    array, fitted = _check_values(estimator, X, stored=stored), estimator.input_shape_
    ndim, n_channels = len(fitted) - 1, fitted[-1]
    if array.ndim == 2 and (flattened or ndim == n_channels == 1):
        _check_columns(estimator, X)
    signals = _read_axes(estimator, array, ndim, fitted if flattened else None)
    if signals.shape[-1] != n_channels or (same_space and signals.shape != fitted):
        which = "The shape" if same_space else "The number of channels, the last axis,"
        alone = " If X is one signal, pass X[None]." if array.shape == fitted else ""
        raise ValueError(
            f"X of shape {array.shape} has signals of shape {signals.shape}, but {type(estimator).__name__} was fitted "
            f"on signals of shape {fitted}. {which} must be the same.{alone}"
        )
    return signals


def as_maps(estimator, X):
    """Check ``X``, which contains maps with up to three spatial axes (none if 2-D), and return `Signals`."""
    array = _check_values(estimator, X)
    if array.ndim > 5:
        raise ValueError(
            f"X must have shape (n_samples, *space, n_channels) with at most 3 spatial axes; got {array.shape}."
        )
    return Signals(array, array.shape[1:])


def as_fitted_maps(estimator, X):
    """Check that ``X`` has the columns, column names and map shape seen in ``fit``, and return `Signals`."""
    maps = as_maps(estimator, X)
    if maps.array.ndim == 2:
        _check_columns(estimator, X)
    if maps.shape != estimator.input_shape_:
        raise ValueError(
            f"X has maps of shape {maps.shape}, but {type(estimator).__name__} was fitted on maps of shape "
            f"{estimator.input_shape_}."
        )
    return maps


def record_feature_names(estimator, X):
    """Set ``feature_names_in_``, or remove it if ``X`` has no column names, as scikit-learn does."""
    validate_data(estimator, X, reset=True, skip_check_array=True, ensure_2d=False)


def _check_columns(estimator, X):
    """Check that a table has the number of columns and the column names seen in ``fit``."""
    validate_data(estimator, _with_columns(X), reset=False, skip_check_array=True)


def _with_columns(X):
    """Return rows that are passed one by one as one array with columns, and everything else unchanged."""
    return as_rows(X) if len(getattr(X, "shape", "")) == 1 else X


def _in_memory(X, name="X"):
    """Return ``X`` as an array or a table of numbers in memory."""
    X = as_rows(X.compute() if is_lazy(X) else X, name)
    if not is_stored(X):
        return X
    stored = Stored(X, name, check=lambda rows, name: None)
    array = stored[:]
    stored.warn_of_doubts()
    return array


def _check_values(estimator, X, name="X", stored=False):
    """Check that ``X`` has at least two axes and finite real values whose squares can be summed; return an array."""
    if stored and is_stored(X):
        array = Stored(as_rows(X, name), name, partial(_check_stored_values, type(estimator).__name__))
    else:
        array = _as_array(_in_memory(X, name), allow_nd=True, input_name=name, estimator=estimator)
    if not is_real(array.dtype):
        raise ValueError(
            f"{name} has dtype {array.dtype}, but signals must be real numbers: convert {name} to a numeric dtype."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}, but every axis must have a length of at least 1.")
    if isinstance(array, np.ndarray):
        largest = largest_magnitude(array)
        _check_size(largest, exact_dtype(array.dtype, largest), name)
        _warn_of_underflow(largest, exact_dtype(array.dtype, largest), name)
    return array


@np.errstate(over="ignore", invalid="ignore")
def _as_array(array, check=check_array, **checks):
    """Call a check of scikit-learn, whose sums over finite values may overflow, without warnings of NumPy."""
    return check(array, **checks)


def _check_stored_values(estimator, X, name):
    """Check the values of some rows of a store, whose computing dtype is determined before any values are read."""
    array = _as_array(X, allow_nd=True, input_name=name, estimator=estimator)
    largest = largest_magnitude(array)
    _check_size(largest, exact_dtype(array.dtype, largest), name)
    if exact_dtype(array.dtype, largest) != computing_dtype(array.dtype):
        raise ValueError(
            f"{name} has integers up to {largest:.10g} in magnitude, but integers outside of memory "
            f"are computed in float32, which is exact only up to {LARGEST_EXACT}: convert the array to float64, or "
            f"subtract a constant."
        )


def _warn_of_underflow(largest, dtype, name):
    """Warn if values up to a magnitude are so small that their squares underflow in ``dtype``."""
    smallest = np.sqrt(np.finfo(dtype).tiny)
    if 0 < largest < smallest:
        warn(
            f"{name} has values up to {largest:.2g} in magnitude, but for computations in {dtype} they should exceed "
            f"{smallest:.2g}, because the squares of smaller values lose digits or become 0: multiply {name} by a "
            f"constant."
        )


def _check_size(largest, dtype, name="X"):
    """Check that the squares of values up to a magnitude can be summed in ``dtype``."""
    limit = np.sqrt(np.finfo(dtype).max) / MARGIN
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.2g} in magnitude, but for computations in {dtype} they must not exceed "
            f"{limit:.2g}, because their squares are summed: divide {name} by a constant."
        )


def features_dtype(dtype):
    """Return float32 if it can represent all values of ``dtype``, float64 otherwise."""
    return computing_dtype(np.result_type(dtype, np.float32))


def as_features(estimator, X, y, **checks):
    """Check ``X``, a table of finite real numbers whose squares can be summed, and ``y``, and return both."""
    if len(getattr(X, "shape", ())) > 2:
        raise ValueError(
            f"X has shape {X.shape}, but {type(estimator).__name__} expects (n_samples, n_features): use Flatten() to "
            f"turn maps into features."
        )
    check_feature_names(X)
    X, y = _as_array(_in_memory(X), check_X_y, y=_read_y(y, **checks), estimator=estimator, **checks)
    _check_size(largest_magnitude(X), features_dtype(X.dtype))
    return X, y


def check_feature_names(X):
    """Reject column names of mixed types before any work is done."""
    record_feature_names(BaseEstimator(), X)


def record_columns(estimator, X):
    """Set ``n_features_in_`` and ``feature_names_in_``, or remove the latter if ``X`` has no column names."""
    validate_data(estimator, _with_columns(X), reset=True, skip_check_array=True)


def as_fitted_features(estimator, X):
    """Check that ``X`` has the columns and the column names seen in ``fit``, and return it as an array."""
    X = _as_array(_in_memory(X), lambda X: validate_data(estimator, X, reset=False))
    _check_size(largest_magnitude(X), features_dtype(X.dtype))
    return X


def _read_y(y, y_numeric=False, **_):
    """Reject masked values, and return the targets, or class labels with the values that were passed."""
    check_unmasked(y, "y")
    return y if y is None or y_numeric else as_labels(y)


def as_labels_or_targets(estimator, X, y, **checks):
    """Check ``y``, which contains one label, or one or more numbers, for each signal of ``X``, and return it."""
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    y = _as_array(_read_y(y, **checks), _check_y, estimator=estimator, **checks)
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


def check_path(C, weights):
    """Return ``C``, a positive number or a list of them, as an array.

    The product of each value of C and the sum of the weights must be representable in float32.
    """
    try:
        path = np.atleast_1d(np.asarray(C, dtype=float))
    except (TypeError, ValueError):
        path = np.empty(0)
    if path.ndim > 1 or path.size == 0 or not (np.isfinite(path) & (path > 0)).all():
        raise ValueError(f"C must be a positive finite number or a list of them; got {C!r}.")
    total = weights.sum(dtype=float)
    for value in path:
        if not np.finfo(np.float32).tiny <= value * total <= np.finfo(np.float32).max:
            raise ValueError(
                f"C times the sum of weights must be between 1e-37 and 1e38; got C={value:g} and a sum of {total:g}."
            )
    return path


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


def as_augmented(returned, X):
    """Check that the user's augmentation returned finite signals of the same shape as ``X``, and return them."""
    name = "augmentation's result"
    try:
        augmented = _as_array(as_rows(returned, name), allow_nd=True, input_name=name, dtype=X.dtype, order="C")
        found = f"shape {augmented.shape}"
    except ValueError as error:
        augmented, found = None, str(error)
    if augmented is None or augmented.shape != X.shape:
        raise ValueError(
            f"augmentation must return finite signals of the same shape as its input, {X.shape}; got {found}"
        )
    _check_size(largest_magnitude(augmented), X.dtype, name)
    return augmented


def _read_axes(estimator, array, ndim, input_shape, name="X"):
    """Return the `Signals` of an array with a channel axis, without one (for a single channel), or flattened to 2-D."""
    if array.ndim == 2 and input_shape is not None:
        return Signals(array, _unflatten(input_shape, ndim, array.shape[1], name))
    if array.ndim == ndim + 2:
        return Signals(array, array.shape[1:])
    if array.ndim == ndim + 1:
        return Signals(array, (*array.shape[1:], 1))
    space = ", ".join(AXES[ndim])
    flat = (
        f" {name} is 2-D: if its rows are flattened signals, set input_shape=({space}) or ({space}, n_channels) in the "
        f"first layer; if they are series, set ndim=1 in every layer"
    )
    flat += f"; if {name} is one signal with one channel, pass {name}[None]" if ndim == 2 else ""
    raise ValueError(
        f"{name} has shape {array.shape}, but with ndim={ndim} {type(estimator).__name__} expects "
        f"(n_samples, {space}, n_channels), or (n_samples, {space}) for one channel."
        + (flat if array.ndim == 2 else f" Set ndim to the number of spatial axes, one of {sorted(AXES)}")
        + "."
    )


def check_input_shape(input_shape, ndim, name="input_shape", n_unknown=1):
    """Check a shape and return it with its number of channels, which is 1 if not given.

    Up to ``n_unknown`` of the sizes may be -1.
    """
    sizes, space = tuple(input_shape), ", ".join(AXES[ndim])
    valid = all(isinstance(size, Integral) and (size >= 1 or size == -1) for size in sizes)
    if not valid or sizes.count(-1) > n_unknown or len(sizes) not in (ndim, ndim + 1):
        raise ValueError(
            f"{name} must be ({space}) or ({space}, n_channels) for ndim={ndim} spatial axes, with ints >= 1"
            f"{', except that one may be -1' if n_unknown else ''}; got {input_shape!r}. If your signals are not "
            f"{KINDS[ndim]}, set ndim to the number of their spatial axes."
        )
    return sizes if len(sizes) == ndim + 1 else (*sizes, 1)


def _unflatten(input_shape, ndim, n_features, name):
    """Return ``input_shape`` including its channels, with -1 replaced by the size that follows from ``n_features``."""
    sizes = check_input_shape(input_shape, ndim)
    known = prod(size for size in sizes if size != -1)
    if n_features % known or (-1 not in sizes and n_features != known):
        raise ValueError(
            f"input_shape={input_shape!r} does not fit {name}: a signal of that shape has "
            f"{'a multiple of ' if -1 in sizes else ''}{known} values, but {name} has {n_features} columns."
        )
    return tuple(n_features // known if size == -1 else int(size) for size in sizes)


def per_axis(name, value, ndim):
    """Return a size, given as one int or as one int per spatial axis, as a tuple."""
    sizes = (value,) * ndim if isinstance(value, Integral) else tuple(value)
    if len(sizes) != ndim or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ValueError(
            f"{name} must be an int >= 1 or, with ndim={ndim}, a tuple of length {ndim} with one int >= 1 per spatial "
            f"axis; got {value!r}."
        )
    return tuple(int(size) for size in sizes)


def check_bounds(name, bounds):
    """Check that ``bounds`` is ``"fixed"`` or a pair of finite numbers with 0 < low <= high."""
    if isinstance(bounds, str) and bounds == "fixed":
        return
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if len(pair) != 2 or not all(isinstance(bound, Real) for bound in pair) or not 0 < pair[0] <= pair[1] < np.inf:
        raise ValueError(f"{name} must be 'fixed' or a pair of finite numbers with 0 < low <= high; got {bounds!r}.")


def check_diagonal(diagonal, dtype):
    """Check that ``dtype`` can represent a Gram matrix, whose largest entry is on its diagonal."""
    if diagonal.max() > np.finfo(dtype).max:
        raise ValueError(
            f"The kernel of a signal with itself is {diagonal.max():.2g}, which is too large for {dtype}: divide X by "
            f"a constant, or set normalize=True."
        )


def check_space(settings, space):
    """Check that a layer leaves at least one position on every axis of a signal of spatial shape ``space``."""
    positions = settings.patch_positions(space)
    if 0 in positions:
        raise ValueError(
            f"patch_size={settings.patch.size} must not exceed the spatial shape of the layer's input, {tuple(space)}, "
            f"with padding='valid'. Use smaller patches or padding='same'."
        )
    if 0 in settings.pooled_positions(space):
        raise ValueError(
            f"pooling_width={settings.pooling.width} must not exceed the number of patch positions, {positions}, with "
            f"pooling='average', which uses full windows only. Use a smaller pooling_width or pooling='gaussian'."
        )


def check_filters(init, n_filters, patch_size, n_channels=None, dtype="numeric"):
    """Check ``init`` and return its filters, rescaled, as rows ``(n_filters, prod(patch_size) * n_channels)``.

    If ``n_channels`` is None, any number of channels is accepted.
    """
    filters = _as_array(as_rows(init, "init"), allow_nd=True, input_name="init", dtype=dtype)
    expected = (n_filters, *patch_size, filters.shape[-1] if n_channels is None else n_channels)
    if filters.shape != expected:
        raise ValueError(f"init must have shape {expected}, (n_filters, *patch_size, n_channels); got {filters.shape}.")
    rows = filters.reshape(n_filters, -1)
    zero = np.flatnonzero(~rows.any(axis=1))
    if len(zero):
        raise ValueError(f"init must not contain an all-zero filter, but filter {zero[0]} is all zeros: replace it.")
    return rows / np.abs(rows).max(axis=1, keepdims=True)  # Their squared norms cannot overflow or underflow.
