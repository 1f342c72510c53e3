"""The fitted networks that can be inspected."""

import pytest
from inspected_networks import DIGITS, layer
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_ckn import CKNFeatureMap, Flatten
from sklearn_ckn.inspection import approximation_report


def test_report_does_not_depend_on_the_estimator_that_contains_the_network(feature_map):
    expected = approximation_report(feature_map, DIGITS[:5])
    for network in (feature_map.network_, Pipeline([("none", "passthrough"), *feature_map.network_.steps])):
        assert_array_equal(approximation_report(network, DIGITS[:5]).frobenius_error, expected.frobenius_error)
    first = approximation_report(feature_map.network_[0], DIGITS[:5])
    assert_array_equal(first.spectral_error, expected.spectral_error[:1])
    normalised = CKNFeatureMap(feature_map.network, center=True, scale=True).fit(DIGITS)
    assert_array_equal(approximation_report(normalised, DIGITS[:5]).exact[1], expected.exact[1])


@pytest.mark.parametrize("fitted, changed", [({}, {"sigma": 0.2}), ({"kernel": "vovk"}, {"kernel": "linear"})])
def test_parameters_changed_after_fit_are_rejected(fitted, changed):
    fitted = layer(**fitted).fit(DIGITS).set_params(**changed)
    with pytest.raises(ValueError, match=r"parameters of layer 'cknlayer' were changed after fit\. Fit"):
        approximation_report(fitted, DIGITS[:2])


@pytest.mark.parametrize("wrong", [Ridge(), make_pipeline(layer(), Flatten()), Pipeline([("none", "passthrough")])])
def test_estimators_other_than_networks_are_rejected(wrong):
    with pytest.raises(TypeError, match=r"feature_map must be a fitted CKNFeatureMap, .*pipeline"):
        approximation_report(wrong, DIGITS)


def test_unfitted_networks_are_rejected():
    for unfitted in (CKNFeatureMap(layer()), layer(), make_pipeline(layer())):
        with pytest.raises(NotFittedError):
            approximation_report(unfitted, DIGITS)
