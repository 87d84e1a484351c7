"""Derivatives as functions: against PyTorch's stored results, 5-point stencils of gradients, and analytic answers."""
import functools
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import vivace.nn.functional as F
from nn_stencil import STEP, WEIGHTS, close, random_net
from vivace.kernels import tangent

import vivace as vv
from vivace import nn

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
LOSSES = {"mse": nn.MSELoss(), "mse_sum": nn.MSELoss("sum"), "cross_entropy": nn.CrossEntropyLoss(),
          "cross_entropy_smooth": nn.CrossEntropyLoss(label_smoothing=0.2),
          "cross_entropy_weighted": nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5]), "bce_logits": nn.BCEWithLogitsLoss(), "bce": nn.BCELoss()}
KIND = {"mse": "real", "mse_sum": "real", "bce_logits": "share", "bce": "share"}


@functools.cache
def torch_cases(source):
    if source == "stored":
        return json.loads((DATA / "gradient_traces.json").read_text())
    spec = importlib.util.spec_from_file_location("make_gradient_traces", DATA / "make_gradient_traces.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(json.dumps(module.traces()))


class Two(nn.Module):
    """Two dense layers around an activation; `link` behind them."""

    def __init__(self, arrays, activation, link=None):
        super().__init__()
        w1, w2 = arrays["w1"], arrays["w2"]
        self.fc1, self.fc2 = (nn.Linear(w.shape[1], w.shape[0], dtype="float64") for w in (w1, w2))
        for p, name in zip(self.parameters(), ("w1", "b1", "w2", "b2")):
            p.copy_(arrays[name])
        self.activation, self.link = getattr(F, activation), link

    def forward(self, x):
        out = self.fc2(self.activation(self.fc1(x)))
        return self.link(out) if self.link else out


def flat(gradients):
    return np.concatenate([g.reshape(len(g), -1) for g in gradients.values()], axis=1)


@pytest.mark.parametrize("source", ["stored", *(["live"] if importlib.util.find_spec("torch") else [])])
def test_equal_pytorchs(source):
    for case in torch_cases(source):
        arrays = {name: np.array(value) for name, value in case["arrays"].items()}
        name, loss, want = f"{case['activation']} {case['loss']}", LOSSES[case["loss"]], case["results"]
        model = Two(arrays, case["activation"], F.sigmoid if case["loss"] == "bce" else None)
        x, y = arrays["x"], arrays[KIND.get(case["loss"], "class")]
        by_input = lambda x, m=model, f=loss, y=y: f(m(x), y)
        by_weights = lambda m=model, f=loss, x=x, y=y: f(m(x), y)
        value, hv = vv.func.hvp(by_weights, model, arrays["vp"])
        found = {"loss": value, "input_grad": vv.func.grad(by_input)(x), "jacobian": vv.func.jacobian(model, x),
                 "hvp_input": vv.func.hvp(by_input, x, arrays["vx"])[1], "hvp_weights": hv,
                 "per_sample": flat(vv.func.per_sample_grad(model, loss, x, y))}
        assert set(found) == set(want)
        for key, array in found.items():
            np.testing.assert_allclose(array, np.array(want[key]), rtol=1e-9, atol=1e-9, err_msg=f"{name}: {key}")
        assert all(p.grad is None for p in model.parameters())


# --- products with the Hessian, against differences of gradients that test_gradients.py proves

def along(gradient, x, v):
    """d/dh of gradient(x + h v)"""
    return sum(weight * gradient(x + place * STEP * v) for place, weight in WEIGHTS) / STEP


def around(rng, shape):
    return rng.uniform(0.05, 2, shape) * rng.choice([-1.0, 1.0], shape)


UNARY = {**{name: getattr(F, name) for name in
            ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "softmax")},
         "scale": lambda x: 1.5 - 0.7 * x, "power": lambda x: x ** 3, "square": lambda x: x ** 2, "root": lambda x: F.sigmoid(x) ** 0.5,
         "power 0": lambda x: x + x ** 0, "power of a number": lambda x: 2 ** (x * F.tanh(x)),
         "reciprocal": lambda x: 1.0 / (F.sigmoid(x) + 0.5),
         "divide": lambda x: F.tanh(x) / (x * x + 1.0),
         "subtract": lambda x: x * x - F.tanh(x), "slices": lambda x: F.cat([x[:, 1:3], x * x, x[:, 0:1]]),
         "index": lambda x: (x * x)[[0, 2, 0]], "broadcast": lambda x: x * F.tanh(x[0]), "matmul": lambda x: F.tanh(x) @ F.matmul(
             np.ones((5, 7)) * 0.3, x),
         "reshape": lambda x: (x * x).reshape(5, 7) * 0.5, "mean": lambda x: F.tanh(x) * x.mean(), "sum of squares": lambda x: x.sum() ** 2,
         "dropout": lambda x: F.tanh(F.dropout(x, 0.0) * x)}


@pytest.mark.parametrize("name", UNARY)
def test_hvp_through_each_operation(name):
    rng = np.random.default_rng(len(name))
    x, v = around(rng, (7, 5)), rng.normal(size=(7, 5))
    weight = np.asarray(rng.uniform(0.5, 2, UNARY[name](nn.Tensor(x)).shape))

    def f(x):
        y = UNARY[name](x)
        return (y * weight * F.tanh(y)).sum()
    value, product = vv.func.hvp(f, x, v)
    close(product, along(vv.func.grad(f), x, v), name)
    close(value, f(nn.Tensor(x)).numpy(), name)
    direction = vv.func.jvp(lambda x: UNARY[name](x) * weight, x, v)[1]
    close(direction, along(lambda x: (UNARY[name](nn.Tensor(x)) * weight).numpy(), x, v), f"{name}, jvp")


def _classes(rng, z):
    return rng.integers(0, z.shape[1], len(z))


def _reals(rng, z):
    return rng.normal(size=z.shape)


def _shares(rng, z):
    return rng.uniform(0, 1, z.shape)


LOSS_CASES = {
    "mse": (nn.MSELoss(), _reals), "mse sum": (nn.MSELoss("sum"), _reals),
    "ce": (nn.CrossEntropyLoss(), _classes), "ce sum": (nn.CrossEntropyLoss(reduction="sum"), _classes),
    "ce smooth": (nn.CrossEntropyLoss(label_smoothing=0.2), _classes),
    "ce soft": (nn.CrossEntropyLoss(), _shares),
    "ce weighted": (nn.CrossEntropyLoss(weight=[1, 2, 0.5, 0.1]), _classes),
    "ce smooth weighted": (nn.CrossEntropyLoss(weight=[1, 2, 0.5, 0.1], label_smoothing=0.2), _classes),
    "ce probabilities": (nn.CrossEntropyLoss(from_logits=False), _classes),
    "ce probabilities soft": (nn.CrossEntropyLoss(from_logits=False), _shares),
    "bce": (nn.BCELoss(), _shares), "bce sum": (nn.BCELoss("sum"), _shares), "bce logits": (nn.BCEWithLogitsLoss(), _shares),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSS_CASES)
def test_hvp_of_each_loss(name, weighted):
    loss, target = LOSS_CASES[name]
    rng = np.random.default_rng(len(name))
    z, v = rng.uniform(0.2, 0.8, (9, 4)), rng.normal(size=(9, 4))
    t, w = target(rng, z), rng.uniform(0.5, 2, 9) if weighted else None
    squared = lambda z: 0.5 * loss(1.0 - F.sigmoid(z * z), t, w) ** 2
    for what, f in (("alone", lambda z: loss(z, t, w)), ("behind a network, squared", squared)):
        close(vv.func.hvp(f, z, v)[1], along(vv.func.grad(f), z, v), f"{name}, {what}")


def test_every_rule_is_reached_by_a_case():
    """A kernel with a rule is one that an operation or loss above calls."""
    activations = {f"{name}_{way}" for name in (*tangent.CURVATURES, "softmax") for way in ("forward", "backward")}
    calls = {"linear_forward", "linear_backward_input", "linear_backward_weight", "add", "subtract", "multiply", "divide", "scale", "power",
             "fill", "copy_columns", "exp", "dropout_forward", "dropout_backward"}
    assert set(tangent.RULES) == activations | calls
    assert len(tangent.LOSS_CURVATURES) == 8


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8])
def test_hvp_of_random_networks(seed):
    """By the parameters, with layers and biases that are used twice; f is a vector's function, so the stencil can move it."""
    rng = np.random.default_rng(seed)
    model = random_net(seed)
    for _ in range(200):
        model.margin = np.inf
        x = rng.normal(size=(5, 6))
        model(x)
        if model.margin > 0.02:
            break
    t, names = rng.normal(size=(5, 4)), [n for n, _ in model.named_parameters()]
    start = {n: p.numpy().copy() for n, p in model.named_parameters()}
    v = {n: rng.normal(size=part.shape) for n, part in start.items()}
    length = np.sqrt(sum((part ** 2).sum() for part in v.values()))
    v = {n: part / length for n, part in v.items()}

    def gradient(h):
        for n, p in model.named_parameters():
            p.copy_(start[n] + h * v[n])
        model.zero_grad()
        F.mse_loss(model(x), t).backward()
        found = {n: np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy() for n, p in model.named_parameters()}
        model.zero_grad()
        return found
    moved = [gradient(place * STEP) for place, _ in WEIGHTS]
    gradient(0)
    products = vv.func.hvp(lambda: F.mse_loss(model(x), t), model, v)[1]
    for n in names:
        close(products[n], sum(weight * part[n] for (_, weight), part in zip(WEIGHTS, moved)) / STEP, f"net {seed}: {n}")
    vector = np.concatenate([v[n].reshape(-1) for n in names])
    as_vector = vv.func.hvp(lambda: F.mse_loss(model(x), t), model, vector)[1]
    assert np.array_equal(as_vector, np.concatenate([products[n].reshape(-1) for n in names]))


def test_dropout_draws_one_mask_for_value_and_product():
    vv.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 40, dtype="float64"), nn.Tanh(), nn.Dropout(0.5), nn.Linear(40, 1, dtype="float64"))
    x = np.random.default_rng(0).normal(size=(5, 6))
    v = np.ones((5, 6))

    def f(x):
        model.__dict__["forwards"] = 7  # the step, of which the mask is a function
        return (model(x) ** 2).sum()
    close(vv.func.hvp(f, x, v)[1], along(vv.func.grad(f), x, v), "dropout")


# --- the forms of inputs and results, on functions whose derivatives are known

A = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [4.0, 0.0, 5.0]])


def quadratic(x):
    return 0.5 * (x * F.matmul(x, A)).sum()  # x A xᵀ / 2


def test_quadratic_form():
    x, v = np.array([[1.0, -2.0, 0.5]]), np.array([[0.3, 0.1, -0.7]])
    S = (A + A.T) / 2
    close(vv.func.grad(quadratic)(x), x @ S, "grad")
    close(vv.func.hvp(quadratic, x, v)[1], v @ S, "hvp")
    close(vv.func.hessian(quadratic, x).reshape(3, 3), S, "hessian")
    close(vv.func.jacobian(lambda x: F.matmul(x, A), x)[0, :, 0], A.T, "jacobian")
    value, product = vv.func.vjp(lambda x: F.matmul(x, A), x, v)
    close(product, v @ A.T, "vjp")
    close(value, x @ A, "vjp's value")
    close(vv.func.jvp(lambda x: F.matmul(x, A), x, v)[1], v @ A, "jvp")


def test_several_inputs():
    a, b = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]])
    f = lambda a, b: (a * a * b).sum()
    da, db = vv.func.grad(f, argnums=(0, 1))(a, b)
    close(da, 2 * a * b, "da")
    close(db, a * a, "db")
    assert np.array_equal(vv.func.grad(f, argnums=-1)(a, b), db)
    gradient, value = vv.func.grad_and_value(f)(a, b)
    assert value == -1.0 and np.array_equal(gradient, da)
    va, vb = np.array([[1.0, 0.0]]), np.array([[0.5, 1.0]])
    pa, pb = vv.func.hvp(f, (a, b), (va, vb))[1]
    close(pa, 2 * b * va + 2 * a * vb, "pa")
    close(pb, 2 * a * va, "pb")
    ja, jb = vv.func.jacobian(lambda a, b: a * b, (a, b))
    close(ja[0, :, 0], np.diag(b[0]), "ja")
    close(jb[0, :, 0], np.diag(a[0]), "jb")
    one, other = vv.func.grad(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(a, a)  # one array twice is two inputs
    close(one, a * a, "one")
    close(other, 2 * a * a, "other")


def test_what_a_result_does_not_depend_on_is_zero():
    x = np.ones((2, 3))
    assert np.array_equal(vv.func.grad(lambda x: nn.Tensor(np.ones(())))(x), np.zeros((2, 3)))
    assert np.array_equal(vv.func.hvp(lambda x: (3.0 * x).sum(), x, x)[1], np.zeros((2, 3)))
    assert np.array_equal(vv.func.jacobian(lambda x: x, x).reshape(6, 6), np.eye(6))
    assert np.array_equal(vv.func.jvp(lambda x: x, x, 2 * x)[1], 2 * x)
    frozen = nn.Linear(3, 1).requires_grad_(False)
    assert vv.func.grad(lambda x: frozen(x).sum())(x.astype(np.float32)).shape == (2, 3)


def test_inside_no_grad_and_without_leaving_traces():
    model, x = nn.Linear(3, 2, dtype="float64"), np.ones((4, 3))
    model(x).sum().backward()
    before = model.weight.grad.numpy().copy()
    with vv.no_grad():
        assert np.array_equal(vv.func.grad(lambda x: model(x).sum())(x), np.tile(model.weight.numpy().sum(axis=0), (4, 1)))
        assert not model(x).requires_grad
    assert np.array_equal(model.weight.grad.numpy(), before)


@pytest.mark.parametrize("rows", [0, 1, 6])
def test_batch_jacobian_is_the_blocks_of_the_jacobian(rows):
    model = random_net(4)
    x = np.random.default_rng(1).normal(size=(rows, 6))
    blocks = vv.func.batch_jacobian(model, x)
    whole = vv.func.jacobian(model, x)
    assert blocks.shape == (rows, 4, 6) and whole.shape == (rows, 4, rows, 6)
    for n in range(rows):
        close(blocks[n], whole[n, :, n], "block")
    v = np.random.default_rng(2).normal(size=x.shape)
    close(np.einsum("noi,ni->no", blocks, v), vv.func.jvp(model, x, v)[1], "jvp")


# --- per-sample gradients, against the gradient of each row alone

def alone(model, loss, x, y):
    rows = []
    for n in range(len(x)):
        model.zero_grad()
        loss(model(x[n:n + 1]), y[n:n + 1]).backward()
        rows.append({name: np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy() for name, p in model.named_parameters()})
    model.zero_grad()
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


class Scaled(nn.Module):
    """A parameter outside of any dense layer: the rows are run one by one."""

    def __init__(self):
        super().__init__()
        self.fc, self.gain = nn.Linear(6, 4, dtype="float64"), nn.Parameter(np.linspace(0.5, 2, 4))

    def forward(self, x):
        return self.fc(x) * self.gain


@pytest.mark.parametrize("name", ["mse", "mse sum", "ce", "ce sum", "ce weighted", "ce smooth weighted", "bce logits"])
@pytest.mark.parametrize("make", [lambda: random_net(0), lambda: random_net(5), Scaled], ids=["net 0", "net 5", "scaled"])
def test_per_sample_gradients_are_those_of_rows_alone(make, name):
    loss, target = LOSS_CASES[name]
    rng, model = np.random.default_rng(3), make()
    x = rng.normal(size=(5, 6))
    y = target(rng, np.zeros((5, 4)))
    found, want = vv.func.per_sample_grad(model, loss, x, y), alone(model, loss, x, y)
    assert list(found) == list(want)
    for key in want:
        np.testing.assert_allclose(found[key], want[key], rtol=1e-12, atol=1e-14, err_msg=key)


def test_per_sample_gradients_of_dense_networks_take_one_forward(monkeypatch):
    model, calls = random_net(0), []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, x: calls.append(len(x)) or forward(self, x))
    vv.func.per_sample_grad(model, nn.MSELoss(), np.ones((50, 6)), np.ones((50, 4)))
    assert calls == [50]
    empty = vv.func.per_sample_grad(model, nn.MSELoss(), np.ones((0, 6)), np.ones((0, 4)))
    assert all(g.shape == (0, *p.shape) for g, (_, p) in zip(empty.values(), model.named_parameters()))


def test_float32_stays_float32():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)), np.ones((5, 3), np.float32)
    y, loss = np.ones((5, 2), np.float32), nn.MSELoss()
    f = lambda x: loss(model(x), y)
    assert vv.func.hvp(f, x, x)[1].dtype == vv.func.jacobian(model, x).dtype == np.float32
    assert {g.dtype for g in vv.func.per_sample_grad(model, loss, x, y).values()} == {np.dtype(np.float32)}
    assert {g.dtype for g in vv.func.hvp(lambda: f(x), model, {n: p.numpy() for n, p in model.named_parameters()})[1].values()} \
        == {np.dtype(np.float32)}


def test_errors_name_the_argument():
    x, model = np.ones((2, 3)), nn.Linear(3, 2, dtype="float64")
    with pytest.raises(ValueError, match=r"f must return one element, got shape \(2, 3\)"):
        vv.func.grad(lambda x: x * x)(x)
    with pytest.raises(TypeError, match="f must return a Tensor .*, got float"):
        vv.func.grad(lambda x: 3.0)(x)
    with pytest.raises(TypeError, match="inputs must be float32 or float64, got int64"):
        vv.func.jacobian(lambda x: x, np.ones((2, 2), np.int64))
    with pytest.raises(ValueError, match=r"v must have shape \(2, 3\), got \(3,\)"):
        vv.func.hvp(lambda x: x.sum(), x, np.ones(3))
    with pytest.raises(ValueError, match="argnums must name one of the 1 arguments, got 1"):
        vv.func.grad(lambda x: x.sum(), argnums=1)(x)
    with pytest.raises(ValueError, match=r"vector \(P,\) = \(8,\), got shape \(7,\)"):
        vv.func.hvp(lambda: model(x).sum(), model, np.ones(7))
    with pytest.raises(ValueError, match="names weight, bias, got weight"):
        vv.func.hvp(lambda: model(x).sum(), model, {"weight": np.ones((2, 3))})
    with pytest.raises(ValueError, match="at least one parameter"):
        vv.func.hvp(lambda: model(x).sum(), nn.ReLU(), np.ones(7))
    with pytest.raises(ValueError, match=r"f must map x \(N, I\) to \(N, O\), got \(2, 3\) to \(\)"):
        vv.func.batch_jacobian(lambda x: x.sum(), x)
    with pytest.raises(TypeError, match="give the Module as inputs"):
        vv.func.jacobian(lambda w: w, model.weight)
    with pytest.raises(TypeError, match="loss must be an nn.Loss, got function"):
        vv.func.per_sample_grad(model, lambda a, b: a, x, x)
    with pytest.raises(ValueError, match="X must have shape"):
        vv.func.per_sample_grad(model, nn.MSELoss(), x, np.ones((3, 2)))
    with pytest.raises(NotImplementedError, match="no rule for the derivative of the kernel permutation"):
        _ = tangent.Tangents(vv.kernels.get()).permutation
