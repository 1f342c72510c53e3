"""The order of work in `fit`: every invalid argument is rejected before any filter is learned."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_ckn import AutoCKNClassifier, CKNClassifier, CKNFeatureMap, CKNLayer, CKNRegressor
from sklearn_ckn._core.filters import kmeans

rng = np.random.RandomState(0)
IMAGES, SERIES, LABELS = rng.rand(40, 8, 8), rng.rand(40, 50), np.arange(40) % 3


@pytest.fixture(autouse=True)
def _no_filters(monkeypatch):
    """Fail as soon as filters are learned."""
    monkeypatch.setattr(kmeans, "spherical_kmeans", lambda *args: pytest.fail("Filters were learned."))


INVALID_Y = {
    "continuous": (rng.rand(40), "Unknown label type|continuous"),
    "length": (LABELS[:30], "inconsistent numbers of samples"),
    "None": (None, "requires y to be passed"),
    "NaN": (np.where(LABELS == 0, np.nan, LABELS), "Input y contains NaN"),
    "one class": (LABELS * 0, "[Aa]t least two classes"),
    "two labels": (LABELS[:, None] + np.eye(40, 2, dtype=int), "1d array|multiclass-multioutput"),
}


@pytest.mark.parametrize("case", INVALID_Y)
@pytest.mark.parametrize("ndim", [1, 2])
def test_labels_are_checked_first(ndim, case):
    y, message = INVALID_Y[case]
    with pytest.raises(ValueError, match=message):
        AutoCKNClassifier("fast", ndim=ndim).fit(SERIES if ndim == 1 else IMAGES, y)


@pytest.mark.parametrize(
    "parameters, weights, message",
    [
        ({}, np.ones(30), r"sample_weight.shape == \(30,\), expected \(40,\)"),
        ({"class_weight": {7: 1}}, None, "class_weight"),
        ({"effort": "slow"}, None, "'effort' parameter of AutoCKNClassifier"),
    ],
    ids=["weights", "class_weight", "effort"],
)
def test_weights_and_parameters_are_checked_first(parameters, weights, message):
    with pytest.raises(ValueError, match=message):
        AutoCKNClassifier(**parameters).fit(IMAGES, LABELS, sample_weight=weights)


SECOND = {
    "patch_size": ({"patch_size": (3, 3, 3)}, "patch_size must be an int"),
    "patch larger than the map": ({"patch_size": 5, "padding": "valid"}, "must not exceed the spatial shape"),
    "pooling_width": ({"pooling": "average", "pooling_width": 5}, "must not exceed the number of patch positions"),
    "arccos0": ({"kernel": "arccos0"}, "infinite slope"),
    "init": ({"n_filters": 4, "init": np.ones((4, 2, 2, 4))}, r"init must have shape \(4, 3, 3, 4\)"),
    "patch_centering": ({"patch_size": 1, "patch_centering": True}, "patch_centering=True needs"),
}


@pytest.mark.parametrize("case", SECOND)
@pytest.mark.parametrize(
    "fit",
    [
        lambda network: CKNFeatureMap(network).fit(IMAGES),
        lambda network: CKNClassifier(network).fit(IMAGES, LABELS),
        lambda network: CKNRegressor(network).partial_fit(IMAGES, LABELS),
    ],
    ids=["CKNFeatureMap", "CKNClassifier", "CKNRegressor"],
)
def test_all_layers_are_checked_first(fit, case):
    parameters, message = SECOND[case]
    network = make_pipeline(CKNLayer(4, n_patches=200), CKNLayer(**parameters))
    with pytest.raises(ValueError, match=message) as caught:
        fit(network)
    assert "The error occurred in step 'cknlayer-2' of network." in caught.value.__notes__
