"""Layers for the tests of the exact kernel."""

from sklearn_ckn import CKNLayer


def layer(ndim=2, **parameters):
    """Return a layer with the parameters that most tests share."""
    return CKNLayer(**{"ndim": ndim, "degree": 3, "coef0": 0.5, **parameters})
