"""What functions of tensors share: inputs as tensors, activations by name, random operations."""
from copy import copy

import numpy as np

from . import eager_ops, ops, random, root
from .tensor import apply, as_real, as_tensor


def real(input):
    """`input` as a tensor of floats."""
    x = as_tensor(input)
    if not x.traced and x.dtype.kind != "f":
        x = as_tensor(as_real(x, None).astype(np.float32))
    return x


def activation(function, alpha=None, beta=None):
    """The function of a tensor that is the activation `function` with its parameters."""
    def call(input):
        return apply(ops.Activation(function, alpha, beta), real(input))
    return call


def as_rows(op, x, *others):
    """Apply an operation on (N, I) along the last dimension of x, whatever its shape."""
    if x.traced or x.ndim == 2:
        return apply(op, x, *others)
    flat = apply(eager_ops.Reshape((-1, x.shape[-1] if x.ndim else 1)), x)
    return apply(eager_ops.Reshape(x.shape), apply(op, flat, *others))


def along_last(function, input, dim):
    """function of rows (N, C), along the last dimension of `input`, which `dim` must name."""
    x = real(input)
    if dim is not None and dim not in (-1, x.ndim - 1) or x.ndim == 0:
        last = f"{x.ndim - 1} or -1, the last dimension of its input" if x.ndim else "that of an input which has one"
        raise ValueError(f"dim must be {last}, got {dim!r}")
    if x.traced or x.ndim == 2:
        return function(x)
    y = function(apply(eager_ops.Reshape((-1, x.shape[-1])), x))
    return apply(eager_ops.Reshape((*x.shape[:-1], y.shape[-1])), y)


def drawn(op, x):
    """Run a random operation: it gets the seed, its place in the running forward and the step."""
    op = copy(op)
    if x.traced:
        return apply(op, x)
    running = root.current()
    op.seed, op.place, op.step = random.eager_seed(), running.place, running.step
    running.place += 1
    if x.ndim == 2:
        return apply(op, x)
    flat = apply(eager_ops.Reshape((1, -1) if x.ndim < 2 else (x.shape[0], -1)), x)
    return apply(eager_ops.Reshape(x.shape), apply(op, flat))
