"""How the arithmetic is run: compilation, threads, SIMD vectors, and the innermost product.

This room knows nothing of kernels or networks, and imports no other room. Compiled code works on *vectors*: a `Vector`
holds `n_lanes` numbers, as many as fit in two registers of the processor. Matrices whose columns are filters are cut
into *panels* of `n_lanes` columns.

======  ==========================  ====================================================================
panels  ``(n_panels, d, n_lanes)``  filters, `n_lanes` of them side by side; the last panel is zero-filled
T       ``(n, n_lanes)``            products of n patches and the filters of one panel
======  ==========================  ====================================================================

===============  =====================================================================================
compilation      `compiled` and its variants: Numba with a disk cache that is safe to share
threads          `over_blocks` runs blocks in threads; `single_threaded_blas` limits BLAS to one thread
simd             the type `Vector` and its functions, as LLVM instructions
microkernel      `multiply_panel`: patches, read where they lie in memory, times one panel of filters
===============  =====================================================================================
"""
