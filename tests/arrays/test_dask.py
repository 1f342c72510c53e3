"""Dask arrays, on threads and on two worker processes: results are lazy, and equal those of arrays in memory."""

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from out_of_core import feature_map, images, layer
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, LinearClassifier, PatchWhitening
from sklearn_ckn._arrays import dask as blocks
from sklearn_ckn._utils.n_jobs import effective_n_jobs
from sklearn_ckn.preprocessing import ChannelScaler, GradientMap

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

X = images(300)
CHUNKS = (70, 5, 8, 1)  # The axes of space and channels are divided, too.

TRANSFORMERS = {
    "layer": layer(sigma="auto"),
    "feature map": feature_map(),
    "feature map, flips, threads": feature_map(symmetries="flip", n_jobs=2),
    "whitening": PatchWhitening(),
    "gradient map": GradientMap(),
    "gradients": GradientMap(None),
    "channel scaler": ChannelScaler(),
    "global whitening": PatchWhitening(method="global", subsample=100, random_state=0),
}


def lazy(array=X, chunks=CHUNKS):
    """Return a Dask array with the values of an array in memory."""
    return da.from_array(array, chunks=chunks[: array.ndim])


@pytest.fixture(scope="module")
def client():
    """Start a cluster of two worker processes, which communicate over TCP."""
    settings = {"distributed.worker.daemon": False, "distributed.comm.timeouts.connect": "10s"}
    with dask.config.set(settings):
        where = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": ":0"}
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **where)
        with cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client


@pytest.fixture(params=["threads", "two processes"])
def scheduler(request):
    """Run a test with each scheduler: threads, and the cluster."""
    if request.param == "threads":
        with dask.config.set(scheduler="threads"):
            yield
    else:
        with request.getfixturevalue("client").as_current():
            yield


def no_work(tasks, keys, **options):
    """Stand in for a scheduler in places where nothing may be computed."""
    raise AssertionError("something is computed")


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_results_equal_those_of_arrays_in_memory(transformer, scheduler):
    expected = transformer.fit(X).transform(X)
    fitted = transformer.fit(lazy())
    with dask.config.set(scheduler=no_work):
        result = fitted.transform(lazy())
    assert isinstance(result, da.Array) and result.shape == expected.shape and result.dtype == expected.dtype
    assert result.chunks[0] == (70, 70, 70, 70, 20) and all(len(sizes) == 1 for sizes in result.chunks[1:])
    found = result.compute()
    if transformer is TRANSFORMERS["global whitening"]:  # The sums are over other blocks.
        assert np.linalg.norm(found - expected) <= 1e-6 * np.linalg.norm(expected)
    else:
        assert_array_equal(found, expected)


def test_pipelines_of_transformers_stay_lazy(scheduler):
    steps = PatchWhitening(), feature_map()
    expected = make_pipeline(*steps).fit_transform(X)
    result = make_pipeline(*steps).fit_transform(lazy())
    assert isinstance(result, da.Array)
    assert_array_equal(result.compute(), expected)
    classifier = make_pipeline(*steps, LinearClassifier()).fit(lazy(), np.arange(300) % 3)  # It needs the features.
    assert classifier.predict(lazy()).shape == (300,)


def test_blocks_without_signals_are_accepted(scheduler):
    some = lazy(X[:90])[da.from_array(np.arange(90) < 70, chunks=70)].compute_chunk_sizes()
    assert some.chunks[0] == (70, 0)
    fitted = feature_map().fit(some)
    assert_array_equal(fitted.transform(some).compute(), feature_map().fit(X[:70]).transform(X[:70]))
    assert_array_equal(CKNKernel(layer())(some).compute(), CKNKernel(layer())(X[:70]))


def test_flattened_signals_and_integers_are_accepted(scheduler):
    integers = (255 * X).astype(np.uint8)
    expected = layer().fit(integers).transform(integers)
    rows = lazy(integers.reshape(300, -1), (70, 50))
    fitted = layer(input_shape=(9, 8, 2)).fit(rows)
    assert_array_equal(fitted.transform(rows).compute(), expected)


def arrays_in(results):
    """Return all arrays in nested lists or tuples."""
    if isinstance(results, np.ndarray):
        return [results]
    return [x for each in results if each is not None for x in arrays_in(each)]


def test_fit_transfers_only_the_patches_from_the_blocks_that_they_are_drawn_from():
    transferred, n_patches = [], 16 * 8

    def account(graph, keys, **options):
        results = dask.threaded.get(graph, keys, **options)
        transferred.extend(arrays_in(results))
        return results

    network = make_pipeline(layer(n_patches=n_patches), layer(n_patches=n_patches))
    with dask.config.set(scheduler=account):
        CKNFeatureMap(network).fit(lazy(chunks=(10, 9, 8, 2)))
    assert sum(array.size for array in transferred) == n_patches * (18 + 72)
    assert len(transferred) <= 2 * 8  # At most 8 of 30 blocks are read for each layer.


@pytest.mark.parametrize("parameters", [{}, {"normalize": True}, {"tangent": True, "symmetries": "flip"}], ids=str)
def test_kernel_is_an_array_of_blocks(parameters, scheduler):
    kernel = CKNKernel(layer(), **parameters)
    expected, other = kernel(X[:150]), kernel(X[:150], X[200:])
    with dask.config.set(scheduler=no_work):
        whole, part = kernel(lazy(X[:150])), kernel(lazy(X[:150]), lazy(X[200:]))
    assert whole.chunks == ((70, 70, 10), (70, 70, 10)) and part.chunks == ((70, 70, 10), (70, 30))
    assert_array_equal(whole.compute(), expected)
    assert_array_equal(part.compute(), other)


def test_pairs_of_blocks_are_computed_once(monkeypatch):
    pairs, compute = [], blocks.kernel_block
    monkeypatch.setattr(blocks, "kernel_block", lambda kernel, x, y: pairs.append(y is None) or compute(kernel, x, y))
    with dask.config.set(scheduler="threads"):
        CKNKernel(layer())(lazy(X[:150])).compute()
    assert sorted(pairs) == [False] * 3 + [True] * 3  # There are three blocks.


def test_a_classifier_reads_blocks_in_sequence():
    classifier = CKNClassifier(layer(), max_iter=0, random_state=0).fit(X[:100], np.arange(100) % 3)
    assert_array_equal(classifier.decision_function(lazy()), classifier.decision_function(X))


def test_grid_search_on_the_workers(client):
    y = np.arange(60) % 2
    shifted = X[:60] + y[:, None, None, None]
    pipeline = make_pipeline(feature_map(), LinearClassifier())
    grid = {"cknfeaturemap__network__cknlayer-1__patch_size": [1, 3], "linearclassifier__C": [0.1, 10]}
    expected = GridSearchCV(pipeline, grid, cv=2).fit(shifted, y)
    with client.as_current(), joblib.parallel_config(backend="dask"):
        found = GridSearchCV(pipeline, grid, cv=2).fit(shifted, y)
    assert_array_equal(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_array_equal(found.predict(shifted), expected.predict(shifted))


def test_tasks_of_a_search_do_not_start_the_threads_of_the_whole_cluster(client):
    class Threads(BaseEstimator):  # It is local, because workers cannot import the tests.
        """An estimator whose score is the number of its threads."""

        def __init__(self, n_jobs=None):
            self.n_jobs = n_jobs

        def fit(self, X, y=None):
            return self

        def score(self, X, y=None):
            return effective_n_jobs(self.n_jobs)

    with client.as_current(), joblib.parallel_config(backend="dask"):
        assert joblib.effective_n_jobs(None) == 2  # The threads of the cluster are counted.
        assert effective_n_jobs(None) == 1 and effective_n_jobs(3) == 3
        search = GridSearchCV(Threads(), {"n_jobs": [None, 1, 3]}, cv=2).fit(X[:20])
    assert_array_equal(search.cv_results_["mean_test_score"], [1, 1, 3])


def test_workers_use_the_configuration_of_the_caller(scheduler):
    broken = X.copy()
    broken[100] = np.nan
    fitted = feature_map().fit(X)
    with config_context(assume_finite=True):
        result = fitted.transform(lazy(broken))
    assert result.compute().shape == (300, 40)


def test_estimators_are_sent_without_their_reservoir():
    streamed = layer().partial_fit(X)
    assert len(pickle.dumps(blocks.in_one_thread(streamed))) < 10_000 < len(pickle.dumps(streamed))
    assert streamed._reservoir is not None


def test_a_killed_worker_does_not_change_the_results(client, tmp_path):
    def slowly(block, folder):
        (folder / str(time.perf_counter_ns())).touch()
        time.sleep(0.2)
        return block

    fitted = feature_map().fit(X)
    slow = lazy(chunks=(15, 9, 8, 2)).map_blocks(slowly, tmp_path, dtype=X.dtype, meta=X[:0])
    pids = client.run(os.getpid)
    features = client.compute(fitted.transform(slow))
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 5 and time.monotonic() < deadline:  # There are 20 blocks.
        time.sleep(0.01)
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    assert not features.done()
    assert_array_equal(features.result(timeout=60), fitted.transform(X))
    assert len(list(tmp_path.iterdir())) > 20  # The blocks of the killed worker were computed again.
    client.wait_for_workers(2, timeout=60)
    assert set(client.run(os.getpid).values()) != set(pids.values())


def test_a_lost_scheduler_raises_an_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, where = f"tcp://127.0.0.1:{port}", ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *where]
    scheduler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with distributed.Client(address, timeout=30) as client:
            client._timeout = 2  # Seconds for which the client tries to reconnect.
            scheduler.kill()
            scheduler.wait()
            new = layer()
            with pytest.raises(Exception, match=r"cancelled|[Cc]losed|lost") as caught:
                new.fit(lazy())
            note = "The error occurred while Dask drew patches of 125 signals in 5 blocks."
            assert caught.value.__notes__ == [note]
            assert not hasattr(new, "filters_")
    finally:
        scheduler.kill()


# Errors


def test_blocks_that_contradict_the_metadata_are_refused(scheduler):
    fitted = feature_map().fit(X)
    whole = lazy(chunks=(75, 9, 8, 2))
    short = whole.map_blocks(lambda block: block[:-1], dtype=X.dtype, meta=X[:0])
    narrow = whole.map_blocks(lambda block: block[:, :, :-1], dtype=X.dtype, meta=X[:0])
    other = whole.map_blocks(lambda block: block.astype(float), dtype=X.dtype, meta=X[:0])
    message = "The block has shape {} and dtype {}, but the Dask metadata specify shape (75, 9, 8, 2) and dtype float32"
    for wrong, found in (
        (short, ((74, 9, 8, 2), "float32")),
        (narrow, ((75, 9, 7, 2), "float32")),
        (other, ((75, 9, 8, 2), "float64")),
    ):
        for do in (
            lambda X: feature_map().fit(X),
            lambda X: fitted.transform(X).compute(),
            lambda X: CKNKernel(layer())(X[:75]).compute(),
        ):
            with pytest.raises(ValueError, match=re.escape(message.format(*found))):
                do(wrong)


def test_invalid_values_are_refused(scheduler):
    broken = X.copy()
    broken[100] = np.nan
    fitted = feature_map().fit(X)
    with pytest.raises(ValueError, match=r"NaN(.|\n)*in signals 70 to 139 of a Dask array"):
        fitted.transform(lazy(broken)).compute()
    with pytest.raises(ValueError, match=r"X\[70:140\] contains NaN in 1 of 70 signals, first in X\[100\]"):
        feature_map().fit(lazy(broken))


def test_fit_warns_of_signals_that_underflow(scheduler):
    small = X.copy()
    small[100] *= np.float32(1e-30)
    with pytest.warns(UserWarning, match=r"^X\[100\] has values up to .* in magnitude"):
        feature_map().fit(lazy(small))


def test_masked_values_are_refused(scheduler):
    hidden = np.ma.array(X, copy=True)
    hidden[100, 1, 1, 1] = np.ma.masked
    fitted, classifier = feature_map().fit(X), CKNClassifier(layer(), max_iter=0).fit(X[:60], np.arange(60) % 2)
    broken, complete = (da.from_array(array, chunks=(70, 9, 8, 2), asarray=False) for array in (hidden, np.ma.array(X)))
    for do in (
        layer(n_patches=16 * 300).fit,
        lambda X: fitted.transform(X).compute(),
        lambda X: CKNKernel(layer(sigma=0.5))(X).compute(),
        classifier.predict,
        lambda X: CKNClassifier(layer(), max_iter=0).fit(X, np.arange(300) % 2),
    ):
        with pytest.raises(ValueError, match="has masked values"):
            do(broken)
    assert_array_equal(fitted.transform(complete).compute(), fitted.transform(X))


def test_invalid_calls_are_refused_before_anything_is_computed():
    fitted, unknown = feature_map().fit(X), lazy()[lazy()[:, 0, 0, 0] > 0.5]
    with dask.config.set(scheduler=no_work):
        with pytest.raises(
            ValueError, match=r"X has an unknown shape, \(nan, 9, 8, 2\): call X.compute_chunk_sizes\(\)"
        ):
            fitted.transform(unknown)
        with pytest.raises(ValueError, match=r"out must be None for a Dask array"):
            fitted.transform(lazy(), out=np.empty((300, 90), np.float32))
        with pytest.raises(ValueError, match=r"has signals of shape \(9, 7, 2\)"):
            fitted.transform(lazy()[:, :, :-1])
        with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\) returns tables"):
            feature_map().set_output(transform="pandas").fit(X).transform(lazy())
        kernel = CKNKernel(layer())
        with pytest.raises(ValueError, match=r"eval_gradient=True needs arrays in memory"):
            kernel(lazy(), eval_gradient=True)
        for pair in ((lazy(), X), (X, lazy())):
            with pytest.raises(ValueError, match=r"X and Y must both be Dask arrays, or both be in memory"):
                kernel(*pair)
        with pytest.raises(
            ValueError, match=r"their numbers of channels and, unless .*, their spatial shapes must be the same"
        ):
            kernel(lazy(), lazy()[:, :, :-1])
