"""The public edge: the only place that knows which arrays and sizes are accepted, and how they are refused."""

from functools import partial
from math import prod
from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_array,
    check_consistent_length,
    check_X_y,
    validate_data,
)

from ._signals import Signals, computing_dtype
from ._stores import Stored, is_lazy, is_stored, overlap, reserve

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
KINDS = {1: "series", 2: "images", 3: "volumes"}
MARGIN = 1000  # between the largest value and the square root of the largest number: squares of a million are added


def as_signals(estimator, X, ndim, input_shape=None, name="X", stored=False):
    """Check ``X`` and find the axes of its signals; on demand what is stored stays there, and is checked when read."""
    signals = _read_axes(estimator, _check_values(estimator, X, name, stored), ndim, input_shape, name)
    declared = signals.shape if input_shape is None else check_input_shape(input_shape, ndim)
    if any(size not in (-1, found) for size, found in zip(declared, signals.shape)):
        raise ValueError(
            f"input_shape={input_shape!r} does not fit {name}, whose signals have shape {signals.shape}: it must be "
            f"{name}.shape[1:]."
        )
    return signals


def as_fitted_signals(estimator, X, flattened, same_space=False, stored=False):
    """Check ``X`` at transform: columns and their names, channels and, on demand, the space, as in ``fit``."""
    array, fitted = _check_values(estimator, X, stored=stored), estimator.input_shape_
    ndim, n_channels = len(fitted) - 1, fitted[-1]
    if array.ndim == 2 and (flattened or ndim == n_channels == 1):
        _check_columns(estimator, X)
    signals = _read_axes(estimator, array, ndim, fitted if flattened else None)
    if signals.shape[-1] != n_channels or (same_space and signals.shape != fitted):
        which = "they" if same_space else "the channels, the last axis,"
        alone = " If X is one signal, give X[None]." if array.shape == fitted else ""
        raise ValueError(
            f"X of shape {array.shape} has signals of shape {signals.shape}, but {type(estimator).__name__} was fitted "
            f"on ones of shape {fitted}: {which} must be the same.{alone}"
        )
    return signals


def as_maps(estimator, X):
    """Check ``X``, maps with channels and up to three space axes; a table is maps without space."""
    array = _check_values(estimator, X)
    if array.ndim > 5:
        raise ValueError(f"X must have shape (n_samples, *space, n_channels), space at most 3 axes; got {array.shape}.")
    return Signals(array, array.shape[1:])


def as_fitted_maps(estimator, X):
    """Check ``X`` at transform: columns and their names, and the shape of the maps, as in ``fit``."""
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
    """Set or remove ``feature_names_in_``, as scikit-learn does for a table."""
    validate_data(estimator, X, reset=True, skip_check_array=True, ensure_2d=False)


def _check_columns(estimator, X):
    """The number and the names of a table's columns."""
    validate_data(estimator, X, reset=False, skip_check_array=True)


def _check_values(estimator, X, name="X", stored=False):
    """An array of finite real numbers whose squares are finite too, not empty, of two axes at least."""
    if isinstance(X, (str, PathLike)) or (hasattr(X, "keys") and not hasattr(X, "shape")):
        raise TypeError(
            f"{name} must be an array; got {type(X).__name__}. Open a file first, numpy.load(path, mmap_mode='r') for "
            f"instance, and take an array out of what holds several, as by group['images']."
        )
    if stored and is_stored(X):
        array = Stored(X, name, partial(_check_values, type(estimator).__name__))
    else:
        array = check_array(X, allow_nd=True, input_name=name, estimator=estimator)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {array.dtype}: signals must be real numbers.")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}: its signals are without values; every axis must have some.")
    if isinstance(array, np.ndarray):
        _check_size(array, computing_dtype(array.dtype), name)
    return array


def _check_size(array, dtype, name="X"):
    """Squares of the values can be added up."""
    largest, limit = max(float(array.max()), -float(array.min())), np.sqrt(np.finfo(dtype).max) / MARGIN
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.2g}, but computing in {dtype} they must not exceed {limit:.2g} in "
            f"size, as their squares are added up: divide {name} by a constant."
        )


def features_dtype(dtype):
    """float32 where it holds the numbers of this dtype, else float64."""
    return computing_dtype(np.result_type(dtype, np.float32))


def as_features(estimator, X, y, **checks):
    """Check ``X``, a table of finite real numbers whose squares are finite too, and ``y``."""
    if len(getattr(X, "shape", ())) > 2:
        raise ValueError(
            f"X has shape {X.shape}, but {type(estimator).__name__} expects (n_samples, n_features): Flatten() makes "
            f"features of maps."
        )
    check_feature_names(X)
    X, y = check_X_y(X, y, estimator=estimator, **checks)
    _check_size(X, features_dtype(X.dtype))
    return X, y


def check_feature_names(X):
    """Names of several types are refused now, not after the work."""
    record_feature_names(BaseEstimator(), X)


def record_columns(estimator, X):
    """Set ``n_features_in_``, and ``feature_names_in_`` or remove it."""
    validate_data(estimator, X, reset=True, skip_check_array=True)


def as_fitted_features(estimator, X):
    """Check ``X`` at prediction: columns and their names as in ``fit``."""
    return validate_data(estimator, X, reset=False)


def as_labels_or_targets(estimator, X, y, **checks):
    """Check ``y``, one label or one or several numbers for every signal of X."""
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    y = _check_y(y, estimator=estimator, **checks)
    check_consistent_length(X, y)
    return y


def check_weights(sample_weight, X, dtype, factors=1, factors_name=""):
    """One finite number >= 0 per row, not all of them 0, times ``factors`` of which the same is asked."""
    weights = _check_sample_weight(sample_weight, X, dtype=dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = weights * np.asarray(factors, dtype=weights.dtype)
        total = weights.sum()
    if not (np.isfinite(total) and total > 0 and weights.min() >= 0):
        raise ValueError(
            f"sample_weight{factors_name} must be >= 0 and not 0 everywhere, with a finite sum; got values from "
            f"{weights.min()} to {weights.max()}."
        )
    return weights


def check_path(C, weights):
    """One positive number, or several in a list, as an array; their product with the sum of weights is one, too."""
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
                f"C times the sum of weights must lie between 1e-37 and 1e38; got C={value:g} and {total:g}."
            )
    return path


def as_targets(y, dtype):
    """Real numbers that ``dtype`` can hold, in double precision, as ``(n, n_targets)``."""
    targets, limit = y.reshape(len(y), -1).astype(float), np.finfo(dtype).max / MARGIN
    largest = np.abs(targets).max()
    if largest > limit:
        raise ValueError(
            f"y has values up to {largest:.2g}, but computing in {dtype} they must not exceed {limit:.2g} in size: "
            f"divide y by a constant."
        )
    return targets


def as_augmented(returned, X):
    """Check what an augmentation of the user's has made of the signals ``X``."""
    try:
        augmented = check_array(returned, allow_nd=True, input_name="augmentation's result", dtype=X.dtype, order="C")
        found = f"shape {augmented.shape}"
    except ValueError as error:
        augmented, found = None, str(error)
    if augmented is None or augmented.shape != X.shape:
        raise ValueError(f"augmentation must give finite signals of the shape that it gets, {X.shape}; got {found}")
    _check_size(augmented, X.dtype, "augmentation's result")
    return augmented


def _read_axes(estimator, array, ndim, input_shape, name="X"):
    """The signals of ``array``, which come with channels, with one channel, or flattened."""
    if array.ndim == 2 and input_shape is not None:
        return Signals(array, _unflatten(input_shape, ndim, array.shape[1], name))
    if array.ndim == ndim + 2:
        return Signals(array, array.shape[1:])
    if array.ndim == ndim + 1:
        return Signals(array, (*array.shape[1:], 1))
    space = ", ".join(AXES[ndim])
    flat = (
        f"; {name} is 2-D: if its rows are flattened signals, set input_shape=({space}) or ({space}, n_channels) of "
        f"the first layer; if they are series, set ndim=1 of every layer"
    )
    flat += f"; if it is one signal of one channel, give {name}[None]" if ndim == 2 else ""
    raise ValueError(
        f"{name} has shape {array.shape}, but with ndim={ndim} {type(estimator).__name__} expects "
        f"(n_samples, {space}, n_channels), or (n_samples, {space}) for one channel"
        + (flat if array.ndim == 2 else f"; set ndim to the number of space axes of your signals, {sorted(AXES)}")
        + "."
    )


def check_input_shape(input_shape, ndim, name="input_shape", n_unknown=1):
    """A shape with its channels; so many of its sizes may be -1."""
    sizes, space = tuple(input_shape), ", ".join(AXES[ndim])
    valid = all(isinstance(size, Integral) and (size >= 1 or size == -1) for size in sizes)
    if not valid or sizes.count(-1) > n_unknown or len(sizes) not in (ndim, ndim + 1):
        raise ValueError(
            f"{name} must be ({space}) or ({space}, n_channels) with ndim={ndim} axes of space, ints >= 1"
            f"{' of which one may be -1' if n_unknown else ''}; got {input_shape!r}. For signals that are no "
            f"{KINDS[ndim]}, set ndim to the number of their space axes."
        )
    return sizes if len(sizes) == ndim + 1 else (*sizes, 1)


def _unflatten(input_shape, ndim, n_features, name):
    """``input_shape`` with its channels, and its -1 replaced by the size that ``n_features`` leaves."""
    sizes = check_input_shape(input_shape, ndim)
    known = prod(size for size in sizes if size != -1)
    if n_features % known or (-1 not in sizes and n_features != known):
        raise ValueError(
            f"input_shape={input_shape!r} does not fit {name}: a signal of that shape has "
            f"{known}{' times some' if -1 in sizes else ''} values, but {name} has {n_features} columns."
        )
    return tuple(n_features // known if size == -1 else int(size) for size in sizes)


def per_axis(name, value, ndim):
    """An int, or one int per space axis, as a tuple."""
    sizes = (value,) * ndim if isinstance(value, Integral) else tuple(value)
    if len(sizes) != ndim or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ValueError(
            f"{name} must be an int >= 1 or, with ndim={ndim}, a tuple of {ndim}, one int per axis; got {value!r}."
        )
    return tuple(int(size) for size in sizes)


def check_bounds(name, bounds):
    """``"fixed"``, or two numbers, 0 < low <= high."""
    if isinstance(bounds, str) and bounds == "fixed":
        return
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if len(pair) != 2 or not all(isinstance(bound, Real) for bound in pair) or not 0 < pair[0] <= pair[1] < np.inf:
        raise ValueError(f"{name} must be 'fixed' or a pair of finite numbers, 0 < low <= high; got {bounds!r}.")


def check_out(out, shape, dtype, source=None):
    """The array that the caller gave for a result of this shape and dtype, or a new one.

    With the source that it is made of, the array may be one of a store.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    is_store = source is not None and is_stored(out) and hasattr(out, "__setitem__") and not is_lazy(out)
    is_array = isinstance(out, np.ndarray) or is_store
    is_read_only = not out.flags.writeable if isinstance(out, np.ndarray) else getattr(out, "read_only", False)
    if not is_array or out.shape != shape or out.dtype != dtype or is_read_only:
        found = f"{'a read-only one, ' * is_read_only}{out.dtype} {out.shape}" if is_array else type(out).__name__
        raise ValueError(f"out must be a writeable array, {dtype} {shape} for this input; got {found}.")
    if overlap(source, out):
        raise ValueError("out must not share its memory, or its file, with X, which is read while out is written.")
    reserve(out)
    return out


def check_container(estimator, out, is_lazy):
    """What is written to ``out``, or is not computed yet, cannot become a table."""
    container = _get_output_config("transform", estimator)["dense"]
    if container != "default" and (out is not None or is_lazy):
        raise ValueError(
            f"set_output(transform={container!r}) makes tables, which a Dask array and out do not become: use "
            f"set_output(transform='default')."
        )


def check_no_out(out):
    """Nothing is written for a Dask array yet."""
    if out is not None:
        raise ValueError(
            "out must be None for a Dask array, whose result is computed later: write that by its methods store or "
            "to_zarr."
        )


def check_diagonal(diagonal, dtype):
    """Of a kernel: no entry is larger than the largest of the diagonal, and a number of this dtype holds it."""
    if diagonal.max() > np.finfo(dtype).max:
        raise ValueError(
            f"The kernel of a signal with itself is {diagonal.max():.2g}, too large for {dtype}: divide X by a "
            f"constant, or set normalize=True."
        )


def check_space(layer, space):
    """A layer must leave at least one position on every axis of a signal of this ``space``."""
    positions = layer.patch_positions(space)
    if 0 in positions:
        raise ValueError(
            f"patch_size={layer.patch_size} must not exceed the signal's space with padding='valid'; the space is "
            f"{tuple(space)}. Use smaller patches or padding='same'."
        )
    if 0 in layer.pooled_positions(space):
        raise ValueError(
            f"pooling_width={layer.pooling_width} must not exceed the {positions} positions of the patches with "
            f"pooling='average' (full windows only). Use a smaller pooling_width or pooling='gaussian'."
        )


def check_filters(init, n_filters, patch_size, n_channels, dtype):
    """The array given as ``init``, as rows."""
    filters = check_array(init, allow_nd=True, input_name="init", dtype=dtype)
    expected = (n_filters, *patch_size, n_channels)
    if filters.shape != expected:
        raise ValueError(f"init must have shape {expected}, (n_filters, *patch_size, n_channels); got {filters.shape}.")
    rows = filters.reshape(n_filters, -1)
    zero = np.flatnonzero(~rows.any(axis=1))
    if len(zero):
        raise ValueError(f"init must hold filters that are not zero; filter {zero[0]} is.")
    return rows / np.abs(rows).max(axis=1, keepdims=True)  # the squares of what is left are numbers
