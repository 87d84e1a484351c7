"""What every chapter of the Numba book is made of: the checked face of a kernel, and how its loop is compiled.

    @face(reference.scale)
    def scale(x, y, factor=1.0, offset=0.0):     `scale` checks its arguments as the reference does, `scale.plain` does not
        _scale(x, y, float(factor), float(offset))

    @loop
    def _scale(x, y, factor, offset): ...

A loop gets arrays, float, int and bool only: strings cost 2 us per call to unbox, and an int where a float was means a second
compilation. An array that is None becomes an empty one (`absent`): there is nothing to do for it, so no loop asks twice, and
one compilation serves both cases. Numba's fastmath and cache stay off: the first would lose NaN and the order of sums.
"""
import functools
import inspect

import numpy as np
from numba import config, njit, types
from numba.extending import overload

from ..contract import check


def face(reference):
    """Decorator: the kernel with the argument checks of `reference`; what it decorates stays reachable as `.plain`."""
    signature = inspect.signature(reference)

    def wrap(plain):
        if inspect.signature(plain) != signature:
            raise TypeError(f"{plain.__name__} must have the signature {signature}, got {inspect.signature(plain)}")
        plain.__doc__ = reference.__doc__

        @functools.wraps(plain)
        def checked(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            check(reference.spec, bound.args)
            return plain(*bound.args)

        checked.spec = reference.spec
        checked.plain = plain
        return checked
    return wrap


_EMPTY = {(np.dtype(real).itemsize, ndim): np.empty((0,) * ndim, real) for real in (np.float32, np.float64) for ndim in (1, 2, 3)}


def absent(array, ndim, like):
    """`array`, or in place of None an empty array of `ndim` dimensions with the type of `like`."""
    return _EMPTY[like.itemsize, ndim] if array is None else array


def loop(function):
    """Decorator: a compiled loop that Python calls. Uncompiled (NUMBA_DISABLE_JIT=1) NumPy's scalars must not warn."""
    compiled = njit(nogil=True, error_model="numpy")(function)
    if not config.DISABLE_JIT:
        return compiled

    @functools.wraps(function)
    def quiet(*args):
        with np.errstate(all="ignore"):
            return function(*args)
    return quiet


inline = njit(error_model="numpy", forceinline=True)
"""Decorator: a scalar function of loops. LLVM vectorises only loops whose calls have gone."""


def by_type(single, double):
    """One function of a scalar out of its float32 and its float64 version."""
    def choose(x):
        return single(x) if isinstance(x, np.float32) else double(x)

    @overload(choose, jit_options={"forceinline": True, "error_model": "numpy"})
    def _compiled(x):
        return (lambda x: single(x)) if x == types.float32 else (lambda x: double(x))
    return choose


def like(x, value):
    """`value` in the float type of the scalar x: a bare literal would turn float32 arithmetic into float64."""
    return type(x)(value)


@overload(like, jit_options={"forceinline": True, "error_model": "numpy"})
def _like(x, value):
    return (lambda x, value: np.float32(value)) if x == types.float32 else (lambda x, value: np.float64(value))
