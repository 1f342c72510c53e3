"""Multiple kernel learning: the weights of a sum of kernels, learned from cross-validated predictions.

A model is a kernel ridge regression with an intercept. Its kernel is a sum of given kernels, whose weights are unknown.
All residuals of a cross-validation follow from one inverse matrix, so that the mean loss of the cross-validated
predictions, and its gradient with respect to the logarithms of the weights, cost little more than one fit. L-BFGS
minimises this loss. This subpackage imports only `runtime` and `linear`. All its files use the same notation:

=====  ============  ==============================================================================================
K      ``(n, n)``    one of the kernel matrices, of n signals
v      ``(b,)``      weights of the b kernels, in units of the regularisation strength
s      ``(n,)``      weights of the signals, > 0
Y      ``(n, k)``    targets: +1 for a signal's class and -1 for all other classes, or real numbers
G      ``(n, n)``    inverse of ``sum_b v_b K_b + diag(1 / s)``, projected on the vectors whose sum is 0
R      ``(n, k)``    residuals: targets minus the predictions of a model that has not seen the signal's fold
S      ``(n, k)``    cross-validated predictions, ``Y - R``
=====  ============  ==============================================================================================

===============  ==================================================================================================
cross_validated  `CrossValidated`: the residuals for given weights, and the gradients of functions of them
losses           `LogLoss` of classes, with a temperature, and `SquaredError` for real-valued targets
weights          `learn_weights`: the weights that minimise a loss of the cross-validated predictions
===============  ==================================================================================================
"""
