"""Hidden layers whose units threads share: bits, state, and who touches what."""
import functools
import itertools

import numpy as np
import pytest
from nn_nets import Halves, hurried
from vivace.kernels import record as R
from vivace.nn import schedule, shards

import vivace as vv
from vivace import nn, optim

OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.05}), "momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}),
    "rmsprop": (optim.RMSprop, {"lr": 1e-3, "momentum": 0.5, "centered": True}), "adam": (optim.Adam, {"lr": 1e-2}),
    "amsgrad": (optim.Adam, {"lr": 1e-2, "amsgrad": True}), "adadelta": (optim.Adadelta, {}), "lion": (optim.Lion, {"lr": 1e-3}),
}


def net(inputs=13, units=70, outputs=5, act=nn.ReLU, **options):
    return nn.Sequential(nn.Linear(inputs, units, **options), act(), nn.Linear(units, outputs, **options))


def fitted(optimizer="adam", threads=2, rows=90, batch=32, dtype=np.float32, epochs=3, callbacks=None, made=net, inputs=13, **options):
    """A trainer after a fit of few steps, the last of an epoch with fewer rows."""
    rng = np.random.default_rng(0)
    vv.manual_seed(1)
    model = made(inputs).to(dtype)
    kind, given = OPTIMIZERS[optimizer]
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), kind(model.parameters(), **given), seed=0, num_threads=threads, **options)
    X, y = rng.standard_normal((rows, inputs)).astype(dtype), rng.integers(0, 5, rows)
    trainer.fit(X, y, epochs=epochs, batch_size=batch, callbacks=callbacks, verbose=0)
    return trainer


def state(trainer):
    """Bytes of all that a fit leaves: weights and the optimizer's state."""
    store = trainer.plan.store
    return {name.split("/")[-1]: vector.tobytes() for name, vector in store.vectors.items() if name != "grad"}, trainer.history["loss"]


def unshared(monkeypatch):
    monkeypatch.setattr("vivace.nn.plan.find_shards", lambda *args: [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_and_state_are_those_of_a_plan_without(optimizer, dtype, monkeypatch):
    """For threads with many units, with few and without any."""
    found = [state(trainer) for threads in (1, 2, 3, 5, 8) if (trainer := fitted(optimizer, threads, dtype=dtype)).plan.shards]
    unshared(monkeypatch)
    plain = fitted(optimizer, 1, dtype=dtype)
    assert len(found) == 5 and not plain.plan.shards and all(one == state(plain) for one in found)


@pytest.mark.parametrize("options", [{"units": 64}, {"units": 385, "act": nn.Tanh}, {"bias": False}, {"units": 129}],
                         ids=["even", "tanh", "no bias", "odd"])
@pytest.mark.parametrize("rows, batch", [(300, 300), (131, 7), (40, 40)])
def test_widths_and_batches(options, rows, batch, monkeypatch):
    """Batches of more than a chunk, of fewer rows than a vector has, and one that is all; 40 steps, so that threads meet often."""
    options = {"rows": rows, "batch": batch, "made": functools.partial(net, **options), "epochs": max(2, 40 * batch // rows)}
    found = [state(trainer) for threads in (2, 3) if (trainer := fitted(threads=threads, **options)).plan.shards]
    unshared(monkeypatch)
    assert len(found) == 2 and all(one == state(fitted(threads=1, **options)) for one in found)


def test_weights_that_a_callback_writes_are_trained_on(monkeypatch):
    found = [state(fitted(threads=threads, callbacks=[Halves()])) for threads in (1, 2)]
    unshared(monkeypatch)
    assert found[0] == found[1] == state(fitted(threads=1, callbacks=[Halves()]))


def test_a_run_that_is_out_of_time_ends_with_a_step(monkeypatch):
    """Every call of the engine makes at least one step, and whole ones."""
    expected, ends = state(fitted()), hurried(monkeypatch)
    assert state(fitted()) == expected
    assert len(ends) == 9 and all(phase == 0 for _, phase, _ in ends)


def test_what_is_not_finite_is_named_and_taken_back():
    """The first layer's output, which stands in the threads' rooms, and the last finite weights."""
    rng = np.random.default_rng(0)
    for threads in (1, 2):
        model = net()
        model[0].weight.copy_(np.where(np.arange(70)[:, None] < 69, 0.1, 3e38) * np.ones(13))  # a unit of the last thread's
        before = [p.numpy().copy() for p in model.parameters()]
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-3), num_threads=threads)
        with pytest.raises(vv.NonFiniteError, match=r"first in the output of .* \(layer 0\)"):
            trainer.fit(1 + rng.random((64, 13)).astype(np.float32), rng.integers(0, 5, 64), batch_size=32, verbose=0)
        assert trainer.plan.shards and all(np.array_equal(p.numpy(), b) for p, b in zip(model.parameters(), before))


def test_a_step_waits_where_it_writes_what_the_last_one_reads(monkeypatch):
    """Rows that are too many for every thread to gather all stand in one place, where gradients of the step before read them."""
    options = {"rows": 1100, "batch": 500, "inputs": 300, "epochs": 4}
    trainer = fitted(threads=2, **options)
    assert trainer.plan.shards and not trainer.plan.flows
    found = [state(trainer), *(state(fitted(threads=threads, **options)) for threads in (1, 3))]
    unshared(monkeypatch)
    assert all(one == state(fitted(threads=1, **options)) for one in found)


def test_steps_that_flow_leave_each_other_s_values(monkeypatch):
    """What the first phase writes has no place with what the last one reads, though they do not live at the same time in a step."""
    options = {"mixup": 0.3, "rows": 320, "epochs": 8}
    trainer = fitted(threads=2, **options)
    plan, places = trainer.plan, []
    assert plan.shards and plan.flows
    for phase in (0, plan.calls[-1].phase):
        arrays = {id(b): b for c in plan.calls if c.phase == phase for b in c.reads() + c.writes() if b.place[0] == R.ARENA}
        places.append([(b.place[1], b.place[1] + 4 * b.elements(plan.rows), k) for k, b in arrays.items()])
    assert all(k == j or stop <= begin or end <= start for start, stop, k in places[0] for begin, end, j in places[1])
    found = [state(trainer), *(state(fitted(threads=threads, **options)) for threads in (1, 3))]
    unshared(monkeypatch)
    assert all(one == state(fitted(threads=1, **options)) for one in found)


def plan_of(model, **options):
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), num_threads=1, **options)
    trainer.fit(np.ones((64, 13), np.float32), np.arange(64) % 3, epochs=1, batch_size=32, verbose=0)
    return trainer.plan


def test_which_layers_are_shared():
    """One between the data and few outputs, where nothing else uses its values, weights or state."""
    assert len(plan_of(net()).shards) == 8 and plan_of(net()).flows
    dropout = nn.Sequential(nn.Linear(13, 70), nn.ReLU(), nn.Dropout(0.1), nn.Linear(70, 3))
    deeper = nn.Sequential(nn.Linear(13, 70), nn.ReLU(), nn.Linear(70, 70), nn.ReLU(), nn.Linear(70, 3))
    for model in (net(units=63), net(outputs=18), net(act=nn.GELU), dropout, deeper):
        assert not plan_of(model).shards
    for options in ({"clip_grad_norm": 1.0}, {"ema_decay": 0.9}):
        assert not plan_of(net(), **options).shards
    frozen = net()
    frozen[2].weight.requires_grad_(False)
    assert not plan_of(frozen).shards


def test_no_thread_reads_what_another_writes_in_a_phase():
    """Nor in the last phase of a step and the first of the next, between which there is no barrier; mail is read in another phase than it
    is written in."""
    plan = plan_of(net())
    calls = [c for c in plan.calls if not c.chained]
    last = calls[-1].phase
    for a, b in itertools.combinations(calls, 2):
        if a.phase == b.phase or {a.phase, b.phase} == {0, last}:
            assert not schedule.conflict(a, b)
    posts = [s.phases() for s in plan.shards if s.mail is not None]
    assert sorted(posts) == [(0, 1), (2, 1)] and last == 2
    mails = {id(s.mail): s.mail for s in plan.shards if s.mail is not None}
    arena = {id(b): b for c in plan.calls for b in c.reads() + c.writes() if b.place[0] == R.ARENA}
    places = {k: (b.place[1], b.place[1] + (8 if b.kind != "real" else 4) * b.elements(plan.rows)) for k, b in {**arena, **mails}.items()}
    assert len(mails) == 2 and all(k == j or places[k][1] <= begin or end <= places[k][0]
                                   for k in mails for j, (begin, end) in places.items())


def test_tables_have_the_form_that_the_engine_reads():
    plan = plan_of(net())
    moves, found, _, replicas = plan._engine
    for table, name in ((moves, "move"), (found, "shard")):
        assert len(table) and table.flags.c_contiguous and table.strides[0] == plan.book.ENGINE_SIZES[name]
    assert not len(replicas) and shards.TILE_ROWS == plan.book.ENGINE_SIZES["grain"]
