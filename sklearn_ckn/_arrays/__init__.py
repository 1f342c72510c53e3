"""The arrays that users pass: which arrays are accepted, how they are read in blocks, and where results are written.

This subpackage is used by the estimators, and uses `_core`. Signals are read as contiguous maps of shape
``(n, *space, n_channels)``, a few at a time, from memory, from a store (memmap, zarr, HDF5) or from the blocks of a
Dask array.

==========  ======================================================================================
conversion  user input, converted to an array, a table or a store of numbers
values      checks of the values: real and finite numbers whose squares can be summed
validation  checks of signals and maps, and how their axes are read
misread     a warning about signals whose axes are probably misread
tables      checks of features, targets, class labels and sample weights
parameters  checks of parameters: shapes, sizes, filters, paths of C
groups      signals in groups of equal shape
signals     signals as the layers read them, raw or encoded by the layers fitted so far
mixed       signals of different shapes, one group for each shape
notes       notes about the step and the signal that an error concerns
stores      arrays outside of memory, read and written a few rows at a time
files       where in a file the data of a memory map are
dask        blocks of Dask arrays, computed on the workers
encoded     signals encoded by fitted layers, in memory, in a store or on Dask workers
results     the array for a result: a new array, the caller's `out`, or a Dask array
==========  ======================================================================================
"""
