"""Fast computation of the exact kernel of a network: pairs of signals, `n_lanes` of them side by side in a vector.

In every lane a signal x meets a signal y. Each layer turns the inner products of all positions of two maps into those
of the next two maps. Maps are read by *lines* along the last spatial axis, one of x and one of y at a time. Only
products that the trace of the last map needs are computed. The room imports `runtime` and `layer`. Its arrays have an
axis *quantities*: the kernel itself, then what is propagated with it (see `patch_products.Quantities`).

======  ===========================================================  ==========================================
ring    ``(quantities, size + 1, columns, n_lanes)``                 for one pair of lines, row ``m % size`` and
                                                                     column ``before + n``: the products of
                                                                     positions m and n, summed over the lines
                                                                     under a patch; the last row is zero
row     ``(quantities, length, n_lanes)``                            products of patches, mapped by the kernel
plane   ``(quantities, pooled_length, width, n_lanes)``              pooled along two lines
sums    ``(pooled_lines, quantities, pooled_length, width, ...)``    and over the lines of y
above   ``(n_pairs, quantities, pooled_length, width, ...)``         and over the lines of x: the products of
                                                                     positions that the next layer reads
======  ===========================================================  ==========================================

In index names, o and p are lines of patches of x and y, i and j patches on them, and u and v pooled positions on them;
a and b are lines of their maps, and m is a position on a.

==============  =========================================================================================
sparsity        which pairs of positions are needed, from the trace down to the signals
patch_products  inner products of positions, a few rows at a time, and from them inner products of patches
layer           kappa, pooling and traces: one layer for blocks of signals
gram            Gram matrices, tile by tile, in threads
==============  =========================================================================================
"""
