"""The conversion of maps to rows of features, optionally centred and scaled, and its derivative."""

import numpy as np

from .patches import normalize


def flatten(X, center, scale):  # (n, *space, c) -> (n, prod(space) * c)
    """Return one row per signal, optionally centred and optionally divided by its norm; an all-zero row stays zero.

    The first value of a row is subtracted before the mean, so that centring turns a constant row into exact zeros.
    """
    rows = X.reshape(len(X), -1)
    if center:
        rows = rows - rows[:, :1]
        rows = rows - rows.mean(axis=1, keepdims=True)
    return normalize(rows)[1] if scale else rows


def flatten_vjp(G, X, center, scale):  # (n, f), (n, *space, c) -> (n, *space, c)
    """Return the gradient with respect to X of a function whose gradient with respect to ``flatten(X)`` is G."""
    if scale:
        r, rows = normalize(flatten(X, center, scale=False))
        G = (G - (G * rows).sum(axis=1, keepdims=True) * rows) / np.where(r > 0, r, np.inf)
    if center:
        G = G - G.mean(axis=1, keepdims=True)
    return G.reshape(X.shape)
