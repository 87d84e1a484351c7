"""Random augmentation by counter-based numbers: each element's is a function of (seed, op, step) and its place."""
import math

import numpy as np

from .. import reference
from .dropout import HALF, SIXTEEN, key_words, philox
from .face import face, inline, loop

__all__ = ["gaussian_noise", "rrelu_forward", "rrelu_backward", "mix_rows", "mix_labels"]


@face(reference.gaussian_noise)
def gaussian_noise(x, y, std=1.0, seed=0, op=0, step=0):
    _gaussian_noise(x, y, float(std), *key_words(seed), int(op), int(step & 0xFFFFFFFF))


@loop
def _gaussian_noise(x, y, std, k0, k1, op, step):
    rows, width = x.shape
    real = x.dtype.type
    k0, k1, c2, c3, factor = np.uint64(k0), np.uint64(k1), np.uint64(op), np.uint64(step), real(std)
    for n in range(rows):
        for block in range((width + 3) // 4):
            w0, w1, w2, w3 = philox(k0, k1, np.uint64(block), np.uint64(n), c2, c3)
            _pair(x, y, n, 4 * block, w0, w1, factor)
            _pair(x, y, n, 4 * block + 2, w2, w3, factor)


@inline
def _pair(x, y, n, i, first, second, factor):
    """Two elements from two words."""
    radius = math.sqrt(-2.0 * math.log((np.float64(first) + 1.0) * 2.0 ** -32))
    angle = 2.0 * math.pi * (np.float64(second) * 2.0 ** -32)
    if i < x.shape[1]:
        y[n, i] = x[n, i] + factor * x.dtype.type(radius * math.cos(angle))
    if i + 1 < x.shape[1]:
        y[n, i + 1] = x[n, i + 1] + factor * x.dtype.type(radius * math.sin(angle))


@face(reference.rrelu_forward)
def rrelu_forward(x, y, lower=0.125, upper=1 / 3, seed=0, op=0, step=0):
    _rrelu(x, x[:0], y, float(lower), float(upper), *key_words(seed), int(op), int(step & 0xFFFFFFFF))


@face(reference.rrelu_backward)
def rrelu_backward(x, dy, dx, lower=0.125, upper=1 / 3, seed=0, op=0, step=0):
    _rrelu(x, dy, dx, float(lower), float(upper), *key_words(seed), int(op), int(step & 0xFFFFFFFF))


@loop
def _rrelu(x, dy, y, lower, upper, k0, k1, op, step):
    """y = x or slope x where dy is empty, else dy or dy slope."""
    rows, width = x.shape
    real = x.dtype.type
    k0, k1, c2, c3, low, span = np.uint64(k0), np.uint64(k1), np.uint64(op), np.uint64(step), real(lower), real(upper - lower)
    for n in range(rows):
        for block in range((width + 7) // 8):
            w0, w1, w2, w3 = philox(k0, k1, np.uint64(block), np.uint64(n), c2, c3)
            for j in range(min(8, width - 8 * block)):
                word = (w0 if j < 2 else w1) if j < 4 else (w2 if j < 6 else w3)
                half = word >> SIXTEEN if j & 1 else word & HALF
                slope = low + span * real((np.float64(half) + 0.5) / 65536.0)
                i = 8 * block + j
                above = x[n, i] > real(0)
                if dy.size:
                    y[n, i] = dy[n, i] * (real(1) if above else slope)
                else:
                    y[n, i] = x[n, i] if above else slope * x[n, i]


@face(reference.mix_rows)
def mix_rows(x, y, lam=1.0):
    _mix_rows(x, y, float(lam))


@loop
def _mix_rows(x, y, lam):
    real, rows = x.dtype.type, x.shape[0]
    a, b = real(lam), real(1.0 - lam)
    for n in range(rows):
        for i in range(x.shape[1]):
            y[n, i] = a * x[n, i] + b * x[rows - 1 - n, i]


@face(reference.mix_labels)
def mix_labels(t, y, lam=1.0, label_smoothing=0.0):
    _mix_labels(t, y, float(lam), float(label_smoothing))


@loop
def _mix_labels(t, y, lam, smoothing):
    real, (rows, classes) = y.dtype.type, y.shape
    for n in range(rows):
        for c in range(classes):
            y[n, c] = real(smoothing / classes)
        y[n, t[n]] += real((1.0 - smoothing) * lam)
        y[n, t[rows - 1 - n]] += real((1.0 - smoothing) * (1.0 - lam))
