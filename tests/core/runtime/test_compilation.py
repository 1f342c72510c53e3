"""Compilation, and its cache: when code is compiled again, and what happens without a folder for it."""

import shutil
from pathlib import Path

import pytest
from fresh_process import RECORD_COMPILATIONS, run

import sklearn_ckn
from sklearn_ckn._core.runtime import compilation

WHITEN_IMAGES = """
    import numpy as np
    from sklearn_ckn import PatchWhitening
    X = np.random.RandomState(0).rand(20, 8, 8, 3).astype(np.float32)
    checksum = float(np.abs(PatchWhitening(n_jobs=2).fit_transform(X)).sum())
"""


@pytest.fixture(scope="module")
def checksum():
    """Compute the result with the cache of the tests."""
    return run(WHITEN_IMAGES, "print(checksum)")


def test_code_is_compiled_again_after_a_file_of_the_core_has_changed(tmp_path):
    """Numba itself compares only the file of a function, although functions of other files are compiled into it."""
    package = Path(sklearn_ckn.__file__).parent
    copy = shutil.copytree(package, tmp_path / "tree" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    code = """
        import numpy as np
        from sklearn_ckn._core.layer import patches
        patches.take_roots(np.ones(3), np.ones(3))
        print(len(compilations.buffer))
    """

    def n_compiled():
        return int(run(RECORD_COMPILATIONS, code, folder=copy.parent, NUMBA_CACHE_DIR=str(tmp_path / "cache")))

    assert n_compiled() > 0
    assert n_compiled() == 0
    with open(copy / "_core" / "exact" / "gram.py", "a") as file:  # The file of the function itself does not change.
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


def test_the_cache_can_be_switched_off(tmp_path, checksum):
    assert run(WHITEN_IMAGES, "print(checksum)", NUMBA_CACHE_DIR=str(tmp_path), SKLEARN_CKN_CACHE="0") == checksum
    assert not any(tmp_path.iterdir())


def test_results_are_the_same_if_no_cache_folder_is_writable(checksum):
    refuse = """
        from numba.core.caching import _CacheLocator
        def ensure_cache_path(self):
            raise PermissionError("read-only")
        _CacheLocator.ensure_cache_path = ensure_cache_path
    """
    report = """
        from sklearn_ckn._core.layer import patches
        from sklearn_ckn._core.runtime import compilation
        print(checksum, compilation.cache_folder(patches.read))
    """
    assert run(refuse, WHITEN_IMAGES, report) == f"{checksum.strip()} None\n"
