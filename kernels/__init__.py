"""Arithmetic: kernels as functions of arrays. Knows arrays, sizes and records, not layers.

    k = kernels.get()                  the process default, chosen at import: kernels.which() tells
    k = kernels.get("numpy")           or "cython", "numba": the same functions
    k.linear_forward(x, w, b, y, activation="relu")

`kernels.reference` is the contract: each kernel in plain NumPy with its formula, shapes and source. `kernels.linear_forward` and all
its names are those of the default. `kernels.jit` is the Numba book: `kernels.jit.warm_up()` compiles it ahead.
"""
from . import contract, reference
from .contract import ACTIVATIONS, lanes, packed_shape
from .dispatch import available, get, which


def __getattr__(name):
    if name == "jit":  # Numba is loaded when it is asked for; ImportError names the extra where it is missing
        return get("numba")
    if name in reference.KERNELS:  # those of the default, which raises the reason here if it cannot load
        return globals().setdefault(name, getattr(get(), name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


__all__ = [*reference.KERNELS, "ACTIVATIONS", "available", "contract", "get", "lanes", "packed_shape", "reference", "which"]
