"""Epochs that run together, in one call of the engine, leave what they leave one by one."""
import gc
import os
import signal
import weakref

import numpy as np
import pytest
from vivace.nn.plan import Plan

import vivace as vv
from vivace import callbacks, nn, optim

TIMES = ("seconds", "samples_per_second")


class Watcher(callbacks.Callback):
    """Sees every epoch; lets `ahead` of them run before it is asked again."""

    def __init__(self, ahead=1):
        self.ahead, self.calls = ahead, []

    def epochs_ahead(self, trainer):
        return self.ahead

    def on_epoch_begin(self, trainer, epoch):
        self.calls.append(("begin", epoch))

    def on_epoch_end(self, trainer, epoch, logs):
        self.calls.append(("end", epoch, logs["loss"], trainer.last_epoch.result.copy(), trainer.last_epoch.order.copy()))


def trainer_of(backend=None, make=optim.Adam, lr=0.01, threads=1, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    return vv.Trainer(model, nn.CrossEntropyLoss(), make(model.parameters(), lr=lr), seed=1, num_threads=threads, backend=backend,
                      **options)


def data(rows=53):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, 6)).astype(np.float32), rng.integers(0, 3, rows)


def spans(monkeypatch):
    """A list that fills with (rows, first step, last step) of the engine's calls."""
    seen, run = [], Plan.run

    def noted(self, spaces, table, rows, batch, start, last, *rest):
        seen.append((rows, start[0], last))
        return run(self, spaces, table, rows, batch, start, last, *rest)
    monkeypatch.setattr(Plan, "run", noted)
    return seen


def assert_same(a, b):
    assert {name: column for name, column in a.history.history.items() if name not in TIMES} \
        == {name: column for name, column in b.history.history.items() if name not in TIMES}
    for p, q in zip(a.model.parameters(), b.model.parameters()):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
    assert (a.epoch, a.step, a.position, a.partial) == (b.epoch, b.step, b.position, b.partial)
    held, other = a.optimizer.state_dict()["state"], b.optimizer.state_dict()["state"]
    for i in held:
        assert held[i].keys() == other[i].keys() and all(np.array_equal(held[i][name], other[i][name]) for name in held[i])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("backend, threads", [("numpy", 1), ("cython", 1), ("cython", 2)])
def test_together_equals_one_by_one(backend, threads, weighted, monkeypatch):
    """With a short last batch, dropout, metrics, a penalty, averaged weights and row weights."""
    (X, y), weight = data(), np.random.default_rng(1).random(53).astype(np.float32) if weighted else None
    runs = []
    for ahead in (1, 40):
        trainer = trainer_of(backend, threads=threads, metrics=["accuracy"], ema_decay=0.9,
                             make=lambda p, lr: optim.Adam([{"params": [q for q in p if q.ndim == 2]},
                                                            {"params": [q for q in p if q.ndim != 2]}], lr=lr), l2_penalty=0.1)
        with monkeypatch.context() as patch:
            seen, watcher = spans(patch), Watcher(ahead)
            trainer.fit(X, y, epochs=25, batch_size=16, sample_weight=weight, callbacks=[watcher], verbose=0)
        assert any(last > 4 for _, _, last in seen) == (ahead > 1)
        with trainer.averaged():
            runs.append((trainer, watcher, [p.numpy().copy() for p in trainer.model.parameters()]))
    (one, a, averages), (together, b, others) = runs
    assert_same(one, together)
    assert all(map(np.array_equal, averages, others))
    assert len(a.calls) == len(b.calls) == 50
    for left, right in zip(a.calls, b.calls):
        assert left[:3] == right[:3] and all(map(np.array_equal, left[3:], right[3:]))


def test_a_given_order_and_rows_as_they_stand(monkeypatch):
    X, y = data()
    for shuffle in (False, np.random.default_rng(2).permutation(53)):
        one, together = trainer_of(), trainer_of()
        one.fit(X, y, 12, 16, shuffle=shuffle, callbacks=Watcher(), verbose=0)
        seen = spans(monkeypatch)
        together.fit(X, y, 12, 16, shuffle=shuffle, verbose=0)
        assert any(last > 4 for _, _, last in seen)
        assert_same(one, together)


@pytest.mark.parametrize("what", ["validation", "schedule", "accumulate", "statistics", "an order that is a function", "a callback",
                                  "on_batch_end", "adversarial"])
def test_epochs_run_alone_where_something_happens_between_them(what, monkeypatch):
    (X, y), fit, trainer = data(), {}, trainer_of()
    if what == "validation":
        fit = {"validation_split": 0.2}
    elif what == "schedule":
        trainer.scheduler = optim.lr_scheduler.StepLR(trainer.optimizer, 2)
    elif what == "accumulate":
        trainer = trainer_of(accumulate=2)
    elif what == "adversarial":
        trainer = trainer_of(adversarial=vv.adversarial.FGSM(0.1))
    elif what == "statistics":
        fit = {"callbacks": callbacks.Statistics(every=3)}
    elif what == "a callback":
        fit = {"callbacks": callbacks.Callback()}
    elif what == "on_batch_end":
        fit = {"callbacks": callbacks.LambdaCallback(on_batch_end=lambda *_: None)}
    else:
        fit = {"shuffle": lambda epoch: np.roll(np.arange(53), epoch)}
    seen = spans(monkeypatch)
    trainer.fit(X, y, 8, 16, verbose=0, **fit)
    assert trainer.epoch == 8 and all(last <= 4 for _, _, last in seen)


@pytest.mark.parametrize("make, lr", [(optim.SGD, 1e4), (optim.Adam, 3e37)])
def test_a_failure_is_that_of_the_epoch_alone(make, lr, monkeypatch):
    """Of the loss, or of the weights: the same step is named, and the same state and history are left."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((53, 6)).astype(np.float32)
    y = 1e3 * X.sum(axis=1)
    found = []
    for ahead in (1, 40):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
        trainer = vv.Trainer(model, nn.MSELoss(), make(model.parameters(), lr=1e-6), seed=1, num_threads=1)
        trainer.fit(X, y, 2, 16, verbose=0)
        trainer.optimizer.param_groups[0]["lr"] = lr
        watcher = Watcher(ahead)
        monkeypatch.setattr("vivace.loop.TOGETHER", 1e9)
        with pytest.raises(vv.NonFiniteError) as caught:
            trainer.fit(X, y, 60, 16, callbacks=[watcher], verbose=0)
        found.append((trainer, str(caught.value), caught.value.epoch, caught.value.step, watcher.calls))
    (one, *told, calls), (together, *also, others) = found
    assert told == also
    assert all(np.isfinite(p.numpy()).all() for p in together.model.parameters())
    one.partial = together.partial = None if one.partial is None else assert_partial(one.partial, together.partial)
    assert_same(one, together)
    assert [call[:3] for call in calls] == [call[:3] for call in others]


def assert_partial(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_a_span_that_breaks_late_is_gone_through_again(monkeypatch):
    """Every step multiplies the weights by 1 - lr * decay = -1e3: they overflow some epochs after the first."""
    X, y = data()
    state = {}
    for ahead in (1, 40):
        trainer = trainer_of(make=optim.SGD, lr=0.1)
        watcher, seen = Watcher(ahead), spans(monkeypatch)
        monkeypatch.setattr("vivace.loop.TOGETHER", 1e9)
        trainer.optimizer.param_groups[0]["weight_decay"] = 1e4 + 10
        with pytest.raises(vv.NonFiniteError) as caught:
            trainer.fit(X, y, 30, 16, callbacks=[watcher], verbose=0)
        state[ahead] = trainer, str(caught.value), [call[:3] for call in watcher.calls]
        assert any(last > 4 for _, _, last in seen) == (ahead > 1)
    assert state[1][1:] == state[40][1:] and "epoch 1," not in state[1][1]
    assert_partial(*(state[ahead][0].partial or {} for ahead in (1, 40)))
    for ahead in (1, 40):
        state[ahead][0].partial = None
    assert_same(state[1][0], state[40][0])


def test_ctrl_c_in_the_middle_leaves_whole_epochs_and_the_rest_goes_on(monkeypatch):
    """The signal comes while the engine runs several epochs: those that ended are written down, and a second fit ends as if nothing
    had happened."""
    X, y = data()
    whole = trainer_of()
    whole.fit(X, y, 20, 16, verbose=0)
    trainer, run = trainer_of(), Plan.run
    stopped = []

    def interrupted(self, spaces, table, rows, batch, start, last, threads, seconds):
        if last > 10 and not stopped:
            stopped.append(last)
            os.kill(os.getpid(), signal.SIGINT)
            return run(self, spaces, table, rows, batch, start, 10, threads, seconds)  # of epochs of 4 steps
        return run(self, spaces, table, rows, batch, start, last, threads, seconds)
    monkeypatch.setattr(Plan, "run", interrupted)
    watcher = Watcher(40)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, 20, 16, callbacks=[watcher], verbose=0)
    assert stopped and trainer.epoch == 3 and trainer.position == 2 and trainer.step == 14
    assert [call[:2] for call in watcher.calls] == [(kind, e) for e in range(4) for kind in ("begin", "end")][:-1]
    trainer.fit(X, y, 17, 16, verbose=0)
    assert_same(whole, trainer)


@pytest.mark.parametrize("epochs", [1, 20])
def test_the_last_epoch_does_not_keep_the_data(epochs):
    """What a trainer holds after a fit is a sample of them."""
    X, y = data()
    trainer = trainer_of()
    trainer.fit(X, y, epochs, 16, verbose=0)
    assert trainer.last_epoch is not None
    gc.collect()
    held = weakref.ref(X)
    gc.disable()
    try:
        del X
        assert held() is None
    finally:
        gc.enable()


def test_estimators_stop_at_the_same_epoch(monkeypatch):
    """Rules of stopping say how many epochs they can do without; scikit-learn is the oracle of when they stop."""
    from sklearn.neural_network import MLPClassifier

    from vivace.estimators import MLPClassifier as Ours
    X, y = data(90)
    seen = spans(monkeypatch)
    for options in ({}, {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-2}, {"early_stopping": True},
                    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5}):
        options = {"hidden_layer_sizes": (8,), "random_state": 0, "batch_size": 32, "n_iter_no_change": 4, "tol": 1e-3, "max_iter": 400,
                   **options}
        ours, theirs = Ours(**options).fit(X.astype(float), y), MLPClassifier(**options).fit(X.astype(float), y)
        assert ours.n_iter_ == theirs.n_iter_ < 400
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-8)
    assert any(last > 3 for _, _, last in seen)
