"""Linear models of features, trained to the optimum.

A classifier or regressor has scores ``W x + b``, which a loss compares with the targets. L-BFGS, a minimiser that needs
only values and gradients, minimises the mean loss plus a penalty. A preconditioner provides coordinates in which the
Hessian is close to the identity, so that L-BFGS needs few passes over the features. Each pass multiplies the features,
which are a tall matrix, by a few vectors. The solver combines these parts. This subpackage imports only `runtime`.
All its files use the same notation:

====  ============  ==============================================================================================
X     ``(n, d)``    features, in any array that can be read a few rows at a time
Y     ``(n, k)``    targets, also read a few rows at a time: +1 for a sample's class and -1 for all other classes,
                    or real numbers
S     ``(n, k)``    scores ``W x + b``, one column per class or output; if there are two classes, the only column
                    is the score of the second class
s     ``(n,)``      weights of the samples
W     ``(k, d)``    weights of the model
b     ``(k,)``      intercepts
====  ============  ==============================================================================================

==============  ======================================================================================
losses          the losses as functions of scores and targets, with their derivatives
lbfgs           `minimise`: L-BFGS for several independent problems in the same calls
tall_skinny     ``X W^T`` and ``G^T X`` for a few vectors, and the blocks of rows in which X is read
preconditioner  `Coordinates` in which the Hessian is close to the identity; `Span`, for an X with few rows
objective       `Objective`: its values, gradients and duality gaps, with the `scores` and the `Signs` of classes
solver          `LinearModel`: the optimum for given C and sample weights, optionally from a warm start
==============  ======================================================================================
"""
