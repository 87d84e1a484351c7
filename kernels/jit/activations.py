"""Activations and their derivatives. A backward works from the output y where the derivative allows it, else from the input x.

Each is a function of one scalar and of its parameter; `_map` and `_chain` make the loops.
"""
import numpy as np

from .. import reference
from ..contract import ACTIVATIONS
from . import vmath
from .face import face, inline, like, loop

__all__ = ["identity_forward", "identity_backward", "sigmoid_forward", "sigmoid_backward", "tanh_forward", "tanh_backward",
           "relu_forward", "relu_backward", "leaky_relu_forward", "leaky_relu_backward", "elu_forward", "elu_backward",
           "softplus_forward", "softplus_backward", "gelu_forward", "gelu_backward", "silu_forward", "silu_backward",
           "softmax_forward", "softmax_backward", "log_softmax_forward", "log_softmax_backward"]

CODE = {name: code for code, name in enumerate(ACTIVATIONS)}
"""Loops are told the activation by number."""


def _map(f):
    """The loop y = f(x, alpha); y may be x."""
    @loop
    def forward(x, y, alpha):
        x, y, a = x.ravel(), y.ravel(), x.dtype.type(alpha)
        for i in range(y.size):
            y[i] = f(x[i], a)
    return forward


def _chain(f):
    """The loop dx = dy f(v, alpha), v the output or the input of the activation; dx may be dy."""
    @loop
    def backward(v, dy, dx, alpha):
        v, dy, dx, a = v.ravel(), dy.ravel(), dx.ravel(), v.dtype.type(alpha)
        for i in range(dx.size):
            dx[i] = dy[i] * f(v[i], a)
    return backward


_identity = _map(inline(lambda x, a: x))
_sigmoid = _map(inline(lambda x, a: vmath.sigmoid(x)))
_tanh = _map(inline(lambda x, a: vmath.tanh(x)))
_relu = _map(inline(lambda x, a: like(x, 0) if x < like(x, 0) else x))
_leaky_relu = _map(inline(lambda x, a: a * x if x < like(x, 0) else x))
_softplus = _map(inline(lambda x, a: vmath.softplus(x)))


@_map
@inline
def _elu(x, a):
    zero = like(x, 0)
    below = x < zero
    e = a * vmath.expm1(x if below else zero)
    return e if below else x


_sigmoid_slope = _chain(inline(lambda y, a: y * (like(y, 1) - y)))
_tanh_slope = _chain(inline(lambda y, a: like(y, 1) - y * y))
_relu_slope = _chain(inline(lambda y, a: like(y, 1) if y > like(y, 0) else like(y, 0)))
_leaky_relu_slope = _chain(inline(lambda y, a: like(y, 1) if y > like(y, 0) else a))
_elu_slope = _chain(inline(lambda y, a: like(y, 1) if y > like(y, 0) else y + a))
_softplus_slope = _chain(inline(lambda y, a: -vmath.expm1(-y)))


@loop
def activate(code, x, y, alpha):
    """y = f(x), f number `code` of contract.ACTIVATIONS; y may be x."""
    if code == 1:
        _sigmoid(x, y, alpha)
    elif code == 2:
        _tanh(x, y, alpha)
    elif code == 3:
        _relu(x, y, alpha)
    elif code == 4:
        _leaky_relu(x, y, alpha)
    elif code == 5:
        _elu(x, y, alpha)
    elif code == 6:
        _softplus(x, y, alpha)


@loop
def chain(code, y, dy, dx, alpha):
    """dx = dy f'(x) from y = f(x), f number `code` of contract.ACTIVATIONS; dx may be dy."""
    if code == 1:
        _sigmoid_slope(y, dy, dx, alpha)
    elif code == 2:
        _tanh_slope(y, dy, dx, alpha)
    elif code == 3:
        _relu_slope(y, dy, dx, alpha)
    elif code == 4:
        _leaky_relu_slope(y, dy, dx, alpha)
    elif code == 5:
        _elu_slope(y, dy, dx, alpha)
    elif code == 6:
        _softplus_slope(y, dy, dx, alpha)


@face(reference.identity_forward)
def identity_forward(x, y):
    _identity(x, y, 0.0)


@face(reference.identity_backward)
def identity_backward(y, dy, dx):
    _identity(dy, dx, 0.0)


@face(reference.sigmoid_forward)
def sigmoid_forward(x, y):
    _sigmoid(x, y, 0.0)


@face(reference.sigmoid_backward)
def sigmoid_backward(y, dy, dx):
    _sigmoid_slope(y, dy, dx, 0.0)


@face(reference.tanh_forward)
def tanh_forward(x, y):
    _tanh(x, y, 0.0)


@face(reference.tanh_backward)
def tanh_backward(y, dy, dx):
    _tanh_slope(y, dy, dx, 0.0)


@face(reference.relu_forward)
def relu_forward(x, y):
    _relu(x, y, 0.0)


@face(reference.relu_backward)
def relu_backward(y, dy, dx):
    _relu_slope(y, dy, dx, 0.0)


@face(reference.leaky_relu_forward)
def leaky_relu_forward(x, y, alpha=0.01):
    _leaky_relu(x, y, float(alpha))


@face(reference.leaky_relu_backward)
def leaky_relu_backward(y, dy, dx, alpha=0.01):
    _leaky_relu_slope(y, dy, dx, float(alpha))


@face(reference.elu_forward)
def elu_forward(x, y, alpha=1.0):
    _elu(x, y, float(alpha))


@face(reference.elu_backward)
def elu_backward(y, dy, dx, alpha=1.0):
    _elu_slope(y, dy, dx, float(alpha))


@face(reference.softplus_forward)
def softplus_forward(x, y):
    _softplus(x, y, 0.0)


@face(reference.softplus_backward)
def softplus_backward(y, dy, dx):
    _softplus_slope(y, dy, dx, 0.0)


@_map
@inline
def _gelu(x, a):
    wide = np.float64(x)
    cdf, _ = vmath.normal(wide)
    return like(x, (-40.0 if wide < -40.0 else wide) * cdf)  # below -40 the result is -0, also at -inf


@_chain
@inline
def _gelu_slope(x, a):
    wide = np.float64(x)
    cdf, e = vmath.normal(wide)
    wide = -40.0 if wide < -40.0 else (40.0 if wide > 40.0 else wide)  # e is 0 there: no inf * 0
    return like(x, cdf + wide * e * 0.3989422804014327)


@face(reference.gelu_forward)
def gelu_forward(x, y):
    _gelu(x, y, 0.0)


@face(reference.gelu_backward)
def gelu_backward(x, dy, dx):
    _gelu_slope(x, dy, dx, 0.0)


_silu = _map(inline(lambda x, a: vmath.silu(x)))


@_chain
@inline
def _silu_slope(x, a):
    s, one, far = vmath.sigmoid(x), like(x, 1), like(x, 800)
    x = -far if x < -far else (far if x > far else x)
    return s * (one + x * (one - s))


@face(reference.silu_forward)
def silu_forward(x, y):
    _silu(x, y, 0.0)


@face(reference.silu_backward)
def silu_backward(x, dy, dx):
    _silu_slope(x, dy, dx, 0.0)


@face(reference.softmax_forward)
def softmax_forward(x, y):
    _softmax(x, y)


@loop
def _softmax(x, y):
    classes = x.shape[1]
    for n in range(x.shape[0]):
        _, s = exp_row(x, n, y, n)
        for c in range(classes):
            y[n, c] = y[n, c] / s


@inline
def exp_row(x, n, e, place):
    """e[place, c] = exp(x[n, c] - m), m the largest x of the row; m and the sum of e. A NaN in the row makes the sum NaN."""
    classes = x.shape[1]
    m = row_max(x, n)
    for c in range(classes):
        e[place, c] = vmath.exp(x[n, c] - m)
    return m, row_sum(e, place)


@inline
def row_max(x, n):
    m = x[n, 0] if x.shape[1] else x.dtype.type(0)
    for c in range(1, x.shape[1]):
        m = x[n, c] if x[n, c] > m else m
    return m


@inline
def row_sum(x, n):
    """Sum of a row in eight chains, which begin anew every 512 columns: the rounding error stays that of a short row."""
    total = x.dtype.type(0)
    for start in range(0, x.shape[1], 512):
        total += _part_sum(x, n, start, min(start + 512, x.shape[1]))
    return total


@inline
def _part_sum(x, n, i, stop):
    zero = x.dtype.type(0)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    while i + 8 <= stop:
        a += x[n, i]
        b += x[n, i + 1]
        c += x[n, i + 2]
        d += x[n, i + 3]
        e += x[n, i + 4]
        f += x[n, i + 5]
        g += x[n, i + 6]
        h += x[n, i + 7]
        i += 8
    while i < stop:
        a += x[n, i]
        i += 1
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@face(reference.softmax_backward)
def softmax_backward(y, dy, dx):
    _softmax_backward(y, dy, dx)


@loop
def _softmax_backward(y, dy, dx):
    classes = y.shape[1]
    for n in range(y.shape[0]):
        for c in range(classes):
            dx[n, c] = dy[n, c] * y[n, c]
        s = row_sum(dx, n)
        for c in range(classes):
            dx[n, c] = y[n, c] * (dy[n, c] - s)


@face(reference.log_softmax_forward)
def log_softmax_forward(x, y):
    _log_softmax(x, y)


@loop
def _log_softmax(x, y):
    classes = x.shape[1]
    for n in range(x.shape[0]):
        m, s = exp_row(x, n, y, n)
        logs = vmath.log(s)
        for c in range(classes):
            y[n, c] = (x[n, c] - m) - logs


@face(reference.log_softmax_backward)
def log_softmax_backward(y, dy, dx):
    _log_softmax_backward(y, dy, dx)


@loop
def _log_softmax_backward(y, dy, dx):
    for n in range(y.shape[0]):
        s = row_sum(dy, n)
        for c in range(y.shape[1]):
            dx[n, c] = dy[n, c] - vmath.exp(y[n, c]) * s
