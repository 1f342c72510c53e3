"""`encode_vjp` for speed: networks forwards and backwards, over blocks of signals.

The products of patches and filters are kept from the way there; on the way back they become the gradient G with respect
to themselves, in place. With ``t`` the cosines of a patch P and the filters, a layer's three gradients are

- by the filters: ``G^T P``, ``G = dF kappa'(t)``, dF being that by the map before pooling,
- by the maps: the products of the patches of G and the filters mirrored, plus ``x(w) sum_v s(w - v)``, the box filter
  of ``s = sum_j dF_j (kappa(t_j) - t_j kappa'(t_j)) / r``,
- by the whitening: ``Q^T dY``.

So products of all patches and filters, forwards and backwards, are those of `blocks`.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import patches, pooling, simd
from .blocks import make_products
from .fused import Kept
from .kappa import kappa, slope
from .machine import compiled
from .panels import count_panels


class Layer(NamedTuple):
    """A layer made ready for signals of one shape."""

    Z: np.ndarray  # (m, d)
    A: np.ndarray  # (m, m)
    settings: tuple  # encode.LayerSettings
    shape: tuple  # (*space, c) of its maps
    positions: tuple  # of patches
    output_shape: tuple  # (*pooled, m)
    at: patches.Layout
    taps: pooling.Taps
    products: tuple  # from `blocks.make_products`
    mirrored: tuple  # the same for the gradient with respect to the maps; None where it is not wanted

    @property
    def n_filled(self):
        """Filters of all panels, those of zeros that fill the last one up too."""
        return filled(len(self.Z), self.Z.dtype)

    @property
    def size(self):
        """Numbers that one signal takes on its way forwards and backwards, about."""
        n_patches, n_pooled = prod(self.positions), prod(self.output_shape[:-1])
        return n_patches * (self.n_filled + self.Z.shape[1]) + 2 * n_pooled * self.n_filled + 2 * prod(self.shape)


class Cache(NamedTuple):
    """What `encode_vjp` needs of `encode`."""

    X: np.ndarray  # (n, *space, c)
    S: np.ndarray  # (n, n_patches, n_filled), overwritten by it
    r: np.ndarray  # (n, n_patches)
    inverse: np.ndarray  # (n, n_patches)
    Q: np.ndarray  # (n, n_pooled, n_filled)


def make_layer(Z, A, settings, shape, is_first):  # (m, d), (m, m)
    """The layer with these filters, for maps of ``shape`` ``(*space, c)``."""
    space = shape[:-1]
    positions, widths = settings.patch_positions(space), settings.padding_widths
    at = patches.layout(shape, (*widths, (0, 0)), settings.patch_size, positions)
    taps = pooling.taps(settings.pooling, positions, settings.pooling_width, settings.subsampling, Z.dtype)
    output_shape = *settings.pooled_positions(space), len(Z)
    products = make_products(Z, settings, shape, Kept())
    layer = Layer(Z, A, settings, tuple(shape), positions, output_shape, at, taps, products, None)
    if is_first or settings.patch_centering:
        return layer
    return layer._replace(mirrored=make_products(*mirror(layer), Kept()))


def mirror(layer):
    """The filters, settings and shape of the layer whose products are the adjoint's."""
    m, size, c = len(layer.Z), layer.settings.patch_size, layer.shape[-1]
    Z = np.zeros((c, *size, layer.n_filled), layer.Z.dtype)
    space_axes = range(1, len(size) + 1)
    Z[..., :m] = np.flip(np.moveaxis(layer.Z.reshape(m, *size, c), (0, -1), (-1, 0)), space_axes)
    widths = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(size, layer.settings.padding_widths))
    settings = layer.settings._replace(padding_widths=widths)
    return Z.reshape(c, -1), settings, (*layer.positions, layer.n_filled)


def encode(X, layer):  # (n, *space, c) -> (n, *pooled, m), Cache
    """`encode.encode` for a block of signals."""
    n, n_filled, m = len(X), layer.n_filled, len(layer.Z)
    S = _products(layer.products, X, (n, layer.at.n_patches, n_filled), layer.positions)
    r, inverse = np.empty(S.shape[:2], X.dtype), np.empty(S.shape[:2], X.dtype)
    if layer.settings.patch_centering:
        r[:] = np.linalg.norm(_extract(X, layer), axis=-1)
        np.divide(1, r, out=inverse, where=r > 0)
        inverse[r == 0] = 0
    else:
        shape = len(layer.at.starts), layer.at.length
        find_all_norms(patches.by_lines(X), layer.at, r.reshape(n, *shape), inverse.reshape(n, *shape))
    Q = simd.aligned((n, prod(layer.output_shape[:-1]), n_filled), X.dtype, np.zeros)
    add_pooled(S, r, inverse, layer.settings.kernel, layer.taps, Q)
    Y = Q.reshape(-1, n_filled)[:, :m] @ layer.A
    return Y.reshape(n, *layer.output_shape), Cache(X, S, r, inverse, Q)


def encode_vjp(G, layer, cache, wanted=True):  # (n, *pooled, m) -> (n, *space, c), (m, d), (m, m)
    """`encode.encode_vjp` for a block of signals; without the gradient with respect to the maps, if not ``wanted``."""
    (X, S, r, inverse, Q), m, c = cache, len(layer.Z), layer.shape[-1]
    G = G.reshape(-1, m)
    G_A = Q.reshape(len(G), -1)[:, :m].T @ G
    G_Q = simd.aligned(Q.shape, Q.dtype, np.zeros)
    np.matmul(G, layer.A.T, out=G_Q.reshape(len(G), -1)[:, :m])
    s = np.empty_like(r)
    differentiate(S, inverse, layer.settings.kernel, layer.taps, G_Q, s)
    P = _extract(X, layer).reshape(-1, layer.Z.shape[1])
    G_S = S.reshape(len(P), -1)
    G_Z = G_S[:, :m].T @ P
    if not wanted:
        return None, G_Z, G_A
    if layer.settings.patch_centering:
        G_P = patches.center(G_S[:, :m] @ layer.Z + s.reshape(-1, 1) * P, c)
        G_P = G_P.reshape(len(X), *layer.positions, -1)
        size, widths = layer.settings.patch_size, layer.settings.padding_widths
        return patches.scatter(G_P, layer.shape[:-1], size, widths), G_Z, G_A
    maps_of_G, n_filled = S.reshape(len(X), *layer.positions, -1), filled(c, X.dtype)
    G_X = _products(layer.mirrored, maps_of_G, (*X.shape[:-1], n_filled), X.shape[1:-1])
    lines = (len(X), -1, *X.shape[-2:-1], n_filled)
    add_box(patches.by_lines(X), layer.at, s.reshape(len(X), len(layer.at.starts), -1), G_X.reshape(lines))
    return np.ascontiguousarray(G_X[..., :c]), G_Z, G_A


def filled(m, dtype):
    """The filters of all panels for m."""
    return count_panels(m, dtype) * simd.n_lanes(dtype)


def _products(products, X, shape, positions):
    """All of them for the maps of a block; nothing of the memory is read."""
    out = simd.aligned(shape, X.dtype)
    products.add_to(out.reshape(len(X), -1, positions[-1], shape[-1]), X)
    return out


def _extract(X, layer):  # (n, *space, c) -> (n, n_patches, d)
    """Patches; those of one position are the map itself."""
    settings, shape = layer.settings, (len(X), layer.at.n_patches, layer.Z.shape[1])
    if shape[-1] == X.shape[-1]:
        return X.reshape(shape)
    P = patches.extract(X, settings.patch_size, settings.padding_widths).reshape(shape)
    return patches.center(P, X.shape[-1]) if settings.patch_centering else P


@compiled
def find_all_norms(X, at, r, inverse):  # (n, n_lines, length, c), out (n, n_lines, length) of patches
    """`patches.find_norms` of every signal."""
    padded = np.zeros((at.n_pixels, at.n_channels), X.dtype)
    squares, sums = np.empty(at.n_pixels, X.dtype), np.empty(at.n_pixels, X.dtype)
    for signal in range(len(X)):
        patches.read(X[signal], at, padded)
        patches.find_norms(padded, at, squares, sums, r[signal], inverse[signal])


@compiled
def add_pooled(S, r, inverse, kernel, taps, Q):
    """Add ``r kappa(S / r)``, pooled, to Q: ``(n, n_patches, n_filled)`` to ``(n, n_pooled, n_filled)``."""
    lanes, (n, n_patches, n_filled), (pointers, outputs, weights) = simd.lanes_of(S), S.shape, taps
    for signal in range(n):
        for u in range(n_patches):
            norm, inverse_norm = r[signal, u], inverse[signal, u]
            for first in range(0, n_filled, lanes):
                cosines = simd.load(S, (signal, u, first)) * inverse_norm
                cosines = simd.larger(simd.smaller(cosines, 1), -1)
                F = norm * kappa(kernel, cosines)
                for t in range(pointers[u], pointers[u + 1]):
                    target = signal, outputs[t], first
                    simd.store(simd.load(Q, target) + weights[t] * F, Q, target)


@compiled
def differentiate(S, inverse, kernel, taps, G_Q, s):
    """From the gradient by Q to that by S, in place of S, and to s, ``(n, n_patches)``."""
    lanes, (n, n_patches, n_filled), (pointers, outputs, weights) = simd.lanes_of(S), S.shape, taps
    for signal in range(n):
        for u in range(n_patches):
            inverse_norm, total = inverse[signal, u], simd.zeros(S)
            exists = 1 if inverse_norm > 0 else 0
            for first in range(0, n_filled, lanes):
                G_F = simd.zeros(S)
                for t in range(pointers[u], pointers[u + 1]):
                    G_F = G_F + (exists * weights[t]) * simd.load(G_Q, (signal, outputs[t], first))
                cosines = simd.load(S, (signal, u, first)) * inverse_norm
                cosines = simd.larger(simd.smaller(cosines, 1), -1)
                slopes = slope(kernel, cosines)
                total = total + G_F * (kappa(kernel, cosines) - cosines * slopes)
                simd.store(G_F * slopes, S, (signal, u, first))
            s[signal, u] = simd.total(total) * inverse_norm


@compiled
def add_box(X, at, s, G):
    """Add ``x(w) sum_v s(w - v)`` to G.

    Parameters
    ----------
    X, G : ndarrays of shape (n, n_lines, length, c), and of at least so many channels
    s : ndarray of shape (n, n_lines, length) of the patches
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
