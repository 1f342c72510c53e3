"""Whitening of images by their patches."""

from collections.abc import Sequence
from functools import partial
from math import prod
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._arrays import parameters, validation
from .._core import patch_whitening
from .._core.layer.patches import PatchGeometry
from .._core.patch_whitening import WhiteningSettings
from .._core.runtime.threads import over_blocks, slices
from .._utils.maps import channel_names
from .._utils.n_jobs import effective_n_jobs
from .._utils.typing import RandomState, Result, Rows, Sizes, Writable, typed
from ._blockwise import BlockwiseTransformer, check_shapes


class PatchWhitening(BlockwiseTransformer):
    """Patch-based whitening of images, which keeps edges and removes local correlation.

    Each patch z that lies entirely inside an image is centred by subtracting its mean over positions, channel by
    channel. The centred patches are then multiplied by a negative power of the matrix C of their second moments::

        C  = mean over patches of z z^T
        z' = (C + reg trace(C) / d I)^(-exponent) z

    The image is reassembled from the whitened patches z', which are averaged where they overlap.

    With `method="local"`, C is computed from each image separately, so the dominant colours and edges of an image count
    no more than its other colours and edges. With `method="global"`, C is computed from all training images, which is
    the usual ZCA whitening of patches. Whitening also removes the colour of the illumination. If colour itself
    distinguishes the classes, features are better without whitening.

    Parameters
    ----------
    patch_size : int or tuple of ndim ints, default=3
        Number of positions of a patch along each spatial axis, with at least two positions in total.

    method : {"local", "global"}, default="local"
        Whether C is the mean over the patches of the image itself (`"local"`) or over the patches of the images seen in
        `fit` (`"global"`).

    exponent : float, default=0.5
        Strength of the whitening, from 0 to 1. With ``reg=0``, 0.5 makes the second moments of the patches equal in all
        directions (before the image is reassembled), 0.25 is the half whitening of the images in [1]_ (without
        `normalize_contrast`), and 0 only subtracts the means. Patches are centred once, and the image is reassembled
        once. A public implementation of the half whitening extracts patches from the reassembled image a second time;
        its images differ from these by 8 % on average.

    reg : float, default=0.1
        Regularisation strength, >= 0. It is added to the eigenvalues of C, in units of their mean, before the power is
        taken. Components along eigenvectors whose eigenvalue is less than 1e-12 times the largest eigenvalue are set to
        0, because such a small eigenvalue may be due to floating-point rounding.

    normalize_contrast : bool, default=True
        Whether to divide each image by its own standard deviation before whitening. The result for a constant image is
        0.

    subsample : int, default=10_000
        Maximum number of images from which C is computed for `method="global"`. If `X` has more images, this many
        of them are drawn at random.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes. See `CKNLayer`.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, as in `CKNLayer`.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    random_state : int, RandomState instance or None, default=None
        Determines which images are drawn for `method="global"` if there are more than `subsample` images. Pass an int
        for reproducible results.

    Attributes
    ----------
    whitening_ : ndarray of shape `(d, d)` or None
        Negative power of C for `method="global"`, with ``d = prod(patch_size) * n_channels``. None for
        `method="local"`.

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
        If, in `fit` or `transform`, `X` is invalid for one of the reasons listed in `CKNLayer`, or if the images are
        smaller than a patch.

    Warns
    -----
    UserWarning
        If the squares of all values of a signal underflow, or if, in `fit`, `X` is probably misread, as described in
        `CKNLayer`.

    See Also
    --------
    CKNFeatureMap : Network that usually follows this transformer.
    sklearn_ckn.AutoCKNClassifier : Classifier that tries whitened and unwhitened images.

    Notes
    -----
    `X` and `out` may be larger than memory, and `X` may be a Dask array or a list of images of different sizes, as in
    `CKNLayer`. For a list, `transform` returns a list. Each thread stores all patches of an image in both single and
    double precision, which takes about ``3 prod(patch_size)`` times the memory of a float32 image.

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
    >>> def correlation(X):  # of horizontal neighbours
    ...     return np.corrcoef(X[:, :, 1:].ravel(), X[:, :, :-1].ravel())[0, 1]
    >>> bool(correlation(images) > 0.8), bool(abs(correlation(whitened)) < 0.3)
    (True, True)
    """

    _RECORDS = WhiteningSettings, PatchGeometry
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
        """Record the shape of the images and, for `method="global"`, compute the second moments of their patches.

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
            If a parameter is out of range.
        """
        signals = validation.as_signals(self, X, self.ndim, self.input_shape, stored=True, mixed=True)
        settings, whitening = self._read_settings(), None
        check_shapes(signals, partial(check_shape, settings))
        if self.method == "global":
            C = self._second_moments(signals, settings)
            whitening = patch_whitening.negative_power(C, self.exponent, self.reg, signals.dtype)
        self._record(X, signals)
        self.whitening_ = whitening
        self._settings = settings
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Whiten images.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals with the same number of channels as in `fit`. Their spatial sizes may differ from those in `fit`,
            unless `X` is 2-D.

        out : array of shape `(n_samples, *space, n_channels)`, default=None
            Array to write the result to: an ndarray, a :obj:`numpy.memmap`, a zarr array or an h5py dataset. It must
            have the dtype of the result and must not share memory with `X`.

        Returns
        -------
        images : ndarray or Dask array of shape `(n_samples, *space, n_channels)`
            Whitened images. The dtype is float64 for float64 input and integers beyond ``2**24``, float32 otherwise. If
            `out` is given, it is returned.

        Raises
        ------
        ValueError
            If `out` has the wrong shape or dtype, cannot be written to, shares memory with `X`, or is given although
            `X` is a Dask array or contains images of different sizes.
        OSError
            If there is not enough disk space for `out`.
        """
        check_is_fitted(self)
        signals = validation.as_fitted_signals(self, X, self._flattened, stored=True, mixed=True)
        settings = self._settings
        check_shapes(signals, partial(check_shape, settings))
        whiten = partial(patch_whitening.whiten, settings=settings, whitening=self.whitening_)
        n_together = partial(patch_whitening.block_size, patch=settings.patch)
        return self._compute(whiten, n_together, signals, lambda shape: shape, out, X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the channels.

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

    def _read_settings(self):  # -> WhiteningSettings
        size = parameters.per_axis("patch_size", self.patch_size, self.ndim)
        if prod(size) == 1:
            raise ValueError(
                f"patch_size must have at least two positions; got {self.patch_size!r}. A patch of one position is "
                f"always 0 after its mean is subtracted. Increase patch_size."
            )
        patch = PatchGeometry.of(size, "valid", centering=True)
        return WhiteningSettings(patch, self.normalize_contrast, self.exponent, self.reg)

    def _second_moments(self, signals, settings):  # -> (d, d)
        """Return the second moments of patches, averaged over all signals or over signals drawn at random."""
        if len(signals) > self.subsample:
            rng = check_random_state(self.random_state)
            signals = signals[np.sort(rng.choice(len(signals), self.subsample, replace=False))]

        counts = [len(group) * prod(settings.patch.positions(group.shape[:-1])) for _, group in signals.groups]
        moments = [self._mean_moments(group, settings) for _, group in signals.groups]
        return sum(C * (count / sum(counts)) for C, count in zip(moments, counts))

    def _mean_moments(self, signals, settings):  # Signals -> (d, d)
        """Return the second moments of the patches of signals of one shape."""
        n_threads, C = effective_n_jobs(self.n_jobs), 0
        n_together = patch_whitening.block_size(signals.shape, settings.patch)
        for piece, _ in signals.pieces():

            def of_block(rows, piece=piece):
                P = patch_whitening.centred_patches(piece.read(rows), settings)
                return patch_whitening.second_moments(P).sum(axis=0)

            C += sum(over_blocks(of_block, slices(len(piece), n_together), n_threads))
        return C / len(signals)


def check_shape(settings, shape, subject="X has"):
    """Check that signals of a shape ``(*space, n_channels)`` are at least as large as a patch."""
    if 0 in settings.patch.positions(shape[:-1]):
        raise ValueError(
            f"{subject} signals of shape {shape} (n_features={prod(shape)}), which are smaller than a patch of size "
            f"{settings.patch.size}. Reduce patch_size."
        )
