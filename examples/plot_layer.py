"""
One layer, step by step
=======================

A layer cuts an image into patches, maps each patch by a kernel, and smooths the result over space. Here are the three
steps, one figure each, on a piece of a photograph.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_sample_images

from sklearn_ckn import CKNKernel, CKNLayer

photograph = load_sample_images().images[1].mean(axis=2)[200:328, 330:458] / 255  # half a flower, in grey
image = photograph.reshape(64, 2, 64, 2).mean(axis=(1, 3))  # 64 x 64 pixels
size, corners = 7, [(33, 47), (8, 40), (38, 19), (18, 24)]  # of four patches: rows and columns where they begin
colors = ["tab:blue", "tab:cyan", "tab:orange", "tab:pink"]


def draw(ax, picture, color=None, **options):
    """An image without ticks, in a frame of some colour."""
    ax.imshow(picture, **{"cmap": "gray"} | options)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=color or "0.6", linewidth=2.5 if color else 0.5)


# %%
# **Patches.** At every position the layer sees a patch of `patch_size` pixels, of which four are marked. With
# `patch_centering=True` the mean of a patch is subtracted. What remains has a norm, which is the contrast, and a
# direction, which is the shape. The kernel compares directions and multiplies by the norms: to it, the first two
# patches are much the same edge, once strong and once weak.

patches = np.array([image[i : i + size, j : j + size] for i, j in corners])
centred = patches - patches.mean(axis=(1, 2), keepdims=True)
norms = np.linalg.norm(centred, axis=(1, 2))

figure = plt.figure(figsize=(11, 4.6), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.33])
ax = left.subplots()
draw(ax, image)
for (i, j), color in zip(corners, colors):
    ax.add_patch(plt.Rectangle((j - 0.5, i - 0.5), size, size, fill=False, edgecolor=color, linewidth=3))
axes = right.subplots(3, 4, height_ratios=[1, 0.3, 1])
for (top, middle, bottom), patch, shape, norm, color in zip(axes.T, patches, centred, norms, colors):
    draw(top, patch, color, vmin=image.min(), vmax=image.max())
    middle.barh(0, norm / norms.max(), color=color)
    middle.text(0.03, 0, f"{norm:.2f}", va="center", color="white", weight="bold")
    middle.set(xlim=(0, 1), ylim=(-0.4, 0.4))
    middle.set_axis_off()
    draw(bottom, shape / norm, color, cmap="RdBu_r", vmin=-0.35, vmax=0.35)
for ax, name in zip(axes[:, 0], ("patches", "norms without the mean", "directions")):
    ax.set_title(name, loc="left", fontsize="medium")

# %%
# **Kernel mapping.** The kernel of two patches is the product of their norms and of `kappa(u)`, u being the cosine
# between their directions. On the left is kappa for all values of `kernel`, as `CKNKernel` computes it between points
# of a circle. On the right are a layer's filters, which are directions, too, and kappa between them and the four
# patches: similar patches have similar responses.

layer = CKNLayer(12, patch_size=size, patch_centering=True, padding="valid", pooling_width=1, random_state=0)
layer.fit(image[None])
responses = CKNKernel(layer, normalize=True)(patches, layer.filters_[..., 0])

angles = np.linspace(0, np.pi, 201)
circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None, None]  # images of one pixel and two channels
styles = {
    "inverse_polynomial": ("tab:green", "-."),
    "vovk": ("tab:olive", "--"),
    "arccos0": ("tab:pink", "-"),
    "arccos1": ("tab:orange", "-"),
    "polynomial": ("tab:purple", "--"),
    "exponential": ("tab:blue", "-"),
    "linear": ("0.5", ":"),
}

figure = plt.figure(figsize=(11, 4.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.5])
ax = left.subplots()
for name, (color, style) in styles.items():
    kernel = CKNKernel(CKNLayer(kernel=name, coef0=1, patch_size=1, pooling_width=1))
    width = 3 if name == "exponential" else 1.5
    ax.plot(np.cos(angles), kernel(circle, circle[:1])[:, 0], style, color=color, label=name, linewidth=width)
ax.set(xlabel="u, the cosine", ylabel="kappa(u)", xticks=[-1, -0.5, 0, 0.5, 1], xlim=(-1, 1), ylim=(-0.5, 1.02))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="upper left", fontsize="small", labelspacing=0.2)
axes = right.subplots(5, 13)
axes[0, 0].text(0.5, 0.5, "filters", ha="center", va="center")
for ax, pattern in zip(axes[0, 1:], layer.filters_[..., 0]):
    draw(ax, pattern, cmap="RdBu_r", vmin=-0.35, vmax=0.35)
axes[0, 0].set_axis_off()
for row, patch, color, heights in zip(axes[1:], patches, colors, responses):
    draw(row[0], patch, color)
    for ax, height in zip(row[1:], heights):
        ax.bar(0, height, color=color)
        ax.set(xlim=(-0.6, 0.6), ylim=(0, 1), xticks=[], yticks=[])
        ax.spines[["left", "top", "right"]].set_visible(False)

# %%
# The output of the layer is such that inner products give the kernel again: the more filters, the closer.

sample = np.lib.stride_tricks.sliding_window_view(image, (size, size))[::3, ::3].reshape(-1, size, size)
exact = CKNKernel(layer)(sample)
print(f"kernel between {len(sample)} patches: relative error of the inner products of a layer's outputs")
for n_filters in (12, 48, 192, 768):
    output = clone(layer).set_params(n_filters=n_filters).fit(image[None]).transform(sample)[:, 0, 0]
    print(f"  {n_filters:>4} filters {np.linalg.norm(output @ output.T - exact) / np.linalg.norm(exact):8.4f}")

# %%
# **Pooling.** The map of the filter that resembles the first patch most, smoothed by Gaussian weights of several
# widths. Of each smoothed map only the marked positions are kept, one in `pooling_width` along each axis: the wider the
# pooling, the smaller the map, and the less it matters where exactly an edge was.

widths, best = [1, 2, 4, 8], responses[0].argmax()
figure, axes = plt.subplots(3, 4, figsize=(10, 6.6), height_ratios=[0.35, 1, 1], layout="constrained")
for (top, middle, bottom), width in zip(axes.T, widths):
    impulse = CKNLayer(1, patch_size=1, pooling_width=width, subsampling=1, kernel="linear", ndim=1)
    weights = impulse.fit_transform(np.eye(1, 33, 16))[0, :, 0]
    top.vlines(np.arange(-16, 17), 0, weights / weights.max(), color="tab:blue", linewidth=2.5)
    top.set(title=f"pooling_width={width}", xticks=[], yticks=[], xlim=(-16.5, 16.5), ylim=(0, 1.05))
    top.spines[["left", "top", "right"]].set_visible(False)
    pooled = clone(layer).set_params(init=layer.filters_, padding="same", pooling_width=width)
    smooth = clone(pooled).set_params(subsampling=1).fit_transform(image[None])[0, ..., best]
    kept = pooled.fit_transform(image[None])[0, ..., best]
    draw(middle, smooth, cmap="viridis")
    if width > 1:
        places = np.arange(0, 64, width)
        middle.scatter(*np.meshgrid(places, places), s=width, color="white", linewidth=0)
    draw(bottom, kept, cmap="viridis")
    bottom.set_xlabel(f"{kept.shape[0]} x {kept.shape[1]} positions")
for ax, name in zip(axes[:, 0], ("weights", "smoothed", "kept")):
    ax.set_ylabel(name)
plt.show()
