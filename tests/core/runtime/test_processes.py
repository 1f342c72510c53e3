"""Threads, and the limit on the threads of BLAS, in forked processes and after an error."""

import os

import pytest
from fresh_process import FIT_FEATURE_MAP, run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_threads_of_its_own():
    code = """
        import os, signal
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if float(feature_map.transform(X).sum()) == checksum else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(FIT_FEATURE_MAP, code).strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_forked_under_the_limit_restores_its_blas_threads():
    code = """
        import os, signal
        from threadpoolctl import threadpool_info
        from sklearn_ckn._core.runtime.threads import single_threaded_blas
        def threads():
            return [pool["num_threads"] for pool in threadpool_info()]
        before = threads()
        with single_threaded_blas():
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                as_before = threads() == before
                with single_threaded_blas():
                    limited = all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
                os._exit(0 if as_before and limited and threads() == before else 1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(threads() == before)
    """
    assert run(FIT_FEATURE_MAP, code).split() == ["0", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_forked_under_the_limit_can_leave_it_and_limit_blas_again():
    code = """
        import os, signal
        from threadpoolctl import threadpool_info
        from sklearn_ckn._core.runtime.threads import single_threaded_blas
        child = None
        with single_threaded_blas():
            child = os.fork()
        if child == 0:
            signal.alarm(60)
            before = [pool["num_threads"] for pool in threadpool_info()]
            with single_threaded_blas():
                n_users = single_threaded_blas.n_users
                limited = all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
            after = [pool["num_threads"] for pool in threadpool_info()]
            os._exit(0 if n_users == 1 and limited and after == before else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(FIT_FEATURE_MAP, code).split() == ["0"]


def test_an_error_in_a_thread_reaches_the_caller_and_changes_no_limit():
    code = """
        from threadpoolctl import threadpool_info
        before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
        from sklearn_ckn._core.network import forward
        def fail(maps, network):
            raise ValueError("in a thread")
        forward.encode_network = fail
        try:
            feature_map.transform(X)
        except ValueError as error:
            print("error")
        print(before == [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()])
    """
    assert run(FIT_FEATURE_MAP, code).split() == ["error", "True"]
