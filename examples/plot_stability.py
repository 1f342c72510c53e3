"""
Stability to deformations
=========================

A kernel network hardly notices a small deformation of an image. Digits are deformed by smooth random warps of growing
size, and the relative change of their representation under the exact kernel of two layers is measured, as in the
experiment of Bietti and Mairal (2019, section 3.4): more pooling makes it more stable, larger patches less.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNKernel, CKNLayer
from sklearn_ckn.inspection import StabilityDisplay, deformation

digits = load_digits().images[:24].repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)  # 16 x 16 pixels
sizes = [0, 0.5, 1, 1.5, 2, 2.5, 3]  # largest displacement, in pixels


def kernel(patch_size=3, pooling_width=4):
    """Two layers; the second one's pooling decides how far a stroke may move."""
    first = CKNLayer(patch_size=patch_size, pooling_width=2)
    return CKNKernel(make_pipeline(first, CKNLayer(patch_size=patch_size, pooling_width=pooling_width)), n_jobs=2)


# %%
# Above, an image: the displacement field of every one is known, its largest value is the size, and its steepest slope
# is what the theorem's first term multiplies. Below, the change: all curves grow almost in proportion to the size.

figure, axes = plt.subplot_mosaic(
    "aabbccddee;fffffggggg", figsize=(10, 6.4), height_ratios=[1, 2.2], layout="constrained"
)
for ax, size in zip("abcde", (0, 1, 2, 3, 4)):
    warped = deformation(digits[3:4], size, random_state=0)
    axes[ax].imshow(warped.signals[0], cmap="gray_r", vmin=0, vmax=16)
    axes[ax].set(title=f"size {size}", xticks=[], yticks=[])
    axes[ax].set_xlabel(rf"$|\nabla\tau| = {warped.gradient_norm[0]:.2f}$")

for ax, name, values in (("f", "pooling_width", (1, 2, 4, 8)), ("g", "patch_size", (2, 3, 5))):
    for value in values:
        curve = StabilityDisplay.from_estimator(
            kernel(**{name: value}), digits, sizes, random_state=0, name=f"{name}={value}", ax=axes[ax]
        )
        print(f"{name:>13} = {value}: change at a size of 1 pixel {curve.report.change[2].mean():.3f}")
    axes[ax].set_title("pooling of the second layer" if name == "pooling_width" else "patches of both layers")
plt.show()
