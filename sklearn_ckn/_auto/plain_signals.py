"""Signals as plain arrays, which every estimator accepts, and their features."""

import numpy as np

from .._arrays.mixed import MixedSignals

BLOCK = 2**28  # maximum number of bytes of the features of a block of signals


def as_plain(signals):  # Signals or MixedSignals -> ndarray or list of ndarray
    """Return the values of signals as arrays that every estimator accepts."""
    if not isinstance(signals, MixedSignals):
        return signals.array if signals.chosen is None else signals.array[signals.chosen]
    plain = [None] * len(signals)
    for rows, part in signals.groups:
        for row, x in zip(rows, as_plain(part)):
            plain[row] = x
    return plain


def take(X, rows):
    """Return some of the signals of an array or a list."""
    return [X[row] for row in rows] if isinstance(X, list) else X[rows]


def features_of(feature_map, X):
    """Return the features of signals, computed in blocks to limit the memory for intermediate results."""
    first = feature_map.transform(X[:1])
    n_together = max(1, BLOCK // first.nbytes)
    if len(X) <= n_together:
        return feature_map.transform(X)
    F = np.empty((len(X), first.shape[1]), first.dtype)
    for start in range(0, len(X), n_together):
        F[start : start + n_together] = feature_map.transform(X[start : start + n_together])
    return F
