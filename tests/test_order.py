"""The order of work in `fit`: every invalid argument is rejected before any filter is learned."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNLayer, CKNRegressor
from sklearn_ckn._core.filters import kmeans
from sklearn_ckn.presets import make_classifier

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
}
RECIPES = {
    "images": (IMAGES, lambda: make_classifier("fast", (8, 8), random_state=0)),
    "series": (SERIES, lambda: make_classifier("fast", (50,), ndim=1, random_state=0)),
}


@pytest.mark.parametrize("case", INVALID_Y)
@pytest.mark.parametrize("recipe", RECIPES)
def test_labels_are_checked_first(recipe, case):
    (X, make), (y, message) = RECIPES[recipe], INVALID_Y[case]
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)


@pytest.mark.parametrize("recipe", ["images", "series"])
def test_sample_weights_of_a_recipe_are_checked_first(recipe):
    X, make = RECIPES[recipe]
    model = make()
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(30,\), expected \(40,\)"):
        model.fit(X, LABELS, **{f"{model.steps[-1][0]}__sample_weight": np.ones(30)})


@pytest.mark.parametrize(
    "parameters, y, message",
    [
        ({"C": [-1]}, LABELS, "C must be a positive finite number"),
        ({"tol": -1}, LABELS, "'tol' parameter of LinearClassifier"),
        ({"class_weight": {7: 1}}, LABELS, "class_weight"),
        ({}, LABELS * 0, "y must have at least two classes"),
        ({}, LABELS[:, None] + np.eye(40, 2, dtype=int), "1d array|multiclass-multioutput"),
    ],
    ids=["C", "tol", "class_weight", "one class", "two labels"],
)
def test_parameters_of_the_classifier_of_a_recipe_are_checked_first(parameters, y, message):
    X, make = RECIPES["images"]
    model = make()
    model[-1].set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_a_recipe_without_its_classifier_is_fitted_as_usual():
    model = make_classifier("fast", (8, 8), random_state=0)[:-1]
    with pytest.raises(pytest.fail.Exception, match="Filters were learned"):
        model.fit(IMAGES)


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
