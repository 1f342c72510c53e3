"""Classifiers and regressors that choose their feature map from the data.

A feature map is a sum of kernels, whose terms are called branches. `branches` lists the branches that may suit a kind
of signals, as public estimators. `tasks` describes what is learned, labels or numbers. `selection` learns the weights
of the branches by some of the signals, from cross-validated predictions. `estimators` combines all of these, and learns
from all signals.
"""
