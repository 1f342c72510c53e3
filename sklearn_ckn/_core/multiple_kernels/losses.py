"""Losses of cross-validated predictions, with their derivatives."""

from typing import NamedTuple

import numpy as np

from ..linear.losses import log_probabilities, smoothed_targets


class LogLoss(NamedTuple):
    """Mean of ``-sum_c q_c log p_c`` with ``p = softmax(exp(t) S)``, where ``exp(-t)`` is a temperature.

    The parameter t is learned together with the weights of the kernels. It calibrates the probabilities. The targets q
    are the `smoothed_targets`.
    """

    Y: np.ndarray  # (n, k) +1 for the class of a signal, -1 otherwise
    s: np.ndarray  # (n,) weights of the signals, whose sum is 1
    starts = (0.0, 1.0, 2.0, 3.0)  # values of t to start from

    def values(self, R, t):  # -> (n,), (n, k), (n,)
        """Return the loss of each signal, and its derivatives with respect to R and t."""
        scale, S = np.exp(t), self.Y - R
        log_p, targets = log_probabilities(scale * S), smoothed_targets(self.Y > 0)
        D = targets - np.exp(log_p)  # minus the derivative with respect to scale * S
        return -(targets * log_p).sum(axis=1), scale * D, -scale * (D * S).sum(axis=1)

    def __call__(self, R, t):  # -> float, (n, k), float
        """Return the loss, and its derivatives with respect to R and t."""
        values, D, dt = self.values(R, t)
        return self.s @ values, self.s[:, None] * D, self.s @ dt


class SquaredError(NamedTuple):
    """Mean over signals and targets of ``R^2``, which has no further parameter."""

    s: np.ndarray  # (n,) weights of the signals, whose sum is 1
    starts = (0.0,)

    def values(self, R, t):  # -> (n,), (n, k), (n,)
        """Return the loss of each signal, and its derivatives with respect to R and t."""
        return (R**2).mean(axis=1), 2 * R / R.shape[1], np.zeros(len(R))

    __call__ = LogLoss.__call__
