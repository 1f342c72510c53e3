"""Differences: results against identities, and what the transformer refuses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_ckn.preprocessing import Differences


def differences(X, **parameters):
    """Return the differences of series."""
    return Differences(**parameters).fit_transform(X)


def test_differences_are_normalised_and_do_not_overflow(rng):
    X = np.array([[0.0, 3, 3, 7], [1, 1, 1, 1]])
    assert_allclose(differences(X), [np.array([3, 0, 4]) / np.sqrt(25 / 3), [0, 0, 0]])
    assert_array_equal(differences(X[..., None]), differences(X))
    numbers = rng.randint(-(2**15), 2**15, size=(5, 30))
    for dtype in (np.uint8, np.int8, np.int16, bool):  # Neither the differences nor their squares overflow.
        whole = numbers.astype(dtype)
        assert_array_equal(differences(whole), differences(whole.astype(np.float32)))


@pytest.mark.parametrize("dtype, scale", [("float32", 2.0**-80), ("float64", 2.0**-600)])
def test_differences_of_a_tiny_channel_beside_another_keep_their_digits(rng, dtype, scale):
    X = rng.randn(4, 9, 2).astype(dtype)
    assert_array_equal(differences((X * [1, scale]).astype(dtype)), differences(X))
    assert_array_equal(differences((X * scale).astype(dtype)), differences(X))  # no warning


def test_each_channel_has_its_own_differences(rng):
    X = rng.randn(4, 9, 2)
    found = differences(X).reshape(4, 8, 2)
    for channel in (0, 1):
        assert_allclose(found[..., channel], differences(X[..., channel]), rtol=1e-12)
    assert_allclose(np.mean(found**2, axis=1), 1, rtol=1e-12)
    assert_allclose(differences(X * [3, 0.5] + [1, -2]).reshape(4, 8, 2), found, rtol=1e-9, atol=1e-12)
    assert_array_equal(differences(X.reshape(4, 18), input_shape=(9, 2)), differences(X))
    names = Differences().fit(X).get_feature_names_out()
    assert [*names] == [f"difference{i}" for i in range(16)]


def test_bad_series_are_refused(rng):
    X = rng.randn(3, 8, 2)
    with pytest.raises(NotFittedError):
        Differences().transform(X)
    with pytest.raises(ValueError, match="remove Differences, which is only for series"):
        Differences().fit(np.ones((3, 8, 8, 2)))
    with pytest.raises(ValueError, match=r"'input_shape' parameter of Differences .* Got 8"):
        Differences(input_shape=8).fit(X)
    for short in (X[:, :1], X[:, 0, :1]):
        with pytest.raises(ValueError, match=r"series of shape \(1, .\) .*differences need a length of at least 2"):
            Differences().fit(short)
    fitted = Differences().fit(X)
    for other in (X[:, 1:], X[..., :1]):
        with pytest.raises(ValueError, match=r"Differences was fitted on signals of shape \(8, 2\)"):
            fitted.transform(other)
    assert fitted._get_doc_link().endswith("/api/sklearn_ckn.preprocessing.Differences.html")
