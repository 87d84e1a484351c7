"""Schedules against PyTorch over 500 steps, and in the compiled epoch: ahead, without a step per call."""
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim
from vivace.optim import lr_scheduler as s

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
TRACES = json.loads((DATA / "schedule_traces.json").read_text())
spec = importlib.util.spec_from_file_location("make_schedule_traces", DATA / "make_schedule_traces.py")
maker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(maker)


def sgd(**options):
    a, b = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    return optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.01}], lr=0.4, momentum=0.9, **options)


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", TRACES["cases"], ids=lambda case: case["name"])
def test_500_steps(case):
    o = sgd()
    near(maker.run(getattr(s, case["name"]), o, case["options"]), case["rates"])


@pytest.mark.parametrize("name", TRACES["composed"])
def test_500_steps_of_a_composition(name):
    o = sgd()
    near(maker.run(lambda _: maker.composed(s, o)[name](), o), TRACES["composed"][name])


@pytest.mark.parametrize("case", TRACES["plateau"], ids=lambda case: str(case["options"]))
def test_500_steps_on_a_plateau(case):
    o = sgd()
    near(maker.run(s.ReduceLROnPlateau, o, case["options"], True), case["rates"])


def test_inverse_scaling_is_scikit_learns():
    o = sgd()
    schedule = s.InverseScalingLR(o, power=0.3)
    for t in range(1, 20):
        assert schedule.get_last_lr() == pytest.approx([0.4 / t ** 0.3, 0.01 / t ** 0.3])
        schedule.step()


X, T = np.random.default_rng(0).normal(size=(48, 3)), np.arange(48.0)
MADE = {"one cycle": (optim.Adam, lambda o: s.OneCycleLR(o, max_lr=0.1, total_steps=36)),
        "one cycle of NAdam": (optim.NAdam, lambda o: s.OneCycleLR(o, max_lr=0.1, total_steps=36)),
        "weight decay": (optim.AdamW, lambda o: s.ExponentialLR(o, gamma=0.8, option="weight_decay")),
        "momentum": (lambda p, lr: optim.SGD(p, lr=lr, momentum=0.5), lambda o: s.LinearLR(o, option="momentum")),
        "sequence": (optim.SGD, lambda o: s.SequentialLR(o, [s.LinearLR(o), s.CosineAnnealingLR(o, T_max=9)], [5])),
        "function": (optim.SGD, lambda o: s.LambdaLR(o, lambda step: 1 / (1 + step)))}


def made(name):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 1, dtype="float64"))
    optimizer = MADE[name][0](model.parameters(), lr=0.01)
    return vv.Trainer(model, nn.MSELoss(), optimizer, scheduler=MADE[name][1](optimizer), scheduler_interval="step", seed=1)


@pytest.mark.parametrize("name", MADE)
def test_a_compiled_epoch_knows_its_rates_ahead(name, monkeypatch):
    """Bitwise as when every step is a call of its own, as a batch callback makes it."""
    a, b, calls = made(name), made(name), []
    engine = vv.run.Run._engine
    monkeypatch.setattr(vv.run.Run, "_engine", lambda run, *args: calls.append(args) or engine(run, *args))
    a.fit(X, T, epochs=3, batch_size=4, verbose=0)
    together = len(calls)
    b.fit(X, T, epochs=3, batch_size=4, verbose=0, callbacks=[vv.callbacks.LambdaCallback(on_batch_end=lambda *args: None)])
    assert together < 18 and len(calls) - together >= 36
    for p, q in zip(a.model.parameters(), b.model.parameters()):
        assert np.array_equal(p.numpy(), q.numpy())
    assert a.optimizer.param_groups[0]["lr"] == b.optimizer.param_groups[0]["lr"]
    assert a.scheduler.last_epoch == b.scheduler.last_epoch == 36


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.noise, self.a, self.drop, self.fixed, self.b = (nn.GaussianNoise(0.3), nn.Linear(3, 16), nn.Dropout(0.6), nn.Dropout(0.1),
                                                             nn.Linear(16, 1))

    def forward(self, x):
        return self.b(self.fixed(self.drop(F.tanh(self.a(self.noise(x))))))


def layered(seed=0):
    """A network, its optimizer, and schedules of the rate, of a dropout and of a noise, as one."""
    vv.manual_seed(seed)
    model = Dropping()
    o = optim.Adam(model.parameters(), lr=0.01)
    return model, o, s.ChainedScheduler([s.ExponentialLR(o, 0.95), s.LinearLR(o, 0.1, total_iters=9, option=(model.drop, "p")),
                                         s.StepLR(o, 5, 0.5, option=(model.noise, "std"))])


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_numbers_of_layers_are_scheduled(interval, threads):
    """Dropout's share and a noise's size go along in the compiled epoch, with the bits of the loop by hand."""
    model, o, scheduler = layered()
    trainer = vv.Trainer(model, nn.MSELoss(), o, scheduler=scheduler, scheduler_interval=interval, seed=5, num_threads=threads)
    shares = []
    note = vv.callbacks.LambdaCallback(on_epoch_end=lambda *_: shares.append((model.drop.p, model.noise.std)))
    trainer.fit(X, T, epochs=3, batch_size=8, shuffle=False, verbose=0, callbacks=[note])
    assert model.forwards == 0 and model.fixed.p == 0.1
    by_hand, o, scheduler = layered()
    vv.manual_seed(5)
    steps = 0
    for _ in range(3):
        for start in range(0, 48, 8):
            o.zero_grad()
            F.mse_loss(by_hand(X[start:start + 8].astype(np.float32)), T[start:start + 8]).backward()
            o.step()
            steps += 1
            if interval == "step":
                scheduler.step()
        if interval == "epoch":
            scheduler.step()
    for p, q in zip(model.parameters(), by_hand.parameters()):
        assert np.array_equal(p.numpy(), q.numpy())
    done = {"step": (6, 12, 18), "epoch": (1, 2, 3)}[interval]
    np.testing.assert_allclose(shares, [(0.6 * (0.1 + 0.9 * min(t, 9) / 9), 0.3 * 0.5 ** (t // 5)) for t in done])


def test_a_schedule_of_a_layer_in_steps_of_ones_own():
    results = []
    for compiled in (True, False):
        model, o, scheduler = layered()
        step = vv.Trainer(model, nn.MSELoss(), o, seed=5).make_step(8) if compiled else None
        vv.manual_seed(5)
        for start in range(0, 48, 8):
            if compiled:
                step(X[start:start + 8], T[start:start + 8])
            else:
                o.zero_grad()
                F.mse_loss(model(X[start:start + 8].astype(np.float32)), T[start:start + 8]).backward()
                o.step()
            scheduler.step()
        results.append(b"".join(p.numpy().tobytes() for p in model.parameters()))
    assert results[0] == results[1]


def test_a_file_holds_no_layer(tmp_path):
    model, o, _ = layered()
    drop = s.LinearLR(o, 0.1, total_iters=9, option=(model.drop, "p"))
    trainer = vv.Trainer(model, nn.MSELoss(), o, scheduler=drop, scheduler_interval="step", seed=5)
    trainer.fit(X, T, epochs=1, verbose=0)
    trainer.save(tmp_path / "a.vivace")
    with pytest.raises(ValueError, match="LinearLR holds a function or a layer"):
        vv.load(tmp_path / "a.vivace", model=Dropping())
    again = Dropping()
    loaded = vv.load(tmp_path / "a.vivace", model=again, scheduler=lambda o: s.LinearLR(o, 0.1, total_iters=9, option=(again.drop, "p")))
    for one in (trainer, loaded):
        one.fit(X, T, epochs=1, verbose=0)
    assert all(np.array_equal(p.numpy(), q.numpy()) for p, q in zip(model.parameters(), again.parameters()))
    assert again.drop.p == model.drop.p


def test_a_class_of_the_users_is_asked_step_by_step():
    class Sqrt(s.LRScheduler):
        def factor(self, step):
            return 1.0 if step < 3 else float(step) ** -0.5
    a = made("function")
    a.scheduler = Sqrt(a.optimizer)
    a.fit(X, T, epochs=1, batch_size=4, verbose=0)
    assert a.optimizer.param_groups[0]["lr"] == 0.01 * 12 ** -0.5


def test_the_trainer_reduces_on_a_plateau(tmp_path):
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = vv.Trainer(model, nn.MSELoss(), optimizer, scheduler=s.ReduceLROnPlateau(optimizer, patience=2, threshold=0.9), seed=0)
    trainer.fit(X, T, epochs=4, verbose=0)
    trainer.save(tmp_path / "a.vivace")
    again = vv.load(tmp_path / "a.vivace")
    for one in (trainer, again):
        one.fit(X, T, epochs=6, verbose=0)
    assert trainer.history["lr"] == again.history["lr"]
    rates = sorted(set(np.round(trainer.history["lr"], 12)), reverse=True)
    assert rates == pytest.approx([0.1, 0.01, 0.001, 1e-4][:len(rates)])
    assert trainer.history["lr"][-1] < 0.1
    with pytest.raises(ValueError, match="scheduler_interval='epoch'"):
        vv.Trainer(model, nn.MSELoss(), optimizer, scheduler=trainer.scheduler, scheduler_interval="step")


@pytest.mark.parametrize("make, says", [
    (lambda o: s.StepLR(o, step_size=0), "step_size must be an int >= 1, got 0"),
    (lambda o: s.OneCycleLR(o, max_lr=1.0), "needs total_steps"),
    (lambda o: s.OneCycleLR(o, max_lr=[1.0], total_steps=5), "max_lr must have one value for each of the 2 groups, got 1"),
    (lambda o: s.SequentialLR(o, [s.StepLR(o, 2)], [3]), "milestones must be one fewer"),
    (lambda o: s.SequentialLR(o, [s.StepLR(sgd(), 2)], []), "belong to the given optimizer"),
    (lambda o: s.ExponentialLR(o, 0.9, option="rate"), "option must be one of"),
    (lambda o: s.ExponentialLR(o, 0.9, option=(nn.Linear(2, 2), "p")), "option must name a number of a layer"),
    (lambda o: s.ReduceLROnPlateau(o, factor=1.0), "factor must be"),
    (lambda o: s.LinearLR(o, start_factor=0), "start_factor"),
])
def test_bad_arguments(make, says):
    with pytest.raises(ValueError, match=says):
        make(sgd())


def test_an_error_leaves_schedule_and_weights_at_one_step():
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    trainer = vv.Trainer(model, nn.MSELoss(), optimizer, scheduler=s.ExponentialLR(optimizer, 10.0), scheduler_interval="step", seed=0)
    with pytest.raises(vv.NonFiniteError):
        trainer.fit(X, T, epochs=50, batch_size=2, verbose=0)
    assert np.isfinite(model.weight.numpy()).all() and trainer.scheduler.last_epoch == trainer.step == optimizer.steps[model.weight] > 3
