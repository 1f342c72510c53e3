"""Images to learn from and to be judged by."""

import numpy as np
from scipy import ndimage

TURN, SHEAR, SIZE, SHIFT = np.deg2rad(8), np.deg2rad(8), 0.08, 1.0  # of deformed copies, at most; shifts in pixels


def read(options):
    """Training and test images of ``options.dataset`` and their labels; test images are held-out ones on demand."""
    with np.load(options.data / f"{options.dataset}.npz") as file:
        X, y, X_test, y_test = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    if options.held_out:
        order = np.random.RandomState(12345).permutation(len(X))
        held_out, kept = order[: options.held_out], np.sort(order[options.held_out :])
        X, y, X_test, y_test = X[kept], y[kept], X[held_out], y[held_out]
    return X, y, X_test, y_test


def deformed(X, rng):  # (n, height, width), RandomState -> (n, height, width)
    """Every image turned, sheared, scaled and shifted at random, so little that its label stays."""
    centre = (np.array(X.shape[1:]) - 1) / 2

    def one(image):
        turn, shear, *sizes = rng.uniform(-1, 1, 4) * (TURN, SHEAR, SIZE, SIZE)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        A = rotation @ [[1, np.tan(shear)], [0, 1]] @ np.diag(1 + np.array(sizes))
        return ndimage.affine_transform(image, A, centre - A @ centre + SHIFT * rng.uniform(-1, 1, 2), order=1)

    return np.stack([one(image) for image in X])
