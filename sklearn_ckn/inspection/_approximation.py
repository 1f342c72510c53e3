"""How close the maps of a network come to the kernel that they approximate."""

import numpy as np
from scipy.special import entr
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from .._core import encode
from .._feature_map import CKNFeatureMap
from .._kernel import CKNKernel
from .._network import Network
from .._typing import Rows
from ._fitted import read_fitted


def approximation_report(feature_map: CKNFeatureMap | Network, X: Rows, *, n_jobs: int | None = None) -> Bunch:
    """Compare a fitted network with the exact kernel, layer after layer.

    For the first k layers, K is the exact Gram matrix of the signals and K_hat that of the layers' maps::

        K_hat(x, x')    = sum_u <x_k(u), x'_k(u)>                        the Nyström approximation
        frobenius_error = |K - K_hat|_F / |K|_F
        spectral_error  = |K - K_hat|_2 / |K|_2
        effective_rank  = exp(-sum_i p_i log p_i),  p = eigenvalues of kappa(Z Z^T) / their sum

    Errors that grow from one layer to the next ask for more filters where they begin to grow. An `effective_rank` [1]_
    far below the number of filters says that they resemble each other: a smaller `sigma` or larger patches give them
    more to do.

    Parameters
    ----------
    feature_map : CKNFeatureMap, CKNLayer or Pipeline of CKNLayer
        The fitted network. `augment`, `center` and `scale` of a `CKNFeatureMap` are left out: the kernel itself is
        compared.

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Some hundred signals: the time grows with the square of their number, see `CKNKernel`. Errors below 1e-6 are
        seen in float64 only.

    n_jobs : int or None, default=None
        Threads for the exact kernels. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.

    Returns
    -------
    report : Bunch
        With the fields

        - layers : list of str, the names of the layers;
        - frobenius_error, spectral_error : ndarrays of shape `(n_layers,)`, 0 for signals of zeros;
        - spectra : list of ndarrays of shape `(n_filters,)`, the eigenvalues of each layer's ``kappa(Z Z^T)``, the
          largest first;
        - effective_rank : ndarray of shape `(n_layers,)`, between 1 and the number of filters;
        - exact, approximate : lists of ndarrays of shape `(n_samples, n_samples)`, the Gram matrices.

    Raises
    ------
    TypeError
        `feature_map` is something else.
    NotFittedError
        It is not fitted.
    ValueError
        `X` is refused by its first layer; parameters were changed after `fit`.

    See Also
    --------
    ApproximationDisplay : The same as a figure, ``ApproximationDisplay(report).plot()``.
    sklearn_ckn.CKNKernel : The exact kernel.

    References
    ----------
    .. [1] O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007,
       section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer
    >>> from sklearn_ckn.inspection import approximation_report
    >>> images = load_digits().images
    >>> network = make_pipeline(CKNLayer(16, n_patches=2000, random_state=0), CKNLayer(64, random_state=0))
    >>> report = approximation_report(CKNFeatureMap(network).fit(images), images[:50])
    >>> report.layers
    ['cknlayer-1', 'cknlayer-2']
    >>> bool(report.frobenius_error.max() < 0.05)
    True
    """
    steps, signals = read_fitted(feature_map, X)
    maps, exact, approximate = signals, [], []
    for k, (_, layer) in enumerate(steps, 1):
        maps = layer.transform(maps)
        rows = maps.reshape(len(maps), -1).astype(float)
        approximate.append(rows @ rows.T)
        exact.append(CKNKernel(Pipeline(steps[:k]), n_jobs=n_jobs)(signals).astype(float))
    spectra = [_spectrum(layer) for _, layer in steps]
    return Bunch(
        layers=[name for name, _ in steps],
        frobenius_error=_errors(exact, approximate, None),
        spectral_error=_errors(exact, approximate, 2),
        spectra=spectra,
        effective_rank=np.array([_effective_rank(spectrum) for spectrum in spectra]),
        exact=exact,
        approximate=approximate,
    )


def _errors(exact, approximate, order):
    """``|K - K_hat| / |K|`` of every pair; the norms are those of `numpy.linalg.norm`, None the one of Frobenius."""
    missed = [np.linalg.norm(K - K_hat, order) for K, K_hat in zip(exact, approximate)]
    whole = np.array([np.linalg.norm(K, order) for K in exact])
    return missed / np.where(whole > 0, whole, 1)


def _spectrum(layer):
    """The eigenvalues of ``kappa(Z Z^T)``, the largest first; what rounding made negative is 0."""
    Z = layer.filters_.reshape(len(layer.filters_), -1)
    return np.maximum(np.linalg.eigvalsh(encode.filter_products(Z, layer._settings))[::-1], 0)


def _effective_rank(spectrum):
    return np.exp(entr(spectrum / spectrum.sum()).sum())
