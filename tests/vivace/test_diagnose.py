"""vv.diagnose on networks that are known to be sick, and on healthy ones; it leaves everything as it was."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1000, 20)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
REAL = (X[:, :1] - X[:, 1:2] ** 2).astype(np.float32)
BOTH = pytest.mark.parametrize("optimizer, lr", [(optim.SGD, 0.1), (optim.Adam, 1e-3), (optim.Adam, 1e-2)], ids=str)
SEEN = pytest.mark.parametrize("seen", [False, True], ids=["plain", "with statistics"])


def mlp(activation, depth=2, width=32, he=False, outputs=2):
    vv.manual_seed(0)
    widths = [20, *[width] * depth]
    layers = [layer for i, o in zip(widths, widths[1:]) for layer in (nn.Linear(i, o), activation())]
    model = nn.Sequential(*layers, nn.Linear(width, outputs))
    for p in model.parameters() if he else ():
        nn.init.kaiming_normal_(p, nonlinearity="relu") if p.ndim == 2 else nn.init.zeros_(p)
    return model


class Residual(nn.Module):
    def __init__(self, depth=8, width=32):
        super().__init__()
        vv.manual_seed(0)
        self.first, self.last, self.relu = nn.Linear(20, width), nn.Linear(width, 2), nn.ReLU()
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)]) if hasattr(nn, "ModuleList") else None
        if self.blocks is None:
            for i in range(depth):
                setattr(self, f"block{i}", nn.Linear(width, width))
        self.depth = depth

    def forward(self, x):
        x = self.first(x)
        for i in range(self.depth):
            x = x + self.relu(self.blocks[i](x) if self.blocks else getattr(self, f"block{i}")(x))
        return self.last(x)


def trained(model, optimizer, lr, seen=False, epochs=5, loss=None, y=Y):
    trainer = vv.Trainer(model, loss or nn.CrossEntropyLoss(), optimizer(model.parameters(), lr=lr), seed=0)
    try:
        trainer.fit(X, y, epochs=epochs, batch_size=32, verbose=0, callbacks=[vv.callbacks.Statistics(20)] if seen else None)
    except vv.NonFiniteError:
        pass
    return trainer


@SEEN
@BOTH
def test_healthy(optimizer, lr, seen):
    models = {"relu": mlp(nn.ReLU), "he": mlp(nn.ReLU, 8, he=True), "residual": Residual(), "sigmoid": mlp(nn.Sigmoid, 1),
              "sigmoid 2": mlp(nn.Sigmoid, 2), "tanh": mlp(nn.Tanh, 3), "gelu": mlp(nn.GELU), "linear": nn.Sequential(nn.Linear(20, 2))}
    for name, model in models.items():
        found = vv.diagnose(trained(model, optimizer, lr, seen, epochs=10))
        assert found.healthy and not found and found.kinds == [] and str(found) == "healthy: nothing to report", (name, found)


def test_healthy_after_long_training_and_after_one_epoch():
    for epochs in (1, 200):
        for model in (mlp(nn.Tanh), mlp(nn.ReLU), mlp(nn.Sigmoid, 1)):
            assert vv.diagnose(trained(model, optim.Adam, 1e-3, epochs=epochs)).healthy
    assert vv.diagnose(trained(mlp(nn.ReLU, outputs=1), optim.Adam, 1e-3, loss=nn.MSELoss(), y=REAL)).healthy


@SEEN
@BOTH
def test_vanishing(optimizer, lr, seen):
    found = vv.diagnose(trained(mlp(nn.Sigmoid, 20), optimizer, lr, seen))
    assert found.kinds == ["vanishing"] and found[0].layers[0] == "0" and "40" not in found[0].layers
    assert str(found).startswith("vanishing gradients in layers 0 to ") and "ReLU" in found[0].advice


@SEEN
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_exploding(optimizer, activation, seen):
    assert vv.diagnose(trained(mlp(activation), optimizer, 100, seen)).kinds == ["exploding"]
    found = vv.diagnose(trained(mlp(nn.ReLU, outputs=1), optim.SGD, 100, seen, loss=nn.MSELoss(), y=REAL))
    assert found.kinds == ["exploding"] and "learning rate" in found[0].advice


def test_exploding_gradients_of_large_weights():
    """The chaotic phase of a deep tanh network: Poole et al. 2016, arXiv:1606.05340"""
    model = mlp(nn.Tanh, 30)
    for p in list(model.parameters())[::2]:
        nn.init.normal_(p, std=4 / 32 ** 0.5)
    found = vv.diagnose(trained(model, optim.SGD, 1e-30, epochs=0), X, Y)
    assert found.kinds == ["exploding"] and "exploding gradients" in str(found) and found[0].layers[0] in ("0", "2", "4")


@SEEN
@BOTH
def test_dead(optimizer, lr, seen):
    model = mlp(nn.ReLU)
    model[0].bias.copy_(np.full(32, -10.0))
    found = vv.diagnose(trained(model, optimizer, lr, seen))
    assert found.kinds == ["dead"] and "0" in found[0].layers and "100% behind layer 0" in str(found)


@SEEN
def test_dead_units_of_ones_own_activation(seen):
    def rectified(z):
        return max(z, 0)
    model = mlp(nn.activation(rectified))
    assert vv.diagnose(trained(model, optim.Adam, 1e-2, seen)).healthy
    model[0].bias.copy_(np.full(32, -10.0))
    found = vv.diagnose(trained(model, optim.Adam, 1e-3, seen))
    assert found.kinds == ["dead"] and "100% behind layer 0" in str(found)


@SEEN
@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
def test_too_low(optimizer, activation, seen):
    found = vv.diagnose(trained(mlp(activation), optimizer, 1e-8, seen))
    assert found.kinds == ["lr_too_low"] and "learning rate too low (1e-08)" in str(found)


def test_too_high():
    found = vv.diagnose(trained(mlp(nn.Tanh), optim.Adam, 0.5))
    assert found.kinds[0] == "lr_too_high" and "(0.5)" in str(found)


def test_saturated():
    model = mlp(nn.Tanh)
    for p in list(model.parameters())[:-2]:
        p.copy_(1000 * p.numpy())
    assert "saturated" in vv.diagnose(trained(model, optim.SGD, 1e-3)).kinds


@pytest.mark.parametrize("clip", [None, 1.0])
def test_looking_changes_nothing(clip):
    def run(look):
        model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2))
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0, clip_grad_norm=clip)
        for _ in range(3):
            trainer.fit(X, Y, epochs=1, batch_size=32, verbose=0)
            if look:
                before = {name: v.tobytes() for name, v in trainer.store.vectors.items()}
                plan, step = trainer.plan, trainer.step
                first, second = str(vv.diagnose(trainer)), str(vv.diagnose(trainer, X[:100], Y[:100]))
                assert first == second == "healthy: nothing to report"
                assert {name: v.tobytes() for name, v in trainer.store.vectors.items()} == before
                assert trainer.plan is plan and trainer.step == step
        return trainer.history["loss"], trainer.predict(X).tobytes()
    vv.manual_seed(0)
    plain = run(False)
    vv.manual_seed(0)
    assert run(True) == plain


def test_a_loaded_trainer_is_looked_at_with_data(tmp_path):
    trained(mlp(nn.Sigmoid, 20), optim.SGD, 0.1).save(tmp_path / "a.vivace")
    trainer = vv.load(tmp_path / "a.vivace")
    with pytest.raises(RuntimeError, match=r"diagnose\(trainer, X, y\)"):
        vv.diagnose(trainer)
    assert vv.diagnose(trainer, X, Y).kinds == ["vanishing"]


def test_bad_arguments():
    with pytest.raises(TypeError, match="trainer must be a vivace.Trainer, got int"):
        vv.diagnose(1)
    trainer = trained(mlp(nn.ReLU), optim.SGD, 0.1, epochs=1)
    with pytest.raises(ValueError, match="give X and y, or neither"):
        vv.diagnose(trainer, X)
    with pytest.raises(ValueError, match="at least one row"):
        vv.diagnose(trainer, X[:0], Y[:0])
    with pytest.raises(ValueError, match="columns"):
        vv.diagnose(trainer, X[:, :3], Y)


@SEEN
def test_a_network_that_has_learned_elsewhere_is_healthy(seen):
    """A second trainer, or a loaded one, begins with a small loss and small updates: no sign of a bad learning rate."""
    model = mlp(nn.Tanh)
    trained(model, optim.Adam, 1e-2, epochs=60)
    for lr in (1e-9, 1e-4, 1e-2):
        found = vv.diagnose(trained(model, optim.SGD, lr, seen, epochs=2))
        assert found.healthy, found


def test_binary_losses_on_logits_and_probabilities():
    for link, loss in ((None, nn.BCEWithLogitsLoss()), (nn.Sigmoid, nn.BCELoss())):
        for lr, kinds in ((1e-8, ["lr_too_low"]), (0.1, [])):
            vv.manual_seed(0)
            last = [nn.Linear(32, 1)] + ([link()] if link else [])
            model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), *last)
            assert vv.diagnose(trained(model, optim.SGD, lr, loss=loss, y=Y[:, None])).kinds == kinds
