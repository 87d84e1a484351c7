"""Dropout by counter-based random numbers: the mask is a function of its place, so it is computed again instead of kept."""
import math

import numpy as np

from .. import reference
from .face import face, inline, loop

__all__ = ["dropout_forward", "dropout_backward"]

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
HALF = np.uint64(0xFFFF)
SIXTEEN = np.uint64(16)
_A, _B = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@inline
def philox(k0, k1, c0, c1, c2, c3):
    """Philox4x32-10, as in the reference; all of them 32 bits in uint64."""
    for _ in range(10):
        a, b = c0 * _A, c2 * _B
        c0, c1, c2, c3 = (b >> SHIFT) ^ c1 ^ k0, b & LOW, (a >> SHIFT) ^ c3 ^ k1, a & LOW
        k0, k1 = (k0 + _W0) & LOW, (k1 + _W1) & LOW
    return c0, c1, c2, c3


def key_words(seed):
    """The two halves of a 64-bit key, as int: beyond 63 bits an int would compile every loop a second time."""
    return int(seed & 0xFFFFFFFF), int(seed >> 32 & 0xFFFFFFFF)


@face(reference.dropout_forward)
def dropout_forward(x, y, p=0.5, seed=0, op=0, step=0):
    threshold = math.floor(65536 * p + 0.5)
    _drop(x, y, threshold, *key_words(seed), int(op), int(step & 0xFFFFFFFF))


@face(reference.dropout_backward)
def dropout_backward(dy, dx, p=0.5, seed=0, op=0, step=0):
    dropout_forward.plain(dy, dx, p, seed, op, step)


@loop
def _drop(x, y, threshold, k0, k1, op, step):
    rows, width = x.shape
    factor = x.dtype.type(65536 / (65536 - threshold) if threshold < 65536 else 0.0)
    k0, k1, c2, c3, least = np.uint64(k0), np.uint64(k1), np.uint64(op), np.uint64(step), np.uint64(threshold)
    for n in range(rows):
        row = np.uint64(n)
        for block in range((width + 7) // 8):
            i = 8 * block
            w0, w1, w2, w3 = philox(k0, k1, np.uint64(block), row, c2, c3)
            _keep(x, y, n, i, w0, least, factor)
            _keep(x, y, n, i + 2, w1, least, factor)
            _keep(x, y, n, i + 4, w2, least, factor)
            _keep(x, y, n, i + 6, w3, least, factor)


@inline
def _keep(x, y, n, i, word, least, factor):
    """Two elements from one word."""
    zero = x.dtype.type(0)
    if i < x.shape[1]:
        y[n, i] = x[n, i] * factor if word & HALF >= least else zero
    if i + 1 < x.shape[1]:
        y[n, i + 1] = x[n, i + 1] * factor if word >> SIXTEEN >= least else zero
