"""The width of the exponential kernel, estimated from the distances between patches."""

import numpy as np

QUANTILE = 0.1  # order of the quantile of the squared distances


def typical_sigma(U, rng, n_pairs=100_000):  # (k, d) directions
    """Return sigma, where ``sigma^2`` is the 0.1 quantile of ``|u - u'|^2`` over random pairs of patches.

    This rule is from Mairal et al. (2014), section 3.3. Pairs of equal patches carry no information about the scale
    and are left out. If no other pairs are drawn, sigma is 1.
    """
    i, j = rng.randint(len(U), size=(2, n_pairs))
    squared = ((U[i] - U[j]) ** 2).sum(axis=1, dtype=np.float64)
    squared = squared[squared > np.finfo(U.dtype).eps]
    return float(np.sqrt(np.quantile(squared, QUANTILE))) if len(squared) else 1.0
