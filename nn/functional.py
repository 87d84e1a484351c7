"""Operations as functions, in PyTorch's names: they take arrays or tensors, and give tensors."""
import threading
import warnings

import numpy as np

from .. import kernels
from . import eager_ops, ops, random
from .tensor import Node, Tensor, apply, as_real, as_tensor, grad_enabled, wrap

_forward = threading.local()


class _Root:
    """Counts operations of the running root forward, so that every dropout knows its place in it."""

    def __init__(self, step):
        self.step, self.place = step, 0


def enter_root(step):
    """Begin a root forward; returns the one that was running."""
    before = getattr(_forward, "root", None)
    _forward.root = _Root(step)
    return before


def leave_root(before):
    """End it."""
    _forward.root = before


def inside_root():
    """Whether a module's forward is running in this thread."""
    return getattr(_forward, "root", None) is not None


def linear(input, weight, bias=None):
    """y = x wᵀ + b;  x (..., I)  w (O, I)  b (O,) or None -> y (..., O)"""
    x = as_tensor(input, weight.dtype)
    if x.traced or x.ndim == 2:
        return apply(ops.Linear(), x, weight, bias)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"input must have shape (..., in_features) = (..., {weight.shape[1]}), got {x.shape}")
    flat = apply(eager_ops.Reshape((-1, weight.shape[1])), x)
    return apply(eager_ops.Reshape((*x.shape[:-1], weight.shape[0])), apply(ops.Linear(), flat, weight, bias))


def _activation(function, alpha=None):
    def call(input):
        return apply(ops.Activation(function, alpha), _real(input))
    return call


def _real(input):
    x = as_tensor(input)
    if not x.traced and x.dtype.kind != "f":
        x = as_tensor(as_real(x, None).astype(np.float32))
    return x


def sigmoid(input):
    """1 / (1 + exp(-x))"""
    return _activation("sigmoid")(input)


def tanh(input):
    """tanh x"""
    return _activation("tanh")(input)


def relu(input):
    """max(x, 0)"""
    return _activation("relu")(input)


def leaky_relu(input, negative_slope=0.01):
    """x where x >= 0, negative_slope x elsewhere; negative_slope >= 0"""
    return _activation("leaky_relu", not_negative("negative_slope", negative_slope))(input)


def elu(input, alpha=1.0):
    """x where x >= 0, alpha (exp(x) - 1) elsewhere; alpha >= 0"""
    return _activation("elu", not_negative("alpha", alpha))(input)


def gelu(input):
    """x Φ(x), Φ the normal distribution"""
    return _activation("gelu")(input)


def silu(input):
    """x sigmoid(x)"""
    return _activation("silu")(input)


def softplus(input):
    """log(1 + exp(x))"""
    return _activation("softplus")(input)


def softmax(input, dim=1):
    """exp(x) / sum of exp(x) along the last dimension of a matrix"""
    if dim not in (1, -1):
        raise ValueError(f"dim must be 1 or -1 (the classes of an (N, C) input), got {dim!r}")
    return _activation("softmax")(input)


def identity(input):
    """x"""
    return as_tensor(input)


def not_negative(name, value):
    """`value`, which must be >= 0: the derivative is read from the output, whose sign must be the input's."""
    if not value >= 0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return value


def dropout(input, p=0.5, training=True):
    """x / (1 - p) where kept, 0 where dropped, in training; x otherwise"""
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in 0..1, got {p!r}")
    x = _real(input)
    if not training or p == 0:
        return x
    if x.traced:
        return apply(ops.Dropout(p), x)
    root = getattr(_forward, "root", None) or _Root(0)
    place, root.place = root.place, root.place + 1
    if x.ndim != 2:
        flat = apply(eager_ops.Reshape((1, -1) if x.ndim < 2 else (x.shape[0], -1)), x)
        return apply(eager_ops.Reshape(x.shape), apply(ops.Dropout(p, random.eager_seed(), place, root.step), flat))
    return apply(ops.Dropout(p, random.eager_seed(), place, root.step), x)


def _scalar(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _binary(op, a, b):
    dtype = next(t.dtype for t in (a, b) if isinstance(t, Tensor))
    a, b = as_tensor(a, dtype), as_tensor(b, dtype)
    if not (a.traced or b.traced) and a.shape != b.shape:
        shape = np.broadcast_shapes(a.shape, b.shape)
        a, b = (t if t.shape == shape else apply(eager_ops.Broadcast(shape), t) for t in (a, b))
    return apply(op, a, b)


def add(a, b):
    """a + b"""
    if _scalar(b):
        return apply(ops.Scale(1.0, b), a)
    return apply(ops.Scale(1.0, a), b) if _scalar(a) else _binary(ops.Add(), a, b)


def subtract(a, b):
    """a - b"""
    if _scalar(b):
        return apply(ops.Scale(1.0, -b), a)
    return apply(ops.Scale(-1.0, a), b) if _scalar(a) else _binary(ops.Subtract(), a, b)


def multiply(a, b):
    """a b, element by element"""
    if _scalar(b):
        return apply(ops.Scale(b), a)
    return apply(ops.Scale(a), b) if _scalar(a) else _binary(ops.Multiply(), a, b)


def divide(a, b):
    """a / b, element by element"""
    if _scalar(b):
        return apply(ops.Scale(1.0 / b), a)
    if _scalar(a):
        return apply(ops.Scale(a), apply(ops.Power(-1.0), b))
    return _binary(ops.Divide(), a, b)


def power(a, exponent):
    """a ** exponent for a number"""
    if not _scalar(exponent):
        raise TypeError(f"exponent must be a number, got {type(exponent).__name__}")
    return apply(ops.Power(exponent), as_tensor(a))


def matmul(a, b):
    """The product of two matrices"""
    dtype = next(t.dtype for t in (a, b) if isinstance(t, Tensor))
    return apply(eager_ops.MatMul(), as_tensor(a, dtype), as_tensor(b, dtype))


def concatenate(tensors, dim=1):
    """Inputs (N, width) side by side"""
    if dim not in (1, -1):
        raise ValueError(f"dim must be 1 or -1 (the columns of (N, width) inputs), got {dim!r}")
    return apply(ops.Concatenate(), *[_real(t) for t in tensors])


cat = concatenate


def getitem(x, key):
    """x[key]; columns x[:, start:stop] also in a plan"""
    if isinstance(key, tuple) and len(key) == 2 and key[0] == slice(None) and isinstance(key[1], slice) and x.ndim == 2:
        start, stop, step = key[1].indices(x.shape[1])
        if step == 1:
            return apply(ops.Slice(start, max(start, stop)), x)
    return apply(eager_ops.Index(key), x)


def reshape(x, shape):
    """The same values in another shape"""
    return apply(eager_ops.Reshape(shape), x)


def sum(x):
    """Sum of all elements"""
    return apply(eager_ops.Sum(), as_tensor(x))


def mean(x):
    """Mean of all elements"""
    x = as_tensor(x)
    return apply(ops.Scale(1.0 / max(x.size, 1)), sum(x))


def loss_value(op, z, target, weight):
    """The scalar of loss `op` for predictions z (N, O), a prepared target and row weights (or None), with its gradient on the tape."""
    k = kernels.get()
    wanted = grad_enabled() and z.requires_grad
    dz = np.empty_like(z._array) if wanted else None
    l, s = np.empty(len(z), z.dtype), np.empty(2)
    op.rows(k, z._array, target, weight, l, dz)
    k.mean_loss(l, weight, s)
    value = s[0] if not op.mean else (s[0] / s[1] if s[1] != 0 else 0.0)
    result = wrap(np.asarray(value, z.dtype))
    if wanted:
        result.requires_grad = True
        result.node = Node(eager_ops.LossValue(dz), (z,), result._array)
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


def mse_loss(input, target, reduction="mean", weight=None):
    """Mean of (input - target)² over all elements; weight (N,): row weights"""
    from .losses import MSELoss
    return MSELoss(reduction)(input, target, weight)


def cross_entropy(input, target, class_weight=None, label_smoothing=0.0, from_logits=True, reduction="mean", weight=None):
    """Cross-entropy of logits or probabilities (N, C) against classes (N,) or probabilities (N, C); weight (N,): row weights"""
    from .losses import CrossEntropyLoss
    return CrossEntropyLoss(from_logits, label_smoothing, class_weight, reduction)(input, target, weight)


def binary_cross_entropy(input, target, reduction="mean", weight=None):
    """Binary cross-entropy of probabilities; weight (N,): row weights"""
    from .losses import BCELoss
    return BCELoss(reduction)(input, target, weight)


def binary_cross_entropy_with_logits(input, target, reduction="mean", weight=None):
    """Binary cross-entropy of logits; weight (N,): row weights"""
    from .losses import BCEWithLogitsLoss
    return BCEWithLogitsLoss(reduction)(input, target, weight)
