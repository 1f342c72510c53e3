"""Deformations of signals by random displacement fields of a given size."""

from numbers import Integral, Real

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_params

from .._arrays import parameters, validation
from .._arrays.conversion import as_rows
from .._layer import CKNLayer
from .._utils.typing import Field, RandomState, Rows, typed


def _warp(shape, size, smoothness, rng):
    """Return Gaussian noise, low-pass filtered along the spatial axes and scaled to a largest norm of ``size``."""
    noise = gaussian_filter(rng.normal(size=shape), (0, *[smoothness] * shape[-1], 0))
    return size * (noise / _per_signal(_largest_norm(noise), shape))


def _translation(shape, size, smoothness, rng):
    """Return a displacement by ``size`` in a random direction, which is the same at all positions of a signal."""
    direction = rng.normal(size=(shape[0], shape[-1]))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.zeros(shape) + size * direction.reshape(shape[0], *[1] * shape[-1], shape[-1])


def _rotation(shape, size, smoothness, rng):
    """Return the displacement ``tau(u) = (1 - exp(i t)) u`` of a rotation about the centre by an angle t.

    Positions are complex numbers ``u = y + i x`` relative to the centre. The angle is such that the corners move by
    ``size``.
    """
    if shape[-1] == 1:
        raise ValueError("kind='rotation' needs signals with at least two spatial axes, ndim=2 or 3; got ndim=1.")
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[-3:-1])
    u = y[:, None] + 1j * x
    diameter = 2 * np.abs(u[0, 0])
    if size > diameter:
        raise ValueError(
            f"size must be at most {diameter:.4g} with kind='rotation', because a rotation of {u.shape[0]} x "
            f"{u.shape[1]} positions moves no position further; got {size}."
        )
    angle = 2 * np.arctan2(size, np.sqrt(diameter**2 - size**2)) * rng.choice([-1, 1], size=shape[0])
    tau, displacement = -np.expm1(1j * _per_signal(angle, shape[:-1])) * u, np.zeros(shape)
    displacement[..., -2], displacement[..., -1] = tau.real, tau.imag
    return displacement


FIELDS = {"warp": _warp, "translation": _translation, "rotation": _rotation}  # (n, *space, ndim), ... -> same shape
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
    """Deform each signal by its own random displacement field.

    Values between positions are interpolated by cubic splines, and values outside the signal are 0. The deformed
    signal x' is defined by the displacement field tau as in [1]_::

        x'(u) = x(u - tau(u)),   |tau|_inf = max_u |tau(u)| = size

    Parameters
    ----------
    X : array-like of shape `(n_samples, *space, n_channels)` or `(n_samples, *space)`
        Signals. They are not modified.

    size : float
        Largest displacement, in positions, >= 0. If 0, the signals are returned unchanged, bit for bit.

    kind : {"warp", "translation", "rotation"}, default="warp"
        Kind of displacement field. A field is drawn independently for each signal:

        - `"warp"`: Gaussian noise, low-pass filtered by a Gaussian of standard deviation `smoothness`;
        - `"translation"`: a displacement in a random direction, which is the same at all positions;
        - `"rotation"`: a rotation in a random direction about the centre of the last two spatial axes. The corners move
          by `size`, which must be at most the length of the diagonal.

    smoothness : float, default=4.0
        Standard deviation of the low-pass filter for ``kind="warp"``, in positions, > 0.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes.

    random_state : int, RandomState instance or None, default=None
        Determines the random fields. Pass an int for reproducible results. The same int leads to the same
        random choices for any `size`.

    Returns
    -------
    deformed : Bunch
        Dictionary-like object with the fields

        - signals : ndarray of the same shape as `X`, the deformed signals. The dtype is float64 for float64 input and
          integers beyond ``2**24``, float32 otherwise;
        - displacement : ndarray of shape `(n_samples, *space, ndim)`, tau in positions;
        - displacement_norm : ndarray of shape `(n_samples,)`, the largest ``|tau(u)|``, which equals `size`;
        - gradient_norm : ndarray of shape `(n_samples,)`, the largest spectral norm of the Jacobian of tau, computed
          from differences between adjacent positions. It is 0 for a translation and ``2 sin(angle / 2)`` for a
          rotation.

    Raises
    ------
    ValueError
        If a parameter is out of range; if signals with one spatial axis are to be rotated; if `size` exceeds the
        diagonal for ``kind="rotation"``; or if `X` has an unexpected number of axes, is empty, is not finite or has
        masked values.

    Warns
    -----
    UserWarning
        If `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    stability_report : Change of a representation under deformations.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 3.

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
    X = as_rows(X)
    if np.ndim(X) not in (ndim + 1, ndim + 2):
        space = ", ".join(parameters.AXES[ndim])
        raise ValueError(
            f"X must have shape (n_samples, {space}) or (n_samples, {space}, n_channels) with ndim={ndim}; got "
            f"{np.shape(X)}. Set ndim to the number of spatial axes, or reshape flattened signals."
        )
    return validation.as_signals(CKNLayer(ndim=ndim), X, ndim)


def _displaced(maps, displacement):  # (n, *space, c), (n, *space, ndim) -> (n, *space, c)
    """Return ``x(u - tau(u))``. Values at positions whose displacement is 0 are unchanged, bit for bit."""
    positions, displaced = np.indices(maps.shape[1:-1]), np.empty_like(maps)
    for x, tau, target in zip(maps, displacement, displaced):
        read_at = positions - np.moveaxis(tau, -1, 0)
        for channel in range(x.shape[-1]):
            target[..., channel] = map_coordinates(x[..., channel], read_at, order=3, mode="grid-constant")
    return np.where(displacement.any(axis=-1, keepdims=True), displaced, maps)


def _largest_norm(field):  # (n, *space, ndim) -> (n,)
    return np.linalg.norm(field, axis=-1).reshape(len(field), -1).max(axis=1)


def _largest_gradient(field):  # (n, *space, ndim) -> (n,)
    """Return the largest spectral norm of the Jacobian, whose columns are the first differences along each axis."""
    axes = range(1, field.ndim - 1)
    jacobian = np.stack([np.diff(field, axis=axis, append=field.take([-1], axis)) for axis in axes], axis=-1)
    return np.linalg.norm(jacobian, 2, axis=(-2, -1)).reshape(len(field), -1).max(axis=1)


def _per_signal(values, shape):
    """Reshape an array of one value per signal so that it broadcasts to ``shape``."""
    return values.reshape(-1, *[1] * (len(shape) - 1))
