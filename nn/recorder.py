"""The recorder: a book of kernels that writes calls down instead of making them."""
import numpy as np

from .. import kernels
from ..kernels import record as R
from .graph import BATCH

MATMULS = ("linear_forward", "linear_backward_input", "linear_backward_weight", "weight_parts", "sparse_linear_forward",
           "sparse_backward_weight")

PARTS = {
    "linear_forward": {"w": "outputs", "b": "outputs", "packed": "outputs", "y": "columns"},
    "linear_backward_input": {"w": "inputs", "x": "columns", "dx": "columns"},
    "linear_backward_weight": {"x": "columns", "dw": "inputs", "db": "one"},
}
"""What a thread owns of the arrays of a matmul whose columns are shared out; of those not named it reads all."""


class Slot:
    """A scalar that changes from step to step: a column of the plan's table."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class Buffer:
    """Room for an array: in the arena, or at a fixed place (space, offset).

    shape holds BATCH for the batch's rows; kind: "real", "int" or "f64". For a row or step stream the offset is bytes per row or step.
    apart: every thread has one in its own room; twice: two, which steps use in turns.
    """

    __slots__ = ("shape", "kind", "place", "apart", "twice")

    def __init__(self, shape, kind="real", place=None):
        self.shape, self.kind, self.place, self.apart, self.twice = tuple(shape), kind, place, False, False

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
        self.cut = "units"  # how threads share it: a name of record.CUT
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

    def uses(self):
        """(buffer, owner, written) of every array: `owner` says which part of it one thread touches.

        "rows" its rows, "columns" its columns of a layer, "columns n" its share of n columns that sums go over, "outputs" and "inputs"
        its rows and columns of a weight, "flat n" its share of n elements, "mine" room of its own, "one" all of it by one thread alone,
        "all" more than a thread's own. Two uses with the same owner, other than "all", are by the same thread.
        """
        for a, b in zip(self.spec.arrays, self.arrays):
            if b is not None:
                yield b, self._owner(a), a.role in ("out", "inout")

    def _owner(self, array):
        by_rows = array.dims[:1] in (("N",), ("*",)) and not array.whole
        if self.cut == "each":
            return "mine" if array.role == "out" else "all"
        if self.cut == "part":
            return PARTS[self.name].get(array.name, "all")
        if self.over == "rows":
            return "rows" if by_rows else "all"
        if self.name == "linear_backward_weight":
            return {"dy": "columns", "x": "all"}.get(array.name, "outputs")
        if self.name == "weight_join":
            return "all" if array.role == "in" else "outputs"
        if self.over == "outputs" and not self.name.startswith(("linear_", "sparse_")):
            return f"columns {self.dims[2]}"
        return {"outputs": "outputs", "flat": f"flat {self.dims[0]}", "all": "one"}[self.over]

    def flops(self, rows):
        """Floating-point operations of a matmul, elements of anything else."""
        sizes = [rows if d < 0 else d for d in self.dims]
        if self.name in MATMULS:
            # how full sparse rows are is not known here; the weights are read or updated in any case
            return 2 * (1 if self.name.startswith("sparse_") else sizes[0]) * sizes[1] * sizes[2]
        return max((b.elements(rows) for b in self.writes()), default=0)


class Recorder:
    """Has the kernels' names; calling one appends a Call. Arrays are Buffers, scalars numbers, names or Slots.

    An array of NumPy becomes a constant of the plan: `constants` holds them, one after the other, in the type `dtype`.
    """

    def __init__(self, dtype):
        self.calls, self.dtype, self.constants = [], dtype, np.empty(0, dtype)

    def _constant(self, array):
        place = (R.CONSTANTS, self.constants.nbytes)
        self.constants = np.concatenate([self.constants, np.asarray(array, self.dtype).reshape(-1)])
        return Buffer(array.shape, "real", place)

    def __getattr__(self, name):
        if name not in kernels.reference.KERNELS:
            raise AttributeError(name)
        spec = kernels.reference.KERNELS[name].spec

        def write_down(*args):
            arrays = [self._constant(a) if isinstance(a, np.ndarray) else a for a in args[:len(spec.arrays)]]
            given = list(args[len(spec.arrays):])
            arrays += [None] * (len(spec.arrays) - len(arrays))
            scalars = given + [default for _, default in spec.scalars[len(given):]]
            self.calls.append(Call(name, arrays, scalars))
            return self.calls[-1]
        return write_down
