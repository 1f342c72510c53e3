"""Signals encoded by fitted layers, in memory, in a store or on Dask workers."""

from .dask import EncodedBlocks
from .signals import EncodedSignals


def encoded(signals, layers, n_threads):  # Signals, list of CKNLayer, int -> EncodedSignals or EncodedBlocks
    """Return the maps of fitted layers, computed only when needed, in this process or on Dask workers."""
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)
