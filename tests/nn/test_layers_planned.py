"""Networks of all layers in the compiled epoch: no fallback, the bits of the eager loop, of 1, 2, 3 threads, and after a resumed run."""
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

ROWS, BATCH, EPOCHS, SEED = 150, 37, 4, 3
"""Five batches, the last of 2 rows: the fewest that batch norm takes."""


def normalised():
    return nn.Sequential(nn.Linear(6, 33), nn.BatchNorm1d(33), nn.Mish(), nn.Residual(nn.Linear(33, 33), nn.LayerNorm(33), nn.PReLU()),
                         nn.GaussianNoise(0.1), nn.RReLU(), nn.RMSNorm(33), nn.PReLU(33), nn.Dropout(0.2),
                         nn.BatchNorm1d(33, momentum=None, affine=False), nn.Flatten(), nn.Linear(33, 3), nn.LogSoftmax())


def activations():
    return nn.Sequential(nn.Linear(6, 17), nn.SELU(), nn.CELU(0.7), nn.GELU("tanh"), nn.Hardswish(), nn.Hardsigmoid(), nn.LogSigmoid(),
                         nn.Softplus(2.0, 3.0), nn.Linear(17, 20), nn.Softsign(), nn.Tanhshrink(), nn.Hardtanh(), nn.ReLU6(),
                         nn.Linear(20, 18), nn.Softshrink(0.01), nn.Hardshrink(0.02), nn.Threshold(-1.0, 0.3), nn.GLU(), nn.ELU(0.5),
                         nn.Softmin(), nn.Linear(9, 3))


class Lookup(nn.Module):
    """Two columns of numbers, two of codes for one table, two for a bag."""

    def __init__(self, mode="mean"):
        super().__init__()
        self.table, self.bag = nn.Embedding(5, 19, padding_idx=2), nn.EmbeddingBag(7, 3, mode=mode)
        self.norm, self.out = nn.BatchNorm1d(43), nn.Linear(43, 3)

    def forward(self, x):
        return self.out(self.norm(F.cat([x[:, 0:2], F.flatten(self.table(x[:, 2:4])), self.bag(x[:, 4:6])])))


def wide():
    """Layers whose columns threads share out, beside layers that sum over rows."""
    return nn.Sequential(nn.Linear(6, 128), nn.ReLU(), nn.Linear(128, 96), nn.Tanh(), nn.BatchNorm1d(96), nn.Linear(96, 130),
                         nn.Linear(130, 80), nn.LayerNorm(80), nn.Linear(80, 96), nn.PReLU(), nn.Linear(96, 128), nn.Linear(128, 3))


class Tied(nn.Module):
    """One weight as a table and as a layer."""

    def __init__(self):
        super().__init__()
        self.table, self.norm, self.out = nn.Embedding(70, 96), nn.BatchNorm1d(70), nn.Linear(70, 3)

    def forward(self, x):
        return self.out(self.norm(F.linear(F.flatten(self.table(x[:, 2:3])), self.table.weight)))


class Wrapped(nn.Module):
    """A custom module, which a file holds as its graph."""

    def __init__(self):
        super().__init__()
        self.net = normalised()

    def forward(self, x):
        return self.net(x)


NETS = {"normalised": (normalised, {"batch_statistics", "running_update", "batch_norm_backward_input", "layer_norm_backward_weight",
                                    "gaussian_noise", "rrelu_backward", "prelu_backward_weight", "sum_all", "log_softmax_backward"}),
        "activations": (activations, {"selu_backward", "celu_forward", "gelu_tanh_backward", "tanhshrink_backward", "threshold_forward"}),
        "graph": (Wrapped, {"batch_statistics"}), "lookup": (Lookup, {"embedding_backward", "embedding_bag_backward", "whole_numbers"}),
        "wide": (wide, {"batch_norm_backward_weight", "layer_norm_backward_weight"}), "lookup tied": (Tied, {"embedding_backward"}),
        "lookup max": (lambda: Lookup("max"), {"embedding_bag_backward"})}


def data(dtype):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(ROWS, 6))
    codes = np.c_[rng.normal(size=(ROWS, 2)), rng.integers(0, 5, (ROWS, 2)), rng.integers(0, 7, (ROWS, 2))]
    return {False: numbers.astype(dtype), True: codes.astype(dtype)}, rng.integers(0, 3, ROWS)


def parts(name, dtype):
    vv.manual_seed(1)
    model = NETS[name][0]().to(dtype)
    X, y = data(dtype)
    return model, X["lookup" in name], y


def eager(name, dtype):
    model, X, y = parts(name, dtype)
    optimizer, loss, order = optim.Adam(model.parameters(), lr=1e-2), nn.CrossEntropyLoss(), np.empty(len(y), np.int64)
    vv.manual_seed(SEED)
    for epoch in range(EPOCHS):
        vv.kernels.permutation(order, SEED, epoch)
        for start in range(0, len(y), BATCH):
            rows = order[start:start + BATCH]
            value = loss(model(X[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return model


def planned(name, dtype, threads=None, epochs=EPOCHS):
    model, X, y = parts(name, dtype)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-2), seed=SEED, num_threads=threads)
    trainer.fit(X, y, epochs=epochs, batch_size=BATCH, verbose=0)
    return trainer


def bits(model):
    return {name: value.tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_compiled_epoch_equals_eager(name, dtype):
    """Bit for bit, parameters and running statistics, for every number of threads; all of it in records of the plan."""
    expected = bits(eager(name, dtype))
    for threads in (1, 2, 3):
        trainer = planned(name, dtype, threads)
        assert trainer.last_run.threads == threads and trainer.step == EPOCHS * 5
        assert trainer.model.forwards == 0  # a forward in Python would have been counted
        assert NETS[name][1] <= {call.name for call in trainer.plan.calls}
        assert bits(trainer.model) == expected, threads


@pytest.mark.parametrize("name", NETS)
def test_save_load_resume(name, tmp_path):
    """Outputs of the loaded model, and the bits of a run that went on from the file; once in the middle of an epoch."""
    whole, half = planned(name, "float32"), planned(name, "float32", epochs=2)
    _, X, y = parts(name, "float32")
    stop = vv.callbacks.LambdaCallback(on_batch_end=lambda trainer, batch, logs: setattr(trainer, "stop_training", batch == 2))
    half.fit(X, y, epochs=1, batch_size=BATCH, verbose=0, callbacks=[stop])
    half.save(tmp_path / "half.vivace")
    loaded = vv.load(tmp_path / "half.vivace")
    np.testing.assert_array_equal(loaded.predict(X), half.predict(X))
    loaded.fit(X, y, epochs=2, batch_size=BATCH, verbose=0)
    assert bits(loaded.model) == bits(whole.model)


@pytest.mark.parametrize("name", ["normalised", "lookup"])
def test_prediction(name):
    """The plan's rows are those of the eager model in evaluation, alone or together."""
    trainer = planned(name, "float32", epochs=1)
    _, X, _ = parts(name, "float32")
    together = trainer.predict(X)
    np.testing.assert_array_equal(together, trainer.model.eval()(X).numpy())
    np.testing.assert_array_equal(together[7:8], trainer.predict(X[7:8]))


def test_numpy_backend_agrees():
    for name in NETS:
        model, X, y = parts(name, "float64")
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-2), seed=SEED, backend="numpy")
        trainer.fit(X, y, epochs=1, batch_size=BATCH, verbose=0)
        other, X, y = parts(name, "float64")
        trainer = vv.Trainer(other, nn.CrossEntropyLoss(), optim.SGD(other.parameters(), lr=1e-2), seed=SEED)
        trainer.fit(X, y, epochs=1, batch_size=BATCH, verbose=0)
        for key, value in model.state_dict().items():
            np.testing.assert_allclose(value, other.state_dict()[key], rtol=1e-9, atol=1e-11, err_msg=f"{name} {key}")


def test_a_last_batch_of_one_row_is_refused_at_the_door():
    model, X, y = parts("normalised", "float32")
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match=r"more than 1 row per batch .* a last batch of 1 row \(150 rows in batches of 149\)"):
        trainer.fit(X, y, epochs=1, batch_size=149, verbose=0)
    with pytest.raises(ValueError, match="batches of 1 row"):
        trainer.fit(X, y, epochs=1, batch_size=1, verbose=0)
    with pytest.raises(ValueError, match="batches of 1 row"):
        trainer.make_step(4)(X[:1], y[:1])


def test_indices_are_checked_at_the_door():
    trainer = planned("lookup", "float32", epochs=1)
    _, X, y = parts("lookup", "float32")
    for column, value, message in ((3, 5, "indices 0..4 for an embedding in column 3, got 5 at row 9"),
                                   (2, 0.5, "in column 2, got 0.5"), (5, 7, "indices 0..6")):
        wrong = X.copy()
        wrong[9, column] = value
        with pytest.raises(ValueError, match=message):
            trainer.fit(wrong, y, epochs=1, verbose=0)
        with pytest.raises(ValueError, match=message):
            trainer.predict(wrong)


def test_statistics_of_a_step_that_broke_are_not_kept():
    """A loss that is not finite leaves the running statistics as the weights: those before the step."""
    vv.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
    X, y = np.ones((8, 2), np.float32), np.full((8, 1), 1e30, np.float32)
    with pytest.raises(vv.NonFiniteError):
        trainer.fit(X, y, epochs=1, batch_size=4, verbose=0)
    assert all(np.isfinite(value).all() for value in model.state_dict().values())
    assert model[0].num_batches_tracked.numpy() == trainer.step == 0
