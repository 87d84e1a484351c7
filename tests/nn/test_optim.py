"""Optimizers and schedules against PyTorch, and what they promise on their own."""
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

KINDS = nn.optim.TABLE
NOT_IN_PYTORCH = {"Lion"}
BACKENDS = ("cython", "numpy")


def leaf(*values):
    return nn.Parameter(np.array(values, np.float64))


def test_every_optimizer_is_traced(torch_traces):
    counts = [case["optimizer"] for case in torch_traces["updates"]["cases"]]
    assert set(counts) == set(KINDS) - NOT_IN_PYTORCH and all(counts.count(name) >= 4 for name in counts)


def test_one_update_within_1e_12(torch_traces):
    """And two more: the state of the first enters them."""
    given = torch_traces["updates"]
    for case in given["cases"]:
        p = nn.Parameter(np.array(given["p"]))
        optimizer = KINDS[case["optimizer"]]([p], **case["options"])
        for g, after in zip(given["gradients"], case["after"]):
            p.grad = np.array(g)
            optimizer.step()
            np.testing.assert_allclose(p.numpy(), after, rtol=1e-12, atol=0, err_msg=str(case["options"]))


def network(given):
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    model.load_state_dict(given["start"])
    return model


def near(a, b, what):
    """|a - b| <= 1e-6 |b| + 1e-12"""
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-12, err_msg=what)


def test_200_steps_of_a_network(torch_traces):
    given = torch_traces["two_layers"]
    counts = [case["optimizer"] for case in given["cases"]]
    assert set(counts) == set(KINDS) - NOT_IN_PYTORCH and all(counts.count(name) >= 4 for name in counts)
    X, y = np.array(given["X"]), np.array(given["y"])
    for case in given["cases"]:
        model, losses = network(given), []
        optimizer = KINDS[case["optimizer"]](model.parameters(), **case["options"])
        for _ in range(200):
            optimizer.zero_grad()
            loss = F.mse_loss(model(X), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        what = f"{case['optimizer']} {case['options']}"
        near(losses[::20], case["losses"], what)
        for name, value in model.state_dict().items():
            near(value, case["state"][name], f"{what}: {name}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_200_steps_of_the_trainer(torch_traces, backend):
    given = torch_traces["two_layers"]
    # NumPy's backend is the reference that the compiled one is held to, kernel by kernel: a third of the cases shows how it is called
    for case in given["cases"][::3 if backend == "numpy" else 1]:
        model = network(given)
        trainer = vv.Trainer(model, nn.MSELoss(), KINDS[case["optimizer"]](model.parameters(), **case["options"]), backend=backend)
        history = trainer.fit(np.array(given["X"]), np.array(given["y"]), epochs=200, batch_size=20, shuffle=False, verbose=0)
        what = f"{case['optimizer']} {case['options']}"
        near(history["loss"][::20], case["losses"], what)
        for name, value in model.state_dict().items():
            near(value, case["state"][name], f"{what}: {name}")


def test_200_steps_on_rosenbrock(torch_traces):
    counts = [case["optimizer"] for case in torch_traces["rosenbrock"]]
    assert set(counts) == set(KINDS) - NOT_IN_PYTORCH and all(counts.count(name) >= 4 for name in counts)
    for case in torch_traces["rosenbrock"]:
        x, y = leaf([-1.2]), leaf([1.0])
        optimizer = KINDS[case["optimizer"]]([x, y], **case["options"])
        for _ in range(200):
            optimizer.zero_grad()
            (100 * (y - x ** 2) ** 2 + (1 - x) ** 2).sum().backward()
            optimizer.step()
        near([x.item(), y.item()], case["after"], f"{case['optimizer']} {case['options']}")


# --- groups, gradients that are missing, state

def test_groups_have_options_of_their_own():
    a, b, c = leaf(1.0), leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([{"params": [a, b], "lr": 0.5}, {"params": c, "momentum": 0.9}], lr=0.1)
    assert [(g["lr"], g["momentum"], len(g["params"])) for g in optimizer.param_groups] == [(0.5, 0.0, 2), (0.1, 0.9, 1)]
    for _ in range(2):
        for p in (a, b, c):
            p.grad = [1.0]
        optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.0)
    assert np.isclose(c.item(), 1 - 0.1 - 0.19, rtol=1e-15)


def test_a_parameter_without_gradient_is_skipped():
    """Its step count as well: bias correction starts with its own first step, as in PyTorch."""
    late, always, frozen = leaf(1.0), leaf(1.0), leaf(1.0)
    optimizer = optim.AdamW([late, always, frozen], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        always.grad, frozen.grad = [1.0], [1.0]
        frozen.requires_grad_(False)
        optimizer.step()
    assert (late.item(), frozen.item()) == (1.0, 1.0) and optimizer.steps == {late: 0, always: 3, frozen: 0}
    late.grad = [1.0]
    optimizer.step()
    assert np.isclose(late.item(), 1 - 0.05 - 0.1, rtol=1e-7)


def test_a_parameter_without_gradient_is_skipped_by_a_plan():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    spare = nn.Parameter(np.ones(4, np.float32))
    model.spare = spare
    trainer = vv.Trainer(model, nn.MSELoss(), optim.AdamW(model.parameters(), weight_decay=0.5), seed=0)
    trainer.fit(np.ones((8, 3)), np.ones(8), epochs=2, verbose=0)
    assert spare.numpy().tolist() == [1, 1, 1, 1] and trainer.optimizer.steps[spare] == 0
    assert trainer.optimizer.steps[model[0].weight] == 2


def test_zero_grad():
    p, q = leaf(1.0), leaf(2.0)
    optimizer = optim.SGD([p, q], lr=0.1)
    (p * q).sum().backward()
    assert (p.grad.item(), q.grad.item()) == (2.0, 1.0)
    optimizer.zero_grad()
    assert p.grad is None and q.grad is None
    (p * q).sum().backward()
    (p * q).sum().backward()
    assert (p.grad.item(), q.grad.item()) == (4.0, 2.0)


def test_a_gradient_from_before_the_optimizer_is_kept():
    model = nn.Linear(3, 2)
    F.mse_loss(model(np.ones((4, 3), np.float32)), np.zeros((4, 2))).backward()
    before = model.weight.grad.numpy().copy()
    assert before.any()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    assert np.array_equal(model.weight.grad.numpy(), before)
    start = model.weight.numpy().copy()
    optimizer.step()
    assert np.array_equal(model.weight.numpy(), start - before)


def run(optimizer, model, steps):
    X, t = np.linspace(-1, 1, 12).reshape(4, 3), np.arange(4.0)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(X), t).backward()
        optimizer.step()


@pytest.mark.parametrize("kind, options", [("SGD", {"momentum": 0.9}), ("SGD", {}), ("Adam", {}), ("AdamW", {"betas": (0.8, 0.9)})])
def test_state_dict_round_trip(kind, options):
    def made():
        vv.manual_seed(0)
        model = nn.Linear(3, 1, dtype="float64")
        groups = [{"params": [model.weight], "lr": 0.03}, {"params": [model.bias]}]
        return model, KINDS[kind](groups, lr=0.1, **options)
    whole, optimizer = made()
    run(optimizer, whole, 10)
    first, optimizer = made()
    run(optimizer, first, 6)
    state, weights = optimizer.state_dict(), first.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]]
    run(optimizer, first, 2)  # what state_dict gave is a copy
    second, optimizer = made()
    second.load_state_dict(weights)
    optimizer.param_groups[0]["lr"] = 9.0
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.03
    run(optimizer, second, 4)
    assert np.array_equal(second.weight.numpy(), whole.weight.numpy())
    with pytest.raises(ValueError, match="other parameter groups"):
        optim.SGD(second.parameters()).load_state_dict(state)


P = [nn.Parameter(np.ones(2))]


@pytest.mark.parametrize("make, error, says", [
    (lambda: optim.SGD(P, lr=-1), ValueError, "lr must be a finite number >= 0, got -1"),
    (lambda: optim.SGD(P, lr=float("nan")), ValueError, "lr"),
    (lambda: optim.SGD(P, lr="0.1"), TypeError, "lr must be a finite number >= 0, got '0.1'"),
    (lambda: optim.SGD(P, momentum=-0.1), ValueError, "momentum"),
    (lambda: optim.SGD(P, weight_decay=-0.1), ValueError, "weight_decay"),
    (lambda: optim.SGD(P, nesterov=True), ValueError, "nesterov needs momentum"),
    (lambda: optim.SGD(P, nesterov=True, momentum=0.9, dampening=0.1), ValueError, "dampening"),
    (lambda: optim.Adam(P, betas=(0.9, 1.0)), ValueError, "each of betas must be a finite number >= 0 and < 1, got 1.0"),
    (lambda: optim.Adam(P, betas=(0.9,)), ValueError, "betas must be two numbers"),
    (lambda: optim.Adam(P, betas=0.9), ValueError, "betas must be two numbers, got 0.9"),
    (lambda: optim.Adam(P, eps=-1e-8), ValueError, "eps"),
    (lambda: optim.AdamW(P, weight_decay=-1), ValueError, "weight_decay"),
    (lambda: optim.SGD([]), ValueError, "params must hold at least one"),
    (lambda: optim.SGD([{"params": P, "rate": 1}]), TypeError, "SGD has no option rate"),
    (lambda: optim.SGD([{"params": P, "lr": -2}], lr=1), ValueError, "lr must be a finite number >= 0, got -2"),
    (lambda: optim.SGD([np.ones(2)]), TypeError, "params must hold Parameters, got ndarray"),
    (lambda: optim.SGD(nn.Linear(2, 2)), TypeError, "params must be parameters.*got Linear"),
    (lambda: optim.SGD(P[0]), TypeError, "params must be parameters.*got Parameter"),
    (lambda: optim.SGD([{"params": P}, {"params": P}]), ValueError, "params: a parameter stands in two groups"),
    (lambda: optim.SGD([P[0], P[0]]), ValueError, "params: a parameter stands twice"),
    (lambda: optim.SGD([P[0], nn.Parameter(np.ones(2, np.float32))]), ValueError, "one dtype"),
])
def test_bad_options_name_the_argument(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_repr_tells_the_options():
    assert repr(optim.Adam(P, lr=0.5)) == ("Adam(lr=0.5, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False, "
                                                 "decoupled_weight_decay=False, maximize=False, l1_decay=0.0, max_norm=None)")


# --- schedules

SCHEDULES = {"StepLR": lambda o: optim.lr_scheduler.StepLR(o, step_size=3, gamma=0.5),
             "ExponentialLR": lambda o: optim.lr_scheduler.ExponentialLR(o, gamma=0.9),
             "LambdaLR": lambda o: optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step))}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_in_an_eager_loop(torch_traces, name):
    a, b = leaf(0.0), leaf(0.0)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.01}], lr=0.4)
    scheduler, rates, moved = SCHEDULES[name](optimizer), [], []
    for _ in range(12):
        rates.append(scheduler.get_last_lr())
        a.copy_([0.0])
        a.grad = [-1.0]
        optimizer.step()
        moved.append(a.item())
        scheduler.step()
    np.testing.assert_allclose(rates, torch_traces["schedules"][name], rtol=1e-13)
    np.testing.assert_allclose(moved, np.array(rates)[:, 0], rtol=1e-15)


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_in_the_trainer(torch_traces, name, interval):
    """The plan's table gets the rates of each step: weights equal those of the loop written by hand."""
    X, t = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12.0)

    def made():
        vv.manual_seed(0)
        model = nn.Linear(3, 1, dtype="float64")
        optimizer = optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.01}], lr=0.4, momentum=0.5)
        return model, optimizer, SCHEDULES[name](optimizer)
    model, optimizer, scheduler = made()
    trainer = vv.Trainer(model, nn.MSELoss(), optimizer, scheduler=scheduler, scheduler_interval=interval)
    epochs = 12 if interval == "epoch" else 4
    history = trainer.fit(X, t, epochs=epochs, batch_size=4, shuffle=False, verbose=0)
    by_hand, optimizer, scheduler = made()
    used = []
    for _ in range(epochs):
        for start in range(0, 12, 4):
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            F.mse_loss(by_hand(X[start:start + 4]), t[start:start + 4]).backward()
            optimizer.step()
            if interval == "step":
                scheduler.step()
        if interval == "epoch":
            scheduler.step()
    assert np.array_equal(model.weight.numpy(), by_hand.weight.numpy()) and np.array_equal(model.bias.numpy(), by_hand.bias.numpy())
    expected = [rate for rate, _ in torch_traces["schedules"][name]]
    np.testing.assert_allclose(used[::3] if interval == "epoch" else used, expected, rtol=1e-13)
    if interval == "epoch":
        np.testing.assert_allclose(history["lr"], expected, rtol=1e-13)


def test_a_schedule_can_be_saved():
    first, second = optim.SGD([leaf(1.0)], lr=0.4), optim.SGD([leaf(1.0)], lr=0.4)
    scheduler, other = (optim.lr_scheduler.StepLR(o, step_size=2) for o in (first, second))
    for _ in range(5):
        scheduler.step()
    other.load_state_dict(scheduler.state_dict())
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"] == 0.4 * 0.1 ** 2
    scheduler.step()
    other.step()
    assert other.get_last_lr() == scheduler.get_last_lr() == [0.4 * 0.1 ** 3]
