"""The objective of the linear model, ``1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)``, divided by ``C sum_i s_i``.

The penalty becomes ``ridge / 2 |W|^2`` with ``ridge = 1 / (C sum_i s_i)``, and the sum of the losses becomes a weighted
mean. Every evaluation is one pass over X, block by block, that computes both the scores and the gradient.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.threads import over_blocks, slices
from .lbfgs import minimise
from .losses import Loss
from .preconditioner import SMALLEST_SUM
from .tall_skinny import product, product_adjoint, read, row_blocks

N_PARTS = 16  # number of groups of rows that are summed separately; fixed, so that threads do not change the sums
LEAST_DECREASE = 1e-9  # relative decrease of the objective below which a round of Newton's method counts as no progress


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
        """Minimise the objective, starting from ``start``, whose passes count towards ``max_passes``.

        If the objective overflows at ``start`` in these coordinates, return ``start`` without convergence.
        """
        k = self.Y.shape[1]
        coordinates.choose(self.ridge)

        def model(z):  # (g, m) -> (k, d), (k,)
            W, b = coordinates.model(z.reshape(k, -1))
            return self._centre(W), self._centre(b)

        def function(z):  # (g, m) -> (g,), (g, m), (g,)
            values, D, e, gaps = self.evaluate(*model(z), coordinates.means)
            return values, coordinates.gradients(D, e).reshape(z.shape), gaps

        z = coordinates.coordinates(start.W, start.b).reshape(k if self.loss.separable else 1, -1)
        found = minimise(function, z, tol, trust, max_passes - start.n_passes, np.finfo(self.share.dtype).eps)
        n_passes = start.n_passes + found.n_calls
        if not np.isfinite(found.value):
            return start._replace(n_passes=n_passes, converged=False)
        return Solution(*model(found.z), n_passes, found.converged, found.value, found.gap)

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
