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


def probabilities(loss, values, name="input"):
    """Raise ValueError unless all `values` lie in 0..1, but for a last rounding."""
    wrong = ~((values >= 0) & (values <= 1 + 1e-6))
    if wrong.any():
        end, other = ("Softmax", "from_logits=True") if loss == "CrossEntropyLoss" else ("Sigmoid", "BCEWithLogitsLoss")
        raise ValueError(f"{name} of {loss} must be probabilities, in 0..1, got {values[wrong][0]}: end the model with {end}, "
                         f"or take {other}")


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
    elif not from_logits and not z.traced:
        probabilities(loss, z.numpy())
    return z, from_logits
