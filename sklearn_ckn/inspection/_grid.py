"""Drawing of filters and maps side by side in a grid."""

from math import ceil, sqrt

import numpy as np

GAP = 0.15  # gap between tiles, relative to a tile's longer side; narrower gaps would vanish between many small tiles


def draw_grid(ax, signals, low, high, cmap, names=()):  # (m, *space, 1 or 3)
    """Draw signals with values from ``low`` to ``high`` in a grid. Return the image, or None for curves."""
    ax.set_axis_off()
    if signals.ndim == 3:
        return _draw_curves(ax, signals / (high - low), names)
    tiles = _as_images(signals)
    return _draw_tiles(ax, tiles if tiles.shape[-1] == 1 else (tiles - low) / (high - low), low, high, cmap, names)


def _as_images(signals):  # (m, [depth,] height, width, c) -> (m, height, depth * width, c)
    """Place the slices of volumes side by side."""
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


def _mosaic(tiles, n_rows, n_columns):  # (n_rows * (height + 1) - 1, n_columns * (width + 1) - 1[, 4])
    """Arrange tiles in rows, separated by gaps of NaN or, for colour tiles, of transparent pixels."""
    m, height, width, c = tiles.shape
    if c == 3:
        tiles = np.concatenate([tiles, np.ones_like(tiles[..., :1])], axis=-1)  # opaque alpha channel
    nothing = np.nan if c == 1 else 0
    cells = np.full((n_rows * n_columns, height + 1, width + 1, tiles.shape[-1]), nothing, dtype=tiles.dtype)
    cells[:m, :-1, :-1] = tiles
    image = cells.reshape(n_rows, n_columns, height + 1, width + 1, -1).swapaxes(1, 2)
    image = image.reshape(n_rows * (height + 1), n_columns * (width + 1), -1)[:-1, :-1]
    return image[..., 0] if c == 1 else image


def _edges(n, size, gap):
    """Return the coordinates of all pixel edges in a row of ``n`` cells that are separated by gaps."""
    return (np.arange(size + 1) + (size + gap) * np.arange(n)[:, None]).ravel()


def _frame(ax, corners, width, height):
    """Draw thin lines around the tiles, because a tile may be as white as the background."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    tiles = [Rectangle(corner, width, height) for corner in corners]
    ax.add_collection(PatchCollection(tiles, facecolor="none", edgecolor="0.5", linewidth=0.3))


def _draw_curves(ax, curves, names):  # (m, length, c), with all values and 0 within an interval of length 1
    """Draw each curve, and a line at 0, in a cell of width and height 1."""
    n_columns = ceil(sqrt(len(curves)))
    for i, curve in enumerate(curves):
        row, column = divmod(i, n_columns)
        x = column + 0.8 * (np.arange(len(curve)) + 0.5) / len(curve)
        ax.plot([column, column + 0.8], [-row, -row], color="0.8", linewidth=0.8)
        for channel, y in enumerate(curve.T):
            ax.plot(x, 0.8 * y - row, color=f"C{channel}", linewidth=1.2, marker="o" if len(curve) == 1 else None)
        for name in names[i : i + 1]:
            ax.text(column, -row, name, color="0.5", size=7, va="top")
    ax.autoscale_view()  # Adapt the limits now, because matplotlib computes the layout before it adapts them.
