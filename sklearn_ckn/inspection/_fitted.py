"""Fitted networks, however they are wrapped."""

from sklearn.utils.validation import check_is_fitted

from .. import _validation
from .._feature_map import CKNFeatureMap
from .._kernel import settings_of
from .._layer import CKNLayer
from .._network import found_in, steps_of


def fitted_layers(feature_map):
    """The named layers."""
    if isinstance(feature_map, CKNFeatureMap):
        check_is_fitted(feature_map)
        feature_map = feature_map.network_
    steps = steps_of(feature_map)
    strange = [found_in(feature_map, name, step) for name, step in steps if not isinstance(step, CKNLayer)]
    if strange or not steps:
        raise TypeError(
            f"feature_map must be a fitted CKNFeatureMap, a fitted CKNLayer or a Pipeline of such layers and nothing "
            f"else (of a longer one, pipeline[:k] has the first k steps); {(strange or ['got no layer'])[0]}."
        )
    for name, layer in steps:
        check_is_fitted(layer)
        if settings_of(layer) != layer._settings:
            raise ValueError(f"The parameters of layer {name!r} were changed after its fit: fit the network again.")
    return steps


def read_fitted(feature_map, X):
    """The named layers, and the signals as maps ``(n, *space, n_channels)``, if the network accepts them."""
    steps, whole = fitted_layers(feature_map), isinstance(feature_map, CKNFeatureMap)
    first = steps[0][1]
    signals = _validation.as_fitted_signals(feature_map if whole else first, X, first._flattened, same_space=whole)
    return steps, signals.read(slice(None))
