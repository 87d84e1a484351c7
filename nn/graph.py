"""The graph of a forward: what a trace writes down. Traced tensors have a shape and no values."""
import os
import sys

import numpy as np

from . import root
from .buffer import Buffer
from .parameter import Parameter
from .tensor import Tensor

_HERE = os.path.dirname(os.path.abspath(__file__))
_NUMPY = os.path.dirname(os.path.abspath(np.__file__))


def _user_line():
    """The innermost line outside this package and NumPy, where the user's forward does what cannot be traced."""
    import traceback  # only where something goes wrong
    for frame in reversed(traceback.extract_stack()):
        if not os.path.abspath(frame.filename).startswith((_HERE, _NUMPY)):
            return f"{os.path.basename(frame.filename)}, line {frame.lineno}: {frame.line}"
    return "unknown line"


class TraceError(RuntimeError):
    """A forward does something whose result depends on values, so that it cannot be written down once and for all."""

    def __init__(self, what):
        super().__init__(f"{what} at {_user_line()}. A plan is traced without values: keep forward to tensor operations, "
                         "or train with an eager loop (loss.backward(); optimizer.step())")


class _BatchSize:
    """N: the number of rows, which a trace does not know. Using it as a number raises."""

    def _refuse(self, *_):
        raise TraceError("the batch size N is used as a number")

    __int__ = __index__ = __float__ = __bool__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __array__ = _refuse
    __hash__ = object.__hash__

    def __eq__(self, other):
        # a user's `x.shape[0] == 1` would be False for every batch; shape rules compare whole shapes, which then differ
        if other is not self and not os.path.abspath(sys._getframe(1).f_code.co_filename).startswith(_HERE):
            self._refuse()
        return other is self

    def __repr__(self):
        return "N"


BATCH = _BatchSize()


class Symbol(Tensor):
    """A traced tensor (N, width)."""

    __slots__ = ("graph", "index", "_shape")
    traced = True

    def __init__(self, graph, index, shape, requires_grad):
        self.graph, self.index, self._shape = graph, index, shape
        self.requires_grad, self.node, self._grad = requires_grad, None, None

    shape = property(lambda self: self._shape)
    dtype = property(lambda self: self.graph.dtype)
    ndim = property(lambda self: len(self._shape))

    def _refuse(name):
        def method(self, *args, **kwargs):
            raise TraceError(f"{name} asks for the values of a traced tensor")
        return method

    numpy, item, __array__, __bool__, __float__ = map(_refuse, ("numpy()", "item()", "__array__", "bool()", "float()"))
    argmax, backward, __len__, __int__ = map(_refuse, ("argmax()", "backward()", "len()", "int()"))
    zero_, requires_grad_ = map(_refuse, ("zero_()", "requires_grad_()"))
    __eq__, __ne__, __lt__, __le__, __gt__, __ge__ = map(_refuse, ("==", "!=", "<", "<=", ">", ">="))
    __hash__ = object.__hash__
    data, size = property(_refuse("data")), property(_refuse("size"))
    del _refuse

    def detach(self):
        raise TraceError("detach() is used on a traced tensor")

    def producer(self):
        """(op, inputs) that made this tensor, None for an input."""
        node = self.graph.makers.get(self.index)
        return (node.op, node.inputs) if node else None

    def __repr__(self):
        return f"symbol(#{self.index}, shape=({', '.join(map(str, self._shape))}))"


class GraphNode:
    """One operation of a graph."""

    __slots__ = ("op", "inputs", "out")

    def __init__(self, op, inputs, out):
        self.op, self.inputs, self.out = op, inputs, out


class Graph:
    """Operations in the order they ran, over inputs (N, width) and parameters."""

    def __init__(self, widths, dtype):
        self.dtype, self.nodes, self.makers, self.places, self.count = dtype, [], {}, 0, 0
        self.inputs = [self._symbol((BATCH, int(width)), False) for width in widths]
        self.output = None

    def _symbol(self, shape, requires_grad):
        symbol = Symbol(self, self.count, shape, requires_grad)
        self.count += 1
        return symbol

    def append(self, op, inputs):
        """Write down one operation; the symbol of its result."""
        if not op.planned:
            raise TraceError(f"the operation {op.name} cannot be part of a plan")
        for t in inputs:
            if t is not None and not isinstance(t, (Symbol, Parameter, Buffer)):
                raise TraceError(f"the operation {op.name} takes a constant array; make it a Parameter with requires_grad=False")
        shape = op.shape(*[None if t is None else t.shape for t in inputs])
        if len(shape) != 2 or shape[0] is not BATCH:
            raise TraceError(f"the operation {op.name} gives shape {shape} instead of (N, width)")
        if op.random:
            op.place = self.places
            self.places += 1
        out = self._symbol(shape, any(t is not None and t.requires_grad for t in inputs))
        node = GraphNode(op, inputs, out)
        self.nodes.append(node)
        self.makers[out.index] = node
        return out

    def check_batches(self, rows, batch):
        """Raise ValueError where some batch of `rows` rows in batches of `batch` has one row, and an operation needs more."""
        if rows and (batch == 1 or rows % batch == 1) and any(getattr(n.op, "needs_rows", False) for n in self.nodes):
            which = "batches of 1 row" if batch == 1 else f"a last batch of 1 row ({rows} rows in batches of {batch})"
            raise ValueError(f"batch norm needs more than 1 row per batch in training, got {which}: choose another batch_size")

    def looks_at_data(self):
        """Whether some operation needs more of its data than finite numbers of the right shape: indices, or several rows."""
        return any(hasattr(n.op, "absent") or getattr(n.op, "needs_rows", False) for n in self.nodes)

    def index_columns(self):
        """(input, columns start..stop, rows of the table, whether -1 is allowed) of every embedding that reads an input."""
        for node in self.nodes:
            if not hasattr(node.op, "absent"):
                continue
            source, start, width = node.inputs[0], 0, node.inputs[0].shape[1]
            while self.makers.get(source.index) and self.makers[source.index].op.name == "slice":
                start += self.makers[source.index].op.start
                source = self.makers[source.index].inputs[0]
            if source.index < len(self.inputs):
                yield source.index, start, start + width, node.inputs[1].shape[0], node.op.absent

    def describe(self, names):
        """The graph as JSON-able data; names: id of a parameter -> its name."""
        def refer(t):
            return None if t is None else t.index if t.traced else names[id(t)]
        return {"inputs": [t.shape[1] for t in self.inputs], "output": refer(self.output),
                "nodes": [{"op": n.op.name, "attributes": n.op.attributes(), "inputs": [refer(t) for t in n.inputs],
                           "out": n.out.index} for n in self.nodes]}


def trace(model, widths, dtype, training):
    """The graph of model.forward on inputs (N, width) in training or evaluation mode; the model is left as it was."""
    graph = Graph(widths, dtype)
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    before = root.enter_root(0)
    try:
        out = model.forward(*graph.inputs)
    finally:
        root.leave_root(before)
        for module, mode in modes:
            module.training = mode
    if not isinstance(out, Symbol) or out.graph is not graph:
        raise TypeError(f"forward must return one tensor made of its inputs, got {type(out).__name__}")
    graph.output = out
    return graph
