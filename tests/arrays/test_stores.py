"""Stores (memmap, zarr, HDF5): they are read and written in pieces, and give the results of arrays in memory."""

import base64
import errno
import os
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from out_of_core import feature_map, images, layer
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, LinearClassifier, PatchWhitening
from sklearn_ckn.preprocessing import ChannelScaler, GradientMap

h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")

SMALL = {"working_memory": 1}  # MB; a piece takes a sixteenth of it, about a hundred of these images
CHUNK = 60  # number of images


class RecordingStore:
    """An array that supports only slices of rows, and records which slices are read."""

    def __init__(self, array, chunk=CHUNK):
        self.array, self.shape, self.dtype, self.chunks, self.read = array, array.shape, array.dtype, (chunk,), []

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        if (rows.start or 0) < rows.stop:  # An empty slice shows the dtype without reading anything.
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


@pytest.mark.parametrize("n_orientations", [None, 5])
def test_gradient_maps_are_read_from_stores_and_written_to_stores(n_orientations, X, tmp_path):
    transformer = GradientMap(n_orientations)
    expected = transformer.fit_transform(X)
    stored, out = as_zarr(tmp_path / "X", X), as_zarr(tmp_path / "out", np.zeros_like(expected))
    with config_context(**SMALL):
        assert transformer.fit(stored).transform(stored, out=out) is out
        assert_array_equal(transformer.transform(stored), expected)
    assert_array_equal(out[:], expected)


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
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[360:420\] contains NaN") as caught:
        fitted.transform(as_zarr(tmp_path / "X", broken), out=out)
    assert caught.value.__notes__ == ["out[:360] is finished. The rest is not."]
    assert_array_equal(out[:360], features[:360])
    broken[400] = 1e30
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[360:420\] has values up to 1e\+30"):
        fitted.transform(as_zarr(tmp_path / "X", broken))


def half_written(kind, path, X, chunk=CHUNK):
    """Return a store of which only the first 300 rows were written."""
    shape, chunks = X.shape, (chunk, *X.shape[1:])
    if kind == "zarr":
        stored = zarr.open(str(path), mode="w", shape=shape, chunks=chunks, dtype="float32")
    elif kind == "shards":
        sizes = {"chunks": (chunk // 3, 9, 4, 2), "shards": chunks}
        stored = zarr.create_array(path, shape=shape, dtype="float32", **sizes)
    else:
        stored = h5py.File(path, "w").create_dataset("X", shape, "float32", chunks=chunks)
    stored[:300] = X[:300]
    return stored


@pytest.mark.parametrize("kind", ["zarr", "shards"])
def test_chunks_that_zarr_may_not_have_written_lead_to_one_warning(kind, X, tmp_path):
    if kind == "shards" and not hasattr(zarr, "create_array"):
        pytest.skip("zarr has no shards")
    stored, fitted = half_written(kind, tmp_path / "X", X), feature_map().fit(X)
    zeros = X.copy()
    zeros[300:] = 0
    message = r"X\[300:3.0\], a whole chunk, is 0.0 everywhere, and some chunks of X are not in the store"
    with config_context(**SMALL), pytest.warns(UserWarning, match=message) as caught:
        found = fitted.transform(stored)
    assert [warning.filename for warning in caught] == [__file__]
    assert_array_equal(found, fitted.transform(zeros))
    for do in (feature_map().fit, CKNKernel(layer(sigma=0.5)).diag):
        with config_context(**SMALL), pytest.warns(UserWarning, match=message):
            do(stored)
    # An object without a fill value states that its zeros are intended.
    with config_context(**SMALL):
        assert_array_equal(fitted.transform(RecordingStore(stored)), found)


def test_chunks_that_hdf5_did_not_write_are_refused(X, tmp_path):
    stored, fitted = half_written("h5py", tmp_path / "X", X), feature_map().fit(X)
    message = r"X\[300:360\], a whole chunk of an HDF5 dataset, was never written"
    for do in (fitted.transform, feature_map().fit, CKNKernel(layer(sigma=0.5)).diag):
        with config_context(**SMALL), pytest.raises(ValueError, match=message):
            do(stored)
    empty = h5py.File(tmp_path / "empty", "w").create_dataset("X", X.shape, "float32")
    with pytest.raises(ValueError, match="X is an HDF5 dataset that was never written"):
        fitted.transform(empty)


@pytest.mark.parametrize("kind", ["zarr", "h5py"])
def test_black_images_that_were_written_are_accepted(kind, X, tmp_path):
    darkened = X.copy()
    darkened[CHUNK : 3 * CHUNK] = 0
    sizes = {"shape": X.shape, "chunks": (CHUNK, *X.shape[1:]), "dtype": "float32"}
    if kind == "h5py":
        stored = h5py.File(tmp_path / "X", "w").create_dataset("X", **sizes)
    elif hasattr(zarr, "create_array"):
        stored = zarr.create_array(tmp_path / "X", **sizes, config={"write_empty_chunks": True})
    else:
        stored = zarr.open(str(tmp_path / "X"), mode="w", **sizes, write_empty_chunks=True)
    stored[:] = darkened
    with config_context(**SMALL):
        fitted = layer().fit(stored)
        assert_array_equal(fitted.transform(stored), layer().fit(darkened).transform(darkened))


def test_truncated_files_are_refused(X, tmp_path):
    fitted = feature_map().fit(X)
    short = RecordingStore(X[:250])
    short.shape = X.shape
    with config_context(**SMALL), pytest.raises(ValueError, match=r"X\[240:300\] has shape \(10, .* is truncated"):
        fitted.transform(short)
    path = tmp_path / "memmap"
    mapped = as_memmap(path, X)
    os.truncate(path, 1000)
    rows = mapped.reshape(500, -1)
    for do in (
        fitted.transform,
        CKNKernel(layer(sigma=0.5)).diag,
        lambda X: LinearClassifier().fit(rows, np.arange(500) % 2),
    ):
        with pytest.raises(
            ValueError, match=f"X is truncated: its file has 1000 bytes, but X extends to .* {X.nbytes}"
        ):
            do(mapped)


class Scaling(RecordingStore):
    """An array whose slices are float64, like a netCDF variable with a scale, although its dtype is int16."""

    def __init__(self, array):
        super().__init__(array)
        self.dtype = np.dtype("int16")

    def __getitem__(self, rows):
        return super().__getitem__(rows).astype(float)


class WithoutEmptySlices(Scaling):
    """An array of this kind that does not support empty slices."""

    def __getitem__(self, rows):
        if rows.start >= rows.stop:
            raise IndexError("no rows")
        return super().__getitem__(rows)


def test_stores_that_scale_their_values_are_read(X):
    expected = feature_map().fit(X.astype(float)).transform(X.astype(float))
    with config_context(**SMALL):
        found = feature_map().fit(Scaling(X)).transform(Scaling(X))
        assert found.dtype == np.float64
        assert_array_equal(found, expected)
        with pytest.raises(ValueError, match=r"has dtype float64, but X has dtype int16: its values are converted"):
            feature_map().fit(WithoutEmptySlices(X))


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_masked_values_of_a_store_are_refused(method, X):
    class Masking(RecordingStore):
        def __getitem__(self, rows):
            return np.ma.masked_equal(super().__getitem__(rows), -99)

    complete, hidden = X.copy(), X.copy()
    hidden[:, 0, 0, 0] = -99
    fitted = feature_map().fit(X)
    with config_context(**SMALL):
        assert_array_equal(fitted.transform(Masking(complete)), fitted.transform(X))
        with pytest.raises(ValueError, match=r"X\[.*\] has masked values"):
            getattr(fitted, method)(Masking(hidden))


@pytest.mark.parametrize("kind", ["zarr", "memmap"])
def test_signals_that_underflow_are_named_once(kind, X, tmp_path):
    fitted, small = feature_map().fit(X), X.copy()
    small[[400, 401]] *= np.float32(1e-30)
    named = r"^X\[400\] has values up to .*: multiply X by"
    with config_context(**SMALL), pytest.warns(UserWarning, match=named) as caught:
        fitted.transform(STORES[kind](tmp_path / "X", small))
    assert len(caught) == 1


@pytest.mark.parametrize("kind", ["zarr", "memmap"])
def test_signals_are_counted_in_the_whole_store(kind, X, tmp_path):
    """Fit reads only some of the signals of a memmap, and whole chunks of a zarr array."""
    few, broken = layer(n_patches=2000), X.copy()
    broken[150:300] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in \d+ of \d+ signals, first in X\[(1[5-9]|2)\d+\]"):
        few.fit(STORES[kind](tmp_path / "X", broken))
    broken[150:300] = 1e-30
    with pytest.warns(UserWarning, match=r"^X\[(1[5-9]|2)\d+\] has values up to 1e-30"):
        few.fit(STORES[kind](tmp_path / "Y", broken))


def with_attribute(kind, path, X, name, value):
    """Return a store with an attribute."""
    stored = as_zarr(path, X) if kind == "zarr" else as_hdf5(path, X, (CHUNK, *X.shape[1:]))
    stored.attrs[name] = value
    return stored


@pytest.mark.parametrize(
    "name, value",
    [
        ("_FillValue", -99.0),
        ("missing_value", [-1.0, -99.0]),
        ("_FillValue", base64.b64encode(struct.pack("<d", -99.0)).decode()),  # as xarray writes it
        ("_FillValue", "-99.0"),
    ],
    ids=["fill value", "two values", "base64", "text"],
)
@pytest.mark.parametrize("kind", ["zarr", "h5py"])
def test_values_that_a_store_declares_as_missing_are_refused(kind, name, value, X, tmp_path):
    fitted, missing = feature_map().fit(X), X.copy()
    missing[400, 1, 1, 1] = -99
    stored = with_attribute(kind, tmp_path / "X", missing, name, value)
    with config_context(**SMALL):
        for do in (fitted.transform, CKNKernel(layer(sigma=0.5)).diag):
            with pytest.raises(
                ValueError, match=r"contains the value -99.0, which the attributes of X declare as missing"
            ):
                do(stored)
        complete = with_attribute(kind, tmp_path / "complete", X, name, value)
        assert_array_equal(fitted.transform(complete), fitted.transform(X))


def test_missing_values_of_netcdf_variables_are_refused(X, tmp_path):
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(tmp_path / "X.nc", "w") as file:
        for name, size in zip("nyxc", X.shape):
            file.createDimension(name, size)
        for name in ("complete", "missing"):
            variable = file.createVariable(name, "i2", tuple("nyxc"), fill_value=-1)
            variable.scale_factor = 1 / 256
            variable[:] = X
        variable[400, 1, 1, 1] = np.ma.masked
    with netCDF4.Dataset(tmp_path / "X.nc") as file, config_context(**SMALL):
        fitted = feature_map().fit(file["complete"])
        assert fitted.transform(file["complete"]).dtype == np.float64
        with pytest.raises(ValueError, match="has masked values"):
            fitted.transform(file["missing"])


@pytest.mark.parametrize("as_store", [as_memmap, lambda path, X: RecordingStore(X)], ids=["memmap", "rows only"])
def test_small_floats_are_read(as_store, X, tmp_path):
    small = X.astype(pytest.importorskip("ml_dtypes").bfloat16)
    stored, expected = as_store(tmp_path / "X", small), small.astype(np.float32)
    with config_context(**SMALL):
        assert_array_equal(layer().fit(stored).transform(stored), layer().fit(expected).transform(expected))


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


TRANSFORMERS = [layer(), feature_map(), PatchWhitening(), GradientMap(), ChannelScaler()]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: type(t).__name__)
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


def test_stored_integers_that_would_be_rounded_are_refused(tmp_path):
    X = np.memmap(tmp_path / "X", np.int32, "w+", shape=(20, 8, 8))
    X[:] = 2**24 + np.arange(64).reshape(8, 8)
    message = r"X.* has integers up to 16777279 in magnitude, but integers outside of memory are computed in"
    with pytest.raises(ValueError, match=message):
        feature_map().fit(X)
    assert feature_map().fit(np.array(X)).transform(np.array(X)).dtype == np.float64
