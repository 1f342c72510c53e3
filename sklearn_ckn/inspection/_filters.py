"""Figures of filters."""

from typing import Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._layer import CKNLayer
from .._network import kind_of
from .._utils.typing import Axes
from ._display import Display
from ._grid import draw_grid


class FilterDisplay(Display):
    """Plot of the filters of a layer, side by side and each with full contrast.

    Filters with one channel are drawn in grey; black and white represent values of opposite sign. Filters with three
    channels are drawn in colour; grey represents 0. For any other number of channels, the norm over the channels is
    drawn at each position; black represents 0. Filters with one spatial axis are drawn as curves. Filters with three
    spatial axes are cut into slices, which are drawn side by side.

    Parameters
    ----------
    filters : ndarray of shape `(n_filters, *patch_size, n_channels)`
        The filters.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains `ax_`.

    See Also
    --------
    FeatureMapDisplay : Maps that a network computes from a signal.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNLayer
    >>> from sklearn_ckn.inspection import FilterDisplay
    >>> layer = CKNLayer(32, patch_size=5, patch_centering=True, random_state=0).fit(load_digits().images[:200])
    >>> FilterDisplay.from_estimator(layer).filters.shape
    (32, 5, 5, 1)
    """

    def __init__(self, *, filters: np.ndarray) -> None:
        self.filters = filters

    @classmethod
    def from_estimator(cls, layer: CKNLayer, *, ax: Axes | None = None) -> Self:
        """Draw the filters of a fitted layer.

        Parameters
        ----------
        layer : CKNLayer
            The fitted layer.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : FilterDisplay
            The drawn display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `layer` is not a `CKNLayer`.
        NotFittedError
            If `layer` is not fitted.
        """
        if not isinstance(layer, CKNLayer):
            raise TypeError(
                f"layer must be a fitted CKNLayer, such as feature_map.network_[0] of a fitted CKNFeatureMap; got "
                f"{kind_of(layer)}."
            )
        check_is_fitted(layer)
        return cls(filters=layer.filters_).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the filters.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : FilterDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        filters = np.asarray(self.filters)
        signed = filters.shape[-1] in (1, 3)
        filters = filters if signed else np.linalg.norm(filters, axis=-1, keepdims=True)
        largest = np.abs(filters).max(axis=tuple(range(1, filters.ndim)), keepdims=True)
        draw_grid(self._set_axes(ax), filters / np.where(largest > 0, largest, 1), -1 if signed else 0, 1, "gray")
        return self
