"""
A folder of one's own images
============================

A folder contains images of several sizes, in one sub-folder for each class. Thirteen lines read these images, fit a
classifier and test it. In this example, the images are drawings made by the script: boats, fish and flowers in random
colours, at random places, slightly rotated and noisy.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb
from PIL import Image, ImageDraw
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import SVC

from sklearn_ckn import AutoCKNClassifier


def disc(x, y, a, b):
    angles = np.linspace(0, 2 * np.pi, 50)
    return np.stack([x + a * np.cos(angles), y + b * np.sin(angles)], axis=1)


# The parts of every drawing, each a number of its colour (two of the figure, and that of the ground) and a polygon.
hull, sail = [(-0.9, 0.35), (0.9, 0.35), (0.55, 0.8), (-0.55, 0.8)], [(0.06, -0.9), (0.06, 0.25), (0.8, 0.25)]
boat = [(0, hull), (1, sail), (1, [(-0.08, -0.65), (-0.08, 0.25), (-0.65, 0.25)])]
tail = [(0.3, 0), (0.95, -0.5), (0.8, 0), (0.95, 0.5)]
fish = [(1, tail), (0, disc(-0.15, 0, 0.75, 0.42)), (2, disc(-0.55, -0.08, 0.09, 0.09))]
petals = [(0, disc(0.55 * np.cos(turn), 0.55 * np.sin(turn), 0.32, 0.32)) for turn in np.arange(6) * np.pi / 3]
drawings = {"boat": boat, "fish": fish, "flower": [*petals, (1, disc(0, 0, 0.3, 0.3))]}
rng = np.random.RandomState(0)


def draw(parts):
    """A square image of 32 to 63 pixels a side."""
    side = rng.randint(32, 64)
    paint, pale = ([0, 0.5, 0.5], [1, 0.8, 0.9]), ([0, 0.1, 0.9], [1, 0.3, 1])  # hue, saturation, value: from and to
    colors = [tuple((255 * hsv_to_rgb(rng.uniform(*limits))).astype(int)) for limits in (paint, paint, pale)]
    radius, angle, mirror = rng.uniform(0.28, 0.42), rng.uniform(-0.2, 0.2), rng.choice([-1, 1])
    place, turn = rng.uniform(radius, 1 - radius, size=2), np.array([[mirror, -angle], [mirror * angle, 1]])
    image = Image.new("RGB", (4 * side, 4 * side), colors[2])  # four times as large, for smooth edges
    for color, points in parts:
        polygon = 4 * side * (place + radius * np.array(points) @ turn.T)
        ImageDraw.Draw(image).polygon([tuple(point) for point in polygon], fill=colors[color])
    noisy = np.array(image.reduce(4)) + rng.normal(scale=15, size=(side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


temporary = TemporaryDirectory()
folder = Path(temporary.name)
for name, parts in drawings.items():
    (folder / name).mkdir()
    for k in range(150):
        draw(parts).save(folder / name / f"{k:03}.png")

# %%
# These are the lines to copy for your own folder, with the imports of `Path`, NumPy, `Image`, `train_test_split` and
# `AutoCKNClassifier` from above. `convert` gives every image three channels, and `resize` brings all images to one
# size, so that they fit into one array. The classifier chooses its networks, and whether images are whitened and
# averaged with their mirror images, by cross-validation on the training images.

paths = sorted(folder.glob("*/*.png"))
labels = np.array([path.parent.name for path in paths])
images = np.array([np.array(Image.open(path).convert("RGB").resize((32, 32))) for path in paths])
X_train, X_test, y_train, y_test = train_test_split(images, labels, test_size=0.5, stratify=labels, random_state=0)

model = AutoCKNClassifier("balanced", n_jobs=2, random_state=0)
predicted = model.fit(X_train, y_train).predict(X_test)
print(f"accuracy on {len(X_test)} test images {np.mean(predicted == y_test):.3f}")

# %%
# For comparison, a support vector machine is fitted to the pixels. The figure shows test images with their predicted
# classes. Mistakes, if there are
# any, come first and have a frame.

temporary.cleanup()
machine = GridSearchCV(SVC(), {"C": [1, 10, 100]}).fit(X_train.reshape(len(X_train), -1), y_train)
print(f"support vector machine of the pixels {machine.score(X_test.reshape(len(X_test), -1), y_test):.3f}")

order = np.argsort(predicted == y_test, kind="stable")
figure, axes = plt.subplots(4, 8, figsize=(10, 5.8), layout="constrained")
for ax, k in zip(axes.flat, order):
    wrong = predicted[k] != y_test[k]
    ax.imshow(X_test[k])
    ax.set(xticks=[], yticks=[])
    ax.set_title(predicted[k], color="tab:red" if wrong else "0.3", weight="bold" if wrong else "normal")
    ax.spines[:].set(visible=wrong, color="tab:red", linewidth=4)
plt.show()
