"""Stores (memmap, zarr, HDF5): they are read and written in pieces, and give the results of arrays in memory."""

import errno
import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from out_of_core import feature_map, images, layer
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, PatchWhitening

h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")

SMALL = {"working_memory": 1}  # MB; a piece takes a sixteenth of it, about a hundred of these images
CHUNK = 60  # number of images


class RecordingStore:
    """An array that supports only slices of rows, and records which slices are read."""

    def __init__(self, array, chunk=CHUNK):
        self.array, self.shape, self.dtype, self.chunks, self.read = array, array.shape, array.dtype, (chunk,), []

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.read.append((rows.start, rows.stop))
        return self.array[rows]

    def __setitem__(self, rows, values):
        self.array[rows] = values


def as_memmap(path, X):
    stored = np.memmap(path, mode="w+", dtype=X.dtype, shape=X.shape)
    stored[:] = X
    return stored


def as_zarr(path, X, **options):
    stored = zarr.open(str(path), mode="w", shape=X.shape, chunks=(CHUNK, *X.shape[1:]), dtype=X.dtype, **options)
    stored[:] = X
    return stored


def as_hdf5(path, X, chunks):
    return h5py.File(path, "w").create_dataset("X", data=X, chunks=chunks)


STORES = {
    "memmap": as_memmap,
    "zarr": as_zarr,
    "h5py": lambda path, X: as_hdf5(path, X, (CHUNK, *X.shape[1:])),
    "h5py without chunks": lambda path, X: as_hdf5(path, X, None),
    "rows only": lambda path, X: RecordingStore(X),
}
every_store = pytest.mark.parametrize("store", [pytest.param(make, id=name) for name, make in STORES.items()])


@pytest.fixture(scope="module")
def X():
    return images(500)


@pytest.fixture(scope="module")
def features(X):
    return feature_map().fit_transform(X)


@every_store
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_from_a_store_equal_those_from_memory(store, n_jobs, X, features, tmp_path):
    stored = store(tmp_path / "X", X)
    with config_context(**SMALL):
        fitted = feature_map(n_jobs=n_jobs).fit(stored)
        assert_array_equal(fitted.transform(stored), features)


@every_store
def test_results_are_written_to_a_store(store, X, features, tmp_path):
    out = store(tmp_path / "out", np.full_like(features, np.nan))
    with config_context(**SMALL):
        assert feature_map().fit(X).transform(X, out=out) is out
    assert_array_equal(out[:500], features)


def test_chunks_are_read_once_and_written_whole(X, features):
    stored, written = RecordingStore(X), []

    class Out:
        shape, dtype, chunks = features.shape, features.dtype, (2 * CHUNK,)

        def __getitem__(self, rows):
            raise AssertionError

        def __setitem__(self, rows, values):
            written.append((rows.start, rows.stop))

    fitted = feature_map().fit(X)
    with config_context(**SMALL):
        fitted.transform(stored)
        assert stored.read == [(start, min(start + CHUNK, 500)) for start in range(0, 500, CHUNK)]
        fitted.transform(stored, out=Out())
    assert written == [(start, min(start + 2 * CHUNK, 500)) for start in range(0, 500, 2 * CHUNK)]


def test_fit_reads_chunks_once_and_only_those_that_it_needs():
    X = images(2000)
    stored = RecordingStore(X)
    with config_context(**SMALL):
        filters = layer(n_patches=16 * 50).fit(stored).filters_
    chunks = [start // CHUNK for start, _ in stored.read]
    assert all((stop - 1) // CHUNK == start // CHUNK for start, stop in stored.read)
    assert len(set(chunks)) <= len(chunks) <= len(set(chunks)) + 1  # A piece may end within a chunk.
    assert_array_equal(filters, layer(n_patches=16 * 50).fit(X).filters_)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_stores_of_any_dtype_give_the_results_of_arrays(dtype, X, tmp_path):
    converted = (255 * X[:120]).astype(dtype)
    stored = as_zarr(tmp_path / "X", converted)
    expected = layer().fit(converted).transform(converted)
    maps = layer().fit(stored).transform(stored)
    assert maps.dtype == ("float64" if dtype == "float64" else "float32")
    assert_array_equal(maps, expected)


@pytest.mark.parametrize("method", ["local", "global"])
def test_whitening_reads_and_writes_stores(method, X, tmp_path):
    stored, out = as_zarr(tmp_path / "X", X), as_zarr(tmp_path / "out", np.zeros_like(X))
    whitening = PatchWhitening(method=method, subsample=100, random_state=0)
    expected = whitening.fit_transform(X)
    with config_context(**SMALL):
        whitening.fit(stored).transform(stored, out=out)
    assert np.linalg.norm(out[:] - expected) <= 1e-6 * np.linalg.norm(expected)  # The sums are over other pieces.


def test_rows_of_a_store_may_be_flattened_signals(X, features, tmp_path):
    stored = as_zarr(tmp_path / "X", X.reshape(500, -1))
    network = make_pipeline(layer(input_shape=(9, 8, 2)), layer(10, pooling_width=3))
    assert_array_equal(CKNFeatureMap(network, scale=True).fit(stored).transform(stored), features)


def test_a_classifier_predicts_from_a_store(X, tmp_path):
    classifier = CKNClassifier(layer(), max_iter=0, random_state=0).fit(X[:100], np.arange(100) % 3)
    assert_array_equal(classifier.decision_function(as_zarr(tmp_path / "X", X)), classifier.decision_function(X))


# Errors


def test_errors_of_invalid_values_state_the_rows(X, features, tmp_path):
    fitted, broken, out = feature_map().fit(X), X.copy(), np.empty_like(features)
    broken[400] = np.nan
    with config_context(**SMALL), pytest.raises(ValueError, match=r"Input X\[360:420\] contains NaN") as caught:
        fitted.transform(as_zarr(tmp_path / "X", broken), out=out)
    assert caught.value.__notes__ == ["out[:360] is finished. The rest is not."]
    assert_array_equal(out[:360], features[:360])
    broken[400] = 1e30
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[360:420\] has values up to 1e\+30"):
        fitted.transform(as_zarr(tmp_path / "X", broken))


def test_incomplete_stores_are_refused(X, tmp_path):
    fitted = feature_map().fit(X)
    short = RecordingStore(X[:250])
    short.shape = X.shape
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[240:300\] has shape \(10, .* is truncated"):
        fitted.transform(short)
    half = zarr.open(str(tmp_path / "half"), mode="w", shape=X.shape, chunks=(CHUNK, 9, 8, 2), dtype="float32")
    chunked = h5py.File(tmp_path / "half.h5", "w").create_dataset("X", X.shape, "float32", chunks=(CHUNK, 9, 8, 2))
    stores = [half, chunked]
    if hasattr(half, "shards"):
        sizes = {"chunks": (CHUNK // 3, 9, 4, 2), "shards": (CHUNK, 9, 8, 2)}
        stores.append(zarr.create_array(tmp_path / "sharded", shape=X.shape, dtype="float32", **sizes))
    for stored in stores:
        stored[:300] = X[:300]
        for do in (fitted.transform, lambda X: feature_map().fit(X)):
            with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[300:3.0\], a whole chunk, is 0.0"):
                do(stored)
    # An object without a fill value states that its zeros are intended.
    with config_context(**SMALL):
        assert_array_equal(fitted.transform(RecordingStore(half)), fitted.transform(half[:]))
    path = tmp_path / "memmap"
    mapped = as_memmap(path, X)
    os.truncate(path, 1000)
    with pytest.raises(ValueError, match=f"X is truncated: its file has 1000 bytes, but X extends to byte {X.nbytes}"):
        fitted.transform(mapped)


def test_black_corners_and_black_images_are_accepted(X, tmp_path):
    darkened = X.copy()
    darkened[:, :3, :3] = 0
    darkened[100:110] = 0
    stored = zarr.open(str(tmp_path / "X"), mode="w", shape=X.shape, chunks=(CHUNK, 3, 3, 2), dtype="float32")
    stored[:] = darkened
    with config_context(**SMALL):
        fitted = layer().fit(stored)
        assert_array_equal(fitted.transform(stored), layer().fit(darkened).transform(darkened))


def test_virtual_hdf5_datasets_are_read(X, features, tmp_path):
    layout = h5py.VirtualLayout(shape=X.shape, dtype="float32")
    for k in range(5):
        with h5py.File(tmp_path / f"{k}.h5", "w") as file:
            file["X"] = X[100 * k : 100 * (k + 1)]
        layout[100 * k : 100 * (k + 1)] = h5py.VirtualSource(tmp_path / f"{k}.h5", "X", shape=(100, 9, 8, 2))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        stored = file.create_virtual_dataset("X", layout)
        assert_array_equal(feature_map().fit(stored).transform(stored), features)


def test_errors_while_reading_state_the_rows(X):
    class Failing(RecordingStore):
        def __getitem__(self, rows):
            if rows.stop > 300:
                raise OSError("no more")
            return super().__getitem__(rows)

    fitted, new = feature_map().fit(X), feature_map()
    for do in (fitted.transform, new.fit):
        with config_context(**SMALL), pytest.raises(OSError, match="no more") as caught:
            do(Failing(X))
        assert caught.value.__notes__[0].startswith("The error occurred while reading X[")
    assert not hasattr(new, "network_")


def test_errors_while_writing_state_the_rows(X, features):
    class Full(RecordingStore):
        def __setitem__(self, rows, values):
            if rows.stop > 300:
                raise OSError("disk full")
            self.array[rows] = values

    out = Full(np.empty_like(features))
    with config_context(**SMALL), pytest.raises(OSError, match="disk full") as caught:
        feature_map().fit(X).transform(X, out=out)
    assert caught.value.__notes__[:2] == [
        "The error occurred while writing out[300:360].",
        "out[:300] is finished. The rest is not.",
    ]
    assert_array_equal(out.array[:300], features[:300])


@pytest.mark.parametrize("transformer", [layer(), feature_map(), PatchWhitening()], ids=lambda t: type(t).__name__)
def test_unsuitable_out_is_refused(transformer, X, tmp_path):
    shape = transformer.fit(X).transform(X[:5]).shape
    read_only = np.empty(shape, np.float32)
    read_only.setflags(write=False)
    as_zarr(tmp_path / "store", read_only)
    for out in (
        np.empty(shape),
        np.empty((4, *shape[1:]), np.float32),
        read_only,
        zarr.open(str(tmp_path / "store"), mode="r"),
        [0],
        RecordingStore(np.empty(shape)),
    ):
        with pytest.raises(
            ValueError, match=r"out must be a writeable array of dtype float32 and shape \(5, .* for this input; got"
        ):
            transformer.transform(X[:5], out=out)


def test_out_that_shares_memory_or_a_file_with_X_is_refused(X, tmp_path):
    whitening, mapped = PatchWhitening().fit(X), as_memmap(tmp_path / "X", X)
    again = np.memmap(tmp_path / "X", mode="r+", dtype=np.float32, shape=X.shape)
    stored = as_zarr(tmp_path / "store", X)
    for given, out in ((X[:-1], X[1:]), (X, X[::-1]), (mapped[:-1], again[1:]), (stored, stored)):
        with pytest.raises(ValueError, match="out must not share memory, or a file, with X"):
            whitening.transform(given, out=out)
    assert_array_equal(whitening.transform(mapped[:100], out=again[100:200]), whitening.transform(X[:100]))


def test_out_cannot_become_a_table(X, features):
    fitted = feature_map().fit(X).set_output(transform="pandas")
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\) returns tables"):
        fitted.transform(X, out=np.empty_like(features))


def test_stores_are_read_with_the_configuration_of_the_caller(X, tmp_path):
    broken = X.copy()
    broken[400] = np.nan
    stored = as_memmap(tmp_path / "X", broken)
    with config_context(assume_finite=True):
        assert layer().fit(X).transform(stored).shape == (500, 5, 4, 8)


def test_a_full_disk_under_a_memmap_raises_an_error(X, tmp_path, monkeypatch):
    def full(descriptor, start, size):
        asked.append((start, size))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    asked = []
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)  # Some systems have no such function.
    # The file has no place on the disk until it is written to.
    out = np.memmap(tmp_path / "out", mode="w+", dtype=np.float32, shape=X.shape)
    with pytest.raises(OSError, match=r"out needs 0.000288 GB of disk space: No space left on device: '.*out'"):
        PatchWhitening().fit(X).transform(X, out=out)
    with pytest.raises(OSError, match=r"out needs 5.76e-06 GB"):
        PatchWhitening().fit(X).transform(X[:10], out=np.asarray(out)[490:])  # This is a view of a part of the memmap.
    assert asked == [(0, X.nbytes), (490 * X[0].nbytes, 10 * X[0].nbytes)]
    # Changes of a copy-on-write memmap stay in memory.
    in_memory = np.memmap(tmp_path / "out", mode="c", dtype=np.float32, shape=X.shape)
    PatchWhitening().fit(X).transform(X, out=in_memory)
