"""The convolution of maps that consist of a single patch."""

import math

import numpy as np
import pytest
from layers import layer_settings, unit_rows
from numpy.testing import assert_array_equal

from sklearn_ckn._core.layer import definition, nystroem
from sklearn_ckn._core.network import forward, single_patch


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 3e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    "space, c, case",
    [
        ((1,), 1100, {"size": 1, "width": 1}),  # rows that are summed in several parts
        ((1,), 3, {}),  # one position, padded with zeros
        ((1, 1), 5, {"size": (2, 4), "width": 3}),
        ((5,), 4, {"size": 5, "padding": "valid", "centering": True}),
        ((4, 3), 2, {"size": (4, 3), "padding": "valid", "kind": "average", "width": 1}),
        ((3, 2, 2), 5, {"size": (3, 2, 2), "padding": "valid"}),
    ],
    ids=str,
)
def test_maps_of_one_patch_equal_the_definition(space, c, case, dtype, tolerance, rng):
    """Maps are the same, bit for bit, in any block, and the map of a zero signal is zero."""
    layer = layer_settings(len(space), **case)
    X = rng.randn(20, *space, c).astype(dtype)
    X[3] = 0
    X[5] *= 1e-6
    Z = unit_rows(rng, 70, math.prod(layer.patch.size) * c, dtype)
    A = nystroem.whitening(Z, layer).astype(dtype)
    made = forward.prepare(Z, A, layer, X.shape[1:])
    assert type(made.convolution) is single_patch.SinglePatch
    maps, expected = forward.encode_block(X, made), definition.encode(X.astype(float), Z.astype(float), A, layer)
    distances, sizes = (np.linalg.norm(rows.reshape(20, -1), axis=1) for rows in (maps - expected, expected))
    assert (distances <= tolerance * sizes).all()
    assert_array_equal(maps[3], 0)
    assert_array_equal(maps, np.concatenate([forward.encode_block(part, made) for part in (X[:1], X[1:8], X[8:])]))
