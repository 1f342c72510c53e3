"""Threads over blocks, and the limit on the threads of BLAS."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from sklearn_ckn._core.runtime import threads


@pytest.fixture
def blas_threads():
    """Set all BLAS libraries to 2 threads, and return a function that lists their current numbers of threads."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    for library in libraries:
        threads.set_number(library, 2)
    yield lambda: [library.num_threads for library in libraries]
    for library, number in zip(libraries, before):
        threads.set_number(library, number)


def test_number_of_blas_threads_is_restored_after_nested_use_and_errors(blas_threads):
    before = blas_threads()
    with threads.single_threaded_blas():
        assert set(blas_threads()) <= {1}
        with threads.single_threaded_blas():
            pass
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before
    with pytest.raises(ZeroDivisionError):
        threads.over_blocks(lambda block: 1 / 0, [slice(0, 1)] * 3, n_threads=2)
    assert blas_threads() == before


def test_blocks_run_with_one_blas_thread(blas_threads):
    for n_threads in (1, 2):
        found = threads.over_blocks(lambda block: blas_threads(), threads.slices(2, 1), n_threads)
        assert found == [[1] * len(blas_threads())] * 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_threads_handle_floating_point_errors_like_the_caller(n_threads):
    handling = {"over": "ignore", "invalid": "raise", "divide": "warn", "under": "ignore"}
    with np.errstate(**handling):
        found = threads.over_blocks(lambda block: np.geterr(), threads.slices(4, 1), n_threads)
    assert found == [handling] * 4


def test_threads_may_leave_the_limit_in_any_order(blas_threads):
    before = blas_threads()
    for order in itertools.permutations(range(3)):
        contexts = [threads.single_threaded_blas() for _ in range(3)]
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
            run = [
                lambda function: function(),
                *(lambda f, pool=pool: pool.submit(f).result() for pool in (one, another)),
            ]
            for call, context in zip(run, contexts):
                call(context.__enter__)
            for left in order:
                assert set(blas_threads()) <= {1}
                run[left](partial(contexts[left].__exit__, None, None, None))
        assert blas_threads() == before


def test_numbers_that_were_set_within_the_limit_are_kept():
    library = next(iter(ThreadpoolController().select(user_api="blas").lib_controllers), None)
    if library is None:
        pytest.skip("no BLAS library with a limit")
    before = library.num_threads
    try:
        with threads.single_threaded_blas():
            threads.set_number(library, 2)
        assert library.num_threads == 2
    finally:
        threads.set_number(library, before)


class LimitForEachThread(threading.local):
    """A BLAS library in which every thread has its own number of threads, such as MKL."""

    num_threads = 4

    def get_num_threads(self):
        return self.num_threads

    def set_num_threads(self, number):
        self.num_threads = number


def test_a_limit_for_each_thread_is_set_and_restored_in_each_thread(monkeypatch):
    library = LimitForEachThread()
    controller = SimpleNamespace(select=lambda user_api: SimpleNamespace(lib_controllers=[library]))
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: controller)
    monkeypatch.setattr(threads, "single_threaded_blas", threads._SingleThreadedBlas())
    barrier = threading.Barrier(2, timeout=20)

    def number(block):
        barrier.wait()
        return library.num_threads

    with threads.single_threaded_blas(), ThreadPoolExecutor(1) as another_thread:
        assert another_thread.submit(library.get_num_threads).result() == 4
        assert threads.over_blocks(number, range(2), n_threads=2) == [1, 1]
        assert another_thread.submit(threads.over_blocks, lambda block: library.num_threads, [0]).result() == [1]
        assert another_thread.submit(library.get_num_threads).result() == 4
        assert library.num_threads == 1
    assert library.num_threads == 4


def test_blocks_run_at_the_same_time():
    barrier = threading.Barrier(2, timeout=20)  # passed only by two threads together
    threads.over_blocks(lambda block: barrier.wait(), threads.slices(6, 1), n_threads=2)
