"""Tape: the operations between chosen leaves and a result, to be walked more than once: backwards, forwards, and backwards on pairs."""
import numpy as np

from .. import kernels
from ..kernels.tangent import Tangents
from .backward import backpropagate, refuse_changed
from .store import last_write

BY_ROWS = ("linear", "activation", "add", "subtract", "multiply", "divide", "scale", "power", "concatenate", "slice", "dropout")
"""Operations whose row n reads row n of their inputs alone."""


class _LinearByRows:
    """The backward of a dense layer that keeps the rows of dw (N, O, I) and db (N, O) apart."""

    def backward(self, k, new, needs, dy, y, x, w, b):
        dx = None
        if needs[0]:
            dx = new(x)
            k.linear_backward_input(dy, w, None, dx)
        return dx, dy[:, :, None] * x[:, None, :] if needs[1] else None, dy.copy() if needs[2] else None


class _Paired:
    """An operation whose backward runs on arrays with tangents."""

    def __init__(self, op):
        self.backward = op.backward_pair


class Tape:
    """What leads from `leaves` (tensors that require gradients) to the tensor `out`; what depends on no leaf is left out.

    Unlike Tensor.backward it adds nothing to .grad and stays usable.
    """

    def __init__(self, out, leaves):
        self.out, self.leaves, self.book = out, leaves, kernels.get()
        reached = set(leaves)
        self.steps = []
        for node in _nodes(out):
            keys = [None if t is None else t if t in reached else t.node if t.node in reached else None for t in node.inputs]
            if any(key is not None for key in keys):
                if node.index < last_write[0]:
                    refuse_changed(node, keys)
                reached.add(node)
                self.steps.append((node.op, keys, node.arrays, node, node.out))
        self.end = out if out in reached else out.node if out.node in reached else None

    def pull(self, dout):
        """Gradients of the sum of dout * out by each leaf, zeros where it has no part."""
        found = self.walk(self.book, dout, self.steps)
        return [found[leaf] if leaf in found else np.zeros_like(leaf._array) for leaf in self.leaves]

    def keeps_rows(self, rows):
        """Whether the `rows` rows of all operations stay apart, and leaves are read by dense layers alone, as weight or bias."""
        leaves = set(self.leaves)
        return self.end not in leaves and all(
            op.name in BY_ROWS and len(out) == rows and not any(key in leaves for key in (keys[:1] if op.name == "linear" else keys))
            for op, keys, _, _, out in self.steps)

    def pull_rows(self, dout):
        """What pull gives, for each row n of dout alone: (N, *shape) by leaf. For a tape that keeps_rows."""
        by_rows = _LinearByRows()
        found = self.walk(self.book, dout, [(by_rows if op.name == "linear" else op, *rest) for op, *rest in self.steps])
        return [found[leaf] if leaf in found else np.zeros((len(dout), *leaf.shape), leaf.dtype) for leaf in self.leaves]

    def push(self, tangents):
        """The derivative of `out` along `tangents`, one array (or None for zero) per leaf."""
        pairs = self._pairs(tangents)
        tangent = pairs.get(self.out._array) if self.end is not None else None
        return np.zeros_like(self.out._array) if tangent is None else tangent

    def push_pull(self, tangents, dout):
        """What pull(dout) gives, and its derivative along `tangents`: for a scalar `out`, its gradient g and H v."""
        pairs = self._pairs(tangents)
        found = self.walk(pairs, dout, [(_Paired(op), *rest) for op, *rest in self.steps])
        gradients, products = [], []
        for leaf in self.leaves:
            gradient = found.get(leaf)
            product = None if gradient is None else pairs.get(gradient)
            gradients.append(np.zeros_like(leaf._array) if gradient is None else gradient)
            products.append(np.zeros_like(leaf._array) if product is None else product)
        return gradients, products

    def _pairs(self, tangents):
        pairs = Tangents(self.book)
        for leaf, tangent in zip(self.leaves, tangents):
            if tangent is not None:
                pairs.set(leaf._array, tangent)
        for op, _, arrays, _, out in self.steps:
            op.forward_pair(pairs, out, *arrays)
        return pairs

    def walk(self, k, dout, steps):
        """{leaf: gradient} by `steps`, those of the tape or their like, in the kernels k; leaves without a part are not in it."""
        if self.end is None:
            return {}
        gradients = {self.end: dout}
        backpropagate(k, steps, gradients, np.empty_like)
        return gradients


def _nodes(out):
    """The nodes behind `out` in the order they ran."""
    found, stack = set(), [] if out.node is None else [out.node]
    while stack:
        node = stack.pop()
        if node in found:
            continue
        if node.inputs is None:
            raise RuntimeError("backward() was called before on this result; run the forward pass again")
        found.add(node)
        stack.extend(t.node for t in node.inputs if t is not None and t.node is not None)
    return sorted(found, key=lambda node: node.index)
