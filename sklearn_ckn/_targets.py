"""Targets of classifiers and regressors, their sample weights and validation sets, and predictions from scores."""

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

from ._arrays import tables
from ._core.linear.losses import log_probabilities
from ._core.linear.objective import Signs
from ._core.riemannian_sgd import Head
from ._utils.typing import Rows, typed


class Units(NamedTuple):
    """Standardisation of real-valued targets for the solver.

    The centre is subtracted from each target, and the largest deviation from the centre is scaled to 1.
    """

    size: np.ndarray  # (k,)
    centre: np.ndarray  # (k,)

    @classmethod
    def of(cls, targets, weights, centred):  # (n, k), (n,)
        """Compute the centre and the size from the targets whose weight is positive."""
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
        """Subtract the centre from the targets and divide the result by the size."""
        return (targets - self.centre) / self.size

    def restore(self, S):  # (..., k)
        """Convert standardised targets or scores back to the original units.

        The result is in double precision, because the centre may be much larger than the deviations.
        """
        return S * self.size + self.centre

    def coefficients(self, W, b):  # (k, f), (k,)
        """Convert a linear model of the standardised targets to a linear model of the original targets."""
        return (W * self.size[:, None]).astype(W.dtype), self.restore(b)


class Targets(NamedTuple):
    """Targets, weights and scoring function of a fit, in the form that the solver requires."""

    Y: object  # (n, k), read a few rows at a time
    weights: np.ndarray  # (n,)
    score: Callable  # (indices of samples, scores (n, k) of the samples) -> float
    strata: np.ndarray  # labels (n,) by which the validation set is stratified, or None
    attributes: dict  # attributes to set on the fitted estimator
    units: Units = None  # standardisation of real-valued targets, or None for classes
    is_flat: bool = False  # whether the targets were passed with shape (n,)

    def coefficients(self, head):  # -> (k, f), (k,); or (f,), ()
        """Convert a linear model of the solver to the original units and shape of the targets."""
        coef, intercept = head if self.units is None else self.units.coefficients(*head)
        return (coef[0], intercept[0]) if self.is_flat else (coef, intercept)

    def head(self, coef, intercept):
        """Convert a linear model in the original units and shape to a linear model of the solver."""
        W, b = np.atleast_2d(coef), np.atleast_1d(intercept)
        if self.units is not None:
            W, b = W / self.units.size[:, None], self.units.standardise(b)
        return Head(W.astype(self.weights.dtype), b.astype(self.weights.dtype))


def of_classes(classes, labels, weights):  # (n_classes,), (n,), (n,) -> Targets
    """Return the targets of a classifier, whose score is the accuracy.

    The array ``labels`` contains the index of the class of each sample.
    """

    def accuracy(rows, S):
        return accuracy_score(labels[rows], decide(S), sample_weight=weights[rows])

    return Targets(Signs.of_all(labels, len(classes)), weights, accuracy, labels, {"classes_": classes})


def of_numbers(y, weights, centred, units=None):  # (n,) or (n, k), (n,) -> Targets
    """Return the standardised targets of a regressor, whose score is R^2.

    If ``units`` is None, the standardisation is computed from the targets.
    """
    targets = tables.as_targets(y, weights.dtype)
    units = Units.of(targets, weights, centred) if units is None else units
    Y = np.where(weights[:, None] > 0, units.standardise(targets), 0).astype(weights.dtype)

    def determination(rows, S):
        return r2_score(targets[rows], units.restore(S), sample_weight=weights[rows])

    return Targets(Y, weights, determination, None, {}, units, is_flat=y.ndim == 1)


def hold_out(estimator, weights, labels, reason, instead):
    """Draw the indices of the held-out validation set from the samples whose weight is not 0.

    If ``labels`` is not None, the set is stratified by class and contains at least one sample of every class that has
    at least two samples. If there are too few samples, the error message contains ``reason``, which names what requires
    a validation set, and ``instead``, which says how to do without one.
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
            f"{reason} requires a validation set, but none can be drawn from {np.count_nonzero(weights)} samples with "
            f"validation_fraction={estimator.validation_fraction}: {str(error).rstrip('.')}. Change "
            f"validation_fraction, or {instead}."
        ) from error
    return held_out


def _has_probabilities(classifier):
    loss = getattr(classifier, "_top", classifier).loss  # CKNClassifier stores the loss used by fit in _top.
    if loss != "logistic" and not hasattr(classifier, "probability_scale_"):
        lists = " or, after fit, a list for C" if hasattr(classifier, "C") else ""
        raise AttributeError(f"Probabilities need loss='logistic'{lists}; got loss={loss!r}.")
    return True


def decide(S):  # (n, k) -> (n,)
    """Return the index of the class that is predicted from each row of scores."""
    return (S[:, 0] > 0).astype(int) if S.shape[1] == 1 else S.argmax(axis=1)


class Classification(ClassifierMixin):
    """Mixin for classifiers that predict classes from scores.

    The estimator must define `loss`, `class_weight`, `classes_` and ``_scores(X)``.
    """

    def _read_classes(self, X, y, sample_weight, dtype, known=None):
        """Return the classes, the index of each sample's class, and the sample weights.

        If ``known`` is given, it is the array of all classes, and ``y`` may contain only some of the classes.
        """
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if known is not None:
            unknown = np.setdiff1d(classes, known)
            if len(unknown):
                raise ValueError(
                    f"y contains classes that are not among {known.tolist()}: {unknown.tolist()}. Remove the samples "
                    f"of these classes, or fit a new estimator with all classes."
                )
            classes, labels = known, np.searchsorted(known, y)
        if len(classes) < 2:
            name = "y" if known is None else "classes"
            raise ValueError(f"{name} must have at least two classes; got one class, {classes.tolist()[0]!r}.")
        return classes, labels, self._weigh(X, classes, labels, sample_weight, dtype)

    def _weigh(self, X, classes, labels, sample_weight, dtype):
        """Return the sample weights multiplied by the weights of the classes."""
        weights = tables.check_weights(sample_weight, X, dtype)
        factors = self._class_weights(classes, labels, weights)
        return tables.check_weights(sample_weight, X, dtype, factors[labels], " times class_weight")

    def _class_weights(self, classes, labels, weights):
        """Return the multiplier of the sample weights for each class."""
        if self.class_weight != "balanced":
            return compute_class_weight(self.class_weight, classes=classes, y=classes[labels])
        sums = np.bincount(labels, weights)
        return sums.sum() / (len(classes) * np.where(sums > 0, sums, 1))

    def decision_function(self, X: Rows) -> np.ndarray:
        """Compute the scores of the classes.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Samples of the same kind as in `fit`.

        Returns
        -------
        scores : ndarray of shape `(n_samples,)` or `(n_samples, n_classes)`
            The scores ``W x + b``. For two classes, only the score of the second class is returned, and the second
            class is predicted if its score is positive.

        Raises
        ------
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if S.shape[1] == 1 else S

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the class with the highest score.

        Parameters
        ----------
        X : array-like of shape `(n_samples, ...)`
            Samples of the same kind as in `fit`.

        Returns
        -------
        labels : ndarray of shape `(n_samples,)`
            Class labels from `classes_`.

        Raises
        ------
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        S = self._scores(X)
        return self.classes_[decide(S)]

    @typed(available_if(_has_probabilities))
    def predict_log_proba(self, X: Rows) -> np.ndarray:
        """Compute the logarithms of the probabilities of the classes.

        This method is available only if ``loss="logistic"`` or, for a fitted `LinearClassifier`, if C is a list.

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
        AttributeError
            If `loss` is not "logistic" and the classifier was not fitted with a list for C.
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        return log_probabilities(getattr(self, "probability_scale_", 1) * self._scores(X))

    @typed(available_if(_has_probabilities))
    def predict_proba(self, X: Rows) -> np.ndarray:
        """Compute the probabilities of the classes.

        This method is available only if ``loss="logistic"`` or, for a fitted `LinearClassifier`, if C is a list.

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
        AttributeError
            If `loss` is not "logistic" and the classifier was not fitted with a list for C.
        ValueError
            If `X` contains values that are not finite, or if its samples differ in shape from the samples in `fit`.
        """
        return np.exp(self.predict_log_proba(X))
