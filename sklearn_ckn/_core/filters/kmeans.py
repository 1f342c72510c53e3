"""Spherical k-means: unit centres Z that maximise ``mean_i max_j <u_i, z_j>`` for unit vectors u_i, the rows of U.

Long vectors are first clustered in a subspace that keeps most of their energy (the sum of their squares).
"""

import numpy as np
from scipy import linalg

from ..runtime import simd
from ..runtime.compilation import compiled
from ..runtime.microkernel import ROWS, TILE, Runs, count_panels, multiply_panel, pack
from ..runtime.threads import over_blocks, single_threaded_blas, slices

BLOCK = 8192  # number of rows that a thread assigns to centres at a time
SUMS_BYTES = 2**26  # memory for the sums of all blocks of rows in an update, which limits the number of blocks
TOLERANCE = 1e-5  # relative gain of the objective at or below which the iterations stop
CANDIDATES = 20  # number of candidate rows per initial centre
CANDIDATE_NUMBERS = 2**22  # maximum total number of elements of the candidates; larger centres are random rows
TRIALS = 4  # number of candidates drawn for each centre after the first; the best candidate is chosen

FEWEST = 64  # minimum number of dimensions of the subspace
SHORTER = 4  # minimum ratio of the number of dimensions of the rows to the number of dimensions of the subspace
ENERGY = 0.95  # fraction of the energy of the rows that the subspace must keep
SUBSPACE_ROWS = 8192  # maximum number of rows from which the subspace is computed
FULL_ITERATIONS = 2  # number of iterations in the full space, after the iterations in the subspace


def distinct(U, n, rng):  # (k, d) -> (at most n, d)
    """Return ``n`` rows that are distinct after rounding, or all such rows if there are fewer, in random order."""
    order, step, kept = rng.permutation(len(U)), n + n // 4 + 1, U[:0]
    for start in range(0, len(U), step):
        candidates = np.concatenate([kept, U[order[start : start + step]]])
        digits = np.finfo(U.dtype).precision - 1
        _, first = np.unique(candidates.round(digits), axis=0, return_index=True)
        kept = candidates[np.sort(first)]
        if len(kept) >= n:
            break
    return kept[:n]


def spread(U, n, rng):  # (k, d) unit rows -> (n, d)
    """Choose rows by greedy k-means++ (Arthur and Vassilvitskii, 2007), which prefers rows far from the chosen ones."""
    chosen = [rng.randint(len(U))]
    with single_threaded_blas():
        distances = np.maximum(1 - U @ U[chosen[0]], 0)  # half the squared distance to the nearest chosen row
        distances[chosen[0]] = 0
        while len(chosen) < n:
            total = np.cumsum(distances, dtype=np.float64)
            if total[-1] == 0:  # the remaining rows differ from chosen rows only by rounding
                chosen.extend(rng.permutation(np.setdiff1d(np.arange(len(U)), chosen))[: n - len(chosen)])
                break
            drawn = np.searchsorted(total, total[-1] * rng.uniform(size=TRIALS), side="right").clip(0, len(U) - 1)
            trials = np.minimum(distances, np.maximum(1 - U[drawn] @ U.T, 0))
            best = trials.sum(axis=1, dtype=np.float64).argmin()
            chosen.append(drawn[best])
            distances = trials[best]
            distances[drawn[best]] = 0
    return U[chosen]


def assign(U, Z, n_threads):  # (k, d), (m, d) -> (k,), (k,)
    """Return the best-matching centre of each row (ties are broken in favour of the first) and their inner product."""
    lanes, labels, products = simd.n_lanes(Z.dtype), np.empty(len(U), dtype=np.int64), np.empty(len(U), dtype=U.dtype)
    filled = Z[np.arange(count_panels(len(Z), Z.dtype) * lanes) % len(Z)]  # repeated centres lose every tie
    panels = pack(filled)

    def assign_block(block):
        T = simd.aligned((len(panels), TILE + ROWS - 1, lanes), U.dtype)
        find_best(U[block].ravel(), panels, T, labels[block], products[block])

    over_blocks(assign_block, slices(len(U), BLOCK), n_threads)
    return labels, products


@compiled
def find_best(U, panels, T, labels, products):  # (k * d,), (n_panels, d, n_lanes), scratch, out (k,), out (k,)
    k, d, (n_panels, n_starts, lanes) = len(labels), panels.shape[1], T.shape
    starts, no_offset, lane = np.empty(n_starts, np.int64), np.zeros(1, np.int64), np.arange(lanes).astype(T.dtype)
    for first in range(0, k, TILE):
        for i in range(n_starts):
            starts[i] = min(first + i, k - 1) * d
        n_rows = min(TILE, k - first)
        for panel in range(n_panels):
            multiply_panel(Runs(U, starts, no_offset, d), n_rows, panels[panel], T[panel], panels[panel, :0])
        for i in range(n_rows):
            best, where = simd.load(T, (0, i, 0)), simd.zeros(T)
            for panel in range(1, n_panels):
                candidates = simd.load(T, (panel, i, 0))
                where = simd.where_larger(candidates, best, panel, where)
                best = simd.larger(best, candidates)
            product = simd.largest(best)
            place = simd.where_larger(
                product, best, -lanes * n_panels, simd.zeros(T) - (where * lanes + simd.load(lane, (0,)))
            )
            labels[first + i], products[first + i] = -simd.largest(place), product


def update(U, labels, products, Z, n_threads=1):  # -> (m, d)
    """Return the normalised mean of the rows of each centre; the worst-matched rows replace centres without rows."""

    def add_block(block):
        sums, counts = np.zeros(Z.shape), np.zeros(len(Z), dtype=np.int64)
        add_up(U[block], labels[block], sums, counts)
        return sums, counts

    n_blocks = max(2, min(16, SUMS_BYTES // (8 * Z.size)))  # independent of n_threads, so the sums are, too
    parts = over_blocks(add_block, slices(len(U), -(-len(U) // n_blocks)), n_threads)
    sums, counts = (sum(part) for part in zip(*parts))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        sums[empty] = U[np.argsort(products, kind="stable")[: len(empty)]]
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(norms > 0, sums / np.where(norms > 0, norms, 1), Z).astype(U.dtype)


@compiled
def add_up(U, labels, sums, counts):  # (k, d), (k,), out (m, d), out (m,)
    """Sum and count the rows of every centre, in the order of the rows."""
    for i in range(len(labels)):
        counts[labels[i]] += 1
        row, target = U[i], sums[labels[i]]
        for j in range(len(row)):
            target[j] += row[j]


def lloyd(U, Z, max_iter, n_threads):  # (k, d), (m, d) -> (m, d), (k,), (k,), int
    """Run Lloyd's algorithm on the sphere from the centres Z until the gain is small.

    Return the centres, the labels and products of the last assignment, and the number of iterations.
    """
    objectives, labels, products = [-np.inf], None, None
    while len(objectives) <= max_iter:
        labels, products = assign(U, Z, n_threads)
        objectives.append(products.mean(dtype=np.float64))
        if objectives[-1] - objectives[-2] <= TOLERANCE * abs(objectives[-1]):
            break
        Z = update(U, labels, products, Z, n_threads)
    return Z, labels, products, len(objectives) - 1


def subspace(U, rng):  # (k, d) -> (d, q)
    """Return an orthonormal basis of a subspace that approximates the rows, or None if the subspace would be too large.

    The projections of the rows onto the subspace have at least the fraction `ENERGY` of the sum of squares of the rows.
    """
    rows = U[rng.permutation(len(U))[:SUBSPACE_ROWS]]
    with single_threaded_blas():
        for q in FEWEST * 2 ** np.arange(int(np.log2(U.shape[1] / (FEWEST * SHORTER))) + 1):
            basis = rng.standard_normal((U.shape[1], q)).astype(U.dtype)
            for _ in range(3):  # subspace iteration: Halko, Martinsson and Tropp (2011), algorithm 4.4
                basis = linalg.qr(rows.T @ (rows @ basis), mode="economic", overwrite_a=True)[0]
            if np.linalg.norm(rows @ basis) ** 2 >= ENERGY * np.linalg.norm(rows) ** 2:
                return basis
    return None


def project(U, basis, n_threads):  # (k, d), (d, q) -> (k, q)
    return np.concatenate(over_blocks(lambda block: U[block] @ basis, slices(len(U), BLOCK), n_threads))


def spherical_kmeans(U, n_clusters, max_iter, rng, n_threads=1):  # (k, d)
    """Run Lloyd's algorithm on the sphere, first in a subspace if the rows are long.

    If ``max_iter`` is 0, the centres are distinct random rows.

    Returns
    -------
    Z : ndarray of shape (at most n_clusters, d)
    n_iter : int
    """
    if not max_iter:
        return distinct(U, n_clusters, rng), 0
    basis = subspace(U, rng) if U.shape[1] >= FEWEST * SHORTER and max_iter > FULL_ITERATIONS else None
    n_iter = 0
    if basis is not None:
        V = project(U, basis, n_threads)
        first = first_centres(V, n_clusters, rng)
        if len(first) == n_clusters:  # There are fewer if distinct rows coincide in the subspace.
            _, labels, products, n_iter = lloyd(V, first, max_iter - FULL_ITERATIONS, n_threads)
            with single_threaded_blas():
                first = first @ basis.T
            Z, max_iter = update(U, labels, products, first, n_threads), FULL_ITERATIONS
    if n_iter == 0:
        Z = first_centres(U, n_clusters, rng)
    Z, _, _, n_full = lloyd(U, Z, max_iter, n_threads)
    return Z, n_iter + n_full


def first_centres(U, n, rng):  # (k, d) -> (at most n, d)
    """Return distinct rows of norm 1, chosen by `spread` unless n rows have more than `CANDIDATE_NUMBERS` elements."""
    n_candidates = max(n, min(CANDIDATES * n, CANDIDATE_NUMBERS // U.shape[1]))
    candidates = distinct(U, n_candidates, rng)
    norms = np.linalg.norm(candidates, axis=1, keepdims=True)
    Z = candidates[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
    return spread(Z, n, rng) if len(Z) > n else Z
