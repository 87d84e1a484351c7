"""Rows of a table picked by indices, and the gradient that comes back to them: each element a chain over the batch, n ascending."""
import numpy as np

from ..contract import kernel

__all__ = ["whole_numbers", "embedding_forward", "embedding_backward", "embedding_bag_forward", "embedding_bag_backward"]

NO_INDEX = -2 ** 62
"""What whole_numbers makes of a value that is no index; a plan's embedding makes NaN of it, so that the loss tells."""

SUM, MEAN, MAX = 0, 1, 2
"""Modes of a bag."""


@kernel("x(N,I) -> index:int(N,I)")
def whole_numbers(x, index):
    """index = x, whole numbers held in floats; NO_INDEX where x is not one or is negative. -1 stays: in a bag it means "absent"."""
    with np.errstate(invalid="ignore"):
        whole = (x == np.floor(x)) & (x >= -1) & (x < 2.0 ** 62)
    index[...] = NO_INDEX
    index[whole] = x[whole].astype(np.int64)


def _widths(index, w, y, *_):
    if y.shape[1] != index.shape[1] * w.shape[1]:
        raise ValueError(f"y must have K O = {index.shape[1] * w.shape[1]} columns, got {y.shape[1]}")
    _known(index, w, 0)


def _widths_back(index, dy, dw, *_):
    if dy.shape[1] != index.shape[1] * dw.shape[1]:
        raise ValueError(f"dy must have K O = {index.shape[1] * dw.shape[1]} columns, got {dy.shape[1]}")
    _known(index, dw, 0)


def _known(index, w, low):
    if index.size and (index.min() < low or index.max() >= len(w)):
        wrong = index[(index < low) | (index >= len(w))][0]
        raise ValueError(f"index must lie in 0..{len(w) - 1}, got {wrong}")


@kernel("index:int(N,K) w(V,O) -> y(N,I)", also=_widths)
def embedding_forward(index, w, y):
    """y[n, k O : (k + 1) O] = w[index[n, k]]

    index (N, K) in 0..V-1  w (V, O)  ->  y (N, K O). In a plan, where indices come with the data, an index that no row has gives NaN.
    """
    if y.size:
        there = (index >= 0) & (index < len(w))
        y[...] = np.where(there[..., None], w[np.where(there, index, 0)], w.dtype.type(np.nan)).reshape(y.shape)


def _clear(dw, index, named):
    dw[index[(index >= 0) & (index < len(dw))] if named else ...] = 0


@kernel("index:int(N,K) dy(N,I) -> dw(V,O)", over="outputs", also=_widths_back)
def embedding_backward(index, dy, dw, padding=-1, named=False):
    """dw[v] = sum of dy[n, k O : (k + 1) O] over the (n, k) with index[n, k] = v; 0 for v = padding.

    Every element is one chain over (n, k) ascending. dw is dense: all its V rows are written; with `named` only those that have an
    index, and an update chained to it is made for them alone.
    """
    _clear(dw, index, named)
    parts = dy.reshape(*index.shape, dw.shape[1])
    used = (index != padding) & (index >= 0) & (index < len(dw))
    np.add.at(dw, index[used], parts[used])


def _bag_indices(index, w, *_):
    _known(index, w, -1)


@kernel("index:int(N,I) w(V,O) -> y(N,O)", also=_bag_indices)
def embedding_bag_forward(index, w, y, mode=0, padding=-1):
    """y[n] = sum (mode 0), mean (1) or elementwise largest (2) of the rows w[index[n, k]] over k; 0 where a bag is empty

    index (N, I) in 0..V-1; -1 and `padding` are absent from the bag. In a plan, an index that no row has gives NaN.
    """
    for n, codes in enumerate(index):
        codes = codes[(codes != -1) & (codes != padding)]
        unknown = (codes < 0) | (codes >= len(w))
        rows = w[np.where(unknown, 0, codes)] if len(w) else w[:0]
        if unknown.any():
            y[n] = np.nan
        elif not len(rows):
            y[n] = 0
        elif mode == MAX:
            y[n] = rows.max(axis=0)
        else:
            y[n] = rows.sum(axis=0) / (w.dtype.type(len(rows)) if mode == MEAN else w.dtype.type(1))


def _bag_indices_back(index, w, dy, dw, *_):
    _known(index, w, -1)


@kernel("index:int(N,I) w(V,O) dy(N,O) -> dw(V,O)", over="outputs", also=_bag_indices_back)
def embedding_bag_backward(index, w, dy, dw, mode=0, padding=-1, named=False):
    """dw of embedding_bag_forward: dy to each row of the bag, divided by their number for the mean; for the largest, to the first row
    that has it. named: as in embedding_backward."""
    _clear(dw, index, named)
    for n, codes in enumerate(index):
        codes = codes[(codes != -1) & (codes != padding)]
        if not len(codes) or codes.min() < 0 or codes.max() >= len(dw):
            continue
        if mode == MAX:
            first = codes[w[codes].argmax(axis=0)]
            dw[first, np.arange(dw.shape[1])] += dy[n]
        else:
            share = dy[n] / (w.dtype.type(len(codes)) if mode == MEAN else w.dtype.type(1))
            for code in codes:
                dw[code] += share
