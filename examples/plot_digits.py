"""
Handwritten digits: a network of two layers in a grid search
============================================================

Two convolutional kernel layers and a linear classifier make one Pipeline. A grid search chooses the size of the first
layer's patches (what it sees) and the width of its pooling (what it ignores), and the result is compared with
classifiers of the raw pixels on the same folds.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_ckn import CKNLayer, Flatten, LinearClassifier

digits = load_digits()
images = digits.images.astype(np.float32)  # (1797, 8, 8): one channel
folds = StratifiedKFold(n_splits=3, shuffle=True, random_state=0)

# %%
# The layers learn their filters from patches of the training images, without labels; only the last step sees labels.
# Pixels cannot move, patches can: a little pooling lets a stroke be anywhere within it, too much loses where it is.

model = make_pipeline(
    CKNLayer(n_filters=32, patch_centering=True, n_patches=5_000, random_state=0),
    CKNLayer(n_filters=64, patch_size=2, n_patches=5_000, random_state=0),
    Flatten(center=True, scale=True),
    LinearClassifier(C=10),
)
grid = {"cknlayer-1__patch_size": [3, 4, 5], "cknlayer-1__pooling_width": [1, 2, 3]}
search = GridSearchCV(model, grid, cv=StratifiedKFold(3, shuffle=True, random_state=0), n_jobs=2)

# %%
# The search is part of the classifier: in each of the three folds it sees the training part only.

start = time.perf_counter()
network = cross_val_score(search, images, digits.target, cv=folds)
search.fit(images, digits.target)
seconds = time.perf_counter() - start

pixels = images.reshape(len(images), -1)
svc = cross_val_score(SVC(), pixels, digits.target, cv=folds)
linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
logistic = cross_val_score(linear, pixels, digits.target, cv=folds)
print("3-fold accuracy on 1797 digits of 8 x 8 pixels")
print(f"  two kernel layers, linear classifier   {network.mean():.4f}")
print(f"  pixels, RBF support vector machine     {svc.mean():.4f}")
print(f"  pixels, logistic regression            {logistic.mean():.4f}")
n_fits = (len(search.cv_results_["params"]) * search.n_splits_ + 1) * (folds.n_splits + 1)
print(f"{n_fits} networks in {seconds:.0f} s; the best on all digits: {search.best_params_}")

# %%
# The grid, and what the first layer of the best network looks for: edges, lines and their ends.

sizes, widths = grid.values()
scores = search.cv_results_["mean_test_score"].reshape(len(sizes), len(widths))
filters = search.best_estimator_[0].filters_[..., 0]

figure = plt.figure(figsize=(11, 4.6), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
axes = left.subplots()
axes.imshow(scores, cmap="viridis")
axes.set(
    title="accuracy within the search",
    xlabel="pooling_width",
    xticks=range(len(widths)),
    xticklabels=widths,
    ylabel="patch_size",
    yticks=range(len(sizes)),
    yticklabels=sizes,
)
middle = (scores.min() + scores.max()) / 2
for (i, j), score in np.ndenumerate(scores):
    axes.text(j, i, f"{score:.4f}", ha="center", va="center", color="white" if score < middle else "black")
right.suptitle(f"filters of the first layer, {filters.shape[1]} x {filters.shape[2]} pixels")
limit = np.abs(filters).max()
for ax, patch in zip(right.subplots(4, 8).flat, filters):
    ax.imshow(patch, cmap="gray", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
plt.show()
