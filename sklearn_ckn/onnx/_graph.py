"""A graph that NumPy writes: what it does to a `Tensor` becomes the nodes of an ONNX graph.

So the formulas of `_core`, written for arrays, are read here and not written a second time. Shapes and dtypes are what
NumPy says of an empty batch: a `Tensor` has an array of no signals beside it, which goes through the same functions.
The length 0 of its first axis stands for any number, as it does in the operator Reshape.
"""

from math import log, prod

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 18, 8  # what runtimes from 2023 on read

OPERATORS = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.true_divide: "Div",
    np.negative: "Neg",
    np.matmul: "MatMul",
    np.power: "Pow",
    np.sqrt: "Sqrt",
    np.exp: "Exp",
    np.log: "Log",
    np.arccos: "Acos",
    np.maximum: "Max",
    np.minimum: "Min",
    np.greater: "Greater",
}


class Graph:
    """Nodes and constants, in the order in which they are written."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def input(self, name, shape):  # -> Tensor
        """What the graph is given: any number of float32 arrays of this shape."""
        return Tensor(self, name, np.empty((0, *shape), np.float32))

    def constant(self, value):  # ndarray -> name
        """Equal ones are stored once."""
        value = np.asarray(value)
        key = value.dtype.str, value.shape, value.tobytes()
        name, _ = self.constants.setdefault(key, (f"constant_{len(self.constants)}", value))
        return name

    def integers(self, values):  # -> name
        return self.constant(np.atleast_1d(values).astype(np.int64))

    def node(self, operator, inputs, empty, **attributes):  # -> Tensor, or a list of them if ``empty`` is one
        """Apply an operator to tensors, arrays and names of constants; ``empty`` is its output of an empty batch."""
        names = [x if isinstance(x, str) else x.name if isinstance(x, Tensor) else self.constant(x) for x in inputs]
        empties = empty if isinstance(empty, list) else [empty]
        outputs = [Tensor(self, f"{operator}_{len(self.nodes)}_{k}", e) for k, e in enumerate(empties)]
        self.nodes.append(helper.make_node(operator, names, [output.name for output in outputs], **attributes))
        return outputs if isinstance(empty, list) else outputs[0]

    def to_model(self, name, given, wanted, **producer):  # Tensor, {name: Tensor} -> onnx.ModelProto
        """The graph from one tensor to some others, with these names."""
        for output, tensor in wanted.items():
            self.nodes.append(helper.make_node("Identity", [tensor.name], [output]))
        initializers = [numpy_helper.from_array(value, name) for name, value in self.constants.values()]
        outputs = [_value_info(output, tensor) for output, tensor in wanted.items()]
        graph = helper.make_graph(self.nodes, name, [_value_info(given.name, given)], outputs, initializers)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, **producer)


def _value_info(name, tensor):
    """A name with its type; the number of signals is called n."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), ["n", *tensor.shape[1:]])


class Tensor(NDArrayOperatorsMixin):
    """An array to be, in a graph: a name, and what NumPy makes of an empty batch."""

    def __init__(self, graph, name, empty):
        self.graph, self.name, self.empty = graph, name, empty

    @property
    def shape(self):
        return self.empty.shape

    @property
    def dtype(self):
        return self.empty.dtype

    def __len__(self):
        return len(self.empty)

    def __array__(self, *args, **kwargs):
        raise TypeError("A tensor of a graph has no values: NumPy has no operator for this.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.exp2:  # no operator
            return np.exp(inputs[0] * log(2))
        return elementwise(OPERATORS[ufunc], ufunc, *inputs) if ufunc in OPERATORS else NotImplemented

    def __array_function__(self, function, types, args, options):
        return FUNCTIONS[function](*args, **options) if function in FUNCTIONS else NotImplemented

    def __getitem__(self, key):
        """An index or a slice along the last axis of the key; those before it are taken whole."""
        *before, index = key
        return take(self, np.arange(self.shape[len(before)])[index], len(before))

    def reshape(self, *shape):
        """To ``(len(self), -1)``, rows, or to ``(-1, *sizes)``."""
        sizes = [prod(self.shape[1:]) if size == -1 else size for size in shape[1:]]
        return self.graph.node("Reshape", [self, self.graph.integers(shape)], np.empty((0, *sizes), self.dtype))

    def astype(self, dtype):
        empty = self.empty.astype(dtype)
        return self.graph.node("Cast", [self], empty, to=helper.np_dtype_to_tensor_dtype(empty.dtype))

    def sum(self, axis, keepdims=False):
        return reduced("ReduceSum", np.sum, self, axis, keepdims)

    def mean(self, axis, keepdims=False):
        return reduced("ReduceMean", np.mean, self, axis, keepdims)

    def max(self, axis, keepdims=False):
        return reduced("ReduceMax", np.max, self, axis, keepdims)

    def argmax(self, axis):
        return self.graph.node("ArgMax", [self], self.empty.argmax(axis=axis), axis=axis, keepdims=0)


def elementwise(operator, function, *inputs):
    """A node of tensors, and of constants in their dtype."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    dtype = np.result_type(*(x.dtype for x in tensors))
    inputs = [x if isinstance(x, Tensor) else np.asarray(x, dtype) for x in inputs]
    empty = function(*(x.empty if isinstance(x, Tensor) else x for x in inputs))
    return tensors[0].graph.node(operator, inputs, empty)


def reduced(operator, function, X, axis, keepdims):
    """A node that sums up axes."""
    empty = function(X.empty, axis=axis, keepdims=keepdims)
    return X.graph.node(operator, [X, X.graph.integers(axis)], empty, keepdims=int(keepdims))


def clip(X, low, high):
    return elementwise("Clip", np.clip, X, low, high)


def where(condition, X, Y):
    return elementwise("Where", np.where, condition, X, Y)


def norm(X, axis, keepdims):
    return reduced("ReduceL2", np.linalg.norm, X, axis, keepdims)


def moveaxis(X, source, target):
    n_axes = len(X.shape)
    order = list(range(n_axes))
    order.insert(target % n_axes, order.pop(source % n_axes))
    return X.graph.node("Transpose", [X], X.empty.transpose(order), perm=order)


def concatenate(tensors, axis=0):
    empty = np.concatenate([X.empty for X in tensors], axis)
    return tensors[0].graph.node("Concat", tensors, empty, axis=axis)


def split(X, n_parts):
    return X.graph.node("Split", [X], np.split(X.empty, n_parts), axis=0, num_outputs=n_parts)


def einsum(equation, *tensors):
    empty = np.einsum(equation, *(X.empty for X in tensors))
    return tensors[0].graph.node("Einsum", tensors, empty, equation=equation)


def take(X, indices, axis=0):
    """`numpy.take`, which leaves it to its first argument what it does."""
    graph = X.graph if isinstance(X, Tensor) else indices.graph
    empty = np.take(*(x.empty if isinstance(x, Tensor) else x for x in (X, indices)), axis)
    return graph.node("Gather", [X, indices], empty, axis=axis % len(X.shape))


def flip(X, axis):
    return take(X, np.arange(X.shape[axis])[::-1], axis)


FUNCTIONS = {
    np.clip: clip,
    np.where: where,
    np.linalg.norm: norm,
    np.moveaxis: moveaxis,
    np.concatenate: concatenate,
    np.hstack: lambda tensors: concatenate(tensors, axis=1),
    np.split: split,
    np.einsum: einsum,
    np.flip: flip,
    np.zeros_like: lambda X: X * 0,
}
