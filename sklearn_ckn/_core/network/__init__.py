"""Fast computation of networks: the forward pass for blocks of signals, and the backward pass for training.

A layer multiplies patches by filters. This *convolution* has three strategies. While a tile of products is in the
cache, an *epilogue* applies norms, kappa and pooling to the tile in one pass. The whitening follows. This subpackage
imports `runtime` and `layer`, and uses the notation of `layer`, except for T. The arrays of compiled code are:

======  ===================================  ==================================================================
panels  ``(n_panels, d, n_lanes)``           filters in panels of `n_lanes`
T       ``(lines, columns, n_lanes)``        a tile of products ``<P, z>`` for one panel; a *line* is a row of
                                             positions along the last spatial axis
Q       ``(n, lines, length, n_filled)``     pooled map before the whitening; zero filters fill the last panel
S       ``(n, n_patches, n_filled)``         products of all patches, stored for training
======  ===================================  ==================================================================

===================  ========================================================================================
forward              the preparation of layers, and the encoding of signals block by block
backward             the vector-Jacobian product of a layer
convolution          the interface of the strategies, and the choice between them
packed_filters       the filters in the forms that the strategies read
single_patch         the strategy for maps that are a single patch
winograd             the strategy with fewer multiplications, for float32 and many channels
winograd_transforms  the matrices of Winograd's method, and compiled code that applies them to tiles
direct               the strategy for all other maps, which reads patches directly from the map
epilogue             norms, kappa and pooling of a tile of products
===================  ========================================================================================
"""
