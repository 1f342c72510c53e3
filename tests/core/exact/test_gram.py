"""Gram matrices of the exact kernel, compared with loops, with the definition and with networks."""

import naive
import numpy as np
import pytest
from exact_kernels import layer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer
from sklearn_ckn._core.layer import definition, kappa, patches
from sklearn_ckn._core.runtime import simd

RELATIVE = {"float64": 1e-10, "float32": 1e-5}  # tolerance relative to the largest value
both_dtypes = pytest.mark.parametrize("dtype", RELATIVE)


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


def exact(layers, X, Y):
    """Return the exact kernel of X and Y in loops."""
    return np.array([[naive.exact_kernel(x, y, [naive_settings(a) for a in layers]) for y in Y] for x in X])


def signals(rng, n, *shape, dtype="float64"):
    """Return signals of random sign, the first of which is 0 in one half."""
    X = rng.randn(n, *shape)
    X[0, : shape[0] // 2] = 0
    return X.astype(dtype)


def assert_equals_loops(layers, X, Y, dtype):
    """Check the kernels of X and X and of X and Y, and that the first is symmetric and positive up to rounding."""
    kernel, X, Y = CKNKernel(make_pipeline(*layers)), X.astype(dtype), Y.astype(dtype)
    tolerance = RELATIVE[dtype]
    expected = exact(layers, X.astype(float), np.concatenate([X, Y]).astype(float))
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


# The definition and networks


@given(data=st.data())
@hypothesis_settings(max_examples=40, deadline=None)
def test_random_networks_equal_the_definition(data):
    """`definition.encode_kernel` accepts any sizes, strides and paddings, and so must the vectorised kernel."""
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
        below = space
        for _, settings in layers:
            products = definition.encode_kernel(*products, settings, below)
            below = settings.pooled_positions(below)
        expected = np.array([np.trace(K.reshape(np.prod(below), -1)) for K in products])
        K = CKNKernel(make_pipeline(*(a for a, _ in layers)))(X)
        assert_allclose([K[0, 1], K[0, 0], K[1, 1]], expected, rtol=1e-12, atol=1e-12 * expected.max())


@pytest.mark.parametrize("space", [(8,), (5, 4), (3, 2, 3)], ids=str)
def test_networks_with_all_patches_as_filters_give_the_exact_kernel(space, rng):
    """The identity of kernel and network holds for one, two and three layers."""
    X, ndim, steps = rng.randn(2, *space, 2), len(space), []
    maps = X
    for kernel, dilation in (("exponential", 1), ("arccos1", 2), ("exponential", 3)):
        pooling = {"n_positions": 3} if dilation == 3 else {"pooling_width": 2, "subsampling": 1}
        a_layer = layer(ndim, kernel=kernel, patch_size=2, dilation=dilation, reg=1e-13, **pooling)
        filters = patches.extract(maps, a_layer._read_settings().patch).reshape(-1, *[2] * ndim, maps.shape[-1])
        maps = a_layer.set_params(init=filters, n_filters=len(filters)).fit_transform(maps)
        steps.append(a_layer)
        rows = maps.reshape(2, -1)
        assert_allclose(rows @ rows.T, CKNKernel(make_pipeline(*steps))(X), rtol=1e-8)


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
    kernel = CKNKernel(make_pipeline(*layers), normalize=normalize)
    K, gradient = kernel(X, eval_gradient=True)
    assert_array_equal(K, kernel(X))
    assert gradient.shape == (4, 4, kernel.n_dims)
    for k, step in enumerate(1e-5 * np.eye(kernel.n_dims)):
        high, low = (kernel.clone_with_theta(kernel.theta + sign * step)(X) for sign in (1, -1))
        assert_allclose(gradient[..., k], (high - low) / 2e-5, atol=1e-5 * np.abs(gradient).max())


def test_gradient_in_single_precision(rng):
    X, kernel = signals(rng, 4, 6, 5, 2), CKNKernel(make_pipeline(layer(), layer(sigma=0.8)))
    expected = kernel(X, eval_gradient=True)[1]
    gradient = kernel(X.astype(np.float32), eval_gradient=True)[1]
    assert gradient.dtype == np.float32
    assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


# Normalisation, rounding and threads


def test_normalized_kernel_is_a_cosine(rng):
    X, network = signals(rng, 5, 6, 5, 1), make_pipeline(layer(), layer())
    X[2] = 0
    K, cosines = CKNKernel(network)(X), CKNKernel(network, normalize=True)
    r = np.sqrt(np.diag(K))
    expected = K / np.where(np.outer(r, r) > 0, np.outer(r, r), 1)
    assert_allclose(cosines(X), expected, rtol=1e-14)
    assert_array_equal(cosines.diag(X), [1, 1, 0, 1, 1])
    assert_array_equal(np.diag(cosines(X)), [1, 1, 0, 1, 1])
    assert_allclose(cosines(X[:2], X), expected[:2], rtol=1e-14)


@pytest.mark.parametrize("n", [1, simd.n_lanes(np.float32) - 1, simd.n_lanes(np.float32) + 1, 133])
def test_kernel_does_not_depend_on_threads_and_other_signals(n, rng):
    X = rng.rand(n, 6, 5).astype(np.float32)
    kernel = CKNKernel(make_pipeline(layer(), layer()))
    K = kernel(X)
    assert_array_equal(K, CKNKernel(kernel.network, n_jobs=2)(X))
    assert_array_equal(kernel(X[-1:], X[:1]), kernel(X, X.copy())[-1:, :1])
    assert_allclose(kernel(X, X.copy()), K, rtol=1e-6)  # below the diagonal, x and y are exchanged
    assert_array_equal(np.triu(kernel(X, X.copy())), np.triu(K))


@pytest.mark.filterwarnings("ignore:X has values up to")  # Tiny signals cause a warning, but lose no digits here.
@both_dtypes
def test_kernel_is_homogeneous_bit_for_bit(dtype, rng):
    """Powers of two scale the kernel exactly, as no intermediate result overflows or underflows before the kernel."""
    X = rng.rand(3, 6, 5, 2).astype(dtype)
    network = make_pipeline(*[layer(patch_size=5, pooling_width=1)] * 5)
    K, cosines = CKNKernel(network)(X), CKNKernel(network, normalize=True)
    high, low = {"float32": (40, -60), "float64": (400, -500)}[dtype]
    for exponent in (1, 7, high, low):
        factors = 2.0 ** (exponent + np.array([0, 1, 0]))
        scaled = X * factors.reshape(3, 1, 1, 1).astype(dtype)
        assert_array_equal(CKNKernel(network)(scaled), K * factors.astype(dtype) * factors.astype(dtype)[:, None])
        assert_array_equal(cosines(scaled), cosines(X))
    largest = X * np.sqrt(np.finfo(dtype).max).astype(dtype) / 2000
    assert_allclose(cosines(largest), cosines(X), rtol=1e-5)
    for call in (CKNKernel(network), CKNKernel(network).diag):
        with pytest.raises(ValueError, match=f"which is too large for {dtype}: divide X"):
            call(largest)
    with pytest.raises(ValueError, match="too large") as caught:
        CKNKernel(network)(largest, out=np.empty((3, 3), dtype=dtype))
    assert caught.value.__notes__ == ["out contains no finished block."]


def test_small_sigma_in_single_precision(rng):
    X, network = rng.rand(4, 6, 5), make_pipeline(layer(sigma=0.1), layer(sigma=0.02))
    K, single = CKNKernel(network)(X), CKNKernel(network)(X.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - CKNKernel(network)(X.astype(np.float32).astype(float))).max() <= 1e-6 * K.max()
