"""What is done to images before the first layer."""

from collections.abc import Sequence
from math import prod
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from . import _validation
from ._core import zca
from ._core.machine import over_blocks, slices
from ._lazy import transform_blocks
from ._maps import MapsMixin, channel_names
from ._persistence import PersistentMixin
from ._signals import over_pieces
from ._threads import effective_n_jobs
from ._typing import RandomState, Result, Rows, Sizes, Writable, typed

__all__ = ["PatchWhitening"]


class PatchWhitening(PersistentMixin, MapsMixin, BaseEstimator):
    """Whiten images by their patches: edges stay, and what neighbours have in common goes.

    All patches z that lie inside an image, less their means over positions (channel by channel), are multiplied by a
    negative power of their second moments C, and the image is put together again from them, by the mean where they
    overlap::

        C  = mean over patches of z z^T
        z' = (C + reg trace(C) / d I)^(-exponent) z

    C is that of each image by itself (`method="local"`), so that its dominant colours and edges count no more than
    others, or that of all training images (`"global"`), the usual ZCA whitening of patches. The colour of the light
    goes with the rest; where colours themselves tell classes apart, features are better without whitening.

    Parameters
    ----------
    patch_size : int or tuple of ndim ints, default=3
        Positions of a patch along each space axis, together at least two.

    method : {"local", "global"}, default="local"
        Whether C is the mean over the patches of the image itself or over those of the images in `fit`.

    exponent : float, default=0.5
        Strength of the whitening, from 0 to 1: with ``reg=0``, 0.5 makes the second moments of patches equal in all
        directions (before they are put together), 0.25 is the half whitening in the author's own code for [1]_ (without
        `normalize_contrast`), 0 only subtracts means.

    reg : float, default=0.1
        Added to the eigenvalues of C, in units of their mean, before their power; >= 0. Directions with less than 1e-12
        of the largest eigenvalue, which may come from rounding, become 0.

    normalize_contrast : bool, default=True
        Whether images are divided by their standard deviations first. Those of constant images are 0, and so is the
        result.

    subsample : int, default=10_000
        At most so many images, drawn at random, tell C for `method="global"`.

    ndim : {1, 2, 3}, default=2
        Number of space axes, as in `CKNLayer`.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, as in `CKNLayer`.

    n_jobs : int or None, default=None
        Threads over blocks of images. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit.

    random_state : int, RandomState instance or None, default=None
        Draws the images for `method="global"`, if there are more than `subsample`.

    Attributes
    ----------
    whitening_ : ndarray of shape `(d, d)` or None
        The negative power of C, ``d = prod(patch_size) * n_channels``, for `method="global"`.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`.

    n_features_in_ : int
        Values in one signal, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        In `fit` and `transform`: `X` has other axes or channels than expected, is empty, not finite or so large that
        its squares are not; the images are smaller than a patch.

    See Also
    --------
    CKNFeatureMap : What usually comes next.
    sklearn_ckn.presets.make_classifier : Recipes, which whiten photographs.

    Notes
    -----
    `X` and `out` may be larger than memory, and `X` a Dask array, as for `CKNLayer`. A thread holds all patches of an
    image in single and in double precision, some ``3 prod(patch_size)`` times a float32 image itself.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks",
       NIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sklearn_ckn.preprocessing import PatchWhitening
    >>> images = np.array([image[::8, ::8] for image in load_sample_images().images])
    >>> whitened = PatchWhitening().fit_transform(images)
    >>> whitened.shape
    (2, 54, 80, 3)
    >>> def correlation(X):  # of each value and that beside it
    ...     return np.corrcoef(X[:, :, 1:].ravel(), X[:, :, :-1].ravel())[0, 1]
    >>> bool(correlation(images) > 0.8), bool(abs(correlation(whitened)) < 0.3)
    (True, True)
    """

    _parameter_constraints = {
        "patch_size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "method": [StrOptions({"local", "global"})],
        "exponent": [Interval(Real, 0, 1, closed="both")],
        "reg": [Interval(Real, 0, None, closed="left")],
        "normalize_contrast": ["boolean"],
        "subsample": [Interval(Integral, 1, None, closed="left")],
        "ndim": [Options(Integral, {1, 2, 3})],
        "input_shape": [tuple, list, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        patch_size: Sizes = 3,
        *,
        method: Literal["local", "global"] = "local",
        exponent: float = 0.5,
        reg: float = 0.1,
        normalize_contrast: bool = True,
        subsample: int = 10_000,
        ndim: int = 2,
        input_shape: Sequence[int] | None = None,
        n_jobs: int | None = None,
        random_state: RandomState | None = None,
    ) -> None:
        self.patch_size = patch_size
        self.method = method
        self.exponent = exponent
        self.reg = reg
        self.normalize_contrast = normalize_contrast
        self.subsample = subsample
        self.ndim = ndim
        self.input_shape = input_shape
        self.n_jobs = n_jobs
        self.random_state = random_state

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the second moments of patches, for `method="global"`; otherwise record the shape of the images.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape`.
        y : None
            Ignored.

        Returns
        -------
        self : PatchWhitening
            The fitted transformer.

        Raises
        ------
        ValueError
            A parameter is out of its range.
        """
        signals = _validation.as_signals(self, X, self.ndim, self.input_shape, stored=True)
        size = self._check_sizes(signals.shape)
        whitening = None
        if self.method == "global":
            C = self._second_moments(signals, size)
            whitening = zca.negative_power(C, self.exponent, self.reg, signals.dtype)
        _validation.record_feature_names(self, X)
        self.whitening_ = whitening
        self.input_shape_ = signals.shape
        self.n_features_in_ = prod(signals.shape)
        self._flattened = self.input_shape is not None
        self._settings = size, self.normalize_contrast, self.exponent, self.reg
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Whiten images.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals with the channels of those in `fit`. Their space may have another size, except in a 2-D `X`.

        out : array of shape `(n_samples, *space, n_channels)`, default=None
            Where the images are written, of their dtype: an ndarray, a :obj:`numpy.memmap`, an array of zarr or h5py,
            which does not share memory with `X`.

        Returns
        -------
        images : ndarray or Dask array of shape `(n_samples, *space, n_channels)`
            Numbers in float64 if `X` is (or longer), else in float32. `out`, if that is given.

        Raises
        ------
        ValueError
            `out` has another shape or dtype, cannot be written to, or shares memory with `X`; it is given for a Dask
            array.
        OSError
            There is no space on the disk for `out`.
        """
        check_is_fitted(self)
        signals = _validation.as_fitted_signals(self, X, self._flattened, stored=True)
        size, normalize_contrast, *power = self._settings
        _check_space(size, signals.shape)
        n_threads, n_together = effective_n_jobs(self.n_jobs), zca.block_size(signals.shape, size)
        if signals.is_lazy:
            _validation.check_no_out(out)
            return transform_blocks(self, signals, signals.shape)

        def whitening(P):
            if self.whitening_ is not None:
                return self.whitening_
            return zca.negative_power(zca.second_moments(P), *power, P.dtype)

        def fill(piece, target, place):
            def whiten(rows):
                target[place(rows)] = zca.whiten(_read(piece, rows, normalize_contrast), size, whitening)

            over_blocks(whiten, slices(len(piece), n_together), n_threads)

        images = _validation.check_out(out, (len(signals), *signals.shape), signals.dtype, X)
        return over_pieces(signals, images, fill, is_kept=out is not None)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the channels.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            ``["c0", "c1", ...]``.
        """
        check_is_fitted(self)
        return channel_names("c", self.input_shape_[-1])

    def _check_sizes(self, shape):  # (*space, c) -> (ndim ints)
        size = _validation.per_axis("patch_size", self.patch_size, self.ndim)
        if prod(size) == 1:
            raise ValueError(
                f"patch_size must have several positions; got {self.patch_size!r}: less its mean, every patch would be "
                f"0."
            )
        _check_space(size, shape)
        return size

    def _second_moments(self, signals, size):  # -> (d, d)
        """Of the patches of all signals, or of those drawn."""
        if len(signals) > self.subsample:
            rng = check_random_state(self.random_state)
            signals = signals[np.sort(rng.choice(len(signals), self.subsample, replace=False))]

        n_threads, n_together, C = effective_n_jobs(self.n_jobs), zca.block_size(signals.shape, size), 0
        for piece, _ in signals.pieces():

            def of_block(rows, piece=piece):
                X = _read(piece, rows, self.normalize_contrast)
                return zca.second_moments(zca.centred_patches(X, size)).sum(axis=0)

            C += sum(over_blocks(of_block, slices(len(piece), n_together), n_threads))
        return C / len(signals)


def _check_space(size, shape):
    if any(k > length for k, length in zip(size, shape)):
        raise ValueError(
            f"X has signals of shape {shape} (n_features={prod(shape)}), smaller than a patch of {size}: lower "
            f"patch_size."
        )


def _read(signals, rows, normalize_contrast):  # -> (n, *space, c)
    X = signals.read(rows)
    return zca.normalize_contrast(X) if normalize_contrast else X
