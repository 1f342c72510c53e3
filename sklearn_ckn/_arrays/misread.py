"""A warning about signals whose axes are probably misread.

Neighbours along a spatial axis are alike, and neighbouring channels are not. The roughness of values along an axis is
near 0 if neighbours are alike, and near 1 if they are independent::

    roughness = mean over neighbours of (x_(i+1) - x_i)^2 / (2 variance of x)

The profile of an axis is the mean of a few signals over all other axes. The profile of a spatial axis is smooth even if
the signals are noisy. The profile of an axis of channels or filters is rough even if the channels are correlated.

Every rule is a function that returns what to write instead, or None. It examines values only if the shape of the
signals is suspicious, or if the signals are flattened and in memory.
"""

from functools import cached_property, partial
from math import prod

import numpy as np

from .._utils.caller import warn
from .parameters import ndim_advice

SMOOTH, ROUGH = 0.5, 0.7  # maximum roughness of a spatial axis, and minimum roughness of an axis of channels
TINY, FEW, LONG = 4, 16, 8  # maximum size of a tiny axis and of an axis of few channels; minimum size of a long axis
SQUARE = 2  # maximum ratio of the sides of an image that is recognised by its shape alone
N_SIGNALS, N_POSITIONS = 8, 32  # maximum number of examined signals, and of examined positions along each axis
RATIO = 1.8  # minimum ratio of the roughness in the wrong order of the axes to the roughness in the right order


class Reading:
    """Signals and the interpretation of their axes.

    Parameters
    ----------
    estimator : estimator that reads the signals
    signals : Signals
    ndim : int, number of spatial axes
    has_channels : bool, whether the signals were passed with a channel axis; otherwise, they have one channel
    name : str, name of the array or list
    first : int or None, index of the first of the signals if they are the elements of a list, None for an array
    """

    def __init__(self, estimator, signals, ndim, has_channels, name, first=None):
        self.ndim_advice = partial(ndim_advice, estimator)
        self.array, self.is_lazy, self.name, self.first = signals.array, signals.is_lazy, name, first
        self.ndim, self.has_channels = ndim, has_channels
        self.axes = signals.shape if has_channels else signals.shape[:-1]
        self.is_flat = self.array.ndim == 2 and len(self.axes) > 1  # whether each signal is flattened to a row

    @cached_property
    def few(self):
        """A few signals: the first signals of a store, or evenly spaced signals of an array in memory."""
        step = -(-len(self.array) // N_SIGNALS) if isinstance(self.array, np.ndarray) else 1
        return self.array[: N_SIGNALS * step : step]

    def sample(self, axes):  # -> (n, *sizes up to N_POSITIONS)
        """Return the central positions of a few signals, minus the mean of each signal."""
        centre = [slice(max(0, n - N_POSITIONS) // 2, (n + N_POSITIONS) // 2) for n in axes]
        X = self.few.reshape(-1, *axes)[(slice(None), *centre)].astype(float)
        return X - X.mean(axis=tuple(range(1, X.ndim)), keepdims=True)

    def profile_roughness(self, axis):
        """Return the roughness of the mean of the sample over all axes of the signals but one."""
        X = self.sample(self.axes)
        return roughness(X.mean(axis=tuple(k for k in range(X.ndim) if k != axis + 1)), 0)

    def is_smooth(self, axis):
        """Return whether an axis of the signals is probably spatial."""
        return self.profile_roughness(axis) < SMOOTH

    def is_rough(self, axis):
        """Return whether an axis of the signals probably holds uncorrelated channels."""
        return roughness(self.sample(self.axes), axis + 1) > ROUGH and self.profile_roughness(axis) > ROUGH

    def may_hold_channels(self, axis, opposite):
        """Return whether an axis is tiny, or holds a few uncorrelated channels while the opposite axis is spatial."""
        others = [size for k, size in enumerate(self.axes) if k != axis]
        if self.axes[axis] <= TINY:
            return min(others) >= LONG
        return self.axes[axis] <= min(FEW, min(others) // 2) and self.is_rough(axis) and self.is_smooth(opposite)

    @property
    def first_axis(self):
        """The first axis of a signal, as an axis of the array or of the elements of a list."""
        return "axis 1" if self.first is None else "axis 0 of each signal"

    def description(self):
        """Return the name and the shape of the array, or of the first signal of a list."""
        if self.first is None:
            return f"{self.name} of shape {tuple(self.array.shape)}"
        return f"{self.name}[{self.first}] of shape {tuple(self.axes)}"

    def confirmation(self):
        """Return how to state that the signals have one channel, which avoids the warning."""
        given = f"{self.name}[..., None]" if self.first is None else f"[x[..., None] for x in {self.name}]"
        stated = f"set input_shape={(*self.axes, 1)}" if self.is_flat else f"pass {given}"
        return f" If there is a single channel, {stated}."

    def channels_last(self, axes):
        """Return the expression that moves the channels of signals ``(n, n_channels, *space)`` to the last axis."""
        if self.first is not None:
            return f"[np.moveaxis(x, 0, -1) for x in {self.name}]"
        if not self.is_flat:
            return f"np.moveaxis({self.name}, 1, -1)"
        return f"np.moveaxis(np.reshape({self.name}, {(-1, *axes)}), 1, -1) and set input_shape={(*axes[1:], axes[0])}"


def roughness(X, axis):
    """Return how much neighbours along an axis differ, or NaN if all values are equal or there are no neighbours."""
    if X.shape[axis] == 1:
        return np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.diff(X, axis=axis) ** 2).mean() / (2 * X.var())


def channels_come_first(reading):
    """Recognise images ``(n, 3, height, width)`` and series ``(n, n_channels, length)``."""
    last = len(reading.axes) - 1
    deliberate = reading.is_flat and prod(reading.axes[:-1]) == 1  # Each row is read as a single patch.
    if not reading.has_channels or deliberate or not reading.may_hold_channels(0, last) or not reading.is_smooth(last):
        return None
    return f"If {reading.first_axis} holds the channels, pass {reading.channels_last(reading.axes)}."


def space_includes_channels(reading):
    """Recognise series ``(n, length, n_channels)`` and ``(n, n_channels, length)`` that are read as narrow images."""
    last = reading.ndim - 1
    if reading.has_channels or last == 0:
        return None
    if reading.may_hold_channels(last, 0):
        is_image = reading.ndim == 2 and reading.axes[last] in (3, 4) and not reading.is_flat and reading.first is None
        single = f" If {reading.name} is one colour image, pass {reading.name}[None]." if is_image else ""
        return f"If its last axis holds the channels, {reading.ndim_advice(last)}.{single}{reading.confirmation()}"
    deliberate = reading.is_flat and reading.axes[0] == 1  # input_shape=(1, length)
    if reading.ndim == 2 and not deliberate and reading.may_hold_channels(0, last):
        moved = reading.channels_last(reading.axes)
        advice = f"pass {moved}, and {reading.ndim_advice(1)}"
        return f"If {reading.first_axis} holds the channels, {advice}.{reading.confirmation()}"
    return None


def volumes_are_images(reading):
    """Recognise volumes ``(n, depth, size, size)`` that are read as images with ``size`` channels."""
    if not reading.has_channels or reading.ndim != 2 or reading.is_flat:
        return None
    height, width, n_channels = reading.axes
    if height <= TINY or not n_channels == width >= LONG or not (reading.is_smooth(1) and reading.is_smooth(2)):
        return None
    moved = reading.channels_last(reading.axes)
    return f"If it holds volumes, {reading.ndim_advice(3)}. If {reading.first_axis} holds the channels, pass {moved}."


def rows_are_channels_first(reading):
    """Recognise flattened signals that are smoother along every spatial axis if the channels come first."""
    *space, n_channels = reading.axes
    if not (reading.is_flat and reading.has_channels and 1 < n_channels <= FEW) or reading.is_lazy:
        return None
    X, other = reading.sample(reading.axes), reading.sample((n_channels, *space))
    axes = [k for k, size in enumerate(space) if size > 1]
    if not axes or not all(roughness(X, k + 1) > RATIO * roughness(other, k + 2) for k in axes):
        return None
    return f"If its rows hold one channel after another, pass {reading.channels_last((n_channels, *space))}."


RULES = channels_come_first, space_includes_channels, volumes_are_images, rows_are_channels_first


def warn_of_misreading(estimator, signals, ndim, has_channels, name, first=None):
    """Warn if the signals are probably misread, and state what to write instead; see `Reading` for the parameters."""
    reading = Reading(estimator, signals, ndim, has_channels, name, first)
    remedy = next(filter(None, (rule(reading) for rule in RULES)), None)
    if remedy is not None:
        warn(
            f"{reading.description()} is read with ndim={ndim} as signals of spatial shape {signals.shape[:-1]} and "
            f"{count_channels(signals.shape[-1])}, which is probably not what it holds. {remedy}"
        )


def warn_of_shape(shape, ndim, has_channels):
    """Warn if a shape ``(*space, n_channels)`` is probably misread, judging by the shape alone."""
    *space, n_channels = shape
    remedy, long = None, shape[1:]
    if has_channels and space[0] <= TINY and min(long) >= LONG and max(long) <= SQUARE * min(long):
        remedy = f"If its channels come first, set shape={(*long, space[0])} and pass np.moveaxis(X, 1, -1) as X."
    elif not has_channels and ndim == 2 and min(space) <= TINY and max(space) >= LONG:
        remedy = f"If it is the shape of series, set ndim=1 and shape={max(space), min(space)}."
    if remedy is not None:
        warn(
            f"shape={tuple(shape if has_channels else space)} with ndim={ndim} is read as spatial shape "
            f"{tuple(space)} and {count_channels(n_channels)}, which is probably not what was meant. {remedy}"
        )


def count_channels(n):
    """Return a number of channels in words."""
    return "1 channel" if n == 1 else f"{n} channels"
