"""Checkpoints: files from which an interrupted training resumes."""

import errno
import functools
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from supervised import Killed, assert_same_model, classifier, interrupt_call, interruptible, regressor

from sklearn_ckn._utils import checkpoint


@pytest.mark.parametrize("early_stopping", [False, True])
def test_killed_fit_resumes_from_its_checkpoint(early_stopping, digits, tmp_path):
    parameters = {"augmentation": interruptible, "early_stopping": early_stopping, "random_state": None}
    model = classifier(checkpoint=tmp_path / "fit.ckpt", **parameters)
    interrupt_call(16, Killed())  # This call is in the second round.
    with pytest.raises(Killed):
        model.fit(*digits)
    assert not hasattr(model, "network_")
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((tmp_path / "fit.ckpt").read_bytes())
    model.fit(*digits)
    again = classifier(checkpoint=copy, n_jobs=2, **parameters).fit(*digits)
    assert model.n_iter_ == 3
    assert_same_model(model, again)
    done = classifier(checkpoint=copy, **parameters).fit(*digits)  # The fit is already complete.
    assert_same_model(model, done)
    assert not list(tmp_path.glob("*.part"))


def test_resumed_fit_equals_an_uninterrupted_one(digits, tmp_path):
    path = tmp_path / "fit.ckpt"
    interrupt_call(16, Killed())
    with pytest.raises(Killed):
        classifier(checkpoint=path, augmentation=interruptible).fit(*digits)
    resumed = classifier(checkpoint=path, augmentation=interruptible).fit(*digits)
    assert_same_model(resumed, classifier(augmentation=interruptible).fit(*digits))


def test_killed_fit_of_a_regressor_resumes_from_its_checkpoint(digits, tmp_path):
    X, y = digits
    path = tmp_path / "fit.ckpt"
    interrupt_call(16, Killed())
    with pytest.raises(Killed):
        regressor(checkpoint=path, augmentation=interruptible).fit(X, y)
    model = regressor(checkpoint=path, augmentation=interruptible, warm_start=True).fit(X, y)
    assert_same_model(model, regressor(augmentation=interruptible).fit(X, y))
    before = model.loss_curve_[-1]
    model.set_params(checkpoint=None).fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(before, rel=1e-5) and model.loss_curve_[-1] < before


def test_killed_warm_start_resumes_from_its_checkpoint(digits, tmp_path):
    fitted = classifier().fit(*digits)
    path = tmp_path / "fit.ckpt"
    model, again = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    for one in (model, again):
        one.set_params(warm_start=True, checkpoint=path, augmentation=interruptible)
    interrupt_call(16, Killed())
    with pytest.raises(Killed):
        model.fit(*digits)
    assert_same_model(model, fitted)
    again.fit(*digits)
    expected = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True, augmentation=interruptible)
    assert_same_model(again, expected.fit(*digits))
    # The fit now starts from other filters.
    with pytest.raises(ValueError, match="belongs to a fit with other data or parameters"):
        again.fit(*digits)


def scale(by, X, rng):
    """Multiply signals by a number."""
    return by * X


def scaling_closure(by):
    """Return a closure that multiplies signals by a number."""
    return lambda X, rng: scale(by, X, rng)


class Scaling:
    """An augmentation that multiplies signals by a number."""

    def __init__(self, by):
        self.by = by

    def augment(self, X, rng):
        return scale(self.by, X, rng)

    __call__ = augment


@pytest.mark.parametrize(
    "make",
    [
        scaling_closure,
        Scaling,
        lambda by: Scaling(by).augment,
        lambda by: functools.partial(scale, by),
        {0.5: lambda X, rng: 0.5 * X, 0.7: lambda X, rng: 0.7 * X}.get,
    ],
    ids=["closure", "object", "method", "partial", "lambda"],
)
def test_checkpoint_distinguishes_functions_by_the_values_they_hold(make, digits, tmp_path):
    path = tmp_path / "fit.ckpt"
    model = classifier(checkpoint=path, max_iter=0)
    model.set_params(augmentation=make(0.5)).fit(*digits)
    assert_same_model(clone(model).fit(*digits), model)
    with pytest.raises(ValueError, match="belongs to a fit with other data or parameters"):
        clone(model).set_params(augmentation=make(0.7)).fit(*digits)


def test_checkpoint_refuses_an_augmentation_that_cannot_be_hashed(digits, tmp_path):
    class Local(Scaling):
        pass

    with pytest.raises(ValueError, match=r"checkpoint cannot be used with augmentation=.*cannot be hashed"):
        classifier(checkpoint=tmp_path / "fit.ckpt", augmentation=Local(0.5)).fit(*digits)


def test_checkpoint_accepts_a_random_state_that_was_already_used(digits, tmp_path):
    model = classifier(random_state=np.random.RandomState(0), checkpoint=tmp_path / "fit.ckpt", max_iter=1)
    coef = model.fit(*digits).coef_
    assert_array_equal(model.fit(*digits).coef_, coef)


def test_bad_checkpoints_are_refused(digits, tmp_path):
    X, y = digits
    path = tmp_path / "fit.ckpt"
    classifier(checkpoint=path, max_iter=1).fit(X, y)
    for model, data in ((classifier(checkpoint=path, max_iter=2), X), (classifier(checkpoint=path, max_iter=1), X + 1)):
        with pytest.raises(ValueError, match="belongs to a fit with other data or parameters: delete the file"):
            model.fit(data, y)
    with pytest.raises(ValueError, match="belongs to a fit with other data"):
        classifier(checkpoint=path, max_iter=1).set_params(**{"network__cknlayer-1__sigma": 0.5}).fit(X, y)
    with pytest.raises(ValueError, match="belongs to a fit with other data"):
        classifier(checkpoint=path, max_iter=1, symmetries="flip").fit(X, y)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="exists but cannot be read"):
        classifier(checkpoint=path).fit(X, y)
    for place in (tmp_path, tmp_path / "nowhere" / "fit.ckpt"):
        with pytest.raises(ValueError, match="checkpoint must be the path of a file in a folder that exists"):
            classifier(checkpoint=str(place)).fit(X, y)


def test_truncated_and_foreign_files_are_refused(digits, tmp_path):
    path, cut = tmp_path / "fit.ckpt", tmp_path / "cut.ckpt"
    X, y = digits[0][:60], digits[1][:60]
    classifier(checkpoint=path, max_iter=0).fit(X, y)
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 20, dtype=int):
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.ckpt' exists but cannot be read\. It may be truncated"):
            classifier(checkpoint=cut, max_iter=0).fit(X, y)
    joblib.dump({"format": checkpoint.FORMAT}, cut)
    with pytest.raises(ValueError, match=r"cut\.ckpt' exists but cannot be read\. It may be truncated"):
        classifier(checkpoint=cut, max_iter=0).fit(X, y)


def test_a_full_disk_leaves_the_last_checkpoint(digits, tmp_path, monkeypatch):
    path, dump = tmp_path / "fit.ckpt", joblib.dump
    X, y = digits[0][:60], digits[1][:60]
    n_written = 0

    def dump_until_full(state, file):
        nonlocal n_written
        n_written += 1
        dump(state, file)
        if n_written == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joblib, "dump", dump_until_full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        classifier(checkpoint=path).fit(X, y)
    assert caught.value.__notes__ == [
        f"checkpoint='{path}' was not written. If it exists, it has its previous content."
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]
    monkeypatch.undo()
    assert_same_model(classifier(checkpoint=path).fit(X, y), classifier().fit(X, y))
