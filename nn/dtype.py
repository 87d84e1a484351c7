"""The float type that new parameters and converted inputs get."""
import numpy as np

_default = {"dtype": np.dtype(np.float32)}


def set_default_dtype(dtype):
    """Make `dtype` ("float32" or "float64") the type of new parameters."""
    _default["dtype"] = real_dtype(dtype)


def get_default_dtype():
    """The type of new parameters."""
    return _default["dtype"]


def real_dtype(dtype):
    """np.dtype of `dtype`, None being the default; ValueError for anything but float32 and float64."""
    if dtype is None:
        return _default["dtype"]
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return found
