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

BLOCK = 16  # signals, at most, that one thread takes forwards and backwards together
STEEPEST = 2.0  # a second derivative of a loss by a score is not larger


class Head(NamedTuple):
    """The linear model of features, or a gradient with respect to it."""

    W: np.ndarray  # (k, f)
    b: np.ndarray  # (k,)


class Gradients(NamedTuple):
    """What one minibatch tells."""

    loss: float  # the sum of the shares of its losses
    filters: list  # of (m, d): gradients with respect to the filters, tangent to their spheres
    head: Head
    steepest: float  # a second derivative of the loss along a direction of the head is not larger
    weight: float  # the sum of the shares, 1 at most: the part of a step that they are worth


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

    def losses(self, maps, Y, share, head):  # -> float, (n, *space, m), Head, float
        """The sum of the losses, its gradients with respect to the maps and the head, and `Gradients.steepest`."""
        features = self.features(maps)
        steepest = STEEPEST * float(share @ ((features**2).sum(axis=1) + 1))
        losses, G_S = LOSSES[self.loss].function(features @ head.W.T + head.b, Y)
        share = share[:, None]
        G_S = (share * G_S).astype(maps.dtype)
        G = encode.flatten_vjp(G_S @ head.W, maps, self.center, self.scale)
        return float((share * losses).sum(dtype=float)), G, Head(G_S.T @ features, G_S.sum(axis=0)), steepest


class Network:
    """A network ready for signals of one shape, forwards and backwards.

    Parameters
    ----------
    filters : sequence of ndarrays of shape (m, d)
    settings : sequence of encode.LayerSettings
    shape : tuple, ``(*space, c)`` of the signals
    n_threads : int
    memory : bytes that a block of signals may take, one for every thread
    """

    def __init__(self, filters, settings, shape, n_threads, memory):
        self.filters, self.settings, self.n_threads = filters, settings, n_threads
        self.whitenings = over_blocks(self._whiten, range(len(filters)), n_threads)
        self.layers = []
        for k, (Z, A) in enumerate(zip(filters, self.whitenings)):
            A = A.value.astype(Z.dtype)
            self.layers.append(gradients.make_layer(Z, A, settings[k], shape, is_first=k == 0))
            shape = self.layers[-1].output_shape
        size = sum(layer.size for layer in self.layers) * filters[0].itemsize
        self.block = int(min(max(1, memory / size), BLOCK))  # the same for any number of threads

    def _whiten(self, k):
        return encode.whitening_and_cache(self.filters[k], self.settings[k])

    def gradients(self, X, Y, share, head, top):  # -> Gradients
        """Those of a minibatch: signals, targets, their shares in the objective, and the model on top."""

        def of_block(rows):
            return self._of_block(X[rows], Y[rows], share[rows], head, top)

        parts = over_blocks(of_block, slices(len(X), self.block), self.n_threads)
        losses, of_heads, steepest, G_Zs, G_As = zip(*parts)

        def of_filters(k):
            Z, G_A = self.filters[k], sum(part[k] for part in G_As)
            G = sum(part[k] for part in G_Zs)
            G = G + encode.whitening_vjp(G_A, Z, self.settings[k], self.whitenings[k]).astype(Z.dtype)
            return tangent(G, Z)

        filters = over_blocks(of_filters, range(len(self.layers)), self.n_threads)
        of_head, weight = Head(*map(sum, zip(*of_heads))), min(1.0, float(share.sum(dtype=float)))
        return Gradients(sum(losses), filters, of_head, sum(steepest), weight)

    def _of_block(self, X, Y, share, head, top):  # -> float, Head, float, (m, d) and (m, m) of every layer
        caches = []
        for layer in self.layers:
            X, cache = gradients.encode(X, layer)
            caches.append(cache)
        loss, G, of_head, steepest = top.losses(X, Y, share, head)
        G_Zs, G_As = [None] * len(caches), [None] * len(caches)
        for k in reversed(range(len(caches))):
            G, G_Zs[k], G_As[k] = gradients.encode_vjp(G, self.layers[k], caches.pop(), wanted=k > 0)
        return loss, of_head, steepest, G_Zs, G_As


def tangent(G, Z):  # (m, d), (m, d)
    """The part of every row that is orthogonal to the filter."""
    return G - (G * Z).sum(axis=1, keepdims=True) * Z


def step_filters(filters, velocities, found, momentum, angle):  # -> filters, velocities
    """Add the gradients to their running sums, the velocities, and turn the filters of every layer against these."""
    velocities = tuple(momentum * V + G for V, G in zip(velocities, found.filters))
    return tuple(turn(Z, V, found.weight * angle) for Z, V in zip(filters, velocities)), velocities


def step_head(head, found, ridge):  # -> Head
    """The linear model after a step down the gradient of a minibatch's objective, as long as never leads too far."""
    rate = found.weight / (found.steepest + ridge * found.weight) if found.weight else 0.0
    W, b = head.W - rate * (found.head.W + found.weight * ridge * head.W), head.b - rate * found.head.b
    return Head(W.astype(head.W.dtype), b.astype(head.b.dtype))


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
