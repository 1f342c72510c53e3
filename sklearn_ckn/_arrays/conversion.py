"""Conversion of user input to arrays of numbers, before any shape or value is checked.

Signals may be passed one by one, in a list, an object array or a column of a table. They become one array. Objects from
which no array of numbers can be made, and masked values, which stand for missing data, are rejected here.
"""

from collections import Counter
from os import PathLike

import numpy as np

TEXT = (str, bytes, PathLike)
SHOWN = 3  # maximum number of shapes or types that an error message lists


def is_real(dtype):
    """Return whether a dtype is a type of real numbers, including the small types of other libraries (bfloat16)."""
    is_extension = dtype.kind == "V" and dtype.names is None and np.can_cast(dtype, np.float32)
    return dtype.kind in "fiub" or is_extension


def as_rows(X, name="X"):
    """Return ``X`` as an array, a table or a store of numbers, whose shape and values are checked elsewhere.

    Signals that are passed one by one become one array. What is already an array, a table or a store is not copied.
    """
    if isinstance(X, np.ndarray) and X.shape == () and X.dtype == object:  # numpy.save stores a dict or list this way.
        X = X.item()
    _check_container(X, name)
    check_unmasked(X, name)
    if not hasattr(X, "shape") or len(X.shape) == 1:
        X = _stacked(X, name)
    _check_cells(X, name)
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "V" and not is_real(dtype):
        raise TypeError(_describe_raw(dtype, name))
    return as_numbers(X, name) if type(X) is np.ndarray else X


def as_numbers(rows, name):
    """Return rows that were read into memory as an ndarray of a dtype of NumPy, and reject masked values."""
    check_unmasked(rows, name)
    rows = np.asarray(rows)
    return rows.astype(np.float32) if rows.dtype.kind == "V" else rows


def check_unmasked(X, name, can_fill=True):
    """Reject masked entries of an array, or of the arrays in a list or an object array."""
    is_array = isinstance(X, np.ndarray)
    if isinstance(X, (list, tuple)) and any(x is np.ma.masked for x in X):
        raise ValueError(f"{name} has masked values, which are missing values: remove the samples that contain them.")
    if is_array and X.dtype != object and X.dtype.names is None:
        n_masked = np.count_nonzero(getattr(X, "mask", False))
        if n_masked:
            advice = f"fill them, for example with numpy.ma.filled({name}, value), or " if can_fill else ""
            raise ValueError(
                f"{name} has masked values ({n_masked} of {X.size}), which are missing values: {advice}remove the "
                f"samples that contain them."
            )
    elif is_array and X.dtype == object:
        check_unmasked(list(X.flat), name, can_fill)
    elif isinstance(X, (list, tuple)) and any(isinstance(x, (list, tuple, np.ndarray)) for x in X[:1]):
        for x in X:
            check_unmasked(x, name, can_fill)


def as_labels(y, name="y"):
    """Return class labels as an array of numbers, strings, dates or durations, with the values that were passed."""
    check_unmasked(y, name, can_fill=False)
    labels, dtype = np.asarray(y), getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iubf" and not y.isna().any():  # a nullable dtype of pandas
        return labels.astype(dtype)
    if labels.dtype.kind == "T":  # scikit-learn does not accept strings of variable width
        labels = labels.astype(object)
    if labels.dtype.kind in "mM" and np.isnat(labels).any():
        raise ValueError(f"{name} contains NaT, a missing date or duration: remove the samples without a label.")
    is_text = labels.dtype.kind in "US" and isinstance(y, (list, tuple))  # NumPy has converted any numbers to text.
    objects = y if is_text else labels if labels.dtype.kind in "OV" and labels.ndim else ()
    types = {type(label) for label in np.ravel(np.asarray(objects, dtype=object))}
    if types and not any(all(issubclass(each, text) for each in types) for text in (str, bytes)):
        raise ValueError(
            f"Unknown label type: {name} must contain integers, booleans, strings, dates or durations with a dtype of "
            f"NumPy; got labels of type {_listed(sorted(each.__name__ for each in types))}. Remove the samples without "
            f"a label, and convert the labels, for example with numpy.asarray({name}, dtype=str) or "
            f"numpy.asarray({name}, dtype=int)."
        )
    return labels


def _check_container(X, name):
    """Reject paths, groups of arrays, iterators and everything else that has neither values nor rows."""
    is_group = hasattr(X, "keys") and not hasattr(X, "shape")
    has_rows = hasattr(X, "__len__") and hasattr(X, "__getitem__")
    has_values = any(hasattr(X, each) for each in ("shape", "__array__", "__array_interface__", "__dataframe__"))
    if isinstance(X, TEXT) or is_group:
        raise TypeError(
            f"{name} must be an array; got {type(X).__name__}. Open a file first, for example with numpy.load(path, "
            f"mmap_mode='r'). If the file holds several arrays, select one, for example group['images']."
        )
    if not (has_rows or has_values):
        advice = f": pass list({name})" if hasattr(X, "__iter__") else ""
        raise TypeError(f"{name} must be an array or a list of arrays; got {type(X).__name__}{advice}.")


def as_mixed_arrays(X, name="X"):
    """Return signals of different shapes, passed one by one, as a list of numeric arrays, or None for other input.

    Signals of equal shape count as other input, because they can be stacked into one array.
    """
    if isinstance(X, np.ndarray) and X.shape == () and X.dtype == object:
        X = X.item()
    signals = _one_by_one(X) if is_one_by_one(X) else None
    unreadable = not signals or any(isinstance(x, TEXT) or _has_palette(x) for x in signals)
    if unreadable or len(set(_shapes(signals, name))) == 1:
        return None
    check_unmasked(signals, name)
    return [as_numbers(x, name) for x in signals]


def is_one_by_one(X):
    """Return whether signals are passed one by one, in a list, an object array or a column of a table."""
    return isinstance(X, (list, tuple)) or len(getattr(X, "shape", "")) == 1


def _one_by_one(X):
    """Return signals that are passed one by one as a list or a tuple, and None for anything else."""
    signals = X if isinstance(X, (list, tuple)) else np.asarray(X)
    if isinstance(signals, np.ndarray):
        return list(signals) if signals.dtype.kind in "OUST" and signals.ndim == 1 else None
    return signals


def _stacked(X, name):
    """Return signals that are passed one by one as one array. Return anything else as it is."""
    signals = _one_by_one(X)
    if signals is None:
        return X
    text = next((x for x in signals if isinstance(x, TEXT)), None)
    if text is not None:
        raise TypeError(
            f"{name} contains paths or other text, such as {str(text)!r:.80}, but signals must be numbers. Read the "
            f"files first, for example with [numpy.asarray(PIL.Image.open(path).convert('RGB')) for path in {name}]."
        )
    indexed = next((i for i, x in enumerate(signals) if _has_palette(x)), None)
    if indexed is not None:
        raise ValueError(
            f"{name}[{indexed}] is an image with a palette (mode {signals[indexed].mode!r}), whose values are not "
            f"colours but indices of colours. Convert it, for example with {name}[{indexed}].convert('RGB')."
        )
    try:
        array = np.asarray([np.asarray(x) if _is_picture(x) else x for x in signals])
    except ValueError:
        array = None
    if array is None or array.dtype == object:
        _check_shapes(signals, name)
    return X if array is None else array


def _is_picture(x):
    """Return whether an object is an array but not a sequence, like an image of Pillow, which older NumPy misreads."""
    return hasattr(x, "__array_interface__") and not hasattr(x, "__len__") and not isinstance(x, np.generic)


def _has_palette(x):
    """Return whether an object is an image of Pillow whose values are indices of the colours in a palette."""
    return hasattr(x, "getpalette") and x.mode in ("P", "PA")


def _check_shapes(signals, name):
    """Reject signals of different shapes."""
    shapes = _shapes(signals, name)
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{name} contains {describe_shapes(shapes)}, but all signals must have the same shape: crop, resize or "
            f"pad them to one shape."
        )


def describe_shapes(shapes):
    """Describe, for an error message, how many signals there are and which shapes they have."""
    different = [shape for shape, _ in Counter(shapes).most_common()]
    return f"{len(shapes)} signals of {len(different)} shapes, {_listed(different)}"


def _shapes(signals, name):
    """Return the shape of every signal, and reject signals without a shape."""
    shapes = []
    for i, x in enumerate(signals):
        try:
            shapes.append(np.shape(x))
        except ValueError:
            raise ValueError(
                f"{name}[{i}] has rows of different lengths, but a signal must be an array: crop, resize or pad the "
                f"rows of every signal to the same length."
            ) from None
    return shapes


def _check_cells(X, name):
    """Reject tables and object arrays with more than one axis whose values are arrays."""
    rows = X.iloc[:1].to_numpy() if hasattr(X, "iloc") and len(X.shape) > 1 else X
    if isinstance(rows, np.ndarray) and rows.dtype == object and rows.ndim > 1:
        for cell in rows[:1].flat:
            if hasattr(cell, "__len__") and not isinstance(cell, TEXT) and not hasattr(cell, "keys"):
                column = f"{name}[{X.columns[0]!r}]" if hasattr(X, "columns") else f"{name}[:, 0]"
                raise ValueError(
                    f"{name} has shape {X.shape}, and its values are of type {type(cell).__name__} instead of numbers: "
                    f"pass a single column of signals, such as {column}, or stack the columns along the channel axis."
                )


def _describe_raw(dtype, name):
    """Return the error message for structured arrays and for raw bytes."""
    if dtype.names is None:
        return (
            f"{name} has dtype {dtype}, which stands for raw bytes without a type. If {name} was saved with a dtype "
            f"that NumPy does not know, restore the dtype, for example with {name}.view(ml_dtypes.bfloat16)."
        )
    return (
        f"{name} is a structured array with the fields {_listed(dtype.names)}. Select one field, for example "
        f"{name}[{dtype.names[0]!r}], or make the fields the last axis with "
        f"numpy.lib.recfunctions.structured_to_unstructured({name})."
    )


def _listed(values):
    """Return the first few values, separated by commas."""
    values = [str(value) for value in values]
    return ", ".join(values[:SHOWN]) + (", ..." if len(values) > SHOWN else "")
