"""Patches drawn from many signals, those from which filters are learned."""

import numpy as np

from . import patches

PATCHES_PER_SIGNAL = 16  # drawn from one signal while there are enough signals: neighbours tell little new
SIGNALS_PER_DRAW = 32


def varies(P, c):  # (k, d) -> (k,)
    """Whether a patch differs from a constant (one of a single position: from zero) by more than a layer's rounding."""
    centered = patches.center(P, c) if P.shape[-1] > c else P
    smallest = patches.ROUNDING_OF_A_LAYER * np.finfo(P.dtype).eps * np.linalg.norm(P, axis=-1)
    return np.linalg.norm(centered, axis=-1) > smallest


def not_zero(P, c):  # (k, d) -> (k,)
    """Whether a patch has a direction: its squares do not vanish."""
    return np.linalg.norm(P, axis=-1) > 0


def draw(X, size, widths, per_signal, rng):  # (n, *space, c) -> (n * per_signal, d)
    """``per_signal`` patches of every signal (all, if there are fewer), uniformly over its positions, none twice."""
    at = patches.layout_of(X, size, widths)
    per_signal = min(per_signal, at.n_patches)
    starts = [at.start(rng.choice(at.n_patches, per_signal, replace=False)) for _ in X]
    P = np.empty((len(X), per_signal, len(at.runs) * at.run), dtype=X.dtype)
    patches.gather_all(patches.by_lines(X), at, at.padded(X.dtype), np.array(starts), P)
    return P.reshape(len(X) * per_signal, -1)


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
        U[found : found + len(P)] = patches.normalize(patches.center(P, X.shape[-1]) if centering else P)[1]
        found += len(P)
        if found == n_patches:
            break
    return U[:found]
