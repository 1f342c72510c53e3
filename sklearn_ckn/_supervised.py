"""Networks whose filters are learned with labels, end to end."""

from os import PathLike
from typing import Literal, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from ._arrays import tables
from ._arrays.conversion import as_labels
from ._core.linear.losses import LOSSES
from ._end_to_end import EndToEnd
from ._network import Network
from ._targets import Classification, of_classes, of_numbers
from ._utils.typing import Augmentation, ClassWeight, Loss, RandomState, Rows, Symmetries, typed


class CKNClassifier(Classification, EndToEnd):
    """A convolutional kernel network and a linear classifier, trained jointly.

    The filters of every layer are first learned without labels, as in :class:`CKNFeatureMap`, and the optimal linear
    classifier of the features is computed. Training then proceeds in rounds. In each round, the filters and the
    classifier follow the gradient of the objective for one epoch of mini-batches, and the optimal classifier is
    computed again [1]_. The objective is::

        alpha / 2 |W|^2 + sum_i s_i loss(W x_i + b, y_i) / sum_i s_i

    where x are the features of a signal (the last map as a row, optionally centred and scaled), W and b are the weights
    and intercepts of the classifier, and s are the weights of the samples. Each layer thereby learns the subspace that
    its filters span in the feature space of its kernel.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture. It is cloned and never changed; see :class:`CKNFeatureMap`. The kernels of its layers must
        have a finite slope, which excludes only `"arccos0"`.

    loss : {"squared_hinge", "logistic", "squared_error"}, default="squared_hinge"
        The loss, as in `LinearClassifier`. `predict_proba` requires `"logistic"`. For the other losses,
        :class:`~sklearn.calibration.CalibratedClassifierCV` estimates probabilities.

    alpha : float, default=1e-4
        Regularisation strength, > 0: the weight of the penalty ``|W|^2 / 2`` relative to the mean loss. It corresponds
        to ``1 / (C n)`` for n samples and the C of `LinearClassifier`.

    symmetries : {"flip", "rotate", "dihedral"} or None, default=None
        Group of transformations of the grid over which the last maps are averaged, in training and in prediction, as in
        `CKNFeatureMap`. Training and prediction take 2, 4 or 8 times as long, respectively.

    center : bool, default=True
        Whether to centre each row of features by subtracting its mean.

    scale : bool, default=True
        Whether to divide each row by its own norm, after centring. A row of zeros stays zero.

    class_weight : dict, "balanced" or None, default=None
        Multipliers of the sample weights, by class. `"balanced"` gives all classes the same total weight.

    max_iter : int, default=20
        Maximum number of rounds. If 0, the filters stay as they are learned without labels, and only the optimal linear
        model is computed.

    batch_size : int, default=128
        Number of signals in a mini-batch.

    learning_rate : float, default=0.01
        Angle, in radians, by which the filters of a layer turn in one step (root mean square over the filters). A
        round that increases the objective is undone, and the following rounds turn the filters by half the angle.

    schedule : {"cosine", "constant"}, default="cosine"
        Learning-rate schedule. `"cosine"` decreases `learning_rate` to 0 over `max_iter` rounds, along half a cosine
        wave. `"constant"` does not change it.

    momentum : float, default=0.9
        Momentum coefficient, in [0, 1). The running sum of gradients is multiplied by it before the next gradient is
        added.

    augmentation : {"flip", "rotate", "dihedral", "flip-crop"}, callable or None, default=None
        Random augmentation of the mini-batches. With `"flip"`, `"rotate"` or `"dihedral"`, each signal is transformed
        by a random element of the group of that name; see `symmetries` of `CKNFeatureMap`. With `"flip-crop"`, each
        signal is randomly flipped, and shifted by up to an eighth of its size along every axis, and the gaps are filled
        with zeros. A function ``(X, rng) -> X`` receives signals of shape ``(n, *space, n_channels)`` and a
        :class:`numpy.random.Generator`, and returns signals of the same shape. The linear model is computed from one
        augmented version of each signal, which is the same in every round.

    tol : float, default=1e-4
        Minimum relative decrease of the objective for a round to count as progress. With `early_stopping`, it is the
        minimum increase of the validation score instead.

    early_stopping : bool, default=False
        Whether to hold out a validation set and use its score to decide when to stop and which filters to keep.
        If False, the objective decides instead.

    validation_fraction : float, default=0.1
        Fraction of the training data held out for validation. The fraction is the same for every class, with at least
        one sample of each class that has two or more.

    n_iter_no_change : int, default=10
        Number of consecutive rounds without progress after which training stops.

    warm_start : bool, default=False
        Whether `fit` starts from the filters of the previous `fit`, if there was one. In that case, `network` is
        ignored.

    checkpoint : str, PathLike or None, default=None
        Path of a file that is written after every round. If the file exists, the same fit resumes from it after having
        been killed, interrupted or stopped by a callback, and gives the result of an uninterrupted fit. If the fit had
        already finished, its result is restored. The file of a different fit is rejected, so a checkpoint cannot be
        used in cross-validation. The file is a pickle: never load a checkpoint from an untrusted source. `partial_fit`
        does not use `checkpoint`.

    verbose : bool, default=False
        Whether to print progress. `fit` prints one line for each layer and each round. The callbacks of scikit-learn
        1.9 and later, such as :class:`~sklearn.callback.ProgressBar`, receive the layers and rounds as tasks, whatever
        the value of `verbose`.

    random_state : int, RandomState instance or None, default=None
        Determines the order of the signals, the held-out validation set, the augmentations, and the random seeds of the
        layers that have no `random_state` of their own. Pass an int for reproducible results.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers. They can be used and inspected like any other fitted layers.

    classes_ : ndarray of shape `(n_classes,)`
        The class labels.

    coef_ : ndarray of shape `(1, n_map_features)` or `(n_classes, n_map_features)`
        The weights W of the values of the last map. There is one row for two classes, and one row per class otherwise.

    intercept_ : ndarray of shape `(1,)` or `(n_classes,)`
        The intercepts b.

    n_iter_ : int
        Number of rounds that were run, including those that were undone.

    loss_curve_ : list of float
        The objective before the first round and after every round. Each epoch of `partial_fit` appends its mean loss
        instead.

    validation_scores_ : list of float or None
        Accuracy on the held-out validation set before the first round and after every round. None if
        `early_stopping` is False, and after `partial_fit`.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`, with None for every axis along which the
        signals differ in size.

    n_features_in_ : int
        Number of values in one signal, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`. Not defined
        if the sizes of the signals differ.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If `network` is neither a `CKNLayer` nor a `Pipeline` of `CKNLayer`, or if `X` contains no numbers.
    ValueError
        If `network` or `X` is invalid, as described in `CKNFeatureMap`; if a kernel has no finite slope; if `y` has a
        single class, has missing labels, or does not contain class labels of a dtype of NumPy; if the sample weights
        are negative or all 0; if there are too few samples to hold out a validation set; if `augmentation` returns
        signals of another shape; if `symmetries` or `augmentation` contains quarter turns and the signals are not
        square images; or if `checkpoint` belongs to another fit or is truncated.

    Warns
    -----
    ConvergenceWarning
        If no round has lowered the objective, if a linear model has not reached its optimum, or if an epoch of
        `partial_fit` diverged and was undone.
    UserWarning
        If `X` is probably misread, as described in `CKNLayer`, or if `fit` is interrupted (KeyboardInterrupt) after its
        first linear model was computed. The result so far is kept.

    See Also
    --------
    CKNFeatureMap : The features alone, learned without labels.
    LinearClassifier : The linear model alone.

    Notes
    -----
    If the last layer has a fixed number of positions (`n_positions`), `X` may be a list of signals of different sizes,
    as in `CKNFeatureMap`.

    Every filter is a point on the unit sphere. Let V be the part of the running sum of gradients that is tangent to the
    spheres, with one row per filter. In each step, filter j turns along its sphere in the direction of ``-V_j``, by an
    angle proportional to ``|V_j|``. The root mean square of these angles is `learning_rate`, or less for a mini-batch
    of small total weight. The gradient includes the derivative of ``(kappa(Z Z^T) + reg I)^(-1/2)``, where the rows of
    Z are the filters. The classifier is updated by gradient descent, with step sizes limited by the norms of the
    features. A step needs memory for a few signals per thread, up to scikit-learn's `working_memory` for each thread. A
    round needs memory for the features of all signals.

    Deep networks gain more from training with labels than two-layer networks do, and narrow networks gain more than
    wide networks. A larger `alpha` than for fixed filters is often better. If `loss_curve_` contains the same value
    twice in a row, a round was undone: a smaller `learning_rate` then makes more progress.

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
        symmetries: Symmetries | None = None,
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
        self.symmetries = symmetries
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
        """Learn the filters first without labels, then with labels.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals. See `ndim` and `input_shape` of the network's first layer.
        y : array-like of shape `(n_samples,)`
            Class labels.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.

        Returns
        -------
        self : CKNClassifier
            The fitted classifier.
        """
        return self._fit(X, y, sample_weight)

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def partial_fit(self, X: Rows, y: Rows, classes: Rows | None = None, sample_weight: Rows | None = None) -> Self:
        """Update the filters and the linear model by one epoch of gradient descent on a batch of a data stream.

        Before its epoch, the first call learns the filters without labels and computes the optimal linear model of its
        batch. The learning rate is constant, and no validation set is held out.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)`
            Class labels. All of them must be among the classes.
        classes : array-like of shape `(n_classes,)`, default=None
            All labels that can occur in any call. They are required in the first call.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights. Only their ratios within the same call
            matter.

        Returns
        -------
        self : CKNClassifier
            The updated classifier.

        Raises
        ------
        ValueError
            If `classes` is missing in the first call or differs in a later call; if `y` has a label that is not among
            the classes; or if ``class_weight="balanced"``.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples, but partial_fit sees one batch at a time: set class_weight "
                "to a dict, or pass sample_weight."
            )
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        classes = None if classes is None else np.unique(as_labels(classes, "classes"))
        return self._partial_fit(X, y, sample_weight, classes=classes)

    def _loss(self):
        return self.loss

    def _read_targets(self, signals, y, sample_weight, is_warm, classes=None):
        y = tables.as_labels_or_targets(self, range(len(signals)), y)
        if is_warm and classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes={classes.tolist()} are not the classes of the previous fit, {self.classes_.tolist()}: leave "
                f"classes out, or use a new estimator."
            )
        classes = self.classes_ if is_warm else classes
        return of_classes(*self._read_classes(range(len(signals)), y, sample_weight, signals.dtype, classes))


class CKNRegressor(RegressorMixin, EndToEnd):
    """A convolutional kernel network and a linear regression, trained jointly.

    The filters of every layer are first learned without targets, as in :class:`CKNFeatureMap`, and the optimal linear
    regression on the features is computed. Training then proceeds in rounds. In each round, the filters and the
    regression follow the gradient of the objective for one epoch of mini-batches, and the optimal regression is
    computed again [1]_. The objective is::

        alpha / 2 |W|^2 + sum_i s_i |W x_i + b - y_i|^2 / sum_i s_i

    where x are the features of a signal (the last map as a row, optionally centred and scaled), W and b are the weights
    and intercepts of the regression, s are the weights of the samples, and y are the targets minus their mean, divided
    by the largest absolute deviation from the mean.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture. It is cloned and never changed; see :class:`CKNFeatureMap`. The kernels of its layers must
        have a finite slope, which excludes only `"arccos0"`.

    alpha : float, default=1e-4
        Regularisation strength, > 0: the weight of the penalty ``|W|^2 / 2`` relative to the mean loss. It corresponds
        to ``1 / (C n)`` for n samples and the C of `LinearRegressor`.

    symmetries : {"flip", "rotate", "dihedral"} or None, default=None
        Group of transformations of the grid over which the last maps are averaged, in training and in prediction, as in
        `CKNFeatureMap`. Training and prediction take 2, 4 or 8 times as long, respectively.

    center : bool, default=True
        Whether to centre each row of features by subtracting its mean.

    scale : bool, default=True
        Whether to divide each row by its own norm, after centring. A row of zeros stays zero.

    max_iter : int, default=20
        Maximum number of rounds. If 0, the filters stay as they are learned without targets, and only the optimal
        linear model is computed.

    batch_size : int, default=128
        Number of signals in a mini-batch.

    learning_rate : float, default=0.01
        Angle, in radians, by which the filters of a layer turn in one step (root mean square over the filters). A
        round that increases the objective is undone, and the following rounds turn the filters by half the angle.

    schedule : {"cosine", "constant"}, default="cosine"
        Learning-rate schedule. `"cosine"` decreases `learning_rate` to 0 over `max_iter` rounds, along half a cosine
        wave. `"constant"` does not change it.

    momentum : float, default=0.9
        Momentum coefficient, in [0, 1). The running sum of gradients is multiplied by it before the next gradient is
        added.

    augmentation : {"flip", "rotate", "dihedral", "flip-crop"}, callable or None, default=None
        Random augmentation of the mini-batches. With `"flip"`, `"rotate"` or `"dihedral"`, each signal is transformed
        by a random element of the group of that name; see `symmetries` of `CKNFeatureMap`. With `"flip-crop"`, each
        signal is randomly flipped, and shifted by up to an eighth of its size along every axis, and the gaps are filled
        with zeros. A function ``(X, rng) -> X`` receives signals of shape ``(n, *space, n_channels)`` and a
        :class:`numpy.random.Generator`, and returns signals of the same shape. The linear model is computed from one
        augmented version of each signal, which is the same in every round.

    tol : float, default=1e-4
        Minimum relative decrease of the objective for a round to count as progress. With `early_stopping`, it is the
        minimum increase of the validation score instead.

    early_stopping : bool, default=False
        Whether to hold out a validation set and use its score to decide when to stop and which filters to keep.
        If False, the objective decides instead.

    validation_fraction : float, default=0.1
        Fraction of the training data held out for validation.

    n_iter_no_change : int, default=10
        Number of consecutive rounds without progress after which training stops.

    warm_start : bool, default=False
        Whether `fit` starts from the filters of the previous `fit`, if there was one. In that case, `network` is
        ignored.

    checkpoint : str, PathLike or None, default=None
        Path of a file that is written after every round. If the file exists, the same fit resumes from it after having
        been killed, interrupted or stopped by a callback, and gives the result of an uninterrupted fit. If the fit had
        already finished, its result is restored. The file of a different fit is rejected, so a checkpoint cannot be
        used in cross-validation. The file is a pickle: never load a checkpoint from an untrusted source. `partial_fit`
        does not use `checkpoint`.

    verbose : bool, default=False
        Whether to print progress. `fit` prints one line for each layer and each round. The callbacks of scikit-learn
        1.9 and later, such as :class:`~sklearn.callback.ProgressBar`, receive the layers and rounds as tasks, whatever
        the value of `verbose`.

    random_state : int, RandomState instance or None, default=None
        Determines the order of the signals, the held-out validation set, the augmentations, and the random seeds of the
        layers that have no `random_state` of their own. Pass an int for reproducible results.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    network_ : Pipeline
        The fitted layers. They can be used and inspected like any other fitted layers.

    coef_ : ndarray of shape `(n_map_features,)` or `(n_targets, n_map_features)`
        The weights W of the values of the last map, in units of the targets. A 1-D `y` gives a 1-D array.

    intercept_ : float or ndarray of shape `(n_targets,)`
        The intercepts b, in double precision, because the mean of a target may be much larger than the deviations from
        the mean.

    n_iter_ : int
        Number of rounds that were run, including those that were undone.

    loss_curve_ : list of float
        The objective before the first round and after every round. Each epoch of `partial_fit` appends its mean loss
        instead.

    validation_scores_ : list of float or None
        Coefficient of determination on the held-out validation set before the first round and after every round. None
        if `early_stopping` is False, and after `partial_fit`.

    input_shape_ : tuple
        Shape ``(*space, n_channels)`` of the signals seen in `fit`, with None for every axis along which the
        signals differ in size.

    n_features_in_ : int
        Number of values in one signal, ``prod(input_shape_)``, which is the number of columns of a 2-D `X`. Not defined
        if the sizes of the signals differ.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    TypeError
        If `network` is neither a `CKNLayer` nor a `Pipeline` of `CKNLayer`, or if `X` contains no numbers.
    ValueError
        If `network` or `X` is invalid, as described in `CKNFeatureMap`; if a kernel has no finite slope; if `y` is not
        finite; if the sample weights are negative or all 0; if there are too few samples to hold out a validation set;
        if `augmentation` returns signals of another shape; if `symmetries` or `augmentation` contains quarter turns and
        the signals are not square images; or if `checkpoint` belongs to another fit or is truncated.

    Warns
    -----
    ConvergenceWarning
        If no round has lowered the objective, if a linear model has not reached its optimum, or if an epoch of
        `partial_fit` diverged and was undone.
    UserWarning
        If `X` is probably misread, as described in `CKNLayer`, or if `fit` is interrupted (KeyboardInterrupt) after its
        first linear model was computed. The result so far is kept.

    See Also
    --------
    CKNFeatureMap : The features alone, learned without targets.
    LinearRegressor : The linear model alone.

    Notes
    -----
    The notes of `CKNClassifier` describe how the filters are learned.

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
        symmetries: Symmetries | None = None,
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
        self.symmetries = symmetries
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
        """Learn the filters first without targets, then with targets.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals. See `ndim` and `input_shape` of the network's first layer.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.

        Returns
        -------
        self : CKNRegressor
            The fitted regressor.
        """
        return self._fit(X, y, sample_weight)

    @typed(_fit_context(prefer_skip_nested_validation=False))
    def partial_fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Update the filters and the linear model by one epoch of gradient descent on a batch of a data stream.

        Before its epoch, the first call learns the filters without targets and computes the optimal linear model of its
        batch. It also determines the mean and the largest absolute deviation of the targets, with which the targets
        of all later calls are standardised. The learning rate is constant, and no validation set is held out.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights. Only their ratios within the same call
            matter.

        Returns
        -------
        self : CKNRegressor
            The updated regressor.

        Raises
        ------
        ValueError
            If `y` does not have the same number of targets as in the first call.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Signals, as in `fit`.

        Returns
        -------
        targets : ndarray of shape `(n_samples,)` or `(n_samples, n_targets)`
            Predictions ``W x + b``, where x are the features of a signal.

        Raises
        ------
        ValueError
            If `X` is not finite, or if its signals have a different shape from that in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if self.coef_.ndim == 1 else S

    def _loss(self):
        return "squared_error"

    def _read_targets(self, signals, y, sample_weight, is_warm):
        y = tables.as_labels_or_targets(self, range(len(signals)), y, multi_output=True, y_numeric=True)
        weights = tables.check_weights(sample_weight, range(len(signals)), signals.dtype)
        if is_warm and y.shape[1:] != self.coef_.shape[:-1]:
            expected = ", ".join(map(str, ("n_samples", *self.coef_.shape[:-1])))
            raise ValueError(
                f"y must have shape ({expected}), as in the previous fit; got {y.shape}: use a new estimator for other "
                f"targets."
            )
        targets = of_numbers(y, weights, centred=True, units=self._units if is_warm else None)
        return targets._replace(attributes={"_units": targets.units})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
