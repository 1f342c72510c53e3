"""Linear models of features: the last step of a network."""

from numbers import Integral, Real
from typing import Self
from warnings import warn

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from . import _validation
from ._core.losses import LOSSES
from ._core.solver import LinearModel, Signs, scores
from ._persistence import PersistentMixin
from ._targets import Classification, Units, decide, hold_out
from ._threads import effective_n_jobs
from ._typing import ClassWeight, Loss, Numbers, RandomState, Rows, typed

PATH_TOL = 1e-3  # to choose C: scores differ less than those of other held-out parts


class _Linear(PersistentMixin, BaseEstimator):
    """What the classifier and the regressor share."""

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither"), "array-like"],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def _solve(self, X, Y, weights, loss, score, labels=None):
        """Solve for one C, or for a path of them and for the best.

        Parameters
        ----------
        X, Y, weights, loss : as for `LinearModel`
        score : callable, indices of rows and their scores ``(n_rows, k)`` -> float
        labels : ndarray of shape (n,), classes whose shares are kept when rows are held out

        Returns
        -------
        coef, intercept : ndarrays of shape (k, d) and (k,)
        fitted : dict, the attributes that tell of the search
        """
        path = _validation.check_path(self.C, weights)
        held_out = hold_out(self, weights, labels, "C is a list", "give one C") if np.ndim(self.C) else None
        model = LinearModel(X, Y, weights, loss, self.fit_intercept, effective_n_jobs(self.n_jobs))
        solutions, C, best, validation_scores, failed = {}, path[0], None, None, []
        if held_out is not None:
            part = weights.copy()
            part[held_out] = 0
            tol = max(self.tol, PATH_TOL)
            for C in np.sort(path):
                best = solutions[C] = model.solve(C, part, best, tol, self.max_iter)
            found = {C: model.scores(solution, held_out) for C, solution in solutions.items()}
            scores_of = {C: score(held_out, S) for C, S in found.items()}
            losses = {C: weights[held_out] @ LOSSES[loss].function(S, Y[held_out])[0] for C, S in found.items()}
            C = max(solutions, key=lambda C: (scores_of[C], -losses[C].sum()))  # few samples have equal scores
            best, validation_scores = solutions[C], np.array([scores_of[C] for C in path])
            failed = [f"tol={tol:g} with C={C:.3g}" for C in solutions if not solutions[C].converged]
        solution = model.solve(C, weights, best, self.tol, self.max_iter)
        if not solution.converged:
            failed.append(f"tol={self.tol:g} with C={C:.3g}")
        if failed:
            warn(
                f"{type(self).__name__} has not reached {', '.join(failed)} after max_iter={self.max_iter} passes over "
                f"X: raise max_iter, choose a smaller C, or bring the features to means near 0 and similar scales.",
                ConvergenceWarning,
                stacklevel=4,
            )
        fitted = {"C_": float(C), "validation_scores_": validation_scores, "n_iter_": solution.n_passes}
        return *model.coefficients(solution), fitted

    def _scores(self, X):
        """``W x + b`` for every row, in the longer of the dtypes of X and of the coefficients."""
        check_is_fitted(self)
        X = _validation.as_fitted_features(self, X)
        dtype = np.result_type(_validation.features_dtype(X.dtype), self.coef_)
        W, b = np.atleast_2d(self.coef_).astype(dtype), np.atleast_1d(self.intercept_)
        return scores(X, W, 0, effective_n_jobs(self.n_jobs)) + b.astype(np.result_type(b, dtype))


class LinearClassifier(Classification, _Linear):
    """A linear classifier for many dense features: the optimum, in seconds.

    It minimises ``1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)`` over the weights W and the intercepts b, s being the
    weights of the samples. The losses of a sample of class y with scores ``t = W x + b``:

    ==================  =================================================================================
    `loss`              of one sample
    ==================  =================================================================================
    `"squared_hinge"`   ``sum_c max(0, 1 - y_c t_c)^2``, ``y_c`` being 1 for c = y and -1 for the others
    `"logistic"`        ``log(sum_c exp(t_c)) - t_y``, the multinomial loss
    `"squared_error"`   ``sum_c (y_c - t_c)^2``
    ==================  =================================================================================

    Two classes have a single score, that of the second one; for the logistic loss the first one's is 0. With the other
    losses each class is separated from all others by itself, one against the rest.

    Parameters
    ----------
    loss : {"squared_hinge", "logistic", "squared_error"}, default="squared_hinge"
        As above. The squared hinge loss is that of :class:`~sklearn.svm.LinearSVC`, the logistic that of
        :class:`~sklearn.linear_model.LogisticRegression`, with the same C; the squared error that of
        :class:`~sklearn.linear_model.RidgeClassifier` with ``alpha = 1 / (2 C)``.

    C : float or list of float, default=1.0
        Weight of the losses against the penalty, > 0. Of a list, the value is chosen whose classifier has the highest
        accuracy on a held-out part of the samples (one part, no cross-validation), and of equals the smallest loss
        there; then all samples are used. Where the first or the last value is chosen, a longer list may be better.
        While it chooses, `tol` is 1e-3 at least.

    fit_intercept : bool, default=True
        Whether there is b, which is not penalised.

    class_weight : dict, "balanced" or None, default=None
        Factors of the weights of the samples, by their classes. `"balanced"`: classes have the same sum of weights.

    tol : float, default=1e-6
        Stop when the objective can fall by no more than this part of itself, as far as its quadratic model tells; the
        true part was up to twenty times larger in hard cases.

    max_iter : int, default=1000
        Passes over `X` at most for each C, each an evaluation of the objective.

    validation_fraction : float, default=0.1
        Part of the samples held out to choose C, used if C is a list: of every class the same and one sample at least,
        unless it has no other.

    random_state : int, RandomState instance or None, default=None
        Draws the held-out part. None: another one in every `fit`.

    n_jobs : int or None, default=None
        Threads over blocks of rows. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit.

    Attributes
    ----------
    classes_ : ndarray of shape `(n_classes,)`
        The labels.

    coef_ : ndarray of shape `(1, n_features)` or `(n_classes, n_features)`
        The weights W, one row for two classes.

    intercept_ : ndarray of shape `(1,)` or `(n_classes,)`
        The intercepts b.

    C_ : float
        The value of C used.

    validation_scores_ : ndarray of shape `(len(C),)` or None
        Accuracy on the held-out part for every C of a list.

    n_iter_ : int
        Passes over `X` in the last minimisation, of which `max_iter` is the limit; where classes are solved for one
        after the other, those of the class that took most.

    n_features_in_ : int
        Columns of `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        In `fit`: `X` is not 2-D, empty, not finite or so large that its squares are not; `y` has one class or is not
        one of labels; weights are negative or all 0; C has values that are not positive; there are too few samples for
        a part to be held out.

    Warns
    -----
    ConvergenceWarning
        In `fit`: `max_iter` was reached before `tol`.

    See Also
    --------
    LinearRegressor : The same for real targets.
    CKNFeatureMap : The features.

    Notes
    -----
    The objective is minimised by L-BFGS [1]_ in coordinates in which the features are nearly uncorrelated and of the
    same variance: those of the Cholesky factor of their regularised covariance. One pass over `X` gives all scores and
    the gradient. For rows of norm 1 and C up to 10, 10 to 50 passes are usual. Where a larger C separates the classes,
    it takes more: the optimum is then approached from smaller values, by Newton's method. For some hundred samples
    other solvers are as quick.

    `X` is read by blocks and never copied, so that a :obj:`numpy.memmap` may be larger than memory. Beyond it,
    ``n_features ** 2`` numbers are needed, and some for every sample and class; with many features (more than 2048, and
    twice as many as samples or more) it is ``n_samples ** 2`` numbers in double precision instead.

    Numbers that float32 holds (float32, float16, bytes, 16-bit integers) are computed in float32, all others in
    float64. In float32 the features' means should not be much larger than their deviations.

    References
    ----------
    .. [1] J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, Springer, 2006,
       section 7.2.

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
        """Find the optimum.

        Parameters
        ----------
        X : array-like of shape `(n_samples, n_features)`
            Features; a C-contiguous array of float32 or float64 is read where it lies.
        y : array-like of shape `(n_samples,)`
            Labels.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1.

        Returns
        -------
        self : LinearClassifier
            The fitted classifier.
        """
        table = X
        X, y = _validation.as_features(self, table, y)
        classes, labels, weights = self._read_classes(X, y, sample_weight, _validation.features_dtype(X.dtype))

        def accuracy(rows, S):
            return accuracy_score(labels[rows], decide(S), sample_weight=weights[rows])

        Y = Signs.of_all(labels, len(classes))
        coef, intercept, fitted = self._solve(X, Y, weights, self.loss, accuracy, labels)
        _validation.record_columns(self, table)
        self.classes_, self.coef_, self.intercept_ = classes, coef, intercept
        vars(self).update(fitted)
        return self


class LinearRegressor(RegressorMixin, _Linear):
    """Linear least squares with a penalty, for many dense features and one or several targets.

    It minimises ``1/2 |W|^2 + C sum_i s_i |W x_i + b - y_i|^2`` over the weights W and the intercepts b, s being the
    weights of the samples: ridge regression with ``alpha = 1 / (2 C)``.

    Parameters
    ----------
    C : float or list of float, default=1.0
        Weight of the losses against the penalty, > 0. Of a list, the value is chosen whose regressor has the highest
        coefficient of determination (:math:`R^2`) on a held-out part of the samples; then all samples are used. Where
        the first or the last value is chosen, a longer list may be better. While it chooses, `tol` is 1e-3 at least.

    fit_intercept : bool, default=True
        Whether there is b, which is not penalised.

    tol : float, default=1e-6
        Stop when the objective, with every target divided by its largest deviation from the mean, can fall by no more
        than this part of itself, as far as its quadratic model tells.

    max_iter : int, default=1000
        Passes over `X` at most for each C, each an evaluation of the objective.

    validation_fraction : float, default=0.1
        Part of the samples held out to choose C; used if C is a list.

    random_state : int, RandomState instance or None, default=None
        Draws the held-out part. None: another one in every `fit`.

    n_jobs : int or None, default=None
        Threads over blocks of rows. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit.

    Attributes
    ----------
    coef_ : ndarray of shape `(n_features,)` or `(n_targets, n_features)`
        The weights W; one row for a 1-D `y`.

    intercept_ : float or ndarray of shape `(n_targets,)`
        The intercepts b, in double precision: a mean may be much larger than the deviations from it.

    C_ : float
        The value of C used.

    validation_scores_ : ndarray of shape `(len(C),)` or None
        Coefficient of determination on the held-out part for every C of a list.

    n_iter_ : int
        Passes over `X` in the last minimisation.

    n_features_in_ : int
        Columns of `X`.

    feature_names_in_ : ndarray of shape `(n_features_in_,)`
        Names of the columns, where `X` had any.

    Raises
    ------
    ValueError
        In `fit`: `X` is not 2-D, empty, not finite or so large that its squares are not; `y` is not finite; weights are
        negative or all 0; C has values that are not positive; there are too few samples for a part to be held out.

    Warns
    -----
    ConvergenceWarning
        In `fit`: `max_iter` was reached before `tol`.

    See Also
    --------
    LinearClassifier : The same for classes.

    Notes
    -----
    How it is done, in which precision, and what memory it takes: see the notes of `LinearClassifier`.

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
        """Find the optimum.

        Parameters
        ----------
        X : array-like of shape `(n_samples, n_features)`
            Features; a C-contiguous array of float32 or float64 is read where it lies.
        y : array-like of shape `(n_samples,)` or `(n_samples, n_targets)`
            Targets.
        sample_weight : array-like of shape `(n_samples,)`, default=None
            Weights >= 0 of the samples; None: 1.

        Returns
        -------
        self : LinearRegressor
            The fitted regressor.
        """
        table = X
        X, y = _validation.as_features(self, table, y, multi_output=True, y_numeric=True)
        weights = _validation.check_weights(sample_weight, X, _validation.features_dtype(X.dtype))
        targets = _validation.as_targets(y, weights.dtype)
        units = Units.of(targets, weights, self.fit_intercept)
        Y = np.where(weights[:, None] > 0, units.standardise(targets), 0).astype(weights.dtype)

        def determination(rows, S):
            return r2_score(targets[rows], units.restore(S), sample_weight=weights[rows])

        *standardised, fitted = self._solve(X, Y, weights, "squared_error", determination)
        coef, intercept = units.coefficients(*standardised)
        if y.ndim == 1:
            coef, intercept = coef[0], intercept[0]
        _validation.record_columns(self, table)
        self.coef_, self.intercept_ = coef, intercept
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
            `X` is not finite, or has other columns than in `fit`.
        """
        S = self._scores(X)
        return S[:, 0] if self.coef_.ndim == 1 else S

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
