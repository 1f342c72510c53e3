"""The vector-Jacobian products of the definition, compared with central differences."""

import pytest
from gradients import CASES, KERNELS, a_layer, assert_is_gradient

from sklearn_ckn._core import riemannian_sgd
from sklearn_ckn._core.layer import definition, patches


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_encode_vjp_equals_central_differences(kernel, case, ndim, rng):
    layer, X, Z, A = a_layer(rng, ndim, {"kernel": kernel, **case})
    Y, cache = definition.encode_and_cache(X, Z, A, layer)
    G = rng.randn(*Y.shape)
    G_X, G_Z, G_A = definition.encode_vjp(G, Z, A, layer, cache)
    assert_is_gradient(G_X, lambda X: (G * definition.encode(X, Z, A, layer)).sum(), X, rng)
    on_spheres = riemannian_sgd.tangent(G_Z, Z)

    def at_filters(Z):
        return (G * definition.encode(X, patches.normalize(Z)[1], A, layer)).sum()

    assert_is_gradient(on_spheres, at_filters, Z, rng)
    assert_is_gradient(G_A, lambda A: (G * definition.encode(X, Z, A, layer)).sum(), A, rng)
