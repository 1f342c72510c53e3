"""The Lipschitz constant of a network, which no pair of signals exceeds."""

import numpy as np
import pytest
from gradients import KERNELS, unit_rows
from layers import SPACES, layer_settings
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import definition, nystroem
from sklearn_ckn._core.layer.settings import lipschitz_factors

VARIANTS = [
    {"size": 3, "width": 2, "stride": 1},
    {"size": 2, "width": 1, "stride": 1, "padding": "valid"},
    {"size": 2, "width": 2, "stride": 2, "kind": "average"},
    {"size": 2, "width": 2, "stride": 1, "centering": True},
    {"size": 1, "width": 2, "stride": 2},
]
DEPTHS = pytest.mark.parametrize("n_layers", [1, 2, 3])
SPACES = pytest.mark.parametrize("space", [(20,), *SPACES[1:]], ids=str)


def networks(n_layers, ndim):
    """Yield the settings of networks, such that every kernel and every variant occurs in every layer."""
    for k in range(len(KERNELS)):
        layers = [(KERNELS[(k + 2 * i) % len(KERNELS)], VARIANTS[(k + i) % len(VARIANTS)]) for i in range(n_layers)]
        yield [layer_settings(ndim, kernel, **variant) for kernel, variant in layers]


def exact_distance(x, y, layers):
    products = [np.tensordot(a, b, (-1, -1)) for a, b in ((x, y), (x, x), (y, y))]
    for layer in layers:
        products = definition.encode_kernel(*products, layer)
    xy, xx, yy = (np.trace(K.reshape(2 * [int(np.sqrt(K.size))])) for K in products)
    return np.sqrt(xx + yy - 2 * xy)


@DEPTHS
@SPACES
def test_exact_distances_of_random_pairs_do_not_exceed_the_lipschitz_constant(space, n_layers, rng):
    for layers in networks(n_layers, len(space)):
        constant = lipschitz_factors(layers, space).prod()
        x, z = rng.randn(2, *space, 2)
        for y in (z, x + 0.01 * z, np.where(rng.rand(*space, 2) < 0.1, z, x)):
            assert exact_distance(x, y, layers) <= constant * np.linalg.norm(x - y) * (1 + 1e-9)


def ascend(X, layers, rng, n_steps=30):
    """Return the largest ratio of distances, after and before the network, that gradient ascent finds for a pair."""
    network, shape, largest = [], X.shape, 0
    for layer in layers:
        Z = unit_rows(rng, 20, np.prod(layer.patch.size) * shape[-1])
        network.append((Z, nystroem.whitening(Z, layer), layer))
        shape = (*layer.pooled_positions(shape[1:-1]), 20)
    for step in 0.5 * 0.87 ** np.arange(n_steps):
        maps, caches = X, []
        for layer in network:
            maps, cache = definition.encode_and_cache(maps, *layer)
            caches.append(cache)
        G, difference = np.subtract(maps, maps[::-1]), X - X[::-1]
        ratio, distance = np.linalg.norm(G) / np.linalg.norm(difference), np.linalg.norm(difference[0])
        largest = max(largest, ratio)
        for layer, cache in zip(network[::-1], caches[::-1]):
            G = definition.encode_vjp(G, *layer, cache)[0]
        G -= ratio**2 * difference
        X = X + step * distance * G / np.linalg.norm(G)
    return largest


@DEPTHS
@SPACES
def test_gradient_ascent_does_not_exceed_the_lipschitz_constant(space, n_layers, rng):
    ratios = []
    for layers in networks(n_layers, len(space)):
        X = np.cumsum(rng.randn(2, *space, 2), axis=1)
        ratios.append(ascend(X, layers, rng) / lipschitz_factors(layers, space).prod())
    assert max(ratios) <= 1 + 1e-9
    assert n_layers > 1 or max(ratios) > 0.8  # The constant of one layer is nearly attained.


def test_deep_linear_networks_nearly_attain_the_lipschitz_constant():
    """They multiply the norm of a long constant signal by almost the constant."""
    layers = [layer_settings(1, "linear", **VARIANTS[k]) for k in (0, 1, 0)]
    x = np.ones((200, 1))
    assert_allclose(
        exact_distance(x, 0 * x, layers), lipschitz_factors(layers, (200,)).prod() * np.sqrt(200), rtol=0.03
    )
