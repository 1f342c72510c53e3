"""The optimum of the linear model: ``min over W, b of 1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)``.

The objective is divided by ``C sum s``, so that the penalty becomes ``ridge / 2 |W|^2`` with ``ridge = 1 / (C sum s)``,
and the losses are averaged. L-BFGS minimises it in the coordinates z of `preconditioner`, in which its Hessian is close
to the identity. Every evaluation is one pass over X, block by block, for both the scores and the gradient.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.threads import over_blocks, slices
from .lbfgs import minimise
from .losses import LOSSES, Loss
from .preconditioner import Coordinates, Span, sums_of_rows
from .tall_skinny import product, product_adjoint, read, row_blocks

N_PARTS = 16  # number of parts of the rows that are summed separately: fixed, so that threads do not change the sums
WIDE = 2**8  # number of columns of X above which `Span` replaces them, if there are at most half as many rows
SMALL = 2**23  # largest ``k d^2`` for which every row of W can cheaply have coordinates of its own, a (d, d) array
SQUARES_BYTES = 2**27  # memory for the (d, d) arrays of all rows of W that are solved for at the same time
FIRST_ROUND, ROUND = 50, 20  # passes before rows of W get their own coordinates, and before these are computed again
PASS = 200  # numbers in W per extra pass of the first round of a large problem, where new coordinates are expensive
STAGE_TOL = 1e-2  # tolerance of the optima for stronger penalties on the way to the optimum


class Signs:
    """Targets of a classifier: +1 at the class of a sample and -1 at the others, in one column for two classes."""

    def __init__(self, labels, classes):  # (n,), (k,)
        self.labels, self.classes, self.shape = labels, classes, (len(labels), len(classes))

    @classmethod
    def of_all(cls, labels, n_classes):
        """Return the targets of all classes for the labels 0, ..., n_classes - 1."""
        return cls(labels, np.arange(n_classes) if n_classes > 2 else np.array([1]))

    def columns(self, chosen):
        return Signs(self.labels, self.classes[chosen])

    def samples(self, chosen):
        return Signs(self.labels[chosen], self.classes)

    def __getitem__(self, rows):
        return np.where(self.labels[rows, None] == self.classes, np.int8(1), np.int8(-1))


def scores(X, W, b, n_threads=1, chosen=None):  # -> (n, k)
    """Return ``W x + b`` for every row of X, or only for the rows with the indices ``chosen``, in the dtype of W."""
    n = len(X if chosen is None else chosen)
    S = np.empty((n, len(W)), W.dtype)

    def fill(rows):
        S[rows] = product(read(X, rows if chosen is None else chosen[rows], W.dtype), W) + b

    over_blocks(fill, row_blocks((n, X.shape[1])), n_threads)
    return S


class Solution(NamedTuple):
    """The result of a minimisation, with coefficients for the features that a `LinearModel` works with."""

    W: np.ndarray
    b: np.ndarray
    n_passes: int = 0
    converged: bool = False
    value: float = np.inf  # value of the objective

    def cast(self, dtype):  # -> (k, d), (k,)
        return self.W.astype(dtype), self.b.astype(dtype)


class Objective(NamedTuple):
    """The objective ``ridge / 2 |W|^2 + sum_i share_i loss(W x_i + b, y_i)``, whose shares sum to 1."""

    X: np.ndarray
    Y: np.ndarray
    loss: Loss
    share: np.ndarray  # (n, 1)
    ridge: float
    n_threads: int

    def descend(self, start, coordinates, tol, max_passes):  # -> Solution
        """Minimise the objective from the solution ``start``, whose passes count towards ``max_passes``."""
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
        """Subtract the mean over coupled scores, on which no loss depends and which is 0 at the optimum."""
        return A if self.loss.separable or len(A) == 1 else A - A.mean(axis=0)

    def _mean_loss(self, W, b):  # -> (g,), (k, d), (k,)
        """Return the weighted mean of the losses, and its gradients with respect to W and b."""
        n, d = self.X.shape

        def add(part):
            values, D, e = 0, np.zeros(W.shape), np.zeros(len(W))
            for block in row_blocks((part.stop - part.start, d)):
                rows = slice(part.start + block.start, part.start + block.stop)
                x = read(self.X, rows, W.dtype)
                with np.errstate(over="ignore", invalid="ignore"):  # a step that overflows is rejected
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
    """A linear model of X and Y that can be solved for several C and several weights of the samples.

    The first coordinates are found with typical second derivatives of the loss, so that all rows of W share them. If
    the true derivatives are far from typical (the samples are separable, and the penalty is weak), the optimum is
    approached through the optima for stronger penalties, and finally reached by Newton's method: every row of W has
    coordinates of its own, which are computed again every few passes.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, k), or `Signs`
    weights : ndarray of shape (n,), sample weights with which the coordinates are found
        Everything is computed in their dtype.
    loss : str, a name in `LOSSES`
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
        """Return the solution with these coefficients, to start from."""
        if self.span is not None:
            W, b = self.span.coordinates(W), b + W @ self.span.mean
        return Solution(W.astype(float), b.astype(float))

    def coefficients(self, solution):  # -> (k, d), (k,)
        """Return the weights and intercepts of a solution, for the columns of the X that was given."""
        if self.span is not None:
            W = self.span.vectors(solution.W)
            solution = Solution(W, solution.b - W @ self.span.mean)
        return solution.cast(self.dtype)

    def scores(self, solution, chosen):  # -> (len(chosen), k)
        return scores(self.X, *solution.cast(self.dtype), self.n_threads, chosen)

    def solve(self, C, weights, start, tol, max_passes):  # -> Solution
        """Find the optimum for this C and these sample weights.

        The search starts from another solution, such as the one for a smaller C, or from zero if ``start`` is None.
        """
        ridge = 1 / (C * weights.sum(dtype=float))
        objective = Objective(self.X, self.Y, self.loss, self._share(weights), ridge, self.n_threads)
        start = None if start is None else start._replace(n_passes=0, value=np.inf)
        if self.common is None:
            return self._newton(objective, start or self._zero(), tol, max_passes)
        newton = self.loss.second is not None and (self.small or self.loss.separable)
        n_passes = min(-(-max_passes // 2), self.first_round) if newton else max_passes  # Newton's method gets the rest
        first = objective.descend(start or self._zero(), self.common, tol, n_passes)
        if not newton or first.n_passes == max_passes or (first.converged and not self.small):
            return first
        if first.converged:  # according to the typical second derivatives
            start = first
        elif start is None:
            start = self._approach(objective, first.n_passes, max_passes)
        else:  # not ``first``, as Newton's method converges fastest from the optimum for a stronger penalty
            start = start._replace(n_passes=first.n_passes)
        found = self._newton(objective, start, tol, max_passes)
        if found.converged or found.value <= first.value:
            return found
        return first._replace(n_passes=found.n_passes, converged=False)  # Newton's method has not confirmed it.

    def _zero(self):
        return Solution(np.zeros((self.Y.shape[1], self.X.shape[1])), np.zeros(self.Y.shape[1]))

    def _approach(self, objective, n_passes, max_passes):  # -> Solution
        """Return a solution near the optimum, reached through the optima for weaker and weaker penalties."""
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
        """Minimise for one group of columns of Y at a time, with coordinates of its own for every row of W."""
        if not self.small:
            self.common = None  # frees memory: if this C needs other coordinates, so will the next C
        parts = []
        for columns in self.groups:
            part = objective if len(self.groups) == 1 else objective._replace(Y=self.Y.columns(columns))
            solution = start._replace(W=start.W[columns], b=start.b[columns], converged=False)
            while not solution.converged and solution.n_passes < max_passes:
                coordinates = None  # the old ones are freed first, as there is memory for one only
                coordinates = self._coordinates(part.second(solution))
                solution = part.descend(solution, coordinates, tol, min(max_passes, solution.n_passes + ROUND))
            parts.append(solution)
        W, b, n_passes, converged, values = zip(*parts)
        return Solution(np.vstack(W), np.hstack(b), max(n_passes), all(converged), sum(values))
