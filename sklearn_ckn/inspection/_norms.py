"""Bounds on the rate of change of the functions that a linear model learns on the features of a network."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._feature_map import CKNFeatureMap
from .._flatten import Flatten
from .._layer import CKNLayer
from .._network import kind_of, steps_of
from .._utils.typing import Rows


def rkhs_norm(estimator: Pipeline) -> np.ndarray:
    """Compute the norms of the functions that a linear model has learned on the features of a network.

    Each output of the model is a function f of the signal x that is linear in the features Phi(x). The inner product of
    features is the network's kernel, so f lies in the reproducing kernel Hilbert space (RKHS) of that kernel. The norm
    of f in this space bounds how fast f changes [1]_::

        f(x) = <w, Phi(x)> + b,   |f| = |w|
        |f(x) - f(x')| <= |f| |Phi(x) - Phi(x')|

    If there is a `StandardScaler` between the features and the model, w is ``coef_ / scale_``. If the features do not
    span their space, several w give the same function, and ``|w|`` is an upper bound on its norm. If `center` or
    `scale` is set, Phi(x) are the features after centring or scaling, and f is linear in these features.

    Parameters
    ----------
    estimator : Pipeline
        Fitted Pipeline of a `CKNFeatureMap` (or one or more `CKNLayer` steps and a `Flatten`), optionally a
        `StandardScaler`, and a linear model, which is any estimator with `coef_`. The functions are defined by `coef_`
        and `intercept_`: the decision functions of a classifier (for :class:`~sklearn.svm.SVC`, one for each pair of
        classes), or the predictions of a regression model (before the link function, if it has one).

    Returns
    -------
    norms : ndarray of shape `(n_outputs,)`
        One norm for each row of `coef_`: a single norm for regression with one target or for two classes.

    Raises
    ------
    TypeError
        If `estimator` is not a Pipeline of this form.
    NotFittedError
        If `estimator` is not fitted.

    See Also
    --------
    lipschitz_bound : Bound on the differences of the functions at pairs of signals.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 5 and Theorem A.1; equation (1) for the inequality.

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
    """Bound the differences between the outputs of a linear model at pairs of signals.

    By the Cauchy-Schwarz inequality, the function f of each output satisfies [1]_::

        |f(x) - f(y)| <= |f| |Phi(x) - Phi(y)|

    where Phi(x) are the features of the network before any `StandardScaler`, and ``|f|`` is computed by `rkhs_norm`. If
    y is a deformed version of x, the bound shows that stable features lead to stable predictions.

    Parameters
    ----------
    estimator : Pipeline
        Fitted Pipeline of a `CKNFeatureMap` (or one or more `CKNLayer` steps and a `Flatten`), optionally a
        `StandardScaler`, and a linear model, which is any estimator with `coef_`. The functions f are defined as in
        `rkhs_norm`.

    X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
        Signals.

    Y : array-like of the same kind
        Other signals, one for each signal of `X`.

    Returns
    -------
    bound : ndarray of shape `(n_samples, n_outputs)`
        Right-hand side of the inequality, computed in double precision from features in the precision of the signals.

    Raises
    ------
    TypeError
        If `estimator` is not a Pipeline of this form.
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If `X` and `Y` have different lengths or are rejected by the network.

    See Also
    --------
    rkhs_norm : Norms of the functions.
    stability_report : Change of the features under deformations.

    References
    ----------
    .. [1] A. Bietti and J. Mairal, "Group invariance, stability to deformations, and complexity of deep convolutional
       representations", JMLR 20(25), 2019, section 1.3, equation (1).

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
    n, n_others = _num_samples(X), _num_samples(Y)
    if n != n_others:
        raise ValueError(f"X and Y must have the same number of signals; got {n} and {n_others}.")
    x, y = (np.asarray(network.transform(signals), dtype=float) for signals in (X, Y))
    return np.outer(np.linalg.norm(x - y, axis=1), np.linalg.norm(coefficients, axis=1))


def _split(estimator):
    """Return the Pipeline that computes features, and the coefficients of unscaled features, one row per output."""
    check_is_fitted(estimator)
    steps = steps_of(estimator)
    model = steps.pop()[1] if steps else None
    scaler = steps.pop()[1] if steps and isinstance(steps[-1][1], StandardScaler) else None
    if not hasattr(model, "coef_") or not _makes_features(steps):
        raise TypeError(
            f"estimator must be a fitted Pipeline of a CKNFeatureMap (or CKNLayers and Flatten), optionally a "
            f"StandardScaler, and a linear model with coef_; got {kind_of(estimator)}. For a hyperparameter "
            f"search, pass its best_estimator_."
        )
    scale = 1 if scaler is None or scaler.scale_ is None else scaler.scale_
    coefficients = model.coef_.toarray() if sparse.issparse(model.coef_) else np.atleast_2d(model.coef_)
    return Pipeline(steps), coefficients.astype(float) / scale


def _makes_features(steps):
    *layers, last = [step for _, step in steps] or [None]
    return isinstance(last, (CKNFeatureMap, Flatten)) and all(isinstance(layer, CKNLayer) for layer in layers)
