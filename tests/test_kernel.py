"""`CKNKernel`: its inputs and results, its use in scikit-learn's tools, and its errors."""

import copy
import itertools

import numpy as np
import pytest
from exact_kernels import layer
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

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer, _kernel
from sklearn_ckn._core.exact import gram

# Inputs and results


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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_out_receives_the_result(dtype, rng, tmp_path):
    X = rng.rand(9, 6, 5).astype(dtype)
    kernel = CKNKernel(layer(), normalize=True)
    out = np.memmap(tmp_path / "gram", dtype=dtype, shape=(9, 9), mode="w+")
    assert kernel(X, out=out) is out
    assert_array_equal(out, kernel(X))
    part = np.zeros((9, 4), dtype=dtype)
    kernel(X, X[:4], out=part[:, ::1])
    assert_array_equal(part, kernel(X, X[:4]))
    wide = np.zeros((9, 18), dtype=dtype)
    kernel(X, out=wide[:, ::2])  # `out` may have any strides
    assert_array_equal(wide[:, ::2], out)


@pytest.mark.parametrize("symmetric", [True, False])
def test_finished_blocks_are_named_even_if_no_row_is_finished(symmetric):
    blocks = [(slice(96, 192), slice(96, 128)), (slice(0, 96), slice(0, 64))]
    found = _kernel._name_finished(blocks, symmetric, 200)
    assert found == "Finished parts of out: [0:96, 0:64], [96:192, 96:128]. The rest is not finished."


@pytest.mark.parametrize("symmetric", [True, False])
def test_interrupt_leaves_whole_blocks_and_reports_which(symmetric, rng, monkeypatch):
    """Tiles have 32 rows and columns. The interrupt comes after two rows of tiles and one tile of the third row."""
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
    mirrored = ", columns 0:64 by symmetry" if symmetric else ""
    note = f"Finished parts of out: rows 0:64{mirrored}, [64:96, {first}:{first + 32}]. The rest is not finished."
    assert caught.value.__notes__ == [note]
    made = np.zeros(out.shape, dtype=bool)
    made[:64] = made[64:96, first : first + 32] = True
    made |= made.T if symmetric else False
    assert_array_equal(~np.isnan(out), made)
    assert_allclose(out[made], expected[made], rtol=1e-6)
    monkeypatch.undo()
    rest = (slice(64, None), slice(64, None)) if symmetric else slice(64, None)
    kernel(X[64:], None if symmetric else Y, out=out[rest])  # as the docstring of `CKNKernel.__call__` recommends
    assert_allclose(out, expected, rtol=1e-6)


def test_arguments_are_not_changed(rng):
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


def test_hyperparameters_follow_the_interface_of_gaussian_processes():
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
    assert type(other.network[0].sigma) is float  # a NumPy number would be printed with its type
    assert kernel == clone(kernel) and kernel != other and kernel != WhiteKernel()
    as_a_list = CKNKernel(kernel.network, sigma_bounds=[0.2, 3])
    assert_array_equal(as_a_list.bounds, kernel.bounds)
    composed = 2 * kernel + WhiteKernel(0.1)
    assert composed.n_dims == 4 and composed == clone(composed)


def test_kernels_are_equal_if_all_parameters_are_equal():
    first, second = ("a", layer()), ("b", layer(patch_size=2))
    kernels = [
        CKNKernel(layer(patch_size=[2, 3])),
        CKNKernel(layer(patch_size=[3, 2])),
        CKNKernel(layer(patch_size=[3, 2], init=np.ones((2, 3, 2, 1)))),
        CKNKernel(layer(patch_size=[3, 2], init=np.zeros((2, 3, 2, 1)))),
        CKNKernel(layer(patch_size=[3, 2]), sigma_bounds=[0.1, 2]),
        CKNKernel(layer(patch_size=[3, 2]), sigma_bounds=[0.1, 3]),
        CKNKernel(layer(patch_size=[3, 2]), tangent=True),
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


def test_gaussian_process_with_a_tangent_kernel_tunes_its_scale(digits):
    X, y = digits[0][:40].astype(float), (digits[1][:40] > 4).astype(float)
    kernel = CKNKernel(layer(1), tangent=True, sigma_bounds="fixed", normalize=True)
    X = X.reshape(40, -1)
    process = GaussianProcessRegressor(ConstantKernel(10.0) * kernel, alpha=0.1).fit(X, y)
    assert process.kernel_.k2 == kernel and process.kernel_.k1.constant_value != 10
    K = process.kernel_.k1.constant_value * kernel(X)
    assert_allclose(process.predict(X[:5]), K[:5] @ np.linalg.solve(K + 0.1 * np.eye(40), y), rtol=1e-8)
    free = CKNKernel(layer(1), tangent=True)
    with pytest.raises(ValueError, match=r"not possible with tangent=True, because the deriv.*sigma_bounds='fix"):
        GaussianProcessRegressor(free).fit(X, y)
    untuned = GaussianProcessRegressor(free, alpha=0.1, optimizer=None).fit(X, y)
    assert untuned.kernel_ == free
    assert free.set_params(network__kernel="arccos1")(X, eval_gradient=True)[1].shape == (40, 40, 0)


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


def test_support_vector_machine_on_images_and_in_a_grid_search(digits):
    X, y, X_test, y_test = digits
    machine = SVC(kernel=kernel_of_digits(), C=10).fit(X, y)
    pixels = SVC(C=10).fit(X.reshape(len(X), -1), y).score(X_test.reshape(len(X_test), -1), y_test)
    assert machine.score(X_test, y_test) > pixels > 0.8
    precomputed = SVC(kernel="precomputed", C=10).fit(kernel_of_digits()(X), y)
    assert_array_equal(machine.predict(X_test), precomputed.predict(kernel_of_digits()(X_test, X)))
    search = GridSearchCV(machine, {"kernel__network__cknlayer-1__patch_size": [1, 3]}, cv=3).fit(X[:150], y[:150])
    assert search.best_params_["kernel__network__cknlayer-1__patch_size"] == 3
    assert search.best_score_ > 0.85


def test_support_vector_machine_with_a_tangent_kernel(digits):
    X, y, X_test, y_test = digits
    kernel = kernel_of_digits().set_params(tangent=True)
    machine = SVC(kernel=kernel, C=10).fit(X, y)
    assert machine.score(X_test, y_test) > 0.88
    precomputed = SVC(kernel="precomputed", C=10).fit(kernel(X), y)
    assert_array_equal(machine.predict(X_test), precomputed.predict(kernel(X_test, X)))


def test_estimators_with_precomputed_kernels(digits):
    X, y, X_test, y_test = digits
    kernel = kernel_of_digits()
    K, K_test = kernel(X), kernel(X_test, X)
    ridge = KernelRidge(alpha=1e-3, kernel="precomputed").fit(K, np.eye(10)[y])
    assert (ridge.predict(K_test).argmax(axis=1) == y_test).mean() > 0.85
    assert KernelPCA(4, kernel="precomputed").fit(K).transform(K_test).shape == (300, 4)
    labels = SpectralClustering(10, affinity="precomputed", random_state=0).fit_predict(K)
    assert len(set(labels)) == 10


def test_fitted_networks_provide_their_sigma(digits):
    X = digits[0][:50]
    feature_map = CKNFeatureMap(make_pipeline(layer(n_filters=16, sigma="auto", random_state=0))).fit(X)
    kernel, sigma = CKNKernel(feature_map.network_), feature_map.network_[0].sigma_
    assert_array_equal(kernel(X[:5]), CKNKernel(layer(sigma=sigma))(X[:5]))
    assert kernel != CKNKernel(CKNFeatureMap(kernel.network).fit(X[:10]).network_) and kernel == CKNKernel(
        kernel.network
    )
    assert kernel.n_dims == 0 and kernel(X[:5], eval_gradient=True)[1].shape == (5, 5, 0)
    with pytest.raises(ValueError, match=r"sigma='auto' is replaced by a number in fit.*set sigma to a number"):
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
        pytest.param(with_nan(), None, "X contains NaN in 1 of 4 signals", id="nan in X"),
        pytest.param(IMAGES, with_nan(), "Y contains NaN in 1 of 4 signals", id="nan in Y"),
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
        (CKNKernel(CKNFeatureMap(layer())), TypeError, r"type CKNFeatureMap\. Pass that estimator's network"),
        (CKNKernel(make_pipeline(layer(), SVC())), TypeError, "; step 'svc' is an object of type SVC"),
        (CKNKernel(make_pipeline(layer(), layer(1))), ValueError, r"must share ndim; got \[2, 1\]"),
        (CKNKernel(layer(sigma=-1)), ValueError, "'sigma' parameter of CKNLayer"),
        (CKNKernel(layer(sigma="auto")), ValueError, "sigma='auto' is replaced by a number in fit"),
        (CKNKernel(layer(), normalize="yes"), ValueError, "'normalize' parameter of CKNKernel"),
        (CKNKernel(layer(), n_jobs=0.5), ValueError, "'n_jobs' parameter of CKNKernel"),
        (CKNKernel(layer(), tangent="yes"), ValueError, "'tangent' parameter of CKNKernel"),
        (CKNKernel(layer(), symmetries="turn"), ValueError, "'symmetries' parameter of CKNKernel"),
        (CKNKernel(layer(), symmetries="rotate"), ValueError, r"requires square images; got .* \(6, 5\)\. Crop or pad"),
        (
            CKNKernel(make_pipeline(layer(), layer(patch_size=9, padding="valid"))),
            ValueError,
            "patch_size=.*spatial shape",
        ),
    ],
)
def test_bad_parameters(kernel, error, message):
    with pytest.raises(error, match=message):
        kernel(IMAGES)
    with pytest.raises(error, match=message):
        kernel.diag(IMAGES)


def test_an_infinite_slope_has_no_tangent_kernel():
    kernel = CKNKernel(make_pipeline(layer(), layer(kernel="arccos0")), tangent=True)
    for call in (kernel, kernel.diag):
        with pytest.raises(ValueError, match=r"kernel='arccos0' is not possible.*Set kernel='arccos1'") as caught:
            call(IMAGES)
        assert caught.value.__notes__ == ["The error occurred in step 'cknlayer-2' of network."]


@pytest.mark.parametrize("sigma", ["0.5", "automatic", None, 0, -1, np.nan])
def test_gaussian_processes_reject_a_bad_sigma(sigma):
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
    assert ("got a read-only array" in str(caught.value)) == read_only


def test_bad_gradient():
    with pytest.raises(ValueError, match="eval_gradient=True needs Y=None"):
        CKNKernel(layer())(IMAGES, IMAGES, eval_gradient=True)
    network = make_pipeline(layer(), layer(kernel="arccos0"))
    with pytest.raises(
        ValueError,
        match=r"no derivative with respect to the sigma of a layer that precedes .*arccos0",
    ):
        CKNKernel(network)(IMAGES, eval_gradient=True)
    assert CKNKernel(network, sigma_bounds="fixed")(IMAGES, eval_gradient=True)[1].shape == (4, 4, 0)
