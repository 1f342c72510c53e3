"""What classifiers and regressors do with targets: labels, weights, held-out parts, and scores turned into labels."""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from . import _validation
from ._core.descent import Head
from ._core.losses import log_probabilities
from ._typing import Rows, typed


class Units(NamedTuple):
    """Real targets as the solver takes them: less their mean, divided by the largest deviation."""

    size: np.ndarray  # (k,)
    centre: np.ndarray  # (k,)

    @classmethod
    def of(cls, targets, weights, centred):  # (n, k), (n,)
        """Those of the targets that count."""
        targets, weights = targets[weights > 0], weights[weights > 0]
        centre = np.zeros(targets.shape[1])
        if centred:
            centre = np.average(targets, axis=0, weights=weights)
            constant = (targets == targets[0]).all(axis=0)
            centre[constant] = targets[0, constant]
        size = np.abs(targets - centre).max(axis=0)
        size[size == 0] = 1
        return cls(size, centre)

    def standardise(self, targets):  # (..., k)
        return (targets - self.centre) / self.size

    def restore(self, S):  # (..., k)
        """The inverse, in double precision: a mean may be much larger than the deviations."""
        return S * self.size + self.centre

    def coefficients(self, W, b):  # (k, f), (k,)
        """Those of the targets that were given, from those of the standardised ones."""
        return (W * self.size[:, None]).astype(W.dtype), self.restore(b)


class Targets(NamedTuple):
    """What is to be predicted, as the solver takes it."""

    Y: object  # (n, k), read by rows
    weights: np.ndarray  # (n,)
    score: Callable  # indices of signals, their scores (n, k) -> float
    strata: np.ndarray  # labels (n,), or None
    attributes: dict  # of the fitted estimator
    units: Units = None  # of real targets
    is_flat: bool = False  # one target, given as (n,)

    def coefficients(self, head):  # -> (k, f), (k,); or (f,), ()
        """The linear model of the targets as they were given."""
        coef, intercept = head if self.units is None else self.units.coefficients(*head)
        return (coef[0], intercept[0]) if self.is_flat else (coef, intercept)

    def head(self, coef, intercept):
        """The inverse of `coefficients`."""
        W, b = np.atleast_2d(coef), np.atleast_1d(intercept)
        if self.units is not None:
            W, b = W / self.units.size[:, None], self.units.standardise(b)
        return Head(W.astype(self.weights.dtype), b.astype(self.weights.dtype))


def hold_out(estimator, weights, labels, reason, instead):
    """Indices of `validation_fraction` of the samples that count.

    Of every label it is the same part and one sample at least, unless there is no other.
    """
    rows = np.flatnonzero(weights)
    n_held_out, strata = ceil(estimator.validation_fraction * len(rows)), None
    if labels is not None:
        numbers = np.bincount(labels[rows])
        rows = rows[numbers[labels[rows]] > 1]
        strata, n_held_out = labels[rows], max(n_held_out, np.count_nonzero(numbers > 1))
    try:
        if not len(rows):
            raise ValueError("No class has two samples.")
        _, held_out = train_test_split(rows, test_size=n_held_out, stratify=strata, random_state=estimator.random_state)
        if len(held_out) < 2:
            raise ValueError("One sample gives no score.")
    except ValueError as error:
        raise ValueError(
            f"{reason}, and validation_fraction={estimator.validation_fraction} of {np.count_nonzero(weights)} samples "
            f"cannot be held out to choose by it: {str(error).rstrip('.')}. Change validation_fraction, or {instead}."
        ) from error
    return held_out


def _has_probabilities(classifier):
    loss = getattr(classifier, "_top", classifier).loss  # that of the fit
    if loss != "logistic":
        raise AttributeError(f"Probabilities need loss='logistic'; got loss={loss!r}.")
    return True


def decide(S):  # (n, k) -> (n,)
    """Indices of the classes predicted."""
    return (S[:, 0] > 0).astype(int) if S.shape[1] == 1 else S.argmax(axis=1)


class Classification(ClassifierMixin):
    """What classifiers by scores share: an estimator with `loss`, `class_weight`, `classes_` and ``_scores(X)``."""

    def _read_classes(self, X, y, sample_weight, dtype, known=None):
        """The classes, all of them ``known`` if any are, the index of each sample's, and the samples' weights."""
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if known is not None:
            unknown = np.setdiff1d(classes, known)
            if len(unknown):
                raise ValueError(f"y has classes that are not among {known.tolist()}: {unknown.tolist()}.")
            classes, labels = known, np.searchsorted(known, y)
        if len(classes) < 2:
            name = "y" if known is None else "classes"
            raise ValueError(f"{name} must have two classes at least; got one class, {classes.tolist()[0]!r}.")
        return classes, labels, self._weigh(X, classes, labels, sample_weight, dtype)

    def _weigh(self, X, classes, labels, sample_weight, dtype):
        """The samples' weights times their classes'."""
        weights = _validation.check_weights(sample_weight, X, dtype)
        factors = self._class_weights(classes, labels, weights)
        return _validation.check_weights(sample_weight, X, dtype, factors[labels], " times class_weight")

    def _class_weights(self, classes, labels, weights):
        """Factors of the classes."""
        if self.class_weight != "balanced":
            return compute_class_weight(self.class_weight, classes=classes, y=classes[labels])
        sums = np.bincount(labels, weights)
        return sums.sum() / (len(classes) * np.where(sums > 0, sums, 1))

    def decision_function(self, X: Rows) -> np.ndarray:
        """Compute the scores of the classes.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        scores : ndarray of shape `(n_samples,)` or `(n_samples, n_classes)`
            ``W x + b``; for two classes the score of the second one, which is positive where that is predicted.

        Raises
        ------
        ValueError
            `X` is not finite, or of another shape than in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if S.shape[1] == 1 else S

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the class with the highest score.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape `(n_samples,)`
            Labels from `classes_`.

        Raises
        ------
        ValueError
            `X` is not finite, or of another shape than in `fit`.
        """
        S = self._scores(X)
        return self.classes_[decide(S)]

    @typed(available_if(_has_probabilities))
    def predict_log_proba(self, X: Rows) -> np.ndarray:
        """Compute the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        logarithms : ndarray of shape `(n_samples, n_classes)`
            In the order of `classes_`.

        Raises
        ------
        AttributeError
            The classifier was not fitted with ``loss="logistic"``.
        ValueError
            `X` is not finite, or of another shape than in `fit`.
        """
        return log_probabilities(self._scores(X))

    @typed(available_if(_has_probabilities))
    def predict_proba(self, X: Rows) -> np.ndarray:
        """Compute the probabilities of the classes, with the logistic loss only.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        probabilities : ndarray of shape `(n_samples, n_classes)`
            In the order of `classes_`.

        Raises
        ------
        AttributeError
            The classifier was not fitted with ``loss="logistic"``.
        ValueError
            `X` is not finite, or of another shape than in `fit`.
        """
        return np.exp(self.predict_log_proba(X))
