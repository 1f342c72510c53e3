"""Low-level tools: compilation, threads, SIMD vectors, and the innermost matrix product.

This subpackage is independent of kernels and networks, and imports no other part of `_core`. Compiled code works on
*vectors*: a `Vector` consists of `n_lanes` numbers, which fill two registers of the processor. Matrices whose columns
are filters are divided into *panels* of `n_lanes` columns.

======  ==========================  ====================================================================
panels  ``(n_panels, d, n_lanes)``  filters, `n_lanes` per panel; the last panel is padded with zeros
T       ``(n, n_lanes)``            products of n patches and the filters of one panel
======  ==========================  ====================================================================

===============  =====================================================================================
compilation      `compiled` and its variants: Numba with a disk cache that is safe to share
threads          `over_blocks` processes blocks in threads; `single_threaded_blas` limits BLAS to one thread
simd             the `Vector` type and its functions, implemented with LLVM instructions
microkernel      `multiply_panel` multiplies patches, without copying them, by one panel of filters
===============  =====================================================================================
"""
