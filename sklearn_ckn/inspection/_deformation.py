"""Deformations of signals by fields of known size."""

from numbers import Integral, Real

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_params

from .. import _validation
from .._layer import CKNLayer
from .._typing import Field, RandomState, Rows, typed


def _warp(shape, size, smoothness, rng):
    """Gaussian noise, low-passed along the space axes."""
    noise = gaussian_filter(rng.normal(size=shape), (0, *[smoothness] * shape[-1], 0))
    return size * (noise / _per_signal(_largest_norm(noise), shape))


def _translation(shape, size, smoothness, rng):
    """The same vector everywhere."""
    direction = rng.normal(size=(shape[0], shape[-1]))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.zeros(shape) + size * direction.reshape(shape[0], *[1] * shape[-1], shape[-1])


def _rotation(shape, size, smoothness, rng):
    """``tau(u) = (1 - exp(i t)) u``, u = y + i x from the centre; t moves a corner along a chord of ``size``."""
    if shape[-1] == 1:
        raise ValueError("kind='rotation' needs signals with a plane to rotate in, ndim=2 or 3; got ndim=1.")
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[-3:-1])
    u = y[:, None] + 1j * x
    diameter = 2 * np.abs(u[0, 0])
    if size > diameter:
        raise ValueError(
            f"size must be at most {diameter:.4g} with kind='rotation', as no rotation moves a position of "
            f"{u.shape[0]} x {u.shape[1]} further; got {size}."
        )
    angle = 2 * np.arctan2(size, np.sqrt(diameter**2 - size**2)) * rng.choice([-1, 1], size=shape[0])
    tau, displacement = -np.expm1(1j * _per_signal(angle, shape[:-1])) * u, np.zeros(shape)
    displacement[..., -2], displacement[..., -1] = tau.real, tau.imag
    return displacement


FIELDS = {"warp": _warp, "translation": _translation, "rotation": _rotation}  # (n, *space, ndim), ... -> of that shape
FIELD_CONSTRAINTS = {
    "kind": [StrOptions(set(FIELDS))],
    "smoothness": [Interval(Real, 0, None, closed="neither")],
    "random_state": ["random_state"],
}


CONSTRAINTS = {
    "size": [Interval(Real, 0, None, closed="left")],
    "ndim": [Options(Integral, {1, 2, 3})],
    **FIELD_CONSTRAINTS,
}


@typed(validate_params(CONSTRAINTS, prefer_skip_nested_validation=True))
def deformation(
    X: Rows,
    size: float,
    *,
    kind: Field = "warp",
    smoothness: float = 4.0,
    ndim: int = 2,
    random_state: RandomState | None = None,
) -> Bunch:
    """Deform every signal by a field of displacements of its own.

    The deformed signal is that of [1]_, read between the positions by cubic splines and 0 outside::

        x'(u) = x(u - tau(u)),   |tau|_inf = max_u |tau(u)| = size

    Parameters
    ----------
    X : array-like of shape `(n_samples, *space, n_channels)` or `(n_samples, *space)`
        Signals. They are not changed.

    size : float
        The largest displacement of a position, in positions, >= 0. 0 gives the signals back, to the last bit.

    kind : {"warp", "translation", "rotation"}, default="warp"
        The field, drawn for each signal:

        - `"warp"`: gaussian noise, low-passed by a gaussian of width `smoothness`;
        - `"translation"`: one vector of random direction, the same everywhere;
        - `"rotation"`: a turn of random sign about the centre of the last two axes, such that their corners move by
          `size`; at most across the whole signal.

    smoothness : float, default=4.0
        Standard deviation of the low-pass filter of `"warp"`, in positions, > 0.

    ndim : {1, 2, 3}, default=2
        Number of space axes.

    random_state : int, RandomState instance or None, default=None
        Draws the fields. The same int gives a field of the same shape for every `size`.

    Returns
    -------
    deformed : Bunch
        With the fields

        - signals : ndarray of the shape of `X`, in float64 if `X` is (or longer), else in float32;
        - displacement : ndarray of shape `(n_samples, *space, ndim)`, tau in positions;
        - displacement_norm : ndarray of shape `(n_samples,)`, the largest ``|tau(u)|``, which is `size`;
        - gradient_norm : ndarray of shape `(n_samples,)`, the largest spectral norm of the Jacobian of tau, by
          differences of neighbours: 0 for a translation, ``2 sin(angle / 2)`` for a rotation.

    Raises
    ------
    ValueError
        A parameter is out of its range, a rotation of one axis or by more than the signal's diameter included; `X` has
        other axes, is empty or not finite.

    See Also
    --------
    stability_report : What deformations change in a representation.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn.inspection import deformation
    >>> deformed = deformation(load_digits().images[:10], size=1.5, random_state=0)
    >>> deformed.signals.shape, deformed.displacement.shape
    ((10, 8, 8), (10, 8, 8, 2))
    >>> float(deformed.displacement_norm[0].round(6))
    1.5
    """
    signals = _read_signals(X, ndim)
    maps = signals.read(slice(None))
    displacement = FIELDS[kind]((*maps.shape[:-1], ndim), size, smoothness, check_random_state(random_state))
    return Bunch(
        signals=_displaced(maps, displacement).reshape(signals.array.shape),
        displacement=displacement,
        displacement_norm=_largest_norm(displacement),
        gradient_norm=_largest_gradient(displacement),
    )


def _read_signals(X, ndim):
    if np.ndim(X) not in (ndim + 1, ndim + 2):
        space = ", ".join(_validation.AXES[ndim])
        raise ValueError(
            f"X must have shape (n_samples, {space}) or (n_samples, {space}, n_channels) with ndim={ndim}; got "
            f"{np.shape(X)}. Set ndim to the number of space axes, or reshape rows of flattened signals."
        )
    return _validation.as_signals(CKNLayer(ndim=ndim), X, ndim)


def _displaced(maps, displacement):  # (n, *space, c), (n, *space, ndim) -> (n, *space, c)
    """``x(u - tau(u))``; a position that does not move keeps its value to the last bit."""
    positions, displaced = np.indices(maps.shape[1:-1]), np.empty_like(maps)
    for x, tau, target in zip(maps, displacement, displaced):
        read_at = positions - np.moveaxis(tau, -1, 0)
        for channel in range(x.shape[-1]):
            target[..., channel] = map_coordinates(x[..., channel], read_at, order=3, mode="grid-constant")
    return np.where(displacement.any(axis=-1, keepdims=True), displaced, maps)


def _largest_norm(field):  # (n, *space, ndim) -> (n,)
    return np.linalg.norm(field, axis=-1).reshape(len(field), -1).max(axis=1)


def _largest_gradient(field):  # (n, *space, ndim) -> (n,)
    """The largest spectral norm of the Jacobian, whose columns are differences of neighbours along each axis."""
    axes = range(1, field.ndim - 1)
    jacobian = np.stack([np.diff(field, axis=axis, append=field.take([-1], axis)) for axis in axes], axis=-1)
    return np.linalg.norm(jacobian, 2, axis=(-2, -1)).reshape(len(field), -1).max(axis=1)


def _per_signal(values, shape):
    """One number per signal, to be broadcast to ``shape``."""
    return values.reshape(-1, *[1] * (len(shape) - 1))
