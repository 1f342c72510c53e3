"""Signals encoded by fitted layers, in memory, in a store or on Dask workers."""

from . import parameters
from .dask import EncodedBlocks
from .mixed import EncodedMixed, MixedSignals, of_signal
from .signals import EncodedSignals


def encoded(signals, layers, n_threads):  # Signals or MixedSignals, list of CKNLayer, int
    """Return the maps of fitted layers, computed only when needed, in this process or on Dask workers."""
    if isinstance(signals, MixedSignals):
        return EncodedMixed(signals, layers, n_threads)
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)


def check_spaces(signals, layers):
    """Check that every layer leaves at least one position on every axis of signals of every shape."""
    for rows, part in signals.groups:
        space = part.shape[:-1]
        with of_signal(signals, rows):
            for layer in layers:
                parameters.check_space(layer._settings, space)
                space = layer._settings.pooled_positions(space)
