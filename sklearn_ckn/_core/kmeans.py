"""Spherical k-means: unit centres Z that maximise ``mean_i max_j <u_i, z_j>`` over unit vectors."""

import numpy as np

from .machine import compiled, over_blocks, slices

BLOCK = 4096
TOLERANCE = 1e-4  # stop when the objective gains relatively less


def distinct(U, n, rng):  # (k, d) -> (at most n, d)
    """``n`` distinct rows in random order, fewer if there are no more; rows equal when rounded are the same."""
    order, step, kept = rng.permutation(len(U)), 4 * n, U[:0]
    for start in range(0, len(U), step):
        candidates = np.concatenate([kept, U[order[start : start + step]]])
        digits = np.finfo(U.dtype).precision - 1
        _, first = np.unique(candidates.round(digits), axis=0, return_index=True)
        kept = candidates[np.sort(first)]
        if len(kept) >= n:
            break
    return kept[:n]


def assign(U, Z, n_threads):  # (k, d), (m, d) -> (k,), (k,)
    """The best-matching centre of every row, and the cosine with it."""
    labels, cosines = np.empty(len(U), dtype=np.int64), np.empty(len(U), dtype=U.dtype)

    def assign_block(block):
        T = U[block] @ Z.T
        labels[block] = T.argmax(axis=1)
        cosines[block] = np.take_along_axis(T, labels[block, None], axis=1)[:, 0]

    over_blocks(assign_block, slices(len(U), BLOCK), n_threads)
    return labels, cosines


@compiled
def add_up(U, labels, sums, counts):  # (k, d), (k,), out (m, d), out (m,)
    """Sum and count the rows of every centre, in the rows' order."""
    for i in range(len(labels)):
        counts[labels[i]] += 1
        sums[labels[i]] += U[i]


def update(U, labels, cosines, Z):  # -> (m, d)
    """The normalised mean of every centre's rows; a centre without rows takes the worst-matched one."""
    sums, counts = np.zeros(Z.shape), np.zeros(len(Z), dtype=np.int64)
    add_up(U, labels, sums, counts)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        sums[empty] = U[np.argsort(cosines, kind="stable")[: len(empty)]]
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(norms > 0, sums / np.where(norms > 0, norms, 1), Z).astype(U.dtype)


def spherical_kmeans(U, n_clusters, max_iter, rng, n_threads=1):  # (k, d)
    """Lloyd's algorithm on the sphere, started from distinct random rows.

    Returns
    -------
    Z : ndarray of shape (at most n_clusters, d)
    n_iter : int
    """
    Z, objectives = distinct(U, n_clusters, rng), [-np.inf]
    while len(objectives) <= max_iter:
        labels, cosines = assign(U, Z, n_threads)
        objectives.append(cosines.mean(dtype=np.float64))
        if objectives[-1] - objectives[-2] <= TOLERANCE * abs(objectives[-1]):
            break
        Z = update(U, labels, cosines, Z)
    return Z, len(objectives) - 1
