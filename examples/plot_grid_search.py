"""
What to search, and how to search it fast
=========================================

Layers learn without labels and know nothing of the classifier after them. In a search over both, a `Pipeline` with
`memory` fits them once for each of their settings and folds, and reads their maps from the disk for all other values
of C.
"""

import time
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNLayer, Flatten, LinearClassifier, warmup

images, labels = load_digits().images.astype(np.float32), load_digits().target
X_train, X_test, y_train, y_test = train_test_split(images, labels, train_size=300, stratify=labels, random_state=0)
folds = StratifiedKFold(3, shuffle=True, random_state=0)


def model(C=1.0, memory=None):
    first = CKNLayer(32, pooling_width=1, patch_centering=True, n_patches=10_000, n_jobs=2, random_state=0)
    second = CKNLayer(64, patch_size=2, pooling_width=4, n_patches=10_000, n_jobs=2, random_state=0)
    classifier = LinearClassifier("squared_error", C=C, random_state=0)
    return make_pipeline(first, second, Flatten(center=True, scale=True), classifier, memory=memory)


# %%
# A search takes a list of grids. In each of these both layers have the same `sigma`, or the same kernel without one.
# The threads are left to the layers: two processes of the search could fit the same layer at the same time, before it
# is on the disk.

settings = {f"sigma={sigma}": ("sigma", sigma) for sigma in (0.25, 0.5, 0.8, 1.2)}
settings |= {kernel: ("kernel", kernel) for kernel in ("arccos1", "linear")}
layers = [{f"cknlayer-{k}__{name}": [value] for k in (1, 2)} for name, value in settings.values()]
values_of_C = [3, 30, 300, 3000]
layers_and_C = [grid | {"linearclassifier__C": values_of_C} for grid in layers]

# %%
# Three ways. The last one needs no grid for C: `LinearClassifier` chooses it from a list, on a tenth of the
# samples that it holds out in `fit`, which are few here. What has to be compiled is compiled before.

for name, value in settings.values():
    warmup(model().set_params(**{f"cknlayer-{k}__{name}": value for k in (1, 2)}), (8, 8))
with TemporaryDirectory() as folder:
    searches = {
        "grid of C": GridSearchCV(model(), layers_and_C, cv=folds),
        "grid of C\nand memory": GridSearchCV(model(memory=folder), layers_and_C, cv=folds),
        "list of C": GridSearchCV(model(values_of_C), layers, cv=folds),
    }
    seconds = []
    for name, search in searches.items():
        start = time.perf_counter()
        search.fit(X_train, y_train)
        seconds.append(time.perf_counter() - start)
        found = f"{seconds[-1]:5.1f} s, accuracy {search.best_score_:.4f} in the search"
        print(f"{' '.join(name.split()):<20}{found}, {search.score(X_test, y_test):.4f} on test digits")
print("found:", searches["grid of C"].best_params_)

# %%
# To be searched are `sigma` and C, and together: to a small `sigma`, for which only near copies of a patch resemble it,
# large values of C do most harm. `"arccos1"` has nothing to tune. `"linear"` shows what the others are good for: with
# it, the layers are linear maps.

table = searches["grid of C"].cv_results_["mean_test_score"].reshape(len(settings), len(values_of_C))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=[1.2, 1], layout="constrained")
left.imshow(table, cmap="viridis", aspect="auto")
left.set(title="accuracy within the search", xlabel="C of the classifier", yticks=range(len(settings)))
left.set(yticklabels=settings, xticks=range(len(values_of_C)), xticklabels=values_of_C)
left.tick_params(length=0)
left.spines[:].set_visible(False)
middle = (table.min() + table.max()) / 2
for (i, j), score in np.ndenumerate(table):
    left.text(j, i, f"{score:.3f}", ha="center", va="center", color="white" if score < middle else "black")
bars = right.barh(list(searches), seconds, color=["0.7", "tab:blue", "tab:blue"], height=0.55)
right.bar_label(bars, fmt="%.1f s", padding=4)
right.set(title="time of the search", xticks=[], xlim=(0, 1.15 * max(seconds)))
right.invert_yaxis()
right.tick_params(length=0)
right.spines[["top", "right", "bottom"]].set_visible(False)
plt.show()
