"""A fitted estimator as a whole graph."""

import onnx
from sklearn.base import BaseEstimator

from .. import __version__
from . import _steps
from ._graph import Graph


def to_onnx(estimator: BaseEstimator) -> onnx.ModelProto:
    """Write a fitted estimator as an ONNX graph.

    Any runtime of ONNX then computes what the estimator computes, without Python, scikit-learn and this package. There
    are only standard operators in it, of opset 18. Its numbers are in single precision: those of an estimator that was
    fitted in double precision are rounded.

    Parameters
    ----------
    estimator : estimator
        A fitted `CKNClassifier`, `CKNRegressor`, `CKNFeatureMap`, `CKNLayer`, `Flatten` or `PatchWhitening`, or a
        classifier of :func:`~sklearn_ckn.presets.make_classifier`; or a :class:`~sklearn.pipeline.Pipeline` of such
        transformers, of :class:`~sklearn.preprocessing.StandardScaler` and of a
        :class:`~sklearn.pipeline.FeatureUnion` of them. Its last step may be a `LinearClassifier`, a `LinearRegressor`
        or one of scikit-learn's linear classifiers and linear regressions, such as
        :class:`~sklearn.linear_model.RidgeClassifierCV`, :class:`~sklearn.linear_model.LogisticRegression`,
        :class:`~sklearn.svm.LinearSVC` and :class:`~sklearn.linear_model.Ridge`.

    Returns
    -------
    model : onnx.ModelProto
        The graph, checked. Its input and outputs, for any number n >= 1 of signals:

        ==================  ====================================================================================
        name                value
        ==================  ====================================================================================
        `"X"`               the input, float32: ``(n, *space, n_channels)``, channels last, of the sizes in `fit`;
                            ``(n, n_features)`` where the first step has an `input_shape` or reads features
        `"features"`        rows, of a transformer
        `"maps"`            the same, of one that ends in a layer or in `PatchWhitening`
        `"targets"`         what `predict` of a regressor gives
        `"label"`           what `predict` of a classifier gives, int64 or strings
        `"scores"`          what its `decision_function` gives, ``(n,)`` for two classes
        `"probabilities"`   what its `predict_proba` gives, if it has that
        ==================  ====================================================================================

        All outputs but the labels are float32.

    Raises
    ------
    TypeError
        `estimator` is, or one of its steps is, one for which there is no graph; or it was fitted to several labels of
        each sample.
    ValueError
        A `PatchWhitening` with ``method="local"`` has an `exponent` other than 0, 0.25 and 0.5, or a `reg` below 1e-6:
        a graph has no eigenvalues.
    NotFittedError
        `estimator`, or a step, is not fitted.

    See Also
    --------
    CKNFeatureMap : What is written, but for the classifier.

    Notes
    -----
    Images of one channel need their last axis: ``images[..., None]``. Integers are to be converted to float32.

    In a graph patches and filters are multiplied by convolutions, and the matrices of a local `PatchWhitening` are
    found by a Newton-Schulz iteration [1]_, in double precision. Numbers differ by rounding from those of the estimator
    in single precision, by 1e-6 to 1e-4 of the largest one; where rounding is amplified, by a small `reg` or `sigma` or
    for images of noise, up to 1e-3, which is as far as either is from double precision. A mean of targets that is many
    times larger than their deviations from it is rounded, too. The probabilities of
    :class:`~sklearn.linear_model.SGDClassifier` with ``loss="modified_huber"`` are left out.

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
    _steps.check(estimator)
    graph = Graph()
    X = graph.input("X", _steps.input_shape(estimator))
    found = _steps.outputs(estimator, X)
    model = graph.to_model(
        type(estimator).__name__, X, found, producer_name="sklearn_ckn", producer_version=__version__
    )
    onnx.checker.check_model(model, full_check=True)
    return model
