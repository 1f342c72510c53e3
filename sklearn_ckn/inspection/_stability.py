"""What a deformation of the signals changes in their image under a network."""

from math import prod

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import validate_params

from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._network import kind_of
from .._typing import Field, RandomState, Rows, typed
from ._deformation import FIELD_CONSTRAINTS, deformation
from ._fitted import read_fitted


@typed(validate_params(FIELD_CONSTRAINTS, prefer_skip_nested_validation=True))
def stability_report(
    estimator: CKNFeatureMap | CKNKernel,
    X: Rows,
    sizes: Rows,
    *,
    kind: Field = "warp",
    smoothness: float = 4.0,
    random_state: RandomState | None = None,
) -> Bunch:
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
        The representation: the features of a fitted `CKNFeatureMap`, with its `augment`, `center` and `scale`, or
        those, of infinitely many dimensions, of an exact kernel, by
        ``|Phi(x') - Phi(x)|^2 = K(x, x) + K(x', x') - 2 K(x, x')`` in double precision (where a `change` below 1e-7
        is lost in rounding).

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Signals, as the estimator takes them. They and all deformed ones are in memory together.

    sizes : array-like of shape `(n_sizes,)`
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

        - sizes : ndarray of shape `(n_sizes,)`;
        - change : ndarray of shape `(n_sizes, n_samples)`, 0 for a signal whose representation is 0;
        - gradient_term, translation_term : ndarrays of shape `(n_sizes,)`, means over the signals;
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
    StabilityDisplay : The same as a figure, ``StabilityDisplay(report).plot()``.
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
        raise TypeError(
            f"estimator must be a fitted CKNFeatureMap or a CKNKernel, of layers: CKNFeatureMap(network).fit(X) or "
            f"CKNKernel(network); got {kind_of(estimator)}."
        )
    steps, maps = read_fitted(estimator, X)
    return maps, [layer._settings for _, layer in steps]


def _feature_distances(feature_map, maps, deformed):  # (n, ...), (n_sizes, n, ...) -> (n,), (n_sizes, n)
    """``|Phi(x)|`` and ``|Phi(x') - Phi(x)|``."""

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
