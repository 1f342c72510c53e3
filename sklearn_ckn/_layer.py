"""One layer of a convolutional kernel network."""

import warnings
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
from ._core import encode, kappa, kmeans, patches, sampling
from ._lazy import encoded, transform_blocks
from ._maps import MapsMixin, channel_names
from ._persistence import PersistentMixin
from ._progress import CallbackSupportMixin, Progress
from ._threads import effective_n_jobs
from ._typing import KernelName, RandomState, Result, Rows, Sizes, Writable, typed


class CKNLayer(PersistentMixin, CallbackSupportMixin, MapsMixin, BaseEstimator):
    """One layer of a convolutional kernel network: a transformer from maps to maps.

    In words: a channel of the output tells how much the neighbourhood of a position resembles one filter, compared with
    the others (so that it may be negative), smoothed over space. In mathematics: at every position u of a map x the
    patch z is mapped by a homogeneous dot-product kernel, projected on the filters (Nyström) [1]_, and the result is
    pooled::

        K(z, z') = |z| |z'| kappa(<z, z'> / (|z| |z'|))
        psi(z)   = |z| (kappa(Z Z^T) + reg I)^(-1/2) kappa(Z z / |z|)
        y(v)     = sum_u h(u - v) psi(patch of x at u)

    with kappa = the function of `kernel`, Z = `filters_` (unit rows) and h = the weights of `pooling`. `fit` learns Z
    without labels: spherical k-means on patches drawn uniformly from all signals, constant ones left out. A signal
    twice as large has an output twice as large.

    Parameters
    ----------
    n_filters : int, default=64
        Number of filters, the channels of the output map.

    patch_size : int or tuple of ndim ints, default=3
        Positions (pixels, voxels, steps of time) of a patch along each space axis.

    pooling_width : int or tuple of ndim ints, default=2
        Scale of the pooling's weights in positions, and of the invariance. 1: no smoothing.

    subsampling : int, tuple of ndim ints or None, default=None
        Positions from one pooled position to the next. None: `pooling_width`. Of a Gaussian-pooled axis of n positions
        ``ceil(n / subsampling)`` are left.

    pooling : {"gaussian", "average"}, default="gaussian"
        `"gaussian"`: weights ``exp(-(d / pooling_width)^2)`` for ``|d| <= pooling_width`` (of width 1: for ``d = 0``
        only), divided by their sum, around the positions 0, `subsampling`, ...; zeros outside the map. `"average"`: the
        mean of `pooling_width` positions, full windows only: with the size of the whole map, the mean of all, which
        `"gaussian"` does not give, whose only position would be the first.

    padding : {"same", "valid"}, default="same"
        `"same"`: zeros around the map, as many patches as positions; a patch of even size reaches one position further
        after its centre than before. `"valid"`: only patches that lie inside. With zeros, patches at the border of a
        bright image have an edge, which some filters become.

    patch_centering : bool, default=False
        Subtract from each patch its mean over positions, channel by channel.

    kernel : {"exponential", "polynomial", "inverse_polynomial", "arccos0", "arccos1", "vovk", "linear"}, \
            default="exponential"
        The function kappa of u in [-1, 1]:

        - `"exponential"`: ``exp((u - 1) / sigma^2)``, the Gaussian kernel on the sphere;
        - `"polynomial"`: ``((coef0 + u) / (coef0 + 1))^degree``;
        - `"inverse_polynomial"`: ``1 / (2 - u)``;
        - `"arccos1"`: ``(sin t + (pi - t) cos t) / pi``, ``t = arccos(u)``, infinitely many ReLU;
        - `"arccos0"`: ``1 - t / pi``, infinitely many steps; for `CKNKernel` only, `fit` refuses it;
        - `"vovk"`: ``(1 + u + u^2) / 3``;
        - `"linear"`: ``u``.

    sigma : float or "auto", default=0.6
        Width of the exponential kernel, > 0; from 0.5 to 1 is worth a search. `"auto"`: sigma^2 is the 0.1 quantile of
        the squared distances between drawn, normalised patches [2]_.

    degree : int, default=2
        Degree of the polynomial kernel, at least 1.

    coef0 : float, default=0.0
        Constant of the polynomial kernel, not negative. 0: the pure power; ``degree - 1``: non-expansive.

    init : {"k-means", "random"} or array of shape `(n_filters, *patch_size, n_channels)`, default="k-means"
        How the filters are found: by spherical k-means from patches that are spread (greedy k-means++; drawn at random
        where they have millions of values), as randomly drawn patches, or as given (then normalised).

    n_patches : int, default=100_000
        At most so many patches are drawn from the signals and held in memory together, which is much of it for patches
        of thousands of values. They take most of the time of `fit` where there are few signals: a tenth of them is
        often enough for a search.

    max_iter : int, default=20
        At most so many iterations of k-means. For patches of 256 numbers and more, all but the last two are made in a
        subspace that keeps 95 % of the patches' squares, if at most a quarter of the dimensions is enough for that.

    reg : float, default=1e-3
        Added to the eigenvalues of ``kappa(Z Z^T)``, whose diagonal is 1, before their inverse square root; > 0. It
        keeps that from dividing by zero, and from 1e-5 to 0.1 changes little: it is no penalty to be tuned.

    ndim : {1, 2, 3}, default=2
        Number of space axes: 1 for time series, 2 for images, 3 for volumes. `X` has shape
        ``(n_samples, *space, n_channels)``, or ``(n_samples, *space)`` for one channel.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, flattened in C order.
        One size may be -1 and is inferred at `fit`.

    n_jobs : int or None, default=None
        Threads over blocks of signals. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit (of 2048 filters and more, for the same threads of BLAS).

    random_state : int, RandomState instance or None, default=None
        Draws the patches and the first centres of k-means.

    Attributes
    ----------
    filters_ : ndarray of shape `(n_filters, *patch_size, n_channels)`
        Filters, of norm 1, not to be changed in place. Fewer than `n_filters` if fewer distinct patches were drawn.

    whitening_ : ndarray of shape `(n_filters, n_filters)`
        ``(kappa(Z Z^T) + reg I)^(-1/2)``.

    sigma_ : float
        The `sigma` used.

    n_iter_ : int
        Iterations of k-means.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`.

    n_features_in_ : int
        Values in one signal, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        In all methods that take `X`: it has other axes or channels than expected, is empty, not finite or so large that
        its squares are not; the signals are smaller than a patch with ``padding="valid"``, or the map than an averaging
        window.

    Warns
    -----
    UserWarning
        In `fit` and `partial_fit`: fewer distinct patches than `n_filters` were drawn.

    See Also
    --------
    CKNFeatureMap : A whole network, without its intermediate maps in memory.
    CKNKernel : The kernel that a network of layers approximates.
    Flatten : Maps as rows of features.

    Notes
    -----
    `X` may be larger than memory: a :obj:`numpy.memmap`, an array of zarr or h5py, or whatever has `shape`, `dtype` and
    slices of rows. It is read by parts, which is when its values are checked, and `fit` reads only signals that it
    draws patches from. Of a Dask array `fit` draws patches where the blocks are, and `transform` gives a Dask array.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks", NIPS 2016,
       section 2, equations (1) to (3) for the kernel.
    .. [2] J. Mairal, P. Koniusz, Z. Harchaoui and C. Schmid, "Convolutional kernel networks",
       NIPS 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNLayer
    >>> images = load_digits().images  # (1797, 8, 8): one channel
    >>> layer = CKNLayer(n_filters=32, pooling_width=2, random_state=0)
    >>> maps = layer.fit_transform(images)
    >>> maps.shape
    (1797, 4, 4, 32)
    >>> layer.filters_.shape
    (32, 3, 3, 1)
    >>> np.allclose(layer.transform(2 * images), 2 * maps)
    True
    """

    _RECORDS = encode.LayerSettings, *kappa.KERNELS.values()
    _SIZE = [Interval(Integral, 1, None, closed="left"), tuple, list]  # the sizes in it: _validation.per_axis
    _parameter_constraints = {
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "patch_size": _SIZE,
        "pooling_width": _SIZE,
        "subsampling": [*_SIZE, None],
        "pooling": [StrOptions({"gaussian", "average"})],
        "padding": [StrOptions({"same", "valid"})],
        "patch_centering": ["boolean"],
        "kernel": [StrOptions(set(kappa.KERNELS))],
        "sigma": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "coef0": [Interval(Real, 0, None, closed="left")],
        "init": [StrOptions({"k-means", "random"}), "array-like"],
        "n_patches": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "reg": [Interval(Real, 0, None, closed="neither")],
        "ndim": [Options(Integral, {1, 2, 3})],
        "input_shape": [tuple, list, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_filters: int = 64,
        *,
        patch_size: Sizes = 3,
        pooling_width: Sizes = 2,
        subsampling: Sizes | None = None,
        pooling: Literal["gaussian", "average"] = "gaussian",
        padding: Literal["same", "valid"] = "same",
        patch_centering: bool = False,
        kernel: KernelName = "exponential",
        sigma: float | Literal["auto"] = 0.6,
        degree: int = 2,
        coef0: float = 0.0,
        init: Literal["k-means", "random"] | np.ndarray = "k-means",
        n_patches: int = 100_000,
        max_iter: int = 20,
        reg: float = 1e-3,
        ndim: int = 2,
        input_shape: Sequence[int] | None = None,
        n_jobs: int | None = None,
        random_state: RandomState | None = None,
    ) -> None:
        self.n_filters = n_filters
        self.patch_size = patch_size
        self.pooling_width = pooling_width
        self.subsampling = subsampling
        self.pooling = pooling
        self.padding = padding
        self.patch_centering = patch_centering
        self.kernel = kernel
        self.sigma = sigma
        self.degree = degree
        self.coef0 = coef0
        self.init = init
        self.n_patches = n_patches
        self.max_iter = max_iter
        self.reg = reg
        self.ndim = ndim
        self.input_shape = input_shape
        self.n_jobs = n_jobs
        self.random_state = random_state

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the filters from patches of the signals.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape`.
        y : None
            Ignored.

        Returns
        -------
        self : CKNLayer
            The fitted layer.

        Raises
        ------
        ValueError
            A parameter is out of its range, or contradicts another; ``kernel="arccos0"``; `init` has another shape, or
            a filter of zeros.
        """
        signals = _validation.as_signals(self, X, self.ndim, self.input_shape, stored=True)
        progress = Progress(self, 0, False, X, y)
        attributes, _ = self._learn(encoded(signals, [], effective_n_jobs(self.n_jobs)))
        _validation.record_feature_names(self, X)
        vars(self).update(attributes, _reservoir=None)
        progress.end()
        return self

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def partial_fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the filters from patches of these signals and of those given before.

        A reservoir of at most `n_patches` patches is kept, drawn uniformly from all that were seen, and every call runs
        k-means on it: give large batches. A first call does what `fit` does; one after `fit` begins anew.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            More signals, of the channels of those before.
        y : None
            Ignored.

        Returns
        -------
        self : CKNLayer
            The layer, fitted to all signals so far.

        Raises
        ------
        ValueError
            As by `fit`; `patch_size`, `padding` or `patch_centering` was changed since the first call.
        """
        before = getattr(self, "_reservoir", None)
        if before is None:
            signals = _validation.as_signals(self, X, self.ndim, self.input_shape, stored=True)
        else:
            signals = _validation.as_fitted_signals(self, X, self._flattened, stored=True)
            if self._read_settings()[:3] != self._settings[:3]:
                raise ValueError(
                    f"patch_size, padding and patch_centering must stay as in the first partial_fit; got "
                    f"patch_size={self.patch_size!r}, padding={self.padding!r}, patch_centering="
                    f"{self.patch_centering!r}. To begin anew, call fit."
                )
        progress = Progress(self, 0, False, X, y)
        rng = check_random_state(self.random_state if before is None else before[1])
        maps = encoded(signals, [], effective_n_jobs(self.n_jobs))
        attributes, drawn = self._learn(maps, rng, before)
        if before is None:
            _validation.record_feature_names(self, X)
        vars(self).update(attributes, _reservoir=(drawn, rng.randint(sampling.LARGEST_SEED)))
        progress.end()
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Map signals to their pooled and projected patches.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals with the channels of those in `fit`. Their space may have another size, except in a 2-D `X`.
        out : array of shape `(n_samples, *pooled_space, n_filters)`, default=None
            Where the maps are written, of their dtype: an ndarray, a :obj:`numpy.memmap`, an array of zarr or h5py,
            which does not share memory with `X`.

        Returns
        -------
        maps : ndarray or Dask array of shape `(n_samples, *pooled_space, n_filters)`
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
        _validation.check_space(self._settings, signals.shape[:-1])
        maps = encoded(signals, [self], effective_n_jobs(self.n_jobs))
        if signals.is_lazy:
            _validation.check_no_out(out)
            return transform_blocks(self, signals, maps.shape)
        result = _validation.check_out(out, (len(maps), *maps.shape), maps.dtype, X)
        return maps.write(signals, result, is_kept=out is not None)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the channels of the output maps, one per filter.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            ``["f0", "f1", ...]``.
        """
        check_is_fitted(self)
        return channel_names("f", len(self.filters_))

    def _learn(self, maps, rng=None, before=None):
        """The attributes to be set by `fit`, by name, and what was drawn to find them; the estimator is not changed.

        Parameters
        ----------
        maps : EncodedSignals or EncodedBlocks
        rng : RandomState or None
            None: of `random_state`.
        before : tuple or None
            The reservoir, if there is one.
        """
        if self.kernel == "arccos0":
            raise ValueError(
                "kernel='arccos0' has an infinite slope at 1 and no usable finite approximation: it is for the exact "
                "kernel, CKNKernel, only. Use kernel='arccos1', or 'exponential' with a small sigma."
            )
        settings, (*space, n_channels) = self._read_settings(), maps.shape
        _validation.check_space(settings, space)
        rng, n_iter, drawn = check_random_state(self.random_state) if rng is None else rng, 0, None
        if isinstance(self.init, str) or self.sigma == "auto":
            drawn = self._draw(maps, settings, rng)
            if before is not None and before[0] is not None:
                drawn = sampling.merge(before[0], drawn, self.n_patches, rng)
            U = drawn[0] if len(drawn[0]) else self._constant_patches(maps, settings, rng)
        if isinstance(self.init, str):
            max_iter = self.max_iter if self.init == "k-means" else 0
            Z, n_iter = kmeans.spherical_kmeans(U, self.n_filters, max_iter, rng, maps.n_threads)
        else:
            Z = _validation.check_filters(self.init, self.n_filters, settings.patch_size, n_channels, maps.dtype)
            Z = patches.normalize(Z)[1]
        if len(Z) < self.n_filters:
            warnings.warn(
                f"n_filters={self.n_filters}, but only {len(Z)} distinct patches were drawn, constant ones left out: "
                f"the layer keeps {len(Z)}. Lower n_filters, raise n_patches (now {self.n_patches}) or add signals."
            )
        sigma = encode.typical_sigma(U, rng) if self.sigma == "auto" else float(self.sigma)
        settings = settings._replace(kernel=self._read_kernel(sigma))
        attributes = {
            "filters_": Z.reshape(-1, *settings.patch_size, n_channels),
            "whitening_": encode.whitening(Z, settings).astype(Z.dtype),
            "sigma_": sigma,
            "n_iter_": n_iter,
            "input_shape_": maps.shape,
            "n_features_in_": prod(maps.shape),
            "_settings": settings,
            "_flattened": self.input_shape is not None,
        }
        return attributes, drawn

    def _read_settings(self):
        """The parameters as `_core` takes them, checked against each other."""
        patch_size = _validation.per_axis("patch_size", self.patch_size, self.ndim)
        pooling_width = _validation.per_axis("pooling_width", self.pooling_width, self.ndim)
        if self.patch_centering and prod(patch_size) == 1:
            raise ValueError("patch_centering=True needs a patch_size of several positions; got 1: all patches were 0.")
        return encode.LayerSettings(
            patch_size=patch_size,
            padding_widths=patches.padding_widths(patch_size, self.padding),
            patch_centering=bool(self.patch_centering),
            kernel=None,  # until sigma is known
            pooling=self.pooling,
            pooling_width=pooling_width,
            subsampling=pooling_width
            if self.subsampling is None
            else _validation.per_axis("subsampling", self.subsampling, self.ndim),
            reg=float(self.reg),
        )

    def _read_kernel(self, sigma):
        return kappa.make(self.kernel, sigma=sigma, degree=int(self.degree), coef0=float(self.coef0))

    def _draw(self, maps, settings, rng, wanted=sampling.varies):
        """Directions of at most `n_patches` patches, those that vary, and about how many there are of them."""
        return sampling.sample(maps, self.n_patches, *settings[:3], rng, wanted)

    def _constant_patches(self, maps, settings, rng):
        """Directions of constant patches, where none varies; there is one at least."""
        if not settings.patch_centering:
            U, _ = self._draw(maps, settings, rng, sampling.not_zero)
            if len(U):
                return U
        return patches.normalize(np.ones((1, prod(settings.patch_size) * maps.shape[-1]), dtype=maps.dtype))[1]
