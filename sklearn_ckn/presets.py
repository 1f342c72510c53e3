"""Complete recipes for networks and classifiers, one for each kind of signal and computing budget.

The settings of the recipes were chosen on held-out training data.
"""

import warnings
from collections.abc import Sequence
from math import ceil
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils._param_validation import Options, StrOptions, validate_params
from sklearn.utils.validation import _num_samples

from ._arrays import parameters
from ._arrays.misread import warn_of_shape
from ._auto.branches import with_gaussian_kernel
from ._feature_map import CKNFeatureMap
from ._layer import CKNLayer
from ._linear import LinearClassifier
from ._utils.typing import Kind, RandomState, Rows, Symmetries, typed
from .preprocessing import Differences, PatchWhitening

__all__ = ["make_classifier", "make_network"]

PATHS = {  # values of C for each loss, for features whose norms are near 1
    "squared_hinge": (1.0, 10.0, 100.0, 1000.0),
    "squared_error": (10.0, 100.0, 1000.0, 10_000.0),
}
TOL = 1e-4
SIGMA = 0.8  # width of the Gaussian kernel of features of norm 1
ADDED_SCALE = 0.5  # scale factor of additional features, whose kernel then has a weight of 1/4
PATCHES = 30  # number of patches drawn per filter; more did not improve the accuracy
SHORTEST = 3  # minimum number of positions along the longest axis, so that there are at least two first differences
ALPHAS = np.logspace(-6, 2, 9)  # regularisation strengths of the ridge classifier, which suits small data sets


class Recipe(NamedTuple):
    """Settings of two layers and of the steps before and after the layers."""

    n_filters: tuple
    patch_size: tuple
    sigma: tuple
    centred: tuple  # whether patches are centred, for each layer
    n_positions: int  # approximate number of positions of the last map along every axis
    first_pooling: int = 2
    whitened: bool = False  # whether images are whitened before the first layer
    n_landmarks: int = 0  # number of landmarks of an additional Gaussian kernel of the features; 0 means no such kernel

    @property
    def loss(self):
        """Loss of the linear classifier. The squared error works better with an additional kernel of the features."""
        return "squared_error" if self.n_landmarks else "squared_hinge"


GREY = Recipe((64, 256), (3, 3), (0.6, 0.6), (True, False), 4)
COLOUR = Recipe((64, 256), (3, 3), (0.6, 0.6), (False, False), 3, whitened=True)
SIGNALS = Recipe((64, 256), (9, 9), (0.6, 0.6), (True, False), 3, first_pooling=4)
RECIPES = {
    "grey": {
        "fast": GREY._replace(n_filters=(32, 128)),
        "balanced": GREY,
        "accurate": Recipe((64, 512), (3, 2), (0.6, 0.8), (True, True), 4, n_landmarks=3000),
    },
    "colour": {
        "fast": COLOUR._replace(n_filters=(32, 128)),
        "balanced": COLOUR,
        "accurate": COLOUR._replace(n_filters=(256, 1024), n_landmarks=3000),
    },
    "signals": {
        "fast": SIGNALS._replace(n_filters=(32, 128)),
        "balanced": SIGNALS,
        "accurate": SIGNALS._replace(n_filters=(128, 512)),
    },
}


def _recipe(kind, shape, ndim):  # -> Recipe, (*space, n_channels)
    """Return the recipe for signals of the given shape, and their shape including the channels."""
    *space, n_channels = parameters.check_input_shape(None, shape, ndim, "shape", n_unknown=0)
    if max(space) < SHORTEST:
        raise ValueError(
            f"shape must have at least {SHORTEST} positions along its longest axis; got {shape!r}. Pass X.shape[1:], "
            f"with the channels last."
        )
    warn_of_shape((*space, n_channels), ndim, len(shape) > ndim)
    of = "signals" if ndim == 1 else "colour" if n_channels == 3 else "grey"
    return RECIPES[of][kind], (*space, n_channels)


def _within(size, space):  # -> (ndim ints)
    """Return the patch size along every axis, limited to the size of the signal."""
    return tuple(min(size, n) for n in space)


def _layers(recipe, shape, random_state):
    layers, space = [], shape[:-1]
    for m, k, sigma, centred in zip(recipe.n_filters, recipe.patch_size, recipe.sigma, recipe.centred):
        width = tuple(ceil(n / recipe.n_positions) if layers else recipe.first_pooling for n in space)
        layers.append(
            CKNLayer(
                m,
                patch_size=_within(k, space),
                pooling_width=width,
                patch_centering=centred,
                sigma=sigma,
                n_patches=PATCHES * m,
                ndim=len(space),
                input_shape=None if layers else shape,
                random_state=random_state,
            )
        )
        space = [ceil(n / w) for n, w in zip(space, width)]
    return make_pipeline(*layers)


_CHECKED = {
    "kind": [StrOptions({"fast", "balanced", "accurate"})],
    "shape": [tuple, list],
    "ndim": [Options(Integral, {1, 2})],
    "random_state": ["random_state"],
}
# The parameters that only `make_classifier` has.
_CHECKED_TOO = {name: CKNFeatureMap._parameter_constraints[name] for name in ("symmetries", "n_jobs")}


@typed(validate_params(_CHECKED, prefer_skip_nested_validation=True))
def make_network(
    kind: Kind, shape: Sequence[int], *, ndim: int = 2, random_state: RandomState | None = None
) -> Pipeline:
    """Build a network of two layers for signals of a given shape.

    Parameters
    ----------
    kind : {"fast", "balanced", "accurate"}
        Size of the network: few, some or many filters. Each layer draws 30 patches per filter.
    shape : tuple of ints
        Shape ``(*space,)`` or ``(*space, n_channels)`` of one signal, ``X.shape[1:]``. It becomes the `input_shape` of
        the first layer. Images with three channels are treated as whitened photographs, all other images as grey.
    ndim : {1, 2}, default=2
        Number of spatial axes: 1 for time series, 2 for images. Set ``ndim=1`` for time series with several channels.
        Otherwise, each series is treated as a narrow grey image.
    random_state : int, RandomState instance or None, default=None
        Determines the patches and the initial filters of the layers. Pass an int for reproducible results.

    Returns
    -------
    network : Pipeline of CKNLayer
        The unfitted network.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Warns
    -----
    UserWarning
        If the channels probably come first in `shape`, or if `shape` is probably the shape of time series although
        ``ndim=2``.

    See Also
    --------
    make_classifier : Build a complete classifier with such a network.

    Examples
    --------
    >>> from sklearn_ckn.presets import make_network
    >>> [layer.n_filters for layer in make_network("fast", (28, 28))]
    [32, 128]
    """
    return _layers(*_recipe(kind, shape, ndim), random_state)


@typed(validate_params(_CHECKED | _CHECKED_TOO, prefer_skip_nested_validation=True))
def make_classifier(
    kind: Kind,
    shape: Sequence[int],
    *,
    ndim: int = 2,
    symmetries: Symmetries | None = None,
    n_jobs: int | None = None,
    random_state: RandomState | None = None,
) -> Pipeline:
    """Build a complete classifier for signals of a given shape.

    The classifier is a pipeline of whitening (where it helps), a network and a linear classifier.

    Parameters
    ----------
    kind : {"fast", "balanced", "accurate"}
        Size of the network: few, some or many filters. For images, `"accurate"` also adds features of a Gaussian
        kernel, which is worthwhile with thousands of images. This kernel is projected onto 3000 training images, or
        onto all training images if there are fewer. In the latter case, the layer that approximates the kernel issues a
        warning. To avoid the warning, set the actual number of images with
        ``set_params(featureunion__gaussian__network__n_filters=...)``.
    shape : tuple of ints
        Shape ``(*space,)`` or ``(*space, n_channels)`` of one signal, ``X.shape[1:]``, as in `make_network`. In `fit`,
        signals of another shape raise an error, and the rows of a 2-D `X` are read as flattened signals of the given
        shape.
    ndim : {1, 2}, default=2
        Number of spatial axes, as in `make_network`: 1 for time series, 2 for images.
    symmetries : {"flip", "rotate", "dihedral"} or None, default=None
        Group of transformations over which the features are averaged, as in `CKNFeatureMap`: `"flip"` suits images
        whose mirror images belong to the same class, such as photographs; `"rotate"` and `"dihedral"` suit square
        images without a preferred orientation. Must be None with ``ndim=1``.
    n_jobs : int or None, default=None
        Number of threads, for the steps that can use several. None means 1 unless in a :obj:`joblib.parallel_config`
        context. -1 means using all processors. The result is the same, bit for bit, with any number of threads.
    random_state : int, RandomState instance or None, default=None
        Determines the patches and the initial filters of the layers and the validation set of the linear classifier.
        Pass an int for reproducible results. For images, `"accurate"` is reproducible only with the same number of BLAS
        threads.

    Returns
    -------
    classifier : Pipeline
        The unfitted classifier. For images, its steps are:

        - `patchwhitening`: `PatchWhitening`, if the images have three channels. If the classes differ in colour,
          ``set_params(patchwhitening="passthrough")`` removes this step;
        - `cknfeaturemap`: `CKNFeatureMap` of the network that `make_network` builds, with centred and scaled features;
        - `featureunion`, for `"accurate"` only: features of `cknfeaturemap`, followed by features of a Gaussian kernel;
        - `linearclassifier`: `LinearClassifier`, which chooses its C. Its loss is the squared hinge loss or, for
          `"accurate"`, the squared error. To predict probabilities, call
          ``set_params(linearclassifier__loss="logistic", linearclassifier__C=[1, 10, 100, 1000])``.

        For time series, the steps are `featureunion`, which combines three networks (for the shapes, the first
        differences and the levels of the series), and `ridgeclassifiercv`. To predict probabilities, use
        :class:`~sklearn.calibration.CalibratedClassifierCV`. There is no recipe for volumes.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if `symmetries` contains quarter turns and the images are not square. `fit`
        raises this error before it computes any features if `y` does not contain class labels, if a parameter of the
        linear classifier is out of range or, for images, if no class has two samples, because C then cannot be chosen.
        To fit such data, set C to one value with ``set_params(linearclassifier__C=10)``.

    Warns
    -----
    UserWarning
        If the channels probably come first in `shape`, or if `shape` is probably the shape of time series although
        ``ndim=2``.

    See Also
    --------
    make_network : Build the network alone.

    Notes
    -----
    For images, the `"accurate"` classifier is linear in features of the kernel ::

        K(x, x') = <Phi(x), Phi(x')> + exp(-|Phi(x) - Phi(x')|^2 / (2 * 0.8^2)) / 4

    where Phi are the features of `CKNFeatureMap`, which have norm 1. The Gaussian kernel is projected onto 3000 images
    by the Nyström method, as in every layer. If all features of an image are 0, as for a black image, then K = 0.

    During `fit`, `"accurate"` keeps two copies of the features of all images in memory. In float32, which is used for
    uint8 images, the two copies together take 8 bytes per feature. An image has 11 192 features (28 x 28, grey) or
    12 216 features (32 x 32, photographs). For 60 000 grey images, the copies take 5.4e9 bytes. In float64, the
    features take twice as much memory.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn.presets import make_classifier
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = make_classifier("fast", images.shape[1:], random_state=0).fit(images[:1000], labels[:1000])
    >>> bool(model.score(images[1000:], labels[1000:]) > 0.96)
    True
    """
    recipe, shape = _recipe(kind, shape, ndim)
    if ndim == 1 and symmetries is not None:
        raise ValueError(
            f"symmetries must be None with ndim=1, because first differences distinguish a signal from its reverse; "
            f"got {symmetries!r}."
        )
    parameters.check_symmetries("symmetries", symmetries, shape[:-1])

    def features(recipe, shape):
        layers = _layers(recipe, shape, random_state)
        return CKNFeatureMap(layers, symmetries=symmetries, center=True, scale=True, n_jobs=n_jobs)

    if ndim == 1:
        return _make_classifier(_of_signals(features, recipe, shape), RidgeClassifierCV(ALPHAS))
    path = list(PATHS[recipe.loss])
    classifier = LinearClassifier(recipe.loss, C=path, tol=TOL, n_jobs=n_jobs, random_state=random_state)
    steps = [features(recipe, shape), classifier]
    if recipe.whitened:
        steps.insert(0, PatchWhitening(_within(3, shape[:-1]), input_shape=shape, n_jobs=n_jobs))
    if recipe.n_landmarks:
        steps.insert(-1, _with_gaussian_kernel(recipe.n_landmarks, n_jobs, random_state))
    return _make_classifier(*steps)


class LabelsFirst(Pipeline):
    """A Pipeline whose `fit` rejects invalid labels, weights and classifier parameters before any other work.

    `fit` first fits a copy of the classifier, which is the last step, to features that are all 0.
    """

    def fit(self, X: Rows, y: Rows | None = None, **params: Any) -> Self:
        """Fit the classifier to features that are all 0, and then fit all steps; see :class:`Pipeline`."""
        name, classifier = self.steps[-1]
        has_rows = isinstance(getattr(X, "shape", X), (tuple, list))  # The first step rejects anything else.
        if has_rows and hasattr(classifier, "fit") and is_classifier(classifier):
            trial, prefix = clone(classifier), f"{name}__"
            if "random_state" in trial.get_params():  # The global random state must not change.
                trial.set_params(random_state=0)
            own = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # The fit of all steps will repeat them.
                trial.fit(np.zeros((_num_samples(X), 1)), y, **own)
        return super().fit(X, y, **params)


def _make_classifier(*steps):
    return LabelsFirst(make_pipeline(*steps).steps)


def _with_gaussian_kernel(n_landmarks, n_jobs, random_state):  # -> FeatureUnion
    """Return a union that appends features of a Gaussian kernel, which are multiplied by ``ADDED_SCALE``."""
    return with_gaussian_kernel(n_landmarks, SIGMA, {"gaussian": ADDED_SCALE}, random_state, n_jobs)


def _of_signals(features, recipe, shape):  # -> FeatureUnion
    """Return a union of networks for the shapes of patches, for first differences and for levels.

    The features of the last two networks are multiplied by ``ADDED_SCALE``.
    """
    length, n_channels = shape
    differences = make_pipeline(Differences(input_shape=shape), features(recipe, (length - 1, n_channels)))
    levels = features(recipe._replace(centred=(False, False)), shape)
    parts = [("shapes", features(recipe, shape)), ("differences", differences), ("levels", levels)]
    return FeatureUnion(parts, transformer_weights={"differences": ADDED_SCALE, "levels": ADDED_SCALE})
