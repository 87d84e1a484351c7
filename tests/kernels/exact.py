"""Kernels whose roundings are counted: their results in float64 are compared with exact ones, so that only the book's own errors show.

The reference in float64 is itself wrong by as much as a book may be; here it is the formulas once more in extended precision, the
normal distribution by mpmath. Each function gives the expected arrays in the order in which the kernel writes them.
"""
import mpmath
import numpy as np

WIDE = np.longdouble
"""64 bits on x86, where a result is then exact for every purpose; nowhere less than float64."""


def _each(function, x):
    """function, of mpmath, of each element of x, as a sum of two floats."""
    found = np.empty(x.shape, WIDE)
    with mpmath.workprec(160):
        for place, value in np.ndenumerate(x):
            exact = function(mpmath.mpf(float(value)))
            found[place] = WIDE(float(exact)) + WIDE(float(exact - float(exact)))
    return found


def normal_cdf(x):
    """Φ(x)"""
    return _each(lambda v: mpmath.erfc(-v / mpmath.sqrt(2)) / 2, x)


def normal_pdf(x):
    """φ(x)"""
    return _each(lambda v: mpmath.exp(-v * v / 2) / mpmath.sqrt(2 * mpmath.pi), x)


def gelu_forward(x, y):
    return [x.astype(WIDE) * normal_cdf(x)]


def gelu_backward(x, dy, dx):
    return [dy.astype(WIDE) * (normal_cdf(x) + x.astype(WIDE) * normal_pdf(x))]


def squared_error(y, t, w, l, dy, mean=True):
    d, rows, outputs = y.astype(WIDE) - t.astype(WIDE), len(y), max(y.shape[1], 1) if mean else 1
    w = np.ones(rows, WIDE) if w is None else w.astype(WIDE)
    total = w.sum() if mean else WIDE(1)
    share = w / total if total != 0 else np.zeros_like(w)
    return [(d * d).sum(axis=1) / outputs, *([] if dy is None else [2 * d * share[:, None] / outputs])]


def clip_norm(g, norm, max_norm=1.0):
    g = g.astype(WIDE)
    found = np.sqrt((g * g).sum())
    return [g * (max_norm / (found + WIDE(1e-6))) if found > max_norm else g, np.array([found])]


ORACLE = {f.__name__: f for f in (gelu_forward, gelu_backward, squared_error, clip_norm)}
