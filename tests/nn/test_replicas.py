"""Steps whose rows two threads share, each with weights and gradients of its own: bits, state, and who touches what."""
import functools
import itertools

import numpy as np
import pytest
from nn_nets import Halves, hurried
from vivace.kernels import record as R
from vivace.nn import plan as plans
from vivace.nn import replicas, schedule, store

import vivace as vv
from vivace import nn, optim

OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.05}), "momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}),
    "rmsprop": (optim.RMSprop, {"lr": 1e-3, "momentum": 0.5, "centered": True}), "adam": (optim.Adam, {"lr": 1e-2}),
    "amsgrad": (optim.Adam, {"lr": 1e-2, "amsgrad": True, "weight_decay": 1e-2}), "adamw": (optim.AdamW, {"lr": 1e-2, "maximize": True}),
    "adagrad": (optim.Adagrad, {"lr": 1e-2}), "lion": (optim.Lion, {"lr": 1e-3}),
}


def net(inputs=13, act=nn.ReLU, **options):
    """Widths that leave gaps between the weights in their store, and weights for more than a page for each of two threads."""
    return nn.Sequential(nn.Linear(inputs, 57, **options), act(), nn.Linear(57, 45, **options), act(), nn.Linear(45, 5, **options))


def adam(model):
    return optim.Adam(model.parameters(), lr=1e-2)


def fitted(optimizer=adam, threads=2, rows=150, batch=64, dtype=np.float32, epochs=3, callbacks=None, made=net, targets=1, weight=False,
           **options):
    """A trainer after a fit of few steps, the last of an epoch with fewer rows."""
    rng = np.random.default_rng(0)
    vv.manual_seed(1)
    model = made().to(dtype)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss() if targets == 1 else nn.MSELoss(), optimizer(model), seed=0, num_threads=threads,
                         **options)
    X = rng.standard_normal((rows, 13)).astype(dtype)
    y = rng.integers(0, 5, rows) if targets == 1 else rng.standard_normal((rows, targets)).astype(dtype)
    trainer.fit(X, y, epochs=epochs, batch_size=batch, callbacks=callbacks, verbose=0, sample_weight=rng.random(rows) if weight else None)
    return trainer


def state(trainer):
    """Bytes of all that a fit leaves: weights and the optimizer's state."""
    vectors = trainer.plan.store.vectors
    return {name.split("/")[-1]: vector.tobytes() for name, vector in vectors.items() if name != "grad"}, trainer.history["loss"]


def plain(monkeypatch, **options):
    """The state after a fit whose plan has no replicas, on one thread."""
    monkeypatch.setattr(plans, "find_replicas", lambda calls, *_: (calls, None))
    trainer = fitted(threads=1, **options)
    assert trainer.plan.replicas is None
    return state(trainer)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(schedule, "cores", lambda: 2)
    monkeypatch.setattr(plans, "cores", lambda: 2)


def both(**options):
    """State on two threads, which take part, and on one and three."""
    found = [fitted(threads=threads, **options) for threads in (2, None, 3)]
    assert all(t.plan.replicas for t in found) and found[0].plan._ran == found[2].plan._ran == 2
    return [state(t) for t in found]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_and_state_are_those_of_a_plan_without(name, dtype, monkeypatch):
    kind, given = OPTIMIZERS[name]
    options = {"optimizer": lambda model: kind(model.parameters(), **given), "dtype": dtype}
    found = both(**options)
    assert all(one == plain(monkeypatch, **options) for one in found)


@pytest.mark.parametrize("rows, batch", [(300, 64), (700, 256), (500, 128), (131, 62), (577, 120), (193, 64), (97, 64)])
@pytest.mark.parametrize("options", [{}, {"act": nn.Tanh}, {"act": nn.GELU}, {"bias": False}], ids=["relu", "tanh", "gelu", "no bias"])
def test_batches_and_layers(rows, batch, options, monkeypatch):
    """Also last batches of one block, of one row, and of a block and a bit; 40 steps, so that threads meet often."""
    options = {"rows": rows, "batch": batch, "made": functools.partial(net, **options), "epochs": max(2, 40 * batch // rows)}
    found = both(**options)
    assert all(one == plain(monkeypatch, **options) for one in found)


def with_dropout():
    return nn.Sequential(nn.Linear(13, 57), nn.ReLU(), nn.Dropout(0.3), nn.Linear(57, 45), nn.ELU(), nn.Linear(45, 5))


def frozen():
    """The middle layer, whose weights stand in the threads' rooms with the others."""
    model = net()
    for p in model[2].parameters():
        p.requires_grad_(False)
    return model


def two_rates(model):
    first, *others = model.parameters()
    return optim.Adam([{"params": [first], "lr": 1e-2}, {"params": others, "lr": 1e-3}])


@pytest.mark.parametrize("options", [{"made": with_dropout}, {"optimizer": two_rates}, {"targets": 5}, {"weight": True},
                                     {"clip_grad_value": 0.01}, {"made": frozen}, {"mixup": 0.4}],
                         ids=["dropout", "groups", "squares", "weights", "clipped", "frozen", "mixed"])
def test_what_else_a_step_may_have(options, monkeypatch):
    """Of weights of rows, and of rows that are mixed, each thread needs the other's: they stand in one place."""
    found = both(**options)
    assert all(one == plain(monkeypatch, **options) for one in found)


def test_gaps_between_weights_are_left_alone():
    """Where a step divides by what may be zero."""
    trainer = fitted(lambda model: optim.Adam(model.parameters(), lr=1e-3, eps=0.0), made=functools.partial(net, act=nn.Tanh))
    whole = trainer.store.vectors["data"].copy()
    for p in trainer.store.params:
        whole[p._offset:p._offset + p.size] = 0
    assert trainer.plan.replicas and trainer.store.finite() and not whole.any()


def test_weights_that_a_callback_writes_are_trained_on(monkeypatch):
    found = both(callbacks=[Halves()])
    assert all(one == plain(monkeypatch, callbacks=[Halves()]) for one in found)


def test_a_run_that_is_out_of_time_ends_with_a_step(monkeypatch):
    """Every call of the engine makes at least one step, and whole ones."""
    expected, ends = state(fitted()), hurried(monkeypatch)
    assert state(fitted()) == expected
    assert len(ends) == 9 and all(phase == 0 for _, phase, _ in ends)


def test_what_is_not_finite_is_named_and_taken_back():
    rng = np.random.default_rng(0)
    for threads in (1, 2):
        model = net()
        model[2].weight.copy_(np.where(np.arange(45)[:, None] < 44, 0.1, 3e38) * np.ones(57))
        before = [p.numpy().copy() for p in model.parameters()]
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-3), num_threads=threads)
        with pytest.raises(vv.NonFiniteError, match=r"first in the output of .* \(layer 2\)"):
            trainer.fit(1 + rng.random((128, 13)).astype(np.float32), rng.integers(0, 5, 128), batch_size=64, verbose=0)
        assert bool(trainer.plan.replicas) == (threads > 1)
        assert all(np.array_equal(p.numpy(), b) for p, b in zip(model.parameters(), before))


def test_which_steps_have_replicas(monkeypatch):
    """Two halves of the rows, nothing that needs others' rows or the whole gradient, and not too many weights."""
    def has(**options):
        return fitted(**{"epochs": 1, **options}).plan.replicas is not None
    assert has() and has(batch=60, rows=60) and has(threads=None)
    assert not any(has(batch=batch) for batch in (32, 48, 65, 90)) and not has(threads=1)
    norm = nn.Sequential(nn.Linear(13, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 5))
    assert not has(made=lambda: norm)
    for options in ({"clip_grad_norm": 1.0}, {"ema_decay": 0.9}, {"accumulate": 2}, {"backend": "numpy"}):
        assert not getattr(fitted(epochs=1, **options).plan, "replicas", None)
    assert not has(optimizer=lambda model: optim.Adam(model.parameters(), max_norm=1.0))
    hidden = functools.partial(lambda units: nn.Sequential(nn.Linear(13, units), nn.ReLU(), nn.Linear(units, 5)))
    assert has(made=lambda: hidden(1700)) and not has(made=lambda: hidden(1800))  # units are shared then

    def deep(units):
        return nn.Sequential(nn.Linear(13, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 5))
    assert has(made=lambda: deep(600), rows=256, batch=256) and not has(made=lambda: deep(640), rows=256, batch=256)
    large = {"made": lambda: deep(363), "rows": 300}  # a weight of 2^17 elements: 128 of its rows are a chunk
    assert not has(**large, batch=128) and has(**large, batch=256) and has(made=lambda: deep(362), rows=300, batch=128)
    monkeypatch.setattr(plans, "cores", lambda: 4)
    assert has() and not has(made=lambda: deep(360))
    monkeypatch.setattr(schedule, "cores", lambda: 1)
    assert not has()


def test_no_thread_reads_what_another_writes_in_a_phase():
    """Values are in the threads' rooms, but for those of all rows that the loss is made of; rooms hold whole pages."""
    plan = fitted().plan
    assert [c.phase for c in plan.calls] == sorted(c.phase for c in plan.calls) and plan.calls[-1].phase == 1
    for a, b in itertools.combinations(plan.calls, 2):
        if a.phase == b.phase:
            assert not schedule.conflict(a, b)
    written = {b.place for c in plan.calls if c.over == "rows" for b in c.writes()}
    assert [place[0] for place in written].count(R.ARENA) == 1 and {place[0] for place in written} == {R.ARENA, R.PRIVATE}
    assert plan.private_bytes % store.PAGE == plan.replicas.room % store.PAGE == 0
    assert plan.replicas.ready == 2 and [c.name for c in plan.calls[:3]] == ["gather_rows", "gather_labels", "linear_forward"]
    updates = [c for c in plan.calls if c.over == "flat"]
    assert [(c.dims[1], c.dims[0]) for c in updates] == [(0, 741), (752, 57), (816, 2565), (3392, 45), (3440, 225), (3680, 5)]
    spans = sorted((b.place[1], b.place[1] + 4 * b.elements(64)) for b in {b.key(): b for c in plan.calls for b in c.reads() + c.writes()
                                                                           if b.place[0] == R.PRIVATE and b.kind == "real"}.values())
    assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:]))


def test_updates_of_weights_without_gaps_are_one():
    model = functools.partial(lambda: nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 5)))
    rng = np.random.default_rng(0)
    trainer = vv.Trainer(m := model(), nn.CrossEntropyLoss(), optim.Adam(m.parameters()), num_threads=2)
    trainer.fit(rng.standard_normal((64, 16)).astype(np.float32), rng.integers(0, 5, 64), epochs=1, batch_size=64, verbose=0)
    updates = [c for c in trainer.plan.calls if c.name == "adam_update"]
    assert [c.dims[:2] for c in updates] == [[16 * 48 + 48 + 48 * 32 + 32 + 32 * 5 + 5, 0]]


def test_tables_have_the_form_that_the_engine_reads():
    plan = fitted().plan
    table, sizes = plan._engine[-1], plan.book.ENGINE_SIZES
    assert table.dtype == np.int64 and table.nbytes == sizes["replicas"] and store.PAGE == sizes["page"] and replicas.BLOCKS == 2
