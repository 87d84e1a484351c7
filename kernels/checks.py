"""Checks of values, for the doors of nn and vivace: one compiled pass where the process has it, else NumPy's."""
import functools

import numpy as np

from .dispatch import get

_INT64, _REAL = np.dtype(np.int64), (np.dtype(np.float32), np.dtype(np.float64))


@functools.cache
def _compiled():
    """The process default, if it has these passes; asked at first use, where a choice that cannot load raises."""
    return get() if hasattr(get(), "labels_within") else None


def labels_within(t, classes):
    """Whether every element of an array (N,) of numbers lies in 0..classes-1."""
    if _compiled() and t.dtype == _INT64 and t.flags.c_contiguous and t.flags.aligned:
        return _compiled().labels_within(t, classes)
    return not len(t) or bool(t.min() >= 0 and t.max() < classes)


def finite(x):
    """Whether every element of an array of floats is finite."""
    if _compiled() and x.dtype in _REAL and x.flags.c_contiguous and x.flags.aligned:
        return _compiled().finite(x)
    return bool(np.isfinite(x).all())
