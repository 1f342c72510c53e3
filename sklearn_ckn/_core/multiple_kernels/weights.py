"""The weights of a sum of kernels that minimise the loss of the cross-validated predictions."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from .cross_validated import CrossValidated

LARGEST = 11.0  # bounds of the logarithms of the weights, for kernels whose mean on the diagonal is 1
SMALLEST = -9.0
FTOL = 1e-4  # relative decrease of the loss in one iteration, below which the search ends
STRENGTHS = np.linspace(-2.0, 9.0, 6)  # logarithms of the sum of the weights to start from


class Weights(NamedTuple):
    """Learned weights of kernels, and the resulting loss and residuals."""

    v: np.ndarray  # (b,)
    t: float  # parameter of the loss
    loss: float  # mean loss of the cross-validated predictions
    R: np.ndarray  # (n, k) residuals
    shares: np.ndarray  # (b,) shares of the kernels in the variance of the fitted values, which sum to 1


def learn_weights(kernels, Y, s, loss, folds=None, spread=None, start=None, max_iter=25, n_threads=1):
    """Return the `Weights` of the kernels with the lowest loss, found by L-BFGS.

    If ``spread`` is not None, the loss has a penalty: the logarithms of the weights are normally distributed around
    their mean with this standard deviation, and the n signals are worth n observations. The penalty keeps the weights
    of kernels about equal if there are too few signals to tell which of them is better.

    Parameters
    ----------
    kernels : list of ndarray of shape (n, n), centred, with a mean of 1 on the diagonal
    Y : ndarray of shape (n, k)
    s : ndarray of shape (n,), positive
    loss : LogLoss or SquaredError
    folds : list of ndarray, or None for leave-one-out
    spread : float or None
    start : Weights to start from, or None for equal weights
    max_iter : int
    n_threads : int
    """
    model, n = CrossValidated(kernels, Y, s, folds, n_threads), len(Y)
    if start is None:
        first_loss, *begin = _start(model, loss, len(kernels))
    else:
        first_loss, begin = loss(model.residuals(start.v)[0], start.t)[0], [*np.log(start.v), start.t]

    def penalty(theta):
        if spread is None:
            return 0.0, 0.0
        deviations = theta - theta.mean()
        return (deviations**2).sum() / (2 * n * spread**2), deviations / (n * spread**2)

    def objective(parameters):
        theta, t = parameters[:-1], parameters[-1]
        v = np.exp(theta)
        R, matrices = model.residuals(v)
        value, D, dt = loss(R, t)
        added, slope = penalty(theta)
        slopes = np.append(v * model.gradient(D, R, matrices) + slope, dt)
        return (value + added) / unit, slopes / unit

    # The stopping criterion of L-BFGS is relative only for objectives above 1. The loss may also be 0.
    unit = max(first_loss, np.finfo(float).eps)
    bounds = [(SMALLEST, LARGEST)] * len(kernels) + [(-3.0, 7.0) if len(loss.starts) > 1 else (0.0, 0.0)]
    options = {"maxiter": max_iter, "ftol": FTOL}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    v, t = np.exp(found.x[:-1]), found.x[-1]
    R, (_, C) = model.residuals(v)
    fitted = [weight * (K @ C) for weight, K in zip(v, kernels)]
    together = sum(fitted)
    shares = np.array([np.vdot(part, together) for part in fitted])
    total = shares.sum()
    return Weights(v, t, loss(R, t)[0], R, shares / total if total > 0 else np.full(len(v), 1 / len(v)))


def _start(model, loss, n_kernels):
    """Return the lowest loss for equal weights, the logarithms of these weights, and the parameter of the loss."""
    trials = []
    for strength in STRENGTHS:
        theta = np.full(n_kernels, strength - np.log(n_kernels))
        R, _ = model.residuals(np.exp(theta))
        trials += [(loss(R, t)[0], *theta, t) for t in loss.starts]
    return min(trials)
