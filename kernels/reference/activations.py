"""Activations and their derivatives. A backward works from the output y where the derivative allows it, else from the input x."""
import math

import numpy as np

from ..contract import kernel

__all__ = ["identity_forward", "identity_backward", "sigmoid_forward", "sigmoid_backward", "tanh_forward", "tanh_backward",
           "relu_forward", "relu_backward", "leaky_relu_forward", "leaky_relu_backward", "elu_forward", "elu_backward",
           "softplus_forward", "softplus_backward", "gelu_forward", "gelu_backward", "silu_forward", "silu_backward",
           "softmax_forward", "softmax_backward", "log_softmax_forward", "log_softmax_backward"]

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def sigmoid(x):
    """1 / (1 + exp(-x)), from exp(-|x|) so that nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def normal_cdf(x):
    """Φ(x) = erfc(-x / sqrt 2) / 2, in float64."""
    return 0.5 * np.asarray(_erfc(x.astype(np.float64) * -math.sqrt(0.5)), np.float64)


def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def apply(activation, y, alpha):
    """y = f(y) in place, f named as in contract.ACTIVATIONS."""
    if activation != "identity":
        _FORWARD[activation](y, alpha)


def derivative(activation, y, alpha):
    """f'(z) from the output y = f(z)."""
    return _DERIVATIVE[activation](y, alpha)


def _assign(function):
    def in_place(y, alpha):
        y[...] = function(y, alpha)
    return in_place


_FORWARD = {
    "sigmoid": _assign(lambda x, a: sigmoid(x)),
    "tanh": _assign(lambda x, a: np.tanh(x)),
    "relu": _assign(lambda x, a: np.where(x < 0, 0, x)),
    "leaky_relu": _assign(lambda x, a: np.where(x < 0, a * x, x)),
    "elu": _assign(lambda x, a: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x)),
    "softplus": _assign(lambda x, a: softplus(x)),
}
_DERIVATIVE = {
    "identity": lambda y, a: np.ones_like(y),
    "sigmoid": lambda y, a: y * (1 - y),
    "tanh": lambda y, a: 1 - y * y,
    "relu": lambda y, a: (y > 0).astype(y.dtype),
    "leaky_relu": lambda y, a: np.where(y > 0, 1, a).astype(y.dtype),
    "elu": lambda y, a: np.where(y > 0, 1, y + a).astype(y.dtype),
    "softplus": lambda y, a: -np.expm1(-y),
}


@kernel("x(*) -> y(*)")
def identity_forward(x, y):
    """y = x"""
    y[...] = x


@kernel("y(*) dy(*) -> dx(*)")
def identity_backward(y, dy, dx):
    """dx = dy"""
    dx[...] = dy


@kernel("x(*) -> y(*)")
def sigmoid_forward(x, y):
    """y = 1 / (1 + exp(-x)); float32 within 2 ULP"""
    y[...] = sigmoid(x)


@kernel("y(*) dy(*) -> dx(*)")
def sigmoid_backward(y, dy, dx):
    """dx = dy * y (1 - y)"""
    dx[...] = dy * derivative("sigmoid", y, 0)


@kernel("x(*) -> y(*)")
def tanh_forward(x, y):
    """y = tanh(x); float32 within 2 ULP"""
    np.tanh(x, out=y)


@kernel("y(*) dy(*) -> dx(*)")
def tanh_backward(y, dy, dx):
    """dx = dy * (1 - y²)"""
    dx[...] = dy * derivative("tanh", y, 0)


@kernel("x(*) -> y(*)")
def relu_forward(x, y):
    """y = max(x, 0); NaN stays NaN"""
    y[...] = np.where(x < 0, 0, x)


@kernel("y(*) dy(*) -> dx(*)")
def relu_backward(y, dy, dx):
    """dx = dy * [y > 0]; the derivative at 0 is 0"""
    dx[...] = dy * derivative("relu", y, 0)


@kernel("x(*) -> y(*)")
def leaky_relu_forward(x, y, alpha=0.01):
    """y = x where x >= 0, alpha x elsewhere; alpha >= 0, so that the output tells the sign of the input"""
    y[...] = np.where(x < 0, x.dtype.type(alpha) * x, x)


@kernel("y(*) dy(*) -> dx(*)")
def leaky_relu_backward(y, dy, dx, alpha=0.01):
    """dx = dy * (1 where y > 0, alpha elsewhere)"""
    dx[...] = dy * derivative("leaky_relu", y, y.dtype.type(alpha))


@kernel("x(*) -> y(*)")
def elu_forward(x, y, alpha=1.0):
    """y = x where x >= 0, alpha (exp(x) - 1) elsewhere; alpha >= 0. Clevert et al. 2016, arXiv:1511.07289"""
    y[...] = x
    apply("elu", y, x.dtype.type(alpha))


@kernel("y(*) dy(*) -> dx(*)")
def elu_backward(y, dy, dx, alpha=1.0):
    """dx = dy * (1 where y > 0, y + alpha elsewhere)"""
    dx[...] = dy * derivative("elu", y, y.dtype.type(alpha))


@kernel("x(*) -> y(*)")
def softplus_forward(x, y):
    """y = log(1 + exp(x)); float32 within 2 ULP"""
    y[...] = softplus(x)


@kernel("y(*) dy(*) -> dx(*)")
def softplus_backward(y, dy, dx):
    """dx = dy * (1 - exp(-y)), which is sigmoid(x)"""
    dx[...] = dy * -np.expm1(-y)


@kernel("x(*) -> y(*)")
def gelu_forward(x, y):
    """y = x Φ(x), Φ the normal distribution; float32 within 4 ULP. Hendrycks and Gimpel 2016, arXiv:1606.08415"""
    with np.errstate(invalid="ignore"):
        y[...] = np.where(np.isneginf(x), -0.0, x * normal_cdf(x))


@kernel("x(*) dy(*) -> dx(*)")
def gelu_backward(x, dy, dx):
    """dx = dy * (Φ(x) + x φ(x)), φ(x) = exp(-x² / 2) / sqrt(2 π)"""
    wide = x.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        slope = normal_cdf(x) + np.where(np.isinf(wide), 0, wide * np.exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi))
    dx[...] = dy * slope.astype(x.dtype)


@kernel("x(*) -> y(*)")
def silu_forward(x, y):
    """y = x sigmoid(x); float32 within 4 ULP. Elfwing et al. 2017, arXiv:1702.03118"""
    with np.errstate(invalid="ignore"):
        y[...] = np.where(np.isneginf(x), -0.0, x * sigmoid(x))


@kernel("x(*) dy(*) -> dx(*)")
def silu_backward(x, dy, dx):
    """dx = dy * s (1 + x (1 - s)), s = sigmoid(x)"""
    s = sigmoid(x)
    with np.errstate(invalid="ignore"):
        dx[...] = dy * np.where(np.isinf(x), s, s * (1 + x * (1 - s)))


@kernel("x(N,C) -> y(N,C)")
def softmax_forward(x, y):
    """y[n, c] = exp(x[n, c] - m) / sum over c of exp(x[n, c] - m), m = max over c of x[n, c]"""
    if y.size:
        np.subtract(x, x.max(axis=1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= y.sum(axis=1, keepdims=True)


@kernel("y(N,C) dy(N,C) -> dx(N,C)")
def softmax_backward(y, dy, dx):
    """dx[n, c] = y[n, c] (dy[n, c] - sum over c of dy[n, c] y[n, c])"""
    np.multiply(y, dy - (dy * y).sum(axis=1, keepdims=True), out=dx)


@kernel("x(N,C) -> y(N,C)")
def log_softmax_forward(x, y):
    """y[n, c] = x[n, c] - m - log(sum over c of exp(x[n, c] - m)), m = max over c of x[n, c]"""
    if y.size:
        np.subtract(x, x.max(axis=1, keepdims=True), out=y)
        y -= np.log(np.exp(y).sum(axis=1, keepdims=True))


@kernel("y(N,C) dy(N,C) -> dx(N,C)")
def log_softmax_backward(y, dy, dx):
    """dx[n, c] = dy[n, c] - exp(y[n, c]) (sum over c of dy[n, c])"""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)
