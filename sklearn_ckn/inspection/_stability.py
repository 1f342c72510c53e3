"""Report and figure of how much a representation changes when signals are deformed."""

from math import gamma, sqrt
from typing import Self

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import validate_params

from .._core.layer.settings import lipschitz_factors
from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._network import kind_of
from .._utils.typing import Axes, Field, RandomState, Rows, typed
from ._deformation import FIELD_CONSTRAINTS, deformation
from ._display import Display, pyplot
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
    """Measure how much a representation changes under deformations of given sizes, and report its Lipschitz constant.

    Let Phi(x) be the representation of a signal x by n layers, not divided by its norm. For all signals x and x'::

        |Phi(x') - Phi(x)| <= lipschitz_constant |x' - x|
        lipschitz_constant  = prod_k rho_k |P_k| |A_k|,   rho_k = max(1, sqrt(kappa_k'(1)))

    where, for layer k, rho_k is the Lipschitz constant of the kernel mapping ([1]_, Remark 8, equation (14)), ``|A_k|``
    is the operator norm of the pooling, and ``|P_k|`` is the operator norm of patch extraction, which is the square
    root of the number of positions of a patch, or less if a map has few patches. Projections onto filters, padding,
    `symmetries`, `center` and `patch_centering` do not increase distances.

    Let x' be the signal after a deformation by the displacement field tau, as defined in `deformation`. For continuous
    signals and maps without subsampling, and if ``|grad tau| <= 1 / 2``, Theorem 7 of [1]_ becomes::

        change = |Phi(x') - Phi(x)| / |Phi(x)|
        |Phi(x') - Phi(x)| <= (prod_k rho_k |P_k|) (C1 gradient_term + translation_term) |x|
        gradient_term       = (1 + n) |grad tau|_inf
        translation_term    = C2 |tau|_inf / scale,   C2 = 2^ndim |grad h|_1

    where h is the standard Gaussian density: C2 is 1.60, 5.01 or 12.77 in 1, 2 or 3 dimensions (Lemma 6). The factors
    ``|P_k|`` appear because this package, unlike [1]_, does not divide patches by the square root of their number of
    positions. The constant C1 is not known explicitly; it grows as ``beta^(ndim + 1)``. Unless tau is a translation,
    the two terms therefore show how the bound depends on the deformation and on the network, but not how large it is.

    For the maps that are computed, the first bound always holds. The second bound is proven for translations by whole
    positions that are multiples of the subsampling of all layers but the last, if the signals have margins of zeros
    that contain the displacement and the receptive fields. All steps but the last pooling then commute with the
    translation, and for the windows h_n of the last pooling, ``sum |h_n(. - tau) - h_n| <= C2 |tau| / scale``. Neither
    bound holds for a `CKNKernel` with ``tangent=True``, but its `change` is measured in the same way.

    Parameters
    ----------
    estimator : CKNFeatureMap or CKNKernel
        The representation: either the features of a fitted `CKNFeatureMap`, including its `symmetries`, `pyramid`,
        `center` and `scale`, or the infinite-dimensional features of an exact kernel. For a kernel, distances are
        computed as ``|Phi(x') - Phi(x)|^2 = K(x, x) + K(x', x') - 2 K(x, x')`` in double precision, and a `change`
        below 1e-7 is lost to floating-point rounding.

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Signals, in any form that the estimator accepts. The deformed signals for all sizes are in memory at once.

    sizes : array-like of shape `(n_sizes,)`
        Largest displacement of each deformation, in positions, >= 0. All sizes use the same random choices.

    kind : {"warp", "translation", "rotation"}, default="warp"
        Kind of displacement field; see `deformation`.

    smoothness : float, default=4.0
        Standard deviation of the low-pass filter for ``kind="warp"``, in positions, > 0.

    random_state : int, RandomState instance or None, default=None
        Determines the random fields. Pass an int for reproducible results.

    Returns
    -------
    report : Bunch
        Dictionary-like object with the fields

        - sizes : ndarray of shape `(n_sizes,)`, the given sizes;
        - change : ndarray of shape `(n_sizes, n_samples)`, which is 0 for signals whose representation is 0;
        - gradient_term, translation_term : ndarrays of shape `(n_sizes,)`, means over the signals;
        - lipschitz_constant : float, for signals of the shape of `X`. It is infinite if a layer has
          ``kernel="arccos0"``, or if features are divided by their norm (`scale` of a feature map, `normalize` of a
          kernel), because the direction of small features changes arbitrarily fast. It is also infinite for a kernel
          with ``tangent=True``, because the features of the tangent kernel of ReLU networks are not Lipschitz [2]_,
          and no constant is known for other networks. It is also infinite for a feature map with a `pyramid`, because
          the factors of the layers do not include the pooling of the pyramid;
        - kernel_constants, patch_norms, pooling_norms : ndarrays of shape `(n_layers,)`, the factors rho_k, ``|P_k|``
          and ``|A_k|``;
        - scale : float, the scale sigma_n of the last pooling, as a standard deviation in positions of the signals:
          ``pooling_width / sqrt(2)`` times the subsampling of the earlier layers, for the axis where it is smallest.
          For a layer with `n_positions`, the number of patches along the axis divided by `n_positions` replaces both
          its pooling width and its subsampling;
        - beta : float, the largest ratio, over all layers, of the radius of a patch (the distance from its position to
          its furthest corner) to the scale of the previous layer, which is one position for the first layer.

    Raises
    ------
    TypeError
        If `estimator` is neither a `CKNFeatureMap` nor a `CKNKernel`.
    NotFittedError
        If `estimator` is a `CKNFeatureMap` that is not fitted.
    ValueError
        If a parameter is out of range, as in `deformation`, or if `X` is rejected by the estimator.

    See Also
    --------
    StabilityDisplay : Figure of the report, ``StabilityDisplay(report).plot()``.
    deformation : Deformation of signals by random displacement fields.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 3.
    .. [2] A. Bietti and J. Mairal, "On the inductive bias of neural tangent kernels", NeurIPS 2019.

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
    >>> report.lipschitz_constant <= 3 / 0.6  # nine positions of a patch, sigma = 0.6
    True
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
    scale, beta = _scale_and_beta(settings, maps.shape[1:-1])
    factors = lipschitz_factors(settings, maps.shape[1:-1])
    return Bunch(
        sizes=sizes,
        change=distances / np.where(norms > 0, norms, 1),
        gradient_term=(1 + len(settings)) * np.array(gradient_norm),
        translation_term=_c2(ndim) * np.array(displacement_norm) / scale,
        lipschitz_constant=float(factors.prod()) if _is_lipschitz(estimator) else np.inf,
        kernel_constants=factors[:, 0],
        patch_norms=factors[:, 1],
        pooling_norms=factors[:, 2],
        scale=scale,
        beta=beta,
    )


class StabilityDisplay(Display):
    """Plot of the change of a representation against the size of the deformation.

    A line shows the mean over the signals, and a band contains the central 80 % of the values.

    Parameters
    ----------
    report : Bunch
        Result of `stability_report`.

    name : str or None, default=None
        Name in the legend. If None, there is no legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        Mean over the signals.

    band_ : matplotlib PolyCollection
        Band from the 0.1 to the 0.9 quantile.

    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains `ax_`.

    See Also
    --------
    stability_report : Computation of the report.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNKernel, CKNLayer
    >>> from sklearn_ckn.inspection import StabilityDisplay
    >>> images, ax = load_digits().images[:20], None
    >>> for width in (1, 3):
    ...     kernel = CKNKernel(CKNLayer(pooling_width=width, subsampling=1))
    ...     display = StabilityDisplay.from_estimator(kernel, images, [0, 0.5, 1], name=f"width {width}", ax=ax)
    ...     ax = display.ax_
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['width 1', 'width 3']
    """

    def __init__(self, report: Bunch, *, name: str | None = None) -> None:
        self.report = report
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: CKNFeatureMap | CKNKernel,
        X: Rows,
        sizes: Rows,
        *,
        kind: Field = "warp",
        smoothness: float = 4.0,
        random_state: RandomState | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Measure how much a representation changes under deformations, and draw the result.

        Parameters
        ----------
        estimator : CKNFeatureMap or CKNKernel
            The representation: a fitted feature map or an exact kernel.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        sizes : array-like of shape `(n_sizes,)`
            Largest displacement of each deformation, in positions.
        kind : {"warp", "translation", "rotation"}, default="warp"
            Kind of displacement field; see `deformation`.
        smoothness : float, default=4.0
            Standard deviation of the low-pass filter for ``kind="warp"``, in positions.
        random_state : int, RandomState instance or None, default=None
            Determines the random fields. Pass an int for reproducible results. Pass the same int for curves that are to
            be compared.
        name : str or None, default=None
            Name in the legend. If None, the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Axes to draw on, which may already contain other curves. If None, a new figure is created.

        Returns
        -------
        display : StabilityDisplay
            The drawn display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, NotFittedError, ValueError
            As in `stability_report`.
        """
        pyplot()
        report = stability_report(estimator, X, sizes, kind=kind, smoothness=smoothness, random_state=random_state)
        name = type(estimator).__name__ if name is None else name
        return cls(report, name=name).plot(ax)

    def plot(self, ax: Axes | None = None, *, name: str | None = None) -> Self:
        """Draw the curve and its band in the next colour of the colour cycle of the axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on, which may already contain other curves. If None, a new figure is created.
        name : str or None, default=None
            Name in the legend. If None, the name of the display.

        Returns
        -------
        display : StabilityDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax, name = self._set_axes(ax), self.name if name is None else name
        order = np.argsort(self.report.sizes)
        sizes, change = self.report.sizes[order], self.report.change[order]
        low, high = np.quantile(change, [0.1, 0.9], axis=1)
        (self.line_,) = ax.plot(sizes, change.mean(axis=1), marker="o", markersize=4, label=name)
        self.band_ = ax.fill_between(sizes, low, high, color=self.line_.get_color(), alpha=0.15, linewidth=0)
        ratio = r"$|\Phi(x') - \Phi(x)| \, / \, |\Phi(x)|$"
        ax.set(xlabel="largest displacement (positions)", ylabel=f"{ratio} (mean; 10 to 90 %)")
        ax.set_ylim(bottom=0, auto=True)  # Curves that are added later may be higher.
        if name:
            ax.legend(frameon=False)
        return self


def _check_sizes(sizes):
    array = np.asarray(sizes)
    valid = array.ndim == 1 and array.size and array.dtype.kind in "fiu"
    if not valid or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"sizes must be a non-empty list of finite numbers >= 0; got {sizes!r}.")
    return array.astype(float)


def _read(estimator, X):
    """Return the input maps ``(n, *space, c)`` of the estimator (float64 for a kernel) and its layers' settings."""
    if isinstance(estimator, CKNKernel):
        signals, _, settings = estimator._read(X, mixed=False)
        return signals.read(slice(None)).astype(float), settings
    if not isinstance(estimator, CKNFeatureMap):
        raise TypeError(
            f"estimator must be a fitted CKNFeatureMap or a CKNKernel; got {kind_of(estimator)}. For layers, pass "
            f"CKNFeatureMap(network).fit(X) or CKNKernel(network); for a Pipeline, its CKNFeatureMap; for a support "
            f"vector machine, its kernel."
        )
    steps, maps = read_fitted(estimator, X)
    return maps, [layer._settings for _, layer in steps]


def _feature_distances(feature_map, maps, deformed):  # (n, ...), (n_sizes, n, ...) -> (n,), (n_sizes, n)
    """Return ``|Phi(x)|`` and ``|Phi(x') - Phi(x)|`` computed from the features of a fitted feature map."""

    def features(maps):
        return np.asarray(feature_map.transform(maps), dtype=float)

    before = features(maps)
    distances = [np.linalg.norm(features(signals) - before, axis=1) for signals in deformed]
    return np.linalg.norm(before, axis=1), np.stack(distances)


def _kernel_distances(kernel, maps, deformed):  # (n, ...), (n_sizes, n, ...) -> (n,), (n_sizes, n)
    """Return ``|Phi(x)|`` and ``|Phi(x') - Phi(x)|`` computed from ``K(x, x)``, ``K(x', x')`` and ``K(x, x')``."""
    squares = kernel.diag(maps)
    after = kernel.diag(deformed.reshape(-1, *maps.shape[1:])).reshape(deformed.shape[:2])
    products = np.stack([kernel(x[None], signals)[0] for x, signals in zip(maps, deformed.swapaxes(0, 1))], axis=1)
    return np.sqrt(squares), np.sqrt(np.maximum(squares + after - 2 * products, 0))


def _is_lipschitz(estimator):
    """Return whether the product of the factors of the layers bounds the changes of the representation."""
    if isinstance(estimator, CKNKernel):
        return not (estimator.normalize or estimator.tangent)
    return not (estimator.scale or estimator.pyramid)


def _c2(ndim):
    """Return ``2^ndim |grad h|_1``, where the norm is the mean of ``|u|`` for a standard Gaussian vector u."""
    return 2**ndim * sqrt(2) * gamma((ndim + 1) / 2) / gamma(ndim / 2)


def _scale_and_beta(settings, space):
    """Return the scale sigma_n of the last layer, in positions of the signals, and the ratio beta."""
    step, scale, beta = np.ones(len(settings[0].patch.size)), 1.0, 0.0  # step: distance between adjacent positions
    for layer in settings:
        beta = max(beta, float(np.linalg.norm(step * layer.patch.radius)) / scale)
        positions = layer.patch_positions(space)
        scale = float((step * layer.pooling.widths(positions)).min()) / sqrt(2)
        step, space = step * layer.pooling.strides(positions), layer.pooling.positions(positions)
    return scale, beta
