"""The mathematics of convolutional kernel networks, as functions of arrays.

The code here does not depend on scikit-learn and does not validate parameters. It is divided into parts, each with one
subject. A part is a subpackage, whose ``__init__`` states its notation, or a single module. Each part imports only
the parts listed in the last column:

=====================  ===============================================  ===============================
runtime                compilation, threads, SIMD vectors               no other part
layer                  the mathematics of one layer                     runtime
linear                 the linear model on the features                 runtime
multiple_kernels       the weights of a sum of kernels                  runtime, linear
filters                unsupervised learning of the filters             runtime, layer
network                the transform of a network and its gradient      runtime, layer
exact                  the exact kernel of a network                    runtime, layer
gradient_map           gradients of images, by orientation              layer
patch_whitening        whitening of images by their patches             layer
riemannian_sgd         supervised learning of the filters by SGD        runtime, layer, linear, network
=====================  ===============================================  ===============================
"""
