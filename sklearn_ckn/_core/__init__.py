"""Arrays in, arrays out: the mathematics of convolutional kernel networks.

Nothing here knows of scikit-learn, of parameters or of validation. One notation runs through all files:

====  ==================================  ===================================================
X     ``(n, *space, c)``                  maps, channels last, any number of space axes
P     ``(..., d)``                        patches, ``d = prod(patch_size) * c``
r     ``(..., 1)``                        patch norms ``|P|``
U     ``(..., d)``                        patches on the sphere, ``P / r``
Z     ``(m, d)``                          filters, unit rows
A     ``(m, m)``                          whitening, ``(kappa(Z Z^T) + reg I)^(-1/2)``
====  ==================================  ===================================================

``machine`` (how code is compiled and run), ``simd`` (vectors in compiled code) and ``panels`` (their products) are the
ground floor; ``kappa``, ``patches``, ``pooling``, ``nystroem``, ``kmeans`` and ``transforms`` stand on it side by side;
``encode`` puts them together as one page of mathematics. ``fused``, ``direct``, ``winograd``, ``one_patch`` and
``blocks`` compute the same tile by tile, for speed; ``gradients`` does so forwards and backwards, and ``descent`` steps
along. ``sampling`` draws patches to learn filters from, and ``zca`` whitens images by their patches. ``relations``,
``ring``, ``pairs`` and ``gram`` compute the exact kernel, pair by pair.

The linear model at the end has rooms of its own: ``losses``, ``lbfgs`` (a minimiser) and ``products`` (many rows times
few vectors); on them ``covariance``, and on that ``solver``, whose notation it is.

The notation of compiled code:

======  ================================  ============================================================
Q       ``(n, *pooled, panels * lanes)``  the pooled map before whitening, filled up
T       ``(lines, columns, n_lanes)``     a tile of products ``<z, p>``: a vector is `n_lanes` filters
panels  ``(n_panels, d, n_lanes)``        filters, `n_lanes` side by side, for the innermost product
======  ================================  ============================================================
"""
