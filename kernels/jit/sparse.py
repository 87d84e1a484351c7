"""Dense layers on sparse rows. What the reference says of rows, columns, values and cuts holds."""
from .. import reference
from ..contract import TILE_COLUMNS
from .face import absent, face, loop

__all__ = ["gather_spans", "sparse_linear_forward", "sparse_backward_weight"]

BLOCK = TILE_COLUMNS


@face(reference.gather_spans)
def gather_spans(rows, index, y):
    _gather_spans(rows, index, y)


@loop
def _gather_spans(rows, index, y):
    for n in range(index.size):
        y[n, 0], y[n, 1] = rows[index[n], 0], rows[index[n], 1]


@face(reference.sparse_linear_forward)
def sparse_linear_forward(rows, columns, values, w, b, y, cuts=None, packed=None):
    _forward(rows, columns, values, w, absent(b, 1, w), y)
    if cuts is not None:
        _cut(rows, columns, cuts)


@loop
def _forward(rows, columns, values, w, b, y):
    for n in range(rows.shape[0]):
        for o in range(y.shape[1]):
            total = y.dtype.type(0)
            for k in range(rows[n, 0], rows[n, 1]):
                total += values[k] * w[o, columns[k]]
            y[n, o] = total + b[o] if b.size else total


@loop
def _cut(rows, columns, cuts):
    last = cuts.shape[1] - 1
    for n in range(rows.shape[0]):
        k, end = rows[n, 0], rows[n, 1]
        for block in range(last):
            while k < end and columns[k] < block * BLOCK:
                k += 1
            cuts[n, block] = k
        cuts[n, last] = end


@face(reference.sparse_backward_weight)
def sparse_backward_weight(columns, values, cuts, dy, dw, db):
    _backward(columns, values, cuts, dy, dw, absent(db, 1, dy))


@loop
def _backward(columns, values, cuts, dy, dw, db):
    """One chain over all rows: this book holds tolerances, not the tree's bits."""
    dw[:] = 0
    db[:] = 0
    last = cuts.shape[1] - 1
    for n in range(dy.shape[0]):
        for o in range(dy.shape[1]):
            slope = dy[n, o]
            for k in range(cuts[n, 0], cuts[n, last]):
                dw[o, columns[k]] += slope * values[k]
            if db.size:
                db[o] += slope
