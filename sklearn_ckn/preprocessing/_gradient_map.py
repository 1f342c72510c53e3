"""Gradients of images, compared with a few orientations."""

from collections.abc import Sequence
from functools import partial
from math import prod
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from .._arrays import validation
from .._core import gradient_map
from .._utils.maps import channel_names
from .._utils.serialization import PAGES
from .._utils.typing import Result, Rows, Writable, typed
from ._blockwise import BlockwiseTransformer, check_shapes

SMALLEST = 2  # minimum number of positions of an image along each axis


class GradientMap(BlockwiseTransformer):
    """Gradients of images, compared with a few orientations.

    For each channel of an image, let g be the gradient at a position, that is, the derivatives along the height and the
    width. They are central differences, and one-sided differences at the borders of the image. The unit vectors w_j
    have the angles ``t_j = 2 pi j / n_orientations``. Channel j of the transformed image is::

        w_j = (cos t_j, sin t_j)
        z_j = |g| exp(-|w_j - g / |g||^2 / sigma^2),    sigma = |w_1 - w_0|

    If g is 0, z_j is 0. If g has the orientation w_j, z_j is ``|g|``, and the channels of the two neighbouring
    orientations are ``|g| / e``. Adding a constant to a channel of the image does not change z, and multiplying the
    channel by a positive number multiplies z by the same number.

    Some of the networks in [1]_ have such an input. The inner product of the vectors z of two gradients g and g'
    approximates a multiple of ``|g| |g'| kappa(cos)``, where cos is the cosine of the angle between the gradients and
    kappa is the exponential kernel of `CKNLayer` with the same sigma. With 12 orientations, the cosine of the angle
    between the two vectors z differs from ``kappa(cos)`` by at most 0.03.

    Parameters
    ----------
    n_orientations : int or None, default=12
        Number of orientations, at least 3. If None, the transformed image contains the gradients themselves, and a
        `CKNLayer` with ``patch_size=1`` can learn orientations from them.

    input_shape : tuple of ints or None, default=None
        Shape ``(height, width)`` or ``(height, width, n_channels)`` of the images in the rows of a 2-D `X`, as in
        `CKNLayer`.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    orientations_ : ndarray of shape `(n_orientations, 2)` or None
        The unit vectors w_j. None if `n_orientations` is None.

    input_shape_ : tuple
        Shape ``(height, width, n_channels)`` of the images seen in `fit`, with None for every axis along which the
        images differ in size.

    n_features_in_ : int
        Number of values in one image, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`. Not defined
        if the sizes of the images differ.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If `X` contains no numbers, as described in `CKNLayer`.
    ValueError
        If, in `fit` or `transform`, `X` is invalid for one of the reasons listed in `CKNLayer`, or if the images have
        only one position along an axis.

    Warns
    -----
    UserWarning
        If the squares of all values of an image underflow, or if, in `fit`, `X` is probably misread, as described in
        `CKNLayer`.

    See Also
    --------
    CKNFeatureMap : Network that usually follows this transformer.
    PatchWhitening : Whitening of photographs, which also removes slow changes of brightness.

    Notes
    -----
    Mirroring or rotating an image also mirrors or rotates its gradients, and thus exchanges the channels of the map.
    The options `symmetries` and `augmentation` of a network that follows this transformer therefore do not have the
    intended effect: they transform the grid of the gradient map, but not its orientations.

    `X` and `out` may be larger than memory, and `X` may be a Dask array or a list of images of different sizes, as in
    `CKNLayer`. For a list, `transform` returns a list. Each thread needs up to four times the memory of one transformed
    image.

    References
    ----------
    .. [1] J. Mairal, P. Koniusz, Z. Harchaoui and C. Schmid, "Convolutional kernel networks",
       NIPS 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn.preprocessing import GradientMap
    >>> ramp = np.tile(np.arange(4.0), (1, 4, 1))  # This image increases along its width.
    >>> orientations = GradientMap(4).fit_transform(ramp)
    >>> orientations.shape
    (1, 4, 4, 4)
    >>> orientations[0, 2, 2].round(2)
    array([0.37, 1.  , 0.37, 0.14])
    >>> GradientMap(None).fit_transform(ramp)[0, 2, 2]
    array([0., 1.])
    """

    ndim = 2  # number of spatial axes, which is a parameter of other transformers
    _parameter_constraints = {
        "n_orientations": [Integral, None],
        "input_shape": [tuple, list, None],
        "n_jobs": [Integral, None],
    }
    _doc_link_template = PAGES.replace("{estimator_name}", "preprocessing.{estimator_name}")

    def __init__(
        self,
        n_orientations: int | None = 12,
        *,
        input_shape: Sequence[int] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_orientations = n_orientations
        self.input_shape = input_shape
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Record the shape of the images and compute the orientations.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Images, with ``space = (height, width)``; see `input_shape`.
        y : None
            Ignored.

        Returns
        -------
        self : GradientMap
            The fitted transformer.

        Raises
        ------
        ValueError
            If `n_orientations` is less than 3.
        """
        if self.n_orientations is not None and self.n_orientations < 3:
            raise ValueError(
                f"n_orientations must be at least 3, or None for the gradients themselves; got {self.n_orientations}. "
                f"Fewer orientations lie on one line and cannot distinguish gradients on opposite sides of the line."
            )
        signals = validation.as_signals(self, X, self.ndim, self.input_shape, stored=True, mixed=True)
        check_shapes(signals, check_shape)
        self._record(X, signals)
        self.orientations_ = None if self.n_orientations is None else gradient_map.orientations(self.n_orientations)
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Compute the gradients of images and compare them with the orientations.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Images with the same number of channels as in `fit`. Their height and width may differ from those in `fit`,
            unless `X` is 2-D.

        out : array of shape `(n_samples, height, width, n_channels * n_orientations)`, default=None
            Array to write the result to: an ndarray, a :obj:`numpy.memmap`, a zarr array or an h5py dataset. It must
            have the dtype of the result and must not share memory with `X`.

        Returns
        -------
        maps : ndarray or Dask array of shape `(n_samples, height, width, n_channels * n_orientations)`
            All orientations of the first channel of the images, followed by those of the second channel, and so on. If
            `n_orientations` is None, each channel has two derivatives, along the height and along the width. The dtype
            is float64 for float64 input and integers beyond ``2**24``, float32 otherwise. If `out` is given, it is
            returned.

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
        check_shapes(signals, check_shape)

        def shape_of(shape):
            return (*shape[:-1], shape[-1] * len(self._kinds()))

        encode = partial(gradient_map.encode, W=self.orientations_)
        return self._compute(encode, lambda shape: gradient_map.block_size(shape_of(shape)), signals, shape_of, out, X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the channels.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            ``["c0_o0", "c0_o1", ..., "c1_o0", ...]``, or ``["c0_dy", "c0_dx", "c1_dy", ...]`` if `n_orientations` is
            None.
        """
        check_is_fitted(self)
        channels = channel_names("c", self.input_shape_[-1])
        return np.array([f"{channel}_{kind}" for channel in channels for kind in self._kinds()], dtype=object)

    def _kinds(self):
        """Return the names of the channels that are computed from one channel of an image."""
        return ["dy", "dx"] if self.orientations_ is None else channel_names("o", len(self.orientations_))


def check_shape(shape, subject="X has"):
    """Check that images of a shape ``(height, width, n_channels)`` have gradients."""
    if min(shape[:-1]) < SMALLEST:
        raise ValueError(
            f"{subject} images of shape {shape} (n_features={prod(shape)}), but gradients need at least {SMALLEST} "
            f"positions along each spatial axis. If the channels come first, move them to the last axis, for example "
            f"with np.moveaxis. If X contains series, remove GradientMap."
        )
