"""Training of filters with labels, in rounds of one epoch of gradient descent and one optimal linear model.

In every step, the filters of a layer turn against the running sum of their gradients, by an angle whose root mean
square over the filters is the learning rate. The learning rate therefore does not depend on the scale of the data, the
losses or the penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import cos, pi
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._arrays import validation
from ._arrays.mixed import MixedSignals
from ._arrays.signals import Destination, EncodedSignals, Signals, frozen
from ._core import riemannian_sgd
from ._core.layer.nystroem import whitening
from ._core.layer.symmetries import GROUPS, orbits
from ._core.linear import solver
from ._core.linear.objective import Signs
from ._core.runtime.threads import slices
from ._utils.caller import warn

# Tolerance and maximum number of passes of the linear model's solver.
HEAD_TOL, HEAD_PASSES = 1e-5, 1000
# Tolerance when the solver starts from the linear model of the epoch, where the gradient is already small.
WARM_TOL = HEAD_TOL / 10
# Maximum number of passes when the solver starts from the linear model of the epoch. If they are not enough, the solver
# starts again from zero.
FEW_PASSES = solver.FIRST_ROUND
CHUNK = 256  # number of signals that are augmented together for the linear model
CROP = 8  # "flip-crop" shifts a signal along each axis by up to its size divided by this number

SCHEDULES = {  # factor of the learning rate, as a function of the fraction of rounds completed
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + cos(pi * min(done, 1))) / 2,
}


def transform_at_random(X, rng, symmetries):  # (n, *space, c)
    """Transform each signal by a random element of a group of symmetries."""
    transforms = orbits(X, symmetries).reshape(-1, *X.shape)  # (order, n, *space, c)
    chosen = (rng.random(len(X)) * len(transforms)).astype(int)
    return transforms[-1 - chosen, np.arange(len(X))]


def flip_and_crop(X, rng):
    """Flip signals at random, shift each signal at random along every axis, and fill the gaps with zeros."""
    space = X.shape[1:-1]
    reach = [size // CROP for size in space]
    padded = np.pad(transform_at_random(X, rng, "flip"), [(0, 0), *((r, r) for r in reach), (0, 0)])
    starts = np.stack([rng.integers(2 * r + 1, size=len(X)) for r in reach], axis=1)
    return np.stack([x[tuple(slice(i, i + n) for i, n in zip(start, space))] for x, start in zip(padded, starts)])


AUGMENTATIONS = {name: partial(transform_at_random, symmetries=name) for name in GROUPS if name}
AUGMENTATIONS["flip-crop"] = flip_and_crop


def augmentation(chosen):  # name in AUGMENTATIONS, function or None
    """Return the augmentation as a function, or None.

    The signals that a user's function returns are checked.
    """
    if chosen is None or isinstance(chosen, str):
        return AUGMENTATIONS.get(chosen)

    return lambda X, rng: validation.as_augmented(chosen(X.copy(), rng), X)


def over_signals(signals, layers, symmetries, finish, n_threads):  # Signals or MixedSignals -> (n, columns)
    """Compute ``finish(maps)`` block by block, for the last maps of all signals, averaged over a group."""
    first = EncodedSignals(signals.groups[0][1], layers, n_threads)
    like = finish(np.zeros((1, *first.shape), signals.dtype))

    def of_group(part, n_threads):
        empty = Destination(np.empty((len(part), like.shape[1]), like.dtype))
        return EncodedSignals(part, layers, n_threads).write(part, empty, finish, symmetries)

    return signals.combined(of_group, n_threads, like)


class Options(NamedTuple):
    """Options of the training."""

    max_iter: int
    batch_size: int
    learning_rate: float
    schedule: str
    momentum: float
    augmentation: Callable  # (n, *space, c), Generator -> (n, *space, c); or None
    seed: int


class Problem(NamedTuple):
    """The minimisation problem: ``alpha / 2 |W|^2`` plus the weighted mean of the losses of all signals."""

    signals: object  # Signals
    Y: object  # targets (n, k) in the form that `losses` expects, read a few rows at a time
    weights: np.ndarray  # (n,)
    alpha: float
    top: riemannian_sgd.Top
    held_out: np.ndarray  # indices of the held-out signals, whose weights are 0; or None
    score: Callable  # (indices of signals, scores (n, k) of the signals) -> float
    n_threads: int
    memory: int  # maximum number of bytes in a block of signals; every thread uses one block
    options: Options

    @property
    def rows(self):
        """Indices of the signals whose weight is not 0."""
        return np.flatnonzero(self.weights)

    def solve(self, layers, start=None, enough=np.inf):  # -> riemannian_sgd.Head, float, float
        """Return the optimal linear model of the layers' features, its objective, and its score on the validation set.

        If another linear model is given as ``start``, the solver starts from it. If a few passes do not reduce the
        objective to at most ``enough``, the solver starts again from zero. Without a validation set, the score is None.
        """
        rows = self.rows
        Y = self.Y.samples(rows) if isinstance(self.Y, Signs) else self.Y[rows]
        weights = self.weights[rows]
        model = solver.LinearModel(self._features(layers, rows), Y, weights, self.top.loss, True, self.n_threads)
        C = 1 / (self.alpha * weights.sum(dtype=float))
        solution = None
        if start is not None:
            solution = model.solve(C, weights, model.solution(*start), WARM_TOL, FEW_PASSES)
        if solution is None or not (solution.converged and solution.value <= enough):
            solution = model.solve(C, weights, None, HEAD_TOL, HEAD_PASSES)
        if not solution.converged:
            warn(
                f"The linear model has not reached its optimum after {HEAD_PASSES} passes over the features with "
                f"alpha={self.alpha:.3g}: raise alpha, or set center=True and scale=True.",
                ConvergenceWarning,
            )
        head, score = riemannian_sgd.Head(*model.coefficients(solution)), None
        if self.held_out is not None:
            X, scorer = self.signals[self.held_out], self.top.scorer(head)
            S = over_signals(X, layers, self.top.symmetries, scorer, self.n_threads)
            score = self.score(self.held_out, S)
        return head, float(solution.value), score

    def _features(self, layers, rows):  # -> (len(rows), f)
        """Return the features of the signals ``rows``.

        If there is an augmentation, the features of one augmented version of each signal are returned. The augmented
        versions are the same in every call.
        """
        signals, features = self.signals[rows], None
        if self.options.augmentation is None:
            return self._features_of(signals, layers)
        for some in slices(len(signals), CHUNK):
            rng = np.random.default_rng([self.options.seed, 1, some.start])
            groups = [
                (members, self.options.augmentation(part.read(slice(None)), rng))
                for members, part in signals[some].groups
            ]
            augmented = MixedSignals([(members, Signals(X, X.shape[1:])) for members, X in groups])
            varied = self._features_of(augmented, layers)
            if features is None:
                features = np.empty((len(signals), varied.shape[1]), varied.dtype)
            features[some] = varied
        return features

    def _features_of(self, signals, layers):  # -> (len(signals), f)
        return over_signals(signals, layers, self.top.symmetries, self.top.features, self.n_threads)


@dataclass(frozen=True)
class State:
    """State of the training, with everything needed to resume it. Its arrays are never changed in place."""

    filters: tuple  # of (m, d)
    velocities: tuple  # of (m, d): running sums of gradients
    head: riemannian_sgd.Head
    loss_curve: tuple  # the objective before the first round and after every round
    scores: tuple = None  # validation scores before the first round and after each round; None without a validation set
    best: tuple = None  # filters and head with the highest score
    n_halvings: int = 0  # number of times that the learning rate was halved

    @property
    def n_rounds(self):
        return len(self.loss_curve) - 1

    def figures(self):
        """Return the figures that are reported for the last round."""
        score = {} if self.scores is None else {"validation score": self.scores[-1]}
        return {"objective": self.loss_curve[-1], **score}

    def n_idle(self, tol):
        """Return the number of rounds since the last round that made progress.

        A round makes progress if it raises the score by more than ``tol`` or, without scores, lowers the objective by
        more than the fraction ``tol`` of its value.
        """
        last, scored = 0, self.scores is not None
        values = [-score for score in self.scores] if scored else self.loss_curve
        for i, value in enumerate(values):
            if value < values[last] - tol * (1 if scored else values[last]):
                last = i
        return len(values) - 1 - last


def begin(layers, problem):  # -> State
    """Return the state at the start: the filters of fitted layers and the optimal linear model for them."""
    filters, velocities = at_rest(layers)
    head, value, score = problem.solve(layers)
    if score is None:
        return State(filters, velocities, head, (value,))
    return State(filters, velocities, head, (value,), (score,), (filters, head))


def at_rest(layers):  # -> filters, velocities
    """Return the filters of fitted layers, and zero velocities."""
    filters = tuple(layer.filters_.reshape(len(layer.filters_), -1) for layer in layers)
    return filters, tuple(np.zeros_like(Z) for Z in filters)


def advance(state, layers, problem):  # -> State
    """Run one round. If it raises the objective, undo it and halve the learning rate of the following rounds."""
    options = problem.options

    def angle(part):
        done = (state.n_rounds + part) / options.max_iter
        return options.learning_rate * SCHEDULES[options.schedule](done) / 2**state.n_halvings

    filters, velocities, head, _ = descend(state, layers, problem, angle)
    value, score = np.inf, None
    if all(np.isfinite(array).all() for array in (*filters, *head)):
        place(filters, layers)
        head, value, score = problem.solve(layers, head, state.loss_curve[-1])
    if not value <= state.loss_curve[-1]:
        return replace(
            state,
            velocities=tuple(np.zeros_like(Z) for Z in state.filters),
            loss_curve=(*state.loss_curve, state.loss_curve[-1]),
            scores=None if state.scores is None else (*state.scores, state.scores[-1]),
            n_halvings=state.n_halvings + 1,
        )
    state_now = replace(state, filters=filters, velocities=velocities, head=head, loss_curve=(*state.loss_curve, value))
    if score is None:
        return state_now
    best = (filters, head) if score > max(state.scores) else state.best
    return replace(state_now, scores=(*state.scores, score), best=best)


def stream(state, layers, problem):  # -> State
    """Run one epoch on a batch of a data stream, at a constant learning rate. If the epoch diverges, undo it."""
    filters, velocities, head, loss = descend(state, layers, problem, lambda part: problem.options.learning_rate)
    if not all(np.isfinite(array).all() for array in (*filters, *velocities, *head, loss)):
        warn("An epoch of partial_fit diverged and was undone: lower learning_rate.", ConvergenceWarning)
        return state
    return replace(state, filters=filters, velocities=velocities, head=head, loss_curve=(*state.loss_curve, loss))


def place(filters, layers):
    """Set the filters of layers, and the whitening matrices that belong to them."""
    for Z, layer in zip(filters, layers):
        layer.filters_ = frozen(Z.reshape(layer.filters_.shape))
        layer.whitening_ = frozen(whitening(Z, layer._settings).astype(Z.dtype))


def descend(state, layers, problem, angle):  # -> filters, velocities, head, float
    """Run one epoch of mini-batches in random order; return the filters, velocities, linear model and mean loss.

    The filters of every layer turn by ``angle(part)`` when the fraction ``part`` of the epoch is done. The linear model
    takes one gradient step per mini-batch, short enough not to overshoot the optimum for that mini-batch.
    """
    options, settings = problem.options, [layer._settings for layer in layers]
    filters, velocities, head, total = state.filters, state.velocities, state.head, 0.0
    rng = np.random.default_rng([options.seed, 0, state.n_rounds])
    rows = problem.rows
    order, size = rng.permutation(rows), min(options.batch_size, len(rows))
    share = (problem.weights / (problem.weights[rows].mean(dtype=float) * size)).astype(problem.weights.dtype)
    batches = slices(len(order), size)
    for done, batch in enumerate(batches):
        chosen = order[batch]
        groups = [(members, part.read(slice(None))) for members, part in problem.signals[chosen].groups]
        if options.augmentation is not None:
            groups = [(members, options.augmentation(X, rng)) for members, X in groups]
        network = riemannian_sgd.DifferentiableNetwork(filters, settings, problem.n_threads, problem.memory)
        turns = options.momentum, angle(done / len(batches))
        with np.errstate(over="ignore", invalid="ignore"):  # An epoch that diverges is undone.
            found = network.gradients(groups, problem.Y[chosen], share[chosen], head, problem.top)
            filters, velocities = riemannian_sgd.step_filters(filters, velocities, found, *turns)
            head = riemannian_sgd.step_head(head, found, problem.alpha)
            total += found.loss * size / len(rows)
        if not all(np.isfinite(Z).all() for Z in filters):  # No further step can be computed.
            break
    return filters, velocities, head, total
