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
from .preconditioner import Coordinates, Span, sums_of_rows
from .tall_skinny import product, product_adjoint, read, row_blocks

N_PARTS = 16  # number of groups of rows that are summed separately; fixed, so that threads do not change the sums
WIDE = 2**8  # number of columns above which `Span` replaces X, if X has at most half as many rows as columns
SMALL = 2**23  # largest ``k d^2`` for which computing a (d, d) array of coordinates for each row of W is cheap
SQUARES_BYTES = 2**27  # maximum size in bytes of the (d, d) arrays, one per row of W, that exist at the same time
FIRST_ROUND, ROUND = 50, 20  # number of passes with the shared coordinates, and with each later set of coordinates
PASS = 200  # number of elements of W for each additional pass of the first round, if new coordinates are expensive
STAGE_TOL = 1e-2  # tolerance for the intermediate optima, whose penalties are stronger


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


class Solution(NamedTuple):
    """The result of a minimisation, whose coefficients apply to the features that `LinearModel` uses internally."""

    W: np.ndarray
    b: np.ndarray
    n_passes: int = 0
    converged: bool = False
    value: float = np.inf  # value of the objective

    def cast(self, dtype):  # -> (k, d), (k,)
        return self.W.astype(dtype), self.b.astype(dtype)


class Objective(NamedTuple):
    """The objective ``ridge / 2 |W|^2 + sum_i share_i loss(W x_i + b, y_i)``, where the shares sum to 1."""

    X: np.ndarray
    Y: np.ndarray
    loss: Loss
    share: np.ndarray  # (n, 1)
    ridge: float
    n_threads: int

    def descend(self, start, coordinates, tol, max_passes):  # -> Solution
        """Minimise the objective, starting from ``start``, whose passes count towards ``max_passes``."""
        k = self.Y.shape[1]
        coordinates.choose(self.ridge)

        def model(z):  # (g, m) -> (k, d), (k,)
            W, b = coordinates.model(z.reshape(k, -1))
            return self._centre(W), self._centre(b)

        def function(z):  # (g, m) -> (g,), (g, m)
            W, b = model(z)
            losses, D, e = self._mean_loss(*Solution(W, b).cast(self.share.dtype))
            penalties = self.ridge / 2 * np.einsum("kd,kd->k", W, W)
            gradients = coordinates.gradients(self._centre(D + self.ridge * W), self._centre(e))
            return losses + penalties.reshape(len(losses), -1).sum(axis=1), gradients.reshape(z.shape)

        z = coordinates.coordinates(start.W, start.b).reshape(k if self.loss.separable else 1, -1)
        found = minimise(function, z, tol, max_passes - start.n_passes, np.finfo(self.share.dtype).eps)
        return Solution(*model(found.z), start.n_passes + found.n_calls, found.converged, found.value)

    def _centre(self, A):  # (k, ...)
        """Subtract the mean over the rows of A if the scores are coupled.

        The loss does not depend on the mean of coupled scores, so the mean can be fixed at 0.
        """
        return A if self.loss.separable or len(A) == 1 else A - A.mean(axis=0)

    def _mean_loss(self, W, b):  # -> (g,), (k, d), (k,)
        """Return the weighted mean of the losses, and its gradients with respect to W and b."""
        n, d = self.X.shape

        def add(part):
            values, D, e = 0, np.zeros(W.shape), np.zeros(len(W))
            for block in row_blocks((part.stop - part.start, d)):
                rows = slice(part.start + block.start, part.start + block.stop)
                x = read(self.X, rows, W.dtype)
                with np.errstate(over="ignore", invalid="ignore"):  # A step that overflows is rejected.
                    losses, G = self.loss.function(product(x, W) + b, self.Y[rows])
                    G *= self.share[rows]
                    values += (losses * self.share[rows]).sum(axis=0, dtype=float)
                    D += product_adjoint(x, G)
                    e += G.sum(axis=0, dtype=float)
            return values, D, e

        return tuple(sum(sums) for sums in zip(*over_blocks(add, slices(n, -(-n // N_PARTS)), self.n_threads)))

    def second(self, solution):  # -> (n, k)
        """Return the second derivatives of the weighted mean of the losses with respect to the scores."""
        W, b = solution.cast(self.share.dtype)
        H = scores(self.X, W, b, self.n_threads)
        for rows in row_blocks(self.X.shape):
            H[rows] = self.loss.second(H[rows], self.Y[rows]) * self.share[rows]
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
        The dtype of the weights is used throughout.
    loss : str, name of a loss in `LOSSES`
    fit_intercept : bool
    n_threads : int
    """

    def __init__(self, X, Y, weights, loss, fit_intercept, n_threads):
        self.X, self.Y, self.dtype, self.span = X, Y, weights.dtype, None
        self.loss, self.fit_intercept, self.n_threads = LOSSES[loss], fit_intercept, n_threads
        share = self._share(weights)
        if X.shape[1] > WIDE and 2 * len(X) <= X.shape[1]:
            mean = sums_of_rows(X, share)[0] if fit_intercept else np.zeros(X.shape[1])
            self.span = Span(X, mean, self.dtype, n_threads)
            self.X = self.span.features
        k, n_numbers = Y.shape[1], self.X.shape[1] ** 2
        self.small = k * n_numbers <= SMALL
        self.first_round = FIRST_ROUND if self.small else FIRST_ROUND + k * self.X.shape[1] // PASS
        self.groups = slices(k, k if self.small else max(1, SQUARES_BYTES // (n_numbers * self.dtype.itemsize)))
        self.common = self._coordinates(self.loss.typical_curvature * share)

    def _share(self, weights):
        return (weights / weights.sum(dtype=float)).astype(self.dtype)[:, None]

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

        The search starts from ``start``, such as the solution for a smaller C, or from zero if ``start`` is None.
        """
        ridge = 1 / (C * weights.sum(dtype=float))
        objective = Objective(self.X, self.Y, self.loss, self._share(weights), ridge, self.n_threads)
        start = None if start is None else start._replace(n_passes=0, value=np.inf)
        if self.common is None:
            return self._newton(objective, start or self._zero(), tol, max_passes)
        newton = self.loss.second is not None and (self.small or self.loss.separable)
        # Newton's method can use the remaining passes.
        n_passes = min(-(-max_passes // 2), self.first_round) if newton else max_passes
        first = objective.descend(start or self._zero(), self.common, tol, n_passes)
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
                solution = easier.descend(solution, self.common, STAGE_TOL, max_passes)
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
            while not solution.converged and solution.n_passes < max_passes:
                coordinates = None  # The old coordinates are freed first to save memory.
                coordinates = self._coordinates(part.second(solution))
                solution = part.descend(solution, coordinates, tol, min(max_passes, solution.n_passes + ROUND))
            parts.append(solution)
        W, b, n_passes, converged, values = zip(*parts)
        return Solution(np.vstack(W), np.hstack(b), max(n_passes), all(converged), sum(values))
