"""Construction of ONNX graphs in the syntax of NumPy: every operation on a `Tensor` adds nodes to its graph.

The formulas of `_core`, which are written for arrays, therefore also apply to tensors and need not be written twice.
NumPy determines shapes and dtypes: every `Tensor` stores its value for an empty batch, and the same functions are
applied to this value. The length 0 of its first axis stands for any number of signals. Similarly, a length of 0 in the
operator Reshape stands for the length of the input.
"""

from math import log, prod

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 18, 8  # versions that runtimes released since 2023 support

OPERATORS = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.true_divide: "Div",
    np.negative: "Neg",
    np.absolute: "Abs",
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
    """Nodes and constants of an ONNX graph, in the order in which they were added."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def input(self, name, shape):  # -> Tensor
        """Return the input of the graph, which is any number of float32 arrays of the given shape."""
        return Tensor(self, name, np.empty((0, *shape), np.float32))

    def constant(self, value):  # ndarray -> name
        """Add a constant and return its name. Equal constants are stored only once."""
        value = np.asarray(value)
        key = value.dtype.str, value.shape, value.tobytes()
        name, _ = self.constants.setdefault(key, (f"constant_{len(self.constants)}", value))
        return name

    def integers(self, values):  # -> name
        return self.constant(np.atleast_1d(values).astype(np.int64))

    def node(self, operator, inputs, empty, **attributes):  # -> Tensor, or a list if ``empty`` is a list
        """Add a node that applies an operator to tensors, arrays or names of constants, and return its output.

        The output for an empty batch is passed as ``empty``.
        """
        names = [x if isinstance(x, str) else x.name if isinstance(x, Tensor) else self.constant(x) for x in inputs]
        empties = empty if isinstance(empty, list) else [empty]
        outputs = [Tensor(self, f"{operator}_{len(self.nodes)}_{k}", e) for k, e in enumerate(empties)]
        self.nodes.append(helper.make_node(operator, names, [output.name for output in outputs], **attributes))
        return outputs if isinstance(empty, list) else outputs[0]

    def to_model(self, name, given, wanted, **producer):  # Tensor, {name: Tensor} -> onnx.ModelProto
        """Return a model with the input ``given`` and the outputs ``wanted``, which are tensors keyed by name."""
        for output, tensor in wanted.items():
            self.nodes.append(helper.make_node("Identity", [tensor.name], [output]))
        initializers = [numpy_helper.from_array(value, name) for name, value in self.constants.values()]
        outputs = [_value_info(output, tensor) for output, tensor in wanted.items()]
        graph = helper.make_graph(self.nodes, name, [_value_info(given.name, given)], outputs, initializers)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, **producer)


def _value_info(name, tensor):
    """Return the ONNX description of an input or output. Its number of signals is called n."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), ["n", *tensor.shape[1:]])


class Tensor(NDArrayOperatorsMixin):
    """An array that a graph will compute, represented by its name and its value for an empty batch."""

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
        raise TypeError(
            "A tensor of a graph has no values and cannot be converted to an array. Add an operator for this "
            "operation to FUNCTIONS."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.exp2:  # ONNX has no operator for exp2.
            return np.exp(inputs[0] * log(2))
        return elementwise(OPERATORS[ufunc], ufunc, *inputs) if ufunc in OPERATORS else NotImplemented

    def __array_function__(self, function, types, args, options):
        return FUNCTIONS[function](*args, **options) if function in FUNCTIONS else NotImplemented

    def __getitem__(self, key):
        """Apply the last item of the key to the axis in the same place, and keep all entries along earlier axes."""
        *before, index = key
        return take(self, np.arange(self.shape[len(before)])[index], len(before))

    def reshape(self, *shape):
        """Reshape the tensor to ``(len(self), -1)``, which is one row per signal, or to ``(-1, *sizes)``.

        In the graph, only the first size depends on the batch, because no other size can be inferred for an empty
        batch.
        """
        sizes = [prod(self.shape[1:]) if size == -1 else size for size in shape[1:]]
        return self.graph.node(
            "Reshape", [self, self.graph.integers([shape[0], *sizes])], np.empty((0, *sizes), self.dtype)
        )

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
    """Add an element-wise node. Inputs that are not tensors become constants with the dtype of the tensors."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    dtype = np.result_type(*(x.dtype for x in tensors))
    inputs = [x if isinstance(x, Tensor) else np.asarray(x, dtype) for x in inputs]
    empty = function(*(x.empty if isinstance(x, Tensor) else x for x in inputs))
    return tensors[0].graph.node(operator, inputs, empty)


def reduced(operator, function, X, axis, keepdims):
    """Add a node that reduces a tensor along one or more axes."""
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


def stack(tensors, axis=0):
    sizes = list(np.stack([X.empty for X in tensors], axis).shape)
    sizes[axis] = 1
    return concatenate([X.reshape(*sizes) for X in tensors], axis)


def split(X, n_parts):
    return X.graph.node("Split", [X], np.split(X.empty, n_parts), axis=0, num_outputs=n_parts)


def take(X, indices, axis=0):
    """Take entries of X along an axis. X or the indices may be tensors, whereas `numpy.take` dispatches on X only."""
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
    np.stack: stack,
    np.take: take,
    np.hstack: lambda tensors: concatenate(tensors, axis=1),
    np.split: split,
    np.flip: flip,
    np.zeros_like: lambda X: X * 0,
}
