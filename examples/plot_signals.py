"""
Time series: events anywhere
============================

A pulse like that of a heart lies somewhere in a noisy series of two channels, and its shape is the class. The more its
place varies, the less the values at fixed positions tell. A network sees the shape wherever it is, and the pooling of
its last layer decides how much of the place it keeps.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy.ndimage import gaussian_filter1d
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
from sklearn_ckn.presets import make_classifier

length = 256
narrow = [[-24, 5], [-5, 1.8], [0, 2.2], [5, 2], [30, 7]]  # centres and widths of the waves in a pulse
shapes = {  # these, and heights of the waves in two channels
    "regular": (narrow, [[0.25, -0.1], [-0.2, -0.3], [1.2, 0.7], [-0.35, -0.5], [0.55, 0.4]]),
    "inverted": (narrow, [[0.25, -0.1], [-0.2, -0.3], [1.2, 0.7], [-0.35, -0.5], [-0.55, -0.4]]),
    "broad": ([[0, 6], [14, 6], [34, 8]], [[1, -0.4], [-0.45, -0.7], [-0.25, 0.2]]),
}


def make_series(n, spread, rng):
    """Series (n, 256, 2), each with a pulse at most `spread` positions away from the middle, and their classes."""
    y = rng.integers(len(shapes), size=n)
    drift = rng.normal(scale=0.015, size=(n, length, 2)).cumsum(axis=1)
    X = drift + rng.normal(scale=0.3, size=drift.shape)
    for series, kind in zip(X, y):
        places, heights = list(shapes.values())[kind]
        centres, widths = np.transpose(places)
        time = np.arange(length)[:, np.newaxis] - length / 2 - rng.uniform(-spread, spread)
        series += rng.uniform(0.8, 1.2) * np.exp(-(((time - centres) / widths) ** 2) / 2) @ heights
    return X.astype(np.float32), y


def network(pooling_width):
    """Two layers, whose last map has means over so many positions of the series, and a linear classifier."""
    settings = {"patch_size": 9, "n_patches": 5_000, "ndim": 1, "random_state": 0}
    first = CKNLayer(32, pooling_width=4, patch_centering=True, **settings)
    second = CKNLayer(64, pooling_width=pooling_width // 4, pooling="average", **settings)
    features = CKNFeatureMap(make_pipeline(first, second), center=True, scale=True, n_jobs=2)
    return make_pipeline(features, LinearClassifier(C=[0.1, 1, 10, 100], random_state=0))


# %%
# 200 series to learn from, 600 for the test. A support vector machine of the values is the plain baseline. Beside it
# are networks with three widths of pooling, and the recipe `"balanced"` of `presets`, which is made of three networks.

spreads, widths = [0, 20, 40, 80], [8, 32, length]
labels = {"values": "values", **{width: f"pooled over {width}" for width in widths}, "recipe": "recipe"}
errors = {name: [] for name in labels}
for spread in spreads:
    rng = np.random.default_rng(1)
    (X_train, y_train), (X_test, y_test) = make_series(200, spread, rng), make_series(600, spread, rng)
    models = {
        "values": GridSearchCV(SVC(), {"C": [0.1, 1, 10, 100]}, cv=5),
        "recipe": make_classifier("balanced", (length, 2), ndim=1, n_jobs=2, random_state=0),
        **{width: network(width) for width in widths},
    }
    for name, model in models.items():
        rows = [X.reshape(len(X), -1) if name == "values" else X for X in (X_train, X_test)]
        errors[name].append(100 * (1 - model.fit(rows[0], y_train).score(rows[1], y_test)))
print("test error in percent, of pulses at most so far from the middle")
print(f"  {'':<20}" + "".join(f"{spread:>7}" for spread in spreads))
for name, label in labels.items():
    print(f"  {label:<20}" + "".join(f"{error:7.1f}" for error in errors[name]))

# %%
# What speaks for the class of a test series, and where. The last network's pooling is a mean over the whole series, and
# so is its score: the map before that pooling, weighed by the classifier, gives it place by place. `init` makes the
# second layer again, without pooling. White is what the median position has, or less. Here and there noise speaks, too,
# and margins, beyond which layers see zeros.

features, classifier = models[length]
first, second = features.network_
unpooled = CKNLayer(64, patch_size=9, pooling_width=1, init=second.filters_, ndim=1).fit(first.transform(X_train))
maps = unpooled.transform(first.transform(X_test))
scores = ((maps - maps.mean(axis=2, keepdims=True)) * classifier.coef_[y_test, np.newaxis]).sum(axis=2)
scores = gaussian_filter1d(scores, 1, axis=1)

shades = LinearSegmentedColormap.from_list("shades", ["white", "#fdd7a0", "#fc9a52"])
figure, axes = plt.subplots(2, 3, figsize=(9, 5.8), layout="constrained")
for kind, (name, column) in enumerate(zip(shapes, axes.T)):
    column[0].set_title(name, fontsize=16)
    for ax, sample in zip(column, np.flatnonzero(y_test == kind)):
        image = ax.imshow(scores[[sample]], cmap=shades, extent=(0, length, -4.2, 2.6), interpolation="bilinear")
        image.set_clim(vmin=np.median(scores[sample]))
        ax.plot(X_test[sample] + [0, -2.2], color="0.15", linewidth=1.2)
        ax.set(xlim=(0, length - 1), ylim=(-4.2, 2.6), xticks=[], yticks=[], aspect="auto")
        ax.spines[:].set_visible(False)

# %%
# Where pulses do not move, only a mean over everything makes errors, as it loses what their place tells. Where they
# move far it is the other way round, and values at fixed positions tell little. The recipe pools over thirds.

figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
colors = dict(zip(labels, ("0.6", *plt.cm.viridis([0.8, 0.5, 0.15]), "tab:orange")))
height = -np.inf
for name in sorted(labels, key=lambda name: errors[name][-1]):
    ax.plot(spreads, errors[name], "o-", color=colors[name])
    height = max(height + 2.2, errors[name][-1])  # of the label: not on another
    ax.text(spreads[-1] + 2, height, labels[name], color=colors[name], va="center")
ax.set(xlabel="positions from the middle, at most", ylabel="test error, %", xticks=spreads, xlim=(-2, 105))
ax.spines[["top", "right"]].set_visible(False)
plt.show()
