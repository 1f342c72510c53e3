"""
Small data: the exact kernel
============================

With a few hundred labels, the kernel itself can be used without any filters. It is compared with an RBF kernel of the
pixels on 100 to 1 000 handwritten digits, in a support vector machine; then a Gaussian process tunes `sigma`, by the
derivatives of its marginal likelihood.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ckn import CKNKernel, CKNLayer
from sklearn_ckn.inspection import KernelMatrixDisplay

images, labels = load_digits().images.astype(np.float32), load_digits().target
X_all, X_test, y_all, y_test = train_test_split(images, labels, test_size=297, random_state=0, stratify=labels)
kernel = CKNKernel(make_pipeline(CKNLayer(pooling_width=1, input_shape=(8, 8)), CKNLayer()), normalize=True, n_jobs=2)


def rows(images):
    return images.reshape(len(images), -1)


# %%
# Support vector machines take the kernel as a function or, as here, as a matrix, which is computed once for all
# searches. C, and gamma of the RBF kernel, are chosen by cross-validation on the training images.

numbers, scores = [100, 300, 1000], {"exact kernel": [], "RBF kernel of the pixels": []}
K, K_test = kernel(X_all[:1000]), kernel(X_test, X_all[:1000])
for n in numbers:
    X, y = X_all[:n], y_all[:n]
    machine = GridSearchCV(SVC(kernel="precomputed"), {"C": [1, 10, 100]}, cv=3).fit(K[:n, :n], y)
    scores["exact kernel"].append(machine.score(K_test[:, :n], y_test))
    grid = {"C": [1, 10, 100], "gamma": [3e-4, 1e-3, 3e-3]}
    machine = GridSearchCV(SVC(), grid, cv=3).fit(rows(X), y)
    scores["RBF kernel of the pixels"].append(machine.score(rows(X_test), y_test))
print("test accuracy of support vector machines")
print("  digits                  " + "".join(f"{n:>9}" for n in numbers))
for name, values in scores.items():
    print(f"  {name:<25}" + "".join(f"{value:9.4f}" for value in values))

# %%
# Gaussian processes want tables of numbers: `input_shape` of the first layer tells the images in them. They find
# `sigma` by themselves, starting from that of the kernel; here for four digits that resemble each other.

alike = np.isin(y_all, (3, 5, 8, 9))
X, y = rows(X_all[alike][:100]).astype(float), y_all[alike][:100]
alike = np.isin(y_test, (3, 5, 8, 9))
starts = {
    "exact kernel": CKNKernel(CKNLayer(input_shape=(8, 8)), normalize=True, n_jobs=2),
    "RBF kernel of the pixels": RBF(20.0),
}
print("test accuracy of Gaussian processes on 100 digits 3, 5, 8 and 9")
for name, start in starts.items():
    process = GaussianProcessClassifier(ConstantKernel(10.0) * start).fit(X, y)
    print(f"  {name:<25}{process.score(rows(X_test[alike]).astype(float), y_test[alike]):9.4f}")
    print(
        "   ", ", ".join(f"{np.exp(kernel.theta[1]):.2f}" for kernel in process.kernel_.kernels), "for each of the four"
    )

# %%
# Digits of one kind resemble each other, as the Gram matrix shows.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for name, values in scores.items():
    left.plot(numbers, 100 * (1 - np.array(values)), "o-", label=name)
left.set(xlabel="training digits", ylabel="test error in %", xscale="log", xticks=numbers, xticklabels=numbers)
left.minorticks_off()
left.set_ylim(bottom=0)
left.legend(frameon=False)
KernelMatrixDisplay(matrix=K[:300, :300], labels=y_all[:300]).plot(ax=right)
plt.show()
