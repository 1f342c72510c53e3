"""What only a fresh process shows: compilation, its cache, and what an import brings."""

import os
import subprocess
import sys
import textwrap

import pytest

USE = """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_ckn import CKNFeatureMap, CKNLayer
    X = np.random.RandomState(0).rand(20, 8, 8).astype(np.float32)
    network = make_pipeline(*[CKNLayer(4, n_patches=100, random_state=0) for _ in range(2)])
    feature_map = CKNFeatureMap(network, n_jobs=2).fit(X)
    checksum = float(feature_map.transform(X).sum())
"""
COUNT = """
    from numba.core import event
    compilations = event.RecordingListener()
    event.register("numba:compile", compilations)
"""


def run(*parts, **environment):
    code = "\n".join(textwrap.dedent(part) for part in parts)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checksum():
    return run(USE, "print(checksum)")


def test_nothing_is_compiled_with_a_warm_cache(tmp_path):
    count = "print(len(compilations.buffer))"
    cold, warm = (int(run(COUNT, USE, count, NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2))
    assert cold > 0
    assert warm == 0


def test_cache_can_be_switched_off(tmp_path, checksum):
    assert run(USE, "print(checksum)", NUMBA_CACHE_DIR=str(tmp_path), SKLEARN_CKN_CACHE="0") == checksum
    assert not any(tmp_path.iterdir())


def test_works_where_no_cache_folder_is_writable(checksum):
    refuse = """
        from numba.core.caching import _CacheLocator
        def ensure_cache_path(self):
            raise PermissionError("read-only")
        _CacheLocator.ensure_cache_path = ensure_cache_path
    """
    assert run(refuse, USE, "print(checksum)") == checksum


def test_import_brings_nothing_but_the_five():
    code = """
        import sys
        import joblib, numba, scipy.linalg, scipy.sparse, sklearn.pipeline, sklearn.utils.validation
        before = {name.partition(".")[0] for name in sys.modules}
        import sklearn_ckn
        print({name.partition(".")[0] for name in sys.modules} - before)
    """
    assert run(code).strip() == "{'sklearn_ckn'}"


def test_an_error_in_a_worker_reaches_the_caller_and_changes_no_setting():
    code = """
        from threadpoolctl import threadpool_info
        before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
        try:
            feature_map.network_.steps[1][1].whitening_ = np.eye(3, dtype=np.float32)
            feature_map.transform(X)
        except ValueError as error:
            print("error")
        print(before == [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()])
    """
    assert run(USE, code).split() == ["error", "True"]
