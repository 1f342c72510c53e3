"""Fast computation of the exact kernel of a network, for `n_lanes` pairs of signals at a time.

Every lane of a vector belongs to a pair of signals x and y. Each layer computes the inner products of positions of its
two pooled maps from the inner products of positions of its two input maps. Maps are divided into *lines* along the last
spatial axis, and one line of x and one line of y are processed at a time. Only products that the trace of the last maps
needs are computed. This subpackage imports `runtime` and `layer`. Its arrays have an axis *quantities*, for the kernel
itself and the quantities that are propagated with it (see `patch_products.Quantities`).

======  ===========================================================  ==========================================
ring    ``(quantities, n_rows + 1, columns, n_lanes)``               ring buffer of products of positions m and
                                                                     n for one pair of lines of patches, summed
                                                                     over the lines under a patch, in row
                                                                     ``m % n_rows`` and column ``before + n``;
                                                                     the last row is 0
row     ``(quantities, length, n_lanes)``                            products of patches, mapped by kappa
plane   ``(quantities, pooled_length, width, n_lanes)``              rows, pooled along both lines
sums    ``(pooled_lines, quantities, pooled_length, width, ...)``    planes, pooled over the lines of y
above   ``(n_pairs, quantities, pooled_length, width, ...)``         sums, pooled over the lines of x: products
                                                                     of positions that the next layer reads
======  ===========================================================  ==========================================

The indices o and p denote lines of patches of x and y, i and j denote patches on these lines, and u and v denote pooled
positions on these lines. The indices a and b denote lines of the maps of x and y, m denotes a position on line a, and n
denotes a position on line b.

==============  =========================================================================================
sparsity        the pairs of positions that are needed, from the trace down to the signals
patch_products  inner products of positions, a few rows at a time, and inner products of patches
layer           kappa, pooling and traces of one layer for blocks of signals
network         a network prepared for pairs of signals of given shapes
gram            Gram matrices, computed tile by tile in several threads
==============  =========================================================================================
"""
