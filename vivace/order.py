"""The order of rows that a user gives in place of a shuffle."""
import numpy as np

from .kernels.checks import labels_within


def given_order(shuffle, rows):
    """fit's `shuffle`: None to shuffle, an array (rows,) that gives the order of every epoch, or a function of the epoch."""
    if isinstance(shuffle, (bool, np.bool_)):
        return None if shuffle else np.arange(rows)
    if callable(shuffle):
        return shuffle
    order = np.asarray(shuffle)
    if order.dtype.kind not in "iu" or order.shape != (rows,) or not np.array_equal(np.sort(order), np.arange(rows)):
        got = f"an array of shape {order.shape} and dtype {order.dtype}" if order.ndim else repr(shuffle)
        raise ValueError(f"shuffle must be True, False or an order of the {rows} rows, got {got}")
    return np.ascontiguousarray(order, np.int64)


def order_from(function, epoch, rows):
    """The order that a user's function gives for `epoch`."""
    order = np.asarray(function(epoch))
    if order.dtype.kind not in "iu" or order.shape != (rows,) or not labels_within(order, rows):
        raise ValueError(f"shuffle must give {rows} row numbers in 0..{rows - 1}, got an array of shape {order.shape} and dtype "
                         f"{order.dtype} for epoch {epoch}")
    return np.ascontiguousarray(order, np.int64)
