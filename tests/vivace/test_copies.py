"""deepcopy and pickle: copies are whole, share nothing, and go on as the original would."""
import copy
import pickle

import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda value: pickle.loads(pickle.dumps(value))}
rng = np.random.default_rng(0)
X, y = rng.standard_normal((60, 6)).astype(np.float32), rng.integers(0, 3, 60)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.b.weight = self.a.weight
        self.drop = nn.Dropout(0.25)

    def forward(self, x):
        return self.out(self.drop(nn.functional.relu(self.norm(self.b(self.a(x))))) + x)


OPTIMIZERS = {"sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9), "adam": lambda p: optim.Adam(p, lr=0.01),
              "lbfgs": lambda p: optim.LBFGS(p, max_iter=2)}


def step(model, optimizer, loss=nn.CrossEntropyLoss()):  # noqa: B008
    def closure():
        optimizer.zero_grad()
        value = loss(model(X), y)
        value.backward()
        return value
    if isinstance(optimizer, optim.LBFGS):
        return float(optimizer.step(closure))
    value = closure()
    optimizer.step()
    return value.item()


def bits(model):
    return {name: value.tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_and_its_optimizer(name, copied):
    """Moments and step counts go along; the copies then give the losses of the originals and leave these alone."""
    vv.manual_seed(1)
    model = Tied()
    optimizer = OPTIMIZERS[name](model.parameters())
    for _ in range(3):
        step(model, optimizer)
    other, its = copied((model, optimizer))
    assert other.a.weight is other.b.weight and other.a.weight is not model.a.weight
    assert its._id != optimizer._id
    before = bits(model)
    assert bits(other) == before
    vv.manual_seed(7)
    theirs = [step(other, its) for _ in range(4)]
    assert bits(model) == before
    vv.manual_seed(7)
    assert [step(model, optimizer) for _ in range(4)] == theirs
    assert bits(model) == bits(other) != before


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "clip_grad_norm": 1.0}, {"precision": "float64", "num_threads": 2}])
def test_a_trainer_goes_on(copied, options):
    """Epochs of the original and of its copy are the same bits; neither knows of the other."""
    vv.manual_seed(2)
    model = Tied()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(label_smoothing=0.1), optimizer, metrics=["accuracy"], seed=3,
                         scheduler=optim.lr_scheduler.ExponentialLR(optimizer, 0.9), **options)
    watch = lambda: vv.callbacks.EarlyStopping("loss", patience=50)
    trainer.fit(X, y, epochs=2, batch_size=16, callbacks=watch(), verbose=0)
    other = copied(trainer)
    assert other.optimizer.param_groups[0]["params"][0] is other.model.a.weight and other.scheduler.optimizer is other.optimizer
    before = bits(model)
    for each in (other, trainer):
        each.fit(X, y, epochs=3, batch_size=16, callbacks=watch(), verbose=0)
        assert each is trainer or bits(model) == before
    assert bits(model) == bits(other.model) != before
    assert trainer.history["loss"] == other.history["loss"] and trainer.history["lr"] == other.history["lr"]
    assert (trainer.epoch, trainer.step) == (other.epoch, other.step) == (5, 20)
    ours, theirs = trainer.watchers[0].state(), other.watchers[0].state()
    assert ours.pop("weights").keys() == theirs.pop("weights").keys() and ours == theirs
    if "ema_decay" in options:
        with trainer.averaged(), other.averaged():
            assert bits(model) == bits(other.model)


def test_copies_of_an_untrained_trainer_and_of_one_that_was_saved(tmp_path):
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0)
    other = copy.deepcopy(trainer)
    other.fit(X, y, epochs=1, verbose=0)
    trainer.fit(X, y, epochs=1, verbose=0)
    assert bits(model) == bits(other.model)
    trainer.save(tmp_path / "run.vivace")
    loaded = pickle.loads(pickle.dumps(vv.load(tmp_path / "run.vivace")))
    assert loaded.predict(X).tobytes() == trainer.predict(X).tobytes()


def test_a_shallow_copy_has_tables_of_its_own():
    """A layer that is put into the copy is not put into the original."""
    model = Tied()
    other = copy.copy(model)
    other.out = nn.Linear(6, 2)
    assert other.a is model.a and model(X).shape == (60, 3) and other(X).shape == (60, 2)
    assert dict(model.named_parameters())["out.weight"].shape == (3, 6)
