"""
What the filters look for
=========================

A filter of the first layer is a patch and can be drawn. A filter of the second layer is made of channels of the first,
and cannot. But one can ask which parts of the photographs excite it most.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_sample_images
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNLayer
from sklearn_ckn.inspection import FeatureMapDisplay, FilterDisplay

photographs = np.stack(load_sample_images().images)[:, :426] / np.float32(255)
photographs = photographs.reshape(2, 213, 2, 320, 2, 3).mean(axis=(2, 4))  # half the size: (2, 213, 320, 3)

# %%
# Two layers learn from both photographs, without labels. `padding="valid"` leaves out patches across the border. The
# first layer keeps one position in two, and a patch of 5 x 5 such positions sees 17 x 17 pixels: four steps of 2
# pixels, 2 pixels of pooling on each side, and 2 of the first layer's patches.

settings = {"patch_size": 5, "padding": "valid", "n_patches": 20_000, "random_state": 0, "n_jobs": 2}
first = CKNLayer(36, patch_centering=True, **settings)
network = make_pipeline(first, CKNLayer(64, pooling_width=1, **settings))
second_maps = network.fit_transform(photographs)[:, 1:-1, 1:-1]  # at the margins, pooling reaches beyond the map
first_maps = clone(first).set_params(init=first.filters_, pooling_width=1).fit_transform(photographs)


def best_patches(responses, step, size, n_patches=8):
    """The parts of the photographs where a channel is largest, none of which overlaps another."""
    left, patches, reach = responses.copy(), [], -(-size // step)
    while len(patches) < n_patches:
        k, i, j = np.unravel_index(left.argmax(), left.shape)
        left[k, max(i - reach + 1, 0) : i + reach, max(j - reach + 1, 0) : j + reach] = -np.inf
        patches.append(photographs[k, step * i : step * i + size, step * j : step * j + size])
    return np.array(patches)


# %%
# Every third of the filters, from those with the largest responses on. Rows on the left begin with the filter itself,
# grey where it is 0: edges and lines. The best parts for a filter of the second layer resemble each other less as
# pixels: roofs and rims of petals stand in one row where their shapes agree, whatever their colours.


def likeness(patches):
    """The mean correlation of two patches of one row."""
    rows = patches.reshape(*patches.shape[:2], -1)
    rows = rows - rows.mean(axis=-1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    n = rows.shape[1]
    return ((rows @ rows.swapaxes(1, 2)).sum(axis=(1, 2)) - n).mean() / (n * (n - 1))


figure, axes = plt.subplots(1, 2, figsize=(11, 5.4), width_ratios=[1.12, 1], layout="constrained")
print("mean correlation of the pixels of two patches")
for ax, name, maps, step, size in zip(axes, ("first", "second"), (first_maps, second_maps), (1, 2), (5, 17)):
    shown = np.argsort(-maps.max(axis=(0, 1, 2)))[:27:3]
    mosaic = np.array([best_patches(maps[..., channel], step, size) for channel in shown])
    of_one, of_several = likeness(mosaic), likeness(mosaic.swapaxes(0, 1))
    print(f"  {name + ' layer':<12} best ones of a filter {of_one:5.2f}   of different filters {of_several:5.2f}")
    if name == "first":
        filters = first.filters_[shown]
        filters = 0.5 + 0.5 * filters / np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
        mosaic = np.concatenate([filters[:, None], mosaic], axis=1)
    for row, column in np.ndindex(mosaic.shape[:2]):
        x, y = 1.1 * column + 0.3 * (name == "first" and column > 0), -1.1 * row
        ax.imshow(mosaic[row, column], extent=(x, x + 1, y - 1, y))
    ax.autoscale()
    ax.set_axis_off()
    ax.set_title(f"{name} layer, {size} x {size} pixels")

# %%
# `FilterDisplay` draws all filters of the first layer, and `FeatureMapDisplay` the channels of the second layer that
# respond most to one photograph, with their numbers.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
FilterDisplay.from_estimator(first, ax=left)
FeatureMapDisplay.from_estimator(network, photographs[0], n_maps=12, ax=right)
left.set_title("all filters of the first layer")
right.set_title("channels of the second layer")
plt.show()
