"""The base class of CKNClassifier and CKNRegressor: a network and a linear model on its features, trained jointly."""

import copy
from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from . import _training
from ._arrays import tables, validation
from ._arrays.mixed import common_shape
from ._arrays.notes import noted
from ._arrays.signals import working_memory
from ._core.filters.sampling import LARGEST_SEED
from ._core.layer.symmetries import GROUP_NAMES
from ._core.riemannian_sgd import Head, Top
from ._network import check_symmetries, input_tags, learn, read_fitted_signals, read_signals, to_be_fitted
from ._targets import Units, hold_out
from ._utils.caller import warn
from ._utils.checkpoint import Checkpoint
from ._utils.maps import SignalsMixin
from ._utils.n_jobs import effective_n_jobs
from ._utils.progress import CallbackSupportMixin, Progress
from ._utils.serialization import PersistentMixin

# Parameters that do not change the result of a fit.
NOT_OF_THE_RESULT = ("checkpoint", "warm_start", "n_jobs", "verbose", "memory", "transform_input")


class EndToEnd(PersistentMixin, CallbackSupportMixin, SignalsMixin, BaseEstimator):
    """Base class of estimators that are trained end to end.

    Subclasses define ``_read_targets`` and ``_loss``.
    """

    _RECORDS = Top, Units

    _parameter_constraints = {
        "network": "no_validation",
        "alpha": [Interval(Real, 1e-30, 1e30, closed="both")],
        "symmetries": [StrOptions(GROUP_NAMES), None],
        "center": ["boolean"],
        "scale": ["boolean"],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions(set(_training.SCHEDULES))],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "augmentation": [StrOptions(set(_training.AUGMENTATIONS)), callable, None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def _fit(self, X, y, sample_weight):
        """Train in rounds, and set the fitted attributes only at the end."""
        is_warm = self.warm_start and hasattr(self, "network_")
        steps, signals = self._begin(X, is_warm)
        layers = [layer for _, layer in steps]
        targets = self._read_targets(signals, y, sample_weight, is_warm)
        begun = [self.coef_, self.intercept_, *(layer.filters_ for layer in layers)] if is_warm else None
        data = signals.array, signals.dtype, np.asarray(y), targets.weights, begun
        checkpoint = Checkpoint(self.checkpoint, self, NOT_OF_THE_RESULT, data)
        progress = Progress(self, len(steps) + 1 + self.max_iter, self.verbose, X, y)

        def attributes():
            return self._fitted(state, steps, signals, targets)

        reached = checkpoint.read()
        if reached is not None:
            state, seed, held_out, learned = reached
            for layer, its in zip(layers, learned):
                vars(layer).update(its)
            problem = self._problem(signals, targets, seed, held_out)
        else:
            seed = self._draw_seeds(layers)
            held_out = None
            if self.early_stopping:
                reason, instead = "early_stopping=True", "set early_stopping=False"
                held_out = hold_out(self, targets.weights, targets.strata, reason, instead)
            problem = self._problem(signals, targets, seed, held_out)
            state = self._start(steps, targets, problem, progress, is_warm)
        learned = [self._learned(layer) for layer in layers]
        try:
            while True:
                checkpoint.write((state, seed, held_out, learned))
                if self._is_done(state) or progress.is_to_stop:
                    break
                with progress.task(f"round {state.n_rounds + 1}", attributes) as figures:
                    state = _training.advance(state, layers, problem)
                    figures.update(state.figures())
        except KeyboardInterrupt:
            warn(f"Interrupted after {state.n_rounds} of max_iter={self.max_iter} rounds. The result so far is kept.")
        self._warn_of_failure(state)
        self._set(attributes, X, is_warm, progress)
        return self

    def _partial_fit(self, X, y, sample_weight, **known):
        """Train for one epoch, starting from the result of the previous call if there is one."""
        is_warm = hasattr(self, "network_")
        steps, signals = self._begin(X, is_warm)
        layers = [layer for _, layer in steps]
        targets = self._read_targets(signals, y, sample_weight, is_warm, **known)
        problem = self._problem(signals, targets, self._draw_seeds(layers))
        progress = Progress(self, 1 if is_warm else len(steps) + 2, self.verbose, X, y)

        def attributes():
            found = {**self._fitted(state, steps, signals, targets), "_velocities": state.velocities}
            seen = [self.input_shape_] if is_warm else []
            return {**found, "input_shape_": common_shape([*seen, signals.shape])}

        if is_warm:
            filters, velocities = _training.at_rest(layers)
            if self._velocities is not None:
                velocities = tuple(V.astype(signals.dtype, copy=False) for V in self._velocities)
            head = targets.head(self.coef_, self.intercept_)
            state = _training.State(filters, velocities, head, tuple(self.loss_curve_))
        else:
            state = self._start(steps, targets, problem, progress)
        with progress.task("epoch", attributes) as figures:
            state = _training.stream(state, layers, problem)
            figures.update(state.figures())
        self._set(attributes, X, is_warm, progress)
        return self

    def _start(self, steps, targets, problem, progress, is_warm=False):  # -> State
        """Unless the layers are already fitted, learn them without labels; then compute the optimal linear model."""
        if not is_warm:
            learn(steps, problem.signals[problem.rows], problem.n_threads, progress)

        def attributes():
            return self._fitted(state, steps, problem.signals, targets)

        with progress.task("linear model", attributes) as figures:
            state = _training.begin([layer for _, layer in steps], problem)
            figures.update(state.figures())
        return state

    @staticmethod
    def _learned(layer):
        """Return the attributes that `fit` has set on a layer, including its `random_state`."""
        names = vars(layer).keys() - layer.get_params().keys() | {"random_state"}
        return {name: vars(layer)[name] for name in names}

    def _set(self, attributes, X, is_warm, progress):
        """Set the fitted attributes, and report the end of the fit."""
        if not is_warm:
            tables.record_feature_names(self, X)
        vars(self).update(attributes())
        progress.end(attributes)

    def _begin(self, X, is_warm):  # -> named layers, Signals
        """Return the layers to be fitted, or copies of the fitted layers, and the signals to train on."""
        if not is_warm:
            steps = to_be_fitted(self.network)
            signals = read_signals(self, X, steps)
            self._check_symmetries(signals)
            return steps, signals
        steps, signals = [(name, copy.copy(layer)) for name, layer in self.network_.steps], read_fitted_signals(self, X)
        validation.check_declared_shape(self, signals, steps[0][1]._flattened)
        self._check_symmetries(signals)
        signals = signals.of_dtype(np.result_type(signals.dtype, self.coef_))
        for _, layer in steps:
            layer.filters_ = layer.filters_.astype(signals.dtype, copy=False)
        return steps, signals

    def _check_symmetries(self, signals):
        for name in ("symmetries", "augmentation"):
            check_symmetries(name, getattr(self, name), signals)

    def _draw_seeds(self, layers):  # -> int
        """Draw a seed for every layer without a `random_state`, and return the seed of the gradient descent."""
        rng = check_random_state(self.random_state)
        for layer in layers:
            if layer.random_state is None:
                layer.random_state = rng.randint(LARGEST_SEED)
        return rng.randint(LARGEST_SEED)

    def _problem(self, signals, targets, seed, held_out=None):
        weights = targets.weights
        if held_out is not None:
            weights = weights.copy()
            weights[held_out] = 0
        return _training.Problem(
            signals=signals,
            Y=targets.Y,
            weights=weights,
            alpha=float(self.alpha),
            top=self._top_of_fit(),
            held_out=held_out,
            score=targets.score,
            n_threads=effective_n_jobs(self.n_jobs),
            memory=working_memory(),
            options=_training.Options(
                self.max_iter,
                self.batch_size,
                float(self.learning_rate),
                self.schedule,
                float(self.momentum),
                _training.augmentation(self.augmentation),
                seed,
            ),
        )

    def _top_of_fit(self):
        return Top(self._loss(), self.center, self.scale, self.symmetries)

    def _is_done(self, state):
        return state.n_rounds >= self.max_iter or state.n_idle(self.tol) >= self.n_iter_no_change

    def _warn_of_failure(self, state):
        if state.n_rounds and state.n_halvings == state.n_rounds:
            smallest = self.learning_rate / 2 ** (state.n_halvings - 1)
            warn(
                f"No round lowered the objective, so the filters are the same as before training. The learning rate "
                f"was {self.learning_rate} in the first round and at most {smallest:.2g} in the last (number of "
                f"rounds: {state.n_rounds}). Lower learning_rate, raise max_iter or batch_size, or change alpha.",
                ConvergenceWarning,
            )

    def _fitted(self, state, steps, signals, targets):
        """Return the fitted attributes of a fit that ends in ``state``."""
        filters, head = state.best if state.best is not None else (state.filters, state.head)
        steps = [(name, copy.copy(layer)) for name, layer in steps]  # training continues with the originals
        _training.place(filters, [layer for _, layer in steps])
        coef, intercept = targets.coefficients(head)
        return {
            "network_": Pipeline(steps),
            "coef_": coef,
            "intercept_": intercept,
            "n_iter_": state.n_rounds,
            "loss_curve_": list(state.loss_curve),
            "validation_scores_": None if state.scores is None else list(state.scores),
            "input_shape_": signals.shape,
            "_top": self._top_of_fit(),
            "_velocities": None,
            **targets.attributes,
        }

    def _scores(self, X):  # -> (n, k)
        """Compute ``W x + b`` for the features x of every signal."""
        check_is_fitted(self)
        score = self._top.scorer(Head(np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)))
        signals, n_threads = read_fitted_signals(self, X, stored=True), effective_n_jobs(self.n_jobs)
        with noted("The symmetries are those of the last fit. To change them, fit the estimator again."):
            check_symmetries("symmetries", self._top.symmetries, signals)
        return _training.over_signals(signals, [*self.network_], self._top.symmetries, score, n_threads)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = input_tags(self.network, otherwise=tags.input_tags)
        return tags
