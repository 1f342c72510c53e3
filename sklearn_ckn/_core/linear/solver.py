"""The solver of the linear model, which minimises the `Objective` over W and b for each value of C in turn.

L-BFGS minimises the objective in the coordinates z of `preconditioner`, in which the Hessian is close to the identity.
"""

import numpy as np

from ..runtime.threads import slices
from .losses import LOSSES
from .objective import Objective, Solution, scores
from .preconditioner import Coordinates, Span, sums_of_rows

DOUBLE = np.dtype(np.float64)
WIDE = 2**8  # number of columns above which `Span` replaces X, if X has at most half as many rows as columns
SMALL = 2**23  # largest ``k d^2`` for which computing a (d, d) array of coordinates for each row of W is cheap
SQUARES_BYTES = 2**27  # maximum size in bytes of the (d, d) arrays, one per row of W, that exist at the same time
FIRST_ROUND, ROUND = 50, 20  # number of passes with the shared coordinates, and with each later set of coordinates
PASS = 200  # number of elements of W for each additional pass of the first round, if new coordinates are expensive
STAGE_TOL = 1e-2  # tolerance for the intermediate optima, whose penalties are stronger
EXACT = 2**22  # largest number of elements of X for which double precision and a small duality gap cost little
TRUST = 1e4  # for larger X, the predicted decrease is trusted if the duality gap is at most this many times `tol`


def shares(weights):  # (n,) -> (n, 1)
    """Return the weights divided by their sum, in double precision."""
    return (weights.astype(float) / weights.sum(dtype=float))[:, None]


class LinearModel:
    """A linear model of X and Y that can be fitted for several values of C and several sets of sample weights.

    The first coordinates are computed from typical second derivatives of the loss, so that all rows of W can share the
    same coordinates. The true derivatives are far from typical if the samples are separable and the penalty is weak.
    The optimum is then approached through the optima for stronger penalties, and finally computed by Newton's method,
    which uses separate coordinates for each row of W and recomputes the coordinates every few passes.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, k), or `Signs`
    weights : ndarray of shape (n,), sample weights from which the coordinates are computed
        The dtype of the weights is the dtype of the coefficients.
    loss : str, name of a loss in `LOSSES`
    fit_intercept : bool
    n_threads : int
    """

    def __init__(self, X, Y, weights, loss, fit_intercept, n_threads):
        self.X, self.Y, self.dtype, self.span = X, Y, weights.dtype, None
        self.loss, self.fit_intercept, self.n_threads = LOSSES[loss], fit_intercept, n_threads
        self.share = shares(weights)
        if X.shape[1] > WIDE and 2 * len(X) <= X.shape[1]:
            mean = sums_of_rows(X, self.share)[0] if fit_intercept else np.zeros(X.shape[1])
            self.span = Span(X, mean, n_threads)
            self.X = self.span.features
        k, n_numbers = Y.shape[1], self.X.shape[1] ** 2
        self.small = k * n_numbers <= SMALL
        self.first_round = FIRST_ROUND if self.small else FIRST_ROUND + k * self.X.shape[1] // PASS
        is_exact = self.X.size <= EXACT
        self.trust = 0 if is_exact else TRUST
        self._compute_in(DOUBLE if is_exact else self.dtype)

    def _compute_in(self, precision):
        """Set the precision of all computations, and compute the shared coordinates."""
        self.precision = precision
        n_bytes = self.X.shape[1] ** 2 * precision.itemsize
        self.groups = slices(self.Y.shape[1], self.Y.shape[1] if self.small else max(1, SQUARES_BYTES // n_bytes))
        self.common = self._coordinates((self.loss.typical_curvature * self.share).astype(precision))
        self.means = self.common.means

    def _coordinates(self, H):
        return Coordinates(self.X, H, self.fit_intercept, self.n_threads)

    def solution(self, W, b):  # (k, d), (k,) -> Solution
        """Return a solution with weights W and intercepts b, from which a minimisation can start."""
        if self.span is not None:
            W, b = self.span.coordinates(W), b + W @ self.span.mean
        return Solution(W.astype(float), b.astype(float))

    def coefficients(self, solution):  # -> (k, d), (k,)
        """Return the weights and intercepts of a solution with respect to the original columns of X."""
        if self.span is not None:
            W = self.span.vectors(solution.W)
            solution = Solution(W, solution.b - W @ self.span.mean)
        return solution.cast(self.dtype)

    def scores(self, solution, chosen):  # -> (len(chosen), k)
        return scores(self.X, *solution.cast(self.dtype), self.n_threads, chosen)

    def solve(self, C, weights, start, tol, max_passes):  # -> Solution
        """Compute the optimum for the given C and sample weights.

        The search starts from ``start``, such as the solution for a smaller C, or from zero if ``start`` is None. If
        single precision turns out to be insufficient, this search and later searches use double precision.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # Steps that overflow are rejected.
            return self._solve(C, weights, start, tol, max_passes)

    def _solve(self, C, weights, start, tol, max_passes):  # -> Solution
        total = weights.sum(dtype=float)
        share = shares(weights)
        objective = Objective(
            self.X, self.Y, self.loss, share.astype(self.precision), 1 / (C * total), self.fit_intercept, self.n_threads
        )
        found = self._minimise(objective, start, tol, max_passes)
        if self.dtype == DOUBLE:
            return found
        exact = objective._replace(share=share)
        found = self._confirm(exact, found, tol)
        if found.converged or self.precision == DOUBLE or found.n_passes >= max_passes:
            return found
        self._compute_in(DOUBLE)
        again = self._minimise(exact, found, tol, max_passes - found.n_passes)
        return self._confirm(exact, again._replace(n_passes=found.n_passes + again.n_passes), tol)

    def _confirm(self, objective, found, tol):  # Objective in double precision, Solution -> Solution
        """Return the solution, as converged only if double precision confirms this for the rounded coefficients."""
        W, b = found.cast(self.dtype)
        values, _, _, gaps = objective.evaluate(W.astype(float), b.astype(float), self.means)
        rounding = max(tol, 4 * np.finfo(self.dtype).eps)
        is_close = values.sum() <= (1 + rounding) * found.value
        is_near_optimum = self.precision == DOUBLE or gaps.sum() <= self.trust * rounding * values.sum()
        return found._replace(converged=bool(found.converged and is_close and is_near_optimum))

    def _minimise(self, objective, start, tol, max_passes):  # -> Solution
        """Minimise the objective in the current precision, from zero if the objective overflows at ``start``."""
        found = self._search(objective, start, tol, max_passes)
        return found if np.isfinite(found.value) else self._search(objective, None, tol, max_passes)

    def _search(self, objective, start, tol, max_passes):  # -> Solution
        """Search for the minimum from ``start``, or from zero if ``start`` is None."""
        start = None if start is None else start._replace(n_passes=0, value=np.inf)
        if self.common is None:
            return self._newton(objective, start or self._zero(), tol, max_passes)
        newton = not self.loss.quadratic and (self.small or self.loss.separable)
        # Newton's method can use the remaining passes.
        n_passes = min(-(-max_passes // 2), self.first_round) if newton else max_passes
        first = objective.descend(start or self._zero(), self.common, tol, self.trust, n_passes)
        is_last = not newton or first.n_passes == max_passes or not np.isfinite(first.value)
        if is_last or (first.converged and not self.small):
            return first
        if first.converged:  # Convergence was judged by typical second derivatives and must be confirmed.
            start = first
        elif start is None:
            start = self._approach(objective, first.n_passes, max_passes)
        else:  # Newton's method converges faster from the optimum for a stronger penalty than from ``first``.
            start = start._replace(n_passes=first.n_passes)
        found = self._newton(objective, start, tol, max_passes)
        if found.converged or found.value <= first.value:
            return found
        return first._replace(n_passes=found.n_passes, converged=False)  # Newton's method has not confirmed ``first``.

    def _zero(self):
        return Solution(np.zeros((self.Y.shape[1], self.X.shape[1])), np.zeros(self.Y.shape[1]))

    def _approach(self, objective, n_passes, max_passes):  # -> Solution
        """Return a solution near the optimum, computed through the optima for successively weaker penalties."""
        solution = self._zero()._replace(n_passes=n_passes)
        for stage in range(int(np.log10(max(1, self.common.trace() / objective.ridge))), 0, -1):
            if solution.n_passes >= max_passes:
                break
            easier = objective._replace(ridge=objective.ridge * 10.0**stage)
            if self.small:
                solution = self._newton(easier, solution, STAGE_TOL, max_passes)
            else:
                solution = easier.descend(solution, self.common, STAGE_TOL, self.trust, max_passes)
        return solution

    def _newton(self, objective, start, tol, max_passes):  # -> Solution
        """Minimise the objective by Newton's method, for one group of columns of Y at a time.

        Each row of W has its own coordinates.
        """
        if not self.small:
            self.common = None  # This frees memory. The next C will not use the shared coordinates either.
        parts = []
        for columns in self.groups:
            part = objective if len(self.groups) == 1 else objective._replace(Y=self.Y.columns(columns))
            solution = start._replace(W=start.W[columns], b=start.b[columns], converged=False)
            last = None
            while not solution.converged and solution.n_passes < max_passes and solution.is_better_than(last):
                curvatures, last = part.second(solution), solution
                if not np.isfinite(curvatures).all():  # The scores overflow.
                    break
                coordinates = None  # The old coordinates are freed first to save memory.
                coordinates = self._coordinates(curvatures)
                n_passes = min(max_passes, solution.n_passes + ROUND)
                solution = part.descend(solution, coordinates, tol, self.trust, n_passes)
            parts.append(solution)
        W, b, n_passes, converged, values, gaps = zip(*parts)
        return Solution(np.vstack(W), np.hstack(b), max(n_passes), all(converged), sum(values), sum(gaps))
