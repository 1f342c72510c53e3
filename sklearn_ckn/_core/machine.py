"""How the arithmetic is run: functions compiled once, threads over blocks, BLAS held to one thread inside."""

import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from numba import njit
from numba.core.caching import IndexDataCacheFile
from threadpoolctl import ThreadpoolController  # scikit-learn requires it

CACHE_SWITCH = "SKLEARN_CKN_CACHE"  # environment variable: "0" keeps compiled code in memory only

_SOURCE = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


def compiled(function, *reorder, **more):
    """Compile ``function`` at its first call, without the GIL, and keep the machine code on disk if a folder allows."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "ninf", "nsz", *reorder}, **more}
    if os.environ.get(CACHE_SWITCH) != "0":
        try:
            dispatcher = njit(cache=True, **options)(function)
            cache, name = dispatcher._cache, f"{dispatcher._cache._impl.filename_base}-{_SOURCE[:12]}"
            # Numba compares the function's own file only, but functions of other files are compiled into it; and it
            # fails to read what another version of the package has left, so the version is in the name
            cache._cache_file = IndexDataCacheFile(cache._cache_path, name, _SOURCE)
            return dispatcher
        except (RuntimeError, AttributeError, TypeError):  # no folder is writable; or Numba's cache is another one
            pass
    return njit(**options)(function)


def cache_folder(function):
    """Where the machine code of a compiled function is kept; None if it is in memory only."""
    return getattr(getattr(function, "_cache", None), "_cache_path", None)


def compiled_loops(function):
    """The same, for loops that make no arrays: references to those given are not counted, which took half the time."""
    return compiled(function, _nrt=False)


def compiled_sums(function):
    """The same; sums may be taken in any order, and so by vectors."""
    return compiled(function, "reassoc")


class _SingleThreadedBlas:
    """Holds BLAS to one thread while anyone needs it; the last to leave restores what the first one found.

    ``threadpoolctl`` sets limits for the whole process, so overlapping callers would restore each other's limits.
    """

    def __init__(self):
        self.lock, self.n_users, self.limiter = Lock(), 0, None

    @functools.cached_property
    def controller(self):
        return ThreadpoolController()

    @contextmanager
    def __call__(self):
        with self.lock:
            if self.n_users == 0:
                self.limiter = self.controller.limit(limits=1, user_api="blas")
            self.n_users += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_users -= 1
                if self.n_users == 0:
                    self.limiter.restore_original_limits()

    def forget_users(self):
        """In a forked process nobody is left who would leave."""
        if self.n_users:
            self.limiter.restore_original_limits()
        self.lock, self.n_users = Lock(), 0


single_threaded_blas = _SingleThreadedBlas()


def slices(n, size):
    """Cut ``range(n)`` into slices of ``size``, the last one shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@functools.cache
def _pool(n_threads):
    """Threads that stay: new ones would take some milliseconds to find a processor of their own."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="sklearn_ckn")


if hasattr(os, "register_at_fork"):  # threads do not survive in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=single_threaded_blas.forget_users)


def over_blocks(function, blocks, n_threads=1):
    """Call ``function(block)`` for every block, in threads; the results come in the order of the blocks.

    The function must not call `over_blocks` itself. Callers at the same time share the threads.
    """
    with single_threaded_blas():
        if min(n_threads, len(blocks)) <= 1:
            return [function(block) for block in blocks]
        futures = [_pool(n_threads).submit(function, block) for block in blocks]
        try:
            return [future.result() for future in futures]
        finally:  # after an error too: nothing works on when BLAS has its threads again
            for future in futures:
                future.cancel()
            wait(futures)
