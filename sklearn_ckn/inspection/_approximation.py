"""Report and figure of how well a network approximates its exact kernel."""

from typing import Self

import numpy as np
from scipy.special import entr
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from .._core.layer import nystroem
from .._core.layer.symmetries import mean_over_orbits, orbits
from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._network import Network
from .._utils.typing import Axes, Rows
from ._display import Display, pyplot
from ._fitted import read_fitted


def approximation_report(feature_map: CKNFeatureMap | Network, X: Rows, *, n_jobs: int | None = None) -> Bunch:
    """Compare a fitted network with its exact kernel, layer by layer.

    For each layer k, the report compares two Gram matrices of the signals. K is the matrix of the exact kernel of the
    first k layers, and K_hat is the matrix of the inner products between the maps of layer k::

        K_hat(x, x')    = sum_u <x_k(u), x'_k(u)>                        the Nyström approximation
        frobenius_error = |K - K_hat|_F / |K|_F
        spectral_error  = |K - K_hat|_2 / |K|_2
        effective_rank  = exp(-sum_i p_i log p_i),  p = eigenvalues of kappa(Z Z^T) / their sum

    where ``x_k(u)`` is the value of the map of layer k at position u, ``|.|_F`` is the Frobenius norm, ``|.|_2`` is the
    spectral norm, and Z is the matrix of the filters of layer k.

    If the errors grow from one layer to the next, use more filters in the layer where the growth begins. An
    `effective_rank` [1]_ far below the number of filters means that many filters are similar. A smaller `sigma` or
    larger patches make the filters less similar.

    Parameters
    ----------
    feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
        The fitted network. If a `CKNFeatureMap` has `symmetries`, the maps ``x_k`` are means over the group, and K is
        the kernel with the same `symmetries`, whose computation takes 4, 16 or 64 times as long. The parameters
        `pyramid`, `center` and `scale` of a `CKNFeatureMap` are ignored, because the report describes the kernel of the
        last map itself.

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Signals, typically a few hundred. The computation time grows with the square of the number of signals; see
        `CKNKernel`. Errors below 1e-6 can only be measured in float64.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads. Only the exact kernels are computed
        in several threads.

    Returns
    -------
    report : Bunch
        Dictionary-like object with the following fields:

        - layers : list of str, the names of the layers;
        - frobenius_error, spectral_error : ndarrays of shape `(n_layers,)`, the errors of each layer, which are 0 if
          all signals are zero;
        - spectra : list of ndarrays of shape `(n_filters,)`, the eigenvalues of ``kappa(Z Z^T)`` of each layer in
          descending order;
        - effective_rank : ndarray of shape `(n_layers,)`, the effective rank of each layer, between 1 and the number
          of filters;
        - exact, approximate : lists of ndarrays of shape `(n_samples, n_samples)`, the Gram matrices K and K_hat
          of each layer.

    Raises
    ------
    TypeError
        If `feature_map` is neither a `CKNFeatureMap`, a `CKNLayer` nor a Pipeline of `CKNLayer`.
    NotFittedError
        If `feature_map` is not fitted.
    ValueError
        If `X` is rejected by the first layer, or if parameters of a layer were changed after `fit`.

    See Also
    --------
    ApproximationDisplay : Figure of the report, drawn by ``ApproximationDisplay(report).plot()``.
    sklearn_ckn.CKNKernel : The exact kernel of a network.

    References
    ----------
    .. [1] O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007,
       section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer
    >>> from sklearn_ckn.inspection import approximation_report
    >>> images = load_digits().images
    >>> network = make_pipeline(CKNLayer(16, n_patches=2000, random_state=0), CKNLayer(64, random_state=0))
    >>> report = approximation_report(CKNFeatureMap(network).fit(images), images[:50])
    >>> report.layers
    ['cknlayer-1', 'cknlayer-2']
    >>> bool(report.frobenius_error.max() < 0.05)
    True
    """
    steps, signals = read_fitted(feature_map, X)
    group = feature_map.symmetries if isinstance(feature_map, CKNFeatureMap) else None
    kernels = [CKNKernel(Pipeline(steps[:k]), symmetries=group, n_jobs=n_jobs) for k in range(1, len(steps) + 1)]
    exact = [kernel(signals).astype(float) for kernel in kernels]
    maps, approximate = orbits(signals, group), []
    for _, layer in steps:
        maps = layer.transform(maps)
        rows = mean_over_orbits(maps, group).reshape(len(signals), -1).astype(float)
        approximate.append(rows @ rows.T)
    spectra = [_spectrum(layer) for _, layer in steps]
    return Bunch(
        layers=[name for name, _ in steps],
        frobenius_error=_errors(exact, approximate, None),
        spectral_error=_errors(exact, approximate, 2),
        spectra=spectra,
        effective_rank=np.array([_effective_rank(spectrum) for spectrum in spectra]),
        exact=exact,
        approximate=approximate,
    )


class ApproximationDisplay(Display):
    """Scatter plot of approximate Gram matrices against exact Gram matrices, with one colour per layer.

    The entries of both matrices of a layer are divided by the largest absolute value in the exact matrix. A point on
    the diagonal line is an entry whose approximation is exact.

    Parameters
    ----------
    report : Bunch
        Result of `approximation_report`.

    Attributes
    ----------
    points_ : list of matplotlib PathCollection
        Points of the scatter plot, with one collection per layer.

    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains `ax_`.

    See Also
    --------
    approximation_report : Function that computes the report.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer
    >>> from sklearn_ckn.inspection import ApproximationDisplay
    >>> images = load_digits().images[:100]
    >>> network = make_pipeline(CKNLayer(16, random_state=0), CKNLayer(32, random_state=0))
    >>> display = ApproximationDisplay.from_estimator(CKNFeatureMap(network).fit(images), images[:20])
    >>> len(display.points_)
    2
    """

    def __init__(self, report: Bunch) -> None:
        self.report = report

    @classmethod
    def from_estimator(
        cls, feature_map: CKNFeatureMap | Network, X: Rows, *, n_jobs: int | None = None, ax: Axes | None = None
    ) -> Self:
        """Compare a fitted network with its exact kernel and draw the result.

        Parameters
        ----------
        feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
            The fitted network.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals, typically a few hundred; see `approximation_report`.
        n_jobs : int or None, default=None
            Number of threads that compute the exact kernels; see `approximation_report`.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : ApproximationDisplay
            The drawn display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, NotFittedError, ValueError
            If `approximation_report` rejects `feature_map` or `X`.
        """
        pyplot()
        return cls(approximation_report(feature_map, X, n_jobs=n_jobs)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw one point for each layer and each pair of signals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : ApproximationDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax, self.points_, report = self._set_axes(ax), [], self.report
        pairs, style = np.triu_indices(len(report.exact[0])), {"s": 8, "alpha": 0.4, "linewidths": 0}
        for name, K, K_hat, error in zip(report.layers, report.exact, report.approximate, report.frobenius_error):
            x, y = (matrix[pairs] / (np.abs(K).max() or 1) for matrix in (K, K_hat))
            closest_above = 2 - min(error, 1)
            points = ax.scatter(x, y, label=f"{name}: {100 * error:.2g} %", zorder=closest_above, **style)
            self.points_.append(points)
        ax.axline((1, 1), slope=1, color="0.6", linewidth=1, zorder=0)
        ax.set(xlabel="exact kernel, divided by its maximum", ylabel="approximation, divided by the same maximum")
        ax.set_aspect("equal")
        legend = ax.legend(frameon=False, loc="upper left", markerscale=2.5, title=r"$|K - \hat{K}|_F \, / \, |K|_F$")
        for handle in legend.legend_handles:
            handle.set_alpha(1)
        return self


def _errors(exact, approximate, order):
    """Return ``|K - K_hat| / |K|`` for every layer, with 1 as the denominator if K is 0.

    The parameter ``order`` selects the norm, as in `numpy.linalg.norm`. None selects the Frobenius norm.
    """
    missed = [np.linalg.norm(K - K_hat, order) for K, K_hat in zip(exact, approximate)]
    whole = np.array([np.linalg.norm(K, order) for K in exact])
    return missed / np.where(whole > 0, whole, 1)


def _spectrum(layer):
    """Return the eigenvalues of ``kappa(Z Z^T)`` in descending order, with negative values set to 0.

    Negative values are rounding errors, because the matrix is positive semi-definite.
    """
    Z = layer.filters_.reshape(len(layer.filters_), -1)
    return np.maximum(np.linalg.eigvalsh(nystroem.filter_gram(Z, layer._settings.kernel))[::-1], 0)


def _effective_rank(spectrum):
    return np.exp(entr(spectrum / spectrum.sum()).sum())
