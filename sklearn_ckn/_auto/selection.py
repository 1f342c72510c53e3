"""The choice of branches, whose weights are learned from cross-validated predictions on a subset of the signals."""

import time
import warnings
from math import sqrt
from typing import NamedTuple

import numpy as np

from .._core.layer.symmetries import order
from .._core.multiple_kernels.cross_validated import centred
from .._core.multiple_kernels.weights import learn_weights
from .._core.runtime.threads import over_blocks, slices
from .branches import feature_union, with_choice

SPREAD = 1.0  # standard deviation of the logarithms of the weights, in the penalty of `learn_weights`
SMALLEST_SHARE = 0.03  # a kernel is dropped if its share of the variance of the fitted values is smaller
SMALL_SHARE = 0.3  # upper limit of this threshold, as a multiple of the mean share of a kernel
ROWS = 256  # number of rows of a product that a thread computes at a time
COLUMNS = 2048  # number of columns that are in double precision at a time
CONSTANT = 1e-6  # a kernel is treated as constant if the mean of its centred diagonal is at most this
SIGMAS = 0.6, 1.0  # widths of Gaussian kernels of features of norm 1


class Problem(NamedTuple):
    """Signals from which the branches are chosen, with their targets."""

    X: object  # the signals
    Y: np.ndarray  # (n, k) targets of `multiple_kernels`
    s: np.ndarray  # (n,) weights, whose mean is 1
    loss: object  # loss of `multiple_kernels`
    folds: list  # indices of the signals of every fold, or None for leave-one-out
    score: object  # callable, (S, t) -> score of cross-validated predictions
    n_threads: int

    def learn(self, kernels, start=None, max_iter=25):  # [Kernel] -> Weights
        """Learn the weights of kernels."""
        matrices = [kernel.matrix for kernel in kernels]
        return learn_weights(matrices, self.Y, self.s, self.loss, self.folds, SPREAD, start, max_iter, self.n_threads)

    def is_better(self, weights, others, n_errors):  # Weights, Weights
        """Return whether the loss is lower than for ``others`` by more than some standard errors of the difference."""
        before, after = (self.loss.values(each.R, each.t)[0] for each in (others, weights))
        decrease = before - after
        mean = np.average(decrease, weights=self.s)
        return mean > n_errors * sqrt(np.average((decrease - mean) ** 2, weights=self.s) / len(decrease))


class Limits(NamedTuple):
    """Limits of the time and the memory that a model of all signals may take."""

    n_samples: int
    n_branches: int
    operations: float  # multiplications in the layers
    solver: float  # multiplications in the solver of the linear model
    numbers: float  # numbers in the matrix of features
    n_landmarks: int  # number of features of a Gaussian kernel

    def allow_layers(self, branches, symmetries):
        """Return whether networks may be used together, with features averaged over a group of symmetries."""
        operations = self.n_samples * order(symmetries) * sum(branch.operations for branch in branches)
        return len(branches) <= self.n_branches and (len(branches) == 1 or operations <= self.operations)

    def caution(self, problem):
        """Return a factor of thresholds, which is 1 if the model learns from the signals of the problem only.

        Standard errors are smaller by this factor for the model of all signals than for the problem. More signals
        therefore justify kernels that contribute little to the predictions for the problem, and a Gaussian kernel
        unless it is clearly worse there.
        """
        return sqrt(len(problem.Y) / self.n_samples)

    def allow_features(self, n_features):
        """Return whether a linear model may use this number of features."""
        n, d = self.n_samples, n_features + self.n_landmarks
        cost = (n + 4 * d) * d**2 if d < 2 * n else (d + 8 * n) * n**2  # The solver then works in the span of the rows.
        return cost <= self.solver and n * d <= self.numbers


class Kernel(NamedTuple):
    """A kernel matrix of features, and its centred and scaled form for `multiple_kernels`."""

    raw: np.ndarray  # (n, n) products of features, of norm 1 or 0
    matrix: np.ndarray  # (n, n) the same, centred and divided by the mean of its diagonal
    size: float  # mean of the diagonal before scaling

    @classmethod
    def of(cls, raw):
        """Centre and scale a matrix of products. A kernel that is constant, except by rounding, is replaced by 0."""
        K = centred(raw)
        size = float(np.trace(K) / len(K))
        return cls(raw, K / size, size) if size > CONSTANT else cls(raw, np.zeros_like(K), 1.0)


class Trial(NamedTuple):
    """A branch that was fitted to the signals of a problem."""

    branch: object
    fitted: object  # its fitted feature map
    kernels: dict  # {n_positions: Kernel}
    n_features: dict  # {n_positions: number of features}
    score: float  # cross-validated score of the branch alone
    seconds: float


class Choice(NamedTuple):
    """Weights of branches and everything else that was chosen."""

    trials: list  # the `Trial` of every branch that was chosen
    weights: dict  # {name of a branch: weight}, which sum to 1
    pyramids: dict  # {name of a branch: {n_positions: weight}}, whose weights sum to 1 for every branch
    symmetries: str  # name of a group, or None
    gaussian: tuple  # width and weight of a Gaussian kernel of the features, or None
    strength: float  # weight of the whole kernel, in units of the regularisation strength
    learned: object  # `Weights` of the last comparison

    def feature_map(self, maps):  # {name: feature map of a branch} -> FeatureUnion
        """Return the FeatureUnion whose kernel is the weighted sum of the kernels of the chosen branches."""
        for name, feature_map in maps.items():
            with_choice(feature_map, self.pyramids[name], self.symmetries)
        return feature_union(maps, self.weights)

    def kernel(self):
        """Return the kernel of the features, if they have the symmetries with which the branches were tried."""
        names = {trial.branch.name: trial for trial in self.trials}
        parts = [(self.weights[name] * share, k, name) for name, of in self.pyramids.items() for k, share in of.items()]
        return Kernel.of(sum(share * names[name].kernels[k].raw for share, k, name in parts))

    def describe(self):
        """Return what was chosen, in words."""
        parts = [f"{weight:.2f} {name} {list(self.pyramids[name])}" for name, weight in self.weights.items()]
        text = f"chose {' + '.join(parts)}"
        if self.symmetries is not None:
            text += f", symmetries={self.symmetries!r}"
        return text if self.gaussian is None else f"{text}, Gaussian kernel of width {self.gaussian[0]:g}"

    def settings(self):
        """Return what was chosen, as a dict."""
        kernel = None if self.gaussian is None else dict(zip(("sigma", "weight"), self.gaussian))
        chosen = {"weights": self.weights, "pyramids": self.pyramids}
        return chosen | {"symmetries": self.symmetries, "gaussian_kernel": kernel}

    def table(self, trials):
        """Return one row for every branch that was tried: its name, weight, score and seconds."""
        rows = [(t.branch.name, self.weights.get(t.branch.name, 0.0), t.score, t.seconds) for t in trials]
        return [dict(zip(("branch", "weight", "validation_score", "seconds"), row)) for row in rows]


def try_branch(branch, problem, symmetries, n_jobs):
    """Fit a branch to the signals of a problem, and return a `Trial`."""
    begin = time.perf_counter()
    fitted = branch.feature_map(symmetries, n_jobs)
    features = quietly(fitted.fit_transform, problem.X) * sqrt(len(branch.levels))  # norm 1 at every level
    parts = branch.split(features, fitted)
    n_features = {k: F.shape[1] for k, F in parts.items()}
    kernels = {k: Kernel.of(products(F, problem.n_threads)) for k, F in parts.items()}
    together = Kernel.of(sum(kernel.raw for kernel in kernels.values()) / len(kernels))
    weights = problem.learn([together], max_iter=5)
    score = problem.score(problem.Y - weights.R, weights.t)
    return Trial(branch, fitted, kernels, n_features, float(score), time.perf_counter() - begin)


def products(F, n_threads):
    """Return the inner products of rows.

    Sums are in double precision. In single precision, rounding errors would cause negative eigenvalues that are not
    small compared with the regularisation.
    """
    K = np.zeros((len(F), len(F)))
    for columns in slices(F.shape[1], COLUMNS):
        part = F[:, columns].astype(float)

        def add(rows, part=part):
            K[rows] += part[rows] @ part.T

        over_blocks(add, slices(len(F), ROWS), n_threads)
    return K


def quietly(function, *arguments):
    """Call a function without warnings, such as those about fewer distinct patches than filters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*arguments)


def choose(trials, problem, groups, limits):
    """Learn the weights of branches, drop kernels that contribute little, and compare symmetries and Gaussian kernels.

    Parameters
    ----------
    trials : list of Trial
    problem : Problem
    groups : list of names of groups of symmetries or None; the first one is that of the trials
    limits : Limits
    """
    choice = combine(trials, *_prune(trials, problem, limits, groups[0]), groups[0])
    kernel = choice.kernel()
    for group in groups[1:]:
        invariant, found = _learn_symmetric(choice, problem, group)
        if problem.is_better(found, choice.learned, 2):
            if not limits.allow_layers([trial.branch for trial in choice.trials], group):
                choice = combine(trials, *_prune(trials, problem, limits, group), group)
                invariant, found = _learn_symmetric(choice, problem, group)
            choice = choice._replace(symmetries=group, strength=found.v[0] / invariant.size, learned=found)
            kernel = invariant
    angles = [Kernel.of(of_angles(kernel.raw, sigma)) for sigma in SIGMAS]
    found = [problem.learn([kernel, each]) for each in angles]
    best = min(range(len(SIGMAS)), key=lambda i: found[i].loss)
    if problem.is_better(found[best], choice.learned, 2 * limits.caution(problem) - 1):
        linear, curved = found[best].v / [kernel.size, angles[best].size]
        gaussian, strength = (SIGMAS[best], float(curved / (linear + curved))), linear + curved
        choice = choice._replace(gaussian=gaussian, strength=strength, learned=found[best])
    return choice


def combine(trials, keys, learned, symmetries):  # -> Choice
    """Return the choice of some kernels, given as pairs of a trial and a level, with their learned weights."""
    v = [value / trials[b].kernels[k].size for (b, k), value in zip(keys, learned.v)]
    strength, weights, pyramids = sum(v), {}, {}
    for (b, k), value in zip(keys, v):
        name = trials[b].branch.name
        weights[name] = float(weights.get(name, 0.0) + value / strength)
        pyramids.setdefault(name, {})[k] = value / strength
    for name, pyramid in pyramids.items():
        pyramids[name] = {k: float(value / weights[name]) for k, value in pyramid.items()}
    chosen = [trial for trial in trials if trial.branch.name in weights]
    return Choice(chosen, weights, pyramids, symmetries, None, strength, learned)


def _learn_symmetric(choice, problem, group):  # -> Kernel, Weights
    """Return the kernel of the chosen features, averaged over a group of symmetries, and its learned weight."""
    choice = choice._replace(symmetries=group)
    features = choice.feature_map({trial.branch.name: trial.fitted for trial in choice.trials}).transform(problem.X)
    kernel = Kernel.of(products(features, problem.n_threads))
    return kernel, problem.learn([kernel], max_iter=10)


def of_angles(K, sigma):
    """Return the kernel ``|x| |x'| exp((cos - 1) / sigma^2)`` of features, given their products K.

    For features of norm 1, this is the Gaussian kernel. It is 0 if a row of features is 0.
    """
    norms = np.sqrt(np.diag(K))
    of_pairs = np.outer(norms, norms)
    return of_pairs * np.exp((K / np.where(of_pairs > 0, of_pairs, 1) - 1) / sigma**2)


def _prune(trials, problem, limits, symmetries):
    """Return the kernels that contribute to the model, as pairs of a trial and a level, and their weights.

    While the networks would take too long, the branch with the smallest share is dropped. If there are too many
    features then, they are pooled to fewer levels. Finally, kernels with shares below the threshold are dropped.
    """
    keys, learned = [(b, k) for b, trial in enumerate(trials) for k in trial.kernels], None
    while True:
        learned = problem.learn([trials[b].kernels[k] for b, k in keys], learned)
        shares = dict(zip(keys, learned.shares))
        of_branches = {b: sum(share for key, share in shares.items() if key[0] == b) for b, _ in keys}
        ranked = sorted(of_branches, key=of_branches.get, reverse=True)
        if not limits.allow_layers([trials[b].branch for b in ranked], symmetries):
            kept = [key for key in keys if key[0] != ranked[-1]]
        elif not limits.allow_features(_count(trials, keys)) and len(keys) > 1:
            return _with_fewer_levels(trials, problem, limits, ranked)
        else:
            smallest = min(SMALLEST_SHARE, SMALL_SHARE / len(keys)) * limits.caution(problem)
            kept = [key for key in keys if shares[key] >= smallest]
        if len(kept) == len(keys):
            return keys, learned
        learned = learned._replace(v=np.array([v for key, v in zip(keys, learned.v) if key in kept]))
        keys = kept


def _count(trials, keys):
    """Return the number of features of kernels, given as pairs of a trial and a level."""
    return sum(trials[b].n_features[k] for b, k in keys)


def _with_fewer_levels(trials, problem, limits, ranked):
    """Return the kernels with the lowest loss among some choices within the limits, and their weights.

    Every choice is a number of branches, taken in the order ``ranked``, at one level, with or without the coarsest
    level beside it. For each number of branches, only the two finest levels within the limits are compared. If no
    choice is within the limits, the first branch is used at its coarsest level.
    """
    choices = []
    for some in (sorted(ranked[:n]) for n in range(1, len(ranked) + 1)):
        levels = sorted(set.intersection(*(set(trials[b].kernels) for b in some)), reverse=True)
        with_coarsest = [[(b, k) for b in some for k in (level, levels[-1])] for level in levels[:-1]]
        for of_levels in ([[(b, level) for b in some] for level in levels], with_coarsest):
            choices += [keys for keys in of_levels if limits.allow_features(_count(trials, keys))][:2]
    choices = choices or [[(ranked[0], min(trials[ranked[0]].kernels))]]
    found = [problem.learn([trials[b].kernels[k] for b, k in keys], max_iter=10) for keys in choices]
    best = min(range(len(choices)), key=lambda i: found[i].loss)
    return choices[best], found[best]
