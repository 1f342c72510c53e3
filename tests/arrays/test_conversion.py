"""What users pass becomes an array of numbers, or is rejected by a message that says what to do."""

from pathlib import Path

import numpy as np
import pytest
from estimators import layer, signals
from numpy.testing import assert_array_equal

from sklearn_ckn import (
    AutoCKNClassifier,
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    LinearRegressor,
    PatchWhitening,
)
from sklearn_ckn.inspection import deformation
from sklearn_ckn.preprocessing import ChannelScaler, Differences, GradientMap

IMAGES = signals(2, "float32", 12)
LABELS = np.arange(12) % 2


def classifier(**parameters):
    return CKNClassifier(layer(), max_iter=0, random_state=0, **parameters)


def chosen():
    return AutoCKNClassifier("fast", whiten=False, random_state=0)


ENTRIES = {  # what accepts signals -> a function of them
    "layer": lambda X: layer().fit(X).transform(X),
    "partial_fit": lambda X: layer().partial_fit(X).transform(X),
    "transform": lambda X: layer().fit(IMAGES).transform(X),
    "feature map": lambda X: CKNFeatureMap(layer()).fit(X).transform(X),
    "kernel": lambda X: CKNKernel(layer(sigma=0.5))(X),
    "kernel of pairs": lambda X: CKNKernel(layer(sigma=0.5))(IMAGES[:2], X),
    "flatten": lambda X: Flatten().fit(X).transform(X),
    "whitening": lambda X: PatchWhitening().fit(X).transform(X),
    "gradient map": lambda X: GradientMap().fit(X).transform(X),
    "channel scaler": lambda X: ChannelScaler().fit(X).transform(X),
    "classifier": lambda X: classifier().fit(X, LABELS).decision_function(X),
    "classifier that chooses": lambda X: chosen().fit(X, LABELS).decision_function(X),
    "deformation": lambda X: deformation(X, size=1, random_state=0).signals,
}
every_entry = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)


def objects(values):
    """Return a 1-D object array of arrays."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def as_series(X):
    return pytest.importorskip("pandas").Series(list(X))


def as_small_floats(X):
    return X.astype(pytest.importorskip("ml_dtypes").bfloat16)


def as_object(X):
    """Return a 0-d array that contains a list, as `numpy.load` returns what is not an array."""
    array = np.empty((), dtype=object)
    array[()] = list(X)
    return array


CONTAINERS = {
    "object array": lambda X: objects(X),
    "series": as_series,
    "0-d object array": as_object,
    "small floats": as_small_floats,
}


@pytest.mark.parametrize("convert", CONTAINERS.values(), ids=CONTAINERS)
@every_entry
def test_signals_that_are_passed_one_by_one_or_in_another_type_become_one_array(entry, convert):
    given = convert(IMAGES)
    expected = IMAGES if convert is not as_small_floats else given.astype(np.float32)
    assert_array_equal(entry(given), entry(expected))


@pytest.mark.parametrize("convert", [objects, as_series], ids=["object array", "series"])
def test_rows_that_are_passed_one_by_one_become_a_table(convert):
    rows = IMAGES.reshape(12, -1)
    flat = layer(input_shape=IMAGES.shape[1:])
    assert_array_equal(flat.fit(convert(rows)).transform(convert(rows)), flat.fit(rows).transform(rows))
    for model in (LinearClassifier(), LinearRegressor()):
        fitted = model.fit(convert(rows), LABELS)
        assert fitted.n_features_in_ == rows.shape[1]
        assert_array_equal(fitted.predict(convert(rows)), model.fit(rows, LABELS).predict(rows))
    series = IMAGES[:, 0]
    differences = Differences().fit(convert(series)).transform(convert(series))
    assert_array_equal(differences, Differences().fit(series).transform(series))


def masked(X=IMAGES):
    """Return a masked array with one masked value."""
    X = np.ma.array(X, copy=True)
    X.data[(1,) * X.ndim] = -99
    X[(1,) * X.ndim] = np.ma.masked
    return X


def as_cells(X):
    return pytest.importorskip("pandas").DataFrame({"image": list(X)})


class Palette:
    """An image of Pillow whose values are indices of colours."""

    mode = "P"

    def __init__(self, values):
        self.values = values

    def getpalette(self):
        return [0, 0, 0, 255, 255, 255]

    def __array__(self, dtype=None, copy=None):
        return self.values


PATHS = [f"/data/image_{k}.png" for k in range(1000)]
UNREADABLE = {
    "ragged channels": (
        lambda: [IMAGES[0], IMAGES[1][..., 0]],
        r"2 signals of 2 shapes, \(9, 8, 2\), \(9, 8\)|2 in .\[0\] and 1 in .\[1\]|input_shape must be None",
    ),
    "ragged signal": (lambda: [[[1.0, 2.0], [3.0]]] * 3, r"\[0\] has rows of different lengths"),
    "paths": (lambda: PATHS, r"such as '/data/image_0.png', but.*Read the files first"),
    "path objects": (lambda: [Path(path) for path in PATHS], r"such as '.*image_0.png', but.*Read the files first"),
    "array of paths": (lambda: np.array(PATHS), r"such as '/data/image_0.png', but.*Read the files first"),
    "series of paths": (lambda: as_series(PATHS), r"such as '/data/image_0.png', but.*Read the files first"),
    "encoded images": (lambda: [b"\x89PNG" * 100] * 3, "paths or other text.*Read the files first"),
    "palette": (lambda: [*IMAGES, Palette(IMAGES[0])], r"\[12\] is an image with a palette.*'P'.*convert\('RGB'\)"),
    "palettes of two sizes": (lambda: [Palette(IMAGES[0]), Palette(IMAGES[1, 1:])], r"\[0\] is an image with"),
    "generator": (lambda: (image for image in IMAGES), r"got generator: pass list\("),
    "set": (lambda: {1, 2}, r"must be an array or a list of arrays; got set"),
    "number": (lambda: 3.0, "must be an array or a list of arrays; got float"),
    "fields": (lambda: np.zeros((12, 9, 8), "f4,f4"), r"fields f0, f1.*\['f0'\].*structured_to_unstructured"),
    "raw bytes": (lambda: np.zeros((12, 9, 8), "V2"), r"dtype \|V2.*raw bytes.*view\(ml_dtypes.bfloat16\)"),
    "table of images": (lambda: as_cells(IMAGES), r"of type ndarray instead of numbers: pass a single column.*'image'"),
    "masked": (masked, "masked values .1 of 1728.*fill them"),
    "list of masked": (lambda: list(masked()), "masked values .1 of 144.*fill them"),
    "objects that are masked": (lambda: objects(list(masked())), "masked values .1 of 144.*fill them"),
}


@pytest.mark.parametrize("make, message", UNREADABLE.values(), ids=UNREADABLE)
@every_entry
def test_what_cannot_be_read_is_refused_by_a_short_message(entry, make, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        entry(make())
    assert len(str(caught.value)) < 400


def test_images_of_pillow_with_a_palette_are_recognised():
    Image = pytest.importorskip("PIL.Image")
    image = Image.fromarray((40 * np.indices((9, 8)).sum(axis=0) % 256).astype(np.uint8))
    with pytest.raises(ValueError, match=r"X\[1\] is an image with a palette"):
        layer().fit([image, image.convert("P")])
    assert_array_equal(layer().fit([image, image]).filters_, layer().fit([np.asarray(image)] * 2).filters_)


@pytest.mark.parametrize("model", [LinearClassifier(), LinearRegressor()], ids=["classifier", "regressor"])
def test_linear_models_refuse_masked_values(model):
    rows = IMAGES.reshape(12, -1)
    weights = np.ma.array(np.ones(12), mask=LABELS == 1)
    for X, y, w, name in (
        (masked(rows), LABELS, None, "X"),
        (rows, np.ma.array(LABELS, mask=LABELS == 1), None, "y"),
        (rows, LABELS, weights, "sample_weight"),
    ):
        with pytest.raises(ValueError, match=f"{name} has masked values"):
            model.fit(X, y, w)
    fitted = model.fit(rows, LABELS)
    with pytest.raises(ValueError, match="X has masked values"):
        fitted.predict(masked(rows))
    assert_array_equal(fitted.predict(np.ma.array(rows)), fitted.predict(rows))  # No value is masked.


@pytest.mark.parametrize("model", [classifier(), CKNRegressor(layer(), max_iter=1)], ids=["classifier", "regressor"])
def test_end_to_end_models_refuse_masked_values(model):
    hidden = np.ma.array(LABELS, mask=LABELS == 1)
    with pytest.raises(ValueError, match="y has masked values"):
        model.fit(IMAGES, hidden)
    with pytest.raises(ValueError, match="sample_weight has masked values"):
        model.fit(IMAGES, LABELS, hidden)
    if isinstance(model, CKNClassifier):
        with pytest.raises(ValueError, match="classes has masked values"):
            model.partial_fit(IMAGES, LABELS, classes=hidden)
    with pytest.raises(ValueError, match="augmented has masked values"):
        model.set_params(augmentation=lambda X, rng: masked(X), max_iter=1).fit(IMAGES, LABELS)


def test_filters_with_masked_values_are_refused():
    with pytest.raises(ValueError, match="init has masked values"):
        layer(2, patch_size=9, init=masked(signals(2, n=2)[:, :, :9])).fit(IMAGES)


# Class labels


def pandas_array(values, dtype):
    return pytest.importorskip("pandas").array(values, dtype=dtype)


def numpy_strings(values):
    if not hasattr(getattr(np, "dtypes", None), "StringDType"):
        pytest.skip("NumPy has no strings of variable width.")
    return np.array(values, dtype=np.dtypes.StringDType())


RETURNED = {
    "nullable integers": (lambda y: pandas_array(y, "Int16"), np.int16),
    "nullable booleans": (lambda y: pandas_array(y > 0, "boolean"), np.bool_),
    "strings of variable width": (lambda y: numpy_strings([f"class {label}" for label in y]), str),
}


@pytest.mark.parametrize("convert, expected_type", RETURNED.values(), ids=RETURNED)
@pytest.mark.parametrize("model", [LinearClassifier(), classifier()], ids=["linear", "end to end"])
def test_predicted_labels_have_the_values_and_the_type_that_were_passed(model, convert, expected_type):
    X = IMAGES.reshape(12, -1) if isinstance(model, LinearClassifier) else IMAGES
    y = convert(LABELS)
    model.fit(X, y)
    assert all(isinstance(label, expected_type) for label in model.classes_)
    assert set(model.predict(X)) <= set(y)


def with_missing(values, missing):
    return [missing if k == 2 else value for k, value in enumerate(values)]


NAMES = [f"class {label}" for label in LABELS]
NO_LABELS = {
    "mixed list": (lambda: with_missing(NAMES, 7), "labels of type int, str"),
    "mixed objects": (lambda: np.array(with_missing(NAMES, 7), object), "labels of type int, str"),
    "missing string": (lambda: np.array(with_missing(NAMES, None), object), "NoneType, str.*Remove the samples"),
    "missing nullable string": (lambda: pandas_array(with_missing(NAMES, None), "string"), "NAType, str.*Remove"),
    "objects": (lambda: LABELS.astype(object), r"labels of type int.*numpy.asarray\(y, dtype=int\)"),
    "missing date": (lambda: np.array(with_missing(["2020-01-01"] * 12, "NaT"), "datetime64[D]"), "NaT, a missing"),
    "fields": (lambda: np.array([(1, 2)] * 12, "i4,i4"), "labels of type tuple"),
    "small integers": (lambda: LABELS.astype(pytest.importorskip("ml_dtypes").int4), "labels of type int"),
}


@pytest.mark.parametrize("make, message", NO_LABELS.values(), ids=NO_LABELS)
@pytest.mark.parametrize("model", [LinearClassifier(), classifier()], ids=["linear", "end to end"])
def test_labels_that_would_not_come_back_are_refused_by_type(model, make, message):
    X = IMAGES.reshape(12, -1) if isinstance(model, LinearClassifier) else IMAGES
    with pytest.raises(ValueError, match=message):
        model.fit(X, make())
