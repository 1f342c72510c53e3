"""Estimators that choose their feature map from the data."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from sklearn import config_context
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import get_scorer
from sklearn.utils._param_validation import StrOptions

from .._arrays import tables
from .._core.linear.losses import log_probabilities
from .._linear import LinearClassifier, LinearRegressor
from .._targets import Classification
from .._utils.typing import ClassWeight, Kind, RandomState, Rows, typed
from .base import NEGLIGIBLE, TOL, AutoEstimator, with_weight
from .tasks import Labels, Numbers


class AutoCKNClassifier(Classification, AutoEstimator):
    """Classifier of signals that chooses its feature map from the data.

    It combines several networks of one or two layers, which are called branches and describe different aspects of a
    signal. Some branches compare only the shapes of patches, minus their means, and others compare the patches with
    their means. For images, one branch compares whitened patches. For series, other branches compare first differences,
    long (dilated) patches, or each channel separately. The map of every branch is pooled to several numbers of
    positions, from at most 8 along every axis down to a single one. The kernel of the feature map is a weighted sum::

        K(x, x') = sum_b w_b sum_k w_bk <Phi_bk(x), Phi_bk(x')>

    where ``Phi_bk(x)`` are the features of branch b with k positions along every axis, centred and of norm 1. The
    weights w are learned (multiple kernel learning [1]_): they minimise the log loss of the leave-one-out predictions
    of kernel ridge regression, which have a closed form, plus a penalty that keeps the weights nearly equal if there
    are few signals. Branches and numbers of positions that contribute little are dropped. The same loss determines
    whether features are averaged over mirror images, whether a Gaussian kernel of the features is added, and how
    probabilities are calibrated. Finally, a linear classifier is fitted to the features of all signals.

    Parameters
    ----------
    effort : {"fast", "balanced", "accurate"}, default="balanced"
        Size of the networks and of the search. For images and volumes, the two layers of a branch have 32 and 128, 64
        and 256, or 64 and 512 filters. For series, the branches with two layers have the same numbers of filters (half
        as many if each channel has its own network), and the branches with dilated patches have one layer with 128, 256
        or 512 filters. For at least 10 000 images, ``"accurate"`` uses 128 and 1024 filters if the features are not too
        large for the memory. The branches are chosen on a subset of 400, 800 or 1500 signals (up to twice as many if
        there are very many classes), or on all signals if there are fewer. At most 2, 3 or 3 branches are used for
        images and volumes, and at most 4, 8 or 10 for series. With tens of thousands of signals, fewer branches and
        fewer numbers of positions are used, so that the time and the memory do not grow out of proportion. A Gaussian
        kernel is projected onto at most 1000, 3000 or 3000 signals.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes. See `CKNLayer`.

    whiten : {"auto", True, False}, default="auto"
        Whether images are whitened by `PatchWhitening`. `"auto"` tries both whitened and unwhitened images. Series,
        volumes and images smaller than 3 x 3 are never whitened.

    symmetries : {"auto", "flip", "rotate", "dihedral"} or None, default="auto"
        Group of transformations over which the features are averaged, as in `CKNFeatureMap`. `"auto"` compares
        `"flip"` with None for images, unless ``effort="fast"``, and means None otherwise.

    class_weight : dict, "balanced" or None, default=None
        Multipliers of the sample weights, by class. `"balanced"` gives all classes the same total weight.

    cv : int, cross-validation splitter or None, default=None
        Cross-validation that determines the weights of the branches. None means leave-one-out or, if `fit` receives
        groups, up to ten folds of whole groups. An int is the number of folds. The test sets of a splitter must contain
        every signal exactly once, and each training set must contain all signals outside its test set. The predictions
        are computed in closed form, so the number of folds hardly affects the computation time. If `cv` or groups are
        given, C is always chosen by this cross-validation; see the Notes for the other case.

    scoring : str, callable or None, default=None
        Score that `branches_` reports, as in :func:`~sklearn.model_selection.cross_val_score`. A given score ignores
        sample weights. None means the accuracy, which uses them. `scoring` has no effect on the choice of branches,
        which always minimises the log loss.

    time_budget : float or None, default=None
        Time in seconds within which `fit` should finish. If the time is short, `fit` tries and uses fewer branches, but
        at least one. If `fit` takes longer nevertheless, it issues a warning. None means no limit.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, as in `CKNLayer`.

    verbose : bool, default=False
        Whether to print a line for every branch and for every further step.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. What is chosen does not depend on the number of threads, except by floating-point rounding.

    random_state : int, RandomState instance or None, default=None
        Determines the subset of signals on which branches are chosen, the patches and initial filters of the layers,
        and the validation set of the linear classifier. Pass an int for reproducible results.

    Attributes
    ----------
    feature_map_ : Pipeline
        The chosen feature map, which consists of public estimators: a :class:`~sklearn.pipeline.FeatureUnion` of
        branches, followed, if a Gaussian kernel was chosen, by a second FeatureUnion that adds its features.

    classifier_ : LinearClassifier
        The linear classifier of the features.

    branches_ : list of dict
        A table with one row for every branch that was tried, which ``pandas.DataFrame(branches_)`` shows: `branch`, its
        name; `weight`, its weight in the sum of kernels, or 0; `validation_score`, the cross-validated score of this
        branch alone; and `seconds`, the time taken to try this branch.

    chosen_ : dict
        Everything that was chosen: `weights` of the branches, `pyramids` (the weights of their numbers of positions),
        `symmetries`, `gaussian_kernel` (None, or its `sigma` and `weight`), and the `C` of the classifier.

    classes_ : ndarray of shape `(n_classes,)`
        Class labels. Classes whose signals have no weight are not among them.

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
        If `X` contains no numbers, as described in `CKNLayer`.
    ValueError
        If, in `fit`, `y` does not contain labels of at least two classes with a positive weight, or if every class has
        only one signal; if `X` is invalid for one of the reasons listed in `CKNLayer`, or its signals have a single
        position; if `symmetries` contains quarter turns and the images are not square; if `groups` contains fewer than
        two groups; or if the test sets of `cv` do not contain every signal exactly once. All of this is checked before
        any features are computed.

    Warns
    -----
    UserWarning
        If `fit` takes longer than `time_budget`, or if `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    AutoCKNRegressor : Regressor that chooses its feature map from the data.
    CKNFeatureMap : Features of a single network.
    LinearClassifier : The linear classifier of the features.

    Notes
    -----
    The linear classifier minimises the squared error. The same cross-validation that determines the weights of the
    branches also determines C. If only some of the signals are used to choose the branches, the filters are learned
    again from all signals. Unless `cv` or groups are given, the final C is then chosen on a held-out validation set,
    from 3, 12 and 48 times the cross-validated value.

    References
    ----------
    .. [1] G. R. G. Lanckriet, N. Cristianini, P. Bartlett, L. El Ghaoui and M. I. Jordan, "Learning the kernel matrix
       with semidefinite programming", JMLR 5, 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import AutoCKNClassifier
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = AutoCKNClassifier("fast", random_state=0).fit(images[:500], labels[:500])
    >>> model.score(images[500:], labels[500:])  # doctest: +ELLIPSIS
    0.97...
    >>> [row["branch"] for row in model.branches_]
    ['centred', 'uncentred', 'whitened']
    """

    _MODEL = "classifier_"
    _parameter_constraints = {
        **AutoEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        effort: Kind = "balanced",
        *,
        ndim: int = 2,
        whiten: Literal["auto"] | bool = "auto",
        symmetries: Literal["auto", "flip", "rotate", "dihedral"] | None = "auto",
        class_weight: ClassWeight | None = None,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        time_budget: float | None = None,
        input_shape: Sequence[int] | None = None,
        verbose: bool | int = False,
        n_jobs: int | None = None,
        random_state: RandomState | None = None,
    ) -> None:
        self.effort = effort
        self.ndim = ndim
        self.whiten = whiten
        self.symmetries = symmetries
        self.class_weight = class_weight
        self.cv = cv
        self.scoring = scoring
        self.time_budget = time_budget
        self.input_shape = input_shape
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.random_state = random_state

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None, groups: Rows | None = None) -> Self:
        """Choose and fit the feature map, and fit the linear classifier.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals, or a list of signals of different sizes; see `ndim` and `input_shape`.
        y : array-like of shape `(n_samples,)`
            Class labels.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.
        groups : array-like of shape `(n_samples,)`, default=None
            Labels of groups of signals that belong together, such as all signals of one person. Unless `cv` is a
            splitter that ignores groups, no signal is predicted from signals of its own group while branches are
            chosen.

        Returns
        -------
        self : AutoCKNClassifier
            The fitted classifier.
        """
        signals = self._read(X)
        samples = range(len(signals))
        y = tables.as_labels_or_targets(self, samples, y)
        classes, labels, weights = self._read_classes(samples, y, sample_weight, np.float64)
        fold_of, scorer = self._fold_of(y, groups, labels), None if self.scoring is None else get_scorer(self.scoring)
        factors = self._class_weights(classes, labels, tables.check_weights(sample_weight, samples, np.float64))[labels]
        fold_of, signals, labels, weights, factors = with_weight(weights, fold_of, signals, labels, weights, factors)
        learned, labels = np.unique(labels, return_inverse=True)
        classes = classes[learned]
        if len(classes) < 2:
            raise ValueError(f"At least two classes must have a positive weight; got one, {classes.tolist()[0]!r}.")
        if np.bincount(labels).max() < 2:
            raise ValueError(
                f"At least one class must have two signals (with a positive weight), because branches are chosen by "
                f"predicting the class of each signal from the others; got {len(classes)} classes with one signal each."
            )
        task = Labels(labels, classes, weights / weights.mean(), factors, scorer)
        with config_context(transform_output="default"):
            self._fit(signals, task, fold_of)
        tables.record_feature_names(self, X)
        self.classes_ = classes
        return self

    def predict_log_proba(self, X: Rows) -> np.ndarray:
        """Compute the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Samples of the same kind as in `fit`.

        Returns
        -------
        logarithms : ndarray of shape `(n_samples, n_classes)`
            Logarithms of the probabilities, with one column per class in the order of `classes_`.

        Raises
        ------
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        return log_probabilities(self._scores(X) * self.classifier_.probability_scale_)

    def predict_proba(self, X: Rows) -> np.ndarray:
        """Compute the probabilities of the classes, which are calibrated by cross-validated predictions.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Samples of the same kind as in `fit`.

        Returns
        -------
        probabilities : ndarray of shape `(n_samples, n_classes)`
            Probabilities, with one column per class in the order of `classes_`.

        Raises
        ------
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        return np.exp(self.predict_log_proba(X))

    def _linear_model(self, C, seed):
        return LinearClassifier(
            "squared_error", C=C, class_weight=self.class_weight, tol=TOL, n_jobs=self.n_jobs, random_state=seed
        )


class AutoCKNRegressor(RegressorMixin, AutoEstimator):
    """Regressor of signals that chooses its feature map from the data.

    It chooses its branches as `AutoCKNClassifier` does, but the weights minimise the mean squared error of the
    leave-one-out predictions, for standardised targets.

    Parameters
    ----------
    effort : {"fast", "balanced", "accurate"}, default="balanced"
        Size of the networks and of the search, as in `AutoCKNClassifier`.

    ndim : {1, 2, 3}, default=2
        Number of spatial axes: 1 for time series, 2 for images, 3 for volumes. See `CKNLayer`.

    whiten : {"auto", True, False}, default="auto"
        Whether images are whitened by `PatchWhitening`. `"auto"` tries both whitened and unwhitened images. Series,
        volumes and images smaller than 3 x 3 are never whitened.

    symmetries : {"auto", "flip", "rotate", "dihedral"} or None, default="auto"
        Group of transformations over which the features are averaged, as in `AutoCKNClassifier`.

    cv : int, cross-validation splitter or None, default=None
        Cross-validation that determines the weights of the branches, as in `AutoCKNClassifier`.

    scoring : str, callable or None, default=None
        Score that `branches_` reports, as in :func:`~sklearn.model_selection.cross_val_score`. A given score ignores
        sample weights. None means :math:`R^2`, which uses them. `scoring` has no effect on the choice of branches,
        which always minimises the squared error.

    time_budget : float or None, default=None
        Time in seconds within which `fit` should finish, as in `AutoCKNClassifier`.

    input_shape : tuple of ints or None, default=None
        Shape ``(*space,)`` or ``(*space, n_channels)`` of the signals in the rows of a 2-D `X`, as in `CKNLayer`.

    verbose : bool, default=False
        Whether to print a line for every branch and for every further step.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. What is chosen does not depend on the number of threads, except by floating-point rounding.

    random_state : int, RandomState instance or None, default=None
        Determines the subset of signals on which branches are chosen, the patches and initial filters of the layers,
        and the validation set of the linear regressor. Pass an int for reproducible results.

    Attributes
    ----------
    feature_map_ : Pipeline
        The chosen feature map, as in `AutoCKNClassifier`.

    regressor_ : LinearRegressor
        The linear regressor of the features.

    branches_ : list of dict
        A table with one row for every branch that was tried, as in `AutoCKNClassifier`.

    chosen_ : dict
        Everything that was chosen, as in `AutoCKNClassifier`.

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
        If `X` contains no numbers, as described in `CKNLayer`.
    ValueError
        If, in `fit`, `y` contains values that are not finite, or if fewer than three signals have a positive weight; or
        if `X`, `symmetries`, `groups` or `cv` is invalid for one of the reasons listed in `AutoCKNClassifier`.

    Warns
    -----
    UserWarning
        If `fit` takes longer than `time_budget`, or if `X` is probably misread, as described in `CKNLayer`.

    See Also
    --------
    AutoCKNClassifier : Classifier that chooses its feature map from the data.
    LinearRegressor : The linear regressor of the features.

    Notes
    -----
    The same cross-validation that determines the weights of the branches also determines the C of the linear regressor.
    If only some of the signals are used to choose the branches, the filters are learned again from all signals. Unless
    `cv` or groups are given, the final C is then chosen on a held-out validation set, from 3, 12 and 48 times the
    cross-validated value.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ckn import AutoCKNRegressor
    >>> rng = np.random.RandomState(0)
    >>> frequency, phase = rng.uniform(0.5, 1.5, (2, 200))
    >>> X = np.sin(frequency[:, None] * np.arange(32) + 4 * phase[:, None])
    >>> model = AutoCKNRegressor("fast", ndim=1, random_state=0).fit(X[:150], frequency[:150])
    >>> model.score(X[150:], frequency[150:])  # doctest: +ELLIPSIS
    0.99...
    """

    _MODEL = "regressor_"

    def __init__(
        self,
        effort: Kind = "balanced",
        *,
        ndim: int = 2,
        whiten: Literal["auto"] | bool = "auto",
        symmetries: Literal["auto", "flip", "rotate", "dihedral"] | None = "auto",
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        time_budget: float | None = None,
        input_shape: Sequence[int] | None = None,
        verbose: bool | int = False,
        n_jobs: int | None = None,
        random_state: RandomState | None = None,
    ) -> None:
        self.effort = effort
        self.ndim = ndim
        self.whiten = whiten
        self.symmetries = symmetries
        self.cv = cv
        self.scoring = scoring
        self.time_budget = time_budget
        self.input_shape = input_shape
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.random_state = random_state

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None, groups: Rows | None = None) -> Self:
        """Choose and fit the feature map, and fit the linear regressor.

        Parameters
        ----------
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals, or a list of signals of different sizes; see `ndim` and `input_shape`.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.
        groups : array-like of shape `(n_samples,)`, default=None
            Labels of groups of signals that belong together, as in `AutoCKNClassifier`.

        Returns
        -------
        self : AutoCKNRegressor
            The fitted regressor.
        """
        signals = self._read(X)
        samples = range(len(signals))
        y = tables.as_labels_or_targets(self, samples, y, multi_output=True, y_numeric=True)
        fold_of, scorer = self._fold_of(y, groups, None), None if self.scoring is None else get_scorer(self.scoring)
        weights = tables.check_weights(sample_weight, samples, np.float64)
        n = np.count_nonzero(weights > NEGLIGIBLE * weights.mean())
        if n < 3:
            raise ValueError(
                f"At least three signals must have a positive weight, because branches are chosen by predicting the "
                f"target of each signal from the others; got {n} {'sample' if n == 1 else 'signals'}."
            )
        fold_of, signals, y, weights = with_weight(weights, fold_of, signals, y, weights)
        with config_context(transform_output="default"):
            self._fit(signals, Numbers.of(y, weights / weights.mean(), scorer), fold_of)
        tables.record_feature_names(self, X)
        return self

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Samples of the same kind as in `fit`.

        Returns
        -------
        targets : ndarray of shape `(n_samples,)` or `(n_samples, n_targets)`
            Predictions.

        Raises
        ------
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if self.regressor_.coef_.ndim == 1 else S

    def _linear_model(self, C, seed):
        return LinearRegressor(C, tol=TOL, n_jobs=self.n_jobs, random_state=seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
