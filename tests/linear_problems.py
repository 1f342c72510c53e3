"""Classification problems, losses and dtypes for the tests of linear models."""

import numpy as np
import pytest

from sklearn_ckn._core.linear import solver
from sklearn_ckn._core.linear.losses import LOSSES

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
every_loss = pytest.mark.parametrize("loss", LOSSES)


def problem(kind, rng):
    """Return the features and labels of a classification problem of a given kind."""
    n, d, k = {
        "wide": (40, 120, 3),
        "one feature": (200, 1, 3),
        "two classes": (200, 20, 2),
        "hundred": (600, 20, 100),
    }.get(kind, (200, 20, 3))
    X = rng.randn(n, d)
    if kind == "span":
        X = rng.randn(40, solver.WIDE + 52)
    if kind == "collinear":
        X[:, 10:], X[:, 3] = X[:, :10] @ rng.randn(10, 10), X[:, 4]
    y = (X[:, :20] @ rng.randn(min(d, 20), k) + 2 * rng.randn(len(X), k)).argmax(axis=1)
    y[:k] = np.arange(k)
    if kind == "constant":
        X[:, ::3] = 5
    if kind == "unscaled":
        X = X * 10.0 ** rng.uniform(-3, 3, d)
    return X, y
