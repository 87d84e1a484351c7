"""Losses over the classes of a row, beside cross-entropy."""
import numpy as np

from .. import reference
from . import vmath
from .activations import row_sum
from .column_losses import power_of
from .face import absent, face, loop
from .losses import inverse_weight, row_factor

__all__ = ["softmax_focal", "multi_margin"]


@face(reference.softmax_focal)
def softmax_focal(z, t, w, l, dz, gamma=2.0, mean=True):
    _softmax_focal(z, t, absent(w, 1, z), l, absent(dz, 2, z), float(gamma), bool(mean))


@loop
def _softmax_focal(z, t, w, l, dz, gamma, mean):
    rows, classes = z.shape
    real = z.dtype.type
    inverse, gamma, one, zero = real(inverse_weight(w, rows, mean)), real(gamma), real(1), real(0)
    e = np.empty((1, classes), z.dtype)
    for n in range(rows):
        m, label = z[n, 0], t[n]
        for c in range(classes):
            m = z[n, c] if z[n, c] > m or z[n, c] != z[n, c] else m
        for c in range(classes):
            e[0, c] = vmath.exp(z[n, c] - m)
        own, shift = e[0, label], z[n, label] - m
        e[0, label] = zero
        others = row_sum(e, 0)
        total = own + others
        log_p = -vmath.log1p(others) if shift == zero and others <= one else shift - vmath.log(total)
        p, missed = own / total, others / total
        focus = power_of(missed, gamma)
        l[n] = focus * -log_p
        if dz.size:
            ratio = p * -log_p / missed if missed > zero else (one if missed == missed else missed)
            factor = focus * (one + gamma * ratio) * row_factor(w, n, inverse)
            for c in range(classes):
                dz[n, c] = e[0, c] / total * factor
            dz[n, label] = -missed * factor


@face(reference.multi_margin)
def multi_margin(z, t, w, c, l, dz, margin=1.0, p=1, mean=True):
    _multi_margin(z, t, absent(w, 1, z), np.ones(z.shape[1], z.dtype) if c is None else c, l, absent(dz, 2, z), float(margin),
                  bool(p == 2), bool(mean))


@loop
def _multi_margin(z, t, w, c, l, dz, margin, squared, mean):
    rows, classes = z.shape
    real = z.dtype.type
    inverse, margin, share, zero = real(inverse_weight(w, rows, mean)), real(margin), real(1.0 / max(classes, 1)), real(0)
    terms, slopes = np.empty((1, classes), z.dtype), np.empty((1, classes), z.dtype)
    for n in range(rows):
        start, own = margin - z[n, t[n]], c[t[n]] * share
        for i in range(classes):
            h = start + z[n, i]
            h = zero if h < zero or i == t[n] else h
            terms[0, i] = h * h if squared else h
            slopes[0, i] = h + h if squared else (real(1) if h > zero else zero)
        l[n] = row_sum(terms, 0) * own
        if dz.size:
            factor, total = own * row_factor(w, n, inverse), row_sum(slopes, 0)
            for i in range(classes):
                dz[n, i] = slopes[0, i] * factor
            dz[n, t[n]] = -total * factor
