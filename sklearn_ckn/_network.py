"""Functions for the parameter ``network``, which is a layer or a Pipeline of layers."""

from typing import TypeAlias

from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags

from ._arrays import parameters, tables, validation
from ._arrays.conversion import describe_shapes
from ._arrays.encoded import check_spaces, encoded
from ._arrays.notes import in_step, of_signal
from ._core.layer.pooling import Fixed
from ._core.layer.symmetries import GROUPS
from ._layer import CKNLayer

Network: TypeAlias = CKNLayer | Pipeline


def steps_of(network):
    """Return the named steps of a network, without the steps that are None or ``"passthrough"``."""
    if not isinstance(network, Pipeline):
        return make_pipeline(network).steps
    passed = [step is None or (isinstance(step, str) and step == "passthrough") for _, step in network.steps]
    return [step for step, is_passed in zip(network.steps, passed) if not is_passed]


def layers_of(network):
    """Return the named layers of a network, and raise a TypeError if a step is not a layer."""
    steps = steps_of(network)
    for name, step in steps:
        if not isinstance(step, CKNLayer):
            has_network = hasattr(step, "network")
            hint = ". Pass that estimator's network, or its network_ once it is fitted" if has_network else ""
            raise TypeError(
                f"network must be a CKNLayer or a Pipeline of CKNLayers (use make_pipeline to combine several); "
                f"{found_in(network, name, step)}{hint}."
            )
    return steps


def found_in(network, name, step):
    """Describe, for an error message, which object is not a layer."""
    return f"step {name!r} is {kind_of(step)}" if isinstance(network, Pipeline) else f"got {kind_of(network)}"


def kind_of(value):
    """Describe an object by its type for an error message, because the repr of an estimator is long."""
    is_class = isinstance(value, type)
    return f"the class {value.__name__}, not an instance" if is_class else f"an object of type {type(value).__name__}"


def check_architecture(steps):
    """Check that a network has layers, that they share ``ndim`` and that none but the first has an ``input_shape``."""
    layers = [layer for _, layer in steps]
    if not layers:
        raise ValueError("network must contain at least one CKNLayer; all of its steps are None or 'passthrough'.")
    if len({layer.ndim for layer in layers}) > 1:
        raise ValueError(f"The layers of network must share ndim; got {[layer.ndim for layer in layers]}.")
    if any(layer.input_shape is not None for layer in layers[1:]):
        raise ValueError("Only the first layer of network reads X, so the others must have input_shape=None.")


def check_parameters(steps):
    """Check the parameters of every layer."""
    for name, layer in steps:
        with in_step(name):
            layer._validate_params()


def to_be_fitted(network):
    """Return the named layers of a network, cloned and checked."""
    steps = [(name, clone(layer)) for name, layer in layers_of(network)]
    check_architecture(steps)
    if not get_config()["skip_parameter_validation"]:
        check_parameters(steps)
    return steps


def read_signals(estimator, X, steps, stored=False):
    """Check ``X`` and all layers of an estimator, and return ``X`` as `Signals`."""
    first = steps[0][1]
    tables.check_feature_names(X)
    signals = validation.as_signals(estimator, X, first.ndim, first.input_shape, stored=stored, mixed=True)
    settings, n_channels = [], signals.shape[-1]
    for name, layer in steps:
        with in_step(name):
            settings.append(layer._check_before_fit(n_channels))
        n_channels = None  # n_filters is only an upper limit.
    check_spaces(signals, [(name, each) for (name, _), each in zip(steps, settings)])
    check_fixed_positions(settings, signals, "X")
    return signals


def accepts_any_size(layers):
    """Return whether the last maps of fitted layers have one size for signals of all sizes."""
    return has_fixed_positions([layer._settings for layer in layers])


def has_fixed_positions(settings):  # LayerSettings of every layer
    """Return whether any layer has a fixed number of positions, so that all later maps have a fixed size."""
    return any(isinstance(layer.pooling, Fixed) for layer in settings)


def check_fixed_positions(settings, signals, name):  # LayerSettings of every layer, Signals or MixedSignals
    """Check that the last maps of signals have one size even if the signals have different shapes."""
    if len(signals.groups) > 1 and not has_fixed_positions(settings):
        shapes = [part.shape for _, part in signals.groups for _ in range(len(part))]
        raise ValueError(
            f"{name} contains {describe_shapes(shapes)}, but network accepts signals of one shape only, because no "
            f"layer has n_positions: set n_positions in the last layer instead of pooling_width and subsampling, or "
            f"crop, resize or pad the signals to one shape."
        )


def check_symmetries(parameter, symmetries, signals, name="X"):  # Signals or MixedSignals
    """Check that signals are suitable for the group of symmetries that a parameter of an estimator names.

    Values of the parameter that do not name a group are not checked.
    """
    if isinstance(symmetries, str) and symmetries in GROUPS:
        for rows, part in signals.groups:
            with of_signal(signals, rows, name):
                parameters.check_symmetries(parameter, symmetries, part.shape[:-1])


def read_fitted_signals(estimator, X, stored=False):
    """Check that a fitted network can encode ``X``, and return ``X`` as `Signals` or `MixedSignals`.

    If the last layer has a fixed number of positions, the spatial sizes of the signals may differ from those in `fit`.
    """
    layers = [layer for _, layer in estimator.network_.steps]
    same_space = not accepts_any_size(layers)
    signals = validation.as_fitted_signals(
        estimator, X, layers[0]._flattened, same_space=same_space, stored=stored, mixed=True
    )
    check_fixed_positions([layer._settings for layer in layers], signals, "X")
    if same_space and signals.shape != estimator.input_shape_:  # a list of signals of one other shape
        raise ValueError(
            f"X has signals of shape {signals.shape}, but {type(estimator).__name__} was fitted on signals of shape "
            f"{estimator.input_shape_}. The shape must be the same, unless a layer has n_positions."
        )
    if not same_space:  # `fit` has checked the only shape of signals otherwise.
        check_spaces(signals, [(name, layer._settings) for name, layer in estimator.network_.steps])
    return signals


def learn(steps, signals, n_threads, progress):  # -> EncodedSignals or EncodedBlocks: the last maps
    """Fit layers in sequence, without labels, and return the maps of the last layer."""
    maps = encoded(signals, [], n_threads)
    for k, (name, layer) in enumerate(steps, 1):
        with in_step(name), progress.task(name):
            vars(layer).update(layer._learn(maps)[0], _reservoir=None)
        maps = encoded(signals, [layer for _, layer in steps[:k]], n_threads)
    return maps


def input_tags(network, otherwise):
    """Return the input tags of the first layer, or ``otherwise`` if the first step is not a layer."""
    steps = steps_of(network)
    return get_tags(steps[0][1]).input_tags if steps and isinstance(steps[0][1], CKNLayer) else otherwise
