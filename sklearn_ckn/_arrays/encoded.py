"""Signals encoded by fitted layers, in memory, in a store or on Dask workers."""

from . import parameters
from .dask import EncodedBlocks
from .mixed import EncodedMixed, MixedSignals
from .notes import in_step, of_signal
from .signals import EncodedSignals


def encoded(signals, layers, n_threads):  # Signals or MixedSignals, list of CKNLayer, int
    """Return the maps of fitted layers, computed only when needed, in this process or on Dask workers."""
    if isinstance(signals, MixedSignals):
        return EncodedMixed(signals, layers, n_threads)
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)


def check_spaces(signals, steps, name="X"):
    """Check that every layer leaves at least one position on every axis of signals of every shape.

    Parameters
    ----------
    signals : Signals or MixedSignals
    steps : list of (name of the step of the network, or None; LayerSettings)
    name : str, name of the signals
    """
    for rows, part in signals.groups:
        space = part.shape[:-1]
        for step, settings in steps:
            with in_step(step), of_signal(signals, rows, name):
                parameters.check_space(settings, space)
            space = settings.pooled_positions(space)
