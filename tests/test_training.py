"""Training in rounds: the linear model of each round, rounds that are undone, and augmentations."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from supervised import assert_same_model, classifier

from sklearn_ckn import _training as training
from sklearn_ckn._core.layer.symmetries import orbits
from sklearn_ckn._core.linear import solver


@pytest.mark.parametrize("small", [solver.SMALL, 0])
def test_starting_from_the_linear_model_of_the_epoch_leads_to_the_same_optimum(small, digits, monkeypatch):
    """The solver finds the same optimum as from zero, for problems that count as small and for others."""
    solve, excesses = training.Problem.solve, []

    def solve_twice(problem, layers, start=None, *more):
        found, from_zero = solve(problem, layers, start, *more), solve(problem, layers)
        excesses.append(found[1] / from_zero[1] - 1)
        return found

    monkeypatch.setattr(solver, "SMALL", small)
    monkeypatch.setattr(training.Problem, "solve", solve_twice)
    classifier(alpha=1e-3).fit(*digits)
    assert len(excesses) == 4 and excesses[0] == 0 and any(excesses)
    assert max(excesses) < training.HEAD_TOL


@pytest.mark.parametrize("setting", ["few passes", "worse than what there was"])
def test_an_unsuccessful_start_of_the_solver_does_not_change_the_model(setting, digits, monkeypatch):
    solve = training.Problem.solve
    if setting == "few passes":
        monkeypatch.setattr(training, "FEW_PASSES", 1)
        model = classifier().fit(*digits)
    else:

        def refuse(problem, layers, start=None, *_):
            return solve(problem, layers, start, -1)

        monkeypatch.setattr(training.Problem, "solve", refuse)
        model = classifier().fit(*digits)
    monkeypatch.setattr(training.Problem, "solve", lambda problem, layers, *_: solve(problem, layers))
    assert_same_model(model, classifier().fit(*digits))


def test_a_round_that_raises_the_objective_is_undone(digits):
    model = classifier(learning_rate=3.0, schedule="constant", max_iter=8).fit(*digits)
    curve = np.array(model.loss_curve_)
    assert (np.diff(curve) <= 0).all() and (np.diff(curve) == 0).any() and curve[-1] < curve[0]


def test_a_diverging_epoch_of_partial_fit_is_undone(digits, monkeypatch):
    X, y = digits
    fitted = classifier().fit(X, y)
    model = pickle.loads(pickle.dumps(fitted))

    def diverge(state, layers, problem, angle):
        turned = tuple(np.roll(Z, 1, axis=0) for Z in state.filters)
        return turned, turned, state.head._replace(W=state.head.W + 1), np.inf

    monkeypatch.setattr(training, "descend", diverge)
    with pytest.warns(ConvergenceWarning, match="diverged and was undone"):
        model.partial_fit(X, y)
    for after, before in zip(model.network_, fitted.network_):
        assert_array_equal(after.filters_, before.filters_)
    assert_array_equal(model.coef_, fitted.coef_)
    assert model.loss_curve_ == fitted.loss_curve_


def test_a_linear_model_that_does_not_converge_gives_a_warning(digits, monkeypatch):
    monkeypatch.setattr(training, "HEAD_PASSES", 1)
    with pytest.warns(ConvergenceWarning, match="linear model has not reached its optimum after 1 passes.*raise alpha"):
        classifier(max_iter=0).fit(*digits)


@pytest.mark.parametrize(
    "group, shape", [("flip", (8, 10, 2)), ("rotate", (7, 7, 2)), ("dihedral", (6, 6, 1))], ids=str
)
def test_augmentations_transform_signals_by_random_elements_of_a_group(group, shape, rng):
    X, generator = rng.rand(800, *shape), np.random.default_rng(0)
    images = orbits(X, group).reshape(-1, *X.shape)
    is_image = (training.AUGMENTATIONS[group](X, generator) == images).all(axis=(2, 3, 4))  # (order, n)
    assert (is_image.sum(axis=0) == 1).all()
    counts, expected = is_image.sum(axis=1), len(X) / len(images)
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_augmentations_shift_signals():
    generator = np.random.default_rng(0)
    moved = training.flip_and_crop(np.ones((200, 8, 16, 1)), generator)
    assert moved.shape == (200, 8, 16, 1) and set(np.unique(moved)) == {0, 1}
    lengths = moved.sum(axis=(1, 2, 3))
    assert lengths.min() == 7 * 14 and lengths.max() == 8 * 16
    # An eighth of 5 positions rounds down to no shift.
    assert_array_equal(training.flip_and_crop(np.ones((9, 1, 5, 2)), generator), 1)
