"""
Handwritten digits: a first network
===================================

Two convolutional kernel layers and a linear classifier make one Pipeline. A grid search chooses the size of the first
layer's patches (what it sees) and the width of its pooling (what it ignores), and the result is compared with
classifiers of the raw pixels.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_ckn import CKNLayer, Flatten, LinearClassifier

images, labels = load_digits().images.astype(np.float32), load_digits().target  # (1797, 8, 8): one channel
X_train, X_test, y_train, y_test = train_test_split(images, labels, test_size=0.5, random_state=0, stratify=labels)

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
# The search sees the training images only; the test images are looked at once, at the end.

print("compiling, which is done once, and searching ...", flush=True)
start = time.perf_counter()
search.fit(X_train, y_train)
seconds = time.perf_counter() - start

rows_train, rows_test = X_train.reshape(len(X_train), -1), X_test.reshape(len(X_test), -1)
machine = GridSearchCV(SVC(), {"C": [1, 10, 100]}).fit(rows_train, y_train)
linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(rows_train, y_train)
print(f"accuracy on {len(X_test)} digits of 8 x 8 pixels, {len(X_train)} others to learn from")
print(f"  two kernel layers, linear classifier   {search.score(X_test, y_test):.4f}")
print(f"  pixels, RBF support vector machine     {machine.score(rows_test, y_test):.4f}")
print(f"  pixels, logistic regression            {linear.score(rows_test, y_test):.4f}")
n_fits = len(search.cv_results_["params"]) * search.n_splits_ + 1
print(f"{n_fits} networks in {seconds:.0f} s; the best of them has {search.best_params_}")

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
