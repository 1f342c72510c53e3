"""Threads over blocks of signals or rows, with BLAS limited to one thread inside."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController  # a dependency of scikit-learn


class _SingleThreadedBlas:
    """A context that limits BLAS to one thread; the last user to leave restores the limits that the first one found.

    ``threadpoolctl`` sets limits for the whole process, so overlapping users would restore each other's limits.
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
                self.n_users = max(self.n_users - 1, 0)  # A forked process has forgotten its users.
                if self.n_users == 0:
                    self.limiter.restore_original_limits()

    def forget_users(self):
        """Restore the limits in a forked process, where the threads that would do so do not exist."""
        if self.n_users:
            self.limiter.restore_original_limits()
        self.lock, self.n_users = Lock(), 0


single_threaded_blas = _SingleThreadedBlas()


def slices(n, size):
    """Cut ``range(n)`` into slices of ``size``, the last one possibly shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@functools.cache
def _pool(n_threads):
    """Return threads that stay alive: new ones would take some milliseconds to find a free processor."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="sklearn_ckn")


if hasattr(os, "register_at_fork"):  # Threads do not survive in a forked process.
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=single_threaded_blas.forget_users)


def over_blocks(function, blocks, n_threads=1):
    """Call ``function(block)`` for every block, in threads, and return the results in the order of the blocks.

    BLAS runs with one thread meanwhile. The function must not call `over_blocks` itself. Simultaneous callers share
    the threads.
    """
    with single_threaded_blas():
        if min(n_threads, len(blocks)) <= 1:
            return [function(block) for block in blocks]
        futures = [_pool(n_threads).submit(function, block) for block in blocks]
        try:
            return [future.result() for future in futures]
        finally:  # After an error, too, no block may still run when BLAS gets its threads back.
            for future in futures:
                future.cancel()
            wait(futures)
