"""The L2 penalty of a batch and orders from a function, against plain NumPy."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

ROWS, BATCH, ALPHA, RATE = 23, 8, 0.7, 0.05


def data():
    rng = np.random.default_rng(5)
    return rng.standard_normal((ROWS, 6)), rng.standard_normal((ROWS, 2)), rng.uniform(0.1, 2.0, ROWS)


def trainer_of(optimizer=optim.SGD, **options):
    vv.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 5, dtype="float64"), nn.Tanh(), nn.Linear(5, 2, dtype="float64"))
    matrices, others = [p for p in model.parameters() if p.ndim == 2], [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": others}]
    return vv.Trainer(model, nn.MSELoss(), optimizer(groups, lr=RATE), seed=0, **{"l2_penalty": ALPHA, **options})


def reference(w, x, t, s):
    """One epoch of gradient descent in NumPy: (weights, loss of the epoch) for rows in the given order."""
    w1, b1, w2, b2 = [a.copy() for a in w]
    total = 0.0
    for i in range(0, len(x), BATCH):
        xb, tb, sb = x[i:i + BATCH], t[i:i + BATCH], s[i:i + BATCH]
        mass = sb.sum()
        h = np.tanh(xb @ w1.T + b1)
        y = h @ w2.T + b2
        total += sb @ np.square(y - tb).mean(axis=1) + 0.5 * ALPHA * (np.sum(w1 * w1) + np.sum(w2 * w2))
        dy = (y - tb) * sb[:, None] / mass
        dh = (dy @ w2) * (1 - h * h)
        w2, b2 = w2 - RATE * (dy.T @ h + ALPHA * w2 / mass), b2 - RATE * dy.sum(axis=0)
        w1, b1 = w1 - RATE * (dh.T @ xb + ALPHA * w1 / mass), b1 - RATE * dh.sum(axis=0)
    return [w1, b1, w2, b2], total / s.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_threads": 2}, {"backend": "numpy"}, {"clip_grad_norm": 1e9}], ids=str)
def test_epochs_equal_numpy(weighted, options):
    x, t, s = data()
    trainer = trainer_of(**options)
    orders = [np.random.default_rng(e).permutation(ROWS) for e in range(3)]
    w = [p.numpy().copy() for p in trainer.model.parameters()]
    history = trainer.fit(x, t, epochs=3, batch_size=BATCH, sample_weight=s if weighted else None, shuffle=orders.__getitem__, verbose=0)
    for e, order in enumerate(orders):
        w, loss = reference(w, x[order], t[order], (s if weighted else np.ones(ROWS))[order])
        np.testing.assert_allclose(history["loss"][e], loss, rtol=1e-12)
    for p, expected in zip(trainer.model.parameters(), w):
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rows", [ROWS, BATCH * 40])
def test_a_batch_without_weight_has_no_penalty(rows):
    """Nor a gradient: the second of three batches, and of forty, whose numbers are added up in another way."""
    rng = np.random.default_rng(5)
    x, t, s = rng.standard_normal((rows, 6)), rng.standard_normal((rows, 2)), rng.uniform(0.1, 2.0, rows)
    s[BATCH:2 * BATCH] = 0
    kept = np.delete(np.arange(rows), np.s_[BATCH:2 * BATCH])
    trainer = trainer_of()
    w, loss = reference([p.numpy().copy() for p in trainer.model.parameters()], x[kept], t[kept], s[kept])
    history = trainer.fit(x, t, epochs=1, batch_size=BATCH, sample_weight=s, shuffle=False, verbose=0)
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-12)
    for p, expected in zip(trainer.model.parameters(), w):
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10, atol=1e-13)


def test_make_step_has_the_penalty():
    x, t, s = data()
    trainer = trainer_of()
    w = [p.numpy().copy() for p in trainer.model.parameters()]
    loss = trainer.make_step(BATCH)(x[:BATCH], t[:BATCH], s[:BATCH])
    w, expected = reference(w, x[:BATCH], t[:BATCH], s[:BATCH])
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_allclose(trainer.model[0].weight.numpy(), w[0], rtol=1e-12)


def test_resume_in_the_middle_of_an_epoch(tmp_path):
    x, t, s = data()
    whole = trainer_of(optim.Adam).fit(x, t, epochs=2, batch_size=BATCH, verbose=0)["loss"]
    trainer = trainer_of(optim.Adam)

    def stop(trainer, step, logs):
        trainer.stop_training = step == 1
    trainer.fit(x, t, epochs=1, batch_size=BATCH, verbose=0, callbacks=vv.callbacks.LambdaCallback(on_batch_end=stop))
    trainer.save(tmp_path / "run.vivace")
    resumed = vv.load(tmp_path / "run.vivace")
    assert resumed.penalty.alpha == ALPHA
    assert resumed.fit(x, t, epochs=2, batch_size=BATCH, verbose=0)["loss"] == whole


@pytest.mark.parametrize("order, told", [(np.arange(ROWS) + 1, "0..22"), (np.arange(3), r"\(3,\)"), (np.zeros(ROWS), "float64")])
def test_orders_that_do_not_fit(order, told):
    x, t, _ = data()
    with pytest.raises(ValueError, match=f"shuffle.*{told}"):
        trainer_of().fit(x, t, epochs=1, batch_size=BATCH, shuffle=lambda epoch: order, verbose=0)


@pytest.mark.parametrize("alpha", [-1.0, np.nan, "a"])
def test_alpha_must_be_a_number(alpha):
    with pytest.raises(ValueError, match="l2_penalty"):
        trainer_of(l2_penalty=alpha)


def test_groups_must_be_pure():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="groups of their own"):
        vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), l2_penalty=1.0)
