"""Figures of filters and maps, side by side."""

from math import ceil, sqrt
from numbers import Integral
from typing import Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import _validation
from .._feature_map import CKNFeatureMap
from .._layer import CKNLayer
from .._network import Network, kind_of
from .._typing import Axes, Rows
from ._display import Display
from ._fitted import fitted_layers

GAP = 0.15  # between tiles, in parts of their longer side; pages lose narrower ones between many small tiles
MANY_MAPS = 64  # the numbers of more would hide them


class FilterDisplay(Display):
    """The filters of a layer, side by side, each of full contrast.

    Of one channel, in grey: black and white are values of opposite sign. Of three channels, as colours, grey where they
    are 0. Of other numbers of channels, the norm over the channels at each position, black where it is 0. Filters of
    one space axis are curves, those of three are cut into slices that lie side by side.

    Parameters
    ----------
    filters : ndarray of shape `(n_filters, *patch_size, n_channels)`
        The filters.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of `ax_`.

    See Also
    --------
    FeatureMapDisplay : What a signal becomes by them.

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
            Where to draw. None: a new figure.

        Returns
        -------
        display : FilterDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError
            `layer` is no `CKNLayer`.
        NotFittedError
            It is not fitted.
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
            Where to draw. None: a new figure.

        Returns
        -------
        display : FilterDisplay
            The display.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        filters = np.asarray(self.filters)
        signed = filters.shape[-1] in (1, 3)
        filters = filters if signed else np.linalg.norm(filters, axis=-1, keepdims=True)
        largest = np.abs(filters).max(axis=tuple(range(1, filters.ndim)), keepdims=True)
        _draw_grid(self._set_axes(ax), filters / np.where(largest > 0, largest, 1), -1 if signed else 0, 1, "gray")
        return self


class FeatureMapDisplay(Display):
    """The channels of one signal's map after the last layer, side by side, the strongest first.

    Each is marked by its number, the index of its filter, unless there are more than 64, and all are on one scale. Maps
    of one space axis are curves.

    Parameters
    ----------
    maps : ndarray of shape `(*space, n_maps)`
        Channels of the map.

    channels : ndarray of shape `(n_maps,)`
        Which ones they are: the indices of their filters.

    Attributes
    ----------
    colorbar_ : matplotlib Colorbar or None
        The scale; None for curves.

    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of `ax_`.

    See Also
    --------
    FilterDisplay : The filters of a layer.

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
        """Find the strongest channels, those of the largest norm, and draw them.

        Parameters
        ----------
        feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
            The fitted network.
        x : array-like of shape `(*space, n_channels)`, `(*space,)` or `(n_features,)`
            One signal; for a `CKNFeatureMap`, or if it is flattened, of the shape seen in `fit`.
        n_maps : int, default=16
            At most so many channels, at least 1.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : FeatureMapDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError
            `feature_map` is something else.
        NotFittedError
            It is not fitted.
        ValueError
            `x` is not one signal that the network accepts; `n_maps` is no int >= 1.
        """
        if not isinstance(n_maps, Integral) or n_maps < 1:
            raise ValueError(f"n_maps must be an int >= 1; got {n_maps!r}.")
        layers = [layer for _, layer in fitted_layers(feature_map)]
        maps = _as_batch(x, layers[0], same_space=isinstance(feature_map, CKNFeatureMap))
        for layer in layers:
            maps = layer.transform(maps)
        strength = np.linalg.norm(maps.reshape(-1, maps.shape[-1]), axis=0)
        channels = np.argsort(-strength, kind="stable")[:n_maps]
        return cls(maps=maps[0][..., channels], channels=channels).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the channels, all on one scale from dark to bright.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : FeatureMapDisplay
            The display.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        ax, signals = self._set_axes(ax), np.moveaxis(np.asarray(self.maps), -1, 0)[..., None]
        low, high = min(signals.min(), 0), max(signals.max(), 0)
        names = self.channels if len(signals) <= MANY_MAPS else ()
        image = _draw_grid(ax, signals, low, high if low < high else 1, "viridis", names)
        self.colorbar_ = None if image is None else self.figure_.colorbar(image, ax=ax)
        return self


def _as_batch(x, layer, same_space):  # (1, *space, n_channels)
    """One signal for the layer, and not several."""
    signal, (*space, n_channels) = np.asarray(x), layer.input_shape_
    if layer._flattened and signal.shape == (layer.n_features_in_,):
        signal = signal.reshape(layer.input_shape_)
    if n_channels == 1 and signal.ndim == len(space):
        signal = signal[..., None]
    fixed = same_space or layer._flattened
    if signal.ndim != len(space) + 1 or signal.shape[-1] != n_channels or (fixed and list(signal.shape[:-1]) != space):
        expected = ", ".join(map(str, space if fixed else _validation.AXES[len(space)]))
        raise ValueError(
            f"x must be one signal like those in fit, of shape ({expected}, {n_channels}); got {np.shape(x)}. Of a "
            f"batch X, X[0] is the first."
        )
    return signal[None]


def _draw_grid(ax, signals, low, high, cmap, names=()):  # (m, *space, 1 or 3)
    """Signals side by side, row by row, their values from ``low`` to ``high``; the image, unless they are curves."""
    ax.set_axis_off()
    if signals.ndim == 3:
        return _draw_curves(ax, signals / (high - low), names)
    tiles = _as_images(signals)
    return _draw_tiles(ax, tiles if tiles.shape[-1] == 1 else (tiles - low) / (high - low), low, high, cmap, names)


def _as_images(signals):  # (m, [depth,] height, width, c) -> (m, height, depth * width, c)
    """The slices of a volume beside each other."""
    m, *_, height, _, c = signals.shape
    return np.moveaxis(signals, -3, 1).reshape(m, height, -1, c)


def _draw_tiles(ax, tiles, low, high, cmap, names):  # (m, height, width, 1 or 3), colours from 0 to 1
    m, height, width, _ = tiles.shape
    n_columns = min(m, ceil(sqrt(m * height / width)))
    n_rows, gap = -(-m // n_columns), GAP * max(height, width)
    x, y = _edges(n_columns, width, gap), _edges(n_rows, height, gap)
    image = ax.pcolorfast(x, y, _mosaic(tiles, n_rows, n_columns), cmap=cmap, vmin=low, vmax=high)
    corners = [(x[i % n_columns * (width + 1)], y[i // n_columns * (height + 1)]) for i in range(m)]
    _frame(ax, corners, width, height)
    for (left, top), name in zip(corners, names):
        box = {"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1}
        ax.text(left + gap / 4, top + gap / 4, name, color="white", size=7, va="top", bbox=box)
    ax.set(aspect="equal", xlim=(x[0] - gap, x[-1] + gap), ylim=(y[-1] + gap, y[0] - gap))
    return image


def _mosaic(tiles, n_rows, n_columns):  # (n_rows * (height + 1) - 1, n_columns * (width + 1) - 1), of colours with 4
    """Tiles in rows, nothing between them: NaN or, for colours, a transparent one."""
    m, height, width, c = tiles.shape
    if c == 3:
        tiles = np.concatenate([tiles, np.ones_like(tiles[..., :1])], axis=-1)  # opaque
    nothing = np.nan if c == 1 else 0
    cells = np.full((n_rows * n_columns, height + 1, width + 1, tiles.shape[-1]), nothing, dtype=tiles.dtype)
    cells[:m, :-1, :-1] = tiles
    image = cells.reshape(n_rows, n_columns, height + 1, width + 1, -1).swapaxes(1, 2)
    image = image.reshape(n_rows * (height + 1), n_columns * (width + 1), -1)[:-1, :-1]
    return image[..., 0] if c == 1 else image


def _edges(n, size, gap):
    """Of the pixels of n cells in a row, and of the gaps between these."""
    return (np.arange(size + 1) + (size + gap) * np.arange(n)[:, None]).ravel()


def _frame(ax, corners, width, height):
    """Thin lines around the tiles, which may be as white as the page."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    tiles = [Rectangle(corner, width, height) for corner in corners]
    ax.add_collection(PatchCollection(tiles, facecolor="none", edgecolor="0.5", linewidth=0.3))


def _draw_curves(ax, curves, names):  # (m, length, c), 0 and all values at most 1 apart
    """Each in a cell of width and height 1, around a line at 0."""
    n_columns = ceil(sqrt(len(curves)))
    for i, curve in enumerate(curves):
        row, column = divmod(i, n_columns)
        x = column + 0.8 * (np.arange(len(curve)) + 0.5) / len(curve)
        ax.plot([column, column + 0.8], [-row, -row], color="0.8", linewidth=0.8)
        for channel, y in enumerate(curve.T):
            ax.plot(x, 0.8 * y - row, color=f"C{channel}", linewidth=1.2, marker="o" if len(curve) == 1 else None)
        for name in names[i : i + 1]:
            ax.text(column, -row, name, color="0.5", size=7, va="top")
    ax.autoscale_view()  # now: matplotlib's layout reads the limits before they follow the curves
