"""The learning task: class labels or real-valued targets, with sample weights and a score for predictions."""

from math import exp
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score

from .._arrays import tables
from .._core.multiple_kernels.losses import LogLoss, SquaredError
from .._targets import Units
from .selection import Problem


class Labels(NamedTuple):
    """The classes of signals."""

    labels: np.ndarray  # (n,) indices of classes
    classes: np.ndarray
    weights: np.ndarray  # (n,) positive, with a mean of 1
    class_weights: np.ndarray  # (n,) factor of each weight that comes from class_weight
    scoring: object  # scorer, or None

    @property
    def strata(self):
        """Labels by which subsets and folds are stratified."""
        return self.labels

    def some(self, n, rng):
        """Return the indices of n signals, including up to two of every class.

        If there are more than n / 2 classes, up to 2 n signals are returned. With more than n classes, some classes may
        be missing.
        """
        counts = np.bincount(self.labels)
        ranks = np.empty(len(self.labels))
        for c, count in enumerate(counts):
            ranks[self.labels == c] = rng.permutation(count)
        keys = np.where(ranks < 2, 0, ranks / counts[self.labels])
        return np.sort(np.argsort(keys, kind="stable")[: max(n, min(2 * n, 2 * len(counts)))])

    def problem(self, X, rows, folds, n_threads):
        """Return the `Problem` of some of the signals, which are X."""
        Y = np.where(self.labels[rows, None] == np.arange(len(self.classes)), 1.0, -1.0)
        s = self.weights[rows] / self.weights[rows].mean()

        def score(S, t):
            if self.scoring is None:
                return accuracy_score(self.labels[rows], S.argmax(axis=1), sample_weight=s)
            return self.scoring(OfClasses(self.classes, t), S, self.classes[self.labels[rows]])

        return Problem(X, Y, s, LogLoss(Y, s / s.sum()), folds, score, n_threads)

    def fit(self, model, F, t):
        """Fit a linear classifier of the features of all signals; exp(t) calibrates its probabilities."""
        if isinstance(model.class_weight, dict):  # Classes without weight have been removed.
            model.class_weight = {c: w for c, w in model.class_weight.items() if c in self.classes}
        model.fit(F, self.classes[self.labels], sample_weight=self.weights / self.class_weights)
        model.probability_scale_ = exp(t) * (2 if len(self.classes) == 2 else 1)  # S of two classes is (-s, s)
        return model


class Numbers(NamedTuple):
    """Real-valued targets of signals."""

    y: np.ndarray  # (n, k) standardised
    weights: np.ndarray  # (n,) positive, with a mean of 1
    scoring: object  # scorer, or None
    units: object  # `Units` of the standardisation
    is_flat: bool  # whether the targets were passed with shape (n,)

    strata = None

    @classmethod
    def of(cls, y, weights, scoring):  # (n,) or (n, k)
        """Standardise targets."""
        targets = tables.as_targets(y, np.float64)
        units = Units.of(targets, weights, centred=True)
        return cls(units.standardise(targets), weights, scoring, units, y.ndim == 1)

    def restore(self, S):
        """Return standardised targets in the units and the shape of the user."""
        restored = self.units.restore(S)
        return restored[:, 0] if self.is_flat else restored

    def some(self, n, rng):
        """Return the indices of up to n signals, drawn at random."""
        return np.sort(rng.permutation(len(self.y))[:n])

    def problem(self, X, rows, folds, n_threads):
        """Return the `Problem` of some of the signals, which are X."""
        Y, s = self.y[rows], self.weights[rows] / self.weights[rows].mean()

        def score(S, t):
            if self.scoring is None:
                return r2_score(Y, S, sample_weight=s)
            return self.scoring(OfNumbers(), self.restore(S), self.restore(Y))

        return Problem(X, Y, s, SquaredError(s / s.sum()), folds, score, n_threads)

    def fit(self, model, F, t):
        """Fit a linear regressor of the features of all signals."""
        return model.fit(F, self.restore(self.y), sample_weight=self.weights)


class OfClasses(ClassifierMixin, BaseEstimator):
    """Stand-in for a fitted classifier that takes scores as its X, so that scorers of scikit-learn can be used."""

    def __init__(self, classes, t):
        self.classes_, self.t = classes, t

    def decision_function(self, S):
        """Return the scores, or the score of the second of two classes."""
        return S[:, 1] if S.shape[1] == 2 else S

    def predict(self, S):
        """Return the classes with the highest scores."""
        return self.classes_[S.argmax(axis=1)]

    def predict_proba(self, S):
        """Return the calibrated probabilities."""
        return softmax(exp(self.t) * S, axis=1)


class OfNumbers(RegressorMixin, BaseEstimator):
    """Stand-in for a fitted regressor that takes its predictions as X, so that scorers can be used."""

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, S):
        """Return the predictions."""
        return S
