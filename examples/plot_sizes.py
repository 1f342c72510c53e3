"""
Images of different sizes
=========================

If the last layer of a network has a fixed number of positions, the network gives images of all sizes the same number of
features, and a list of images can be passed as it is. The alternative is to resize all images to one size. Two sets of
images show when each is better: grains of a material, whose size in pixels distinguishes the classes, and handwritten
digits, whose size is arbitrary.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier

digits, labels = load_digits(return_X_y=True)
rng = np.random.default_rng(0)


def make_grains(y):
    """Return noisy images of 16 to 48 pixels a side, with fine, medium or coarse grains."""
    images = []
    for width in np.array([1, 1.4, 2])[y]:
        shape = rng.integers(16, 49, size=2)
        smooth = gaussian_filter(rng.normal(size=shape), width)
        images.append((np.sign(smooth) + rng.normal(scale=0.4, size=shape)).astype(np.float32))
    return images


def make_digits(indices):
    """Return handwritten digits that are stretched to 8 to 24 pixels a side."""
    images = digits[indices].reshape(-1, 8, 8).astype(np.float32) / 16
    return [zoom(image, rng.uniform(1, 3, size=2), order=1) for image in images]


def resize(images, side=32):
    """Return an array of images that are stretched or shrunk to one size."""
    return np.stack([zoom(image, side / np.array(image.shape), order=1) for image in images])


kinds, indices = rng.integers(3, size=1000), rng.permutation(len(digits))[:1000]
names = {"grains": ("fine", "medium", "coarse"), "digits": (0, 1, 2)}
data = {"grains": (make_grains(kinds), kinds), "digits": (make_digits(indices), labels[indices])}

# %%
# The network gives every image ``n_positions`` x ``n_positions`` vectors, each of which describes one part of the
# image. `n_positions` is chosen by cross-validation on 150 images, separately for the lists and for the resized images,
# and the other 850 images are the test set. scikit-learn splits lists as it splits arrays.

settings = {"patch_size": 3, "n_patches": 2_000, "random_state": 0}
network = make_pipeline(CKNLayer(32, **settings), CKNLayer(64, n_positions=1, **settings))
features = CKNFeatureMap(network, center=True, scale=True)
model = make_pipeline(features, LinearClassifier(C=10, random_state=0))
numbers, curves = [1, 2, 4], {}
print("accuracy on 850 test images, and the number of positions that was chosen")
for name, (images, y) in data.items():
    for way, X in (("own sizes", images), ("resized", resize(images))):
        search = GridSearchCV(model, {"cknfeaturemap__network__cknlayer-2__n_positions": numbers}, cv=3)
        search.fit(X[:150], y[:150])
        curves[name, way] = search.cv_results_["mean_test_score"]
        score, chosen = search.score(X[150:], y[150:]), numbers[search.best_index_]
        print(f"  {name}, {way:<12}{score:.3f}   {chosen} x {chosen}")

# %%
# The figure shows six images of each set in their own sizes and resized, all drawn to the same scale, and the
# accuracies in cross-validation. Resizing can make the fine grains of a small image as large as the coarse grains of a
# large image, so the classes become hard to tell apart. Digits are recognised better if they are resized, because all
# digits, and all strokes, then have about the same size. Grains are everywhere in an image, so a single position, which
# is a weighted mean over the whole image, is best for them. A digit is recognised by the places of its strokes, which
# requires several positions.

figure = plt.figure(figsize=(11, 6.4), layout="constrained")
for row, (name, (images, y)) in zip(figure.subfigures(2, 1), data.items()):
    left, right = row.subfigures(1, 2, width_ratios=[2.4, 1])
    shown = np.concatenate([np.flatnonzero(y[:100] == kind)[:2] for kind in range(3)])
    ways = {"own sizes": images, "resized": resize(images[:100])}
    for axes, (way, X) in zip(left.subplots(2, 6), ways.items()):
        axes[0].set_ylabel(way)
        for ax, k in zip(axes, shown):
            height, width = X[k].shape
            ax.imshow(X[k], cmap="gray", extent=(-width / 2, width / 2, -height / 2, height / 2))
            ax.set(xlim=(-24, 24), ylim=(-24, 24), xticks=[], yticks=[])
            ax.set_title(names[name][y[k]] if way == "own sizes" else None)
            ax.spines[:].set_visible(False)
    ax = right.subplots()
    for way, color in (("own sizes", "tab:blue"), ("resized", "0.6")):
        ax.plot(numbers, curves[name, way], "o-", color=color, label=way)
    ax.set(title=name, xlabel="positions along each axis", ylabel="accuracy", xticks=numbers, ylim=(0.5, 1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
plt.show()
