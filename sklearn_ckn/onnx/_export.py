"""Conversion of a fitted estimator to a complete ONNX graph."""

from collections.abc import Sequence

import onnx
from sklearn.base import BaseEstimator

from .. import __version__
from .._auto.estimators import AutoCKNClassifier, AutoCKNRegressor
from . import _steps
from ._graph import Graph


def to_onnx(estimator: BaseEstimator, *, input_shape: Sequence[int] | None = None) -> onnx.ModelProto:
    """Convert a fitted estimator to an ONNX graph.

    Any ONNX runtime can then compute the results of the estimator without Python, scikit-learn or this package. The
    graph contains only standard operators of opset 18. Its coefficients are stored in single precision, so they are
    rounded if the estimator was fitted in double precision.

    Parameters
    ----------
    estimator : estimator
        A fitted `AutoCKNClassifier`, `AutoCKNRegressor`, `CKNClassifier`, `CKNRegressor`, `CKNFeatureMap`, `CKNLayer`,
        `Flatten`, `ChannelScaler`, `Differences`, `GradientMap` or `PatchWhitening`, or a
        :class:`~sklearn.pipeline.Pipeline`. The steps of a pipeline may be the transformers in this list, a
        :class:`~sklearn.preprocessing.StandardScaler` or a :class:`~sklearn.pipeline.FeatureUnion` of such
        transformers. The last step may also be a `LinearClassifier`, a `LinearRegressor` or one of scikit-learn's
        linear classifiers and linear regressors, such as
        :class:`~sklearn.linear_model.RidgeClassifierCV`, :class:`~sklearn.linear_model.LogisticRegression`,
        :class:`~sklearn.svm.LinearSVC` and :class:`~sklearn.linear_model.Ridge`.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space, n_channels)`` of the signals that the graph accepts. If None, it is the shape seen in `fit`.
        The spatial sizes may differ from those in `fit` for a `CKNLayer`, a `ChannelScaler`, a `GradientMap`, a
        `PatchWhitening`, and a network with `n_positions`. A network that was fitted on signals of different sizes
        requires an `input_shape`.

    Returns
    -------
    model : onnx.ModelProto
        The graph, which has passed the ONNX checker. It accepts any number n of signals, including 0 (for
        which older versions of onnxruntime raise an error). Its input and outputs are:

        ==================  =====================================================================================
        name                value
        ==================  =====================================================================================
        `"X"`               input, float32, of shape ``(n, *space, n_channels)``, with the sizes in the argument
                            `input_shape` or those seen in `fit`, or of shape ``(n, n_features)`` if the first step
                            reads rows
        `"features"`        output of a transformer that returns rows of features
        `"maps"`            output of a transformer that ends in a layer, in `ChannelScaler`, in `GradientMap` or in
                            `PatchWhitening`
        `"targets"`         output of the method `predict` of a regressor
        `"label"`           output of the method `predict` of a classifier, of the dtype of `classes_`
        `"scores"`          output of the method `decision_function` of a classifier, of shape ``(n,)`` for two classes
        `"probabilities"`   output of the method `predict_proba` of a classifier, if it has this method
        ==================  =====================================================================================

        All outputs except the labels are float32. Labels that are strings have the ONNX type string.

    Raises
    ------
    TypeError
        If `estimator` or one of its steps is not supported, or if a classifier was fitted to several labels per sample
        or to labels for which ONNX has no type, such as dates.
    ValueError
        If `input_shape` is None although the estimator was fitted on signals of different sizes, or if the estimator
        does not accept signals of shape `input_shape`. Also if a `PatchWhitening` with ``method="local"`` has an
        `exponent` other than 0, 0.25 or 0.5, or has a `reg` below 1e-6 and an `exponent` other than 0, because ONNX has
        no eigenvalue decomposition.
    NotFittedError
        If `estimator` or one of its steps is not fitted.

    See Also
    --------
    CKNFeatureMap : Network without a classifier, which can also be converted.

    Notes
    -----
    Images with one channel need a channel axis: ``images[..., None]``. Integer input must be converted to float32.

    The graph computes the products of patches and filters as convolutions, and the matrices of a local `PatchWhitening`
    by a Newton-Schulz iteration [1]_ in double precision. The outputs differ from the single-precision results of the
    estimator only by floating-point rounding: by 1e-6 to 1e-4 of the largest value, and by up to 1e-3 if rounding
    errors are amplified by a small `reg`, a small `sigma` or images that contain only noise. In these cases, the
    single-precision results of the estimator differ just as much from its double-precision results. If the mean of the
    targets is many times larger than their deviations from the mean, the rounding error of the mean adds to the
    difference. The graph of a :class:`~sklearn.linear_model.SGDClassifier` with ``loss="modified_huber"`` has no output
    `"probabilities"`.

    References
    ----------
    .. [1] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM, 2008,
       section 6.3.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNFeatureMap, CKNLayer, LinearClassifier
    >>> from sklearn_ckn.onnx import to_onnx
    >>> images, labels = load_digits().images[..., None].astype(np.float32), load_digits().target
    >>> features = CKNFeatureMap(CKNLayer(32, random_state=0), center=True, scale=True)
    >>> classifier = make_pipeline(features, LinearClassifier()).fit(images[:1000], labels[:1000])
    >>> graph = to_onnx(classifier).SerializeToString()  # bytes, as in a file
    >>> session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    >>> predicted, scores = session.run(["label", "scores"], {"X": images[1000:]})
    >>> bool((predicted == classifier.predict(images[1000:])).all())
    True
    """
    name = type(estimator).__name__
    if isinstance(estimator, (AutoCKNClassifier, AutoCKNRegressor)):
        estimator = estimator.to_pipeline()
    _steps.check(estimator)
    graph = Graph()
    X = graph.input("X", _steps.input_shape(estimator, input_shape))
    found = _steps.outputs(estimator, X)
    model = graph.to_model(name, X, found, producer_name="sklearn_ckn", producer_version=__version__)
    onnx.checker.check_model(model, full_check=True)
    return model
