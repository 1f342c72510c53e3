"""The arrays that users pass: which of them are accepted, how they are read in blocks, and where results are written.

This room lies above `_core` and below the estimators. Signals are read as contiguous maps ``(n, *space, n_channels)``,
a few at a time, from memory, from a store (memmap, zarr, HDF5) or from the blocks of a Dask array.

==========  ======================================================================================
validation  the public edge: checks of arrays, shapes and sizes, and their error messages
signals     signals as the layers read them, raw or through the layers fitted so far
stores      arrays outside of memory, read and written a few rows at a time
dask        blocks of Dask arrays, computed where they are
encoded     signals seen through fitted layers, in memory, in a store or on the workers of Dask
results     the array a result is written to: a new one, the caller's `out`, or a Dask array
==========  ======================================================================================
"""
