"""Classifiers and regressors that choose their feature map from the data.

The kernel of a feature map is a sum of kernels, one for each branch. `branches` defines the branches that may suit a
kind of signals, as public estimators. `tasks` describes the learning task: class labels or real-valued targets.
`selection` learns the weights of the branches on a subset of the signals, from cross-validated predictions.
`base` combines all of these and fits the final model to all signals, which `plain_signals` passes on as plain arrays.
`estimators` defines the classifier and the regressor.
"""
