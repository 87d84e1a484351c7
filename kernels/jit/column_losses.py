"""Losses that are a sum over the outputs of one expression. What the reference says of l, dy, w and mean holds.

An expression gets the prediction y and the target t of one output, its part c of a vector over the outputs (0 where there is none),
and two scalars a and b of the loss.
"""
import math

import numpy as np

from .. import reference
from . import vmath
from .activations import row_sum
from .face import absent, face, inline, like, loop
from .losses import inverse_weight, row_factor

__all__ = ["absolute_error", "huber_error", "quantile_error", "poisson_error", "tweedie_error", "gaussian_nll", "hinge_error",
           "hinge_embedding_error", "kl_divergence", "weighted_binary_cross_entropy_logits", "sigmoid_focal"]


def _columns(term, slope):
    @loop
    def loss(y, t, w, c, l, dy, a, b, averages, mean):
        rows, outputs = y.shape
        real = y.dtype.type
        divisor = max(outputs, 1) if averages and mean else 1
        inverse, share = real(inverse_weight(w, rows, mean)), real(1.0 / divisor)
        row = np.empty((1, outputs), y.dtype)
        a, b = real(a), real(b)
        for n in range(rows):
            for o in range(outputs):
                row[0, o] = term(y[n, o], t[n, o], c[o], a, b)
            l[n] = row_sum(row, 0) / real(divisor)
        if dy.size:
            for n in range(rows):
                factor = row_factor(w, n, inverse) * share
                for o in range(outputs):
                    dy[n, o] = slope(y[n, o], t[n, o], c[o], a, b) * factor
    return loss


def _run(loss, y, t, w, l, dy, mean, a=0.0, b=0.0, c=None, averages=True):
    loss(y, t, absent(w, 1, y), np.zeros(y.shape[1], y.dtype) if c is None else c, l, absent(dy, 2, y), float(a), float(b),
         bool(averages), bool(mean))


@inline
def _sign(d):
    return like(d, 1) if d > like(d, 0) else (like(d, -1) if d < like(d, 0) else d)


_absolute = _columns(inline(lambda y, t, c, a, b: abs(y - t)), inline(lambda y, t, c, a, b: _sign(y - t)))


@face(reference.absolute_error)
def absolute_error(y, t, w, l, dy, mean=True):
    _run(_absolute, y, t, w, l, dy, mean)


@inline
def _huber_term(y, t, c, delta, scale):
    d, half = y - t, like(y, 0.5)
    far = abs(d)
    return scale * (half * d * d if far <= delta else delta * (far - half * delta))


@inline
def _huber_slope(y, t, c, delta, scale):
    d = y - t
    return scale * (delta if d > delta else (-delta if d < -delta else d))


_huber = _columns(_huber_term, _huber_slope)


@face(reference.huber_error)
def huber_error(y, t, w, l, dy, delta=1.0, scale=1.0, mean=True):
    _run(_huber, y, t, w, l, dy, mean, delta, scale)


@inline
def _quantile_term(y, t, q, a, b):
    d = t - y
    return q * d if d > like(y, 0) else (q - like(y, 1)) * d


@inline
def _quantile_slope(y, t, q, a, b):
    d, zero = t - y, like(y, 0)
    return -q if d > zero else (like(y, 1) - q if d < zero else d)


_quantile = _columns(_quantile_term, _quantile_slope)


@face(reference.quantile_error)
def quantile_error(y, t, w, q, l, dy, mean=True):
    _run(_quantile, y, t, w, l, dy, mean, c=q)


@inline
def _times(t, x):
    """t x, and 0 where t is 0."""
    return t if t == like(t, 0) else t * x


@inline
def _stirling(t):
    log_t = vmath.log(t)
    return (t * log_t - t) + like(t, 0.5) * (log_t + like(t, 1.8378770664093453)) if t > like(t, 1) else like(t, 0)


@inline
def _poisson_term(y, t, c, eps, full):
    return (vmath.exp(y) - _times(t, y)) + (_stirling(t) if full != like(y, 0) else like(y, 0))


@inline
def _rate_term(y, t, c, eps, full):
    return (y - _times(t, vmath.log(y + eps))) + (_stirling(t) if full != like(y, 0) else like(y, 0))


_poisson = _columns(_poisson_term, inline(lambda y, t, c, eps, full: vmath.exp(y) - t))
_rate = _columns(_rate_term, inline(lambda y, t, c, eps, full: like(y, 1) - t / (y + eps)))


@face(reference.poisson_error)
def poisson_error(y, t, w, l, dy, eps=1e-8, log_input=True, full=False, mean=True):
    _run(_poisson if log_input else _rate, y, t, w, l, dy, mean, eps, bool(full))


@inline
def _tweedie_of(z, t, power):
    one, two = like(z, 1), like(z, 2)
    up, pull = vmath.exp((two - power) * z), _times(t, vmath.exp((one - power) * z))
    if power == one:
        return up - _times(t, z)
    if power == two:
        return z + pull
    return up / (two - power) - pull / (one - power)


@inline
def _tweedie_slope_of(z, t, power):
    return vmath.exp((like(z, 2) - power) * z) - _times(t, vmath.exp((like(z, 1) - power) * z))


@inline
def _mu(y, eps):
    return eps if y < eps else y


_tweedie_log = _columns(inline(lambda z, t, c, power, eps: _tweedie_of(z, t, power)),
                        inline(lambda z, t, c, power, eps: _tweedie_slope_of(z, t, power)))
_tweedie = _columns(inline(lambda y, t, c, power, eps: _tweedie_of(vmath.log(_mu(y, eps)), t, power)),
                    inline(lambda y, t, c, power, eps: _tweedie_slope_of(vmath.log(_mu(y, eps)), t, power) / _mu(y, eps)))


@face(reference.tweedie_error)
def tweedie_error(y, t, w, l, dy, power=1.5, eps=1e-8, log_input=True, mean=True):
    _run(_tweedie_log if log_input else _tweedie, y, t, w, l, dy, mean, power, eps)


@face(reference.gaussian_nll)
def gaussian_nll(y, t, w, l, dy, eps=1e-6, full=False, log_variance=False, mean=True):
    rest = 0.5 * math.log(2 * math.pi) if full else 0.0
    _gaussian_nll(y, t, absent(w, 1, y), l, absent(dy, 3, y), float(eps), rest, bool(log_variance), bool(mean))


@inline
def _times_square(d, precision):
    return d if d == like(d, 0) else d * (d * precision)


@loop
def _gaussian_nll(y, t, w, l, dy, eps, rest, log_variance, mean):
    rows, outputs = t.shape
    real = y.dtype.type
    divisor = max(outputs, 1) if mean else 1
    inverse, share = real(inverse_weight(w, rows, mean)), real(1.0 / divisor)
    row, precisions = np.empty((1, outputs), y.dtype), np.empty(outputs, y.dtype)
    eps, rest, half, one = real(eps), real(rest), real(0.5), real(1)
    for n in range(rows):
        for o in range(outputs):
            v = y[n, 1, o]
            if log_variance:
                precisions[o], log_v = vmath.exp(-v), v
            else:
                v = eps if v < eps else v
                precisions[o], log_v = one / v, vmath.log(v)
            row[0, o] = half * (log_v + _times_square(y[n, 0, o] - t[n, o], precisions[o])) + rest
        l[n] = row_sum(row, 0) / real(divisor)
        if dy.size:
            factor = row_factor(w, n, inverse) * share
            for o in range(outputs):
                d, precision = y[n, 0, o] - t[n, o], precisions[o]
                dy[n, 0, o] = (d if d == real(0) else d * precision) * factor
                dy[n, 1, o] = half * (one - _times_square(d, precision)) * (one if log_variance else precision) * factor


@inline
def _positive(x):
    return like(x, 0) if x < like(x, 0) else x


@inline
def _hinge_term(y, t, c, margin, squared):
    h = _positive(margin - t * y)
    return h * h if squared != like(y, 0) else h


@inline
def _hinge_slope(y, t, c, margin, squared):
    h = _positive(margin - t * y)
    return (-(h + h) * t if squared != like(y, 0) else -t) if h > like(y, 0) else like(y, 0)


_hinge = _columns(_hinge_term, _hinge_slope)


@face(reference.hinge_error)
def hinge_error(y, t, w, l, dy, margin=1.0, squared=False, mean=True):
    _run(_hinge, y, t, w, l, dy, mean, margin, bool(squared))


@inline
def _embedding_slope(y, t, c, margin, b):
    return like(y, 1) if t > like(y, 0) else (like(y, -1) if _positive(margin - y) > like(y, 0) else like(y, 0))


_embedding = _columns(inline(lambda y, t, c, margin, b: y if t > like(y, 0) else _positive(margin - y)), _embedding_slope)


@face(reference.hinge_embedding_error)
def hinge_embedding_error(y, t, w, l, dy, margin=1.0, mean=True):
    _run(_embedding, y, t, w, l, dy, mean, margin)


_divergence = _columns(inline(lambda y, t, c, a, b: _times(t, vmath.log(t) - y)), inline(lambda y, t, c, a, b: -t))
_log_divergence = _columns(inline(lambda y, t, c, a, b: _times(vmath.exp(t), t - y)), inline(lambda y, t, c, a, b: -vmath.exp(t)))


@face(reference.kl_divergence)
def kl_divergence(y, t, w, l, dy, log_target=False, per_row=False, mean=True):
    _run(_log_divergence if log_target else _divergence, y, t, w, l, dy, mean, averages=not per_row)


@inline
def _weighted_term(z, t, c, a, b):
    rest = vmath.log1p(vmath.exp(-abs(z)))
    return c * t * (_positive(-z) + rest) + (like(z, 1) - t) * (_positive(z) + rest)


_weighted = _columns(_weighted_term, inline(lambda z, t, c, a, b: (like(z, 1) - t) * vmath.sigmoid(z) - c * t * vmath.sigmoid(-z)))


@face(reference.weighted_binary_cross_entropy_logits)
def weighted_binary_cross_entropy_logits(z, t, w, c, l, dz, mean=True):
    _run(_weighted, z, t, w, l, dz, mean, c=c)


@inline
def power_of(m, gamma):
    """m to the power gamma, m in 0..1."""
    if gamma == like(m, 2):
        return m * m
    if gamma == like(m, 0):
        return like(m, 1)
    return m if gamma == like(m, 1) else vmath.exp(gamma * vmath.log(m))


@inline
def _focus(z, t, gamma, alpha):
    """What was missed, and the factor that it makes."""
    one = like(z, 1)
    m = vmath.sigmoid(z) * (one - t) + vmath.sigmoid(-z) * t
    return m, (alpha * t + (one - alpha) * (one - t) if alpha >= like(z, 0) else one) * power_of(m, gamma)


@inline
def _focal_term(z, t, c, gamma, alpha):
    return _focus(z, t, gamma, alpha)[1] * _weighted_term(z, t, like(z, 1), gamma, alpha)


@inline
def _focal_slope(z, t, c, gamma, alpha):
    one, yes, no = like(z, 1), vmath.sigmoid(z), vmath.sigmoid(-z)
    m, focus = _focus(z, t, gamma, alpha)
    ratio = yes * no / m if m > like(z, 0) else m
    b = _weighted_term(z, t, one, gamma, alpha)
    return focus * (((one - t) * yes - t * no) + gamma * b * (one - (t + t)) * ratio)


_focal = _columns(_focal_term, _focal_slope)


@face(reference.sigmoid_focal)
def sigmoid_focal(z, t, w, l, dz, gamma=2.0, alpha=0.25, mean=True):
    _run(_focal, z, t, w, l, dz, mean, gamma, alpha)
