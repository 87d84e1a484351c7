"""Arithmetic of equal shapes, and moving columns: what residual sums, products, concatenations and slices are made of."""
import numpy as np

from .. import reference
from ..contract import CHUNK
from . import vmath
from .face import face, inline, loop

__all__ = ["add", "subtract", "multiply", "divide", "power", "scale", "fill", "exp", "log", "erf",
           "copy_columns", "add_columns", "total", "sum_squares", "sum_parts"]


@face(reference.add)
def add(a, b, y):
    _add(a, b, y)


@loop
def _add(a, b, y):
    a, b, y = a.ravel(), b.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = a[i] + b[i]


@face(reference.subtract)
def subtract(a, b, y):
    _subtract(a, b, y)


@loop
def _subtract(a, b, y):
    a, b, y = a.ravel(), b.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = a[i] - b[i]


@face(reference.multiply)
def multiply(a, b, y):
    _multiply(a, b, y)


@loop
def _multiply(a, b, y):
    a, b, y = a.ravel(), b.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = a[i] * b[i]


@face(reference.divide)
def divide(a, b, y):
    _divide(a, b, y)


@loop
def _divide(a, b, y):
    a, b, y = a.ravel(), b.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = a[i] / b[i]


@face(reference.power)
def power(x, y, exponent=2.0):
    _power(x, y, float(exponent))


@loop
def _power(x, y, exponent):
    x, y, e = x.ravel(), y.ravel(), x.dtype.type(exponent)
    if exponent == 2.0:
        for i in range(y.size):
            y[i] = x[i] * x[i]
    else:
        for i in range(y.size):
            y[i] = x[i] ** e


@face(reference.scale)
def scale(x, y, factor=1.0, offset=0.0):
    _scale(x, y, float(factor), float(offset))


@loop
def _scale(x, y, factor, offset):
    x, y, f, c = x.ravel(), y.ravel(), x.dtype.type(factor), x.dtype.type(offset)
    if offset == 0.0:
        for i in range(y.size):  # adding 0 would turn -0 into 0
            y[i] = x[i] * f
    else:
        for i in range(y.size):
            y[i] = x[i] * f + c


@face(reference.fill)
def fill(y, value=0.0):
    _fill(y, float(value))


@loop
def _fill(y, value):
    y, v = y.ravel(), y.dtype.type(value)
    for i in range(y.size):
        y[i] = v


@face(reference.exp)
def exp(x, y):
    _exp(x, y)


@loop
def _exp(x, y):
    x, y = x.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = vmath.exp(x[i])


@face(reference.log)
def log(x, y):
    _log(x, y)


@loop
def _log(x, y):
    x, y = x.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = vmath.log(x[i])


@face(reference.erf)
def erf(x, y):
    _erf(x, y)


@loop
def _erf(x, y):
    x, y = x.ravel(), y.ravel()
    for i in range(y.size):
        y[i] = vmath.erf(np.float64(x[i]))


@face(reference.copy_columns)
def copy_columns(x, y, start_x=0, start_y=0, width=0):
    _copy_columns(x, y, int(start_x), int(start_y), int(width))


@loop
def _copy_columns(x, y, start_x, start_y, width):
    for n in range(x.shape[0]):
        for i in range(width):
            y[n, start_y + i] = x[n, start_x + i]


@face(reference.add_columns)
def add_columns(x, y, start_x=0, start_y=0, width=0):
    _add_columns(x, y, int(start_x), int(start_y), int(width))


@loop
def _add_columns(x, y, start_x, start_y, width):
    for n in range(x.shape[0]):
        for i in range(width):
            y[n, start_y + i] += x[n, start_x + i]


@face(reference.total)
def total(x, s):
    _total(x, s)


@loop
def _total(x, s):
    s[0] = tree_total(x.ravel(), x.ravel()[:0])


@inline
def _chunk_total(x, w, i, stop):
    """Sum of w x over one chunk in four chains: one chain of 128 loses several eps."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    if w.size:
        while i + 4 <= stop:
            a += np.float64(x[i]) * w[i]
            b += np.float64(x[i + 1]) * w[i + 1]
            c += np.float64(x[i + 2]) * w[i + 2]
            d += np.float64(x[i + 3]) * w[i + 3]
            i += 4
        while i < stop:
            a += np.float64(x[i]) * w[i]
            i += 1
    else:
        while i + 4 <= stop:
            a += np.float64(x[i])
            b += np.float64(x[i + 1])
            c += np.float64(x[i + 2])
            d += np.float64(x[i + 3])
            i += 4
        while i < stop:
            a += np.float64(x[i])
            i += 1
    return (a + b) + (c + d)


@face(reference.sum_squares)
def sum_squares(x, s):
    _sum_squares(x, s)


@loop
def _sum_squares(x, s):
    chunks = (x.size + CHUNK - 1) // CHUNK
    for o in range(s.size):
        part = x[chunks * o // s.size * CHUNK:min(chunks * (o + 1) // s.size * CHUNK, x.size)]
        s[o] = tree_total(part, part)


@face(reference.sum_parts)
def sum_parts(parts, before, s):
    _sum_parts(parts, 0.0 if before is None else before[0], s)


@loop
def _sum_parts(parts, before, s):
    for part in parts:
        before += part
    s[0] = before


@loop
def tree_total(x, w):
    """Sum of w x in float64 (of x where w is empty): chunks of 128, equal-sized neighbours joined first (a binary counter)."""
    stack, top = np.empty(64), 0
    for index in range((x.size + CHUNK - 1) // CHUNK):
        start, stop = index * CHUNK, min((index + 1) * CHUNK, x.size)
        part = _chunk_total(x, w, start, stop)
        while index & 1:
            top -= 1
            part += stack[top]
            index >>= 1
        stack[top] = part
        top += 1
    if top == 0:
        return 0.0
    while top > 1:
        top -= 1
        stack[top - 1] += stack[top]
    return stack[0]
