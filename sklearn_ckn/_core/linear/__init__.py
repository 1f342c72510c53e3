"""The linear model of features, solved to its optimum.

A classifier or regressor has scores ``W x + b``, which a loss compares with the targets. L-BFGS, a minimiser that needs
only values and gradients, minimises the mean loss plus a penalty. It works in coordinates in which the Hessian is close
to the identity (a preconditioner), so that it needs few passes over the features. Each pass multiplies a tall matrix,
the features, by a few vectors. The solver puts these parts together. The room imports only `runtime`. One notation runs
through it:

====  ============  ==============================================================================================
X     ``(n, d)``    features, any array that can be read by rows
Y     ``(n, k)``    targets: +1 at a sample's class and -1 at the others, or real numbers; they are read by rows, too
S     ``(n, k)``    scores ``W x + b``, one column per class or output; two classes have one column, the score of
                    the second class
s     ``(n,)``      weights of the samples
W     ``(k, d)``    weights of the model
b     ``(k,)``      intercepts
====  ============  ==============================================================================================

==============  ======================================================================================
losses          the losses as functions of scores and targets, with their derivatives
lbfgs           `minimise`: L-BFGS for several independent problems in the same calls
tall_skinny     ``X W^T`` and ``G^T X`` for a few vectors, and the blocks of rows in which X is read
preconditioner  `Coordinates` in which the Hessian is close to the identity, and `Span` for wide, short X
solver          `LinearModel`: the optimum for given C and sample weights, optionally from a warm start
==============  ======================================================================================
"""
