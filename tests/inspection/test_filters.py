"""The display of filters, as tiles or as curves."""

import numpy as np
from drawings import drawn, tiles
from inspected_networks import DIGITS, layer
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn.inspection import FilterDisplay


def random_filters(*shape):
    return np.random.RandomState(0).randn(*shape)


def full_contrast(filters):
    """Return every filter divided by its largest absolute value."""
    return np.stack([one / np.abs(one).max() for one in filters])


def test_filters_are_drawn_as_tiles(pyplot):
    fitted = layer(7, patch_size=(2, 3), patch_centering=True).fit(DIGITS)
    display = drawn(FilterDisplay.from_estimator(fitted))
    assert display.filters is fitted.filters_
    shown = tiles(display, 2, 3)
    assert_allclose(shown[:7], full_contrast(fitted.filters_[..., 0]), rtol=1e-6)
    assert display.ax_.images[0].get_clim() == (-1, 1)
    assert shown.shape[0] == 9 and np.isnan(shown[7:]).all()
    (frames,) = display.ax_.collections
    boxes = [frame.get_extents().bounds for frame in frames.get_paths()]
    assert len(boxes) == 7 and not display.ax_.axison and display.ax_.get_aspect() == 1
    assert_allclose(boxes[0], [0, 0, 3, 2])
    assert_allclose(boxes[4], [3.45, 2.45, 3, 2])  # second row and column; gaps are 15 % of the longer side, 3


def test_several_channels_are_drawn_as_colours_or_norms(pyplot):
    filters = random_filters(5, 3, 3, 3)
    colours = tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 3)
    assert_allclose(colours[:5, ..., :3], (full_contrast(filters) + 1) / 2, rtol=1e-12)
    assert (colours[:5, ..., 3] == 1).all() and (colours[5:] == 0).all()
    filters = random_filters(4, 3, 2, 6)
    norms = np.sqrt((filters**2).sum(axis=-1))
    assert_allclose(tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 2)[:4], full_contrast(norms), rtol=1e-12)


def test_few_tall_or_zero_filters(pyplot):
    for filters in (random_filters(1, 3, 3, 1), random_filters(2, 9, 1, 1)):
        shown = tiles(drawn(FilterDisplay(filters=filters.tolist()).plot()), *filters.shape[1:3])
        assert_allclose(shown, full_contrast(filters[..., 0]), rtol=1e-12)  # no cell is empty
    drawn(FilterDisplay(filters=np.zeros((2, 3, 3, 1))).plot())
    (line, curve) = drawn(FilterDisplay(filters=random_filters(1, 1, 1)).plot()).ax_.lines
    assert curve.get_marker() == "o" and np.abs(curve.get_ydata()) == 0.4
    assert_array_equal(line.get_xdata(), [0, 0.8])


def test_volumes_are_drawn_as_slices_and_series_as_curves(pyplot):
    filters = random_filters(4, 2, 3, 5, 1)
    slices = tiles(drawn(FilterDisplay(filters=filters).plot()), 3, 10)[:4].reshape(4, 3, 2, 5).swapaxes(1, 2)
    assert_allclose(slices, full_contrast(filters[..., 0]), rtol=1e-12)
    filters = random_filters(5, 8, 3)
    lines = drawn(FilterDisplay(filters=filters).plot()).ax_.lines
    assert len(lines) == 5 * (1 + 3)  # a line at zero and three channels
    first = [line.get_ydata() for line in lines[1:4]]
    assert_allclose(first, 0.4 * full_contrast(filters)[0].T, rtol=1e-12)
    assert all(line.get_ydata().min() >= -1.4 and line.get_ydata().max() <= 0.4 for line in lines)
