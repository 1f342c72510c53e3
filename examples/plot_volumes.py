"""
Volumes: solids under noise
===========================

Rings, bowls, crosses and helices lie in volumes of 24 x 24 x 24 voxels, turned at random and under noise. The layers
are the same as for images, with `ndim=3`: their patches and their pooling are cubes.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.transform import Rotation
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier

size = 24
grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij"), axis=-1)


def ring(x, y, z):
    """How far a point is from the solid, as in all the others; less than 0 inside."""
    return np.hypot(np.hypot(x, y) - 0.5, z) - 0.17


def bowl(x, y, z):
    return np.maximum(np.abs(np.sqrt(x**2 + y**2 + z**2) - 0.55) - 0.1, z - 0.1)


def cross(x, y, z):
    small, middle, large = np.sort(np.abs([x, y, z]), axis=0)
    return np.maximum(np.hypot(small, middle) - 0.16, large - 0.7)


def helix(x, y, z):
    height = (z - 0.22 * np.arctan2(y, x) / np.pi + 0.22) % 0.44 - 0.22  # above the nearest turn
    return np.maximum(np.hypot(np.hypot(x, y) - 0.45, height) - 0.12, np.abs(z) - 0.65)


solids = [ring, bowl, cross, helix]


def make_volumes(y, rng):
    """Volumes of these solids, of values from 0 to 1, at random places and turned at random."""
    turns = Rotation.from_quat(rng.normal(size=(len(y), 4))).as_matrix()
    points = [(grid - place) @ turn for place, turn in zip(rng.uniform(-0.15, 0.15, (len(y), 3)), turns)]
    distances = [solids[kind](*np.moveaxis(point, -1, 0)) for kind, point in zip(y, points)]
    return 1 / (1 + np.exp(20 * np.array(distances, dtype=np.float32)))


rng = np.random.default_rng(1)
y_train, y_test = rng.integers(4, size=200), rng.integers(4, size=400)
X_train, X_test = make_volumes(y_train, rng), make_volumes(y_test, rng)

# %%
# One solid of each class, and a slice through the middle of its volume with noise of half the signal's height.

figure = plt.figure(figsize=(11, 5.8), layout="constrained")
colors = np.broadcast_to(plt.cm.viridis(np.linspace(0.3, 1, size)), (size, size, size, 4))
for kind, solid in enumerate(solids):
    volume = make_volumes([kind], np.random.default_rng(2))[0]
    above = figure.add_subplot(2, 4, kind + 1, projection="3d")
    above.voxels(volume > 0.5, facecolors=colors)
    above.set(xlim=(3, 21), ylim=(3, 21), zlim=(3, 21))
    above.set_box_aspect((1, 1, 1), zoom=1.5)
    above.set_axis_off()
    above.set_title(solid.__name__, fontsize=16)
    below = figure.add_subplot(2, 4, kind + 5)
    below.imshow(volume[size // 2] + rng.normal(scale=0.5, size=(size, size)), cmap="viridis")
    below.set(xticks=[], yticks=[])
    below.spines[:].set_visible(False)

# %%
# The network has 16 filters of 3 x 3 x 3 voxels and then 128, and its last map has the means of eight blocks of the
# volume. A linear classifier of the voxels is the plain baseline.

first = CKNLayer(16, patch_size=3, pooling_width=2, n_patches=5_000, ndim=3, random_state=0)
second = CKNLayer(128, patch_size=3, pooling_width=6, pooling="average", n_patches=5_000, ndim=3, random_state=0)
features = CKNFeatureMap(make_pipeline(first, second), center=True, scale=True, n_jobs=2)
flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
models = {
    "network": make_pipeline(features, LinearClassifier(C=[0.1, 1, 10, 100, 1000], random_state=0)),
    "voxels": make_pipeline(flatten, LinearClassifier(C=[1e-5, 1e-4, 1e-3, 1e-2], random_state=0)),
}
levels, scores = [0, 0.5, 1, 1.5, 2], {name: [] for name in models}
for level in levels:
    train, test = (X + level * rng.standard_normal(X.shape, dtype=np.float32) for X in (X_train, X_test))
    for name, model in models.items():
        scores[name].append(model.fit(train, y_train).score(test, y_test))
print("test accuracy on 400 volumes, by the noise")
print(f"  {'':<12}" + "".join(f"{level:>7}" for level in levels))
for name, values in scores.items():
    print(f"  {name:<12}" + "".join(f"{value:7.3f}" for value in values))

# %%
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, color in zip(scores, ("tab:blue", "0.6")):
    ax.plot(levels, scores[name], "o-", color=color)
    ax.text(levels[-1] + 0.06, scores[name][-1], name, color=color, va="center")
ax.axhline(0.25, color="0.8", linestyle="--", zorder=0)
ax.text(0, 0.26, "chance", color="0.6", va="bottom")
ax.set(xlabel="noise, standard deviation", ylabel="test accuracy", xticks=levels, ylim=(0, 1.02), xlim=(-0.1, 2.4))
ax.spines[["top", "right"]].set_visible(False)
plt.show()
