"""The layer as a page of mathematics: ``x_k = A_k M_k P_k x_{k-1}``.

`encode` reads the five steps (patches, normalise, kappa, pool, whiten) as a transform, `encode_vjp` backwards, as its
vector-Jacobian product, and `encode_kernel` the first four as the kernel between two signals that the transform
approximates. They are the definition; `blocks`, `gradients` and `pairs` compute the same, faster. Pooling comes before
whitening: both are linear, they commute, and the product is smaller.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import patches, pooling
from .machine import single_threaded_blas
from .nystroem import inverse_sqrt


class LayerSettings(NamedTuple):
    """What a layer computes, but for its filters; sizes are one int per space axis."""

    patch_size: tuple
    padding_widths: tuple  # ((before, after), ...)
    patch_centering: bool
    kernel: tuple  # a record of `kappa`
    pooling: str
    pooling_width: tuple
    subsampling: tuple
    reg: float

    def patch_positions(self, space):
        return patches.n_positions(space, self.patch_size, self.padding_widths)

    def pooled_positions(self, space):
        positions = self.patch_positions(space)
        return pooling.n_positions(self.pooling, positions, self.pooling_width, self.subsampling)

    def pooling_operators(self, space):
        positions = self.patch_positions(space)
        return pooling.operators(self.pooling, positions, self.pooling_width, self.subsampling)


class Cache(NamedTuple):
    """What `encode_vjp` needs of `encode`."""

    space: tuple
    r: np.ndarray  # (n, *positions, 1)
    U: np.ndarray  # (n, *positions, d)
    T: np.ndarray  # (n, *positions, m)
    Q: np.ndarray  # (n, *pooled, m)


def encode(X, Z, A, layer):  # (n, *space, c), (m, d), (m, m) -> (n, *pooled, m)
    """The transform of one layer: Mairal (2016), section 2, the Nyström projection onto the filters, then pooling."""
    return encode_and_cache(X, Z, A, layer)[0]


def encode_and_cache(X, Z, A, layer):  # -> (n, *pooled, m), Cache
    """`encode`, and what its derivative needs."""
    P = patches.extract(X, layer.patch_size, layer.padding_widths)  # (n, *positions, d)
    if layer.patch_centering:
        P = patches.center(P, X.shape[-1])
    r, U = patches.normalize(P)  # (n, *positions, 1), (n, *positions, d)
    T = np.clip(U @ Z.T, -1, 1)  # (n, *positions, m)
    F = r * layer.kernel.kappa(T)  # (n, *positions, m)
    Q = pooling.pool(F, layer.pooling_operators(X.shape[1:-1]), first_axis=1)  # (n, *pooled, m)
    return Q @ A, Cache(X.shape[1:-1], r, U, T, Q)


def encode_vjp(G, Z, A, layer, cache):  # (n, *pooled, m), ... -> (n, *space, c), (m, d), (m, m)
    """The gradients with respect to X, Z and A of a function whose gradient with respect to ``encode(X, Z, A)`` is G.

    The derivative of ``r kappa(<P, z> / r)`` is ``kappa'(t) P`` by z and ``kappa'(t) z + (kappa(t) - t kappa'(t)) P/r``
    by P. At a zero patch, where there is none, it is taken as 0. A is a variable of its own here: `whitening_vjp` leads
    on to Z.
    """
    space, r, U, T, Q = cache
    G_A = np.tensordot(Q, G, (range(Q.ndim - 1),) * 2)
    G_F = pooling.pool_adjoint(G @ A.T, layer.pooling_operators(space), first_axis=1) * (r > 0)
    kappa, slope = layer.kernel.kappa(T), layer.kernel.slope(T)
    G_T = G_F * slope
    G_Z = np.tensordot(G_T, r * U, (range(U.ndim - 1),) * 2)
    G_P = G_T @ Z + (G_F * (kappa - T * slope)).sum(axis=-1, keepdims=True) * U
    if layer.patch_centering:  # a projection: it is its own adjoint
        G_P = patches.center(G_P, Z.shape[1] // prod(layer.patch_size))
    return patches.scatter(G_P, space, layer.patch_size, layer.padding_widths), G_Z, G_A


def encode_kernel(k_xy, k_xx, k_yy, layer, space):  # (*space, *space) -> (*pooled, *pooled)
    """The exact kernel of one layer: ``k(u, v) = <x_k(u), y_k(v)>`` for two maps, from that of the layer before.

    The three inner products of all positions, those of x and y, of x and x, of y and y, go through the layer together;
    the last two give the norms. Below the first layer stand the products of pixels, above the last the trace is the
    kernel of the signals.
    """
    geometry, operators = (layer.patch_size, layer.padding_widths), layer.pooling_operators(space)
    P_xy, P_xx, P_yy = (patches.products(K, *geometry, layer.patch_centering) for K in (k_xy, k_xx, k_yy))
    r_x, r_y = (norms(P, K, layer) for P, K in ((P_xx, k_xx), (P_yy, k_yy)))  # (*positions,) each

    def kernel_and_pool(P, r, s):
        r = np.multiply.outer(r, s)
        T = np.clip(P / np.where(r > 0, r, 1), -1, 1)
        F = r * layer.kernel.kappa(T)
        return pooling.pool(pooling.pool(F, operators, first_axis=0), operators, first_axis=len(space))

    return kernel_and_pool(P_xy, r_x, r_y), kernel_and_pool(P_xx, r_x, r_x), kernel_and_pool(P_yy, r_y, r_y)


def norms(P, K, layer):  # (*positions, *positions), (*space, *space) -> (*positions,)
    """Norms of a signal's patches from their products; what rounding leaves of a constant one after centring is 0."""

    def squares(products):
        positions = products.shape[: products.ndim // 2]
        return np.diag(products.reshape(prod(positions), -1)).reshape(positions)

    smallest = 0
    if layer.patch_centering:
        before = squares(patches.products(K, layer.patch_size, layer.padding_widths))
        smallest = patches.ROUNDING_OF_A_LAYER * np.finfo(P.dtype).eps * before
    return np.sqrt(np.where(squares(P) > smallest, squares(P), 0))


def whitening(Z, layer):  # (m, d) -> (m, m)
    """``A = (kappa(Z Z^T) + reg I)^(-1/2)``, in double precision."""
    return whitening_and_cache(Z, layer).value


def whitening_and_cache(Z, layer):  # (m, d) -> nystroem.InverseSqrt
    """`whitening`, and what its derivative needs."""
    return inverse_sqrt(filter_products(Z, layer), layer.reg)


def whitening_vjp(G, Z, layer, cache):  # (m, m), (m, d), ... -> (m, d)
    """The gradient with respect to Z of a function whose gradient with respect to ``whitening(Z)`` is G."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():
        G_K = cache.vjp(G) * layer.kernel.slope(np.clip(Z @ Z.T, -1, 1))
        return (G_K + G_K.T) @ Z


def filter_products(Z, layer):  # (m, d) -> (m, m)
    """``kappa(Z Z^T)``, in double precision."""
    Z = Z.astype(np.float64)
    with single_threaded_blas():  # the last bits depend on its threads
        return layer.kernel.kappa(np.clip(Z @ Z.T, -1, 1))


def flatten(X, center, scale):  # (n, *space, c) -> (n, prod(space) * c)
    """One row per signal; on demand its mean is subtracted, and it is divided by its norm (a zero row stays zero)."""
    rows = X.reshape(len(X), -1)
    if center:
        rows = rows - rows.mean(axis=1, keepdims=True)
    return patches.normalize(rows)[1] if scale else rows


def flatten_vjp(G, X, center, scale):  # (n, f), (n, *space, c) -> (n, *space, c)
    """The gradient with respect to X of a function whose gradient with respect to ``flatten(X)`` is G."""
    if scale:
        r, rows = patches.normalize(flatten(X, center, scale=False))
        G = (G - (G * rows).sum(axis=1, keepdims=True) * rows) / np.where(r > 0, r, np.inf)
    if center:
        G = G - G.mean(axis=1, keepdims=True)
    return G.reshape(X.shape)


def typical_sigma(U, rng, n_pairs=100_000):  # (k, d)
    """``sigma`` with ``sigma^2`` the 0.1 quantile of ``|u - u'|^2`` over pairs (Mairal et al., 2014, section 3.3).

    Pairs of equal patches tell nothing of scale and are left out; if there are no others, sigma is 1.
    """
    i, j = rng.randint(len(U), size=(2, n_pairs))
    squared = ((U[i] - U[j]) ** 2).sum(axis=1, dtype=np.float64)
    squared = squared[squared > np.finfo(U.dtype).eps]
    return float(np.sqrt(np.quantile(squared, 0.1))) if len(squared) else 1.0
