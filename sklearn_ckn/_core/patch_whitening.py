"""Whitening of images by their patches: ``x' = E^T W M E x / E^T 1``, where E extracts patches and M centres them.

W is a negative power of the second moments of ``M E x`` over the positions of one image or of many images. Whitened
patches resemble the original ones (zero-phase component analysis, ZCA), and overlapping patches are averaged.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from .layer import patches
from .layer.patches import PatchGeometry

NUMBERS = 2**20  # maximum number of elements in the patches that are processed together, which stay in the cache
NEGLIGIBLE = 1e-12  # eigenvalues up to this fraction of the largest one may come from rounding to single precision


def normalize_contrast(X):  # (n, *space, c) -> (n, *space, c)
    """Centre each signal and divide it by its standard deviation. A constant signal becomes an all-zero signal."""
    _, directions = patches.normalize(patches.center(X.reshape(len(X), -1), 1))
    return (directions * np.sqrt(X.dtype.type(directions.shape[1]))).reshape(X.shape)


class WhiteningSettings(NamedTuple):
    """The settings of the whitening of images; a whitening matrix learned from many images is not among them."""

    patch: PatchGeometry  # geometry of the patches, which are centred and do not extend beyond the image
    normalize_contrast: bool
    exponent: float
    reg: float


def centred_patches(X, settings):  # (n, *space, c), WhiteningSettings -> (n, k, d)
    """Return all patches of images, after normalising the contrast of the images if the settings require it."""
    P = patches.extract(normalize_contrast(X) if settings.normalize_contrast else X, settings.patch)
    return P.reshape(len(X), -1, P.shape[-1])


def second_moments(P):  # (n, k, d) -> (n, d, d)
    """Return ``sum over patches of z z^T / k`` for every signal, in double precision."""
    P = P.astype(np.float64)
    return P.transpose(0, 2, 1) @ P / P.shape[1]


def negative_power(C, exponent, reg, dtype):  # (..., d, d)
    """Return ``(C + reg trace(C) / d I)^(-exponent)``, set to 0 in directions in which C is negligible."""
    eigenvalues, U = np.linalg.eigh(C)
    largest, mean = eigenvalues[..., -1:], np.trace(C, axis1=-2, axis2=-1)[..., None] / C.shape[-1]
    kept = eigenvalues > np.maximum(NEGLIGIBLE * largest, np.finfo(dtype).tiny)
    powers = np.where(kept, np.where(kept, eigenvalues + reg * mean, 1) ** -exponent, 0)
    return (U * powers[..., None, :]) @ np.swapaxes(U, -1, -2)


def local_whitening(P, settings):  # (n, k, d), WhiteningSettings -> (n, d, d)
    """Return the whitening matrix of every image, computed from the patches of that image."""
    return negative_power(second_moments(P), settings.exponent, settings.reg, P.dtype)


def put_together(P, shape, patch):  # (n, k, d), (*space, c), PatchGeometry -> (n, *space, c)
    """Reassemble signals from their patches, which are averaged where they overlap."""
    space, patch = shape[:-1], patch._replace(centering=False)
    positions = patch.positions(space)
    sums = patches.scatter(P.reshape(len(P), *positions, -1), space, patch)
    counts = [np.convolve(np.ones(n, P.dtype), np.ones(k, P.dtype)) for n, k in zip(positions, patch.size)]
    return sums / reduce(np.multiply.outer, counts)[..., None]


def whiten(X, settings, whitening=None):  # (n, *space, c), WhiteningSettings, (d, d) or None -> (n, *space, c)
    """Multiply the patches of images by a whitening matrix, and reassemble the images.

    If ``whitening`` is None, each image has its own whitening matrix.
    """
    P = centred_patches(X, settings)
    W = local_whitening(P, settings) if whitening is None else whitening
    return put_together(P @ W.astype(P.dtype), X.shape[1:], settings.patch)


def block_size(shape, patch):  # (*space, c), PatchGeometry -> int
    """Return the number of signals to process together, so that their patches stay in the cache."""
    d = shape[-1] * np.prod(patch.size)
    return int(max(1, NUMBERS // (np.prod(shape[:-1]) * d)))
