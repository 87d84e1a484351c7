"""The user's own functions: plain Python on scalars, compiled by Numba and called by the engine like any kernel."""
import itertools
import math

import numpy as np

from . import losses, ops
from .functional import _real
from .module import Module
from .tensor import apply

MOST_PARAMETERS = 8
"""Parameters that fit into a call of the engine."""

RESERVED = ("function", "source", "serial", "reduction", "own", "params", "forwards", "training")
"""Names that a parameter cannot have: files and constructors use them."""

_serials = itertools.count()


class OwnFunction:
    """A function of scalars with its derivative, its parameters and their defaults, checked and compiled.

    maker: the function that the user called, for messages; inputs: how many arguments come before the parameters; reserved: names of
    further arguments that the caller supplies.
    """

    def __init__(self, maker, function, derivative, parameters, inputs, role="derivative", states=0, reserved=0):
        function, derivative = (getattr(f, "py_func", f) for f in (function, derivative))  # what @njit decorated is taken undecorated
        self.maker, self.function, self.derivative, self.role = maker, function, derivative, role
        self.name = getattr(function, "__name__", type(function).__name__)
        self.serial = next(_serials)  # what tells two functions of one name and text apart
        self.inputs = inputs
        names = self._arguments("function", function)
        self.defaults = self._defaults(names[inputs + reserved:], names, parameters, inputs + reserved)
        self.arguments = names
        if derivative is not None and len(self._arguments(role, derivative)) != len(names):
            raise TypeError(f"{self._named(role)} must take the {len(names)} arguments of {self.name}, {', '.join(names)}, got "
                            f"{len(self._arguments(role, derivative))}")
        self.source = _source_hash(function, derivative)
        own = _compiler()
        for what, f in (("function", function), (role, derivative)):
            if f is not None and own.raises(f):
                raise ValueError(f"{self._named(what)} raises an exception (a raise or assert in it): compiled code must give a number for "
                                 f"every {self._arguments(what, f)[0]}")
        self._wrong, self._quiet = own.CannotCompile, set()
        try:
            self.compiled = own.Own(function, derivative, inputs, len(self.defaults), states)
        except self._wrong as error:
            raise RuntimeError(str(error)) from None

    def _named(self, what):
        f = self.derivative if what == self.role else self.function
        return f"{self.maker}: {what}={getattr(f, '__name__', f)!s}"

    def _arguments(self, what, function):
        import inspect  # only where a function is given: it takes milliseconds to import
        if not callable(function) or not hasattr(function, "__code__"):
            raise TypeError(f"{self.maker}: {what} must be a Python function of numbers, got {type(function).__name__}")
        kinds = inspect.signature(function).parameters.values()
        if any(a.kind not in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD) for a in kinds):
            raise TypeError(f"{self.maker}: {what}={function.__name__} must have plain positional arguments, got "
                            f"{inspect.signature(function)}")
        return [a.name for a in kinds]

    def _defaults(self, own, names, given, inputs):
        preset = self.function.__defaults__ or ()
        preset = dict(zip(names[len(names) - len(preset):], preset))
        if len(names) < inputs:
            raise TypeError(f"{self._named('function')} must take at least {inputs} arguments, got {len(names)} ({', '.join(names)})")
        unknown = [name for name in given if name not in own]
        if unknown:
            raise TypeError(f"{self._named('function')} has no argument {unknown[0]}; it takes {', '.join(names)}")
        values = {}
        for name in own:
            if name in RESERVED:
                raise TypeError(f"{self._named('function')} must not call a parameter {name}: that name is taken")
            value = given.get(name, preset.get(name))
            if value is None:
                raise TypeError(f"{self._named('function')} takes {', '.join(names)}: the value of {name} is missing, give "
                                f"{self.maker}({self.name}, ..., {name}=...)")
            values[name] = self.number(name, value)
        if len(values) > MOST_PARAMETERS:
            raise TypeError(f"{self._named('function')} must have at most {MOST_PARAMETERS} parameters, got {len(values)}")
        return values

    def number(self, name, value):
        """A parameter's value as a float; TypeError or ValueError naming it."""
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{self._named('function')}: {name} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"{self._named('function')}: {name} must be finite, got {value!r}")
        return float(value)

    def values(self, given):
        """All parameters, in order, with those of `given` in place of their defaults."""
        unknown = [name for name in given if name not in self.defaults]
        if unknown:
            raise TypeError(f"{self.name} has no parameter {unknown[0]}; it has {', '.join(self.defaults) or 'none'}")
        return {name: self.number(name, given.get(name, value)) for name, value in self.defaults.items()}

    def describe(self, values):
        """What a file says of a use of the function."""
        return {"function": self.name, "source": self.source, "serial": self.serial, **values}

    # --- looking at it before it is used

    def call(self, what, *numbers):
        """The compiled function or derivative on float64 scalars; an error names the function and its arguments."""
        f = self.derivative if what == self.role else self.function
        which = "derivative" if what == self.role else "function"
        try:
            value = self.compiled.scalar(which, np.float64)(*map(float, numbers))
        except Exception as error:
            names = self._arguments(what, f)
            if len(names) != len(numbers):
                raise TypeError(f"{self._named(what)} must take {len(numbers)} arguments, got {len(names)}: {', '.join(names)}") from None
            if isinstance(error, self._wrong) or type(error).__module__.startswith("numba"):
                raise TypeError(f"{self._named(what)} cannot be compiled: {_reason(error)}") from error
            raise ValueError(f"{self._named(what)} raises {type(error).__name__}: {error} at {_place(names, numbers)}") from error
        if what not in self._quiet and self.compiled.may_raise(which):
            raise ValueError(f"{self._named(what)} may raise an exception for other {', '.join(self._arguments(what, f))} than "
                             f"{_place(self._arguments(what, f), numbers)} (an index out of range?): compiled code must give a number for "
                             "all of them")
        self._quiet.add(what)
        return value

    def number_at(self, what, *numbers):
        """call(), checked to give one number that is not NaN."""
        value = self.call(what, *numbers)
        self.check_result(what, value, numbers)
        return float(value)

    def check_result(self, what, value, numbers):
        """Raise TypeError for what is not a number, ValueError for NaN, naming function and arguments."""
        f = self.derivative if what == self.role else self.function
        if not isinstance(value, (int, float, np.number, np.ndarray)) or np.ndim(value):
            raise TypeError(f"{self._named(what)} must return one number, got {type(value).__name__}")
        if math.isnan(value):
            raise ValueError(f"{self._named(what)} returns NaN at {_place(self._arguments(what, f), numbers)}")

    def check(self, points):
        """Call the function at `points`, tuples of its inputs; compare a given derivative, with respect to the first, with differences."""
        worst, place = 0.0, None
        for point in points:
            numbers = (*point, *self.defaults.values())
            middle = self.number_at("function", *numbers)
            if self.derivative is None:
                continue
            slope, z = self.number_at(self.role, *numbers), point[0]
            h = 2.0 ** -17.5 * max(1.0, abs(z))
            above, below = (self.number_at("function", z + d, *numbers[1:]) for d in (h, -h))
            if not np.isfinite([above, below, middle]).all():
                continue
            found = ((above - below) / (2 * h), (above - middle) / h, (middle - below) / h)  # at a corner either side will do
            off = min(abs(slope - d) / (1 + abs(d)) for d in found)
            if not off <= worst:
                worst, place = off, (numbers, slope, found[0])
        if worst > 1e-3:
            numbers, slope, expected = place
            raise ValueError(f"{self._named(self.role)} is not the derivative of {self.name}: at {_place(self.arguments, numbers)} "
                             f"it gives {slope:.6g}, differences give {expected:.6g} (the worst of {len(points)} points)")

    # --- using it

    def address(self, kind, k, array, slope=False):
        """The address of the block function `kind` for the type of `array`, or of the plan that recorder k writes. slope: whether the
        derivative is wanted."""
        dtype = np.dtype(getattr(array, "dtype", None) or k.dtype)
        if slope and self.derivative is None and dtype == np.float64:
            raise ValueError(f"{self._named('function')} has no {self.role}: training in float64 needs {self.maker}({self.name}, "
                             f"{self.role}=...), because differences in float64 are exact enough for float32 only")
        return self.block(kind, dtype)

    def block(self, kind, dtype):
        """The address of the block function `kind` for arrays of `dtype`."""
        try:
            return self.compiled.address(kind, dtype)
        except self._wrong as error:
            raise TypeError(f"{self._named('function')} cannot be compiled: {error}") from error


def _compiler():
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError("own functions need the package numba: pip install 'vivace[numba]'", name="numba") from error
    from ..kernels.jit import own
    return own


def _reason(error):
    from ..kernels.jit.own import reason
    return reason(error)


def _place(names, numbers):
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip(names, numbers))


def _source_hash(*functions):
    """A digest of the functions' text; of their compiled form where the text is not to be had."""
    import hashlib
    import inspect
    digest = hashlib.sha256()
    for f in functions:
        if f is None:
            continue
        try:
            digest.update(inspect.cleandoc(inspect.getsource(f)).encode())
        except (OSError, TypeError):
            digest.update(f.__code__.co_code + repr([c for c in f.__code__.co_consts if isinstance(c, (int, float, str))]).encode())
    return digest.hexdigest()


def _padded(values):
    return (*values, *[0.0] * (MOST_PARAMETERS - len(values)))


def _attributes(own, base):
    for name in own.defaults:
        if hasattr(base, name):
            raise TypeError(f"{own.maker}: function={own.name} must not call a parameter {name}, which modules have already")


# --- activations
class OwnActivationOp(ops.Op):
    """y = f(x; parameters), f the user's"""

    name = "own"
    function = property(lambda self: self.own.name)

    def __init__(self, own, values):
        self.own, self.values = own, values
        self.numbers = _padded(values.values())

    @property
    def title(self):
        return f"the activation {self.own.name}"

    def attributes(self):
        return self.own.describe(self.values)

    def forward(self, k, y, x):
        k.custom_forward(x, y, self.own.address("forward", k, x), *self.numbers)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.custom_backward(x, dy, dx, self.own.address("backward", k, x, True), *self.numbers)
        return (dx,)


class OwnActivation(Module):
    """Base of what nn.activation makes; the parameters of the function are attributes."""

    own = None

    def __init__(self, **parameters):
        super().__init__()
        for name, value in self.own.values(parameters).items():
            setattr(self, name, value)

    def _values(self):
        return self.own.values({name: getattr(self, name) for name in self.own.defaults})

    def forward(self, x):
        return apply(OwnActivationOp(self.own, self._values()), _real(x))

    def config(self):
        return self.own.describe(self._values())

    def extra_repr(self):
        return ", ".join(f"{name}={value:g}" for name, value in self._values().items())


def activation(function, derivative=None, **parameters):
    """A class of modules y = f(x) from a plain Python function of numbers, f(z, *parameters) -> number.

        def swish(z, beta): return z / (1.0 + math.exp(-beta * z))
        Swish = nn.activation(swish, beta=2.0)
        model = nn.Sequential(nn.Linear(8, 16), Swish(), nn.Linear(16, 16), Swish(beta=1.0))

    derivative: df/dz as a function of the same arguments, compared once with differences; None: central differences in float64, which
    are exact enough for float32; training in float64 asks for a derivative. parameters: defaults of the further arguments.
    Numba compiles it (ImportError names the extra where it is missing); math and numpy functions and branches are fine, raise is not.
    TypeError: it cannot be compiled, or has other arguments. ValueError: it raises, returns NaN between -30 and 30, or the
    derivative is wrong.
    """
    own = OwnFunction("nn.activation", function, derivative, parameters, 1)
    _attributes(own, Module)
    points = np.concatenate([np.linspace(-9.97, 10.03, 97), [0.0, -1.0, 1.0, -30.0, 30.0]])
    own.check([(z,) for z in points])
    return type(own.name, (OwnActivation,), {"own": own, "__doc__": function.__doc__, "__module__": function.__module__})


# --- losses
class OwnLossOp(ops.Loss):
    """The batch's loss by the user's function, with its gradient in the same pass."""

    def __init__(self, own, values, mean):
        super().__init__("custom_loss", mean)
        self.own, self.numbers = own, _padded(values.values())

    def rows(self, k, z, t, w, l, dz):
        k.custom_loss(z, t, w, l, dz, self.own.address("loss", k, z, dz is not None), *self.numbers, self.mean)


class OwnLoss(losses.Loss):
    """Base of what nn.loss makes; the parameters of the function are attributes."""

    own = None
    any_target = True

    def __init__(self, reduction="mean", **parameters):
        super().__init__(reduction)
        for name, value in self.own.values(parameters).items():
            setattr(self, name, value)

    def _values(self):
        return self.own.values({name: getattr(self, name) for name in self.own.defaults})

    def operation(self, labels, logits):
        return OwnLossOp(self.own, self._values(), self.reduction == "mean")

    def config(self):
        return {"reduction": self.reduction, **self.own.describe(self._values())}


def loss_points():
    """Predictions and targets in 0..1 at which a loss is tried."""
    return [(y, t) for y in np.linspace(0.0312, 0.9721, 14) for t in (0.0, 0.25, 0.6, 1.0)]


def loss(function, gradient=None, **parameters):
    """A class of losses from a plain Python function of numbers, f(y, t, *parameters) -> number, y a prediction and t its target.

        Pinball = nn.loss(lambda y, t: max(0.9 * (t - y), 0.1 * (y - t)))
        trainer = vv.Trainer(model, Pinball(), optimizer)

    A row's loss is the mean over its outputs, the batch's that over its rows, by their weights. gradient: df/dy as a function of the
    same arguments; otherwise as nn.activation. ValueError for NaN is raised here for predictions and targets in 0..1.
    """
    own = OwnFunction("nn.loss", function, gradient, parameters, 2, role="gradient")
    _attributes(own, losses.Loss)
    own.check(loss_points())
    return type(own.name, (OwnLoss,), {"own": own, "__doc__": function.__doc__, "__module__": function.__module__})


def own_names(model, loss, optimizer):
    """How the user's own functions of a training were made: ["nn.activation(swish)", ...]."""
    owners = [m for m in (*model.modules(), loss, optimizer) if isinstance(getattr(m, "own", None), OwnFunction)]
    return list(dict.fromkeys(f"{m.own.maker}({m.own.name})" for m in owners))


__all__ = ["OwnActivation", "OwnActivationOp", "OwnFunction", "OwnLoss", "activation", "loss", "loss_points", "own_names"]
