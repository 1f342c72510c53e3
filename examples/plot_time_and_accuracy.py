"""
Accuracy against seconds
========================

How much time does a more accurate classifier take? This example compares `AutoCKNClassifier`, networks of 8 to 128
filters, the exact kernel and classifiers of the pixels. Each model is fitted to 300 handwritten digits and classifies
500 others, which takes between milliseconds and seconds.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_ckn import AutoCKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, LinearClassifier, warmup

images, labels = load_digits().images.astype(np.float32), load_digits().target
pixels = images.reshape(len(images), -1)
draws = list(StratifiedShuffleSplit(3, train_size=300, test_size=500, random_state=0).split(images, labels))


def network(n_filters):
    first = CKNLayer(n_filters // 2, pooling_width=1, patch_centering=True, n_patches=30 * n_filters, random_state=0)
    second = CKNLayer(n_filters, n_patches=30 * n_filters, random_state=0)
    features = CKNFeatureMap(make_pipeline(first, second), center=True, scale=True, n_jobs=2)
    return make_pipeline(features, LinearClassifier(C=10, n_jobs=2))


# %%
# The networks do not pool in their first layer, which suits images as small as these, and have C=10, as the support
# vector machines have. `AutoCKNClassifier` chooses its networks and its C in `fit`. `warmup` compiles in advance what
# the first call would compile, so that compilation is not part of the measured time.

exact = CKNKernel(make_pipeline(CKNLayer(pooling_width=1, patch_centering=True), CKNLayer()), normalize=True, n_jobs=2)
kinds = {
    "networks": {f"{n} filters": network(n) for n in (8, 16, 32, 64, 128)},
    "chosen": {
        f'chosen, "{effort}"': AutoCKNClassifier(effort, n_jobs=2, random_state=0) for effort in ("fast", "balanced")
    },
    "exact kernel": {"exact kernel, SVC": SVC(kernel=exact, C=10)},
    "pixels": {
        "pixels, logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "pixels, nearest neighbour": KNeighborsClassifier(1),
        "pixels, SVC": SVC(C=10),
    },
}
points = {}
print("median seconds of fit and predict, and mean test error in percent, of three draws")
for kind, models in kinds.items():
    X = pixels if kind == "pixels" else images
    for name, model in models.items():
        if kind != "pixels":
            warmup(model, (8, 8))
        seconds, errors = [], []
        for train, test in draws:
            start = time.perf_counter()
            predicted = model.fit(X[train], labels[train]).predict(X[test])
            seconds.append(time.perf_counter() - start)
            errors.append(100 * np.mean(predicted != labels[test]))
        points[name] = np.median(seconds), np.mean(errors)
        print(f"  {name:<28}{points[name][0]:7.3f} s {points[name][1]:7.2f} %")

# %%
# Lower points are more accurate, and points further to the left are faster. With three draws, differences of some
# tenths of a percent are not significant.

figure, ax = plt.subplots(figsize=(9, 5.4), layout="constrained")
styles = {
    "networks": ("tab:blue", "o-"),
    "chosen": ("tab:green", "D"),
    "exact kernel": ("tab:orange", "s"),
    "pixels": ("0.5", "o"),
}
places = {"networks": ((-9, -9), "right"), "pixels": ((0, 9), "center"), "chosen": ((0, 9), "center")}  # of their names
below = "pixels, SVC", 'chosen, "balanced"'
for kind, models in kinds.items():
    color, style = styles[kind]
    ax.plot(*np.transpose([points[name] for name in models]), style, color=color, markersize=8)
    for name in models:
        place, side = places.get(kind, ((9, 3), "left"))
        place = (0, -18) if name in below else place
        ax.annotate(name, points[name], place, textcoords="offset points", color=color, ha=side)
ax.set(xscale="log", xlabel="seconds of fit and predict", ylabel="test error in %")
ax.set_ylim(0, 1.1 * max(error for _, error in points.values()))
ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
low, high = ax.get_xlim()
ax.set_xlim(0.5 * low, 2.5 * high)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
