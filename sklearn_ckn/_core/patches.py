"""Patches (receptive fields) of a map: where they lie, how they are gathered and normalised.

A patch at position u is the vector of all ``x(u + v)``, v in a box of ``size`` positions, channels last and fastest.
Maps are padded with zeros first, by ``widths = ((before, after), ...)``; then every patch lies inside.

Any number of space axes is one case: the map's memory is read as *lines* along the last space axis, and a patch is
made of *runs*, the ``size[-1] * c`` neighbouring numbers of one line of the box.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from .machine import compiled, compiled_sums

ROUNDING = 8  # units in the last place that centring may leave of a constant patch
ROUNDING_OF_A_LAYER = 100  # and that a layer may add to a constant map: its whitening multiplies errors


def padding_widths(size, padding):
    """Zeros before and after each axis: ``"same"`` keeps the map's size, ``"valid"`` adds none."""
    return tuple(((k - 1) // 2, k // 2) if padding == "same" else (0, 0) for k in size)


def n_positions(space, size, widths):
    """How many patches fit along each axis, none where the padded axis is shorter than the patch."""
    return tuple(max(length + before + after - k + 1, 0) for length, k, (before, after) in zip(space, size, widths))


def flip(X):  # (n, *space, c) -> (n, *space, c)
    """Mirror images: the last space axis, of images the horizontal one, runs backwards."""
    return np.ascontiguousarray(X[..., ::-1, :])


def box(counts, shape):
    """Flat indices, into an array of ``shape``, of its first ``counts`` positions along every axis."""
    indices = np.indices((1, *counts)).reshape(len(counts) + 1, -1)
    return np.ravel_multi_index(tuple(indices), (1, *shape))


class Layout(NamedTuple):
    """Where the patches of one signal lie in its memory, once it is padded; numbers are counted from the first one."""

    n_pixels: int  # positions of the padded signal
    n_channels: int  # numbers in each of them
    lines: np.ndarray  # (lines of the signal,) the pixel where each begins
    starts: np.ndarray  # (n_lines,) first number of the first patch of every line along the last space axis
    length: int  # patches in a line, one every n_channels numbers
    runs: np.ndarray  # (n_runs,) first number of each of its runs, counted from there
    run: int  # numbers in a run

    @property
    def n_patches(self):
        return len(self.starts) * self.length

    def start(self, patch):
        """The first number of patches, counted line by line."""
        line, column = np.divmod(patch, self.length)
        return self.starts[line] + column * self.n_channels

    def padded(self, dtype):
        """Memory for a padded signal."""
        return np.zeros((self.n_pixels, self.n_channels), dtype=dtype)


def layout(shape, widths, size, positions):  # (*space, c)
    """The patches at the first ``positions`` along every axis of a signal that gets so many zeros along every axis."""
    *space, c = [n + before + after for n, (before, after) in zip(shape, widths)]
    first = np.ravel_multi_index([before for before, _ in widths[:-1]], space)
    lines = first + box((*shape[:-2], 1), space)
    starts, runs = box((*positions[:-1], 1), space) * c, box((*size[:-1], 1), space) * c
    return Layout(prod(space), c, lines, starts, positions[-1], runs, size[-1] * c)


def by_lines(X):  # (n, *space, c) -> (n, n_lines, length, c)
    """A view that is read only, always, so that compiled code has one kind of input."""
    lines = X.reshape(len(X), -1, *X.shape[-2:])
    lines.flags.writeable = False
    return lines


@compiled
def read(x, at, padded):  # (n_lines, length, c), out (n_pixels, n_channels)
    """Write a signal between its zeros."""
    for line in range(len(at.lines)):
        for i in range(x.shape[1]):
            target = padded[at.lines[line] + i]
            for j in range(x.shape[2]):
                target[j] = x[line, i, j]


@compiled_sums
def sum_squares(X, squares):  # (k, d), out (k,)
    for i in range(len(X)):
        total = X[i, 0] * X[i, 0]
        for j in range(1, X.shape[1]):
            total += X[i, j] * X[i, j]
        squares[i] = total


@compiled_sums
def find_norms(padded, at, squares, sums, r, inverse):
    """The norms of all patches, by a box filter of squares: over channels, over a run, over the runs.

    Parameters
    ----------
    padded : ndarray of shape (n_pixels, n_channels)
    squares, sums : ndarrays of shape (n_pixels,), overwritten
    r, inverse : ndarrays of shape (n_lines, length), out: norms, and their inverses as from `take_roots`
    """
    c = padded.shape[1]
    sum_squares(padded, squares)
    sums[:] = 0
    for k in range(at.run // c):
        shifted = squares[k:]
        for i in range(len(shifted)):
            sums[i] += shifted[i]
    for line in range(len(r)):
        target, start = r[line], at.starts[line]
        target[:] = 0
        for begin in at.runs:
            here = sums[(start + begin) // c :]
            for i in range(len(target)):
                target[i] += here[i]
    take_roots(r.ravel(), inverse.ravel())


@compiled
def take_roots(r, inverse):  # (k,), out: the roots, and their inverses, or 0: what makes a patch a direction
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
    at = layout_of(X.shape[1:], size, widths)
    P = np.empty((len(X), at.n_patches, len(at.runs) * at.run), dtype=X.dtype)
    starts = np.broadcast_to(at.start(np.arange(at.n_patches)), P.shape[:2])
    gather_all(by_lines(X), at, at.padded(X.dtype), starts, P)
    return P.reshape(len(X), *n_positions(X.shape[1:-1], size, widths), -1)


def scatter(P, space, size, widths):  # (n, *positions, d) -> (n, *space, c)
    """The adjoint of `extract`: every position is the sum of what all patches hold of it."""
    X = np.empty((len(P), *space, P.shape[-1] // prod(size)), P.dtype)
    at, rows = layout_of(X.shape[1:], size, widths), np.ascontiguousarray(P).reshape(len(P), -1, P.shape[-1])
    rows.flags.writeable = False
    scatter_all(rows, at, at.start(np.arange(at.n_patches)), at.padded(P.dtype), X.reshape(len(X), -1, *X.shape[-2:]))
    return X


def layout_of(shape, size, widths):  # (*space, c)
    return layout(shape, (*widths, (0, 0)), size, n_positions(shape[:-1], size, widths))


@compiled
def gather_all(X, at, padded, starts, P):  # (n, n_lines, length, c), scratch, (n, k), out (n, k, d)
    """Copy the patches that begin at ``starts`` in each signal."""
    for signal in range(len(X)):
        read(X[signal], at, padded)
        gather(padded.ravel(), starts[signal], at.runs, at.run, P[signal])


@compiled
def scatter_all(P, at, starts, padded, X):  # (n, k, d), (k,), scratch, out (n, n_lines, length, c)
    """Add up the patches that begin at ``starts``, and keep what lies inside the padding."""
    x = padded.ravel()
    for signal in range(len(P)):
        x[:] = 0
        for i in range(len(starts)):
            for j in range(len(at.runs)):
                source, target = P[signal, i, j * at.run :], x[starts[i] + at.runs[j] :]
                for k in range(at.run):
                    target[k] += source[k]
        for line in range(X.shape[1]):
            for i in range(X.shape[2]):
                source, target = padded[at.lines[line] + i], X[signal, line, i]
                for j in range(X.shape[3]):
                    target[j] = source[j]


def center(P, c):  # (..., d) -> (..., d)
    """Subtract from each patch its mean over positions, channel by channel; what is left of a constant one is 0."""
    centered = np.array(P, order="C")
    center_rows(centered.reshape(-1, P.shape[-1]), c)
    return centered


@compiled
def center_rows(P, c):  # out (k, d)
    d, first, means = P.shape[1], np.empty(c, P.dtype), np.empty(c, P.dtype)
    negligible = (ROUNDING * np.finfo(P.dtype).eps) ** 2  # of a patch's squares
    for row in P:
        before = after = P.dtype.type(0)
        for j in range(c):
            first[j] = row[j]
            means[j] = 0
        for i in range(0, d, c):
            position = row[i : i + c]
            for j in range(c):
                before += position[j] ** 2
                position[j] -= first[j]  # what is left of a constant patch is 0 exactly
                means[j] += position[j]
        for i in range(0, d, c):
            position = row[i : i + c]
            for j in range(c):
                position[j] -= means[j] * c / d
                after += position[j] ** 2
        if after <= negligible * before:
            row[:] = 0


def products(K, size, widths, centering=False):  # (*space, *space) -> (*positions, *positions)
    """Inner products of all patches of two maps from those of all positions: a sum of diagonal shifts.

    Centred ones lack the product of the means: ``<z - mean, z' - mean'> = <z, z'> - sum over v, w of k(v, w) / |box|``.
    """
    K = np.pad(K, (*widths, *widths))
    positions = tuple(n - k + 1 for n, k in zip(K.shape, (*size, *size)))

    def shifted(*offsets):
        return K[tuple(slice(v, v + n) for v, n in zip(offsets, positions))]

    total = sum(shifted(*v, *v) for v in np.ndindex(*size))
    if centering:
        total = total - sum(shifted(*v) for v in np.ndindex(*size, *size)) / prod(size)
    return total


def normalize(P):  # (..., d) -> (..., 1), (..., d)
    """Norms ``r`` and directions ``U = P / r``; the zero patch has norm 0 and direction 0."""
    r = np.linalg.norm(P, axis=-1, keepdims=True)
    return r, P / np.where(r > 0, r, 1)
