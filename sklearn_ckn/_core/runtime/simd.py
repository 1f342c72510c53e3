"""Vectors for compiled code. Each vector fills two registers of the processor.

A `Vector` exists only in compiled functions. It supports arithmetic lane by lane, so a formula that was written for
arrays also works for vectors. A scalar operand is broadcast to all lanes. A vector is as wide as two registers
(the compiler reports their width), so that the processor can compute one half while the result of the other is pending.
"""

import operator
from math import prod

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
REGISTER_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16
VECTOR_BYTES = 2 * REGISTER_BYTES
FLAGS = ("contract", "nnan", "ninf", "nsz")  # "reassoc" would undo the deliberate rounding in `kappa.exp2`.
INT = ir.IntType(64)
CACHE_LINE = 64  # bytes


def n_lanes(dtype):
    """Return the number of lanes of a vector of this dtype."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def aligned(shape, dtype, allocate=np.empty):
    """Allocate an array, by default uninitialised, whose address is a multiple of `VECTOR_BYTES`."""
    size = prod(shape) * np.dtype(dtype).itemsize
    memory = allocate(size + VECTOR_BYTES, dtype=np.uint8)
    first = -memory.__array_interface__["data"][0] % VECTOR_BYTES
    return memory[first : first + size].view(dtype).reshape(shape)


class Vector(types.Type):
    """The Numba type of vectors of one dtype."""

    def __init__(self, dtype):
        self.dtype, self.n_lanes = dtype, n_lanes(str(dtype))
        super().__init__(name=f"Vector({dtype} x {self.n_lanes})")

    @property
    def llvm(self):
        return ir.VectorType(ir.FloatType() if self.dtype == types.float32 else ir.DoubleType(), self.n_lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


def splat(builder, number, llvm):
    """Return a vector whose lanes all equal ``number``."""
    undefined, first = ir.Constant(llvm, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    every_lane = ir.Constant(ir.VectorType(ir.IntType(32), llvm.count), [0] * llvm.count)
    return builder.shuffle_vector(builder.insert_element(undefined, number, first), undefined, every_lane)


def _as_vector(context, builder, value, kind, vector):
    if kind == vector:
        return value
    return splat(builder, context.cast(builder, value, kind, vector.dtype), vector.llvm)


def _lanewise(generate):
    """Return the lowering of a function of two operands, at least one of which is a vector.

    ``generate(builder, a, b)`` emits the code for two vectors.
    """

    def lower(context, builder, signature, values):
        vector = signature.return_type
        return generate(builder, *(_as_vector(context, builder, *pair, vector) for pair in zip(values, signature.args)))

    return lower


def _vector_among(a, b):
    return a if isinstance(a, Vector) else b if isinstance(b, Vector) else None


def _operator(function, generate):
    """Define a Python operator for vectors."""
    type_callable(function)(lambda context: lambda a, b: _vector_among(a, b))
    lower_builtin(function, Vector, Vector)(_lanewise(generate))
    lower_builtin(function, types.Number, Vector)(_lanewise(generate))
    if function is not operator.truediv:  # Division by a number is defined below.
        lower_builtin(function, Vector, types.Number)(_lanewise(generate))


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS))


@lower_builtin(operator.truediv, Vector, types.Number)
def _divide_by_number(context, builder, signature, values):
    """Multiply by the reciprocal, so that one division is enough for all lanes and for all iterations of a loop."""
    vector, divisor = signature.args[0], context.cast(builder, values[1], signature.args[1], types.float64)
    inverse = builder.fdiv(ir.Constant(ir.DoubleType(), 1.0), divisor)
    inverse = context.cast(builder, inverse, types.float64, vector.dtype)
    return builder.fmul(values[0], splat(builder, inverse, vector.llvm), flags=FLAGS)


def _function(generate):
    """Define a function of two operands that exists for vectors only."""

    @intrinsic
    def function(typing, a, b):
        return _vector_among(a, b)(a, b), _lanewise(generate)

    return function


def _choose(comparison):
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(comparison, a, b, flags=FLAGS), a, b)


@intrinsic
def where_larger(typing, a, b, x, y):
    """Return x in the lanes where a is larger than b, and y in the other lanes."""
    vector = _vector_among(a, b)

    def generate(context, builder, signature, values):
        a, b, x, y = (_as_vector(context, builder, *pair, vector) for pair in zip(values, signature.args))
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return vector(a, b, x, y), generate


smaller = _function(_choose("<"))
larger = _function(_choose(">"))


@_function
def times_power(builder, a, b):
    """Return ``a 2^n`` for the integer n in the lowest bits of b, by adding n to the exponent of a."""
    integer, mantissa = (ir.IntType(32), 23) if a.type.element == ir.FloatType() else (ir.IntType(64), 52)
    vector = ir.VectorType(integer, a.type.count)
    exponent = builder.shl(builder.bitcast(b, vector), ir.Constant(vector, [mantissa] * a.type.count))
    return builder.bitcast(builder.add(builder.bitcast(a, vector), exponent), a.type)


@_function
def copy_sign(builder, a, b):
    """Return the absolute value of a with the sign of b."""
    return call(builder, "llvm.copysign", a, b)


@intrinsic
def sqrt(typing, a):
    """Return the square root of every lane."""
    return a(a), lambda context, builder, signature, values: call(builder, "llvm.sqrt", *values)


def _reduction(name, flags, *start):
    """Define a function that reduces all lanes of a vector to one number."""

    @intrinsic
    def function(typing, a):
        def generate(context, builder, signature, values):
            llvm = values[0].type
            operands = [*(ir.Constant(llvm.element, number) for number in start), values[0]]
            kind = ir.FunctionType(llvm.element, [operand.type for operand in operands])
            full_name = f"llvm.vector.reduce.{name}.v{llvm.count}f{a.dtype.bitwidth}"
            reduce = cgutils.get_or_insert_function(builder.module, kind, full_name)
            return builder.call(reduce, operands, fastmath=flags)

        return a.dtype(a), generate

    return function


largest = _reduction("fmax", FLAGS)
total = _reduction("fadd", (*FLAGS, "reassoc"), 0.0)  # The lanes may be added in any order.


def call(builder, name, *vectors):
    """Call an LLVM intrinsic on vectors."""
    llvm = vectors[0].type
    name = f"{name}.v{llvm.count}f{32 if llvm.element == ir.FloatType() else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(llvm, [llvm] * len(vectors)), name)
    return builder.call(function, vectors)


# Loads and stores. ``index`` is a tuple with one int per axis of the array.


def pointer(context, builder, kinds, X, index):
    """Return the address of ``X[index]``; ``kinds`` are the Numba types of X and of the index."""
    array = context.make_array(kinds[0])(context, builder, X)
    at = [context.cast(builder, i, kind, types.intp) for i, kind in zip(cgutils.unpack_tuple(builder, index), kinds[1])]
    return cgutils.get_item_pointer(context, builder, kinds[0], array, at)


def load_vector(builder, at, vector):
    value = builder.load(builder.bitcast(at, vector.llvm.as_pointer()))
    value.align = vector.dtype.bitwidth // 8
    return value


def store_vector(builder, value, at, vector):
    builder.store(value, builder.bitcast(at, vector.llvm.as_pointer())).align = vector.dtype.bitwidth // 8


@intrinsic
def load(typing, X, index):
    """Return the vector that begins at ``X[index]``."""
    vector = Vector(X.dtype)

    def generate(context, builder, signature, values):
        return load_vector(builder, pointer(context, builder, signature.args, *values), vector)

    return vector(X, index), generate


@intrinsic
def store(typing, value, X, index):
    """Write a vector, or a scalar repeated in all lanes, to the memory that begins at ``X[index]``."""
    vector = Vector(X.dtype)

    def generate(context, builder, signature, values):
        value = _as_vector(context, builder, values[0], signature.args[0], vector)
        store_vector(builder, value, pointer(context, builder, signature.args[1:], *values[1:]), vector)
        return context.get_dummy_value()

    return types.void(value, X, index), generate


@intrinsic
def zeros(typing, X):
    """Return a vector of zeros of the dtype of X."""
    vector = Vector(X.dtype)
    return vector(X), lambda context, builder, signature, values: ir.Constant(vector.llvm, [0.0] * vector.n_lanes)


@intrinsic
def lanes_of(typing, X):
    """Return ``n_lanes(X.dtype)``, in compiled code."""
    n = Vector(X.dtype).n_lanes
    return types.intp(X), lambda context, builder, signature, values: ir.Constant(INT, n)


@intrinsic
def prefetch(typing, X, index):
    """Prefetch the cache lines of the vector at ``X[index]``; the index may lie beyond the end of the array."""

    def generate(context, builder, signature, values):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        at = builder.bitcast(pointer(context, builder, signature.args, *values), byte)
        for offset in range(0, VECTOR_BYTES, CACHE_LINE):
            line = builder.gep(at, [ir.Constant(INT, offset)])
            options = [ir.Constant(number, n) for n in (0, 2, 1)]  # read, second-level cache, data
            builder.call(function, [line, *options])
        return context.get_dummy_value()

    return types.void(X, index), generate
