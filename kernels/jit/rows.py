"""Rows of a data set: picking a batch, its order, and the class of a row."""
import numpy as np

from .. import reference
from .dropout import LOW, SHIFT, key_words, philox
from .face import face, inline, loop

__all__ = ["gather_rows", "gather_labels", "gather_weights", "argmax_rows", "permutation"]


@face(reference.gather_rows)
def gather_rows(x, index, y):
    _gather_rows(x, index, y)


@face(reference.gather_labels)
def gather_labels(t, index, y):
    _gather(t, index, y)


@face(reference.gather_weights)
def gather_weights(w, index, y):
    _gather(w, index, y)


@loop
def _gather_rows(x, index, y):
    for n in range(index.size):
        row = index[n]
        for i in range(y.shape[1]):
            y[n, i] = x[row, i]


@loop
def _gather(x, index, y):
    for n in range(index.size):
        y[n] = x[index[n]]


@face(reference.argmax_rows)
def argmax_rows(x, y):
    _argmax_rows(x, y)


@loop
def _argmax_rows(x, y):
    for n in range(x.shape[0]):
        best, place = x[n, 0], 0
        for c in range(1, x.shape[1]):
            v = x[n, c]
            if v > best or (v != v and best == best):
                best, place = v, c
        y[n] = place


@face(reference.permutation)
def permutation(index, seed=0, epoch=0):
    _permutation(index, *key_words(seed), int(epoch))


@loop
def _permutation(index, k0, k1, epoch):
    for n in range(index.size):
        index[n] = n
    k0, k1, zero, mark = np.uint64(k0), np.uint64(k1), np.uint64(0), np.uint64(0x5A5A)
    last = index.size - 1
    for word in range((last + 1) // 2):
        w0, w1, w2, w3 = philox(k0, k1, np.uint64(word), np.uint64(epoch), zero, mark)
        n = last - 2 * word
        _swap(index, n, w0, w1)
        if n > 1:
            _swap(index, n - 1, w2, w3)


@inline
def _swap(index, n, low, high):
    """Swap places n and floor(u (n + 1) / 2^64), u = high 2^32 + low: the upper half of a product of two 64-bit numbers."""
    m = np.uint64(n + 1)
    a, b = m >> SHIFT, m & LOW
    carry = ((high * b & LOW) + (low * a & LOW) + (low * b >> SHIFT)) >> SHIFT
    other = np.int64(high * a + (high * b >> SHIFT) + (low * a >> SHIFT) + carry)
    v = index[n]
    index[n] = index[other]
    index[other] = v
