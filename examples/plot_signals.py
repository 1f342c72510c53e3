"""
Time series: events anywhere
============================

A pulse, similar to a heartbeat, occurs somewhere in a noisy series of two channels, and its shape is the class. The
more its position varies, the less informative are the values at fixed positions. A network detects the shape wherever
it is, and the pooling of its last layer determines how much of the position is kept.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy.ndimage import gaussian_filter1d
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import AutoCKNClassifier, CKNFeatureMap, CKNLayer, LinearClassifier

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
# There are 200 training series and 600 test series. The baseline is a support vector machine of the values. It is
# compared with networks with three widths of pooling, and with `AutoCKNClassifier`, which chooses several networks and
# their pooling by cross-validation on the training series.

spreads, widths = [0, 20, 40, 80], [8, 32, length]
labels = {"values": "values", **{width: f"pooled over {width}" for width in widths}, "chosen": "chosen"}
errors = {name: [] for name in labels}
for spread in spreads:
    rng = np.random.default_rng(1)
    (X_train, y_train), (X_test, y_test) = make_series(200, spread, rng), make_series(600, spread, rng)
    models = {
        "values": GridSearchCV(SVC(), {"C": [0.1, 1, 10, 100]}, cv=5),
        "chosen": AutoCKNClassifier("fast", ndim=1, n_jobs=2, random_state=0),
        **{width: network(width) for width in widths},
    }
    for name, model in models.items():
        rows = [X.reshape(len(X), -1) if name == "values" else X for X in (X_train, X_test)]
        errors[name].append(100 * (1 - model.fit(rows[0], y_train).score(rows[1], y_test)))
print("test error in percent, by the largest distance of a pulse from the middle")
print(f"  {'':<20}" + "".join(f"{spread:>7}" for spread in spreads))
for name, label in labels.items():
    print(f"  {label:<20}" + "".join(f"{error:7.1f}" for error in errors[name]))

# %%
# The next figure shows which positions of a test series contribute to the score of its class. The last network averages
# its map over the whole series, so its score is an average over positions: that of the map before pooling, weighted by
# the coefficients of the classifier. To compute this map, `init` creates the second layer again, without pooling. White
# stands for the median contribution or less. Noise also contributes at some positions, and so do the margins, because
# the series are padded with zeros.

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
# If the pulses do not move, a mean over the whole series makes more errors than the other models, because it ignores
# the position. If they move far, it makes the fewest errors of the three networks, and the values at fixed positions
# are of little use. `AutoCKNClassifier` adapts its pooling to the data.

figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
colors = dict(zip(labels, ("0.6", *plt.cm.viridis([0.8, 0.5, 0.15]), "tab:orange")))
height = -np.inf
for name in sorted(labels, key=lambda name: errors[name][-1]):
    ax.plot(spreads, errors[name], "o-", color=colors[name])
    height = max(height + 2.2, errors[name][-1])  # of the label: not on another
    ax.text(spreads[-1] + 2, height, labels[name], color=colors[name], va="center")
ax.set(xlabel="largest distance from the middle, in positions", ylabel="test error, %", xticks=spreads, xlim=(-2, 105))
ax.spines[["top", "right"]].set_visible(False)
plt.show()
