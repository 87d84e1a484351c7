"""Every optimizer: eager steps, plans and files give the same bits; what PyTorch lacks against transcriptions of the papers."""
from decimal import Decimal, localcontext

import numpy as np
import pytest
import vivace.nn.functional as F
from vivace.nn.optim.adam import correction

import vivace as vv
from vivace import nn, optim

SETTINGS = {
    "SGD": {"lr": 0.05, "momentum": 0.9, "nesterov": True}, "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "Adadelta": {"rho": 0.8}, "RMSprop": {"centered": True, "momentum": 0.5, "eps": 1e-3}, "Rprop": {"lr": 0.003},
    "Adam": {"amsgrad": True}, "AdamW": {"amsgrad": True}, "Adamax": {}, "NAdam": {"decoupled_weight_decay": True}, "RAdam": {},
    "Lion": {"lr": 1e-3},
}
RNG = np.random.default_rng(2)
X, T = RNG.normal(size=(70, 5)).astype(np.float32), RNG.normal(size=(70, 3)).astype(np.float32)


def made(name, **shared):
    vv.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 33), nn.Tanh(), nn.Linear(33, 3))
    decay = {} if name == "Rprop" else {"weight_decay": 0.05}
    groups = [{"params": [model[0].weight, model[2].weight], **decay}, {"params": [model[0].bias, model[2].bias], "lr": 0.002}]
    return model, optim.__dict__[name](groups, **SETTINGS[name], **shared)


def bits(model):
    return b"".join(p.numpy().tobytes() for p in model.parameters())


def test_every_optimizer_has_a_setting():
    assert set(SETTINGS) == set(nn.optim.TABLE)


@pytest.mark.parametrize("shared", [{}, {"l1_decay": 0.01, "max_norm": 0.7}], ids=["plain", "constrained"])
@pytest.mark.parametrize("name", SETTINGS)
def test_eager_steps_and_plans_give_the_same_bits(name, shared):
    found = []
    for threads in (1, 2, 3):
        model, optimizer = made(name, **shared)
        start = bits(model)
        trainer = vv.Trainer(model, nn.MSELoss(), optimizer, num_threads=threads, seed=0)
        trainer.fit(X, T, epochs=4, batch_size=32, shuffle=False, verbose=0)
        updates = [c for c in trainer.plan.calls if c.name.endswith("_update")]
        assert len(updates) == 4 and trainer.last_run.threads == threads
        assert all(c.chained for c in updates) or shared
        found.append(bits(model))
    model, optimizer = made(name, **shared)
    for _ in range(4):
        for begin in range(0, 70, 32):
            optimizer.zero_grad()
            F.mse_loss(model(X[begin:begin + 32]), T[begin:begin + 32]).backward()
            optimizer.step()
    found.append(bits(model))
    assert found[0] == found[1] == found[2] == found[3] != start
    if shared:
        assert max(np.linalg.norm(p.numpy(), axis=1).max() for p in (model[0].weight, model[2].weight)) <= 0.7 * (1 + 1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_saved_run_goes_on(name, tmp_path):
    def trainer_of():
        model, optimizer = made(name)
        return vv.Trainer(model, nn.MSELoss(), optimizer, seed=0)
    whole, first = trainer_of(), trainer_of()
    whole.fit(X, T, epochs=4, verbose=0)
    first.fit(X, T, epochs=2, verbose=0)
    first.save(tmp_path / "run.vivace")
    second = vv.load(tmp_path / "run.vivace")
    second.fit(X, T, epochs=2, verbose=0)
    assert bits(second.model) == bits(whole.model)
    model, optimizer = made(name)
    optimizer.load_state_dict(first.optimizer.state_dict())
    assert optimizer.state_dict()["state"][0].keys() == first.optimizer.state_dict()["state"][0].keys()


def test_adam_with_decoupled_decay_is_adamw(tmp_path):
    """By hand, in a plan, and after it was in a file."""
    found = []
    for make in (optim.AdamW, lambda groups, **o: optim.Adam(groups, decoupled_weight_decay=True, **o)):
        vv.manual_seed(3)
        model = nn.Sequential(nn.Linear(5, 33), nn.Tanh(), nn.Linear(33, 3))
        trainer = vv.Trainer(model, nn.MSELoss(), make(model.parameters(), weight_decay=0.05), seed=0)
        trainer.fit(X, T, epochs=1, verbose=0)
        trainer.save(tmp_path / "a.vivace")
        trainer = vv.load(tmp_path / "a.vivace")
        trainer.fit(X, T, epochs=1, verbose=0)
        F.mse_loss(trainer.model(X), T).backward()
        trainer.optimizer.step()
        found.append(bits(trainer.model))
    assert found[0] == found[1]
    with pytest.raises(ValueError, match="decoupled_weight_decay must be the same in all groups, and stay"):
        trainer.optimizer.param_groups[0]["decoupled_weight_decay"] = False
        trainer.optimizer.step()


@pytest.mark.parametrize("name", SETTINGS)
def test_scalars_of_many_steps_are_those_of_few(name):
    """A run asks for hundreds of rows at once, or for a few at a time: the same numbers."""
    _, optimizer = made(name)
    columns = {f"{group}/0/{scalar}": at for at, (group, scalar) in enumerate(
        (group, scalar) for group, options in enumerate(optimizer.param_groups) for scalar in optimizer.scalars(options, np.array([1.0])))}
    whole, pieces = np.zeros((700, len(columns))), np.zeros((700, len(columns)))
    optimizer.fill(whole, columns, 40)
    for at in range(0, 700, 70):
        optimizer.fill(pieces[at:at + 70], columns, 40 + at)
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize("beta", [0.0, 1e-300, 0.5, 0.9, 0.999, 1 - 2.0**-40])
def test_bias_correction_of_any_step(beta):
    """The numbers that Decimal's powers of 60 digits round to, also where beta^t is subnormal, or nothing."""
    steps = [1, 2, 3, 54, 55, 56, 57, 500, 7000, 7100, 10**6]
    with localcontext() as context:
        context.prec, context.Emin = 60, -10**9
        exact = [float(1 - Decimal(beta)**step) for step in steps]
    np.testing.assert_allclose(correction(beta, np.array(steps, float)), exact, rtol=2e-16, atol=2.0**-53)
    np.testing.assert_array_equal(correction(np.full(len(steps), beta), np.array(steps, float)), correction(beta, np.array(steps, float)))


@pytest.mark.parametrize("options", [{}, {"lr": 0.01, "betas": (0.5, 0.9)}, {"weight_decay": 0.3}, {"lr": 0.02, "maximize": True}])
def test_lion_is_algorithm_2_of_its_paper(options):
    lr, (beta1, beta2), decay = options.get("lr", 1e-4), options.get("betas", (0.9, 0.99)), options.get("weight_decay", 0.0)
    gradients = np.random.default_rng(1).normal(size=(200, 9))
    p = nn.Parameter(np.linspace(-2, 2, 9))
    theta, m, optimizer = p.numpy().copy(), np.zeros(9), optim.Lion([p], **options)
    for g in gradients:
        p.grad = g
        optimizer.step()
        g = -g if options.get("maximize") else g
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * (np.sign(c) + decay * theta)
        m = beta2 * m + (1 - beta2) * g
    np.testing.assert_allclose(p.numpy(), theta, rtol=1e-12)


def test_l1_max_norm_and_maximize_by_hand():
    p = nn.Parameter(np.array([[3.0, -4.0], [0.3, 0.0]]))
    p.grad = np.ones((2, 2))
    optim.SGD([p], lr=0.5, l1_decay=0.2, maximize=True).step()
    after = np.array([[3.0, -4.0], [0.3, 0.0]]) - 0.5 * (-1 + 0.2 * np.array([[1, -1], [1, 0]]))
    np.testing.assert_allclose(p.numpy(), after, rtol=1e-15)
    p.grad = np.zeros((2, 2))
    optim.SGD([p], lr=0.5, max_norm=1.0).step()
    np.testing.assert_allclose(p.numpy(), after / np.maximum(np.linalg.norm(after, axis=1, keepdims=True), 1), rtol=1e-14)


def test_adagrad_finds_rare_features_sooner_than_sgd():
    """Each at its best rate of a grid, after equal steps: features that come once in 50 rows carry most of the target."""
    rng = np.random.default_rng(0)
    rare = (rng.random((600, 40)) < 0.02) * rng.normal(size=(600, 40))
    A = np.column_stack([rng.normal(size=(600, 3)) * 3, rare]).astype(np.float32)
    b = A @ rng.normal(size=43).astype(np.float32)

    def best(kind, rates):
        found = []
        for lr in rates:
            model = nn.Linear(43, 1)
            model.weight.copy_(np.zeros((1, 43)))
            trainer = vv.Trainer(model, nn.MSELoss(), kind(model.parameters(), lr=lr), seed=0)
            try:
                found.append(trainer.fit(A, b, epochs=5, batch_size=20, verbose=0)["loss"][-1])
            except vv.NonFiniteError:
                pass
        return min(found)
    assert best(optim.Adagrad, (0.1, 0.3, 1.0)) < 0.5 * best(optim.SGD, (0.003, 0.01, 0.03, 0.1))
