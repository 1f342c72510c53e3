"""A transformer that computes features of signals with a whole network, block by block."""

from math import prod
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ._arrays import tables
from ._arrays.encoded import encoded
from ._arrays.parameters import check_pyramid
from ._arrays.results import check_container, transformed
from ._core.layer.flatten import flatten, flatten_pyramid
from ._core.layer.symmetries import GROUP_NAMES
from ._flatten import feature_names
from ._network import Network, check_symmetries, input_tags, learn, read_fitted_signals, read_signals, to_be_fitted
from ._utils.maps import SignalsMixin
from ._utils.n_jobs import effective_n_jobs
from ._utils.progress import CallbackSupportMixin, Count, Progress
from ._utils.serialization import PersistentMixin
from ._utils.typing import Result, Rows, Symmetries, Writable, typed


class CKNFeatureMap(PersistentMixin, CallbackSupportMixin, SignalsMixin, TransformerMixin, BaseEstimator):
    """Feature map of a convolutional kernel network, which transforms signals to rows of features.

    Unless `symmetries`, `pyramid`, `center` or `scale` is set, the features are the same as those of a `Pipeline` of
    the network's layers and `Flatten`, and the inner product of two rows approximates `CKNKernel`. Signals are
    processed block by block, so the maps of all signals are never in memory at the same time. `fit` learns the layers
    in sequence. For each layer, it computes the maps of only those signals from which patches are drawn. If the
    `random_state` of the layers is an int, the filters are the same as in the `Pipeline`.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture. It is cloned and never changed. Only its first layer may have an `input_shape`. The `n_jobs`
        of its layers and the `memory` and `verbose` of a Pipeline are not used. Steps that are None or `"passthrough"`
        are skipped.

    symmetries : {"flip", "rotate", "dihedral"} or None, default=None
        Group of transformations of the grid over which features are averaged [1]_: the last map of a signal x is the
        mean of ``Phi(g x)`` over all elements g of the group, where Phi is the network. The features then approximate
        `CKNKernel` with the same `symmetries`. The groups are:

        - `"flip"`: the identity and the reversal along the last spatial axis (the horizontal axis of images). It is
          meant for photographs, not for letters;
        - `"rotate"`: the rotations of square images by 0, 90, 180 and 270 degrees (quarter turns);
        - `"dihedral"`: the same rotations of square images and of their mirror images. Like `"rotate"`, it is meant for
          images without a preferred orientation, such as micrographs or satellite images.

        The computation takes 2, 4 or 8 times as long, respectively. The features of x and g x are the same, bit for
        bit, unless an earlier step distinguishes x from g x, as `GradientMap` and ``PatchWhitening(method="global")``
        do. ``PatchWhitening(method="local")`` does so only by floating-point rounding.

    pyramid : dict of {int: float} or None, default=None
        Spatial pyramid [2]_: pools the last map at several resolutions. Each key is the number of positions of a level
        along every axis, and its value is the weight of the level. For example, ``{8: 0.6, 1: 0.4}`` describes an image
        by 8 x 8 positions and, in addition, by a single position. Each position of a level is the mean of the last map
        over one of k cells of equal size along every axis. The features of each level are multiplied by the square root
        of its weight, so that all features approximate ``sum_k w_k K_k`` (unless `center` or `scale` is set). Here,
        ``K_k`` is the kernel of a network whose last map is pooled to k positions. Fine levels describe where something
        is in a signal, and coarse levels describe whether it is present. If None, the features are the last map itself.
        For signals of different sizes, the last layer needs `n_positions` also with a `pyramid`.

    center : bool, default=False
        Whether to centre each row of features by subtracting its mean. With a `pyramid`, each level is centred
        separately.

    scale : bool, default=False
        Whether to divide each row by its own norm, after centring. A row of zeros stays zero. With a `pyramid`, each
        level is divided by its own norm before it is multiplied by the square root of its weight.

    verbose : bool, default=False
        Whether to print progress. `fit` prints a line for every layer, and `transform` periodically prints how many
        signals have been transformed. For the callbacks of scikit-learn 1.9 and later, such as
        :class:`~sklearn.callback.ProgressBar`, the fitting of each layer is a separate task, whether or not `verbose`
        is set.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`, with None for every axis along which the
        signals differ in size.

    output_shape_ : tuple
        Shape ``(*space, n_filters)`` of the last map of each signal, before a `pyramid` pools it.

    n_features_in_ : int
        Number of values in one signal, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`. Not defined
        if the sizes of the signals differ.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If, in `fit`, `network` is neither a `CKNLayer` nor a `Pipeline` of layers, or if `X` contains no numbers.
    ValueError
        If, in `fit` or `transform`, `X` is invalid for one of the reasons listed in `CKNLayer`, or if `symmetries`
        contains quarter turns and the signals are not square images.

    Warns
    -----
    UserWarning
        If, in `fit`, a layer draws fewer distinct patches than `n_filters`, if the squares of all values of a signal
        underflow, or if, in `fit`, `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    CKNKernel : The kernel that the features approximate.
    CKNLayer : One layer of the network.
    Flatten : The last step of a Pipeline of layers.

    Notes
    -----
    If the last layer has a fixed number of positions (`n_positions`), `X` may be a list of signals of different sizes,
    as in `CKNLayer`, and the size of signals may differ between `fit` and `transform`.

    `X` and `out` may be larger than memory, and `X` may be a Dask array, as in `CKNLayer`. Stored arrays are read and
    written in pieces. The size of a piece is one sixteenth of scikit-learn's `working_memory`, or one chunk of the
    array if a chunk is larger.

    References
    ----------
    .. [1] B. Haasdonk and H. Burkhardt, "Invariant kernel functions for pattern analysis and machine learning",
       Machine Learning 68, 2007.

    .. [2] S. Lazebnik, C. Schmid and J. Ponce, "Beyond bags of features: spatial pyramid matching for recognizing
       natural scene categories", CVPR 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer, Flatten
    >>> images = load_digits().images
    >>> network = make_pipeline(CKNLayer(32, random_state=0), CKNLayer(64, random_state=0))
    >>> features = CKNFeatureMap(network).fit_transform(images)
    >>> features.shape  # 2 x 2 positions, 64 filters
    (1797, 256)
    >>> np.allclose(features, make_pipeline(network, Flatten()).fit_transform(images))
    True
    """

    __metadata_request__transform = {"out": UNUSED}  # `out` is not metadata.

    _parameter_constraints = {
        "network": "no_validation",
        "symmetries": [StrOptions(GROUP_NAMES), None],
        "pyramid": [dict, None],
        "center": ["boolean"],
        "scale": ["boolean"],
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        network: Network,
        *,
        symmetries: Symmetries | None = None,
        pyramid: dict[int, float] | None = None,
        center: bool = False,
        scale: bool = False,
        verbose: bool | int = False,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.symmetries = symmetries
        self.pyramid = pyramid
        self.center = center
        self.scale = scale
        self.verbose = verbose
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the filters of every layer.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape` of the network's first layer.
        y : None
            Ignored.

        Returns
        -------
        self : CKNFeatureMap
            The fitted feature map.

        Raises
        ------
        ValueError
            If a parameter of the feature map or of a layer is out of range, or if `network` has no layer, has
            layers of different `ndim`, or has an `input_shape` in a layer other than the first.
        """
        check_pyramid(self.pyramid)
        steps = to_be_fitted(self.network)
        signals = read_signals(self, X, steps, stored=True)
        check_symmetries("symmetries", self.symmetries, signals)
        progress = Progress(self, len(steps), self.verbose, X, y)
        maps = learn(steps, signals, effective_n_jobs(self.n_jobs), progress)
        tables.record_feature_names(self, X)
        self.network_ = Pipeline(steps)
        self.input_shape_ = signals.shape
        self.output_shape_ = maps.shape
        progress.end()
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Transform signals to features.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals of the shape seen in `fit`. If a layer has `n_positions`, signals of any size or a list of signals.
        out : array of shape `(n_samples, n_features)`, default=None
            Array to write the result to: an ndarray, a :obj:`numpy.memmap`, a zarr array or an h5py dataset. It must
            have the dtype of the result and must not share memory with `X`.

        Returns
        -------
        features : ndarray or Dask array of shape `(n_samples, n_features)`
            The dtype is float64 for float64 input and integers beyond ``2**24``, float32 otherwise. If `out` is given,
            it is returned.

        Raises
        ------
        ValueError
            If the signals have a different shape from that in `fit` (only the number of channels must be the same if a
            layer has `n_positions`), or if `out` has the wrong shape or dtype, cannot be written to, shares memory with
            `X`, or is given although `X` is a Dask array or contains signals of different sizes. Also if `set_output`
            requests a table although `out` is given or `X` is a Dask array, because neither `out` nor a Dask array can
            become a table.
        OSError
            If there is not enough disk space for `out`.
        """
        check_is_fitted(self)
        self._validate_params()  # center, scale, symmetries and pyramid may have been changed since fit
        check_pyramid(self.pyramid)
        layers = [layer for _, layer in self.network_.steps]
        signals, n_threads = read_fitted_signals(self, X, stored=True), effective_n_jobs(self.n_jobs)
        check_symmetries("symmetries", self.symmetries, signals)
        check_container(self, out, signals.is_lazy)
        count = Count(self, len(signals), "signals", self.verbose)
        n_features = sum(prod(shape) for shape in self._shapes().values())

        def finish(block):
            if self.pyramid is None:
                return flatten(block, self.center, self.scale)
            return flatten_pyramid(block, self.pyramid, self.center, self.scale)

        def write(part, destination, n_threads):
            maps = encoded(part, layers, n_threads)
            return maps.write(part, destination, finish, self.symmetries, count=count)

        return transformed(self, signals, lambda shape: (n_features,), write, n_threads, out, X, is_any_size=True)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return feature names, which state the position and the filter of each feature.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            Names such as ``"y0_x2_f17"``: row 0 and column 2 of the last map, filter 17. In volumes, ``z`` comes first.
            With a `pyramid`, names start with the number of positions of the level: ``"p8_y0_x2_f17"``.
        """
        check_is_fitted(self)
        prefixes = {None: ""} if self.pyramid is None else {k: f"p{k}_" for k in self.pyramid}
        return np.concatenate([prefixes[k] + feature_names(shape) for k, shape in self._shapes().items()])

    def _shapes(self):
        """Return the shape of every level by its number of positions; the only key is None if there is no pyramid."""
        *space, n_filters = self.output_shape_
        if self.pyramid is None:
            return {None: self.output_shape_}
        return {k: (*(k for _ in space), n_filters) for k in self.pyramid}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = input_tags(self.network, otherwise=tags.input_tags)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
