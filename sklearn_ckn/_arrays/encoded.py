"""Signals seen through fitted layers, wherever the signals are."""

from .dask import EncodedBlocks
from .signals import EncodedSignals


def encoded(signals, layers, n_threads):  # Signals, list of CKNLayer, int -> EncodedSignals or EncodedBlocks
    """Return the maps of fitted layers, computed only when they are needed, here or on the workers of Dask."""
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)
