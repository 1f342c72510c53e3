"""Gradient maps of images: ``|g| kappa(<w, g> / |g|)``, where g is the gradient at a position and w an orientation.

Here, kappa is the exponential kernel, scaled so that a channel is ``|g| exp(-|w - g / |g||^2 / sigma^2)``, where sigma
is the distance between neighbouring orientations. Some of the networks of Mairal, Koniusz, Harchaoui and Schmid (2014)
have such an input.

====  =================================  =====================================================
X     ``(n, *space, c)``                 images, channels last
G     ``(n, *space, c, ndim)``           gradients, one for each channel
r     ``(n, k, 1)``                      norms ``|G|``, where k is the number of gradients of an image
U     ``(n, k, ndim)``                   directions ``G / r``
W     ``(m, 2)``                         orientations, unit vectors at equally spaced angles
====  =================================  =====================================================
"""

from math import dist, prod, sqrt

import numpy as np

from .layer import patches
from .layer.kappa import Exponential

NUMBERS = 2**18  # maximum number of elements in the maps that are computed together, which stay in the cache


def orientations(n):  # -> (n, 2)
    """Return the unit vectors at the angles ``2 pi j / n``."""
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def derivative(X, axis):  # (n, *space, c)
    """Return central differences along an axis, one-sided differences at its ends, and 0 if it has one position."""
    last = X.shape[axis] - 1
    u = np.arange(last + 1)
    before, after = np.maximum(u - 1, 0), np.minimum(u + 1, last)
    distances = np.maximum(after - before, 1).astype(X.dtype)
    differences = np.take(X, after, axis) - np.take(X, before, axis)
    return differences / distances.reshape(-1, *[1] * (len(X.shape) - axis - 1))


def gradient(X):  # (n, *space, c) -> (n, *space, c, ndim)
    """Return the derivatives along all spatial axes."""
    return np.stack([derivative(X, axis) for axis in range(1, len(X.shape) - 1)], axis=-1)


def responses(G, W):  # (n, k, 2), (m, 2) -> (n, k, m)
    """Return ``|g| exp(-|w - g / |g||^2 / sigma^2)``, where ``|w - g / |g||^2 = 2 - 2 <w, g> / |g|``."""
    r, U = patches.normalize(G)
    kernel = Exponential(dist(W[0], W[1]) / sqrt(2))
    return r * kernel.kappa(np.clip(U @ W.T.astype(G.dtype), -1, 1))


def encode(X, W=None):  # (n, *space, c), (m, 2) or None -> (n, *space, c * m) or (n, *space, c * ndim)
    """Return the responses to the orientations for every channel, or the gradients if ``W`` is None."""
    G = gradient(X)
    if W is not None:
        G = responses(G.reshape(len(G), prod(X.shape[1:]), 2), W)
    return G.reshape(len(X), *X.shape[1:-1], X.shape[-1] * G.shape[-1])


def block_size(shape):  # shape of one map -> int
    """Return the number of maps to compute together, so that they stay in the cache."""
    return max(1, NUMBERS // prod(shape))
