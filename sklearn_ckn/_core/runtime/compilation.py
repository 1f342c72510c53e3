"""Compilation of functions by Numba, with the machine code kept on disk."""

import hashlib
import os
import pickle
import uuid
import warnings
from contextlib import suppress
from pathlib import Path

import numba
from numba import njit
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

CACHE_SWITCH = "SKLEARN_CKN_CACHE"  # environment variable: "0" keeps compiled code in memory only
CORE = Path(__file__).parent.parent
CHECKSUM_BYTES = hashlib.sha256().digest_size
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "ninf", "nsz"}}


def stamp_of(folder):
    """Return a hash of the names and contents of all Python files in a folder and its sub-folders."""
    stamp = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        stamp.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        stamp.update(path.read_bytes())
    return stamp.hexdigest()


_SOURCE = stamp_of(CORE)


class CodeFiles:
    """The files with the machine code of a function, one file for each signature and processor.

    Numba's own files have no checksums, and processes may overwrite Numba's index at the same time, after which the
    code of another signature may run. Numba also checks only the file of the function itself for changes, although
    functions of other files are compiled into it. Here, a file is identified by everything on which its code depends:
    the version of Numba, the whole source of the core, and the key, which states the types of the arguments and the
    processor.
    """

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder), name

    def locate(self, key):
        """Return the identity of the code for a key, and the path of its file."""
        identity = numba.__version__, _SOURCE, key
        return identity, self.folder / f"{self.name}-{hashlib.sha256(repr(identity).encode()).hexdigest()[:24]}.nbc"

    def load(self, key):
        """Return the stored code, or None if its file is damaged or contains other code."""
        identity, path = self.locate(key)
        stored = path.read_bytes()
        checksum, content = stored[:CHECKSUM_BYTES], stored[CHECKSUM_BYTES:]
        if hashlib.sha256(content).digest() != checksum:
            return None
        found, code = pickle.loads(content)
        return code if found == identity else None

    def save(self, key, code):
        """Store code; the file appears under its name only after it has been written completely."""
        identity, path = self.locate(key)
        content = dumps((identity, code))
        partial = path.with_suffix(f".{uuid.uuid4().hex[:16]}")
        try:
            partial.write_bytes(hashlib.sha256(content).digest() + content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def flush(self):
        """Do nothing: files of code that is compiled again are replaced."""


class CodeCache(FunctionCache):
    """A cache of machine code on disk that never makes a call fail: code that cannot be loaded is compiled again."""

    has_warned = False

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = CodeFiles(self._cache_path, self._impl.filename_base)

    def load_overload(self, signature, target):
        """Return the stored code for a signature, or None if it cannot be loaded."""
        try:
            return super().load_overload(signature, target)
        except Exception:  # The file is missing or unreadable, or refers to something that no longer exists.
            return None

    def save_overload(self, signature, code):
        """Store code for a signature, and warn once per process if this is impossible."""
        try:
            super().save_overload(signature, code)
        except Exception as error:
            if not CodeCache.has_warned:
                CodeCache.has_warned = True
                warnings.warn(
                    f"Compiled code cannot be stored in {self._cache_path} ({error}), so every process compiles it "
                    "again. Make room in the folder and make it writable, or set the environment variable "
                    "NUMBA_CACHE_DIR to another folder.",
                    stacklevel=2,
                )


def compiled(function, *reorder, **more):
    """Compile ``function`` at its first call, to run without the GIL, and keep its machine code on disk if possible."""
    dispatcher = njit(**{**OPTIONS, "fastmath": OPTIONS["fastmath"] | {*reorder}, **more})(function)
    if os.environ.get(CACHE_SWITCH) != "0":
        with suppress(RuntimeError, AttributeError, TypeError):  # No folder is writable, or Numba's API has changed.
            dispatcher._cache = CodeCache(function)
    return dispatcher


def compiled_loops(function):
    """Compile loops that allocate no arrays and so need no reference counting; omitting it halves their run time."""
    return compiled(function, _nrt=False)


def inlined_loops(function):
    """Compile loops, which must allocate no arrays, into each of their callers; their types are inferred only once."""
    return njit(function, forceinline=True, _nrt=False, **OPTIONS)


def compiled_sums(function):
    """Compile sums whose terms may be added in any order, so that the sums can be vectorised."""
    return compiled(function, "reassoc")


def cache_folder(function):
    """Return the folder with the machine code of a compiled function, or None if it is kept in memory only."""
    return getattr(getattr(function, "_cache", None), "_cache_path", None)
