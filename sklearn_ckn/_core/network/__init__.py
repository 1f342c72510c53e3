"""Fast computation of networks of layers: forward for blocks of signals, and backward for training.

A layer multiplies patches by filters (a *convolution*, of which there are three strategies), and every tile of products
ends in an *epilogue* while it is in the cache: norms, kappa and pooling in one pass. The whitening follows. The room
imports `runtime` and `layer`, whose notation it uses, except for T. The arrays of compiled code are:

======  ===================================  ==================================================================
panels  ``(n_panels, d, n_lanes)``           filters, `n_lanes` side by side
T       ``(lines, columns, n_lanes)``        a tile of products ``<P, z>`` of one panel; a *line* is a line of
                                             positions along the last axis
Q       ``(n, lines, length, n_filled)``     the pooled map before the whitening, filters filled up to panels
S       ``(n, n_patches, n_filled)``         products of all patches, which training keeps
======  ===================================  ==================================================================

===================  ========================================================================================
forward              layers prepared for signals of one shape, and signals streamed through them
backward             the vector-Jacobian product of a layer
convolution          the interface of the strategies, and the choice between them
single_patch         the strategy for maps that are a single patch
winograd             the strategy with fewer multiplications, for float32 and many channels
winograd_transforms  the matrices of Winograd's method, and their compiled application to tiles
direct               the strategy for everything else: patches are read where they lie
epilogue             what happens to a tile of products
===================  ========================================================================================
"""
