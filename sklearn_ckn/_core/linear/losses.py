"""The losses of a linear model: their values, and their derivatives with respect to the scores.

A loss returns values ``(n, g)`` and gradients G ``(n, k)``. If every column is a problem of its own, there is one value
per column (g = k). If the columns are coupled, there is one value for all columns (g = 1). The second derivatives
``(n, k)`` are functions of the gradients.
"""

from collections.abc import Callable
from math import exp
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar


def squared_hinge(S, Y):
    """Return ``max(0, 1 - y s)^2``, for every class against all others, and its gradient."""
    slack = np.maximum(1 - Y * S, 0)
    return slack * slack, -2 * Y * slack


def squared_hinge_second(G):
    """Return the second derivative of the squared hinge loss: 2 where ``y s < 1``, 0 elsewhere."""
    return 2 * (G != 0).astype(G.dtype)


def logistic(S, Y):
    """Return the negative log-probability of each sample's class, and its gradient.

    The probabilities of the other classes are added up, because 1 minus the probability of the sample's class would be
    inexact when the class is almost certain.
    """
    single, of_class = S.shape[1] == 1, Y > 0
    if single:
        S, of_class = np.hstack([np.zeros_like(S), S]), np.hstack([~of_class, of_class])
    T = S - S[of_class][:, None]
    largest = np.maximum(T.max(axis=1, keepdims=True), 0)
    E = np.exp(T - largest)
    E[of_class] = 0
    own, others = np.exp(-largest), E.sum(axis=1, keepdims=True)
    values = largest + np.where(largest > 0, np.log(own + others), np.log1p(others))
    gradients = E / (own + others)
    gradients[of_class] = -gradients.sum(axis=1)
    return values, gradients[:, single:]


def logistic_second(G):
    """Return the second derivative of the logistic loss: ``p (1 - p)`` for the probability p of every class."""
    P = np.minimum(np.abs(G), 1)  # Rounding may make a sum of probabilities larger than 1.
    return P * (1 - P)


def log_probabilities(S):  # (n, k) -> (n, max(k, 2))
    """Return ``log(exp(s_c) / sum over classes of exp(s))`` for every class c.

    If there are two classes, the first class has score 0.
    """
    if S.shape[1] == 1:
        S = np.hstack([np.zeros_like(S), S])
    S = S - S.max(axis=1, keepdims=True)
    return S - np.log(np.exp(S).sum(axis=1, keepdims=True))


def smoothed_targets(own):  # (n, k) of bool -> (n, k)
    """Return ``(n + 1) / (n + 2)`` for the class of each of n samples, and equal probabilities of all other classes.

    Scores that are calibrated with these targets stay finite even if all predictions are correct.
    """
    other = 1 / (len(own) + 2)
    return np.where(own, 1 - other, other / (own.shape[1] - 1))


def probability_scale(S, Y, weights):
    """Return the factor of the scores for which the log loss of their probabilities, and `smoothed_targets`, is least.

    The arguments are the scores ``(n, k)``, the targets +1 or -1 ``(n, k)``, and the weights of the samples ``(n,)``.
    """
    S = S.astype(float)
    targets = smoothed_targets(Y > 0 if S.shape[1] > 1 else np.hstack([Y < 0, Y > 0]))

    def log_loss(t):
        return -(weights @ (targets * log_probabilities(exp(t) * S)).sum(axis=1))

    return exp(minimize_scalar(log_loss, bounds=(-5, 10), method="bounded").x)


def squared_error(S, Y):
    """Return ``(s - y)^2`` and its gradient."""
    error = S - Y
    return error * error, 2 * error


def squared_error_second(G):
    """Return the second derivative of the squared error, which is 2."""
    return np.full_like(G, 2)


class Loss(NamedTuple):
    """A loss and the properties of its derivatives with respect to a score."""

    function: Callable  # function (S, Y) that returns values and gradients
    second: Callable  # function of the gradients that returns second derivatives (n, k)
    typical_curvature: float  # typical mean of the second derivatives at the optimum
    largest_curvature: float  # upper bound of the second derivatives, which limits the size of the training steps
    separable: bool  # whether every column is a problem of its own
    quadratic: bool = False  # whether the second derivatives are constant


LOSSES = {
    "squared_hinge": Loss(squared_hinge, squared_hinge_second, 0.5, 2.0, True),
    "logistic": Loss(logistic, logistic_second, 0.05, 2.0, False),
    "squared_error": Loss(squared_error, squared_error_second, 2.0, 2.0, True, True),
}
