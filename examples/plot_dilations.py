"""
Dilations: patterns at several scales
=====================================

The patches of a dilated layer consist of every second, fourth or eighth value of a time series: they span more time
steps, but contain no more values. Four networks with the dilations 1, 2, 4 and 8 side by side are compared with
networks that have one dilation and the same number of filters in total. Every series contains waves of four widths, and
the class is the width of the wave that is upside down.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline, make_union

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier

length, widths = 256, np.array([4, 8, 16, 32])


def make_series(n, rng):
    """Return noisy series, the index of the width of each inverted wave, and the centre of this wave."""
    y = rng.integers(len(widths), size=n)
    signs = 1 - 2 * np.eye(len(widths))[y]  # (n, 4)
    centres = rng.uniform(2 * widths, length - 2 * widths, size=signs.shape)
    u = (np.arange(length)[:, np.newaxis, np.newaxis] - centres) / widths  # (length, n, 4)
    waves = 5 * widths**-0.25 * u * np.exp(-2 * u**2)
    X = (signs * waves).sum(axis=2).T + rng.normal(scale=0.12, size=(n, length))
    return X.astype(np.float32), y, centres[np.arange(n), y]


rng = np.random.default_rng(0)
(X_train, y_train, _), (X_test, y_test, places) = make_series(300, rng), make_series(1000, rng)

# %%
# The features of every network are means over the whole series, because the waves may be anywhere. With a dilation of
# 8, a patch of 5 values extends over 33 values of the series. For comparison, one more network has patches of 33 values
# and no dilation.


def network(n_filters, dilation, patch_size=5):
    """Return the feature map of one layer, whose map is averaged over all positions."""
    patches = {"patch_size": patch_size, "dilation": dilation, "n_patches": 5_000}
    layer = CKNLayer(n_filters, **patches, pooling="average", n_positions=1, ndim=1, random_state=0)
    return CKNFeatureMap(layer, center=True, scale=True)


dilations = [1, 2, 4, 8]
features = {f"dilation {dilation}": network(128, dilation) for dilation in dilations}
features["patches of 33"] = network(128, 1, patch_size=33)
features["all dilations"] = make_union(*[network(32, dilation) for dilation in dilations])
recalls = {}
print("test accuracy, and accuracy for each width of the inverted wave")
print(f"  {'':<15}  all" + "".join(f"{width:>8}" for width in widths))
for name, transformer in features.items():
    model = make_pipeline(transformer, LinearClassifier(C=100, random_state=0)).fit(X_train, y_train)
    correct = model.predict(X_test) == y_test
    recalls[name] = [correct[y_test == kind].mean() for kind in range(len(widths))]
    print(f"  {name:<15}{correct.mean():.3f}" + "".join(f"{recall:8.3f}" for recall in recalls[name]))

# %%
# The figure shows one series of each class, with the inverted wave in blue, and the accuracy on the test series by the
# width of that wave. With one dilation, the accuracy is high for some widths and lower for others. All dilations
# together recognise waves of all widths, although each dilation has only a quarter of the filters. Patches of 33 values
# are almost as good, but have nearly seven times as many values to multiply.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=[1.1, 1], layout="constrained")
time = np.arange(length)
for kind, width in enumerate(widths):
    k = np.flatnonzero(y_test == kind)[0]
    series = X_test[k] - 6 * kind
    left.plot(series, color="0.6", linewidth=1)
    inside = np.abs(time - places[k]) < 1.5 * width
    left.plot(time[inside], series[inside], color="tab:blue")
left.set(xlabel="time", yticks=-6 * np.arange(len(widths)), yticklabels=widths, ylabel="width of the inverted wave")
left.spines[["top", "right", "left"]].set_visible(False)
left.tick_params(axis="y", length=0)
table = np.array(list(recalls.values()))
right.imshow(table, cmap="viridis", vmin=0.25, vmax=1, aspect="auto")
for (i, j), recall in np.ndenumerate(table):
    right.text(j, i, f"{recall:.2f}", ha="center", va="center", color="white" if recall < 0.7 else "black")
right.set(xlabel="width of the inverted wave", xticks=range(len(widths)), xticklabels=widths, title="accuracy")
right.set_yticks(range(len(recalls)), recalls)
right.spines[:].set_visible(False)
right.tick_params(length=0)
plt.show()
