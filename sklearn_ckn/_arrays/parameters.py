"""Parameters of estimators that a set of values or an interval cannot describe: shapes, sizes, filters, paths of C."""

from math import prod
from numbers import Integral, Real

import numpy as np

from .._core.layer.symmetries import GROUPS, quarter_turn
from .conversion import as_rows
from .values import as_array

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
KINDS = {1: "series", 2: "images", 3: "volumes"}


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


def ndim_advice(estimator, ndim=None):
    """Return how to read signals with ``ndim`` spatial axes, or with another number of spatial axes if None."""
    if hasattr(type(estimator), "ndim"):
        return f"remove {type(estimator).__name__}, which is only for {KINDS[estimator.ndim]}"
    return "set ndim to the number of spatial axes" if ndim is None else f"set ndim={ndim}"


def check_input_shape(estimator, input_shape, ndim, name="input_shape", n_unknown=1):
    """Check a shape and return it with its number of channels, which is 1 if not given.

    Up to ``n_unknown`` of the sizes may be -1.
    """
    sizes, space = tuple(input_shape), ", ".join(AXES[ndim])
    valid = all(isinstance(size, Integral) and (size >= 1 or size == -1) for size in sizes)
    if not valid or sizes.count(-1) > n_unknown or len(sizes) not in (ndim, ndim + 1):
        sign = ", except that one may be -1" if n_unknown else ""
        whole = f" If this is X.shape, which begins with the number of signals, set {name}=X.shape[1:]."
        raise ValueError(
            f"{name} must be ({space}) or ({space}, n_channels), the shape of one signal with ndim={ndim} spatial "
            f"axes, with ints >= 1{sign}; got {input_shape!r}.{whole if len(sizes) == ndim + 2 else ''} If your "
            f"signals are not {KINDS[ndim]}, {ndim_advice(estimator)}."
        )
    return sizes if len(sizes) == ndim + 1 else (*sizes, 1)


def unflatten(estimator, input_shape, ndim, n_features, name):
    """Return ``input_shape`` including its channels, with -1 replaced by the size that follows from ``n_features``."""
    sizes = check_input_shape(estimator, input_shape, ndim)
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


def check_pyramid(pyramid):
    """Check that the levels of a pyramid are numbers of positions, with positive weights."""
    if pyramid is None:
        return
    are_levels = all(isinstance(k, Integral) and not isinstance(k, bool) and k >= 1 for k in pyramid)
    if not pyramid or not are_levels or not all(isinstance(w, Real) and 0 < w < np.inf for w in pyramid.values()):
        raise ValueError(
            f"pyramid must be None or a dict of one or more levels, {{n_positions: weight}}, with ints >= 1 and finite "
            f"weights > 0, such as {{4: 0.5, 1: 0.5}}; got {pyramid!r}."
        )


def check_bounds(name, bounds):
    """Check that ``bounds`` is ``"fixed"`` or a pair of finite numbers with 0 < low <= high."""
    if isinstance(bounds, str) and bounds == "fixed":
        return
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if len(pair) != 2 or not all(isinstance(bound, Real) for bound in pair) or not 0 < pair[0] <= pair[1] < np.inf:
        raise ValueError(f"{name} must be 'fixed' or a pair of finite numbers with 0 < low <= high; got {bounds!r}.")


def check_symmetries(name, symmetries, space):
    """Check that a group of symmetries maps signals of the spatial shape ``space`` to signals of the same shape."""
    if quarter_turn not in GROUPS[symmetries]:
        return
    rule = f"{name}={symmetries!r} rotates images by quarter turns, which requires"
    if len(space) != 2:
        raise ValueError(
            f"{rule} ndim=2; got signals with {len(space)} spatial {'axis' if len(space) == 1 else 'axes'}, of shape "
            f"{tuple(space)}. Set {name} to 'flip' or None."
        )
    if space[0] != space[1]:
        raise ValueError(
            f"{rule} square images; got images of spatial shape {tuple(space)}. Crop or pad the images, or set {name} "
            f"to 'flip' or None."
        )


def check_space(settings, space):
    """Check that a layer leaves at least one position on every axis of a signal of spatial shape ``space``."""
    positions = settings.patch_positions(space)
    if 0 in positions:
        size, dilation = settings.patch.size, settings.patch.dilation
        extent = tuple(reach + 1 for reach in settings.patch.reach)
        found = f" with dilation={dilation}, which extends over {extent} positions," if max(dilation) > 1 else ""
        raise ValueError(
            f"patch_size={size}{found} must not exceed the spatial shape of the layer's input, {tuple(space)}, with "
            f"padding='valid'. Use smaller patches{', a smaller dilation' if found else ''} or padding='same'."
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
    filters = as_array(as_rows(init, "init"), allow_nd=True, input_name="init", dtype=dtype)
    expected = (n_filters, *patch_size, filters.shape[-1] if n_channels is None else n_channels)
    if filters.shape != expected:
        raise ValueError(f"init must have shape {expected}, (n_filters, *patch_size, n_channels); got {filters.shape}.")
    rows = filters.reshape(n_filters, -1)
    zero = np.flatnonzero(~rows.any(axis=1))
    if len(zero):
        raise ValueError(f"init must not contain an all-zero filter, but filter {zero[0]} is all zeros: replace it.")
    return rows / np.abs(rows).max(axis=1, keepdims=True)  # Their squared norms cannot overflow or underflow.
