"""What the parameters of layers do to accuracy: one parameter at a time, over four sets of images.

    python benchmarks/defaults.py --data FOLDER

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz`` and ``cifar10.npz``; the digits are scikit-learn's. A network of two
layers is learned from some thousand training images and judged on other training images; no test image is looked at.
The results go to ``--output``, and the figures of ``doc/defaults.rst`` to ``--figures``.
"""

import json
from pathlib import Path

import held_out
import numpy as np
from machine import describe
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer, Flatten, PatchWhitening

POOLING = {"digits": (1, 2), "mnist": (2, 4), "fashion_mnist": (2, 4), "cifar10": (2, 6)}

SWEEPS = {  # parameter: its values, of both layers unless they are pairs
    "sigma": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, "auto"],
    "n_filters": [(16, 64), (32, 128), (64, 256), (128, 512), (256, 1024)],
    "patch_size": [(2, 3), (3, 2), (3, 3), (4, 3), (3, 4), (5, 3), (3, 5)],
    "pooling": ["gaussian", "average"],
    "patch_centering": [(False, False), (True, False), (True, True)],
    "kernel": ["exponential", "arccos1", "inverse_polynomial", "polynomial", "vovk", "linear"],
    "reg": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "n_patches": [1_000, 3_000, 10_000, 30_000, 100_000],
    "max_iter": [0, 2, 5, 20],
}
ENDS = {  # center and scale of the features
    "nothing": (False, False),
    "scale": (False, True),
    "center": (True, False),
    "center and scale": (True, True),
}
LOSSES = ["squared_hinge", "logistic", "squared_error"]
WITHOUT_ORDER = {"patch_size", "pooling", "patch_centering", "kernel", "features", "loss"}
LOWEST = -5  # % that is drawn


def base(name, seed):
    """The network that is varied: the package's defaults, but for the numbers of filters and of patches to learn them
    from, pooling, and centred first patches of grey images."""
    first, second = POOLING[name]
    return make_pipeline(
        CKNLayer(32, pooling_width=first, patch_centering=name != "cifar10", n_patches=10_000, random_state=seed),
        CKNLayer(128, pooling_width=second, n_patches=10_000, random_state=seed),
    )


def vary(network, parameter, value):
    values = value if isinstance(value, tuple) else (value, value)
    for (_, layer), one in zip(network.steps, values):
        layer.set_params(**{parameter: one})
    return network


def measure(name, options):
    """Accuracies in % of all settings on one set of images, one for every seed."""
    results = {}

    def record(parameter, value, score):
        scores = results.setdefault(parameter, {}).setdefault(str(value), [])
        scores.append(round(score, 2))
        print(name, parameter, value, scores, flush=True)

    for seed in range(options.seeds):
        X, y, X_test, y_test = held_out.images_of(name, options.data, seed, options.train, options.test)
        if name == "cifar10":
            whitening = PatchWhitening(n_jobs=2).fit(X)
            X, X_test = whitening.transform(X), whitening.transform(X_test)
        known = {}
        for parameter, values in SWEEPS.items():
            for value in values:
                network = vary(base(name, seed), parameter, value)
                key = repr([layer.get_params() for _, layer in network.steps])
                if key not in known:
                    features = CKNFeatureMap(network, center=True, scale=True, n_jobs=2).fit(X)
                    F, F_test = features.transform(X), features.transform(X_test)
                    known[key] = held_out.accuracy(F, y, F_test, y_test)[0]
                record(parameter, value, known[key])
        features = CKNFeatureMap(base(name, seed), n_jobs=2).fit(X)
        F, F_test = features.transform(X), features.transform(X_test)
        size = np.linalg.norm(F, axis=1).mean()
        for end, (center, scale) in ENDS.items():
            flatten = Flatten(center=center, scale=scale)
            parts = [flatten.fit_transform(part if scale else part / size) for part in (F, F_test)]
            record("features", end, held_out.accuracy(parts[0], y, parts[1], y_test)[0])
        flatten = clone(flatten).set_params(center=True, scale=True)
        for loss in LOSSES:
            found = held_out.accuracy(flatten.fit_transform(F), y, flatten.transform(F_test), y_test, loss)
            record("loss", loss, found[0])
    return results


def draw(results, folder):
    """One figure for every parameter: accuracy less that of the best value, for all sets of images.

    Numbers are joined by lines.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for parameter in next(iter(results.values())):
        figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
        for name, of_set in results.items():
            cells = of_set[parameter]
            means = np.array([np.mean(scores) for scores in cells.values()])
            below = means - means.max()
            (points,) = axes.plot(range(len(below)), below, "o", label=f"{name}, best {means.max():.1f} %")
            if parameter not in WITHOUT_ORDER:
                axes.plot(below[: len(below) - ("auto" in cells)], color=points.get_color())
        axes.set_xticks(range(len(cells)), cells)
        axes.set(xlabel=parameter, ylabel="accuracy less the best, %")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], LOWEST))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
        figure.savefig(folder / f"{parameter}.svg", metadata={"Date": None})
        plt.close(figure)


def main():
    parser = held_out.parser(__doc__.partition("\n")[0], "defaults", POOLING, train=5000, test=10_000, seeds=2)
    parser.add_argument("--figures", type=Path, default=held_out.HERE.parent / "doc" / "defaults")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.figures.mkdir(parents=True, exist_ok=True)
    settings = {"train": options.train, "test": options.test, "seeds": options.seeds, "machine": describe()}
    results = {name: measure(name, options) for name in options.datasets}
    options.output.write_text(json.dumps(settings | {"results": results}, indent=1) + "\n")
    draw(results, options.figures)


if __name__ == "__main__":
    main()
