"""Estimators that choose their feature map from the data."""

import time
from collections.abc import Callable, Sequence
from math import prod, sqrt
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context, clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._arrays import tables, validation
from .._arrays.mixed import MixedSignals
from .._arrays.notes import of_signal
from .._core.layer import patches
from .._core.layer.symmetries import GROUP_NAMES
from .._core.linear.losses import log_probabilities
from .._core.runtime import compilation
from .._linear import LinearClassifier, LinearRegressor
from .._network import check_symmetries
from .._targets import Classification
from .._utils.caller import warn
from .._utils.maps import SignalsMixin
from .._utils.n_jobs import effective_n_jobs
from .._utils.progress import tell
from .._utils.serialization import PersistentMixin
from .._utils.typing import ClassWeight, Kind, RandomState, Rows, typed
from . import branches
from .selection import choose, quietly, try_branch
from .tasks import Labels, Numbers

# Number of signals on which branches are chosen, unless there are very many classes.
N_SELECTED = {"fast": 400, "balanced": 800, "accurate": 1500}
MOST_BRANCHES = {  # maximum number of branches that are used, for series and for images or volumes
    "fast": (4, 2),
    "balanced": (8, 3),
    "accurate": (10, 3),
}
N_LANDMARKS = 3000  # maximum number of landmarks of the Gaussian kernel
PRODUCTS = {  # maximum of n_samples * n_features**2, the cost of the linear model
    "fast": 5e11,
    "balanced": 2e12,
    "accurate": 3e12,
}
PATH = 1.0, 4.0, 16.0  # candidates for C as multiples of the cross-validated C, if branches were chosen on a subset
TOL = 1e-4  # tolerance of the linear model
NEGLIGIBLE = 1e-12  # signals whose weight is at most this fraction of the mean weight are ignored
BLOCK = 2**28  # maximum number of bytes of the features of a block of signals


class _Auto(PersistentMixin, SignalsMixin, BaseEstimator):
    """Base class of the classifier and the regressor."""

    _parameter_constraints = {
        "effort": [StrOptions({"fast", "balanced", "accurate"})],
        "ndim": [Options(Integral, {1, 2, 3})],
        "whiten": [StrOptions({"auto"}), "boolean"],
        "symmetries": [StrOptions({"auto", *GROUP_NAMES}), None],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "time_budget": [Interval(Real, 0, None, closed="neither"), None],
        "input_shape": [tuple, list, None],
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def _fit(self, X, task, fold_of):
        """Choose and fit the feature map, and fit the linear model.

        Parameters
        ----------
        X : Signals or MixedSignals
        task : Labels or Numbers, what is learned
        fold_of : ndarray of shape (n,) or None, the fold of every signal, or None for leave-one-out
        """
        begin, n, n_threads = time.perf_counter(), len(X), effective_n_jobs(self.n_jobs)
        groups_of_symmetries = self._groups_to_compare(X)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        rng, signals = np.random.RandomState(seed), as_plain(X)
        rows = task.some(N_SELECTED[self.effort], rng)
        folds = None
        if fold_of is not None:
            folds = [np.flatnonzero(fold_of[rows] == k) for k in np.unique(fold_of[rows])]
        problem = task.problem(take(signals, rows), rows, folds, n_threads)
        if self.verbose and is_first_use():
            tell(self, begin, "compiling, which happens only once and takes about 15 s")

        trials = self._try_branches(X, problem, groups_of_symmetries[0], seed, begin)
        most_branches = self._most_branches(trials, n, begin)
        with_gaussian = n <= N_LANDMARKS or self.effort == "accurate"
        most = most_branches, sqrt(PRODUCTS[self.effort] / n)
        choice = choose(trials, problem, groups_of_symmetries, *most, with_gaussian)
        self._tell(begin, choice.describe())

        maps = {trial.branch.name: trial.fitted for trial in choice.trials}
        if len(rows) < n:
            maps = {name: quietly(clone(feature_map).fit, signals) for name, feature_map in maps.items()}
        union = choice.feature_map(maps)
        feature_map, F = self._with_gaussian(union, choice, signals, seed, rng)
        self._tell(begin, f"computed {F.shape[1]} features of {n} signals")
        path = PATH if len(rows) < n and fold_of is None else ()
        model = self._linear_model([choice.strength / 2 * factor for factor in path] or choice.strength / 2, seed)
        model = task.fit(model, F, choice.learned.t)
        self._tell(begin, f"fitted the linear model with C={model.C_:.3g}")

        seconds = time.perf_counter() - begin
        if self.time_budget is not None and seconds > self.time_budget:
            warn(
                f"{type(self).__name__} took {seconds:.1f} s, longer than time_budget={self.time_budget:g}, although "
                f"it tried few branches. Set effort='fast', pass fewer signals, or raise time_budget."
            )
        self.feature_map_ = feature_map
        self.branches_ = choice.table(trials)
        self.chosen_ = choice.settings() | {"C": float(model.C_)}
        self.input_shape_ = X.shape
        setattr(self, self._MODEL, model)

    def _try_branches(self, X, problem, symmetries, seed, begin):
        """Fit all branches that may suit the signals, as far as the time allows, and return their trials."""
        smallest = tuple(int(size) for size in np.min([part.shape[:-1] for _, part in X.groups], axis=0))
        trials = []
        for branch in branches.candidates(self.effort, X.shape, smallest, self.input_shape, self.whiten, seed):
            if trials and self.time_budget is not None and time.perf_counter() - begin > self.time_budget / 4:
                self._tell(begin, f"skipped {branch.name} because of time_budget")
                continue
            trials.append(try_branch(branch, problem, symmetries, self.n_jobs))
            self._tell(begin, f"{branch.name}: score {trials[-1].score:.3f}")
        return trials

    def _most_branches(self, trials, n, begin):
        """Return the maximum number of branches that the effort and the remaining time allow."""
        most = MOST_BRANCHES[self.effort][self.ndim > 1]
        if self.time_budget is None:
            return most
        of_all = max(trial.seconds for trial in trials) * max(1, n / N_SELECTED[self.effort])
        left = self.time_budget - (time.perf_counter() - begin)
        return int(np.clip(left / (2 * of_all), 1, most))

    def _with_gaussian(self, union, choice, signals, seed, rng):
        """Return the whole feature map, with the Gaussian kernel if it was chosen, and the features of all signals."""
        if choice.gaussian is None:
            feature_map = Pipeline([("branches", union)])
            return feature_map, features_of(feature_map, signals)
        n = len(signals)
        some = np.sort(rng.permutation(n)[: 2 * N_LANDMARKS])
        F = features_of(union, take(signals, some))
        kernel = branches.gaussian_kernel(min(N_LANDMARKS, n), *choice.gaussian, seed, self.n_jobs)
        quietly(kernel.fit, F)
        feature_map = Pipeline([("branches", union), ("kernel", kernel)])
        return feature_map, kernel.transform(F) if len(some) == n else features_of(feature_map, signals)

    def _tell(self, begin, text):
        if self.verbose:
            tell(self, begin, text)

    def _groups_to_compare(self, signals):
        """Return the groups of symmetries that are compared. The first one is used while branches are tried."""
        if self.symmetries != "auto":
            check_symmetries("symmetries", self.symmetries, signals)
            return [self.symmetries]
        return [None] if self.ndim != 2 or self.effort == "fast" else [None, "flip"]

    def _fold_of(self, y, groups, strata):
        """Return the number of the fold of every signal, or None for leave-one-out."""
        if groups is not None:
            check_consistent_length(groups, y)
            if len(np.unique(groups)) < 2:
                raise ValueError(
                    "groups must contain labels of at least two groups. To ignore groups, pass groups=None."
                )
        cv = self.cv
        if cv is None:
            if groups is None:
                return None
            cv = min(10, len(np.unique(groups)))
        if isinstance(cv, Integral):
            kind = KFold if strata is None else StratifiedKFold
            cv = GroupKFold(cv) if groups is not None else kind(cv, shuffle=True, random_state=0)
        fold_of, n_tests = np.full(len(y), -1), np.zeros(len(y), dtype=int)
        for k, (train, test) in enumerate(check_cv(cv).split(np.zeros((len(y), 1)), y, groups)):
            fold_of[test] = k
            n_tests[test] += 1
            if len(train) + len(test) != len(y) or not len(train):
                n_tests[:] = 2
        if (n_tests != 1).any():
            raise ValueError(
                f"The test sets of cv must contain every signal exactly once, and each training set must contain all "
                f"signals outside its test set, as with KFold and GroupKFold; got {self.cv!r}."
            )
        return fold_of

    def _read(self, X):
        """Check the signals and return them."""
        signals = validation.as_signals(self, X, self.ndim, self.input_shape, mixed=True)
        for rows, part in signals.groups:
            if max(part.shape[:-1]) < 2:
                with of_signal(signals, rows):
                    raise ValueError(
                        f"X has signals of shape {part.shape} (n_features={prod(part.shape)}), but at least two "
                        f"positions along an axis are needed."
                    )
        return signals

    def _features(self, X):
        """Return the features of signals of the kind seen in `fit`."""
        signals = validation.as_fitted_signals(self, X, self.input_shape is not None, mixed=True)
        with config_context(transform_output="default"):
            return features_of(self.feature_map_, as_plain(signals))

    def _scores(self, X):
        check_is_fitted(self)
        return getattr(self, self._MODEL)._scores(self._features(X))

    def to_pipeline(self) -> Pipeline:
        """Return the chosen feature map and the linear model as a Pipeline of public estimators.

        Returns
        -------
        pipeline : Pipeline
            The fitted steps of `feature_map_`, followed by the fitted linear model in the step ``"linear"``. These are
            the steps of this estimator, not copies. For arrays, the Pipeline makes the same predictions. A
            :func:`~sklearn.base.clone` of the Pipeline is not fitted and keeps the chosen settings. If C was chosen on
            a validation set, the clone chooses again from the same values. If C is a single number, a cloned classifier
            predicts probabilities only after ``set_params(linear__loss="logistic")`` or with a list for `linear__C`.
        """
        check_is_fitted(self)
        return Pipeline([*self.feature_map_.steps, ("linear", getattr(self, self._MODEL))])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.ndim == 1 or self.input_shape is not None
        tags.input_tags.three_d_array = self.ndim in (1, 2)
        return tags


def as_plain(signals):  # Signals or MixedSignals -> ndarray or list of ndarray
    """Return the values of signals as arrays that every estimator accepts."""
    if not isinstance(signals, MixedSignals):
        return signals.array if signals.chosen is None else signals.array[signals.chosen]
    plain = [None] * len(signals)
    for rows, part in signals.groups:
        for row, x in zip(rows, as_plain(part)):
            plain[row] = x
    return plain


def with_weight(weights, fold_of, signals, *targets):
    """Remove signals of negligible weight from the folds, the signals and their targets."""
    kept = np.flatnonzero(weights > NEGLIGIBLE * weights.mean())
    if len(kept) == len(weights):
        return fold_of, signals, *targets
    return None if fold_of is None else fold_of[kept], signals[kept], *(each[kept] for each in targets)


def take(X, rows):
    """Return some of the signals of an array or a list."""
    return [X[row] for row in rows] if isinstance(X, list) else X[rows]


def features_of(feature_map, X):
    """Return the features of signals, computed in blocks to limit the memory for intermediate results."""
    first = feature_map.transform(X[:1])
    n_together = max(1, BLOCK // first.nbytes)
    if len(X) <= n_together:
        return feature_map.transform(X)
    F = np.empty((len(X), first.shape[1]), first.dtype)
    for start in range(0, len(X), n_together):
        F[start : start + n_together] = feature_map.transform(X[start : start + n_together])
    return F


def is_first_use():
    """Return whether no compiled code is stored yet."""
    folder = compilation.cache_folder(patches.read)
    return folder is None or not any(Path(folder).glob("*.nbi"))


class AutoCKNClassifier(Classification, _Auto):
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
        or 512 filters. The branches are chosen on a subset of 400, 800 or 1500 signals (up to twice as many if there
        are very many classes), or on all signals if there are fewer. At most 2, 3 or 3 branches are used for images and
        volumes, and at most 4, 8 or 10 for series. With more than 3000 signals, a Gaussian kernel is considered only
        for `"accurate"`.

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
    from 1, 4 and 16 times the cross-validated value.

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
    _parameter_constraints = {**_Auto._parameter_constraints, "class_weight": [dict, StrOptions({"balanced"}), None]}

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
        y = tables.as_labels_or_targets(self, X, y)
        signals = self._read(X)
        classes, labels, weights = self._read_classes(X, y, sample_weight, np.float64)
        fold_of, scorer = self._fold_of(y, groups, labels), None if self.scoring is None else get_scorer(self.scoring)
        factors = self._class_weights(classes, labels, tables.check_weights(sample_weight, X, np.float64))[labels]
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
        weights = {"class_weight": self.class_weight}
        return LinearClassifier("squared_error", C=C, **weights, tol=TOL, n_jobs=self.n_jobs, random_state=seed)


class AutoCKNRegressor(RegressorMixin, _Auto):
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
    `cv` or groups are given, the final C is then chosen on a held-out validation set, from 1, 4 and 16 times the
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
        y = tables.as_labels_or_targets(self, X, y, multi_output=True, y_numeric=True)
        signals = self._read(X)
        fold_of, scorer = self._fold_of(y, groups, None), None if self.scoring is None else get_scorer(self.scoring)
        weights = tables.check_weights(sample_weight, X, np.float64)
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
