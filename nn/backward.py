"""The chain rule over a list of operations: one text for the tape and for the plan."""
import operator

import numpy as np

from .. import kernels
from .store import last_write
from .tensor import Tensor, as_real


def backpropagate(k, steps, gradients, new):
    """Walk `steps`, (op, keys, arrays, key of out, array of out) in forward order, in reverse; fill `gradients`.

    k: the kernels to call: a book, or a recorder that writes the calls down. keys, arrays: for each input of op what names it (None:
    its gradient is not asked for) and its values. gradients: key -> its gradient so far; on return, those of the leaves. new(like):
    room for an array. Several uses of a tensor are summed in reverse order of use, each sum into new room, because an operation may
    pass its gradient on as it is.
    """
    for op, keys, arrays, out_key, out in reversed(steps):
        dout = gradients.pop(out_key, None)
        needs = [key is not None for key in keys]
        if dout is None or True not in needs:
            continue
        for key, gradient in zip(keys, op.backward(k, new, needs, dout, out, *arrays)):
            if key is None:
                continue
            if key in gradients:
                total = new(gradient)
                k.add(gradients[key], gradient, total)
                gradient = total
            gradients[key] = gradient


def run_backward(tensor, gradient=None):
    """Add d(tensor)/d(leaf), times `gradient`, to .grad of every leaf that requires it.

    gradient: None for a one-element tensor, else an array of its shape.
    """
    if not tensor.requires_grad:
        raise RuntimeError("backward() needs a tensor that depends on something with requires_grad=True")
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(f"gradient must be given for a tensor of shape {tensor.shape}; only one element needs none")
        gradient = np.empty(tensor.shape, tensor.dtype)
        gradient.fill(1)
    else:
        gradient = as_real(gradient, tensor.dtype)
        if gradient.shape != tensor.shape:
            raise ValueError(f"gradient must have shape {tensor.shape}, got {gradient.shape}")
    tape, rooms = _tape(tensor)

    def new(like):
        """The first gradient of a parameter goes where it stays; a second one must not."""
        room = rooms.pop(id(like), None)
        return np.empty(like.shape, like.dtype) if room is None else room

    nodes = sorted(tape, key=_index)
    steps = [(node.op, tape[node], node.arrays, node, node.out) for node in nodes]
    k, gradients = kernels.get(), {tensor.node or tensor: gradient}
    backpropagate(k, steps, gradients, new)
    for leaf, gradient in gradients.items():
        leaf.add_gradient(k, gradient)
    for node in nodes:
        node.op = node.inputs = node.arrays = None


def _tape(tensor):
    """The nodes behind `tensor`, with what each input's gradient is for: a node, a leaf, or None where it is not asked for. And the
    rooms in which leaves want theirs, by the id of their array."""
    found, rooms, stack = {}, {}, [] if tensor.node is None else [tensor.node]
    while stack:
        node = stack.pop()
        if node in found:
            continue
        if node.inputs is None:
            raise RuntimeError("backward() was called before on this result; run the forward pass again")
        found[node] = keys = []
        for t in node.inputs:
            if t is None or not t.requires_grad:
                keys.append(None)
            elif t.node is None:
                keys.append(t)
                rooms[id(t._array)] = t.gradient_room()
            else:
                keys.append(t.node)
                stack.append(t.node)
        if node.index < last_write[0]:
            refuse_changed(node, keys)
    return found, rooms


def refuse_changed(node, keys):
    """Raise RuntimeError where the backward of `node` reads a parameter that was written since its forward."""
    for place, (t, read) in enumerate(zip(node.inputs, node.op.reads([key is not None for key in keys]))):
        if read and t is not None and t.changed > node.index:
            raise RuntimeError(f"a parameter of shape {t.shape}, input {place} of {node.op.title}, was changed (by an optimizer's step, "
                               "copy_() or fit) after the forward pass that backward() goes back through: run the forward pass again, "
                               "or call backward() before the change")


_index = operator.attrgetter("index")

Tensor.backward = run_backward
