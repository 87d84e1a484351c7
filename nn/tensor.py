"""Tensor: an array with a tape. Operations run kernel by kernel; backward() walks the tape in reverse."""
import threading
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import kernels
from .dtype import get_default_dtype
from .store import clock

_KEPT = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64))


class _Mode(threading.local):
    grad = True


_mode = _Mode()


def grad_enabled():
    """Whether operations are put on the tape in this thread."""
    return _mode.grad


def no_grad():
    """Within it, operations are not put on the tape."""
    return _grad_mode(False)


def enable_grad():
    """Within it, operations are put on the tape, also inside of no_grad()."""
    return _grad_mode(True)


@contextmanager
def _grad_mode(grad):
    before = grad_enabled()
    _mode.grad = grad
    try:
        yield
    finally:
        _mode.grad = before


class Node:
    """One operation on the tape: its inputs as tensors and as arrays, the array of its result, and its place in the tape's order."""

    __slots__ = ("op", "inputs", "arrays", "out", "index")

    def __init__(self, op, inputs, arrays, out):
        self.op, self.inputs, self.arrays, self.out, self.index = op, inputs, arrays, out, next(clock)


class Tensor:
    """An array (float32, float64 or int64) and where it came from. functional.py gives it its operators, backward.py backward().

    Made from anything np.asarray takes: floats keep float32 or float64, other numbers become the default dtype.
    """

    __slots__ = ("_array", "requires_grad", "_grad", "node", "__weakref__")
    __array_priority__ = 1000
    traced = False
    changed = 0  # when its values were written last, by the clock of the tape; only parameters know

    def __init__(self, data, requires_grad=False):
        self._array = as_real(data)
        self.requires_grad = bool(requires_grad)
        self._grad = None
        self.node = None

    @property
    def data(self):
        return self._array

    @property
    def shape(self):
        return self._array.shape

    @property
    def dtype(self):
        return self._array.dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return self._array.size

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, value):
        self._grad = None if value is None else Tensor(value)

    def gradient_room(self):
        """None: a tensor has no room of its own for a gradient."""

    def add_gradient(self, k, array):
        """Add `array` to the gradient; the first is copied, since several tensors may be given one array."""
        if self._grad is None:
            self._grad = wrap(np.array(array))
        else:
            k.add(self._grad._array, array, self._grad._array)

    def numpy(self):
        """The values as an array."""
        return self._array

    def item(self):
        """The value of a one-element tensor, as a Python number."""
        return self.numpy().item()

    def detach(self):
        """The same values without the tape."""
        return wrap(self._array)

    def argmax(self, axis=None, *, dim=None):
        """Index of the largest value, over all elements or along `axis` (`dim` is PyTorch's name of it)."""
        return self.numpy().argmax(axis=axis if dim is None else dim)

    def tolist(self):
        """The values as a number or nested lists."""
        return self.numpy().tolist()

    def numel(self):
        """How many elements there are."""
        return self.size

    def dim(self):
        """How many dimensions there are."""
        return self.ndim

    def requires_grad_(self, requires_grad=True):
        """Ask for a gradient (True) or not; returns the tensor."""
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad can be taken from leaves only, this tensor is a result: use detach()")
        self.requires_grad = bool(requires_grad)
        return self

    def zero_(self):
        """Fill a tensor that is no result, as a gradient, with zeros; returns it."""
        if self.node is not None or (self.requires_grad and grad_enabled()):
            raise RuntimeError("zero_() would change values that a gradient may need: use it under no_grad()")
        self._array.fill(0)
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype, copy=copy)

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.shape[0]

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __format__(self, spec):
        return format(self.item(), spec) if spec else str(self)

    def _compare(function):
        """Element by element, as a NumPy array of bools: comparisons have no gradient."""
        def method(self, other):
            if not isinstance(other, (Tensor, np.ndarray, np.generic, int, float, list, tuple)):
                return NotImplemented
            return function(self.numpy(), other.numpy() if isinstance(other, Tensor) else other)
        return method

    __eq__, __ne__, __lt__, __le__, __gt__, __ge__ = map(_compare, (np.equal, np.not_equal, np.less, np.less_equal, np.greater,
                                                                    np.greater_equal))
    __hash__ = object.__hash__  # tensors are keys by what they are, not by their values
    del _compare

    def __bool__(self):
        return bool(self.numpy())

    if TYPE_CHECKING:  # functional.py and backward.py give them
        def __add__(self, other: Any) -> "Tensor": ...
        def __sub__(self, other: Any) -> "Tensor": ...
        def __mul__(self, other: Any) -> "Tensor": ...
        def __truediv__(self, other: Any) -> "Tensor": ...
        def __matmul__(self, other: Any) -> "Tensor": ...
        def __pow__(self, exponent: float) -> "Tensor": ...
        def __rpow__(self, base: float) -> "Tensor": ...
        def __radd__(self, other: Any) -> "Tensor": ...
        def __rsub__(self, other: Any) -> "Tensor": ...
        def __rmul__(self, other: Any) -> "Tensor": ...
        def __rtruediv__(self, other: Any) -> "Tensor": ...
        def __rmatmul__(self, other: Any) -> "Tensor": ...
        def __neg__(self) -> "Tensor": ...
        def __getitem__(self, key: Any) -> "Tensor": ...
        def reshape(self, *shape: Any) -> "Tensor": ...
        def view(self, *shape: Any) -> "Tensor": ...
        def flatten(self) -> "Tensor": ...
        def clone(self) -> "Tensor": ...
        def sum(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> "Tensor": ...
        def mean(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> "Tensor": ...
        def backward(self, gradient: Any = None) -> None: ...
        @property
        def T(self) -> "Tensor": ...

    def __repr__(self):
        tail = ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({np.array2string(self._array, separator=', ', prefix='tensor(')}{tail})"


def plain(value):
    """np.asarray(value); a frame of pandas whose columns are numbers of several kinds, which that makes objects of, in float64."""
    array = np.asarray(value)
    if array.dtype == object and hasattr(value, "dtypes"):
        try:
            return value.to_numpy(np.float64)
        except (TypeError, ValueError):  # no numbers, or some are missing
            pass
    return array


def as_real(data, dtype=None):
    """A C-contiguous array of `dtype`, or of the array's own float type (int64 labels stay), else of the default."""
    if isinstance(data, Tensor):
        data = data.numpy()
    if type(data) is np.ndarray and data.dtype in (_KEPT if dtype is None else (dtype,)) and data.flags.c_contiguous:
        return data
    array = plain(data)
    if array.dtype == object or array.dtype.kind in "USMmc":
        raise TypeError(f"data must be numbers, got dtype {array.dtype}")
    if dtype is None:
        dtype = array.dtype if array.dtype in _KEPT and isinstance(data, np.ndarray | np.generic) else get_default_dtype()
    return np.ascontiguousarray(array, dtype) if array.ndim else np.asarray(array, dtype)


def wrap(array):
    """A Tensor around an array as it is."""
    t = Tensor.__new__(Tensor)
    t._array, t.requires_grad, t._grad, t.node = array, False, None, None
    return t


def as_tensor(value, dtype=None):
    """`value` if it is a Tensor of that dtype, else a Tensor made of it."""
    if isinstance(value, Tensor):
        if dtype is None or value.traced or value.dtype == dtype:
            return value
        if value.requires_grad:
            raise TypeError(f"input must be {dtype} like the parameters, got {value.dtype}")
    return wrap(as_real(value, dtype))


def apply(op, *inputs):
    """Run `op` on tensors (None where an input is absent); on traced ones, write it down instead."""
    arrays, shapes, wanted = [], [], False
    for t in inputs:
        if t is None:
            arrays.append(None)
            shapes.append(None)
            continue
        if t.traced:
            return t.graph.append(op, inputs)
        arrays.append(array := t._array)
        shapes.append(array.shape)
        if t.requires_grad:
            wanted = True
    dtype = arrays[0].dtype
    if dtype.kind != "f":  # indices
        dtype = next((a.dtype for a in arrays if a is not None and a.dtype.kind == "f"), dtype)
    out = np.empty(op.shape(*shapes), dtype)
    if op.keeps is not None and (kept := op.keeps(*shapes)):  # room of this call's own: the operation of a saved graph is called many times
        op = copy(op)
        op.kept = [np.empty(shape, np.int64 if kind == "int" else dtype) for shape, kind in kept]
    op.forward(kernels.get(), out, *arrays)
    result = wrap(out)
    if wanted and _mode.grad:
        result.requires_grad, result.node = True, Node(op, inputs, arrays, out)
    return result
