"""The direct convolution: tiles of any size."""

import math

import numpy as np
import pytest
from layers import encode_block, layer_settings, unit_rows
from numpy.testing import assert_allclose

from sklearn_ckn._core.layer import definition, nystroem
from sklearn_ckn._core.network import direct
from sklearn_ckn._core.runtime import simd

CASES = [{}, {"size": 2, "padding": "valid"}, {"kind": "average", "width": 2, "stride": 1}, {"count": 1}, {"count": 3}]


@pytest.mark.parametrize("tile_bytes", [1, 2000, 9000])  # tiles of one patch, of a part of a line, of several lines
@pytest.mark.parametrize("case", CASES, ids=str)
def test_transform_of_signals_in_many_tiles_equals_the_definition(tile_bytes, case, rng, monkeypatch):
    layer, X = layer_settings(2, **case), rng.randn(2, 9, 31, 2)
    Z = unit_rows(rng, 6, math.prod(layer.patch.size) * 2)
    A = nystroem.whitening(Z, layer)
    expected = definition.encode(X, Z, A, layer)
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
