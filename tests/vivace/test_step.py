"""make_step: one compiled step at a time, the same bits as fit and as the eager loop."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim


def data(rows=70):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, rows)
    return (rng.standard_normal((rows, 5)) + y[:, None]).astype(np.float32), y


def trainer_of(make=optim.Adam, seed=4, p=0.25, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(p), nn.Linear(16, 3))
    return vv.Trainer(model, nn.CrossEntropyLoss(), make(model.parameters(), lr=0.05), seed=seed, **options)


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_steps_equal_a_fit(make, weighted):
    X, y = data()
    w = np.linspace(0.5, 2, len(X)).astype(np.float32) if weighted else None
    a, b = trainer_of(make), trainer_of(make)
    a.fit(X, y, epochs=2, batch_size=16, sample_weight=w, verbose=0)
    step = b.make_step(batch_size=16)
    for epoch in range(2):
        order, total, mass = b.order_of(epoch, len(X)), 0.0, 0.0
        for start in range(0, len(X), 16):  # the last batch has 6 rows
            rows = order[start:start + 16]
            part = None if w is None else w[rows]
            m = len(rows) if w is None else float(part.astype(np.float64).sum())
            total, mass = total + step(X[rows], y[rows], part) * m, mass + m
        assert a.history["loss"][epoch] == pytest.approx(total / mass, rel=1e-6)
    assert np.array_equal(weights(a), weights(b)) and a.step == b.step == 10


def test_steps_equal_the_eager_loop():
    X, y = data()
    trainer = trainer_of(p=0.0)
    step = trainer.make_step(16)
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.0), nn.Linear(16, 3))
    loss, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.05)
    for xb, yb in vv.batches(X, y, batch_size=16, seed=3):
        value = loss(model(xb), yb)
        assert step(xb, yb) == pytest.approx(value.item(), rel=1e-6)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert np.array_equal(weights(trainer), np.concatenate([p.numpy().ravel() for p in model.parameters()]))


def test_batches_of_any_number_of_rows_have_the_bits_of_their_own_steps():
    """A step plans for as many rows as it has seen: more of them are another plan, fewer go through the one it has."""
    X, y = np.tile(data()[0], (60, 1)), np.tile(data()[1], 60)
    one, own = trainer_of(), trainer_of()
    step = one.make_step(3000)
    for rows in (3, 40, 2600, 7, 64, 3000, 1):
        assert step(X[:rows], y[:rows]) == own.make_step(rows)(X[:rows], y[:rows])
    assert np.array_equal(weights(one), weights(own))
    with pytest.raises(ValueError, match="1..batch_size = 3000 rows, got 3001"):
        step(X[:3001], y[:3001])


def test_steps_and_fits_may_take_turns(tmp_path):
    X, y = data()
    a, b = trainer_of(), trainer_of()
    for t in (a, b):
        t.fit(X, y, epochs=1, batch_size=16, verbose=0)
        t.make_step(16)(X[:16], y[:16])
    a.save(tmp_path / "m.vivace")
    c = vv.load(tmp_path / "m.vivace")
    for t in (b, c):
        t.make_step(32)(X[:20], y[:20])
        t.fit(X, y, epochs=1, batch_size=16, verbose=0)
    assert np.array_equal(weights(b), weights(c)) and b.step == c.step == 12
    assert set(b.optimizer.steps.values()) == {12}


def test_a_learning_rate_may_change_between_steps():
    X, y = data()
    trainer = trainer_of()
    step = trainer.make_step(16)
    step(X[:16], y[:16])
    before = weights(trainer)
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    step(X[:16], y[:16])
    assert np.array_equal(before, weights(trainer))
    trainer.optimizer.param_groups[0]["lr"] = 0.1
    step(X[:16], y[:16])
    assert not np.array_equal(before, weights(trainer))


def test_weights_written_between_steps_are_used():
    X, y = data()
    a, b = trainer_of(), trainer_of()
    steps = a.make_step(16), b.make_step(16)
    for step in steps:
        step(X[:16], y[:16])
    new = np.full((16, 5), 0.1, np.float32)
    a.model[0].weight.copy_(new)
    b.model[0].weight.data[...] = new  # a writable view: nobody can see this write
    assert steps[0](X[16:32], y[16:32]) == steps[1](X[16:32], y[16:32])
    assert np.array_equal(weights(a), weights(b))
    b.model[0].weight.data[...] = new * 2
    assert steps[0](X[:16], y[:16]) != steps[1](X[:16], y[:16])


def test_groups_that_were_frozen_for_a_while_keep_their_own_step_count():
    """Adam's bias correction of a group goes by the updates of that group."""
    X, y = data()

    def run(eager):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
        loss = nn.CrossEntropyLoss()
        optimizer = optim.Adam([{"params": model[0].parameters()}, {"params": model[2].parameters()}], lr=0.05)
        trainer = vv.Trainer(model, loss, optimizer, seed=0)
        step = trainer.make_step(16)
        for frozen in (False, True, False, True, False):
            model[2].requires_grad_(not frozen)
            for start in (0, 16, 32):
                xb, yb = X[start:start + 16], y[start:start + 16]
                if not eager:
                    step(xb, yb)
                    continue
                optimizer.zero_grad()
                loss(model(xb), yb).backward()
                optimizer.step()
        return weights(trainer), list(optimizer.steps.values())
    (a, steps), (b, eager_steps) = run(False), run(True)
    assert steps == eager_steps == [15, 15, 9, 9] and np.array_equal(a, b)


def test_threads_of_a_step_do_not_change_it():
    X, y = data()
    found = []
    for threads in (1, 2, 3):
        trainer = trainer_of(num_threads=threads)
        step = trainer.make_step(16)
        found.append(([step(X[i:i + 16], y[i:i + 16]) for i in range(0, 70, 16)], weights(trainer)))
    assert found[0][0] == found[1][0] == found[2][0]
    assert np.array_equal(found[0][1], found[1][1]) and np.array_equal(found[0][1], found[2][1])
