"""What fit, predict and evaluate mean, each against the same thing written out by hand."""
import random
import time

import numpy as np
import pytest
from sklearn import metrics as sk

import vivace as vv
from vivace import callbacks, nn, optim


def blobs(rows=103, features=7, classes=3, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    return (rng.standard_normal((rows, features)) + 0.7 * y[:, None]).astype(dtype), y


def network(seed=0, features=7, classes=3, p=0.25, dtype=None):
    vv.manual_seed(seed)
    model = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Dropout(p), nn.Linear(16, classes))
    return model if dtype is None else model.to(dtype)


def trainer_of(model, make=optim.Adam, loss=None, seed=5, **options):
    return vv.Trainer(model, loss or nn.CrossEntropyLoss(), make(model.parameters(), lr=0.02), seed=seed, **options)


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8))


def log_loss(y, p, **options):
    """scikit-learn's, which wants rows that sum to 1 in float64."""
    p = p.astype(np.float64)
    return sk.log_loss(y, p / p.sum(axis=1, keepdims=True), **options)


# --- what the history holds

@pytest.mark.parametrize("weighted", [False, True])
def test_loss_of_an_epoch_is_the_mean_over_rows_of_each_batch_before_its_update(weighted):
    X, y = blobs()
    w = np.random.default_rng(1).uniform(0, 2, len(X)).astype(np.float32) if weighted else None
    trainer = trainer_of(network())
    history = trainer.fit(X, y, epochs=3, batch_size=16, sample_weight=w, verbose=0)
    vv.manual_seed(5)  # the key of eager dropout is the trainer's seed
    model = network()
    vv.manual_seed(5)
    loss, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(3):
        order, total, count = trainer.order_of(epoch, len(X)), 0.0, 0.0
        for start in range(0, len(X), 16):
            rows = order[start:start + 16]
            part = None if w is None else w[rows]
            value = loss(model(X[rows]), y[rows], part)
            mass = len(rows) if w is None else float(part.astype(np.float64).sum())
            total, count = total + value.item() * mass, count + mass
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert history["loss"][epoch] == pytest.approx(total / count, rel=1e-6)
    assert same(weights(trainer), np.concatenate([p.numpy().ravel() for p in model.parameters()]))


def test_a_loss_that_is_a_sum_is_shown_as_a_mean_too():
    X, y = blobs()
    a = trainer_of(network(), optim.SGD, nn.CrossEntropyLoss(reduction="sum"))
    a.optimizer.param_groups[0]["lr"] = 0.0
    assert a.fit(X, y, epochs=1, verbose=0)["loss"][0] == pytest.approx(
        trainer_of(network(), optim.SGD).fit(X, y, epochs=1, batch_size=len(X), verbose=0)["loss"][0], rel=0.05)


def test_metrics_of_an_epoch_are_those_of_its_own_outputs():
    X, y = blobs()
    model = network(p=0.0)
    trainer = trainer_of(model, optim.SGD, metrics=["accuracy"])
    trainer.optimizer.param_groups[0]["lr"] = 0.0  # the outputs of the epoch are then those of predict
    history = trainer.fit(X, y, epochs=2, batch_size=16, validation_data=(X[:40], y[:40]), verbose=0)
    assert history["accuracy"] == [pytest.approx(sk.accuracy_score(y, trainer.predict_classes(X)))] * 2
    assert history["val_accuracy"] == [pytest.approx(sk.accuracy_score(y[:40], trainer.predict_classes(X[:40])))] * 2
    assert history["val_loss"][0] == pytest.approx(log_loss(y[:40], trainer.predict_proba(X[:40])), rel=1e-5)


def test_metrics_take_the_row_weights():
    X, y = blobs()
    w = np.random.default_rng(2).uniform(0, 1, len(X))
    trainer = trainer_of(network(p=0.0), optim.SGD, metrics=["accuracy"])
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    history = trainer.fit(X, y, epochs=1, batch_size=16, sample_weight=w, validation_data=(X, y, w), verbose=0)
    expected = sk.accuracy_score(y, trainer.predict_classes(X), sample_weight=w)
    assert history["accuracy"][0] == pytest.approx(expected, rel=1e-5)
    assert history["val_accuracy"][0] == pytest.approx(expected, rel=1e-5)
    assert trainer.evaluate(X, y, w)["loss"] == pytest.approx(
        log_loss(y, trainer.predict_proba(X), sample_weight=w), rel=1e-5)


def test_regression_metrics_equal_scikit_learns():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 4)), rng.standard_normal((90, 2))
    vv.manual_seed(0)
    model = nn.Linear(4, 2, dtype="float64")
    trainer = trainer_of(model, optim.SGD, nn.MSELoss(), metrics=["r2", "mae", "rmse", sk_max_error])
    trainer.fit(X, y, epochs=2, verbose=0)
    found, z = trainer.evaluate(X, y), trainer.predict(X)
    assert found["r2"] == pytest.approx(sk.r2_score(y, z)) and found["mae"] == pytest.approx(sk.mean_absolute_error(y, z))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, z))
    assert found["loss"] == pytest.approx(sk.mean_squared_error(y, z))
    assert found["sk_max_error"] == pytest.approx(np.abs(y - z).max())


def sk_max_error(prediction, target):
    return np.abs(prediction - target).max()


# --- the rows that are trained on

def test_validation_split_is_drawn_by_the_seed_and_not_trained_on():
    X, y = blobs()
    seen = {}
    for seed in (1, 1, 2):
        trainer = trainer_of(network(), seed=seed)
        trainer.fit(X, y, epochs=2, batch_size=8, validation_split=0.25, verbose=0)
        held = _held(trainer, len(X), 0.25)
        rest = np.setdiff1d(np.arange(len(X)), held)
        by_hand = trainer_of(network(), seed=seed)
        by_hand.fit(X[rest], y[rest], epochs=2, batch_size=8, validation_data=(X[held], y[held]), verbose=0)
        assert same(weights(trainer), weights(by_hand)) and trainer.history["val_loss"] == by_hand.history["val_loss"]
        assert seen.setdefault(seed, held.tolist()) == held.tolist()
    assert seen[1] != seen[2] and len(seen[1]) == int(len(X) * 0.25) and seen[1] != list(range(len(seen[1])))


def _held(trainer, rows, split):
    from vivace.trainer import SPLIT_EPOCH
    order = np.empty(rows, np.int64)
    trainer.book.permutation(order, trainer.seed, SPLIT_EPOCH)
    return np.sort(order[:int(rows * split)])


def test_held_out_rows_are_untouched_by_training():
    X, y = blobs()
    held = _held(trainer_of(network()), len(X), 0.3)
    runs = []
    for junk in (False, True):
        Z, t = X.copy(), y.copy()
        if junk:
            Z[held], t[held] = 1e3, 0
        trainer = trainer_of(network())
        trainer.fit(Z, t, epochs=2, batch_size=8, validation_split=0.3, verbose=0)
        runs.append((weights(trainer), trainer.history["val_loss"]))
    assert same(runs[0][0], runs[1][0]) and runs[0][1] != runs[1][1]


def test_weight_two_is_a_row_twice_and_weight_zero_no_row():
    X, y = blobs(dtype=np.float64)
    w = np.random.default_rng(3).integers(0, 3, len(X))
    repeated = np.repeat(np.arange(len(X)), w)
    a, b = (trainer_of(network(p=0.0, dtype="float64"), optim.SGD) for _ in range(2))
    a.fit(X, y, epochs=20, batch_size=len(X), sample_weight=w, shuffle=False, verbose=0)
    b.fit(X[repeated], y[repeated], epochs=20, batch_size=len(X) * 2, shuffle=False, verbose=0)
    assert np.allclose(weights(a), weights(b), rtol=1e-12, atol=1e-13)
    assert np.allclose(a.history["loss"], b.history["loss"], rtol=1e-12)
    X[w == 0] = 1e3
    c = trainer_of(network(p=0.0, dtype="float64"), optim.SGD)
    c.fit(X, y, epochs=20, batch_size=len(X), sample_weight=w, shuffle=False, verbose=0)
    assert same(weights(a), weights(c))


def test_order_of_rows():
    X, y = blobs()
    given = np.random.default_rng(0).permutation(len(X))

    def trained(X, y, shuffle):
        trainer = trainer_of(network(p=0.0))
        trainer.fit(X, y, epochs=2, batch_size=16, shuffle=shuffle, verbose=0)
        return weights(trainer)
    assert same(trained(X, y, given), trained(X[given], y[given], False))
    assert same(trained(X, y, np.arange(len(X))), trained(X, y, False))
    assert not same(trained(X, y, True), trained(X, y, False))
    trainer = trainer_of(network())
    orders = [trainer.order_of(epoch, 50) for epoch in (0, 1, 0)]
    assert np.array_equal(orders[0], orders[2]) and not np.array_equal(orders[0], orders[1])
    assert np.array_equal(np.sort(orders[1]), np.arange(50))


def test_the_short_last_batch_is_trained_on():
    X, y = blobs(rows=33)
    trainer = trainer_of(network())
    trainer.fit(X, y, epochs=2, batch_size=16, verbose=0)
    assert trainer.step == trainer.last_run.steps == 6
    Z = X.copy()
    Z[32] = 50  # alone in the third batch
    other = trainer_of(network())
    trainer = trainer_of(network())
    trainer.fit(X, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
    other.fit(Z, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
    assert not same(weights(trainer), weights(other))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x, y):
        return self.c(nn.functional.tanh(self.a(x) + self.b(y)))


def test_several_inputs():
    X, y = blobs()
    vv.manual_seed(0)
    model = TwoInputs()
    start = model.state_dict()
    trainer = trainer_of(model, optim.SGD, metrics=["accuracy"])
    trainer.fit([X[:, :3], X[:, 3:]], y, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
    vv.manual_seed(0)
    one = nn.Sequential(nn.Linear(7, 8), nn.Tanh(), nn.Linear(8, 3))
    one.load_state_dict({"0.weight": np.hstack([start["a.weight"], start["b.weight"]]),
                         "0.bias": start["a.bias"] + start["b.bias"],
                         "2.weight": start["c.weight"], "2.bias": start["c.bias"]})
    assert trainer.predict((X[:, :3], X[:, 3:])).shape == (len(X), 3)
    single = trainer_of(one, optim.SGD, metrics=["accuracy"])
    single.optimizer.param_groups[0]["lr"] = 0.0
    single.fit(X, y, epochs=1, batch_size=16, validation_split=0.2, verbose=0)
    assert trainer.history["loss"][0] == pytest.approx(single.history["loss"][0], rel=0.05)
    with vv.no_grad():
        assert same(model.eval()(np.ascontiguousarray(X[:, :3]), np.ascontiguousarray(X[:, 3:])).numpy(),
                    trainer.predict([X[:, :3], X[:, 3:]]))


# --- callbacks and ends

class Diary(vv.callbacks.Callback):
    def __init__(self, name="", pages=None):
        self.name, self.pages = name, [] if pages is None else pages

    def on_train_begin(self, trainer):
        self.pages.append(f"{self.name}begin {trainer.epoch}")

    def on_epoch_begin(self, trainer, epoch):
        self.pages.append(f"{self.name}epoch {epoch}")

    def on_epoch_end(self, trainer, epoch, logs):
        assert trainer.epoch == epoch + 1 == len(trainer.history) and trainer.history["loss"][-1] == logs["loss"]
        self.pages.append(f"{self.name}end {epoch}")

    def on_train_end(self, trainer):
        self.pages.append(f"{self.name}done")


def test_callbacks_are_called_in_order():
    X, y = blobs()
    trainer, pages = trainer_of(network()), []
    trainer.fit(X, y, epochs=2, callbacks=[Diary("a ", pages), Diary("b ", pages)], verbose=0)
    assert pages == ["a begin 0", "b begin 0", "a epoch 0", "b epoch 0", "a end 0", "b end 0", "a epoch 1", "b epoch 1",
                     "a end 1",
                     "b end 1", "a done", "b done"]


def test_a_batch_callback_sees_every_step():
    X, y = blobs()
    seen = []
    trainer = trainer_of(network())
    watch = vv.callbacks.LambdaCallback(on_batch_end=lambda t, step, logs: seen.append((t.epoch, step, t.step, logs["loss"])))
    trainer.fit(X, y, epochs=2, batch_size=16, callbacks=watch, verbose=0)
    assert [s[:3] for s in seen] == [(e, i, 7 * e + i + 1) for e in range(2) for i in range(7)]
    sizes = [16] * 6 + [7]
    for epoch in range(2):
        mean = np.dot(sizes, [s[3] for s in seen if s[0] == epoch]) / 103
        assert trainer.history["loss"][epoch] == pytest.approx(mean, rel=1e-6)
    plain = trainer_of(network())
    plain.fit(X, y, epochs=2, batch_size=16, verbose=0)
    assert same(weights(trainer), weights(plain))


def test_a_callback_can_stop_after_an_epoch_or_a_step():
    X, y = blobs()

    def stop(trainer, *_):
        trainer.stop_training = True
    trainer = trainer_of(network())
    trainer.fit(X, y, epochs=9, batch_size=16, callbacks=vv.callbacks.LambdaCallback(on_epoch_end=stop), verbose=0)
    assert (trainer.epoch, trainer.step) == (1, 7)
    trainer.fit(X, y, epochs=9, batch_size=16, callbacks=vv.callbacks.LambdaCallback(on_batch_end=stop), verbose=0)
    assert (trainer.epoch, trainer.step, trainer.position, len(trainer.history)) == (1, 8, 1, 1)


def test_weights_written_by_a_callback_are_trained_on():
    X, y = blobs()
    halve = lambda t, *_: [p.copy_(p.numpy() / 2) for p in t.model.parameters()]
    for hook in ("on_epoch_end", "on_batch_end"):
        trainer = trainer_of(network())
        trainer.fit(X, y, epochs=2, batch_size=52, callbacks=vv.callbacks.LambdaCallback(**{hook: halve}), verbose=0)
        by_hand = trainer_of(network())
        step = by_hand.make_step(52)
        for epoch in range(2):
            order = by_hand.order_of(epoch, len(X))
            for part in (order[:52], order[52:]):
                step(X[part], y[part])
                if hook == "on_batch_end":
                    halve(by_hand)
            if hook == "on_epoch_end":
                halve(by_hand)
        assert same(weights(trainer), weights(by_hand)), hook


def test_early_stopping_restores_the_best_weights():
    X, y = blobs(rows=60)
    Xv, yv = blobs(rows=200, seed=1)
    stop, kept = vv.callbacks.EarlyStopping(patience=4), []
    trainer = trainer_of(network(p=0.0))
    watch = vv.callbacks.LambdaCallback(on_epoch_end=lambda t, e, logs: kept.append(weights(t)))
    history = trainer.fit(X, y, epochs=300, batch_size=10, validation_data=(Xv, yv), callbacks=[watch, stop], verbose=0)
    best = int(np.argmin(history["val_loss"]))
    assert len(history) < 300 and stop.best_epoch == best == len(history) - 5
    assert same(weights(trainer), kept[best]) and not same(kept[best], kept[-1])
    assert trainer.evaluate(Xv, yv)["loss"] == history["val_loss"][best] and "val_loss" in trainer.stop_reason


def test_max_time_ends_a_fit_and_keeps_what_was_done():
    X, y = blobs(rows=2000)
    trainer = trainer_of(network())
    began = time.monotonic()
    trainer.fit(X, y, epochs=10**6, batch_size=4, max_time=0.2, verbose=0)
    assert time.monotonic() - began < 30  # a watchdog: without the limit this takes days
    assert trainer.stop_reason == "max_time" and trainer.step == trainer.last_run.steps > 0
    assert trainer.step == trainer.epoch * 500 + trainer.position and len(trainer.history) == trainer.epoch


def test_zero_epochs_change_nothing():
    X, y = blobs()
    trainer = trainer_of(network())
    before = weights(trainer)
    assert len(trainer.fit(X, y, epochs=0, verbose=0)) == 0 and same(before, weights(trainer))


# --- going on, schedules, options

@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_second_fit_continues(make):
    X, y = blobs()
    whole, parts = (trainer_of(network(), make, metrics=["accuracy"]) for _ in range(2))
    whole.fit(X, y, epochs=10, batch_size=16, validation_split=0.2, verbose=0)
    for epochs in (5, 0, 2, 3):
        parts.fit(X, y, epochs=epochs, batch_size=16, validation_split=0.2, verbose=0)
    assert same(weights(whole), weights(parts)) and whole.step == parts.step and parts.epoch == 10
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert whole.history[name] == parts.history[name]


def test_scheduler_by_epoch_and_by_step():
    X, y = blobs()
    for interval in ("epoch", "step"):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler=optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
                             scheduler_interval=interval, seed=5)
        history = trainer.fit(X, y, epochs=3, batch_size=16, verbose=0)
        by_hand = trainer_of(network(), optim.SGD)
        step, done = by_hand.make_step(16), 0
        for epoch in range(3):
            order = by_hand.order_of(epoch, len(X))
            for start in range(0, len(X), 16):
                by_hand.optimizer.param_groups[0]["lr"] = 0.1 * 0.9 ** (done if interval == "step" else epoch)
                step(X[order[start:start + 16]], y[order[start:start + 16]])
                done += 1
        assert same(weights(trainer), weights(by_hand)), interval
        rates = [0.1 * 0.9 ** e for e in range(3)] if interval == "epoch" else [0.1 * 0.9 ** (7 * e + 7) for e in range(3)]
        assert history["lr"] == pytest.approx(rates)


def test_clip_grad_norm():
    X, y = blobs(dtype=np.float64)
    model = network(p=0.0, dtype="float64")
    trainer = trainer_of(model, optim.SGD, clip_grad_norm=0.05)
    trainer.fit(X, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
    by_hand = network(p=0.0, dtype="float64")
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(by_hand.parameters(), lr=0.02)
    clipped = 0
    for start in range(0, len(X), 16):
        optimizer.zero_grad()
        loss(by_hand(X[start:start + 16]), y[start:start + 16]).backward()
        norm = np.sqrt(sum((p.grad.numpy() ** 2).sum() for p in by_hand.parameters()))
        clipped += norm > 0.05
        for p in by_hand.parameters():
            p.grad = p.grad.numpy() * min(1.0, 0.05 / (norm + 1e-6))
        optimizer.step()
    assert clipped > 0
    assert np.allclose(weights(trainer), np.concatenate([p.numpy().ravel() for p in by_hand.parameters()]), rtol=1e-6, atol=1e-9)


def test_changed_options_take_hold_in_the_next_fit():
    X, y = blobs()
    a, b = trainer_of(network(), clip_grad_norm=None), trainer_of(network(), clip_grad_norm=0.01)
    a.clip_grad_norm, a.seed = 0.01, 7
    b.seed = 7
    c = trainer_of(network())
    c.fit(X, y, epochs=1, verbose=0)
    c.clip_grad_norm = 0.01
    before = weights(c)
    c.optimizer.param_groups[0]["lr"] = 0.0
    c.fit(X, y, epochs=1, verbose=0)
    assert same(before, weights(c))
    for trainer in (a, b):
        trainer.fit(X, y, epochs=1, verbose=0)
    assert same(weights(a), weights(b))


@pytest.mark.parametrize("precision", ["float32", "float64", None])
def test_precision_converts_the_model_in_place(precision):
    X, y = blobs(dtype=np.float64)
    model = network(dtype="float64" if precision == "float32" else None)
    parameter = next(model.parameters())
    trainer = trainer_of(model, precision=precision)
    trainer.fit(X, y, epochs=2, verbose=0)
    assert parameter is next(model.parameters()) and trainer.predict(X).dtype == parameter.dtype == (precision or "float32")
    assert trainer.history["loss"][1] < trainer.history["loss"][0]


def test_frozen_parameters_stay():
    X, y = blobs()
    model = network()
    model[0].requires_grad_(False)
    before, trainer = model[0].weight.numpy().copy(), trainer_of(model)
    trainer.fit(X, y, epochs=2, verbose=0)
    assert np.array_equal(before, model[0].weight.numpy()) and trainer.optimizer.steps[model[3].weight] > 0
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter of the model is trained"):
        trainer.fit(X, y, verbose=0)


# --- what fit leaves alone

def test_no_global_random_state_is_touched():
    X, y = blobs()
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].copy(), np.random.get_state()[2:]
    trainer = trainer_of(network(), metrics=["accuracy"], seed=None)
    trainer.fit(X, y, epochs=2, validation_split=0.2, verbose=0)
    trainer.predict_proba(X)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1]) and np.random.get_state()[2:] == states[2]


def test_inputs_are_never_modified():
    X, y = blobs()
    w = np.linspace(0, 1, len(X))
    given = [X, y, w]
    copies = [a.copy() for a in given]
    for a in given:
        a.flags.writeable = False
    trainer = trainer_of(network(), metrics=["accuracy"])
    trainer.fit(X, y, epochs=2, batch_size=16, sample_weight=w, validation_split=0.2, verbose=0)
    trainer.predict_proba(X)
    trainer.evaluate(X, y, w)
    assert all(np.array_equal(a, b) for a, b in zip(given, copies))


def test_last_run_tells_what_was_done():
    X, y = blobs()
    trainer = trainer_of(network(), num_threads=1)
    trainer.fit(X, y, epochs=3, batch_size=16, verbose=0)
    run = trainer.last_run
    assert (run.threads, run.steps) == (1, 21) and run.seconds > 0 and run.gflops > 0
    assert run.samples_per_second == pytest.approx(3 * 103 / run.seconds, rel=1e-6)
    assert "steps=21" in repr(run)


def test_the_plan_is_readable():
    X, y = blobs()
    trainer = trainer_of(network())
    with pytest.raises(RuntimeError, match="no plan before the first fit"):
        trainer.plan  # noqa: B018
    trainer.fit(X, y, epochs=1, verbose=0)
    assert "linear_forward" in str(trainer.plan) and trainer.plan.memory()["total"] > 0


@pytest.mark.parametrize("odd", [3, 4095, 4096, 4699])
def test_a_rate_that_differs_in_one_step_is_seen(odd):
    """What stays the same for a whole run is set once; a run of one step after the other sets everything each time."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4700, 3)).astype(np.float32), rng.standard_normal((4700, 1)).astype(np.float32)
    found = []
    for factor, watchers in ((50.0, []), (50.0, [callbacks.LambdaCallback(on_batch_end=lambda *_: None)]), (1.0, [])):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 1))
        optimizer = optim.SGD(model.parameters(), lr=1e-4)
        scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step, factor=factor: factor if step == odd else 1.0)
        trainer = vv.Trainer(model, nn.MSELoss(), optimizer, seed=1, scheduler=scheduler, scheduler_interval="step", num_threads=1)
        trainer.fit(X, y, epochs=1, batch_size=1, callbacks=watchers, verbose=0)
        found.append(model[0].weight.numpy().tobytes())
    assert found[0] == found[1] != found[2]
