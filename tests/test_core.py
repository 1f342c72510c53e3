"""The pieces of `_core` against their naive twins, for one, two and three space axes."""

import math
import threading

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core import (
    blocks,
    direct,
    encode,
    fused,
    kappa,
    kmeans,
    machine,
    nystroem,
    one_patch,
    panels,
    patches,
    pooling,
    sampling,
    simd,
    transforms,
    winograd,
)
from sklearn_ckn._signals import EncodedSignals, Signals

SPACES = [(7,), (6, 5), (4, 3, 5)]
PARAMETERS = {"sigma": 0.6, "degree": 3, "coef0": 0.5}


def kernels():
    return [pytest.param(name, id=name) for name in kappa.KERNELS]


@pytest.mark.parametrize("name", kernels())
def test_kappa_is_the_published_formula(name):
    kernel = kappa.make(name, **PARAMETERS)
    u = np.linspace(-1, 1, 41)
    expected = [naive.KAPPA[name](a, PARAMETERS) for a in u]
    assert_allclose(kernel.kappa(u), expected, rtol=1e-14, atol=1e-15)
    assert kernel.kappa(np.float64(1)) == 1


@pytest.mark.parametrize("name", kernels())
def test_slope_is_the_derivative_of_kappa(name):
    kernel, h = kappa.make(name, **PARAMETERS), 1e-6
    u = np.linspace(-0.95, 0.95, 39)
    assert_allclose(kernel.slope(u), (kernel.kappa(u + h) - kernel.kappa(u - h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_keep_the_dtype(name, dtype):
    kernel, u = kappa.make(name, **PARAMETERS), np.linspace(-0.9, 0.9, 5, dtype=dtype)
    assert kernel.kappa(u).dtype == kernel.slope(u).dtype == dtype


@machine.compiled
def evaluate(kernel, u, out, lanes):
    for i in range(0, len(u), lanes):
        simd.store(kappa.kappa(kernel, simd.load(u, (i,))), out, (i,))


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-14), (np.float32, 4e-7)])
@pytest.mark.parametrize("name", kernels())
def test_compiled_kappa_equals_the_array_formula(name, dtype, tolerance):
    kernel, u = kappa.make(name, **PARAMETERS), np.linspace(-1, 1, 2**14).astype(dtype)
    out = np.empty_like(u)
    evaluate(kernel, u, out, simd.n_lanes(dtype))
    assert_allclose(out, kernel.kappa(u.astype(float)), rtol=tolerance, atol=tolerance)


@machine.compiled
def exponential(x, out, lanes):
    for i in range(0, len(x), lanes):
        simd.store(kappa.exp2(simd.load(x, (i,))), out, (i,))


@pytest.mark.parametrize("dtype, lowest, tolerance", [(np.float64, -1022, 2e-14), (np.float32, -126, 1e-6)])
def test_compiled_exponential_over_its_whole_range(dtype, lowest, tolerance):
    x = np.linspace(lowest, 0, 2**16).astype(dtype)
    out = np.empty_like(x)
    exponential(x, out, simd.n_lanes(dtype))
    assert_allclose(out, np.exp2(x.astype(float)), rtol=tolerance)
    exponential(np.full_like(x, 10 * lowest), out, simd.n_lanes(dtype))
    assert (out < 1e-37).all() and (out >= 0).all()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_extract(space, padding, size, rng):
    X = rng.randn(2, *space, 3)
    size = (size,) * len(space)
    expected = [naive.patches(x, size, padding) for x in X]
    assert_array_equal(patches.extract(X, size, patches.padding_widths(size, padding)), expected)


def test_extract_of_unequal_sizes(rng):
    X, size = rng.randn(2, 5, 6, 2), (2, 4)
    assert_array_equal(
        patches.extract(X, size, patches.padding_widths(size, "same")), [naive.patches(x, size) for x in X]
    )


def maps_of(X):
    return EncodedSignals(Signals(X, X.shape[1:]), [], 1)


def test_sample_draws_every_varying_patch_once_and_no_constant_one(rng):
    """Signals of random values after zeros: with enough draws, all patches but the constant ones come, each once."""
    X = np.concatenate([np.zeros((40, 6, 1)), rng.rand(40, 6, 1) + 0.1], axis=1)
    U, n_wanted = sampling.sample(maps_of(X), 10_000, (2,), ((0, 0),), False, rng)
    varying = [patch for x in X for patch in naive.patches(x, (2,), "valid") if patch[0] != patch[1]]
    expected = [patch / np.linalg.norm(patch) for patch in varying]
    assert_allclose(sorted(map(tuple, U)), sorted(map(tuple, expected)), rtol=1e-14)
    assert n_wanted == len(expected)


def test_sample_is_uniform_over_signals_and_positions(rng):
    """Each of 100 x 20 patches of one position is drawn 40 times in 1000 samples of 80, on the average."""
    X = np.stack(np.divmod(np.arange(2000.0), 20) + (np.ones(2000),), axis=-1).reshape(100, 20, 3)
    counts = np.zeros((100, 20))
    for _ in range(1000):
        U, _ = sampling.sample(maps_of(X), 80, (1,), ((0, 0),), False, rng)
        signal, position = (U[:, :2] / U[:, 2:]).round().astype(int).T
        assert len(set(zip(signal, position))) == 80
        np.add.at(counts, (signal, position), 1)
    for mean_counts, n in ((counts.mean(axis=0), 100), (counts.mean(axis=1), 20)):
        # the five signals of a sample give 16 patches each: the variance of a signal's count is 16 times a patch's
        assert np.abs(mean_counts - 40).max() < 4.5 * np.sqrt(40 / n * (1 if n == 100 else 16))


def test_sample_reads_only_as_many_signals_as_it_needs_and_not_the_first(rng):
    read = []

    class Reader:
        dtype = np.dtype(np.float64)

        def __getitem__(self, rows):
            read.extend(rows)
            return rng.randn(len(rows), 8, 8, 1)

        def __len__(self):
            return 5000

    maps = EncodedSignals(Signals(Reader(), (8, 8, 1)), [], 1)
    U, _ = sampling.sample(maps, 640, (3, 3), ((1, 1), (1, 1)), True, rng)
    assert U.shape == (640, 9)
    assert_allclose(np.linalg.norm(U, axis=1), 1)
    assert_allclose(U.mean(axis=1), 0, atol=1e-15)  # centred
    assert len(read) == len(set(read)) == 40  # 16 patches from each
    assert max(read) > 4000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_patches_are_zero_after_centring_and_faint_ones_are_not(dtype, rng):
    eps = np.finfo(dtype).eps
    for n_positions, c in ((9, 1), (25, 1), (27, 3), (225, 1), (961, 2)):
        constant = np.tile(rng.rand(500, c).astype(dtype), n_positions)
        assert not patches.center(constant, c).any()
        assert not sampling.varies(constant, c).any()
        faint = constant * (1 + 1000 * eps * rng.rand(*constant.shape).astype(dtype))
        assert patches.center(faint, c).any(axis=1).all()
        assert sampling.varies(faint, c).all()
        rounded = constant * (1 + 50 * eps * rng.rand(*constant.shape).astype(dtype))  # as a layer's rounding may
        assert not sampling.varies(rounded, c).any()
        assert patches.center(constant[:0], c).shape == (0, n_positions * c)
    assert_array_equal(sampling.varies(np.array([[0.0, 0.0], [1.0, 1.0]]), 2), [False, True])  # one position


def test_sample_takes_no_more_memory_than_there_are_patches(rng):
    X = rng.rand(3, 5, 1)
    assert sampling.sample(maps_of(X), 10**12, (2,), ((0, 0),), False, rng)[0].shape == (12, 2)


def test_sample_draws_more_patches_of_each_signal_when_there_are_few_signals(rng):
    X = rng.rand(4, 50, 50, 1)
    U, _ = sampling.sample(maps_of(X), 9000, (3, 3), ((1, 1), (1, 1)), False, rng)
    assert len(np.unique(U, axis=0)) == 9000


@pytest.mark.parametrize("kind", ["gaussian", "average"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_pool(kind, data):
    ndim = data.draw(st.integers(1, 3))
    sizes = [data.draw(st.tuples(*[st.integers(1, high)] * ndim)) for high in (6, 4, 5)]
    space, width, stride = sizes
    F = np.random.RandomState(0).randn(*space, 2)
    expected = naive.pool(F, kind, width, stride)
    assert pooling.n_positions(kind, space, width, stride) == expected.shape[:-1]
    if 0 not in expected.shape:
        matrices = pooling.operators(kind, space, width, stride)
        assert_allclose(pooling.pool(F[None], matrices, 1)[0], expected, atol=1e-14)


@pytest.mark.parametrize("space", [(), *SPACES])
def test_taps_are_the_columns_of_the_kronecker_product(space):
    width, stride = (2,) * len(space), (3,) * len(space)
    full = np.ones((1, 1))
    for matrix in pooling.operators("gaussian", space, width, stride):
        full = np.kron(full, matrix.toarray())
    pointers, outputs, weights = pooling.taps("gaussian", space, width, stride, np.dtype(float))
    dense = np.zeros_like(full)
    for u in range(full.shape[1]):
        dense[outputs[pointers[u] : pointers[u + 1]], u] += weights[pointers[u] : pointers[u + 1]]
    assert_allclose(dense, full, rtol=1e-15)


@pytest.mark.parametrize("kind", ["gaussian", "average"])
def test_taps_of_a_long_axis_are_as_many_as_its_positions(kind):
    """A dense operator of this length would take four terabytes."""
    pointers, outputs, weights = pooling.taps(kind, (10**6,), (2,), (2,), np.dtype(np.float32))
    assert len(pointers) == 10**6 + 1 and len(outputs) == len(weights) < 2.5 * 10**6 + 1
    assert_allclose(np.bincount(outputs, weights)[1:-1], 1, rtol=1e-6)


def test_inverse_sqrt(rng):
    B = rng.randn(20, 7)
    K, reg = B @ B.T, 1e-2  # singular
    A = nystroem.inverse_sqrt(K, reg).value
    assert_allclose(A @ (K + reg * np.eye(20)) @ A, np.eye(20), atol=1e-12)
    assert_allclose(A, A.T, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_sqrt_is_computed_in_double_precision(dtype, rng):
    B = rng.randn(30, 5)
    assert nystroem.inverse_sqrt((B @ B.T).astype(dtype), 1e-3).value.dtype == np.float64


def test_inverse_sqrt_takes_negative_eigenvalues_as_rounding():
    assert_allclose(nystroem.inverse_sqrt(np.diag([1.0, -1e-3]), 1e-4).value, np.diag([1.0001**-0.5, 100]), rtol=1e-12)


def unit_rows(rng, n, d, dtype=np.float64):
    return patches.normalize(rng.randn(n, d).astype(dtype))[1]


def test_kmeans_assigns_and_averages_as_in_loops(rng):
    U, Z = unit_rows(rng, 60, 4), unit_rows(rng, 5, 4)
    labels, cosines = kmeans.assign(U, Z, 1)
    for i, u in enumerate(U):
        assert labels[i] == max(range(5), key=lambda j, u=u: u @ Z[j])
        assert_allclose(cosines[i], max(u @ z for z in Z), rtol=1e-14)
    for j, z in enumerate(kmeans.update(U, labels, cosines, Z)):
        total = sum(U[i] for i in range(60) if labels[i] == j)
        assert_allclose(z, total / np.linalg.norm(total), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k, d, m", [(1, 1, 1), (7, 3, 2), (500, 5, 100), (301, 40, 33)])
def test_kmeans_assigns_the_first_of_the_best_centres(k, d, m, dtype, rng):
    U, Z = np.abs(unit_rows(rng, k, d, dtype)), -np.abs(unit_rows(rng, m, d, dtype))  # no product is positive
    Z[m - m // 2 :] = Z[: m // 2]  # and nearly every one comes twice
    labels, products = kmeans.assign(U, Z, 1)
    exact = U.astype(float) @ Z.T.astype(float)
    assert (labels < m - m // 2).all() and labels.min() >= 0
    assert_allclose(exact[np.arange(k), labels], exact.max(axis=1), rtol=10 * np.finfo(dtype).eps)
    assert_allclose(products, exact.max(axis=1), rtol=10 * np.finfo(dtype).eps)


def test_kmeans_spreads_its_first_centres(rng):
    far = np.eye(5)
    U = np.concatenate([np.repeat(far[:1], 200, axis=0) + 1e-3 * rng.rand(200, 5), far[1:]])
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    Z = kmeans.spread(U, 5, rng)
    assert_allclose(np.sort(Z.argmax(axis=1)), np.arange(5))  # the four rows far from the crowd, and one of it
    crowd = np.repeat(far[:1], 30, axis=0)
    assert kmeans.spread(crowd, 10, rng).shape == (10, 5)  # nothing to choose by


def test_subspace_keeps_most_of_the_energy_or_is_none(rng):
    factors, noise = rng.randn(3000, 80), rng.randn(3000, 600)
    U = patches.normalize(factors @ rng.randn(80, 600) + noise)[
        1
    ]  # 80 dimensions have 99 % of the energy, 64 have less
    basis = kmeans.subspace(U, np.random.RandomState(0))
    assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    assert basis.shape == (600, 128)
    assert np.linalg.norm(U @ basis) ** 2 >= kmeans.ENERGY * len(U)
    assert kmeans.subspace(patches.normalize(noise)[1], np.random.RandomState(0)) is None


def test_kmeans_of_long_rows_reaches_what_it_reaches_without_a_subspace(rng, monkeypatch):
    centres = unit_rows(rng, 200, 300)
    U = patches.normalize(
        centres[rng.randint(200, size=4000)] @ np.diag(0.97 ** np.arange(300)) + 0.003 * rng.randn(4000, 300)
    )
    U = U[1].astype(np.float32)

    def fit(n_threads=1):
        return kmeans.spherical_kmeans(U, 50, 20, np.random.RandomState(0), n_threads)[0]

    def objective(Z):
        return kmeans.assign(U, Z, 1)[1].mean(dtype=float)

    Z = fit()
    assert kmeans.subspace(U, np.random.RandomState(0)) is not None
    assert all(kmeans.spherical_kmeans(U, 50, k, np.random.RandomState(0))[1] <= k for k in range(6))
    assert_array_equal(Z, fit(n_threads=2))
    monkeypatch.setattr(kmeans, "SHORTER", np.inf)
    assert objective(Z) > objective(fit()) - 2e-3


def test_kmeans_keeps_rare_rows_that_a_subspace_does_not_see(rng):
    """Words of one letter among 300, most of them rare: their projections are 0, but they are distinct rows."""
    frequency = 1 / np.arange(1, 301) ** 2
    U = np.eye(300, dtype=np.float32)[rng.choice(300, 20_000, p=frequency / frequency.sum())]
    n_distinct = len(np.unique(U, axis=0))
    Z = kmeans.spherical_kmeans(U, n_distinct, 20, np.random.RandomState(0))[0]
    assert Z.shape == (n_distinct, 300) and np.isfinite(Z).all()
    assert_allclose(Z @ Z.T, np.eye(n_distinct), atol=1e-6)


def test_kmeans_objective_rises_and_the_bits_do_not_depend_on_threads(rng):
    U = unit_rows(rng, 10_000, 6, np.float32)
    objective = [
        kmeans.assign(U, kmeans.spherical_kmeans(U, 8, k, np.random.RandomState(1))[0], 1)[1].mean() for k in range(6)
    ]
    assert all(np.diff(objective) > 0)
    one, two = (kmeans.spherical_kmeans(U, 8, 20, np.random.RandomState(1), n_threads)[0] for n_threads in (1, 2))
    assert_array_equal(one, two)


def test_kmeans_gives_an_empty_cluster_the_worst_matched_row():
    U = np.array([[1.0, 0], [1, 0], [0.6, 0.8], [0, -1]])
    Z = np.array([[1.0, 0], [-1, 0]])
    labels, cosines = kmeans.assign(U, Z, 1)
    assert_array_equal(labels, 0)
    assert_array_equal(kmeans.update(U, labels, cosines, Z)[1], [0, -1])


def test_kmeans_stops_when_the_objective_gains_little(rng, monkeypatch):
    monkeypatch.setattr(kmeans, "TOLERANCE", 1e-4)
    U = unit_rows(rng, 5000, 4)

    def run(max_iter):
        return kmeans.spherical_kmeans(U, 6, max_iter, np.random.RandomState(1))

    objective = np.array([kmeans.assign(U, run(k)[0], 1)[1].mean() for k in range(40)])
    little = np.diff(objective) <= 1e-4 * objective[1:]
    assert run(1000)[1] == np.flatnonzero(little)[0] + 2 < 40


def test_kmeans_keeps_a_centre_whose_rows_cancel():
    U, Z = np.array([[1.0, 0], [-1, 0]]), np.array([[0.0, 1]])
    assert_array_equal(kmeans.update(U, np.zeros(2, dtype=np.int64), np.zeros(2), Z), Z)


def test_kmeans_averages_in_double_precision(rng):
    u = unit_rows(rng, 1, 3).astype(np.float32)
    U, labels = np.repeat(u, 300_000, axis=0), np.zeros(300_000, dtype=np.int64)
    assert_allclose(kmeans.update(U, labels, np.ones(len(U)), u), u, rtol=2e-7)  # sums in float32 lose 1e-4 and more


def test_distinct_rows(rng):
    few = unit_rows(rng, 3, 5, np.float32)
    U = np.concatenate([few] * 40)
    assert len(kmeans.distinct(U, 10, rng)) == 3
    assert len(kmeans.distinct(unit_rows(rng, 100, 5), 100, rng)) == 100
    assert len(kmeans.distinct(np.array([[0.0, 1.0], [-0.0, 1.0]]), 2, rng)) == 1
    in_order = np.arange(1, 1001.0)[:, None]
    assert np.ptp(kmeans.distinct(in_order, 10, rng)) > 500  # not the first ones


def test_typical_sigma_is_the_quantile_of_squared_distances(rng):
    U = unit_rows(rng, 300, 3)
    squared = [((U[i] - U[j]) ** 2).sum() for i in range(300) for j in range(i)]
    sigma = encode.typical_sigma(U, rng, n_pairs=2_000_000)
    assert_allclose(sigma**2, np.quantile(squared, 0.1), rtol=0.01)
    assert encode.typical_sigma(U[[0, 0, 0]], rng) == 1
    assert encode.typical_sigma(U[[0, 0, 0]] * (1 + 1e-15 * rng.rand(3, 3)), rng) == 1


def encode_block(X, Z, A, layer):
    return blocks.encode_block(X, blocks.make_layer(Z, A, layer, X.shape[1:]))


def layer_settings(ndim, kernel="exponential", size=3, width=2, stride=2, padding="same", kind="gaussian", centering=0):
    size, width, stride = ((n,) * ndim if isinstance(n, int) else n for n in (size, width, stride))
    return encode.LayerSettings(
        patch_size=size,
        padding_widths=patches.padding_widths(size, padding),
        patch_centering=bool(centering),
        kernel=kappa.make(kernel, **PARAMETERS),
        pooling=kind,
        pooling_width=width,
        subsampling=stride,
        reg=1e-3,
    )


CASES = [
    {},
    {"size": 2, "padding": "valid"},
    {"kind": "average", "width": 2, "stride": 1},
    {"centering": True, "width": 1, "stride": 1},
    {"size": 1, "width": 2, "stride": 3},
    *({"kernel": name} for name in kappa.KERNELS if name != "exponential"),
]
COMPILED = {"exponential", "polynomial", "arccos1"}  # for the others `test_compiled_kappa...` is enough, and quick


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_encode_and_blocks_against_loops(space, case, rng):
    layer = layer_settings(len(space), **case)
    X = rng.randn(3, *space, 2)
    X[0, :2] = 0  # zero patches too
    Z = unit_rows(rng, 5, math.prod(layer.patch_size) * 2)
    A = rng.randn(5, 5)
    padding = "same" if case.get("padding", "same") == "same" else "valid"
    expected = [
        naive.layer(
            x, Z, A, layer.patch_size, case.get("kernel", "exponential"), PARAMETERS, layer.pooling_width,
            layer.subsampling, padding, layer.pooling, layer.patch_centering,
        )
        for x in X
    ]  # fmt: skip
    scale = np.abs(expected).max()
    assert_allclose(encode.encode(X, Z, A, layer), expected, atol=1e-13 * scale)
    if case.get("kernel", "exponential") in COMPILED:
        assert_allclose(encode_block(X, Z, A, layer), expected, atol=1e-13 * scale)
    assert layer.pooled_positions(space) == expected[0].shape[:-1]


UNEQUAL = [  # patch, width and stride that differ by axis; strides beyond the width and beyond the map
    {"size": (2, 3), "width": (3, 2), "stride": (1, 4)},
    {"size": (3, 3), "width": (1, 2), "stride": (20, 1)},
    {"size": (3, 3), "width": (2, 3), "stride": (1, 3), "kind": "average"},
    {"size": (2, 2), "width": (30, 1000), "stride": (2, 5), "padding": "valid"},
    {"size": (5, 3), "width": (3, 5), "stride": (3, 2), "kind": "average", "padding": "valid"},
]


@pytest.mark.parametrize("case", UNEQUAL, ids=str)
@pytest.mark.parametrize(
    "c, dtype, tolerance", [(64, np.float32, 2e-5), (3, np.float32, 2e-6), (40, np.float64, 1e-12)]
)
def test_blocks_equal_encode_when_sizes_differ_by_axis(case, c, dtype, tolerance, rng):
    layer, X = layer_settings(2, **case), rng.randn(3, 11, 14, c).astype(dtype)
    Z = unit_rows(rng, 19, math.prod(layer.patch_size) * c, dtype)
    A = np.linalg.qr(rng.randn(19, 19))[0].astype(dtype)
    expected = encode.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    made = blocks.make_layer(Z, A, layer, X.shape[1:])
    assert isinstance(made.products, winograd.Winograd) == (c == 64)
    assert np.linalg.norm(blocks.encode_block(X, made) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.003, 0.04, 30.0])
def test_kappa_never_exceeds_one_by_rounding(sigma, dtype, rng):
    """The output without pooling and whitening is ``|z| kappa``: also of patches whose squares lose digits."""
    layer = layer_settings(2, width=1, stride=1)._replace(kernel=kappa.Exponential(sigma))
    tiny = np.sqrt(np.finfo(dtype).tiny)
    for scale in (1, tiny * 5e-4):
        X = (scale * (1 + rng.rand(2, 6, 7, 1))).astype(dtype)
        P = patches.extract(X, layer.patch_size, layer.padding_widths).reshape(-1, 9)
        Z = patches.normalize((P / scale).astype(dtype))[1][:40]
        maps = encode_block(X, Z, np.eye(len(Z), dtype=dtype), layer).reshape(len(P), -1)
        largest = np.linalg.norm(P.astype(float), axis=1) * (1.3 if scale < 1 else 1 + 1e-6)
        assert (maps >= 0).all() and (maps <= largest[:, None]).all()


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_blocks_equal_encode_in_any_shape(data):
    ndim = data.draw(st.integers(1, 3))
    dtype, tolerance = data.draw(st.sampled_from([(np.float32, 2e-6), (np.float64, 1e-12)]))
    space = data.draw(st.tuples(*[st.integers(3, 9)] * ndim))
    c, m, n = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4)))
    case = {
        "size": data.draw(st.integers(1, 3)),
        "width": data.draw(st.integers(1, 3)),
        "stride": data.draw(st.integers(1, 3)),
        "padding": data.draw(st.sampled_from(["same", "valid"])),
        "kind": data.draw(st.sampled_from(["gaussian", "average"])),
    }
    layer, rng = layer_settings(ndim, **case), np.random.RandomState(0)
    if 0 in layer.pooled_positions(space):
        return
    X = rng.randn(n, *space, c).astype(dtype)
    Z = unit_rows(rng, m, math.prod(layer.patch_size) * c, dtype)
    A = np.linalg.qr(rng.randn(m, m))[0].astype(dtype)  # rounding as it is: a whitening may multiply it by 31
    expected = encode.encode(X, Z, A, layer)
    got = encode_block(X, Z, A, layer)
    assert got.dtype == expected.dtype == dtype
    assert np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected)


WINOGRAD_CASES = [  # space, patch size: squares and lines, in planes and volumes, patches of several filters
    ((4, 4), 3), ((13, 8), 3), ((5, 22), 3), ((24, 70), 3), ((14, 14), 3), ((12, 18), 3), ((9, 14), 2), ((16, 16), 2),
    ((12, 5), 2), ((40,), 3), ((33,), 9), ((70,), 6), ((15,), 3), ((4, 5, 9), 3), ((3, 6, 8), 2), ((9, 13), (1, 3)),
    ((7, 14), (5, 6)), ((12, 14), (3, 6)), ((3, 6, 9), (2, 5, 3)),
]  # fmt: skip


@pytest.mark.parametrize("space, size", WINOGRAD_CASES, ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("c, m, tiles", [(1, 3, 96), (37, 70, 96), (20, 40, 7), (16, 33, 1)])
def test_winograd_equals_encode(space, size, padding, c, m, tiles, rng, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    monkeypatch.setattr(winograd, "MOST_WORK", np.inf)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 1)
    layer = layer_settings(len(space), padding=padding, size=size)
    X = rng.randn(3, *space, c).astype(np.float32)
    X[0, 1:4] = 0  # zero patches too
    Z = unit_rows(rng, m, math.prod(layer.patch_size) * c, np.float32)
    A = np.linalg.qr(rng.randn(m, m))[0].astype(np.float32)
    expected = encode.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    made = blocks.make_layer(Z, A, layer, X.shape[1:])
    got = blocks.encode_block(X, made)
    assert isinstance(made.products, winograd.Winograd)
    assert got.dtype == np.float32
    assert np.linalg.norm(got - expected) <= 2e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("m, k", [(1, 1), (2, 2), (2, 3), (4, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 3)])
def test_cook_toom_gives_the_products_along_an_axis(m, k, rng):
    A, G, B = transforms.cook_toom(m, k)
    d, g = rng.randn(m + k - 1), rng.randn(k)
    assert_allclose(A @ ((G @ g) * (B @ d)), np.correlate(d, g), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "positions, size, expected",
    [((16, 16), (3, 3), "Square43"), ((14, 14), (3, 3), "Square53"), ((12, 12, 12), (3, 3, 3), "Square63"),
     ((16, 16), (2, 2), "Square42"), ((9, 9), (2, 2), "Square52"), ((6, 12), (2, 4), "Square62"),
     ((16,), (3,), "Line43"), ((15,), (9,), "Line53"), ((9, 18), (5, 6), "Line63"), ((1, 16), (3, 3), "Line43"),
     ((2, 16), (3, 3), "Line43")],
)  # fmt: skip
def test_the_scheme_with_the_fewest_multiplications_is_chosen(positions, size, expected):
    scheme, part = transforms.choose(positions, size)
    assert type(scheme).__name__ == expected
    axes = len(scheme.filterings)
    tiles = [-(-n // f.m) for n, f in zip(positions[-axes:], scheme.filterings)]
    filters = [k // f.k for k, f in zip(size[-axes:], scheme.filterings)]
    multiplications = math.prod(tiles) * math.prod(filters) * scheme.rows.n * scheme.columns.n
    assert part == pytest.approx(multiplications / math.prod(positions[-axes:]) / math.prod(size[-axes:]), rel=1e-12)


def test_winograd_is_for_many_channels_and_single_precision_only():
    def goes(space, c, size, dtype=np.float32, **case):
        settings = layer_settings(len(space), size=size, **case)
        Z = np.ones((2, math.prod(settings.patch_size) * c), dtype=dtype)
        return winograd.make(Z, settings, (*space, c), fused.Kept()) is not None

    assert goes((16, 16), 64, 3) and goes((16, 16), 64, 2) and goes((64,), 64, 9) and goes((8, 8, 8), 64, 3)
    assert not goes((16, 16), 64, 3, np.float64)
    assert not goes((16, 16), 3, 3)  # few channels
    assert not goes((2, 2), 64, 3)  # the tiles would be empty for the most part
    assert not goes((16, 16), 64, 5) and not goes((64,), 64, 4)  # no scheme
    assert not goes((16, 16), 64, 3, centering=True)
    assert goes((64,), 64, 3) and not goes((64,), simd.n_lanes(np.float32) + 1, 3)  # half of the vectors would be empty
    assert goes((12_000,), 64, 3) and not goes((13_000,), 64, 3)  # the tiles of a line leave the cache
    assert not goes((12_000,), 128, 300)  # a hundred filters side by side, each with tiles of its own


@pytest.mark.parametrize("space, c, size", [((16, 16), 1024, 3), ((12, 12, 12), 256, 3), ((3000,), 512, 6)])
def test_transformed_tiles_take_bounded_memory(space, c, size):
    settings = layer_settings(len(space), size=size)
    made = winograd.make(
        np.ones((2, math.prod(settings.patch_size) * c), dtype=np.float32), settings, (*space, c), fused.Kept()
    )
    assert made.tiling.n_numbers * made.scheme.rows.n * made.scheme.columns.n <= winograd.MOST_NUMBERS


def test_winograd_with_a_whitening_that_multiplies_errors(rng):
    """It adds to the errors of single precision, but no more than thrice what they are."""
    layer, X = layer_settings(2), rng.rand(20, 14, 14, 64).astype(np.float32)
    P = patches.extract(X, layer.patch_size, layer.padding_widths).reshape(-1, 576)
    Z = patches.normalize(P[rng.permutation(len(P))[:128]])[1]
    A = encode.whitening(Z, layer).astype(np.float32)
    expected = encode.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    plain = np.linalg.norm(encode.encode(X, Z, A, layer) - expected)
    made = blocks.make_layer(Z, A, layer, X.shape[1:])
    assert isinstance(made.products, winograd.Winograd)
    assert np.linalg.norm(blocks.encode_block(X, made) - expected) <= 3 * plain


@pytest.mark.parametrize("name", ["polynomial", "vovk"])  # those that grow below -1
def test_faint_patches_beside_bright_ones_keep_within_their_norms(name, rng):
    """Winograd's error is relative to the largest patch of a tile: the cosines of others must be cut to [-1, 1]."""
    layer = layer_settings(2, name, width=1, stride=1)
    X = (1e-15 * rng.randn(1, 16, 16, 64)).astype(np.float32)
    X[:, :, :2] = rng.randn(1, 16, 2, 64)
    Z = unit_rows(rng, 20, 576, np.float32)
    maps = encode_block(X, Z, np.eye(20, dtype=np.float32), layer)
    r = np.linalg.norm(patches.extract(X.astype(float), layer.patch_size, layer.padding_widths), axis=-1)
    assert (np.abs(maps) <= (1 + 1e-5) * r[..., None]).all()


@pytest.mark.parametrize("tile_bytes", [1, 2000, 9000])  # tiles of one patch, of pieces of a line, of some lines
@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_blocks_equal_encode_when_a_signal_takes_many_tiles(tile_bytes, case, rng, monkeypatch):
    layer, X = layer_settings(2, **case), rng.randn(2, 9, 31, 2)
    Z = unit_rows(rng, 6, math.prod(layer.patch_size) * 2)
    A = encode.whitening(Z, layer)
    expected = encode.encode(X, Z, A, layer)
    monkeypatch.setattr(direct, "TILE_BYTES", tile_bytes)
    assert_allclose(encode_block(X, Z, A, layer), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n_lines, length", [(1, 10**6), (896, 28), (7, 300), (5, 3), (1, 1)])
def test_tiles_cover_every_patch_once_and_stay_small(n_lines, length):
    covered = np.zeros((n_lines, length), dtype=int)
    for line, last_line, column, last_column in direct.cut_tiles(n_lines, length):
        tile = covered[line:last_line, column:last_column]
        tile += 1
        assert tile.size * simd.VECTOR_BYTES <= direct.TILE_BYTES
        assert tile.shape[1] == length or tile.shape[0] == 1
    assert (covered == 1).all()


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-7), (np.float64, 2e-16)])
@pytest.mark.parametrize("space, size", [((9,), (4,)), ((6, 5), (3, 2)), ((4, 3, 5), (2, 3, 1))], ids=str)
def test_norms_are_those_of_the_patches(space, size, dtype, tolerance, rng):
    widths = patches.padding_widths(size, "same")
    at = patches.layout((*space, 5), (*widths, (0, 2)), size, space)
    padded, (squares, sums) = at.padded(dtype), np.empty((2, at.n_pixels), dtype=dtype)
    r, inverse = np.empty((2, len(at.starts), at.length), dtype=dtype)
    for x in (rng.randn(*space, 5).astype(dtype), np.zeros((*space, 5), dtype=dtype)):
        patches.read(x.reshape(-1, *x.shape[-2:]), at, padded)
        patches.find_norms(padded, at, squares, sums, r, inverse)
        expected = np.linalg.norm(naive.patches(x, size), axis=-1).reshape(r.shape)
        assert_allclose(r, expected, rtol=8 * tolerance)
        assert_allclose(r * inverse, expected > 0, rtol=2 * tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("centering", [False, True])
@pytest.mark.parametrize("space, c", [((7, 9), 2), ((14, 11), 64), ((40,), 64), ((4, 5, 6), 64)], ids=str)
@pytest.mark.parametrize("tiles", [7, 96])  # the bands of a signal are divided or not
def test_a_signal_has_the_same_bits_in_any_block(space, c, centering, dtype, tiles, rng, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    layer = layer_settings(len(space), centering=centering)
    X = rng.randn(5, *space, c).astype(dtype)
    Z = unit_rows(rng, 21, 3 ** len(space) * c, dtype)
    made = blocks.make_layer(Z, encode.whitening(Z, layer).astype(dtype), layer, X.shape[1:])
    together = blocks.encode_block(X, made)
    for cut in (1, 2):
        apart = [blocks.encode_block(part, made) for part in (X[:cut], X[cut:])]
        assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 3e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    "space, c, case",
    [
        ((1,), 1100, {"size": 1, "width": 1}),  # rows; longer than what is summed at a time
        ((1,), 3, {}),  # zeros around the position
        ((1, 1), 5, {"size": (2, 4), "width": 3}),
        ((5,), 4, {"size": 5, "padding": "valid", "centering": True}),
        ((4, 3), 2, {"size": (4, 3), "padding": "valid", "kind": "average", "width": 1}),
        ((3, 2, 2), 5, {"size": (3, 2, 2), "padding": "valid"}),
    ],
    ids=str,
)
def test_maps_of_one_patch(space, c, case, dtype, tolerance, rng):
    """They equal the definition, with the same bits in any block; that of zeros is zero."""
    layer = layer_settings(len(space), **case)
    X = rng.randn(20, *space, c).astype(dtype)
    X[3] = 0
    X[5] *= 1e-6
    Z = unit_rows(rng, 70, math.prod(layer.patch_size) * c, dtype)
    A = encode.whitening(Z, layer).astype(dtype)
    made = blocks.make_layer(Z, A, layer, X.shape[1:])
    assert type(made.products) is one_patch.OnePatch
    maps, expected = blocks.encode_block(X, made), encode.encode(X.astype(float), Z.astype(float), A, layer)
    distances, sizes = (np.linalg.norm(rows.reshape(20, -1), axis=1) for rows in (maps - expected, expected))
    assert (distances <= tolerance * sizes).all()
    assert_array_equal(maps[3], 0)
    assert_array_equal(maps, np.concatenate([blocks.encode_block(part, made) for part in (X[:1], X[1:8], X[8:])]))


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-6), (np.float64, 4e-15)])
@pytest.mark.parametrize("k, m", [(1, 1), (100, 7), (97, 40), (5, 64), (3, 1100)])
def test_whitening_is_a_matrix_product(k, m, dtype, tolerance, rng):
    A = rng.randn(m, m).astype(dtype)
    A_panels = panels.pack(A.T)
    Q, maps = np.zeros((k, len(A_panels) * A_panels.shape[2]), dtype=dtype), np.zeros((k, m), dtype=dtype)
    Q[:, :m] = rng.randn(k, m)
    panels.add_product(Q, A_panels, maps)
    expected = Q[:, :m].astype(float) @ A.astype(float)
    assert np.linalg.norm(maps - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("kernel", ["exponential", "arccos1", "polynomial"])
@pytest.mark.parametrize("space", [(6,), (4, 3), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("kind, stride", [("gaussian", 2), ("average", 1)])
def test_all_patches_as_filters_give_the_exact_kernel(space, kernel, kind, stride, rng):
    """The master identity against the definition in loops; in several layers it is in test_kernel."""
    layer = layer_settings(len(space), kernel, size=2, stride=stride, kind=kind)._replace(reg=1e-13)
    X = rng.randn(2, *space, 2)
    P = patches.extract(X, layer.patch_size, layer.padding_widths)
    Z = patches.normalize(P.reshape(-1, P.shape[-1]))[1]
    maps = encode_block(X, Z, encode.whitening(Z, layer), layer).reshape(2, -1)
    sizes = {"size": layer.patch_size, "width": layer.pooling_width, "stride": layer.subsampling}
    settings = {"kernel": kernel, "parameters": PARAMETERS, "pooling": kind, **sizes}
    exact = [[naive.exact_kernel(x, y, [settings]) for y in X] for x in X]
    assert_allclose(maps @ maps.T, exact, rtol=1e-8)


def test_whitening_is_in_double_precision_for_single_precision_filters(rng):
    layer, Z = layer_settings(2), unit_rows(rng, 30, 18, np.float32)
    assert_allclose(encode.whitening(Z, layer), encode.whitening(Z.astype(float), layer), rtol=1e-13)


def test_flatten(rng):
    X = rng.randn(3, 4, 2)
    X[1] = 0
    assert_array_equal(encode.flatten(X, False, False), X.reshape(3, 8))
    rows = encode.flatten(X, True, True)
    assert_allclose(rows[[0, 2]].mean(axis=1), 0, atol=1e-15)
    assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1])


def test_single_threaded_blas_is_restored_after_overlap_and_error():
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with machine.single_threaded_blas():
        assert set(threads()) <= {1}
        with machine.single_threaded_blas():
            pass
        assert set(threads()) <= {1}
    assert threads() == before
    with pytest.raises(ZeroDivisionError):
        machine.over_blocks(lambda block: 1 / 0, [slice(0, 1)] * 3, n_threads=2)
    assert threads() == before


def test_blocks_run_with_blas_at_one_thread():
    from threadpoolctl import threadpool_info

    def threads(block):
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    for n_threads in (1, 2):
        assert machine.over_blocks(threads, machine.slices(2, 1), n_threads) == [[1] * len(threads(0))] * 2


def test_blocks_run_at_the_same_time():
    barrier = threading.Barrier(2, timeout=20)  # passed only by two threads together
    machine.over_blocks(lambda block: barrier.wait(), machine.slices(6, 1), n_threads=2)


def test_blocks_keep_their_order_and_their_memory():
    assert machine.over_blocks(lambda block: block.start, machine.slices(10, 3), n_threads=2) == [0, 3, 6, 9]
    network = [blocks.make_layer(np.ones((4, 9)), np.eye(4), layer_settings(2), (32, 32, 1))]
    many = Signals(np.empty((10_000, 32, 32), np.float32), (32, 32, 1))
    assert blocks.block_size(many, network, 2**30, n_threads=2) == blocks.BLOCK
    assert blocks.block_size(many, network, 1, n_threads=2) == 1
    assert blocks.block_size(many[:16], network, 2**30, n_threads=2) == 4
    few = many, network, 100 * math.prod(network[0].shape) * 4, 2
    assert blocks.block_size(*few, flip=True) < blocks.block_size(*few)
