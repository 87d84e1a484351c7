"""Activations of one element of their input: the rows of reference/maps.py as functions of a float64 scalar."""
import numpy as np

from .. import reference
from ..reference import maps
from . import vmath
from .face import face, inline, loop

SELU_SCALE, SELU_BELOW = maps.SELU_SCALE, maps.SELU_SCALE * maps.SELU_ALPHA
ROOT, CUBE = maps.GELU_ROOT, maps.GELU_CUBE


@inline
def _cut(x, low, high):
    return low if x < low else (high if x > high else x)


@inline
def _below(x):
    return 0.0 if x > 0.0 else x


@inline
def _gelu_tanh_sigmoid(x):
    return vmath.sigmoid(2 * ROOT * (x + CUBE * (x * x * x)))


@inline
def _gelu_tanh(x, a, b):
    c = _cut(x, -40.0, 40.0)
    return (x if x > 40.0 else c) * _gelu_tanh_sigmoid(c)


@inline
def _gelu_tanh_slope(x, a, b):
    x = _cut(x, -40.0, 40.0)
    s = _gelu_tanh_sigmoid(x)
    return s + x * s * (1 - s) * (2 * ROOT * (1 + 3 * CUBE * (x * x)))


@inline
def _mish(x, a, b):
    x = -760.0 if x < -760.0 else x
    e = vmath.exp(-abs(x))
    return x * ((1 + 2 * e) / (1 + 2 * e * (1 + e)) if x >= 0.0 else e * (e + 2) / (e * (e + 2) + 2))


@inline
def _mish_slope(x, a, b):
    x = _cut(x, -760.0, 760.0)
    e = vmath.exp(-abs(x))
    n, d = (1 + 2 * e, 1 + 2 * e * (1 + e)) if x >= 0.0 else (e * (e + 2), e * (e + 2) + 2)
    return n / d + x * 4 * (e * e if x >= 0.0 else e) * (1 + e) / (d * d)


@inline
def _tanhshrink(x, a, b):
    z = x * x
    z = 4.0 if z > 4.0 else z
    top, bottom = 31.0, 1.0
    for k in range(14):
        top, bottom = (29.0 - 2 * k) * top + z * bottom, top
    return x * (z * bottom / (top + z * bottom)) if abs(x) < 2.0 else x - vmath.tanh(x)


@inline
def _tanhshrink_slope(x, a, b):
    t = vmath.tanh(x)
    return t * t


MAPS = {
    "selu": (inline(lambda x, a, b: SELU_SCALE * x if x > 0.0 else SELU_BELOW * vmath.expm1(_below(x))),
             inline(lambda x, a, b: SELU_SCALE if x > 0.0 else SELU_BELOW * vmath.exp(_below(x)))),
    "celu": (inline(lambda x, a, b: x if x > 0.0 else a * vmath.expm1(_below(x) / a)),
             inline(lambda x, a, b: 1.0 if x > 0.0 else vmath.exp(_below(x) / a))),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_slope),
    "mish": (_mish, _mish_slope),
    "hardswish": (inline(lambda x, a, b: x * (_cut(x + 3, 0.0, 6.0) / 6)),
                  inline(lambda x, a, b: 0.0 if x <= -3.0 else (1.0 if x >= 3.0 else x / 3 + 0.5))),
    "hardsigmoid": (inline(lambda x, a, b: _cut(x + 3, 0.0, 6.0) / 6),
                    inline(lambda x, a, b: 1 / 6 if x > -3.0 and x < 3.0 else 0.0)),
    "hardtanh": (inline(lambda x, a, b: _cut(x, a, b)), inline(lambda x, a, b: 1.0 if x > a and x < b else 0.0)),
    "log_sigmoid": (inline(lambda x, a, b: -vmath.softplus(-x)), inline(lambda x, a, b: vmath.sigmoid(-x))),
    "softplus_beta": (inline(lambda x, a, b: x if a * x > b else vmath.softplus(a * x) / a),
                      inline(lambda x, a, b: 1.0 if a * x > b else vmath.sigmoid(a * x))),
    "softsign": (inline(lambda x, a, b: x / (1 + abs(x))), inline(lambda x, a, b: (1 / (1 + abs(x))) * (1 / (1 + abs(x))))),
    "softshrink": (inline(lambda x, a, b: 0.0 if abs(x) <= a else (x + a if x < 0.0 else x - a)),
                   inline(lambda x, a, b: 0.0 if abs(x) <= a else 1.0)),
    "hardshrink": (inline(lambda x, a, b: 0.0 if abs(x) <= a else x), inline(lambda x, a, b: 0.0 if abs(x) <= a else 1.0)),
    "tanhshrink": (_tanhshrink, _tanhshrink_slope),
    "threshold": (inline(lambda x, a, b: b if x <= a else x), inline(lambda x, a, b: 1.0 if x > a else 0.0)),
}
"""name -> function, derivative; both of (x, alpha, beta)."""


def _forward_of(name, f):
    @loop
    def each(x, y, alpha, beta):
        x, y, a, b = x.ravel(), y.ravel(), np.float64(x.dtype.type(alpha)), np.float64(x.dtype.type(beta))
        for i in range(y.size):
            y[i] = f(np.float64(x[i]), a, b)

    shapes = (lambda x, y: each(x, y, 0.0, 0.0), lambda x, y, alpha: each(x, y, float(alpha), 0.0),
              lambda x, y, alpha, beta: each(x, y, float(alpha), float(beta)))
    return _faced(f"{name}_forward", shapes)


def _backward_of(name, f):
    @loop
    def each(x, dy, dx, alpha, beta):
        x, dy, dx, real = x.ravel(), dy.ravel(), dx.ravel(), x.dtype.type
        a, b = np.float64(real(alpha)), np.float64(real(beta))
        for i in range(dx.size):
            dx[i] = dy[i] * real(f(np.float64(x[i]), a, b))

    shapes = (lambda x, dy, dx: each(x, dy, dx, 0.0, 0.0), lambda x, dy, dx, alpha: each(x, dy, dx, float(alpha), 0.0),
              lambda x, dy, dx, alpha, beta: each(x, dy, dx, float(alpha), float(beta)))
    return _faced(f"{name}_backward", shapes)


def _faced(name, shapes):
    contract = getattr(reference, name)
    plain = shapes[len(contract.spec.scalars)]
    plain.__name__ = plain.__qualname__ = name
    plain.__defaults__ = tuple(default for _, default in contract.spec.scalars)
    return face(contract)(plain)


for _name, (_value, _slope) in MAPS.items():
    globals()[f"{_name}_forward"], globals()[f"{_name}_backward"] = _forward_of(_name, _value), _backward_of(_name, _slope)

__all__ = [f"{name}_{way}" for name in MAPS for way in ("forward", "backward")]
