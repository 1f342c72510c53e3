"""What only a fresh process shows: compilation, its cache, and what an import brings."""

import os
import platform
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import sklearn_ckn
from sklearn_ckn._core.runtime import compilation, simd

USE = """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_ckn import CKNFeatureMap, CKNLayer
    X = np.random.RandomState(0).rand(20, 8, 8).astype(np.float32)
    network = make_pipeline(*[CKNLayer(4, n_patches=100, random_state=0) for _ in range(2)])
    feature_map = CKNFeatureMap(network, n_jobs=2).fit(X)
    checksum = float(feature_map.transform(X).sum())
"""
USE_LESS = """
    import numpy as np
    from sklearn_ckn import PatchWhitening
    X = np.random.RandomState(0).rand(20, 8, 8, 3).astype(np.float32)
    checksum = float(np.abs(PatchWhitening(n_jobs=2).fit_transform(X)).sum())
"""
COUNT = """
    from numba.core import event
    compilations = event.RecordingListener()
    event.register("numba:compile", compilations)
"""


def run(*parts, folder=None, **environment):
    code = "\n".join(textwrap.dedent(part) for part in parts)
    command, variables = [sys.executable, "-c", code], {**os.environ, **environment}
    result = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checksum():
    return run(USE_LESS, "print(checksum)")


def test_nothing_is_compiled_after_a_warmup(tmp_path):
    warmup = """
        import sklearn_ckn
        from sklearn.pipeline import make_pipeline
        from sklearn_ckn import CKNFeatureMap, CKNLayer
        sklearn_ckn.warmup(CKNFeatureMap(make_pipeline(CKNLayer(4), CKNLayer(4)), n_jobs=2), shape=(8, 8))
    """
    count = "print(len(compilations.buffer))"
    cold, warm = (int(run(COUNT, code, count, NUMBA_CACHE_DIR=str(tmp_path))) for code in (warmup, USE))
    assert cold > 0
    assert warm == 0


def test_code_is_compiled_anew_after_a_file_of_a_room_has_changed(tmp_path):
    """Numba compares only the file of a function, although functions of other files are compiled into it."""
    package = Path(sklearn_ckn.__file__).parent
    copy = shutil.copytree(package, tmp_path / "tree" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    code = """
        import numpy as np
        from sklearn_ckn._core.layer import patches
        patches.take_roots(np.ones(3), np.ones(3))
        print(len(compilations.buffer))
    """

    def n_compiled():
        return int(run(COUNT, code, folder=copy.parent, NUMBA_CACHE_DIR=str(tmp_path / "cache")))

    assert n_compiled() > 0
    assert n_compiled() == 0
    with open(copy / "_core" / "exact" / "gram.py", "a") as file:  # the function's own file stays as it is
        file.write("\n# a change\n")
    assert n_compiled() > 0


def test_the_stamp_of_compiled_code_covers_every_file_of_the_core(tmp_path):
    copy = shutil.copytree(compilation.CORE, tmp_path / "_core", ignore=shutil.ignore_patterns("__pycache__"))
    assert compilation.stamp_of(copy) == compilation.stamp_of(compilation.CORE)
    stamps, paths = {compilation.stamp_of(copy)}, sorted(copy.rglob("*.py"))
    assert len({path.parent for path in paths}) > 5
    for path in paths:
        path.write_text(path.read_text() + "\n# a change\n")
        stamps.add(compilation.stamp_of(copy))
    paths[0].rename(paths[0].with_name("renamed.py"))
    stamps.add(compilation.stamp_of(copy))
    assert len(stamps) == len(paths) + 2


def test_cache_can_be_switched_off(tmp_path, checksum):
    assert run(USE_LESS, "print(checksum)", NUMBA_CACHE_DIR=str(tmp_path), SKLEARN_CKN_CACHE="0") == checksum
    assert not any(tmp_path.iterdir())


def test_works_where_no_cache_folder_is_writable(checksum):
    refuse = """
        from numba.core.caching import _CacheLocator
        def ensure_cache_path(self):
            raise PermissionError("read-only")
        _CacheLocator.ensure_cache_path = ensure_cache_path
    """
    assert run(refuse, USE_LESS, "print(checksum)") == checksum


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_threads_serve_a_forked_process_too():
    code = """
        import os, signal
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if float(feature_map.transform(X).sum()) == checksum else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(USE, code).strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_forked_meanwhile_has_its_own_blas_threads():
    code = """
        import os, signal
        from threadpoolctl import threadpool_info
        from sklearn_ckn._core.runtime.threads import single_threaded_blas
        def threads():
            return [pool["num_threads"] for pool in threadpool_info()]
        before = threads()
        with single_threaded_blas():
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                as_before = threads() == before
                with single_threaded_blas():
                    limited = all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
                os._exit(0 if as_before and limited and threads() == before else 1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(threads() == before)
    """
    assert run(USE, code).split() == ["0", "True"]


TARGETS = {  # what the compiler is told of the processor: registers of 128 and of 256 bits
    16: {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
    32: {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+sse4.1,+avx,+avx2,+fma"},
}
TWO_WAYS = """
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
def test_results_do_not_depend_on_the_width_of_the_registers(tmp_path):
    """Of a layer by direct products and one by Winograd's, on this processor and as on older ones."""
    found, path = {}, str(tmp_path / "found.npz")
    for register_bytes, target in {0: {}, **TARGETS}.items():
        if register_bytes < simd.REGISTER_BYTES:
            run(f"import sys; sys.argv = ['', {path!r}]", TWO_WAYS, **target)
            with np.load(path) as arrays:
                assert arrays["register_bytes"] == register_bytes or not target
                found[register_bytes] = arrays["features"]
    for features in found.values():
        assert np.linalg.norm(features - found[0]) <= 2e-5 * np.linalg.norm(features)


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
        from sklearn_ckn._core.network import forward
        def fail(maps, network):
            raise ValueError("in a worker")
        forward.encode_network = fail
        try:
            feature_map.transform(X)
        except ValueError as error:
            print("error")
        print(before == [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()])
    """
    assert run(USE, code).split() == ["error", "True"]


def test_warmup_without_a_folder_tells_so():
    warm = """
        import warnings, sklearn_ckn
        with warnings.catch_warnings(record=True) as caught:
            sklearn_ckn.warmup(sklearn_ckn.Flatten(), shape=(8, 8))
        print(caught[0].message)
        sklearn_ckn.show_versions()
    """
    told = run(warm, SKLEARN_CKN_CACHE="0")
    assert "set the environment variable NUMBA_CACHE_DIR" in told and "compiled code: kept in memory only" in told


def test_versions_are_shown(tmp_path):
    told = run("import sklearn_ckn; sklearn_ckn.show_versions()", NUMBA_CACHE_DIR=str(tmp_path))
    for name in ("sklearn_ckn: 0", "numba: 0", "processor: ", "openblas", f"compiled code: {tmp_path}"):
        assert name in told
