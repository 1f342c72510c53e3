"""Unsupervised learning of the filters of a layer: patches are drawn from the signals and clustered.

This subpackage imports `runtime` and `layer`.

====  ============  ============================================================
U     ``(k, d)``    directions of k patches, rows of norm 1 (or 0)
Z     ``(m, d)``    cluster centres, which become the filters
====  ============  ============================================================

=========  =====================================================================
sampling   patches drawn uniformly over all signals and positions
kmeans     spherical k-means, initialised by greedy k-means++
bandwidth  sigma of the exponential kernel, from distances between patches
=========  =====================================================================
"""
