"""The array for the result of a transformer: a new array, the caller's `out`, or a Dask array."""

import numpy as np
from sklearn.utils._set_output import _get_output_config

from .dask import transform_blocks
from .files import overlap, reserve
from .mixed import MixedSignals
from .signals import LARGEST_EXACT, Destination
from .stores import is_lazy, is_stored


def transformed(transformer, signals, shape_of, write, n_threads, out, X, is_any_size=False):
    """Return the output of a fitted transformer, with the dtype of the signals.

    The output is an array of shape ``(n, *shape)`` or, for signals of different shapes, a list of arrays. If
    ``is_any_size``, the output has the same shape for all signals, and is always an array.

    Parameters
    ----------
    transformer : estimator, whose method `transform` is applied to the blocks of a Dask array
    signals : Signals or MixedSignals
    shape_of : callable ``shape_of(shape)``, which returns the shape of the output for signals of a shape
    write : callable ``write(signals, destination, n_threads)``, which fills and returns the array of a `Destination`
        with the output for signals of one shape
    n_threads : int
    out : the array that the caller passed for the result, or None
    X : the object that the caller passed as signals
    """
    if isinstance(signals, MixedSignals):
        if out is not None:
            raise ValueError("out must be None for signals of different shapes: omit out.")

        def of_group(part, n_threads):
            return write(part, Destination(np.empty((len(part), *shape_of(part.shape)), signals.dtype)), n_threads)

        like = np.empty((0, *shape_of(signals.groups[0][1].shape)), signals.dtype) if is_any_size else None
        return signals.combined(of_group, n_threads, like)
    shape = shape_of(signals.shape)
    if signals.is_lazy:
        check_no_out(out)
        return transform_blocks(transformer, signals, shape)
    array = check_out(out, (len(signals), *shape), signals.dtype, X)
    return write(signals, Destination(array, is_callers=out is not None), n_threads)


def check_out(out, shape, dtype, source=None):
    """Check and return the array that the caller passed for the result, or return a new array if ``out`` is None.

    The array may belong to a store only if ``source``, the array from which the result is computed, is passed.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    is_store = source is not None and is_stored(out) and hasattr(out, "__setitem__") and not is_lazy(out)
    is_array = isinstance(out, np.ndarray) or is_store
    is_read_only = not out.flags.writeable if isinstance(out, np.ndarray) else getattr(out, "read_only", False)
    if not is_array or out.shape != shape or out.dtype != dtype or is_read_only:
        found = (
            f"{'a read-only array of ' * is_read_only}dtype {out.dtype} and shape {out.shape}"
            if is_array
            else type(out).__name__
        )
        is_integer = getattr(getattr(source, "dtype", None), "kind", "") in ("i", "u")
        explains_dtype = is_integer and dtype == np.float64 and getattr(out, "dtype", dtype) != dtype
        reason = f" Integers beyond {LARGEST_EXACT} are computed in float64." if explains_dtype else ""
        raise ValueError(
            f"out must be a writeable array of dtype {dtype} and shape {shape} for this input; got {found}.{reason}"
        )
    if overlap(source, out):
        raise ValueError(
            "out must not share memory, or a file, with X, because X is read while out is written: pass another array."
        )
    reserve(out)
    return out


def check_container(estimator, out, is_lazy):
    """Reject tables as output if the result is written to ``out`` or is not computed yet."""
    container = _get_output_config("transform", estimator)["dense"]
    if container != "default" and (out is not None or is_lazy):
        raise ValueError(
            f"set_output(transform={container!r}) returns tables, but neither a Dask array nor out can become a "
            f"table: use set_output(transform='default')."
        )


def check_no_out(out):
    """Reject ``out`` for a Dask array, whose result is computed later."""
    if out is not None:
        raise ValueError(
            "out must be None for a Dask array, whose result is computed later: to write the result, call its store or "
            "to_zarr method."
        )
