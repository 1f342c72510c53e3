"""Signals and maps: which shapes are accepted, and how the axes of an array are read."""

from math import prod

import numpy as np

from .._utils.caller import warn
from .conversion import as_mixed_arrays, as_rows, describe_shapes, is_one_by_one, is_real
from .misread import count_channels, warn_of_misreading
from .mixed import MixedSignals
from .parameters import AXES, check_input_shape, ndim_advice, unflatten
from .signals import Signals, exact_dtype, largest_magnitude
from .tables import check_columns
from .values import as_array, check_size, check_values, extremes, judge


def as_signals(estimator, X, ndim, input_shape=None, name="X", stored=False, mixed=False):
    """Check ``X`` and return it as `Signals`, whose shape follows from ``X`` and ``input_shape``.

    If ``stored``, an array in a store is not loaded, and its values are checked when they are read. If ``mixed``,
    signals of different shapes are also accepted, and returned as `MixedSignals`.
    """
    arrays = as_mixed_arrays(X, name) if mixed else None
    if arrays is not None:
        if input_shape is not None:
            raise ValueError(
                f"input_shape must be None, because it is the shape of signals in the rows of a 2-D {name}; got "
                f"{input_shape!r} and {name} with signals of different shapes. Set input_shape=None, or pass rows."
            )
        signals = _as_mixed(estimator, arrays, ndim, name)
        rows, largest_group = max(signals.groups, key=lambda group: len(group[0]))
        warn_of_misreading(estimator, largest_group, ndim, arrays[rows[0]].ndim > ndim, name, rows[0])
        return signals
    signals = _read_axes(estimator, check_values(estimator, X, name, stored), ndim, input_shape, name)
    declared = signals.shape if input_shape is None else check_input_shape(estimator, input_shape, ndim)
    if any(size not in (-1, found) for size, found in zip(declared, signals.shape)):
        advice = f"set input_shape to {name}.shape[1:]"
        raise ValueError(
            f"input_shape={input_shape!r} does not fit {name}, whose signals have shape {signals.shape}: "
            f"{_move_channels(name, signals, declared) or advice}."
        )
    is_flat = signals.array.ndim == 2 and input_shape is not None
    has_channels = (len(input_shape) if is_flat else signals.array.ndim - 1) > ndim
    warn_of_misreading(estimator, signals, ndim, has_channels, name)
    return signals


def as_fitted_signals(estimator, X, flattened, same_space=False, stored=False, mixed=False):
    """Check that ``X`` has the columns, channels and, if ``same_space``, spatial shape of ``fit``; return `Signals`.

    If ``mixed``, signals of different shapes are also accepted, and returned as `MixedSignals`.
    """
    fitted = estimator.input_shape_
    ndim, n_channels = len(fitted) - 1, fitted[-1]
    arrays = as_mixed_arrays(X) if mixed else None
    if arrays is not None:
        if flattened and ndim > 1 and all(x.ndim == 1 for x in arrays):
            raise ValueError(
                f"X has rows of different lengths, but {type(estimator).__name__} was fitted on signals of shape "
                f"{fitted} in rows of {prod(fitted)} values. All rows must have this length."
            )
        signals = _as_mixed(estimator, arrays, ndim, "X")
        if signals.shape[-1] != n_channels:
            is_first = all(x.ndim > ndim and len(x) == n_channels for x in arrays)
            advice = ": if the channels come first, pass [np.moveaxis(x, 0, -1) for x in X]" if is_first else ""
            raise ValueError(
                f"X has signals with {count_channels(signals.shape[-1])}, but {type(estimator).__name__} was fitted on "
                f"signals with {count_channels(n_channels)}. The number of channels, the last axis, must be the same"
                f"{advice}."
            )
        return signals
    array = check_values(estimator, X, stored=stored)
    shapes = (fitted, fitted[:-1]) if n_channels == 1 else (fitted,)
    n_columns = None if None in fitted else prod(fitted)
    is_batch = array.shape[1:] in shapes or (array.ndim == 2 and array.shape[1] == n_columns)
    is_any_size = not same_space and (ndim > 1 or n_columns is None)
    if is_any_size and not is_batch and array.shape[ndim:] == (n_channels,):
        raise ValueError(f"X of shape {array.shape} is one signal with {count_channels(n_channels)}: pass X[None].")
    if array.shape in shapes and not is_batch:
        raise ValueError(
            f"X of shape {array.shape} is one signal of the shape with which {type(estimator).__name__} was fitted: "
            f"pass X[None]."
        )
    is_table = flattened or (ndim == n_channels == 1 and (same_space or not is_one_by_one(X)))
    if array.ndim == 2 and is_table:
        check_columns(estimator, X)
    signals = _read_axes(estimator, array, ndim, fitted if flattened else None)
    if signals.shape[-1] != n_channels or (same_space and signals.shape != fitted):
        which = "The shape" if same_space else "The number of channels, the last axis,"
        advice = _move_channels("X", signals, fitted, same_space)
        raise ValueError(
            f"X of shape {array.shape} has signals of shape {signals.shape}, but {type(estimator).__name__} was fitted "
            f"on signals of shape {fitted}. {which} must be the same{advice and f': {advice}'}."
        )
    return signals


def check_declared_shape(estimator, signals, flattened):
    """Check that further training signals have the same shape as the first ones, whose `input_shape` was set."""
    if flattened and signals.shape != estimator.input_shape_:
        is_network, warm = not hasattr(estimator, "input_shape"), getattr(estimator, "warm_start", False)
        raise ValueError(
            f"X has signals of shape {signals.shape}, but {type(estimator).__name__} was first fitted with an "
            f"input_shape, which gives signals of shape {estimator.input_shape_}. All training signals must have this "
            f"shape. To train on signals of other shapes, set input_shape=None{' in the first layer' * is_network}"
            f"{' and warm_start=False' * warm}, and call fit, which starts from scratch."
        )


def _as_mixed(estimator, arrays, ndim, name):  # list of ndarray -> MixedSignals
    """Check signals of different spatial shapes, each with or without a channel axis, and return them in groups."""
    for i, x in enumerate(arrays):
        _check_axes(estimator, x, ndim, f"{name}[{i}]")
    shapes = [x.shape if x.ndim == ndim + 1 else (*x.shape, 1) for x in arrays]
    _check_channels([shape[-1] for shape in shapes], name)
    rows = {shape: [] for shape in shapes}
    for i, shape in enumerate(shapes):
        rows[shape].append(i)
    stacks = {shape: np.stack([arrays[i].reshape(shape) for i in here]) for shape, here in rows.items()}
    dtype = np.result_type(*{x.dtype for x in arrays})
    low, high = np.empty((2, len(arrays)), dtype)
    for shape, here in rows.items():
        low[here], high[here] = extremes(stacks[shape])
    largest, doubt = judge(low, high, dtype, name, range(len(arrays)), is_list=True)
    if doubt and not getattr(estimator, "_accepts_tiny_values", False):
        warn(doubt)
    dtype = exact_dtype(dtype, largest)
    return MixedSignals([(np.array(here), Signals(stacks[shape], shape, dtype)) for shape, here in rows.items()])


def _check_axes(estimator, x, ndim, name):
    """Check that a signal of a list has real numbers and the right number of axes, none of which is empty."""
    if is_real(x.dtype) and x.ndim in (ndim, ndim + 1) and x.size:
        return
    space, advice = ", ".join(AXES[ndim]), f"Remove or replace {name}."
    if is_real(x.dtype) and x.size:
        advice = f"If signals have another number of spatial axes, {ndim_advice(estimator)}."
    raise ValueError(
        f"{name} has shape {x.shape} and dtype {x.dtype}, but with ndim={ndim} {type(estimator).__name__} expects "
        f"signals of real numbers of shape ({space}, n_channels), or ({space}) for one channel, with a length of at "
        f"least 1 along every axis. {advice}"
    )


def _check_channels(numbers, name):
    """Check that all signals of a list have the same number of channels."""
    other = next((i for i, number in enumerate(numbers) if number != numbers[0]), None)
    if other is not None:
        raise ValueError(
            f"{name} has signals with different numbers of channels (lengths of the last axis): {numbers[0]} in "
            f"{name}[0] and {numbers[other]} in {name}[{other}]. If the channels come first, pass "
            f"[np.moveaxis(x, 0, -1) for x in {name}]; otherwise, convert all signals to the same number of channels."
        )


def _move_channels(name, signals, expected, same_space=True):
    """Return how to move the channels to the last axis if this gives the expected shape, and an empty text if not."""
    found, has_axis = signals.shape, signals.array.ndim == len(expected) + 1
    is_first = has_axis and found[0] == expected[-1] != found[-1] and (not same_space or found[1:] == expected[:-1])
    return f"if the channels come first, pass np.moveaxis({name}, 1, -1)" if is_first else ""


def as_maps(estimator, X):
    """Check ``X``, which contains maps with up to three spatial axes (none if 2-D), and return `Signals`."""
    maps = as_mixed_arrays(X)
    if maps is not None:
        raise ValueError(
            f"X contains {describe_shapes([x.shape for x in maps])}, but {type(estimator).__name__} needs maps of one "
            f"shape: set n_positions in the last layer of the network, or pass signals of one shape."
        )
    array = check_values(estimator, X)
    if array.ndim > 5:
        raise ValueError(
            f"X must have shape (n_samples, *space, n_channels) with at most 3 spatial axes; got {array.shape}."
        )
    return Signals(array, array.shape[1:])


def as_fitted_maps(estimator, X):
    """Check that ``X`` has the columns, column names and map shape seen in ``fit``, and return `Signals`."""
    maps = as_maps(estimator, X)
    if maps.array.ndim == 2:
        check_columns(estimator, X)
    if maps.shape != estimator.input_shape_:
        raise ValueError(
            f"X has maps of shape {maps.shape}, but {type(estimator).__name__} was fitted on maps of shape "
            f"{estimator.input_shape_}."
        )
    return maps


def as_augmented(returned, X):
    """Check that the user's augmentation returned finite signals of the same shape as ``X``, and return them."""
    name, rule = "augmented", f"augmentation must return finite signals of the same shape as its input, {X.shape}"
    try:
        rows = as_rows(returned, name)
        if np.shape(rows) != X.shape:
            raise ValueError(f"{name} has shape {np.shape(rows)}.")
        augmented = as_array(rows, allow_nd=True, input_name=name, dtype=X.dtype, order="C")
        check_size(largest_magnitude(augmented), X.dtype, name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}. The result, here called {name}, is invalid: {error}") from error
    return augmented


def _read_axes(estimator, array, ndim, input_shape, name="X"):
    """Return the `Signals` of an array with a channel axis, without one (for a single channel), or flattened to 2-D."""
    if array.ndim == 2 and input_shape is not None:
        return Signals(array, unflatten(estimator, input_shape, ndim, array.shape[1], name))
    if array.ndim == ndim + 2:
        return Signals(array, array.shape[1:])
    if array.ndim == ndim + 1:
        return Signals(array, (*array.shape[1:], 1))
    space, where = ", ".join(AXES[ndim]), "" if hasattr(estimator, "input_shape") else " in the first layer"
    advice = f"If signals have another number of spatial axes, {ndim_advice(estimator)}"
    if array.ndim == 2:
        series = ndim_advice(estimator, 1) + ("" if hasattr(type(estimator), "ndim") else " in every layer")
        single = f"; if {name} is one signal with one channel, pass {name}[None]" if ndim == 2 else ""
        advice = (
            f"{name} is 2-D: if its rows are flattened signals, set input_shape=({space}) or ({space}, n_channels)"
            f"{where}; if they are series, {series}{single}"
        )
    raise ValueError(
        f"{name} has shape {array.shape}, but with ndim={ndim} {type(estimator).__name__} expects "
        f"(n_samples, {space}, n_channels), or (n_samples, {space}) for one channel. {advice}."
    )
