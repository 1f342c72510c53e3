"""Vectors of the processor: results on processors with registers of other widths."""

import platform
import sys
from textwrap import dedent

import numpy as np
import pytest
from fresh_process import run

from sklearn_ckn._core.runtime import simd

TARGETS = {  # bytes of a register -> the processor that the compiler assumes
    16: {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
    32: {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+sse4.1,+avx,+avx2,+fma"},
}
SAVE_FEATURES = """
    import sys
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_ckn import CKNFeatureMap, CKNLayer
    from sklearn_ckn._core.runtime import simd
    X = np.random.RandomState(0).rand(5, 11, 13).astype(np.float32)
    layers = [CKNLayer(40, init="random", n_patches=400, reg=0.1, random_state=0) for _ in range(2)]
    feature_map = CKNFeatureMap(make_pipeline(*layers)).fit(X)
    np.savez(sys.argv[1], features=feature_map.transform(X), register_bytes=simd.REGISTER_BYTES)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of the compiler's targets")
def test_results_do_not_depend_on_the_width_of_the_registers(tmp_path, monkeypatch):
    """The results of direct and of Winograd convolution on this processor equal those on older ones, up to rounding."""
    path = str(tmp_path / "found.npz")
    monkeypatch.setattr(sys, "argv", ["", path])
    exec(dedent(SAVE_FEATURES), {})
    with np.load(path) as arrays:
        expected = arrays["features"]
        assert arrays["register_bytes"] == simd.REGISTER_BYTES
    for register_bytes, target in TARGETS.items():
        if register_bytes <= simd.REGISTER_BYTES:
            run(f"import sys; sys.argv = ['', {path!r}]", SAVE_FEATURES, **target)
            with np.load(path) as arrays:
                found = arrays["features"]
                assert arrays["register_bytes"] == register_bytes
            assert np.linalg.norm(found - expected) <= 2e-5 * np.linalg.norm(expected)
