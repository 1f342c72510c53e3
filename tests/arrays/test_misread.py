"""Warnings about arrays whose axes are probably misread, and silence about arrays that are read as they are meant."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_sample_images
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, CKNRegressor, PatchWhitening
from sklearn_ckn.inspection import deformation
from sklearn_ckn.preprocessing import ChannelScaler, Differences, GradientMap
from sklearn_ckn.presets import make_network

rng = np.random.RandomState(0)
SMALL = np.stack(load_sample_images().images)[:, :384:8, :640:8]  # (2, 48, 80, 3)
PHOTOS = SMALL.reshape(2, 2, 24, 2, 40, 3).swapaxes(2, 3).reshape(8, 24, 40, 3)
GREY = load_digits().images[:20]  # (20, 8, 8)
SERIES = np.sin(rng.uniform(0, 6, (20, 1, 6)) + np.linspace(0.2, 0.4, 6) * np.arange(100)[:, None])
SERIES += [0, 3, 1, 4, 0, 2] + 0.1 * rng.normal(size=SERIES.shape)  # (20, 100, 6): six sensors
STRIPES = np.repeat(rng.rand(20, 24, 1, 3), 40, axis=2)  # (20, 24, 40, 3): horizontal
VOLUMES = np.exp(-((np.indices((10, 12, 12)) - rng.uniform(4, 8, (20, 3, 1, 1, 1))) ** 2).sum(axis=1) / 20)


def first(X):
    """Move the channels to axis 1."""
    return np.ascontiguousarray(np.moveaxis(X, -1, 1))


def rows(X):
    return X.reshape(len(X), -1)


MISREAD = {  # the array, parameters of the layer, the shape that is meant, the number of spatial axes that is meant
    "photographs, channels first": (first(PHOTOS), {}, PHOTOS.shape, 2),
    "grey images, channels first": (GREY[:, None], {}, (20, 8, 8, 1), 2),
    "series, channels first": (first(SERIES), {"ndim": 1}, SERIES.shape, 1),
    "a series of one channel, channels first": (first(SERIES[..., :1]), {"ndim": 1}, (20, 100, 1), 1),
    "volumes, channels first": (VOLUMES[:, None], {"ndim": 3}, (*VOLUMES.shape, 1), 3),
    "rows, all channels first": (rows(first(PHOTOS)), {"input_shape": (3, 24, 40)}, PHOTOS.shape, 2),
    "rows, channels first": (rows(first(PHOTOS)), {"input_shape": (24, 40, 3)}, PHOTOS.shape, 2),
    "series": (SERIES, {}, SERIES.shape, 1),
    "series of three channels": (SERIES[..., :3], {}, (20, 100, 3), 1),
    "series of one channel": (SERIES[..., :1], {}, (20, 100, 1), 1),
    "series, channels first, ndim": (first(SERIES), {}, SERIES.shape, 1),
    "rows of series": (rows(SERIES), {"input_shape": (100, 6)}, SERIES.shape, 1),
    "rows of series, channels first": (rows(first(SERIES)), {"input_shape": (6, 100)}, SERIES.shape, 1),
    "photographs with ndim=3": (PHOTOS, {"ndim": 3}, PHOTOS.shape, 2),
    "volumes": (VOLUMES, {}, VOLUMES.shape, 3),
}


def small(**parameters):
    """Return a layer that is quick to fit."""
    return CKNLayer(1, **{"patch_size": 1, "n_patches": 100, "max_iter": 0, "init": "random", **parameters})


def remedied(message, X, parameters):
    """Return the array and the parameters after doing what a warning says."""
    message = message.partition("what it holds. ")[2].partition(". If ")[0]  # the first remedy
    expression = re.search(r"pass (np\.moveaxis\(.*, 1, -1\))", message)
    changed = re.findall(r"set (ndim|input_shape)=(\d|\(.*?\))", message)
    parameters = {**parameters, **{name: eval(value) for name, value in changed}}
    return eval(expression[1], {"np": np, "X": X}) if expression else X, parameters


@pytest.mark.parametrize("case", MISREAD)
def test_the_remedy_of_a_warning_gives_the_signals_that_are_meant(case):
    X, parameters, shape, ndim = MISREAD[case]
    with pytest.warns(UserWarning, match=r"X of shape .* is read with ndim=.*, which is probably not") as caught:
        small(**parameters).fit(X)
    assert len(caught) == 1 and caught[0].filename == __file__
    now, parameters = remedied(str(caught[0].message), X, parameters)
    layer = small(**parameters).fit(now)  # without a warning
    assert (layer.ndim, layer.input_shape_) == (ndim, shape[1:] if len(shape) == ndim + 2 else (*shape[1:], 1))
    if now.ndim > 2:
        assert now.shape == shape


def test_one_colour_image_is_recognised():
    advice = r"If X is one colour image, pass X\[None\]\. If there is a single channel, pass X\[\.\.\., None\]\.$"
    with pytest.warns(UserWarning, match=advice):
        small().fit(PHOTOS[0])
    small().fit(PHOTOS[0][None])
    small().fit(PHOTOS[0][..., None])


SENSIBLE = {
    "photographs": (PHOTOS, {}),
    "one photograph": (PHOTOS[:1], {}),
    "rows of photographs": (rows(PHOTOS), {"input_shape": (24, 40, 3)}),
    "grey images": (GREY, {}),
    "one grey image": (GREY[:1], {}),
    "rows of grey images": (rows(GREY), {"input_shape": (8, 8)}),
    "black images": (np.zeros((20, 3, 32, 32)), {}),
    "stripes": (STRIPES, {}),
    "rows of stripes": (rows(STRIPES), {"input_shape": (24, 40, 3)}),
    "rows of vertical stripes": (rows(STRIPES.swapaxes(1, 2)), {"input_shape": (40, 24, 3)}),
    "series": (SERIES, {"ndim": 1}),
    "one batch of a series": (SERIES[:1], {"ndim": 1}),
    "rows of series": (rows(SERIES), {"ndim": 1, "input_shape": (100, 6)}),
    "series of one channel": (SERIES[..., 0], {"ndim": 1}),
    "series as images of height 1": (SERIES[:, None], {}),
    "series as images of width 1": (SERIES[:, :, None], {}),
    "embeddings of a few words": (rng.normal(size=(20, 10, 300)), {"ndim": 1}),
    "volumes": (VOLUMES, {"ndim": 3}),
    "rows as single patches": (rows(GREY), {"ndim": 1, "input_shape": (1, -1)}),
    "rows as images of height 1": (SERIES[..., 0], {"input_shape": (1, -1)}),
    "a table": (load_iris().data, {"ndim": 1}),
    **{f"map {shape}": (rng.normal(size=(20, *shape)), {}) for shape in [(4, 4, 256), (1, 1, 512), (3, 3, 64)]},
    **{f"map {shape}": (rng.normal(size=(20, *shape)), {}) for shape in [(100, 1, 64), (1, 100, 64), (16, 16, 16)]},
}


@pytest.mark.parametrize("case", SENSIBLE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, bool])
def test_sensible_signals_cause_no_warning(case, dtype):
    X, parameters = SENSIBLE[case]
    small(**parameters).fit((X - X.min()).astype(dtype))


def test_the_layers_of_a_pipeline_warn_once():
    with pytest.warns(UserWarning) as caught:
        make_pipeline(PatchWhitening(), small(), small(), small()).fit(np.repeat(first(PHOTOS), 2, axis=2))
    assert ["which is probably not" in str(each.message) for each in caught] == [True]


LABELS = np.arange(len(PHOTOS)) % 2
READ = {
    "CKNLayer.partial_fit": lambda X: small().partial_fit(X),
    "CKNFeatureMap": lambda X: CKNFeatureMap(small()).fit(X),
    "CKNKernel": lambda X: CKNKernel(small())(X),
    "CKNKernel.diag": lambda X: CKNKernel(small()).diag(X),
    "CKNClassifier": lambda X: CKNClassifier(small(), max_iter=0).fit(X, LABELS),
    "CKNRegressor": lambda X: CKNRegressor(small(), max_iter=0).fit(X, LABELS),
    "PatchWhitening": lambda X: PatchWhitening().fit(X),
    "GradientMap": lambda X: GradientMap().fit(X),
    "ChannelScaler": lambda X: ChannelScaler().fit(X),
    "Differences": lambda X: Differences().fit(X[:, :, 0]),
    "deformation": lambda X: deformation(X, 1.0),
}


@pytest.mark.parametrize("name", READ)
def test_everything_that_reads_signals_warns_once(name):
    with pytest.warns(UserWarning, match=r"pass np\.moveaxis\(X, 1, -1\)\.$") as caught:
        READ[name](first(PHOTOS))
    assert len(caught) == 1 and caught[0].filename == __file__


def test_values_of_stored_signals_are_examined(tmp_path):
    X = first(PHOTOS)
    stored = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", X.dtype, X.shape)
    stored[:] = X
    with pytest.warns(UserWarning, match=r"pass np\.moveaxis\(X, 1, -1\)\.$"):
        small().fit(stored)


def test_values_of_dask_arrays_are_examined():
    dask = pytest.importorskip("dask.array")
    with pytest.warns(UserWarning, match=r"pass np\.moveaxis\(X, 1, -1\)\.$"):
        small().fit(dask.from_array(first(PHOTOS), chunks=(2, -1, -1, -1)))


@pytest.mark.parametrize(
    "shape, ndim, remedy",
    [
        ((3, 32, 32), 2, r"set shape=\(32, 32, 3\) and pass np\.moveaxis\(X, 1, -1\) as X"),
        ((1, 28, 28), 2, r"set shape=\(28, 28, 1\)"),
        ((3, 150), 1, r"set shape=\(150, 3\)"),
        ((200, 3), 2, r"set ndim=1 and shape=\(200, 3\)"),
        ((3, 200), 2, r"set ndim=1 and shape=\(200, 3\)"),
    ],
)
def test_make_network_warns_of_shapes(shape, ndim, remedy):
    with pytest.warns(UserWarning, match=remedy) as caught:
        make_network("fast", shape, ndim=ndim)
    assert len(caught) == 1 and caught[0].filename == __file__
