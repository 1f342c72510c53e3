"""One layer of a convolutional kernel network."""

from collections.abc import Sequence
from math import prod
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._arrays import parameters, tables, validation
from ._arrays.encoded import check_spaces, encoded
from ._arrays.mixed import common_shape
from ._arrays.results import transformed
from ._arrays.signals import frozen
from ._core.filters import bandwidth, kmeans, sampling
from ._core.layer import kappa, nystroem, patches
from ._core.layer.pooling import WINDOWS, Fixed, Sliding
from ._core.layer.settings import LayerSettings
from ._utils.caller import warn
from ._utils.maps import MapsMixin, channel_names
from ._utils.n_jobs import effective_n_jobs
from ._utils.progress import CallbackSupportMixin, Progress
from ._utils.serialization import PersistentMixin
from ._utils.typing import KernelName, PoolingName, RandomState, Result, Rows, Sizes, Writable, typed


class Reservoir(NamedTuple):
    """What `partial_fit` keeps between calls."""

    drawn: sampling.Sample | None  # patches from all signals so far, or None if no patches are needed
    seed: int  # seed of the random choices in the next call


class CKNLayer(PersistentMixin, CallbackSupportMixin, MapsMixin, BaseEstimator):
    """One layer of a convolutional kernel network: a transformer from maps to maps.

    Intuitively, an output channel measures the similarity of the neighbourhood of each position to one filter, relative
    to the other filters (so it can be negative), smoothed over the spatial axes. Mathematically, the patch z at every
    position u of a map x is mapped by a homogeneous dot-product kernel and projected onto the filters (Nyström) [1]_,
    and the result is pooled::

        K(z, z') = |z| |z'| kappa(<z, z'> / (|z| |z'|))
        psi(z)   = |z| (kappa(Z Z^T) + reg I)^(-1/2) kappa(Z z / |z|)
        y(v)     = sum_u h(u - v) psi(patch of x at u)

    where kappa is the function set by `kernel`, Z = `filters_` (one row of norm 1 per filter) and h are the pooling
    weights. `fit` learns Z without labels, by spherical k-means on patches drawn uniformly from all signals. Constant
    patches are excluded. Multiplying a signal by 2 multiplies its output by 2.

    A last layer whose only patch is the whole map (`patch_size` equal to the size of the map, ``padding="valid"``,
    ``pooling_width=1``) compares whole maps with its filters. With the exponential kernel, it is the layer of radial
    basis functions from which predictions are made in [1]_, equation (7).

    Parameters
    ----------
    n_filters : int, default=64
        Number of filters, which is the number of channels of the output map.

    patch_size : int or tuple of ndim ints, default=3
        Size of a patch along each spatial axis, in positions (pixels, voxels or time steps).

    dilation : int or tuple of ndim ints, default=1
        Distance between neighbouring positions of a patch along each spatial axis. The patch at position u consists of
        the values ``x(u + dilation * v)`` for all offsets v in a box of `patch_size` positions, so a patch of 3
        positions with a dilation of 4 extends over 9 positions of the map. Networks with dilations of 1, 2, 4 and 8
        side by side see a time series at several scales.

    pooling_width : int, tuple of ndim ints or None, default=None
        Width of the pooling weights, in positions. It sets the scale of the translation invariance. 1 means no
        smoothing. None means 2, unless `n_positions` is given.

    subsampling : int, tuple of ndim ints or None, default=None
        Stride of the pooling: the number of positions from one pooled position to the next. If None, it equals
        `pooling_width`. Gaussian pooling reduces an axis of n positions to ``ceil(n / subsampling)``.

    n_positions : int, tuple of ndim ints or None, default=None
        Number of pooled positions along each spatial axis, whatever the size of the map. It replaces `pooling_width`
        and `subsampling`, which must be None. The map is divided evenly into cells, one for each pooled position. In
        the last layer of a network, it makes the number of features the same for signals of all sizes. If the map has
        fewer positions than `n_positions` along an axis, pooled positions repeat its values or average two neighbours.

    pooling : {"gaussian", "average"}, default="gaussian"
        `"gaussian"` uses the weights ``exp(-(d / pooling_width)^2)`` for ``|d| <= pooling_width`` (only ``d = 0`` if
        the width is 1), divided by their sum. The windows are centred at the positions 0, `subsampling`, ..., and the
        map counts as zero outside its borders. `"average"` takes the mean of `pooling_width` positions, in full windows
        only. With `n_positions`, `"gaussian"` centres a window at the centre of each cell. The width of the cell, which
        need not be a whole number, replaces `pooling_width`, and the weights are divided by their sum over the
        positions in the map. `"average"` takes the mean over each cell, and a position that is only partly in a cell
        has a smaller weight. Thus ``n_positions=1`` gives the mean over the whole map or, with `"gaussian"`, a
        weighted mean.

    padding : {"same", "valid"}, default="same"
        `"same"` pads the map with zeros, so that there is one patch for every position. A patch of even size extends
        one position (`dilation` positions of the map) further after its centre than before it. `"valid"` uses only
        patches that lie inside the map. With zero padding, patches at the border of a bright image contain an
        artificial edge, which some filters learn.

    patch_centering : bool, default=False
        Whether to subtract from each patch its mean over positions, channel by channel. With ``padding="valid"``,
        adding a constant to a signal then changes nothing, as long as the dtype represents the sums exactly.

    kernel : {"exponential", "polynomial", "inverse_polynomial", "arccos0", "arccos1", "vovk", "linear"}, \
            default="exponential"
        Function kappa, defined for u in [-1, 1]:

        - `"exponential"`: ``exp((u - 1) / sigma^2)``, the Gaussian kernel on the sphere;
        - `"polynomial"`: ``((coef0 + u) / (coef0 + 1))^degree``;
        - `"inverse_polynomial"`: ``1 / (2 - u)``;
        - `"arccos1"`: ``(sin t + (pi - t) cos t) / pi`` with ``t = arccos(u)``, the kernel of infinitely many ReLU
          units;
        - `"arccos0"`: ``1 - t / pi``, the kernel of infinitely many step units, for `CKNKernel` only (`fit` rejects
          it);
        - `"vovk"`: ``(1 + u + u^2) / 3``;
        - `"linear"`: ``u``.

    sigma : float or "auto", default=0.6
        Width of the exponential kernel, from 1e-6 to 1e6. Values from 0.5 to 1 are worth trying. If `"auto"`, sigma^2
        is the 0.1 quantile of the squared distances between normalised patches drawn from the signals [2]_.

    degree : int, default=2
        Degree of the polynomial kernel, from 1 to 10**6.

    coef0 : float, default=0.0
        Constant of the polynomial kernel, from 0 to 1e6. 0 gives the pure power, and ``degree - 1`` gives a
        non-expansive kernel mapping.

    init : {"k-means", "random"} or array of shape `(n_filters, *patch_size, n_channels)`, default="k-means"
        How the filters are chosen. `"k-means"` runs spherical k-means. Its initial centres are patches that lie far
        apart (greedy k-means++), or randomly drawn patches if the filters have millions of values in total. `"random"`
        uses randomly drawn patches as filters. An array specifies the filters directly; they are then normalised.

    n_patches : int, default=100_000
        Maximum number of patches drawn from the signals. All of them are in memory at the same time, which requires a
        lot of memory if patches have thousands of values. If there are few signals, `fit` spends most of its time on
        the patches, and a tenth of the default is often enough to compare parameters.

    max_iter : int, default=20
        Maximum number of k-means iterations. For patches of 256 values or more, all iterations but the last two run in
        a subspace that retains 95 % of the sum of squares of the patches, if a quarter of the dimensions or fewer
        suffice for that.

    reg : float, default=1e-3
        Constant added to the eigenvalues of ``kappa(Z Z^T)``, whose diagonal is 1, before the inverse square root is
        taken, from 1e-30 to 1e6. It prevents division by zero. Values between 1e-5 and 0.1 make little difference, so
        it rarely needs tuning.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes. `X` has shape
        ``(n_samples, *space, n_channels)``, or ``(n_samples, *space)`` for one channel.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals if they are the rows of a 2-D `X`, flattened in C
        order. One size may be -1, in which case `fit` infers it.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads. With 2048 filters or more, however,
        its last bits depend on the number of BLAS threads.

    random_state : int, RandomState instance or None, default=None
        Determines which patches are drawn and the initial centres of k-means. Pass an int for reproducible results.

    Attributes
    ----------
    filters_ : ndarray of shape `(n_filters, *patch_size, n_channels)`
        Filters, of norm 1. There are fewer than `n_filters` if fewer distinct patches were drawn. The array is
        read-only. To use other filters, assign another array, together with its `whitening_`.

    whitening_ : ndarray of shape `(n_filters, n_filters)`
        ``(kappa(Z Z^T) + reg I)^(-1/2)``. The array is read-only.

    sigma_ : float
        Value of `sigma` that is used.

    n_iter_ : int
        Number of k-means iterations run.

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
        If `X` contains no numbers, for example if it is a path, a list of paths, an iterator or a structured array.
    ValueError
        If `X`, in any method that accepts it, has unexpected axes or channels, is empty, is not finite, has masked
        values or values that its attributes declare as missing, contains signals with different numbers of channels, is
        a store that was not written completely, or has values so large that their squares overflow, or if the signals
        are smaller than a patch with ``padding="valid"`` or the map is smaller than a window with
        ``pooling="average"``.

    Warns
    -----
    UserWarning
        If, in `fit` or `partial_fit`, fewer distinct patches than `n_filters` were drawn, or all patches that were
        drawn are zero or constant; if `n_positions` exceeds the number of patches along an axis; if a chunk of a zarr
        array may never have been written; if the squares of all values of a signal underflow; or if, in `fit`, `X` is
        probably misread: its channels come first, `ndim` was forgotten, or it is a single image. The message states
        what to write instead. Whether `X` is probably misread is decided from its shape and, if the shape is
        suspicious, from the values of a few signals.

    See Also
    --------
    CKNFeatureMap : A whole network, which does not keep its intermediate maps in memory.
    CKNKernel : The kernel that a network of layers approximates.
    Flatten : The transformer from maps to rows of features.

    Notes
    -----
    `X` may be a list, or an object array, of signals of different sizes: arrays of shape ``(*space, n_channels)``, or
    ``(*space)`` for one channel. Patches are then drawn uniformly from all patches of all signals, and the signals of
    each size are processed together. `transform` returns a list of maps or, with `n_positions`, one array. The map of a
    signal is the same, bit for bit, as if it were the only signal, provided that it would be computed in the same
    precision (see `transform`).

    `X` may be larger than memory: a :obj:`numpy.memmap`, an array of zarr or h5py, or any object that has a `shape` and
    a `dtype` and returns slices of rows. It is read in parts, and the values of each part are checked when it is read.
    `fit` reads only the signals from which it draws patches. If `X` is a Dask array, `fit` draws the patches on the
    workers that hold its blocks, and `transform` returns a Dask array.

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

    _RECORDS = (
        Reservoir,
        sampling.Sample,
        LayerSettings,
        patches.PatchGeometry,
        Sliding,
        Fixed,
        *kappa.KERNELS.values(),
    )
    _SIZE = [Interval(Integral, 1, None, closed="left"), tuple, list]  # parameters.per_axis checks the sizes
    _parameter_constraints = {
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "patch_size": _SIZE,
        "dilation": _SIZE,
        "pooling_width": [*_SIZE, None],
        "subsampling": [*_SIZE, None],
        "n_positions": [*_SIZE, None],
        "pooling": [StrOptions(set(WINDOWS))],
        "padding": [StrOptions({"same", "valid"})],
        "patch_centering": ["boolean"],
        "kernel": [StrOptions(set(kappa.KERNELS))],
        "sigma": [StrOptions({"auto"}), Interval(Real, 1e-6, 1e6, closed="both")],
        "degree": [Interval(Integral, 1, 10**6, closed="both")],
        "coef0": [Interval(Real, 0, 1e6, closed="both")],
        "init": [StrOptions({"k-means", "random"}), "array-like"],
        "n_patches": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "reg": [Interval(Real, 1e-30, 1e6, closed="both")],
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
        dilation: Sizes = 1,
        pooling_width: Sizes | None = None,
        subsampling: Sizes | None = None,
        n_positions: Sizes | None = None,
        pooling: PoolingName = "gaussian",
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
        self.dilation = dilation
        self.pooling_width = pooling_width
        self.subsampling = subsampling
        self.n_positions = n_positions
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
            If a parameter is out of range or contradicts another, if ``kernel="arccos0"``, or if `init` has the
            wrong shape or contains an all-zero filter.
        """
        signals = validation.as_signals(self, X, self.ndim, self.input_shape, stored=True, mixed=True)
        progress = Progress(self, 0, False, X, y)
        attributes, _ = self._learn(encoded(signals, [], effective_n_jobs(self.n_jobs)))
        tables.record_feature_names(self, X)
        vars(self).update(attributes, _reservoir=None)
        progress.end()
        return self

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def partial_fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the filters from patches of the given signals and of the signals of earlier calls.

        A reservoir of at most `n_patches` patches, drawn uniformly from all signals seen so far, is kept between calls.
        Every call runs k-means on the whole reservoir, so large batches are more efficient. The first call is
        equivalent to `fit`, and a call after `fit` starts from scratch.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            More signals, with the same number of channels as in earlier calls.
        y : None
            Ignored.

        Returns
        -------
        self : CKNLayer
            The layer, fitted to all signals seen so far.

        Raises
        ------
        ValueError
            If a parameter is invalid, as in `fit`, or if `patch_size`, `dilation`, `padding` or `patch_centering` has
            changed since the first call.
        """
        reservoir = getattr(self, "_reservoir", None)
        if reservoir is None:
            signals = validation.as_signals(self, X, self.ndim, self.input_shape, stored=True, mixed=True)
        else:
            signals = validation.as_fitted_signals(self, X, self._flattened, stored=True, mixed=True)
            validation.check_declared_shape(self, signals, self._flattened)
            if self._read_settings().patch != self._settings.patch:
                raise ValueError(
                    f"patch_size, dilation, padding and patch_centering must stay the same after the first "
                    f"partial_fit; got patch_size={self.patch_size!r}, dilation={self.dilation!r}, padding="
                    f"{self.padding!r}, patch_centering={self.patch_centering!r}. To start from scratch, call fit."
                )
        progress = Progress(self, 0, False, X, y)
        rng = check_random_state(self.random_state if reservoir is None else reservoir.seed)
        maps = encoded(signals, [], effective_n_jobs(self.n_jobs))
        attributes, drawn = self._learn(maps, rng, reservoir)
        if reservoir is None:
            tables.record_feature_names(self, X)
        vars(self).update(attributes, _reservoir=Reservoir(drawn, rng.randint(sampling.LARGEST_SEED)))
        progress.end()
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Transform signals to maps of pooled, projected patches.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals with the same number of channels as in `fit`. Their spatial sizes may differ from those in `fit`,
            unless `X` is 2-D.
        out : array of shape `(n_samples, *pooled_space, n_filters)`, default=None
            Array to write the result to: an ndarray, a :obj:`numpy.memmap`, a zarr array or an h5py dataset. It must
            have the dtype of the result and must not share memory with `X`.

        Returns
        -------
        maps : ndarray or Dask array of shape `(n_samples, *pooled_space, n_filters)`, or list of ndarrays
            The dtype is float64 for float64 input and integers beyond ``2**24``, float32 otherwise. If `out` is given,
            it is returned.

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
        settings, n_threads = self._settings, effective_n_jobs(self.n_jobs)
        check_spaces(signals, [(None, settings)])

        def shape_of(shape):
            return (*settings.pooled_positions(shape[:-1]), len(self.filters_))

        def write(part, destination, n_threads):
            return encoded(part, [self], n_threads).write(part, destination)

        is_any_size = isinstance(settings.pooling, Fixed)
        return transformed(self, signals, shape_of, write, n_threads, out, X, is_any_size)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the channels of the output maps, one per filter.

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

    def __setstate__(self, state):
        super().__setstate__(state)
        if hasattr(self, "filters_"):  # Arrays read from a file can be written to, unlike those that `fit` sets.
            self.filters_, self.whitening_ = frozen(self.filters_), frozen(self.whitening_)

    def _learn(self, maps, rng=None, reservoir=None):
        """Return the attributes that `fit` sets, by name, and the `Sample` of patches, without changing the estimator.

        Parameters
        ----------
        maps : EncodedSignals or EncodedBlocks
        rng : RandomState or None
            If None, it is created from `random_state`.
        reservoir : Reservoir or None
            What the previous call of `partial_fit` kept, or None to start from scratch.
        """
        n_channels = maps.shape[-1]
        settings = self._check_before_fit(n_channels)
        check_spaces(maps, [(None, settings)])
        rng, n_iter, drawn = check_random_state(self.random_state) if rng is None else rng, 0, None
        if isinstance(self.init, str) or self.sigma == "auto":
            drawn = self._draw(maps, settings, rng)
            if reservoir is not None and reservoir.drawn is not None:
                drawn = sampling.merge(reservoir.drawn, drawn, self.n_patches, rng)
            U = drawn.U if len(drawn.U) else self._constant_patches(maps, settings, rng)
        if isinstance(self.init, str):
            max_iter = self.max_iter if self.init == "k-means" else 0
            Z, n_iter = kmeans.spherical_kmeans(U, self.n_filters, max_iter, rng, maps.n_threads)
        else:
            Z = parameters.check_filters(self.init, self.n_filters, settings.patch.size, n_channels, maps.dtype)
            Z = patches.normalize(Z)[1]
        _warn_of_few_positions(settings, maps)
        if len(Z) < self.n_filters:
            drawn_patches = "patch was" if len(Z) == 1 else "patches were"
            reason = f"only {len(Z)} distinct {drawn_patches} drawn, not counting constant patches"
            advice = f"Lower n_filters, raise n_patches (now {self.n_patches}) or add signals."
            if not len(drawn.U):
                reason = "all patches that were drawn are zero or constant"
                advice = "Check that X, or the map of the previous layer, varies."
            warn(f"n_filters={self.n_filters}, but {reason}, so the number of filters is {len(Z)}. {advice}")
        sigma = bandwidth.typical_sigma(U, rng) if self.sigma == "auto" else float(self.sigma)
        settings = settings._replace(kernel=self._read_kernel(sigma))
        attributes = {
            "filters_": frozen(Z.reshape(-1, *settings.patch.size, n_channels)),
            "whitening_": frozen(nystroem.whitening(Z, settings).astype(Z.dtype)),
            "sigma_": sigma,
            "n_iter_": n_iter,
            "input_shape_": maps.shape if reservoir is None else common_shape([self.input_shape_, maps.shape]),
            "_settings": settings,
            "_flattened": self.input_shape is not None,
        }
        return attributes, drawn

    def _check_before_fit(self, n_channels=None):  # -> LayerSettings
        """Check that the layer can be fitted to maps with a number of channels, which need not be known."""
        if self.kernel == "arccos0":
            raise ValueError(
                "kernel='arccos0' has an infinite slope at 1 and therefore no usable finite approximation. It is only "
                "for the exact kernel, CKNKernel. Use kernel='arccos1', or kernel='exponential' with a small sigma."
            )
        settings = self._read_settings()
        if not isinstance(self.init, str):
            parameters.check_filters(self.init, self.n_filters, settings.patch.size, n_channels)
        return settings

    def _read_settings(self):
        """Check that the parameters are consistent, and return them as the record that `_core` uses."""
        patch_size = parameters.per_axis("patch_size", self.patch_size, self.ndim)
        dilation = parameters.per_axis("dilation", self.dilation, self.ndim)
        if self.patch_centering and prod(patch_size) == 1:
            raise ValueError(
                "patch_centering=True needs a patch_size of at least two positions; got 1, so every patch would be "
                "zero. Use a larger patch_size or patch_centering=False."
            )
        return LayerSettings(
            patch=patches.PatchGeometry.of(patch_size, self.padding, self.patch_centering, dilation),
            kernel=None,  # It is set once sigma is known.
            pooling=self._read_pooling(),
            reg=float(self.reg),
        )

    def _read_pooling(self):  # -> Sliding or Fixed
        if self.n_positions is None:
            width = parameters.per_axis(
                "pooling_width", 2 if self.pooling_width is None else self.pooling_width, self.ndim
            )
            stride = width
            if self.subsampling is not None:
                stride = parameters.per_axis("subsampling", self.subsampling, self.ndim)
            return Sliding(self.pooling, width, stride)
        if self.pooling_width is not None or self.subsampling is not None:
            raise ValueError(
                f"n_positions replaces pooling_width and subsampling, which must both be None; got n_positions="
                f"{self.n_positions!r}, pooling_width={self.pooling_width!r} and subsampling={self.subsampling!r}. Set "
                f"either n_positions or the other two."
            )
        return Fixed(self.pooling, parameters.per_axis("n_positions", self.n_positions, self.ndim))

    def _read_kernel(self, sigma):
        return kappa.make(self.kernel, sigma=sigma, degree=int(self.degree), coef0=float(self.coef0))

    def _draw(self, maps, settings, rng, wanted=None):
        """Return up to `n_patches` random wanted patches, normalised, and an estimate of how many the maps contain.

        By default, patches that vary are wanted.
        """
        if wanted is None:  # Signals that no layer has encoded contain no rounding errors.
            wanted = sampling.varies if maps.layers else sampling.varies_in_signal
        return sampling.sample(maps, self.n_patches, settings.patch, rng, wanted)

    def _constant_patches(self, maps, settings, rng):
        """Return at least one normalised constant patch, for signals in which no patch varies."""
        if not settings.patch.centering:
            U, _ = self._draw(maps, settings, rng, sampling.not_zero)
            if len(U):
                return U
        return patches.normalize(np.ones((1, prod(settings.patch.size) * maps.shape[-1]), dtype=maps.dtype))[1]


def _warn_of_few_positions(settings, maps):
    """Warn if all maps have fewer positions than the fixed number of pooled positions along an axis."""
    if isinstance(settings.pooling, Fixed):
        positions = [settings.patch_positions(part.shape[:-1]) for _, part in maps.groups]
        largest = tuple(max(sizes) for sizes in zip(*positions))
        if any(count > size for count, size in zip(settings.pooling.count, largest)):
            warn(
                f"n_positions={settings.pooling.count} exceeds the number of patches along an axis, {largest}, so "
                f"pooled positions repeat values of the map. Lower n_positions."
            )
