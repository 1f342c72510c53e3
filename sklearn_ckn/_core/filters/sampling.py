"""Patches drawn from many signals, from which filters are learned."""

from functools import partial
from math import ceil, prod
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


class Group(NamedTuple):
    """Maps of equal shape, from which patches are drawn."""

    rows: np.ndarray  # indices of the signals among all signals
    maps: object  # see `sample`
    at: patches.Layout

    @property
    def n_patches(self):
        """The number of patches of all signals."""
        return len(self.rows) * self.at.n_patches


def numbers_to_draw(groups, total):  # list of Group, int -> (n,), (n,)
    """Return the number of patches to draw from each signal, and an excess.

    The number is proportional to the number of patches of the signal, and the sum over all signals is ``total``, which
    is at most the number of all patches. It is rounded up to a whole number, so the last patch drawn from a signal must
    be discarded with probability ``excess``.
    """
    n_signals, n_all = sum(len(group.rows) for group in groups), sum(group.n_patches for group in groups)
    numbers, excess = np.empty(n_signals, dtype=int), np.empty(n_signals)
    for rows, _, at in groups:
        numbers[rows] = -(-total * at.n_patches // n_all)
        excess[rows] = numbers[rows] - total * at.n_patches / n_all
    return numbers, excess


def sample(signals, n_patches, patch, rng, wanted=varies):
    """Draw the directions of wanted patches uniformly over all signals and positions, without replacement.

    Signals are visited in random order, and a few patches are drawn from each, until ``n_patches`` wanted patches are
    found (see below for signals that differ in size) or no signals are left. No more signals are read than necessary.
    The random choices do not depend on the values of the signals, so signals can be stored anywhere and read in any
    order.

    If signals differ in size, stopping as soon as ``n_patches`` patches are found would favour large signals, from
    which more patches are drawn. The number of patches found is therefore rescaled to the number that as many signals
    of mean size would have given, and the visits stop when the rescaled number reaches ``n_patches``.

    Parameters
    ----------
    signals : object with ``len``, ``dtype``, ``groups`` and ``places``
        The list ``groups`` contains pairs of indices of signals and their maps, which have equal shapes, and ``places``
        contains the group of each signal and its index in the group. The maps of a group have a ``shape``
        ``(*space, c)`` and a method ``fill(rows, finish, companion, out)``, which sets ``out[i]`` to the result of
        ``finish`` for the maps of signal ``rows[i]`` and for ``companion[i]``.
    n_patches : int
    patch : patches.PatchGeometry
    rng : RandomState
    wanted : `varies`, `varies_in_signal` or `not_zero`, which returns whether each patch is wanted

    Returns
    -------
    Sample of at most ``n_patches`` directions
    """
    rng = np.random.default_rng(rng.randint(LARGEST_SEED))  # A Generator is faster at drawing without replacement.
    groups = [Group(rows, maps, patches.layout(maps.shape, patch)) for rows, maps in signals.groups]
    n_signals, n_all = len(signals), sum(group.n_patches for group in groups)
    order = rng.permutation(n_signals)
    total = min(n_all, n_signals * max(PATCHES_PER_SIGNAL, -(-n_patches // n_signals)))
    numbers, excess = numbers_to_draw(groups, total)
    n_patches, per_signal = min(n_patches, total), total / n_signals  # The mean number need not be a whole number.
    U = np.empty((n_patches + ceil(per_signal), len(groups[0].at.runs) * groups[0].at.run), dtype=signals.dtype)
    finish = partial(directions, patch=patch, wanted=wanted)
    found, n_visited, n_drawn, typical = 0, 0, 0, 0.0
    while typical < n_patches and n_visited < n_signals:
        rows = order[n_visited : n_visited + ceil((n_patches - typical) / per_signal)]
        end = found + numbers[rows].sum()
        if end > len(U):
            U = np.concatenate([U[:found], np.empty((end - found, U.shape[1]), U.dtype)])
        draw(groups, signals.places[:, rows], numbers[rows], finish, rng, U[found:end])
        if excess.any():
            last = found + numbers[rows].cumsum() - 1
            U[last[rng.random(len(rows)) < excess[rows]]] = 0
        n_visited, n_drawn = n_visited + len(rows), n_drawn + (numbers - excess)[rows].sum()
        found += keep_directions(U[found:end])
        typical = found * n_visited * per_signal / n_drawn
    if found > n_patches and numbers.min() < numbers.max():
        U = U[rng.permutation(found)]
    return Sample(U[: min(found, n_patches)], found * n_all / n_drawn)


def draw(groups, places, numbers, finish, rng, U):  # list of Group, (2, k), (k,), callable, Generator, out (any, d)
    """Draw the given numbers of patches from k signals, and write what ``finish`` returns in the order of the signals.

    The positions that are drawn do not depend on the groups.
    """
    picked = [rng.choice(groups[k].at.n_patches, n, replace=False) for k, n in zip(places[0], numbers)]
    ends = numbers.cumsum()
    for k in np.unique(places[0]):
        members, (_, maps, at) = np.flatnonzero(places[0] == k), groups[k]
        starts = at.start(np.array([picked[i] for i in members]))
        is_whole = len(members) == len(numbers)
        drawn = U if is_whole else np.empty((starts.size, U.shape[1]), U.dtype)
        maps.fill(places[1, members], partial(finish, at=at), starts, drawn.reshape(*starts.shape, -1))
        if not is_whole:
            U[(ends[members, None] - np.arange(starts.shape[1], 0, -1)).ravel()] = drawn


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
