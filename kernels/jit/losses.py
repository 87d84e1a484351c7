"""Losses with their gradient in one pass, the link function merged in where that is safer.

What the reference says of l, dy, w and mean holds. The terms of one row stand in a scratch row, so that the loop which computes
them is vectorised and their sum is `row_sum`.
"""
import numpy as np

from .. import reference
from . import vmath
from .activations import exp_row, row_sum
from .elementwise import tree_total
from .face import absent, face, inline, like, loop

__all__ = ["squared_error", "softmax_cross_entropy", "softmax_cross_entropy_weighted", "softmax_cross_entropy_soft", "cross_entropy",
           "cross_entropy_soft", "binary_cross_entropy", "binary_cross_entropy_logits", "mean_loss"]


@inline
def inverse_weight(w, rows, mean):
    """1 / sum of w in float64 for the mean (0 where all weights are 0), 1 for the sum."""
    if not mean:
        return 1.0
    total = tree_total(w, w[:0]) if w.size else float(rows)
    return 1.0 / total if total != 0.0 else 0.0


@inline
def row_factor(w, n, inverse):
    """What dl[n]/dy is multiplied with."""
    return w[n] * inverse if w.size else inverse


def _over_outputs(term, slope, averaged=True):
    """The loop of a loss that is a sum (or a mean) of term(y, t) over the row, with derivative slope(y, t)."""
    @loop
    def loss(y, t, w, l, dy, mean):
        rows, outputs = y.shape
        real = y.dtype.type
        divisor = max(outputs, 1) if averaged and mean else 1  # a sum is over all elements
        inverse, share = real(inverse_weight(w, rows, mean)), real(1.0 / divisor)
        row = np.empty((1, outputs), y.dtype)
        for n in range(rows):
            for o in range(outputs):
                row[0, o] = term(y[n, o], t[n, o])
            l[n] = row_sum(row, 0) / real(divisor)
        if dy.size:
            for n in range(rows):
                factor = row_factor(w, n, inverse) * share
                for o in range(outputs):
                    dy[n, o] = slope(y[n, o], t[n, o]) * factor
    return loss


_squared_error = _over_outputs(inline(lambda y, t: (y - t) * (y - t)), inline(lambda y, t: (y - t) + (y - t)))


@face(reference.squared_error)
def squared_error(y, t, w, l, dy, mean=True):
    _squared_error(y, t, absent(w, 1, y), l, absent(dy, 2, y), bool(mean))


@face(reference.softmax_cross_entropy)
def softmax_cross_entropy(z, t, w, l, dz, label_smoothing=0.0, mean=True):
    _softmax_cross_entropy(z, t, absent(w, 1, z), l, absent(dz, 2, z), float(label_smoothing), bool(mean))


@loop
def _softmax_cross_entropy(z, t, w, l, dz, label_smoothing, mean):
    rows, classes = z.shape
    real = z.dtype.type
    inverse = real(inverse_weight(w, rows, mean))
    rest, peak = real(label_smoothing / max(classes, 1)), real(1 - label_smoothing)
    wanted = dz.size > 0
    e = dz if wanted else np.empty((1, classes), z.dtype)
    terms = np.empty((1, classes if label_smoothing != 0.0 else 0), z.dtype)
    for n in range(rows):
        place = n if wanted else 0
        m, s = exp_row(z, n, e, place)
        log_s, label = vmath.log(s), t[n]
        value = peak * (log_s - (z[n, label] - m)) if label_smoothing != 1.0 else real(0)
        if label_smoothing != 0.0:
            for c in range(classes):
                terms[0, c] = log_s - (z[n, c] - m)
            value += rest * row_sum(terms, 0)
        l[n] = value
        if wanted:
            factor = row_factor(w, n, inverse)
            p = e[n, label] / s
            for c in range(classes):
                dz[n, c] = (dz[n, c] / s - rest) * factor
            dz[n, label] = (p - (rest + peak)) * factor


@face(reference.softmax_cross_entropy_weighted)
def softmax_cross_entropy_weighted(z, t, w, v, l, dz, label_smoothing=0.0, mean=True):
    _softmax_cross_entropy_weighted(z, t, absent(w, 1, z), v, l, absent(dz, 2, z), float(label_smoothing), bool(mean))


@loop
def _softmax_cross_entropy_weighted(z, t, w, v, l, dz, label_smoothing, mean):
    rows, classes = z.shape
    real = z.dtype.type
    inverse = real(inverse_weight(w, rows, mean))
    share, peak = real(label_smoothing / max(classes, 1)), real(1 - label_smoothing)
    wanted = dz.size > 0
    e = dz if wanted else np.empty((1, classes), z.dtype)
    q, terms = np.empty((1, classes), z.dtype), np.empty((1, classes), z.dtype)
    for n in range(rows):
        m, s = exp_row(z, n, e, n if wanted else 0)
        log_s, rest = vmath.log(s), share / v[t[n]]
        for c in range(classes):
            q[0, c] = rest * v[c]
        q[0, t[n]] = share + peak
        for c in range(classes):
            terms[0, c] = q[0, c] * (log_s - (z[n, c] - m)) if q[0, c] != real(0) else real(0)
        l[n] = row_sum(terms, 0)
        if wanted:
            factor, mass = row_factor(w, n, inverse), row_sum(q, 0)
            for c in range(classes):
                dz[n, c] = (dz[n, c] / s * mass - q[0, c]) * factor


@face(reference.softmax_cross_entropy_soft)
def softmax_cross_entropy_soft(z, t, w, l, dz, mean=True):
    _softmax_cross_entropy_soft(z, t, absent(w, 1, z), l, absent(dz, 2, z), bool(mean))


@loop
def _softmax_cross_entropy_soft(z, t, w, l, dz, mean):
    rows, classes = z.shape
    real = z.dtype.type
    inverse = real(inverse_weight(w, rows, mean))
    wanted = dz.size > 0
    e = dz if wanted else np.empty((1, classes), z.dtype)
    terms = np.empty((1, classes), z.dtype)
    for n in range(rows):
        m, s = exp_row(z, n, e, n if wanted else 0)
        log_s = vmath.log(s)
        for c in range(classes):
            term = t[n, c] * (log_s - (z[n, c] - m))
            terms[0, c] = real(0) if t[n, c] == real(0) else term
        l[n] = row_sum(terms, 0)
        if wanted:
            factor, mass = row_factor(w, n, inverse), row_sum(t, n)
            for c in range(classes):
                dz[n, c] = (dz[n, c] / s * mass - t[n, c]) * factor


@face(reference.cross_entropy)
def cross_entropy(p, t, w, l, dp, mean=True):
    _cross_entropy(p, t, absent(w, 1, p), l, absent(dp, 2, p), bool(mean))


@loop
def _cross_entropy(p, t, w, l, dp, mean):
    rows, classes = p.shape
    inverse = p.dtype.type(inverse_weight(w, rows, mean))
    for n in range(rows):
        chosen = at_least_tiny(p[n, t[n]])
        l[n] = -vmath.log(chosen)
        if dp.size:
            for c in range(classes):
                dp[n, c] = 0
            dp[n, t[n]] = -row_factor(w, n, inverse) / chosen


@inline
def at_least_tiny(p):
    """p, or the smallest normal number in place of a smaller one; NaN stays."""
    tiny = vmath.tiny(p)
    return tiny if p < tiny else p


_cross_entropy_soft = _over_outputs(inline(lambda p, t: -(t * vmath.log(at_least_tiny(p)))),
                                    inline(lambda p, t: -t / at_least_tiny(p)), averaged=False)


@face(reference.cross_entropy_soft)
def cross_entropy_soft(p, t, w, l, dp, mean=True):
    _cross_entropy_soft(p, t, absent(w, 1, p), l, absent(dp, 2, p), bool(mean))


@inline
def _bernoulli(p, t):
    cut, one = like(p, -100), like(p, 1)
    yes, no = vmath.log(p), vmath.log1p(-p)
    return -(t * (cut if yes < cut else yes) + (one - t) * (cut if no < cut else no))


@inline
def _bernoulli_slope(p, t):
    least, product = like(p, 1e-12), (like(p, 1) - p) * p
    return (p - t) / (least if product < least else product)


_binary_cross_entropy = _over_outputs(_bernoulli, _bernoulli_slope)


@face(reference.binary_cross_entropy)
def binary_cross_entropy(p, t, w, l, dp, mean=True):
    _binary_cross_entropy(p, t, absent(w, 1, p), l, absent(dp, 2, p), bool(mean))


@inline
def _logistic(z, t):
    zero = like(z, 0)
    return (z if z > zero else zero) - z * t + vmath.log1p(vmath.exp(-abs(z)))


_binary_cross_entropy_logits = _over_outputs(_logistic, inline(lambda z, t: vmath.sigmoid(z) - t))


@face(reference.binary_cross_entropy_logits)
def binary_cross_entropy_logits(z, t, w, l, dz, mean=True):
    _binary_cross_entropy_logits(z, t, absent(w, 1, z), l, absent(dz, 2, z), bool(mean))


@face(reference.mean_loss)
def mean_loss(l, w, s):
    _mean_loss(l, absent(w, 1, l), s)


@loop
def _mean_loss(l, w, s):
    s[0] = tree_total(l, w)
    s[1] = tree_total(w, w[:0]) if w.size else float(l.size)
