"""
Dask arrays, block by block
===========================

Images in a Dask array may be more than a machine can hold. Filters are learned from patches that are drawn where the
blocks are, features and kernels are Dask arrays again, computed when they are wanted. Here the workers are two threads
of this process; `Client("tcp://...")` would take those of a cluster, and nothing else would change
(`pip install ".[plot,dask]"`).
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNKernel, CKNLayer

digits = load_digits()
order = np.argsort(digits.target[:600], kind="stable")  # ten classes, one after the other
images, labels = digits.images[order].astype(np.float32), digits.target[order]
client = Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
X = da.from_array(images, chunks=(150, 8, 8))

# %%
# `fit` brings home patches, not images; `transform` computes nothing yet. The filters and the features are those of an
# array in memory.

first = CKNLayer(32, patch_centering=True, pooling_width=1, n_patches=5000, random_state=0)
feature_map = CKNFeatureMap(make_pipeline(first, CKNLayer(64, n_patches=5000, random_state=0)), scale=True).fit(X)
features = feature_map.transform(X)
print(features)
print("largest difference to the features in memory:", abs(features.compute() - feature_map.transform(images)).max())

# %%
# The kernel itself is a matrix of blocks, of which those below the diagonal are the transposes of those above. Each is
# the work of one task, on any worker.

kernel = CKNKernel(make_pipeline(first, CKNLayer()), normalize=True)
gram = kernel(X)
print(gram)
ends = np.cumsum(X.chunks[0])[:-1] - 0.5
figure, ax = plt.subplots(layout="constrained")
picture = ax.imshow(gram.compute(), cmap="magma")
ax.hlines(ends, -0.5, 599.5, colors="white", linewidth=1)
ax.vlines(ends, -0.5, 599.5, colors="white", linewidth=1)
middles = [np.flatnonzero(labels == digit).mean() for digit in range(10)]
ax.set(xticks=middles, yticks=middles, xticklabels=range(10), yticklabels=range(10))
ax.set(xlabel="digit", ylabel="digit", title="cosines of 600 images, in 16 blocks")
figure.colorbar(picture, label="kernel")
client.close()
plt.show()
