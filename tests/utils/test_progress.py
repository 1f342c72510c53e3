"""Progress of long tasks: printed lines, and callbacks of scikit-learn."""

import numpy as np
import pytest
from supervised import classifier, layer, network

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer


def test_verbose_estimators_print_their_progress(digits, capsys):
    classifier(max_iter=1, verbose=True, early_stopping=True).fit(*digits)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s: ")[1].split(",")[0] for line in lines] == [
        "cknlayer-1", "cknlayer-2", "linear model", "round 1",
    ]  # fmt: skip
    assert "objective" in lines[-1] and "validation score" in lines[-1]
    feature_map = CKNFeatureMap(network(), verbose=True).fit(digits[0])
    assert capsys.readouterr().out.count("[CKNFeatureMap]") == 2
    feature_map.transform(digits[0])
    CKNKernel(CKNLayer(), verbose=True)(digits[0][:30])
    lines = capsys.readouterr().out.splitlines()
    last = {line.split()[0]: line.partition(" s: ")[2] for line in lines}
    n = len(digits[0])
    assert last == {"[CKNFeatureMap]": f"{n} of {n} signals", "[CKNKernel]": "465 of 465 pairs"}


class RecordingCallback:
    """A callback that records its calls, and asks to stop after a given task."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at, self.scores = [], stop_at, []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.calls.append(context.task_name)
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == self.stop_at

    def teardown(self, estimator, context):
        self.calls.append("teardown")


def test_callbacks_see_every_task_and_can_stop_the_training(digits):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    callback = RecordingCallback()
    model = classifier(max_iter=2).set_callbacks(callback).fit(*digits)
    tasks = ["cknlayer-1", "cknlayer-2", "linear model", "round 1", "round 2", "fit"]
    assert callback.calls == ["setup", *tasks, "teardown"]
    assert len(callback.scores) == 4 and callback.scores[-1] == model.score(*digits)
    model = classifier(max_iter=9).set_callbacks(RecordingCallback(stop_at="round 1")).fit(*digits)
    assert model.n_iter_ == 1
    callback = RecordingCallback()
    model = classifier().set_callbacks(callback).partial_fit(*digits, classes=np.arange(10))
    assert callback.calls == ["setup", *tasks[:3], "epoch", "fit", "teardown"]
    callback.calls.clear()
    model.partial_fit(*digits)
    assert callback.calls == ["setup", "epoch", "fit", "teardown"]
    callback = RecordingCallback()
    CKNFeatureMap(network()).set_callbacks(callback).fit(digits[0])
    assert callback.calls == ["setup", "cknlayer-1", "cknlayer-2", "fit", "teardown"]
    callback = RecordingCallback()
    layer().set_callbacks(callback).fit(digits[0])
    assert callback.calls == ["setup", "fit", "teardown"]
