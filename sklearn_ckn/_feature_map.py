"""A whole network as one transformer, streamed: signals -> features."""

from math import prod
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from . import _validation
from ._core import encode
from ._flatten import feature_names
from ._lazy import encoded, transform_blocks
from ._network import Network, input_tags, learn, read_signals, to_be_fitted
from ._persistence import PersistentMixin
from ._progress import CallbackSupportMixin, Count, Progress
from ._threads import effective_n_jobs
from ._typing import Result, Rows, Writable, typed


class CKNFeatureMap(PersistentMixin, CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """The feature map of a convolutional kernel network: signals in, rows of features out.

    Without `augment` it computes what a `Pipeline` of the network's layers and `Flatten` computes, block by block: no
    map of the whole batch ever exists, whatever the number of signals. The inner product of two rows approximates
    `CKNKernel`, unless `augment`, `center` or `scale` is set. `fit` learns the layers one after the other, each from
    the maps of only as many signals as its patches need, and finds the same filters as the `Pipeline` whose layers have
    the same `random_state`, an int.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture. It is cloned, never changed; only its first layer may have an `input_shape`. The `n_jobs` of
        its layers and a Pipeline's `memory` and `verbose` are not used; steps that are None or `"passthrough"` are left
        out.

    augment : {"flip"} or None, default=None
        `"flip"`: the last map of a signal x is the mean of its own and of its mirror image's, x', along the last space
        axis (of images the horizontal one), ``(Phi(x) + Phi(x')) / 2``: the kernel averaged over the group of the two
        [1]_. Left and right are then the same to the features, at twice the time (unless steps before tell them apart,
        as ``PatchWhitening(method="global")`` does): for photographs, not for letters.

    center : bool, default=False
        Subtract from each row of features its own mean.

    scale : bool, default=False
        Divide each row by its own norm, after centring; a row of zeros stays.

    verbose : bool, default=False
        Whether `fit` prints a line for every layer, and `transform` how far it is, now and then. The callbacks of
        scikit-learn 1.9 and later, such as :class:`~sklearn.callback.ProgressBar`, see the layers of `fit` as tasks,
        whatever its value.

    n_jobs : int or None, default=None
        Threads over blocks of signals. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`.

    output_shape_ : tuple
        Shape ``(*space, n_filters)`` of the last map of such a signal.

    n_features_in_ : int
        Values in one signal, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    TypeError
        In `fit`: `network` is no `CKNLayer` and no `Pipeline` of them.
    ValueError
        In `fit` and `transform`: as for `CKNLayer`.

    See Also
    --------
    CKNKernel : The kernel that the features approximate.
    CKNLayer : One layer.
    Flatten : The last step, in a Pipeline of layers.

    Notes
    -----
    `X` and `out` may be larger than memory, and `X` a Dask array, as for `CKNLayer`. What is read from a store, or
    written to one, at once is a sixteenth of scikit-learn's `working_memory`, or a chunk of the store, if that is more.

    References
    ----------
    .. [1] B. Haasdonk and H. Burkhardt, "Invariant kernel functions for pattern analysis and machine learning",
       Machine Learning 68, 2007.

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

    __metadata_request__transform = {"out": UNUSED}  # it is no metadata

    _parameter_constraints = {
        "network": "no_validation",
        "augment": [StrOptions({"flip"}), None],
        "center": ["boolean"],
        "scale": ["boolean"],
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        network: Network,
        *,
        augment: Literal["flip"] | None = None,
        center: bool = False,
        scale: bool = False,
        verbose: bool | int = False,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.augment = augment
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
            A parameter, also of a layer, is out of its range; `network` has no layer, layers of different `ndim`, or an
            `input_shape` after the first.
        """
        steps = to_be_fitted(self.network)
        signals = read_signals(self, X, steps[0][1], stored=True)
        progress = Progress(self, len(steps), self.verbose, X, y)
        maps = learn(steps, signals, effective_n_jobs(self.n_jobs), progress)
        _validation.record_feature_names(self, X)
        self.network_ = Pipeline(steps)
        self.input_shape_ = signals.shape
        self.output_shape_ = maps.shape
        self.n_features_in_ = prod(signals.shape)
        progress.end()
        return self

    def transform(self, X: Rows, out: Writable | None = None) -> Result:
        """Map signals to features.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals of the shape seen in `fit`.
        out : array of shape `(n_samples, n_features)`, default=None
            Where the features are written, of their dtype: an ndarray, a :obj:`numpy.memmap`, an array of zarr or h5py,
            which does not share memory with `X`.

        Returns
        -------
        features : ndarray or Dask array of shape `(n_samples, n_features)`
            Numbers in float64 if `X` is (or longer), else in float32. `out`, if that is given.

        Raises
        ------
        ValueError
            The signals have another shape than in `fit`; `out` has another shape or dtype, cannot be written to, or
            shares memory with `X`; it is given for a Dask array; `set_output` asks for a table, which neither becomes.
        OSError
            There is no space on the disk for `out`.
        """
        check_is_fitted(self)
        self._validate_params()  # center, scale and augment may have been set since fit
        layers = [layer for _, layer in self.network_.steps]
        signals = _validation.as_fitted_signals(self, X, layers[0]._flattened, same_space=True, stored=True)
        maps = encoded(signals, layers, effective_n_jobs(self.n_jobs))
        _validation.check_container(self, out, signals.is_lazy)
        if signals.is_lazy:
            _validation.check_no_out(out)
            return transform_blocks(self, signals, (prod(maps.shape),))
        features = _validation.check_out(out, (len(signals), prod(maps.shape)), signals.dtype, X)

        def finish(block):
            return encode.flatten(block, self.center, self.scale)

        count = Count(self, len(signals), "signals", self.verbose)
        flip, is_kept = self.augment == "flip", out is not None
        return maps.write(signals, features, finish, flip, count=count, is_kept=is_kept)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the position and the filter of every feature.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str
            Such as ``"y0_x2_f17"``: row 0, column 2 of the last map, filter 17 (and ``z`` first in a volume).
        """
        check_is_fitted(self)
        return feature_names(self.output_shape_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = input_tags(self.network, otherwise=tags.input_tags)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
