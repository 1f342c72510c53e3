"""Small supervised estimators, and an augmentation that can interrupt their training, for the tests."""

import estimators
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNRegressor


def layer(n_filters=8, **parameters):
    """Return a layer that is fitted quickly, with a fixed random seed."""
    return estimators.layer(n_filters, **{"n_patches": 1000, "max_iter": 3, **parameters})


def network():
    """Return an architecture of two layers."""
    return make_pipeline(layer(pooling_width=1, patch_centering=True), layer(12, patch_size=2))


def classifier(**parameters):
    """Return a classifier that is trained for three rounds, with a fixed random seed."""
    return CKNClassifier(network(), **{"max_iter": 3, "batch_size": 32, "random_state": 0, **parameters})


def regressor(**parameters):
    """Return a regressor that is trained for three rounds, with a fixed random seed."""
    return CKNRegressor(network(), **{"max_iter": 3, "batch_size": 32, "random_state": 0, **parameters})


def assert_same_model(a, b):
    """Assert that two fitted models and their learning curves are the same, bit for bit."""
    assert_array_equal(a.coef_, b.coef_)
    assert_array_equal(a.intercept_, b.intercept_)
    for one, other in zip(a.network_, b.network_):
        assert_array_equal(one.filters_, other.filters_)
        assert_array_equal(one.whitening_, other.whitening_)
    assert a.loss_curve_ == b.loss_curve_ and a.n_iter_ == b.n_iter_


class Killed(Exception):
    """An exception that stands for the end of the process."""


_INTERRUPTION = {"n_calls": 0, "error": None}


def interrupt_call(number, error):
    """Make call ``number`` of `interruptible`, counted from now on, raise an error."""
    _INTERRUPTION.update(n_calls=number, error=error)


def interruptible(X, rng):
    """Return signals unchanged, as an augmentation that raises an error where `interrupt_call` asks for it."""
    _INTERRUPTION["n_calls"] -= 1
    if _INTERRUPTION["n_calls"] == 0:
        raise _INTERRUPTION["error"]
    return X
