"""Threads that process blocks of signals or rows, while BLAS is limited to one thread."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController  # a dependency of scikit-learn


class _SingleThreadedBlas:
    """A context manager that limits BLAS to one thread; the last user to exit it restores the original limits.

    ``threadpoolctl`` sets limits for the whole process, so overlapping users would otherwise restore each other's
    limits.
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
                self.n_users = max(self.n_users - 1, 0)  # In a forked process, `forget_users` has reset the number.
                if self.n_users == 0:
                    self.limiter.restore_original_limits()

    def forget_users(self):
        """Restore the limits in a forked process, where the threads that would do so do not exist."""
        if self.n_users:
            self.limiter.restore_original_limits()
        self.lock, self.n_users = Lock(), 0


single_threaded_blas = _SingleThreadedBlas()


def slices(n, size):
    """Cut ``range(n)`` into slices of length ``size``; the last slice may be shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@functools.cache
def _pool(n_threads):
    """Return a pool of threads that stay alive: new threads would need a few milliseconds to find a free processor."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="sklearn_ckn")


if hasattr(os, "register_at_fork"):  # Threads do not survive in a forked process.
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=single_threaded_blas.forget_users)


def over_blocks(function, blocks, n_threads=1):
    """Call ``function(block)`` for every block, in threads, and return the results in the order of the blocks.

    Meanwhile, BLAS is limited to one thread. The function must not call `over_blocks` itself. Simultaneous callers
    share the threads.
    """
    with single_threaded_blas():
        if min(n_threads, len(blocks)) <= 1:
            return [function(block) for block in blocks]
        futures = [_pool(n_threads).submit(function, block) for block in blocks]
        try:
            return [future.result() for future in futures]
        finally:  # Even after an error, all blocks must end before the limit on BLAS is lifted.
            for future in futures:
                future.cancel()
            wait(futures)
