"""Display of the map that a network computes from one signal."""

from numbers import Integral
from typing import Self

import numpy as np

from .._arrays import parameters
from .._arrays.conversion import as_rows
from .._feature_map import CKNFeatureMap
from .._network import Network
from .._utils.typing import Axes, Rows
from ._display import Display
from ._fitted import fitted_layers, has_one_size
from ._grid import draw_grid

MANY_MAPS = 64  # maximum number of channels that are labelled, because more labels would hide the channels


class FeatureMapDisplay(Display):
    """Plot of the channels of one signal's map after the last layer, side by side and with the strongest first.

    All channels are drawn on a common scale. Each channel is labelled with the index of its filter, unless more than 64
    channels are drawn. Maps with one spatial axis are drawn as curves.

    Parameters
    ----------
    maps : ndarray of shape `(*space, n_maps)`
        The channels to draw, along the last axis.

    channels : ndarray of shape `(n_maps,)`
        Index of the filter to which each channel belongs.

    Attributes
    ----------
    colorbar_ : matplotlib Colorbar or None
        Colour bar of the common scale. None if the channels are drawn as curves.

    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains `ax_`.

    See Also
    --------
    FilterDisplay : Filters of a layer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNLayer
    >>> from sklearn_ckn.inspection import FeatureMapDisplay
    >>> images = load_digits().images
    >>> layer = CKNLayer(32, pooling_width=1, n_patches=2000, random_state=0).fit(images)
    >>> FeatureMapDisplay.from_estimator(layer, images[0], n_maps=9).maps.shape
    (8, 8, 9)
    """

    def __init__(self, *, maps: np.ndarray, channels: np.ndarray) -> None:
        self.maps = maps
        self.channels = channels

    @classmethod
    def from_estimator(
        cls, feature_map: CKNFeatureMap | Network, x: Rows, *, n_maps: int = 16, ax: Axes | None = None
    ) -> Self:
        """Select the channels with the largest norms and draw them.

        Parameters
        ----------
        feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
            The fitted network.
        x : array-like of shape `(*space, n_channels)`, `(*space,)` or `(n_features,)`
            One signal. If `feature_map` is a `CKNFeatureMap` or was fitted on flattened signals, the signal must have
            the shape seen in `fit`.
        n_maps : int, default=16
            Maximum number of channels to draw, at least 1.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : FeatureMapDisplay
            The drawn display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `feature_map` is neither a `CKNFeatureMap`, a `CKNLayer` nor a Pipeline of `CKNLayer`.
        NotFittedError
            If `feature_map` is not fitted.
        ValueError
            If `x` is not a single signal that the network accepts, or if `n_maps` is not an int >= 1.
        """
        if not isinstance(n_maps, Integral) or n_maps < 1:
            raise ValueError(f"n_maps must be an int >= 1; got {n_maps!r}.")
        layers = [layer for _, layer in fitted_layers(feature_map)]
        maps = _as_batch(x, layers[0], same_space=has_one_size(feature_map))
        for layer in layers:
            maps = layer.transform(maps)
        strength = np.linalg.norm(maps.reshape(-1, maps.shape[-1]), axis=0)
        channels = np.argsort(-strength, kind="stable")[:n_maps]
        return cls(maps=maps[0][..., channels], channels=channels).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the channels on a common scale, as images from dark to bright or as curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : FeatureMapDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax, signals = self._set_axes(ax), np.moveaxis(np.asarray(self.maps), -1, 0)[..., None]
        low, high = min(signals.min(), 0), max(signals.max(), 0)
        names = self.channels if len(signals) <= MANY_MAPS else ()
        image = draw_grid(ax, signals, low, high if low < high else 1, "viridis", names)
        self.colorbar_ = None if image is None else self.figure_.colorbar(image, ax=ax)
        return self


def _as_batch(x, layer, same_space):  # (1, *space, n_channels)
    """Check that ``x`` is a single signal, and return it as a batch of one signal for the layer."""
    signal, (*space, n_channels) = np.asarray(as_rows(x, "x")), layer.input_shape_
    if layer._flattened and signal.shape == (layer.n_features_in_,):
        signal = signal.reshape(layer.input_shape_)
    if n_channels == 1 and signal.ndim == len(space):
        signal = signal[..., None]
    fixed = same_space or layer._flattened
    if signal.ndim != len(space) + 1 or signal.shape[-1] != n_channels or (fixed and list(signal.shape[:-1]) != space):
        expected = ", ".join(map(str, space if fixed else parameters.AXES[len(space)]))
        raise ValueError(
            f"x must be a single signal of shape ({expected}, {n_channels}), like the signals seen in fit; got shape "
            f"{np.shape(x)}. For the first signal of a batch X, pass X[0]."
        )
    return signal[None]
