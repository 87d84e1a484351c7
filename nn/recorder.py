"""The recorder: a book of kernels that writes calls down instead of making them."""
from .. import kernels
from ..kernels import record as R
from .graph import BATCH


class Slot:
    """A scalar that changes from step to step: a column of the plan's table."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class Buffer:
    """Room for an array: in the arena, or at a fixed place (space, offset).

    shape holds BATCH for the batch's rows; kind: "real", "int" or "f64". For a row or step stream the offset is bytes per row or step.
    """

    __slots__ = ("shape", "kind", "place")

    def __init__(self, shape, kind="real", place=None):
        self.shape, self.kind, self.place = tuple(shape), kind, place

    def key(self):
        """What tells whether two buffers are the same memory."""
        return self.place if self.place is not None else id(self)

    def reshape(self, *shape):
        """The same memory: a record does not know shapes."""
        return self

    def elements(self, rows):
        """Elements for a batch of `rows`."""
        count = 1
        for size in self.shape:
            count *= rows if size is BATCH else size
        return count


class Call:
    """One call of a kernel, written down."""

    def __init__(self, name, arrays, scalars):
        self.name, self.arrays, self.scalars = name, arrays, scalars
        self.spec = kernels.reference.KERNELS[name].spec
        self.then, self.chained, self.phase, self.source = [None] * R.THEN, False, 0, None
        self.after = []  # calls that must have ended, where the buffers alone do not tell
        self.dims = self._sizes()
        self.over = self.spec.over if self.dims[0] < 0 or self.spec.over != "rows" else "flat"

    def _sizes(self):
        dims = [0] * R.DIMS
        for spec, buffer in zip(self.spec.arrays, self.arrays):
            if buffer is None:
                continue
            shape = buffer.shape
            if spec.dims == ("*",):
                by_rows = bool(shape) and shape[0] is BATCH
                dims[0] = -1 if by_rows else buffer.elements(0)
                dims[1] = buffer.elements(1) if by_rows else 1
                continue
            for letter, size in zip(spec.dims, shape):
                if letter in R.LETTER:
                    dims[R.LETTER[letter]] = -1 if size is BATCH else size
        return dims

    def reads(self):
        """Buffers whose values the call needs."""
        return [b for a, b in zip(self.spec.arrays, self.arrays) if b is not None and a.role in ("in", "inout", "scratch")]

    def reads_whole(self):
        """Keys of the buffers that a call on some rows reads over all rows."""
        return {b.key() for a, b in zip(self.spec.arrays, self.arrays) if b is not None and a.whole}

    def writes(self):
        """Buffers the call writes."""
        return [b for a, b in zip(self.spec.arrays, self.arrays) if b is not None and a.role in ("out", "inout")]

    def flops(self, rows):
        """Floating-point operations of a matmul, elements of anything else."""
        sizes = [rows if d < 0 else d for d in self.dims]
        if self.name in ("linear_forward", "linear_backward_input", "linear_backward_weight"):
            return 2 * sizes[0] * sizes[1] * sizes[2]
        return max((b.elements(rows) for b in self.writes()), default=0)


class Recorder:
    """Has the kernels' names; calling one appends a Call. Arrays are Buffers, scalars numbers, names or Slots."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        if name not in kernels.reference.KERNELS:
            raise AttributeError(name)
        spec = kernels.reference.KERNELS[name].spec

        def write_down(*args):
            arrays, given = list(args[:len(spec.arrays)]), list(args[len(spec.arrays):])
            arrays += [None] * (len(spec.arrays) - len(arrays))
            scalars = given + [default for _, default in spec.scalars[len(given):]]
            self.calls.append(Call(name, arrays, scalars))
            return self.calls[-1]
        return write_down
