"""Threads that process blocks of signals or rows, while BLAS is limited to one thread."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import RLock

import numpy as np
from threadpoolctl import ThreadpoolController


class _SingleThreadedBlas:
    """A context manager that limits BLAS calls of the calling thread to one thread, and then restores the limit.

    The limit of some libraries, such as OpenBLAS with its own threads, applies to the whole process. The first thread
    that enters the context sets the limit, and the last thread that exits restores the original number of threads.
    Other libraries, such as MKL, have a separate limit for every thread, so each thread that calls BLAS must enter the
    context.
    """

    def __init__(self):
        self.lock, self.users, self.numbers = RLock(), set(), []

    @functools.cached_property
    def libraries(self):
        """The BLAS libraries whose limit applies to the whole process, and those with a limit for each thread."""
        shared, separate = [], []
        with ThreadPoolExecutor(1) as another_thread:
            for library in ThreadpoolController().select(user_api="blas").lib_controllers:
                number = library.num_threads
                set_number(library, 1 if number > 1 else 2)
                is_shared = another_thread.submit(library.get_num_threads).result() == library.num_threads
                set_number(library, number)
                (shared if is_shared else separate).append(library)
        return shared, separate

    @contextmanager
    def __call__(self):
        user = object()
        with self.lock:
            shared, separate = self.libraries
            if not self.users:
                self.numbers = limit(shared)
            self.users.add(user)
        numbers = []
        try:
            numbers = limit(separate)
            yield
        finally:
            restore(numbers)
            with self.lock:
                if self.users == {user}:
                    restore(self.numbers)
                self.users.discard(user)  # In a forked process, `forget_users` has removed the user.

    def forget_users(self):
        """Restore the numbers in a forked process, where the threads that would restore them do not exist."""
        if self.users:
            restore(self.numbers)
        self.users.clear()


def limit(libraries):
    """Limit BLAS libraries to one thread, and return each library with its previous number of threads."""
    numbers = [(library, library.num_threads) for library in libraries]
    for library in libraries:
        set_number(library, 1)
    return numbers


def restore(numbers):
    """Restore the numbers of threads that `limit` returned, except those that were changed after `limit`."""
    for library, number in numbers:
        if library.num_threads == 1:
            set_number(library, number)


def set_number(library, number):
    """Set the number of threads of a BLAS library.

    In threadpoolctl 3.8, the first thread that sets a number keeps control of OpenBLAS, and calls from other threads
    have no effect. Therefore, control is released first, in case another thread has it, and again afterwards.
    """
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    library.set_num_threads(number)
    if release is not None:
        release(force=True)


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
    # No process is forked while another thread is entering or exiting the context.
    os.register_at_fork(
        before=single_threaded_blas.lock.acquire,
        after_in_parent=single_threaded_blas.lock.release,
        after_in_child=single_threaded_blas.lock.release,
    )
    os.register_at_fork(after_in_child=single_threaded_blas.forget_users)


def over_blocks(function, blocks, n_threads=1):
    """Call ``function(block)`` for every block, in threads, and return the results in the order of the blocks.

    Meanwhile, BLAS is limited to one thread. NumPy handles floating-point errors as it does in the calling thread. The
    function must not call `over_blocks` itself. Simultaneous callers share the threads.
    """
    handling = np.geterr()

    def call(block):
        with single_threaded_blas(), np.errstate(**handling):
            return function(block)

    with single_threaded_blas():
        if min(n_threads, len(blocks)) <= 1:
            return [function(block) for block in blocks]
        futures = [_pool(n_threads).submit(call, block) for block in blocks]
        try:
            return [future.result() for future in futures]
        finally:  # Even after an error, all blocks must end before the limit on BLAS is lifted.
            for future in futures:
                future.cancel()
            wait(futures)
