"""The exact kernel: against its definition in loops, against networks, and inside scikit-learn's tools."""

import copy
import itertools

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.cluster import SpectralClustering
from sklearn.datasets import load_digits
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer
from sklearn_ckn._core.exact import gram
from sklearn_ckn._core.layer import definition, kappa, patches
from sklearn_ckn._core.runtime import simd

RELATIVE = {"float64": 1e-10, "float32": 1e-5}
both_dtypes = pytest.mark.parametrize("dtype", RELATIVE)


def layer(ndim=2, **parameters):
    """A layer, for the exact kernel."""
    return CKNLayer(**{"ndim": ndim, "pooling_width": 2, "degree": 3, "coef0": 0.5, **parameters})


def naive_settings(a_layer):
    """The same for the loops."""

    def per_axis(value):
        return (value,) * a_layer.ndim if isinstance(value, int) else tuple(value)

    return {
        "size": per_axis(a_layer.patch_size),
        "padding": a_layer.padding,
        "centering": a_layer.patch_centering,
        "kernel": a_layer.kernel,
        "parameters": {"sigma": a_layer.sigma, "degree": a_layer.degree, "coef0": a_layer.coef0},
        "pooling": a_layer.pooling,
        "width": per_axis(a_layer.pooling_width),
        "stride": per_axis(a_layer.pooling_width if a_layer.subsampling is None else a_layer.subsampling),
    }


def exact(layers, X, Y):
    return np.array([[naive.exact_kernel(x, y, [naive_settings(a) for a in layers]) for y in Y] for x in X])


def signals(rng, n, *shape, dtype="float64"):
    """Of random sign, one with a region of zeros."""
    X = rng.randn(n, *shape)
    X[0, : shape[0] // 2] = 0
    return X.astype(dtype)


def check(layers, X, Y, dtype):
    """X against Y and X against itself, symmetric, with its diagonal, and positive up to rounding."""
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


@pytest.mark.parametrize(
    "name, dtype",
    [*((name, "float64") for name in kappa.KERNELS), ("exponential", "float32"), ("arccos1", "float32")],
)
def test_every_kernel(name, dtype, rng):
    check([layer(kernel=name), layer(kernel=name)], signals(rng, 2, 5, 4, 2), rng.randn(1, 5, 4, 2), dtype)


ARCHITECTURES = [
    [layer(padding="valid"), layer(patch_size=2)],
    [layer(pooling="average", subsampling=1), layer(pooling="average", pooling_width=1)],
    [layer(patch_size=(2, 3), pooling_width=(1, 2), subsampling=(2, 1)), layer(patch_size=1, pooling_width=3)],
    [layer(pooling_width=1, subsampling=3)],
    [layer(patch_size=4, pooling_width=3, subsampling=1)],
    [layer(pooling_width=1), layer(subsampling=1), layer()],
    [layer(patch_centering=True), layer(pooling_width=1)],
    [layer(pooling_width=1), layer(patch_centering=True, padding="valid", patch_size=2)],
]


@both_dtypes
@pytest.mark.parametrize("layers", ARCHITECTURES, ids=range(len(ARCHITECTURES)))
def test_every_architecture(layers, dtype, rng):
    check(layers, signals(rng, 2, 6, 5, 2), rng.randn(1, 6, 5, 2), dtype)


@pytest.mark.parametrize(
    "space, dtype", [((9,), "float64"), ((9,), "float32"), ((4, 7), "float64"), ((3, 4, 3), "float64")], ids=str
)
def test_every_number_of_axes(space, dtype, rng):
    ndim = len(space)
    centred = layer(ndim, patch_size=(2,) * (ndim - 1) + (3,), patch_centering=True)
    for second in (layer(ndim, patch_size=2), centred):
        layers = [layer(ndim, pooling_width=1, subsampling=(2,) + (1,) * (ndim - 1)), second]
        check(layers, signals(rng, 2, *space, 3), rng.randn(1, *space, 3), dtype)


@given(data=st.data())
@hypothesis_settings(max_examples=40, deadline=None)
def test_the_fast_kernel_is_the_page_of_mathematics(data):
    """`encode_kernel` takes any sizes, strides and paddings; so must the lanes."""
    ndim = data.draw(st.integers(1, 3))

    def sizes(largest):
        return data.draw(st.tuples(*[st.integers(1, largest)] * ndim))

    space = data.draw(st.tuples(*[st.integers(4, (14, 7, 5)[ndim - 1])] * ndim))
    layers, below = [], space
    for _ in range(data.draw(st.integers(1, 3))):
        a_layer = layer(
            ndim,
            patch_size=sizes(min(4, *below)),
            pooling_width=sizes(min(3, *below)),
            subsampling=sizes(3),
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
def test_all_patches_as_filters_give_the_exact_kernel_layer_after_layer(space, rng):
    """The master identity."""
    X, ndim, steps = rng.randn(2, *space, 2), len(space), []
    maps = X
    for kernel in ("exponential", "arccos1", "exponential"):
        a_layer = layer(ndim, kernel=kernel, patch_size=2, subsampling=1, reg=1e-13)
        filters = patches.extract(maps, a_layer._read_settings().patch).reshape(-1, *[2] * ndim, maps.shape[-1])
        maps = a_layer.set_params(init=filters, n_filters=len(filters)).fit_transform(maps)
        steps.append(a_layer)
        rows = maps.reshape(2, -1)
        assert_allclose(rows @ rows.T, CKNKernel(make_pipeline(*steps))(X), rtol=1e-8)


def test_the_approximation_converges():
    """On digits, of one layer, to less than 2 %."""
    images = load_digits().images[:100]
    exact_gram, errors = CKNKernel(CKNLayer())(images), []
    for n_filters in (16, 64, 256, 1024):
        feature_map = CKNFeatureMap(CKNLayer(n_filters, n_patches=20_000, random_state=0)).fit(load_digits().images)
        features = feature_map.transform(images)
        errors.append(np.linalg.norm(features @ features.T - exact_gram) / np.linalg.norm(exact_gram))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02


def gradient_cases():
    return {
        "two": [layer(), layer(sigma=0.8)],
        "another between": [layer(sigma=0.7), layer(kernel="arccos1", pooling_width=1), layer(patch_size=2)],
        "centred": [layer(patch_centering=True), layer(patch_centering=True)],
        "fixed": [layer(kernel="vovk"), layer(sigma=0.5)],
    }


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("layers", gradient_cases().values(), ids=gradient_cases())
def test_gradient(layers, normalize, rng):
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


def test_normalized_is_a_cosine(rng):
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
def test_the_same_bits_for_any_number_of_threads_and_any_neighbours(n, rng):
    X = rng.rand(n, 6, 5).astype(np.float32)
    kernel = CKNKernel(make_pipeline(layer(), layer()))
    K = kernel(X)
    assert_array_equal(K, CKNKernel(kernel.network, n_jobs=2)(X))
    assert_array_equal(kernel(X[-1:], X[:1]), kernel(X, X.copy())[-1:, :1])
    assert_allclose(kernel(X, X.copy()), K, rtol=1e-6)  # x and y change places below the diagonal
    assert_array_equal(np.triu(kernel(X, X.copy())), np.triu(K))


@both_dtypes
def test_the_kernel_is_homogeneous_to_the_last_bit(dtype, rng):
    """As far as numbers reach: nothing on the way is smaller or larger than the result."""
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
    assert caught.value.__notes__ == ["out holds no finished block; the rest of it is not finished."]


def test_a_small_sigma_in_single_precision(rng):
    X, network = rng.rand(4, 6, 5), make_pipeline(layer(sigma=0.1), layer(sigma=0.02))
    K, single = CKNKernel(network)(X), CKNKernel(network)(X.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - CKNKernel(network)(X.astype(np.float32).astype(float))).max() <= 1e-6 * K.max()


def test_kinds_of_input(rng):
    X = rng.rand(4, 6, 5, 1)
    kernel = CKNKernel(make_pipeline(layer(), layer()))
    K = kernel(X)
    assert_array_equal(kernel(X[..., 0]), K)
    flat = CKNKernel(make_pipeline(layer(input_shape=(6, 5)), layer()))
    assert_array_equal(flat(X.reshape(4, -1)), K)
    assert_allclose(flat(X.reshape(4, -1), X[:2].reshape(2, -1)), K[:, :2], rtol=1e-14)
    assert kernel((10 * X).astype(int)).dtype == np.float32
    mixed = kernel(X.astype(np.float32), X[:2])
    assert mixed.dtype == np.float64
    lines = CKNKernel(layer(1))
    assert_array_equal(lines(X[:, 0, :, 0]), lines(X[:, 0]))


@both_dtypes
def test_out(dtype, rng, tmp_path):
    X = rng.rand(9, 6, 5).astype(dtype)
    kernel = CKNKernel(layer(), normalize=True)
    out = np.memmap(tmp_path / "gram", dtype=dtype, shape=(9, 9), mode="w+")
    assert kernel(X, out=out) is out
    assert_array_equal(out, kernel(X))
    part = np.zeros((9, 4), dtype=dtype)
    kernel(X, X[:4], out=part[:, ::1])
    assert_array_equal(part, kernel(X, X[:4]))
    wide = np.zeros((9, 18), dtype=dtype)
    kernel(X, out=wide[:, ::2])  # any strides
    assert_array_equal(wide[:, ::2], out)


@pytest.mark.parametrize("symmetric", [True, False])
def test_an_interrupt_leaves_whole_blocks_and_tells_which(symmetric, rng, monkeypatch):
    """Tiles of 32 rows and columns, in order: of 256 images two rows of tiles are made, then one tile."""
    X = rng.rand(256, 6, 5).astype(np.float32)
    kernel, meet = CKNKernel(layer()), gram.meet
    Y, expected = None if symmetric else X.copy(), kernel(X)
    n_tiles, calls = 15 if symmetric else 16, itertools.count()

    def interrupted(*arguments):
        if next(calls) > n_tiles:
            raise KeyboardInterrupt
        return meet(*arguments)

    monkeypatch.setattr(gram, "meet", interrupted)
    out = np.full(expected.shape, np.nan, dtype=np.float32)
    with pytest.raises(KeyboardInterrupt) as caught:
        kernel(X, Y, out=out)
    first = 64 if symmetric else 0
    mirrored = " and, mirrored, columns 0:64" if symmetric else ""
    blocks = f"rows 0:64{mirrored} and the blocks [64:96, {first}:{first + 32}]"
    note = f"out holds {blocks}; the rest of it is not finished."
    assert caught.value.__notes__ == [note]
    made = np.zeros(out.shape, dtype=bool)
    made[:64] = made[64:96, first : first + 32] = True
    made |= made.T if symmetric else False
    assert_array_equal(~np.isnan(out), made)
    assert_allclose(out[made], expected[made], rtol=1e-6)
    monkeypatch.undo()
    rest = (slice(64, None), slice(64, None)) if symmetric else slice(64, None)
    kernel(X[64:], None if symmetric else Y, out=out[rest])  # as the docstring says
    assert_allclose(out, expected, rtol=1e-6)


def test_nothing_of_the_caller_is_changed(rng):
    X = rng.rand(5, 6, 5)
    X.flags.writeable = False
    network = make_pipeline(layer(), layer())
    before = network.get_params()
    kernel = CKNKernel(network)
    kernel(X, eval_gradient=True)
    kernel.clone_with_theta([0.0, 0.1])(X)
    assert network.get_params() == before and kernel.network is network


# scikit-learn


@pytest.fixture(scope="module")
def digits():
    images, target = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype(np.float32)
    return images[:300], target[:300], images[300:600], target[300:600]


def kernel_of_digits(**parameters):
    return CKNKernel(make_pipeline(layer(pooling_width=1, **parameters), layer(patch_size=2)), normalize=True)


def test_hyperparameters_are_those_of_gaussian_processes():
    kernel = CKNKernel(make_pipeline(layer(sigma=0.5), layer(kernel="vovk"), layer(sigma=0.7)), sigma_bounds=(0.2, 3))
    names = [h.name for h in kernel.hyperparameters]
    assert names == ["network__cknlayer-1__sigma", "network__cknlayer-3__sigma"]
    assert_allclose(kernel.theta, np.log([0.5, 0.7]))
    assert_allclose(kernel.bounds, np.log([[0.2, 3], [0.2, 3]]))
    other = kernel.clone_with_theta(np.log([0.4, 0.9]))
    assert_allclose([other.network[0].sigma, other.network[2].sigma, kernel.network[0].sigma], [0.4, 0.9, 0.5])
    assert CKNKernel(layer()).hyperparameters[0].name == "network__sigma"
    assert CKNKernel(layer(), sigma_bounds="fixed").n_dims == CKNKernel(layer(kernel="vovk")).n_dims == 0
    assert not kernel.is_stationary()
    assert type(other.network[0].sigma) is float  # numbers of NumPy are printed with their type
    assert kernel == clone(kernel) and kernel != other and kernel != WhiteKernel()
    as_a_list = CKNKernel(kernel.network, sigma_bounds=[0.2, 3])
    assert_array_equal(as_a_list.bounds, kernel.bounds)
    composed = 2 * kernel + WhiteKernel(0.1)
    assert composed.n_dims == 4 and composed == clone(composed)


def test_kernels_are_equal_when_all_parameters_are():
    first, second = ("a", layer()), ("b", layer(patch_size=2))
    kernels = [
        CKNKernel(layer(patch_size=[2, 3])),
        CKNKernel(layer(patch_size=[3, 2])),
        CKNKernel(layer(patch_size=[3, 2], init=np.ones((2, 3, 2, 1)))),
        CKNKernel(layer(patch_size=[3, 2], init=np.zeros((2, 3, 2, 1)))),
        CKNKernel(layer(patch_size=[3, 2]), sigma_bounds=[0.1, 2]),
        CKNKernel(layer(patch_size=[3, 2]), sigma_bounds=[0.1, 3]),
        CKNKernel(Pipeline([first, second])),
        CKNKernel(Pipeline([second, first])),
        CKNKernel(CKNLayer),
    ]
    for i, one in enumerate(kernels):
        for j, other in enumerate(kernels):
            assert (one == copy.deepcopy(other)) == (i == j)


def test_composed_kernels(digits):
    X, y = digits[0][:20].reshape(20, -1).astype(float), digits[1][:20]
    kernel = kernel_of_digits(input_shape=(8, 8))
    composed = ConstantKernel(2.0) * kernel + WhiteKernel(0.1, "fixed")
    K, gradient = composed(X, eval_gradient=True)
    assert_allclose(K, 2 * kernel(X) + 0.1 * np.eye(20))
    assert_allclose(gradient[..., 1:3], 2 * kernel(X, eval_gradient=True)[1])
    assert_allclose(composed.diag(X), np.diag(K))
    process = GaussianProcessRegressor(composed, alpha=1e-6).fit(X, y)
    assert_allclose(process.predict(X), y, atol=2)
    assert (
        process.log_marginal_likelihood_value_
        > GaussianProcessRegressor(composed, optimizer=None).fit(X, y).log_marginal_likelihood_value_
    )


def test_gaussian_process_classifier_tunes_sigma(digits):
    X, y, X_test, y_test = digits
    alike, alike_test = np.isin(y, (3, 8)), np.isin(y_test, (3, 8))
    X, X_test = X[alike].reshape(-1, 64).astype(float), X_test[alike_test].reshape(-1, 64).astype(float)
    y, y_test = y[alike], y_test[alike_test]
    kernel = ConstantKernel(10.0) * CKNKernel(layer(input_shape=(8, 8), sigma=2.0), normalize=True, n_jobs=2)
    tuned = GaussianProcessClassifier(kernel).fit(X, y)
    start = GaussianProcessClassifier(kernel, optimizer=None).fit(X, y)
    assert tuned.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_ + 1
    assert 0.1 < tuned.kernel_.k2.network.sigma < 2
    assert tuned.score(X_test, y_test) > 0.9


def test_support_vector_machine_on_images_and_in_a_grid(digits):
    X, y, X_test, y_test = digits
    machine = SVC(kernel=kernel_of_digits(), C=10).fit(X, y)
    pixels = SVC(C=10).fit(X.reshape(len(X), -1), y).score(X_test.reshape(len(X_test), -1), y_test)
    assert machine.score(X_test, y_test) > pixels > 0.8
    precomputed = SVC(kernel="precomputed", C=10).fit(kernel_of_digits()(X), y)
    assert_array_equal(machine.predict(X_test), precomputed.predict(kernel_of_digits()(X_test, X)))
    search = GridSearchCV(machine, {"kernel__network__cknlayer-1__patch_size": [1, 3]}, cv=3).fit(X[:150], y[:150])
    assert search.best_params_["kernel__network__cknlayer-1__patch_size"] == 3
    assert search.best_score_ > 0.85


def test_estimators_of_precomputed_kernels(digits):
    X, y, X_test, y_test = digits
    kernel = kernel_of_digits()
    K, K_test = kernel(X), kernel(X_test, X)
    ridge = KernelRidge(alpha=1e-3, kernel="precomputed").fit(K, np.eye(10)[y])
    assert (ridge.predict(K_test).argmax(axis=1) == y_test).mean() > 0.85
    assert KernelPCA(4, kernel="precomputed").fit(K).transform(K_test).shape == (300, 4)
    labels = SpectralClustering(10, affinity="precomputed", random_state=0).fit_predict(K)
    assert len(set(labels)) == 10


def test_fitted_networks_give_their_sigma(digits):
    X = digits[0][:50]
    feature_map = CKNFeatureMap(make_pipeline(layer(n_filters=16, sigma="auto", random_state=0))).fit(X)
    kernel, sigma = CKNKernel(feature_map.network_), feature_map.network_[0].sigma_
    assert_array_equal(kernel(X[:5]), CKNKernel(layer(sigma=sigma))(X[:5]))
    assert kernel != CKNKernel(CKNFeatureMap(kernel.network).fit(X[:10]).network_) and kernel == CKNKernel(
        kernel.network
    )
    assert kernel.n_dims == 0 and kernel(X[:5], eval_gradient=True)[1].shape == (5, 5, 0)
    with pytest.raises(ValueError, match=r"sigma='auto' is found by fit.*set sigma to a number"):
        clone(kernel)(X)


# Bad input

IMAGES = np.random.RandomState(0).rand(4, 6, 5, 2)


def with_nan():
    X = IMAGES.copy()
    X[1, 2, 3, 0] = np.nan
    return X


@pytest.mark.parametrize(
    "X, Y, message",
    [
        pytest.param(with_nan(), None, "Input X contains NaN", id="nan in X"),
        pytest.param(IMAGES, with_nan(), "Input Y contains NaN", id="nan in Y"),
        pytest.param(
            IMAGES,
            IMAGES[:, :5],
            r"signals of shape \(6, 5, 2\), but Y has signals of shape \(5, 5, 2\)",
            id="space",
        ),
        pytest.param(
            IMAGES, IMAGES[..., :1], r"signals of shape \(6, 5, 2\), but Y has signals of shape", id="channels"
        ),
        pytest.param(IMAGES.reshape(4, -1), None, r"X has shape \(4, 60\).*set input_shape", id="flat X"),
        pytest.param(IMAGES, IMAGES.reshape(4, -1), r"Y has shape \(4, 60\).*set input_shape", id="flat Y"),
        pytest.param(IMAGES, 1e200 * IMAGES, "Y has values up to 1e.200.*divide Y", id="large Y"),
        pytest.param(IMAGES, IMAGES[:0], "0 sample", id="no Y"),
    ],
)
def test_bad_signals(X, Y, message):
    with pytest.raises(ValueError, match=message):
        CKNKernel(layer())(X, Y)


@pytest.mark.parametrize(
    "kernel, error, message",
    [
        (CKNKernel("network"), TypeError, "network must be a CKNLayer or a Pipeline.*got an object of type str"),
        (CKNKernel([layer(), layer()]), TypeError, r"make_pipeline to combine several\); got an object of type list"),
        (CKNKernel(CKNLayer), TypeError, "got the class CKNLayer, not an instance"),
        (CKNKernel(CKNFeatureMap(layer())), TypeError, r"type CKNFeatureMap\. Pass its network"),
        (CKNKernel(make_pipeline(layer(), SVC())), TypeError, "its step 'svc' is an object of type SVC"),
        (CKNKernel(make_pipeline(layer(), layer(1))), ValueError, r"must share ndim; got \[2, 1\]"),
        (CKNKernel(layer(sigma=-1)), ValueError, "'sigma' parameter of CKNLayer"),
        (CKNKernel(layer(sigma="auto")), ValueError, "sigma='auto' is found by fit"),
        (CKNKernel(layer(), normalize="yes"), ValueError, "'normalize' parameter of CKNKernel"),
        (CKNKernel(layer(), n_jobs=0.5), ValueError, "'n_jobs' parameter of CKNKernel"),
        (CKNKernel(make_pipeline(layer(), layer(patch_size=9, padding="valid"))), ValueError, "patch_size=.*spatial shape"),
    ],
)
def test_bad_parameters(kernel, error, message):
    with pytest.raises(error, match=message):
        kernel(IMAGES)
    with pytest.raises(error, match=message):
        kernel.diag(IMAGES)


@pytest.mark.parametrize("sigma", ["0.5", "automatic", None, 0, -1, np.nan])
def test_gaussian_processes_refuse_a_bad_sigma(sigma):
    kernel = CKNKernel(make_pipeline(layer(ndim=1), layer(ndim=1, sigma=sigma))) + WhiteKernel()
    for use in (lambda: kernel.theta, lambda: GaussianProcessRegressor(kernel).fit(IMAGES[:, 0, :, 0], [1, 2, 3, 4])):
        with pytest.raises(ValueError, match="'sigma' parameter of CKNLayer") as caught:
            use()
        assert caught.value.__notes__ == ["The error occurred in step 'cknlayer-2' of network."]


@pytest.mark.parametrize(
    "bounds", [(0, 1), (2, 1), (1,), "free", "12", ("1", "2"), {1: 0, 2: 0}, {1, 2}, (0.1, np.inf), None]
)
def test_bad_bounds(bounds):
    for network in (layer(), layer(kernel="vovk")):
        kernel = CKNKernel(network, sigma_bounds=bounds)
        with pytest.raises(ValueError, match="sigma_bounds must be 'fixed' or a pair of finite numbers"):
            kernel(IMAGES)
        with pytest.raises(ValueError, match="sigma_bounds must be 'fixed' or a pair of finite numbers"):
            _ = kernel.bounds


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 3)),
        np.empty((4, 4), dtype=np.float32),
        np.empty((4, 4)).tolist(),
        np.broadcast_to(np.ones(4), (4, 4)),
    ],
    ids=["shape", "dtype", "list", "read-only"],
)
def test_bad_out(out):
    with pytest.raises(
        ValueError, match=r"out must be a writeable array of dtype float64 and shape \(4, 4\)"
    ) as caught:
        CKNKernel(layer())(IMAGES, out=out)
    read_only = isinstance(out, np.ndarray) and not out.flags.writeable
    assert ("got a read-only one" in str(caught.value)) == read_only


def test_bad_gradient():
    with pytest.raises(ValueError, match="eval_gradient=True needs Y=None"):
        CKNKernel(layer())(IMAGES, IMAGES, eval_gradient=True)
    network = make_pipeline(layer(), layer(kernel="arccos0"))
    with pytest.raises(ValueError, match="no derivative through a layer with kernel='arccos0'"):
        CKNKernel(network)(IMAGES, eval_gradient=True)
    assert CKNKernel(network, sigma_bounds="fixed")(IMAGES, eval_gradient=True)[1].shape == (4, 4, 0)
