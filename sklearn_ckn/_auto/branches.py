"""The branches of a feature map: networks that describe the same signals in different ways.

A branch is a network with its preprocessing, or one network for each channel. A branch compares the shapes of patches
with or without their means, the whitened signal, first differences, long dilated patches, or each channel alone. The
last map of every network is pooled to several numbers of positions, the levels of a spatial pyramid.
"""

from math import prod, sqrt
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from .._feature_map import CKNFeatureMap
from .._layer import CKNLayer
from ..preprocessing import ChannelScaler, Differences, PatchWhitening

LEVELS = 8, 4, 3, 2, 1  # numbers of positions of the levels along every axis
MOST_POSITIONS = 64  # maximum number of positions of a level
SIGMA = 0.6
PATCHES = 12  # number of patches drawn per filter
WIDTH = {1: 9, 2: 3, 3: 3}  # size of patches by the number of spatial axes
POOLING = {1: 4, 2: 2, 3: 2}  # width of the first pooling
MOST_CHANNELS = 12  # maximum number of channels for which every channel has its own network
FILTERS = {"fast": (32, 128), "balanced": (64, 256), "accurate": (64, 512)}
MORE_FILTERS = 128, 1024  # for the effort "accurate", if there are very many images
VERY_MANY = 10_000  # minimum number of images for `MORE_FILTERS`
DILATIONS = 1, 2, 4, 8


class Part(NamedTuple):
    """One network of a branch with its preprocessing, unfitted."""

    steps: tuple  # transformers before the network
    layers: tuple  # the layers of the network


class Branch(NamedTuple):
    """Networks whose kernels are added with equal weights, and the levels of their pyramids."""

    name: str
    parts: tuple
    levels: tuple
    operations: float  # number of multiplications in the layers, for one signal

    def feature_map(self, symmetries, n_jobs):
        """Return the unfitted feature map, whose levels have equal weights."""
        maps = [self._of_part(part, symmetries, n_jobs) for part in self.parts]
        if len(maps) == 1:
            return maps[0]
        names = [f"channel{i}" for i in range(len(maps))]
        return FeatureUnion(list(zip(names, maps)), transformer_weights=dict.fromkeys(names, 1 / sqrt(len(maps))))

    def _of_part(self, part, symmetries, n_jobs):
        features = CKNFeatureMap(
            clone(make_pipeline(*part.layers)),
            symmetries=symmetries,
            pyramid=dict.fromkeys(self.levels, 1 / len(self.levels)),
            center=True,
            scale=True,
            n_jobs=n_jobs,
        )
        steps = [clone(step) for step in part.steps]
        for step in steps:
            if "n_jobs" in step.get_params():
                step.set_params(n_jobs=n_jobs)
        return make_pipeline(*steps, features) if steps else features

    def split(self, features, fitted):  # (n, f), fitted feature map -> {n_positions: (n, f of the level)}
        """Return the features of each level, given those of all levels."""
        maps, sizes = networks_of(fitted), [k ** self.parts[0].layers[0].ndim for k in self.levels]
        widths = [size * features.output_shape_[-1] for features in maps for size in sizes]
        blocks = np.split(features, np.cumsum(widths)[:-1], axis=1)
        return {k: np.hstack(blocks[i :: len(sizes)]) for i, k in enumerate(self.levels)}


class Builder(NamedTuple):
    """Settings that all branches for one kind of signals share."""

    shape: tuple  # (*space, n_channels), where None stands for sizes that differ
    smallest: tuple  # (*space,) smallest size of any signal along every axis
    input_shape: tuple  # parameter of the first step, or None
    n_filters: tuple
    random_state: object

    @property
    def ndim(self):
        return len(self.smallest)

    def two_layers(self, name, *, steps=((),), centred, few=False):
        """Return a branch of two layers, with one part for each preprocessing in ``steps``."""
        m = tuple(n // 2 for n in self.n_filters) if few else self.n_filters
        parts, operations = [], 0.0
        for each in steps:
            space = self.space_after(each)
            widths = tuple(max(1, min(POOLING[self.ndim], n // 4)) for n in space)
            pooled = tuple(-(-n // w) for n, w in zip(space, widths))
            first = self.layer(m[0], space, pooling_width=widths, patch_centering=centred)
            second = self.layer(m[1], pooled, **fixed(pooled))
            parts.append(self.part(each, (first, second)))
            operations += multiplications(first, space, self.n_channels(each)) + multiplications(second, pooled, m[0])
        return Branch(name, tuple(parts), levels(pooled), operations)

    def one_layer(self, name, *, steps=(), dilation):
        """Return a branch of one layer with dilated patches."""
        space = self.space_after(steps)
        layer = self.layer(self.n_filters[-1], space, dilation=dilation, patch_centering=True, **fixed(space))
        operations = multiplications(layer, space, self.n_channels(steps))
        return Branch(name, (self.part(steps, (layer,)),), levels(space), operations)

    def space_after(self, steps):
        """Return the smallest size along every axis after the preprocessing."""
        return tuple(n - sum(isinstance(step, Differences) for step in steps) for n in self.smallest)

    def n_channels(self, steps):
        """Return the number of channels after the preprocessing."""
        chosen = [step.channels for step in steps if isinstance(step, ChannelScaler) and step.channels is not None]
        return len(chosen[-1]) if chosen else self.shape[-1]

    def layer(self, n_filters, space, **parameters):
        """Return a layer whose patches are no larger than the maps."""
        return CKNLayer(
            n_filters,
            patch_size=tuple(min(WIDTH[self.ndim], n) for n in space),
            sigma=SIGMA,
            n_patches=PATCHES * n_filters,
            ndim=self.ndim,
            random_state=self.random_state,
            **parameters,
        )

    def part(self, steps, layers):
        """Return a part. Every step that reads rows is given the shape of the signals in these rows."""
        for step, following in zip(steps, (*steps[1:], layers[0])):
            if isinstance(step, Differences):
                following.set_params(input_shape=(*self.space_after(steps), self.n_channels(steps)))
        if self.input_shape is not None:
            (*steps, layers[0])[0].set_params(input_shape=self.input_shape)
        return Part(tuple(steps), layers)


def multiplications(layer, space, n_channels):
    """Return the number of multiplications of a layer for one map: of patches by filters, and by the whitening."""
    m = layer.n_filters
    return prod(space) * (prod(layer.patch_size) * n_channels + m) * m


def levels(space):
    """Return the levels that suit a map with given sizes, finest first."""
    found = tuple(k for k in LEVELS if k <= min(space) and k ** len(space) <= MOST_POSITIONS)
    return found or (1,)


def fixed(space):
    """Return the parameters of a last layer that pools a map to its finest level."""
    return {"n_positions": max(levels(space)), "pooling": "average"}


def numbers_of_filters(effort, ndim, limits):
    """Return the numbers of filters of two layers.

    The effort "accurate" uses more filters for very many images, if the features of two networks at 3 x 3 positions
    are within the limits.
    """
    can_use_more = effort == "accurate" and ndim == 2 and limits.n_samples >= VERY_MANY
    more = can_use_more and limits.allow_features(2 * 3**2 * MORE_FILTERS[1])
    return MORE_FILTERS if more else FILTERS[effort]


def candidates(n_filters, shape, smallest, input_shape, whiten, random_state):
    """Return the branches that may suit signals of a given shape, ordered from the most to the least generally useful.

    Parameters
    ----------
    n_filters : pair of ints, numbers of filters of two layers
    shape : tuple, ``(*space, n_channels)``, where None stands for sizes that differ between signals
    smallest : tuple of ints, smallest size of any signal along every spatial axis
    input_shape : tuple or None, shape of the signals if they are passed in rows
    whiten : {"auto", True, False}
    random_state : int
    """
    builder = Builder(shape, smallest, input_shape, n_filters, random_state)
    return (_of_series if builder.ndim == 1 else _of_images)(builder, whiten)


def _of_images(builder, whiten):
    """Return branches for images and volumes."""
    found, can_whiten = [], builder.ndim == 2 and min(builder.smallest) >= WIDTH[2]
    if whiten is not True or not can_whiten:
        found += [builder.two_layers("centred", centred=True), builder.two_layers("uncentred", centred=False)]
    if whiten is not False and can_whiten:
        found.append(builder.two_layers("whitened", steps=[(PatchWhitening(WIDTH[2]),)], centred=False))
    return found


def _of_series(builder, whiten):
    """Return branches for series, whose channels are brought to one scale."""
    n_channels, (length,) = builder.shape[-1], builder.smallest
    have_differences = None not in builder.shape and length > WIDTH[1]

    def scaled(**parameters):
        return (ChannelScaler(ndim=1, **parameters),) if n_channels > 1 else ()

    found = [
        builder.two_layers("uncentred", steps=[scaled()], centred=False),
        builder.two_layers("centred", steps=[scaled()], centred=True),
    ]
    if have_differences:
        found.append(builder.two_layers("differences", steps=[(Differences(),)], centred=True))
        found.append(builder.two_layers("differences_uncentred", steps=[(Differences(),)], centred=False))
    for dilation in DILATIONS:
        if dilation * WIDTH[1] <= length:
            found.append(builder.one_layer(f"dilated{dilation}", steps=scaled(), dilation=dilation))
    if 1 < n_channels <= MOST_CHANNELS:
        alone = [scaled(channels=[c]) for c in range(n_channels)]
        found.append(builder.two_layers("channels", steps=alone, centred=True, few=True))
        if have_differences:
            steps = [(*scaled(channels=[c]), Differences()) for c in range(n_channels)]
            found.append(builder.two_layers("channel_differences", steps=steps, centred=True, few=True))
    return found


def feature_union(maps, weights):  # {name: feature map}, {name: weight} -> FeatureUnion
    """Return the FeatureUnion whose kernel is the weighted sum of the kernels of feature maps, fitted or not."""
    return FeatureUnion(list(maps.items()), transformer_weights={name: sqrt(weights[name]) for name in maps})


def with_choice(feature_map, pyramid, symmetries):
    """Set the pyramid and the symmetries of the feature map of a branch, fitted or not, and return it."""
    for network in networks_of(feature_map):
        network.set_params(pyramid=pyramid, symmetries=symmetries)
    return feature_map


def networks_of(feature_map):  # -> [CKNFeatureMap]
    """Return the networks in the feature map of a branch."""
    is_union = isinstance(feature_map, FeatureUnion)
    parts = [part for _, part in feature_map.transformer_list] if is_union else [feature_map]
    return [part[-1] if isinstance(part, Pipeline) else part for part in parts]


def with_gaussian_kernel(n_landmarks, sigma, factors, random_state, n_jobs):  # -> FeatureUnion
    """Return a union that appends features of a Gaussian kernel to the given features, which have norm 1.

    The dict ``factors`` contains the factors of the features ``"linear"`` and ``"gaussian"``, which are 1 if absent.
    The Gaussian kernel is approximated by a layer that reads each row of features as a single patch.
    """
    layer = CKNLayer(
        n_landmarks,
        patch_size=1,
        pooling_width=1,
        sigma=sigma,
        init="random",
        n_patches=2 * n_landmarks,  # drawn patches may be equal, and only distinct patches are kept
        ndim=1,
        input_shape=(1, -1),
        random_state=random_state,
    )
    parts = [("linear", "passthrough"), ("gaussian", CKNFeatureMap(layer, n_jobs=n_jobs))]
    return FeatureUnion(parts, transformer_weights=factors)
