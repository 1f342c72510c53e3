"""Vectors in compiled code: two registers full of numbers.

A `Vector` is a value of compiled functions only. It has the arithmetic of a number, lane by lane, so that a formula
written for arrays serves it as it stands; operands that are numbers are taken for all lanes. Its width is that of two
of the processor's registers, as far as the compiler knows it: while one waits for a result, the other is computed.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
REGISTER_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16
VECTOR_BYTES = 2 * REGISTER_BYTES
FLAGS = ("contract", "nnan", "ninf", "nsz")  # not "reassoc", which would undo the rounding in `kappa.exp2`
INT = ir.IntType(64)
CACHE_LINE = 64  # bytes


def n_lanes(dtype):
    """Numbers in a vector."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def aligned(shape, dtype, allocate=np.empty):
    """An array, not initialised by default, that begins at a multiple of `VECTOR_BYTES`."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = allocate(size + VECTOR_BYTES, dtype=np.uint8)
    first = -memory.ctypes.data % VECTOR_BYTES
    return memory[first : first + size].view(dtype).reshape(shape)


class Vector(types.Type):
    """The type of vectors of numbers of a dtype."""

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
    """A vector of one number."""
    undefined, first = ir.Constant(llvm, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    every_lane = ir.Constant(ir.VectorType(ir.IntType(32), llvm.count), [0] * llvm.count)
    return builder.shuffle_vector(builder.insert_element(undefined, number, first), undefined, every_lane)


def _as_vector(context, builder, value, kind, vector):
    if kind == vector:
        return value
    return splat(builder, context.cast(builder, value, kind, vector.dtype), vector.llvm)


def _lanewise(generate):
    """How compiled code computes with two operands, one of them a vector: ``generate(builder, a, b)``."""

    def lower(context, builder, signature, values):
        vector = signature.return_type
        return generate(builder, *(_as_vector(context, builder, *pair, vector) for pair in zip(values, signature.args)))

    return lower


def _vector_among(a, b):
    return a if isinstance(a, Vector) else b if isinstance(b, Vector) else None


def _operator(function, generate):
    """Give vectors an operator of Python."""
    type_callable(function)(lambda context: lambda a, b: _vector_among(a, b))
    lower_builtin(function, Vector, Vector)(_lanewise(generate))
    lower_builtin(function, types.Number, Vector)(_lanewise(generate))
    if function is not operator.truediv:  # that is below
        lower_builtin(function, Vector, types.Number)(_lanewise(generate))


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS))


@lower_builtin(operator.truediv, Vector, types.Number)
def _divide_by_number(context, builder, signature, values):
    """One division for all lanes, and for all vectors of a loop."""
    vector, divisor = signature.args[0], context.cast(builder, values[1], signature.args[1], types.float64)
    inverse = builder.fdiv(ir.Constant(ir.DoubleType(), 1.0), divisor)
    inverse = context.cast(builder, inverse, types.float64, vector.dtype)
    return builder.fmul(values[0], splat(builder, inverse, vector.llvm), flags=FLAGS)


def _function(generate):
    """A function of two operands, for vectors only."""

    @intrinsic
    def function(typing, a, b):
        return _vector_among(a, b)(a, b), _lanewise(generate)

    return function


def _choose(comparison):
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(comparison, a, b, flags=FLAGS), a, b)


@intrinsic
def where_larger(typing, a, b, x, y):
    """x in the lanes where a is larger than b, y in the others."""
    vector = _vector_among(a, b)

    def generate(context, builder, signature, values):
        a, b, x, y = (_as_vector(context, builder, *pair, vector) for pair in zip(values, signature.args))
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return vector(a, b, x, y), generate


smaller = _function(_choose("<"))
larger = _function(_choose(">"))


@_function
def times_power(builder, a, b):
    """``a 2^n``, the integer n standing in the lowest bits of b: it is added to the exponent of a."""
    integer, mantissa = (ir.IntType(32), 23) if a.type.element == ir.FloatType() else (ir.IntType(64), 52)
    vector = ir.VectorType(integer, a.type.count)
    exponent = builder.shl(builder.bitcast(b, vector), ir.Constant(vector, [mantissa] * a.type.count))
    return builder.bitcast(builder.add(builder.bitcast(a, vector), exponent), a.type)


@_function
def copy_sign(builder, a, b):
    """The size of a with the sign of b."""
    return call(builder, "llvm.copysign", a, b)


@intrinsic
def sqrt(typing, a):
    return a(a), lambda context, builder, signature, values: call(builder, "llvm.sqrt", *values)


def _reduction(name, flags, *start):
    """A number from all lanes of a vector."""

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
total = _reduction("fadd", (*FLAGS, "reassoc"), 0.0)  # the lanes may be added in any order


def call(builder, name, *vectors):
    """A function of the compiler's own."""
    llvm = vectors[0].type
    name = f"{name}.v{llvm.count}f{32 if llvm.element == ir.FloatType() else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(llvm, [llvm] * len(vectors)), name)
    return builder.call(function, vectors)


# Reading and writing: ``index`` is a tuple of as many ints as the array has axes.


def pointer(context, builder, kinds, X, index):
    """Where ``X[index]`` lies; ``kinds`` are the types of both."""
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
    """The vector at ``X[index]`` and after it."""
    vector = Vector(X.dtype)

    def generate(context, builder, signature, values):
        return load_vector(builder, pointer(context, builder, signature.args, *values), vector)

    return vector(X, index), generate


@intrinsic
def store(typing, value, X, index):
    """Write a vector, or one number for all lanes, to ``X[index]`` and after it."""
    vector = Vector(X.dtype)

    def generate(context, builder, signature, values):
        value = _as_vector(context, builder, values[0], signature.args[0], vector)
        store_vector(builder, value, pointer(context, builder, signature.args[1:], *values[1:]), vector)
        return context.get_dummy_value()

    return types.void(value, X, index), generate


@intrinsic
def zeros(typing, X):
    """The vector of zeros for numbers like X's."""
    vector = Vector(X.dtype)
    return vector(X), lambda context, builder, signature, values: ir.Constant(vector.llvm, [0.0] * vector.n_lanes)


@intrinsic
def lanes_of(typing, X):
    """`n_lanes` of X's numbers, in compiled code."""
    n = Vector(X.dtype).n_lanes
    return types.intp(X), lambda context, builder, signature, values: ir.Constant(INT, n)


@intrinsic
def prefetch(typing, X, index):
    """Ask for the cache lines of the vector at ``X[index]``; the index may lie beyond the array."""

    def generate(context, builder, signature, values):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        at = builder.bitcast(pointer(context, builder, signature.args, *values), byte)
        for offset in range(0, VECTOR_BYTES, CACHE_LINE):
            line = builder.gep(at, [ir.Constant(INT, offset)])
            builder.call(function, [line, *(ir.Constant(number, n) for n in (0, 2, 1))])  # to read, second cache, data
        return context.get_dummy_value()

    return types.void(X, index), generate
