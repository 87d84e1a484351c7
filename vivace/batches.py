"""Mini-batches for loops written by hand."""
import numpy as np

from . import kernels


def batches(X, y, batch_size=32, shuffle=True, seed=0, epoch=0):
    """Iterate over (xb, yb): contiguous copies of up to `batch_size` rows, a short last batch included.

    The order is a function of (seed, epoch) alone, that of Trainer.fit; shuffle=False keeps the rows as they stand.
    Raises ValueError, at the call, for lengths that differ and for a batch_size below 1.
    """
    X, y = np.asarray(X), np.asarray(y)
    for name, value in (("X", X), ("y", y)):
        if not value.ndim:
            raise ValueError(f"{name} must have rows, got a single value")
    if len(X) != len(y):
        raise ValueError(f"y must have as many rows as X, {len(X)}, got {len(y)}")
    if not _integer(batch_size) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer >= 1, got {batch_size!r}")
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not _integer(value) or value < 0:
            raise ValueError(f"{name} must be an integer >= 0, got {value!r}")
    index = np.arange(len(X), dtype=np.int64)
    if shuffle:
        kernels.permutation(index, int(seed), int(epoch))
    return _slices(X, y, index, int(batch_size))


def _slices(X, y, index, batch_size):
    for start in range(0, len(index), batch_size):
        rows = index[start:start + batch_size]
        yield np.ascontiguousarray(X[rows]), np.ascontiguousarray(y[rows])


def _integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
