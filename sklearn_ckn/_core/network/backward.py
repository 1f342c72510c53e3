"""The vector-Jacobian product of a network's layers, over blocks of signals.

The products of patches and filters are kept on the way forward. On the way back they become, in place, the gradient G
with respect to themselves. With ``t`` the cosines of a patch P and the filters, a layer has three gradients:

- with respect to the filters, ``G^T P``, where ``G = dF kappa'(t)`` and dF is the gradient with respect to the map
  before pooling,
- with respect to the maps, the products of the patches of G and the mirrored filters, plus ``x(w) sum_v s(w - v)``, the
  box filter of ``s = sum_j dF_j (kappa(t_j) - t_j kappa'(t_j)) / r``,
- with respect to the whitening, ``Q^T dY``.

All products of patches and filters, forward and backward, are therefore a `convolution`.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ..layer import kappa, patches
from ..layer.settings import LayerSettings
from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import count_panels
from . import epilogue
from .convolution import Convolution, make_convolution


class DifferentiableLayer(NamedTuple):
    """A layer prepared for signals of one shape, forward and backward."""

    Z: np.ndarray  # (m, d)
    A: np.ndarray  # (m, m)
    settings: LayerSettings
    shape: tuple  # (*space, c) of its maps
    positions: tuple  # of patches
    output_shape: tuple  # (*pooled, m)
    at: patches.Layout
    epilogue: epilogue.Pooled  # patch by patch
    convolution: Convolution
    mirrored: Convolution | None  # for the gradient with respect to the maps; None where that is not wanted

    @property
    def n_filled(self):
        """The number of filters including the zeros that fill up the last panel."""
        return filled(len(self.Z), self.Z.dtype)

    @property
    def size(self):
        """About how many numbers one signal takes on its way forward and backward."""
        n_patches, n_pooled = prod(self.positions), prod(self.output_shape[:-1])
        return n_patches * (self.n_filled + self.Z.shape[1]) + 2 * n_pooled * self.n_filled + 2 * prod(self.shape)


class Cache(NamedTuple):
    """Intermediate results of `encode` that `encode_vjp` needs."""

    X: np.ndarray  # (n, *space, c)
    S: np.ndarray  # (n, n_patches, n_filled), overwritten by `encode_vjp`
    norms: patches.Norms  # (n, n_patches)
    Q: np.ndarray  # (n, n_pooled, n_filled)


def prepare(Z, A, settings, shape, is_first):  # (m, d), (m, m), LayerSettings, (*space, c) -> DifferentiableLayer
    """Prepare a layer with these filters for maps of this shape."""
    layer = DifferentiableLayer(
        Z=Z,
        A=A,
        settings=settings,
        shape=tuple(shape),
        positions=settings.patch_positions(shape[:-1]),
        output_shape=(*settings.pooled_positions(shape[:-1]), len(Z)),
        at=patches.layout(shape, settings.patch),
        epilogue=epilogue.pooled_patch_by_patch(settings, shape[:-1], Z.dtype),
        convolution=make_convolution(Z, settings, shape, epilogue.Kept()),
        mirrored=None,
    )
    if is_first or settings.patch.centering:
        return layer
    return layer._replace(mirrored=make_convolution(*mirror(layer), epilogue.Kept()))


def mirror(layer):  # -> (c, d), LayerSettings, (*positions, n_filled)
    """Return the filters, settings and shape of the layer whose products are those of the adjoint."""
    m, patch, c = len(layer.Z), layer.settings.patch, layer.shape[-1]
    Z = np.zeros((c, *patch.size, layer.n_filled), layer.Z.dtype)
    space_axes = range(1, len(patch.size) + 1)
    Z[..., :m] = np.flip(np.moveaxis(layer.Z.reshape(m, *patch.size, c), (0, -1), (-1, 0)), space_axes)
    widths = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(patch.size, patch.padding))
    settings = layer.settings._replace(patch=patch._replace(padding=widths))
    return Z.reshape(c, -1), settings, (*layer.positions, layer.n_filled)


def encode(X, layer):  # (n, *space, c), DifferentiableLayer -> (n, *pooled, m), Cache
    """Compute what `definition.encode_and_cache` defines, for a block of signals."""
    n, n_filled, m = len(X), layer.n_filled, len(layer.Z)
    S = _products(layer.convolution, X, (n, layer.at.n_patches, n_filled), layer.positions)
    norms = _norms(X, layer)
    Q = simd.aligned((n, prod(layer.output_shape[:-1]), n_filled), X.dtype, np.zeros)
    of_columns = patches.Norms(norms.r[..., None], norms.inverse[..., None])
    scratch = layer.epilogue.scratch(1, Q[:, :, None])
    epilogue.finish_signals(S[:, :, None], of_columns, layer.epilogue, scratch, Q[:, :, None])
    Y = Q.reshape(-1, n_filled)[:, :m] @ layer.A
    return Y.reshape(n, *layer.output_shape), Cache(X, S, norms, Q)


def encode_vjp(G, layer, cache, wanted=True):  # (n, *pooled, m) -> (n, *space, c), (m, d), (m, m)
    """Compute what `definition.encode_vjp` defines, for a block of signals.

    The gradient with respect to the maps is None if it is not ``wanted``.
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
        return (
            patches.scatter(G_P.reshape(len(X), *layer.positions, -1), layer.shape[:-1], layer.settings.patch),
            G_Z,
            G_A,
        )
    maps_of_G, c, n_filled = S.reshape(len(X), *layer.positions, -1), X.shape[-1], filled(X.shape[-1], X.dtype)
    G_X = _products(layer.mirrored, maps_of_G, (*X.shape[:-1], n_filled), X.shape[1:-1])
    lines = (len(X), -1, *X.shape[-2:-1], n_filled)
    add_box(patches.by_lines(X), layer.at, s.reshape(len(X), len(layer.at.starts), -1), G_X.reshape(lines))
    return np.ascontiguousarray(G_X[..., :c]), G_Z, G_A


def filled(m, dtype):
    """Return the number of filters of all panels for m filters."""
    return count_panels(m, dtype) * simd.n_lanes(dtype)


def _products(convolution, X, shape, positions):
    """Return the products of all patches of a block of maps; the epilogue overwrites the memory."""
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
    """Return all patches; those of a single position are the map itself."""
    shape = len(X), layer.at.n_patches, layer.Z.shape[1]
    if shape[-1] == X.shape[-1]:
        return X.reshape(shape)
    return patches.extract(X, layer.settings.patch).reshape(shape)


@compiled
def find_all_norms(X, at, norms):  # (n, n_lines, length, c), patches.Layout, out (n, n_lines, length) of patches
    """Find the norms of all patches of every signal."""
    padded = np.zeros((at.n_pixels, at.n_channels), X.dtype)
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        of_signal = patches.Norms(norms.r[signal], norms.inverse[signal])
        patches.find_norms(padded, at, squares, sums, of_signal)


@compiled
def differentiate(S, inverse, epilogue, G_Q, s):
    """Compute the gradient with respect to S, in place of S, from that with respect to Q; and s.

    Parameters
    ----------
    S : ndarray of shape (n, n_patches, n_filled), products, overwritten by the gradient
    inverse : ndarray of shape (n, n_patches), inverse norms
    epilogue : epilogue.Pooled, patch by patch
    G_Q : ndarray of shape (n, n_pooled, n_filled)
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
    """Add ``x(w) sum_v s(w - v)`` to G.

    Parameters
    ----------
    X : ndarray of shape (n, n_lines, length, c)
    at : patches.Layout
    s : ndarray of shape (n, n_lines, length), one number for each patch
    G : ndarray of shape (n, n_lines, length, at least c), out
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
