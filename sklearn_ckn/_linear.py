"""Linear models of features: the last step of a network."""

from numbers import Integral, Real
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._arrays import parameters, tables
from ._core.linear.losses import LOSSES, probability_scale
from ._core.linear.objective import scores
from ._core.linear.solver import LinearModel
from ._targets import Classification, hold_out, of_classes, of_numbers
from ._utils.caller import warn
from ._utils.n_jobs import effective_n_jobs
from ._utils.serialization import PersistentMixin
from ._utils.typing import ClassWeight, Loss, Numbers, RandomState, Rows, typed

# Minimum tolerance while C is chosen. The random choice of the validation set affects the scores more than this
# tolerance does.
PATH_TOL = 1e-3


class _Linear(PersistentMixin, BaseEstimator):
    """Base class of the linear classifier and the linear regressor."""

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither"), "array-like"],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def _solve(self, X, targets, loss):  # (n, d), Targets, name in LOSSES -> dict
        """Solve for a single C, or choose the best C of a list and solve for it; return the fitted attributes."""
        Y, weights = targets.Y, targets.weights
        path, held_out = parameters.check_path(self.C, weights), None
        if np.ndim(self.C):
            held_out = hold_out(self, weights, targets.strata, "A list for C", "pass a single C")
        model = LinearModel(X, Y, weights, loss, self.fit_intercept, effective_n_jobs(self.n_jobs))
        C, best, validation_scores, failed, added = path[0], None, None, [], {}
        if held_out is not None:
            C, best, validation_scores, failed, S = self._choose(model, path, targets, loss, held_out)
            added = self._calibrate(S, targets, held_out)
        solution = model.solve(C, weights, best, self.tol, self.max_iter)
        if not solution.converged:
            failed.append((self.tol, C, solution.n_passes))
        if failed:
            self._warn_about(failed, weights.dtype)
        coef, intercept = targets.coefficients(model.coefficients(solution))
        return {
            "coef_": coef,
            "intercept_": intercept,
            "C_": float(C),
            "validation_scores_": validation_scores,
            "n_iter_": solution.n_passes,
            **targets.attributes,
            **added,
        }

    def _calibrate(self, S, targets, held_out):
        """Return the attributes that follow from the scores S of the validation set."""
        return {}

    def _warn_about(self, failed, dtype):  # [(tol, C, number of passes), ...]
        """Warn that the solver has not reached its tolerance for some values of C, and state each reason."""
        limited = [each for each in failed if each[-1] >= self.max_iter]
        rounded = [each for each in failed if each[-1] < self.max_iter]
        precise = ", pass X in double precision" if dtype == np.float32 else ""
        advice = "or centre the features and bring them to similar scales."
        for some, reason in (
            (limited, f"after max_iter={self.max_iter} passes over X. Raise max_iter, choose a smaller C, {advice}"),
            (rounded, f"because of rounding errors. Choose a larger tol or a smaller C{precise}, {advice}"),
        ):
            if some:
                aims = ", ".join(f"tol={tol:g} with C={C:.3g}" for tol, C, _ in some)
                warn(f"{type(self).__name__} has not reached {aims} {reason}", ConvergenceWarning)

    def _choose(self, model, path, targets, loss, held_out):  # -> float, Solution, (len(path),), list
        """Return the best C, its solution, the validation score of every C, and the solves that failed.

        The last result are the outputs of the best model for the validation set.
        """
        part, tol, best, solutions = targets.weights.copy(), max(self.tol, PATH_TOL), None, {}
        part[held_out] = 0
        for C in np.sort(path):
            best = solutions[C] = model.solve(C, part, best, tol, self.max_iter)
        found = {C: model.scores(solution, held_out) for C, solution in solutions.items()}
        scores_of = {C: targets.score(held_out, S) for C, S in found.items()}
        weights, Y = targets.weights[held_out], targets.Y[held_out]
        losses = {C: (weights @ LOSSES[loss].function(S, Y)[0]).sum() for C, S in found.items()}
        C = max(solutions, key=lambda C: (scores_of[C], -losses[C]))  # Small validation sets often give ties.
        self._warn_of_end(C, scores_of, len(held_out))
        failed = [(tol, C, solution.n_passes) for C, solution in solutions.items() if not solution.converged]
        return C, solutions[C], np.array([scores_of[C] for C in path]), failed, found[C]

    def _warn_of_end(self, C, scores_of, n):
        """Warn if the first or last C of a list was chosen and its score on ``n`` samples is clearly the highest."""
        path = sorted(scores_of)
        if len(path) == 1 or path[0] != C != path[-1]:
            return
        end, others, next_C = ("largest", "larger", path[-2]) if path[-1] == C else ("smallest", "smaller", path[1])
        found, other = scores_of[C], scores_of[next_C]
        if found - other > 1 / np.sqrt(n):  # two standard errors of an accuracy of 1/2
            warn(
                f"{type(self).__name__} chose C={C:g}, the {end} value of the list, whose validation score {found:.3g} "
                f"is higher than {other:.3g} with C={next_C:g}. Add {others} values to C."
            )

    def _scores(self, X):
        """Compute ``W x + b`` for every row x of X, in the higher of the precisions of X and the coefficients."""
        check_is_fitted(self)
        X = tables.as_fitted_features(self, X)
        dtype = np.result_type(tables.features_dtype(X.dtype), self.coef_)
        W, b = np.atleast_2d(self.coef_).astype(dtype), np.atleast_1d(self.intercept_)
        return scores(X, W, 0, effective_n_jobs(self.n_jobs)) + b.astype(np.result_type(b, dtype))


class LinearClassifier(Classification, _Linear):
    """Linear classifier for many dense features, fitted to the optimum in seconds.

    It minimises ``1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)`` over the weights W and the intercepts b, where s are
    the sample weights. The loss of a sample of class y with scores ``t = W x + b`` is one of the following:

    ==================  =================================================================================
    `loss`              loss of one sample
    ==================  =================================================================================
    `"squared_hinge"`   ``sum_c max(0, 1 - y_c t_c)^2``, where ``y_c`` is 1 for c = y and -1 otherwise
    `"logistic"`        ``log(sum_c exp(t_c)) - t_y``, the multinomial loss
    `"squared_error"`   ``sum_c (y_c - t_c)^2``
    ==================  =================================================================================

    With two classes there is a single score, which belongs to the second class. The logistic loss then sets the score
    of the first class to 0. The other two losses separate each class from all others, independently of the other
    classes (one-vs-rest).

    Parameters
    ----------
    loss : {"squared_hinge", "logistic", "squared_error"}, default="squared_hinge"
        Loss function, as defined above. `"squared_hinge"` is the loss of :class:`~sklearn.svm.LinearSVC` and
        `"logistic"` the loss of :class:`~sklearn.linear_model.LogisticRegression`, both with the same C.
        `"squared_error"` is the loss of :class:`~sklearn.linear_model.RidgeClassifier` with ``alpha = 1 / (2 C)``.

    C : float or list of float, default=1.0
        Weight of the losses relative to the penalty, > 0: the inverse of the regularisation strength. If a list is
        given, `fit` chooses the value whose classifier has the highest accuracy on one held-out validation set, without
        cross-validation, and then solves the problem with all samples. Ties are broken in favour of the smallest loss
        on the validation set. If the smallest or the largest value is chosen and is clearly better than its neighbour,
        `fit` warns that the range should be wider. While C is chosen, `tol` is at least 1e-3.

    fit_intercept : bool, default=True
        Whether to fit the intercepts b, which are not penalised.

    class_weight : dict, "balanced" or None, default=None
        Multipliers of the sample weights, by class. `"balanced"` gives all classes the same total weight.

    tol : float, default=1e-6
        Relative tolerance. For up to 4 million values in `X`, `fit` stops when the duality gap, an upper bound of the
        excess of the objective over its minimum (the part due to the intercepts is an estimate), is at most this
        fraction of the objective. For larger `X`, `fit` stops when a quadratic model predicts that the objective can
        decrease by no more than this fraction, and the duality gap is at most 10 000 times as large. In hard cases, the
        possible decrease was up to 35 times larger than predicted.

    max_iter : int, default=1000
        Maximum number of passes over `X` for each value of C. Every pass evaluates the objective once.

    validation_fraction : float, default=0.1
        Fraction of the training data held out for validation. Used only if C is a list. The fraction is the same for
        every class, with at least one sample of each class that has more than one.

    random_state : int, RandomState instance or None, default=None
        Determines which samples are held out. If None, every `fit` draws a different validation set. Pass an int
        for reproducible results.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    classes_ : ndarray of shape `(n_classes,)`
        The class labels.

    coef_ : ndarray of shape `(1, n_features)` or `(n_classes, n_features)`
        The weights W. There is one row for two classes, and one row per class otherwise.

    intercept_ : ndarray of shape `(1,)` or `(n_classes,)`
        The intercepts b.

    C_ : float
        The value of C used.

    validation_scores_ : ndarray of shape `(len(C),)` or None
        Accuracy on the validation set for every value of C. None if C is a single number.

    probability_scale_ : float
        Factor by which the scores are multiplied before they are converted to probabilities. It minimises the log loss
        on the validation set (temperature scaling [2]_), or is 1 for ``loss="logistic"``. Defined only if
        ``loss="logistic"`` or C is a list.

    n_iter_ : int
        Number of passes over `X` in the last minimisation, at most `max_iter`. If the classes are fitted in sequence,
        it is the largest number of passes for any class.

    n_features_in_ : int
        Number of columns of `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    ValueError
        If, in `fit`, `X` is not 2-D, is empty, or has values that are masked, not finite or so large that their squares
        would overflow; `y` has only one class, has missing labels or does not contain class labels of a dtype of NumPy;
        the sample weights are negative, masked or all 0; C has values that are not positive; or there are too few
        samples to hold out a validation set.

    Warns
    -----
    ConvergenceWarning
        If `fit` does not reach `tol`, because of `max_iter` or of rounding errors.
    UserWarning
        If `fit` chooses the smallest or the largest value of a list for C, and its validation score is higher than that
        of the next value by more than ``1 / sqrt(n)``, where n is the number of samples in the validation set.

    See Also
    --------
    LinearRegressor : Linear model for real-valued targets.
    CKNFeatureMap : Transformer that computes the features.

    Notes
    -----
    The objective is minimised by L-BFGS [1]_ in coordinates in which the features are nearly uncorrelated and have
    nearly the same variance. The coordinates come from the Cholesky factor of the regularised covariance of the
    features. One pass over `X` gives all scores and the gradient. For rows of norm 1 and C up to 10, the solver usually
    needs 10 to 50 passes. It needs more if C is so large that the classes are separated: it then approaches the optimum
    through smaller values of C, with Newton's method. For a few hundred samples, other solvers are equally fast.

    `X` is read in blocks and never copied, so it may be a :obj:`numpy.memmap` that is larger than memory. In addition,
    ``n_features ** 2`` values and a few values per sample and class are held in memory. With many features (more than
    256, and at least twice as many as samples), ``n_samples ** 2`` values in double precision are held instead of
    ``n_features ** 2`` values.

    The coefficients are float32 if float32 can represent all values of the dtype of `X` (float32, float16, 8-bit and
    16-bit integers), and float64 otherwise. If `X` has up to 4 million values, all computations are done in float64.
    For larger `X`, they are done in the dtype of the coefficients, and the result is checked by one more pass in
    float64. If this pass does not confirm the result, the solver continues in float64.

    References
    ----------
    .. [1] J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, Springer, 2006,
       section 7.2.

    .. [2] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import LinearClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = LinearClassifier(C=[1e-5, 1e-4, 1e-3, 1e-2], random_state=0).fit(X[:1000], y[:1000])
    >>> classifier.C_
    0.001
    >>> bool(classifier.score(X[1000:], y[1000:]) > 0.9)
    True
    """

    _parameter_constraints = {
        **_Linear._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        loss: Loss = "squared_hinge",
        *,
        C: Numbers = 1.0,
        fit_intercept: bool = True,
        class_weight: ClassWeight | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        validation_fraction: float = 0.1,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like of shape `(n_samples, n_features)`
            Features. A C-contiguous array of float32 or float64 is not copied.
        y : array-like of shape `(n_samples,)`
            Class labels.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.

        Returns
        -------
        self : LinearClassifier
            The fitted classifier.
        """
        table = X
        X, y = tables.as_features(self, table, y)
        targets = of_classes(*self._read_classes(X, y, sample_weight, tables.features_dtype(X.dtype)))
        fitted = self._solve(X, targets, self.loss)
        tables.record_columns(self, table)
        vars(self).pop("probability_scale_", None)
        vars(self).update({"probability_scale_": 1.0} if self.loss == "logistic" else {}, **fitted)
        return self

    def _calibrate(self, S, targets, held_out):
        if self.loss == "logistic":
            return {}
        return {"probability_scale_": probability_scale(S, targets.Y[held_out], targets.weights[held_out])}


class LinearRegressor(RegressorMixin, _Linear):
    """Linear least squares with a squared penalty, for many dense features and one or more targets.

    It minimises ``1/2 |W|^2 + C sum_i s_i |W x_i + b - y_i|^2`` over the weights W and the intercepts b, where s are
    the sample weights. This is ridge regression with ``alpha = 1 / (2 C)``.

    Parameters
    ----------
    C : float or list of float, default=1.0
        Weight of the losses relative to the penalty, > 0: the inverse of the regularisation strength. If a list is
        given, `fit` chooses the value whose regressor has the highest coefficient of determination (:math:`R^2`) on one
        held-out validation set, and then solves the problem with all samples. If the smallest or the largest value is
        chosen and is clearly better than its neighbour, `fit` warns that the range should be wider. While C is chosen,
        `tol` is at least 1e-3.

    fit_intercept : bool, default=True
        Whether to fit the intercepts b, which are not penalised.

    tol : float, default=1e-6
        Relative tolerance, as for `LinearClassifier`. In the objective that is compared with its minimum, every target
        is divided by its largest absolute deviation from its mean.

    max_iter : int, default=1000
        Maximum number of passes over `X` for each value of C. Every pass evaluates the objective once.

    validation_fraction : float, default=0.1
        Fraction of the training data held out for validation. Used only if C is a list.

    random_state : int, RandomState instance or None, default=None
        Determines which samples are held out. If None, every `fit` draws a different validation set. Pass an int
        for reproducible results.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, with any number of threads.

    Attributes
    ----------
    coef_ : ndarray of shape `(n_features,)` or `(n_targets, n_features)`
        The weights W, as a 1-D array for a 1-D `y`.

    intercept_ : float or ndarray of shape `(n_targets,)`
        The intercepts b, in double precision because the mean of a target may be much larger than the deviations from
        it.

    C_ : float
        The value of C used.

    validation_scores_ : ndarray of shape `(len(C),)` or None
        Coefficient of determination on the validation set for every value of C. None if C is a single number.

    n_iter_ : int
        Number of passes over `X` in the last minimisation, at most `max_iter`.

    n_features_in_ : int
        Number of columns of `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns of `X`. Defined only if `X` has column names.

    Raises
    ------
    ValueError
        If, in `fit`, `X` is not 2-D, is empty, or has values that are masked, not finite or so large that their squares
        would overflow; `y` has values that are masked or not finite; the sample weights are negative, masked or all 0;
        C has values that are not positive; or there are too few samples to hold out a validation set.

    Warns
    -----
    ConvergenceWarning
        If `fit` does not reach `tol`, because of `max_iter` or of rounding errors.
    UserWarning
        If `fit` chooses the smallest or the largest value of a list for C, and its validation score is higher than that
        of the next value by more than ``1 / sqrt(n)``, where n is the number of samples in the validation set.

    See Also
    --------
    LinearClassifier : Linear model for class labels.

    Notes
    -----
    The notes of `LinearClassifier` describe the solver, its precision and its memory.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_ckn import LinearRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = LinearRegressor(C=[1, 10, 100, 1000], random_state=0).fit(X[:300], y[:300])
    >>> bool(regressor.score(X[300:], y[300:]) > 0.5)
    True
    """

    def __init__(
        self,
        C: Numbers = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        validation_fraction: float = 0.1,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_jobs = n_jobs

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> Self:
        """Fit the regressor.

        Parameters
        ----------
        X : array-like of shape `(n_samples, n_features)`
            Features. A C-contiguous array of float32 or float64 is not copied.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Non-negative weights of the samples. None means equal weights.

        Returns
        -------
        self : LinearRegressor
            The fitted regressor.
        """
        table = X
        X, y = tables.as_features(self, table, y, multi_output=True, y_numeric=True)
        weights = tables.check_weights(sample_weight, X, tables.features_dtype(X.dtype))
        fitted = self._solve(X, of_numbers(y, weights, centred=self.fit_intercept), "squared_error")
        tables.record_columns(self, table)
        vars(self).update(fitted)
        return self

    def predict(self, X: Rows) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape `(n_samples, n_features)`
            Features.

        Returns
        -------
        targets : ndarray of shape `(n_samples,)` or `(n_samples, n_targets)`
            ``W x + b``.

        Raises
        ------
        ValueError
            If `X` has values that are not finite, or columns other than those in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if self.coef_.ndim == 1 else S

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
