"""Inputs for every kernel, made from its signature: what the tests and the benchmarks call kernels with.

    arguments = cases.make("linear_forward", dict(N=32, I=64, O=10), np.float32, absent=("b",), activation="relu")
    for case in cases.cases("linear_forward", np.float32): book.linear_forward(*case.arguments)

A new kernel is covered by its signature alone; it needs a row in VALUES where its inputs have a domain, and one in SCALARS where
its scalars have values worth trying.
"""
import functools
import importlib
from dataclasses import dataclass

import numpy as np

from . import dispatch, reference
from .contract import ACTIVATIONS, lanes, packed_shape
from .reference.sparse import cut_count

GRID = (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129)
"""Sizes of a dimension: none, one, and the neighbours of every vector width."""

LONG = {"N": (300, 700), "P": (300, 1000), "*": (300, 1000), "I": (257, 300), "O": (300,)}
"""Further sizes: several chunks of rows, several tiles of columns, several blocks of a matmul's depth."""

BASE = {"N": 5, "I": 7, "O": 6, "C": 4, "M": 9, "P": 40, "K": 3, "V": 11}
"""Sizes of the other dimensions while one is walked over the grid."""

THIN = dict(BASE, N=37, I=1, O=1, C=2)
"""Many rows of one column: some kernels then compute rows side by side."""

TOGETHER = ((17, 33, 65), (129, 65, 31), (64, 16, 16), (33, 300, 129), (300, 65, 33))
"""N, I, O of the linear kernels at once."""

NEED_A_COLUMN = ("argmax_rows", "cross_entropy", "mix_labels", "softmax_cross_entropy", "softmax_cross_entropy_weighted",
                 "softmax_cross_entropy_soft", "softmax_focal", "multi_margin")

POISON = {"f": np.nan, "i": -7777}
"""What outputs hold before the call."""


# --- values
def normal(rng, shape, made):
    return rng.normal(size=shape)


def uniform(low, high):
    return lambda rng, shape, made: rng.uniform(low, high, shape)


def signed(low, high):
    return lambda rng, shape, made: rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def weights(rng, shape, made):
    return rng.uniform(0.1, 2, shape) * (rng.uniform(size=shape) < 0.8)


def signs(rng, shape, made):
    return rng.choice([-1.0, 1.0], shape)


def counts(rng, shape, made):
    return rng.integers(0, 5, shape)


def rate(rng, shape, made):
    """The input of a loss on logarithms or on the rates themselves."""
    return rng.normal(size=shape) if made["log_input"] else rng.uniform(0.2, 3, shape)


def mean_and_variance(rng, shape, made):
    y = rng.normal(size=shape)
    return y if made["log_variance"] else np.stack([y[:, 0], np.abs(y[:, 1]) + 0.1], axis=1)


def shares(rng, shape, made):
    """Probabilities, some of them 0, or their logarithms."""
    t = rng.uniform(0.01, 1, shape)
    return np.log(t) if made["log_target"] else t * (rng.uniform(size=shape) < 0.8)


def bags(rng, shape, made):
    return rng.integers(-1, made["V"], shape)


def below(letter):
    return lambda rng, shape, made: rng.integers(0, max(made[letter], 1), shape)


def output_of(forward, **scalars):
    """The output of an activation, for a backward that works from it."""
    def values(rng, shape, made):
        x = rng.normal(size=shape)
        y = np.empty_like(x)
        getattr(reference, forward)(x, y, **{name: made[name] for name in scalars})
        return y
    return values


def hidden(rng, shape, made):
    y = rng.normal(size=shape)
    reference.activations.apply(made["activation"], y, made["alpha"])
    return y


def packed(rng, shape, made):
    form = np.empty(shape, made["w"].dtype)
    reference.linear_pack(made["w"], form)
    return form


def spans(rng, shape, made):
    """Rows that take what is left of M, each at most I elements."""
    rows, at = np.zeros(shape, np.int64), 0
    for n in range(shape[0]):
        rows[n] = at, at + rng.integers(0, min(made["I"], (made["M"] - at)) + 1)
        at = rows[n, 1]
    return rows[rng.permutation(len(rows))]


def cuts(rng, shape, made):
    """As spans, cut at multiples of 256 columns: elements of the columns that `ascending` will draw."""
    rows = spans(rng, (shape[0], 2), made)
    made["rows"] = rows
    made["columns"][...] = ascending(rng, made["columns"].shape, made)
    edges = 256 * np.arange(shape[1] - 1)
    inner = [begin + np.searchsorted(made["columns"][begin:end], edges) for begin, end in rows]
    return np.concatenate([np.reshape(inner, (shape[0], shape[1] - 1)), rows[:, 1:]], axis=1)


def ascending(rng, shape, made):
    columns = np.zeros(shape, np.int64)
    for begin, end in made.get("rows", ()):
        columns[begin:end] = np.sort(rng.choice(made["I"], end - begin, replace=False))
    return columns


VALUES = {
    "rows:int(N,2)": spans, "rows:int(M,2)": lambda rng, shape, made: np.sort(rng.integers(0, 99, shape)), "columns": ascending,
    "cuts": cuts, "index": below("M"), "packed": packed, "p(N,C)": uniform(0.02, 0.98), "p(N,O)": uniform(0.02, 0.98), "w(N)": weights,
    "v": uniform(0.01, 1), "u": uniform(0.01, 1), "top": uniform(0.01, 1), "rmsprop_update.m": uniform(-0.05, 0.05),
    "t(N,C)": uniform(0, 1), "t(N,O)": uniform(0, 1), "t:int(N)": below("C"), "v(C)": uniform(0.1, 2),
    "t:int(M)": lambda rng, shape, made: rng.integers(-50, 50, shape),
    "absolute_error.t": normal, "huber_error.t": normal, "quantile_error.t": normal, "quantile_error.q": uniform(0.05, 0.95),
    "poisson_error.y": rate, "poisson_error.t": counts, "tweedie_error.y": rate, "tweedie_error.t": counts,
    "gaussian_nll.y": mean_and_variance, "gaussian_nll.t": normal, "hinge_error.t": signs, "hinge_embedding_error.t": signs,
    "kl_divergence.t": shares, "weighted_binary_cross_entropy_logits.c": uniform(0.2, 3), "multi_margin.c": uniform(0.2, 3),
    "squared_error.t": normal, "log.x": uniform(0.01, 9), "power.x": uniform(0.1, 4), "divide.b": signed(0.5, 2),
    "index:int(N,K)": below("V"), "embedding_bag_forward.index": bags, "embedding_bag_backward.index": bags,
    "whole_numbers.x": lambda rng, shape, made: rng.integers(-1, 50, shape), "rstd": uniform(0.5, 2), "var": uniform(0.01, 4),
    "running_var": uniform(0.01, 4), "count": lambda rng, shape, made: rng.integers(0, 9, shape),
    "w(I)": normal, "w(O)": normal, "log_softmax_backward.y": output_of("log_softmax_forward"),
    "linear_backward_input.x": hidden, "leaky_relu_backward.y": output_of("leaky_relu_forward", alpha=0),
    "elu_backward.y": output_of("elu_forward", alpha=0),
    **{f"{name}_backward.y": output_of(f"{name}_forward") for name in ("sigmoid", "tanh", "relu", "softplus", "softmax")},
}
"""Where values come from: by kernel.array, by array with its dimensions, by array; else the normal distribution."""

_activation = [dict(activation=name, alpha=0.25) for name in ACTIVATIONS]
_means = [dict(mean=False)]
_adam = dict(lr=0.05, beta1=0.8, beta2=0.99, correction1=1 - 0.8 ** 3, correction2=1 - 0.99 ** 3)
_common = [dict(l1=0.3), dict(maximize=True), dict(clip=0.4), dict(weight_decay=0.2, l1=0.1, maximize=True, clip=0.7)]
_shared = [{k: v for k, v in row.items() if k != "weight_decay"} for row in _common]
_shrunk = [dict(row, shrink=0.97) for row in _shared]
_draws = [dict(p=0.25, seed=7 + (9 << 40), op=3, step=11), dict(p=0.0), dict(p=1.0, seed=1)]
_noise = [dict(seed=7 + (9 << 40), op=3, step=11), dict(std=0.3, seed=1)]
_columns = [dict(width=lambda s: min(s["I"], s["O"])),
            dict(start_x=lambda s: s["I"] // 2, start_y=lambda s: s["O"] // 2, width=lambda s: min(s["I"], s["O"]) // 2)]
SCALARS = {
    "linear_forward": _activation, "linear_backward_input": _activation,
    "leaky_relu_forward": [dict(alpha=0.3)], "leaky_relu_backward": [dict(alpha=0.3)],
    "elu_forward": [dict(alpha=0.7)], "elu_backward": [dict(alpha=0.7)],
    "power": [dict(exponent=e) for e in (0.5, -1.5, 3.0)], "scale": [dict(factor=-0.7), dict(factor=0.3, offset=1.9)],
    "fill": [dict(value=-2.3)], "dropout_forward": _draws, "dropout_backward": _draws,
    "copy_columns": _columns, "add_columns": _columns,
    **{name: [dict(label_smoothing=0.1), dict(label_smoothing=0.3, mean=False), dict(label_smoothing=1.0)]
       for name in ("softmax_cross_entropy", "softmax_cross_entropy_weighted")},
    **{f"{name}_{way}": [row] for way in ("forward", "backward") for name, row in {
        "celu": dict(alpha=0.7), "hardtanh": dict(alpha=-0.3, beta=0.8), "softplus_beta": dict(alpha=2.0, beta=1.5),
        "softshrink": dict(alpha=0.3), "hardshrink": dict(alpha=0.3), "threshold": dict(alpha=0.2, beta=-1.3)}.items()},
    "gaussian_noise": _noise, "rrelu_forward": _noise[:1], "rrelu_backward": _noise[:1], "mix_rows": [dict(lam=0.3)],
    "mix_labels": [dict(lam=0.3), dict(lam=0.8, label_smoothing=0.1)], "batch_statistics": [dict(eps=0.1)],
    "inverse_deviation": [dict(eps=0.1)], "running_update": [dict(momentum=0.3), dict(momentum=-1.0)],
    "layer_norm_forward": [dict(eps=0.1), dict(centred=False)], "layer_norm_backward_input": [dict(centred=False)],
    "embedding_backward": [dict(padding=2)],
    **{name: [dict(mode=m, padding=p) for m in range(3) for p in (-1, 3)] for name in ("embedding_bag_forward",
                                                                                     "embedding_bag_backward")},
    **{name: _means for name in ("squared_error", "softmax_cross_entropy_soft", "cross_entropy", "cross_entropy_soft",
                                 "binary_cross_entropy", "binary_cross_entropy_logits")},
    **{name: _means for name in ("absolute_error", "quantile_error", "weighted_binary_cross_entropy_logits")},
    "huber_error": [dict(delta=0.4, scale=2.5), dict(mean=False)], "hinge_error": [dict(margin=0.3, squared=True), dict(mean=False)],
    "hinge_embedding_error": [dict(margin=0.3, mean=False)],
    "poisson_error": [dict(full=True), dict(log_input=False), dict(log_input=False, full=True, eps=0.01, mean=False)],
    "tweedie_error": [dict(power=power, log_input=log) for power in (0.0, 1.0, 1.3, 2.0, 3.0) for log in (True, False)] + _means,
    "gaussian_nll": [dict(full=True), dict(log_variance=True), dict(log_variance=True, full=True, mean=False), dict(eps=0.5)],
    "kl_divergence": [dict(log_target=True), dict(per_row=True), dict(log_target=True, mean=False)],
    "sigmoid_focal": [dict(gamma=0.0), dict(gamma=1.0, alpha=-1.0), dict(gamma=1.7, alpha=0.6, mean=False)],
    "softmax_focal": [dict(gamma=0.0), dict(gamma=1.0), dict(gamma=1.7, mean=False)],
    "multi_margin": [dict(p=2, margin=0.7), dict(mean=False)],
    "sgd_update": [dict(weight_decay=0.1), dict(momentum=0.9, dampening=0.3, weight_decay=0.1), dict(momentum=0.9, nesterov=True),
                   dict(momentum=0.9, dampening=0.3, first=True), *_common],
    "adagrad_update": [dict(eps=0.1), dict(first=True, initial=0.2), *_common], "adadelta_update": [dict(lr=0.3, rho=0.7), *_common],
    "rmsprop_update": [dict(momentum=0.9), dict(alpha=0.9, eps=1e-3), *_common],
    "rprop_update": [dict(first=True, lr=0.1), dict(smallest=0.1, largest=0.5), *_shared],
    "adam_update": [_adam, dict(_adam, weight_decay=0.2), *_common], "adamw_update": [_adam, dict(_adam, weight_decay=0.2), *_common],
    "adamax_update": [dict(lr=0.05, correction1=0.3), *_common],
    "nadam_update": [dict(rate_d=0.01, rate_m=0.03, correction2=0.2, shrink=0.9), *_common],
    "radam_update": [dict(rectified=False), dict(rate=0.01, shrink=0.9), *_common], "lion_update": [dict(lr=0.1, beta1=0.5), *_shrunk],
    "limit_rows": [dict(limit=2.0)], "average_update": [dict(keep=0.0), dict(keep=0.7)],
    "clip_norm": [dict(max_norm=1e6)], "accumulate": [dict(share=-0.7)], "permutation": [dict(seed=5 + (3 << 50), epoch=2)],
}
"""Scalars worth trying besides the defaults; a function is called with the sizes."""


# --- calls
@dataclass(frozen=True)
class Case:
    """One call: `arguments` in the order of the signature, arrays first; `label` tells which."""

    kernel: str
    label: str
    arguments: tuple

    def fresh(self):
        """The arguments as copies of their own."""
        return [value.copy() if isinstance(value, np.ndarray) else value for value in self.arguments]


def shape_of(array, sizes, dtype):
    """The shape of one array of a signature for `sizes`, a dict of letters; "*" is a whole shape."""
    if array.dims == ("*",):
        return sizes["*"]
    sizes = dict(sizes, L=lanes(dtype), Q=packed_shape(sizes.get("O", 0), 0, dtype)[0], B=cut_count(sizes.get("I", 0)))
    return tuple(int(d) if d.isdigit() else sizes[d] for d in array.dims)


def make(kernel, sizes, dtype, absent=(), seed=0, source=None, **scalars):
    """The arguments of one call. absent: optional arrays given as None; source: the type of an ":any" array."""
    spec = reference.KERNELS[kernel].spec
    if any("K" in array.dims for array in spec.arrays):
        sizes = dict(sizes, I=sizes["K"] * sizes["O"])
    rng = np.random.default_rng([seed, *kernel.encode()])
    chosen = {name: scalars.get(name, default) for name, default in spec.scalars}
    chosen = {name: value(sizes) if callable(value) else value for name, value in chosen.items()}
    made = {**sizes, **chosen}
    for array in spec.arrays:
        kind = {"int": np.int64, "f64": np.float64, "any": source or dtype}.get(array.type, dtype)
        shape = shape_of(array, sizes, dtype)
        if array.name in absent:
            made[array.name] = None
        elif array.role == "out":
            made[array.name] = np.full(shape, POISON[np.dtype(kind).kind], kind)
        else:
            made[array.name] = np.asarray(_values(kernel, array)(rng, shape, made), kind).reshape(shape)
    return tuple(made[array.name] for array in spec.arrays) + tuple(chosen.values())


def _values(kernel, array):
    full = f"{array.name}{':int' if array.type == 'int' else ''}({','.join(array.dims)})"
    return next((VALUES[key] for key in (f"{kernel}.{array.name}", full, array.name) if key in VALUES), normal)


def sizes_of(kernel, grid=GRID, long=LONG):
    """Each dimension walked over `grid` and its further sizes, the others at BASE; some with none of all."""
    spec = reference.KERNELS[kernel].spec
    letters = list(dict.fromkeys(d for a in spec.arrays for d in a.dims if d.isalpha() and d not in "LQB" or d == "*"))
    if "K" in letters:
        letters.remove("I")  # it is K O
    if letters == ["*"]:
        shapes = [shape for n in (*grid, *long.get("*", ())) for shape in ((n,), (3, n))]
        return [{"*": shape} for shape in (*shapes, (0, 3), (2, 3, 5), ())]
    sizes = [dict(BASE, **{letter: n}) for letter in letters for n in (*grid, *long.get(letter, ()))]
    if "N" in letters and len(letters) > 1:
        sizes.append(THIN)
    if kernel.startswith("linear"):
        sizes += [dict(BASE, N=n, I=i, O=o) for n, i, o in TOGETHER]
    return [s for s in sizes if (s["C"] or kernel not in NEED_A_COLUMN) and (s["M"] or "M" not in letters)
            and (s["V"] or "V" not in letters)]


def variants(kernel):
    """(absent arrays, scalars): the defaults, each row of SCALARS, and each optional array left out where that is allowed; without `top`
    each row again, since Adam takes a shorter way where nothing but the gradient counts."""
    spec, rows = reference.KERNELS[kernel].spec, [{}, *SCALARS.get(kernel, [])]
    absent = [array.name for array in spec.arrays if array.optional]
    return [((), row) for row in rows] + [((name,), row) for name in absent for row in (rows if name == "top" else rows[:1])]


def cases(kernel, dtype, grid=GRID, long=LONG):
    """All calls of a kernel worth making: every size with the defaults, every variant at two sizes and at an empty one."""
    return [Case(kernel, f"{sizes} {absent} {row}", make(kernel, sizes, dtype, absent, **row))
            for sizes, absent, row in _calls(kernel, grid, long)]


def _calls(kernel, grid, long):
    sizes = sizes_of(kernel, grid, long)
    full = [s for s in sizes if all(np.prod(v) for v in s.values())]
    some = [full[len(full) // 2], full[-1], *[s for s in sizes if s not in full][:1], *[THIN] * (THIN in full[:-1])]
    return [(s, (), {}) for s in sizes] + [(s, absent, row) for absent, row in variants(kernel)[1:] for s in some]


# --- implementations
def books():
    """Names of the implementations that this machine can load: the reference, each compiled level, and Numba where installed."""
    found = dispatch.available()
    return ["reference", *found["cython"], *(["numba"] if found["numba"] else [])]


@functools.cache
def load(name):
    """The implementation `name` of books()."""
    if name == "reference":
        return reference
    if name == "numba":
        return dispatch.get("numba")
    return importlib.import_module(f".compiled._{name}", __package__)
