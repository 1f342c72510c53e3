"""Gradients of a whole network, and steps along them."""

import math

import numpy as np
import pytest
from gradients import SPACES, STEP, assert_is_gradient
from layers import layer_settings, unit_rows
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core import riemannian_sgd
from sklearn_ckn._core.layer import definition, nystroem, patches
from sklearn_ckn._core.layer.symmetries import orbits
from sklearn_ckn._core.linear import losses

TWO_LAYERS = {
    1: [{"size": 3}, {"size": 2, "kernel": "polynomial", "kind": "average", "stride": 1}],
    2: [{"centering": True}, {"kernel": "arccos1"}],
    3: [{"size": 2, "width": 1, "stride": 1}, {"kernel": "vovk", "size": (1, 3, 2)}],
}


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("is_singular", [False, True])
def test_gradients_of_two_layers_equal_central_differences(ndim, loss, is_singular, rng):
    """The gradients include whitening, features and loss, and are tangent to the spheres of the filters."""
    assert_gradients_equal_central_differences(ndim, SPACES[ndim], loss, None, is_singular, rng)


@pytest.mark.parametrize(
    "symmetries, space",
    [*(("flip", space) for space in SPACES.values()), ("rotate", (6, 6)), ("dihedral", (7, 7))],
    ids=str,
)
def test_gradients_of_maps_averaged_over_a_group_equal_central_differences(symmetries, space, rng):
    assert_gradients_equal_central_differences(len(space), space, "logistic", symmetries, False, rng)


def assert_gradients_equal_central_differences(ndim, space, loss, symmetries, is_singular, rng):
    settings, shape = [layer_settings(ndim, **case) for case in TWO_LAYERS[ndim]], (*space, 3)
    X, c, filters = rng.randn(5, *shape), 3, []
    for layer in settings:
        filters.append(unit_rows(rng, 6, math.prod(layer.patch.size) * c))
        c = 6
    if is_singular:
        filters[1][1] = patches.normalize(filters[1][:1] + 1e-6 * rng.randn(1, filters[1].shape[1]))[1]
    Y = np.where(rng.randint(3, size=5)[:, None] == np.arange(3), 1.0, -1.0)
    share, top = rng.rand(5), riemannian_sgd.Top(loss, center=True, scale=True, symmetries=symmetries)

    def maps(filters):
        x = orbits(X, symmetries)
        for Z, layer in zip(filters, settings):
            x = definition.encode(x, Z, nystroem.whitening(Z, layer), layer)
        return x.reshape(-1, len(X), *x.shape[1:]).mean(axis=0)

    n_features = maps(filters)[0].size
    head = riemannian_sgd.Head(3 * rng.randn(3, n_features), rng.randn(3))

    def objective(filters, head):
        values, _ = losses.LOSSES[loss].function(top.scorer(head)(maps(filters)), Y)
        return (share[:, None] * values).sum()

    network = riemannian_sgd.DifferentiableNetwork(filters, settings, n_threads=1, memory=0)
    found = network.gradients([(np.arange(len(X)), X)], Y, share, head, top)
    assert found.loss == pytest.approx(objective(filters, head), rel=1e-10)
    for k, (Z, G) in enumerate(zip(filters, found.filters)):
        assert_allclose((G * Z).sum(axis=1), 0, atol=1e-9 * np.abs(G).max())
        D = riemannian_sgd.tangent(rng.randn(*Z.shape), Z)

        def moved(t, k=k, Z=Z, D=D):
            return objective([*filters[:k], patches.normalize(Z + t * D)[1], *filters[k + 1 :]], head)

        h = 1e-6 if is_singular else STEP
        expected = (moved(h) - moved(-h)) / (2 * h)
        assert abs((G * D).sum() - expected) <= 1e-6 * np.linalg.norm(G) * np.linalg.norm(D)
    assert_is_gradient(found.head.W, lambda W: objective(filters, riemannian_sgd.Head(W, head.b)), head.W, rng)
    assert_is_gradient(found.head.b, lambda b: objective(filters, riemannian_sgd.Head(head.W, b)), head.b, rng)


@pytest.mark.parametrize("symmetries", [None, "dihedral"])
def test_gradients_do_not_depend_on_the_number_of_threads(symmetries, rng):
    settings, X = [layer_settings(2), layer_settings(2, size=2)], rng.randn(70, 8, 8, 1).astype(np.float32)
    filters = [unit_rows(rng, 7, 9).astype(np.float32), unit_rows(rng, 9, 28).astype(np.float32)]
    Y, share = rng.randn(70, 2).astype(np.float32), np.full(70, 1 / 70, np.float32)
    head = riemannian_sgd.Head(rng.randn(2, 36).astype(np.float32), np.zeros(2, np.float32))
    top = riemannian_sgd.Top("squared_error", center=False, scale=False, symmetries=symmetries)
    networks = [riemannian_sgd.DifferentiableNetwork(filters, settings, n, memory=2**30) for n in (1, 2)]
    groups = [(np.arange(70), X)]
    one, two = (network.gradients(groups, Y, share, head, top) for network in networks)
    assert one.loss == two.loss and one.curvature == two.curvature and one.weight == two.weight == pytest.approx(1)
    assert all(map(np.array_equal, (*one.filters, *one.head), (*two.filters, *two.head)))
    assert [len(network.blocks(groups)[0].X) for network in networks] == [riemannian_sgd.BLOCK] * 2
    assert len(networks[0].blocks(groups, n_transforms=8)[0].X) == riemannian_sgd.BLOCK // 8
    memory = 3 * 4 * sum(k.numbers_per_signal for k in networks[0].layers(X.shape[1:]))
    small = riemannian_sgd.DifferentiableNetwork(filters, settings, 1, memory)
    assert len(small.blocks(groups)[0].X) == 3
    assert_allclose(small.gradients(groups, Y, share, head, top).filters[0], one.filters[0], atol=1e-4)


def test_gradients_of_signals_of_different_shapes_are_sums_over_the_shapes(rng):
    settings = [layer_settings(2), layer_settings(2, size=2, count=2)]
    filters = [unit_rows(rng, 7, 9), unit_rows(rng, 9, 28)]
    Y, share, head = rng.randn(5, 2), rng.rand(5), riemannian_sgd.Head(rng.randn(2, 36), rng.randn(2))
    top = riemannian_sgd.Top("squared_hinge", center=True, scale=True)
    network = riemannian_sgd.DifferentiableNetwork(filters, settings, 1, memory=2**30)
    groups = [(np.array([3, 0]), rng.randn(2, 8, 9, 1)), (np.array([1, 4, 2]), rng.randn(3, 5, 4, 1))]
    together = network.gradients(groups, Y, share, head, top)
    apart = [network.gradients([(np.arange(len(X)), X)], Y[rows], share[rows], head, top) for rows, X in groups]
    for k in range(2):
        assert_allclose(together.filters[k], sum(part.filters[k] for part in apart), rtol=1e-9, atol=1e-12)
    assert_allclose(together.head.W, sum(part.head.W for part in apart), rtol=1e-12)
    assert together.loss == pytest.approx(sum(part.loss for part in apart), rel=1e-12)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_steps_of_the_linear_model_lower_the_objective_for_features_of_any_size(loss, rng):
    maps, k = rng.randn(20, 3, 4), 1 if loss == "squared_error" else 3
    Y, share = np.where(rng.randint(k, size=20)[:, None] == np.arange(k), 1.0, -1.0), np.full(20, 1 / 20)
    for size in (1e-3, 1.0, 1e3):
        top, head, last = (
            riemannian_sgd.Top(loss, center=False, scale=False),
            riemannian_sgd.Head(rng.randn(k, 12), rng.randn(k)),
            np.inf,
        )
        for _ in range(20):
            value, _, of_head, curvature = top.losses(size * maps, Y, share, head)
            value += 0.1 / 2 * (head.W**2).sum()
            assert value < last
            found, last = riemannian_sgd.Gradients(value, [], of_head, curvature, weight=1), value
            head = riemannian_sgd.step_head(head, found, 0.1)


def test_step_of_the_linear_model_is_proportional_to_the_weight_of_the_mini_batch(rng):
    """A mini-batch with a tenth of the weight moves the model by a tenth of the step."""
    head, of_head = (riemannian_sgd.Head(rng.randn(3, 12), rng.randn(3)) for _ in range(2))
    whole = riemannian_sgd.step_head(head, riemannian_sgd.Gradients(1.0, [], of_head, 5.0, weight=1), ridge=0.7)
    part = riemannian_sgd.Head(*(0.1 * array for array in of_head))
    step = riemannian_sgd.step_head(head, riemannian_sgd.Gradients(0.1, [], part, 0.5, weight=0.1), ridge=0.7)
    for now, there, before in zip(step, whole, head):
        assert_allclose(now - before, 0.1 * (there - before), rtol=1e-10)


def test_turn_moves_filters_by_an_angle_on_their_spheres(rng):
    Z, V = unit_rows(rng, 5, 8), rng.randn(5, 8)
    turned = riemannian_sgd.turn(Z, V, 1e-3)
    assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=1e-14)
    angles = np.arccos((turned * Z).sum(axis=1))
    assert np.sqrt((angles**2).mean()) == pytest.approx(1e-3, rel=1e-5)
    assert ((turned - Z) * V).sum() < 0
    assert_array_equal(riemannian_sgd.turn(Z, 0 * V, 1e-3), Z)
    assert riemannian_sgd.turn(Z.astype(np.float32), V.astype(np.float32), np.float64(0.1)).dtype == np.float32
