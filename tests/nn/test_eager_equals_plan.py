"""The two speeds give the same bits: a loop written by hand, and the Trainer's plan, after 105 steps."""
import functools
import json
import pathlib

import numpy as np
import processes
import pytest
import vivace.nn.functional as F
from nn_nets import BATCH, CLASSES, FEATURES, NETS, ROWS, Residual, data, digest, eager, planned, prepared, two_groups
from nn_stencil import random_net
from vivace.nn.plan import Plan

import vivace as vv
from vivace import nn, optim

PROGRAM = pathlib.Path(__file__).with_name("nn_nets.py")
OPTIONS = {
    "baseline": {"optimizers": ["sgd", "adam"], "threads": [1, 3]},
    "numpy": {"optimizers": ["sgd", "adam"], "dtypes": ["float64"], "threads": [1], "wide": False},
    "numba": {"optimizers": ["sgd", "adam"], "dtypes": ["float32"], "threads": [1]},
}
"""What is run of the program, all of it where nothing is said."""


def digests(name):
    return processes.digests(PROGRAM, name, json.dumps(OPTIONS.get(name, {})))


@pytest.mark.parametrize("name", processes.NAMES)
def test_eager_equals_plan_for_any_threads(name):
    """Four networks (dropout, residual, concatenating, tied), three optimizers with two groups, row weights, a short last batch."""
    found = digests(name)
    assert len(found) >= 8
    assert {key: len(set(values)) for key, values in found.items()} == dict.fromkeys(found, 1)
    assert len({values[0] for values in found.values()}) == len(found)  # the configurations do differ


@pytest.mark.parametrize("level", processes.LEVELS_BESIDE_V3)
def test_levels_agree(level):
    assert digests("v3") == digests(level)


SGD = functools.partial(optim.SGD, lr=0.1, momentum=0.9)


def unfused(monkeypatch):
    """Every training plan from here on updates after the whole backward pass."""
    original = Plan.__init__

    def init(self, *args, **options):
        original(self, *args, **{**options, "fused": False})
    monkeypatch.setattr(Plan, "__init__", init)


@pytest.mark.parametrize("net", NETS)
def test_fused_equals_deferred(net, monkeypatch):
    fused, trainer = planned(NETS[net], two_groups("adamw"), np.float32)
    riding = [call.name for call in trainer.plan.calls if call.chained]
    assert any(name.endswith("_update") for name in riding)
    unfused(monkeypatch)
    deferred, trainer = planned(NETS[net], two_groups("adamw"), np.float32)
    assert not any(call.chained for call in trainer.plan.calls)
    assert digest(fused) == digest(deferred)


@pytest.mark.parametrize("rows, inputs", [(300, 1000), (1200, 300), (2, 1100)])
def test_updates_of_large_weights_equal_deferred_ones(rows, inputs, monkeypatch):
    """Blocks of a far weight, few rows and many, and outputs whose gradients are close but more than a block."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, inputs)).astype(np.float32), rng.integers(0, 3, rows)

    def trained(threads):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(inputs, 1030), nn.ReLU(), nn.Linear(1030, 3))
        vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), num_threads=threads, seed=0).fit(
            X, y, epochs=2, batch_size=rows, verbose=0)
        return digest(model)
    fused = {trained(threads) for threads in (1, 2)}
    unfused(monkeypatch)
    assert fused == {trained(1)}


def clip(limit):
    """What clip_grad_norm does, for an eager loop: the norm of the whole gradient, in the order of the flat vector."""
    def after_backward(optimizer):
        vv.kernels.clip_norm(optimizer.store.vectors["grad"], np.empty(1), limit)
    return after_backward


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("net", ["mlp", "tied"])
def test_clipping_equals_an_eager_loop(net, dtype):
    for limit, acts in ((0.05, True), (1e6, False)):
        by_hand, _ = eager(NETS[net], two_groups("adam"), np.dtype(dtype), after_backward=clip(limit))
        models = [planned(NETS[net], two_groups("adam"), np.dtype(dtype), clip_grad_norm=limit, num_threads=n)[0] for n in (1, 2, 3)]
        assert {digest(m) for m in models} == {digest(by_hand)}
        assert (digest(by_hand) != digest(planned(NETS[net], two_groups("adam"), np.dtype(dtype))[0])) == acts


def test_clip_norm_equals_torch(torch_traces):
    given = torch_traces["clipping"]["gradients"]
    for case in torch_traces["clipping"]["cases"]:
        parameters = [nn.Parameter(np.zeros(np.shape(g))) for g in given]
        optimizer = optim.SGD(parameters, lr=1.0)
        for p, g in zip(parameters, given):
            p.grad = np.array(g)
        norm = np.empty(1)
        vv.kernels.clip_norm(optimizer.store.vectors["grad"], norm, case["limit"])
        assert np.isclose(norm[0], case["norm"], rtol=1e-12)
        for p, after in zip(parameters, case["after"]):
            np.testing.assert_allclose(p.grad.numpy(), after, rtol=1e-12)


def test_negative_limits_of_gradients_are_refused():
    """They would turn every gradient round."""
    p = nn.Linear(2, 1).weight
    p.grad = np.ones((1, 2))
    for clip, name in ((nn.utils.clip_grad_norm_, "max_norm"), (nn.utils.clip_grad_value_, "clip_value")):
        with pytest.raises(ValueError, match=f"{name} must be a finite number >= 0, got -1"):
            clip([p], -1)
    assert (p.grad.numpy() == 1).all()


def test_clipping_ignores_gradients_that_an_earlier_backward_left():
    def train(stale):
        def setup(model):
            model.a.requires_grad_(False)
            if stale:
                model.a.weight.grad = np.full(model.a.weight.shape, 100.0)
        return digest(planned(Residual, SGD, np.float32, setup=setup, clip_grad_norm=0.05)[0])
    assert train(stale=False) == train(stale=True)


FREEZE = {
    "first weight": lambda m: m.a.weight.requires_grad_(False), "first layer": lambda m: m.a.requires_grad_(False),
    "a bias": lambda m: m.b.bias.requires_grad_(False), "last weight": lambda m: m.c.weight.requires_grad_(False),
    "all but a bias": lambda m: (m.requires_grad_(False), m.b.bias.requires_grad_(True)),
}


@pytest.mark.parametrize("what", FREEZE)
def test_frozen_parameters(what):
    start, _, _ = prepared(Residual, SGD, np.float32)
    FREEZE[what](start)
    by_hand, _ = eager(Residual, SGD, np.float32, setup=FREEZE[what])
    model, _ = planned(Residual, SGD, np.float32, setup=FREEZE[what], num_threads=2)
    assert digest(model) == digest(by_hand)
    for (name, before), after in zip(start.named_parameters(), model.parameters()):
        assert np.array_equal(before.numpy(), after.numpy()) != before.requires_grad, name


def test_freezing_between_two_fits():
    def train(fits):
        model, loss, optimizer = prepared(Residual, SGD, np.float32)
        X, y, _ = data(np.float32)
        trainer = vv.Trainer(model, loss, optimizer, seed=0)
        for frozen in fits:
            model.b.requires_grad_(not frozen)
            before = model.b.weight.numpy().copy()
            trainer.fit(X, y, epochs=1, verbose=0)
            assert np.array_equal(before, model.b.weight.numpy()) == frozen
        return digest(model)
    assert train([False, True, False]) != train([False, False, False])


def test_a_parameter_outside_of_the_optimizer_stays():
    model, loss, _ = prepared(Residual, SGD, np.float32)
    kept = model.b.weight.numpy().copy()
    trainer = vv.Trainer(model, loss, optim.SGD([model.c.weight, model.a.weight, model.b.bias], lr=0.1), seed=0)
    X, y, _ = data(np.float32)
    trainer.fit(X, y, epochs=2, verbose=0)
    assert np.array_equal(kept, model.b.weight.numpy())


@pytest.mark.parametrize("net", NETS)
def test_make_step_equals_fit(net):
    fitted, trainer = planned(NETS[net], two_groups("adam"), np.float32, epochs=3, num_threads=1)
    model, loss, optimizer = prepared(NETS[net], two_groups("adam"), np.float32)
    X, y, w = data(np.float32)
    stepping = vv.Trainer(model, loss, optimizer, seed=3, num_threads=1)
    step, losses, order = stepping.make_step(batch_size=BATCH), [], np.empty(ROWS, np.int64)
    for epoch in range(3):
        vv.kernels.permutation(order, 3, epoch)
        for start in range(0, ROWS, BATCH):
            part = order[start:start + BATCH]
            losses.append((step(X[part], y[part], w[part]), w[part].sum()))
    assert digest(model) == digest(fitted)
    values, weights = np.array(losses).T.reshape(2, 3, -1)
    np.testing.assert_allclose((values * weights).sum(axis=1) / weights.sum(axis=1), trainer.history["loss"], rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs(seed):
    """Graphs nobody thought of, eager against fused and deferred plans on one and on three threads."""
    X, w = data(np.float32)[0][:, :6], data(np.float32)[2]
    t = np.random.default_rng(seed).normal(size=(ROWS, 4))

    def made():
        model = random_net(seed, np.float32, dropout=True)
        vv.manual_seed(3)
        return model, nn.MSELoss(), optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3)

    model, loss, optimizer = made()
    order = np.empty(ROWS, np.int64)
    for epoch in range(3):
        vv.kernels.permutation(order, 3, epoch)
        for start in range(0, ROWS, BATCH):
            part = order[start:start + BATCH]
            optimizer.zero_grad()
            loss(model(np.ascontiguousarray(X[part])), t[part], w[part]).backward()
            optimizer.step()
    expected = digest(model)
    for threads, limit in ((1, None), (3, None), (2, 1e9)):
        model, loss, optimizer = made()
        trainer = vv.Trainer(model, loss, optimizer, seed=3, num_threads=threads, clip_grad_norm=limit)
        trainer.fit(X, t, epochs=3, batch_size=BATCH, sample_weight=w, verbose=0)
        assert digest(model) == expected, (threads, limit)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("net", NETS)
def test_predictions_do_not_depend_on_the_batch(net, threads):
    """Rows alone, in chunks, permuted; and they are those of the eager model."""
    model, loss, optimizer = prepared(NETS[net], SGD, np.float32)
    trainer = vv.Trainer(model, loss, optimizer, num_threads=threads)
    X = np.random.default_rng(1).normal(size=(1100, FEATURES)).astype(np.float32)  # more than two passes of predict
    whole = trainer.predict(X)
    assert whole.shape == (1100, CLASSES)
    assert all(np.array_equal(trainer.predict(X[n:n + 1]), whole[n:n + 1]) for n in (0, 1, 15, 511, 512, 700, 1099))
    for size in (2, 17, 100, 513):
        assert np.array_equal(np.concatenate([trainer.predict(X[n:n + size]) for n in range(0, 1100, size)]), whole)
    order = np.random.default_rng(2).permutation(1100)
    assert np.array_equal(trainer.predict(X[order]), whole[order])
    model.eval()
    with vv.no_grad():
        assert np.array_equal(model(X).numpy(), whole)
        assert np.array_equal(np.concatenate([model(X[n:n + 1]).numpy() for n in range(40)]), whole[:40])
    assert np.array_equal(trainer.predict(X[:0]), whole[:0])


def test_eager_losses_are_the_history():
    """The mean over the rows of an epoch, each batch's loss taken before its update."""
    model, loss, optimizer = prepared(Residual, SGD, np.float64)
    X, y, w = data(np.float64)
    vv.manual_seed(3)
    order, total = np.empty(ROWS, np.int64), 0.0
    vv.kernels.permutation(order, 3, 0)
    for start in range(0, ROWS, BATCH):
        part = order[start:start + BATCH]
        value = F.cross_entropy(model(X[part]), y[part], sample_weight=w[part])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        total += value.item() * w[part].sum()
    _, trainer = planned(Residual, SGD, np.float64, epochs=1)
    assert np.isclose(trainer.history["loss"][0], total / w.sum(), rtol=1e-12)
