"""
Colours: photographs in another light
=====================================

Whitening removes from a photograph what neighbouring pixels have in common, including the colour of the light. This
example compares networks of whitened tiles with networks of unwhitened tiles and with histograms of colours, on test
tiles under another light than the training tiles.
"""

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_sample_images
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_ckn import AutoCKNClassifier, PatchWhitening

photographs = np.array(load_sample_images().images, dtype=np.float32) / 255  # a tower and a flower, (2, 427, 640, 3)
size = 24


def make_tiles(columns):
    """All tiles of these columns of both photographs, none over another, and which photograph they are from."""
    windows = sliding_window_view(photographs[:, :, columns], (size, size), axis=(1, 2))[:, ::size, ::size]
    X = np.moveaxis(windows, 3, -1).reshape(-1, size, size, 3)
    return X, np.repeat([0, 1], len(X) // 2)


def dim(X, share, rng):
    """Every image in a light of its own: each of the three channels loses a random part, at most this share."""
    return X * rng.uniform(1 - share, 1, size=(len(X), 1, 1, 3)).astype(np.float32)


X_train, y_train = make_tiles(slice(0, 320))
X_test, y_test = make_tiles(slice(320, 640))

# %%
# With ``whiten=True``, the classifier considers only networks of whitened tiles, and with ``whiten=False``, only
# networks of unwhitened ones. A random forest of histograms of 6 x 6 x 6 colours is the third model. All models are
# fitted to tiles in the original light.


def histograms(X):
    return [np.histogramdd(tile.reshape(-1, 3), bins=6, range=[(0, 1)] * 3)[0].ravel() for tile in X]


models = {
    "whitened": AutoCKNClassifier("fast", whiten=True, n_jobs=2, random_state=0),
    "not whitened": AutoCKNClassifier("fast", whiten=False, n_jobs=2, random_state=0),
    "histograms": make_pipeline(FunctionTransformer(histograms), RandomForestClassifier(300, random_state=0)),
}
shares, rng = [0, 0.2, 0.4, 0.6, 0.8], np.random.default_rng(0)
tests = [dim(X_test, share, rng) for share in shares]
scores = {}
for name, model in models.items():
    model.fit(X_train, y_train)
    scores[name] = [model.score(X, y_test) for X in tests]
print(f"accuracy on {len(X_test)} test tiles, by the share of light that a channel may lose")
print(f"  {'':<16}" + "".join(f"{share:>7}" for share in shares))
for name, values in scores.items():
    print(f"  {name:<16}" + "".join(f"{value:7.3f}" for value in values))

# %%
# Whitening a photograph in three different lights keeps the edges and removes the light. The last two rows show the
# filters of the first layer, which were learned from whitened tiles: they are edges between light and dark or between
# two colours.

lights = np.array([[1, 1, 1], [1, 0.65, 0.4], [0.5, 0.75, 1]], dtype=np.float32)
lit = photographs[1][::2, ::2] * lights[:, np.newaxis, np.newaxis]
white = PatchWhitening().fit_transform(lit)
whitening, features = models["whitened"].feature_map_["branches"]["whitened"]
filters = features.network_[0].filters_

figure = plt.figure(figsize=(11, 6.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[3.6, 1])
axes = above.subplots(2, 3)
for row, name, images in zip(axes, ("photograph", "whitened"), (lit, (0.5 + 0.25 * white).clip(0, 1))):
    row[0].set_ylabel(name, fontsize=13)
    for ax, image in zip(row, images):
        ax.imshow(image)
tiny = below.subplots(2, 16)
below.supylabel("filters", fontsize=13)
for ax, patch in zip(tiny.flat, filters):
    ax.imshow(0.5 + patch / (2 * np.abs(patch).max()))
for ax in [*axes.flat, *tiny.flat]:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)

# %%
# In the light of the training tiles, colours are more informative than edges, and whitening costs accuracy. When the
# light changes, whitening keeps the accuracy nearly constant.

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, color in zip(scores, ("tab:blue", "tab:orange", "0.6")):
    ax.plot(shares, scores[name], "o-", color=color)
    ax.text(shares[-1] + 0.02, scores[name][-1], name, color=color, va="center")
ax.set(xlabel="share of light that a channel may lose", ylabel="test accuracy", xticks=shares)
ax.set(xlim=(-0.04, 1.04), ylim=(0.5, 1.01))
ax.spines[["top", "right"]].set_visible(False)
plt.show()
