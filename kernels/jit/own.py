"""The user's own functions: plain Python on scalars, compiled to functions of C over blocks that every book's custom_* kernels call.

A copy of the function is made for each float type: its literals, and the numbers and functions it finds by name, take that type, and the
elementary functions of `math` and `numpy` become the polynomials of vmath.py. LLVM vectorises only loops whose calls have gone, and a
float64 literal in float32 arithmetic would halve the width. Fast math stays off, so an element's bits do not depend on where a
block is cut.
"""
import builtins
import dis
import math
import types as python
from functools import cache

import numpy as np
from numba import cfunc, config, types
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher
from numba.extending import overload

from . import vmath
from .face import inline, like

STEP = 2.0 ** -17.5
"""Step of a central difference in float64, times max(1, |x|): about the third root of eps, where rounding and curvature cost the same."""

CLOSE = 2.0 ** -30
"""Step beside a corner, where a difference over STEP would mix the slopes of both sides: of float32 numbers of size 1 one in a hundred
thousand is nearer to a corner than STEP, and Adam makes a whole step of a small gradient's wrong sign."""

BENDING = ("abs", "max", "min", "fabs", "copysign", "where", "maximum", "minimum", "clip", "sign", "absolute", "heaviside", "fmax", "fmin",
           "floor", "ceil", "round")
"""Functions that have corners or jumps; so has what compares."""


class CannotCompile(Exception):
    """The function is not in the part of Python that can be compiled; the message says why."""


# --- elementary functions for every argument
@inline
def expm1(x):
    one = like(x, 1)
    return vmath.exp(x) - one if x > one else vmath.expm1(one if x > one else x)


@inline
def log1p(x):
    one = like(x, 1)
    return vmath.log1p(one if x > one else x) if x <= one else vmath.log(one + x)


def erf(x):
    """erf in the type of x, computed in float64."""
    return type(x)(vmath.erf(float(x)))


@overload(erf, jit_options={"forceinline": True, "error_model": "numpy"})
def _erf(x):
    wide = vmath.erf
    return (lambda x: np.float32(wide(np.float64(x)))) if x == types.float32 else (lambda x: wide(x))


# NumPy's functions of arrays, for scalars: Numba's own make arrays of them
@inline
def where(condition, a, b):
    return a if condition else b


@inline
def maximum(a, b):
    return a if a >= b or a != a else b


@inline
def minimum(a, b):
    return a if a <= b or a != a else b


@inline
def clip(x, low, high):
    return minimum(maximum(x, low), high)


@inline
def sign(x):
    zero = like(x, 0)
    return like(x, 1) if x > zero else like(x, -1) if x < zero else x


@inline
def square(x):
    return x * x


@cache
def _replacements():
    """id of an elementary function -> ours; the id, because NumPy's functions cannot all be compared."""
    ours = {"exp": vmath.exp, "expm1": expm1, "log": vmath.log, "log1p": log1p, "tanh": vmath.tanh}
    found = {id(getattr(module, name)): f for module in (math, np) for name, f in ours.items()}
    scalars = {"where": where, "maximum": maximum, "minimum": minimum, "clip": clip, "sign": sign, "square": square}
    return {**found, **{id(getattr(np, name)): f for name, f in scalars.items()}, id(math.erf): erf}


# --- a copy of a function in one float type
@cache
def _module(module, real):
    """`math` or `numpy` with our functions, and with constants of the type `real`."""
    copy = python.ModuleType(module.__name__)
    for name, value in vars(module).items():
        if not name.startswith("__"):
            setattr(copy, name, _replacements().get(id(value), real(value) if type(value) is float else value))
    return copy


def _converted(value, real, path):
    """What a name of the function stands for, in the type `real`."""
    if value is math or value is np:
        return _module(value, real)
    if id(value) in _replacements():
        return _replacements()[id(value)]
    if isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool):
        return real(value)
    if isinstance(value, CPUDispatcher):
        value = value.py_func
    if isinstance(value, python.FunctionType) and value.__module__.partition(".")[0] not in ("numba", "numpy", "vivace"):
        if value in path:
            raise CannotCompile(f"{value.__name__} calls itself")
        return inline(specialise(value, real, path))
    return value


def _names(code):
    return {*code.co_names, *(name for c in code.co_consts if isinstance(c, python.CodeType) for name in _names(c))}


def _literals(code, real):
    """`code` with its number literals in the type `real`; integers stay where they are exponents, indices or count."""
    steps = [s for s in dis.get_instructions(code)]
    counts = any("SUBSCR" in s.opname or s.argrepr == "[]" or "FOR_ITER" in s.opname or "JUMP_BACKWARD" in s.opname for s in steps)
    constants = [_literals(c, real) if isinstance(c, python.CodeType) else c for c in code.co_consts]
    text = bytearray(code.co_code)
    for step, after in zip(steps, [*steps[1:], None]):
        value = step.argval
        small = step.opname == "LOAD_SMALL_INT"  # Python 3.14
        if not (small or step.opcode in dis.hasconst) or type(value) not in (int, float):
            continue
        power = after is not None and after.opname == "BINARY_OP" and after.argrepr.startswith("**")
        if type(value) is int and (counts or power) or len(constants) > 255 or step.arg > 255:
            continue
        if small:
            text[step.offset] = dis.opmap["LOAD_CONST"]
        text[step.offset + 1] = len(constants)
        constants.append(real(value))
    return code.replace(co_code=bytes(text), co_consts=tuple(constants))


def raises(function):
    """Whether a raise or an assert stands in the function. Compiled blocks cannot pass an exception on: they would leave values undone."""
    return any(step.opname == "RAISE_VARARGS" for step in dis.get_instructions(function))


def bends(function, path=()):
    """Whether the function, or one that it calls by name, compares or calls one of BENDING: it may have corners."""
    code = getattr(function, "py_func", function).__code__
    if function in path:
        return False
    names = _names(code)
    if names & set(BENDING) or any("COMPARE" in s.opname or "POP_JUMP" in s.opname for s in dis.get_instructions(code)):
        return True
    cells = dict(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ())))
    called = [{**function.__globals__, **cells}.get(name) for name in (*names, *cells)]
    return any(bends(f, (*path, function)) for f in (getattr(f, "py_func", f) for f in called) if isinstance(f, python.FunctionType))


def specialise(function, real, path=()):
    """A copy of `function` that computes in the type `real`."""
    path = (*path, function)
    if raises(function):
        raise CannotCompile(f"{function.__name__} raises an exception")
    given = {**vars(builtins), **function.__globals__}
    space = {name: _converted(given[name], real, path) for name in _names(function.__code__) if name in given}
    cells = tuple(python.CellType(_converted(cell.cell_contents, real, path)) for cell in function.__closure__ or ())
    copy = python.FunctionType(_literals(function.__code__, real), {**space, "__builtins__": builtins}, function.__name__, None, cells)
    copy.__module__ = function.__module__
    return copy


# --- blocks
_FORWARD = """
def block(x, y, n, p):
    {parameters}
    for i in range(n):
        y[i] = real(f(x[i]{arguments}))
"""
_BACKWARD = """
def block(x, dy, dx, n, p):
    {parameters}
    for i in range(n):
        dx[i] = dy[i] * real(slope(x[i]{arguments}))
"""
_LOSS = """
def block(y, t, l, dy, n, p):
    {parameters}
    for i in range(n):
        l[i] = real(f(y[i], t[i]{arguments}))
        dy[i] = real(slope(y[i], t[i]{arguments}))
"""
_VALUE = """
def block(y, t, l, n, p):
    {parameters}
    for i in range(n):
        l[i] = real(f(y[i], t[i]{arguments}))
"""
_UPDATE = """
def block(g, p, s0, s1, s2, s3, n, a):
    {parameters}
    for i in range(n):
        {results} = f(p[i], g[i]{states}{arguments})
        {stores}
"""
_DIFFERENCE = """
def slope(x{others}):
    z = np.float64(x)
    h = STEP * (abs(z) if abs(z) > 1.0 else 1.0)
    above, below = z + h, z - h
    return (wide(above{others64}) - wide(below{others64})) / (above - below)
"""
_BENT_DIFFERENCE = """
def slope(x{others}):
    z = np.float64(x)
    size = abs(z) if abs(z) > 1.0 else 1.0
    above, below, nearly, barely = z + STEP * size, z - STEP * size, z + CLOSE * size, z - CLOSE * size
    high, low = wide(above{others64}), wide(below{others64})
    coarse = (high - low) / (above - below)
    fine = (wide(nearly{others64}) - wide(barely{others64})) / (nearly - barely)
    rounding = 2.0 ** -18 * (abs(high) + abs(low)) / size
    return fine if abs(fine - coarse) > 2.0 ** -13 * (abs(fine) + abs(coarse)) + rounding else coarse
"""
"""The fine difference where the two are farther apart than curvature and rounding (16 eps |f| over CLOSE) can bring them."""


class Own:
    """A user's function of scalars with its compiled forms; they live as long as it does, so whoever holds an address holds this.

    function(inputs..., parameters...), derivative the same or None: then central differences in float64. inputs: how many of the
    arguments are arrays; states: of an update, how many arrays of its own; parameters: how many numbers follow.
    """

    def __init__(self, function, derivative, inputs, parameters, states=0):
        if config.DISABLE_JIT:
            raise CannotCompile("own functions need Numba's compiler, which NUMBA_DISABLE_JIT=1 turns off")
        self.function, self.derivative, self.inputs, self.parameters, self.states = function, derivative, inputs, parameters, states
        self._scalars, self._blocks = {}, {}

    def scalar(self, which, real):
        """The function (which = "function") or the derivative for scalars of the type `real`, compiled where it is called first."""
        key = which, real
        if key not in self._scalars:
            self._scalars.setdefault(key, inline(specialise(getattr(self, which), real)))
        return self._scalars[key]

    def may_raise(self, which):
        """Whether the compiled function or derivative holds an exception, as an index does that may be out of range."""
        return any(_raising(text) for text in self.scalar(which, np.float64).inspect_llvm().values())

    def _slope(self, real):
        if self.derivative is not None:
            return self.scalar("derivative", real)
        names = [f"q{i}" for i in range(self.inputs - 1 + self.parameters)]
        space = {"np": np, "STEP": STEP, "CLOSE": CLOSE, "wide": self.scalar("function", np.float64)}
        text = _BENT_DIFFERENCE if bends(self.function) else _DIFFERENCE
        exec(text.format(others="".join(f", {q}" for q in names), others64="".join(f", np.float64({q})" for q in names)), space)
        return inline(space["slope"])

    def address(self, kind, dtype):
        """The address of the block function `kind`, "forward", "backward", "loss", "value" or "update", for arrays of `dtype`."""
        real = np.dtype(dtype).type
        if (kind, real) not in self._blocks:
            self._blocks.setdefault((kind, real), self._compile(kind, real))  # two threads: the first one's address may be in use
        return self._blocks[kind, real].address

    def _compile(self, kind, real):
        pointer = types.CPointer(types.float32 if real is np.float32 else types.float64)
        template, arrays = {"forward": (_FORWARD, 2), "backward": (_BACKWARD, 3), "loss": (_LOSS, 4), "update": (_UPDATE, 6),
                            "value": (_VALUE, 3)}[kind]
        space = {"real": real, "f": self.scalar("function", real)}
        if kind in ("backward", "loss"):
            space["slope"] = self._slope(real)
        exec(self._text(template, kind), space)
        signature = types.void(*[pointer] * arrays, types.int64, types.CPointer(types.float64))
        try:
            block = cfunc(signature, error_model="numpy")(space["block"])
        except NumbaError as error:
            raise CannotCompile(reason(error)) from error
        if _raising(block.inspect_llvm()):
            raise CannotCompile("it may raise an exception")
        return block

    def _text(self, template, kind):
        count = self.parameters
        if kind != "update":
            numbers = "; ".join(f"a{i} = real(p[{i}])" for i in range(count)) or "pass"
            return template.format(parameters=numbers, arguments="".join(f", a{i}" for i in range(count)))
        count += 2
        places = ["p[i]", *[f"s{i}[i]" for i in range(self.states)]]
        results = [f"r{i}" for i in range(len(places))]
        return template.format(parameters="; ".join(f"a{i} = real(a[{i}])" for i in range(count)),
                               arguments="".join(f", a{i}" for i in range(count)), states="".join(f", {s}" for s in places[1:]),
                               results=", ".join(results), stores="; ".join(f"{s} = real({r})" for s, r in zip(places, results)))


def _raising(text):
    """Whether an exception stands in code of LLVM: Numba puts its pickled form beside the code."""
    return "picklebuf" in text


def reason(error):
    """The line of Numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    noise = ("Failed in", "During:", "File ", "<source", "- Resolution", "There are", ">>>")
    telling = [line for line in lines if not line.startswith(noise)]
    return (telling or lines or [type(error).__name__])[0].replace("\x1b[1m", "").replace("\x1b[0m", "")
