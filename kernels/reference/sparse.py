"""Dense layers on sparse rows (compressed sparse rows, CSR): y = x wᵀ + b and the gradient of w, where x is mostly zeros.

x is three arrays. values (M,) and columns (M,) hold the stored elements of a whole data set, those of one row side by side, columns
ascending without repetition; rows (N, 2) says where each row of the batch begins and ends in them. So picking a batch copies N pairs.
Sums are those of the dense kernels with the terms that are zero left out: on one level the results are the same bits.
"""
import numpy as np

from ..contract import TILE_COLUMNS, chunk_rows, kernel
from .linear import tree_sum
from .rows import _index_in_range

__all__ = ["gather_spans", "sparse_linear_forward", "sparse_backward_weight", "cut_count"]


def cut_count(inputs):
    """B: cuts of a row at the columns 0, 256, 512, ... and at its end."""
    return max(-(-inputs // TILE_COLUMNS), 1) + 1


def _spans_fit(rows, columns, inputs):
    if len(rows) and (rows.min() < 0 or rows.max() > len(columns) or (rows[:, 0] > rows[:, 1]).any()):
        raise ValueError(f"rows must hold begin <= end in 0..{len(columns)}")
    for begin, end in rows:
        part = columns[begin:end]
        if len(part) and (part[0] < 0 or part[-1] >= inputs or (np.diff(part) <= 0).any()):
            raise ValueError(f"columns must ascend within a row and lie in 0..{inputs - 1}")


def _forward_fits(rows, columns, values, w, b, y, cuts=None, packed=None):
    _spans_fit(rows, columns, w.shape[1])
    if cuts is not None and cuts.shape[1] != cut_count(w.shape[1]):
        raise ValueError(f"cuts must have shape (N, B) = ({len(rows)}, {cut_count(w.shape[1])}), got {cuts.shape}")


@kernel("rows:int(M,2) index:int(N) -> y:int(N,2)", also=_index_in_range)
def gather_spans(rows, index, y):
    """y[n] = rows[index[n]]: where the rows of a batch stand"""
    y[...] = rows[index]


@kernel("rows:int(N,2) columns:int(M) values(M) w(O,I) b(O)? -> y(N,O) cuts:int(N,B)? ; packed(Q,I,L)?", also=_forward_fits)
def sparse_linear_forward(rows, columns, values, w, b, y, cuts=None, packed=None):
    """y = x wᵀ + b for sparse rows x (N, I);  w (O, I)  b (O,) or None  ->  y (N, O)

    Each sum is one chain over the stored elements of the row, columns ascending, from zero; b is added at its end.
    cuts[n, k]: the first element of row n in column 256 k or behind, the last cut its end: what the gradient of w asks for.
    """
    for n, (begin, end) in enumerate(rows):
        y[n] = values[begin:end] @ w[:, columns[begin:end]].T
        if cuts is not None:
            edges = TILE_COLUMNS * np.arange(cuts.shape[1] - 1)
            cuts[n, :-1] = begin + np.searchsorted(columns[begin:end], edges)
            cuts[n, -1] = end
    if b is not None:
        y += b


def _cuts_fit(columns, values, cuts, dy, dw, db=None):
    inputs = dw.shape[1]
    if cuts.shape[1] != cut_count(inputs):
        raise ValueError(f"cuts must have shape (N, B) = ({len(cuts)}, {cut_count(inputs)}), got {cuts.shape}")
    if cuts.size and (cuts.min() < 0 or cuts.max() > len(columns) or (np.diff(cuts, axis=1) < 0).any()):
        raise ValueError(f"cuts must ascend in 0..{len(columns)}")
    for row in cuts:
        for block, (begin, end) in enumerate(zip(row, row[1:])):
            part = columns[begin:end]
            first, behind = TILE_COLUMNS * block, min(TILE_COLUMNS * (block + 1), inputs)
            if len(part) and (part.min() < first or part.max() >= behind):
                raise ValueError(f"cuts must part the columns of a row at multiples of {TILE_COLUMNS}, below {inputs}")


@kernel("columns:int(M) values(M) cuts:int(N,B) dy(N,O) -> dw(O,I) db(O)?", over="outputs", also=_cuts_fit)
def sparse_backward_weight(columns, values, cuts, dy, dw, db):
    """dw = dyᵀ x ;  db = sum over N of dy, for sparse rows x given by the cuts of sparse_linear_forward

    Rows are summed as in linear_backward_weight: in chunks, combined by a binary tree. dw is written in full.
    """
    def part(chunk):
        total = np.zeros(dw.shape, dw.dtype)
        for row, slope in zip(cuts[chunk], dy[chunk]):
            span = slice(row[0], row[-1])
            total[:, columns[span]] += np.outer(slope, values[span])
        return total
    dw[...] = tree_sum(len(dy), part, dw.shape, dw.dtype, chunk_rows(len(dy), dw.size))
    if db is not None:
        db[...] = tree_sum(len(dy), lambda chunk: dy[chunk].sum(axis=0), db.shape, db.dtype, chunk_rows(len(dy), dw.size))
