"""
Filters learned with labels
===========================

A network of very few filters is learned without labels, as always, and then with them, end to end. Without labels the
filters are what is frequent in the images; with labels they become what tells the digits apart, and few do the work of
many.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNLayer

images, labels = load_digits().images.astype(np.float32), load_digits().target
X_train, X_test, y_train, y_test = train_test_split(images, labels, test_size=0.5, random_state=0, stratify=labels)


def network(n_filters):
    first = CKNLayer(n_filters, patch_size=3, pooling_width=1, n_patches=10_000)
    return make_pipeline(first, CKNLayer(2 * n_filters, patch_size=3, pooling_width=4, n_patches=10_000))


# %%
# `max_iter=0` is the network learned without labels, with the best linear classifier on its features. Every round of
# the others is an epoch of gradient descent on all filters, and the best linear classifier again.

numbers, n_rounds, models = [2, 4, 8], 10, {}
for n_filters in numbers:
    for max_iter in (0, n_rounds):
        model = CKNClassifier(network(n_filters), max_iter=max_iter, batch_size=32, random_state=0, n_jobs=2)
        models[n_filters, max_iter] = model.fit(X_train, y_train)
errors = {key: 100 * (1 - model.score(X_test, y_test)) for key, model in models.items()}
print("test error on 899 digits, in percent")
print("  filters in the two layers" + "".join(f"{f'{n}, {2 * n}':>9}" for n in numbers))
for max_iter, name in ((0, "without labels"), (n_rounds, "with labels")):
    print(f"  {name:<25}" + "".join(f"{errors[n, max_iter]:9.1f}" for n in numbers))

# %%
# The objective of all networks after every round, the errors, and the first layer's filters of one network, before and
# after. Each is scaled to its own largest value.

figure = plt.figure(figsize=(11, 6.4), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[1.5, 1])
left, right = top.subplots(1, 2)
for n_filters, shade in zip(numbers, (0.8, 0.5, 0.1)):
    curve, color = models[n_filters, n_rounds].loss_curve_, plt.cm.viridis(shade)
    left.plot(curve, color=color)
    left.text(n_rounds + 0.3, curve[-1], f"{n_filters}, {2 * n_filters} filters", va="center", color=color)
left.set(xlabel="round", ylabel="objective", xlim=(-0.3, 1.35 * n_rounds), ylim=(0, None))
left.set_xticks(range(0, n_rounds + 1, 2))
left.spines[["top", "right"]].set_visible(False)
places = np.arange(len(numbers))
for max_iter, name, shift, color in ((0, "without labels", -0.2, "0.7"), (n_rounds, "with labels", 0.2, "tab:blue")):
    bars = right.bar(places + shift, [errors[n, max_iter] for n in numbers], 0.4, label=name, color=color)
    right.bar_label(bars, fmt="%.1f")
right.set(xlabel="filters", ylabel="test error, %", xticks=places, xticklabels=[f"{n}, {2 * n}" for n in numbers])
right.spines[["top", "right"]].set_visible(False)
right.legend(frameon=False)

n_shown = 8
for row, (max_iter, name) in enumerate(((0, "without labels"), (n_rounds, "with labels"))):
    for k, patch in enumerate(models[n_shown, max_iter].network_[0].filters_[..., 0]):
        ax = bottom.add_subplot(2, n_shown, row * n_shown + k + 1)
        limit = np.abs(patch).max()
        ax.imshow(patch, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        if k == 0:
            ax.set_ylabel(name)
plt.show()
