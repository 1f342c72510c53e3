"""How fast the functions of a linear model on a network's features can change."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from .._feature_map import CKNFeatureMap
from .._flatten import Flatten
from .._layer import CKNLayer
from .._network import kind_of, steps_of
from .._typing import Rows


def rkhs_norm(estimator: Pipeline) -> np.ndarray:
    """Compute the norms of the functions that a linear model has learned on features of a network.

    A function of the signals, one for each output of the model, is linear in their features Phi, whose inner product
    is the network's kernel: it lies in the space (RKHS) of that kernel, and its norm there bounds its slope [1]_::

        f(x) = <w, Phi(x)> + b,   |f| = |w|
        |f(x) - f(x')| <= |f| |Phi(x) - Phi(x')|

    Where a `StandardScaler` stands between features and model, ``w = coef_ / scale_``. (Several w give one function
    where the features do not span their space; ``|w|`` is then an upper bound of its norm.) With `center` or `scale`,
    Phi are the centred or scaled features, and the norm is that of a function of these.

    Parameters
    ----------
    estimator : Pipeline
        Fitted: a `CKNFeatureMap`, or one `CKNLayer` or more and `Flatten`; a `StandardScaler` or not; a linear model,
        anything with `coef_`. The functions are those that `coef_` and `intercept_` make: the decisions of a
        classifier (:class:`~sklearn.svm.SVC`: one for each pair of classes), what a regression predicts (with a link
        function: before that).

    Returns
    -------
    norms : ndarray of shape `(n_outputs,)`
        One per row of `coef_`: a single one for a regression or two classes.

    Raises
    ------
    TypeError
        `estimator` is something else.
    NotFittedError
        It is not fitted.

    See Also
    --------
    lipschitz_bound : The right-hand side of the inequality.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
    >>> from sklearn_ckn.inspection import rkhs_norm
    >>> images, labels = load_digits().images, load_digits().target
    >>> features = CKNFeatureMap(CKNLayer(16, n_patches=2000, random_state=0), scale=True)
    >>> weak, strong = (make_pipeline(features, LinearClassifier(C=C)).fit(images, labels) for C in (10, 0.1))
    >>> bool((rkhs_norm(strong) < rkhs_norm(weak)).all())  # the stronger the penalty, the smoother the functions
    True
    """
    _, coefficients = _split(estimator)
    return np.linalg.norm(coefficients, axis=1)


def lipschitz_bound(estimator: Pipeline, X: Rows, Y: Rows) -> np.ndarray:
    """Bound the difference of a linear model's functions at pairs of signals.

    By the inequality of Cauchy and Schwarz, for the function f of every output [1]_::

        |f(x) - f(y)| <= |f| |Phi(x) - Phi(y)|

    with Phi the features of the network, before a `StandardScaler`, and ``|f|`` from `rkhs_norm`. With a deformed
    signal for y it turns the stability of the features into that of the predictions.

    Parameters
    ----------
    estimator : Pipeline
        Fitted: a `CKNFeatureMap`, or one `CKNLayer` or more and `Flatten`; a `StandardScaler` or not; a linear model,
        anything with `coef_`. The functions are those of `rkhs_norm`.

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Signals.

    Y : array-like of the same kind
        As many others: one for each of `X`.

    Returns
    -------
    bound : ndarray of shape `(n_samples, n_outputs)`
        The right-hand side. It is computed in double precision from features in that of the signals.

    Raises
    ------
    TypeError
        `estimator` is something else.
    NotFittedError
        It is not fitted.
    ValueError
        `X` and `Y` are not of the same length, or refused by the network.

    See Also
    --------
    rkhs_norm : The norms of the functions.
    stability_report : The change of the features.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
    >>> from sklearn_ckn.inspection import deformation, lipschitz_bound
    >>> images, labels = load_digits().images, load_digits().target
    >>> features = CKNFeatureMap(CKNLayer(16, n_patches=2000, random_state=0), scale=True)
    >>> model = make_pipeline(features, LinearClassifier()).fit(images, labels)
    >>> deformed = deformation(images, size=1, random_state=0).signals
    >>> change = abs(model.decision_function(images) - model.decision_function(deformed))
    >>> bool((change <= lipschitz_bound(model, images, deformed)).all())
    True
    """
    network, coefficients = _split(estimator)
    x, y = (np.asarray(network.transform(signals), dtype=float) for signals in (X, Y))
    if len(x) != len(y):
        raise ValueError(f"X and Y must have the same number of signals; got {len(x)} and {len(y)}.")
    return np.outer(np.linalg.norm(x - y, axis=1), np.linalg.norm(coefficients, axis=1))


def _split(estimator):
    """The steps that make features, and the coefficients ``(n_outputs, n_features)`` of the functions of these."""
    check_is_fitted(estimator)
    steps = steps_of(estimator)
    model = steps.pop()[1] if steps else None
    scaler = steps.pop()[1] if steps and isinstance(steps[-1][1], StandardScaler) else None
    if not hasattr(model, "coef_") or not _makes_features(steps):
        raise TypeError(
            f"estimator must be a fitted Pipeline of a CKNFeatureMap (or CKNLayers and Flatten), perhaps a "
            f"StandardScaler, and a linear model with coef_ (of a search: best_estimator_); got {kind_of(estimator)}."
        )
    scale = 1 if scaler is None or scaler.scale_ is None else scaler.scale_
    coefficients = model.coef_.toarray() if sparse.issparse(model.coef_) else np.atleast_2d(model.coef_)
    return Pipeline(steps), coefficients.astype(float) / scale


def _makes_features(steps):
    *layers, last = [step for _, step in steps] or [None]
    return isinstance(last, (CKNFeatureMap, Flatten)) and all(isinstance(layer, CKNLayer) for layer in layers)
