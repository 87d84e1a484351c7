"""Graph operations: each is one entry with its shape rule, its forward and its backward, written as calls of kernels.

`k` is a book of kernels, and then the calls run; or a plan's recorder, and then they are written down. So the eager step and the
plan cannot differ. shape(*shapes) -> shape; forward(k, out, *inputs); backward(k, new, needs, dout, out, *inputs) -> one gradient
per input, None where `needs` says nobody asks; it may return dout itself, so nobody writes to a gradient that exists.
"""
import numpy as np

from ..kernels.reference.maps import MAPS
from .sparse import SparseRows


class Op:
    """An operation; its attributes are plain numbers and strings, so that a graph can be saved."""

    name = ""
    planned = True  # whether a plan can hold it
    kept = ()
    random = False  # whether it draws numbers: it then has p or the like, and `seed`, `place`, `step`

    @property
    def title(self):
        """What messages call it."""
        return self.name

    def attributes(self):
        """What the constructor needs to make it again."""
        return {}

    def shape(self, *shapes):
        return shapes[0]

    def forward_pair(self, t, *arrays):
        """forward on arrays and their tangents; t: kernels.tangent.Tangents. Calls of kernels need no other text."""
        self.forward(t, *arrays)

    def backward_pair(self, t, *arguments):
        """backward on arrays and their tangents."""
        return self.backward(t, *arguments)

    def reads(self, needs):
        """Which inputs backward reads the values of: those must be what they were in forward."""
        return [True] * len(needs)

    keeps = None  # or keeps(*shapes) -> [(shape, kind)] of what forward writes for backward, into self.kept; kind "real" or "int"


class Linear(Op):
    """y = x wᵀ + b"""

    name = "linear"

    def shape(self, x, w, b=None):
        if len(x) != 2 or x[1] != w[1]:
            raise ValueError(f"input must have shape (N, in_features) = (N, {w[1]}), got {x}")
        return (x[0], w[0])

    def forward(self, k, y, x, w, b):
        if isinstance(x, SparseRows):
            x.forward(k, w, b, y, x.room())
        else:
            k.linear_forward(x, w, b, y)

    def backward(self, k, new, needs, dy, y, x, w, b):
        if isinstance(x, SparseRows):
            dw, db = new(w), new(b) if needs[2] else None
            x.backward(k, dy, dw, db)
            return None, dw, db
        dx = new(x) if needs[0] else None
        dw = new(w) if needs[1] else None
        db = new(b) if needs[2] else None
        if dx is not None:
            k.linear_backward_input(dy, w, None, dx)
        if dw is not None or db is not None:
            k.linear_backward_weight(x, dy, dw, db)
        return dx, dw, db

    def reads(self, needs):
        return [needs[1], needs[0], False]


FROM_INPUT = ("gelu", "silu", *MAPS)
"""Activations whose derivative is computed from their input; all others from their output."""

PARAMETERS = {"leaky_relu": (0.01,), "elu": (1.0,), **{name: row.defaults for name, row in MAPS.items()}}
"""Activations with parameters, alpha and beta, and their defaults."""

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "gelu", "silu", "softmax", "log_softmax", *MAPS)


class Activation(Op):
    """y = f(x), f one of ACTIVATIONS"""

    name = "activation"

    def __init__(self, function, alpha=None, beta=None):
        if function not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {function!r}")
        takes = len(PARAMETERS.get(function, ()))
        if (alpha is not None and takes < 1) or (beta is not None and takes < 2):
            raise ValueError(f"{function} has {takes} parameters, got alpha={alpha!r}, beta={beta!r}")
        self.function = function
        self.scalars = tuple(default if given is None else float(given)
                             for given, default in zip((alpha, beta), PARAMETERS.get(function, ())))
        self.alpha, self.beta = (*self.scalars, None, None)[:2]
        self.forward_name, self.backward_name = f"{function}_forward", f"{function}_backward"

    def attributes(self):
        beta = {} if self.beta is None else {"beta": self.beta}
        return {"function": self.function, "alpha": self.alpha, **beta}

    def shape(self, x):
        if self.function in ("softmax", "log_softmax") and len(x) != 2:
            raise ValueError(f"{self.function} needs an input of shape (N, C), got {x}")
        return x

    def forward(self, k, y, x):
        getattr(k, self.forward_name)(x, y, *self.scalars)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        getattr(k, self.backward_name)(x if self.function in FROM_INPUT else y, dy, dx, *self.scalars)
        return (dx,)


class Moving(Op):
    """An operation whose backward reads no input: values are moved, added or multiplied by numbers of its own."""

    def reads(self, needs):
        return [False] * len(needs)


class _Pair(Op):
    def shape(self, a, b):
        if a != b:
            raise ValueError(f"{self.name}: shapes must be equal, got {a} and {b}")
        return a

    def forward(self, k, y, a, b):
        getattr(k, self.name)(a, b, y)


class Add(Moving, _Pair):
    """y = a + b"""

    name = "add"

    def backward(self, k, new, needs, dy, y, a, b):
        return dy, dy


class Subtract(Moving, _Pair):
    """y = a - b"""

    name = "subtract"

    def backward(self, k, new, needs, dy, y, a, b):
        db = None
        if needs[1]:
            db = new(dy)
            k.scale(dy, db, -1.0, 0.0)
        return dy, db


class Multiply(_Pair):
    """y = a b"""

    name = "multiply"

    def backward(self, k, new, needs, dy, y, a, b):
        da, db = new(dy) if needs[0] else None, new(dy) if needs[1] else None
        if da is not None:
            k.multiply(dy, b, da)
        if db is not None:
            k.multiply(dy, a, db)
        return da, db


class Divide(_Pair):
    """y = a / b ;  da = dy / b ;  db = -dy y / b"""

    name = "divide"

    def backward(self, k, new, needs, dy, y, a, b):
        da = new(dy)
        k.divide(dy, b, da)
        db = None
        if needs[1]:
            db = new(dy)
            k.multiply(da, y, db)
            k.scale(db, db, -1.0, 0.0)
        return da, db


class Scale(Moving):
    """y = factor x + offset"""

    name = "scale"

    def __init__(self, factor=1.0, offset=0.0):
        self.factor, self.offset = float(factor), float(offset)

    def attributes(self):
        return {"factor": self.factor, "offset": self.offset}

    def forward(self, k, y, x):
        k.scale(x, y, self.factor, self.offset)

    def backward(self, k, new, needs, dy, y, x):
        if self.factor == 1.0:
            return (dy,)
        dx = new(dy)
        k.scale(dy, dx, self.factor, 0.0)
        return (dx,)


class Power(Op):
    """y = x ** exponent ;  dx = dy exponent x ** (exponent - 1)"""

    name = "power"

    def __init__(self, exponent):
        self.exponent = float(exponent)

    def attributes(self):
        return {"exponent": self.exponent}

    def forward(self, k, y, x):
        k.power(x, y, self.exponent)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        if self.exponent == 0.0:  # the formula gives 0 * inf where x = 0
            k.fill(dx, 0.0)
            return (dx,)
        k.power(x, dx, self.exponent - 1.0)
        k.scale(dx, dx, self.exponent, 0.0)
        k.multiply(dx, dy, dx)
        return (dx,)


class Concatenate(Moving):
    """y = the columns of all inputs side by side"""

    name = "concatenate"

    def shape(self, *shapes):
        if any(len(s) != 2 or s[0] != shapes[0][0] for s in shapes):
            raise ValueError(f"concatenate needs inputs of shape (N, width) with one N, got {', '.join(map(str, shapes))}")
        return (shapes[0][0], sum(s[1] for s in shapes))

    def forward(self, k, y, *xs):
        start = 0
        for x in xs:
            k.copy_columns(x, y, 0, start, x.shape[1])
            start += x.shape[1]

    def backward(self, k, new, needs, dy, y, *xs):
        start, gradients = 0, []
        for x, need in zip(xs, needs):
            gradients.append(new(x) if need else None)
            if need:
                k.copy_columns(dy, gradients[-1], start, 0, x.shape[1])
            start += x.shape[1]
        return gradients


class Slice(Moving):
    """y = x[:, start:stop]"""

    name = "slice"

    def __init__(self, start, stop):
        self.start, self.stop = int(start), int(stop)

    def attributes(self):
        return {"start": self.start, "stop": self.stop}

    def shape(self, x):
        return (x[0], self.stop - self.start)

    def forward(self, k, y, x):
        k.copy_columns(x, y, self.start, 0, self.stop - self.start)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.fill(dx, 0.0)
        k.copy_columns(dy, dx, 0, self.start, self.stop - self.start)
        return (dx,)


class Dropout(Moving):
    """y = x / (1 - p) where kept, 0 where dropped; the mask is a function of (seed, place, step) and the element's own place"""

    name, random, number = "dropout", True, "p"

    def __init__(self, p, seed=None, place=None, step=None, layer=None):
        self.p, self.seed, self.place, self.step, self.layer, self.slot = float(p), seed, place, step, layer, None

    def attributes(self):
        return {"p": self.p, "place": self.place}

    def forward(self, k, y, x):
        k.dropout_forward(x, y, self.slot or self.p, self.seed, self.place, self.step)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.dropout_backward(dy, dx, self.slot or self.p, self.seed, self.place, self.step)
        return (dx,)


class Loss(Op):
    """The batch's loss by the loss kernel `kernel`, with its gradient in the same pass.

    inputs: predictions (N, O), targets, row weights or None. `mean` divides by the sum of the weights. `constants` are further input
    arrays of the kernel, which stand behind the row weights; one of a single number is repeated over the outputs. halves: the kernel
    reads predictions (N, 2, O).
    """

    name = "loss"

    def __init__(self, kernel, mean=True, constants=(), halves=False, **scalars):
        self.kernel, self.mean, self.constants, self.halves, self.scalars = kernel, bool(mean), constants, halves, scalars

    def attributes(self):
        return {"kernel": self.kernel, "mean": self.mean, **self.scalars}

    def rows(self, k, z, t, w, l, dz):
        """Row losses l (N,) and the gradient dz of the batch's loss (None: not wanted)."""
        constants = self._constants(z) if self.constants else ()
        if self.halves and hasattr(z, "dtype"):  # a plan's buffer is the same memory in either shape
            shape = (len(z), 2, z.shape[1] // 2)
            z, dz = z.reshape(shape), None if dz is None else dz.reshape(shape)
        getattr(k, self.kernel)(z, t, w, *constants, l, dz, *self.scalars.values(), self.mean)

    def _constants(self, z):
        constants = [np.repeat(c, z.shape[1]) if len(c) == 1 else c for c in self.constants]
        return [c.astype(z.dtype) if hasattr(z, "dtype") else c for c in constants]  # a plan has its type already

    def curvature(self, rule, z, v, t, w):
        """The tangent of dz along the tangent v of z, by kernels.tangent.loss_curvature."""
        return rule(self.kernel, z, v, t, w, *[c.astype(z.dtype) for c in self.constants], *self.scalars.values(), self.mean)


TABLE = {op.name: op for op in (Linear, Activation, Add, Subtract, Multiply, Divide, Scale, Power, Concatenate, Slice, Dropout)}
"""Operations by name: what a saved graph may hold."""
