"""L-BFGS and Levenberg-Marquardt against solutions that are known."""
import numpy as np
import pytest
import vivace.nn.functional as F
from torch_traces import SOURCES, traces

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(5)
X, T = RNG.normal(size=(120, 6)), RNG.normal(size=(120, 2))
DESIGN = np.column_stack([X, np.ones(120)])
BEST = np.linalg.lstsq(DESIGN, T, rcond=None)[0]
LEAST = np.mean((DESIGN @ BEST - T) ** 2)


def linear():
    vv.manual_seed(0)
    return nn.Linear(6, 2, dtype="float64")


def closure_of(model, optimizer, X=X, T=T):
    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(X), T)
        loss.backward()
        return loss.item()
    return closure


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_solves_least_squares(search):
    model = linear()
    optimizer = optim.LBFGS(model.parameters(), max_iter=60, line_search_fn=search, tolerance_grad=1e-12, tolerance_change=1e-16)
    optimizer.step(closure_of(model, optimizer))
    assert F.mse_loss(model(X), T).item() - LEAST < 1e-12
    np.testing.assert_allclose(model.weight.numpy(), BEST[:6].T, atol=1e-8)


def test_lbfgs_in_the_trainer():
    model = linear()
    trainer = vv.Trainer(model, nn.MSELoss(), optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe", tolerance_change=1e-15),
                         metrics=["mae"])
    history = trainer.fit(X, T, epochs=4, verbose=0, validation_data=(X, T))
    assert history["val_loss"][-1] - LEAST < 1e-8 and len(history["mae"]) == 4
    np.testing.assert_allclose(model.weight.numpy(), BEST[:6].T, atol=1e-6)
    with pytest.raises(TypeError, match="LBFGS works on all rows at once"):
        trainer.make_step(8)(X[:8], T[:8])


def test_lbfgs_in_the_trainer_is_compiled_and_does_not_depend_on_threads():
    """No forward in Python, and the same bits."""
    found = set()
    for threads in (1, 2, 3):
        vv.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 2)).double()
        trainer = vv.Trainer(model, nn.MSELoss(), optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe"), num_threads=threads)
        trainer.fit(np.tile(X, (3, 1)), np.tile(T, (3, 1)), epochs=3, verbose=0)
        assert model.forwards == 0
        found.add(b"".join(p.numpy().tobytes() for p in model.parameters()))
    assert len(found) == 1


def test_lbfgs_crosses_rosenbrocks_valley():
    p = nn.Parameter(np.array([-1.2, 1.0]))
    optimizer = optim.LBFGS([p], max_iter=100, max_eval=200, line_search_fn="strong_wolfe", tolerance_change=1e-15)

    def closure():
        x, y = p.numpy()
        p.grad = [-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)]
        return 100 * (y - x * x) ** 2 + (1 - x) ** 2
    assert optimizer.step(closure) == pytest.approx(24.2)
    np.testing.assert_allclose(p.numpy(), 1.0, atol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_one_step_of_lbfgs_within_1e_12(source):
    given = traces(source, "make_lbfgs_traces", "lbfgs_traces")
    assert len(given["one"]) >= 4
    for case in given["one"]:
        model, _ = trained(given, {**case["options"], "max_iter": 1}, 1)
        for name, value in model.state_dict().items():
            np.testing.assert_allclose(value, case["state"][name], rtol=1e-12, err_msg=str(case["options"]))


@pytest.mark.parametrize("source", SOURCES)
def test_200_steps_of_lbfgs(source):
    """On a network of two layers and on Rosenbrock's function: |a - b| <= 1e-6 |b| + 1e-12."""
    given = traces(source, "make_lbfgs_traces", "lbfgs_traces")
    assert len(given["network"]) >= 4 and len(given["rosenbrock"]) >= 4
    for case in given["network"]:
        model, losses = trained(given, case["options"], 200)
        near(losses[:8], case["losses"], case["options"])
        for name, value in model.state_dict().items():
            near(value, case["state"][name], case["options"])
    for case in given["rosenbrock"]:
        x, y = nn.Parameter(np.array([-1.2])), nn.Parameter(np.array([1.0]))
        optimizer = optim.LBFGS([x, y], **case["options"])

        def closure(x=x, y=y, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (100 * (y - x ** 2) ** 2 + (1 - x) ** 2).sum()
            loss.backward()
            return loss.item()
        for _ in range(200):
            optimizer.step(closure)
        near([x.item(), y.item()], case["p"], case["options"])


def near(a, b, options):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-12, err_msg=str(options))


def trained(given, options, steps):
    """(model, losses) of the network that make_lbfgs_traces.py trains."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    model.load_state_dict(given["start"])
    optimizer, X, y = optim.LBFGS(model.parameters(), **options), np.array(given["given"]["X"]), np.array(given["given"]["y"])

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(X), y)
        for p in model.parameters():
            loss = loss + given["ridge"] * (p * p).sum()
        loss.backward()
        return loss.item()
    return model, [optimizer.step(closure) for _ in range(steps)]


# --- Levenberg-Marquardt

def sine(seed=0):
    vv.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1)).double()


S = np.linspace(-np.pi, np.pi, 100)[:, None]


@pytest.mark.parametrize("scale", ["identity", "diagonal"])
def test_lm_is_its_papers_iteration(scale):
    """Against a transcription in plain NumPy: accepted steps of the 1-10-1 network."""
    model = sine()
    optimizer = optim.LevenbergMarquardt(model.parameters(), damping=0.01, scale=scale)
    theta, damping, t = np.concatenate([p.numpy().ravel() for p in model.parameters()]), 0.01, np.sin(S)[:, 0]

    def residual(theta):
        w, b, v, c = theta[:10], theta[10:20], theta[20:30], theta[30]
        h = np.tanh(S * w + b)
        return h @ v + c - t, np.column_stack([(1 - h * h) * v * S, (1 - h * h) * v, h, np.ones(100)])
    for _ in range(30 if scale == "identity" else 8):
        before = optimizer.step(model, S, t)
        r, J = residual(theta)
        assert before == pytest.approx(np.mean(r * r), rel=1e-6)
        A = J.T @ J
        while True:
            new = theta - np.linalg.solve(A + damping * (np.eye(31) if scale == "identity" else np.diag(A.diagonal())), J.T @ r)
            if np.sum(residual(new)[0] ** 2) < r @ r:
                break
            damping *= 10
        theta, damping = new, damping / 10
    np.testing.assert_allclose(optimizer.param_groups[0]["damping"], damping, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_lm_fits_a_sine(seed):
    model = sine(seed)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.LevenbergMarquardt(model.parameters()))
    trainer.fit(S, np.sin(S), epochs=199, verbose=0, callbacks=[vv.callbacks.StopWhen(loss_below=5e-7)])
    assert trainer.evaluate(S, np.sin(S))["loss"] < 1e-6 and trainer.epoch < 199


def test_lm_solves_weighted_least_squares_at_once():
    model, w = linear(), RNG.uniform(0.1, 2, 120)
    optimizer = optim.LevenbergMarquardt(model.parameters(), damping=1e-9)
    optimizer.step(model, X, T, w)
    root = np.sqrt(w)[:, None]
    np.testing.assert_allclose(model.weight.numpy(), np.linalg.lstsq(DESIGN * root, T * root, rcond=None)[0][:6].T, atol=1e-7)


def test_what_they_refuse():
    model = linear()
    with pytest.raises(ValueError, match="line_search_fn must be None or 'strong_wolfe', got 'armijo'"):
        optim.LBFGS(model.parameters(), line_search_fn="armijo")
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [model.weight]}, {"params": [model.bias]}])
    with pytest.raises(ValueError, match="scale must be"):
        optim.LevenbergMarquardt(model.parameters(), scale="trace")
    with pytest.raises(TypeError, match="the loss must be MSELoss"):
        vv.Trainer(model, nn.CrossEntropyLoss(), optim.LevenbergMarquardt(model.parameters())).fit(X, np.zeros(120, int), verbose=0)
    with pytest.raises(ValueError, match=r"t must have shape \(120, 2\)"):
        optim.LevenbergMarquardt(model.parameters()).step(model, X, T[:, :1])
