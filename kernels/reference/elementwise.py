"""Arithmetic of equal shapes, and moving columns: what residual sums, products, concatenations and slices are made of."""
import math

import numpy as np

from ..contract import CHUNK, kernel

__all__ = ["add", "subtract", "multiply", "divide", "power", "scale", "fill", "exp", "log", "erf", "copy_columns", "add_columns",
           "total", "sum_squares", "sum_parts"]

_erf = np.frompyfunc(math.erf, 1, 1)


@kernel("a(*) b(*) -> y(*)")
def add(a, b, y):
    """y = a + b; y may be a or b"""
    np.add(a, b, out=y)


@kernel("a(*) b(*) -> y(*)")
def subtract(a, b, y):
    """y = a - b; y may be a or b"""
    np.subtract(a, b, out=y)


@kernel("a(*) b(*) -> y(*)")
def multiply(a, b, y):
    """y = a b; y may be a or b"""
    np.multiply(a, b, out=y)


@kernel("a(*) b(*) -> y(*)")
def divide(a, b, y):
    """y = a / b; y may be a or b"""
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(a, b, out=y)


@kernel("x(*) -> y(*)")
def power(x, y, exponent=2.0):
    """y = x ** exponent, as NumPy's power"""
    with np.errstate(divide="ignore", invalid="ignore"):
        np.power(x, x.dtype.type(exponent), out=y)


@kernel("x(*) -> y(*)")
def scale(x, y, factor=1.0, offset=0.0):
    """y = factor x + offset, rounded after the product and after the sum; y may be x"""
    np.multiply(x, x.dtype.type(factor), out=y)
    if offset != 0:
        y += x.dtype.type(offset)


@kernel("-> y(*)")
def fill(y, value=0.0):
    """y = value everywhere"""
    y[...] = value


@kernel("x(*) -> y(*)")
def exp(x, y):
    """y = e^x; float32 within 2 ULP"""
    with np.errstate(over="ignore"):
        np.exp(x, out=y)


@kernel("x(*) -> y(*)")
def log(x, y):
    """y = the natural logarithm of x; -inf at 0, NaN below; float32 within 2 ULP"""
    with np.errstate(divide="ignore", invalid="ignore"):
        np.log(x, out=y)


@kernel("x(*) -> y(*)")
def erf(x, y):
    """y = 2 / sqrt(pi) times the integral of exp(-u²) over 0..x; float32 within 4 ULP"""
    y[...] = np.asarray(_erf(x.astype(np.float64)), np.float64)


def _columns_exist(x, y, start_x=0, start_y=0, width=0):
    for name, array, start in (("x", x, start_x), ("y", y, start_y)):
        if start < 0 or width < 0 or start + width > array.shape[1]:
            raise ValueError(f"{name} has {array.shape[1]} columns, got start {start} and width {width}")


@kernel("x(N,I) -> y(N,O)~", also=_columns_exist)
def copy_columns(x, y, start_x=0, start_y=0, width=0):
    """y[:, start_y : start_y + width] = x[:, start_x : start_x + width]; the other columns of y keep what they hold"""
    y[:, start_y:start_y + width] = x[:, start_x:start_x + width]


@kernel("x(N,I) -> y(N,O)~", also=_columns_exist)
def add_columns(x, y, start_x=0, start_y=0, width=0):
    """Adds to y: y[:, start_y : start_y + width] += x[:, start_x : start_x + width]"""
    y[:, start_y:start_y + width] += x[:, start_x:start_x + width]


@kernel("x(*) -> s:f64(1)", over="all")
def total(x, s):
    """s = sum of all elements, in float64: chunks of 128, combined by a binary tree"""
    from .linear import tree_sum
    flat = x.reshape(-1)
    s[0] = tree_sum(flat.size, lambda part: np.add.reduce(flat[part], dtype=np.float64), (), np.float64)


def parts(n, count):
    """Slices of n elements in `count` parts, as even as multiples of 128 are."""
    chunks = -(-n // CHUNK)
    return [slice(min(chunks * part // count * CHUNK, n), min(chunks * (part + 1) // count * CHUNK, n)) for part in range(count)]


@kernel("x(P) -> s:f64(O)", over="outputs")
def sum_squares(x, s):
    """s[o] = sum of x² over the o-th of O parts of x, in float64: chunks of 128, combined by a binary tree"""
    from .linear import tree_sum
    squares = np.square(x, dtype=np.float64)
    for o, part in enumerate(parts(squares.size, len(s))):
        some = squares[part]
        s[o] = tree_sum(some.size, lambda chunk, some=some: np.add.reduce(some[chunk]), (), np.float64)


@kernel("parts:f64(O) before:f64(1)? -> s:f64(1)", over="all")
def sum_parts(parts, before, s):
    """s = before + parts[0] + parts[1] + ..., one after the other; before None counts as 0"""
    s[0] = np.add.accumulate([0.0 if before is None else before[0], *parts])[-1]
