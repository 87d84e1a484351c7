"""Kernels with arrays to call them with, and the check that comes before their time: equality with the reference in float64."""
import numpy as np

from .. import kernels

BACKENDS = ["numpy", "numba", "cython"]
N, I, O, C = 128, 256, 256, 10
P = I * O


def _real(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _out(*shape):
    return np.full(shape, np.nan, np.float32)


def _packed():
    packed = np.empty(kernels.packed_shape(O, I, np.float32), np.float32)
    kernels.reference.linear_pack(_real(O, I), packed)
    return packed


def _softmax_cross_entropy():
    return [_real(N, C), np.arange(N) % C, None, _out(N), _out(N, C)], {}


def _gather_rows():
    return [_real(4096, I), np.random.default_rng(0).integers(0, 4096, N), _out(N, I)], {}


CASES = {
    "linear_forward": lambda: ([_real(N, I), _real(O, I), _real(O), _out(N, O), _packed()], {"activation": "relu"}),
    "linear_backward_input": lambda: ([_real(N, O), _real(O, I), _real(N, I), _out(N, I)], {"activation": "relu"}),
    "linear_backward_weight": lambda: ([_real(N, I), _real(N, O), _out(O, I), _out(O)], {}),
    "relu_forward": lambda: ([_real(N, I), _out(N, I)], {}),
    "sigmoid_forward": lambda: ([_real(N, I), _out(N, I)], {}),
    "sigmoid_backward": lambda: ([_real(N, I) % 1, _real(N, I), _out(N, I)], {}),
    "tanh_forward": lambda: ([_real(N, I), _out(N, I)], {}),
    "gelu_forward": lambda: ([_real(N, I), _out(N, I)], {}),
    "softmax_forward": lambda: ([_real(N, C), _out(N, C)], {}),
    "softmax_cross_entropy": _softmax_cross_entropy,
    "adam_update": lambda: ([_real(P), _real(P), _real(P), _real(P) ** 2, None], {"correction1": 0.1, "correction2": 0.001}),
    "dropout_forward": lambda: ([_real(N, I), _out(N, I)], {"p": 0.2, "seed": 1}),
    "gather_rows": _gather_rows,
}
"""Kernel -> (arrays, scalars), outputs poisoned with NaN."""


def _written(spec, arrays):
    return [array for entry, array in zip(spec.arrays, arrays) if entry.role in ("out", "inout") and array is not None]


def check(name, run):
    """Raise where `run` differs from the reference in float64 by more than the rounding of its longest sum."""
    arrays, scalars = CASES[name]()
    reference = getattr(kernels.reference, name)
    wide = [a.astype(np.float64) if a is not None and a.dtype == np.float32 else a for a in arrays]
    if name == "linear_forward":
        wide[-1] = None  # the packed form of a float64 weight has another shape
    reference(*wide, **scalars)
    run(*arrays, **scalars)
    for got, expected in zip(_written(reference.spec, arrays), _written(reference.spec, wide)):
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * scale, err_msg=name)


def sizes(name):
    """The shapes of a kernel's arrays in words, as "x(128, 256) w(256, 256) ..."; without those that are absent, or packed forms."""
    spec, (arrays, _) = getattr(kernels.reference, name).spec, CASES[name]()
    return " ".join(f"{entry.name}{array.shape}".replace(",)", ")") for entry, array in zip(spec.arrays, arrays)
                    if array is not None and entry.name != "packed")
