"""The fast transform, compared with loops and with the definition, and its invariances."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import PARAMETERS, SPACES, encode_block, layer_settings, unit_rows
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._arrays.signals import Signals
from sklearn_ckn._core.layer import definition, kappa, nystroem, patches
from sklearn_ckn._core.network import forward, winograd
from sklearn_ckn._core.runtime import threads

CASES = [
    {},
    {"size": 2, "padding": "valid"},
    {"kind": "average", "width": 2, "stride": 1},
    {"centering": True, "width": 1, "stride": 1},
    {"size": 1, "width": 2, "stride": 3},
    {"dilation": 2},
    {"size": 2, "dilation": 2, "padding": "valid", "centering": True},
    {"count": 2},
    {"count": 4, "kind": "average"},
    *({"kernel": name} for name in kappa.KERNELS if name != "exponential"),
]
# The other kernels are tested in compiled code by tests/core/layer/test_kappa.py, which takes less time.
COMPILED = {"exponential", "polynomial", "arccos1"}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_definition_and_fast_transform_equal_loops(space, case, rng):
    layer = layer_settings(len(space), **case)
    X = rng.randn(3, *space, 2)
    X[0, :2] = 0  # includes zero patches
    Z = unit_rows(rng, 5, math.prod(layer.patch.size) * 2)
    A = rng.randn(5, 5)
    padding = "same" if case.get("padding", "same") == "same" else "valid"
    ndim = len(space)
    sizes = (case.get("width", 2),) * ndim, (case.get("stride", 2),) * ndim
    count = (case["count"],) * ndim if "count" in case else None
    expected = [
        naive.layer(
            x, Z, A, layer.patch.size, case.get("kernel", "exponential"), PARAMETERS, *sizes, padding,
            layer.pooling.window, layer.patch.centering, layer.patch.dilation, count,
        )
        for x in X
    ]  # fmt: skip
    scale = np.abs(expected).max()
    assert_allclose(definition.encode(X, Z, A, layer), expected, atol=1e-13 * scale)
    if case.get("kernel", "exponential") in COMPILED:
        assert_allclose(encode_block(X, Z, A, layer), expected, atol=1e-13 * scale)
    assert layer.pooled_positions(space) == expected[0].shape[:-1]


UNEQUAL = [  # sizes, widths and strides that differ by axis, some strides larger than the width or the map
    {"size": (2, 3), "width": (3, 2), "stride": (1, 4)},
    {"size": (3, 3), "width": (1, 2), "stride": (20, 1)},
    {"size": (3, 3), "width": (2, 3), "stride": (1, 3), "kind": "average"},
    {"size": (2, 2), "width": (30, 1000), "stride": (2, 5), "padding": "valid"},
    {"size": (5, 3), "width": (3, 5), "stride": (3, 2), "kind": "average", "padding": "valid"},
    {"size": (3, 3), "width": (3, 2), "stride": (2, 3), "dilation": (1, 4)},
    {"size": (3, 3), "count": (3, 1)},
    {"size": (2, 3), "count": (1, 20), "kind": "average"},
]


@pytest.mark.parametrize("case", UNEQUAL, ids=str)
@pytest.mark.parametrize(
    "c, dtype, tolerance", [(64, np.float32, 2e-5), (3, np.float32, 2e-6), (40, np.float64, 1e-12)]
)
def test_transform_equals_the_definition_for_sizes_that_differ_by_axis(case, c, dtype, tolerance, rng):
    layer, X = layer_settings(2, **case), rng.randn(3, 11, 14, c).astype(dtype)
    Z = unit_rows(rng, 19, math.prod(layer.patch.size) * c, dtype)
    A = np.linalg.qr(rng.randn(19, 19))[0].astype(dtype)
    expected = definition.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    made = forward.prepare(Z, A, layer, X.shape[1:])
    assert isinstance(made.convolution, winograd.Winograd) == (c == 64)
    assert np.linalg.norm(forward.encode_block(X, made) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.003, 0.04, 30.0])
def test_rounding_does_not_make_kappa_exceed_one(sigma, dtype, rng):
    """Without pooling and whitening, maps ``|z| kappa`` do not exceed ``|z|``, even if the squares of z lose digits."""
    layer = layer_settings(2, width=1, stride=1)._replace(kernel=kappa.Exponential(sigma))
    tiny = np.sqrt(np.finfo(dtype).tiny)
    for scale in (1, tiny * 5e-4):
        X = (scale * (1 + rng.rand(2, 6, 7, 1))).astype(dtype)
        P = patches.extract(X, layer.patch).reshape(-1, 9)
        Z = patches.normalize((P / scale).astype(dtype))[1][:40]
        maps = encode_block(X, Z, np.eye(len(Z), dtype=dtype), layer).reshape(len(P), -1)
        largest = np.linalg.norm(P.astype(float), axis=1) * (1.3 if scale < 1 else 1 + 1e-6)
        assert (maps >= 0).all() and (maps <= largest[:, None]).all()


@pytest.mark.parametrize(
    "group, space", [("flip", (7,)), ("flip", (5, 6, 5)), ("rotate", (8, 8)), ("dihedral", (7, 7))]
)
def test_maps_averaged_over_a_group_equal_loops(group, space, rng):
    """The geometries are not symmetric, so all elements of the group lead to different maps."""
    ndim = len(space)
    shapes = {"size": 2, "kernel": "arccos1"}, {"size": 3, "width": 3, "stride": 1, "padding": "valid"}
    X, network, c, cases = rng.randn(2, *space, 2), [], 2, []
    for case in shapes:
        layer = layer_settings(ndim, **case)
        Z, A = unit_rows(rng, 5, math.prod(layer.patch.size) * c), rng.randn(5, 5)
        network.append(forward.prepare(Z, A, layer, (*(network[-1].output_shape[:-1] if network else space), c)))
        sizes = (case.get("width", 2),) * ndim, (case.get("stride", 2),) * ndim
        cases.append((Z, A, layer.patch.size, case.get("kernel", "exponential"), PARAMETERS, *sizes))
        cases[-1] += (case.get("padding", "same"),)
        c = 5
    elements = {"flip": [lambda x: np.flip(x, -2)], "rotate": [lambda x, k=k: np.rot90(x, k) for k in (1, 2, 3)]}
    elements["dihedral"] = elements["rotate"] + [lambda x, k=k: np.rot90(x, k)[::-1] for k in range(4)]
    expected = []
    for x in X:
        images = [x, *(element(x) for element in elements[group])]
        for case in cases:
            images = [naive.layer(image, *case) for image in images]
        expected.append(sum(images) / len(images))
    assert_allclose(forward.encode_network(X, network, group), expected, atol=1e-12 * np.abs(expected).max())


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_transform_equals_the_definition_for_any_shape(data):
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
    Z = unit_rows(rng, m, math.prod(layer.patch.size) * c, dtype)
    A = np.linalg.qr(rng.randn(m, m))[0].astype(dtype)  # orthogonal, so that it does not amplify rounding errors
    expected = definition.encode(X, Z, A, layer)
    got = encode_block(X, Z, A, layer)
    assert got.dtype == expected.dtype == dtype
    assert np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("centering", [False, True])
@pytest.mark.parametrize("space, c", [((7, 9), 2), ((14, 11), 64), ((40,), 64), ((4, 5, 6), 64)], ids=str)
@pytest.mark.parametrize("tiles", [7, 96])  # with and without a division of the bands of a signal
def test_maps_of_a_signal_do_not_depend_on_its_block(space, c, centering, dtype, tiles, rng, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    layer = layer_settings(len(space), centering=centering)
    X = rng.randn(5, *space, c).astype(dtype)
    Z = unit_rows(rng, 21, 3 ** len(space) * c, dtype)
    made = forward.prepare(Z, nystroem.whitening(Z, layer).astype(dtype), layer, X.shape[1:])
    together = forward.encode_block(X, made)
    for cut in (1, 2):
        apart = [forward.encode_block(part, made) for part in (X[:cut], X[cut:])]
        assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("kernel", ["exponential", "arccos1", "polynomial"])
@pytest.mark.parametrize("space", [(6,), (4, 3), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("kind, stride", [("gaussian", 2), ("average", 1)])
def test_all_patches_as_filters_give_the_exact_kernel(space, kernel, kind, stride, rng):
    """One layer satisfies the identity of kernel and network; tests/core/exact/test_gram.py tests several layers."""
    layer = layer_settings(len(space), kernel, size=2, stride=stride, kind=kind)._replace(reg=1e-13)
    X = rng.randn(2, *space, 2)
    P = patches.extract(X, layer.patch)
    Z = patches.normalize(P.reshape(-1, P.shape[-1]))[1]
    maps = encode_block(X, Z, nystroem.whitening(Z, layer), layer).reshape(2, -1)
    sizes = {"size": layer.patch.size, "width": layer.pooling.width, "stride": layer.pooling.stride}
    settings = {"kernel": kernel, "parameters": PARAMETERS, "pooling": kind, **sizes}
    exact = [[naive.exact_kernels(x, y, [settings])[0] for y in X] for x in X]
    assert_allclose(maps @ maps.T, exact, rtol=1e-8)


def test_blocks_keep_their_order_and_the_limit_of_memory():
    assert threads.over_blocks(lambda block: block.start, threads.slices(10, 3), n_threads=2) == [0, 3, 6, 9]
    network = [forward.prepare(np.ones((4, 9)), np.eye(4), layer_settings(2), (32, 32, 1))]
    many = Signals(np.empty((10_000, 32, 32), np.float32), (32, 32, 1))
    assert forward.block_size(many, network, 2**30, n_threads=2) == forward.BLOCK
    assert forward.block_size(many, network, 1, n_threads=2) == 1
    assert forward.block_size(many[:16], network, 2**30, n_threads=2) == 4
    few = many, network, 100 * math.prod(network[0].shape) * 4, 2
    assert 1 <= forward.block_size(*few, n_transforms=8) < forward.block_size(*few)
    assert forward.block_size(many, network, 2**30, 2, n_transforms=8) == forward.BLOCK // 8
