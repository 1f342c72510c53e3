"""Images and layers for the tests of the inspection of networks."""

from sklearn.datasets import load_digits

from sklearn_ckn import CKNLayer

DIGITS, LABELS = load_digits().images[:60], load_digits().target[:60]
KINDS = ["warp", "translation", "rotation"]


def layer(n_filters=8, **parameters):
    """Return a layer that is fitted quickly."""
    return CKNLayer(n_filters, **{"n_patches": 400, "max_iter": 3, "random_state": 0, **parameters})
