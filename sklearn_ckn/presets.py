"""Networks for each kind of signal and computing budget, whose settings were chosen on held-out training data."""

from collections.abc import Sequence
from math import ceil
from numbers import Integral
from typing import NamedTuple

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils._param_validation import Options, StrOptions, validate_params

from ._arrays import parameters
from ._arrays.misread import warn_of_shape
from ._layer import CKNLayer
from ._utils.typing import Kind, RandomState, typed

__all__ = ["make_network"]

PATCHES = 30  # number of patches drawn per filter; more did not improve the accuracy


class Settings(NamedTuple):
    """Settings of two layers."""

    n_filters: tuple
    patch_size: tuple
    sigma: tuple
    centred: tuple  # whether patches are centred, for each layer
    n_positions: int  # approximate number of positions of the last map along every axis
    first_pooling: int = 2


GREY = Settings((64, 256), (3, 3), (0.6, 0.6), (True, False), 4)
COLOUR = Settings((64, 256), (3, 3), (0.6, 0.6), (False, False), 3)
SERIES = Settings((64, 256), (9, 9), (0.6, 0.6), (True, False), 3, first_pooling=4)
NETWORKS = {
    "grey": {
        "fast": GREY._replace(n_filters=(32, 128)),
        "balanced": GREY,
        "accurate": Settings((64, 512), (3, 2), (0.6, 0.8), (True, True), 4),
    },
    "colour": {
        "fast": COLOUR._replace(n_filters=(32, 128)),
        "balanced": COLOUR,
        "accurate": COLOUR._replace(n_filters=(256, 1024)),
    },
    "series": {
        "fast": SERIES._replace(n_filters=(32, 128)),
        "balanced": SERIES,
        "accurate": SERIES._replace(n_filters=(128, 512)),
    },
}

_CHECKED = {
    "kind": [StrOptions({"fast", "balanced", "accurate"})],
    "shape": [tuple, list],
    "ndim": [Options(Integral, {1, 2})],
    "random_state": ["random_state"],
}


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
    sklearn_ckn.AutoCKNClassifier : Classifier that chooses its networks from the data.

    Examples
    --------
    >>> from sklearn_ckn.presets import make_network
    >>> [layer.n_filters for layer in make_network("fast", (28, 28))]
    [32, 128]
    """
    *space, n_channels = parameters.check_input_shape(None, shape, ndim, "shape", n_unknown=0)
    warn_of_shape((*space, n_channels), ndim, len(shape) > ndim)
    of = "series" if ndim == 1 else "colour" if n_channels == 3 else "grey"
    settings, layers = NETWORKS[of][kind], []
    for m, k, sigma, centred in zip(settings.n_filters, settings.patch_size, settings.sigma, settings.centred):
        width = tuple(ceil(n / settings.n_positions) if layers else min(settings.first_pooling, n) for n in space)
        patch_size = tuple(min(k, n) for n in space)
        layers.append(
            CKNLayer(
                m,
                patch_size=patch_size,
                pooling_width=width,
                patch_centering=centred and max(patch_size) > 1,
                sigma=sigma,
                n_patches=PATCHES * m,
                ndim=ndim,
                input_shape=None if layers else (*space, n_channels),
                random_state=random_state,
            )
        )
        space = [ceil(n / w) for n, w in zip(space, width)]
    return make_pipeline(*layers)
