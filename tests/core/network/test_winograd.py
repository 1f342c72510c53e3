"""The convolution by Winograd's minimal filtering."""

import math

import numpy as np
import pytest
from layers import encode_block, layer_settings, unit_rows
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import definition, nystroem, patches
from sklearn_ckn._core.network import epilogue, forward, winograd, winograd_transforms
from sklearn_ckn._core.network.packed_filters import PackedFilters
from sklearn_ckn._core.runtime import simd

WINOGRAD_CASES = [  # spatial shape and patch size: squares, lines, volumes, and patches cut into several filters
    ((4, 4), 3), ((13, 8), 3), ((5, 22), 3), ((24, 70), 3), ((14, 14), 3), ((12, 18), 3), ((9, 14), 2), ((16, 16), 2),
    ((12, 5), 2), ((40,), 3), ((33,), 9), ((70,), 6), ((15,), 3), ((4, 5, 9), 3), ((3, 6, 8), 2), ((9, 13), (1, 3)),
    ((7, 14), (5, 6)), ((12, 14), (3, 6)), ((3, 6, 9), (2, 5, 3)),
]  # fmt: skip
DILATED = [  # spatial shape, patch size and dilation, with phases of different lengths
    ((13, 18), 3, 2), ((15, 13), 3, (1, 4)), ((23, 9), 3, (4, 1)), ((47,), 9, 4), ((9, 15), 2, 3),
    ((14, 18), (5, 6), 2), ((9, 19), (1, 3), 2), ((7, 8, 9), 3, 2), ((5, 9, 8), 2, (3, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize("space, size, dilation", [*((*case, 1) for case in WINOGRAD_CASES), *DILATED], ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("c, m, tiles", [(1, 3, 96), (37, 70, 96), (20, 40, 7), (16, 33, 1)])
def test_winograd_equals_the_definition(space, size, dilation, padding, c, m, tiles, rng, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    monkeypatch.setattr(winograd, "MOST_WORK", np.inf)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 1)
    layer = layer_settings(len(space), padding=padding, size=size, dilation=dilation)
    X = rng.randn(3, *space, c).astype(np.float32)
    X[0, 1:4] = 0  # includes zero patches
    Z = unit_rows(rng, m, math.prod(layer.patch.size) * c, np.float32)
    A = np.linalg.qr(rng.randn(m, m))[0].astype(np.float32)
    expected = definition.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    made = forward.prepare(Z, A, layer, X.shape[1:])
    got = forward.encode_block(X, made)
    assert isinstance(made.convolution, winograd.Winograd)
    assert got.dtype == np.float32
    assert np.linalg.norm(got - expected) <= 2e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("m, k", [(1, 1), (2, 2), (2, 3), (4, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 3)])
def test_cook_toom_computes_correlations(m, k, rng):
    A, G, B = winograd_transforms.cook_toom(m, k)
    d, g = rng.randn(m + k - 1), rng.randn(k)
    assert_allclose(A @ ((G @ g) * (B @ d)), np.correlate(d, g), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "positions, size, dilation, expected",
    [((16, 16), (3, 3), 1, "Square43"), ((14, 14), (3, 3), 1, "Square53"), ((12, 12, 12), (3, 3, 3), 1, "Square63"),
     ((16, 16), (2, 2), 1, "Square42"), ((9, 9), (2, 2), 1, "Square52"), ((6, 12), (2, 4), 1, "Square62"),
     ((16,), (3,), 1, "Line43"), ((15,), (9,), 1, "Line53"), ((9, 18), (5, 6), 1, "Line63"),
     ((1, 16), (3, 3), 1, "Line43"), ((2, 16), (3, 3), 1, "Line43"), ((14, 14), (3, 3), 4, "Square43"),
     ((24, 24), (3, 3), 2, "Square63"), ((64,), (3,), 16, "Line43")],
)  # fmt: skip
def test_scheme_with_the_fewest_multiplications_is_chosen(positions, size, dilation, expected):
    patch = patches.PatchGeometry.of(size, "same", dilation=(dilation,) * len(size))
    scheme, part = winograd_transforms.choose(positions, patch)
    assert type(scheme).__name__ == expected
    axes = len(scheme.filterings)
    tiles = [dilation * -(-n // dilation // f.m) for n, f in zip(positions[-axes:], scheme.filterings)]
    filters = [k // f.k for k, f in zip(size[-axes:], scheme.filterings)]
    multiplications = math.prod(tiles) * math.prod(filters) * scheme.rows.n * scheme.columns.n
    assert part == pytest.approx(multiplications / math.prod(positions[-axes:]) / math.prod(size[-axes:]), rel=1e-12)


def test_winograd_is_used_only_for_many_channels_in_single_precision():
    def goes(space, c, size, dtype=np.float32, **case):
        settings = layer_settings(len(space), size=size, **case)
        Z = np.ones((2, math.prod(settings.patch.size) * c), dtype=dtype)
        return winograd.Winograd.make(PackedFilters(Z), settings, (*space, c), epilogue.Kept()) is not None

    assert goes((16, 16), 64, 3) and goes((16, 16), 64, 2) and goes((64,), 64, 9) and goes((8, 8, 8), 64, 3)
    assert not goes((16, 16), 64, 3, np.float64)
    assert not goes((16, 16), 3, 3)  # there are too few channels
    assert not goes((2, 2), 64, 3)  # most of each tile would be empty
    assert goes((16, 16), 64, 3, dilation=4) and not goes((16, 16), 64, 3, dilation=8)
    assert not goes((16, 16), 64, 5) and not goes((64,), 64, 4)  # no scheme exists
    assert not goes((16, 16), 64, 3, centering=True)
    assert goes((64,), 64, 3) and not goes((64,), simd.n_lanes(np.float32) + 1, 3)  # half of each vector would be empty
    assert goes((12_000,), 64, 3) and not goes((13_000,), 64, 3)  # the tiles of a line would exceed the cache
    assert not goes((12_000,), 128, 300)  # each of a hundred filters side by side needs its own tiles


@pytest.mark.parametrize("space, c, size", [((16, 16), 1024, 3), ((12, 12, 12), 256, 3), ((3000,), 512, 6)])
def test_transformed_tiles_take_bounded_memory(space, c, size):
    settings = layer_settings(len(space), size=size)
    made = winograd.Winograd.make(
        PackedFilters(np.ones((2, math.prod(settings.patch.size) * c), dtype=np.float32)),
        settings,
        (*space, c),
        epilogue.Kept(),
    )
    assert made.tiling.n_numbers * made.scheme.rows.n * made.scheme.columns.n <= winograd.MOST_NUMBERS


def test_winograd_is_accurate_if_the_whitening_multiplies_errors(rng):
    """The error is at most three times that of the definition in single precision."""
    layer, X = layer_settings(2), rng.rand(20, 14, 14, 64).astype(np.float32)
    P = patches.extract(X, layer.patch).reshape(-1, 576)
    Z = patches.normalize(P[rng.permutation(len(P))[:128]])[1]
    A = nystroem.whitening(Z, layer).astype(np.float32)
    expected = definition.encode(X.astype(float), Z.astype(float), A.astype(float), layer)
    plain = np.linalg.norm(definition.encode(X, Z, A, layer) - expected)
    made = forward.prepare(Z, A, layer, X.shape[1:])
    assert isinstance(made.convolution, winograd.Winograd)
    assert np.linalg.norm(forward.encode_block(X, made) - expected) <= 3 * plain


@pytest.mark.parametrize("name", ["polynomial", "vovk"])  # kernels that grow in magnitude below -1
def test_maps_of_faint_patches_next_to_bright_ones_do_not_exceed_their_norms(name, rng):
    """Errors are relative to the largest patch of a tile, so cosines of faint patches must be clipped to [-1, 1]."""
    layer = layer_settings(2, name, width=1, stride=1)
    X = (1e-15 * rng.randn(1, 16, 16, 64)).astype(np.float32)
    X[:, :, :2] = rng.randn(1, 16, 2, 64)
    Z = unit_rows(rng, 20, 576, np.float32)
    maps = encode_block(X, Z, np.eye(20, dtype=np.float32), layer)
    r = np.linalg.norm(patches.extract(X.astype(float), layer.patch), axis=-1)
    assert (np.abs(maps) <= (1 + 1e-5) * r[..., None]).all()
