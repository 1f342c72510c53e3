"""Compilation of functions by Numba, with the machine code kept on disk."""

import hashlib
import os
from pathlib import Path

from numba import njit
from numba.core.caching import IndexDataCacheFile

CACHE_SWITCH = "SKLEARN_CKN_CACHE"  # environment variable: "0" keeps compiled code in memory only
CORE = Path(__file__).parent.parent
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "ninf", "nsz"}}


def stamp_of(folder):
    """Return a hash of the names and contents of all Python files in a folder and its sub-folders."""
    stamp = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        stamp.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        stamp.update(path.read_bytes())
    return stamp.hexdigest()


_SOURCE = stamp_of(CORE)


def compiled(function, *reorder, **more):
    """Compile ``function`` at its first call, to run without the GIL, and keep its machine code on disk if possible."""
    options = {**OPTIONS, "fastmath": OPTIONS["fastmath"] | {*reorder}, **more}
    if os.environ.get(CACHE_SWITCH) != "0":
        try:
            dispatcher = njit(cache=True, **options)(function)
            cache, name = dispatcher._cache, f"{dispatcher._cache._impl.filename_base}-{_SOURCE[:12]}"
            # Numba checks only the file of the function itself for changes, although functions of other files are
            # compiled into it. Numba also fails to read the cache file of another version of the package, so the stamp
            # is part of the file name.
            cache._cache_file = IndexDataCacheFile(cache._cache_path, name, _SOURCE)
            return dispatcher
        except (RuntimeError, AttributeError, TypeError):  # No folder is writable, or Numba's cache API has changed.
            pass
    return njit(**options)(function)


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
