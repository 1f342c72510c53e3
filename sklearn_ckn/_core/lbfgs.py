"""L-BFGS (Nocedal and Wright, "Numerical Optimization", algorithms 7.4 and 3.1) for several problems side by side."""

from typing import NamedTuple

import numpy as np

MEMORY = 8  # pairs of steps and changes of the gradient
DECREASE = 1e-4  # part of the decrease promised by the slope that a step must give
SHORTEST = 1e-6  # step, relative to the direction's, that rounding does not hide
NEGLIGIBLE = 1e-200  # curvature along a step, below which it tells nothing
IDLE = 3  # rounds without any decrease, after which rounding is all that is left


class Minimum(NamedTuple):
    """What `minimise` has found."""

    z: np.ndarray
    value: float  # the sum of the values
    n_calls: int
    converged: bool


def minimise(function, z, tol, max_calls, resolution):
    """Minimise g smooth convex functions of m numbers each, independent of each other, by common calls.

    Parameters
    ----------
    function : callable, ``(g, m) -> (g,), (g, m)``, values and gradients
        The closer the Hessians are to the identity, the sooner it ends.
    z : ndarray of shape (g, m), where to begin
    tol : float, ends when the sum of the values can fall by this part of itself, by the quadratic model, and has
        fallen by no more with the last step
    max_calls : int, calls of ``function`` at most
    resolution : float, relative rounding error of the values
    """
    values, gradients = function(z)
    steps, changes, n_calls, n_idle = [], [], 1, 0
    directions, lengths, gained = -gradients, np.ones(len(z)), 0.0
    searching = False  # for a shorter step
    while True:
        slopes = dot(gradients, directions)
        if max(-slopes.sum() / 2, gained) <= tol * values.sum() and not searching:
            return Minimum(z, values.sum(), n_calls, True)
        if n_calls >= max_calls or n_idle >= IDLE:
            return Minimum(z, values.sum(), n_calls, n_idle >= IDLE and bool(np.isfinite(values).all()))
        trial = z + lengths[:, None] * directions
        trial_values, trial_gradients = function(trial)
        n_calls += 1
        promised = lengths * slopes
        good = trial_values <= values + DECREASE * promised + resolution * values  # not so where it is NaN
        gained = values[good].sum() - trial_values[good].sum()
        searching = (~good & (lengths > SHORTEST) & (-slopes > resolution * values)).any()
        n_idle = 0 if gained > resolution * values.sum() else n_idle + (not searching)
        # a problem whose step was bad has a pair of zeros, which changes nothing below
        steps = [*steps[1 - MEMORY :], np.where(good[:, None], trial - z, 0)]
        changes = [*changes[1 - MEMORY :], np.where(good[:, None], trial_gradients - gradients, 0)]
        with np.errstate(invalid="ignore", divide="ignore"):
            shorter = -promised / (2 * (trial_values - values - promised))  # the minimum of a parabola
        lengths = np.where(good, 1, lengths * np.clip(np.nan_to_num(shorter, nan=0.1), 0.1, 0.5))
        z, gradients = (np.where(good[:, None], new, old) for new, old in ((trial, z), (trial_gradients, gradients)))
        values = np.where(good, trial_values, values)
        directions = np.where(good[:, None], -newton_steps(gradients, steps, changes), directions)


def newton_steps(gradients, steps, changes):
    """The inverse Hessians, as the pairs tell of them, times the gradients."""
    q, pairs, scale = gradients, [], np.ones(len(gradients))
    for s, y in zip(steps, changes):  # the oldest first
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
