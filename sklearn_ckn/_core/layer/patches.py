"""Patches (receptive fields) of a map: their layout in memory, extraction, centring and normalisation.

The patch at position u is the vector of all ``x(u + dilation * v)`` for v in a box of ``size`` positions. Channels
vary fastest. Maps are first padded with zeros, and every patch lies inside the padded map.

Any number of spatial axes is handled in the same way: the memory of a map is read as *lines* along the last spatial
axis, and a patch consists of *runs*, each of which is a sequence of adjacent elements of one line.
"""

from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from ..runtime.compilation import compiled, compiled_sums

# Maximum rounding error that a layer, whose whitening amplifies it, adds to constant maps, in units in the last place.
ROUNDING_OF_A_LAYER = 100


class PatchGeometry(NamedTuple):
    """The size, dilation and padding of patches along each spatial axis, and whether patches are centred."""

    size: tuple  # number of positions of a patch along each axis
    dilation: tuple  # distance between neighbouring positions of a patch
    padding: tuple  # ((before, after), ...), numbers of zeros added to the map
    centering: bool  # whether to subtract from each patch its mean over positions, channel by channel

    @classmethod
    def of(cls, size, padding, centering=False, dilation=None):
        """Return the geometry for padding ``"same"`` (which keeps the size of maps) or ``"valid"`` (no padding)."""
        dilation = (1,) * len(size) if dilation is None else tuple(dilation)
        is_padded = padding == "same"
        widths = tuple((is_padded * d * ((k - 1) // 2), is_padded * d * (k // 2)) for k, d in zip(size, dilation))
        return cls(tuple(size), dilation, widths, bool(centering))

    def along(self, axes):
        """Return the geometry along only the axes in the slice ``axes``."""
        return self._replace(size=self.size[axes], dilation=self.dilation[axes], padding=self.padding[axes])

    def positions(self, space):
        """Return the number of patches that fit along each axis, or 0 if the padded axis is shorter than a patch."""
        axes = zip(space, self.reach, self.padding)
        return tuple(max(n + before + after - reach, 0) for n, reach, (before, after) in axes)

    def norm(self, space):
        """Return the operator norm of patch extraction: the square root of the number of patches per position.

        Along each axis, a position in the middle of the map is in ``size`` patches, which are multiples of ``dilation``
        apart, or in fewer if the map has fewer such patches. The result is only an upper bound if patches are dilated
        and padded, or if they are centred, because centring is a projection.
        """
        axes = zip(self.size, self.dilation, self.positions(space))
        return sqrt(prod(min(k, -(-n // step)) for k, step, n in axes))

    @property
    def radius(self):
        """The distance from the position of a patch to the furthest position in it, along each axis."""
        return tuple(step * (k // 2) for k, step in zip(self.size, self.dilation))

    @property
    def reach(self):
        """The distance from the first to the last position of a patch along each axis."""
        return tuple(step * (k - 1) for k, step in zip(self.size, self.dilation))

    @property
    def mirrored(self):
        """The geometry of the adjoint of a convolution, which is a convolution with mirrored filters."""
        axes = zip(self.reach, self.padding)
        return self._replace(padding=tuple((reach - before, reach - after) for reach, (before, after) in axes))


class Norms(NamedTuple):
    """The norms of patches and the inverses of the norms; the inverse of a zero norm is set to 0."""

    r: np.ndarray
    inverse: np.ndarray


def box(counts, shape, steps=None):
    """Return the flat indices of a box of ``counts`` positions, ``steps`` apart, in an array of shape ``shape``."""
    indices = np.zeros(1, int)
    for count, size, step in zip(counts, shape, steps or [1] * len(counts)):
        indices = np.add.outer(indices * size, np.arange(0, count * step, step)).ravel()
    return indices


class Layout(NamedTuple):
    """The layout in memory of the patches of one padded signal; indices of elements refer to the flattened signal."""

    n_pixels: int  # number of positions of the padded signal
    n_channels: int  # number of channels of each position
    lines: np.ndarray  # (lines of the signal,) index of the first pixel of each line
    starts: np.ndarray  # (n_lines,) index of the first element of the first patch of each line of patches
    length: int  # number of patches in a line; adjacent patches begin n_channels elements apart
    runs: np.ndarray  # (n_runs,) index of the first element of each run, relative to the first element of the patch
    run: int  # number of elements in a run

    @property
    def n_patches(self):
        """The number of patches of a signal."""
        return len(self.starts) * self.length

    def start(self, patch):
        """Return the index of the first element of each given patch; patches are numbered line by line."""
        line, column = np.divmod(patch, self.length)
        return self.starts[line] + column * self.n_channels

    def padded(self, dtype):
        """Allocate memory for a padded signal."""
        return np.zeros((self.n_pixels, self.n_channels), dtype=dtype)


def layout(shape, patch, positions=None, extra_channels=0):  # (*space, c), PatchGeometry
    """Return the layout of all patches of a signal, or of only the first ``positions`` patches along each axis.

    The signal is padded with zeros as specified by the geometry, and extended by ``extra_channels`` channels of zeros.
    """
    positions = patch.positions(shape[:-1]) if positions is None else positions
    space, c = [n + before + after for n, (before, after) in zip(shape, patch.padding)], shape[-1] + extra_channels
    first = np.ravel_multi_index([before for before, _ in patch.padding], space)
    lines = first + box((*shape[:-2], 1), space)
    is_contiguous = patch.dilation[-1] == 1  # If so, a run spans the whole patch along the last axis.
    counts, run = ((*patch.size[:-1], 1), patch.size[-1] * c) if is_contiguous else (patch.size, c)
    starts, runs = box((*positions[:-1], 1), space) * c, box(counts, space, patch.dilation) * c
    return Layout(prod(space), c, lines, starts, positions[-1], runs, run)


def by_lines(X):  # (n, *space, c) -> (n, n_lines, length, c)
    """Return a view of maps as lines, always read-only so that compiled code receives a single type of input."""
    lines = X.reshape(len(X), -1, *X.shape[-2:])
    lines.flags.writeable = False
    return lines


@compiled
def read(x, at, padded):  # (n_lines, length, c), out (n_pixels, n_channels)
    """Copy a signal into the memory of the zero-padded signal."""
    for line in range(len(at.lines)):
        for i in range(x.shape[1]):
            target = padded[at.lines[line] + i]
            for j in range(x.shape[2]):
                target[j] = x[line, i, j]


@compiled_sums
def sum_squares(X, squares):  # (k, d), out (k,)
    """Compute the squared norm of every row."""
    for i in range(len(X)):
        total = X[i, 0] * X[i, 0]
        for j in range(1, X.shape[1]):
            total += X[i, j] * X[i, j]
        squares[i] = total


@compiled_sums
def find_norms(padded, at, squares, sums, norms):
    """Compute the norms of all patches by summing squares over channels, then over a run, then over the runs.

    Parameters
    ----------
    padded : ndarray of shape (n_pixels, n_channels)
    squares, sums : ndarrays of shape (n_pixels,), overwritten
    norms : Norms of shape (n_lines, length), out
    """
    c, (r, inverse) = padded.shape[1], norms
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
def take_roots(r, inverse):  # out (k,), out (k,)
    """Replace squares by their roots, and compute the inverses of the roots; the inverse of 0 is set to 0."""
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


def extract(X, patch):  # (n, *space, c), PatchGeometry -> (n, *positions, d)
    """Return all patches of X, centred if the geometry says so."""
    at = layout(X.shape[1:], patch)
    starts = np.tile(at.start(np.arange(at.n_patches)), (len(X), 1))
    P = extract_at(X, starts, at)
    P = center(P, X.shape[-1]) if patch.centering else P
    return P.reshape(len(X), *patch.positions(X.shape[1:-1]), -1)


def extract_at(X, starts, at):  # (n, *space, c), (n, k), Layout -> (n, k, d)
    """Return the patches that begin at ``starts`` in each signal."""
    P = np.empty((*starts.shape, len(at.runs) * at.run), dtype=X.dtype)
    gather_all(by_lines(X), at, at.padded(X.dtype), starts, P)
    return P


def scatter(P, space, patch):  # (n, *positions, d), PatchGeometry -> (n, *space, c)
    """Apply the adjoint of `extract`: every position receives the sum of its values in all patches."""
    X = np.empty((len(P), *space, P.shape[-1] // prod(patch.size)), P.dtype)
    if patch.centering:  # Centring is an orthogonal projection, which is its own adjoint.
        P = center(P, X.shape[-1])
    at, rows = layout(X.shape[1:], patch), np.ascontiguousarray(P).reshape(len(P), -1, P.shape[-1])
    rows.flags.writeable = False
    scatter_all(rows, at, at.start(np.arange(at.n_patches)), at.padded(P.dtype), X.reshape(len(X), -1, *X.shape[-2:]))
    return X


@compiled
def gather_all(X, at, padded, starts, P):  # (n, n_lines, length, c), scratch, (n, k), out (n, k, d)
    """Copy the patches that begin at ``starts`` in each signal."""
    for signal in range(len(X)):
        read(X[signal], at, padded)
        gather(padded.ravel(), starts[signal], at.runs, at.run, P[signal])


@compiled
def scatter_all(P, at, starts, padded, X):  # (n, k, d), (k,), scratch, out (n, n_lines, length, c)
    """Sum the patches of each signal, each placed where it begins (``starts``), and discard the padding."""
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
    """Return patches minus their means over positions, channel by channel; a constant patch becomes exactly 0.

    The value at the first position is subtracted before the mean is computed, so that no digits are lost even if the
    mean is large.
    """
    centered = np.array(P, order="C")
    center_rows(centered.reshape(-1, P.shape[-1]), c)
    return centered


@compiled
def center_rows(P, c):  # out (k, d)
    """Subtract from every patch its mean over positions, channel by channel."""
    d, first, means = P.shape[1], np.empty(c, P.dtype), np.empty(c, P.dtype)
    for row in P:
        for j in range(c):
            first[j] = row[j]
            means[j] = 0
        for i in range(0, d, c):
            position = row[i : i + c]
            for j in range(c):
                position[j] -= first[j]  # A constant patch is exactly 0 from here on.
                means[j] += position[j]
        for i in range(0, d, c):
            position = row[i : i + c]
            for j in range(c):
                position[j] -= means[j] * c / d


def inner_products(K, patch):  # (*space, *space), PatchGeometry -> (*positions, *positions)
    """Return the inner products of all patches of two maps, as sums of shifted inner products of positions.

    For centred patches, the product of the means is subtracted:
    ``<z - mean, z' - mean'> = <z, z'> - sum over v, w of k(v, w) / |box|``.
    """
    n_axes = len(patch.size)
    positions = patch.positions(K.shape[:n_axes]) + patch.positions(K.shape[n_axes:])
    K = np.pad(K, (*patch.padding, *patch.padding))

    def shifted(*offsets):
        starts = [step * v for step, v in zip(2 * patch.dilation, offsets)]
        return K[tuple(slice(start, start + n) for start, n in zip(starts, positions))]

    total = sum(shifted(*v, *v) for v in np.ndindex(*patch.size))
    if patch.centering:
        total = total - sum(shifted(*v) for v in np.ndindex(*patch.size, *patch.size)) / prod(patch.size)
    return total


def smallest_norm(dtype):
    """Return the smallest norm of a patch whose square has all digits: its least digit does not underflow."""
    return np.sqrt(np.finfo(dtype).tiny / np.finfo(dtype).eps)


def normalize(P):  # (..., d) -> (..., 1), (..., d)
    """Return the norms ``r`` and the directions ``U = P / r``; a zero patch has norm 0 and direction 0."""
    r = np.linalg.norm(P, axis=-1, keepdims=True)
    return r, P / np.where(r > 0, r, 1)
