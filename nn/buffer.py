"""Buffer: an array that belongs to a module and is not trained: running statistics and counters."""
import numpy as np

from .store import aligned, moves
from .tensor import Tensor, as_real, wrap


class Buffer(Tensor):
    """Values that a module keeps and its operations may change; saved and loaded with its parameters, never given to an optimizer.

    data: float32, float64 or int64 (a counter). `.numpy()` is a read-only view, `.copy_()` writes. The buffers of a model stand side
    by side in one vector of its store, beside the parameters' (Store.buffer_place).
    """

    __slots__ = ("_store", "_offset")

    def __init__(self, data):
        array = as_real(data)
        self.requires_grad, self._grad, self.node = False, None, None
        self.rehome(array, None, 0)

    def rehome(self, array, store, offset):
        """Take the values of `array`; at byte `offset` of the store's vector, or in room of its own where store is None."""
        moves[0] += 1
        if store is None:
            room = aligned(array.size, array.dtype)
        else:
            room = store.vectors["buffers"][offset:offset + array.nbytes].view(array.dtype)
        room = room.reshape(array.shape)
        room[...] = array
        self._array, self._store, self._offset = room, store, offset

    @property
    def kind(self):
        """What a plan's record calls its type."""
        return "int" if self._array.dtype == np.int64 else "real"

    def numpy(self):
        """A read-only view of the values."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    def copy_(self, value):
        """Write `value`, an array of the same shape, converting its dtype; returns the buffer."""
        array = as_real(value)
        if array.shape != self.shape:
            raise ValueError(f"value must have shape {self.shape}, got {array.shape}")
        self._array[...] = array
        if self._store is not None:
            self._store.version += 1
        return self

    def convert(self, dtype):
        """Change the float type (a counter stays one); the buffer leaves its store."""
        self.rehome(self._array.astype(self.dtype if self.kind == "int" else dtype), None, 0)

    def detach(self):
        return wrap(np.array(self._array))

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return "Buffer containing:\n" + super().__repr__()

    def __reduce__(self):
        return Buffer, (np.array(self._array),)
