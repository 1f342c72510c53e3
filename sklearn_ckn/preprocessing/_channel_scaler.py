"""Standardisation of the channels of signals."""

from collections.abc import Sequence
from math import prod
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Options
from sklearn.utils.validation import check_is_fitted

from .._arrays import validation
from .._core.runtime.threads import slices
from .._utils.maps import channel_names
from .._utils.serialization import PAGES
from .._utils.typing import Result, Rows, Writable, typed
from ._blockwise import BlockwiseTransformer

BLOCK = 2**20  # number of values that are standardised at a time


class ChannelScaler(BlockwiseTransformer):
    """Standardisation of the channels of signals, which brings channels with different units to one scale.

    The mean of each channel over all positions of all training signals is subtracted, and the result is divided by the
    standard deviation of the channel. Channel c of a transformed signal is::

        z_c = (x_c - mean_c) / std_c

    If a channel is constant in the training signals, only its mean is subtracted. Networks compare patches by the
    angles between them, so without this transformer, a channel with much larger values than the others dominates.

    Parameters
    ----------
    channels : sequence of ints or None, default=None
        Indices of the channels to keep, in this order. None means all channels. If a single channel is kept, the
        following network sees only this channel.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes. See `CKNLayer`.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, as in `CKNLayer`.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    mean_ : ndarray of shape `(n_channels,)`
        Mean of every channel that is kept.

    scale_ : ndarray of shape `(n_channels,)`
        Standard deviation of every channel that is kept, and 1 for constant channels.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`, with None for every axis along which the
        signals differ in size.

    n_features_in_ : int
        Number of values in one signal, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`. Not defined
        if the sizes of the signals differ.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If `X` contains no numbers, as described in `CKNLayer`.
    ValueError
        If, in `fit` or `transform`, `X` is invalid for one of the reasons listed in `CKNLayer`, or if the signals do
        not have the channels that `channels` names.

    Warns
    -----
    UserWarning
        If, in `fit`, `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    CKNFeatureMap : Network that usually follows this transformer.
    Differences : First differences of time series, divided by their root mean square.
    PatchWhitening : Whitening of photographs, which also removes correlation between channels.

    Notes
    -----
    `X` and `out` may be larger than memory, and `X` may be a Dask array or a list of signals of different sizes, as in
    `CKNLayer`. For a list, `transform` returns a list.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn.preprocessing import ChannelScaler
    >>> series = np.array([[[1.0, 500.0], [3.0, 100.0]]])  # one series of length 2 with two channels
    >>> ChannelScaler(ndim=1).fit_transform(series)
    array([[[-1.,  1.],
            [ 1., -1.]]])
    >>> ChannelScaler(channels=[1], ndim=1).fit_transform(series).shape
    (1, 2, 1)
    """

    _accepts_tiny_values = True  # The values are divided by their standard deviation.
    _parameter_constraints = {
        "channels": ["array-like", None],
        "ndim": [Options(Integral, {1, 2, 3})],
        "input_shape": [tuple, list, None],
        "n_jobs": [Integral, None],
    }
    _doc_link_template = PAGES.replace("{estimator_name}", "preprocessing.{estimator_name}")

    def __init__(
        self,
        *,
        channels: Sequence[int] | None = None,
        ndim: int = 2,
        input_shape: Sequence[int] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.channels = channels
        self.ndim = ndim
        self.input_shape = input_shape
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Compute the mean and the standard deviation of every channel.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape`.
        y : None
            Ignored.

        Returns
        -------
        self : ChannelScaler
            The fitted transformer.

        Raises
        ------
        ValueError
            If `channels` does not name channels of the signals.
        """
        signals = validation.as_signals(self, X, self.ndim, self.input_shape, stored=True, mixed=True)
        kept = check_channels(self.channels, signals.shape[-1])
        mean, std = moments(signals, kept)
        is_constant = std <= 10 * np.finfo(signals.dtype).eps * np.abs(mean)
        self._record(X, signals)
        self.mean_, self.scale_ = mean, np.where(is_constant, 1.0, std)
        self._kept = kept
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Standardise the channels that are kept.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals with the same number of channels as in `fit`. Their spatial sizes may differ from those in `fit`,
            unless `X` is 2-D.

        out : array of shape `(n_samples, *space, n_kept)`, default=None
            Array to write the result to: an ndarray, a :obj:`numpy.memmap`, a zarr array or an h5py dataset. It must
            have the dtype of the result and must not share memory with `X`.

        Returns
        -------
        signals : ndarray or Dask array of shape `(n_samples, *space, n_kept)`
            Standardised signals. The dtype is float64 for float64 input and integers beyond ``2**24``, float32
            otherwise. If `out` is given, it is returned.

        Raises
        ------
        ValueError
            If `out` has the wrong shape or dtype, cannot be written to, shares memory with `X`, or is given although
            `X` is a Dask array or contains signals of different sizes.
        OSError
            If there is not enough disk space for `out`.
        """
        check_is_fitted(self)
        signals = validation.as_fitted_signals(self, X, self._flattened, stored=True, mixed=True)
        return self._compute(
            self._standardise,
            lambda shape: max(1, BLOCK // prod(shape)),
            signals,
            lambda shape: (*shape[:-1], len(self._kept)),
            out,
            X,
        )

    def _standardise(self, X):  # (n, *space, c) -> (n, *space, n_kept)
        kept = np.take(X, self._kept, axis=-1)
        return (kept - self.mean_.astype(X.dtype)) / np.maximum(self.scale_, np.finfo(X.dtype).tiny).astype(X.dtype)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the channels that are kept.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            ``["c0", "c1", ...]``, with the indices of the channels in `X`.
        """
        check_is_fitted(self)
        return channel_names("c", self.input_shape_[-1])[self._kept]


def check_channels(channels, n_channels):
    """Return the indices of the channels to keep, as an array."""
    if channels is None:
        return np.arange(n_channels)
    try:
        kept = np.asarray(channels)
    except ValueError:  # lists of different lengths
        kept = np.empty(0)
    is_valid = kept.ndim == 1 and kept.size and kept.dtype.kind in "iu" and len(np.unique(kept)) == kept.size
    if not is_valid or kept.min() < 0 or kept.max() >= n_channels:
        raise ValueError(
            f"channels must be None or a list of distinct ints from 0 to {n_channels - 1}, because X has "
            f"n_channels={n_channels}; got {channels!r}."
        )
    return kept


def moments(signals, kept):  # -> (n_kept,), (n_kept,)
    """Return the mean and the standard deviation of every channel that is kept, in double precision.

    The deviations from the mean are divided by the range of the channel first, so that no square underflows.
    """
    count = sum(len(group) * prod(group.shape[:-1]) for _, group in signals.groups)
    total, lowest, highest = np.zeros(len(kept)), np.full(len(kept), np.inf), np.full(len(kept), -np.inf)
    for block in values(signals, kept):
        total += block.sum(axis=0, dtype=float)
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
    mean = np.clip(total / count, lowest, highest)  # The mean of equal values is this value, without rounding.
    unit = np.where(highest > lowest, highest - lowest, 1)
    squares = sum((((block - mean) / unit) ** 2).sum(axis=0) for block in values(signals, kept))
    return mean, unit * np.sqrt(squares / count)


def values(signals, kept):
    """Yield the values of the channels that are kept, in blocks of shape (n_values, n_kept)."""
    for _, group in signals.groups:
        for piece, _ in group.pieces():
            for rows in slices(len(piece), max(1, BLOCK // prod(piece.shape))):
                yield piece.read(rows).reshape(-1, piece.shape[-1])[:, kept]
