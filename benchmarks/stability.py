"""Measure how loose the Lipschitz constant and the bound for translations are, and count changes that exceed them.

    python benchmarks/stability.py

Networks of one to three layers are drawn at random in one to three dimensions, with all kernels of finite slope, both
poolings, both paddings, with and without subsampling, and with and without centred patches. A ratio is a change of the
representation divided by its bound as `stability_report` states it, and is at most 1 if the bound holds. Ratios are
computed with the exact kernel for random pairs of signals. They are computed with filters for pairs whose ratio has
been increased by gradient ascent, and for signals in wide margins that are translated by whole positions. All
computations are those of ``definition.py`` in double precision. The script takes about five minutes.
"""

import argparse
import json
from math import prod
from pathlib import Path

import numpy as np
from machine import describe

from sklearn_ckn import CKNLayer
from sklearn_ckn._core.layer import definition, nystroem, patches
from sklearn_ckn._core.layer.settings import lipschitz_factors
from sklearn_ckn._kernel import settings_of
from sklearn_ckn.inspection import _stability

SPACES = {1: (18,), 2: (7, 6), 3: (4, 5, 4)}
CONTENT = {1: (9,), 2: (4, 3), 3: (2, 3, 2)}  # the signals inside the margins
KERNELS = [
    *({"kernel": "exponential", "sigma": sigma} for sigma in (0.4, 0.6, 1.5)),
    *({"kernel": "polynomial", "degree": degree, "coef0": coef0} for degree, coef0 in ((2, 0), (3, 0.5), (2, 1))),
    *({"kernel": name} for name in ("inverse_polynomial", "arccos1", "vovk", "linear")),
]
LARGEST = 200_000  # maximum number of positions of a signal with margins
ROUNDING = 1e-9  # relative error of a ratio


def draw_network(rng, ndim, n_layers):
    """Return the settings of the layers, which leave a map of at least one position."""
    while True:
        settings = [settings_of(draw_layer(rng, ndim)) for _ in range(n_layers)]
        if min(spaces(settings, SPACES[ndim])[-1]) > 0:
            return settings


def draw_layer(rng, ndim):
    size, width = rng.randint(1, 4, size=2).tolist()
    return CKNLayer(
        patch_size=size,
        pooling_width=width,
        subsampling=rng.choice([None, 1]),
        pooling=str(rng.choice(["gaussian", "average"])),
        padding=str(rng.choice(["same", "valid"])),
        patch_centering=size > 1 and rng.rand() < 0.3,
        reg=1e-6,
        ndim=ndim,
        **KERNELS[rng.randint(len(KERNELS))],
    )


def spaces(settings, space):
    """Return the spatial shapes of a signal and of the maps of all layers."""
    shapes = [space]
    for layer in settings:
        shapes.append(layer.pooled_positions(shapes[-1]))
    return shapes


def draw_pair(rng, shape):
    """Return two signals that may be sparse or smooth, and independent, close, opposite, or of different sizes."""
    x, y = rng.randn(2, *shape)
    if rng.rand() < 0.3:
        x, y = x * (rng.rand(*shape) < 0.2), y * (rng.rand(*shape) < 0.2)
    if rng.rand() < 0.3:
        x, y = np.cumsum([x, y], axis=1)
    kind = rng.randint(4)
    if kind == 1:
        y = x + 10 ** rng.uniform(-3, 0) * y
    if kind == 2:
        y = 10 ** rng.uniform(-1, 1) * rng.choice([-1, 1]) * x + 0.1 * y
    if kind == 3:
        y = np.where(rng.rand(*shape) < 0.2, y, x)
    return x, y if (x != y).any() else y + 1


def exact_change(x, y, settings):
    """Return the distance of two signals according to the exact kernel."""
    k_xy, k_xx, k_yy = (np.tensordot(a, b, (-1, -1)) for a, b in ((x, y), (x, x), (y, y)))
    for layer in settings:
        k_xy, k_xx, k_yy = definition.encode_kernel(k_xy, k_xx, k_yy, layer)
    xy, xx, yy = (np.trace(K.reshape(2 * [prod(K.shape[: K.ndim // 2])])) for K in (k_xy, k_xx, k_yy))
    return np.sqrt(max(xx + yy - 2 * xy, 0))


def draw_filters(rng, X, settings, n_filters=30):
    """Return filters and whitening for each layer. The filters are patches of the signals."""
    network = []
    for layer in settings:
        P = patches.extract(X, layer.patch)
        P = P.reshape(-1, P.shape[-1])
        P = P[P.any(axis=1)] if P.any() else np.ones_like(P[:1])
        Z = patches.normalize(P[rng.permutation(len(P))[:n_filters]])[1]
        network.append((Z, nystroem.whitening(Z, layer), layer))
        X = definition.encode(X, *network[-1])
    return network


def encode(X, network):
    """Return the last maps and the intermediate results of all layers."""
    caches = []
    for Z, A, layer in network:
        X, cache = definition.encode_and_cache(X, Z, A, layer)
        caches.append(cache)
    return X, caches


def norms(X):  # (n, ...) -> (n, 1, ..., 1)
    return np.linalg.norm(X.reshape(len(X), -1), axis=1).reshape(-1, *[1] * (X.ndim - 1))


def ascend(X, Y, network, constant, n_steps=80):
    """Return the largest ratios that gradient ascent finds for pairs of signals, by steps of decreasing length."""
    best = 0
    for step in 0.5 * 0.94 ** np.arange(n_steps):
        maps, caches = encode(np.concatenate([X, Y]), network)
        change, distance = maps[: len(X)] - maps[len(X) :], norms(X - Y)
        ratio = norms(change).reshape(distance.shape) / distance
        best = np.maximum(best, ratio.ravel() / constant)
        G = np.concatenate([change, -change])
        for (Z, A, layer), cache in zip(network[::-1], caches[::-1]):
            G = definition.encode_vjp(G, Z, A, layer, cache)[0]
        G_X, G_Y = np.split(G, 2) - np.multiply.outer([1, -1], ratio**2 * (X - Y))
        size = step * distance / np.maximum(np.hypot(norms(G_X), norms(G_Y)), 1e-300)
        X, Y = X + size * G_X, Y + size * G_Y
    return best


def translation_ratios(rng, ndim, settings, n_signals):
    """Return the ratios for signals that are translated by multiples of the subsampling before the last layer."""
    steps = np.cumprod([np.ones(ndim, int), *(layer.pooling.stride for layer in settings)], axis=0)[:-1]
    reach = sum(step * np.add(layer.patch.size, layer.pooling.width) for step, layer in zip(steps, settings))
    shift = rng.randint(-2, 3, size=ndim)
    shift[rng.randint(ndim)] += shift.any() == 0
    shift *= steps[-1]
    margin = [(n + abs(t),) * 2 for n, t in zip(reach, shift)]
    if prod(n + 2 * m for n, (m, _) in zip(CONTENT[ndim], margin)) > LARGEST:
        return []
    X = np.pad(rng.randn(n_signals, *CONTENT[ndim], 1), [(0, 0), *margin, (0, 0)])
    Y = np.roll(X, shift, axis=tuple(range(1, ndim + 1)))
    network = draw_filters(rng, X[:1], settings)
    change = norms(encode(X, network)[0] - encode(Y, network)[0])
    factors = lipschitz_factors(settings, X.shape[1:-1])
    scale, _ = _stability._scale_and_beta(settings)
    bound = factors[:, :2].prod() * _stability._c2(ndim) * np.linalg.norm(shift) / scale
    return (change.ravel() / norms(X).ravel() / bound).tolist()


def measure(rng, ndim, n_layers, options):
    """Return the ratios of pairs, of ascents and of translations for networks of one kind."""
    ratios = {"pairs": [], "ascents": [], "translations": []}
    while len(ratios["pairs"]) < options.pairs / 9:
        settings, shape = draw_network(rng, ndim, n_layers), (*SPACES[ndim], rng.randint(1, 3))
        constant = lipschitz_factors(settings, shape[:-1]).prod()
        for _ in range(20):
            x, y = draw_pair(rng, shape)
            ratios["pairs"].append(exact_change(x, y, settings) / np.linalg.norm(x - y) / constant)
        if len(ratios["ascents"]) < options.ascents / 9:
            X, Y = np.swapaxes([draw_pair(rng, shape) for _ in range(4)], 0, 1)
            network = draw_filters(rng, np.concatenate([X, Y]), settings)
            ratios["ascents"] += ascend(X, Y, network, constant).tolist()
        if len(ratios["translations"]) < options.translations / 9:
            ratios["translations"] += translation_ratios(rng, ndim, settings, 4)
    return ratios


def row_of(name, ratios):
    """Return and print a summary of ratios."""
    above = int(np.sum(np.array(ratios) > 1 + ROUNDING))
    row = {"n": len(ratios), "above_1": above, "median": np.median(ratios), "largest": max(ratios)}
    print(f"{name:32s}", *(f"{value:9.4g}" for value in row.values()), flush=True)
    return {"of": name, **row}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--ascents", type=int, default=1_000)
    parser.add_argument("--translations", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "stability.json")
    options = parser.parse_args()
    rng, rows, machine = np.random.RandomState(options.seed), [], describe()
    print("                                   number   above 1    median   largest")
    for n_layers in (1, 2, 3):
        of_depth = {}
        for ndim in (1, 2, 3):
            for name, ratios in measure(rng, ndim, n_layers, options).items():
                rows.append(row_of(f"{n_layers} layers, {ndim}-D, {name}", ratios))
                of_depth.setdefault(name, []).extend(ratios)
        rows += [row_of(f"{n_layers} layers, {name}", ratios) for name, ratios in of_depth.items()]
    results = {"machine": machine, "ratios": rows}
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
