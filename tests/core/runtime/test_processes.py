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
                n_users = len(single_threaded_blas.users)
                limited = all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
            after = [pool["num_threads"] for pool in threadpool_info()]
            os._exit(0 if n_users == 1 and limited and after == before else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(FIT_FEATURE_MAP, code).split() == ["0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_forked_while_another_thread_enters_the_limit_has_all_blas_threads():
    code = """
        import os, signal, threading, time
        import numpy, scipy.linalg
        from threadpoolctl import ThreadpoolController, threadpool_info
        from sklearn_ckn._core.runtime.threads import single_threaded_blas
        begun = threading.Event()
        def slow(function):
            def slowly(library, number):
                function(library, number)
                begun.set()
                time.sleep(0.1)
            return slowly
        for controller in {type(library) for library in ThreadpoolController().lib_controllers}:
            controller.set_num_threads = slow(controller.set_num_threads)
        def threads():
            return [pool["num_threads"] for pool in threadpool_info()]
        def enter():
            with single_threaded_blas():
                time.sleep(0.2)
        before, thread = threads(), threading.Thread(target=enter)
        thread.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if threads() == before else 1)
        thread.join()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), threads() == before)
    """
    assert run(code).split() == ["0", "True"]


def test_every_thread_can_limit_blas_and_leaves_control_to_others():
    """In threadpoolctl 3.8, the first thread that limits OpenBLAS prevents all others from doing so."""
    code = """
        from concurrent.futures import ThreadPoolExecutor
        import numpy, scipy.linalg
        from threadpoolctl import threadpool_info, threadpool_limits
        from sklearn_ckn._core.runtime.threads import over_blocks
        def threads(*block):
            return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        def limited():
            with threadpool_limits(1, user_api="blas"):
                return [threads()]
        before = threads()
        for n_threads in (1, 2):
            print(over_blocks(threads, range(3), n_threads), threads() == before)
            with ThreadPoolExecutor(1) as another_thread:
                print(another_thread.submit(over_blocks, threads, range(3), n_threads).result(), threads() == before)
                print(another_thread.submit(limited).result() * 3, threads() == before)
    """
    assert run(code).splitlines() == [f"{[{1}] * 3} True"] * 6


def test_every_estimator_computes_the_same_in_another_thread():
    code = """
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np
        from sklearn.pipeline import make_pipeline
        from threadpoolctl import threadpool_info
        from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, CKNRegressor
        from sklearn_ckn import LinearClassifier, LinearRegressor, PatchWhitening
        rng = np.random.RandomState(0)
        X, y, F, t = rng.rand(60, 9, 9, 3), np.arange(60) % 2, rng.rand(300, 900), np.arange(300) % 2
        def layer(n_filters, **options):
            return CKNLayer(n_filters, n_patches=2000, max_iter=3, random_state=0, **options)
        def results():
            yield layer(256, init="random").fit_transform(X)
            yield CKNFeatureMap(make_pipeline(layer(80), layer(8, patch_centering=True))).fit_transform(X)
            yield PatchWhitening().fit_transform(X)
            yield PatchWhitening(method="global").fit_transform(X)
            yield LinearClassifier().fit(F, t).coef_
            yield LinearRegressor().fit(F, t).coef_
            yield CKNClassifier(layer(8), max_iter=1, random_state=0).fit(X, y).decision_function(X)
            yield CKNRegressor(layer(8), max_iter=1, random_state=0).fit(X, y).predict(X)
            yield CKNKernel(layer(8, sigma=0.6))(X[:9])
        def all_bytes():
            return [np.ascontiguousarray(result).tobytes() for result in results()]
        def threads():
            return [pool["num_threads"] for pool in threadpool_info()]
        before, here = threads(), all_bytes()
        with ThreadPoolExecutor(1) as another_thread:
            there = another_thread.submit(all_bytes).result()
        print(*(a == b for a, b in zip(here, there)), threads() == before)
    """
    assert set(run(code).split()) == {"True"}


def test_an_error_in_a_thread_reaches_the_caller_and_changes_no_limit():
    code = """
        from threadpoolctl import threadpool_info
        before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
        from sklearn_ckn._core.network import forward
        def fail(maps, network, *group):
            raise ValueError("in a thread")
        forward.encode_network = fail
        try:
            feature_map.transform(X)
        except ValueError as error:
            print("error")
        print(before == [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()])
    """
    assert run(FIT_FEATURE_MAP, code).split() == ["error", "True"]
