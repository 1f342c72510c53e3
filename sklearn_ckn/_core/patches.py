"""Patches (receptive fields) of a map: where they lie, how they are gathered, drawn and normalised.

A patch at position u is the vector of all ``x(u + v)``, v in a box of ``size`` positions, channels last and fastest.
Maps are padded with zeros first, by ``widths = ((before, after), ...)``; then every patch lies inside.

Any number of space axes is one case: the map's memory is read as *lines* along the last space axis, and a patch is
made of *runs*, the ``size[-1] * c`` neighbouring numbers of one line of the box.
"""

from typing import NamedTuple

import numpy as np

from .machine import compiled, compiled_sums

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


def pad(X, widths):  # (n, *space, c), one pair for each axis but the first
    """Surround every signal with zeros."""
    if not np.any(widths):
        return np.ascontiguousarray(X)
    padded = np.zeros((len(X), *(n + sum(pair) for n, pair in zip(X.shape[1:], widths))), dtype=X.dtype)
    padded[:, *(slice(before, before + n) for n, (before, _) in zip(X.shape[1:], widths))] = X
    return padded


def box(counts, shape):
    """Flat indices, into an array of ``shape``, of its first ``counts`` positions along every axis."""
    indices = np.indices((1, *counts)).reshape(len(counts) + 1, -1)
    return np.ravel_multi_index(tuple(indices), (1, *shape))


class Layout(NamedTuple):
    """Where the patches of one padded signal lie in its memory, counted in numbers from its first one."""

    starts: np.ndarray  # (n_lines, length) first number of every patch, by lines along the last space axis
    runs: np.ndarray  # (n_runs,) first number of each of its runs, counted from there
    run: int  # numbers in a run
    n_channels: int


def layout(shape, size, positions):  # (*padded_space, c)
    """The patches at the first ``positions`` along every axis of a padded signal of this shape."""
    *space, c = shape
    starts, runs = box(positions, space) * c, box((*size[:-1], 1), space) * c
    return Layout(starts.reshape(-1, positions[-1]), runs, size[-1] * c, c)


def norms(X, at):  # (n, *padded_space, c) -> (n, n_lines, length), (n, n_lines, length)
    """The norms r of all patches, and ``1 / r``, or 0 where r is 0: what makes a patch a direction."""
    r, c = np.zeros((len(X), *at.starts.shape), dtype=X.dtype), at.n_channels
    add_squares(X.reshape(len(X), -1, c), at.starts // c, at.runs // c, at.run // c, r)
    inverse = np.empty_like(r)
    take_roots(r.ravel(), inverse.ravel())
    return r, inverse


@compiled_sums
def sum_squares(X, squares):  # (k, d), out (k,)
    for i in range(len(X)):
        total = X[i, 0] * X[i, 0]
        for j in range(1, X.shape[1]):
            total += X[i, j] * X[i, j]
        squares[i] = total


@compiled_sums
def add_squares(X, starts, runs, run, r):  # (n, pixels, c), the layout counted in pixels, out (n, n_lines, length)
    """Sum the squares of all numbers over channels, over a run, over the runs: a box filter, axis by axis."""
    squares, sums = np.empty(X.shape[1], X.dtype), np.empty(X.shape[1], X.dtype)
    for signal in range(len(X)):
        sum_squares(X[signal], squares)
        sums[:] = squares
        for k in range(1, run):
            shifted = squares[k:]
            for i in range(len(shifted)):
                sums[i] += shifted[i]
        for line in range(len(starts)):
            for begin in runs:
                here, target = sums[starts[line, 0] + begin :], r[signal, line]
                for i in range(len(target)):
                    target[i] += here[i]


@compiled
def take_roots(r, inverse):  # (k,), out: the roots and their inverses
    for i in range(len(r)):
        root = np.sqrt(r[i])
        r[i] = root
        inverse[i] = 1 / root if root > 0 else root


@compiled
def gather(x, starts, runs, run, P):  # (size,), (k,), (n_runs,), int, out (k, n_runs * run)
    """Copy the patches that begin at ``starts``."""
    for i in range(len(starts)):
        for j in range(len(runs)):
            source, target = x[starts[i] + runs[j] :], P[i, j * run :]
            for k in range(run):
                target[k] = source[k]


def extract(X, size, widths):  # (n, *space, c) -> (n, *positions, d)
    """All patches of ``X``."""
    padded, at = _padded(X, size, widths)
    P = np.empty((len(X), at.starts.size, len(at.runs) * at.run), dtype=X.dtype)
    for x, patches in zip(padded, P):
        gather(x, at.starts.ravel(), at.runs, at.run, patches)
    return P.reshape(len(X), *n_positions(X.shape[1:-1], size, widths), -1)


def _padded(X, size, widths):
    """The padded signals as rows, and the layout of their patches."""
    padded = pad(X, (*widths, (0, 0)))
    return padded.reshape(len(X), -1), layout(padded.shape[1:], size, n_positions(X.shape[1:-1], size, widths))


def center(P, c):  # (..., d) -> (..., d)
    """Subtract from each patch its mean over positions, channel by channel; what is left of a constant one is 0."""
    centered = np.array(P, order="C")
    center_rows(centered.reshape(-1, P.shape[-1]), c)
    return centered


@compiled
def center_rows(P, c):  # out (k, d)
    n_positions, d = P.shape[1] // c, P.shape[1]
    means = np.empty(c, P.dtype)
    negligible = (ROUNDING * np.finfo(P.dtype).eps) ** 2  # of a patch's squares
    for row in P:
        means[:] = 0
        for i in range(0, d, c):
            for j in range(c):
                means[j] += row[i:][j]
        for j in range(c):
            means[j] /= n_positions
        before = after = P.dtype.type(0)
        for i in range(0, d, c):
            for j in range(c):
                before += row[i:][j] ** 2
                row[i:][j] -= means[j]
                after += row[i:][j] ** 2
        if after <= negligible * before:
            row[:] = 0


def varies(P, c):  # (k, d) -> (k,)
    """Whether a patch differs from a constant (one of a single position: from zero) by more than a layer's rounding."""
    centered = center(P, c) if P.shape[-1] > c else P
    smallest = ROUNDING_OF_A_LAYER * np.finfo(P.dtype).eps * np.linalg.norm(P, axis=-1)
    return np.linalg.norm(centered, axis=-1) > smallest


def not_zero(P, c):  # (k, d) -> (k,)
    """Whether a patch has a direction."""
    return P.any(axis=1)


def normalize(P):  # (..., d) -> (..., 1), (..., d)
    """Norms ``r`` and directions ``U = P / r``; the zero patch has norm 0 and direction 0."""
    r = np.linalg.norm(P, axis=-1, keepdims=True)
    return r, P / np.where(r > 0, r, 1)


def draw(X, size, widths, per_signal, rng):  # (n, *space, c) -> (n * per_signal, d)
    """``per_signal`` patches of every signal (all, if there are fewer), uniformly over its positions, none twice."""
    padded, at = _padded(X, size, widths)
    per_signal = min(per_signal, at.starts.size)
    P = np.empty((len(X), per_signal, len(at.runs) * at.run), dtype=X.dtype)
    for x, patches in zip(padded, P):
        drawn = rng.choice(at.starts.size, per_signal, replace=False)
        gather(x, at.starts.ravel()[drawn], at.runs, at.run, patches)
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
        U[found : found + len(P)] = normalize(center(P, X.shape[-1]) if centering else P)[1]
        found += len(P)
        if found == n_patches:
            break
    return U[:found]
