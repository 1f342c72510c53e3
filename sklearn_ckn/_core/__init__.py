"""Arrays in, arrays out: the mathematics of convolutional kernel networks.

Nothing here knows of scikit-learn, of parameters or of validation. Every room has one subject. It is a folder, whose
``__init__`` states its notation, or a single file. A room imports only the rooms named here:

=====================  ===============================================  ===========================
runtime                compilation, threads, vectors                    no other room
layer                  the mathematics of one layer                     runtime
linear                 the linear model at the end                      runtime
filters                how filters are found without labels             runtime, layer
network                the transform of a network and its gradient      runtime, layer
exact                  the exact kernel of a network                    runtime, layer
patch_whitening        whitening of images by their patches             layer
riemannian_sgd         gradient descent on the filters, with labels     all rooms but exact, filters
=====================  ===============================================  ===========================
"""
