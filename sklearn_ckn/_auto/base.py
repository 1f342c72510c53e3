"""What the classifier and the regressor that choose their feature map have in common."""

import time
from math import prod, sqrt
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._arrays import validation
from .._arrays.notes import of_signal
from .._core.layer import patches
from .._core.layer.symmetries import GROUP_NAMES
from .._core.runtime import compilation
from .._network import check_symmetries
from .._utils.caller import warn
from .._utils.maps import SignalsMixin
from .._utils.n_jobs import effective_n_jobs
from .._utils.progress import tell
from .._utils.serialization import PersistentMixin
from . import branches
from .plain_signals import as_plain, features_of, take
from .selection import Limits, choose, quietly, try_branch

# Number of signals on which branches are chosen, unless there are very many classes.
N_SELECTED = {"fast": 400, "balanced": 800, "accurate": 1500}
MOST_BRANCHES = {  # maximum number of branches that are used, for series and for images or volumes
    "fast": (4, 2),
    "balanced": (8, 3),
    "accurate": (10, 3),
}
N_LANDMARKS = {"fast": 1000, "balanced": 3000, "accurate": 3000}  # maximum, for the Gaussian kernel
OPERATIONS = {  # maximum numbers of multiplications in the layers, and in the solver of the linear model
    "fast": (2e12, 2e12),
    "balanced": (1.25e13, 6e12),
    "accurate": (1.3e14, 6.5e13),
}
NUMBERS = 5e8  # maximum number of elements of the matrix of features, which is stored in memory
NUMBERS_PER_VALUE = 7  # or this many times the number of values in all signals, if that is more
PATH = 3.0, 12.0, 48.0  # candidates for C as multiples of the cross-validated C, if branches were chosen on a subset
TOL = 1e-4  # tolerance of the linear model
NEGLIGIBLE = 1e-12  # signals whose weight is at most this fraction of the mean weight are ignored


class AutoEstimator(PersistentMixin, SignalsMixin, BaseEstimator):
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

        limits = self._limits(X)
        n_filters = branches.numbers_of_filters(self.effort, self.ndim, limits)
        trials = self._try_branches(X, problem, groups_of_symmetries[0], n_filters, seed, begin)
        limits = self._within_budget(limits, trials, begin)
        choice = choose(trials, problem, groups_of_symmetries, limits)
        self._tell(begin, choice.describe())

        maps = {trial.branch.name: trial.fitted for trial in choice.trials}
        if len(rows) < n:
            maps = {name: quietly(clone(feature_map).fit, signals) for name, feature_map in maps.items()}
        union = choice.feature_map(maps)
        feature_map, F = self._with_gaussian(union, choice, signals, limits.n_landmarks, seed, rng)
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

    def _limits(self, X):
        """Return the limits of the model of all signals, without those of a time budget."""
        n, n_values = len(X), sum(len(part) * prod(part.shape) for _, part in X.groups)
        numbers, n_landmarks = max(NUMBERS, NUMBERS_PER_VALUE * n_values), min(N_LANDMARKS[self.effort], n)
        n_branches = MOST_BRANCHES[self.effort][self.ndim > 1]
        return Limits(n, n_branches, *OPERATIONS[self.effort], numbers, n_landmarks)

    def _try_branches(self, X, problem, symmetries, n_filters, seed, begin):
        """Fit all branches that may suit the signals, as far as the time allows, and return their trials."""
        smallest = tuple(int(size) for size in np.min([part.shape[:-1] for _, part in X.groups], axis=0))
        trials = []
        for branch in branches.candidates(n_filters, X.shape, smallest, self.input_shape, self.whiten, seed):
            if trials and self.time_budget is not None and time.perf_counter() - begin > self.time_budget / 4:
                self._tell(begin, f"skipped {branch.name} because of time_budget")
                continue
            trials.append(try_branch(branch, problem, symmetries, self.n_jobs))
            self._tell(begin, f"{branch.name}: score {trials[-1].score:.3f}")
        return trials

    def _within_budget(self, limits, trials, begin):
        """Return the limits with the maximum number of branches for which the remaining time suffices."""
        if self.time_budget is None:
            return limits
        of_all = max(trial.seconds for trial in trials) * max(1, limits.n_samples / N_SELECTED[self.effort])
        left = self.time_budget - (time.perf_counter() - begin)
        return limits._replace(n_branches=int(np.clip(left / (2 * of_all), 1, limits.n_branches)))

    def _with_gaussian(self, union, choice, signals, n_landmarks, seed, rng):
        """Return the whole feature map, with the Gaussian kernel if it was chosen, and the features of all signals."""
        if choice.gaussian is None:
            feature_map = Pipeline([("branches", union)])
            return feature_map, features_of(feature_map, signals)
        n = len(signals)
        some = np.sort(rng.permutation(n)[: 2 * n_landmarks])
        F = features_of(union, take(signals, some))
        sigma, weight = choice.gaussian
        factors = {"linear": sqrt(1 - weight), "gaussian": sqrt(weight)}  # The rows keep norm 1.
        kernel = branches.with_gaussian_kernel(n_landmarks, sigma, factors, seed, self.n_jobs)
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


def with_weight(weights, fold_of, signals, *targets):
    """Remove signals of negligible weight from the folds, the signals and their targets."""
    kept = np.flatnonzero(weights > NEGLIGIBLE * weights.mean())
    if len(kept) == len(weights):
        return fold_of, signals, *targets
    return None if fold_of is None else fold_of[kept], signals[kept], *(each[kept] for each in targets)


def is_first_use():
    """Return whether no compiled code is stored yet."""
    folder = compilation.cache_folder(patches.read)
    return folder is None or not any(Path(folder).glob("*.nbi"))
