"""A loss on the tape: its value with its gradient in one pass, and the link function that its input may carry."""
import warnings

import numpy as np

from .. import kernels
from . import eager_ops, ops
from .tensor import Node, grad_enabled, wrap


def loss_value(op, z, target, weight):
    """The scalar of loss `op` for predictions z (N, O), a prepared target and row weights (or None), with its gradient on the tape."""
    k = kernels.get()
    wanted = z.requires_grad and grad_enabled()
    values = z._array
    dz = np.empty_like(values) if wanted else None
    l, s = np.empty(values.shape[0], values.dtype), np.empty(2)
    op.rows(k, values, target, weight, l, dz)
    k.mean_loss(l, weight, s)
    total, mass = s.tolist()
    result = wrap(np.array(total if not op.mean else total / mass if mass != 0 else 0.0, values.dtype))
    if wanted:
        result.requires_grad = True
        result.node = Node(eager_ops.LossValue(dz, op, target, weight), (z,), [values], result._array)
    return result


def linked_input(z, link, from_logits, loss):
    """The logits behind `z` when its producer is the loss's own link and it takes probabilities; a warning when they would be
    applied twice. Returns (tensor, whether it is logits)."""
    producer = z.producer() if z.traced else (z.node and (z.node.op, z.node.inputs))
    linked = producer and isinstance(producer[0], ops.Activation) and producer[0].function == link
    if linked and not from_logits:
        return producer[1][0], True
    if linked:
        warnings.warn(f"{loss} expects logits but its input is the output of {link}, which is then applied twice: remove the {link}, "
                      f"or take {'from_logits=False' if link == 'softmax' else 'BCELoss'}", stacklevel=4)
    return z, from_logits
