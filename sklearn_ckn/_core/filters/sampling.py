"""Patches drawn from many signals, from which filters are learned."""

from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from ..layer import patches
from ..runtime.threads import slices

PATCHES_PER_SIGNAL = 16  # patches drawn per signal if there are enough signals: neighbouring patches are redundant
ROWS_AT_ONCE = 4096
LEAST_VARIATION = 1e-3  # smallest variation of a patch that cannot be due to rounding, relative to that of its signal
LARGEST_SEED = 2**31 - 1


class Sample(NamedTuple):
    """Directions of patches drawn uniformly from a population of wanted patches; see `sample`."""

    U: np.ndarray  # (k, d)
    n_wanted: float  # an estimate of the number of patches in the population


def varies(P, X):  # (n, k, d), (n, *space, c) -> (n, k)
    """Return whether each patch of a map differs from a constant by more than the rounding errors of a layer.

    A patch of one position is compared with zero.
    """
    return _variation(P, X) > _rounding(P)


def varies_in_signal(P, X):  # (n, k, d), (n, *space, c) -> (n, k)
    """Return whether each patch of a signal differs from a constant; a patch of one position is compared with zero.

    If the mean of the signal is large, rounding errors in proportion to the patch may exceed the variation of the
    signal. A patch that varies by more than a fraction of this variation is then accepted, too.
    """
    variation, rounding = _variation(P, X), _rounding(P)
    accepted = variation > rounding
    doubtful = np.flatnonzero(~accepted.all(axis=1))  # Only these signals are read as a whole.
    channels = np.moveaxis(X[doubtful], -1, 1).reshape(len(doubtful), X.shape[-1], prod(X.shape[1:-1]))
    extent = np.linalg.norm(np.ptp(channels, axis=2), axis=1, keepdims=True)
    accepted[doubtful] |= variation[doubtful] > LEAST_VARIATION * extent
    return accepted


def _variation(P, X):
    """Return the norm of each patch after centring, or of a patch of one position as it is."""
    return np.linalg.norm(patches.center(P, X.shape[-1]) if P.shape[-1] > X.shape[-1] else P, axis=-1)


def _rounding(P):
    """Return the largest rounding error that a layer adds to a constant patch."""
    return patches.ROUNDING_OF_A_LAYER * np.finfo(P.dtype).eps * np.linalg.norm(P, axis=-1)


def not_zero(P, X):  # (n, k, d), (n, *space, c) -> (n, k)
    """Return whether each patch has a direction, that is, a norm that is not computed as zero."""
    return np.linalg.norm(P, axis=-1) > 0


def directions(X, starts, at, patch, wanted):  # (n, *space, c), (n, k), Layout, PatchGeometry -> (n, k, d)
    """Return the directions of the patches that begin at ``starts`` in each signal, or 0 for unwanted patches."""
    P = patches.extract_at(X, starts, at)
    norms, U = patches.normalize(patches.center(P, X.shape[-1]) if patch.centering else P)
    inexact = norms[..., 0] < patches.smallest_norm(P.dtype)
    U[inexact] = patches.normalize(U[inexact])[1]
    U[~wanted(P, X)] = 0
    return U


def sample(signals, n_patches, patch, rng, wanted=varies):
    """Draw the directions of wanted patches uniformly over all signals and positions, without replacement.

    Signals are visited in random order, and a few patches are drawn from each, until ``n_patches`` wanted patches are
    found or no signals are left. No more signals are read than necessary. The random choices do not depend on the
    values of the signals, so signals can be stored anywhere and read in any order.

    Parameters
    ----------
    signals : object with ``len``, ``shape`` ``(*space, c)``, ``dtype`` and ``fill(rows, finish, companion, out)``
        Its `fill` sets ``out[i]`` to the result of ``finish`` for the maps of signal ``rows[i]`` and ``companion[i]``.
    n_patches : int
    patch : patches.PatchGeometry
    rng : RandomState
    wanted : `varies`, `varies_in_signal` or `not_zero`, which returns whether each patch is wanted

    Returns
    -------
    Sample of at most ``n_patches`` directions
    """
    rng = np.random.default_rng(rng.randint(LARGEST_SEED))  # A Generator is faster at drawing without replacement.
    n_signals, at = len(signals), patches.layout(signals.shape, patch)
    order, per_signal = rng.permutation(n_signals), max(PATCHES_PER_SIGNAL, -(-n_patches // n_signals))
    per_signal = min(per_signal, at.n_patches)
    n_patches = min(n_patches, per_signal * n_signals)
    U = np.empty((n_patches + per_signal, len(at.runs) * at.run), dtype=signals.dtype)
    finish, found, n_visited = partial(directions, at=at, patch=patch, wanted=wanted), 0, 0
    while found < n_patches and n_visited < n_signals:
        rows = order[n_visited : n_visited + -(-(n_patches - found) // per_signal)]
        starts = np.array([at.start(rng.choice(at.n_patches, per_signal, replace=False)) for _ in rows])
        drawn = U[found : found + starts.size]
        signals.fill(rows, finish, starts, drawn.reshape(*starts.shape, -1))
        found, n_visited = found + keep_directions(drawn), n_visited + len(rows)
    n_wanted = found * n_signals * at.n_patches / (n_visited * per_signal)
    return Sample(U[: min(found, n_patches)], n_wanted)


def merge(before, more, n_patches, rng):  # Sample, Sample -> Sample
    """Return a sample of the union of two populations of patches, with the same fraction of each population."""
    if not (len(before.U) and len(more.U)):
        return before if len(before.U) else more
    n_wanted = before.n_wanted + more.n_wanted
    share = min(n_patches / n_wanted, *(len(U) / n for U, n in (before, more)))
    parts = [U[rng.permutation(len(U))[: max(1, round(share * n))]] for U, n in (before, more)]
    U = np.concatenate([part.astype(before.U.dtype, copy=False) for part in parts])[:n_patches]
    return Sample(U, n_wanted)


def keep_directions(U):  # out (k, d) -> int
    """Move the nonzero rows to the front, and return their number."""
    n_kept = 0
    for block in slices(len(U), ROWS_AT_ONCE):
        kept = U[block][U[block].any(axis=1)]
        U[n_kept : n_kept + len(kept)] = kept
        n_kept += len(kept)
    return n_kept
