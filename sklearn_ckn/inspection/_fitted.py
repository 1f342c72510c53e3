"""Access to the layers of a fitted network, whichever estimator contains them."""

from sklearn.utils.validation import check_is_fitted

from .._arrays import validation
from .._arrays.encoded import check_spaces
from .._feature_map import CKNFeatureMap
from .._kernel import settings_of
from .._layer import CKNLayer
from .._network import accepts_any_size, found_in, steps_of


def fitted_layers(feature_map):
    """Return the named layers of a fitted feature map, layer or Pipeline of layers."""
    if isinstance(feature_map, CKNFeatureMap):
        check_is_fitted(feature_map)
        feature_map = feature_map.network_
    steps = steps_of(feature_map)
    strange = [found_in(feature_map, name, step) for name, step in steps if not isinstance(step, CKNLayer)]
    if strange or not steps:
        raise TypeError(
            f"feature_map must be a fitted CKNFeatureMap, a fitted CKNLayer or a Pipeline of fitted CKNLayers only; "
            f"{(strange or ['got no layer'])[0]}. For the first k steps of a longer Pipeline, pass pipeline[:k]."
        )
    for name, layer in steps:
        check_is_fitted(layer)
        if settings_of(layer) != layer._settings:
            raise ValueError(f"The parameters of layer {name!r} were changed after fit. Fit the network again.")
    return steps


def read_fitted(feature_map, X):
    """Return the named layers, and the validated signals as maps ``(n, *space, n_channels)``."""
    steps = fitted_layers(feature_map)
    first, same_space = steps[0][1], has_one_size(feature_map)
    estimator = feature_map if isinstance(feature_map, CKNFeatureMap) else first
    signals = validation.as_fitted_signals(estimator, X, first._flattened, same_space=same_space)
    is_network = estimator is feature_map
    check_spaces(signals, [(name if is_network else None, layer._settings) for name, layer in steps])
    return steps, signals.read(slice(None))


def has_one_size(feature_map):
    """Return whether a fitted feature map or layers accept only signals of the spatial shape seen in ``fit``."""
    return isinstance(feature_map, CKNFeatureMap) and not accepts_any_size(feature_map.network_)
