"""Whole recipes: networks and classifiers that are known to work, by the kind of signals and the time there is.

What is in them was chosen on held-out training data.
"""

from collections.abc import Sequence
from math import ceil
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils._param_validation import Options, StrOptions, validate_params

from . import _validation
from ._feature_map import CKNFeatureMap
from ._layer import CKNLayer
from ._linear import LinearClassifier
from ._slopes import Slopes
from ._typing import Kind, RandomState, typed
from .preprocessing import PatchWhitening

__all__ = ["make_classifier", "make_network"]

PATHS = {  # of C, by the loss, for features whose norms are near 1
    "squared_hinge": (1.0, 10.0, 100.0, 1000.0),
    "squared_error": (10.0, 100.0, 1000.0, 10_000.0),
}
TOL = 1e-4
SIGMA = 0.8  # of a Gaussian kernel of features of norm 1
BESIDE = 0.5  # factor of features that stand beside others: they have a quarter of the kernel
PATCHES = 30  # to learn a filter from: more have changed no accuracy
SHORTEST = 3  # positions: differences of neighbours still have two
ALPHAS = np.logspace(-6, 2, 9)  # of a ridge, where signals are few


class Recipe(NamedTuple):
    """Two layers, and what stands around them."""

    n_filters: tuple
    patch_size: tuple
    sigma: tuple
    centred: tuple  # whether patches are
    n_positions: int  # of the last map along every axis, about
    first_pooling: int = 2
    whitened: bool = False  # images, before
    n_landmarks: int = 0  # of a Gaussian kernel of the features, beside them; 0: without

    @property
    def loss(self):
        """Of the linear classifier: squares are the better ones where a kernel of all features stands beside them."""
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
    """The one for signals of this shape."""
    *space, n_channels = _validation.check_input_shape(shape, ndim, "shape", n_unknown=0)
    if max(space) < SHORTEST:
        raise ValueError(
            f"shape must have {SHORTEST} positions or more along its longest axis; got {shape!r}: give X.shape[1:], "
            f"channels last."
        )
    of = "signals" if ndim == 1 else "colour" if n_channels == 3 else "grey"
    return RECIPES[of][kind], (*space, n_channels)


def _within(size, space):  # -> (ndim ints)
    """A patch of this size, cut to a signal's."""
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
_CHECKED_TOO = {"augment": [StrOptions({"flip"}), None], "n_jobs": [Integral, None]}  # of classifiers


@typed(validate_params(_CHECKED, prefer_skip_nested_validation=True))
def make_network(
    kind: Kind, shape: Sequence[int], *, ndim: int = 2, random_state: RandomState | None = None
) -> Pipeline:
    """Two layers for signals of this shape.

    Parameters
    ----------
    kind : {"fast", "balanced", "accurate"}
        Few, some or many filters, each learned from 30 patches.
    shape : tuple of ints
        Shape ``(*space,)`` or ``(*space, n_channels)`` of a signal, ``X.shape[1:]``; it becomes the first layer's
        `input_shape`. Images with three channels are taken for photographs that were whitened, all others for grey
        ones.
    ndim : {1, 2}, default=2
        Number of space axes: 1 for time series, 2 for images. A series of two or three channels looks like a narrow
        grey image, unless `ndim` tells.
    random_state : int, RandomState instance or None, default=None
        That of the layers.

    Returns
    -------
    network : Pipeline of CKNLayer
        Not fitted.

    Raises
    ------
    ValueError
        A parameter is out of its range.

    See Also
    --------
    make_classifier : The whole of which this is a part.

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
    augment: Literal["flip"] | None = None,
    n_jobs: int | None = None,
    random_state: RandomState | None = None,
) -> Pipeline:
    """A classifier of signals of this shape: whitening where it helps, the network, and a linear classifier.

    Parameters
    ----------
    kind : {"fast", "balanced", "accurate"}
        Few, some or many filters; in `"accurate"` for images, a Gaussian kernel beside their features, too, which pays
        with thousands of images. That is projected on 3000 of the images, or on all if there are fewer: a warning of
        its layer tells so, unless ``set_params(featureunion__gaussian__network__n_filters=...)`` asks for as many.
    shape : tuple of ints
        Shape ``(*space,)`` or ``(*space, n_channels)`` of a signal, ``X.shape[1:]``, as in `make_network`. Signals of
        another shape are refused in `fit`, and rows are taken for flattened images of this one.
    ndim : {1, 2}, default=2
        Number of space axes, as in `make_network`: 1 for time series, 2 for images.
    augment : {"flip"} or None, default=None
        That of `CKNFeatureMap`, for images: `"flip"` for those whose mirror images are of the same class, such as
        photographs.
    n_jobs : int or None, default=None
        Threads of the steps that can use them.
    random_state : int, RandomState instance or None, default=None
        That of the layers and of the steps after them. An int makes results reproducible, those of `"accurate"` for
        images only with the same number of BLAS threads.

    Returns
    -------
    classifier : Pipeline
        Not fitted. For images its steps are

        - `patchwhitening`: `PatchWhitening`, if they have three channels; ``set_params(patchwhitening="passthrough")``
          leaves it out, for images that differ by their colours;
        - `cknfeaturemap`: the network of `make_network`, its features centred and scaled;
        - `featureunion`, for `"accurate"`: these features, and beside them those of a Gaussian kernel;
        - `linearclassifier`: `LinearClassifier`, which chooses its C; of the squared hinge loss or, for `"accurate"`,
          the squared error. ``set_params(linearclassifier__loss="logistic", linearclassifier__C=[1, 10, 100, 1000])``
          gives probabilities.

        For time series, `featureunion` has three networks, which see their shapes, their differences and their levels,
        and `ridgeclassifiercv` follows; for probabilities there is
        :class:`~sklearn.calibration.CalibratedClassifierCV`. There is no recipe for volumes.

    Raises
    ------
    ValueError
        A parameter is out of its range. In `fit` to images: no class has two of them, so that no C can be chosen;
        ``set_params(linearclassifier__C=10)`` gives one.

    See Also
    --------
    make_network : The network alone.

    Notes
    -----
    The classifier of `"accurate"` images is linear in features of the kernel ::

        K(x, x') = <Phi(x), Phi(x')> + exp(-|Phi(x) - Phi(x')|^2 / (2 * 0.8^2)) / 4

    with Phi the features of `CKNFeatureMap`, of norm 1, and the second kernel projected on 3000 images by the Nyström
    method, as in every layer. (An image whose features vanish, such as a black one, has K = 0.)

    While it is fitted, `"accurate"` holds its features of all images two times: in float32, as of uint8 images, 8 bytes
    times 11 192 for each (28 x 28, grey) or 12 216 (32 x 32, photographs), 5.4e9 bytes for 60 000 grey ones; in float64
    twice that.

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
    if ndim == 1 and augment is not None:
        raise ValueError(
            f"augment must be None with ndim=1, where slopes tell a signal from its reverse; got {augment!r}."
        )

    def features(recipe, shape):
        layers = _layers(recipe, shape, random_state)
        return CKNFeatureMap(layers, augment=augment, center=True, scale=True, n_jobs=n_jobs)

    if ndim == 1:
        return make_pipeline(_of_signals(features, recipe, shape), RidgeClassifierCV(ALPHAS))
    path = list(PATHS[recipe.loss])
    classifier = LinearClassifier(recipe.loss, C=path, tol=TOL, n_jobs=n_jobs, random_state=random_state)
    steps = [features(recipe, shape), classifier]
    if recipe.whitened:
        steps.insert(0, PatchWhitening(_within(3, shape[:-1]), input_shape=shape, n_jobs=n_jobs))
    if recipe.n_landmarks:
        steps.insert(-1, _with_gaussian_kernel(recipe.n_landmarks, n_jobs, random_state))
    return make_pipeline(*steps)


def _with_gaussian_kernel(n_landmarks, n_jobs, random_state):  # -> FeatureUnion
    """Features of norm 1, and those of a layer of which each is one patch: of a Gaussian kernel, projected on some."""
    layer = CKNLayer(
        n_landmarks,
        patch_size=1,
        pooling_width=1,
        sigma=SIGMA,
        init="random",
        n_patches=2 * n_landmarks,  # of which distinct ones are kept
        ndim=1,
        input_shape=(1, -1),
        random_state=random_state,
    )
    parts = [("linear", "passthrough"), ("gaussian", CKNFeatureMap(layer, n_jobs=n_jobs))]
    return FeatureUnion(parts, transformer_weights={"gaussian": BESIDE})


def _of_signals(features, recipe, shape):  # -> FeatureUnion
    """Networks for the shapes of patches and, of half their weight, for differences of neighbours and for levels."""
    length, n_channels = shape
    slopes = make_pipeline(Slopes(input_shape=shape), features(recipe, (length - 1, n_channels)))
    levels = features(recipe._replace(centred=(False, False)), shape)
    parts = [("shapes", features(recipe, shape)), ("slopes", slopes), ("levels", levels)]
    return FeatureUnion(parts, transformer_weights={"slopes": BESIDE, "levels": BESIDE})
