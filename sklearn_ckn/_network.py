"""The parameter ``network``: a layer, or a Pipeline of layers."""

from contextlib import contextmanager
from typing import TypeAlias

from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags

from . import _validation
from ._layer import CKNLayer
from ._lazy import encoded

Network: TypeAlias = CKNLayer | Pipeline


def steps_of(network):
    """The named steps of a network that are not passed through."""
    if not isinstance(network, Pipeline):
        return make_pipeline(network).steps
    passed = [step is None or (isinstance(step, str) and step == "passthrough") for _, step in network.steps]
    return [step for step, is_passed in zip(network.steps, passed) if not is_passed]


def layers_of(network):
    """The same, all of them layers."""
    steps = steps_of(network)
    for name, step in steps:
        if not isinstance(step, CKNLayer):
            hint = ": give that one's network, or network_ once fitted" if hasattr(step, "network") else ""
            raise TypeError(
                f"network must be a CKNLayer or a Pipeline of CKNLayers, as make_pipeline makes it of several; "
                f"{found_in(network, name, step)}{hint}."
            )
    return steps


def found_in(network, name, step):
    """In words, for an error, what is no layer."""
    return f"its step {name!r} is {kind_of(step)}" if isinstance(network, Pipeline) else f"got {kind_of(network)}"


def kind_of(value):
    """In words, for an error: estimators themselves are long."""
    is_class = isinstance(value, type)
    return f"the class {value.__name__}, without ()" if is_class else f"an object of type {type(value).__name__}"


@contextmanager
def in_step(name):
    """An error tells in which step of the network it arose."""
    try:
        yield
    except ValueError as error:
        error.add_note(f"This is step {name!r} of network.")
        raise


def check_architecture(steps):
    """A network has layers, of one kind of space, and only the first reads the signals themselves."""
    layers = [layer for _, layer in steps]
    if not layers:
        raise ValueError("network must have at least one CKNLayer; all of its steps are None or 'passthrough'.")
    if len({layer.ndim for layer in layers}) > 1:
        raise ValueError(f"The layers of network must share ndim; got {[layer.ndim for layer in layers]}.")
    if any(layer.input_shape is not None for layer in layers[1:]):
        raise ValueError("Only the first layer of network reads X: the others must have input_shape=None.")


def check_parameters(steps):
    """Those of every layer."""
    for name, layer in steps:
        with in_step(name):
            layer._validate_params()


def to_be_fitted(network):
    """The named layers of a network, cloned and checked."""
    steps = [(name, clone(layer)) for name, layer in layers_of(network)]
    check_architecture(steps)
    if not get_config()["skip_parameter_validation"]:
        check_parameters(steps)
    return steps


def read_signals(estimator, X, layer, stored=False):
    """Check ``X`` for the first layer of an estimator's network."""
    _validation.check_feature_names(X)
    return _validation.as_signals(estimator, X, layer.ndim, layer.input_shape, stored=stored)


def learn(steps, signals, n_threads, progress):  # -> EncodedSignals or EncodedBlocks: the last maps
    """Fit layers without labels, one after the other."""
    maps = encoded(signals, [], n_threads)
    for k, (name, layer) in enumerate(steps, 1):
        with in_step(name), progress.task(name):
            vars(layer).update(layer._learn(maps)[0], _reservoir=None)
        maps = encoded(signals, [layer for _, layer in steps[:k]], n_threads)
    return maps


def input_tags(network, otherwise):
    """What the first layer reads; ``otherwise`` if there is none."""
    steps = steps_of(network)
    return get_tags(steps[0][1]).input_tags if steps and isinstance(steps[0][1], CKNLayer) else otherwise
