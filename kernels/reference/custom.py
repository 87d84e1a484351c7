"""The user's own functions: kernels that call machine code through the address among their scalars.

The code is a function of C over a block of n elements, f(inputs*, outputs*, n, parameters*), the parameters in double;
kernels/jit/own.py makes it from plain Python. It works element by element, so a block may be cut anywhere. An address of 0 stands
for the simplest function there is: the identity, a loss of 0, an update that changes nothing.
"""
import numpy as np

from ..contract import kernel
from .losses import averaged, row_factor

__all__ = ["custom_forward", "custom_backward", "custom_loss", "custom_update"]


def call(address, arrays, n, values):
    """The function at `address` on n elements of `arrays` (None: no such array) with parameters `values`."""
    import ctypes  # only where a function is called
    parameters = np.array(values, np.float64)
    pointers = [None if a is None else a.ctypes.data for a in arrays]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays), ctypes.c_int64, ctypes.c_void_p)
    prototype(address)(*pointers, n, parameters.ctypes.data)


@kernel("x(*) -> y(*)")
def custom_forward(x, y, address=0, p0=0.0, p1=0.0, p2=0.0, p3=0.0, p4=0.0, p5=0.0, p6=0.0, p7=0.0):
    """y = f(x; p0, p1, ...), the function of C being f(x*, y*, n, p*)"""
    if address:
        call(address, (x, y), x.size, (p0, p1, p2, p3, p4, p5, p6, p7))
    else:
        y[...] = x


@kernel("x(*) dy(*) -> dx(*)")
def custom_backward(x, dy, dx, address=0, p0=0.0, p1=0.0, p2=0.0, p3=0.0, p4=0.0, p5=0.0, p6=0.0, p7=0.0):
    """dx = dy f'(x; p0, p1, ...), the function of C being f(x*, dy*, dx*, n, p*)"""
    if address:
        call(address, (x, dy, dx), x.size, (p0, p1, p2, p3, p4, p5, p6, p7))
    else:
        dx[...] = dy


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def custom_loss(y, t, w, l, dy, address=0, p0=0.0, p1=0.0, p2=0.0, p3=0.0, p4=0.0, p5=0.0, p6=0.0, p7=0.0, mean=True):
    """l[n] = sum over o of f(y, t; p0, p1, ...) / O ;  dl/dy = df/dy / O, the function of C being f(y*, t*, f*, df/dy*, n, p*)"""
    value, slope = np.zeros_like(y), np.zeros_like(y)
    if address:
        call(address, (y, t, value, slope), y.size, (p0, p1, p2, p3, p4, p5, p6, p7))
    outputs = averaged(y, mean)
    l[...] = value.sum(axis=1) / y.dtype.type(outputs)
    if dy is not None:
        np.multiply(slope, row_factor(w, len(y), mean, y.dtype) * y.dtype.type(1.0 / outputs), out=dy)


@kernel("g(P) -> p(P)~ s0(P)?~ s1(P)?~ s2(P)?~ s3(P)?~", over="flat")
def custom_update(g, p, s0, s1, s2, s3, address=0, lr=0.0, step=0.0, p0=0.0, p1=0.0, p2=0.0, p3=0.0, p4=0.0, p5=0.0, p6=0.0, p7=0.0):
    """p, s0, ... = f(p, g, s0, ...; lr, step, p0, ...), the function of C being f(g*, p*, s0*, s1*, s2*, s3*, n, (lr, step, p0, ...)*)"""
    if address:
        call(address, (g, p, s0, s1, s2, s3), p.size, (lr, step, p0, p1, p2, p3, p4, p5, p6, p7))
