"""L-BFGS (Nocedal and Wright, "Numerical Optimization", algorithms 7.4 and 3.1) for several problems at once."""

from typing import NamedTuple

import numpy as np

MEMORY = 8  # number of pairs (step, change of the gradient) that are kept
DECREASE = 1e-4  # a step must achieve at least this fraction of the decrease that the slope predicts
SHORTEST = 1e-6  # smallest step, relative to the direction, that is shortened further; rounding hides smaller steps
NEGLIGIBLE = 1e-200  # the pair of a step is ignored if the curvature along the step is at most this value
IDLE = 3  # number of successive iterations without a decrease after which the search stops


class Minimum(NamedTuple):
    """The result of `minimise`."""

    z: np.ndarray
    value: float  # sum of the values of the g functions
    gap: float  # sum of their gaps
    n_calls: int
    converged: bool


def minimise(function, z, tol, trust, max_calls, resolution):
    """Minimise g smooth convex functions of m variables each, evaluating all functions in the same calls.

    The functions are independent of one another.

    Parameters
    ----------
    function : callable, ``(g, m) -> (g,), (g, m), (g,)``, that returns values, gradients and gaps
        The gap bounds the difference between a value and its minimum. The closer the Hessians are to the identity, the
        fewer calls are needed.
    z : ndarray of shape (g, m), the starting point
    tol : float, relative tolerance
        The search has converged when the sum of the gaps is at most ``tol`` times the sum of the values.
    trust : float
        The search has also converged when the quadratic model predicts a decrease of the sum of the values by at most
        ``tol`` times the sum, the last step has decreased the sum by at most the same amount, and the sum of the gaps
        is at most ``trust`` times this amount.
    max_calls : int, maximum number of calls of ``function``
    resolution : float, relative rounding error of the values
    """
    values, gradients, gaps = function(z)
    steps, changes, n_calls, n_idle = [], [], 1, 0
    directions, lengths, gained = -gradients, np.ones(len(z)), 0.0
    searching = False  # whether a shorter step is being searched for
    while True:
        slopes = dot(gradients, directions)
        allowed, predicted = tol * values.sum(), max(-slopes.sum() / 2, gained)
        converged = predicted <= allowed and gaps.sum() <= trust * allowed and not searching
        if converged or gaps.sum() <= allowed or n_calls >= max_calls or n_idle >= IDLE:
            converged = (converged or gaps.sum() <= allowed) and np.isfinite(allowed)
            return Minimum(z, values.sum(), gaps.sum(), n_calls, bool(converged))
        trial = z + lengths[:, None] * directions
        trial_values, trial_gradients, trial_gaps = function(trial)
        n_calls += 1
        promised = lengths * slopes
        good = trial_values <= values + DECREASE * promised + resolution * values  # False where a value is NaN
        gained = values[good].sum() - trial_values[good].sum()
        searching = (~good & (lengths > SHORTEST) & (-slopes > resolution * values)).any()
        n_idle = 0 if gained > resolution * values.sum() else n_idle + (not searching)
        # A problem whose step is rejected gets a pair of zeros, which `newton_steps` ignores.
        steps = [*steps[1 - MEMORY :], np.where(good[:, None], trial - z, 0)]
        changes = [*changes[1 - MEMORY :], np.where(good[:, None], trial_gradients - gradients, 0)]
        with np.errstate(invalid="ignore", divide="ignore"):
            shorter = -promised / (2 * (trial_values - values - promised))  # lengths that minimise a parabola
        lengths = np.where(good, 1, lengths * np.clip(np.nan_to_num(shorter, nan=0.1), 0.1, 0.5))
        z, gradients = (np.where(good[:, None], new, old) for new, old in ((trial, z), (trial_gradients, gradients)))
        values, gaps = np.where(good, trial_values, values), np.where(good, trial_gaps, gaps)
        directions = np.where(good[:, None], -newton_steps(gradients, steps, changes), directions)


def newton_steps(gradients, steps, changes):
    """Multiply the gradients by the inverse Hessians, approximated from the pairs of steps and changes."""
    q, pairs, scale = gradients, [], np.ones(len(gradients))
    for s, y in zip(steps, changes):  # from the oldest pair to the newest
        curvature = dot(s, y)
        known = curvature > NEGLIGIBLE
        inverse = np.where(known, 1 / np.where(known, curvature, 1), 0)
        pairs.append((s, y, inverse))
        scale = np.where(known, curvature / np.where(known, dot(y, y), 1), scale)
    factors = []
    for s, y, inverse in reversed(pairs):
        factors.append(inverse * dot(s, q))
        q = q - factors[-1][:, None] * y
    r = scale[:, None] * q
    for (s, y, inverse), factor in zip(pairs, reversed(factors)):
        r = r + (factor - inverse * dot(y, r))[:, None] * s
    return r


def dot(a, b):  # (g, m), (g, m) -> (g,)
    return np.einsum("gm,gm->g", a, b)
