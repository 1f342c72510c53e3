"""Gram matrices of the exact and the tangent kernel, compared with loops, with the definition and with networks."""

import naive
import numpy as np
import pytest
from exact_kernels import layer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer
from sklearn_ckn._core.exact import gram
from sklearn_ckn._core.layer import definition, kappa, patches
from sklearn_ckn._core.layer.symmetries import orbits
from sklearn_ckn._core.runtime import simd

RELATIVE = {"float64": 1e-10, "float32": 1e-5}  # tolerance relative to the largest value
both_dtypes = pytest.mark.parametrize("dtype", RELATIVE)
both_results = pytest.mark.parametrize("tangent", [False, True], ids=["kernel", "tangent"])


def naive_settings(a_layer):
    """Return the settings of a layer for the loops of `naive`."""

    def per_axis(value):
        return (value,) * a_layer.ndim if isinstance(value, int) else tuple(value)

    return {
        "size": per_axis(a_layer.patch_size),
        "dilation": per_axis(a_layer.dilation),
        "padding": a_layer.padding,
        "centering": a_layer.patch_centering,
        "kernel": a_layer.kernel,
        "parameters": {"sigma": a_layer.sigma, "degree": a_layer.degree, "coef0": a_layer.coef0},
        "pooling": a_layer.pooling,
        "width": per_axis(a_layer.pooling_width or 2),
        "stride": per_axis(a_layer.subsampling or a_layer.pooling_width or 2),
        "count": None if a_layer.n_positions is None else per_axis(a_layer.n_positions),
    }


def exact(layers, X, Y):  # -> (2, len(X), len(Y))
    """Return the exact kernel and the tangent kernel of X and Y in loops."""
    settings = [naive_settings(a) for a in layers]
    return np.moveaxis([[naive.exact_kernels(x, y, settings) for y in Y] for x in X], -1, 0)


def signals(rng, n, *shape, dtype="float64"):
    """Return signals of random sign, the first of which is 0 in one half."""
    X = rng.randn(n, *shape)
    X[0, : shape[0] // 2] = 0
    return X.astype(dtype)


def assert_equals_loops(layers, X, Y, dtype):
    """Check the kernels of X and X and of X and Y, and that the first is symmetric and positive up to rounding."""
    X, Y, tolerance = X.astype(dtype), Y.astype(dtype), RELATIVE[dtype]
    both = exact(layers, X.astype(float), np.concatenate([X, Y]).astype(float))
    has_tangent = all(a.kernel != "arccos0" for a in layers)
    for tangent, expected in enumerate(both[: 1 + has_tangent]):
        kernel = CKNKernel(make_pipeline(*layers), tangent=bool(tangent))
        K, cross = kernel(X), kernel(X, Y)
        scale = np.abs(expected).max()
        assert K.dtype == cross.dtype == dtype
        assert np.abs(np.hstack([K, cross]) - expected).max() <= tolerance * scale
        assert_array_equal(K, K.T)
        assert_array_equal(np.diag(K), kernel.diag(X))
        assert np.linalg.eigvalsh(K.astype(float)).min() >= -tolerance * scale


# Loops


@pytest.mark.parametrize(
    "name, dtype",
    [*((name, "float64") for name in kappa.KERNELS), ("exponential", "float32"), ("arccos1", "float32")],
)
def test_every_kernel_equals_loops(name, dtype, rng):
    assert_equals_loops(
        [layer(kernel=name), layer(kernel=name)], signals(rng, 2, 5, 4, 2), rng.randn(1, 5, 4, 2), dtype
    )


ARCHITECTURES = [
    [layer(padding="valid"), layer(patch_size=2)],
    [layer(pooling="average", subsampling=1), layer(pooling="average", pooling_width=1)],
    [layer(patch_size=(2, 3), pooling_width=(1, 2), subsampling=(2, 1)), layer(patch_size=1, pooling_width=3)],
    [layer(pooling_width=1, subsampling=3)],
    [layer(patch_size=4, pooling_width=3, subsampling=1)],
    [layer(pooling_width=1), layer(subsampling=1), layer()],
    [layer(patch_centering=True), layer(pooling_width=1)],
    [layer(pooling_width=1), layer(patch_centering=True, padding="valid", patch_size=2)],
    [layer(dilation=2, pooling_width=1), layer(dilation=(3, 1))],
    [layer(pooling_width=1), layer(patch_centering=True, padding="valid", patch_size=2, dilation=(2, 3))],
    [layer(), layer(n_positions=1)],
    [layer(n_positions=(4, 3), pooling="average"), layer(n_positions=(2, 5), pooling="average")],
]


@both_dtypes
@pytest.mark.parametrize("layers", ARCHITECTURES, ids=range(len(ARCHITECTURES)))
def test_every_architecture_equals_loops(layers, dtype, rng):
    assert_equals_loops(layers, signals(rng, 2, 6, 5, 2), rng.randn(1, 6, 5, 2), dtype)


@pytest.mark.parametrize(
    "space, dtype", [((9,), "float64"), ((9,), "float32"), ((4, 7), "float64"), ((3, 4, 3), "float64")], ids=str
)
def test_every_number_of_axes_equals_loops(space, dtype, rng):
    ndim = len(space)
    centred = layer(ndim, patch_size=(2,) * (ndim - 1) + (3,), patch_centering=True)
    for second in (layer(ndim, patch_size=2), centred):
        layers = [layer(ndim, pooling_width=1, subsampling=(2,) + (1,) * (ndim - 1)), second]
        assert_equals_loops(layers, signals(rng, 2, *space, 3), rng.randn(1, *space, 3), dtype)


@pytest.mark.parametrize(
    "space, other", [((9,), (5,)), ((6, 5), (3, 7)), ((4, 6), (4, 3)), ((3, 4, 3), (4, 2, 5))], ids=str
)
@both_dtypes
def test_signals_of_different_sizes_equal_loops(space, other, dtype, rng):
    ndim = len(space)
    networks = [
        [layer(ndim, n_positions=2)],
        [layer(ndim, patch_size=2, padding="valid"), layer(ndim, n_positions=1, pooling="average")],
        [layer(ndim, patch_centering=True), layer(ndim, dilation=2, n_positions=3, kernel="polynomial")],
    ]
    X, Y = signals(rng, 2, *space, 2, dtype=dtype), rng.randn(3, *other, 2).astype(dtype)
    for layers in networks:
        expected, tangent = exact(layers, X.astype(float), Y.astype(float))
        for flag, values in ((False, expected), (True, tangent)):
            K = CKNKernel(make_pipeline(*layers), tangent=flag)(X, Y)
            assert K.dtype == dtype and np.abs(K - values).max() <= RELATIVE[dtype] * np.abs(values).max()


def test_lists_of_signals_give_the_kernels_of_all_pairs(rng):
    shapes = [(6, 5), (4, 4), (6, 5), (3, 7), (4, 4), (5, 6)]
    X = [rng.randn(*shape, 2) for shape in shapes]
    network = make_pipeline(layer(sigma=0.7), layer(n_positions=2, sigma=0.7))
    kernel = CKNKernel(network)
    K, gradient = kernel(X, eval_gradient=True)
    alone = [[kernel(x[None], y[None])[0, 0] for y in X] for x in X]
    assert_allclose(K, alone, rtol=1e-12)
    assert_array_equal(K, K.T)
    assert_array_equal(kernel.diag(X), np.diag(K))
    assert_allclose(kernel(X[:2], X), K[:2], rtol=1e-12)
    assert np.linalg.eigvalsh(K).min() > 0
    assert_array_equal(CKNKernel(network, n_jobs=2)(X), K)
    normalized = CKNKernel(network, normalize=True)(X)
    assert_allclose(normalized, K / np.sqrt(np.outer(np.diag(K), np.diag(K))), rtol=1e-12)
    h = 1e-5
    for k, name in enumerate(("network__cknlayer-1__sigma", "network__cknlayer-2__sigma")):
        ahead, behind = (clone(kernel).set_params(**{name: 0.7 * np.exp(step)})(X) for step in (h, -h))
        assert_allclose(gradient[..., k], (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-6 * np.abs(K).max())


def test_features_of_signals_of_different_sizes_approximate_the_kernel(rng):
    """With all patches as filters, the inner products of features equal the kernel."""
    X, maps, steps = [rng.randn(*shape, 1) for shape in ((5, 4), (3, 6))], None, []
    maps = X
    for a_layer in (layer(patch_size=2, reg=1e-13), layer(patch_size=2, n_positions=2, reg=1e-13)):
        P = [patches.extract(x[None], a_layer._read_settings().patch).reshape(-1, *[2, 2], x.shape[-1]) for x in maps]
        filters = np.concatenate(P)
        maps = a_layer.set_params(init=filters, n_filters=len(filters)).fit(maps).transform(maps)
        steps.append(a_layer)
    features = np.reshape(maps, (2, -1))
    assert_allclose(features @ features.T, CKNKernel(make_pipeline(*steps))(X), rtol=1e-8)


# The definition and networks


@given(data=st.data())
@hypothesis_settings(max_examples=40, deadline=None)
def test_random_networks_equal_the_definition(data):
    """The definition accepts any sizes, strides and paddings, and so must the vectorised kernel."""
    ndim = data.draw(st.integers(1, 3))

    def sizes(largest):
        return data.draw(st.tuples(*[st.integers(1, largest)] * ndim))

    space = data.draw(st.tuples(*[st.integers(4, (14, 7, 5)[ndim - 1])] * ndim))
    layers, below = [], space
    for _ in range(data.draw(st.integers(1, 3))):
        a_layer = layer(
            ndim,
            patch_size=sizes(min(4, *below)),
            dilation=sizes(3),
            **data.draw(
                st.sampled_from(
                    [{"pooling_width": sizes(min(3, *below)), "subsampling": sizes(3)}, {"n_positions": sizes(4)}]
                )
            ),
            pooling=data.draw(st.sampled_from(["average", "gaussian"])),
            padding=data.draw(st.sampled_from(["same", "valid"])),
            patch_centering=data.draw(st.booleans()),
        )
        if a_layer.patch_centering and np.prod(a_layer.patch_size) == 1:
            break
        settings = a_layer._read_settings()._replace(kernel=kappa.Exponential(0.6))
        if 0 in settings.patch_positions(below) or 0 in settings.pooled_positions(below):
            break
        layers.append((a_layer, settings))
        below = settings.pooled_positions(below)
    if layers:
        X = signals(np.random.RandomState(0), 2, *space, 2)
        products = [np.tensordot(a, b, (-1, -1)) for a, b in ((X[0], X[1]), (X[0], X[0]), (X[1], X[1]))]
        tangents, below = products, space
        for _, settings in layers:
            xy, xx, yy = products
            triples = zip(tangents, (xy, xx, yy), (xx, xx, yy), (yy, xx, yy))
            tangents = [definition.encode_tangent_kernel(*four, settings) for four in triples]
            products = definition.encode_kernel(*products, settings)
            below = settings.pooled_positions(below)
        for tangent, last in ((False, products), (True, tangents)):
            expected = np.array([np.trace(K.reshape(np.prod(below), -1)) for K in last])
            K = CKNKernel(make_pipeline(*(a for a, _ in layers)), tangent=tangent)(X)
            assert_allclose([K[0, 1], K[0, 0], K[1, 1]], expected, rtol=1e-12, atol=1e-12 * expected.max())


@pytest.mark.parametrize("space", [(8,), (5, 4), (3, 2, 3)], ids=str)
def test_networks_with_all_patches_as_filters_give_the_exact_kernel(space, rng):
    """The identity of kernel and network holds for one, two and three layers."""
    X, ndim, steps = rng.randn(2, *space, 2), len(space), []
    maps = X
    for kernel, dilation in (("exponential", 1), ("arccos1", 2), ("exponential", 3)):
        pooling = {"n_positions": 2} if dilation == 3 else {"pooling_width": 2, "subsampling": 1}
        a_layer = layer(ndim, kernel=kernel, patch_size=2, dilation=dilation, reg=1e-13, **pooling)
        filters = patches.extract(maps, a_layer._read_settings().patch).reshape(-1, *[2] * ndim, maps.shape[-1])
        maps = a_layer.set_params(init=filters, n_filters=len(filters)).fit_transform(maps)
        steps.append(a_layer)
        rows = maps.reshape(2, -1)
        assert_allclose(rows @ rows.T, CKNKernel(make_pipeline(*steps))(X), rtol=1e-8)


SMALL_GROUPS = [("flip", (6,)), ("flip", (4, 3)), ("flip", (2, 3, 3)), ("rotate", (4, 4)), ("dihedral", (3, 3))]


@pytest.mark.parametrize("group, space", SMALL_GROUPS, ids=str)
def test_averaged_networks_with_all_patches_as_filters_give_the_averaged_kernel(group, space, rng):
    """The filters are the patches of all images of two signals under a group of symmetries."""
    X, ndim, steps = rng.randn(2, *space, 2), len(space), []
    maps = orbits(X, group)
    for kernel in ("exponential", "arccos1"):
        a_layer = layer(ndim, kernel=kernel, patch_size=2, pooling_width=2, subsampling=1, reg=1e-13)
        filters = patches.extract(maps, a_layer._read_settings().patch).reshape(-1, *[2] * ndim, maps.shape[-1])
        maps = a_layer.set_params(init=filters, n_filters=len(filters)).fit_transform(maps)
        steps.append(a_layer)
    network = make_pipeline(*steps)
    rows = CKNFeatureMap(network, symmetries=group).fit(X).transform(X)
    assert_allclose(rows @ rows.T, CKNKernel(network, symmetries=group)(X), rtol=1e-8)


def test_networks_converge_to_the_exact_kernel():
    """On digits, the error of one layer decreases with the number of filters to less than 2 %."""
    images = load_digits().images[:100]
    exact_gram, errors = CKNKernel(CKNLayer())(images), []
    for n_filters in (16, 64, 256, 1024):
        feature_map = CKNFeatureMap(CKNLayer(n_filters, n_patches=20_000, random_state=0)).fit(load_digits().images)
        features = feature_map.transform(images)
        errors.append(np.linalg.norm(features @ features.T - exact_gram) / np.linalg.norm(exact_gram))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02


# The tangent kernel


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_tangent_kernel_of_linear_layers_is_a_multiple_of_their_kernel(ndim, rng):
    """Each layer adds the kernel itself, because its map is also linear in its own weights."""
    X, layers = rng.randn(3, *(9, 7, 6)[:ndim], 2), []
    for n_layers, pooling in enumerate(("gaussian", "average", "gaussian"), 1):
        width = 1 if n_layers == 3 else 2
        layers.append(layer(ndim, kernel="linear", patch_size=2, pooling=pooling, pooling_width=width))
        kernel, tangent = (CKNKernel(make_pipeline(*layers), tangent=tangent)(X) for tangent in (False, True))
        assert_allclose(tangent, (n_layers + 1) * kernel, rtol=1e-13, atol=1e-13 * kernel.max())


def test_tangent_kernel_of_one_position_follows_from_the_angle():
    """By hand, for ``|x| = |y| = 1`` at an angle of 60 degrees: ``kappa(1/2) + kappa'(1/2) / 2``."""
    X = np.array([[1, 0], [0.5, np.sqrt(0.75)]]).reshape(2, 1, 2)
    for name, expected in (
        ("arccos1", (np.sqrt(0.75) + np.pi / 3) / np.pi + 1 / 3),
        ("vovk", 1.75 / 3 + 1 / 3),
        ("inverse_polynomial", 2 / 3 + 2 / 9),
        ("exponential", np.exp(-0.5 / 0.36) * (1 + 0.5 / 0.36)),
    ):
        K = CKNKernel(layer(1, kernel=name, patch_size=1, pooling_width=1), tangent=True)(X)
        assert_allclose(K[0, 1], expected, rtol=1e-14)


def relu_moments(xx, xy, yy):
    """Return ``2 E[relu(a) relu(b)]`` and ``2 E[step(a) step(b)]`` of centred Gaussian variables a and b."""
    norms = np.sqrt(np.multiply.outer(xx, yy))
    angle = np.arccos(np.clip(xy / norms, -1, 1))
    return norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi, (np.pi - angle) / np.pi


@pytest.mark.parametrize("n_layers", [1, 2, 5])
def test_tangent_kernel_of_one_position_equals_that_of_fully_connected_networks(n_layers, rng):
    """Arora et al. (2019), equation (9): the sum over h of ``Sigma_{h-1}`` and the later derivatives' product."""
    X = rng.randn(4, 1, 7)
    covariances, derivatives = [X[:, 0] @ X[:, 0].T], []
    for _ in range(n_layers):
        squares = np.diag(covariances[-1])
        covariance, derivative = relu_moments(squares, covariances[-1], squares)
        np.fill_diagonal(derivative, 1)
        covariances.append(covariance)
        derivatives.append(derivative)
    expected = sum(covariances[h] * np.prod(derivatives[h:], axis=0) for h in range(n_layers + 1))
    layers = [layer(1, kernel="arccos1", patch_size=1, pooling_width=1) for _ in range(n_layers)]
    assert_allclose(CKNKernel(make_pipeline(*layers), tangent=True)(X), expected, rtol=1e-12)


def published_recursion(x, y, n_layers, size):
    """Return the tangent kernel of ReLU networks with global average pooling, as Arora et al. (2019, section 4)."""

    def patch_sums(K):
        h, (p, q) = size // 2, x.shape[:2]
        padded = np.pad(K, h)
        offsets = np.ndindex(size, size)
        return sum(padded[i : i + p, j : j + q, i : i + p, j : j + q] for i, j in offsets)

    pairs = {"xy": (x, y), "xx": (x, x), "yy": (y, y)}
    sigma = {pair: patch_sums(np.einsum("ija,kla->ijkl", *both)) for pair, both in pairs.items()}
    theta = sigma["xy"]
    for depth in range(1, n_layers + 1):
        squares = {one: np.einsum("ijij->ij", sigma[one + one]) for one in "xy"}
        moments = {pair: relu_moments(squares[pair[0]], sigma[pair], squares[pair[1]]) for pair in pairs}
        K, slope = (moment / size**2 for moment in moments["xy"])
        theta = slope * theta + K
        if depth < n_layers:
            theta = patch_sums(theta)
        sigma = {pair: patch_sums(moment / size**2) for pair, (moment, _) in moments.items()}
    return theta.mean()


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_tangent_kernel_equals_the_published_convolutional_recursion(n_layers, rng):
    """The factor ``size^2`` of every layer is the one by which the paper divides."""
    x, y = rng.randn(2, 5, 6, 3)
    layers = [layer(kernel="arccos1", patch_size=3, pooling_width=1) for _ in range(n_layers)]
    layers[-1].set_params(pooling="average", pooling_width=(5, 6))
    K = CKNKernel(make_pipeline(*layers), tangent=True)(np.stack([x, y]))
    assert_allclose(K[0, 1], 9**n_layers * published_recursion(x, y, n_layers, 3), rtol=1e-12)


def empirical_tangent_kernel(x, y, width, pooling, rng):
    """Return the inner product of the gradients of a random ReLU network at x and at y, by backpropagation.

    The network has two layers of patches of three positions, pooled by the matrices in ``pooling``, and a linear model.
    """
    layers, n_in = [], x.shape[-1]
    for _ in pooling:
        layers.append(rng.standard_normal((width, 3 * n_in)))
        n_in = width
    a = rng.standard_normal((len(pooling[-1]), width))

    def patches_of(maps):
        padded = np.pad(maps, ((1, 1), (0, 0)))
        return np.concatenate([padded[v : v + len(maps)] for v in range(3)], axis=1)

    def inputs_and_gradients(maps):
        """Return the patches that each layer reads, the gradients by its products with the weights, and the maps."""
        inputs, active, gradients = [], [], []
        for W, A in zip(layers, pooling):
            inputs.append(patches_of(maps))
            products = inputs[-1] @ W.T
            active.append(products > 0)
            maps = A @ np.maximum(products, 0) * np.sqrt(2 / width)
        G = a
        for W, A, on in zip(layers[::-1], pooling[::-1], active[::-1]):
            gradients.insert(0, on * (A.T @ G) * np.sqrt(2 / width))
            by_offset, padded = (gradients[0] @ W).reshape(len(on), 3, -1), np.zeros((len(on) + 2, W.shape[1] // 3))
            for v in range(3):
                padded[v : v + len(on)] += by_offset[:, v]
            G = padded[1:-1]
        return inputs, gradients, maps

    (P, G, last), (P_y, G_y, last_y) = inputs_and_gradients(x), inputs_and_gradients(y)
    return sum(((p @ q.T) * (g @ h.T)).sum() for p, q, g, h in zip(P, P_y, G, G_y)) + (last * last_y).sum()


def test_gradients_of_random_networks_converge_to_the_tangent_kernel(rng):
    """The root mean square of the error decreases like ``width^(-1/2)``: 1/2 at four times the width."""
    x, y, widths, n_draws = *rng.randn(2, 6, 2), (16, 64, 256), 60
    layers = [layer(1, kernel="arccos1", patch_size=3, pooling_width=width) for width in (2, 1)]
    kernel = CKNKernel(make_pipeline(*layers), tangent=True)
    pooling, n = [], len(x)
    for a_layer in layers:
        (T,) = a_layer._read_settings().pooling_operators((n,))
        pooling.append(T.toarray())
        n = len(pooling[-1])
    expected, generator = kernel(x[None], y[None])[0, 0], np.random.default_rng(0)
    errors = []
    for width in widths:
        found = [empirical_tangent_kernel(x, y, width, pooling, generator) for _ in range(n_draws)]
        errors.append(np.sqrt(np.mean((np.array(found) / expected - 1) ** 2)))
    assert_allclose(np.divide(errors[1:], errors[:-1]), 0.5, atol=0.15)
    assert errors[-1] < 0.13


@both_dtypes
def test_tangent_kernel_of_constant_patches_is_zero(dtype, rng):
    """Centred patches of a constant map are 0, although sums of their tangent kernels are rounding errors."""
    X = np.concatenate([np.full((1, 9, 9, 3), 0.3), rng.randn(2, 9, 9, 3)]).astype(dtype)
    first, second = layer(padding="valid", pooling_width=1), layer(padding="valid", patch_centering=True)
    kernel = CKNKernel(make_pipeline(first, second), tangent=True)
    K = kernel(X)
    assert not K[0].any() and not kernel(X[1:], X[:1]).any() and kernel.diag(X)[0] == 0
    assert (np.diag(K)[1:] > 0).all()


def test_tangent_kernel_of_equal_patches_is_exact(rng):
    """The slope of ``kernel="arccos1"`` is steep at 1, so rounding errors in cosines of 1 would be visible."""
    x = rng.randn(1, 8, 8, 3)
    X = np.concatenate([x, 1.1 * x, -0.3 * x]).astype(np.float32).astype(float)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6)):
        network = make_pipeline(*(layer(kernel="arccos1", pooling_width=1, patch_size=k) for k in (3, 1)))
        K = CKNKernel(network, tangent=True)(X.astype(dtype)).astype(float)
        assert_allclose(K[0, 1] ** 2, K[0, 0] * K[1, 1], rtol=tolerance)


# Derivatives


def gradient_cases():
    return {
        "two": [layer(), layer(sigma=0.8)],
        "another between": [layer(sigma=0.7), layer(kernel="arccos1", pooling_width=1), layer(patch_size=2)],
        "centred": [layer(patch_centering=True), layer(patch_centering=True)],
        "fixed": [layer(kernel="vovk"), layer(sigma=0.5)],
    }


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("layers", gradient_cases().values(), ids=gradient_cases())
def test_gradient_equals_central_differences(layers, normalize, rng):
    X = signals(rng, 4, 6, 5, 2)
    X[1] = 0
    assert_gradient_equals_central_differences(CKNKernel(make_pipeline(*layers), normalize=normalize), X)


def assert_gradient_equals_central_differences(kernel, X):
    K, gradient = kernel(X, eval_gradient=True)
    assert_array_equal(K, kernel(X))
    assert gradient.shape == (len(X), len(X), kernel.n_dims)
    for k, step in enumerate(1e-5 * np.eye(kernel.n_dims)):
        high, low = (kernel.clone_with_theta(kernel.theta + sign * step)(X) for sign in (1, -1))
        assert_allclose(gradient[..., k], (high - low) / 2e-5, atol=1e-5 * np.abs(gradient).max())


def test_gradient_in_single_precision(rng):
    X, kernel = signals(rng, 4, 6, 5, 2), CKNKernel(make_pipeline(layer(), layer(sigma=0.8)))
    expected = kernel(X, eval_gradient=True)[1]
    gradient = kernel(X.astype(np.float32), eval_gradient=True)[1]
    assert gradient.dtype == np.float32
    assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


# Symmetries

GROUPS = [("flip", (9,)), ("flip", (6, 5)), ("flip", (3, 4, 3)), ("rotate", (6, 6)), ("dihedral", (5, 5))]
every_group = pytest.mark.parametrize("group, space", GROUPS, ids=str)


def asymmetric(ndim):
    """Return an architecture that commutes with no symmetry, because even patches and strides are not symmetric."""
    return make_pipeline(layer(ndim, patch_size=2), layer(ndim, patch_size=2, sigma=0.8, patch_centering=True))


def mean_over_images(K, n_x, n_y):  # (order * n_x, order * n_y) -> (n_x, n_y)
    return K.reshape(-1, n_x, K.shape[1] // n_y, n_y).mean(axis=(0, 2))


@pytest.mark.parametrize("group, space", [("flip", (5,)), ("flip", (3, 2)), ("rotate", (3, 3)), ("dihedral", (2, 2))])
def test_averaged_kernels_equal_loops(group, space, rng):
    X, a_layer = rng.randn(2, *space, 2), layer(len(space), patch_size=2, pooling_width=1)
    for tangent, K in zip((False, True), exact([a_layer], *[orbits(X, group)] * 2)):
        expected = mean_over_images(K, 2, 2)
        plain, averaged = (CKNKernel(a_layer, tangent=tangent, symmetries=each)(X) for each in (None, group))
        assert_allclose(averaged, expected, atol=1e-10 * np.abs(expected).max())
        assert np.abs(plain - expected).max() > 1e-3 * np.abs(expected).max()


@both_dtypes
@every_group
def test_averaged_kernels_are_means_over_all_pairs_of_images(group, space, dtype, rng, monkeypatch):
    monkeypatch.setattr(gram, "SHARES", 1)  # so that a tile contains several blocks of columns
    X, Y, ndim = signals(rng, 3, *space, 2, dtype=dtype), rng.randn(18, *space, 2).astype(dtype), len(space)
    images = [orbits(Z, group) for Z in (X, Y)]
    for options in ({}, {"tangent": True}):
        plain, kernel = CKNKernel(asymmetric(ndim), **options), CKNKernel(asymmetric(ndim), symmetries=group, **options)
        expected = mean_over_images(plain(*images), 3, 18)
        assert np.abs(kernel(X, Y) - expected).max() <= 0.1 * RELATIVE[dtype] * np.abs(expected).max()
        K = kernel(X)
        assert_array_equal(K, K.T)
        assert_array_equal(np.diag(K), kernel.diag(X))
        assert np.linalg.eigvalsh(K.astype(float)).min() >= -RELATIVE[dtype] * np.abs(K).max()


@every_group
def test_averaged_kernels_are_invariant_bit_for_bit_for_any_number_of_threads(group, space, rng):
    X, network = rng.randn(10, *space, 2).astype(np.float32), asymmetric(len(space))
    kernel = CKNKernel(network, symmetries=group)
    K, diagonal = kernel(X), kernel.diag(X)
    for images in orbits(X, group).reshape(-1, *X.shape):
        assert_array_equal(kernel(images, X), kernel(X, X.copy()))
        assert_array_equal(kernel(images), K)
        assert_array_equal(kernel.diag(images), diagonal)
    assert_array_equal(CKNKernel(network, symmetries=group, n_jobs=2)(X), K)
    r = np.sqrt(diagonal)
    assert_allclose(CKNKernel(network, symmetries=group, normalize=True)(X), K / np.outer(r, r), rtol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("group, space", [("flip", (6, 5)), ("dihedral", (5, 5))], ids=str)
def test_gradient_of_averaged_kernels_equals_central_differences(group, space, normalize, rng):
    X, kernel = signals(rng, 3, *space, 2), CKNKernel(asymmetric(2), symmetries=group, normalize=normalize)
    assert_gradient_equals_central_differences(kernel, X)


# Normalisation, rounding and threads


@both_results
def test_normalized_kernel_is_a_cosine(tangent, rng):
    X, network = signals(rng, 5, 6, 5, 1), make_pipeline(layer(), layer())
    X[2] = 0
    K, cosines = CKNKernel(network, tangent=tangent)(X), CKNKernel(network, tangent=tangent, normalize=True)
    r = np.sqrt(np.diag(K))
    expected = K / np.where(np.outer(r, r) > 0, np.outer(r, r), 1)
    assert_allclose(cosines(X), expected, rtol=1e-14)
    assert_array_equal(cosines.diag(X), [1, 1, 0, 1, 1])
    assert_array_equal(np.diag(cosines(X)), [1, 1, 0, 1, 1])
    assert_allclose(cosines(X[:2], X), expected[:2], rtol=1e-14)


@both_results
@pytest.mark.parametrize("n", [1, simd.n_lanes(np.float32) - 1, simd.n_lanes(np.float32) + 1, 133])
def test_kernel_does_not_depend_on_threads_and_other_signals(n, tangent, rng):
    X = rng.rand(n, 6, 5).astype(np.float32)
    kernel = CKNKernel(make_pipeline(layer(), layer()), tangent=tangent)
    K = kernel(X)
    assert_array_equal(np.diag(K), kernel.diag(X))
    assert_array_equal(K, CKNKernel(kernel.network, tangent=tangent, n_jobs=2)(X))
    assert_array_equal(kernel(X[-1:], X[:1]), kernel(X, X.copy())[-1:, :1])
    assert_allclose(kernel(X, X.copy()), K, rtol=1e-6)  # below the diagonal, x and y are exchanged
    assert_array_equal(np.triu(kernel(X, X.copy())), np.triu(K))


@pytest.mark.filterwarnings("ignore:X has values up to")  # Tiny signals cause a warning, but lose no digits here.
@both_results
@both_dtypes
def test_kernel_is_homogeneous_bit_for_bit(dtype, tangent, rng):
    """Powers of two scale the kernel exactly, as no intermediate result overflows or underflows before the kernel."""
    X = rng.rand(3, 6, 5, 2).astype(dtype)
    network = make_pipeline(*[layer(patch_size=5, pooling_width=1)] * 5)
    kernel = CKNKernel(network, tangent=tangent)
    K, cosines = kernel(X), CKNKernel(network, tangent=tangent, normalize=True)
    high, low = {"float32": (40, -60), "float64": (400, -500)}[dtype]
    for exponent in (1, 7, high, low):
        factors = 2.0 ** (exponent + np.array([0, 1, 0]))
        scaled = X * factors.reshape(3, 1, 1, 1).astype(dtype)
        assert_array_equal(kernel(scaled), K * factors.astype(dtype) * factors.astype(dtype)[:, None])
        assert_array_equal(cosines(scaled), cosines(X))
    largest = X * np.sqrt(np.finfo(dtype).max).astype(dtype) / 2000
    assert_allclose(cosines(largest), cosines(X), rtol=1e-5)
    for call in (kernel, kernel.diag):
        with pytest.raises(ValueError, match=f"which is too large for {dtype}: divide X"):
            call(largest)
    with pytest.raises(ValueError, match="too large") as caught:
        kernel(largest, out=np.empty((3, 3), dtype=dtype))
    assert caught.value.__notes__ == ["out contains no finished block."]


@both_results
def test_small_sigma_in_single_precision(tangent, rng):
    X, network = rng.rand(4, 6, 5), make_pipeline(layer(sigma=0.1), layer(sigma=0.02))
    kernel = CKNKernel(network, tangent=tangent)
    K, single = kernel(X), kernel(X.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - kernel(X.astype(np.float32).astype(float))).max() <= 1e-6 * K.max()
