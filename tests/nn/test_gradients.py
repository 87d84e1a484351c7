"""Every derivative against a 5-point stencil, in float64: operations one by one, losses, and whole random networks."""
import zlib
from copy import copy

import numpy as np
import pytest
import vivace.nn.functional as F
from nn_stencil import SIZES, along, check_gradient, close, random_net
from vivace.nn import eager_ops, layer_ops, ops
from vivace.nn.losses import TABLE as LOSSES

import vivace as vv
from vivace import nn

BACKENDS = ("cython", "numpy")
PAIRS = [(n, i) for a, n in enumerate(SIZES) for b, i in enumerate(SIZES) if (a + b) % 3 == 0 or n == i < 2]
"""Every size with four others, on either side."""


def around(rng, shape, low=0.05, high=2.0):
    """Values of both signs that keep `low` away from 0."""
    return rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


KINKS = {"hardtanh": 1.0, "softshrink": 0.5, "hardshrink": 0.5, "hardswish": 3.0, "hardsigmoid": 3.0}


def clear(function, x):
    """x, moved away from where the activation has a kink besides 0."""
    near = np.abs(np.abs(x) - KINKS.get(function, 100.0)) < 0.02
    return np.where(near, x + 0.05 * np.sign(x), x)


def seeded(op, step):
    op.seed, op.place, op.step = 5, 2, step
    return op


def positive(rng, shape):
    return rng.uniform(0.5, 2.0, shape)


def generator(*key):
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


# operation -> rng, n, i -> [(operation, inputs)]; an operation of the table without an entry here fails the first test
CASES = {
    "linear": lambda rng, n, i: [
        (ops.Linear(), [around(rng, (n, i)), around(rng, (o, i)), around(rng, (o,)) if biased else None])
        for o, biased in ((SIZES[(n * 7 + i) % 11], True), (SIZES[(n + i * 3) % 11], False))],
    "activation": lambda rng, n, i: [(ops.Activation(f, alpha), [clear(f, around(rng, (n, i)))]) for f, alpha in ACTIVATIONS],
    "add": lambda rng, n, i: [(ops.Add(), [around(rng, (n, i)), around(rng, (n, i))])],
    "subtract": lambda rng, n, i: [(ops.Subtract(), [around(rng, (n, i)), around(rng, (n, i))])],
    "multiply": lambda rng, n, i: [(ops.Multiply(), [around(rng, (n, i)), around(rng, (n, i))])],
    "divide": lambda rng, n, i: [(ops.Divide(), [around(rng, (n, i)), around(rng, (n, i), 0.5)])],
    "scale": lambda rng, n, i: [(ops.Scale(a, b), [around(rng, (n, i))]) for a, b in ((1.0, 2.5), (-0.75, 0.0), (0.0, 1.0))],
    "power": lambda rng, n, i: [(ops.Power(2.0), [around(rng, (n, i))]), (ops.Power(-1.5), [positive(rng, (n, i))]),
                                (ops.Power(0.0), [around(rng, (n, i))])],
    "exponential": lambda rng, n, i: [(eager_ops.Exponential(base), [around(rng, (n, i))]) for base in (2.0, 0.3)],
    "concatenate": lambda rng, n, i: [(ops.Concatenate(), [around(rng, (n, w)) for w in (i, 1, i // 2)])],
    "slice": lambda rng, n, i: [(ops.Slice(*sorted(map(int, rng.integers(0, i + 1, 2)))), [around(rng, (n, i))])],
    "dropout": lambda rng, n, i: [(ops.Dropout(p, seed=5, place=2, step=n), [around(rng, (n, i))]) for p in (0.1, 0.5, 1.0)],
    # a large eps keeps the curvature within what the stencil sees
    "batch_norm": lambda rng, n, i: [] if n == 1 else [
        (layer_ops.BatchNorm(0.5), [around(rng, (n, i)), positive(rng, i), around(rng, (i,)), None, None, None]),
        (layer_ops.BatchNorm(0.5), [around(rng, (n, i)), None, None, None, None, None]),
        (layer_ops.BatchNorm(0.5, training=False),
         [around(rng, (n, i)), positive(rng, i), around(rng, (i,)), around(rng, (i,)), positive(rng, i), None])],
    "layer_norm": lambda rng, n, i: [
        (layer_ops.LayerNorm(0.5, centred), [around(rng, (n, i)), positive(rng, i), around(rng, (i,)) if centred else None])
        for centred in (True, False)] + [(layer_ops.LayerNorm(0.5), [around(rng, (n, i)), None, None])],
    "prelu": lambda rng, n, i: [(layer_ops.PReLU(), [around(rng, (n, i)), positive(rng, (width,))]) for width in {1, i}],
    "gaussian_noise": lambda rng, n, i: [(seeded(layer_ops.GaussianNoise(0.3), n), [around(rng, (n, i))])],
    "rrelu": lambda rng, n, i: [(seeded(layer_ops.RReLU(), n), [around(rng, (n, i))])],
    "embedding": lambda rng, n, i: [(layer_ops.Embedding(-1), [rng.integers(0, 7, (n, i)), around(rng, (7, 5))])],
    "embedding_bag": lambda rng, n, i: [  # no two elements of the table are near: the largest has a kink there
        (layer_ops.EmbeddingBag(mode, -1), [rng.integers(-1, 7, (n, i)), rng.permutation(35).reshape(7, 5) / 10]) for mode in range(3)],
    # operations of custom loops
    "reshape": lambda rng, n, i: [(eager_ops.Reshape((i, n)), [around(rng, (n, i))])],
    "index": lambda rng, n, i: [(eager_ops.Index(key), [around(rng, (n, i))]) for key in
                                ((slice(None, None, 2), slice(1, None)), np.zeros(min(n, 3), np.int64))],
    "sum_along": lambda rng, n, i: [(eager_ops.SumAlong(axes, keep), [around(rng, (n, i))]) for axes in ((0,), (1,), (0, 1), (-1,))
                                    for keep in (False, True)],
    "transpose": lambda rng, n, i: [(eager_ops.Transpose(), [around(rng, (n, i))])],
    "broadcast": lambda rng, n, i: [(eager_ops.Broadcast((n, i)), [around(rng, shape)]) for shape in ((i,), (1, i), (n, 1), ())],
    "sum": lambda rng, n, i: [(eager_ops.Sum(), [around(rng, (n, i))])],
    "matmul": lambda rng, n, i: [(eager_ops.MatMul(), [around(rng, (n, i)), around(rng, (i, SIZES[(n + i) % 11]))])],
}
CONSTANT = {"batch_norm": (3, 4, 5), "embedding": (0,), "embedding_bag": (0,)}
"""Inputs that get no gradient."""
ALPHAS = {"leaky_relu": (None, 0.3, 0.0), "elu": (None, 0.4)}
ACTIVATIONS = [(f, alpha) for f in ops.ACTIVATIONS for alpha in ALPHAS.get(f, (None,))]


def test_every_operation_has_a_case():
    eager = {op.name for op in vars(eager_ops).values() if isinstance(op, type) and issubclass(op, ops.Op) and op.name}
    assert set(CASES) == set(ops.TABLE) | eager - {"loss_value"}


def run_op(k, op, arrays):
    shapes = [None if a is None else a.shape for a in arrays]
    y = np.full(op.shape(*shapes), np.nan)
    kept = op.keeps(*shapes) if op.keeps else ()
    op.kept = [np.full(shape, np.nan if kind == "real" else -7, float if kind == "real" else np.int64) for shape, kind in kept]
    op.forward(k, y, *arrays)
    return y


def with_input(k, op, arrays, place):
    """x -> the result of op with input number `place` replaced."""
    return lambda x: run_op(k, copy(op), [*arrays[:place], x, *arrays[place + 1:]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_operation(name, backend):
    k = vv.kernels.get(backend)
    for n, i in PAIRS:
        rng = generator(name, n, i)
        for op, arrays in CASES[name](rng, n, i):
            what = f"{name} {op.attributes()} {[None if a is None else a.shape for a in arrays]}"
            y = run_op(k, op, arrays)
            dy = around(rng, y.shape, 0.5)
            needs = [a is not None and p not in CONSTANT.get(name, ()) for p, a in enumerate(arrays)]
            kept = [None if a is None else a.copy() for a in arrays]
            gradients = op.backward(k, lambda like: np.full(like.shape, np.nan), needs, dy, y, *arrays)
            for place, (array, gradient) in enumerate(zip(arrays, gradients)):
                if needs[place]:
                    assert np.array_equal(array, kept[place]), f"{what} writes to its input"
                    check_gradient(with_input(k, op, arrays, place), array, gradient, dy, rng, f"{what}, input {place}", 3)
            for place in np.flatnonzero(needs):  # a gradient does not depend on which others are asked for
                only = [p == place for p in range(len(arrays))]
                alone = op.backward(k, lambda like: np.full(like.shape, np.nan), only, dy, y, *arrays)
                assert np.array_equal(alone[place], gradients[place]), what


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function, alpha", ACTIVATIONS)
def test_activation_element_by_element(function, alpha, backend):
    """All elements of one large input, far into both tails."""
    k, op = vv.kernels.get(backend), ops.Activation(function, alpha)
    rng = generator(function)
    x = np.concatenate([around(rng, (40, 17)), rng.choice([-1.0, 1.0], (40, 17)) * rng.uniform(2, 8, (40, 17))])
    x = clear(function, x)
    y, dy = run_op(k, op, [x]), around(rng, x.shape, 0.5)
    dx, = op.backward(k, np.empty_like, [True], dy, y, x)
    if "softmax" in function:
        for column in range(17):
            direction = np.zeros(x.shape)
            direction[:, column] = 1
            rows = [slice(n, n + 1) for n in range(len(x))]
            numeric = [along(lambda part: run_op(k, op, [part]), x[row], direction[row], dy[row]) for row in rows]
            close(dx[:, column], np.array(numeric), f"softmax, class {column}")
        return
    difference = sum(weight * run_op(k, op, [x + place * 1e-3]) for place, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)))
    close(dx, difference * dy / 12e-3, function)


# loss kernel -> rng, n, c -> predictions, targets, scalars to try
def _logits(rng, n, c):
    return rng.normal(0, 2, (n, c))


def _probabilities(rng, n, c):
    return rng.uniform(0.2, 1, (n, c))  # rows need not sum to one; near 0 the stencil, not the kernel, would be wrong


LOSS_CASES = {
    "squared_error": lambda rng, n, c: (_logits(rng, n, c), _logits(rng, n, c), [{}]),
    "softmax_cross_entropy": lambda rng, n, c: (_logits(rng, n, c), rng.integers(0, max(c, 1), n),
                                                [{"label_smoothing": 0.0}, {"label_smoothing": 0.15}, {"label_smoothing": 1.0}]),
    "softmax_cross_entropy_weighted": lambda rng, n, c: (_logits(rng, n, c), rng.integers(0, max(c, 1), n), [
        {"constants": [rng.uniform(0.5, 2, c)], "label_smoothing": smoothing} for smoothing in (0.0, 0.15, 1.0)]),
    "softmax_cross_entropy_soft": lambda rng, n, c: (_logits(rng, n, c), rng.uniform(0, 1, (n, c)), [{}]),
    "cross_entropy": lambda rng, n, c: (_probabilities(rng, n, c), rng.integers(0, max(c, 1), n), [{}]),
    "cross_entropy_soft": lambda rng, n, c: (_probabilities(rng, n, c), rng.uniform(0, 1, (n, c)), [{}]),
    "binary_cross_entropy": lambda rng, n, c: (rng.uniform(0.1, 0.9, (n, c)), rng.uniform(0, 1, (n, c)), [{}]),
    "binary_cross_entropy_logits": lambda rng, n, c: (around(rng, (n, c), 0.05, 4), rng.uniform(0, 1, (n, c)), [{}]),
}


def test_every_loss_kernel_has_a_case():
    assert set(LOSS_CASES) == set(vv.kernels.reference.losses.__all__) - {"mean_loss"}


def loss_of(k, op, t, w):
    """z -> the batch's loss."""
    def value(z):
        l, s = np.empty(len(z)), np.empty(2)
        op.rows(k, z, t, w, l, None)
        k.mean_loss(l, w, s)
        return np.array(s[0] if not op.mean else s[0] / s[1] if s[1] else 0.0)
    return value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kernel", LOSS_CASES)
def test_loss_kernel(kernel, backend):
    k = vv.kernels.get(backend)
    for n, c in PAIRS:
        if c == 0 and "cross_entropy" in kernel:
            continue  # cross-entropies ask for a class
        rng = generator(kernel, n, c)
        z, t, choices = LOSS_CASES[kernel](rng, n, c)
        for options in choices:
            for mean in (True, False):
                for w in (None, rng.uniform(0, 2, n)):
                    op, dz = ops.Loss(kernel, mean, **options), np.full(z.shape, np.nan)
                    op.rows(k, z, t, w, np.empty(n), dz)
                    check_gradient(loss_of(k, op, t, w), z, dz, None, rng,
                                   f"{kernel} ({n}, {c}) mean={mean} weights={w is not None} {sorted(options)}", 2)


# loss modules: the gradient that reaches a leaf through the whole eager path
MODULES = {
    "mse": (nn.MSELoss(), "real"), "mse sum": (nn.MSELoss("sum"), "real"),
    "ce": (nn.CrossEntropyLoss(), "class"), "ce sum": (nn.CrossEntropyLoss(reduction="sum"), "class"),
    "ce soft": (nn.CrossEntropyLoss(), "soft"), "ce smooth": (nn.CrossEntropyLoss(label_smoothing=0.2), "class"),
    "ce smooth soft": (nn.CrossEntropyLoss(label_smoothing=0.2), "soft"),
    "ce class weights": (nn.CrossEntropyLoss(weight=[1, 2, 0.5, 0.1]), "class"),
    "ce probabilities": (nn.CrossEntropyLoss(from_logits=False), "class"),
    "ce probabilities soft": (nn.CrossEntropyLoss(from_logits=False), "soft"),
    "bce": (nn.BCELoss(), "share"), "bce sum": (nn.BCELoss("sum"), "share"),
    "bce logits": (nn.BCEWithLogitsLoss(), "share"), "bce logits sum": (nn.BCEWithLogitsLoss("sum"), "share"),
}


def test_every_loss_module_has_a_case():
    """Those of regression_losses.py and classification_losses.py are in test_loss_families.py."""
    families = {"vivace.nn.regression_losses", "vivace.nn.classification_losses"}
    assert {type(loss).__name__ for loss, _ in MODULES.values()} == {n for n, cls in LOSSES.items() if cls.__module__ not in families}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_loss_module(name, weighted):
    loss, kind = MODULES[name]
    rng = generator(name)
    z = rng.uniform(0.2, 0.8, (17, 4)) if name.startswith(("ce prob", "bce")) else _logits(rng, 17, 4)
    t = {"real": _logits(rng, 17, 4), "class": rng.integers(0, 4, 17), "soft": _probabilities(rng, 17, 4),
         "share": rng.uniform(0, 1, (17, 4))}[kind]
    w = rng.uniform(0.5, 2, 17) if weighted else None
    leaf = nn.Tensor(z, requires_grad=True)
    loss(leaf, t, w).backward()
    check_gradient(lambda x: loss(x, t, w).numpy(), z, leaf.grad.numpy(), None, rng, name, 68)
    # a factor behind the loss, and a link that is merged into it
    leaf.grad = None
    (3.0 * loss(leaf, t, w)).backward()
    check_gradient(lambda x: 3.0 * loss(x, t, w).numpy(), z, leaf.grad.numpy(), None, rng, f"3 * {name}", 5)
    if loss.link and (kind != "real") and "logits" not in name and (name.startswith("bce") or "prob" in name):
        link = {"softmax": F.softmax, "sigmoid": F.sigmoid}[loss.link]
        leaf = nn.Tensor(_logits(rng, 17, 4), requires_grad=True)
        loss(link(leaf), t, w).backward()
        check_gradient(lambda x: loss(link(nn.Tensor(x)), t, w).numpy(), leaf.numpy(), leaf.grad.numpy(), None, rng,
                       f"{name} merged", 68)


@pytest.mark.parametrize("seed", sorted(set(range(17)) - {9}))  # the ELU of number 9 gets inputs near its kink only
def test_random_network(seed):
    """All parameters of a random graph, and its input."""
    rng = generator("net", seed)
    model = random_net(seed)
    for _ in range(200):  # an input that keeps every kink at a distance
        model.margin = np.inf
        x = nn.Tensor(rng.normal(size=(5, 6)), requires_grad=True)
        t, w = rng.normal(size=(5, 4)), rng.uniform(0.5, 2, 5)
        loss = F.mse_loss(model(x), t, weight=w)
        if model.margin > 0.02:
            break
    else:
        raise AssertionError("no input was far from all kinks")
    loss.backward()

    def value():
        return F.mse_loss(model(x.numpy()), t, weight=w).numpy()

    for name, p in model.named_parameters():
        if p.grad is None:
            continue
        original = p.numpy().copy()
        gradient = p.grad.numpy().copy()

        def of(values, p=p):
            p.copy_(values)
            return value()
        check_gradient(of, original, gradient, None, rng, f"net {seed}: {name}", 12)
        p.copy_(original)
    check_gradient(lambda v: F.mse_loss(model(v), t, weight=w).numpy(), x.numpy().copy(), x.grad.numpy(), None, rng,
                   f"net {seed}: x", 20)
    assert sum(p.grad is not None for p in model.parameters()) >= 2
