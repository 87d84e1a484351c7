"""Rows of a table picked by indices, and the gradient that comes back to them: each element a chain over the batch, n ascending."""
import numpy as np

from .. import reference
from ..reference.embedding import MAX, MEAN, NO_INDEX
from .face import face, inline, loop

__all__ = ["whole_numbers", "embedding_forward", "embedding_backward", "embedding_bag_forward", "embedding_bag_backward"]


@face(reference.whole_numbers)
def whole_numbers(x, index):
    _whole_numbers(x, index)


@loop
def _whole_numbers(x, index):
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = np.float64(x[n, i])
            index[n, i] = np.int64(v) if v >= -1.0 and v < 4611686018427387904.0 and v == np.floor(v) else NO_INDEX


@face(reference.embedding_forward)
def embedding_forward(index, w, y):
    _embedding_forward(index, w, y)


@loop
def _embedding_forward(index, w, y):
    width, nan = w.shape[1], w.dtype.type(np.nan)
    for n in range(index.shape[0]):
        for k in range(index.shape[1]):
            v = index[n, k]
            there = v >= 0 and v < w.shape[0]
            for o in range(width):
                y[n, k * width + o] = w[v, o] if there else nan


@face(reference.embedding_backward)
def embedding_backward(index, dy, dw, padding=-1, named=False):
    _embedding_backward(index, dy, dw, int(padding), bool(named))


@inline
def _clear(dw, index, named):
    """Rows of a table's gradient to 0: all, or those that have an index."""
    if not named:
        dw[...] = dw.dtype.type(0)
        return
    for n in range(index.shape[0]):
        for v in index[n]:
            if v >= 0 and v < dw.shape[0]:
                dw[v, :] = dw.dtype.type(0)


@loop
def _embedding_backward(index, dy, dw, padding, named):
    width = dw.shape[1]
    _clear(dw, index, named)
    for n in range(index.shape[0]):
        for k in range(index.shape[1]):
            v = index[n, k]
            if v >= 0 and v < dw.shape[0] and v != padding:
                for o in range(width):
                    dw[v, o] += dy[n, k * width + o]


@inline
def _bag_size(bag, rows, padding):
    """How many indices of a bag count; -1 where one is no row of the table."""
    size = 0
    for v in bag:
        if v != -1 and v != padding:
            if v < 0 or v >= rows:
                return -1
            size += 1
    return size


@inline
def _largest(bag, w, o, padding):
    """The first row of the bag whose element o is the largest; a NaN counts as the largest."""
    best = -1
    for v in bag:
        if v != -1 and v != padding:
            if best < 0 or w[v, o] > w[best, o] or (w[v, o] != w[v, o] and w[best, o] == w[best, o]):
                best = v
    return best


@face(reference.embedding_bag_forward)
def embedding_bag_forward(index, w, y, mode=0, padding=-1):
    _embedding_bag_forward(index, w, y, int(mode), int(padding))


@loop
def _embedding_bag_forward(index, w, y, mode, padding):
    real = w.dtype.type
    for n in range(index.shape[0]):
        bag = index[n]
        size = _bag_size(bag, w.shape[0], padding)
        for o in range(w.shape[1]):
            total = real(0) if size >= 0 else real(np.nan)
            if size > 0:
                if mode == MAX:
                    total = w[_largest(bag, w, o, padding), o]
                else:
                    for v in bag:
                        if v != -1 and v != padding:
                            total += w[v, o]
                    total = total / real(size) if mode == MEAN else total
            y[n, o] = total


@face(reference.embedding_bag_backward)
def embedding_bag_backward(index, w, dy, dw, mode=0, padding=-1, named=False):
    _embedding_bag_backward(index, w, dy, dw, int(mode), int(padding), bool(named))


@loop
def _embedding_bag_backward(index, w, dy, dw, mode, padding, named):
    real = w.dtype.type
    _clear(dw, index, named)
    for n in range(index.shape[0]):
        bag = index[n]
        size = _bag_size(bag, w.shape[0], padding)
        if size > 0:
            for o in range(w.shape[1]):
                if mode == MAX:
                    dw[_largest(bag, w, o, padding), o] += dy[n, o]
                else:
                    share = dy[n, o] / real(size) if mode == MEAN else dy[n, o]
                    for v in bag:
                        if v != -1 and v != padding:
                            dw[v, o] += share
