"""What a deformation of the signals changes in their image under a network."""

from copy import copy
from math import prod
from numbers import Integral, Real

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted

from .. import _validation
from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._layer import CKNLayer


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
_FIELD_CONSTRAINTS = {
    "kind": [StrOptions(set(FIELDS))],
    "smoothness": [Interval(Real, 0, None, closed="neither")],
    "random_state": ["random_state"],
}


@validate_params(
    {"size": [Interval(Real, 0, None, closed="left")], "ndim": [Options(Integral, {1, 2, 3})], **_FIELD_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def deformation(X, size, *, kind="warp", smoothness=4.0, ndim=2, random_state=None):
    """Deform every signal by a field of displacements of its own.

    The deformed signal is that of [1]_, read between the positions by cubic splines and 0 outside::

        x'(u) = x(u - tau(u)),   |tau|_inf = max_u |tau(u)| = size

    Parameters
    ----------
    X : array-like of shape (n_samples, *space, n_channels) or (n_samples, *space)
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
        - displacement : ndarray of shape (n_samples, *space, ndim), tau in positions;
        - displacement_norm : ndarray of shape (n_samples,), the largest ``|tau(u)|``, which is `size`;
        - gradient_norm : ndarray of shape (n_samples,), the largest spectral norm of the Jacobian of tau, by
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


@validate_params(_FIELD_CONSTRAINTS, prefer_skip_nested_validation=True)
def stability_report(estimator, X, sizes, *, kind="warp", smoothness=4.0, random_state=None):
    """Measure how much of a representation deformations of growing size change.

    Phi is the representation of a signal x by n layers, x' the signal deformed by a field tau as in `deformation`. The
    theorem [1]_ is, for maps without `center` and `scale` and where ``|grad tau| <= 1 / 2``::

        change = |Phi(x') - Phi(x)| / |Phi(x)|
        |Phi(x') - Phi(x)| <= lipschitz (C1 gradient_term + C2 translation_term) |x|
        gradient_term      =  (1 + n) |grad tau|_inf
        translation_term   =  |tau|_inf / scale
        lipschitz          =  prod_k max(1, sqrt(kappa_k'(1)))

    The constants C1, which grows as ``beta^(ndim + 1)``, and C2 are universal but not known: the two terms tell how
    the bound depends on the deformation and on the network, not its value.

    Parameters
    ----------
    estimator : CKNFeatureMap or CKNKernel
        The representation: the features of a fitted `CKNFeatureMap`, with its `center` and `scale`, or those, of
        infinitely many dimensions, of an exact kernel, by ``|Phi(x') - Phi(x)|^2 = K(x, x) + K(x', x') - 2 K(x, x')``
        in double precision (where a `change` below 1e-7 is lost in rounding).

    X : array-like of shape (n_samples, *space, n_channels), (n_samples, *space) or (n_samples, n_features)
        Signals, as the estimator takes them. They and all deformed ones are in memory together.

    sizes : array-like of shape (n_sizes,)
        The largest displacements, in positions, >= 0. All are of the same random fields, of another size.

    kind : {"warp", "translation", "rotation"}, default="warp"
        The field; see `deformation`.

    smoothness : float, default=4.0
        Standard deviation of the low-pass filter of `"warp"`, in positions, > 0.

    random_state : int, RandomState instance or None, default=None
        Draws the fields.

    Returns
    -------
    report : Bunch
        With the fields

        - sizes : ndarray of shape (n_sizes,);
        - change : ndarray of shape (n_sizes, n_samples), 0 for a signal whose representation is 0;
        - gradient_term, translation_term : ndarrays of shape (n_sizes,), means over the signals;
        - lipschitz : float, infinite with ``kernel="arccos0"``;
        - scale : float, the pooling width of the last layer in positions of the signals, that of the axis where it is
          smallest;
        - beta : float, the largest ratio, over layers and axes, of the patches' size to the pooling width of the layer
          before (of the first layer: to one position).

    Raises
    ------
    TypeError
        `estimator` is neither of the two.
    NotFittedError
        It is a `CKNFeatureMap` that is not fitted.
    ValueError
        A parameter is out of its range, as for `deformation`; `X` is refused by the estimator.

    See Also
    --------
    StabilityDisplay : The same as a figure.
    deformation : The deformed signals.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, Theorem 7.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer
    >>> from sklearn_ckn.inspection import stability_report
    >>> images = load_digits().images
    >>> feature_map = CKNFeatureMap(CKNLayer(16, pooling_width=3, n_patches=2000, random_state=0)).fit(images)
    >>> report = stability_report(feature_map, images[:50], [0, 0.5, 1], random_state=0)
    >>> report.change.mean(axis=1).round(1)
    array([0. , 0.1, 0.2])
    >>> report.scale, report.beta
    (3.0, 3.0)
    """
    sizes = _check_sizes(sizes)
    maps, settings = _read(estimator, X)
    seed, ndim = check_random_state(random_state).randint(2**31 - 1), maps.ndim - 2
    signals, displacement_norm, gradient_norm = [], [], []
    for size in sizes:
        deformed = deformation(maps, size, kind=kind, smoothness=smoothness, ndim=ndim, random_state=seed)
        signals.append(deformed.signals)
        displacement_norm.append(deformed.displacement_norm.mean())
        gradient_norm.append(deformed.gradient_norm.mean())
    find_distances = _kernel_distances if isinstance(estimator, CKNKernel) else _feature_distances
    norms, distances = find_distances(estimator, maps, np.stack(signals))
    scale, beta = _scale_and_beta(settings)
    return Bunch(
        sizes=sizes,
        change=distances / np.where(norms > 0, norms, 1),
        gradient_term=(1 + len(settings)) * np.array(gradient_norm),
        translation_term=np.array(displacement_norm) / scale,
        lipschitz=_lipschitz(settings),
        scale=scale,
        beta=beta,
    )


def _read_signals(X, ndim):
    if np.ndim(X) not in (ndim + 1, ndim + 2):
        space = ", ".join(_validation.AXES[ndim])
        raise ValueError(
            f"X must have shape (n_samples, {space}) or (n_samples, {space}, n_channels) with ndim={ndim}; got "
            f"{np.shape(X)}. Set ndim to the number of space axes, or reshape rows of flattened signals."
        )
    return _validation.as_signals(CKNLayer(ndim=ndim), X, ndim)


def _check_sizes(sizes):
    array = np.asarray(sizes)
    valid = array.ndim == 1 and array.size and array.dtype.kind in "fiu"
    if not valid or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"sizes must be a list of finite numbers >= 0, at least one; got {sizes!r}.")
    return array.astype(float)


def _read(estimator, X):
    """The maps ``(n, *space, c)`` that it reads, for a kernel in double precision, and the settings of its layers."""
    if isinstance(estimator, CKNKernel):
        signals, _, settings = estimator._read(X)
        return signals.read(slice(None)).astype(float), settings
    if not isinstance(estimator, CKNFeatureMap):
        raise TypeError(f"estimator must be a fitted CKNFeatureMap or a CKNKernel; got {estimator!r}.")
    check_is_fitted(estimator)
    layers = [layer for _, layer in estimator.network_.steps]
    signals = _validation.as_fitted_signals(estimator, X, layers[0]._flattened, same_space=True)
    return signals.read(slice(None)), [layer._settings for layer in layers]


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


def _feature_distances(feature_map, maps, deformed):  # (n, ...), (n_sizes, n, ...) -> (n,), (n_sizes, n)
    """``|Phi(x)|`` and ``|Phi(x') - Phi(x)|``."""
    feature_map = copy(feature_map)
    vars(feature_map).pop("feature_names_in_", None)  # of a table's columns; maps have none

    def features(maps):
        return np.asarray(feature_map.transform(maps), dtype=float)

    before = features(maps)
    distances = [np.linalg.norm(features(signals) - before, axis=1) for signals in deformed]
    return np.linalg.norm(before, axis=1), np.stack(distances)


def _kernel_distances(kernel, maps, deformed):  # (n, ...), (n_sizes, n, ...) -> (n,), (n_sizes, n)
    """The same from ``K(x, x)``, ``K(x', x')`` and ``K(x, x')``."""
    squares = kernel.diag(maps)
    after = kernel.diag(deformed.reshape(-1, *maps.shape[1:])).reshape(deformed.shape[:2])
    products = np.stack([kernel(x[None], signals)[0] for x, signals in zip(maps, deformed.swapaxes(0, 1))], axis=1)
    return np.sqrt(squares), np.sqrt(np.maximum(squares + after - 2 * products, 0))


def _lipschitz(settings):
    with np.errstate(divide="ignore"):  # the slope of arccos0
        return prod(max(1.0, float(np.sqrt(layer.kernel.slope(1.0)))) for layer in settings)


def _scale_and_beta(settings):
    """sigma_n and beta of the theorem, in positions of the signals."""
    patch_size, pooling_width, subsampling = (
        np.array([getattr(layer, name) for layer in settings], dtype=float)  # (n_layers, ndim)
        for name in ("patch_size", "pooling_width", "subsampling")
    )
    one = np.ones_like(patch_size[:1])
    stride = np.cumprod(np.concatenate([one, subsampling[:-1]]), axis=0)  # from one position of a layer to the next
    scales = np.concatenate([one, stride * pooling_width])  # sigma_0, ..., sigma_n
    return float(scales[-1].min()), float((stride * patch_size / scales[:-1]).max())
