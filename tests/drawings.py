"""Helpers for the tests of displays: they draw a figure, and cut a grid into its tiles."""

import numpy as np


def drawn(display):
    """Return the display after matplotlib has drawn it, which fails on any warning."""
    display.figure_.canvas.draw()
    assert display.figure_ is display.ax_.figure
    return display


def tiles(display, height, width):
    """Return the tiles of a grid, (m, height, width) or (m, height, width, 4), and check that its gaps are empty."""
    (image,) = display.ax_.images
    image = np.ma.filled(image.get_array(), np.nan)
    gap = np.full((1, *image.shape[1:]), np.nan if image.ndim == 2 else 0)
    image = np.concatenate([image, gap])
    image = np.concatenate([image, np.broadcast_to(gap[:, :1], (len(image), 1, *image.shape[2:]))], axis=1)
    rows, columns = image.shape[0] // (height + 1), image.shape[1] // (width + 1)
    cells = image.reshape(rows, height + 1, columns, width + 1, *image.shape[2:]).swapaxes(1, 2)
    for between in (cells[:, :, -1], cells[:, :, :, -1]):
        assert np.isnan(between).all() if image.ndim == 2 else not between.any()
    return cells[:, :, :-1, :-1].reshape(-1, height, width, *image.shape[2:])
