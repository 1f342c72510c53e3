"""Networks whose filters are learned with labels, end to end."""

from os import PathLike
from typing import Literal, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import StrOptions

from . import _validation
from ._core.losses import LOSSES
from ._core.solver import Signs
from ._end_to_end import EndToEnd
from ._network import Network
from ._targets import Classification, Targets, Units, decide
from ._typing import Augmentation, ClassWeight, Loss, RandomState, Rows, typed


class CKNClassifier(Classification, EndToEnd):
    """A convolutional kernel network and a linear classifier, learned together.

    The filters of every layer are first learned without labels, as in :class:`CKNFeatureMap`, and the linear classifier
    of the features is solved. Then, in rounds, the filters follow the gradient of the objective for an epoch of
    minibatches, which the classifier follows, and the classifier is solved again [1]_. The objective is::

        alpha / 2 |W|^2 + sum_i s_i loss(W x_i + b, y_i) / sum_i s_i

    with x the features of a signal (the last map as a row, optionally centred and scaled), W and b the classifier's
    weights and intercepts, and s the weights of the samples. What is learned in each layer is a subspace of its
    kernel's space, the one that the filters span.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture, cloned, never changed; see :class:`CKNFeatureMap`. Its kernels need a finite slope, which all
        but `"arccos0"` have.

    loss : {"squared_hinge", "logistic", "squared_error"}, default="squared_hinge"
        As for `LinearClassifier`. `predict_proba` needs `"logistic"`; for the others,
        :class:`~sklearn.calibration.CalibratedClassifierCV` finds probabilities.

    alpha : float, default=1e-4
        Weight of the penalty ``|W|^2 / 2`` against the mean loss, > 0: ``1 / (C n)`` for the C of `LinearClassifier`.

    center : bool, default=True
        Subtract from each row of features its own mean.

    scale : bool, default=True
        Divide each row by its own norm, after centring; a row of zeros stays.

    class_weight : dict, "balanced" or None, default=None
        Factors of the weights of the samples, by their classes. `"balanced"`: classes have the same sum of weights.

    max_iter : int, default=20
        At most so many rounds. 0: the network learned without labels, with the best linear model.

    batch_size : int, default=128
        Signals in a minibatch.

    learning_rate : float, default=0.01
        Angle in radians by which the filters of a layer turn in one step, root mean square over them. A round that
        makes the objective larger is taken back, and the next ones turn by half the angles.

    schedule : {"cosine", "constant"}, default="cosine"
        What becomes of `learning_rate`: `"cosine"`, it falls to 0 over `max_iter` rounds, by half a cosine wave.

    momentum : float, default=0.9
        Factor of the gradients' sum before the next gradient is added, in [0, 1).

    augmentation : {"flip", "flip-crop"}, callable or None, default=None
        What varies the signals of a minibatch. `"flip"`: one in two is reversed along its last space axis;
        `"flip-crop"`: and moved by up to an eighth of its size along every axis, zeros coming in; a function
        ``(X, rng) -> X`` of signals ``(n, *space, n_channels)`` and a :class:`numpy.random.Generator`. The linear model
        is solved for one variation of each signal, always the same.

    tol : float, default=1e-4
        Part of the objective by which a round must lower it, or raise the validation score, to count as progress.

    early_stopping : bool, default=False
        Whether a part of the samples is held out, the score on which decides when to stop and which filters are kept.
        Otherwise it is the objective.

    validation_fraction : float, default=0.1
        That part, of every class the same and one sample at least, unless it has no other.

    n_iter_no_change : int, default=10
        Stop after so many rounds without progress.

    warm_start : bool, default=False
        Whether `fit` goes on from the filters of the `fit` before. `network` is then not read again.

    checkpoint : str, PathLike or None, default=None
        A file that is written after every round, and from which the same fit goes on if it exists: after it was killed,
        interrupted or stopped by a callback, to the same result; the file of a fit that was done gives that. A file of
        another fit is refused, so it serves no cross-validation. It is a pickle: load none that others may have
        written. `partial_fit` does not use it.

    verbose : bool, default=False
        Whether `fit` prints a line for every layer and round. The callbacks of scikit-learn 1.9 and later, such as
        :class:`~sklearn.callback.ProgressBar`, see them as tasks, whatever its value.

    random_state : int, RandomState instance or None, default=None
        Draws the order of the signals, the held-out part, variations, and seeds for the layers that have no
        `random_state` of their own.

    n_jobs : int or None, default=None
        Threads. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors. Every value gives the
        same result to the last bit.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers; they transform and are inspected like any other.

    classes_ : ndarray of shape `(n_classes,)`
        The labels.

    coef_ : ndarray of shape `(1, n_map_features)` or `(n_classes, n_map_features)`
        The weights W of the values of the last map, one row for two classes.

    intercept_ : ndarray of shape `(1,)` or `(n_classes,)`
        The intercepts b.

    n_iter_ : int
        Rounds made, those taken back too.

    loss_curve_ : list of float
        The objective before the first round and after every one; after `partial_fit`, mean losses of its epochs.

    validation_scores_ : list of float or None
        Accuracy on the held-out part, the same way; None without `early_stopping`, and after `partial_fit`.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`.

    n_features_in_ : int
        Values in one signal, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    TypeError
        `network` is no `CKNLayer` and no `Pipeline` of them.
    ValueError
        As by `CKNFeatureMap`; a kernel has no finite slope; `y` has one class, or is not one of labels; weights are
        negative or all 0; too few samples for a part to be held out; `augmentation` gives signals of another shape;
        `checkpoint` is of another fit.

    Warns
    -----
    ConvergenceWarning
        No round has lowered the objective; a linear model has not reached its optimum; an epoch of `partial_fit` has
        diverged and is taken back.
    UserWarning
        `fit` was interrupted (KeyboardInterrupt) after its first linear model: what was reached is kept.

    See Also
    --------
    CKNFeatureMap : The features alone, learned without labels.
    LinearClassifier : The linear model alone.

    Notes
    -----
    In a step every filter of a layer turns on its sphere against V, the tangent part of the gradients' running sum, by
    an angle in proportion to its own ``|V_j|`` and of root mean square `learning_rate`, less for a minibatch of little
    weight; ``(kappa(Z Z^T) + reg I)^(-1/2)`` is differentiated with the rest. The classifier goes down its gradient by
    steps of a length that the features' norms bound. A step takes memory for a few signals per thread, within
    scikit-learn's `working_memory` for each, a round for the features of all.

    Which gain to expect: deep networks gain more than those of two layers, narrow ones more than wide ones. A larger
    `alpha` than for fixed filters is often better. Rounds that are taken back (twice the same objective in
    `loss_curve_`) tell that a smaller `learning_rate` gets further.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks", NIPS 2016,
       section 3.2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ckn import CKNClassifier, CKNLayer
    >>> X, y = load_digits().images, load_digits().target
    >>> network = make_pipeline(CKNLayer(16, pooling_width=1, n_patches=5000), CKNLayer(32, n_patches=5000))
    >>> unsupervised = CKNClassifier(network, max_iter=0, random_state=0).fit(X[:500], y[:500])
    >>> supervised = CKNClassifier(network, max_iter=10, random_state=0).fit(X[:500], y[:500])
    >>> bool(supervised.score(X[500:], y[500:]) > unsupervised.score(X[500:], y[500:]))
    True
    """

    _parameter_constraints = {
        **EndToEnd._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        network: Network,
        *,
        loss: Loss = "squared_hinge",
        alpha: float = 1e-4,
        center: bool = True,
        scale: bool = True,
        class_weight: ClassWeight | None = None,
        max_iter: int = 20,
        batch_size: int = 128,
        learning_rate: float = 0.01,
        schedule: Literal["cosine", "constant"] = "cosine",
        momentum: float = 0.9,
        augmentation: Augmentation | None = None,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        checkpoint: str | PathLike[str] | None = None,
        verbose: bool | int = False,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.loss = loss
        self.alpha = alpha
        self.center = center
        self.scale = scale
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.augmentation = augmentation
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Learn the filters without labels, then with them.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape` of the network's first layer.
        y : array-like of shape `(n_samples,)`
            Labels.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1.

        Returns
        -------
        self : CKNClassifier
            The fitted classifier.
        """
        return self._fit(X, y, sample_weight)

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def partial_fit(self, X: Rows, y: Rows, classes: Rows | None = None, sample_weight: Rows | None = None) -> Self:
        """Learn from a batch of a stream: one epoch of gradient descent on filters and linear model.

        The first call finds the filters, without labels, and the optimal linear model of its batch before. The learning
        rate stays the same, and nothing is held out.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)`
            Labels, all of them among the classes.
        classes : array-like of shape `(n_classes,)`, default=None
            All labels there will be; needed in the first call.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1. They count relative to those of the same call.

        Returns
        -------
        self : CKNClassifier
            The classifier.

        Raises
        ------
        ValueError
            `classes` are missing in the first call, or are others later; `y` has a label that is not among them;
            ``class_weight="balanced"``.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples, which partial_fit does not see: give a dict, or weights."
            )
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        classes = None if classes is None else np.unique(classes)
        return self._partial_fit(X, y, sample_weight, classes=classes)

    def _loss(self):
        return self.loss

    def _read_targets(self, signals, y, sample_weight, is_warm, classes=None):
        y = _validation.as_labels_or_targets(self, signals.array, y)
        if is_warm and classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(f"classes={classes.tolist()} are not those of before, {self.classes_.tolist()}.")
        classes = self.classes_ if is_warm else classes
        classes, labels, weights = self._read_classes(signals.array, y, sample_weight, signals.dtype, classes)

        def accuracy(rows, S):
            return accuracy_score(labels[rows], decide(S), sample_weight=weights[rows])

        return Targets(Signs.of_all(labels, len(classes)), weights, accuracy, labels, {"classes_": classes})


class CKNRegressor(RegressorMixin, EndToEnd):
    """A convolutional kernel network and a linear regression, learned together.

    The filters of every layer are first learned without targets, as in :class:`CKNFeatureMap`, and the linear
    regression on the features is solved. Then, in rounds, the filters follow the gradient of the objective for an epoch
    of minibatches, which the regression follows, and the regression is solved again [1]_. The objective is::

        alpha / 2 |W|^2 + sum_i s_i |W x_i + b - y_i|^2 / sum_i s_i

    with x the features of a signal (the last map as a row, optionally centred and scaled), W and b the weights and
    intercepts, s the weights of the samples, and y the targets, less their mean and divided by the largest deviation
    from it.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture, cloned, never changed; see :class:`CKNFeatureMap`. Its kernels need a finite slope, which all
        but `"arccos0"` have.

    alpha : float, default=1e-4
        Weight of the penalty ``|W|^2 / 2`` against the mean loss, > 0: ``1 / (C n)`` for the C of `LinearRegressor`.

    center : bool, default=True
        Subtract from each row of features its own mean.

    scale : bool, default=True
        Divide each row by its own norm, after centring; a row of zeros stays.

    max_iter : int, default=20
        At most so many rounds. 0: the network learned without targets, with the best linear model.

    batch_size : int, default=128
        Signals in a minibatch.

    learning_rate : float, default=0.01
        Angle in radians by which the filters of a layer turn in one step, root mean square over them. A round that
        makes the objective larger is taken back, and the next ones turn by half the angles.

    schedule : {"cosine", "constant"}, default="cosine"
        What becomes of `learning_rate`: `"cosine"`, it falls to 0 over `max_iter` rounds, by half a cosine wave.

    momentum : float, default=0.9
        Factor of the gradients' sum before the next gradient is added, in [0, 1).

    augmentation : {"flip", "flip-crop"}, callable or None, default=None
        What varies the signals of a minibatch. `"flip"`: one in two is reversed along its last space axis;
        `"flip-crop"`: and moved by up to an eighth of its size along every axis, zeros coming in; a function
        ``(X, rng) -> X`` of signals ``(n, *space, n_channels)`` and a :class:`numpy.random.Generator`. The linear model
        is solved for one variation of each signal, always the same.

    tol : float, default=1e-4
        Part of the objective by which a round must lower it, or raise the validation score, to count as progress.

    early_stopping : bool, default=False
        Whether a part of the samples is held out, the score on which decides when to stop and which filters are kept.
        Otherwise it is the objective.

    validation_fraction : float, default=0.1
        That part.

    n_iter_no_change : int, default=10
        Stop after so many rounds without progress.

    warm_start : bool, default=False
        Whether `fit` goes on from the filters of the `fit` before. `network` is then not read again.

    checkpoint : str, PathLike or None, default=None
        A file that is written after every round, and from which the same fit goes on if it exists: after it was killed,
        interrupted or stopped by a callback, to the same result; the file of a fit that was done gives that. A file of
        another fit is refused, so it serves no cross-validation. It is a pickle: load none that others may have
        written. `partial_fit` does not use it.

    verbose : bool, default=False
        Whether `fit` prints a line for every layer and round. The callbacks of scikit-learn 1.9 and later, such as
        :class:`~sklearn.callback.ProgressBar`, see them as tasks, whatever its value.

    random_state : int, RandomState instance or None, default=None
        Draws the order of the signals, the held-out part, variations, and seeds for the layers that have no
        `random_state` of their own.

    n_jobs : int or None, default=None
        Threads. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors. Every value gives the
        same result to the last bit.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers; they transform and are inspected like any other.

    coef_ : ndarray of shape `(n_map_features,)` or `(n_targets, n_map_features)`
        The weights W of the values of the last map, in units of the targets; one row for a 1-D `y`.

    intercept_ : float or ndarray of shape `(n_targets,)`
        The intercepts b, in double precision: a mean may be much larger than the deviations from it.

    n_iter_ : int
        Rounds made, those taken back too.

    loss_curve_ : list of float
        The objective before the first round and after every one; after `partial_fit`, mean losses of its epochs.

    validation_scores_ : list of float or None
        Coefficient of determination on the held-out part, the same way; None without `early_stopping`, and after
        `partial_fit`.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`.

    n_features_in_ : int
        Values in one signal, ``prod(input_shape_)``; the columns of a 2-D `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    TypeError
        `network` is no `CKNLayer` and no `Pipeline` of them.
    ValueError
        As by `CKNFeatureMap`; a kernel has no finite slope; `y` is not finite; weights are negative or all 0; too few
        samples for a part to be held out; `augmentation` gives signals of another shape; `checkpoint` is of another
        fit.

    Warns
    -----
    ConvergenceWarning
        No round has lowered the objective; a linear model has not reached its optimum; an epoch of `partial_fit` has
        diverged and is taken back.
    UserWarning
        `fit` was interrupted (KeyboardInterrupt) after its first linear model: what was reached is kept.

    See Also
    --------
    CKNFeatureMap : The features alone, learned without targets.
    LinearRegressor : The linear model alone.

    Notes
    -----
    How the filters are learned: see the notes of `CKNClassifier`.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks", NIPS 2016,
       section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn import CKNLayer, CKNRegressor
    >>> rng = np.random.RandomState(0)
    >>> frequency, phase = rng.uniform(0.5, 1.5, (2, 400))
    >>> X = np.sin(frequency[:, None] * np.arange(32) + 4 * phase[:, None])
    >>> regressor = CKNRegressor(CKNLayer(16, ndim=1, pooling_width=8), max_iter=10, random_state=0)
    >>> bool(regressor.fit(X[:300], frequency[:300]).score(X[300:], frequency[300:]) > 0.9)
    True
    """

    def __init__(
        self,
        network: Network,
        *,
        alpha: float = 1e-4,
        center: bool = True,
        scale: bool = True,
        max_iter: int = 20,
        batch_size: int = 128,
        learning_rate: float = 0.01,
        schedule: Literal["cosine", "constant"] = "cosine",
        momentum: float = 0.9,
        augmentation: Augmentation | None = None,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        checkpoint: str | PathLike[str] | None = None,
        verbose: bool | int = False,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.alpha = alpha
        self.center = center
        self.scale = scale
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.augmentation = augmentation
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Learn the filters without targets, then with them.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals; see `ndim` and `input_shape` of the network's first layer.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1.

        Returns
        -------
        self : CKNRegressor
            The fitted regressor.
        """
        return self._fit(X, y, sample_weight)

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def partial_fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Learn from a batch of a stream: one epoch of gradient descent on filters and linear model.

        The first call finds the filters, without targets, and the optimal linear model of its batch before; and the
        mean and size of the targets, which scale all later ones. The learning rate stays the same, and nothing is
        held out.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1. They count relative to those of the same call.

        Returns
        -------
        self : CKNRegressor
            The regressor.

        Raises
        ------
        ValueError
            `y` has another number of targets than in the first call.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        targets : ndarray of shape `(n_samples,)` or `(n_samples, n_targets)`
            ``W x + b`` for the features x of a signal.

        Raises
        ------
        ValueError
            `X` is not finite, or of another shape than in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if self.coef_.ndim == 1 else S

    def _loss(self):
        return "squared_error"

    def _read_targets(self, signals, y, sample_weight, is_warm):
        y = _validation.as_labels_or_targets(self, signals.array, y, multi_output=True, y_numeric=True)
        weights = _validation.check_weights(sample_weight, signals.array, signals.dtype)
        targets = _validation.as_targets(y, weights.dtype)
        if is_warm:
            before = self.coef_.shape[:-1]
            if y.shape[1:] != before:
                expected = ", ".join(map(str, ("n_samples", *before)))
                raise ValueError(f"y must have shape ({expected}), as in the fit before; got {y.shape}.")
            units = self._units
        else:
            units = Units.of(targets, weights, centred=True)
        Y = np.where(weights[:, None] > 0, units.standardise(targets), 0).astype(weights.dtype)

        def determination(rows, S):
            return r2_score(targets[rows], units.restore(S), sample_weight=weights[rows])

        return Targets(Y, weights, determination, None, {"_units": units}, units, is_flat=y.ndim == 1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
