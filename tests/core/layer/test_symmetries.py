"""Groups of symmetries: their elements, their axioms, and means over orbits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_ckn._core.layer import symmetries

CASES = [(name, (5, 5, 2)) for name in symmetries.GROUPS]  # (*space, c)
CASES += [(name, shape) for name in (None, "flip") for shape in ((7, 2), (5, 6, 2), (3, 4, 5, 2))]
every_group = pytest.mark.parametrize("group, shape", CASES, ids=str)


def images_of(x, group):
    """Return the images of one signal under all elements of a group."""
    return symmetries.orbits(x[None], group)


@every_group
def test_groups_are_closed_and_their_elements_differ(group, shape, rng):
    x = rng.rand(*shape)
    images = images_of(x, group)
    assert len({image.tobytes() for image in images}) == symmetries.order(group) == len(images)
    assert_array_equal(images[0], x)
    for image in images:  # the products of this element and all elements
        assert {other.tobytes() for other in images_of(image, group)} == {other.tobytes() for other in images}


def test_groups_consist_of_mirror_images_and_quarter_turns(rng):
    x = rng.rand(4, 4, 2)
    turned = [np.rot90(x, k) for k in range(4)]
    expected = {"flip": [x, x[:, ::-1]], "rotate": turned, "dihedral": [*turned, *(y[:, ::-1] for y in turned)]}
    for group, elements in expected.items():
        assert {y.tobytes() for y in images_of(x, group)} == {y.tobytes() for y in elements}
    x = rng.rand(3, 4, 5, 2)
    assert_array_equal(images_of(x, "flip")[1], x[:, :, ::-1])
    assert_array_equal(images_of(x[0, 0], "flip")[1], x[0, 0, ::-1])


@every_group
def test_orbits_of_several_maps_are_those_of_each_map(group, shape, rng):
    X = rng.rand(3, *shape)
    together = symmetries.orbits(X, group).reshape(-1, *X.shape)
    for i, x in enumerate(X):
        assert_array_equal(together[:, i], images_of(x, group))


@every_group
def test_means_are_invariant_bit_for_bit_and_have_their_adjoint_as_derivative(group, shape, rng):
    x, G = rng.randn(*shape), rng.randn(2, 3)
    means = [symmetries.mean_over_orbits(np.exp(images_of(y, group)), group) for y in images_of(x, group)]
    assert_allclose(means[0][0], np.exp(images_of(x, group)).mean(axis=0), rtol=1e-14)
    for mean in means:
        assert_array_equal(mean, means[0])
    Y = rng.randn(2 * symmetries.order(group), 3)
    forward = (symmetries.mean_over_orbits(Y, group) * G).sum()
    assert forward == pytest.approx((Y * symmetries.mean_over_orbits_vjp(G, group)).sum())
