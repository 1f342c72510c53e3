"""
Textures: the parts of a photograph
===================================

A layer transforms images of any size, and its maps are images again: every position has a vector that tells which
textures are around it. Two layers are learned without labels on small tiles, cut anywhere from a photograph. A linear
classifier then learns from the positions within a few boxes what is sky, water, tree and tower, and tells it of all
others.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap, to_rgba
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ckn import CKNLayer, LinearClassifier

photograph = load_sample_image("china.jpg")[:426].astype(np.float32) / 255  # even: two pixels to a position below
height, width, _ = photograph.shape
rng = np.random.default_rng(0)
corners = zip(rng.integers(0, height - 64, 50), rng.integers(0, width - 64, 50))
tiles = np.stack([photograph[top : top + 64, left : left + 64] for top, left in corners])

# %%
# The first layer gives a vector for every second pixel, and the second layer pools these over several and leaves none
# out: its `subsampling` is 1. The photograph is continued by its mirror image first, since the zeros around it, which
# layers add, are a texture of their own.

margin = 20
layers = make_pipeline(
    CKNLayer(32, patch_size=3, pooling_width=2, n_patches=10_000, n_jobs=2, random_state=0),
    CKNLayer(64, patch_size=3, pooling_width=5, subsampling=1, n_patches=10_000, n_jobs=2, random_state=0),
).fit(tiles)
padded = np.pad(photograph, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
maps = layers.transform(padded[np.newaxis])[0, margin // 2 : -margin // 2, margin // 2 : -margin // 2]
print(f"a photograph of {height} x {width} pixels becomes a map of {maps.shape[0]} x {maps.shape[1]}")

# %%
# Boxes are given by their top, bottom, left and right. The classifier learns from two of each kind and is tested on two
# others, elsewhere in the photograph.

boxes = {
    "sky": [(10, 180, 35, 80), (20, 100, 280, 420), (120, 190, 340, 440), (20, 130, 480, 620)],
    "water": [(245, 285, 375, 455), (290, 316, 10, 70), (250, 285, 475, 535), (297, 315, 372, 410)],
    "trees": [(375, 420, 20, 160), (180, 300, 575, 620), (340, 420, 400, 530), (180, 240, 5, 40)],
    "tower": [(120, 160, 135, 225), (270, 340, 160, 300), (180, 240, 210, 320), (270, 340, 95, 145)],
}


def values(image, part):
    """The vectors of all positions in two boxes of each kind, and the kinds."""
    step = height // len(image)
    X, y = [], []
    for kind, places in enumerate(boxes.values()):
        for top, bottom, left, right in places[part]:
            inside = image[top // step : bottom // step, left // step : right // step]
            X.append(inside.reshape(-1, image.shape[-1]))
            y.append(np.full(len(X[-1]), kind))
    return np.concatenate(X), np.concatenate(y)


smooth = gaussian_filter(photograph, (5, 5, 0), mode="reflect")
segmented = {}
print("accuracy in the other boxes, mean of the four kinds")
for name, image in (("colours", photograph), ("smoothed colours", smooth), ("maps of two layers", maps)):
    classifier = LinearClassifier(C=[1e-3, 1e-2, 0.1, 1, 10], class_weight="balanced", random_state=0)
    model = make_pipeline(StandardScaler(), classifier).fit(*values(image, slice(0, 2)))
    X_test, y_test = values(image, slice(2, 4))
    print(f"  {name:<20}{balanced_accuracy_score(y_test, model.predict(X_test)):.3f}")
    segmented[name] = model.predict(image.reshape(-1, image.shape[-1])).reshape(image.shape[:2])

# %%
# The boxes, those of the test dashed, and the parts of the photograph. Trees in the shade are dark, and the colours of
# many pixels in them are those of the tower; smoothing makes the parts coherent, but not right. The maps take the far
# shore for water, and a dark corner.

palette = ["#8fd0f0", "#2166ac", "#2a9d6f", "#d95f3b"]
names = [("sky", 540, 90), ("water", 440, 275), ("trees", 470, 380), ("tower", 205, 240)]
figure, axes = plt.subplots(2, 2, figsize=(11, 7.7), layout="constrained")
axes[0, 0].imshow(photograph, extent=(0, width, height, 0))
axes[0, 0].set_title("photograph and boxes")
for color, places in zip(palette, boxes.values()):
    for (top, bottom, left, right), style, alpha in zip(places, ("-", "-", "--", "--"), (0.8, 0.8, 0.3, 0.3)):
        corner, size = (left, top), (right - left, bottom - top)
        box = plt.Rectangle(corner, *size, facecolor=to_rgba(color, alpha), edgecolor="white", linestyle=style)
        axes[0, 0].add_patch(box)
for ax, (name, kinds) in zip(axes.flat[1:], reversed(segmented.items())):
    ax.imshow(photograph.mean(axis=-1), cmap="gray", vmin=-0.3, extent=(0, width, height, 0))
    ax.imshow(kinds, cmap=ListedColormap(palette), alpha=0.65, extent=(0, width, height, 0))
    ax.set_title(name)
for name, x, y in names:
    axes[0, 1].text(x, y, name, color="white", fontsize=14, weight="bold", ha="center", va="center")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
plt.show()
