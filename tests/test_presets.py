"""The networks of `presets`: the layers that they consist of, and signals of every shape that they read."""

import numpy as np
import pytest

from sklearn_ckn import CKNLayer
from sklearn_ckn.presets import make_network

KINDS = ["fast", "balanced", "accurate"]


def few(network, n_filters=8):
    """Reduce the number of filters and patches in every layer, and return the network."""
    for _, layer in network.steps:
        layer.set_params(n_filters=n_filters, n_patches=1000)
    return network


@pytest.mark.parametrize(
    "shape, ndim, positions, n_filters, centred",
    [
        ((28, 28), 2, (4, 4), [(32, 128), (64, 256), (64, 512)], [(1, 0), (1, 0), (1, 1)]),
        ((32, 30, 3), 2, (3, 3), [(32, 128), (64, 256), (256, 1024)], [(0, 0)] * 3),
        ((9, 7, 5), 2, (3, 4), [(32, 128), (64, 256), (64, 512)], [(1, 0), (1, 0), (1, 1)]),
        ((50,), 1, (3,), [(32, 128), (64, 256), (128, 512)], [(1, 0)] * 3),
    ],
)
def test_networks_have_these_layers(shape, ndim, positions, n_filters, centred):
    for kind, of_kind, centred_of_kind in zip(KINDS, n_filters, centred):
        network = make_network(kind, shape, ndim=ndim, random_state=3)
        layers = [layer for _, layer in network.steps]
        assert all(type(layer) is CKNLayer and layer.random_state == 3 and layer.ndim == ndim for layer in layers)
        assert tuple(layer.n_filters for layer in layers) == of_kind
        assert tuple(layer.n_patches for layer in layers) == tuple(30 * m for m in of_kind)
        assert tuple(layer.patch_centering for layer in layers) == centred_of_kind
        maps = few(network).fit_transform(np.random.RandomState(0).rand(5, *shape))
        assert maps.shape[1:-1] == positions


def test_defaults_that_these_networks_rely_on():
    defaults = {"padding": "same", "subsampling": None, "pooling": "gaussian", "kernel": "exponential", "reg": 1e-3}
    defaults |= {"init": "k-means", "max_iter": 20}
    assert {name: CKNLayer().get_params()[name] for name in defaults} == defaults


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 4), (2, 8, 3), (2, 2)])
def test_small_signals(kind, shape):
    X, ndim = np.random.RandomState(0).rand(200, *shape), min(len(shape), 2)
    maps = few(make_network(kind, shape, ndim=ndim, random_state=0), n_filters=1).fit_transform(X)
    assert maps.ndim == ndim + 2 and np.isfinite(maps).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("slow", (8, 8)), "'kind' parameter of make_network.* Got 'slow'"),
        (("fast", 8), "'shape' parameter .* Got 8"),
        (("fast", (8,)), r"^shape must be \(height, width\)"),
        (("fast", (8, 0)), r"^shape must be .*got \(8, 0\)"),
        (("fast", (8, -1)), r"^shape must be .*ints >= 1; got \(8, -1\)"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_network(*arguments)
    with pytest.raises(ValueError, match=r"'ndim' parameter .* Got 3"):
        make_network("fast", (8, 8, 8), ndim=3)
