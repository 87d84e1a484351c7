"""The fast doors of predict and make_step: what they keep holds only while nothing has changed. Oracle: a Trainer that was just made."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim


def data(rows=16, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, 5)).astype(dtype), rng.integers(0, 3, rows)


def trainer_of(p=0.0, loss=None, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(p), nn.Linear(16, 3))
    return vv.Trainer(model, loss or nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.05), seed=4, **options)


def fresh(trainer, X):
    """The prediction of a Trainer that knows nothing yet."""
    return vv.Trainer(trainer.model, trainer.loss, trainer.optimizer).predict(X)


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


CHANGES = {
    "nothing": lambda t: None,
    "a weight is written": lambda t: t.model[0].weight.copy_(np.ones((16, 5))),
    "a weight is written unseen": lambda t: t.model[0].weight.data.fill(2.0),
    "a state is loaded": lambda t: t.model.load_state_dict({k: v * 2 for k, v in t.model.state_dict().items()}),
    "a layer is replaced": lambda t: t.model._modules.update({"1": nn.Tanh()}) or t.model.append(nn.Identity()),
    "a layer is added": lambda t: t.model.append(nn.Softmax()),
    "parameters move": lambda t: optim.SGD([nn.Parameter(np.ones(3, np.float32)), *t.model.parameters()], lr=0.1),
    "a parameter moves and is written": lambda t: (CHANGES["parameters move"](t), t.model[0].weight.copy_(np.ones((16, 5)))),
    "another type": lambda t: t.model.double(),
    "a step": lambda t: t.make_step(16)(*data()),
    "a fit": lambda t: t.fit(*data(), epochs=1, verbose=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_predict_notices(change):
    trainer, X = trainer_of(), data()[0]
    before = trainer.predict(X)
    assert np.array_equal(before, trainer.predict(X))
    CHANGES[change](trainer)
    after = trainer.predict(X)
    assert np.array_equal(after, fresh(trainer, X)) and np.array_equal(after, trainer.predict(X))
    assert np.array_equal(before, after) == (change in ("nothing", "parameters move")) or change == "another type"


def test_what_the_door_does_not_take_is_checked_as_ever():
    trainer, X = trainer_of(), data()[0]
    expected = trainer.predict(X)
    for same in (X.tolist(), X.astype(np.float64), np.asfortranarray(X), X.astype(">f4"), vv.Tensor(X)):
        assert np.array_equal(trainer.predict(same), expected)
        assert np.array_equal(trainer.predict(X), expected)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.array_equal(trainer.predict(frozen), expected)
    assert trainer.predict(X[:0]).shape == (0, 3)
    for n in (1, 2, 7):
        assert np.array_equal(trainer.predict(X[:n]), expected[:n])
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, -1):
            broken = X.copy()
            broken.flat[place] = bad
            with pytest.raises(ValueError, match="X must be finite"):
                trainer.predict(broken)
    with pytest.raises(ValueError, match="6 columns does not fit"):
        trainer.predict(np.ones((2, 6), np.float32))
    with pytest.raises(ValueError, match="shape"):
        trainer.predict(X[0])


def test_an_output_belongs_to_the_caller():
    trainer, X = trainer_of(), data()[0]
    trainer.predict(X)
    first = trainer.predict(X)
    kept = first.copy()
    trainer.predict(X * 2)
    assert np.array_equal(first, kept)


def test_a_step_checks_what_it_is_given_every_time():
    trainer, (X, y) = trainer_of(), data()
    step = trainer.make_step(16)
    step(X, y)
    step(X, y)
    before = weights(trainer)
    broken, far = X.copy(), y.copy()
    broken[-1, -1], far[-1] = np.nan, 3
    for xb, yb, message in ((broken, y, "X must be finite"), (X, far, "classes 0..2"), (X, -y - 1, "classes 0..2"), (X, y[:-1], "rows"),
                            (X[:0], y[:0], "rows"), (np.ones((17, 5), np.float32), np.ones(17, np.int64), "batch_size")):
        with pytest.raises(ValueError, match=message):
            step(xb, yb)
    assert np.array_equal(before, weights(trainer)) and trainer.step == 2


def test_many_steps_by_the_door_equal_steps_that_never_take_it():
    """Dropout and Adam's corrections change from step to step; the table is filled anew after 64 steps and after every change."""
    X, y = data()
    a, b = trainer_of(p=0.3), trainer_of(p=0.3)
    steps = a.make_step(16), b.make_step(16)
    for i in range(150):
        if i == 70:
            for t in (a, b):
                t.optimizer.param_groups[0]["lr"] = 0.01
        if i in (90, 100):
            for t in (a, b):
                t.model[3].requires_grad_(i == 100)
        if i == 110:
            for t in (a, b):
                t.fit(X, y, epochs=1, batch_size=8, verbose=0)
        if i == 120:
            for t in (a, b):
                t.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
        assert steps[0](X, y) == steps[1](X.astype(np.float64), y.astype(np.int32)), f"step {i}"
    assert np.array_equal(weights(a), weights(b)) and a.optimizer.steps.keys() and \
        list(a.optimizer.steps.values()) == list(b.optimizer.steps.values()) == [152, 152, 142, 142]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_targets(dtype):
    X, t = data(dtype=dtype)[0], np.random.default_rng(1).standard_normal((16, 3)).astype(dtype)
    a, b = (trainer_of(loss=nn.MSELoss(), precision=np.dtype(dtype).name) for _ in range(2))
    steps = a.make_step(16), b.make_step(16)
    for _ in range(5):
        assert steps[0](X, t) == steps[1](X, t.tolist())
    assert np.array_equal(weights(a), weights(b))
    t[3, 1] = np.inf
    with pytest.raises(ValueError, match="y must be finite"):
        steps[0](X, t)


def test_a_loss_that_is_not_finite_changes_nothing():
    trainer, (X, _) = trainer_of(loss=nn.MSELoss()), data()
    step, t = trainer.make_step(16), np.zeros((16, 3), np.float32)
    step(X, t)
    before = weights(trainer)
    with pytest.raises(vv.NonFiniteError, match="the weights are those before it") as error:
        step(X, np.full((16, 3), 1e30, np.float32))
    assert error.value.layer == "loss" and np.array_equal(before, weights(trainer)) and trainer.step == 1
    step(X, t)
    assert trainer.step == 2


def test_weights_that_are_not_finite_are_named_by_the_next_loss():
    trainer, (X, _) = trainer_of(loss=nn.MSELoss()), data()
    step, t = trainer.make_step(16), np.zeros((16, 3), np.float32)
    step(X, t)
    trainer.optimizer.param_groups[0]["lr"] = 3e38
    step(X, t)  # its loss is finite, its update overflows
    with pytest.raises(vv.NonFiniteError, match="since the update of an earlier step") as error:
        for _ in range(2):
            step(X, t)
    assert error.value.layer == "weights"


def test_many_rows_of_a_small_model_are_worth_a_team():
    X = np.random.default_rng(0).standard_normal((20000, 5)).astype(np.float32)
    one, two = trainer_of(num_threads=1), trainer_of(num_threads=2)
    plan = one._prediction_plan([5])
    assert plan.worth(plan.rows) > 1
    out = one.predict(X)
    assert np.array_equal(out, two.predict(X))
    for rows in ([0, 1, 511, 512, 8191, 8192, 19999], [777]):
        assert np.array_equal(out[rows], one.predict(X[rows]))
