"""Figures of reports: approximation and stability."""

from typing import Self

import numpy as np
from sklearn.utils import Bunch

from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._network import Network
from .._typing import Axes, Field, RandomState, Rows
from ._approximation import approximation_report
from ._display import Display, pyplot
from ._stability import stability_report


class ApproximationDisplay(Display):
    """Approximate against exact Gram matrices of a network, one colour per layer.

    Entries are divided by the largest exact one of their layer. What lies on the diagonal line is exact.

    Parameters
    ----------
    report : Bunch
        From `approximation_report`.

    Attributes
    ----------
    points_ : list of matplotlib PathCollection
        One per layer.

    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of `ax_`.

    See Also
    --------
    approximation_report : The numbers.

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
        """Compare a fitted network with the exact kernel, and draw it.

        Parameters
        ----------
        feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
            The fitted network.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Some hundred signals.
        n_jobs : int or None, default=None
            Threads for the exact kernels.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : ApproximationDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError, NotFittedError, ValueError
            As by `approximation_report`.
        """
        pyplot()
        return cls(approximation_report(feature_map, X, n_jobs=n_jobs)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the entries of each layer, each pair of signals once.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : ApproximationDisplay
            The display.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        ax, self.points_, report = self._set_axes(ax), [], self.report
        pairs, style = np.triu_indices(len(report.exact[0])), {"s": 8, "alpha": 0.4, "linewidths": 0}
        for name, K, K_hat, error in zip(report.layers, report.exact, report.approximate, report.frobenius_error):
            x, y = (matrix[pairs] / (np.abs(K).max() or 1) for matrix in (K, K_hat))
            closest_above = 2 - min(error, 1)
            points = ax.scatter(x, y, label=f"{name}: {100 * error:.2g} %", zorder=closest_above, **style)
            self.points_.append(points)
        ax.axline((1, 1), slope=1, color="0.6", linewidth=1, zorder=0)
        ax.set(xlabel="exact kernel, divided by its maximum", ylabel="approximation, divided by the same")
        ax.set_aspect("equal")
        legend = ax.legend(frameon=False, loc="upper left", markerscale=2.5, title=r"$|K - \hat{K}|_F \, / \, |K|_F$")
        for handle in legend.legend_handles:
            handle.set_alpha(1)
        return self


class StabilityDisplay(Display):
    """The change of a representation against the size of a deformation: the mean, and a band of 80 % of the signals.

    Parameters
    ----------
    report : Bunch
        From `stability_report`.

    name : str or None, default=None
        In the legend; None: no legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The mean over signals.

    band_ : matplotlib PolyCollection
        From the 0.1 to the 0.9 quantile.

    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of `ax_`.

    See Also
    --------
    stability_report : The numbers.

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
        """Measure how much of a representation deformations change, and draw it.

        Parameters
        ----------
        estimator : CKNFeatureMap or CKNKernel
            The representation, a fitted feature map or an exact kernel.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        sizes : array-like of shape `(n_sizes,)`
            The largest displacements, in positions.
        kind : {"warp", "translation", "rotation"}, default="warp"
            The field; see `deformation`.
        smoothness : float, default=4.0
            Standard deviation of the low-pass filter of `"warp"`, in positions.
        random_state : int, RandomState instance or None, default=None
            Draws the fields; the same int makes curves comparable.
        name : str or None, default=None
            In the legend; None: the class of the estimator.
        ax : matplotlib Axes, default=None
            Where to draw, perhaps beside other curves. None: a new figure.

        Returns
        -------
        display : StabilityDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError, NotFittedError, ValueError
            As by `stability_report`.
        """
        pyplot()
        report = stability_report(estimator, X, sizes, kind=kind, smoothness=smoothness, random_state=random_state)
        name = type(estimator).__name__ if name is None else name
        return cls(report, name=name).plot(ax)

    def plot(self, ax: Axes | None = None, *, name: str | None = None) -> Self:
        """Draw the curve and its band, in the next colour of the axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, perhaps beside other curves. None: a new figure.
        name : str or None, default=None
            In the legend; None: that of the display.

        Returns
        -------
        display : StabilityDisplay
            The display.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        ax, name = self._set_axes(ax), self.name if name is None else name
        order = np.argsort(self.report.sizes)
        sizes, change = self.report.sizes[order], self.report.change[order]
        low, high = np.quantile(change, [0.1, 0.9], axis=1)
        (self.line_,) = ax.plot(sizes, change.mean(axis=1), marker="o", markersize=4, label=name)
        self.band_ = ax.fill_between(sizes, low, high, color=self.line_.get_color(), alpha=0.15, linewidth=0)
        ratio = r"$|\Phi(x') - \Phi(x)| \, / \, |\Phi(x)|$"
        ax.set(xlabel="largest displacement (positions)", ylabel=f"{ratio} (mean; 10 to 90 %)")
        ax.set_ylim(bottom=0, auto=True)  # further curves may be higher
        if name:
            ax.legend(frameon=False)
        return self
