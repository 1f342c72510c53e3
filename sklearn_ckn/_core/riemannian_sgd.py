"""Stochastic gradient descent on the filters of a network, jointly with a linear model on its features.

The objective is the same as in `linear.objective`, ``ridge / 2 |W|^2 + sum_i share_i loss(W x_i + b, y_i)`` with shares
that sum to 1, but here the features x depend on the filters. A filter is a point on a sphere: its gradient is projected
onto the tangent space, and a step rotates the filter along the sphere.
"""

from typing import NamedTuple

import numpy as np

from .layer.flatten import flatten, flatten_vjp
from .layer.nystroem import whitening_and_cache, whitening_vjp
from .layer.patches import normalize
from .layer.symmetries import mean_over_orbits, mean_over_orbits_vjp, orbits, order
from .linear.losses import LOSSES
from .network import backward
from .network.packed_filters import PackedFilters
from .runtime.threads import over_blocks, slices

# Maximum number of signals in a block, including their orbits. One thread computes both passes of a block.
BLOCK = 16


class Head(NamedTuple):
    """The linear model on the features, or a gradient with respect to it."""

    W: np.ndarray  # (k, f)
    b: np.ndarray  # (k,)


class Gradients(NamedTuple):
    """The loss of one mini-batch and its gradients."""

    loss: float  # sum of the losses of the signals, weighted by their shares
    filters: list  # gradients (m, d) with respect to the filters of every layer, tangent to their spheres
    head: Head
    curvature: float  # upper bound of the second derivative of the loss along any direction of the head
    weight: float  # sum of the shares, at most 1, by which the steps of the mini-batch are scaled


class Top(NamedTuple):
    """The part of the model that averages maps, turns them into features, and computes the loss of the scores."""

    loss: str
    center: bool
    scale: bool
    symmetries: str | None = None  # key of `symmetries.GROUPS`, the group over which the maps of a signal are averaged

    def features(self, maps):  # (n, *space, m) -> (n, f)
        """Return the features of averaged maps."""
        return flatten(maps, self.center, self.scale)

    def scorer(self, head):  # -> callable, (n, *space, m) -> (n, k)
        """Return a function that computes the scores of maps, with the same result, bit for bit, for any block size."""
        return lambda maps: np.array([head.W @ x for x in self.features(maps)]) + head.b

    def losses(self, maps, Y, share, head):  # -> float, (n, *space, m), Head, float
        """Return the loss, its gradients with respect to the maps and the head, and `Gradients.curvature`."""
        loss, features = LOSSES[self.loss], self.features(maps)
        curvature = loss.largest_curvature * float(share @ ((features**2).sum(axis=1) + 1))
        losses, G_S = loss.function(features @ head.W.T + head.b, Y)
        share = share[:, None]
        G_S = (share * G_S).astype(maps.dtype)
        G = flatten_vjp(G_S @ head.W, maps, self.center, self.scale)
        return float((share * losses).sum(dtype=float)), G, Head(G_S.T @ features, G_S.sum(axis=0)), curvature


class Block(NamedTuple):
    """Signals of one shape that a thread processes together, and the layers prepared for this shape."""

    layers: list  # one backward.DifferentiableLayer for each layer
    X: np.ndarray  # (n, *space, c)
    rows: np.ndarray  # (n,) indices of the signals in the mini-batch


class DifferentiableNetwork:
    """A network that is prepared for the computation of gradients.

    Parameters
    ----------
    filters : sequence of ndarrays of shape (m, d)
    settings : sequence of LayerSettings
    n_threads : int
    memory : int, maximum number of bytes for a block of signals; every thread takes one block at a time
    """

    def __init__(self, filters, settings, n_threads, memory):
        self.filters, self.settings, self.n_threads, self.memory = filters, settings, n_threads, memory
        self.whitenings = over_blocks(self._whiten, range(len(filters)), n_threads)
        self.packed = [(PackedFilters(Z), A.value.astype(Z.dtype)) for Z, A in zip(filters, self.whitenings)]

    def _whiten(self, k):
        return whitening_and_cache(self.filters[k], self.settings[k])

    def layers(self, shape):  # (*space, c) -> list of backward.DifferentiableLayer
        """Return the layers prepared for signals of one shape."""
        layers = []
        for k, ((filters, A), settings) in enumerate(zip(self.packed, self.settings)):
            layers.append(backward.prepare(filters, A, settings, shape, is_first=k == 0))
            shape = layers[-1].output_shape
        return layers

    def blocks(self, groups, n_transforms=1):  # -> list of Block
        """Cut the signals of each shape into blocks. A signal stands for the ``n_transforms`` elements of its orbit."""
        blocks = []
        for rows, X in groups:
            layers = self.layers(X.shape[1:])
            size = sum(layer.numbers_per_signal for layer in layers) * X.itemsize
            most = int(min(self.memory / size, BLOCK)) // n_transforms  # independent of n_threads, so the sums are, too
            blocks += [Block(layers, X[block], rows[block]) for block in slices(len(X), max(1, most))]
        return blocks

    def gradients(self, groups, Y, share, head, top):  # -> Gradients
        """Compute the gradients for a mini-batch of signals with targets Y and shares in the objective.

        Gradients may overflow, for example if features with tiny norms are divided by their norms. The training takes
        back steps that are not finite.

        Parameters
        ----------
        groups : list of (ndarray of ints, ndarray of shape (n, *space, c)), the indices and the signals of each shape
        Y : ndarray of shape (n_samples, k)
        share : ndarray of shape (n_samples,)
        head : Head
        top : Top
        """

        def of_block(block):
            layers, X, rows = block
            return _of_block(layers, X, Y[rows], share[rows], head, top)

        parts = over_blocks(of_block, self.blocks(groups, order(top.symmetries)), self.n_threads)
        losses, of_heads, curvatures, G_Zs, G_As = zip(*parts)

        def of_filters(k):
            Z, G_A = self.filters[k], sum(part[k] for part in G_As)
            G = sum(part[k] for part in G_Zs)
            G = G + whitening_vjp(G_A, Z, self.settings[k], self.whitenings[k]).astype(Z.dtype)
            return tangent(G, Z)

        filters = over_blocks(of_filters, range(len(self.filters)), self.n_threads)
        of_head, weight = Head(*map(sum, zip(*of_heads))), min(1.0, float(share.sum(dtype=float)))
        return Gradients(sum(losses), filters, of_head, sum(curvatures), weight)


def _of_block(layers, X, Y, share, head, top):  # -> float, Head, float, (m, d) and (m, m) of every layer
    X, caches = orbits(X, top.symmetries), []
    for layer in layers:
        X, cache = backward.encode(X, layer)
        caches.append(cache)
    loss, G, of_head, curvature = top.losses(mean_over_orbits(X, top.symmetries), Y, share, head)
    G = mean_over_orbits_vjp(G, top.symmetries)
    G_Zs, G_As = [None] * len(caches), [None] * len(caches)
    for k in reversed(range(len(caches))):
        G, G_Zs[k], G_As[k] = backward.encode_vjp(G, layers[k], caches.pop(), wanted=k > 0)
    return loss, of_head, curvature, G_Zs, G_As


def tangent(G, Z):  # (m, d), (m, d)
    """Return the part of every row of G that is orthogonal to the filter in the same row of Z."""
    return G - (G * Z).sum(axis=1, keepdims=True) * Z


def step_filters(filters, velocities, found, momentum, angle):  # -> filters, velocities
    """Add the gradients to the velocities (decaying sums of gradients), and rotate filters against the velocities."""
    velocities = tuple(momentum * V + G for V, G in zip(velocities, found.filters))
    return tuple(turn(Z, V, found.weight * angle) for Z, V in zip(filters, velocities)), velocities


def step_head(head, found, ridge):  # -> Head
    """Return the linear model after a gradient step on the objective of a mini-batch.

    The length of the step is at most the inverse of an upper bound of the curvature, so the objective cannot increase.
    """
    rate = found.weight / (found.curvature + ridge * found.weight) if found.weight else 0.0
    W, b = head.W - rate * (found.head.W + found.weight * ridge * head.W), head.b - rate * found.head.b
    return Head(W.astype(head.W.dtype), b.astype(head.b.dtype))


def turn(Z, V, angle):  # (m, d), (m, d)
    """Rotate filters along their spheres against V.

    The angle of each filter is proportional to the norm of the tangent part of its row of V. The root mean
    square of the angles is ``angle``.
    """
    V = tangent(V, Z)
    largest = np.abs(V).max()
    if largest == 0:
        return Z
    V = V / largest  # so that squares neither overflow nor underflow
    lengths = np.linalg.norm(V, axis=1, keepdims=True)
    angles = angle * lengths / np.sqrt((lengths**2).mean())
    turned = np.cos(angles) * Z - np.sin(angles) * V / np.where(lengths > 0, lengths, 1)
    return normalize(turned.astype(Z.dtype))[1]
