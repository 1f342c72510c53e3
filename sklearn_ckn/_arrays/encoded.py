"""Signals encoded by fitted layers, in memory, in a store or on the workers of Dask."""

from .dask import EncodedBlocks
from .signals import EncodedSignals


def encoded(signals, layers, n_threads):  # Signals, list of CKNLayer, int -> EncodedSignals or EncodedBlocks
    """Return the maps of fitted layers, which are computed only when needed, here or on the workers of Dask."""
    return (EncodedBlocks if signals.is_lazy else EncodedSignals)(signals, layers, n_threads)
