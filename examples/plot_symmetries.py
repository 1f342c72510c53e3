"""
Symmetries: images without an orientation
=========================================

Some images have no preferred orientation, such as micrographs and aerial photographs. This example imitates them by
handwritten digits that are rotated by a random number of quarter turns. Features that are averaged over the four
quarter turns are the same for all orientations of an image, so a classifier does not have to learn every orientation
from examples.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier

rng = np.random.default_rng(0)
digits = load_digits(n_class=9)  # without the nine, which looks like a rotated six
images, y = digits.images.astype(np.float32), digits.target
X = np.stack([np.rot90(image, turns) for image, turns in zip(images, rng.integers(4, size=len(images)))])


def feature_map(symmetries):
    """Return a network of two layers whose features are averaged over a group of symmetries."""
    settings = {"n_patches": 5_000, "random_state": 0}
    first = CKNLayer(16, pooling_width=1, patch_centering=True, **settings)
    network = make_pipeline(first, CKNLayer(64, n_positions=4, **settings))
    return CKNFeatureMap(network, symmetries=symmetries, center=True, scale=True)


def four_turns(X, y):
    """Return the images in all four orientations, and their classes."""
    return np.concatenate([np.rot90(X, turns, axes=(1, 2)) for turns in range(4)]), np.tile(y, 4)


# %%
# Three classifiers learn from 50 to 400 images. The first two have plain features, and the second also learns from all
# four orientations of every training image. The third has averaged features. The errors are means over three random
# training sets, on 800 other images.

ways = {
    "plain features": (None, False),
    "plain features, rotated copies": (None, True),
    "averaged features": ("rotate", False),
}
numbers, n_draws, errors = [50, 100, 200, 400], 3, {}
for name, (symmetries, copies) in ways.items():
    errors[name] = np.zeros(len(numbers))
    for seed in range(n_draws):
        order = np.random.default_rng(seed).permutation(len(X))
        test = order[-800:]
        for k, n in enumerate(numbers):
            train = X[order[:n]], y[order[:n]]
            classifier = LinearClassifier("squared_error", C=100, random_state=0)
            model = make_pipeline(feature_map(symmetries), classifier).fit(*(four_turns(*train) if copies else train))
            errors[name][k] += 100 * (1 - model.score(X[test], y[test])) / n_draws
print("test error in percent")
print(f"  {'training images':<30}" + "".join(f"{n:>6}" for n in numbers))
for name, values in errors.items():
    print(f"  {name:<30}" + "".join(f"{value:6.1f}" for value in values))

# %%
# The figure shows a digit in its four orientations, another image of the same digit and an image of another digit,
# with the distances of their features from those of the first image. The rows of features have norm 1. Averaged
# features of the four orientations are the same, bit for bit. Plain features of the digit and of the same digit after a
# quarter turn differ more than plain features of images of two different digits. Rotated copies of the training images
# make up for most of this, but there are four times as many images to learn from. Averaged features lead to fewer
# errors, and take four times as long to compute as plain features.

first, same, other = images[y == 7][0], images[y == 7][1], images[y == 4][0]
shown = np.stack([*(np.rot90(first, turns) for turns in range(4)), same, other])
distances = {}
for name, symmetries in (("plain", None), ("averaged", "rotate")):
    rows = feature_map(symmetries).fit(X[:400]).transform(shown)
    distances[name] = np.linalg.norm(rows - rows[0], axis=1)
print("distance from the first image")
for name, values in distances.items():
    print(f"  {name:<10}" + "".join(f"{value:6.2f}" for value in values))

figure = plt.figure(figsize=(11, 5.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1, 1.6])
for k, (ax, image) in enumerate(zip(above.subplots(1, len(shown)), shown)):
    ax.imshow(image, cmap="gray_r", interpolation="bicubic")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel("\n".join(f"{name} {values[k]:.2f}" for name, values in distances.items()))
ax = below.subplots()
for (name, values), color in zip(errors.items(), ("0.6", "tab:orange", "tab:blue")):
    ax.plot(numbers, values, "o-", color=color, label=name)
ax.set(xlabel="training images", ylabel="test error, %", xscale="log", xticks=numbers, xticklabels=numbers)
ax.set_ylim(bottom=0)
ax.minorticks_off()
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
