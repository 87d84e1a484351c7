"""Layers and activations: against PyTorch's stored results, formulas in mpmath, at the ends of the number range, and their refusals."""
import json
import pathlib

import mpmath
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
TRACES = json.loads((DATA / "layer_traces.json").read_text())["traces"]


def numbers(shape, start):
    return 1.7 * np.sin(1.3 * np.arange(start, start + int(np.prod(shape))) ** 1.5).reshape(shape)


def close(got, expected, atol=1e-10):
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-10, atol=atol)


@pytest.mark.parametrize("name", TRACES)
def test_equals_pytorch(name):
    """Value, all gradients and buffers in float64, within 1e-10. make_layer_traces.py has the same inputs."""
    found, kind = TRACES[name], name.split()[0]
    module = getattr(nn, kind)(**found["options"]).double()
    for i, p in enumerate(module.parameters()):
        p.copy_(numbers(p.shape, 100 * (i + 1)))
    if kind == "RReLU":
        module.eval()
    lookup = kind.startswith("Embedding")
    for step in range(2 if kind.startswith("BatchNorm") else 1):
        x = (np.arange(15) * 7 % 9).reshape(5, 3) if lookup else nn.Tensor(numbers((5, 6), 11 * step + 1), requires_grad=True)
        y = module(x)
    close(y.numpy(), found["y"])
    y.backward(numbers(y.shape, 50))
    # PyTorch rounds hardsigmoid's 1/6 and CELU's 1 / alpha to float32 in its gradients: test_gradients_that_pytorch_rounds
    atol = {"Hardsigmoid": 2e-8, "CELU": 3e-7}.get(kind, 1e-10)
    gradients = [None if lookup else x.grad, *[p.grad for p in module.parameters()]]
    for got, expected in zip(gradients, found["gradients"], strict=True):
        if got is not None:
            close(got.numpy(), expected, atol)
    assert dict(module.named_buffers()).keys() == found["buffers"].keys()
    for key, b in module.named_buffers():
        close(b.numpy(), found["buffers"][key])
        assert b.numpy().dtype == (np.int64 if key == "num_batches_tracked" else np.float64)
    if "eval" in found:
        close(module.eval()(x).numpy(), found["eval"])


ELSEWHERE = {
    "Dropout": "test_dropout_by_its_mask", "GaussianNoise": "test_noise_passes_its_gradient", "Residual": "test_residual_by_hand",
    "Flatten": "test_residual_and_flatten", "Sequential": "test_residual_by_hand", "ModuleList": "tests/nn/test_module.py",
}


def test_every_layer_has_an_oracle():
    """PyTorch's trace, or the test named here."""
    rooms = (nn.layers, nn.activations, nn.normalisation, nn.embedding)
    layers = {name for room in rooms for name, cls in vars(room).items()
              if isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == room.__name__ and not name.startswith("_")}
    assert layers == {name.split()[0] for name in TRACES} | set(ELSEWHERE)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_dropout_by_its_mask(p):
    """PyTorch's definition, given which elements were kept: x / (1 - p) there, and so their gradients; a share p is dropped."""
    layer, x = nn.Dropout(p), nn.Tensor(numbers((400, 33), 1), requires_grad=True)
    y, dy = layer(x), numbers((400, 33), 50)
    y.backward(dy)
    kept = y.numpy() != 0
    factor = 1 / (1 - p) if p < 1 else 0.0
    close(y.numpy(), np.where(kept, factor * x.numpy(), 0))
    close(x.grad.numpy(), np.where(kept, factor * dy, 0))
    assert abs((~kept).mean() - p) < 0.02 and (layer.eval()(x).numpy() == x.numpy()).all()


def test_noise_passes_its_gradient():
    x = nn.Tensor(numbers((5, 6), 1), requires_grad=True)
    nn.GaussianNoise(0.5)(x).backward(numbers((5, 6), 50))
    close(x.grad.numpy(), numbers((5, 6), 50))


def test_residual_by_hand():
    """y = x + W x + b: the gradients by the rules for matrices."""
    layer = nn.Residual(nn.Sequential(nn.Linear(6, 6))).double()
    for i, p in enumerate(layer.parameters()):
        p.copy_(numbers(p.shape, 100 * (i + 1)))
    x, dy = nn.Tensor(numbers((5, 6), 1), requires_grad=True), numbers((5, 6), 50)
    y = layer(x)
    y.backward(dy)
    w, b = (p.numpy() for p in layer.parameters())
    close(y.numpy(), x.numpy() + x.numpy() @ w.T + b)
    close(x.grad.numpy(), dy + dy @ w)
    for p, expected in zip(layer.parameters(), (dy.T @ x.numpy(), dy.sum(0))):
        close(p.grad.numpy(), expected)


@pytest.mark.parametrize("function, slope", [
    (F.hardsigmoid, lambda x: mpmath.mpf(1) / 6 if -3 < x < 3 else mpmath.mpf(0)),
    (lambda x: F.celu(x, 0.6), lambda x: mpmath.exp(x / mpmath.mpf(0.6)) if x < 0 else mpmath.mpf(1))], ids=["hardsigmoid", "celu"])
def test_gradients_that_pytorch_rounds(function, slope):
    """PyTorch rounds hardsigmoid's 1/6 and CELU's 1 / alpha to float32 there; here they are exact."""
    x = nn.Tensor(np.array([[-40.0, -3.1, -2.9, -1.0, -1e-9, 1e-9, 0.3, 2.9, 3.1, 7.0]]), requires_grad=True)
    function(x).backward(np.ones((1, 10)))
    with mpmath.workdps(40):
        close(x.grad.numpy()[0], [float(slope(mpmath.mpf(float(v)))) for v in x.numpy()[0]], 1e-300)


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


SELU_A, SELU_S = mpmath.mpf("1.6732632423543772848170429916717"), mpmath.mpf("1.0507009873554804934193349852946")
EXACT = {
    "selu": (F.selu, lambda x: SELU_S * (x if x > 0 else SELU_A * mpmath.expm1(x))),
    "celu": (lambda x: F.celu(x, 0.75), lambda x: x if x > 0 else 0.75 * mpmath.expm1(x / 0.75)),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"),
                  lambda x: x * sigmoid(2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x ** 3))),
    "mish": (F.mish, lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))),
    "hardswish": (F.hardswish, lambda x: x * min(max(x + 3, 0), 6) / 6),
    "log_sigmoid": (F.logsigmoid, lambda x: -mpmath.log1p(mpmath.exp(-x))),
    "softplus_beta": (lambda x: F.softplus(x, 0.5, 1000.0), lambda x: mpmath.log1p(mpmath.exp(x / 2)) * 2),
    "softsign": (F.softsign, lambda x: x / (1 + abs(x))),
    "tanhshrink": (F.tanhshrink, lambda x: x - mpmath.tanh(x)),
}


@pytest.mark.parametrize("name", EXACT)
def test_float32_within_four_ulp(name):
    """Inputs of all sizes against mpmath, where the result is a normal number."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=150), rng.uniform(-30, 30, 100), rng.uniform(-90, 90, 50), 10.0 ** rng.uniform(-30, 4, 50),
                        -10.0 ** rng.uniform(-30, 2, 50)]).astype(np.float32)
    function, exact = EXACT[name]
    with mpmath.workdps(60):
        for got, at in zip(function(x).numpy(), x):
            true = exact(mpmath.mpf(float(at)))
            if abs(true) >= np.finfo(np.float32).tiny:
                ulp = mpmath.ldexp(1, int(mpmath.floor(mpmath.log(abs(true), 2))) - 23)
                assert abs(mpmath.mpf(float(got)) - true) <= 4 * ulp, f"{name}({at!r}) = {got!r}, not {mpmath.nstr(true, 12)}"


MODULES = {name: (getattr(nn, name.split()[0]), found["options"]) for name, found in TRACES.items()
           if not name.startswith(("Embedding", "BatchNorm", "LayerNorm", "RMSNorm", "Linear"))}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODULES)
def test_extremes_are_finite(name, dtype):
    """Values and gradients at numbers that are huge, tiny, denormal or zero."""
    make, options = MODULES[name]
    module = make(**options).to(dtype)
    smallest = np.finfo(dtype).smallest_subnormal
    row = np.array([1e30, -1e30, 0.0, -0.0, smallest, -smallest, 1e4, -1e4, 88.8, -88.8, 750, -750], dtype)
    x = nn.Tensor(np.stack([row] * 6 if "wide" not in name else row[:, None].repeat(6, 1)), requires_grad=True)
    y = module(x)
    y.backward(np.ones(y.shape, dtype))
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("layer", [nn.LayerNorm(3), nn.RMSNorm(3), nn.BatchNorm1d(3)], ids=lambda m: type(m).__name__)
def test_normalisation_of_constant_and_tiny_rows(layer):
    x = nn.Tensor(np.float32([[0, 0, 0], [1e-45, -1e-45, 0], [7, 7, 7], [1e15, -1e15, 1e15]]), requires_grad=True)
    y = layer(x)
    y.backward(np.ones(y.shape, np.float32))
    assert np.isfinite(y.numpy()).all() and np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("rows", [2, 15, 16, 17, 31, 32, 33, 129, 300, 517])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 33, 129])
def test_normalisation_by_numpy(rows, width):
    """Shapes around every vector width, several chunks of rows; a mean of 1000, which one pass in float32 would not survive."""
    x = np.random.default_rng(rows * width).normal(1000, 1, (rows, width))
    y = nn.BatchNorm1d(width, affine=False)(x.astype(np.float32)).numpy()
    wide = x.astype(np.float32).astype(np.float64)
    deviation = np.sqrt(wide.var(0) + 1e-5)
    assert (np.abs(y - (wide - wide.mean(0)) / deviation) <= 3e-4 / deviation ** 2 + 1e-6).all()  # the mean is rounded to 6e-5
    close(nn.BatchNorm1d(width).double()(x).numpy(), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 1e-9)
    close(nn.LayerNorm(width).double()(x).numpy(), (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5), 1e-9)


def test_running_statistics():
    """momentum 0.1: half of the statistics' distance is gone after 7 batches; None: the average over all of them."""
    x = np.random.default_rng(0).normal(2, 3, (64, 5))
    for momentum, weights in ((0.1, 0.1 * 0.9 ** np.arange(4)[::-1]), (None, np.full(4, 0.25))):
        layer = nn.BatchNorm1d(5, momentum=momentum).double()
        for k in range(4):
            layer(x[16 * k:16 * k + 16])
        parts = x.reshape(4, 16, 5)
        rest = 1 - weights.sum()
        close(layer.running_mean.numpy(), weights @ parts.mean(1))
        close(layer.running_var.numpy(), weights @ parts.var(1, ddof=1) + rest)
        assert layer.num_batches_tracked.numpy() == 4
    layer.reset_running_stats()
    assert (layer.running_var.numpy() == 1).all() and layer.num_batches_tracked.numpy() == 0


def test_one_row_is_an_error_in_training_only():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than 1 row"):
        layer(np.ones((1, 3), np.float32))
    assert layer.eval()(np.ones((1, 3), np.float32)).shape == (1, 3)


def test_buffers():
    """Names as in PyTorch's state_dict, conversion, and what may be assigned."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                                        "1.num_batches_tracked"]
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    model.double()
    assert model[1].running_var.dtype == np.float64 and model[1].num_batches_tracked.dtype == np.int64
    with pytest.raises(TypeError, match="running_mean must be a Parameter, a Buffer"):
        model[1].running_mean = np.zeros(3)
    state = model.state_dict()
    state["1.running_mean"] += 5
    model.load_state_dict(state)
    assert (model[1].running_mean.numpy() == 5).all()
    module = nn.Module()
    module.register_buffer("table", np.arange(3.0))
    assert module.state_dict()["table"].tolist() == [0, 1, 2]


def test_embedding_shapes_and_offsets():
    layer = nn.Embedding(7, 4)
    assert layer(np.array(3)).shape == (4,) and layer(np.zeros((2, 3, 5), np.int64)).shape == (2, 3, 5, 4)
    bag = nn.EmbeddingBag(7, 4, mode="mean").double()
    y = bag(np.array([1, 2, 3, 3, 0]), np.array([0, 2, 2, 5])).numpy()
    w = bag.weight.numpy()
    close(y, [w[[1, 2]].mean(0), np.zeros(4), w[[3, 3, 0]].mean(0), np.zeros(4)])


def test_noise():
    """Standard normal by its moments and quantiles, new in each step, the same for the same seed; RReLU's slopes are uniform."""
    x = np.zeros((2000, 33), np.float32)
    vv.manual_seed(5)
    layer = nn.GaussianNoise(2.0)
    z = layer(x).numpy() / 2
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and abs((z < -1.2815515).mean() - 0.1) < 0.005
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.1
    again = layer(x)
    assert not np.array_equal(again.numpy(), 2 * z)  # an eager forward without gradients counts as a step too
    assert np.array_equal(layer.eval()(x).numpy(), x)
    slopes = -nn.RReLU(0.1, 0.3)(x - 1).numpy()
    assert 0.1 <= slopes.min() < 0.101 and 0.299 < slopes.max() <= 0.3 and abs(slopes.mean() - 0.2) < 0.002


def test_residual_and_flatten():
    layer = nn.Residual(nn.Linear(4, 4), nn.Tanh())
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), x + layer[1](layer[0](x)).numpy())
    with pytest.raises(ValueError, match="must have the shape of x"):
        nn.Residual(nn.Linear(4, 5))(x)
    assert nn.Flatten()(np.zeros((2, 3, 4))).shape == (2, 12)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.BatchNorm1d(0), "num_features must be an int >= 1"), (lambda: nn.BatchNorm1d(3, momentum=2), "momentum must lie in 0..1"),
    (lambda: nn.BatchNorm1d(3, eps=0), "eps must be a finite number > 0"), (lambda: nn.LayerNorm((2, 3)), "one dimension"),
    (lambda: nn.Embedding(3, 0), "embedding_dim must be"), (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx must lie in -3..2"),
    (lambda: nn.Embedding(3, 2, sparse=True), "sparse is not supported"),
    (lambda: nn.EmbeddingBag(3, 2, mode="min"), "mode must be 'sum', 'mean' or 'max', got 'min'"),
    (lambda: nn.CELU(0), "alpha must be a finite number > 0"), (lambda: nn.Hardtanh(1, 1), "max_val must be > min_val"),
    (lambda: nn.Softshrink(-1), "lambd must be a finite number >= 0"), (lambda: nn.RReLU(0.5, 0.2), "lower <= upper"),
    (lambda: nn.GELU("erf"), "approximate must be"), (lambda: nn.GaussianNoise(-1), "std must be a finite number >= 0"),
    (lambda: nn.Softplus(beta=0), "beta must be a finite number > 0"),
    (lambda: nn.BatchNorm1d(3)(np.zeros((4, 2), np.float32)), "must have 3 columns"),
    (lambda: nn.LayerNorm(3)(np.zeros((4, 2), np.float32)), "last dimension"),
    (lambda: nn.Embedding(3, 2)(np.array([3])), "indices 0..2, got 3"),
    (lambda: nn.Embedding(3, 2)(np.array([-1])), "indices 0..2, got -1"),
    (lambda: nn.EmbeddingBag(3, 2)(np.array([1, 2])), "input must have shape"), (lambda: F.glu(np.zeros((2, 3))), "2 H"),
    (lambda: nn.PReLU(3)(np.zeros((2, 2), np.float32)), "prelu needs")])
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
