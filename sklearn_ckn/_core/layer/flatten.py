"""The conversion of maps to rows of features, optionally centred and scaled, and its derivative."""

from math import sqrt

import numpy as np

from .patches import normalize
from .pooling import Fixed, operators, pool


def flatten(X, center, scale):  # (n, *space, c) -> (n, prod(space) * c)
    """Return one row per signal, optionally centred and optionally divided by its norm; an all-zero row stays zero.

    The first value of a row is subtracted before the mean, so that centring turns a constant row into exact zeros.
    """
    rows = X.reshape(len(X), -1)
    if center:
        rows = rows - rows[:, :1]
        rows = rows - rows.mean(axis=1, keepdims=True)
    return normalize(rows)[1] if scale else rows


def flatten_pyramid(X, pyramid, center, scale):  # (n, *space, c), {k: weight} -> (n, sum_k k^ndim * c)
    """Return the rows of a spatial pyramid: the map pooled to k positions along every axis, for every k.

    Each level is flattened as in `flatten` and multiplied by the root of its weight, so that the inner product of two
    rows is the sum over the levels of the weights times the inner products of the levels.
    """
    rows, space = [], X.shape[1:-1]
    for k, weight in pyramid.items():
        cells = (k,) * len(space)
        level = X if space == cells else pool(X, operators(Fixed("average", cells), space), first_axis=1)
        rows.append(flatten(level, center, scale) * sqrt(weight))
    return np.concatenate(rows, axis=1)


def flatten_vjp(G, X, center, scale):  # (n, f), (n, *space, c) -> (n, *space, c)
    """Return the gradient with respect to X of a function whose gradient with respect to ``flatten(X)`` is G."""
    if scale:
        r, rows = normalize(flatten(X, center, scale=False))
        G = (G - (G * rows).sum(axis=1, keepdims=True) * rows) / np.where(r > 0, r, np.inf)
    if center:
        G = G - G.mean(axis=1, keepdims=True)
    return G.reshape(X.shape)
