"""The whitening of patches: its second moments, and signals that are put together from their patches."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_ckn._core import patch_whitening
from sklearn_ckn._core.layer import patches

SPACES = [((9,), (3,)), ((6, 7), (3, 2)), ((4, 5, 4), (2, 2, 3))]


def test_whitened_patches_have_equal_second_moments(rng):
    """The second moments are equal in all directions except the constant one, which centred patches do not have."""
    patch = patches.PatchGeometry.of((2, 2), "valid", centering=True)
    settings = patch_whitening.WhiteningSettings(patch, normalize_contrast=False, exponent=0.5, reg=0)
    P = patch_whitening.centred_patches(rng.randn(3, 12, 12, 1).cumsum(axis=1).cumsum(axis=2), settings)
    W = patch_whitening.local_whitening(P, settings)
    assert_allclose(patch_whitening.second_moments(P @ W), np.broadcast_to(np.eye(4) - 0.25, (3, 4, 4)), atol=1e-10)


@pytest.mark.parametrize("space, size", SPACES, ids=["1-D", "2-D", "3-D"])
def test_a_signal_is_put_together_from_its_own_patches(space, size, rng):
    X = rng.randn(3, *space, 2)
    patch = patches.PatchGeometry.of(size, "valid")
    P = patches.extract(X, patch)
    assert_allclose(patch_whitening.put_together(P.reshape(3, -1, P.shape[-1]), X.shape[1:], patch), X, rtol=1e-12)
