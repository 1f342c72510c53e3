"""Learning filters with labels: rounds of an epoch of gradient descent and an optimal linear model.

In every step the filters of a layer turn by the same angle (root mean square over the filters), in the direction of the
gradients' running sum. The angle is the learning rate: the sizes of data, losses and penalty are not in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import cos, pi
from typing import NamedTuple
from warnings import warn

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from . import _validation
from ._core import descent, encode, solver
from ._core.machine import slices
from ._signals import EncodedSignals, Signals

HEAD_TOL, HEAD_PASSES = 1e-5, 1000  # of the linear model's solver
WARM_TOL = HEAD_TOL / 10  # of it, from the linear model of the epoch on, where the gradient is small from the start
FEW_PASSES = solver.FIRST_ROUND  # and of it from there, before it takes costlier means
CHUNK = 256  # signals that are varied together for the linear model
CROP = 8  # "flip-crop" moves an image by up to this part of its size

SCHEDULES = {  # factor of the learning rate when this part of all rounds is done
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + cos(pi * min(done, 1))) / 2,
}


def flip(X, rng):  # (n, *space, c)
    """Signals reversed along their last space axis, one in two."""
    chosen = rng.random(len(X)) < 0.5
    return np.where(chosen.reshape(-1, *[1] * (X.ndim - 1)), X[..., ::-1, :], X)


def flip_and_crop(X, rng):
    """The same, moved by some positions along every axis; zeros come in."""
    space = X.shape[1:-1]
    reach = [size // CROP for size in space]
    padded = np.pad(flip(X, rng), [(0, 0), *((r, r) for r in reach), (0, 0)])
    starts = np.stack([rng.integers(2 * r + 1, size=len(X)) for r in reach], axis=1)
    return np.stack([x[tuple(slice(i, i + n) for i, n in zip(start, space))] for x, start in zip(padded, starts)])


AUGMENTATIONS = {"flip": flip, "flip-crop": flip_and_crop}


def augmentation(chosen):  # name in AUGMENTATIONS, function or None
    """The function, whose result is checked if it is the user's; None stays."""
    if chosen is None or isinstance(chosen, str):
        return AUGMENTATIONS.get(chosen)

    return lambda X, rng: _validation.as_augmented(chosen(X.copy(), rng), X)


def over_signals(signals, layers, finish, n_threads):  # -> (n, columns)
    """``finish(maps)`` for the last maps of all signals, block by block."""
    maps = EncodedSignals(signals, layers, n_threads)
    like = finish(np.zeros((1, *maps.shape), signals.dtype))
    return maps.write(signals, np.empty((len(signals), like.shape[1]), like.dtype), finish)


class Options(NamedTuple):
    """How a problem is solved."""

    max_iter: int
    batch_size: int
    learning_rate: float
    schedule: str
    momentum: float
    augmentation: Callable  # (n, *space, c), Generator -> (n, *space, c); or None
    seed: int


class Problem(NamedTuple):
    """What is minimised: ``alpha / 2 |W|^2`` plus the weighted mean of the losses of all signals."""

    signals: object  # Signals
    Y: object  # targets (n, k) of `losses`, read by rows
    weights: np.ndarray  # (n,)
    alpha: float
    top: descent.Top
    held_out: np.ndarray  # indices of signals, of weight 0, that tell which filters are the best; or None
    score: Callable  # those indices, their scores (n, k) -> float
    n_threads: int
    memory: int  # bytes that a block of signals may take, one for every thread
    options: Options

    @property
    def rows(self):
        """Indices of the signals that count."""
        return np.flatnonzero(self.weights)

    def solve(self, layers, start=None, enough=np.inf):  # -> descent.Head, float, float
        """The best linear model of the layers' features, its objective, and its score on the held-out part.

        It is found from ``start`` on, another linear model; if that does not lead in a few passes to an objective that
        is good enough, from none.
        """
        rows = self.rows
        Y = self.Y.samples(rows) if isinstance(self.Y, solver.Signs) else self.Y[rows]
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
        head, score = descent.Head(*model.coefficients(solution)), None
        if self.held_out is not None:
            S = over_signals(self.signals[self.held_out], layers, self.top.scorer(head), self.n_threads)
            score = self.score(self.held_out, S)
        return head, float(solution.value), score

    def _features(self, layers, rows):  # -> (len(rows), f)
        """Those of the signals or, with an augmentation, of one variation of each, the same in every call."""
        signals, features = self.signals[rows], None
        if self.options.augmentation is None:
            return over_signals(signals, layers, self.top.features, self.n_threads)
        for some in slices(len(signals), CHUNK):
            rng = np.random.default_rng([self.options.seed, 1, some.start])
            X = self.options.augmentation(signals.read(some), rng)
            varied = over_signals(Signals(X, X.shape[1:]), layers, self.top.features, self.n_threads)
            if features is None:
                features = np.empty((len(signals), varied.shape[1]), varied.dtype)
            features[some] = varied
        return features


@dataclass(frozen=True)
class State:
    """Where a descent has arrived, and everything that it goes on from. The arrays in it are never changed."""

    filters: tuple  # of (m, d)
    velocities: tuple  # of the same shapes: running sums of gradients
    head: descent.Head
    loss_curve: tuple  # the objective, first that of the filters it began with
    scores: tuple = None  # on the held-out part, the same way; None if there is none
    best: tuple = None  # filters and head of the best of them
    n_halvings: int = 0  # of the learning rate

    @property
    def n_rounds(self):
        return len(self.loss_curve) - 1

    def figures(self):
        """What there is to be told of the last round."""
        score = {} if self.scores is None else {"validation score": self.scores[-1]}
        return {"objective": self.loss_curve[-1], **score}

    def n_idle(self, tol):
        """Rounds since the last one that has made the score better by ``tol``, or the objective by this part of it."""
        last, scored = 0, self.scores is not None
        values = [-score for score in self.scores] if scored else self.loss_curve
        for i, value in enumerate(values):
            if value < values[last] - tol * (1 if scored else values[last]):
                last = i
        return len(values) - 1 - last


def begin(layers, problem):  # -> State
    """From fitted layers on, with the linear model that is best for them."""
    filters, velocities = at_rest(layers)
    head, value, score = problem.solve(layers)
    if score is None:
        return State(filters, velocities, head, (value,))
    return State(filters, velocities, head, (value,), (score,), (filters, head))


def at_rest(layers):  # -> filters, velocities
    filters = tuple(layer.filters_.reshape(len(layer.filters_), -1) for layer in layers)
    return filters, tuple(np.zeros_like(Z) for Z in filters)


def advance(state, layers, problem):  # -> State
    """One round; where it has raised the objective it is taken back, and the next ones turn by half the angles."""
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
    """An epoch without an end in sight, at one learning rate."""
    filters, velocities, head, loss = descend(state, layers, problem, lambda part: problem.options.learning_rate)
    if not all(np.isfinite(array).all() for array in (*filters, *velocities, *head, loss)):
        warn("An epoch of partial_fit has diverged and is taken back: lower learning_rate.", ConvergenceWarning)
        return state
    return replace(state, filters=filters, velocities=velocities, head=head, loss_curve=(*state.loss_curve, loss))


def place(filters, layers):
    """Give layers their filters, and the whitening that belongs to them."""
    for Z, layer in zip(filters, layers):
        layer.filters_ = Z.reshape(layer.filters_.shape)
        layer.whitening_ = encode.whitening(Z, layer._settings).astype(Z.dtype)


def descend(state, layers, problem, angle):  # -> filters, velocities, head, float
    """An epoch of minibatches, in random order, and their mean loss.

    The filters of every layer turn by ``angle(part)`` when this part of it is done. The linear model follows them, by
    steps short enough that none is too long for its minibatch.
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
        X = problem.signals.read(chosen)
        if options.augmentation is not None:
            X = options.augmentation(X, rng)
        network = descent.Network(filters, settings, X.shape[1:], problem.n_threads, problem.memory)
        found = network.gradients(X, problem.Y[chosen], share[chosen], head, problem.top)
        turns = options.momentum, angle(done / len(batches))
        filters, velocities = descent.step_filters(filters, velocities, found, *turns)
        head = descent.step_head(head, found, problem.alpha)
        total += found.loss * size / len(rows)
        if not all(np.isfinite(Z).all() for Z in filters):  # nothing can be computed from these
            break
    return filters, velocities, head, total
