"""The forward pass and the vector-Jacobian product of a layer, for blocks of signals.

The forward pass stores the products of patches and filters. The backward pass overwrites the products with the gradient
G with respect to the products. Let r be the norm of a patch P, let t be the cosines of the patch and the filters, and
let dF be the gradient with respect to the map before pooling. A layer has three gradients:

- The gradient with respect to the filters is ``G^T P``, where ``G = dF kappa'(t)``.
- The gradient with respect to the map x is the sum of two terms. The first term consists of the products of the patches
  of G and the mirrored filters. The second term is ``x(w) sum_v s(w - v)`` at position w, where the sum is a box filter
  of ``s = sum_j dF_j (kappa(t_j) - t_j kappa'(t_j)) / r``.
- The gradient with respect to the whitening is ``Q^T dY``, where Q is the pooled map before the whitening and dY is the
  gradient with respect to the output of the layer.

A `convolution` therefore computes the products of patches and filters in both passes.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ..layer import kappa, patches
from ..layer.settings import LayerSettings
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import count_panels
from .convolution import Convolution, make_convolution
from .epilogue import Kept, Pooled, finish_signals, make_pooled_by_patch
from .packed_filters import PackedFilters


class DifferentiableLayer(NamedTuple):
    """A layer that has been prepared for the forward pass and the backward pass of signals of a given shape."""

    Z: np.ndarray  # (m, d)
    A: np.ndarray  # (m, m)
    settings: LayerSettings
    shape: tuple  # (*space, c), shape of its input maps
    positions: tuple  # number of patches along each axis
    output_shape: tuple  # (*pooled, m)
    at: patches.Layout
    epilogue: Pooled  # epilogue that pools all axes at once
    convolution: Convolution
    mirrored: Convolution | None  # convolution with the mirrored filters, or None if it is not needed

    @property
    def n_filled(self):
        """The number of filters, including the zero filters that fill up the last panel."""
        return filled(len(self.Z), self.Z.dtype)

    @property
    def numbers_per_signal(self):
        """The approximate number of array elements that the forward and backward passes need for one signal."""
        n_patches, n_pooled = prod(self.positions), prod(self.output_shape[:-1])
        return n_patches * (self.n_filled + self.Z.shape[1]) + 2 * n_pooled * self.n_filled + 2 * prod(self.shape)


class Cache(NamedTuple):
    """Intermediate results of `encode` that `encode_vjp` needs."""

    X: np.ndarray  # (n, *space, c)
    S: np.ndarray  # (n, n_patches, n_filled), overwritten by `encode_vjp`
    norms: patches.Norms  # (n, n_patches)
    Q: np.ndarray  # (n, n_pooled, n_filled)


def prepare(filters, A, settings, shape, is_first):  # PackedFilters, (m, m), LayerSettings, (*space, c)
    """Prepare a layer with the given filters and the whitening A for maps of the given shape."""
    Z = filters.Z
    layer = DifferentiableLayer(
        Z=Z,
        A=A,
        settings=settings,
        shape=tuple(shape),
        positions=settings.patch_positions(shape[:-1]),
        output_shape=(*settings.pooled_positions(shape[:-1]), len(Z)),
        at=patches.layout(shape, settings.patch),
        epilogue=make_pooled_by_patch(settings, shape[:-1], Z.dtype),
        convolution=make_convolution(filters, settings, shape, Kept()),
        mirrored=None,
    )
    if is_first or settings.patch.centering:
        return layer
    adjoint, shape = settings._replace(patch=settings.patch.mirrored), (*layer.positions, layer.n_filled)
    mirrored = filters.transformed(mirror, settings.patch.size)
    return layer._replace(mirrored=make_convolution(mirrored, adjoint, shape, Kept()))


def mirror(Z, size):  # (m, d), patch size -> PackedFilters of (c, prod(size) * n_filled)
    """Return the filters of the convolution that is the adjoint of a convolution with the filters Z."""
    m, c = len(Z), Z.shape[1] // prod(size)
    mirrored = np.zeros((c, *size, filled(m, Z.dtype)), Z.dtype)
    space_axes = range(1, len(size) + 1)
    mirrored[..., :m] = np.flip(np.moveaxis(Z.reshape(m, *size, c), (0, -1), (-1, 0)), space_axes)
    return PackedFilters(mirrored.reshape(c, -1))


def encode(X, layer):  # (n, *space, c), DifferentiableLayer -> (n, *pooled, m), Cache
    """Compute `definition.encode_and_cache` for a block of signals."""
    n, n_filled, m = len(X), layer.n_filled, len(layer.Z)
    S = _products(layer.convolution, X, (n, layer.at.n_patches, n_filled), layer.positions)
    norms = _norms(X, layer)
    Q = simd.aligned((n, prod(layer.output_shape[:-1]), n_filled), X.dtype, np.zeros)
    of_columns = patches.Norms(norms.r[..., None], norms.inverse[..., None])
    scratch = layer.epilogue.scratch(1, Q[:, :, None])
    finish_signals(S[:, :, None], of_columns, layer.epilogue, scratch, Q[:, :, None])
    Y = Q.reshape(-1, n_filled)[:, :m] @ layer.A
    return Y.reshape(n, *layer.output_shape), Cache(X, S, norms, Q)


def encode_vjp(G, layer, cache, wanted=True):  # (n, *pooled, m) -> (n, *space, c), (m, d), (m, m)
    """Compute `definition.encode_vjp` for a block of signals.

    The gradient with respect to the maps is None if ``wanted`` is False.
    """
    (X, S, norms, Q), m = cache, len(layer.Z)
    G = G.reshape(-1, m)
    G_A = Q.reshape(len(G), -1)[:, :m].T @ G
    G_Q = simd.aligned(Q.shape, Q.dtype, np.zeros)
    np.matmul(G, layer.A.T, out=G_Q.reshape(len(G), -1)[:, :m])
    s = np.empty_like(norms.r)
    differentiate(S, norms.inverse, layer.epilogue, G_Q, s)
    P = _extract(X, layer).reshape(-1, layer.Z.shape[1])
    G_S = S.reshape(len(P), -1)
    G_Z = G_S[:, :m].T @ P
    if not wanted:
        return None, G_Z, G_A
    if layer.settings.patch.centering:
        G_P = G_S[:, :m] @ layer.Z + s.reshape(-1, 1) * P
        G_X = patches.scatter(G_P.reshape(len(X), *layer.positions, -1), layer.shape[:-1], layer.settings.patch)
        return G_X, G_Z, G_A
    maps_of_G, c, n_filled = S.reshape(len(X), *layer.positions, -1), X.shape[-1], filled(X.shape[-1], X.dtype)
    G_X = _products(layer.mirrored, maps_of_G, (*X.shape[:-1], n_filled), X.shape[1:-1])
    lines = (len(X), -1, *X.shape[-2:-1], n_filled)
    add_box(patches.by_lines(X), layer.at, s.reshape(len(X), len(layer.at.starts), -1), G_X.reshape(lines))
    return np.ascontiguousarray(G_X[..., :c]), G_Z, G_A


def filled(m, dtype):
    """Return the number of filters m, rounded up to fill whole panels."""
    return count_panels(m, dtype) * simd.n_lanes(dtype)


def _products(convolution, X, shape, positions):
    """Return the products of the filters and all patches of a block of maps.

    The array is not initialised, because the epilogue overwrites all of its elements.
    """
    out = simd.aligned(shape, X.dtype)
    convolution.add_to(out.reshape(len(X), -1, positions[-1], shape[-1]), X)
    return out


def _norms(X, layer):  # (n, *space, c) -> patches.Norms of (n, n_patches)
    n, at = len(X), layer.at
    norms = patches.Norms(*(np.empty((n, at.n_patches), X.dtype) for _ in range(2)))
    r, inverse = norms
    if layer.settings.patch.centering:
        r[:] = np.linalg.norm(_extract(X, layer), axis=-1)
        np.divide(1, r, out=inverse, where=r > 0)
        inverse[r == 0] = 0
    else:
        shape = n, len(at.starts), at.length
        find_all_norms(patches.by_lines(X), at, patches.Norms(r.reshape(shape), inverse.reshape(shape)))
    return norms


def _extract(X, layer):  # (n, *space, c) -> (n, n_patches, d)
    """Return all patches. If a patch consists of a single position, the patches are the map itself."""
    shape = len(X), layer.at.n_patches, layer.Z.shape[1]
    if shape[-1] == X.shape[-1]:
        return X.reshape(shape)
    return patches.extract(X, layer.settings.patch).reshape(shape)


@compiled
def find_all_norms(X, at, norms):  # (n, n_lines, length, c), patches.Layout, out patches.Norms (n, n_lines, length)
    """Compute the norms of all patches of every signal."""
    padded = np.zeros((at.n_pixels, at.n_channels), X.dtype)
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        of_signal = patches.Norms(norms.r[signal], norms.inverse[signal])
        patches.find_norms(padded, at, squares, sums, of_signal)


@compiled
def differentiate(S, inverse, epilogue, G_Q, s):
    """Replace S by the gradient with respect to S, given the gradient with respect to Q, and compute ``s``.

    The module docstring defines ``s``.

    Parameters
    ----------
    S : ndarray of shape (n, n_patches, n_filled), products of patches and filters, overwritten by the gradient
    inverse : ndarray of shape (n, n_patches), inverse norms of the patches
    epilogue : Pooled, which pools all axes at once
    G_Q : ndarray of shape (n, n_pooled, n_filled), gradient with respect to Q
    s : ndarray of shape (n, n_patches), out
    """
    lanes, (n, n_patches, n_filled), kernel = simd.lanes_of(S), S.shape, epilogue.kernel
    pointers, outputs, weights = epilogue.line_taps
    for signal in range(n):
        for u in range(n_patches):
            inverse_norm, total = inverse[signal, u], simd.zeros(S)
            exists = 1 if inverse_norm > 0 else 0
            for first in range(0, n_filled, lanes):
                G_F = simd.zeros(S)
                for t in range(pointers[u], pointers[u + 1]):
                    G_F = G_F + (exists * weights[t]) * simd.load(G_Q, (signal, outputs[t], first))
                cosines = kappa.clip(simd.load(S, (signal, u, first)) * inverse_norm)
                slopes = kappa.slope(kernel, cosines)
                total = total + G_F * (kappa.value(kernel, cosines) - cosines * slopes)
                simd.store(G_F * slopes, S, (signal, u, first))
            s[signal, u] = simd.total(total) * inverse_norm


@compiled
def add_box(X, at, s, G):
    """Add ``x(w) sum_v s(w - v)`` to the gradient G at every position w of the maps.

    Parameters
    ----------
    X : ndarray of shape (n, n_lines, length, c), maps
    at : patches.Layout
    s : ndarray of shape (n, n_lines, length), one value for each patch
    G : ndarray of shape (n, n_lines, length, at least c), gradient with respect to the maps, out
    """
    sums, c = np.zeros(at.n_pixels, X.dtype), X.shape[3]
    for signal in range(len(X)):
        sums[:] = 0
        for line in range(len(at.starts)):
            for begin in at.runs:
                for k in range(at.run // c):
                    here = sums[(at.starts[line] + begin) // c + k :]
                    for i in range(at.length):
                        here[i] += s[signal, line, i]
        for line in range(len(at.lines)):
            for i in range(X.shape[2]):
                total, x, g = sums[at.lines[line] + i], X[signal, line, i], G[signal, line, i]
                for j in range(c):
                    g[j] += total * x[j]
