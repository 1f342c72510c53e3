"""The mathematics of one layer, in NumPy: patches, kernel, pooling, Nyström projection.

A layer computes ``x_k = A_k M_k P_k x_{k-1}``: it extracts patches, maps them by a homogeneous dot-product kernel and
pools. `definition` puts the steps together, three times side by side. It is the reference; the rooms `network` and
`exact` compute the same results faster. The room imports only `runtime`. One notation runs through it and the rooms
above:

====  =================================  =====================================================
X     ``(n, *space, c)``                 maps, channels last, any number of spatial axes
P     ``(n, *positions, d)``             patches, ``d = prod(patch size) * c``
r     ``(n, *positions, 1)``             patch norms ``|P|``
U     ``(n, *positions, d)``             patches on the sphere, ``P / r``
Z     ``(m, d)``                         filters, unit rows
T     ``(n, *positions, m)``             cosines ``<U, z>``
F     ``(n, *positions, m)``             ``r kappa(T)``
Q     ``(n, *pooled, m)``                F after pooling
A     ``(m, m)``                         whitening, ``(kappa(Z Z^T) + reg I)^(-1/2)``
====  =================================  =====================================================

==========  ==========================================================================================
settings    `LayerSettings`: a patch geometry, a kernel, a pooling and a regularisation
kappa       the kernels, records with ``kappa`` and its derivative, for arrays and for vectors
patches     `PatchGeometry`; extraction, its adjoint, centring, norms, and inner products of patches
pooling     `Pooling`; windows, sparse operators, and the adjoint
nystroem    the whitening A and its derivative
flatten     maps as rows of features, and the derivative
definition  a layer as a transform, its vector-Jacobian product, and its exact kernel
==========  ==========================================================================================
"""
