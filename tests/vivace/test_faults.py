"""When something goes wrong in a run: losses and weights that are not finite, Ctrl-C, forks, and what is left behind."""
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim


def data(rows=200, scale=1.0):
    rng = np.random.default_rng(0)
    return scale * rng.standard_normal((rows, 6)).astype(np.float32), rng.integers(0, 3, rows)


def trainer_of(lr=0.05, make=optim.SGD, loss=None, threads=1, dropout=0.2, outputs=3, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, outputs))
    return vv.Trainer(model, loss or nn.CrossEntropyLoss(), make(model.parameters(), lr=lr), seed=1, num_threads=threads,
                      **options)


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


def state_of(trainer):
    return {**trainer.model.state_dict(), **{f"{i} {name}": value for i, held in trainer.optimizer.state_dict()["state"].items()
                                             for name, value in held.items()}}


def same_state(a, b):
    a, b = state_of(a), state_of(b)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- not finite

def regression(lr, **options):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, 6)).astype(np.float32)
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    trainer = vv.Trainer(model, nn.MSELoss(), options.pop("make", optim.SGD)(model.parameters(), lr=lr), seed=1, **options)
    return trainer, X, X.sum(axis=1)


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_huge_learning_rate_is_named_and_the_last_finite_weights_are_kept(make, threads):
    lr = 1e3 if make is optim.SGD else 1e30
    trainer, X, y = regression(lr, make=make, num_threads=threads)
    with pytest.raises(vv.NonFiniteError, match="training stopped being finite at epoch") as caught:
        trainer.fit(X, y, epochs=50, batch_size=8, verbose=0)
    error = caught.value
    assert f"epoch {error.epoch + 1}, step {error.step + 1}" in str(error)
    assert f"the learning rate ({lr:g}) is too high" in str(error)
    assert error.layer is not None and np.isfinite(weights(trainer)).all()
    assert trainer.step == 8 * error.epoch + error.step > 0
    assert (trainer.epoch, trainer.position, len(trainer.history)) == (error.epoch, error.step, error.epoch)
    before, X, y = regression(lr, make=make)
    stop = vv.callbacks.LambdaCallback(on_batch_end=lambda t, *_: setattr(t, "stop_training", t.step == trainer.step))
    before.fit(X, y, epochs=50, batch_size=8, callbacks=stop, verbose=0)
    assert before.step == trainer.step and np.array_equal(weights(before), weights(trainer)) and same_state(before, trainer)


def test_training_goes_on_where_it_was_once_the_rate_is_lowered(tmp_path):
    """A run with one bad rate, set right again, ends like one that never had it."""
    X, y = data(scale=10.0)
    good, trainer = trainer_of(make=optim.Adam), trainer_of(make=optim.Adam)
    good.fit(X, y, epochs=3, batch_size=32, verbose=0)
    spoil = vv.callbacks.LambdaCallback(on_batch_end=lambda t,
                                        *_: t.optimizer.param_groups[0].update(lr=1e39 if t.step == 9 else 0.05))
    with pytest.raises(vv.NonFiniteError):
        trainer.fit(X, y, epochs=3, batch_size=32, verbose=0, callbacks=spoil)
    assert (trainer.epoch, trainer.position) == (1, 2)
    trainer.optimizer.param_groups[0]["lr"] = 0.05
    trainer.save(tmp_path / "m.vivace")
    for t in (trainer, vv.load(tmp_path / "m.vivace")):
        t.fit(X, y, epochs=2, batch_size=32, verbose=0)
        assert same_state(good, t) and good.history["loss"] == t.history["loss"]


@pytest.mark.parametrize("layer", [0, 2])
def test_the_layer_whose_output_overflows_is_named(layer):
    """The inputs are finite, their products with the weights are not."""
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    model[layer].weight.copy_(np.full(model[layer].weight.shape, 3e38))
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()))
    before = weights(trainer)
    with pytest.raises(vv.NonFiniteError, match=f"at epoch 1, step 1: first in the output of .*layer {layer}") as caught:
        trainer.fit(np.full((20, 6), 100.0), np.zeros(20), verbose=0)
    assert (caught.value.layer, caught.value.epoch, caught.value.step) == (str(layer), 0, 0)
    assert np.array_equal(before, weights(trainer)) and trainer.step == 0


def test_a_loss_that_overflows_is_named():
    trainer = trainer_of(loss=nn.MSELoss(), outputs=1)
    with pytest.raises(vv.NonFiniteError, match="in the loss") as caught:
        trainer.fit(np.ones((20, 6)), np.full(20, 1e30), verbose=0)
    assert caught.value.layer == "loss"


def explode_at(trainer, steps):
    """A schedule by step that is harmless up to one update which overflows."""
    return optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: 1e38 / 0.05 * 30 if step == steps else 1.0 / (1 + step))


@pytest.mark.parametrize("steps", [0, 3, 8, 13])
@pytest.mark.parametrize("scheduled", [True, False])
def test_an_update_that_overflows_is_taken_back(steps, scheduled):
    """The loss is finite, the weights after the update are not: the run is repeated from a snapshot up to that step."""
    X, y = data(scale=10.0)
    trainer, before = trainer_of(), trainer_of()
    if scheduled:
        for t in (trainer, before):
            t.scheduler, t.scheduler_interval = explode_at(t, steps), "step"
        hook = None
    else:  # the same rates, set from a callback
        hook = vv.callbacks.LambdaCallback(on_batch_end=lambda t, *_: t.optimizer.param_groups[0].update(
            lr=1e38 * 30 if t.step == steps else 0.05 / (1 + t.step)))
        if steps == 0:
            trainer.optimizer.param_groups[0]["lr"] = 1e38 * 30
    with pytest.raises(vv.NonFiniteError,
                       match=f"epoch {steps // 7 + 1}, step {steps % 7 + 1}: an update made weights") as caught:
        trainer.fit(X, y, epochs=3, batch_size=32, verbose=0, callbacks=hook)
    assert (caught.value.epoch, caught.value.step) == divmod(steps, 7) and np.isfinite(weights(trainer)).all()
    assert (trainer.step, trainer.epoch, trainer.position) == (steps, *divmod(steps, 7))
    if steps:
        stop = vv.callbacks.LambdaCallback(on_batch_end=lambda t, *_: setattr(t, "stop_training", t.step == steps))
        before.fit(X, y, epochs=3, batch_size=32, verbose=0, callbacks=[hook, stop] if hook else stop)
    assert same_state(before, trainer)


def test_snapshots_that_are_old_lead_to_the_same_step(monkeypatch):
    """With a single snapshot, at the very first step, the repetition crosses epochs and their learning rates."""
    from vivace.run import Snapshots
    real = Snapshots.offer

    def offer(self, place, changed):
        self.cost = 1e9 if hasattr(self, "vectors") else 0.0
        real(self, place, changed)
    X, y = data(scale=10.0)
    found = []
    for patched in (False, True):
        with monkeypatch.context() as patch:
            if patched:
                patch.setattr(Snapshots, "offer", offer)
            trainer = trainer_of(make=optim.Adam)
            optimizer = trainer.optimizer
            trainer.scheduler = optim.lr_scheduler.LambdaLR(optimizer,
                                                            lambda epoch: 1e39 / 0.05 if epoch == 3 else 1 / (1 + epoch))
            with pytest.raises(vv.NonFiniteError) as caught:
                trainer.fit(X, y, epochs=6, batch_size=32, verbose=0)
            found.append((caught.value.epoch, caught.value.step, trainer.step, trainer))
    before = trainer_of(make=optim.Adam)
    before.scheduler = optim.lr_scheduler.LambdaLR(before.optimizer, lambda epoch: 1 / (1 + epoch))
    before.fit(X, y, epochs=3, batch_size=32, verbose=0)
    for epoch, step, steps, trainer in found:
        assert (epoch, step, steps) == (3, 0, 21) and same_state(before, trainer)


def test_weights_that_are_not_finite_at_the_start_are_named():
    trainer = trainer_of()
    bias = trainer.model[3].bias.numpy().copy()
    bias[1] = np.nan
    trainer.model[3].bias.copy_(bias)
    with pytest.raises(ValueError, match="the model's weights must be finite to train, 3.bias is not"):
        trainer.fit(*data(), verbose=0)


def test_a_step_of_ones_own_is_refused_before_its_update():
    trainer, X, y = regression(0.1)
    before, step = weights(trainer), trainer.make_step(64)
    with pytest.raises(vv.NonFiniteError, match="the loss of step 1 is not finite"):
        step(X, np.full(64, 1e30))
    assert np.array_equal(before, weights(trainer)) and trainer.step == 0
    assert np.isfinite(step(X, y))


# --- Ctrl-C

def interrupt(times, tmp_path):
    X, y = data(rows=1000)
    rng = np.random.default_rng(times)
    whole = trainer_of(make=optim.Adam)
    whole.fit(X, y, epochs=40, batch_size=8, validation_split=0.1, verbose=0)
    caught = 0
    while caught < times:
        trainer = trainer_of(make=optim.Adam)
        while trainer.epoch < 40:
            timer = threading.Timer(rng.exponential(0.03), os.kill, (os.getpid(), signal.SIGINT)) if caught < times else None
            try:
                if timer:
                    timer.start()
                trainer.fit(X, y, epochs=40 - trainer.epoch, batch_size=8, validation_split=0.1, verbose=0)
                if timer:
                    timer.join(60)
                    for _ in range(1000):  # the signal was sent: it is handled between two of these
                        pass
            except KeyboardInterrupt:
                caught += 1
                assert trainer.step == 113 * trainer.epoch + trainer.position and len(trainer.history) == trainer.epoch
                assert set(trainer.optimizer.steps.values()) == {trainer.step} and np.isfinite(weights(trainer)).all()
                assert trainer.predict(X[:3]).shape == (3, 3)
                if caught % 3 == 0:
                    trainer.save(tmp_path / "m.vivace")
                    trainer = vv.load(tmp_path / "m.vivace")
        assert same_state(whole, trainer) and whole.history["loss"] == trainer.history["loss"]
        assert whole.history["val_loss"] == trainer.history["val_loss"]


def test_ctrl_c_leaves_a_state_that_goes_on_as_if_nothing_was(tmp_path):
    interrupt(10, tmp_path)


@pytest.mark.slow
def test_five_hundred_ctrl_c(tmp_path):
    interrupt(500, tmp_path)


def big(backend):
    """Steps of many milliseconds, so that most stops fall into the middle of one; a schedule by steps."""
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    return vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=1, scheduler=optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
                      scheduler_interval="step", num_threads=1, backend=backend)


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_a_stop_in_the_middle_of_a_long_step(backend):
    """The step is left before its update or else finished: each is counted once, and the end is that of a run without stops."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4096, 256)).astype(np.float32), rng.integers(0, 3, 4096)
    whole, trainer, seen, stops = big(backend), big(backend), [], []
    whole.fit(X, y, epochs=3, batch_size=2048, verbose=0)
    watch = vv.callbacks.LambdaCallback(on_batch_end=lambda t, step, logs: seen.append((t.epoch, step)))
    while trainer.epoch < 3:
        before = trainer.step
        if len(stops) % 4 == 3:  # every fourth stop is a Ctrl-C
            timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                trainer.fit(X, y, epochs=3 - trainer.epoch, batch_size=2048, verbose=0, callbacks=watch)
                timer.join(30)
                for _ in range(1000):  # the signal was sent: it is handled between two of these
                    pass
            except KeyboardInterrupt:
                pass
        else:
            seconds = 0.004 * (1 + len(stops) % 60)
            trainer.fit(X, y, epochs=3 - trainer.epoch, batch_size=2048, verbose=0, callbacks=watch, max_time=seconds)
        stops.append(trainer.step - before)
        assert trainer.step == 2 * trainer.epoch + trainer.position == trainer.scheduler.last_epoch
        assert seen == [divmod(step, 2) for step in range(trainer.step)]
    assert same_state(whole, trainer) and whole.history["loss"] == trainer.history["loss"]
    assert backend == "cython" or 0 in stops  # the compiled engine looks at the clock less often than at every phase


@pytest.mark.parametrize("place", range(6))
def test_ctrl_c_after_each_phase(place, monkeypatch):
    """Slices are asked for at most 100 ms; after the one in which the signal came there is only the rest of a step whose update had
    begun, and the run goes on from there to the bits of one without a stop."""
    from vivace.nn.plan import Plan
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4096, 256)).astype(np.float32), rng.integers(0, 3, 4096)
    whole, trainer, run, calls = big("cython"), big("cython"), Plan.run, []
    whole.fit(X, y, epochs=1, batch_size=2048, verbose=0)

    def watched(plan, spaces, table, rows, batch, start, last, threads, seconds):
        if len(calls) == place:
            os.kill(os.getpid(), signal.SIGINT)
        calls.append((start, last, seconds))
        return run(plan, spaces, table, rows, batch, start, last, threads, 0.0 if seconds < np.inf else seconds)  # 0: one phase
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "run", watched)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, y, epochs=1, batch_size=2048, verbose=0)
    assert [start for start, _, _ in calls[:place + 1]] == [divmod(n, 3) for n in range(place + 1)]
    assert all(seconds <= 0.1 for _, _, seconds in calls[:place + 1])
    assert calls[place + 1:] == ([((place // 3, 2), place // 3 + 1, np.inf)] if place % 3 == 1 else [])  # phase 1 holds the first update
    trainer.fit(X, y, epochs=1 - trainer.epoch, batch_size=2048, verbose=0)
    assert same_state(whole, trainer)


def test_the_handler_of_the_caller_comes_back():
    def mine(*_):
        raise RuntimeError("mine")
    before = signal.signal(signal.SIGINT, mine)
    try:
        trainer = trainer_of()
        trainer.fit(*data(), epochs=1, verbose=0)
        assert signal.getsignal(signal.SIGINT) is mine
        with pytest.raises(ZeroDivisionError):
            trainer.fit(*data(), epochs=1, verbose=0, callbacks=vv.callbacks.LambdaCallback(on_epoch_end=lambda *_: 1 / 0))
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_acts_at_once():
    def twice(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second was not heard")
    with pytest.raises(KeyboardInterrupt):
        trainer_of().fit(*data(), epochs=3, verbose=0, callbacks=vv.callbacks.LambdaCallback(on_epoch_begin=twice))


LONG_FIT = """
import numpy as np, vivace as vv
from vivace import nn, optim
X = np.random.default_rng(0).standard_normal((5000, 20)).astype(np.float32)
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=1)
begun = vv.callbacks.LambdaCallback(on_train_begin=lambda t: print("ready", flush=True))
try:
    trainer.fit(X, np.arange(5000) % 3, epochs=10**6, batch_size=4, callbacks=begun, verbose=0)
except KeyboardInterrupt:
    print("interrupted", trainer.step > 0, trainer.predict(X[:2]).shape, flush=True)
"""


def test_sigint_ends_a_process_that_trains(tmp_path):
    with subprocess.Popen([sys.executable, "-c", LONG_FIT], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted True (2, 3)\n"


def test_fit_in_another_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGINT), []
    trainer = trainer_of()
    watch = vv.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(signal.getsignal(signal.SIGINT)))
    worker = threading.Thread(target=lambda: trainer.fit(*data(), epochs=2, verbose=0, callbacks=watch))
    worker.start()
    worker.join(60)
    assert seen == [before, before] and trainer.epoch == 2


# --- forks

def fork(times):
    X, y = data()
    expected = trainer_of(threads=1)
    expected.fit(X, y, epochs=4, verbose=0)
    for _ in range(times):
        trainer = trainer_of(threads=3)
        trainer.fit(X, y, epochs=2, verbose=0)
        assert trainer.last_run.threads == 3
        child = _forked()
        if child == 0:
            code = 1
            try:
                signal.alarm(60)  # the watchdog: a team that hangs is ended by the signal
                trainer.fit(X, y, epochs=2, verbose=0)
                code = 0 if trainer.last_run.threads == 1 and same_state(trainer, expected) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        trainer.fit(X, y, epochs=2, verbose=0)  # the parent's team still works
        assert same_state(trainer, expected) and trainer.last_run.threads == 3


def _forked():
    import warnings
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, RuntimeWarning):  # newer Pythons, and JAX, warn of threads: that is the point
            warnings.simplefilter("ignore", kind)
        return os.fork()


def test_a_forked_child_trains():
    fork(5)


@pytest.mark.slow
def test_a_thousand_forked_children_train():
    fork(1000)


# --- nothing is left behind (test_leaks.py has more)

def test_repeated_fits_of_one_trainer_keep_a_bounded_number_of_plans():
    X, y = data()
    trainer = trainer_of()
    for size in range(8, 40):
        trainer.fit(X, y, epochs=1, batch_size=size, verbose=0)
    assert len(trainer._plans) <= 8 and re.match("plan for up to 39 rows", str(trainer.plan))
