"""The user's own functions against transcriptions in NumPy, and the errors of functions that are no functions of numbers."""
import math
import subprocess
import sys

import numpy as np
import pytest
from vivace.kernels import cases
from vivace.kernels.jit import own

import vivace as vv
from vivace import nn, optim


def swish(z, beta):
    return z / (1.0 + math.exp(-beta * z))


def swish_slope(z, beta):
    s = 1 / (1 + math.exp(-beta * z))
    return s + beta * z * s * (1 - s)


def pinball(y, t):
    return max(0.9 * (t - y), 0.1 * (y - t))


def lion(p, g, m, lr, step, beta1, beta2, decay):
    return p - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * p), beta2 * m + (1 - beta2) * g


def sign_step(p, g, s, lr, step):
    return p - lr * np.sign(g), s


Swish = nn.activation(swish, beta=2.0)
ExactSwish = nn.activation(swish, derivative=swish_slope, beta=2.0)
Pinball = nn.loss(pinball)
ExactPinball = nn.loss(pinball, gradient=lambda y, t: 0.1 if y > t else -0.9)
Lion = optim.optimizer(lion, state=0, beta1=0.9, beta2=0.99, decay=0.1)
SignStep = optim.optimizer(sign_step, state=0)


def data(rows=96, columns=6, outputs=1, dtype=np.float32):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, columns))
    return X.astype(dtype), np.sin(X[:, :outputs] + X[:, 1:1 + outputs]).astype(dtype)


def net(activation=None, outputs=1, dtype=np.float32):
    vv.manual_seed(5)
    activation = Swish if activation is None else activation
    model = nn.Sequential(nn.Linear(6, 20), activation(), nn.Linear(20, 17), activation(), nn.Linear(17, outputs))
    return model.to(dtype)


class NumpyNet:
    """The same network with its backward pass, in float64."""

    def __init__(self, model, f, slope):
        self.w = [np.array(p.numpy(), np.float64) for p in model.parameters()]
        self.f, self.slope = f, slope

    def gradients(self, X, dloss):
        """(outputs, gradients) for dloss(outputs), the gradient of the loss by the outputs."""
        z, a = [], [X.astype(np.float64)]
        for i in range(0, len(self.w), 2):
            z.append(a[-1] @ self.w[i].T + self.w[i + 1])
            a.append(self.f(z[-1]))  # the last one is not used: outputs are raw
        d, found = dloss(z[-1]), []
        for i in range(len(z) - 1, -1, -1):
            found[:0] = [d.T @ a[i], d.sum(axis=0)]
            if i:
                d = d @ self.w[2 * i] * self.slope(z[i - 1])
        return z[-1], found


def np_swish(z):
    return z / (1 + np.exp(-2 * z))


def np_slope(z):
    s = 1 / (1 + np.exp(-2 * z))
    return s + 2 * z * s * (1 - s)


# --- training equals NumPy
@pytest.mark.parametrize("activation, dtype, close", [(Swish, np.float32, 1e-5), (ExactSwish, np.float32, 1e-5),
                                                      (ExactSwish, np.float64, 1e-11)])
def test_swish_trains_as_numpy(activation, dtype, close):
    X, y = data(dtype=dtype)
    model = net(activation, dtype=dtype)
    mirror = NumpyNet(model, np_swish, np_slope)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
    history = trainer.fit(X, y, epochs=8, batch_size=32, shuffle=False, verbose=0)
    for loss in history["loss"]:
        losses = []
        for i in range(0, 96, 32):
            z, found = mirror.gradients(X[i:i + 32], lambda z, t=y[i:i + 32]: 2 * (z - t) / len(z))
            losses.append(np.mean((z - y[i:i + 32]) ** 2))
            mirror.w = [w - 0.1 * g for w, g in zip(mirror.w, found)]
        assert loss == pytest.approx(np.mean(losses), rel=close)


@pytest.mark.parametrize("loss, dtype, close", [(Pinball, np.float32, 2e-6), (ExactPinball, np.float64, 1e-12)])
def test_pinball_and_lion_train_as_numpy(loss, dtype, close):
    X, y = data(dtype=dtype, outputs=2)
    model = net(nn.Tanh, 2, dtype=dtype)
    mirror = NumpyNet(model, np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    weight = np.linspace(0.5, 2, 96).astype(dtype)
    trainer = vv.Trainer(model, loss(), Lion(model.parameters(), lr=1e-3), seed=0)
    trainer.fit(X, y, epochs=4, batch_size=32, shuffle=False, sample_weight=weight, verbose=0)
    m = [np.zeros_like(w) for w in mirror.w]
    for _ in range(4):
        for i in range(0, 96, 32):
            w, t = weight[i:i + 32, None].astype(np.float64), y[i:i + 32]
            _, found = mirror.gradients(X[i:i + 32], lambda z, t=t, w=w: np.where(z > t, 0.1, -0.9) * w / w.sum() / 2)
            mirror.w = [p - 1e-3 * (np.sign(0.9 * v + (1 - 0.9) * g) + 0.1 * p) for p, g, v in zip(mirror.w, found, m)]
            m = [0.99 * v + (1 - 0.99) * g for v, g in zip(m, found)]
    for p, w in zip(model.parameters(), mirror.w):
        np.testing.assert_allclose(p.numpy(), w, rtol=0, atol=close)


def test_state_begins_where_it_is_told_and_steps_count():
    def update(p, g, a, b, lr, step, c):
        return p - lr * g * a, a + step, b * c
    Own = optim.optimizer(update, state=(1.5, 2), c=3)
    p = nn.Parameter(np.ones(3, np.float32))
    optimizer = Own([p], lr=0.5)
    for _ in range(3):
        p.grad = np.ones(3, np.float32)
        optimizer.step()
    assert p.numpy().tolist() == [1 - 0.5 * (1.5 + 2.5 + 4.5)] * 3
    state = optimizer.state_dict()["state"][0]
    assert state["a"].tolist() == [7.5] * 3 and state["b"].tolist() == [54] * 3


def test_without_state():
    Own = optim.optimizer(lambda p, g, lr, step: p - lr * g)
    p = nn.Parameter(np.ones(3, np.float32))
    p.grad = np.full(3, 2, np.float32)
    Own([p], lr=0.25).step()
    assert p.numpy().tolist() == [0.5] * 3


def test_the_address_follows_the_type():
    """An optimizer that made steps in float32 goes on in float64."""
    p = nn.Parameter(np.ones(3, np.float32))
    model = nn.Module()
    model.p = p
    optimizer = SignStep(model.parameters(), lr=0.25)
    for dtype in (np.float32, np.float64, np.float32):
        model.to(dtype)
        p.grad = np.full(3, -2, dtype)
        optimizer.step()
    assert p.numpy().tolist() == [1.75] * 3


# --- corners
@pytest.mark.parametrize("near", [2.0 ** -19, 1e-7, 2e-9])
def test_differences_beside_a_corner_are_slopes_of_one_side(near):
    """Of 256 x 256 values some are this near to 0 in every step; a mixture of both sides turns Adam's first steps around."""
    slopes = {"leaky": (lambda z: z if z > 0 else 0.01 * z, 0.01, 1), "abs": (lambda z: abs(z), -1, 1), "max": (lambda z: max(z, 0), 0, 1),
              "where": (lambda z: np.where(z < 0, 3 * z, z), 3, 1), "helped": (lambda z: sharp(z), -1, 1)}
    x = np.array([[-near, near]], np.float32)
    for name, (f, left, right) in slopes.items():
        np.testing.assert_allclose(slope_of(f, x), [[left, right]], rtol=1e-6, err_msg=name)


def sharp(z):
    return abs(z)


def slope_of(f, x):
    module = nn.activation(f)()
    return vv.func.grad(lambda x: module(x).sum())(x)


@pytest.mark.parametrize("f, slope", [(lambda z: 1000 + z * z if z > -5 else 0, lambda z: 2 * z),
                                      (lambda z: math.exp(z) if z < 9 else z, np.exp),
                                      (lambda z: max(z, -9) * 1e-3 + 1e6, lambda z: 1e-3 + 0 * z)])
def test_functions_that_bend_are_as_exact_elsewhere(f, slope):
    """Relative to |f|, whose rounding a difference sees, over the step: about 1e-11."""
    x = np.linspace(-3, 3, 101, dtype=np.float32)[None]
    size = 1e-10 * max(abs(f(z)) for z in x[0].tolist())
    np.testing.assert_allclose(slope_of(f, x), slope(x.astype(np.float64)), rtol=1.2e-7, atol=size)


def test_which_functions_bend():
    straight = [swish, swish_slope, lambda z: math.tanh(z) + z ** 2, loop]
    bent = [pinball, lambda z: abs(z), lambda z: np.sign(z), lambda z: z if z > 0 else 0, lambda z: pinball(z, 0),
            lambda z: np.clip(z, 0, 1)]
    assert not any(map(own.bends, straight)) and all(map(own.bends, bent))


# --- one function, two speeds
def weights_after(threads=1, eager=False, rows=96, batch=32, backend=None):
    X, y = data(rows, outputs=2)
    model = net(outputs=2)
    loss, optimizer = Pinball(), Lion(model.parameters(), lr=1e-3)
    if eager:
        for _ in range(4):
            for i in range(0, rows, batch):
                optimizer.zero_grad()
                loss(model(X[i:i + batch]), y[i:i + batch]).backward()
                optimizer.step()
    else:
        vv.Trainer(model, loss, optimizer, num_threads=threads, seed=0, backend=backend).fit(X, y, epochs=4, batch_size=batch,
                                                                                            shuffle=False, verbose=0)
    return np.concatenate([p.numpy().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("rows, batch", [(96, 32), (200, 77)])
def test_eager_equals_plan_for_any_number_of_threads(rows, batch):
    expected = weights_after(eager=True, rows=rows, batch=batch).tobytes()
    for threads in (1, 2, 3):
        assert weights_after(threads, rows=rows, batch=batch).tobytes() == expected


def test_the_reference_backend():
    """It calls the same functions; the Numba book takes these kernels from it."""
    np.testing.assert_allclose(weights_after(backend="numpy"), weights_after(), rtol=0, atol=3e-4)


# --- kernels
@pytest.mark.parametrize("outputs", [1, 3, 40, 1025, 2500])
@pytest.mark.parametrize("mean", [True, False])
def test_loss_kernel_sums_rows_of_any_length(outputs, mean):
    rng = np.random.default_rng(0)
    y, t, w = rng.normal(size=(70, outputs)), rng.normal(size=(70, outputs)), rng.uniform(0.1, 2, 70)
    address = ExactPinball.own.block("loss", np.float64)
    values = np.maximum(0.9 * (t - y), 0.1 * (y - t)).sum(axis=1) / (outputs if mean else 1)
    slopes = np.where(y > t, 0.1, -0.9) * (w / w.sum() / outputs if mean else w)[:, None]
    for name in cases.books():
        l, dy = np.empty(70), np.empty_like(y)
        for gradient in (dy, None):
            cases.load(name).custom_loss(y, t, w, l, gradient, address, mean=mean)
            np.testing.assert_allclose(l, values, rtol=1e-13)
        np.testing.assert_allclose(dy, slopes, rtol=1e-13)


# --- what may stand in a function
HALF = 0.5


def helper(z):
    return HALF * z


def power(z):
    return z ** 2 + 2 * z ** 3


def loop(z):
    total = 0.0
    for i in range(3):
        total += z * i
    return total


ELEMENTARY = {
    "exp": (lambda z: math.exp(z), np.exp), "np exp": (lambda z: np.exp(z), np.exp), "expm1": (lambda z: math.expm1(z), np.expm1),
    "log": (lambda z: math.log(1.5 + z * z), lambda z: np.log(1.5 + z * z)),
    "log1p": (lambda z: np.log1p(abs(z)), lambda z: np.log1p(np.abs(z))), "tanh": (lambda z: np.tanh(z), np.tanh),
    "erf": (lambda z: math.erf(z), np.vectorize(math.erf)), "sin": (lambda z: math.sin(z), np.sin),
    "sqrt": (lambda z: math.sqrt(1 + z * z), lambda z: np.sqrt(1 + z * z)),
    "where": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, z, 0.1 * z)),
    "maximum": (lambda z: np.maximum(z, 0) - np.minimum(z, 1), lambda z: np.maximum(z, 0) - np.minimum(z, 1)),
    "max": (lambda z: max(z, 0) + min(z, 1.0), lambda z: np.maximum(z, 0) + np.minimum(z, 1)),
    "clip": (lambda z: np.clip(z, -1, 1), lambda z: np.clip(z, -1, 1)), "sign": (lambda z: np.sign(z), np.sign),
    "constant": (lambda z: math.pi * z, lambda z: np.pi * z), "helper": (lambda z: helper(z) + HALF, lambda z: 0.5 * z + 0.5),
    "power": (power, lambda z: z ** 2 + 2 * z ** 3), "loop": (loop, lambda z: 3 * z),
    "integer result": (lambda z: 1 if z > 0 else 0, lambda z: (z > 0) * 1.0),
}


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions(name):
    """float32 in float32 arithmetic, within 4 eps of sum|terms|, a bound being 1 + |f| here."""
    f, expected = ELEMENTARY[name]
    module = nn.activation(f)()
    x = np.random.default_rng(0).uniform(-3, 3, (7, 45)).astype(np.float32)
    true = expected(x.astype(np.float64))
    limit = 4 * np.finfo(np.float32).eps * (1 + np.abs(true) + (np.abs(x) ** 3 if name == "power" else 0))
    assert (np.abs(module(x).numpy() - true) <= limit).all()


@pytest.mark.parametrize("name", [n for n in ELEMENTARY if n not in ("loop", "sin")])
def test_literals_take_the_type_of_the_arrays(name):
    """The compiled form for float32 returns float32: no literal widened it."""
    compiled = own.Own(ELEMENTARY[name][0], None, 1, 0).scalar("function", np.float32)
    compiled(np.float32(0.3))
    assert [str(s.return_type) for s in compiled.nopython_signatures] == ["float32"]


def test_parameters_are_attributes():
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    module = Swish(beta=1.0)
    np.testing.assert_allclose(module(x).numpy(), x / (1 + np.exp(-x)), rtol=1e-6, atol=1e-7)
    module.beta = 3.0
    np.testing.assert_allclose(module(x).numpy(), x / (1 + np.exp(-3 * x)), rtol=1e-6, atol=1e-7)
    assert repr(module) == "swish(beta=3)"


def test_a_loss_may_be_given_without_brackets():
    model = net(nn.Tanh)
    trainer = vv.Trainer(model, Pinball, optim.SGD(model.parameters()), seed=0)
    assert isinstance(trainer.loss, Pinball)
    assert trainer.fit(*data(), epochs=1, verbose=0)["loss"][0] > 0


# --- errors
def asserting(z):
    assert z < 100
    return z


@pytest.mark.parametrize("make, error, texts", [
    (lambda: nn.activation(3), TypeError, ["nn.activation", "function"]),
    (lambda: nn.activation(lambda: 1.0), TypeError, ["function=<lambda>", "at least 1 argument"]),
    (lambda: nn.activation(swish), TypeError, ["function=swish", "beta"]),
    (lambda: nn.activation(swish, beta=2, gamma=1), TypeError, ["function=swish", "gamma"]),
    (lambda: nn.activation(lambda z, source: z, source=1), TypeError, ["function=<lambda>", "source", "taken"]),
    (lambda: nn.activation(lambda z, forward: z, forward=1), TypeError, ["function=<lambda>", "forward"]),
    (lambda: nn.activation(swish, beta="2"), TypeError, ["swish", "beta must be a number", "'2'"]),
    (lambda: nn.activation(swish, beta=math.nan), ValueError, ["swish", "beta must be finite"]),
    (lambda: nn.activation(swish, lambda z: z, beta=2), TypeError, ["derivative=<lambda>", "z, beta"]),
    (lambda: nn.activation(lambda z: unknown(z)), TypeError, ["function=<lambda>", "compiled", "unknown"]),  # noqa: F821
    (lambda: nn.activation(lambda z: open("x")), TypeError, ["function=<lambda>", "compiled"]),
    (lambda: nn.activation(lambda z: (z, z)), TypeError, ["function=<lambda>", "one number"]),
    (lambda: nn.activation(asserting), ValueError, ["function=asserting", "raises", "z"]),
    (lambda: nn.activation(lambda z: asserting(z)), TypeError, ["function=<lambda>", "asserting raises"]),
    (lambda: nn.activation(lambda z: math.factorial(int(z))), (TypeError, ValueError), ["function=<lambda>"]),
    (lambda: nn.activation(lambda z: (0.5, 1.0)[int(z)]), ValueError, ["function=<lambda>", "raises IndexError", "z = -9.97"]),
    (lambda: nn.activation(lambda z: (0.5, 1.0)[int(z > 31) * int(z)]), ValueError, ["function=<lambda>", "may raise", "z"]),
    (lambda: nn.activation(lambda z: 1.0 * z, lambda z: (1.0, 1.0)[int(z > 31) * int(z)]), ValueError,
     ["derivative=<lambda>", "may raise", "z"]),
    (lambda: nn.activation(lambda z: z * z, lambda z: 2 * z if z < 5 else 2 * z + (z - 5)), ValueError,
     ["derivative=<lambda>", "at z = 30", "it gives 85, differences give 60"]),
    (lambda: vv.metric(lambda y, t: math.log(t - y)), ValueError, ["vv.metric: function=<lambda>", "NaN"]),
    (lambda: vv.metric(lambda y: y), TypeError, ["vv.metric: function=<lambda>", "at least 2"]),
    (lambda: vv.metric(pinball, low=1), TypeError, ["vv.metric: function=pinball", "low"]),
    (lambda: optim.optimizer(lambda p, g, lr, step: (p, p)[int(step > 1) * int(step)]), ValueError, ["function=<lambda>", "may raise"]),
    (lambda: nn.activation(lambda z: math.sqrt(z)), ValueError, ["function=<lambda>", "NaN", "z = -9.97"]),
    (lambda: nn.activation(lambda z: z * z * z, lambda z: 3 * z), ValueError, ["derivative=<lambda>", "is not the derivative", "z = "]),
    (lambda: nn.loss(lambda y: y), TypeError, ["nn.loss: function=<lambda>", "at least 2"]),
    (lambda: nn.loss(lambda y, t: math.log(y - t)), ValueError, ["nn.loss", "NaN", "y = ", "t = "]),
    (lambda: nn.loss(pinball, lambda y, t: 0.5 * y), ValueError, ["gradient=<lambda>", "y = "]),
    (lambda: optim.optimizer(lambda p, g: p), TypeError, ["optim.optimizer: function=<lambda>", "at least 4"]),
    (lambda: optim.optimizer(lambda p, g, a, b: p), TypeError, ["optim.optimizer", "lr, step"]),
    (lambda: optim.optimizer(lambda p, g, s, lr, step: p, state=0), TypeError, ["must return", "1 state", "got 1"]),
    (lambda: optim.optimizer(lambda p, g, lr, step: p / (g - g)), ValueError, ["NaN", "g = "]),
    (lambda: Lion([nn.Parameter(np.ones(1))], momentum=1), TypeError, ["lion", "momentum"]),
    (lambda: Swish(gamma=1), TypeError, ["swish", "gamma"]),
])
def test_errors_name_function_and_argument(make, error, texts):
    with pytest.raises(error) as caught:
        make()
    for text in texts:
        assert text in str(caught.value)


def test_float64_asks_for_a_derivative():
    X, y = data(dtype=np.float64)
    model = net(Swish, dtype=np.float64)
    assert np.isfinite(model(X).numpy()).all()  # the function itself is exact
    with pytest.raises(ValueError, match="function=swish has no derivative: training in float64"):
        vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters())).fit(X, y, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="function=pinball has no gradient: training in float64"):
        Pinball()(net(nn.Tanh, dtype=np.float64)(X), y)


def test_a_function_that_leaves_the_numbers_is_named():
    Explode = nn.activation(lambda z: z * math.exp(9 * abs(z)))
    model = net(Explode)
    with pytest.raises(vv.NonFiniteError, match="the activation <lambda>"):
        vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1.0), seed=0).fit(*data(), epochs=3, verbose=0)


@pytest.mark.parametrize("parts, texts", [
    ({"loss": nn.loss(lambda y, t: math.sqrt(5 - abs(y - t)))}, ["in the loss <lambda>"]),
    ({"loss": nn.loss(lambda y, t: (y - t) ** 2, gradient=lambda y, t: 2 * (y - t) if y < 3 else math.sqrt(-y))}, ["nn.loss(<lambda>)"]),
    ({"optimizer": optim.optimizer(lambda p, g, lr, step: p - lr * math.sqrt(2.5 - abs(g)))}, ["optim.optimizer(<lambda>)"]),
    ({"activation": nn.activation(lambda z: z, derivative=lambda z: 1.0 if z < 40 else math.sqrt(-z))}, ["nn.activation(<lambda>)"]),
], ids=["loss", "gradient", "optimizer", "derivative"])
def test_nan_in_training_names_what_may_have_made_it(parts, texts):
    """NaN far from where the functions were tried: the model keeps its last finite weights."""
    rng = np.random.default_rng(0)
    X = 100 * rng.normal(size=(96, 6)).astype(np.float32)
    model = net(parts.get("activation", nn.Identity))
    trainer = vv.Trainer(model, parts.get("loss", nn.MSELoss)(), parts.get("optimizer", optim.SGD)(model.parameters(), lr=0.01), seed=0)
    with pytest.raises(vv.NonFiniteError) as caught:
        trainer.fit(X, X[:, :1], epochs=3, verbose=0)
    for text in texts:
        assert text in str(caught.value)
    assert np.isfinite(trainer.predict(X)).all()


# --- files
class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(6, 9), Swish(beta=1.5), nn.Linear(9, 2)

    def forward(self, x):
        return self.b(self.act(self.a(x)))


@pytest.mark.parametrize("make", [lambda: net(outputs=2), Custom])
def test_a_file_holds_names_and_asks_for_functions(make, tmp_path):
    X, y = data(outputs=2)
    vv.manual_seed(1)
    model = make()
    trainer = vv.Trainer(model, Pinball(), Lion(model.parameters(), lr=1e-3), seed=0)
    trainer.fit(X, y, epochs=1, verbose=0)
    path = tmp_path / "own.vivace"
    trainer.save(path)
    for given in (None, [Swish, Pinball], [Pinball, Lion], [Swish, Lion]):
        with pytest.raises(ValueError, match="which holds no code: give load"):
            vv.load(path, functions=given)
    with pytest.raises(ValueError, match="functions must hold what nn.activation"):
        vv.load(path, functions=[swish])
    again = vv.load(path, functions={"swish": Swish, "pinball": Pinball, "lion": Lion})
    assert again.predict(X).tobytes() == trainer.predict(X).tobytes()
    trainer.fit(X, y, epochs=2, verbose=0)
    again.fit(X, y, epochs=2, verbose=0)
    assert again.predict(X).tobytes() == trainer.predict(X).tobytes()
    other = nn.loss(lambda y, t: (y - t) ** 2)
    other.own.name = "pinball"
    with pytest.warns(UserWarning, match="source of the function pinball"):
        vv.load(path, functions=[Swish, other, Lion])


# --- Numba is imported when asked for
def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_built_ins_never_import_numba():
    assert run("""
import sys, numpy as np, vivace as vv
from vivace import nn, optim
model = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1))
trainer = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
trainer.fit(np.ones((8, 3)), np.ones(8), epochs=1, verbose=0)
trainer.predict(np.ones((8, 3)))
print("numba" in sys.modules)
""") == "False\n"


def test_nothing_around_a_training_imports_numba(tmp_path):
    """Statistics, diagnosis, metrics, files, make_step, eager loops, gradients, an estimator, the command line."""
    assert run(f"""
import os, sys, numpy as np, vivace as vv
os.chdir({str(tmp_path)!r})
from vivace import nn, optim
from vivace.estimators import MLPRegressor
X, y = np.random.default_rng(0).normal(size=(64, 3)).astype("f"), np.ones((64, 1), "f")
model = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.BatchNorm1d(4), nn.Linear(4, 1))
trainer = vv.Trainer(model, nn.HuberLoss(), optim.Lion(model.parameters()), metrics=["r2", lambda p, t: 0.0])
trainer.fit(X, y, epochs=2, verbose=0, callbacks=[vv.callbacks.Statistics(1)], validation_split=0.2)
trainer.evaluate(X, y), trainer.predict(X), vv.diagnose(trainer), trainer.make_step(8)(X[:8], y[:8])
nn.MSELoss()(model(X), y).backward(), vv.func.grad(lambda x: model(x).sum())(X)
trainer.save("a.vivace"), vv.load("a.vivace", metrics=[])
MLPRegressor(hidden_layer_sizes=(4,), max_iter=600).fit(X, X[:, 0] * 0 + 1).predict(X)
from vivace.cli import main
main(["train", "iris", "--epochs", "1", "--out", "b.vivace"])
print("numba" in sys.modules)
""").splitlines()[-1] == "False"


@pytest.mark.parametrize("ask", ["nn.activation(f)", "nn.loss(f)", "optim.optimizer(f)", "vv.metric(f)", "vv.kernels.jit.warm_up()",
                                 "__import__('vivace.kernels.jit')"])
def test_without_numba_the_extra_is_named(ask):
    assert "pip install 'vivace[numba]'" in run(f"""
import importlib.util, sys
find, sys.modules["numba"] = importlib.util.find_spec, None
importlib.util.find_spec = lambda name, package=None: None if name == "numba" else find(name, package)
import vivace as vv
from vivace import nn, optim
f = {{"nn.activation(f)": lambda z: z, "nn.loss(f)": lambda y, t: y, "vv.metric(f)": lambda y, t: y,
     "optim.optimizer(f)": lambda p, g, lr, step: p}}.get({ask!r})
try:
    {ask}
except ImportError as error:
    print(error)
""")
