"""The mathematics of one layer, in NumPy: patches, kernel, pooling, Nyström projection.

A layer computes ``x_k = A_k M_k P_k x_{k-1}``: it extracts patches, applies the feature map of a homogeneous
dot-product kernel to the patches, and pools the result. `definition` combines these steps into a transform, its
derivative and the exact kernel. It is the reference; `network` and `exact` compute the same results faster. This
subpackage imports only `runtime`. All parts of `_core` that import this subpackage use the same notation:

====  =================================  =====================================================
X     ``(n, *space, c)``                 maps, channels last, any number of spatial axes
P     ``(n, *positions, d)``             patches, ``d = prod(patch size) * c``
r     ``(n, *positions, 1)``             patch norms ``|P|``
U     ``(n, *positions, d)``             patches on the sphere, ``P / r``
Z     ``(m, d)``                         filters, rows of norm 1
T     ``(n, *positions, m)``             cosines ``<U, z>``
F     ``(n, *positions, m)``             ``r kappa(T)``
Q     ``(n, *pooled, m)``                F after pooling
A     ``(m, m)``                         whitening, ``(kappa(Z Z^T) + reg I)^(-1/2)``
====  =================================  =====================================================

==========  ==========================================================================================
symmetries  finite groups of transformations of the grid, and means over them
settings    `LayerSettings`: a patch geometry, a kernel, a pooling and a regularisation
kappa       the kernels: records with ``kappa`` and its derivative, for arrays and SIMD vectors
patches     `PatchGeometry`; extraction, its adjoint, centring, norms, and inner products of patches
pooling     `Sliding` and `Fixed` windows, sparse operators, pooling and its adjoint
nystroem    the whitening A and its derivative
flatten     the conversion of maps to rows of features, and its derivative
definition  a layer as a transform, its vector-Jacobian product, its exact kernel, and its tangent kernel
==========  ==========================================================================================
"""
