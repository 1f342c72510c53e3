"""Threads over blocks, and the limit on the threads of BLAS."""

import threading

import pytest

from sklearn_ckn._core.runtime import threads


def test_number_of_blas_threads_is_restored_after_nested_use_and_errors():
    from threadpoolctl import threadpool_info

    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

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


def test_blocks_run_with_one_blas_thread():
    from threadpoolctl import threadpool_info

    def blas_threads(block):
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    for n_threads in (1, 2):
        assert threads.over_blocks(blas_threads, threads.slices(2, 1), n_threads) == [[1] * len(blas_threads(0))] * 2


def test_blocks_run_at_the_same_time():
    barrier = threading.Barrier(2, timeout=20)  # passed only by two threads together
    threads.over_blocks(lambda block: barrier.wait(), threads.slices(6, 1), n_threads=2)
