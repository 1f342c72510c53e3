"""The reference definition of a layer, ``x_k = A_k M_k P_k x_{k-1}``, with which tests compare all faster code.

`encode` computes the transform in five steps (extract patches, normalise, apply kappa, pool, whiten), and `encode_vjp`
computes its vector-Jacobian product. `encode_kernel` applies the first four steps to the exact kernel between two
signals, which the transform approximates, and `encode_tangent_kernel` computes the tangent kernel of the layer. Pooling
comes before whitening: the two are linear and commute, and this order makes the matrix product smaller.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from . import patches, pooling
from .kappa import COINCIDENT


class Cache(NamedTuple):
    """Intermediate results of `encode` that `encode_vjp` needs."""

    space: tuple
    r: np.ndarray  # (n, *positions, 1)
    U: np.ndarray  # (n, *positions, d)
    T: np.ndarray  # (n, *positions, m)
    Q: np.ndarray  # (n, *pooled, m)


def encode(X, Z, A, settings):  # (n, *space, c), (m, d), (m, m), LayerSettings -> (n, *pooled, m)
    """Return the maps of a layer: pooled Nyström projections onto the filters (Mairal, 2016, section 2)."""
    return encode_and_cache(X, Z, A, settings)[0]


def encode_and_cache(X, Z, A, settings):  # -> (n, *pooled, m), Cache
    """Return the maps of a layer and the intermediate results that `encode_vjp` needs."""
    P = patches.extract(X, settings.patch)  # (n, *positions, d)
    r, U = patches.normalize(P)  # (n, *positions, 1), (n, *positions, d)
    T = np.clip(U @ Z.T, -1, 1)  # (n, *positions, m)
    F = r * settings.kernel.kappa(T)  # (n, *positions, m)
    Q = pooling.pool(F, settings.pooling_operators(X.shape[1:-1]), first_axis=1)  # (n, *pooled, m)
    return Q @ A, Cache(X.shape[1:-1], r, U, T, Q)


def encode_vjp(G, Z, A, settings, cache):  # (n, *pooled, m), ... -> (n, *space, c), (m, d), (m, m)
    """Return the gradients with respect to X, Z and A, given the gradient G with respect to ``encode(X, Z, A)``.

    The derivative of ``r kappa(<P, z> / r)`` is ``kappa'(t) P`` with respect to z, and
    ``kappa'(t) z + (kappa(t) - t kappa'(t)) P / r`` with respect to P. At a zero patch, the derivative does
    not exist and is taken to be 0. A is treated as independent of Z; `nystroem.whitening_vjp` propagates the gradient
    from A to Z.
    """
    space, r, U, T, Q = cache
    G_A = np.tensordot(Q, G, (range(Q.ndim - 1),) * 2)
    G_F = pooling.pool_adjoint(G @ A.T, settings.pooling_operators(space), first_axis=1) * (r > 0)
    kappa, slope = settings.kernel.kappa(T), settings.kernel.slope(T)
    G_T = G_F * slope
    G_Z = np.tensordot(G_T, r * U, (range(U.ndim - 1),) * 2)
    G_P = G_T @ Z + (G_F * (kappa - T * slope)).sum(axis=-1, keepdims=True) * U
    return patches.scatter(G_P, space, settings.patch), G_Z, G_A


def encode_kernel(k_xy, k_xx, k_yy, settings):  # (*space, *space) -> (*pooled, *pooled)
    """Return the exact kernel of one layer, ``k(u, v) = <x_k(u), y_k(v)>``, from the kernel of the previous layer.

    The inner products ``k_xy``, ``k_xx`` and ``k_yy`` of all positions of the signals x and y are propagated together,
    because the norms of the patches are computed from ``k_xx`` and ``k_yy``. For the first layer, all three are inner
    products of pixels. The kernel of x and y is the trace of ``k_xy`` after the last layer.
    """
    kernels = []
    for first, second, K in ((k_xx, k_yy, k_xy), (k_xx, k_xx, k_xx), (k_yy, k_yy, k_yy)):
        r, T = _norms_and_cosines(K, first, second, settings.patch)
        kernels.append(_pool_both(r * settings.kernel.kappa(T), settings))
    return tuple(kernels)


def encode_tangent_kernel(t_xy, k_xy, k_xx, k_yy, settings):  # (*space, *space) -> (*pooled, *pooled)
    """Return the tangent kernel of one layer from the tangent kernel and the kernels of the previous layer.

    The tangent kernel is ``t_k = k_k + pool(kappa'(cosines) * sum_patch(t_{k-1}))``. Here, ``sum_patch`` adds the
    values at the positions of a patch and ``pool`` pools, both along the positions of x and of y, and kappa' is taken
    to be 0 for a zero patch. For the first layer, ``t_xy`` is ``k_xy``. The tangent kernel of x and y is the trace of
    ``t_xy`` after the last layer.
    """
    r, T = _norms_and_cosines(k_xy, k_xx, k_yy, settings.patch)
    slope = settings.kernel.slope(np.clip(T * (1 + COINCIDENT), -1, 1))
    F = np.where(r > 0, slope * patches.inner_products(t_xy, settings.patch), 0)
    return encode_kernel(k_xy, k_xx, k_yy, settings)[0] + _pool_both(F, settings)


def _norms_and_cosines(k_xy, k_xx, k_yy, patch):  # (*space, *space) -> (*positions, *positions), the same
    """Return the products of the norms of all patches of x and y, and the cosines of the patches."""
    r = np.multiply.outer(_norms(k_xx, patch), _norms(k_yy, patch))
    return r, np.clip(patches.inner_products(k_xy, patch) / np.where(r > 0, r, 1), -1, 1)


def _pool_both(F, settings):  # (*positions, *positions) -> (*pooled, *pooled)
    """Pool along the positions of x and along the positions of y."""
    n_axes = F.ndim // 2
    of_x, of_y = (pooling.operators(settings.pooling, space) for space in (F.shape[:n_axes], F.shape[n_axes:]))
    return pooling.pool(pooling.pool(F, of_x, first_axis=0), of_y, first_axis=n_axes)


def _norms(K, patch):  # (*space, *space) -> (*positions,)
    """Return the norms of a signal's patches; a centred constant patch has norm 0, despite any rounding errors."""

    def squares(products):
        positions = products.shape[: products.ndim // 2]
        return np.diag(products.reshape(prod(positions), -1)).reshape(positions)

    P, smallest = patches.inner_products(K, patch), 0
    if patch.centering:
        before = squares(patches.inner_products(K, patch._replace(centering=False)))
        smallest = patches.ROUNDING_OF_A_LAYER * np.finfo(P.dtype).eps * before
    return np.sqrt(np.where(squares(P) > smallest, squares(P), 0))
