"""Patches (receptive fields) of a map: where they lie, how they are gathered, drawn and normalised.

A patch at position u is the vector of all ``x(u + v)``, v in a box of ``size`` positions, channels last and fastest.
Maps are padded with zeros first, by ``widths = ((before, after), ...)``; then every patch lies inside.

Any number of space axes is one case: the map's memory is read as *lines* along the last space axis, and a patch is
made of *runs*, the ``size[-1] * c`` neighbouring numbers of one line of the box.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from .machine import compiled

PATCHES_PER_SIGNAL = 16  # drawn from one signal while there are enough signals: neighbours tell little new
SIGNALS_PER_DRAW = 32
ROUNDING = 8  # units in the last place that centring may leave of a constant patch
ROUNDING_OF_A_LAYER = 100  # and that a layer may add to a constant map: its whitening multiplies errors


def padding_widths(size, padding):
    """Zeros before and after each axis: ``"same"`` keeps the map's size, ``"valid"`` adds none."""
    return tuple(((k - 1) // 2, k // 2) if padding == "same" else (0, 0) for k in size)


def n_positions(space, size, widths):
    """How many patches fit along each axis, none where the padded axis is shorter than the patch."""
    return tuple(max(length + before + after - k + 1, 0) for length, k, (before, after) in zip(space, size, widths))


def pad(X, widths):  # (n, *space, c)
    """Surround every signal with zeros."""
    return np.pad(X, ((0, 0), *widths, (0, 0))) if np.any(widths) else np.ascontiguousarray(X)


class Lines(NamedTuple):
    """Where the patches of a padded map lie in its memory, counted in numbers from its first one."""

    starts: np.ndarray  # (n_lines,) first patch of each line, signal by signal
    runs: np.ndarray  # (n_runs,) runs of a patch, from its first number
    run: int  # numbers in a run
    step: int  # from one patch to the next along a line
    length: int  # patches in a line


def lines(X, size):  # X (n, *padded_space, c)
    """The lines of all patches of the padded map ``X``."""
    n, *space, c = X.shape
    strides = [stride // X.itemsize for stride in X.strides]
    *outer, length = (s - k + 1 for s, k in zip(space, size))
    starts = _grid((n, *outer), strides)
    return Lines(starts, _grid(size[:-1], strides[1:]), size[-1] * c, c, length)


def _grid(counts, strides):
    """All sums of ``i_a * strides[a]`` with ``i_a < counts[a]``, the last axis fastest."""
    axes = [np.arange(count, dtype=np.int64) * stride for count, stride in zip(counts, strides)]
    return reduce(np.add.outer, axes, np.zeros((), dtype=np.int64)).ravel()


@compiled
def gather(memory, starts, runs, run, step, P):  # memory (size,), P (n_lines * length, d) is out
    """Copy the patches of the lines at ``starts``."""
    length = P.shape[0] // len(starts)
    for line in range(len(starts)):
        for i in range(length):
            row = P[line * length + i]
            for j in range(len(runs)):
                begin = starts[line] + i * step + runs[j]
                for k in range(run):
                    row[j * run + k] = memory[begin + k]


def extract(X, size, widths):  # (n, *space, c) -> (n, *positions, d)
    """All patches of ``X``."""
    padded = pad(X, widths)
    at = lines(padded, size)
    P = _gathered(padded, at, at.starts, at.length)
    return P.reshape(len(X), *n_positions(X.shape[1:-1], size, widths), -1)


def _gathered(padded, at, starts, length):  # -> (len(starts) * length, d)
    P = np.empty((len(starts) * length, len(at.runs) * at.run), dtype=padded.dtype)
    gather(padded.ravel(), starts, at.runs, at.run, at.step, P)
    return P


def center(P, c):  # (..., d) -> (..., d)
    """Subtract from each patch its mean over positions, channel by channel; what is left of a constant one is 0."""
    by_position = P.reshape(*P.shape[:-1], P.shape[-1] // c, c)
    centered = (by_position - by_position.mean(axis=-2, keepdims=True)).reshape(P.shape)
    return np.where(_exceeds_rounding(centered, P, ROUNDING), centered, 0)


def varies(P, c):  # (k, d) -> (k,)
    """Whether a patch differs from a constant (one of a single position: from zero) by more than a layer's rounding."""
    centered = center(P, c) if P.shape[-1] > c else P
    return _exceeds_rounding(centered, P, ROUNDING_OF_A_LAYER)[..., 0]


def not_zero(P, c):  # (k, d) -> (k,)
    """Whether a patch has a direction."""
    return P.any(axis=1)


def _exceeds_rounding(difference, P, n_units):  # -> (..., 1)
    smallest = n_units * np.finfo(P.dtype).eps * np.linalg.norm(P, axis=-1, keepdims=True)
    return np.linalg.norm(difference, axis=-1, keepdims=True) > smallest


def normalize(P):  # (..., d) -> (..., 1), (..., d)
    """Norms ``r`` and directions ``U = P / r``; the zero patch has norm 0 and direction 0."""
    r = np.linalg.norm(P, axis=-1, keepdims=True)
    return r, P / np.where(r > 0, r, 1)


def draw(X, size, widths, per_signal, rng):  # (n, *space, c) -> (n * per_signal, d)
    """``per_signal`` patches of every signal (all, if there are fewer), uniformly over its positions, none twice."""
    padded = pad(X, widths)
    at, starts = lines(padded, size), []
    for line_starts in at.starts.reshape(len(X), -1):
        n_patches = len(line_starts) * at.length
        line, i = divmod(rng.choice(n_patches, min(per_signal, n_patches), replace=False), at.length)
        starts.append(line_starts[line] + i * at.step)
    return _gathered(padded, at, np.concatenate(starts), length=1)


def sample(read, n_signals, n_patches, size, widths, centering, rng, wanted=varies):
    """Directions of patches drawn uniformly over all signals and positions, none twice, the unwanted ones dropped.

    Signals are visited in random order, a few patches each, until ``n_patches`` wanted ones are found or no signal is
    left: no more signals are read than the patches need.

    Parameters
    ----------
    read : callable
        ``read(rows)`` gives the maps ``(len(rows), *space, c)`` of these signals.
    wanted : `varies` or `not_zero`

    Returns
    -------
    U : ndarray of shape (at most n_patches, d)
    """
    rng = np.random.default_rng(rng.randint(2**31 - 1))  # draws without repetition in no more time than it has draws
    order, per_signal = rng.permutation(n_signals), max(PATCHES_PER_SIGNAL, -(-n_patches // n_signals))
    U, found = None, 0
    for start in range(0, n_signals, SIGNALS_PER_DRAW):
        X = read(order[start : start + SIGNALS_PER_DRAW])
        P = draw(X, size, widths, per_signal, rng)
        if U is None:  # at most: all patches of signals like these
            n_patches = min(n_patches, len(P) // len(X) * n_signals)
            U = np.empty((n_patches, P.shape[1]), dtype=P.dtype)
        P = P[wanted(P, X.shape[-1])][: n_patches - found]
        U[found : found + len(P)] = normalize(center(P, X.shape[-1]) if centering else P)[1]
        found += len(P)
        if found == n_patches:
            break
    return U[:found]
