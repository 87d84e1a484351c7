"""Sparse rows: what a Linear reads in place of a dense input, at both speeds."""
import numpy as np

from ..kernels.reference.sparse import cut_count


class SparseRows:
    """Rows (N, width), mostly zeros, as the kernels of kernels/reference/sparse.py take them.

    rows (N, 2) says where each row's elements begin and end in columns and values, which belong to a whole data set: picking rows
    copies N pairs. In a plan the three are buffers. It has the shape and dtype of an array; only Linear computes with it.
    """

    def __init__(self, rows, columns, values, width):
        self.rows, self.columns, self.values, self.width = rows, columns, values, int(width)

    @property
    def shape(self):
        return (self.rows.shape[0], self.width)

    @property
    def dtype(self):
        return self.values.dtype

    @property
    def ndim(self):
        return 2

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return SparseRows(np.ascontiguousarray(self.rows[index]), self.columns, self.values, self.width)

    def astype(self, dtype):
        """The same rows with values of `dtype`."""
        return self if self.dtype == dtype else SparseRows(self.rows, self.columns, self.values.astype(dtype), self.width)

    def forward(self, k, w, b, y, cuts):
        """y = x wᵀ + b; `cuts` is room for what backward reads, or None."""
        self.cuts = cuts
        k.sparse_linear_forward(self.rows, self.columns, self.values, w, b, y, cuts)

    def room(self):
        """Room for the cuts of these rows."""
        return np.empty((len(self), cut_count(self.width)), np.int64)

    def backward(self, k, dy, dw, db):
        """dw = dyᵀ x ;  db = sum over N of dy"""
        k.sparse_backward_weight(self.columns, self.values, self.cuts, dy, dw, db)


def is_sparse(value):
    """Whether `value` is a sparse matrix of SciPy's kind: told by its attributes, so that nobody needs SciPy who has none."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz") and hasattr(value, "shape")


def sparse_rows(name, matrix, dtype):
    """A SciPy sparse matrix as SparseRows with int64 columns, ascending and without repetition; the matrix is not changed.

    values float32 and float64 keep their type, others become `dtype`. Raises for anything that is not a matrix of finite numbers.
    """
    if len(matrix.shape) != 2:
        raise ValueError(f"{name} must have shape (N, features), got {matrix.shape}")
    matrix = matrix.tocsr()
    if matrix.data.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got dtype {matrix.data.dtype}")
    starts, columns = np.asarray(matrix.indptr, np.int64), np.asarray(matrix.indices, np.int64)
    stored, width = min(len(columns), len(matrix.data)), int(matrix.shape[1])
    if len(starts) != matrix.shape[0] + 1 or starts[0] < 0 or starts[-1] > stored or (np.diff(starts) < 0).any():
        raise ValueError(f"{name} must be a valid CSR matrix: its indptr must ascend from 0 to the number of stored elements")
    columns = columns[:starts[-1]]
    if len(columns) and (columns.min() < 0 or columns.max() >= width):
        raise ValueError(f"{name} must be a valid CSR matrix: its indices must lie in 0..{width - 1}")
    ascends = np.diff(columns) > 0
    edges = starts[1:-1] - 1  # from the last element of a row to the first of another one the columns may fall
    ascends[edges[(edges >= 0) & (edges < len(ascends))]] = True
    if not ascends.all():
        matrix = matrix.copy()
        matrix.has_canonical_format = False
        matrix.sum_duplicates()
        starts, columns = np.asarray(matrix.indptr, np.int64), np.asarray(matrix.indices, np.int64)
    values = np.asarray(matrix.data)[:len(columns)]
    if values.dtype not in (np.float32, np.float64) or not values.dtype.isnative:
        values = values.astype(dtype)
    if not np.isfinite(values).all():
        place = int(np.argmin(np.isfinite(values)))
        row = int(np.searchsorted(starts, place, side="right")) - 1
        raise ValueError(f"{name} must be finite, got {values[place]} at row {row}, column {columns[place]}")
    rows = np.ascontiguousarray(np.stack([starts[:-1], starts[1:]], axis=1))
    return SparseRows(rows, np.ascontiguousarray(columns), np.ascontiguousarray(values), width)
