"""The solver of the linear model, which minimises ``1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)`` over W and b.

The objective is divided by ``C sum_i s_i``. The penalty becomes ``ridge / 2 |W|^2`` with ``ridge = 1 / (C sum_i s_i)``,
and the sum of the losses becomes a weighted mean. L-BFGS minimises the objective in the coordinates z of
`preconditioner`, in which the Hessian is close to the identity. Every evaluation is one pass over X, block by block,
that computes both the scores and the gradient.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.threads import over_blocks, slices
from .lbfgs import minimise
from .losses import LOSSES, Loss
from .preconditioner import SMALLEST_SUM, Coordinates, Span, sums_of_rows
from .tall_skinny import product, product_adjoint, read, row_blocks

DOUBLE = np.dtype(np.float64)
N_PARTS = 16  # number of groups of rows that are summed separately; fixed, so that threads do not change the sums
WIDE = 2**8  # number of columns above which `Span` replaces X, if X has at most half as many rows as columns
SMALL = 2**23  # largest ``k d^2`` for which computing a (d, d) array of coordinates for each row of W is cheap
SQUARES_BYTES = 2**27  # maximum size in bytes of the (d, d) arrays, one per row of W, that exist at the same time
FIRST_ROUND, ROUND = 50, 20  # number of passes with the shared coordinates, and with each later set of coordinates
PASS = 200  # number of elements of W for each additional pass of the first round, if new coordinates are expensive
STAGE_TOL = 1e-2  # tolerance for the intermediate optima, whose penalties are stronger
LEAST_DECREASE = 1e-9  # relative decrease of the objective below which a round of Newton's method counts as no progress
EXACT = 2**22  # largest number of elements of X for which double precision and a small duality gap cost little
TRUST = 1e4  # for larger X, the predicted decrease is trusted if the duality gap is at most this many times `tol`


class Signs:
    """The targets of a classifier, which are +1 for the class of a sample and -1 for all other classes.

    There is one column for each class, or a single column for two classes.
    """

    def __init__(self, labels, classes):  # (n,), (k,)
        self.labels, self.classes, self.shape = labels, classes, (len(labels), len(classes))

    @classmethod
    def of_all(cls, labels, n_classes):
        """Return the targets for labels that are integers from 0 to ``n_classes - 1``."""
        return cls(labels, np.arange(n_classes) if n_classes > 2 else np.array([1]))

    def columns(self, chosen):
        return Signs(self.labels, self.classes[chosen])

    def samples(self, chosen):
        return Signs(self.labels[chosen], self.classes)

    def __getitem__(self, rows):
        return np.where(self.labels[rows, None] == self.classes, np.int8(1), np.int8(-1))


def scores(X, W, b, n_threads=1, chosen=None):  # -> (n, k)
    """Return ``W x + b`` for every row x of X, or only for the rows with indices ``chosen``, in the dtype of W."""
    n = len(X if chosen is None else chosen)
    S = np.empty((n, len(W)), W.dtype)

    def fill(rows):
        S[rows] = product(read(X, rows if chosen is None else chosen[rows], W.dtype), W) + b

    over_blocks(fill, row_blocks((n, X.shape[1])), n_threads)
    return S


def shares(weights):  # (n,) -> (n, 1)
    """Return the weights divided by their sum, in double precision."""
    return (weights.astype(float) / weights.sum(dtype=float))[:, None]


class Solution(NamedTuple):
    """The result of a minimisation, whose coefficients apply to the features that `LinearModel` uses internally."""

    W: np.ndarray
    b: np.ndarray
    n_passes: int = 0
    converged: bool = False
    value: float = np.inf  # value of the objective
    gap: float = np.inf  # upper bound of the difference between the value and the minimum

    def cast(self, dtype):  # -> (k, d), (k,)
        return self.W.astype(dtype), self.b.astype(dtype)

    def is_better_than(self, other):  # Solution or None
        """Return whether the value or the gap is lower by more than rounding errors would explain."""
        return other is None or self.value < (1 - LEAST_DECREASE) * other.value or 2 * self.gap < other.gap


class Objective(NamedTuple):
    """The objective ``ridge / 2 |W|^2 + sum_i share_i loss(W x_i + b, y_i)``, where the shares sum to 1."""

    X: np.ndarray
    Y: np.ndarray
    loss: Loss
    share: np.ndarray  # (n, 1)
    ridge: float
    fit_intercept: bool
    n_threads: int

    def descend(self, start, coordinates, tol, trust, max_passes):  # -> Solution
        """Minimise the objective, starting from ``start``, whose passes count towards ``max_passes``."""
        k = self.Y.shape[1]
        coordinates.choose(self.ridge)

        def model(z):  # (g, m) -> (k, d), (k,)
            W, b = coordinates.model(z.reshape(k, -1))
            return self._centre(W), self._centre(b)

        def function(z):  # (g, m) -> (g,), (g, m), (g,)
            with np.errstate(over="ignore", invalid="ignore"):  # A step that overflows is rejected.
                values, D, e, gaps = self.evaluate(*model(z), coordinates.means)
                return values, coordinates.gradients(D, e).reshape(z.shape), gaps

        z = coordinates.coordinates(start.W, start.b).reshape(k if self.loss.separable else 1, -1)
        found = minimise(function, z, tol, trust, max_passes - start.n_passes, np.finfo(self.share.dtype).eps)
        return Solution(*model(found.z), start.n_passes + found.n_calls, found.converged, found.value, found.gap)

    def evaluate(self, W, b, means):  # (k, d), (k,), (k, d) -> (g,), (k, d), (k,), (g,)
        """Return the values of the objective, the gradients with respect to W and b, and the duality gaps.

        For given intercepts, the objective is strongly convex in W with modulus ``ridge``, so it exceeds its minimum by
        at most half the squared norm of the gradient, divided by ``ridge``. This is the duality gap. The intercepts are
        those of centred samples ``x - means``, and the excess due to the intercepts is estimated as half the square of
        the derivative, divided by the second derivative.
        """
        losses, D, e, h = self._mean_loss(*Solution(W, b).cast(self.share.dtype))
        D, e = D + self.ridge * W, self._centre(e) * self.fit_intercept
        penalties = self.ridge / 2 * (W**2).sum(axis=1)
        gaps = ((D - e[:, None] * means) ** 2).sum(axis=1) / (2 * self.ridge) + e**2 / (2 * np.maximum(h, SMALLEST_SUM))
        penalties, gaps = (each.reshape(len(losses), -1).sum(axis=1) for each in (penalties, gaps))
        return losses + penalties, self._centre(D), e, gaps

    def _centre(self, A):  # (k, ...)
        """Subtract the mean over the rows of A if the scores are coupled.

        The loss does not depend on the mean of coupled scores, so the mean can be fixed at 0.
        """
        return A if self.loss.separable or len(A) == 1 else A - A.mean(axis=0)

    def _mean_loss(self, W, b):  # -> (g,), (k, d), (k,), (k,)
        """Return the weighted mean of the losses, its gradients, and its second derivatives with respect to b."""
        n, d = self.X.shape

        def add(part):
            values, D, e, h = 0, np.zeros(W.shape), np.zeros(len(W)), np.zeros(len(W))
            for block in row_blocks((part.stop - part.start, d)):
                rows = slice(part.start + block.start, part.start + block.stop)
                x = read(self.X, rows, W.dtype)
                with np.errstate(over="ignore", invalid="ignore"):  # Threads do not inherit this setting.
                    losses, G = self.loss.function(product(x, W) + b, self.Y[rows])
                    h += (self.loss.second(G) * self.share[rows]).sum(axis=0, dtype=float)
                    G *= self.share[rows]
                    values += (losses * self.share[rows]).sum(axis=0, dtype=float)
                    D += product_adjoint(x, G)
                    e += G.sum(axis=0, dtype=float)
            return values, D, e, h

        return tuple(sum(sums) for sums in zip(*over_blocks(add, slices(n, -(-n // N_PARTS)), self.n_threads)))

    def second(self, solution):  # -> (n, k)
        """Return the second derivatives of the weighted mean of the losses with respect to the scores."""
        W, b = solution.cast(self.share.dtype)
        H = scores(self.X, W, b, self.n_threads)
        for rows in row_blocks(self.X.shape):
            _, G = self.loss.function(H[rows], self.Y[rows])
            H[rows] = self.loss.second(G) * self.share[rows]
        return H


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
        with np.errstate(over="ignore", invalid="ignore"):  # Coefficients that overflow are not confirmed.
            W, b = found.cast(self.dtype)
            values, _, _, gaps = objective.evaluate(W.astype(float), b.astype(float), self.means)
        rounding = max(tol, 4 * np.finfo(self.dtype).eps)
        is_close = values.sum() <= (1 + rounding) * found.value
        is_near_optimum = self.precision == DOUBLE or gaps.sum() <= self.trust * rounding * values.sum()
        return found._replace(converged=bool(found.converged and is_close and is_near_optimum))

    def _minimise(self, objective, start, tol, max_passes):  # -> Solution
        """Minimise the objective in the current precision."""
        start = None if start is None else start._replace(n_passes=0, value=np.inf)
        if self.common is None:
            return self._newton(objective, start or self._zero(), tol, max_passes)
        newton = not self.loss.quadratic and (self.small or self.loss.separable)
        # Newton's method can use the remaining passes.
        n_passes = min(-(-max_passes // 2), self.first_round) if newton else max_passes
        first = objective.descend(start or self._zero(), self.common, tol, self.trust, n_passes)
        if not newton or first.n_passes == max_passes or (first.converged and not self.small):
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
                coordinates = None  # The old coordinates are freed first to save memory.
                coordinates, last = self._coordinates(part.second(solution)), solution
                n_passes = min(max_passes, solution.n_passes + ROUND)
                solution = part.descend(solution, coordinates, tol, self.trust, n_passes)
            parts.append(solution)
        W, b, n_passes, converged, values, gaps = zip(*parts)
        return Solution(np.vstack(W), np.hstack(b), max(n_passes), all(converged), sum(values), sum(gaps))
