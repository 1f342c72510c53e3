"""Gradient descent on the filters of a network, below a linear model of its features.

The objective is that of `solver`, ``ridge / 2 |W|^2 + sum_i share_i loss(W x_i + b, y_i)`` with the shares' sum 1, but
x are now the features that the filters give. A filter is a point of a sphere: its gradient is projected on the tangent
space, and a step turns it along the sphere.
"""

from typing import NamedTuple

import numpy as np

from . import encode, gradients
from .losses import LOSSES
from .machine import over_blocks, slices
from .patches import normalize

BLOCK = 16  # signals that one thread takes forwards and backwards together


class Head(NamedTuple):
    """The linear model of features, or a gradient with respect to it."""

    W: np.ndarray  # (k, f)
    b: np.ndarray  # (k,)


class Top(NamedTuple):
    """What stands on the last maps: how they become features, and the loss of the features' scores."""

    loss: str
    center: bool
    scale: bool

    def features(self, maps):  # (n, *space, m) -> (n, f)
        return encode.flatten(maps, self.center, self.scale)

    def scorer(self, head):  # -> callable, (n, *space, m) -> (n, k)
        """The linear model of the features of maps, one by one: the bits are the same in any block."""
        return lambda maps: np.array([head.W @ x for x in self.features(maps)]) + head.b

    def losses(self, maps, Y, share, head):  # -> float, (n, *space, m), Head
        """The sum of the losses, and its gradients with respect to the maps and the head."""
        features = self.features(maps)
        losses, G_S = LOSSES[self.loss].function(features @ head.W.T + head.b, Y)
        share = share[:, None]
        G_S = (share * G_S).astype(maps.dtype)
        G = encode.flatten_vjp(G_S @ head.W, maps, self.center, self.scale)
        return float((share * losses).sum(dtype=float)), G, Head(G_S.T @ features, G_S.sum(axis=0))


class Network:
    """A network ready for signals of one shape, forwards and backwards.

    Parameters
    ----------
    filters : sequence of ndarrays of shape (m, d)
    settings : sequence of encode.LayerSettings
    shape : tuple, ``(*space, c)`` of the signals
    n_threads : int
    """

    def __init__(self, filters, settings, shape, n_threads):
        self.filters, self.settings, self.n_threads = filters, settings, n_threads
        self.whitenings = over_blocks(self._whiten, range(len(filters)), n_threads)
        self.layers = []
        for k, (Z, A) in enumerate(zip(filters, self.whitenings)):
            A = A.value.astype(Z.dtype)
            self.layers.append(gradients.make_layer(Z, A, settings[k], shape, is_first=k == 0))
            shape = self.layers[-1].output_shape

    def _whiten(self, k):
        return encode.whitening_and_cache(self.filters[k], self.settings[k])

    def gradients(self, X, Y, share, head, top):  # -> float, list of (m, d), Head
        """The losses' sum over a minibatch, and its gradients with respect to the filters, tangent, and to the head."""

        def of_block(rows):
            return self._of_block(X[rows], Y[rows], share[rows], head, top)

        losses, heads, G_Zs, G_As = zip(*over_blocks(of_block, slices(len(X), BLOCK), self.n_threads))

        def of_filters(k):
            Z, G_A = self.filters[k], sum(parts[k] for parts in G_As)
            G = sum(parts[k] for parts in G_Zs)
            G = G + encode.whitening_vjp(G_A, Z, self.settings[k], self.whitenings[k]).astype(Z.dtype)
            return tangent(G, Z)

        of_head = Head(*(sum(parts) for parts in zip(*heads)))
        return sum(losses), over_blocks(of_filters, range(len(self.layers)), self.n_threads), of_head

    def _of_block(self, X, Y, share, head, top):  # -> float, Head, (m, d) and (m, m) of every layer
        caches = []
        for layer in self.layers:
            X, cache = gradients.encode(X, layer)
            caches.append(cache)
        loss, G, of_head = top.losses(X, Y, share, head)
        G_Zs, G_As = [None] * len(caches), [None] * len(caches)
        for k in reversed(range(len(caches))):
            G, G_Zs[k], G_As[k] = gradients.encode_vjp(G, self.layers[k], caches.pop(), wanted=k > 0)
        return loss, of_head, G_Zs, G_As


def tangent(G, Z):  # (m, d), (m, d)
    """The part of every row that is orthogonal to the filter."""
    return G - (G * Z).sum(axis=1, keepdims=True) * Z


def step(filters, velocities, of_filters, momentum, angle):  # -> filters, velocities
    """Add the gradients to their running sums, the velocities, and turn the filters of every layer against these."""
    velocities = tuple(momentum * V + G for V, G in zip(velocities, of_filters))
    return tuple(turn(Z, V, angle) for Z, V in zip(filters, velocities)), velocities


def turn(Z, V, angle):  # (m, d), (m, d)
    """Filters turned against V along their spheres, by ``angle`` on the root mean square, each in proportion to it."""
    V = tangent(V, Z)
    largest = np.abs(V).max()
    if largest == 0:
        return Z
    V = V / largest  # squares are numbers
    lengths = np.linalg.norm(V, axis=1, keepdims=True)
    angles = angle * lengths / np.sqrt((lengths**2).mean())
    turned = np.cos(angles) * Z - np.sin(angles) * V / np.where(lengths > 0, lengths, 1)
    return normalize(turned.astype(Z.dtype))[1]
