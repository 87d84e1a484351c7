"""The signature of a kernel as data: one line says shapes, types and who is written.

    @kernel("x(N,I) w(O,I) b(O)? -> y(N,O) ; packed(Q,I,L)?", over="rows")

Inputs, `->` outputs, `;` scratch. A name is followed by its dimensions; `(*)` is any shape, the same for every `*`; `?` may be
None; `~` is updated in place (read and written); `!` is read over
all rows even by a call on some of them; `:int` int64, `:f64` float64, `:any` float32 or float64 whatever the others are;
all else has the one float type of the call. Letters: see kernels/README.md. Scalars are the remaining parameters of the function.

The line drives the argument checks (one wording for all books), the test inputs, and the records of a plan.
`over` names what a call may be divided over: "rows" (each row on its own), "outputs" (rows of a weight matrix, columns that are summed),
"flat" (elements of a vector) or "all" (not divisible).
"""
import functools
import re
from collections import namedtuple

import numpy as np

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus")
"""Activations that a matmul can apply while its result is hot: those whose derivative follows from their output."""

TILE_COLUMNS = 1024
"""Columns of a weight between two cuts of sparse rows. Tiles share no sum, so bits do not depend on it."""

CHUNK = 128
"""Rows per chunk of every reduction across rows; chunks are combined by a binary tree. A constant of the format."""


def chunk_rows(rows, elements=0):
    """Rows per chunk of the gradient of a weight of so many elements, over a batch of `rows`: CHUNK, or so few that half of 64 or 128 rows
    make a chunk, so that two threads take one each; not of a large weight, where it costs more than it brings."""
    return CHUNK if rows > CHUNK or elements >= 1 << 17 else CHUNK // 2 if rows > CHUNK // 2 else CHUNK // 4


_REAL = (np.dtype(np.float32), np.dtype(np.float64))
_TOKEN = re.compile(r"(?P<name>\w+)(:(?P<type>\w+))?\((?P<dims>[^)]*)\)(?P<marks>[?~!]*)")


# namedtuples and not dataclasses, own binding and not inspect: importing inspect alone takes several milliseconds
class Array(namedtuple("Array", "name dims type role optional whole")):
    """One array parameter: type "real", "int", "f64" or "any"; role "in", "out", "inout" or "scratch"."""


class Spec(namedtuple("Spec", "name arrays scalars over also")):
    """The parsed signature of a kernel: its arrays, its scalars as (name, default), what it is divided over, and a further check
    of the values, called with the arguments (or None)."""

    @property
    def written(self):
        return tuple(a for a in self.arrays if a.role in ("out", "inout"))


class Binder:
    """Puts the arguments of a call in the order of a function's parameters; TypeError, as Python's own, for what does not fit."""

    def __init__(self, function):
        code = function.__code__
        self.function, self.names = function.__name__, code.co_varnames[:code.co_argcount]
        self.defaults = dict(zip(self.names[::-1], (function.__defaults__ or ())[::-1]))

    def __call__(self, args, kwargs):
        if len(args) > len(self.names):
            raise TypeError(f"{self.function}() takes {len(self.names)} arguments, got {len(args)}")
        values = dict(zip(self.names, args))
        for name, value in kwargs.items():
            if name not in self.names:
                raise TypeError(f"{self.function}() got an unexpected keyword argument {name!r}")
            if name in values:
                raise TypeError(f"{self.function}() got multiple values for argument {name!r}")
            values[name] = value
        missing = [name for name in self.names if name not in values and name not in self.defaults]
        if missing:
            raise TypeError(f"{self.function}() missing required arguments: {', '.join(missing)}")
        return tuple(values[name] if name in values else self.defaults[name] for name in self.names)


def lanes(dtype):
    """L, the width of a packed panel: 64 bytes, so 16 float32 or 8 float64. Also the virtual width of lane reductions."""
    return 64 // np.dtype(dtype).itemsize


def packed_shape(outputs, inputs, dtype):
    """Shape (Q, I, L) of the packed form of a weight (O, I): panels of L outputs, Q = ceil(O / L)."""
    width = lanes(dtype)
    return (-(-outputs // width), inputs, width)


def parse(line, function, over, also=None):
    """Spec of `function` from its signature line; raises ValueError when the two name different parameters."""
    arrays, role = [], "in"
    position = 0
    for part in re.finditer(r"->|;|" + _TOKEN.pattern, line):
        if line[position:part.start()].strip():
            raise ValueError(f"{function.__name__}: cannot read {line[position:part.start()]!r} in its signature")
        position = part.end()
        if part.group() == "->":
            role = "out"
        elif part.group() == ";":
            role = "scratch"
        else:
            marks = part["marks"]
            arrays.append(Array(part["name"], tuple(d.strip() for d in part["dims"].split(",")), part["type"] or "real",
                                "inout" if "~" in marks else role, "?" in marks, "!" in marks))
    binder = Binder(function)
    names = list(binder.names)
    if names[:len(arrays)] != [a.name for a in arrays]:
        raise ValueError(f"{function.__name__}: signature names {[a.name for a in arrays]}, the function has {names}")
    scalars = tuple((name, binder.defaults[name]) for name in names[len(arrays):])
    return Spec(function.__name__, tuple(arrays), scalars, over, also and _named(function.__name__, also))


def _named(name, check):
    """`check`, its errors beginning with the kernel's name like those of the signature."""
    def named(*args):
        try:
            check(*args)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from None
    return named


def kernel(line, over="rows", also=None):
    """Decorator of the reference book: checks the arguments by `line` and by also(*arguments), then calls the function."""
    def wrap(function):
        spec = parse(line, function, over, also)
        binder = Binder(function)

        @functools.wraps(function)
        def checked(*args, **kwargs):
            args = binder(args, kwargs)
            check(spec, args)
            return function(*args)

        checked.spec = spec
        checked.plain = function
        return checked
    return wrap


def check(spec, args):
    """Raise TypeError or ValueError naming the first argument that does not fit; nothing has been written by then."""
    sizes, real = {}, None
    for array, value in zip(spec.arrays, args):
        if value is None:
            if not array.optional:
                raise TypeError(f"{spec.name}: {array.name} must be an array, got None")
            continue
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{spec.name}: {array.name} must be a numpy array, got {type(value).__name__}")
        real = _check_type(spec, array, value, real)
        _check_layout(spec, array, value)
        _check_shape(spec, array, value, sizes, args)
    if spec.also is not None:
        spec.also(*args)
    return sizes


def _check_type(spec, array, value, real):
    if array.type == "int" or array.type == "f64":
        wanted = np.dtype(np.int64 if array.type == "int" else np.float64)
        if value.dtype != wanted:
            raise TypeError(f"{spec.name}: {array.name} must be {wanted}, got {value.dtype}")
    elif value.dtype not in _REAL:
        raise TypeError(f"{spec.name}: {array.name} must be float32 or float64, got {value.dtype}")
    elif array.type == "real":
        if real is not None and value.dtype != real:
            raise TypeError(f"{spec.name}: {array.name} must be {real} like the other arrays, got {value.dtype}")
        return value.dtype
    return real


def _check_layout(spec, array, value):
    if not value.flags.c_contiguous or not value.flags.aligned:
        raise ValueError(f"{spec.name}: {array.name} must be C-contiguous and aligned")
    if array.role != "in" and array.role != "scratch" and not value.flags.writeable:
        raise ValueError(f"{spec.name}: {array.name} is written and must not be read-only")


def _check_shape(spec, array, value, sizes, args):
    if array.dims == ("*",):
        expected = sizes.setdefault("*", value.shape)
        if value.shape != expected:
            raise ValueError(f"{spec.name}: {array.name} must have shape {expected}, got {value.shape}")
        return
    if len(array.dims) == value.ndim:
        for letter, size in zip(array.dims, value.shape):
            sizes.setdefault(letter, _derived(letter, sizes, value, size))
    expected = tuple(int(d) if d.isdigit() else sizes.get(d) for d in array.dims)
    if len(array.dims) != value.ndim or value.shape != expected:
        letters = ", ".join(array.dims) + ("," if len(array.dims) == 1 else "")
        known = "" if None in expected else f" = {expected}"
        raise ValueError(f"{spec.name}: {array.name} must have shape ({letters}){known}, got {value.shape}")


def _derived(letter, sizes, value, size):
    if letter == "L":
        return lanes(value.dtype)
    if letter == "Q":
        return -(-sizes["O"] // lanes(value.dtype))
    return int(size)
