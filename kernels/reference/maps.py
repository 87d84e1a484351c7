"""Activations of one element of their input: one table, of which each row makes <name>_forward and <name>_backward.

A row: the formulas as text, the function and its derivative in float64, its parameters (alpha, then beta) with their defaults, and
the source. The same rows stand in compiled/maps.h and jit/maps.py; whoever adds an activation adds one row to each.
"""
from collections import namedtuple

import numpy as np

from ..contract import kernel
from .activations import sigmoid, softplus

Map = namedtuple("Map", "formula value slope_formula slope defaults source", defaults=((), ""))

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
GELU_ROOT, GELU_CUBE = 0.79788456080286535588, 0.044715  # sqrt(2 / pi)


def _gelu_tanh_parts(x):
    """x cut to ±40, where the function is 0 or x; sigmoid(2 u); u = sqrt(2 / pi) (x + 0.044715 x³)."""
    x = np.clip(x, -40, 40)
    return x, sigmoid(2 * GELU_ROOT * (x + GELU_CUBE * x ** 3))


def _gelu_tanh(x, a, b):
    cut, s = _gelu_tanh_parts(x)
    return np.maximum(x, cut) * s


def _gelu_tanh_slope(x, a, b):
    x, s = _gelu_tanh_parts(x)
    return s + x * s * (1 - s) * 2 * GELU_ROOT * (1 + 3 * GELU_CUBE * x * x)


def _mish_parts(x):
    """x cut below -760, where the function is -0; e = exp(-|x|); numerator and denominator of tanh(softplus(x)).

    tanh(log(1 + exp x)) = (q² + 2 q) / (q² + 2 q + 2), q = exp x; for x > 0 both are divided by q².
    """
    x = np.maximum(x, -760)
    e = np.exp(-np.abs(x))
    above = x >= 0
    return x, e, above, np.where(above, 1 + 2 * e, e * (e + 2)), np.where(above, 1 + 2 * e * (1 + e), e * (e + 2) + 2)


def _mish(x, a, b):
    x, _, _, numerator, denominator = _mish_parts(x)
    return x * (numerator / denominator)


def _mish_slope(x, a, b):
    x, e, above, numerator, denominator = _mish_parts(np.minimum(x, 760))
    return numerator / denominator + x * 4 * np.where(above, e * e, e) * (1 + e) / denominator ** 2


def _tanhshrink(x, a, b):
    """Lambert's continued fraction tanh x = x / (1 + z / D), D = 3 + z / (5 + ...), z = x²: x - tanh x = x z / (D + z), no difference."""
    z = np.minimum(x * x, 4)
    top, bottom = np.full_like(z, 31.0), np.ones_like(z)
    for odd in range(29, 1, -2):
        top, bottom = odd * top + z * bottom, top
    return np.where(np.abs(x) < 2, x * (z * bottom / (top + z * bottom)), x - np.tanh(x))


def _negative(x):
    return np.minimum(x, 0)


MAPS = {
    "selu": Map("s x where x > 0, s a (exp(x) - 1) elsewhere, a = 1.6732632423543772, s = 1.0507009873554805",
                lambda x, a, b: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(_negative(x))),
                "s where x > 0, s a exp(x) elsewhere",
                lambda x, a, b: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(_negative(x))),
                (), "Klambauer et al. 2017, arXiv:1706.02515"),
    "celu": Map("x where x > 0, alpha (exp(x / alpha) - 1) elsewhere; alpha > 0",
                lambda x, a, b: np.where(x > 0, x, a * np.expm1(_negative(x) / a)),
                "1 where x > 0, exp(x / alpha) elsewhere", lambda x, a, b: np.exp(_negative(x) / a),
                (1.0,), "Barron 2017, arXiv:1704.07483"),
    "gelu_tanh": Map("x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x³), which is x (1 + tanh u) / 2", _gelu_tanh,
                     "s + x s (1 - s) 2 u', s = sigmoid(2 u)", _gelu_tanh_slope,
                     (), "Hendrycks and Gimpel 2016, arXiv:1606.08415"),
    "mish": Map("x tanh(softplus(x))", _mish, "t + x sigmoid(x) (1 - t²), t = tanh(softplus(x))", _mish_slope,
                (), "Misra 2019, arXiv:1908.08681"),
    "hardswish": Map("x min(max(x + 3, 0), 6) / 6", lambda x, a, b: x * (np.clip(x + 3, 0, 6) / 6),
                     "0 where x <= -3, 1 where x >= 3, x / 3 + 1/2 between",
                     lambda x, a, b: np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)),
                     (), "Howard et al. 2019, arXiv:1905.02244"),
    "hardsigmoid": Map("min(max(x + 3, 0), 6) / 6", lambda x, a, b: np.clip(x + 3, 0, 6) / 6,
                       "1/6 where -3 < x < 3, 0 elsewhere", lambda x, a, b: ((x > -3) & (x < 3)) / 6,
                       (), "Courbariaux et al. 2015, arXiv:1511.00363"),
    "hardtanh": Map("min(max(x, alpha), beta)", lambda x, a, b: np.where(x < a, a, np.where(x > b, b, x)),
                    "1 where alpha < x < beta, 0 elsewhere", lambda x, a, b: ((x > a) & (x < b)) * 1.0,
                    (-1.0, 1.0), "Collobert 2004"),
    "log_sigmoid": Map("-log(1 + exp(-x))", lambda x, a, b: -softplus(-x), "sigmoid(-x)", lambda x, a, b: sigmoid(-x)),
    "softplus_beta": Map("log(1 + exp(alpha x)) / alpha where alpha x <= beta, x elsewhere; alpha > 0",
                         lambda x, a, b: np.where(a * x > b, x, softplus(a * x) / a),
                         "sigmoid(alpha x) where alpha x <= beta, 1 elsewhere",
                         lambda x, a, b: np.where(a * x > b, 1, sigmoid(a * x)), (1.0, 20.0), "Dugas et al. 2001"),
    "softsign": Map("x / (1 + |x|)", lambda x, a, b: x / (1 + np.abs(x)), "1 / (1 + |x|)²",
                    lambda x, a, b: np.square(1 / (1 + np.abs(x))), (), "Turian et al. 2009"),
    "softshrink": Map("x - alpha where x > alpha, x + alpha where x < -alpha, 0 between",
                      lambda x, a, b: np.where(np.abs(x) <= a, 0, x - np.copysign(a, x)),
                      "0 where |x| <= alpha, 1 elsewhere", lambda x, a, b: (~(np.abs(x) <= a)) * 1.0, (0.5,)),
    "hardshrink": Map("0 where |x| <= alpha, x elsewhere", lambda x, a, b: np.where(np.abs(x) <= a, 0, x),
                      "0 where |x| <= alpha, 1 elsewhere", lambda x, a, b: (~(np.abs(x) <= a)) * 1.0, (0.5,)),
    "tanhshrink": Map("x - tanh(x)", _tanhshrink, "tanh(x)²", lambda x, a, b: np.square(np.tanh(x))),
    "threshold": Map("beta where x <= alpha, x elsewhere", lambda x, a, b: np.where(x <= a, b, x),
                     "1 where x > alpha, 0 elsewhere", lambda x, a, b: (x > a) * 1.0, (0.0, 0.0)),
}
"""Activations by name."""


def _numbers(dtype, alpha, beta):
    """The parameters as the kernels have them: rounded to the type of the call."""
    return np.float64(dtype.type(alpha)), np.float64(dtype.type(beta))


def _forward_of(name, row):
    def value(x, y, alpha, beta):
        with np.errstate(all="ignore"):
            y[...] = row.value(x.astype(np.float64), *_numbers(x.dtype, alpha, beta))
    shapes = (lambda x, y: value(x, y, 0, 0), lambda x, y, alpha: value(x, y, alpha, 0), lambda x, y, alpha, beta: value(x, y, alpha, beta))
    source = f". {row.source}" if row.source else ""
    return _named(shapes[len(row.defaults)], f"{name}_forward", f"y = {row.formula}{source}", row.defaults, "x(*) -> y(*)")


def _backward_of(name, row):
    def value(x, dy, dx, alpha, beta):
        with np.errstate(all="ignore"):
            dx[...] = dy * row.slope(x.astype(np.float64), *_numbers(x.dtype, alpha, beta)).astype(x.dtype)
    shapes = (lambda x, dy, dx: value(x, dy, dx, 0, 0), lambda x, dy, dx, alpha: value(x, dy, dx, alpha, 0),
              lambda x, dy, dx, alpha, beta: value(x, dy, dx, alpha, beta))
    return _named(shapes[len(row.defaults)], f"{name}_backward", f"dx = dy * ({row.slope_formula})", row.defaults,
                  "x(*) dy(*) -> dx(*)")


def _named(function, name, doc, defaults, line):
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__defaults__ = doc, defaults
    return kernel(line)(function)


for _name, _row in MAPS.items():
    globals()[f"{_name}_forward"], globals()[f"{_name}_backward"] = _forward_of(_name, _row), _backward_of(_name, _row)

__all__ = [f"{name}_{way}" for name in MAPS for way in ("forward", "backward")]
