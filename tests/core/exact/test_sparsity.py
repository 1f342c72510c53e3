"""Relations between positions, compared with sets of pairs that are found in loops."""

import numpy as np
import pytest
from estimators import layer
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ckn._core.exact import sparsity
from sklearn_ckn._core.layer import pooling


def between(pairs):
    """Return all pairs between the first and the last pair of each position."""
    rows = {u: [v for w, v in pairs if w == u] for u, _ in pairs}
    return {(u, v) for u, others in rows.items() for v in range(min(others), max(others) + 1)}


def relations(layers, n, n_others):
    """Return the pairs of positions that are needed in one dimension, from the signals to the last map."""
    levels = [(n, n_others)]
    for one in layers:
        levels.append(tuple(one.pooled_positions((size,))[0] for size in levels[-1]))
    found = [{(o, o) for o in range(levels[-1][0])}]
    for one, sizes in zip(layers[::-1], levels[-2::-1]):
        (size,), (step,), ((before, _),) = one.patch.size, one.patch.dilation, one.patch.padding
        covers = [pooling.operators(one.pooling, one.patch_positions((k,)))[0].toarray() > 0 for k in sizes]
        windows = [[np.flatnonzero(row) for row in cover] for cover in covers]
        found.append(between({(u, v) for o, p in found[-1] for u in windows[0][o] for v in windows[1][p]}))
        offsets = [(i, j) for i in range(size) for j in range(size) if i == j or one.patch.centering]
        reads = {(u + step * i - before, v + step * j - before) for u, v in found[-1] for i, j in offsets}
        found.append(between({(u, v) for u, v in reads if 0 <= u < sizes[0] and 0 <= v < sizes[1]}))
    return found[::-1]


def pairs_of(relation):
    return {(u, v) for u, (begin, end) in enumerate(zip(relation.begin, relation.end)) for v in range(begin, end)}


@st.composite
def networks(draw, fixed):
    """Draw up to three layers for series, the last of which has a fixed number of positions if ``fixed``."""
    made = []
    for is_last in [False] * draw(st.integers(0, 2)) + [True]:
        sliding = {"pooling_width": draw(st.integers(1, 3)), "subsampling": draw(st.integers(1, 4))}
        one = layer(
            ndim=1,
            patch_size=draw(st.integers(1, 4)),
            dilation=draw(st.integers(1, 3)),
            pooling=draw(st.sampled_from(["gaussian", "average"])),
            **({"n_positions": draw(st.integers(1, 4))} if fixed and is_last else sliding),
        )
        made.append(one._read_settings())
        made[-1] = made[-1]._replace(patch=made[-1].patch._replace(centering=draw(st.booleans())))
    return made


@pytest.mark.parametrize("fixed", [False, True])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_relations_contain_all_pairs_that_are_needed_and_what_is_between_them(fixed, data):
    layers, n = data.draw(networks(fixed)), data.draw(st.integers(9, 24))
    n_others = data.draw(st.integers(9, 24)) if fixed else n
    sizes = [n, n_others]
    for one in layers:
        if any(0 in one.pooled_positions((size,)) for size in sizes):
            return
        sizes = [one.pooled_positions((size,))[0] for size in sizes]
    found = sparsity.of_network(layers, [(n,), (n_others,)])
    assert [pairs_of(relation) for relation in found] == relations(layers, n, n_others)
    assert [relation.n_products for relation in found] == [len(pairs_of(relation)) for relation in found]
