"""The range test: it finds the rates that train, and leaves no trace."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)
Y = X @ RNG.normal(size=(6, 1)).astype(np.float32)


def trainer_of(make=optim.SGD):
    vv.manual_seed(0)
    model = nn.Linear(6, 1)
    return vv.Trainer(model, nn.MSELoss(), make(model.parameters(), lr=0.05), seed=0)


def test_the_suggestion_trains_and_the_end_diverges():
    found = vv.lr_find(trainer_of(), X, Y, max_lr=100.0)
    assert found.rates[0] == pytest.approx(1e-6) and np.all(np.diff(np.log(found.rates)) > 0)
    assert len(found.rates) < 100 and found.rates[-1] > 0.5  # for these inputs gradient descent diverges above about 1
    assert 1e-3 < found.suggestion < 1.0
    trainer = trainer_of()
    trainer.optimizer.param_groups[0]["lr"] = found.suggestion
    history = trainer.fit(X, Y, epochs=20, verbose=0)
    assert history["loss"][-1] < 0.05 * history["loss"][0]


@pytest.mark.parametrize("make", [optim.SGD, optim.AdamW, optim.Rprop])
def test_it_leaves_no_trace(make):
    a, b = trainer_of(make), trainer_of(make)
    for one in (a, b):
        one.fit(X, Y, epochs=1, verbose=0)
    vv.lr_find(a, X, Y, steps=20)
    for one in (a, b):
        one.fit(X, Y, epochs=2, verbose=0)
    assert np.array_equal(a.model.weight.numpy(), b.model.weight.numpy()) and a.history["loss"] == b.history["loss"]
    assert a.optimizer.steps[a.model.weight] == b.optimizer.steps[b.model.weight] and a.step == b.step


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    vv.lr_find(trainer_of(), X, Y, steps=30).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_bad_arguments():
    with pytest.raises(ValueError, match="min_lr must be below max_lr"):
        vv.lr_find(trainer_of(), X, Y, min_lr=1.0, max_lr=0.1)
    with pytest.raises(ValueError, match="steps must be an int >= 2"):
        vv.lr_find(trainer_of(), X, Y, steps=1)
