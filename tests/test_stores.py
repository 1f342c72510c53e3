"""Arrays outside of memory: read and written by parts, with the results of those in memory, or an error that tells."""

import errno
import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNLayer, PatchWhitening

h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")

SMALL = {"working_memory": 1}  # MB: pieces of 64 kB, a hundred of these images
CHUNK = 60


class Recorder:
    """An array that only knows slices of rows, and keeps account of them."""

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
    "rows only": lambda path, X: Recorder(X),
}
every_store = pytest.mark.parametrize("store", [pytest.param(make, id=name) for name, make in STORES.items()])


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).rand(500, 9, 8, 2).astype(np.float32)


def layer(n_filters=8, **parameters):
    return CKNLayer(n_filters, **{"n_patches": 2000, "max_iter": 5, "random_state": 0, **parameters})


def feature_map(**parameters):
    return CKNFeatureMap(make_pipeline(layer(), layer(10, pooling_width=3)), scale=True, **parameters)


@pytest.fixture(scope="module")
def features(X):
    return feature_map().fit_transform(X)


@every_store
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_from_a_store_are_those_from_memory(store, n_jobs, X, features, tmp_path):
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
    stored, written = Recorder(X), []

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


def test_fit_reads_chunks_once_and_no_more_than_it_needs():
    X = np.random.RandomState(0).rand(2000, 9, 8, 2).astype(np.float32)
    stored = Recorder(X)
    with config_context(**SMALL):
        filters = layer(n_patches=16 * 50).fit(stored).filters_
    chunks = [start // CHUNK for start, _ in stored.read]
    assert all((stop - 1) // CHUNK == start // CHUNK for start, stop in stored.read)
    assert len(set(chunks)) <= len(chunks) <= len(set(chunks)) + 1  # a piece may end within a chunk
    assert_array_equal(filters, layer(n_patches=16 * 50).fit(X).filters_)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_dtypes(dtype, X, tmp_path):
    images = (255 * X[:120]).astype(dtype)
    stored = as_zarr(tmp_path / "X", images)
    expected = layer().fit(images).transform(images)
    maps = layer().fit(stored).transform(stored)
    assert maps.dtype == ("float64" if dtype == "float64" else "float32")
    assert_array_equal(maps, expected)


@pytest.mark.parametrize("method", ["local", "global"])
def test_whitening_from_store_to_store(method, X, tmp_path):
    stored, out = as_zarr(tmp_path / "X", X), as_zarr(tmp_path / "out", np.zeros_like(X))
    whitening = PatchWhitening(method=method, subsample=100, random_state=0)
    expected = whitening.fit_transform(X)
    with config_context(**SMALL):
        whitening.fit(stored).transform(stored, out=out)
    assert np.linalg.norm(out[:] - expected) <= 1e-6 * np.linalg.norm(expected)  # sums of other pieces


def test_rows_of_a_store_may_be_flattened_signals(X, features, tmp_path):
    stored = as_zarr(tmp_path / "X", X.reshape(500, -1))
    network = make_pipeline(layer(input_shape=(9, 8, 2)), layer(10, pooling_width=3))
    assert_array_equal(CKNFeatureMap(network, scale=True).fit(stored).transform(stored), features)


def test_a_classifier_predicts_from_a_store(X, tmp_path):
    classifier = CKNClassifier(layer(), max_iter=0, random_state=0).fit(X[:100], np.arange(100) % 3)
    assert_array_equal(classifier.decision_function(as_zarr(tmp_path / "X", X)), classifier.decision_function(X))


# Errors


def test_a_value_that_is_refused_is_told_with_its_rows(X, features, tmp_path):
    fitted, broken, out = feature_map().fit(X), X.copy(), np.empty_like(features)
    broken[400] = np.nan
    with config_context(**SMALL), pytest.raises(ValueError, match=r"Input X\[360:420\] contains NaN") as caught:
        fitted.transform(as_zarr(tmp_path / "X", broken), out=out)
    assert caught.value.__notes__ == ["out[:360] is finished; the rest of it is not."]
    assert_array_equal(out[:360], features[:360])
    broken[400] = 1e30
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[360:420\] has values up to 1e\+30"):
        fitted.transform(as_zarr(tmp_path / "X", broken))


def test_a_store_that_ends_early_is_refused(X, tmp_path):
    fitted = feature_map().fit(X)
    short = Recorder(X[:250])
    short.shape = X.shape
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[240:300\] has shape \(10, .* ends early"):
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
    with config_context(**SMALL):
        assert_array_equal(fitted.transform(Recorder(half)), fitted.transform(half[:]))  # if they are meant
    path = tmp_path / "memmap"
    mapped = as_memmap(path, X)
    os.truncate(path, 1000)
    with pytest.raises(ValueError, match=f"X ends early: its file has 1000 bytes, but X extends to byte {X.nbytes}"):
        fitted.transform(mapped)


def test_black_corners_and_black_images_are_read(X, tmp_path):
    images = X.copy()
    images[:, :3, :3] = 0
    images[100:110] = 0
    stored = zarr.open(str(tmp_path / "X"), mode="w", shape=X.shape, chunks=(CHUNK, 3, 3, 2), dtype="float32")
    stored[:] = images
    with config_context(**SMALL):
        fitted = layer().fit(stored)
        assert_array_equal(fitted.transform(stored), layer().fit(images).transform(images))


def test_virtual_hdf5_datasets(X, features, tmp_path):
    layout = h5py.VirtualLayout(shape=X.shape, dtype="float32")
    for k in range(5):
        with h5py.File(tmp_path / f"{k}.h5", "w") as file:
            file["X"] = X[100 * k : 100 * (k + 1)]
        layout[100 * k : 100 * (k + 1)] = h5py.VirtualSource(tmp_path / f"{k}.h5", "X", shape=(100, 9, 8, 2))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        stored = file.create_virtual_dataset("X", layout)
        assert_array_equal(feature_map().fit(stored).transform(stored), features)


def test_an_error_of_the_store_is_told_with_its_rows(X):
    class Failing(Recorder):
        def __getitem__(self, rows):
            if rows.stop > 300:
                raise OSError("no more")
            return super().__getitem__(rows)

    fitted, new = feature_map().fit(X), feature_map()
    for do in (fitted.transform, new.fit):
        with config_context(**SMALL), pytest.raises(OSError, match="no more") as caught:
            do(Failing(X))
        assert caught.value.__notes__[0].startswith("While reading X[")
    assert not hasattr(new, "network_")


def test_an_error_while_writing_is_told(X, features):
    class Full(Recorder):
        def __setitem__(self, rows, values):
            if rows.stop > 300:
                raise OSError("disk full")
            self.array[rows] = values

    out = Full(np.empty_like(features))
    with config_context(**SMALL), pytest.raises(OSError, match="disk full") as caught:
        feature_map().fit(X).transform(X, out=out)
    assert caught.value.__notes__[:2] == [
        "While writing out[300:360].",
        "out[:300] is finished; the rest of it is not.",
    ]
    assert_array_equal(out.array[:300], features[:300])


@pytest.mark.parametrize("transformer", [layer(), feature_map(), PatchWhitening()], ids=lambda t: type(t).__name__)
def test_out_that_does_not_fit_is_refused(transformer, X, tmp_path):
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
        Recorder(np.empty(shape)),
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


def test_configuration_is_that_of_the_caller(X, tmp_path):
    broken = X.copy()
    broken[400] = np.nan
    stored = as_memmap(tmp_path / "X", broken)
    with config_context(assume_finite=True):
        assert layer().fit(X).transform(stored).shape == (500, 5, 4, 8)


def test_a_full_disk_under_a_memmap_is_an_error_and_not_the_end_of_the_process(X, tmp_path, monkeypatch):
    def full(descriptor, start, size):
        asked.append((start, size))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    asked = []
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)  # where there is none, it is as if there were
    out = np.memmap(tmp_path / "out", mode="w+", dtype=np.float32, shape=X.shape)  # holes, until it is written to
    with pytest.raises(OSError, match=r"out needs 0.000288 GB on the disk: No space left on device: '.*out'"):
        PatchWhitening().fit(X).transform(X, out=out)
    with pytest.raises(OSError, match=r"out needs 5.76e-06 GB"):
        PatchWhitening().fit(X).transform(X[:10], out=np.asarray(out)[490:])  # of a part of it, and of a view
    assert asked == [(0, X.nbytes), (490 * X[0].nbytes, 10 * X[0].nbytes)]
    in_memory = np.memmap(tmp_path / "out", mode="c", dtype=np.float32, shape=X.shape)  # changes are not written
    PatchWhitening().fit(X).transform(X, out=in_memory)


# Streams


def test_the_first_batch_of_a_stream_is_a_fit(X):
    one, other = layer(sigma="auto").fit(X), layer(sigma="auto").partial_fit(X)
    assert_array_equal(other.transform(X), one.transform(X))
    assert vars(one).keys() == vars(other).keys()


def test_a_stream_is_drawn_from_uniformly(rng):
    """Patches of one position tell their batch: each batch has the part of the reservoir that it has of all signals."""
    share = np.zeros(3)
    for seed in range(50):
        streamed = layer(2, patch_size=1, n_patches=600, random_state=seed, max_iter=1)
        for batch, n in enumerate((10, 40, 50)):
            direction = np.eye(3)[batch]
            streamed.partial_fit(direction + 1e-3 * rng.rand(n, 6, 6, 3))
        (drawn, n_wanted), _ = streamed._reservoir
        assert n_wanted == 100 * 36 and len(drawn) == 600
        assert len(np.unique(drawn, axis=0)) == 600
        share += np.bincount(drawn.argmax(axis=1), minlength=3) / 600
    np.testing.assert_allclose(share / 50, [0.1, 0.4, 0.5], atol=0.005)


def test_a_stream_of_classes_gives_filters_of_all_of_them(X):
    """Batches that differ, one after the other: the filters are about as good as those of all of them at once."""
    images = np.concatenate([X[:200] * [1, 0.1], X[200:400] * [0.1, 1]]).astype(np.float32)
    streamed = layer(16)
    for start in range(0, 400, 100):
        streamed.partial_fit(images[start : start + 100])
    at_once = layer(16).fit(images)

    def objective(fitted):
        from sklearn_ckn._core.filters import kmeans

        U = layer(max_iter=0, random_state=1, n_filters=1000, n_patches=4000).fit(images).filters_.reshape(-1, 18)
        return kmeans.assign(U, fitted.filters_.reshape(16, -1), 1)[1].mean()

    assert objective(streamed) > objective(at_once) - 0.005


def test_constant_batches_and_later_ones(X):
    with pytest.warns(UserWarning, match="only 8 distinct patches"):  # those at the edges vary
        streamed = layer(20).partial_fit(np.ones((5, 9, 8, 2), np.float32))
    assert len(streamed.filters_) == 8
    streamed.partial_fit(X)
    assert len(streamed.filters_) == 20
    assert len(streamed.partial_fit(np.ones((5, 9, 8, 2), np.float32)).filters_) == 20


def test_what_a_stream_must_not_change(X):
    streamed = layer().partial_fit(X)
    with pytest.raises(ValueError, match="The number of channels, the last axis, must be the same"):
        streamed.partial_fit(X[..., :1])
    with pytest.raises(ValueError, match="patch_size, padding and patch_centering must stay the same"):
        streamed.set_params(patch_size=2).partial_fit(X)
    assert streamed.fit(X).partial_fit(X).filters_.shape == (8, 2, 2, 2)  # fit begins anew
