"""Vector-Jacobian products: adjoint identities, central differences, and the fast reading against the page."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core import (
    blocks,
    descent,
    encode,
    fused,
    gradients,
    kappa,
    losses,
    nystroem,
    one_patch,
    patches,
    pooling,
    winograd,
)

PARAMETERS = {"sigma": 0.6, "degree": 3, "coef0": 0.5}
SPACES = {1: (9,), 2: (6, 7), 3: (4, 3, 5)}
STEP = 1e-5


def layer_settings(ndim, kernel="exponential", size=3, width=2, stride=2, padding="same", kind="gaussian", centering=0):
    size, width, stride = ((n,) * ndim if isinstance(n, int) else n for n in (size, width, stride))
    widths = patches.padding_widths(size, padding)
    record = kappa.make(kernel, **PARAMETERS)
    return encode.LayerSettings(size, widths, bool(centering), record, kind, width, stride, 1e-3)


def unit_rows(rng, m, d):
    return patches.normalize(rng.randn(m, d))[1]


def slope_along(function, x, direction):
    """The central difference of a function of one array."""
    return (function(x + STEP * direction) - function(x - STEP * direction)) / (2 * STEP)


def assert_is_gradient(G, function, x, rng):
    """Of a function of an array, along a random direction."""
    direction = rng.randn(*x.shape)
    expected = slope_along(function, x, direction)
    assert abs((G * direction).sum() - expected) <= 1e-6 * max(np.linalg.norm(G), abs(expected))


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_scatter_is_the_adjoint_of_extract(data):
    ndim, padding = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["same", "valid"]))
    size = data.draw(st.tuples(*[st.integers(1, 3)] * ndim))
    space = data.draw(st.tuples(*[st.integers(3, 6)] * ndim))
    rng, widths = np.random.RandomState(0), patches.padding_widths(size, padding)
    X = rng.randn(2, *space, 2)
    P = patches.extract(X, size, widths)
    G = rng.randn(*P.shape)
    assert_allclose((P * G).sum(), (X * patches.scatter(G, space, size, widths)).sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["gaussian", "average"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pool_adjoint(kind, ndim, rng):
    F = rng.randn(2, *SPACES[ndim], 3)
    operators = pooling.operators(kind, SPACES[ndim], (3, 2, 3)[:ndim], (2, 1, 3)[:ndim])
    Q = pooling.pool(F, operators, 1)
    G = rng.randn(*Q.shape)
    assert_allclose((Q * G).sum(), (F * pooling.pool_adjoint(G, operators, 1)).sum(), rtol=1e-10)


def test_centring_is_its_own_adjoint(rng):
    P, G = rng.randn(2, 7, 12)
    assert_allclose((patches.center(P, 3) * G).sum(), (P * patches.center(G, 3)).sum(), rtol=1e-10)


SPECTRA = {
    "spread": [3.0, 2.0, 1.0, 0.5, 0.1],
    "equal": [1.0, 1.0, 1.0, 1.0, 1.0],
    "singular": [2.0, 1.0, 1.0, 0.0, 0.0],
    "nearly singular": [2.0, 1.0, 1e-9, 1e-10, 0.0],
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_vjp_of_the_inverse_square_root(spectrum, rng):
    V = np.linalg.qr(rng.randn(5, 5))[0]
    K, G, D = (V * SPECTRA[spectrum]) @ V.T, rng.randn(5, 5), rng.randn(5, 5)
    D = D @ D.T if "singular" in spectrum else D + D.T  # eigenvalues below 0 would be clipped: one side only
    h = 1e-6

    def function(t):  # no clipping: the plain formula
        eigenvalues, vectors = np.linalg.eigh(K + t * D)
        return (G * ((vectors / np.sqrt(eigenvalues + 1e-3)) @ vectors.T)).sum()

    exact = (nystroem.inverse_sqrt(K, 1e-3).vjp(G) * D).sum()
    assert exact == pytest.approx((function(h) - function(-h)) / (2 * h), rel=1e-5)


def test_whitening_vjp_with_nearly_equal_filters(rng):
    Z = unit_rows(rng, 6, 8)
    Z[1] = patches.normalize(Z[:1] + 1e-7 * rng.randn(1, 8))[1]
    layer, G = layer_settings(1), rng.randn(6, 6)
    exact = encode.whitening_vjp(G, Z, layer, encode.whitening_and_cache(Z, layer))
    D = descent.tangent(rng.randn(6, 8), Z)

    def function(t):
        return (G * encode.whitening(patches.normalize(Z + t * D)[1], layer)).sum()

    h = 1e-6
    assert (descent.tangent(exact, Z) * D).sum() == pytest.approx((function(h) - function(-h)) / (2 * h), rel=1e-6)


CASES = [
    {},
    {"padding": "valid"},
    {"kind": "average"},
    {"centering": True, "width": 1, "stride": 1},
    {"size": 2, "width": 2, "stride": 1},
    {"size": 1, "width": 3, "stride": 2, "padding": "valid"},
    {"size": 2, "centering": True, "kind": "average", "width": 2, "stride": 1, "padding": "valid"},
]
KERNELS = [name for name in kappa.KERNELS if name != "arccos0"]


def a_layer(rng, ndim, case, c=3, m=5):
    """Settings, maps, filters and whitening."""
    layer = layer_settings(ndim, **case)
    X = rng.randn(2, *SPACES[ndim], c)
    Z = unit_rows(rng, m, math.prod(layer.patch_size) * c)
    return layer, X, Z, rng.randn(m, m)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_encode_vjp_against_central_differences(kernel, case, ndim, rng):
    layer, X, Z, A = a_layer(rng, ndim, {"kernel": kernel, **case})
    Y, cache = encode.encode_and_cache(X, Z, A, layer)
    G = rng.randn(*Y.shape)
    G_X, G_Z, G_A = encode.encode_vjp(G, Z, A, layer, cache)
    assert_is_gradient(G_X, lambda X: (G * encode.encode(X, Z, A, layer)).sum(), X, rng)
    on_spheres = descent.tangent(G_Z, Z)
    assert_is_gradient(on_spheres, lambda Z: (G * encode.encode(X, patches.normalize(Z)[1], A, layer)).sum(), Z, rng)
    assert_is_gradient(G_A, lambda A: (G * encode.encode(X, Z, A, layer)).sum(), A, rng)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_flatten_vjp(center, scale, rng):
    X = rng.randn(3, 2, 3, 4)
    G = rng.randn(3, 24)
    G_X = encode.flatten_vjp(G, X, center, scale)
    assert_is_gradient(G_X, lambda X: (G * encode.flatten(X, center, scale)).sum(), X, rng)
    X[1] = 1  # what is left after centring is zero, and stays
    assert np.isfinite(encode.flatten_vjp(G, X, center, scale)).all()


def assert_equal_readings(layer, X, Z, A, dtype, tolerance, rng):
    """The fast reading and the page, both ways."""
    Y, cache = encode.encode_and_cache(X, Z, A, layer)
    G = rng.randn(*Y.shape)
    expected = [Y, *encode.encode_vjp(G, Z, A, layer, cache)]
    made = gradients.make_layer(Z.astype(dtype), A.astype(dtype), layer, X.shape[1:], is_first=False)
    got, cache = gradients.encode(X.astype(dtype), made)
    got = [got, *gradients.encode_vjp(G.astype(dtype), made, cache)]
    for a, b in zip(expected, got):
        assert b.dtype == dtype and b.shape == a.shape
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(a)
    return made


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_fast_gradients_equal_the_page(case, ndim, dtype, tolerance, rng):
    layer, X, Z, A = a_layer(rng, ndim, case)
    X[0, 1:3] = 0  # zero patches too
    assert_equal_readings(layer, X, Z, A, dtype, tolerance, rng)


@pytest.mark.parametrize(
    "space, case",
    [
        ((1,), {}),
        ((1, 1), {"size": (2, 4), "width": 3}),
        ((5,), {"size": 5, "padding": "valid", "centering": True}),
        ((4, 3), {"size": (4, 3), "padding": "valid", "kind": "average", "width": 1}),
    ],
    ids=str,
)
def test_fast_gradients_of_maps_of_one_patch_equal_the_page(space, case, rng):
    layer = layer_settings(len(space), **case)
    X, Z = rng.randn(7, *space, 3), unit_rows(rng, 5, math.prod(layer.patch_size) * 3)
    X[3] = 0
    made = assert_equal_readings(layer, X, Z, rng.randn(5, 5), np.float64, 1e-12, rng)
    assert type(made.products) is one_patch.OnePatch


POLYNOMIALS = [kappa.make("polynomial", degree=degree, coef0=coef0) for degree, coef0 in ((1, 0.0), (2, 0.5), (4, 3.0))]


@pytest.mark.parametrize("kernel", [*(kappa.make(name, **PARAMETERS) for name in KERNELS), *POLYNOMIALS], ids=str)
def test_fast_gradients_of_every_kernel_equal_the_page(kernel, rng):
    layer, X, Z, A = a_layer(rng, 2, {})
    X[0, 1:3] = 0
    assert_equal_readings(layer._replace(kernel=kernel), X, Z, A, np.float64, 1e-12, rng)


@pytest.mark.parametrize("space, size, padding", [((13, 8), 3, "same"), ((9, 14), 2, "valid"), ((33,), 9, "same")])
@pytest.mark.parametrize("m", [32, 37])
def test_fast_gradients_by_winograd_equal_the_page(space, size, padding, m, rng):
    layer = layer_settings(len(space), size=size, padding=padding)
    X, Z = rng.randn(3, *space, 64), unit_rows(rng, m, math.prod(layer.patch_size) * 64)
    made = assert_equal_readings(layer, X, Z, rng.randn(m, m), np.float32, 1e-4, rng)
    assert isinstance(made.products, winograd.Winograd) and isinstance(made.mirrored, winograd.Winograd)


def test_first_layer_has_no_gradient_with_respect_to_the_signals(rng):
    layer, X, Z, A = a_layer(rng, 2, {})
    made = gradients.make_layer(Z, A, layer, X.shape[1:], is_first=True)
    Y, cache = gradients.encode(X, made)
    assert made.mirrored is None and gradients.encode_vjp(np.ones_like(Y), made, cache, wanted=False)[0] is None


def test_constant_signals_have_finite_gradients(rng):
    for case in ({}, {"centering": True}):
        layer, X, Z, A = a_layer(rng, 2, case)
        for value in (0, 1):
            X[:] = value
            made = gradients.make_layer(Z, A, layer, X.shape[1:], is_first=False)
            Y, cache = gradients.encode(X, made)
            assert all(np.isfinite(G).all() for G in gradients.encode_vjp(np.ones_like(Y), made, cache))


def test_products_are_kept_as_they_are(rng):
    layer, X, Z, _ = a_layer(rng, 2, {})
    out = np.zeros((2, 6, 7, 32))
    blocks.make_products(Z, layer, X.shape[1:], fused.Kept()).add_to(out, X)
    assert_allclose(out[..., :5], patches.extract(X, (3, 3), layer.padding_widths) @ Z.T, atol=1e-13)


TWO_LAYERS = {
    1: [{"size": 3}, {"size": 2, "kernel": "polynomial", "kind": "average", "stride": 1}],
    2: [{"centering": True}, {"kernel": "arccos1"}],
    3: [{"size": 2, "width": 1, "stride": 1}, {"kernel": "vovk", "size": (1, 3, 2)}],
}


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("is_singular", [False, True])
def test_gradient_of_a_network_of_two_layers(ndim, loss, is_singular, rng):
    """Whitening, features and loss included, along the spheres."""
    settings, shape = [layer_settings(ndim, **case) for case in TWO_LAYERS[ndim]], (*SPACES[ndim], 3)
    X, c, filters = rng.randn(5, *shape), 3, []
    for layer in settings:
        filters.append(unit_rows(rng, 6, math.prod(layer.patch_size) * c))
        c = 6
    if is_singular:
        filters[1][1] = patches.normalize(filters[1][:1] + 1e-6 * rng.randn(1, filters[1].shape[1]))[1]
    Y = np.where(rng.randint(3, size=5)[:, None] == np.arange(3), 1.0, -1.0)
    share, top = rng.rand(5), descent.Top(loss, center=True, scale=True)

    def maps(filters):
        x = X
        for Z, layer in zip(filters, settings):
            x = encode.encode(x, Z, encode.whitening(Z, layer), layer)
        return x

    n_features = maps(filters)[0].size
    head = descent.Head(3 * rng.randn(3, n_features), rng.randn(3))

    def objective(filters, head):
        values, _ = losses.LOSSES[loss].function(top.scorer(head)(maps(filters)), Y)
        return (share[:, None] * values).sum()

    found = descent.Network(filters, settings, shape, n_threads=1, memory=0).gradients(X, Y, share, head, top)
    assert found.loss == pytest.approx(objective(filters, head), rel=1e-10)
    for k, (Z, G) in enumerate(zip(filters, found.filters)):
        assert_allclose((G * Z).sum(axis=1), 0, atol=1e-9 * np.abs(G).max())
        D = descent.tangent(rng.randn(*Z.shape), Z)

        def moved(t, k=k, Z=Z, D=D):
            return objective([*filters[:k], patches.normalize(Z + t * D)[1], *filters[k + 1 :]], head)

        h = 1e-6 if is_singular else STEP
        expected = (moved(h) - moved(-h)) / (2 * h)
        assert abs((G * D).sum() - expected) <= 1e-6 * np.linalg.norm(G) * np.linalg.norm(D)
    assert_is_gradient(found.head.W, lambda W: objective(filters, descent.Head(W, head.b)), head.W, rng)
    assert_is_gradient(found.head.b, lambda b: objective(filters, descent.Head(head.W, b)), head.b, rng)


def test_gradients_are_the_same_for_any_number_of_threads(rng):
    settings, X = [layer_settings(2), layer_settings(2, size=2)], rng.randn(70, 8, 8, 1).astype(np.float32)
    filters = [unit_rows(rng, 7, 9).astype(np.float32), unit_rows(rng, 9, 28).astype(np.float32)]
    Y, share = rng.randn(70, 2).astype(np.float32), np.full(70, 1 / 70, np.float32)
    head = descent.Head(rng.randn(2, 36).astype(np.float32), np.zeros(2, np.float32))
    top = descent.Top("squared_error", center=False, scale=False)
    networks = [descent.Network(filters, settings, X.shape[1:], n, memory=2**30) for n in (1, 2)]
    one, two = (network.gradients(X, Y, share, head, top) for network in networks)
    assert one.loss == two.loss and one.steepest == two.steepest and one.weight == two.weight == pytest.approx(1)
    assert all(map(np.array_equal, (*one.filters, *one.head), (*two.filters, *two.head)))
    assert [network.block for network in networks] == [descent.BLOCK] * 2
    small = descent.Network(filters, settings, X.shape[1:], 1, memory=3 * 4 * sum(k.size for k in networks[0].layers))
    assert small.block == 3
    assert_allclose(small.gradients(X, Y, share, head, top).filters[0], one.filters[0], atol=1e-4)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_a_step_of_the_linear_model_lowers_the_objective_whatever_the_features(loss, rng):
    maps, k = rng.randn(20, 3, 4), 1 if loss == "squared_error" else 3
    Y, share = np.where(rng.randint(k, size=20)[:, None] == np.arange(k), 1.0, -1.0), np.full(20, 1 / 20)
    for size in (1e-3, 1.0, 1e3):
        top, head, last = (
            descent.Top(loss, center=False, scale=False),
            descent.Head(rng.randn(k, 12), rng.randn(k)),
            np.inf,
        )
        for _ in range(20):
            value, _, of_head, steepest = top.losses(size * maps, Y, share, head)
            value += 0.1 / 2 * (head.W**2).sum()
            assert value < last
            found, last = descent.Gradients(value, [], of_head, steepest, weight=1), value
            head = descent.step_head(head, found, 0.1)


def test_a_minibatch_of_little_weight_moves_the_linear_model_little(rng):
    """By its part of the step that it would take with the whole weight."""
    head, of_head = (descent.Head(rng.randn(3, 12), rng.randn(3)) for _ in range(2))
    whole = descent.step_head(head, descent.Gradients(1.0, [], of_head, 5.0, weight=1), ridge=0.7)
    part = descent.Head(*(0.1 * array for array in of_head))
    step = descent.step_head(head, descent.Gradients(0.1, [], part, 0.5, weight=0.1), ridge=0.7)
    for now, there, before in zip(step, whole, head):
        assert_allclose(now - before, 0.1 * (there - before), rtol=1e-10)


def test_turn_moves_filters_by_the_angle_on_their_spheres(rng):
    Z, V = unit_rows(rng, 5, 8), rng.randn(5, 8)
    turned = descent.turn(Z, V, 1e-3)
    assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=1e-14)
    angles = np.arccos((turned * Z).sum(axis=1))
    assert np.sqrt((angles**2).mean()) == pytest.approx(1e-3, rel=1e-5)
    assert ((turned - Z) * V).sum() < 0
    assert_array_equal(descent.turn(Z, 0 * V, 1e-3), Z)
    assert descent.turn(Z.astype(np.float32), V.astype(np.float32), np.float64(0.1)).dtype == np.float32
