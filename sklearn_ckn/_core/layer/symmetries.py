"""Finite groups of symmetries of the grid, over which features and kernels are averaged.

A group is built by doubling. It starts with the identity. Each function f in the entry of the group in `GROUPS` then
adds the element ``f g`` for every element g that the group already has. The orbit of a signal consists of its
transforms under all elements. Means over orbits are computed by halving in the opposite order. Each intermediate mean
is then the mean over a coset ``H g`` of a subgroup H, and these means are the same for all signals of an orbit. Means
over orbits are therefore invariant, bit for bit.
"""

import numpy as np


def mirror(X):  # (n, *space, c) -> (n, *space, c)
    """Return maps reversed along the last spatial axis, which is the horizontal axis of an image."""
    return np.flip(X, -2)


def quarter_turn(X):  # (n, height, width, c) -> (n, width, height, c)
    """Return images rotated counterclockwise by 90 degrees."""
    return np.flip(np.moveaxis(X, 1, 2), 1)


def half_turn(X):  # (n, height, width, c) -> (n, height, width, c)
    """Return images rotated by 180 degrees."""
    return quarter_turn(quarter_turn(X))


GROUPS = {
    None: (),
    "flip": (mirror,),
    "rotate": (quarter_turn, half_turn),
    "dihedral": (mirror, quarter_turn, half_turn),
}
GROUP_NAMES = set(GROUPS) - {None}  # of all groups but the trivial one


def order(symmetries):  # key of GROUPS -> int
    """Return the number of elements of a group."""
    return 2 ** len(GROUPS[symmetries])


def orbits(X, symmetries):  # (n, *space, c) -> (order * n, *space, c)
    """Return the transforms of maps under all elements of a group. The first n are the maps themselves."""
    for double in GROUPS[symmetries]:
        X = np.concatenate([X, double(X)])
    return X


def mean_over_orbits(Y, symmetries):  # (order * n, ...) -> (n, ...)
    """Return the mean over each orbit of an array that was computed from the result of `orbits`."""
    for _ in GROUPS[symmetries]:
        first, second = np.split(Y, 2)
        Y = (first + second) / 2
    return Y


def mean_over_orbits_vjp(G, symmetries):  # (n, ...) -> (order * n, ...)
    """Return the gradient with respect to the argument of `mean_over_orbits`, given the gradient G of its result."""
    for _ in GROUPS[symmetries]:
        G = np.concatenate([G, G]) / 2
    return G
