"""Compilation, and its cache: when code is compiled again, and what happens without a folder for it."""

import contextlib
import shutil
from collections import Counter
from pathlib import Path

import numba
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


def half(x):
    return x / 2


def double(x):
    return x * 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder for the code of functions that a test compiles."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(compilation.CACHE_SWITCH, raising=False)
    return tmp_path


def n_loaded(function, *numbers):
    """Compile a function as a new process would, check a result for each number, and count the code from the disk."""
    dispatcher = compilation.compiled(function)
    assert [dispatcher(x) for x in numbers] == [function(x) for x in numbers]
    return Counter(dispatcher.stats.cache_hits).total()


def files(folder):
    return sorted(folder.rglob("*.nbc"))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut to a half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut to a few bytes": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "without its last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "with a flipped bit": flip_a_bit,
    "replaced by text": lambda path: path.write_text("not code"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_code_is_compiled_again_if_its_file_is_damaged_or_missing(damage, folder):
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
    for path in files(folder):
        DAMAGES[damage](path)
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
    shutil.rmtree(folder)
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)


def test_code_of_another_signature_is_not_run(folder):
    n_loaded(half, 3.0, 3)
    assert n_loaded(half, 3.0, 3) == 2
    one, other = files(folder)
    content = one.read_bytes(), other.read_bytes()
    one.write_bytes(content[1])
    other.write_bytes(content[0])
    assert (n_loaded(half, 3.0, 3), n_loaded(half, 3.0, 3)) == (0, 2)


def test_code_of_another_processor_is_not_run(folder):
    """Processors may share a folder, each with files of its own."""
    codegen = type(compilation.compiled(half).targetctx.codegen())
    with pytest.MonkeyPatch.context() as another_machine:
        another_machine.setattr(codegen, "magic_tuple", lambda self: ("x86_64-unknown-linux-gnu", "another", ""))
        assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
        foreign = files(folder)
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
    (own,) = set(files(folder)) - {*foreign}
    shutil.copy(foreign[0], own)
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)


def replace_by_a_file(folder, stack):
    shutil.rmtree(folder)
    folder.touch()


def restrict_file_sizes(folder, stack):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("make_unwritable", [replace_by_a_file, restrict_file_sizes])
def test_code_that_cannot_be_stored_gives_one_warning(make_unwritable, folder, monkeypatch):
    monkeypatch.setattr(compilation.CodeCache, "has_warned", False)
    dispatchers = [compilation.compiled(half), compilation.compiled(double)]
    stored_in = compilation.cache_folder(dispatchers[0])
    with pytest.warns(UserWarning, match="cannot be stored") as caught, contextlib.ExitStack() as stack:
        make_unwritable(Path(stored_in), stack)
        assert [dispatcher(3.0) for dispatcher in dispatchers] == [1.5, 6.0]
    assert len(caught) == 1
    assert stored_in in str(caught[0].message) and "NUMBA_CACHE_DIR" in str(caught[0].message)
    assert not any(path.is_file() for path in Path(stored_in).rglob("*"))


def test_code_of_another_version_is_not_run(folder, monkeypatch):
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
    (own,) = files(folder)
    monkeypatch.setattr(numba, "__version__", "0.1")
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)
    (other,) = {*files(folder)} - {own}
    shutil.copy(own, other)
    assert (n_loaded(half, 3.0), n_loaded(half, 3.0)) == (0, 1)


def test_a_file_quota_changes_no_result(tmp_path, checksum):
    pytest.importorskip("resource")
    restrict = """
        import resource, warnings
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        messages = []
        warnings.showwarning = lambda message, *others, **more: messages.append(str(message))
    """
    printed = run(restrict, WHITEN_IMAGES, "print(checksum, *messages, sep='\\n')", NUMBA_CACHE_DIR=str(tmp_path))
    number, message = printed.splitlines()
    assert number == checksum.strip() and str(tmp_path) in message
