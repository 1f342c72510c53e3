"""Gradients for the tests: central differences, and layers to differentiate."""

import math

import numpy as np
from layers import layer_settings, unit_rows

from sklearn_ckn._core.layer import kappa

SPACES = {1: (9,), 2: (6, 7), 3: (4, 3, 5)}
STEP = 1e-5
KERNELS = [name for name in kappa.KERNELS if name != "arccos0"]  # whose slope is finite
CASES = [
    {},
    {"padding": "valid"},
    {"kind": "average"},
    {"centering": True, "width": 1, "stride": 1},
    {"size": 2, "width": 2, "stride": 1},
    {"size": 1, "width": 3, "stride": 2, "padding": "valid"},
    {"dilation": 2},
    {"count": 2},
    {"count": 3, "kind": "average", "size": 2},
    {"size": 2, "centering": True, "kind": "average", "width": 2, "stride": 1, "padding": "valid"},
    {"size": 2, "centering": True, "width": 1, "stride": 1, "padding": "valid", "dilation": 2},
]


def slope_along(function, x, direction):
    """The central difference of a function of one array."""
    return (function(x + STEP * direction) - function(x - STEP * direction)) / (2 * STEP)


def assert_is_gradient(G, function, x, rng):
    """Of a function of an array, along a random direction."""
    direction = rng.randn(*x.shape)
    expected = slope_along(function, x, direction)
    assert abs((G * direction).sum() - expected) <= 1e-6 * max(np.linalg.norm(G), abs(expected))


def a_layer(rng, ndim, case, c=3, m=5):
    """Settings, maps, filters and whitening."""
    layer = layer_settings(ndim, **case)
    X = rng.randn(2, *SPACES[ndim], c)
    Z = unit_rows(rng, m, math.prod(layer.patch.size) * c)
    return layer, X, Z, rng.randn(m, m)
