"""Kernels on pairs: every array with its derivative along one direction. So a backward written as calls of kernels has a derivative.

Where an operation calls k.linear_forward(x, w, b, y), k may be a book of kernels, a plan's recorder, or `Tangents`: then the kernel
runs, and its rule gives the tangent of y from those of x, w and b. Running a forward and its backward on pairs is Pearlmutter's
product H v (Fast exact multiplication by the Hessian, Neural Computation 6, 1994), exact to rounding, for about twice their cost.
"""
import functools
import math

import numpy as np

from . import reference
from .reference.activations import sigmoid
from .reference.losses import averaged, row_factor


class Tangents:
    """A book of kernels that also keeps tangents: get(array) and set(array, tangent), None standing for zero."""

    def __init__(self, book):
        self.book, self._held = book, {}

    def get(self, array):
        """The tangent of `array`, None where it is zero."""
        return self._held.get(id(array), (None, None))[1]

    def set(self, array, tangent):
        """Say what the tangent of `array` is; the array is kept, so that its id stays its own."""
        self._held[id(array)] = array, None if tangent is None else np.asarray(tangent)

    def __getattr__(self, name):
        if name in RULES:
            return functools.partial(RULES[name], self)
        if name in reference.KERNELS:
            raise NotImplementedError(f"no rule for the derivative of the kernel {name}: products with the Hessian and forward "
                                      "derivatives cannot pass through it yet")
        raise AttributeError(name)


def _sum(*parts):
    parts = [p for p in parts if p is not None]
    return functools.reduce(np.add, parts) if parts else None


def _run(call, like, *args):
    """call(*args with room like `like` in the place of ...)"""
    room = np.empty_like(like)
    call(*[room if a is Ellipsis else a for a in args])
    return room


# --- dense layers: linear in each of their arrays

def _linear_forward(t, x, w, b, y):
    k, dx, dw, db = t.book, t.get(x), t.get(w), None if b is None else t.get(b)
    k.linear_forward(x, w, b, y)
    t.set(y, _sum(None if dx is None else _run(k.linear_forward, y, dx, w, None, ...),
                  None if dw is None else _run(k.linear_forward, y, x, dw, None, ...),
                  None if db is None else np.broadcast_to(db, y.shape).copy()))


def _linear_backward_input(t, dy, w, x, dx):
    k, ty, tw = t.book, t.get(dy), t.get(w)
    k.linear_backward_input(dy, w, x, dx)
    t.set(dx, _sum(None if ty is None else _run(k.linear_backward_input, dx, ty, w, None, ...),
                   None if tw is None else _run(k.linear_backward_input, dx, dy, tw, None, ...)))


def _linear_backward_weight(t, x, dy, dw, db):
    k, tx, ty = t.book, t.get(x), t.get(dy)
    k.linear_backward_weight(x, dy, dw, db)
    if dw is not None:
        t.set(dw, _sum(None if tx is None else _run(k.linear_backward_weight, dw, tx, dy, ..., None),
                       None if ty is None else _run(k.linear_backward_weight, dw, x, ty, ..., None)))
    if db is not None:
        t.set(db, None if ty is None else _run(k.linear_backward_weight, db, x, ty, None, ...))


# --- arithmetic; an output may be an input, so a tangent is computed before the kernel runs

def _add(t, a, b, y):
    tangent = _sum(t.get(a), t.get(b))
    t.book.add(a, b, y)
    t.set(y, tangent)


def _subtract(t, a, b, y):
    db = t.get(b)
    tangent = _sum(t.get(a), None if db is None else -db)
    t.book.subtract(a, b, y)
    t.set(y, tangent)


def _multiply(t, a, b, y):
    da, db = t.get(a), t.get(b)
    tangent = _sum(None if da is None else da * b, None if db is None else a * db)
    t.book.multiply(a, b, y)
    t.set(y, tangent)


def _divide(t, a, b, y):
    da, db = t.get(a), t.get(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        tangent = _sum(None if da is None else da / b, None if db is None else -(a / b) * db / b)
    t.book.divide(a, b, y)
    t.set(y, tangent)


def _scale(t, x, y, factor=1.0, offset=0.0):
    dx = t.get(x)
    tangent = None if dx is None else dx * x.dtype.type(factor)
    t.book.scale(x, y, factor, offset)
    t.set(y, tangent)


def _power(t, x, y, exponent=2.0):
    dx = t.get(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        tangent = None if dx is None or exponent == 0 else dx * x.dtype.type(exponent) * x ** x.dtype.type(exponent - 1)
    t.book.power(x, y, exponent)
    t.set(y, tangent)


def _exp(t, x, y):
    dx = t.get(x)
    t.book.exp(x, y)
    t.set(y, None if dx is None else dx * y)


def _fill(t, y, value=0.0):
    t.book.fill(y, value)
    t.set(y, None)


def _copy_columns(t, x, y, start_x=0, start_y=0, width=0):
    dx, dy = t.get(x), t.get(y)
    if dx is not None or dy is not None:  # the other columns of y keep what they hold
        tangent = np.zeros_like(y) if dy is None else dy.copy()
        t.book.copy_columns(np.zeros_like(x) if dx is None else dx, tangent, start_x, start_y, width)
        t.set(y, tangent)
    t.book.copy_columns(x, y, start_x, start_y, width)


def _dropout(name):
    def rule(t, x, y, *scalars):
        dx, kernel = t.get(x), getattr(t.book, name)
        kernel(x, y, *scalars)
        t.set(y, None if dx is None else _run(kernel, y, dx, ..., *scalars))
    return rule


# --- activations: the tangent of a forward is its backward's product; that of a backward needs the slope's own derivative

def _normal_density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _silu_curvature(x):
    s = sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


CURVATURES = {
    # derivative of the slope by the array that the backward reads: the output y, or the input x of gelu and silu
    "identity": lambda y: None,
    "relu": lambda y: None,
    "leaky_relu": lambda y, alpha=0.01: None,
    "sigmoid": lambda y: 1 - 2 * y,
    "tanh": lambda y: -2 * y,
    "elu": lambda y, alpha=1.0: (y <= 0).astype(y.dtype),
    "softplus": lambda y: np.exp(-y),
    "gelu": lambda x: (2 - x * x) * _normal_density(x),
    "silu": _silu_curvature,
}
FROM_INPUT = ("gelu", "silu")


def _activation_forward(name):
    def rule(t, x, y, *scalars):
        getattr(t.book, f"{name}_forward")(x, y, *scalars)
        dx = t.get(x)
        source = x if name in FROM_INPUT else y
        t.set(y, None if dx is None else _run(getattr(t.book, f"{name}_backward"), y, source, dx, ..., *scalars))
    return rule


def _activation_backward(name):
    def rule(t, source, dy, dx, *scalars):
        backward = getattr(t.book, f"{name}_backward")
        ts, ty = t.get(source), t.get(dy)
        bend = None if ts is None else CURVATURES[name](source, *scalars)
        tangent = _sum(None if ty is None else _run(backward, dx, source, ty, ..., *scalars), None if bend is None else dy * bend * ts)
        backward(source, dy, dx, *scalars)
        t.set(dx, tangent)
    return rule


def _softmax_backward(t, y, dy, dx):
    ty, tdy = t.get(y), t.get(dy)
    parts = [None if tdy is None else _run(t.book.softmax_backward, dx, y, tdy, ...)]
    if ty is not None:
        inner = (dy * y).sum(axis=1, keepdims=True)
        parts.append(ty * (dy - inner) - y * (dy * ty).sum(axis=1, keepdims=True))
    t.book.softmax_backward(y, dy, dx)
    t.set(dx, _sum(*parts))


RULES = {
    "linear_forward": _linear_forward, "linear_backward_input": _linear_backward_input, "linear_backward_weight": _linear_backward_weight,
    "add": _add, "subtract": _subtract, "multiply": _multiply, "divide": _divide, "scale": _scale, "power": _power, "fill": _fill,
    "copy_columns": _copy_columns, "exp": _exp,
    "dropout_forward": _dropout("dropout_forward"), "dropout_backward": _dropout("dropout_backward"),
    "softmax_forward": _activation_forward("softmax"), "softmax_backward": _softmax_backward,
    **{f"{name}_forward": _activation_forward(name) for name in CURVATURES},
    **{f"{name}_backward": _activation_backward(name) for name in CURVATURES},
}
"""Kernel -> its rule: rule(tangents, *the kernel's arguments) runs it and sets the tangents of what it writes."""


# --- losses: the tangent of the gradient dz that a loss writes, along the tangent v of its predictions z

def _softmax_curvature(z, v, factor, mass):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return factor * mass * p * (v - (p * v).sum(axis=1, keepdims=True))


def _softmax_cross_entropy_weighted(z, v, t, w, weights, label_smoothing=0.0, mean=True):
    share = label_smoothing / z.shape[1]
    mass = 1 - label_smoothing + share * weights.sum() / weights[t]
    return _softmax_curvature(z, v, row_factor(w, len(z), mean, z.dtype), mass[:, None].astype(z.dtype))


def _cross_entropy(p, v, t, w, mean=True):
    rows, out = np.arange(len(t)), np.zeros_like(p)
    chosen = p[rows, t]
    safe = np.maximum(chosen, np.finfo(p.dtype).tiny)
    out[rows, t] = np.where(chosen > safe * 0.5, row_factor(w, len(p), mean, p.dtype)[:, 0] * (v[rows, t] / safe) / safe, 0)
    return out


def _cross_entropy_soft(p, v, t, w, mean=True):
    safe = np.maximum(p, np.finfo(p.dtype).tiny)
    return np.where(p > safe * 0.5, row_factor(w, len(p), mean, p.dtype) * (t / safe) * (v / safe), 0)


def _binary_cross_entropy(p, v, t, w, mean=True):
    factor = row_factor(w, len(p), mean, p.dtype) * p.dtype.type(1 / averaged(p, mean))
    spread = (1 - p) * p
    safe = np.maximum(spread, p.dtype.type(1e-12))  # the divisor of the gradient is cut there and then constant
    slope = np.where(spread >= safe, 1 - (p - t) / safe * (1 - 2 * p), 1)
    return factor * slope / safe * v


def _binary_cross_entropy_logits(z, v, t, w, mean=True):
    s = sigmoid(z)
    return row_factor(w, len(z), mean, z.dtype) * z.dtype.type(1 / averaged(z, mean)) * s * (1 - s) * v


LOSS_CURVATURES = {
    "squared_error": lambda y, v, t, w, mean=True: v * (row_factor(w, len(y), mean, y.dtype) * y.dtype.type(2 / averaged(y, mean))),
    "softmax_cross_entropy": lambda z, v, t, w, label_smoothing=0.0, mean=True: _softmax_curvature(
        z, v, row_factor(w, len(z), mean, z.dtype), 1),
    "softmax_cross_entropy_weighted": _softmax_cross_entropy_weighted,
    "softmax_cross_entropy_soft": lambda z, v, t, w, mean=True: _softmax_curvature(
        z, v, row_factor(w, len(z), mean, z.dtype), t.sum(axis=1, keepdims=True)),
    "cross_entropy": _cross_entropy, "cross_entropy_soft": _cross_entropy_soft,
    "binary_cross_entropy": _binary_cross_entropy, "binary_cross_entropy_logits": _binary_cross_entropy_logits,
}


def loss_curvature(kernel, z, v, *rest):
    """H v, H the second derivative by z of the batch's loss by the loss kernel `kernel`; rest: t, w, constants, scalars, mean."""
    if kernel not in LOSS_CURVATURES:
        raise NotImplementedError(f"no rule for the second derivative of the loss kernel {kernel}")
    return LOSS_CURVATURES[kernel](z, v, *rest) if len(z) else np.zeros_like(z)


__all__ = ["LOSS_CURVATURES", "RULES", "Tangents", "loss_curvature"]
