"""Graphs of estimators: the computation of every supported type of estimator, applied to a tensor.

Estimators pass tensors to one another in the same form as arrays: as maps with channels last, or as rows of features.
"""

import warnings
from functools import singledispatch
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn import linear_model
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.utils.validation import check_is_fitted

from .._arrays.parameters import check_symmetries
from .._core import gradient_map
from .._core.layer.flatten import flatten, flatten_pyramid
from .._core.layer.symmetries import mean_over_orbits, orbits
from .._core.linear import losses
from .._feature_map import CKNFeatureMap
from .._flatten import Flatten
from .._layer import CKNLayer
from .._linear import LinearClassifier, LinearRegressor
from .._network import accepts_any_size, kind_of
from .._supervised import CKNClassifier, CKNRegressor
from .._targets import decide
from ..preprocessing import ChannelScaler, Differences, GradientMap, PatchWhitening, _gradient_map, _patch_whitening
from ..preprocessing._differences import first_differences
from . import _layers
from ._graph import take

TRANSFORMERS = (
    ChannelScaler,
    CKNFeatureMap,
    CKNLayer,
    Differences,
    Flatten,
    GradientMap,
    PatchWhitening,
    StandardScaler,
)
LINEAR_CLASSIFIERS = (  # linear classifiers of scikit-learn
    LinearDiscriminantAnalysis,
    LinearSVC,
    linear_model.LogisticRegression,
    linear_model.LogisticRegressionCV,
    linear_model.Perceptron,
    linear_model.RidgeClassifier,
    linear_model.RidgeClassifierCV,
    linear_model.SGDClassifier,
)
if hasattr(linear_model, "PassiveAggressiveClassifier"):  # deprecated since version 1.8 of scikit-learn
    LINEAR_CLASSIFIERS += (linear_model.PassiveAggressiveClassifier,)
LINEAR_REGRESSORS = (  # linear regressors of scikit-learn
    LinearSVR,
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LarsCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.LassoLars,
    linear_model.LassoLarsCV,
    linear_model.LassoLarsIC,
    linear_model.LinearRegression,
    linear_model.MultiTaskElasticNet,
    linear_model.MultiTaskElasticNetCV,
    linear_model.MultiTaskLasso,
    linear_model.MultiTaskLassoCV,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.OrthogonalMatchingPursuitCV,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.TheilSenRegressor,
)
PREDICTORS = CKNClassifier, CKNRegressor, LinearClassifier, LinearRegressor, *LINEAR_CLASSIFIERS, *LINEAR_REGRESSORS
SUPPORTED = (
    "AutoCKNClassifier, AutoCKNRegressor, CKNClassifier, CKNRegressor, CKNFeatureMap, CKNLayer, Flatten, "
    "ChannelScaler, Differences, GradientMap, PatchWhitening, StandardScaler, LinearClassifier, LinearRegressor, the "
    "linear models of scikit-learn, and a Pipeline or FeatureUnion of these"
)


def leaves(estimator, name=None):
    """Yield the name and estimator of every nested step, in order, except for ``"passthrough"`` and ``"drop"``."""
    if isinstance(estimator, Pipeline | FeatureUnion):
        steps = estimator.steps if isinstance(estimator, Pipeline) else estimator.transformer_list
        for name, step in steps:
            yield from leaves(step, name)
    elif not is_passed(estimator) and not (isinstance(estimator, str) and estimator == "drop"):
        yield name, estimator


def is_passed(step):
    """Return whether a step leaves its input unchanged.

    Such a step is None, ``"passthrough"``, or the identity function that replaces ``"passthrough"`` in a fitted union.
    """
    is_identity = isinstance(step, FunctionTransformer) and step.func is None
    return is_identity or step is None or (isinstance(step, str) and step == "passthrough")


def check(estimator):
    """Check that an estimator and all its steps are supported and fitted."""
    for name, leaf in leaves(estimator):
        if not isinstance(leaf, TRANSFORMERS + PREDICTORS):
            found = "estimator is" if name is None else f"estimator has a step {name!r}, which is"
            hint = " Pass its best_estimator_." if hasattr(leaf, "best_estimator_") else ""
            raise TypeError(f"{found} {kind_of(leaf)}. There is no graph for it.{hint} to_onnx supports {SUPPORTED}.")
        check_is_fitted(leaf)


def input_shape(estimator, wanted):
    """Return the shape of each signal, or of each row, that the first step of an estimator expects.

    The sizes in ``wanted``, unless it is None, replace the spatial sizes seen in ``fit``.
    """
    for _, leaf in leaves(estimator):
        first = leaf.network_[0] if hasattr(leaf, "network_") else leaf
        is_flat = getattr(first, "input_shape", None) is not None or not hasattr(leaf, "input_shape_")
        fitted = (leaf.n_features_in_,) if is_flat else leaf.input_shape_
        if wanted is None and None not in fitted:
            return fitted
        sizes = () if wanted is None else tuple(wanted)
        is_valid = len(sizes) == len(fitted) and all(isinstance(size, Integral) and size >= 1 for size in sizes)
        if not is_valid or sizes[-1] != fitted[-1]:
            raise ValueError(
                f"The argument input_shape of to_onnx must be the shape of the signals that the graph accepts, with "
                f"ints >= 1. In fit, it was {fitted}, where None stands for a size that differed between signals; got "
                f"{wanted!r}."
            )
        return sizes
    raise TypeError(f"estimator has no step that computes anything: add one. to_onnx supports {SUPPORTED}.")


def as_signals(X, shape):  # -> (n, *space, c)
    """Reshape rows, or maps without an axis for their single channel, to the signals that an estimator expects.

    Signals of another size are returned as they are.
    """
    is_signals = len(X.shape) == len(shape) + 1 and X.shape[-1] == shape[-1]
    return X if is_signals else X.reshape(-1, *shape)


def check_unchanged(estimator, X, exception=""):  # (n, *space, c)
    """Check that signals have the shape seen in ``fit``."""
    if X.shape[1:] != estimator.input_shape_:
        raise ValueError(
            f"input_shape gives signals of shape {X.shape[1:]}, but {type(estimator).__name__} was fitted on signals "
            f"of shape {estimator.input_shape_}.{exception}"
        )


def channels_first(function, X, *estimators):  # (n, *space, c) -> (n, *space, c)
    """Apply a function of `_layers` to maps with channels last, once for each estimator in sequence."""
    X = np.moveaxis(X, -1, 1)
    for estimator in estimators:
        X = function(X, estimator)
    return np.moveaxis(X, 1, -1)


@singledispatch
def transform(step, X):  # a fitted estimator, Tensor -> Tensor
    """Compute the result of the method `transform` of a step."""
    if is_passed(step):
        return X
    raise TypeError(f"A step that is {kind_of(step)} must be the last step: remove the steps after it.")


@transform.register
def _(step: CKNLayer, X):
    return channels_first(_layers.encode, as_signals(X, step.input_shape_), step)


@transform.register
def _(step: PatchWhitening, X):
    X = as_signals(X, step.input_shape_)
    _patch_whitening.check_shape(step._settings, X.shape[1:], "input_shape gives")
    return channels_first(_layers.whiten, X, step)


@transform.register
def _(step: CKNFeatureMap, X):
    maps = mean_maps(step, X, step.symmetries)
    if step.pyramid is None:
        return flatten(maps, step.center, step.scale)
    return flatten_pyramid(maps, step.pyramid, step.center, step.scale)


def mean_maps(estimator, X, symmetries):  # (n, *space, c) -> (n, *space, m)
    """Compute the last maps of the network in an estimator, averaged over a group of symmetries."""
    X = as_signals(X, estimator.input_shape_)
    if not accepts_any_size(estimator.network_):
        check_unchanged(estimator, X, " Only a network with n_positions accepts other sizes.")
    check_symmetries("symmetries", symmetries, X.shape[1:-1])
    maps = channels_first(_layers.encode, orbits(X, symmetries), *estimator.network_)
    return mean_over_orbits(maps, symmetries)


@transform.register
def _(step: Flatten, X):
    return flatten(X, step.center, step.scale)


@transform.register
def _(step: ChannelScaler, X):
    return step._standardise(as_signals(X, step.input_shape_))


@transform.register
def _(step: Differences, X):
    X = as_signals(X, step.input_shape_)
    check_unchanged(step, X)
    return first_differences(X).reshape(len(X), -1)


@transform.register
def _(step: GradientMap, X):
    X = as_signals(X, step.input_shape_)
    _gradient_map.check_shape(X.shape[1:], "input_shape gives")
    return gradient_map.encode(X, step.orientations_)


@transform.register
def _(step: StandardScaler, X):
    if step.with_mean:
        X = X - step.mean_
    return X / step.scale_ if step.with_std else X


@transform.register
def _(step: Pipeline, X):
    for _, part in step.steps:
        X = transform(part, X)
    return X


@transform.register
def _(step: FeatureUnion, X):
    weights, rows = step.transformer_weights or {}, []
    for name, part in step.transformer_list:
        if not (isinstance(part, str) and part == "drop"):
            rows.append(transform(part, X) * weights.get(name, 1))
            if len(rows[-1].shape) > 2:
                raise TypeError(f"Step {name!r} of a FeatureUnion returns maps, not features: add Flatten() after it.")
    return np.hstack(rows)


@singledispatch
def outputs(estimator, X):  # a fitted estimator, Tensor -> {name: Tensor}
    """Compute the results of an estimator's methods, keyed by the names of the outputs of the graph."""
    values = transform(estimator, X)
    return {"features" if len(values.shape) == 2 else "maps": values}


@outputs.register
def _(estimator: Pipeline, X):
    *_, (_, last) = estimator.steps
    for _, step in estimator.steps[:-1]:
        X = transform(step, X)
    return outputs(last, X)


@outputs.register
def _(estimator: CKNClassifier, X):
    return of_classes(estimator, features_below(estimator, X))


@outputs.register
def _(estimator: CKNRegressor, X):
    return of_targets(estimator, features_below(estimator, X))


def features_below(estimator, X):  # -> (n, f)
    """Compute the input features of the linear model in an estimator that was trained end to end."""
    return estimator._top.features(mean_maps(estimator, X, estimator._top.symmetries))


def scores(model, X):  # (n, f) -> (n, k)
    coef = model.coef_.toarray() if issparse(model.coef_) else model.coef_
    return X @ np.atleast_2d(coef).T + np.atleast_1d(model.intercept_)


def of_targets(model, X):
    S = scores(model, X)
    return {"targets": S[:, 0] if model.coef_.ndim == 1 else S}


def of_classes(model, X):
    S = scores(model, X)
    found = {"label": take(labels(model), decide(S)), "scores": S[:, 0] if S.shape[1] == 1 else S}
    P = probabilities(model, S)
    return found if P is None else found | {"probabilities": P}


for classifier in (LinearClassifier, *LINEAR_CLASSIFIERS):
    outputs.register(classifier, of_classes)
for regressor in (LinearRegressor, *LINEAR_REGRESSORS):
    outputs.register(regressor, of_targets)


def labels(model):  # -> (n_classes,) of numbers, booleans or str
    """Return the classes of a model in a dtype that ONNX supports, with the same values."""
    if isinstance(model, LINEAR_CLASSIFIERS) and predicts_several_labels(model):
        raise TypeError(f"{type(model).__name__} was fitted to several labels per sample: fit it to one label.")
    classes = np.asarray(model.classes_)
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind not in "biuf" or classes.dtype.itemsize > 8:
        raise TypeError(
            f"{type(model).__name__} was fitted to labels of dtype {classes.dtype}, for which ONNX has no type: fit it "
            f"to strings or numbers, for example y.astype(str)."
        )
    return classes.astype(classes.dtype.newbyteorder("="))


def predicts_several_labels(model):
    """Return whether a linear classifier of scikit-learn predicts a row of labels for each sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The row of zeros has no column names.
        return model.predict(np.zeros((1, model.n_features_in_))).ndim > 1


def probabilities(model, S):  # (n, k) -> (n, n_classes), or None if the model has none
    """Compute the softmax of the scores, or their normalised logistic functions for one-against-all classifiers."""
    if not hasattr(model, "predict_proba") or getattr(model, "loss", None) == "modified_huber":
        return None
    # Models have the parameter `multi_class` only in versions of scikit-learn before 1.8.
    solver, way = getattr(model, "solver", None), getattr(model, "multi_class", None)
    is_one_against_others = isinstance(model, linear_model.SGDClassifier) or solver == "liblinear" or way == "ovr"
    if way == "multinomial" and S.shape[1] == 1:  # the softmax of -s and s
        S = S * 2
    if is_one_against_others and S.shape[1] > 1:
        P = 1 / (1 + np.exp(-S))
        P = np.where(P.max(axis=1, keepdims=True) > 0, P, 1)  # All values of a row may underflow to 0.
        return P / P.sum(axis=1, keepdims=True)
    return np.exp(losses.log_probabilities(S * getattr(model, "probability_scale_", 1)))
