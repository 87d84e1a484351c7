"""The door: what users hand over becomes arrays a plan can run on, or a clear error."""
import numpy as np

from .kernels import record as R
from .kernels.checks import finite
from .nn.checks import real
from .nn.loss_value import probabilities as in_range
from .nn.losses import BCELoss, CrossEntropyLoss
from .nn.sparse import SparseRows, is_sparse, sparse_rows
from .nn.tensor import Tensor, plain


def inputs(X, dtype, widths=None):
    """X, or a list or tuple of inputs, as C-contiguous (N, width) arrays of float32 or float64 (others become `dtype`).

    SciPy's sparse matrices become SparseRows of `dtype`.

    Raises TypeError for what is not numbers, ValueError for shapes, rows that differ, and values that are not finite.
    """
    parts = list(X) if isinstance(X, tuple) or (isinstance(X, list) and X and isinstance(X[0], np.ndarray) and X[0].ndim == 2) else [X]
    arrays = [_matrix(part, "X" if len(parts) == 1 else f"X[{i}]", dtype) for i, part in enumerate(parts)]
    if any(len(a) != len(arrays[0]) for a in arrays):
        raise ValueError(f"X must hold inputs of one length, got {[len(a) for a in arrays]}")
    if widths is not None and [a.shape[1] for a in arrays] != list(widths):
        raise ValueError(f"X must have {' and '.join(map(str, widths))} columns, got {' and '.join(str(a.shape[1]) for a in arrays)}")
    return arrays


def _matrix(part, name, dtype):
    if is_sparse(part):
        return _sparse(part, name, dtype)
    if isinstance(part, Tensor):
        part = part.numpy()
    array = _array(name, part)
    if array.dtype.kind in "OUSMmVc":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}; vivace.estimators take text and categories")
    if array.ndim != 2:
        hint = "; use X.reshape(-1, 1) for one feature" if array.ndim == 1 else ""
        raise ValueError(f"{name} must have shape (N, features), got {array.shape}{hint}")
    if array.shape[1] == 0:
        raise ValueError(f"{name} must have at least one column, got shape {array.shape}")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        array = array.astype(dtype)
    array = np.ascontiguousarray(array)
    if not array.flags.aligned:
        array = array.copy()
    if not finite(array):
        raise _not_finite(name, array, ~np.isfinite(array))
    if array.dtype.itemsize > dtype.itemsize and array.size and max(array.max(), -array.min()) > np.finfo(dtype).max:
        raise _not_finite(name, array, np.abs(array) > np.finfo(dtype).max, f" in {dtype}")
    return array


def _sparse(part, name, dtype):
    found = sparse_rows(name, part, dtype)
    if found.width == 0:
        raise ValueError(f"{name} must have at least one column, got shape {found.shape}")
    with np.errstate(over="ignore"):
        x = found.astype(dtype)
    if not np.isfinite(x.values).all():
        raise ValueError(f"{name} must be finite in {dtype}, got {found.values[~np.isfinite(x.values)][0]}")
    return x


def sparse_places(arrays):
    """Which of the inputs are sparse."""
    return tuple(i for i, a in enumerate(arrays) if isinstance(a, SparseRows))


def input_spaces(arrays, first):
    """The inputs by the space in which a plan looks for them; `first` is that of the first one."""
    spaces = {}
    for i, a in enumerate(arrays):
        spaces[first + i] = a.rows if isinstance(a, SparseRows) else a
        if isinstance(a, SparseRows):
            spaces[R.COLUMNS + i], spaces[R.VALUES + i] = a.columns, a.values
    return spaces


def as_type(arrays, dtype):
    """The inputs with values of `dtype`."""
    return [a.astype(dtype) if isinstance(a, SparseRows) else np.ascontiguousarray(a, dtype) for a in arrays]


def _array(name, value):
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} must have no masked values, got {np.ma.count_masked(value)}: fill them, or leave their rows out")
    try:
        return plain(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None


def probabilities(trainer, arrays):
    """Raise ValueError where the loss takes probabilities and the model gives its first rows none. (One that a Softmax or Sigmoid
    ends gives some, and is merged with the loss.)"""
    loss, few = trainer.loss, np.arange(min(len(arrays[0]), 32))
    if isinstance(loss, BCELoss) or isinstance(loss, CrossEntropyLoss) and not loss.from_logits:
        graph, _ = trainer._traced([a.shape[1] for a in arrays], True)
        if not loss.source(graph.output)[1]:
            in_range(type(loss).__name__, trainer._predict([a[few] for a in arrays]), "the output of the model, input")


def _not_finite(name, array, wrong, where=""):
    """The error for the first place where `wrong` is True."""
    place = np.argwhere(wrong)[0]
    at = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "column"), place))
    return ValueError(f"{name} must be finite{where}, got {array[tuple(place)]} at {at}")


def indices(graph, arrays, dtype):
    """Raise ValueError where a column that an embedding reads holds what is no index of its table."""
    for place, start, stop, rows, least in graph.index_columns():
        if isinstance(arrays[place], SparseRows):
            continue  # the plan refuses it
        name = "X" if len(arrays) == 1 else f"X[{place}]"
        if rows > 1 << (np.finfo(dtype).nmant + 1):
            raise ValueError(f"a table of {rows} rows needs float64: {dtype} cannot tell its indices apart")
        part = arrays[place][:, start:stop]
        wrong = (part < least) | (part >= rows) | (part != np.floor(part))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(f"{name} must hold indices 0..{rows - 1} for an embedding in column {start + column}, "
                             f"got {part[row, column]:g} at row {row}")


def targets(loss, y, outputs, dtype, rows, name="y"):
    """y as the loss takes it; errors name y."""
    if isinstance(y, Tensor):
        y = y.numpy()
    array = _array(name, y)
    if array.dtype.kind in "OUSMmVc":
        raise TypeError(f"{name} must be numbers (classes 0..C-1 or real values), got dtype {array.dtype}; vivace.estimators encode text")
    if array.dtype.kind == "f" and not finite(array):
        raise _not_finite(name, array, ~np.isfinite(array))
    given = array
    try:
        with np.errstate(over="ignore"):  # what overflows in the conversion is named below
            array = loss.target(array, outputs, dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("target", name, 1)) from None
    if len(array) != rows:
        raise ValueError(f"{name} must have N = {rows} rows like X, got {len(array)}")
    if array.dtype.kind == "f" and not finite(array):
        raise _not_finite(name, given, ~np.isfinite(array.reshape(given.shape)), f" in {dtype}")
    return array


def weights(loss, target, weight, dtype):
    """Row weights as the loss wants them, or None; errors name sample_weight."""
    try:
        return loss.row_weight(target, weight, dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("weight", "sample_weight", 1)) from None


def positive(name, value):
    """Raise ValueError unless `value` is a finite number > 0."""
    if not real(value) or not value > 0:
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
