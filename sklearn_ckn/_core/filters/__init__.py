"""How the filters of a layer are found without labels: patches are drawn from the signals and clustered.

The room imports `runtime` and `layer`.

====  ============  ============================================================
U     ``(k, d)``    directions of k patches, rows of norm 1 (or 0)
Z     ``(m, d)``    centres of clusters, which become the filters
====  ============  ============================================================

=========  =====================================================================
sampling   patches drawn uniformly over all signals and positions
kmeans     spherical k-means, with greedy k-means++ as its start
bandwidth  the width sigma of the exponential kernel, from distances of patches
=========  =====================================================================
"""
