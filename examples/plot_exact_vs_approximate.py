"""
Filters against the exact kernel
================================

A network with filters approximates the multilayer convolutional kernel; `CKNKernel` computes that kernel itself. Here
the two are compared on handwritten digits: how the error of the Gram matrix falls with the number of filters, of one
layer and of two, and how the entries of both matrices lie beside each other.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer
from sklearn_ckn.inspection import ApproximationDisplay, approximation_report

images = load_digits().images.astype(np.float32)  # (1797, 8, 8): one channel
seen = images[:100]  # compared; the filters are learned from all


def network(n_filters):
    """Two layers; the second sees patches of the first one's map, and needs more filters for the same error."""
    layers = [CKNLayer(n, patch_size=3, pooling_width=2, n_patches=5_000, random_state=0) for n in n_filters]
    return CKNFeatureMap(make_pipeline(*layers), n_jobs=2).fit(images)


# %%
# A report states the relative errors of the Gram matrices for each layer. The error of the first layer falls with the
# number of its filters, and it limits the second layer: with 16 filters in the first layer, the error remains 2 %,
# whatever the number of filters in the second layer.

numbers = [16, 64, 256, 1024]
first = [approximation_report(network([n]), seen).frobenius_error[0] for n in numbers]
second = {
    n_first: [approximation_report(network([n_first, n]), seen).frobenius_error[1] for n in numbers]
    for n_first in (16, 256)
}
print("relative error of the Gram matrix of 100 digits, in %")
print("  filters                         " + "".join(f"{n:>8}" for n in numbers))
print("  one layer                       " + "".join(f"{100 * error:8.2g}" for error in first))
for n_first, errors in second.items():
    print(f"  two layers, the first with {n_first:<5}" + "".join(f"{100 * error:8.2g}" for error in errors))

# %%
# On the right, every pair of digits with 16 filters in each layer. The projection onto filters shortens vectors, so the
# kernel of each digit with itself becomes smaller. The projection also removes differences, so the cosine of every two
# digits becomes larger. After one layer, nearly all kernels are smaller than the exact ones. After two layers, about
# four in five kernels of different digits are larger.

report = approximation_report(network([16, 16]), seen)
different = ~np.eye(len(seen), dtype=bool)
for layer, exact, approximate in zip(report.layers, report.exact, report.approximate):
    above = (approximate > exact)[different].mean()
    print(f"{layer}: {100 * above:.0f} % of the kernels of different digits are larger than the exact ones")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
left.loglog(numbers, 100 * np.array(first), "o-", label="one layer")
for n_first, errors in second.items():
    left.loglog(numbers, 100 * np.array(errors), "o-", label=f"two layers, the first with {n_first}")
left.set(
    xlabel="filters of the last layer", ylabel="error of the Gram matrix, in %", xticks=numbers, xticklabels=numbers
)
left.minorticks_off()
left.legend(frameon=False)
ApproximationDisplay(report).plot(right)
plt.show()
