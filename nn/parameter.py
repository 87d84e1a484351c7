"""Parameter: a handle on a segment of a flat store. Its identity stays; where its values live may change."""
import numpy as np

from .dtype import real_dtype
from .store import aligned, write_time
from .tensor import Tensor, as_real, grad_enabled, wrap


class Parameter(Tensor):
    """A trainable array.

    data: anything np.asarray takes; dtype: float32 or float64 (None: the array's own, else the default). `.numpy()` is a read-only
    view; `.copy_()` writes; `.data` is a writable view, after which a compiled plan reads the parameter anew on every entry.
    """

    __slots__ = ("_store", "_offset", "_grad_array", "_has_grad", "_changed")

    def __init__(self, data, requires_grad=True, dtype=None):
        array = as_real(data)
        array = as_real(array, real_dtype(dtype) if dtype is not None or array.dtype.kind != "f" else array.dtype)
        own = aligned(array.size, array.dtype).reshape(array.shape)
        own[...] = array
        self._array, self.requires_grad, self._grad, self.node = own, bool(requires_grad), None, None
        self._store, self._offset, self._grad_array, self._has_grad, self._changed = None, 0, None, False, 0

    @property
    def data(self):
        if self._store is not None:
            self._store.escaped = True
        return self._array

    @data.setter
    def data(self, value):
        self.copy_(value)

    def numpy(self):
        """A read-only view of the values."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    def copy_(self, value):
        """Write `value`, an array of the same shape, converting its dtype; returns the parameter."""
        array = as_real(value)
        if array.shape != self.shape:
            raise ValueError(f"value must have shape {self.shape}, got {array.shape}")
        self._array[...] = array
        self.written()
        return self

    def zero_(self):
        """Fill with zeros."""
        return self._in_place(np.zeros_like(self._array))

    def fill_(self, value):
        """Fill with one number."""
        return self._in_place(np.full_like(self._array, value))

    def _in_place(self, values):
        if self.requires_grad and grad_enabled():
            raise RuntimeError("a parameter that requires a gradient is changed in place under no_grad() only, or by copy_()")
        return self.copy_(values)

    def _operator(function):
        def method(self, other):
            return self._in_place(function(self._array, other.numpy() if isinstance(other, Tensor) else other))
        return method

    __iadd__, __isub__, __imul__, __itruediv__ = map(_operator, (np.add, np.subtract, np.multiply, np.divide))
    del _operator

    def written(self):
        """Note that values changed outside of a plan."""
        self._changed = write_time()
        if self._store is not None:
            self._store.version += 1

    @property
    def changed(self):
        """When the values were written last."""
        return self._changed if self._store is None else max(self._changed, self._store.changed)

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or release (True) this parameter."""
        self.requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self):
        return wrap(self._grad_array) if self._has_grad else None

    @grad.setter
    def grad(self, value):
        self._has_grad = False
        if value is not None:
            array = as_real(value, self.dtype)
            if array.shape != self.shape:
                raise ValueError(f"grad must have shape {self.shape}, got {array.shape}")
            self.add_gradient(None, array)

    def gradient_array(self):
        """The gradient as a plain array, or None."""
        return self._grad_array if self._has_grad else None

    def gradient_room(self):
        """Where a gradient may be written right away: nothing is to be added to what stands there."""
        return None if self._has_grad else self._grad_array

    def add_gradient(self, k, array):
        if self._has_grad:
            k.add(self._grad_array, array, self._grad_array)
        elif self._grad_array is None:
            self._grad_array = np.array(array)
        elif array is not self._grad_array:  # else it was computed right here, in gradient_room()
            self._grad_array[...] = array
        self._has_grad = True

    def convert(self, dtype):
        """Change the float type; the parameter leaves its store, and its gradient is dropped."""
        array = self._array.astype(dtype)
        self._array = aligned(array.size, dtype).reshape(array.shape)
        self._array[...] = array
        self._store, self._offset, self._grad_array, self._has_grad = None, 0, None, False

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce__(self):
        return Parameter, (np.array(self._array), self.requires_grad)
