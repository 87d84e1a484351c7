"""Kernels on arrays that lie at the end or at the start of mapped memory; run by test_matmul_exact.py in a process of its own.

    python guard.py LEVEL end|start [trespass]
"""
import ctypes
import mmap
import sys

import numpy as np
from vivace.kernels import ACTIVATIONS, cases, reference

LIBC = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
KEEP = []


def guarded(value, place):
    """A copy of `value` between two pages without access, touching the one of `place`."""
    pages = -(-max(value.nbytes, 1) // PAGE)
    area = mmap.mmap(-1, (pages + 2) * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for page in (0, pages + 1):
        if LIBC.mprotect(ctypes.c_void_p(start + page * PAGE), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    KEEP.append(area)
    offset = PAGE + (pages * PAGE - value.nbytes if place == "end" else 0)
    array = np.frombuffer(area, value.dtype, value.size, offset).reshape(value.shape)
    array[...] = value
    return array


def run(book, kernel, sizes, dtype, place, absent=(), **scalars):
    arguments = cases.make(kernel, sizes, dtype, absent, **scalars)
    inside = [guarded(v, place) if isinstance(v, np.ndarray) and v.ndim else v for v in arguments]
    getattr(book, kernel)(*inside)
    if len(KEEP) > 400:
        del inside
        KEEP.clear()


def main(level, place, trespass=None):
    book = cases.load(level)
    if trespass:
        array = guarded(np.zeros(3, np.float32), place)
        ctypes.string_at(array.ctypes.data + (array.nbytes if place == "end" else -1), 1)
        return
    rng = np.random.default_rng(11)
    grid = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129]
    for dtype in (np.float32, np.float64):
        for count in range(150):
            sizes = dict(cases.BASE, **{letter: int(rng.choice(grid)) for letter in "NIO"})
            activation = ACTIVATIONS[count % len(ACTIVATIONS)]
            for absent in ((), ("packed", "b")):
                run(book, "linear_forward", sizes, dtype, place, absent, activation=activation, alpha=0.25)
            run(book, "linear_backward_input", sizes, dtype, place, activation=activation, alpha=0.25)
            run(book, "linear_backward_weight", sizes, dtype, place)
            run(book, "linear_pack", sizes, dtype, place)
        for n, i, o in ((3, 300, 70), (300, 33, 17), (129, 513, 16)):
            sizes = dict(cases.BASE, N=n, I=i, O=o)
            for kernel in ("linear_forward", "linear_backward_input", "linear_backward_weight", "linear_pack"):
                run(book, kernel, sizes, dtype, place)
        for kernel in reference.KERNELS:
            if not kernel.startswith("linear"):
                for size in (1, 7, 15, 16, 17, 33):
                    sizes = dict(dict.fromkeys("NIOCMPKV", size), **{"*": (size,)})
                    run(book, kernel, sizes, dtype, place)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
