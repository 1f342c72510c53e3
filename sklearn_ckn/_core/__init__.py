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

``machine`` is the ground floor; ``kappa``, ``patches``, ``pooling``, ``nystroem`` and ``kmeans`` stand on it side by
side; ``encode`` puts them together as one page of mathematics and ``blocks`` does the same tile by tile, for speed.
"""
