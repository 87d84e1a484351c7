"""The plan: what is fused and dropped, in which phase what runs, and an arena in which nothing steps on anything."""
import itertools

import numpy as np
import pytest
from nn_nets import NETS, data, digest, one_shared, planned, prepared, shared, two_groups
from nn_stencil import random_net
from vivace.kernels import record as R
from vivace.nn import plan as plans
from vivace.nn import schedule
from vivace.nn.graph import trace
from vivace.nn.plan import Data, Plan
from vivace.nn.recorder import BATCH

import vivace as vv
from vivace import nn, optim


class Poison(vv.callbacks.Callback):
    """Fills the arena before every step: nothing in it may live from one step to the next."""

    def __init__(self, byte):
        self.byte, self.filled = byte, 0

    def fill(self, trainer):
        trainer.plan.arena[...] = self.byte
        self.filled += 1

    def on_train_begin(self, trainer):
        self.fill(trainer)

    def on_batch_end(self, trainer, batch, logs):
        self.fill(trainer)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("net", NETS)
def test_a_poisoned_arena_changes_nothing(net, clip, threads):
    options = {"epochs": 3, "num_threads": threads, "clip_grad_norm": clip}
    expected = digest(planned(NETS[net], two_groups("adam"), np.float32, **options)[0])
    for byte in (0x00, 0xFF):  # 0xFF is NaN in float32, float64, and -1 in int64
        poison = Poison(byte)
        model, _ = planned(NETS[net], two_groups("adam"), np.float32, callbacks=[poison], **options)
        assert digest(model) == expected and poison.filled == 22


@pytest.mark.parametrize("seed", range(8))
def test_a_poisoned_arena_on_random_graphs(seed):
    X, t = data(np.float32)[0][:, :6], np.random.default_rng(seed).normal(size=(107, 4))
    found = set()
    for byte in (None, 0x00, 0xFF):
        model = random_net(seed, np.float32, dropout=True)
        trainer = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), seed=3, num_threads=2)
        poison = [] if byte is None else [Poison(byte)]
        trainer.fit(X, t, epochs=2, batch_size=32, callbacks=poison, verbose=0)
        found.add((digest(model), trainer.predict(X).tobytes()))
        plan = trainer._prediction_plan([6])  # predict reads nothing that an earlier pass left
        plan.arena[...] = 0 if byte is None else byte
        found.add((digest(model), trainer.predict(X).tobytes()))
    assert len(found) == 1


# --- invariants

def training_plan(model, width=6, rows=32, targets=4, optimizer=None, dtype=np.float32, **options):
    optimizer = optimizer or optim.Adam(model.parameters())
    store = optimizer.home()
    graph = trace(model, [width], np.dtype(dtype), True)
    loss = nn.MSELoss()
    z, logits = loss.source(graph.output)
    data = Data([np.dtype(dtype)], True, targets, True)
    return Plan(graph, store, vv.kernels.get(), rows, data, (loss.operation(False, logits), z), optimizer, **options)


def lives(plan):
    """id -> (buffer, first phase, last phase) of every buffer in the arena, from the calls as they will run."""
    found = {}
    for call in plan.calls:
        for b in call.reads() + call.writes():
            if b.place[0] == R.ARENA:
                _, first, last = found.get(id(b), (b, call.phase, call.phase))
                found[id(b)] = b, min(first, call.phase), max(last, call.phase)
    return found


def extent(plan, b):
    size = b.elements(plan.rows) * (plan.dtype.itemsize if b.kind == "real" else 8)
    return b.place[1], b.place[1] + size


PLANS = [(seed, options) for seed in range(9) for options in ({}, {"fused": False}, {"clip_norm": 1.0}, {"emit": False})]


@pytest.fixture(params=[schedule.LIMIT, 1], ids=["long phases", "short phases"])
def limit(request, monkeypatch):
    """Plans as they are for small networks, and as they are for large ones: with a phase per call on rows."""
    monkeypatch.setattr(schedule, "LIMIT", request.param)
    return request.param


@pytest.mark.parametrize("net", NETS)
def test_short_phases_give_the_same_bits(net, monkeypatch):
    """Also when the engine returns after every one of them."""
    options = {"epochs": 2, "num_threads": 2}
    expected, trainer = planned(NETS[net], two_groups("adam"), np.float32, **options)
    phases = trainer.plan.calls[-1].phase
    monkeypatch.setattr(schedule, "LIMIT", 1)
    run, returns = Plan.run, []

    def run_a_phase(self, spaces, table, rows, batch, start, last_step, threads=1, seconds=0.1):
        returns.append(start)
        return run(self, spaces, table, rows, batch, start, last_step, threads, 0.0)
    monkeypatch.setattr(Plan, "run", run_a_phase)
    model, trainer = planned(NETS[net], two_groups("adam"), np.float32, **options)
    assert trainer.plan.calls[-1].phase > phases + 3 and len(returns) > 14 * phases
    assert digest(model) == digest(expected)


@pytest.mark.parametrize("net", [shared, one_shared])
def test_a_step_may_be_finished_by_another_team(net, monkeypatch):
    """A run changes its threads between slices, and a slice may end in the middle of a step; not where threads keep values apart."""
    expected, _ = planned(net, two_groups("adam"), np.float32, epochs=2)
    run, teams, rng = Plan.run, [], np.random.default_rng(0)

    def run_a_phase(self, spaces, table, rows, batch, start, last_step, threads=1, seconds=0.1):
        teams.append((start[1], int(rng.integers(1, 4))))
        return run(self, spaces, table, rows, batch, start, last_step, teams[-1][1], 0.0)
    monkeypatch.setattr(Plan, "run", run_a_phase)
    model, trainer = planned(net, two_groups("adam"), np.float32, epochs=2)
    assert trainer.plan.private_bytes and {size for _, size in teams} == {1, 2, 3}
    assert len({team for team in teams if team[0]}) >= 3 if not trainer.plan.shards else not any(phase for phase, _ in teams)
    assert bool(trainer.plan.shards) == (net is one_shared)
    assert digest(model) == digest(expected)


@pytest.mark.parametrize("seed, options", PLANS)
def test_buffers_that_live_together_do_not_overlap(seed, options, limit):
    plan = training_plan(random_net(seed, np.float32, dropout=True), **options)
    found = list(lives(plan).values())
    assert len(found) > 5
    for (a, a_first, a_last), (b, b_first, b_last) in itertools.combinations(found, 2):
        if a_first <= b_last and b_first <= a_last:
            (a_start, a_end), (b_start, b_end) = extent(plan, a), extent(plan, b)
            assert a_end <= b_start or b_end <= a_start or a_start == a_end or b_start == b_end
    for b, _, _ in found:
        start, end = extent(plan, b)
        assert start % 64 == 0 and 0 <= start <= end <= plan.arena_bytes == plan.arena.nbytes
    assert max(extent(plan, b)[1] for b, _, _ in found) > plan.arena_bytes - 64
    every = sum(end - start for start, end in (extent(plan, b) for b, _, _ in found))
    assert plan.arena_bytes <= every + 64 * len(found)


@pytest.mark.parametrize("seed, options", PLANS)
def test_calls_come_after_what_they_read(seed, options, limit):
    """What is read was written, in an earlier phase unless both go row by row; so is what must not be overwritten yet."""
    plan = training_plan(random_net(seed, np.float32, dropout=True), **options)
    assert [call.phase for call in plan.calls] == sorted(call.phase for call in plan.calls)
    made = {}
    for call in plan.calls:
        inputs = [b for spec, b in zip(call.spec.arrays, call.arrays) if b is not None and spec.role == "in"]
        for b in inputs:
            if b.place[0] != R.ARENA:
                continue
            assert id(b) in made, f"{call.name} reads what nobody wrote"
            for maker in made[id(b)]:
                together = call.over == maker.over == "rows" or call.chained
                assert maker.phase < call.phase or (together and maker.phase == call.phase), (maker.name, call.name)
        for b in call.writes():  # by identity: two buffers may have one place, at different times
            made.setdefault(id(b), []).append(call)
    # dx of a layer comes before the update of its weight
    for reader in plan.calls:
        if reader.name == "linear_backward_input":
            weight = reader.arrays[1].key()
            updates = [c for c in plan.calls if c.name == "adam_update" and c.arrays[1].key() == weight]
            assert all(update.phase > reader.phase for update in updates)
    # every kernel that looks at all rows of an array gets it complete
    for call in plan.calls:
        for spec, b in zip(call.spec.arrays, call.arrays):
            if spec.whole and b is not None:
                assert all(maker.phase < call.phase for maker in made[id(b)])


@pytest.mark.parametrize("seed, options", PLANS[::3])
def test_nothing_is_computed_that_nobody_reads(seed, options):
    plan = training_plan(random_net(seed, np.float32, dropout=True), **options)
    read = {b.key() for call in plan.calls for b in call.reads()}
    for call in plan.calls:
        assert any(b.place[0] != R.ARENA or b.key() in read for b in call.writes()), f"{call.name} is written for nobody"


def names(plan):
    return [call.name for call in plan.calls]


def test_dead_records_are_dropped():
    """No gradient for the inputs; none for what is frozen; no softmax where the loss takes the logits."""
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    assert names(training_plan(model)).count("linear_backward_input") == 1
    model[0].requires_grad_(False)
    found = names(training_plan(model, optimizer=optim.Adam(model.parameters())))
    assert "linear_backward_input" not in found and found.count("linear_backward_weight") == found.count("linear_forward") - 1 == 1
    with_unused = nn.Sequential(nn.Linear(6, 8), nn.Softmax())
    X, y = np.ones((8, 6), np.float32), np.zeros(8, int)
    for metrics, expected in ((None, 0), (["accuracy"], 1)):
        trainer = vv.Trainer(with_unused, nn.CrossEntropyLoss(from_logits=False), optim.SGD(with_unused.parameters()), metrics=metrics)
        trainer.fit(X, y, epochs=1, verbose=0)
        assert names(trainer.plan).count("softmax_forward") == expected
    # a parameter that the optimizer does not hold has no gradient
    other = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    held = training_plan(other, optimizer=_home(other, optim.Adam([other[2].weight, other[2].bias])))
    assert names(held).count("linear_backward_weight") == 1 and "linear_backward_input" not in names(held)


def _home(model, optimizer):
    vv.nn.store.Store.of(model.parameters())
    return optimizer


@pytest.mark.parametrize("module, fused", [(nn.ReLU, True), (nn.Sigmoid, True), (nn.Tanh, True), (nn.LeakyReLU, True), (nn.ELU, True),
                                           (nn.Softplus, True), (nn.GELU, False), (nn.SiLU, False), (nn.Softmax, False)])
def test_activations_ride_on_matmuls(module, fused):
    plan = training_plan(nn.Sequential(nn.Linear(6, 8), module(), nn.Linear(8, 4)))
    function = module.__name__.lower().replace("leakyrelu", "leaky_relu")
    forward, backward = ([c for c in plan.calls if c.name == f"linear_{way}"] for way in ("forward", "backward_input"))
    assert [c.scalars[0] for c in forward] == [function if fused else "identity", "identity"]
    assert [c.scalars[0] for c in backward] == [function if fused else "identity"]
    assert (f"{function}_forward" in names(plan)) == (f"{function}_backward" in names(plan)) == (not fused)


def test_an_activation_whose_input_is_read_twice_is_not_fused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 4)

        def forward(self, x):
            z = self.a(x)
            return self.b(nn.functional.relu(z)) + z
    plan = training_plan(Net())
    assert "relu_forward" in names(plan)
    assert [c.scalars[0] for c in plan.calls if c.name == "linear_forward"] == ["identity", "identity"]
    # backward, dz has one reader before it meets the gradient of the sum
    assert [c.scalars[0] for c in plan.calls if c.name == "linear_backward_input"] == ["relu"] and "add" in names(plan)


def test_updates_ride_on_the_gradient_only_where_they_may():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    assert [c.name for c in training_plan(model).calls if c.chained] == ["adam_update"] * 4
    for options in ({"fused": False}, {"clip_norm": 1.0}):
        plan = training_plan(model, **options)
        assert not any(c.chained for c in plan.calls) and names(plan).count("adam_update") == 4
    clip = next(c for c in plan.calls if c.name == "clip_norm")
    assert all(c.phase > clip.phase for c in plan.calls if c.name == "adam_update")
    assert all(c.phase < clip.phase for c in plan.calls if c.name == "linear_backward_weight")


def test_records_say_what_the_calls_say():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4))
    plan = training_plan(model)
    assert plan.records.dtype == R.RECORD and len(plan.records) == len(plan.calls)
    for record, call in zip(plan.records, plan.calls):
        assert vv.kernels.reference.OPS[call.name] == record["op"] and R.OVER[record["over"]] == call.over and record["phase"] == call.phase
        for reference, b in itertools.zip_longest(record["buf"], call.arrays):
            assert reference == (-1 if b is None else R.reference_to(*b.place))
    assert "step" in plan.columns and sum(name.endswith("/lr") for name in plan.columns) == 1
    columns = {record["slot"][i] for record in plan.records for i in range(R.SCALARS)} - {-1}
    assert columns == set(plan.columns.values())


def test_memory_and_text():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4))
    trainer = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), seed=0)
    with pytest.raises(RuntimeError, match="there is no plan before the first fit"):
        trainer.plan  # noqa: B018
    X = np.ones((50, 6), np.float32)
    trainer.fit(X, X[:, :4], epochs=1, batch_size=32, verbose=0)
    plan = trainer.plan
    memory = plan.memory()
    floats = 48 + 16 + 32 + 16  # weights and biases, each rounded up to a cache line
    assert memory["parameters"] == memory["snapshot"] == 3 * 4 * floats  # data and two moments
    assert memory["gradients"] == 0 and memory["total"] == sum(memory.values()) - memory["total"]
    assert memory["packed"] == 0 and memory["arena"] == plan.arena.nbytes + plan.private_bytes > 4 * 32 * 6
    lines = str(plan).splitlines()
    assert lines[0] == f"plan for up to 32 rows, float32, {memory['total']:,} bytes" and len(lines) == len(plan.calls) + 1
    forward = next(line for line in lines if "linear_forward" in line)
    assert "x(N, 6) w(8, 6) b(8) y(N, 8)" in forward and "activation=relu" in forward and "rows" in forward
    assert sum("(with the tile before)" in line for line in lines) == 4
    assert any("dropout_forward" in line and "p=0.5" in line and "step=step" in line for line in lines)
    trainer.predict(X)  # prediction alone keeps packed weights
    assert plan.memory()["packed"] == 4 * 16 * (6 + 8)
    assert plan.memory()["total"] == memory["total"] + 4 * 16 * (6 + 8)
    clipped = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), clip_grad_norm=1.0)
    clipped.fit(X, X[:, :4], epochs=1, batch_size=32, verbose=0)
    assert clipped.plan.memory()["gradients"] == 4 * (48 + 8 + 32 + 4)  # the norm needs all of them


def test_threads_that_share_columns_never_read_what_others_write_in_a_phase():
    """In a phase: what a thread gathered for itself, and gradients of its own columns, which make those of its own weights."""
    wide = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 80), nn.ReLU(), nn.Linear(80, 4))
    plan = training_plan(wide, width=64)
    calls = [c for c in plan.calls if not c.chained]
    together = set()
    for a, b in itertools.combinations(calls, 2):
        shared = {x.key() for x in a.writes()} & {x.key() for x in b.reads() + b.writes()}
        shared |= {x.key() for x in a.reads()} & {x.key() for x in b.writes()}
        if shared and a.phase == b.phase and not a.over == b.over == "rows":
            together.add((a.name, a.cut, b.name, b.cut))
    assert together == {("linear_backward_input", "part", "linear_backward_weight", "units")}
    pairs = [(a, b) for a, b in itertools.combinations(calls, 2) if a.phase == b.phase and a.over == b.over == "rows"
             and {x.key() for x in a.writes()} & {x.key() for x in b.reads()}]
    assert {(a.name, a.cut, b.name, b.cut) for a, b in pairs if "part" in (a.cut, b.cut)} == {
        ("gather_rows", "each", "linear_forward", "part")}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("cores, rows, batch, clip", [(2, 4000, 2500, None), (1, 2600, 2600, 0.1), (2, 600, 256, None),
                                                     (5, 3000, 3000, None)])
def test_gradients_of_blocks_of_rows_have_the_bits_of_those_of_all(threads, cores, rows, batch, clip, monkeypatch):
    """Many rows and few weights: threads share the rows of a weight's gradient. An eager step sums all of them at once."""
    monkeypatch.setattr(schedule, "cores", lambda: cores)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, 7)).astype(np.float32), rng.integers(0, 3, rows)

    def made():
        vv.manual_seed(3)
        model = nn.Sequential(nn.Linear(7, 20), nn.Tanh(), nn.Linear(20, 11, bias=False), nn.ReLU(), nn.Linear(11, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01)
    model, loss, optimizer = made()
    trainer = vv.Trainer(model, loss, optimizer, num_threads=threads, clip_grad_norm=clip)
    trainer.fit(X, y, epochs=2, batch_size=batch, shuffle=False, verbose=0)
    by_hand, loss, optimizer = made()
    for _ in range(2):
        for start in range(0, rows, batch):
            value = loss(by_hand(X[start:start + batch]), y[start:start + batch])
            optimizer.zero_grad()
            value.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(by_hand.parameters(), clip)
            optimizer.step()
    names = [c.name for c in trainer.plan.calls]
    joins = 0 if trainer.plan.replicas else 3
    assert names.count("weight_parts") == 3 and names.count("weight_join") == joins and "linear_backward_weight" not in names
    assert trainer.last_run.threads == threads
    for p, q in zip(model.parameters(), by_hand.parameters()):
        assert p.numpy().tobytes() == q.numpy().tobytes()


def test_where_threads_share_rows_of_a_gradient(monkeypatch):
    """Not in one chunk of rows or in blocks that two cores cannot share, not where the blocks' gradients would be more than the rows, and
    not where threads share columns."""
    monkeypatch.setattr(schedule, "cores", lambda: 2)
    assert [schedule.row_blocks(rows, 1 << 20) for rows in (1, 128, 129, 200, 256, 384, 512, 640, 1500, 1024, 4096, 10_000)] == [
        0, 0, 0, 0, 2, 0, 4, 0, 12, 8, 8, 10]
    assert [schedule.row_blocks(10_000, most) for most in (1024, 1023, 512, 256, 32)] == [10, 20, 20, 40, 79]
    monkeypatch.setattr(plans, "find_replicas", lambda calls, *_: (calls, None))

    def found(*widths, rows, width):
        model = nn.Sequential(*(layer for i, o in zip(widths[:-1], widths[1:]) for layer in (nn.Linear(i, o), nn.ReLU())))
        return [c.name for c in training_plan(model, width=width, rows=rows).calls].count("weight_parts")
    assert found(8, 16, 4, rows=256, width=8) == 2 and found(8, 16, 4, rows=128, width=8) == found(8, 16, 4, rows=384, width=8) == 0
    assert found(64, 65, 33, 4, rows=1024, width=64) == 2
    assert found(64, 65, 4, rows=1024, width=64) == 0 and found(64, 65, 4, rows=8192, width=64) == 2
    assert found(1024, 1024, 4, rows=1024, width=1024) == 0


def cuts(plan):
    return {name: [c.cut for c in plan.calls if c.name == name] for name in ("gather_rows", "linear_forward", "linear_backward_input")}


def test_threads_share_columns_of_wide_layers():
    """Columns where the layer is wide and only matmuls read it; the gather of its input in every thread's own room."""
    wide = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 4))
    plan = training_plan(wide, width=64)
    assert cuts(plan) == {"gather_rows": ["each", "units"], "linear_forward": ["part", "part", "units"],
                          "linear_backward_input": ["units", "part"]}
    assert plan.private_bytes == 4 * 64 * plan.rows and "linear_forward" in str(plan)
    for middle, activation in ((128, nn.GELU), (32, nn.ReLU)):
        model = nn.Sequential(nn.Linear(64, middle), activation(), nn.Linear(middle, 4))
        assert cuts(training_plan(model, width=64))["linear_forward"] == ["units", "units"]
    many = training_plan(wide, width=64, rows=4096)  # values of one thread's rows stay in its cache, those of all rows would not
    assert set(cuts(many)["linear_forward"]) == {"units"}


def test_the_batch_is_a_run_time_number():
    """One plan for a short last batch and for full ones; the arena holds the largest."""
    model, loss, optimizer = prepared(NETS["residual"], two_groups("adam"), np.float32)
    trainer = vv.Trainer(model, loss, optimizer, seed=0)
    X, y, _ = data(np.float32)
    trainer.fit(X, y, epochs=2, batch_size=16, verbose=0)
    first = trainer.plan
    trainer.fit(X, y, epochs=1, batch_size=16, verbose=0)
    assert trainer.plan is first and first.rows == 16 and trainer.step == 21
    trainer.fit(X[:5], y[:5], epochs=1, batch_size=16, verbose=0)
    assert trainer.plan is not first and trainer.plan.rows == 5
    assert any(size is BATCH for call in first.calls for b in call.writes() for size in b.shape)


def test_dropout_that_is_always_on_predicts_as_the_eager_model():
    """A prediction has no step and no seed of its own: its masks are those of seed 0 and step 0."""
    class Always(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 4)

        def forward(self, x):
            return self.fc(nn.functional.dropout(x, 0.5))
    model = Always().eval()
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), seed=5)
    X = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    vv.manual_seed(0)
    with vv.no_grad():
        assert np.array_equal(trainer.predict(X)[:512], model(X[:512]).numpy())  # 512 rows are one pass
    assert len(trainer.predict(X)) == 600
