"""Files of fitted estimators: what they contain, how large they are, and which ones are refused."""

import copy
import pickle
import pickletools
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline

import sklearn_ckn
from sklearn_ckn import (
    AutoCKNClassifier,
    AutoCKNRegressor,
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNLayer,
    CKNRegressor,
    Flatten,
    LinearClassifier,
    LinearRegressor,
    PatchWhitening,
)
from sklearn_ckn._utils.serialization import FORMAT
from sklearn_ckn.persistence import TRUSTED_TYPES
from sklearn_ckn.preprocessing import ChannelScaler, GradientMap

X, y = load_digits().images[:100].astype(np.float32), load_digits().target[:100]
KERNELS = {"polynomial": {"coef0": 1.0}, "arccos1": {}, "exponential": {"sigma": "auto"}}


def layer(n_filters=8, **parameters):
    """Return a small layer with a fixed random seed."""
    return CKNLayer(n_filters, **{"n_patches": 500, "max_iter": 3, "random_state": 0, **parameters})


ESTIMATORS = {
    **{kernel: layer(kernel=kernel, **more) for kernel, more in KERNELS.items()},
    "network": CKNFeatureMap(make_pipeline(layer(), layer(pooling_width=(2, 1))), symmetries="flip"),
    "flatten": Flatten(center=True),
    "whitening": PatchWhitening(method="global"),
    "gradient map": GradientMap(),
    "gradients": GradientMap(None),
    "channel scaler": ChannelScaler(),
    "classifier": CKNClassifier(layer(), max_iter=1, random_state=0),
    "regressor": CKNRegressor(layer(), max_iter=1, random_state=0),
    "chosen": AutoCKNClassifier("fast", random_state=0),
    "chosen for series": AutoCKNClassifier("fast", ndim=1, random_state=0),
    "chosen for numbers": AutoCKNRegressor("fast", random_state=0),
    "union": make_pipeline(FeatureUnion([("network", CKNFeatureMap(layer())), ("flat", Flatten())]), RidgeClassifier()),
    "ridge": make_pipeline(Flatten(), LinearRegressor()),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request):
    """Fit each estimator."""
    return clone(ESTIMATORS[request.param]).fit(X, y)


def outcome(estimator):
    """Return what a fitted estimator computes from the signals that it was fitted on."""
    return estimator.transform(X) if hasattr(estimator, "transform") else estimator.predict(X)


def test_pickles_contain_only_estimators_of_the_package(fitted):
    written = pickle.dumps(fitted)
    strings = {argument for _, argument, _ in pickletools.genops(written) if isinstance(argument, str)}
    modules = {name for name in strings if name.startswith("sklearn_ckn")}
    assert modules and modules <= {name.rpartition(".")[0] for name in TRUSTED_TYPES}
    assert_array_equal(outcome(pickle.loads(written)), outcome(fitted))


def test_copies_give_the_same_results(fitted):
    for again in (copy.copy(fitted), copy.deepcopy(fitted)):
        assert_array_equal(outcome(again), outcome(fitted))


def test_skops_restores_estimators_of_trusted_types(fitted):
    io = pytest.importorskip("skops.io")
    written = io.dumps(fitted)
    assert {name for name in io.get_untrusted_types(data=written) if not name.startswith("sklearn.")} <= set(
        TRUSTED_TYPES
    )
    assert_array_equal(outcome(io.loads(written, trusted=TRUSTED_TYPES)), outcome(fitted))
    with pytest.raises(Exception, match=r"[Uu]ntrusted types"):
        io.loads(written)


def test_skops_refuses_functions_that_are_not_trusted(tmp_path):
    io = pytest.importorskip("skops.io")
    model = CKNClassifier(layer(), augmentation=flip_with_numpy, max_iter=0).fit(X, y)
    io.dump(model, tmp_path / "model.skops")
    with pytest.raises(Exception, match="flip_with_numpy"):
        io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)


def flip_with_numpy(X, rng):
    return X[:, :, ::-1]


def test_trusted_types_are_all_estimators_of_the_package():
    public = {getattr(sklearn_ckn, name) for name in sklearn_ckn.__all__}
    classes = {f"{each.__module__}.{each.__qualname__}" for each in public if isinstance(each, type)}
    others = {"_channel_scaler.ChannelScaler", "_differences.Differences", "_gradient_map.GradientMap"}
    others = {f"sklearn_ckn.preprocessing.{name}" for name in others}
    assert set(TRUSTED_TYPES) == classes | others


@pytest.mark.parametrize("dumps", ["pickle", "skops.io"])
def test_files_are_hardly_larger_than_their_arrays(dumps):
    images = np.random.RandomState(0).rand(200, 12, 12, 3).astype(np.float32)
    layers = [CKNLayer(m, init="random", n_patches=2000, random_state=0) for m in (64, 256)]
    fitted = CKNFeatureMap(make_pipeline(*layers)).fit(images)
    fitted.transform(images)
    n_bytes = sum(layer.filters_.nbytes + layer.whitening_.nbytes for _, layer in fitted.network_.steps)
    assert len(pytest.importorskip(dumps).dumps(fitted)) <= 1.2 * n_bytes


@pytest.mark.parametrize(
    "found, which", [(FORMAT + 1, "a later version"), (FORMAT - 1, "another version"), (None, "another version")]
)
def test_other_formats_are_refused(found, which, fitted):
    estimator = fitted[-1] if hasattr(fitted, "steps") else fitted
    state = estimator.__getstate__()
    if type(estimator).__module__.startswith("sklearn."):
        assert "_format" not in state
        return
    with pytest.raises(ValueError, match=f"This {type(estimator).__name__} was written by {which} of sklearn_ckn"):
        type(estimator).__new__(type(estimator)).__setstate__({**state, "_format": found})


def test_kernels_and_unfitted_estimators_are_restored():
    for estimator in (CKNKernel(layer(), tangent=True), LinearClassifier(C=[1, 10]), layer(init=np.ones((8, 3, 3, 1)))):
        again = pickle.loads(pickle.dumps(estimator))
        assert repr(again) == repr(estimator) and vars(again).keys() == vars(estimator).keys()


class Size(NamedTuple):
    height: int
    width: int


def test_named_tuples_of_the_user_keep_their_type():
    again = pickle.loads(pickle.dumps(layer(patch_size=Size(3, 2)).fit(X)))
    assert again.patch_size == Size(3, 2) and isinstance(again.patch_size, Size)
