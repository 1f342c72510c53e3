"""Targets: the standardisation of real numbers."""

import numpy as np
import pytest
from supervised import regressor

from sklearn_ckn import LinearRegressor
from sklearn_ckn._targets import hold_out


@pytest.mark.parametrize("offset", [0, 1e6, 1e9])
def test_targets_may_have_a_mean_far_larger_than_their_deviations(offset, digits):
    X, y = digits
    model = regressor(max_iter=2, early_stopping=True).fit(X, y + offset)
    held_out = hold_out(model, np.ones(len(X)), None, "", "")
    assert max(model.validation_scores_) > 0.4
    assert model.score(X[held_out], y[held_out] + offset) == pytest.approx(max(model.validation_scores_), rel=1e-3)
    assert model.partial_fit(X, y + offset).score(X, y + offset) > 0.5
    linear = LinearRegressor().fit(X.reshape(300, -1) / 16, y + offset)
    assert linear.score(X.reshape(300, -1) / 16, y + offset) > 0.7
