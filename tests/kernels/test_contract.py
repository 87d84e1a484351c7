"""One test body for every implementation: each kernel against the reference evaluated in float64.

A result may differ by c eps sum|terms|: c of TOLERANCE, sum|terms| of SCALE (the result itself where all terms have one sign),
eps of the result's type. A kernel of the reference is tested here the day it appears, with c = 1 and no cancellation allowed.
"""
import functools
import inspect

import exact
import loss_scales
import norm_scales
import numpy as np
import pytest
from vivace.kernels import cases, contract, reference

KERNELS = list(reference.KERNELS)
DTYPES = [np.float32, np.float64]
QUICK = dict(grid=(0, 1, 17, 33), long={"N": (300,), "P": (300,)})
"""Sizes of the Numba book in the quick suite: each number of dimensions is a compilation of its own."""

# --- how far a result may be away
TOLERANCE = {
    **loss_scales.TOLERANCE,
    **dict.fromkeys(("copy_columns", "identity_forward", "identity_backward", "relu_forward", "relu_backward", "linear_pack"), 0),
    "limit_rows": 4,
    **dict.fromkeys(("adagrad_update", "adam_update", "adamw_update", "clip_norm", "elu_forward", "erf", "exp", "log", "sgd_update",
                     "sigmoid_forward", "sigmoid_backward", "softmax_backward", "softplus_backward", "tanh_forward"), 2),
    **dict.fromkeys(("binary_cross_entropy", "cross_entropy", "cross_entropy_soft", "linear_forward",
                     "linear_backward_input", "linear_backward_weight", "silu_forward", "silu_backward", "softmax_forward",
                     "softmax_cross_entropy_soft", "softplus_forward", "squared_error", "sum_parts", "sum_squares", "weight_join",
                     "weight_parts"), 3),
    **dict.fromkeys(("sparse_linear_forward", "sparse_backward_weight"), 3),
    **dict.fromkeys(("binary_cross_entropy_logits", "softmax_cross_entropy", "softmax_cross_entropy_weighted"), 4),
    "gelu_forward": 3, "gelu_backward": 2,
    "tanhshrink_backward": 6,
    **dict.fromkeys(("embedding_forward", "whole_numbers", "spread", "hardshrink_forward"), 0),
    **dict.fromkeys(("hardtanh_forward", "gaussian_noise", "hardsigmoid_forward", "inverse_deviation", "log_sigmoid_backward",
                     "normalize_columns", "hardswish_backward", "mix_rows", "softsign_forward", "log_softmax_forward",
                     "layer_norm_forward"), 2),
    **dict.fromkeys(("selu_forward", "selu_backward", "celu_forward", "celu_backward", "hardswish_forward", "log_sigmoid_forward",
                     "softsign_backward", "softplus_beta_forward", "softplus_beta_backward", "gelu_tanh_forward",
                     "gelu_tanh_backward", "batch_norm_backward_input", "embedding_bag_backward", "batch_norm_backward_weight",
                     "batch_statistics", "layer_norm_backward_weight", "prelu_backward_weight"), 3),
    **dict.fromkeys(("mish_forward", "mish_backward", "tanhshrink_forward", "layer_norm_backward_input",
                     "log_softmax_backward", "embedding_bag_forward"), 4),
}
"""c of each kernel; 1 where it is not listed, 0 for what only moves numbers. At most twice the largest factor seen.

What exact.py computes is compared with exact numbers in float64 too, so that only a book's own roundings, u = eps / 2, count. If all
were extreme and of one sign: squared_error: dy is a product of a difference, 1 / sum of w, w, 2 / O and their products, 6 u = 3 eps, and
the sum of w; in l a term has 3 u, beside the sum and a division; 2.1 eps are seen. clip_norm: the root halves the errors of the squares
and of their sum, then a root, a sum, a quotient and a product, 2.25 eps and half the sum's; 1.6 are seen. gelu: a running error bound
(Higham 2002, 5.1) of the tail of the normal distribution, from its polynomial, its quotients and its exponential, gives at worst, at 0,
8.3 eps for the function and 4.4 for its derivative (which has a scale of at least 1); 2.5 and 1.3 are seen.
"""

OF_NUMBA = {"gelu_forward": 5, "gelu_backward": 3}
"""c where the Numba book has another: without fused multiply-adds the same bounds are 12.5 and 6.5 eps; 4.3 and 2.1 are seen."""


def scale_of_linear_forward(x, w, b, y, packed, activation, alpha):
    """The product of magnitudes passes through an activation of slope at most 1."""
    sums = np.abs(x) @ np.abs(w).T + (0 if b is None else np.abs(b))
    reference.linear_forward(x, w, b, y, packed, activation, alpha)
    return [sums + np.abs(y)]


def slope_terms(activation, y, alpha):
    """sum|terms| of the derivative from the output."""
    return {"sigmoid": np.abs(y * (1 - y)), "tanh": 1 + y * y, "elu": np.where(y > 0, 1, np.abs(y) + alpha)}.get(
        activation, np.abs(reference.activations.derivative(activation, y, alpha)))


def scale_of_linear_backward_input(dy, w, x, dx, activation, alpha):
    return [np.abs(dy) @ np.abs(w) * (1 if x is None else slope_terms(activation, x, alpha))]


def scale_of_linear_backward_weight(x, dy, dw, db):
    return [None if dw is None else np.abs(dy).T @ np.abs(x), None if db is None else np.abs(dy).sum(axis=0)]


def scale_of_weight_parts(x, dy, parts, db_parts):
    reference.weight_parts(np.abs(x), np.abs(dy), parts, db_parts)
    return [parts, db_parts]


def scale_of_weight_join(parts, db_parts, dy, dw, db):
    reference.weight_join(np.abs(parts), None if db_parts is None else np.abs(db_parts), dy, dw, db)
    return [dw, db]


def scale_of_softmax(x, y):
    """exp turns the rounding of x - m into a relative error |x - m| eps."""
    if not y.size:
        return [y]
    reference.softmax_forward(x, y)
    return [y * (1 + x.max(axis=1, keepdims=True) - x)]


def scale_of_cross_entropy_from_logits(z, q, w, l, dz, mean):
    if not z.size:
        return [l, dz]
    shifted, log_sum, p = reference.losses._log_softmax(z)
    factor = np.abs(reference.losses.row_factor(w, len(z), mean, z.dtype))
    return [(np.abs(q) * (1 + log_sum - shifted)).sum(axis=1), (p * q.sum(axis=1, keepdims=True) * (1 - shifted) + q) * factor]


def scale_of_softmax_cross_entropy(z, t, w, l, dz, label_smoothing, mean):
    q = np.full(z.shape, label_smoothing / max(z.shape[1], 1))
    q[np.arange(len(t)), t] += 1 - label_smoothing
    return scale_of_cross_entropy_from_logits(z, q, w, l, dz, mean)


def scale_of_softmax_cross_entropy_weighted(z, t, w, v, l, dz, label_smoothing, mean):
    q = label_smoothing / max(z.shape[1], 1) * v / v[t][:, None]
    q[np.arange(len(t)), t] += 1 - label_smoothing
    return scale_of_cross_entropy_from_logits(z, q, w, l, dz, mean)


def scale_of_binary_cross_entropy(p, t, w, l, dp, mean):
    reference.binary_cross_entropy(p, t, w, l, dp, mean)
    return [l, None if dp is None else (p + t) / np.where(p == t, 1, np.abs(p - t)) * np.abs(dp)]


def scale_of_binary_cross_entropy_logits(z, t, w, l, dz, mean):
    outputs = reference.losses.averaged(z, mean)
    terms = np.maximum(z, 0) + np.abs(z * t) + np.log1p(np.exp(-np.abs(z)))
    factor = np.abs(reference.losses.row_factor(w, len(z), mean, z.dtype)) / outputs
    return [terms.sum(axis=1) / outputs, (reference.activations.sigmoid(z) + t) * factor]


def scale_of_squared_error(y, t, w, l, dy, mean):
    reference.squared_error(y, t, w, l, dy, mean)
    return [l, dy]


def scale_of_sum_parts(parts, before, s):
    reference.sum_parts(np.abs(parts), None if before is None else np.abs(before), s)
    return [s]


def scale_of_update(name):
    """What p and the states are made of, all terms made to add; a step is divided by what truly divides it, which the square
    roots of v, u and top stand for: it may be larger than the step of magnitudes."""
    update = reference.KERNELS[name].plain

    def scale(g, p, *rest):
        arrays = [a for a in rest if a is None or isinstance(a, np.ndarray)]
        scalars = rest[len(arrays):]
        true, sums = ([None if a is None else f(a) for a in (p, *arrays)] for f in (np.copy, np.abs))
        update(g, *true, *scalars)
        update(np.abs(g), *sums, *scalars)
        old = [np.abs(p), *[None if a is None else np.abs(a) for a in arrays]]
        return [None if t is None else np.abs(t) + np.abs(s) + 2 * o for t, s, o in zip(true, sums, old)]
    return scale


def scale_of_sparse_forward(rows, columns, values, w, b, y, cuts, packed):
    size = np.empty_like(y)
    reference.sparse_linear_forward(rows, columns, np.abs(values), np.abs(w), None if b is None else np.abs(b), size, cuts)
    return [size, None if cuts is None else cuts]


def scale_of_sparse_backward_weight(columns, values, cuts, dy, dw, db):
    reference.sparse_backward_weight(columns, np.abs(values), cuts, np.abs(dy), dw, db)
    return [dw, db]


def two_u(x):
    return 1 + np.abs(2 * 0.8 * (x + 0.0447 * x ** 3))


def bag_terms(index, w, y, mode, padding):
    """The bag of magnitudes."""
    reference.embedding_bag_forward(index, np.abs(w), y, mode, padding)
    return [y * (1 + index.shape[1] / 32)]  # one chain


def scale_of_log_softmax(x, y):
    if not y.size:
        return [y]
    reference.log_softmax_forward(x, y)
    shifted = x.max(axis=1, keepdims=True) - x
    return [shifted + np.abs(y + shifted) + 1]


def bag_gradient_terms(index, w, dy, dw, mode, padding, named):
    reference.embedding_bag_backward(index, w, np.abs(dy), dw, mode, padding)
    return [dw * (1 + index.size / 32)]


SCALE = {
    "sum_parts": scale_of_sum_parts,
    "sparse_linear_forward": scale_of_sparse_forward, "sparse_backward_weight": scale_of_sparse_backward_weight,
    **loss_scales.SCALE,
    **norm_scales.SCALE,
    "running_update": lambda mean, var, rm, rv, count, momentum: [np.abs(mean) + np.abs(rm), var + rv, count],
    "prelu_backward_weight": lambda x, dy, dw: [np.abs(x * dy).sum(axis=0)], "sum_all": lambda x, y: [np.abs(x).sum()],
    "log_softmax_forward": scale_of_log_softmax,
    "log_softmax_backward": lambda y, dy, dx: [np.abs(dy) + np.exp(y) * (1 + np.abs(y)) * np.abs(dy).sum(axis=1, keepdims=True)],
    "gaussian_noise": lambda x, y, std, *_: [np.abs(x) + 7 * std],
    "rrelu_forward": lambda x, y, *_: [np.abs(x)], "rrelu_backward": lambda x, dy, dx, *_: [np.abs(dy)],
    "mix_rows": lambda x, y, lam: [lam * np.abs(x) + (1 - lam) * np.abs(x[::-1])],
    "mix_labels": lambda t, y, *_: [np.ones_like(y)],
    "embedding_backward": lambda index, dy, dw, padding, named: [np.full(dw.shape, np.abs(dy).sum())],
    "embedding_bag_forward": bag_terms, "embedding_bag_backward": bag_gradient_terms,
    "hardsigmoid_forward": lambda x, y: [(np.abs(x) + 3) / 6], "hardswish_forward": lambda x, y: [np.abs(x) * (np.abs(x) + 3) / 6],
    "hardswish_backward": lambda x, dy, dx: [np.abs(dy) * (np.abs(x) / 3 + 0.5)],
    "softshrink_forward": lambda x, y, alpha: [np.abs(x) + alpha],
    "celu_backward": lambda x, dy, dx, alpha: [np.abs(dy) * np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha) * (1 - x / alpha))],
    "softplus_beta_forward": lambda x, y, a, b: [np.where(a * x > b, x, np.log1p(np.exp(a * x)) / a * (1 + np.abs(a * x)))],
    "softplus_beta_backward": lambda x, dy, dx, a, b: [np.abs(dy) * np.where(a * x > b, 1, 1 / (1 + np.exp(-a * x)) * (1 + np.abs(a * x)))],
    "gelu_tanh_forward": lambda x, y: [np.abs(x) / (1 + np.exp(-1.6 * (x + 0.0447 * x ** 3))) * two_u(x)],
    "gelu_tanh_backward": lambda x, dy, dx: [np.abs(dy) * (1 + np.abs(x) * np.exp(-x * x / 3)) * two_u(x)],
    "mish_backward": lambda x, dy, dx: [np.abs(dy) * reference.activations.sigmoid(x) * (1 + np.abs(x))],
    "linear_forward": scale_of_linear_forward, "linear_backward_input": scale_of_linear_backward_input,
    "weight_parts": scale_of_weight_parts, "weight_join": scale_of_weight_join,
    "linear_backward_weight": scale_of_linear_backward_weight, "softmax_forward": scale_of_softmax,
    "softmax_backward": lambda y, dy, dx: [y * (np.abs(dy) + np.abs(dy * y).sum(axis=1, keepdims=True))],
    "tanh_backward": lambda y, dy, dx: [np.abs(dy) * slope_terms("tanh", y, 0)],
    "elu_backward": lambda y, dy, dx, alpha: [np.abs(dy) * slope_terms("elu", y, alpha)],
    # the reference rounds x / sqrt 2, which costs its float64 x² eps
    "gelu_forward": lambda x, y: [np.abs(x) * reference.activations.normal_cdf(x) * (1 + x * x)],
    "gelu_backward": lambda x, dy, dx: [np.abs(dy) * (1 + np.abs(x) * np.exp(-x * x / 2))],
    "silu_backward": lambda x, dy, dx: [np.abs(dy) * reference.activations.sigmoid(x) * (1 + np.abs(x))],
    "scale": lambda x, y, factor, offset: [np.abs(factor * x) + abs(offset)],
    "add_columns": lambda x, y, *_: [np.abs(y) + np.abs(x).max(initial=0)],
    "total": lambda x, s: [np.abs(x).sum()], "mean_loss": lambda l, w, s: [[np.abs(l).sum() * 2, 2 * len(l)]],
    "softmax_cross_entropy": scale_of_softmax_cross_entropy, "softmax_cross_entropy_weighted": scale_of_softmax_cross_entropy_weighted,
    "softmax_cross_entropy_soft": scale_of_cross_entropy_from_logits,
    "binary_cross_entropy": scale_of_binary_cross_entropy, "binary_cross_entropy_logits": scale_of_binary_cross_entropy_logits,
    "accumulate": lambda g, total, share: [np.abs(total) + np.abs(share * g)],
    "squared_error": scale_of_squared_error, "average_update": lambda p, average, keep: [np.abs(p) + np.abs(average)],
    **{name: scale_of_update(name) for name in KERNELS if name.endswith("_update") and name not in ("average_update", "running_update")},
}
"""sum|terms| of each written array, in order; the magnitude of the result where a kernel is not listed."""


# --- running cases
def spec_of(kernel):
    return reference.KERNELS[kernel].spec


def written(kernel, arguments):
    """name -> array of what a call writes."""
    arrays = spec_of(kernel).arrays
    return {a.name: v for a, v in zip(arrays, arguments) if a.role in ("out", "inout") and v is not None}


def widened(kernel, arguments):
    """The arguments in float64, without a packed form, which is the reference's to ignore."""
    arrays = spec_of(kernel).arrays
    if any("L" in a.dims for a in arrays if a.role == "out"):
        return [v.copy() for v in arguments]  # the shape follows the type; numbers only move
    wide = [v.astype(np.float64 if v.dtype == np.float32 else v.dtype) if isinstance(v, np.ndarray) else v for v in arguments]
    return [None if i < len(arrays) and arrays[i].role == "scratch" else v for i, v in enumerate(wide)]


@functools.cache
def proven(kernel, dtype, quick=False):
    """[(case, expected arrays, differences allowed for c = 1)], computed once for all implementations."""
    found = []
    for case in cases.cases(kernel, dtype, **(QUICK if quick else {})):
        if quick and spec_of(kernel).arrays[0].dims == ("*",) and case.arguments[0].ndim != 2:
            continue
        wide = widened(kernel, case.arguments)
        scales = SCALE[kernel](*widened(kernel, case.arguments)) if kernel in SCALE else None
        reference.KERNELS[kernel].plain(*wide)
        expected = written(kernel, wide)
        if kernel in exact.ORACLE:
            expected = dict(zip(expected, exact.ORACLE[kernel](*case.arguments), strict=True))
        if scales is None:
            scales = list(expected.values())
        else:
            places = [a.name for a in spec_of(kernel).written]
            scales = [scales[places.index(name)] for name in expected]
        allowed = [np.finfo(got.dtype).eps * np.abs(s) if got.dtype.kind == "f" else 0
                   for got, s in zip(written(kernel, case.arguments).values(), scales)]
        found.append((case, expected, allowed))
    return found


FENCE = b"\xff" * 256
"""Bytes around an array: not a number to a kernel that reads on, and no longer these to one that writes on."""


def run(book, case):
    """The arguments after a call in which each array stood between fences."""
    arguments, rooms = [], []
    for value in case.arguments:
        if isinstance(value, np.ndarray):
            room = np.frombuffer(bytearray(FENCE + value.tobytes() + FENCE), np.uint8)
            rooms.append(room)
            value = room[len(FENCE):-len(FENCE)].view(value.dtype).reshape(value.shape)
        arguments.append(value)
    getattr(book, case.kernel)(*arguments)
    for room in rooms:
        assert room[:len(FENCE)].tobytes() == FENCE == room[-len(FENCE):].tobytes(), f"{case.kernel} {case.label}: written beside an array"
    return arguments


def assert_near(case, arguments, expected, allowed, book=None):
    c = (OF_NUMBA if book == "numba" else {}).get(case.kernel, TOLERANCE.get(case.kernel, 1))
    for (name, got), limit in zip(written(case.kernel, arguments).items(), allowed):
        difference = np.abs(got.astype(np.float64) - expected[name]) if got.dtype.kind == "f" else got != expected[name]
        limit = c * limit
        bad = ~(difference <= limit)
        assert not bad.any(), (f"{case.kernel} {case.label}: {name} differs by "
                               f"{np.max(np.where(bad, difference / np.maximum(limit, 1e-300), 0)):.3g} times what is allowed")


# --- names and signatures
@pytest.mark.parametrize("name", cases.books())
def test_same_names_and_parameters(name):
    """Every book has the kernels of the reference, with its parameters and defaults, and no others."""
    book = cases.load(name)
    assert sorted(getattr(book, "KERNELS", None) or book.FACES) == sorted(KERNELS)
    for kernel in KERNELS:
        assert inspect.signature(getattr(book, kernel)) == inspect.signature(reference.KERNELS[kernel]), kernel
        assert getattr(book, kernel).__doc__ == reference.KERNELS[kernel].__doc__


# --- values
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", [b for b in cases.books() if b != "numba"])
def test_values(name, kernel, dtype):
    """Results agree, and nothing that is only read was changed."""
    for case, expected, allowed in proven(kernel, dtype):
        arguments = run(cases.load(name), case)
        assert_near(case, arguments, expected, allowed, name)
        assert_inputs_unchanged(case, arguments)


@pytest.mark.skipif("numba" not in cases.books(), reason="numba is not installed")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_values_of_numba(kernel, dtype):
    """Few shapes; float64 is compiled in the slow suite and runs uncompiled in test_dispatch.py."""
    for case, expected, allowed in proven(kernel, dtype, quick=True):
        arguments = run(cases.load("numba"), case)
        assert_near(case, arguments, expected, allowed, "numba")
        assert_inputs_unchanged(case, arguments)


@pytest.mark.slow
@pytest.mark.skipif("numba" not in cases.books(), reason="numba is not installed")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_values_of_numba_everywhere(kernel, dtype):
    test_values("numba", kernel, dtype)


def assert_inputs_unchanged(case, arguments):
    for array, before, after in zip(spec_of(case.kernel).arrays, case.arguments, arguments):
        if array.role in ("in", "scratch") and before is not None:
            assert before.tobytes() == after.tobytes(), f"{case.kernel} {case.label}: {array.name} was changed"


@pytest.mark.parametrize("kernel", KERNELS)
def test_v3_equals_v4(kernel, level_books):
    """Bit for bit, on every case."""
    if not {"v3", "v4"} <= set(level_books):
        pytest.skip("this CPU lacks one of the levels")
    for dtype in DTYPES:
        for case in cases.cases(kernel, dtype):
            third, fourth = (written(kernel, run(level_books[level], case)) for level in ("v3", "v4"))
            for name in third:
                assert third[name].tobytes() == fourth[name].tobytes(), f"{kernel} {dtype.__name__} {case.label}: {name}"


@pytest.mark.parametrize("kernel", [k for k in KERNELS if any(a.type == "any" for a in spec_of(k).arrays)])
@pytest.mark.parametrize("source, dtype", [(np.float64, np.float32), (np.float32, np.float64)])
def test_conversion(book, kernel, source, dtype):
    """An array of the other float type is converted with one rounding."""
    arguments = cases.make(kernel, cases.BASE, dtype, source=source)
    getattr(book, kernel)(*arguments)
    np.testing.assert_array_equal(arguments[2], arguments[0][arguments[1]].astype(dtype))


# --- what is written, and what is not
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_outputs_are_overwritten(book, kernel, dtype):
    """What outputs hold before the call does not matter: all bits zero and all bits one give the same result."""
    arrays = spec_of(kernel).arrays
    for case in cases.cases(kernel, dtype, grid=(0, 1, 17, 33)):
        results = []
        for byte in (0x00, 0xFF):
            arguments = case.fresh()
            for array, value in zip(arrays, arguments):
                if array.role == "out" and value is not None:
                    value.view()[...] = np.frombuffer(bytes([byte]) * value.nbytes, value.dtype).reshape(value.shape)
            getattr(book, kernel)(*arguments)
            results.append([v.tobytes() for v in written(kernel, arguments).values()])
        assert results[0] == results[1], case.label


@pytest.mark.parametrize("kernel", KERNELS)
def test_read_only_inputs(book, kernel):
    case = cases.cases(kernel, np.float32)[0]
    arguments = case.fresh()
    for array, value in zip(spec_of(kernel).arrays, arguments):
        if array.role in ("in", "scratch") and value is not None:
            value.flags.writeable = False
    getattr(book, kernel)(*arguments)


ELEMENTWISE = [k for k in KERNELS if k.endswith(("_backward", "_forward")) and spec_of(k).arrays[0].dims == ("*",)]


@pytest.mark.parametrize("kernel", [*ELEMENTWISE, "add", "subtract", "multiply", "divide", "scale"])
def test_in_place(book, kernel):
    """Elementwise kernels may write over any of their inputs."""
    arguments = cases.make(kernel, {"*": (3, 17)}, np.float32)
    apart = [v.copy() if isinstance(v, np.ndarray) else v for v in arguments]
    getattr(book, kernel)(*apart)
    last = len(spec_of(kernel).arrays) - 1
    for place in range(last):
        together = [v.copy() if isinstance(v, np.ndarray) else v for v in arguments]
        together[last] = together[place]
        getattr(book, kernel)(*together)
        assert together[last].tobytes() == apart[last].tobytes()


def test_keyword_arguments(book):
    x, y = np.float32([[1, -2]]), np.empty((1, 2), np.float32)
    book.scale(x=x, y=y, offset=1, factor=2.0)
    np.testing.assert_array_equal(y, [[3, -3]])


# --- refusals
def broken(kernel, dtype=np.float32):
    """(what is wrong, arguments) for each way to call a kernel wrongly that its signature knows."""
    arrays = spec_of(kernel).arrays
    sizes = {**cases.BASE, "*": (3, 4)}

    def with_one(place, value):
        arguments = list(cases.make(kernel, sizes, dtype))
        arguments[place] = value(arguments[place])
        return arguments

    for place, array in enumerate(arrays):
        if not array.optional:
            yield f"{array.name} None", with_one(place, lambda v: None)
        yield f"{array.name} list", with_one(place, lambda v: v.tolist())
        if sum(array.dims == other.dims for other in arrays) > 1 or array.dims != ("*",):
            yield f"{array.name} more dimensions", with_one(place, lambda v: v[None])
        if sum(array.dims == other.dims for other in arrays) > 1 or array.dims[0].isdigit():
            yield f"{array.name} longer", with_one(place, lambda v: np.concatenate([v, v]))
        yield f"{array.name} type", with_one(place, lambda v: v.astype(np.float16 if v.dtype.kind == "f" else np.int32))
        yield f"{array.name} complex", with_one(place, lambda v: v.astype(np.complex128))
        yield f"{array.name} bytes swapped", with_one(place, lambda v: v.astype(v.dtype.newbyteorder()))
        strided = {"not contiguous": lambda v: np.repeat(v, 2, axis=-1)[..., ::2], "backwards": lambda v: v[::-1].copy()[::-1]}
        for way, change in strided.items():
            arguments = with_one(place, change)
            if not arguments[place].flags.c_contiguous:  # a single row is, whatever its stride
                yield f"{array.name} {way}", arguments
        yield f"{array.name} misaligned", with_one(place, misaligned)
        if array.type == "real" and sum(a.type == "real" for a in arrays) > 1:
            yield f"{array.name} other float", with_one(place, lambda v: v.astype(np.float64))
        if array.role in ("out", "inout"):
            yield f"{array.name} read-only", with_one(place, read_only)


def misaligned(value):
    raw = np.zeros(value.nbytes + 1, np.uint8)
    other = raw[1:].view(value.dtype).reshape(value.shape)
    other[...] = value
    return other


def read_only(value):
    value.flags.writeable = False
    return value


def refusal(function, arguments):
    """The error of a call, after making sure that the call wrote nothing."""
    before = [v.tobytes() if isinstance(v, np.ndarray) else v for v in arguments]
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*arguments)
    assert [v.tobytes() if isinstance(v, np.ndarray) else v for v in arguments] == before
    return type(caught.value), str(caught.value)


def assert_same_refusal(book, kernel, arguments, what):
    kind, message = refusal(getattr(book, kernel), arguments)
    assert (kind, message) == refusal(reference.KERNELS[kernel], arguments), what
    assert message.startswith(f"{kernel}: ")


@pytest.mark.parametrize("kernel", KERNELS)
def test_refusals(book, kernel):
    """Wrong arguments raise the reference's error, word for word, before anything is written."""
    for what, arguments in broken(kernel):
        assert_same_refusal(book, kernel, arguments, what)


@pytest.mark.parametrize("kernel", [k for k in KERNELS if any(a.name == "t" and a.type == "int" for a in spec_of(k).arrays[:2])
                                    and k != "gather_labels"])
@pytest.mark.parametrize("label", [-1, 4, 2 ** 40, -2 ** 63])
def test_label_out_of_range(book, kernel, label):
    arguments = cases.make(kernel, cases.BASE, np.float32)
    arguments[[a.name for a in spec_of(kernel).arrays].index("t")][3] = label
    assert_same_refusal(book, kernel, arguments, label)


@pytest.mark.parametrize("kernel", ["gather_rows", "gather_labels", "gather_weights", "gather_spans"])
@pytest.mark.parametrize("index", [-1, 9, 2 ** 40])
def test_index_out_of_range(book, kernel, index):
    arguments = cases.make(kernel, cases.BASE, np.float32)
    arguments[1][3] = index
    assert_same_refusal(book, kernel, arguments, index)


@pytest.mark.parametrize("kernel, sizes, scalars", [
    ("linear_forward", {}, dict(activation="swish")), ("linear_backward_input", {}, dict(activation="gelu")),
    ("copy_columns", {}, dict(start_x=4, width=4)), ("add_columns", {}, dict(start_y=-1, width=2)),
    ("copy_columns", {}, dict(width=-1)),
    *[(k, dict(C=0), {}) for k in cases.NEED_A_COLUMN]])
def test_values_refused(book, kernel, sizes, scalars):
    """Values that no signature can exclude."""
    arguments = list(cases.make(kernel, {**cases.BASE, **sizes}, np.float32))
    names = [name for name, _ in spec_of(kernel).scalars]
    for name, value in scalars.items():
        arguments[len(arguments) - len(names) + names.index(name)] = value
    assert_same_refusal(book, kernel, arguments, scalars)


def test_missing_arrays(book):
    """An array that an option makes necessary."""
    arguments = cases.make("sgd_update", cases.BASE, np.float32, absent=("m",), momentum=0.9)
    assert_same_refusal(book, "sgd_update", arguments, "m")
    arguments = cases.make("linear_backward_input", cases.BASE, np.float32, activation="tanh")
    assert_same_refusal(book, "linear_backward_input", (*arguments[:2], None, *arguments[3:]), "x")


@pytest.mark.parametrize("kernel", KERNELS)
def test_number_of_arguments(book, kernel):
    arguments = cases.make(kernel, {**cases.BASE, "*": (2,)}, np.float32)
    for wrong in ((), (*arguments, 1)):
        with pytest.raises(TypeError):
            getattr(book, kernel)(*wrong)
    with pytest.raises(TypeError, match="nonsense"):
        getattr(book, kernel)(*arguments[:len(spec_of(kernel).arrays)], nonsense=1)


# --- numbers that are none
SMALLEST = {np.float32: np.float32(1e-45), np.float64: np.float64(5e-324)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_denormals(book, dtype):
    """The smallest numbers are neither flushed nor taken for zero."""
    tiny, one = np.full((1, 33), SMALLEST[dtype]), np.ones((1, 33), dtype)
    y = np.empty_like(tiny)
    for call in (lambda: book.add(tiny, np.zeros_like(tiny), y), lambda: book.multiply(tiny, one, y), lambda: book.scale(tiny, y),
                 lambda: book.relu_forward(tiny, y), lambda: book.tanh_forward(tiny, y), lambda: book.leaky_relu_forward(tiny, y),
                 lambda: book.linear_forward(tiny[:, :1], np.ones((33, 1), dtype), None, y),
                 lambda: book.linear_backward_input(tiny[:, :1], np.ones((1, 33), dtype), None, y)):
        y[...] = 0
        call()
        assert y.tobytes() == tiny.tobytes()  # bytes: a comparison of numbers may itself take them for zero


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kernel", [k for k in KERNELS if spec_of(k).over in ("rows", "flat") and "permutation" not in k])
def test_not_a_number_is_seen(book, kernel, value):
    """NaN and infinity in one input reach the outputs where the reference in float64 has them, and nowhere else."""
    for place, array in enumerate(spec_of(kernel).arrays):
        if array.role in ("out", "scratch") or array.type in ("int",) or array.name in ("packed",):
            continue
        for dtype in DTYPES:
            arguments = list(cases.make(kernel, {**cases.BASE, "I": 18, "O": 19, "C": 18, "*": (5, 18), "P": 40}, dtype))
            if arguments[place] is None or (kernel, value) == ("softplus_backward", -np.inf):  # an output that softplus never has
                continue
            arguments[place].flat[arguments[place].size // 2] = value
            if kernel == "linear_forward":
                arguments[4] = None  # a packed form that agrees with w
            wide = widened(kernel, arguments)
            getattr(book, kernel)(*arguments)
            with np.errstate(all="ignore"):
                reference.KERNELS[kernel].plain(*wide)
            for (name, got), expected in zip(written(kernel, arguments).items(), written(kernel, wide).values()):
                np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), f"{array.name} -> {name}")
                np.testing.assert_array_equal(np.isposinf(got), np.isposinf(expected), f"{array.name} -> {name}")
                np.testing.assert_array_equal(np.isneginf(got), np.isneginf(expected), f"{array.name} -> {name}")


def test_the_specifications_are_the_contract():
    """Every array of every kernel has a letter that the contract knows."""
    letters = {d for k in KERNELS for a in spec_of(k).arrays for d in a.dims if not d.isdigit()}
    assert letters <= {"N", "I", "O", "C", "M", "P", "K", "V", "L", "Q", "B", "*"}
    assert {a.role for k in KERNELS for a in spec_of(k).arrays} <= {"in", "out", "inout", "scratch"}
    assert contract.lanes(np.float32) == 16 and contract.lanes(np.float64) == 8
