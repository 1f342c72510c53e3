"""Layers for the tests of `_core`: their settings, filters, and the fast transform of a block."""

import pytest

from sklearn_ckn._core.layer import kappa, patches
from sklearn_ckn._core.layer.pooling import Fixed, Sliding
from sklearn_ckn._core.layer.settings import LayerSettings
from sklearn_ckn._core.network import forward

SPACES = [(7,), (6, 5), (4, 3, 5)]
PARAMETERS = {"sigma": 0.6, "degree": 3, "coef0": 0.5}


def kernels():
    return [pytest.param(name, id=name) for name in kappa.KERNELS]


def layer_settings(
    ndim, kernel="exponential", size=3, width=2, stride=2, padding="same", kind="gaussian", centering=0, dilation=1,
    count=None,
):  # fmt: skip
    size, width, stride, dilation, count = (
        (n,) * ndim if isinstance(n, int) else n for n in (size, width, stride, dilation, count)
    )
    return LayerSettings(
        patch=patches.PatchGeometry.of(size, padding, centering, dilation),
        kernel=kappa.make(kernel, **PARAMETERS),
        pooling=Fixed(kind, count) if count else Sliding(kind, width, stride),
        reg=1e-3,
    )


def unit_rows(rng, n, d, dtype=float):
    return patches.normalize(rng.randn(n, d).astype(dtype))[1]


def encode_block(X, Z, A, settings):
    return forward.encode_block(X, forward.prepare(Z, A, settings, X.shape[1:]))
