"""The chain rule over a list of operations: one text for the tape and for the plan."""
import numpy as np

from .. import kernels
from .tensor import Tensor, as_real


def backpropagate(k, steps, gradients, key, array_of, wants, new):
    """Walk `steps`, (op, inputs, key of out, array of out) in forward order, in reverse; fill `gradients`.

    k: the kernels to call: a book, or a recorder that writes the calls down. gradients: key of a tensor -> its gradient so far; on
    return, those of the leaves. key(tensor), array_of(tensor), wants(tensor): what names it; its values; whether its gradient is
    asked for. new(like): room for an array. Several uses of a tensor are summed in reverse order of use, each sum into new room,
    because an operation may pass its gradient on as it is.
    """
    for op, inputs, out_key, out in reversed(steps):
        dout = gradients.pop(out_key, None)
        needs = tuple(t is not None and wants(t) for t in inputs)
        if dout is None or not any(needs):
            continue
        arrays = [None if t is None else array_of(t) for t in inputs]
        for t, gradient, need in zip(inputs, op.backward(k, new, needs, dout, out, *arrays), needs):
            if not need:
                continue
            name = key(t)
            if name in gradients:
                total = new(gradient)
                k.add(gradients[name], gradient, total)
                gradient = total
            gradients[name] = gradient


def run_backward(tensor, gradient=None):
    """Add d(tensor)/d(leaf), times `gradient`, to .grad of every leaf that requires it.

    gradient: None for a one-element tensor, else an array of its shape.
    """
    if not tensor.requires_grad:
        raise RuntimeError("backward() needs a tensor that depends on something with requires_grad=True")
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(f"gradient must be given for a tensor of shape {tensor.shape}; only one element needs none")
        gradient = np.ones(tensor.shape, tensor.dtype)
    else:
        gradient = as_real(gradient, tensor.dtype)
        if gradient.shape != tensor.shape:
            raise ValueError(f"gradient must have shape {tensor.shape}, got {gradient.shape}")
    nodes = _tape(tensor)
    gradients = {_key(tensor): gradient}
    leaves = {id(t): t for node in nodes for t in node.inputs if t is not None and t.node is None and t.requires_grad}
    if tensor.node is None:
        leaves[id(tensor)] = tensor
    k = kernels.get()
    backpropagate(k, [(n.op, n.inputs, id(n), n.out) for n in nodes], gradients, _key, lambda t: t._array, lambda t: t.requires_grad,
                  np.empty_like)
    for key, leaf in leaves.items():
        if key in gradients:
            _accumulate(k, leaf, gradients[key])
    for node in nodes:
        node.op = node.inputs = node.out = None


def _key(tensor):
    return id(tensor if tensor.node is None else tensor.node)


def _tape(tensor):
    """The nodes behind `tensor`, in the order they ran."""
    found, stack = {}, [tensor]
    while stack:
        node = stack.pop().node
        if node is None or id(node) in found:
            continue
        if node.inputs is None:
            raise RuntimeError("backward() was called before on this result; run the forward pass again")
        found[id(node)] = node
        stack.extend(t for t in node.inputs if t is not None)
    return sorted(found.values(), key=lambda node: node.index)


def _accumulate(k, leaf, gradient):
    held = leaf.gradient_array()
    if held is None:
        leaf.set_gradient(gradient)
    else:
        k.add(held, gradient, held)


Tensor.backward = run_backward
