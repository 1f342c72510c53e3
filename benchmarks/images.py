"""Images to learn from and to be judged by."""

import numpy as np


def read(options):
    """Training and test images of ``options.dataset`` and their labels; with ``held_out``, they are training images."""
    with np.load(options.data / f"{options.dataset}.npz") as file:
        X, y, X_test, y_test = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    if options.held_out:
        order = np.random.RandomState(12345).permutation(len(X))
        held_out, kept = order[: options.held_out], np.sort(order[options.held_out :])
        X, y, X_test, y_test = X[kept], y[kept], X[held_out], y[held_out]
    return X, y, X_test, y_test
