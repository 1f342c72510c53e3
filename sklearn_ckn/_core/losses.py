"""The losses of a linear model: their values, and their gradients with respect to the scores.

=====  ==========  ======================================================================================
S      ``(n, k)``  scores ``W x + b``, one column per class or output
Y      ``(n, k)``  targets: +1 at a sample's class and -1 at the others, or real numbers
=====  ==========  ======================================================================================

Two classes have one column, the score of the second class. A loss returns values ``(n, g)`` and gradients ``(n, k)``:
one value per column (g = k) where every column is a problem of its own, one in all (g = 1) where they are coupled.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def squared_hinge(S, Y):
    """One class against all others: ``max(0, 1 - y s)^2``."""
    slack = np.maximum(1 - Y * S, 0)
    return slack * slack, -2 * Y * slack


def squared_hinge_second(S, Y):
    """2 where there is slack."""
    return 2.0 * (Y * S < 1)


def logistic(S, Y):
    """Minus the logarithm of the probability of the class."""
    L, of_class = log_probabilities(S), Y > 0
    if S.shape[1] == 1:
        of_class = np.hstack([~of_class, of_class])
    values = -L[of_class][:, None]
    gradients = np.exp(L)
    gradients[of_class] -= 1
    return values, gradients[:, -S.shape[1] :]


def logistic_second(S, Y):
    """The variance of being of the class."""
    P = np.exp(log_probabilities(S))[:, -S.shape[1] :]
    return P * (1 - P)


def log_probabilities(S):  # (n, k) -> (n, max(k, 2))
    """``log(exp(s_c) / sum over classes of exp(s))``; the first of two classes has score 0."""
    if S.shape[1] == 1:
        S = np.hstack([np.zeros_like(S), S])
    S = S - S.max(axis=1, keepdims=True)
    return S - np.log(np.exp(S).sum(axis=1, keepdims=True))


def squared_error(S, Y):
    """``(s - y)^2``."""
    error = S - Y
    return error * error, 2 * error


class Loss(NamedTuple):
    """A loss and what is known of its derivatives with respect to a score."""

    function: Callable  # values and gradients
    second: Callable | None  # second derivatives (n, k); None where they are the same everywhere
    usual: float  # a second derivative as it is on average at the optimum
    separable: bool  # a problem for every column


LOSSES = {
    "squared_hinge": Loss(squared_hinge, squared_hinge_second, 0.5, True),
    "logistic": Loss(logistic, logistic_second, 0.05, False),
    "squared_error": Loss(squared_error, None, 2.0, True),
}
