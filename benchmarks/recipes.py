"""What the steps of the recipes do to accuracy: a recipe, and the same with something changed.

    python benchmarks/recipes.py --data FOLDER

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz``, ``cifar10.npz`` and ``ucr/*.npz``. All is learned from some of the
training images and judged on others, or cross-validated on the training signals; no test data is looked at. Results go
to ``--output``, and as tables to ``--tables``.
"""

import csv
import json
import warnings
from pathlib import Path
from unittest.mock import patch

import held_out
import numpy as np
from accuracy import SIGNALS, signals
from machine import describe
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from sklearn_ckn import presets

LAYER = "cknfeaturemap__network__cknlayer-{}__{}".format
ALONE = {"featureunion": "passthrough"}
KERNEL_ALONE = {"featureunion__linear": "drop", "featureunion__transformer_weights": None}
HINGE = {"linearclassifier__loss": "squared_hinge"}
HALF_WHITENING = {"exponent": 0.25, "reg": 0, "normalize_contrast": False}
MORE_PATCHES = {LAYER(layer, "n_patches"): 100_000 for layer in (1, 2)}
CHANGES = {
    "cifar10": {
        "none: whitening, flips, a Gaussian kernel beside the features": {},
        "the Gaussian kernel alone": KERNEL_ALONE,
        "the features alone": ALONE,
        "the features alone, without flips": ALONE | {"cknfeaturemap__symmetries": None},
        "the features alone, whitening with exponent=0.25, reg=0, normalize_contrast=False": ALONE
        | {f"patchwhitening__{name}": value for name, value in HALF_WHITENING.items()},
        "the features alone, whitening learned from all images": ALONE | {"patchwhitening__method": "global"},
        "the features alone, pixels with centred first patches": ALONE
        | {"patchwhitening": "passthrough", LAYER(1, "patch_centering"): True},
        "the features alone, second patches centred": ALONE | {LAYER(2, "patch_centering"): True},
        "the features alone, 100 000 patches to learn from": ALONE | MORE_PATCHES,
        "the squared hinge loss": HINGE,
        "the features alone, the squared hinge loss": ALONE | HINGE,
    },
    "mnist": {
        "none: all patches centred, a Gaussian kernel beside the features": {},
        "the Gaussian kernel alone": KERNEL_ALONE,
        "the features alone": ALONE,
        "second patches not centred": {LAYER(2, "patch_centering"): False},
        "second patches of 3 positions": {LAYER(2, "patch_size"): 3},
        "100 000 patches to learn from": MORE_PATCHES,
        "the squared hinge loss": HINGE,
        "the features alone, the squared hinge loss": ALONE | HINGE,
    },
}
CHANGES["fashion_mnist"] = CHANGES["mnist"]
PARTS = "featureunion__{}".format
CHANGES[SIGNALS] = {
    "none: shapes, differences and levels": {},
    "without levels": {PARTS("levels"): "drop"},
    "without differences": {PARTS("differences"): "drop"},
    "first pooling of 2 positions": {"first_pooling": 2},
    "first pooling of 8 positions": {"first_pooling": 8},
    "100 000 patches to learn from": {
        PARTS(f"{part}__network__cknlayer-{layer}__n_patches"): 100_000
        for part in ("shapes", "differences__cknfeaturemap", "levels")
        for layer in (1, 2)
    },
}
SMALLER = {"cifar10": {LAYER(1, "n_filters"): 64, LAYER(2, "n_filters"): 256}}  # for the time that it takes
SYMMETRIES = {"cifar10": "flip", "fashion_mnist": "flip"}


def measure(name, options):
    """Accuracies in % and the best C, one for every change and seed."""
    scores = {change: [] for change in CHANGES[name]}
    for seed in range(options.seeds):
        X, y, X_test, y_test = held_out.images_of(name, options.data, seed, options.train, options.test)
        recipe = presets.make_classifier(
            "accurate", X.shape[1:], symmetries=SYMMETRIES.get(name), n_jobs=2, random_state=seed
        )
        recipe.set_params(**SMALLER.get(name, {}))
        for change, parameters in CHANGES[name].items():
            changed = clone(recipe).set_params(**parameters)
            steps, loss = changed[:-1], changed[-1].loss
            score, C = held_out.accuracy(steps.fit_transform(X), y, steps.transform(X_test), y_test, loss)
            scores[change].append((round(score, 2), C))
            print(name, change, scores[change], flush=True)
    return scores


def cross_validate(options):
    """The same for the "balanced" recipe of signals: means over all sets."""
    scores, sets = {change: [] for change in CHANGES[SIGNALS]}, list(signals(options))
    for seed in range(options.seeds):
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        for change, parameters in CHANGES[SIGNALS].items():
            fields = {name: parameters[name] for name in parameters if name in presets.Recipe._fields}
            settings = {name: value for name, value in parameters.items() if name not in fields}
            of_sets = []
            for _, X, y, *_ in sets:
                with patch.dict(presets.RECIPES["signals"], balanced=presets.SIGNALS._replace(**fields)):
                    recipe = presets.make_classifier("balanced", X.shape[1:], ndim=1, n_jobs=2, random_state=seed)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # classes of two signals
                    of_sets.append(100 * cross_val_score(recipe.set_params(**settings), X, y, cv=folds).mean())
            scores[change].append((round(float(np.mean(of_sets)), 2), None))
            print(SIGNALS, change, scores[change], flush=True)
    return scores


def table(scores):
    """Rows of errors, and of the best C where it was looked for."""
    rows = [["changed", "error, %", "best C"]]
    for change, found in scores.items():
        errors, best = [f"{100 - score:.2f}" for score, _ in found], [f"{C:g}" for _, C in found if C]
        rows.append([change, ", ".join(errors), ", ".join(best)])
    return rows if any(row[-1] for row in rows[1:]) else [row[:-1] for row in rows]


def main():
    parser = held_out.parser(__doc__.partition("\n")[0], "recipes", CHANGES, train=20_000, test=20_000, seeds=1)
    parser.add_argument("--tables", type=Path, default=held_out.HERE.parent / "doc" / "benchmarks")
    options = parser.parse_args()
    settings = {"seeds": options.seeds, "machine": describe()}
    known = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.datasets:
        of_images = {} if name == SIGNALS else {"train": options.train, "test": options.test}
        scores = measure(name, options) if of_images else cross_validate(options)
        known[name] = of_images | settings | {"scores": scores}
        options.output.write_text(json.dumps(known, indent=1) + "\n")
        with (options.tables / f"recipes_{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table(scores))


if __name__ == "__main__":
    main()
