"""Targets of classifiers and regressors: labels, sample weights, validation sets, and decisions from scores."""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from ._arrays import validation
from ._core.linear.losses import log_probabilities
from ._core.linear.solver import Signs
from ._core.riemannian_sgd import Head
from ._utils.typing import Rows, typed


class Units(NamedTuple):
    """Standardisation of real targets for the solver: their mean is subtracted, and the largest deviation becomes 1."""

    size: np.ndarray  # (k,)
    centre: np.ndarray  # (k,)

    @classmethod
    def of(cls, targets, weights, centred):  # (n, k), (n,)
        """Compute the centre and the size of the targets whose weight is positive."""
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
        """Return standardised targets."""
        return (targets - self.centre) / self.size

    def restore(self, S):  # (..., k)
        """Invert `standardise`, in double precision because a mean may be much larger than the deviations."""
        return S * self.size + self.centre

    def coefficients(self, W, b):  # (k, f), (k,)
        """Convert the coefficients of a model of standardised targets to those of a model of the original targets."""
        return (W * self.size[:, None]).astype(W.dtype), self.restore(b)


class Targets(NamedTuple):
    """Targets, weights and score of a fit, in the form that the solver takes."""

    Y: object  # (n, k), read by rows
    weights: np.ndarray  # (n,)
    score: Callable  # (indices of signals, their scores (n, k)) -> float
    strata: np.ndarray  # labels (n,) that stratify the validation set, or None
    attributes: dict  # attributes of the fitted estimator
    units: Units = None  # standardisation of real targets, or None
    is_flat: bool = False  # whether there is one target, given as (n,)

    def coefficients(self, head):  # -> (k, f), (k,); or (f,), ()
        """Return the linear model of the targets in their original units and shape."""
        coef, intercept = head if self.units is None else self.units.coefficients(*head)
        return (coef[0], intercept[0]) if self.is_flat else (coef, intercept)

    def head(self, coef, intercept):
        """Return the linear model of the targets as the solver takes them, which is the inverse of `coefficients`."""
        W, b = np.atleast_2d(coef), np.atleast_1d(intercept)
        if self.units is not None:
            W, b = W / self.units.size[:, None], self.units.standardise(b)
        return Head(W.astype(self.weights.dtype), b.astype(self.weights.dtype))


def of_classes(classes, labels, weights):  # (n_classes,), (n,), (n,) -> Targets
    """Return the targets of a classifier, from the index of each sample's class; the score is the accuracy."""

    def accuracy(rows, S):
        return accuracy_score(labels[rows], decide(S), sample_weight=weights[rows])

    return Targets(Signs.of_all(labels, len(classes)), weights, accuracy, labels, {"classes_": classes})


def of_numbers(y, weights, centred, units=None):  # (n,) or (n, k), (n,) -> Targets
    """Return the targets of a regressor, standardised by the given units or by their own; the score is R^2."""
    targets = validation.as_targets(y, weights.dtype)
    units = Units.of(targets, weights, centred) if units is None else units
    Y = np.where(weights[:, None] > 0, units.standardise(targets), 0).astype(weights.dtype)

    def determination(rows, S):
        return r2_score(targets[rows], units.restore(S), sample_weight=weights[rows])

    return Targets(Y, weights, determination, None, {}, units, is_flat=y.ndim == 1)


def hold_out(estimator, weights, labels, reason, instead):
    """Draw the indices of the held-out validation set from the samples whose weight is not 0.

    The set is stratified by the labels, if there are any. It contains at least one sample of every class that has more
    than one. The texts ``reason`` and ``instead`` complete the error message for too few samples.
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
            raise ValueError("One sample is not enough for a score.")
    except ValueError as error:
        raise ValueError(
            f"{reason}, but validation_fraction={estimator.validation_fraction} of {np.count_nonzero(weights)} samples "
            f"cannot be held out for validation: {str(error).rstrip('.')}. Change validation_fraction, or {instead}."
        ) from error
    return held_out


def _has_probabilities(classifier):
    loss = getattr(classifier, "_top", classifier).loss  # CKNClassifier keeps the loss of its fit in _top
    if loss != "logistic":
        raise AttributeError(f"Probabilities need loss='logistic'; got loss={loss!r}.")
    return True


def decide(S):  # (n, k) -> (n,)
    """Return the indices of the predicted classes."""
    return (S[:, 0] > 0).astype(int) if S.shape[1] == 1 else S.argmax(axis=1)


class Classification(ClassifierMixin):
    """Mixin for classifiers that predict from scores.

    The estimator defines `loss`, `class_weight`, `classes_` and ``_scores(X)``.
    """

    def _read_classes(self, X, y, sample_weight, dtype, known=None):
        """Return the classes, the index of each sample's class, and the sample weights.

        If ``known`` is given, it is the array of all classes, and ``y`` need not contain each of them.
        """
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if known is not None:
            unknown = np.setdiff1d(classes, known)
            if len(unknown):
                raise ValueError(f"y has classes that are not among {known.tolist()}: {unknown.tolist()}.")
            classes, labels = known, np.searchsorted(known, y)
        if len(classes) < 2:
            name = "y" if known is None else "classes"
            raise ValueError(f"{name} must have at least two classes; got one class, {classes.tolist()[0]!r}.")
        return classes, labels, self._weigh(X, classes, labels, sample_weight, dtype)

    def _weigh(self, X, classes, labels, sample_weight, dtype):
        """Return the sample weights multiplied by the weights of the classes."""
        weights = validation.check_weights(sample_weight, X, dtype)
        factors = self._class_weights(classes, labels, weights)
        return validation.check_weights(sample_weight, X, dtype, factors[labels], " times class_weight")

    def _class_weights(self, classes, labels, weights):
        """Return one multiplier of the sample weights per class."""
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
            The scores ``W x + b``. With two classes, the score of the second class, which is predicted where the score
            is positive.

        Raises
        ------
        ValueError
            If `X` has values that are not finite, or a shape other than in `fit`.
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
            Class labels from `classes_`.

        Raises
        ------
        ValueError
            If `X` has values that are not finite, or a shape other than in `fit`.
        """
        S = self._scores(X)
        return self.classes_[decide(S)]

    @typed(available_if(_has_probabilities))
    def predict_log_proba(self, X: Rows) -> np.ndarray:
        """Compute the logarithms of the probabilities of the classes.

        This method exists only with the logistic loss.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        logarithms : ndarray of shape `(n_samples, n_classes)`
            One column per class, in the order of `classes_`.

        Raises
        ------
        AttributeError
            If the classifier was not fitted with ``loss="logistic"``.
        ValueError
            If `X` has values that are not finite, or a shape other than in `fit`.
        """
        return log_probabilities(self._scores(X))

    @typed(available_if(_has_probabilities))
    def predict_proba(self, X: Rows) -> np.ndarray:
        """Compute the probabilities of the classes.

        This method exists only with the logistic loss.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            As in `fit`.

        Returns
        -------
        probabilities : ndarray of shape `(n_samples, n_classes)`
            One column per class, in the order of `classes_`.

        Raises
        ------
        AttributeError
            If the classifier was not fitted with ``loss="logistic"``.
        ValueError
            If `X` has values that are not finite, or a shape other than in `fit`.
        """
        return np.exp(self.predict_log_proba(X))
