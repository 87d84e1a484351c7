"""callbacks.Statistics against NumPy written out, and that it changes no bit of a training."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 70)


def net(hidden=nn.ReLU, last=3):
    vv.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 64), hidden(), nn.Dropout(0.2), nn.Linear(64, 80), nn.Tanh(), nn.Linear(80, last))


def fit(callbacks=None, model=None, optimizer=optim.Adam, epochs=3, order=True, fits=1, **options):
    model = model or net()
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer(model.parameters(), lr=0.01), seed=1, **options)
    for _ in range(fits):
        trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=callbacks, verbose=0, shuffle=order)
    return trainer


def bits(trainer):
    return [v.tobytes() for name, v in trainer.store.vectors.items() if name != "grad"], trainer.history["loss"]


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("every", [1, 2, 7, None])
@pytest.mark.parametrize("options", [{}, {"clip_grad_norm": 0.1}, {"metrics": ["accuracy"]}], ids=str)
def test_no_bit_of_the_training_changes(every, options, backend):
    statistics = vv.callbacks.Statistics(every)
    seen, plain = fit([statistics], backend=backend, **options), fit(backend=backend, **options)
    assert bits(seen) == bits(plain)
    assert seen.step == 15 and seen.optimizer.steps == {p: 15 for p in seen.model.parameters()}
    if options.get("metrics"):
        assert seen.history["accuracy"] == plain.history["accuracy"]
    assert statistics.steps == list(range(0, 15, every)) if every else statistics.steps[0] == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_bit_with_threads_a_scheduler_and_a_second_fit(threads):
    def run(callbacks):
        model = net()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=1, num_threads=threads, scheduler_interval="step",
                             scheduler=optim.lr_scheduler.ExponentialLR(optimizer, 0.9))
        for _ in range(2):
            trainer.fit(X, Y, epochs=2, batch_size=16, callbacks=callbacks, verbose=0)
        return trainer
    statistics = vv.callbacks.Statistics(3)
    assert bits(run([statistics])) == bits(run(None))
    assert statistics.steps == [0, 3, 6, 9, 12, 15, 18] and statistics.epochs == [0, 0, 1, 1, 2, 3, 3]


ACTIVATIONS = {
    "relu": (nn.ReLU, lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, 1),
    "sigmoid": (nn.Sigmoid, lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2, 0.25),
    "tanh": (nn.Tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2, 1),
    "silu": (nn.SiLU, lambda x: x / (1 + np.exp(-x)), lambda x: (1 + x * np.exp(-x) / (1 + np.exp(-x))) / (1 + np.exp(-x)), 1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numbers_are_those_of_numpy(name):
    """Two steps of SGD in float64, all by hand: forward, softmax, backward; the second batch is short."""
    module, f, df, steepest = ACTIVATIONS[name]
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), module(), nn.Linear(40, 3)).double()
    with vv.no_grad():
        model[0].weight.copy_(4 * model[0].weight.numpy())
        model[0].bias.copy_(np.linspace(-30, 10, 40))
    w1, b1, w2, b2 = (p.numpy().copy() for p in model.parameters())
    statistics = vv.callbacks.Statistics(1)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.5), seed=0)
    trainer.fit(X.astype(float), Y, epochs=1, batch_size=50, callbacks=[statistics], verbose=0, shuffle=False)
    assert statistics.layers == ["0", "2"] and statistics.activations == [f"0 {name}"] and len(statistics) == 2
    for i, rows in enumerate((slice(0, 50), slice(50, 70))):
        x, t = X[rows].astype(float), np.eye(3)[Y[rows]]
        a = x @ w1.T + b1
        h = f(a)
        z = h @ w2.T + b2
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        dz = (p - t) / len(x)
        dw2, db2, da = dz.T @ h, dz.sum(0), dz @ w2 * df(a)
        dw1, db1 = da.T @ x, da.sum(0)
        gradient = [np.sqrt((dw1 ** 2).sum() + (db1 ** 2).sum()), np.sqrt((dw2 ** 2).sum() + (db2 ** 2).sum())]
        weight = [np.sqrt((w1 ** 2).sum() + (b1 ** 2).sum()), np.sqrt((w2 ** 2).sum() + (b2 ** 2).sum())]
        flat = np.abs(df(a)) < 0.02 * steepest
        expected = {"grad_norm": gradient, "grad_rms": np.divide(gradient, np.sqrt([280, 123])), "weight_norm": weight,
                    "update_norm": np.multiply(gradient, 0.5), "update_ratio": np.multiply(gradient, 0.5) / weight,
                    "mean": [h.mean()], "std": [h.std()], "saturation": [flat.mean()], "dead": [flat.all(0).mean()]}
        for key, value in expected.items():
            np.testing.assert_allclose(statistics[key][i], value, rtol=1e-9, atol=1e-15, err_msg=key)
        assert statistics.losses[i] == pytest.approx(-np.log((p * t).sum(1)).mean(), rel=1e-12)
        assert 0 < expected["saturation"][0] < 1 and 0 < expected["dead"][0] < 1
        w1, b1, w2, b2 = w1 - 0.5 * dw1, b1 - 0.5 * db1, w2 - 0.5 * dw2, b2 - 0.5 * db2


def test_values_of_a_deep_network_are_kept_to_the_end_of_the_step():
    """Rooms that the backward could use again: ten layers of one width, wide enough for phases of their own."""
    vv.manual_seed(0)
    layers = [layer for i in range(10) for layer in (nn.Linear(6 if i == 0 else 96, 96), (nn.Tanh, nn.ReLU)[i % 2]())]
    model = nn.Sequential(*layers, nn.Linear(96, 3)).double()
    h, means, spreads = X.astype(float), [], []
    for i in range(10):
        a = h @ model[2 * i].weight.numpy().T + model[2 * i].bias.numpy()
        h = (np.tanh(a), np.maximum(a, 0))[i % 2]
        means, spreads = [*means, h.mean()], [*spreads, h.std()]
    statistics = vv.callbacks.Statistics(1)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.5), seed=0)
    trainer.fit(X.astype(float), Y, epochs=1, batch_size=70, callbacks=[statistics], verbose=0, shuffle=False)
    np.testing.assert_allclose(statistics["mean"][0], means, rtol=1e-9)
    np.testing.assert_allclose(statistics["std"][0], spreads, rtol=1e-9)


def test_norms_of_clipped_gradients_are_those_the_update_takes():
    clipped, plain = vv.callbacks.Statistics(1), vv.callbacks.Statistics(1)
    fit([clipped], epochs=1, clip_grad_norm=0.1)
    fit([plain], epochs=1)
    whole = np.linalg.norm(plain["grad_norm"][0])
    assert whole > 0.1
    np.testing.assert_allclose(clipped["grad_norm"][0], plain["grad_norm"][0] * 0.1 / whole, rtol=1e-4)


def test_gradients_too_small_for_their_squares():
    from vivace.measure import norm
    x = np.full(100, 1e-30, np.float32)
    assert norm(x) == pytest.approx(1e-29, rel=1e-6)
    assert norm(x * np.float32(1e30) * np.float32(1e30)) == pytest.approx(1e31, rel=1e-6)
    for size in (1e-200, 1e200):
        assert norm(np.full(100, size)) == pytest.approx(10 * size, rel=1e-14)
    assert norm(x * 0) == norm(x[:0]) == 0 and norm(np.array([1.0, np.inf])) == np.inf and np.isnan(norm(np.array([1.0, np.nan])))


@pytest.mark.parametrize("spent, seen, due", [(0.4, 1, True), (0.9, 1, False), (0.9, 10, True), (0.99, 10, False)])
def test_the_next_record_fits_into_its_share(spent, seen, due, monkeypatch):
    """After 100 s a second may have gone to records, the next one among them."""
    from vivace import measure
    held = measure.Measure.__new__(measure.Measure)
    held.statistics, held.began, held.spent, held.seen = vv.callbacks.Statistics(), 5.0, spent, seen
    monkeypatch.setattr(measure.time, "monotonic", lambda: 105.0)
    assert measure.SHARE == 0.01 and held.due() == due


def test_own_activations_are_seen():
    """A user's ReLU has the numbers of the built-in one; one on the inputs themselves has none, as no plan keeps them."""
    def rectified(z):
        return max(z, 0)
    Rectified = nn.activation(rectified)
    own, builtin = vv.callbacks.Statistics(1), vv.callbacks.Statistics(1)
    fit([own], net(Rectified))
    fit([builtin])
    assert own.activations == ["0 rectified", "3 tanh"] and builtin.activations == ["0 relu", "3 tanh"]
    for name in (*own.PER_LAYER, *own.PER_ACTIVATION):
        np.testing.assert_allclose(own[name], builtin[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert (own["saturation"][:, 0] > 0.2).all()
    first = vv.callbacks.Statistics(1)
    fit([first], nn.Sequential(Rectified(), nn.Linear(6, 5), Rectified(), nn.Linear(5, 3)))
    assert first.activations == ["1 rectified"]


def test_frozen_and_nested_layers_have_names():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(nn.functional.tanh(x + self.body(x)))
    vv.manual_seed(0)
    model = Net()
    model.body[0].requires_grad_(False)
    statistics = vv.callbacks.Statistics(1)
    fit([statistics], model, epochs=1)
    assert statistics.layers == ["body.2", "head"]
    assert [a.split()[1] for a in statistics.activations] == ["relu", "tanh"] and statistics.activations[0] == "body.0 relu"
    frame = pytest.importorskip("pandas") and statistics.to_frame()
    assert len(frame) == 5 * 4 and set(frame["where"]) == {"body.2", "head", *statistics.activations}


def test_another_network_begins_anew():
    statistics = vv.callbacks.Statistics(1)
    fit([statistics], epochs=1)
    model = nn.Sequential(nn.Linear(6, 3))
    fit([statistics], model, epochs=1)
    assert statistics.layers == ["0"] and len(statistics) == 5 and statistics["dead"].shape == (5, 0)


def test_a_failing_recorded_step_is_told_as_any_other():
    def run(callbacks):
        model = net()
        trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e10), seed=1)
        with pytest.raises(vv.NonFiniteError) as caught:
            trainer.fit(X, np.eye(3, dtype=np.float32)[Y], epochs=3, batch_size=16, callbacks=callbacks, verbose=0)
        return str(caught.value), [p.numpy().tobytes() for p in model.parameters()]
    assert run([vv.callbacks.Statistics(1)]) == run(None)


def test_it_can_be_saved_with_the_trainer(tmp_path):
    trainer = fit([vv.callbacks.Statistics(1)])
    trainer.save(tmp_path / "a.vivace")
    again = vv.load(tmp_path / "a.vivace")
    again.fit(X, Y, epochs=1, batch_size=16, verbose=0, callbacks=[vv.callbacks.Statistics(2)])
    assert again.statistics.steps == [16, 18]


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_bad_arguments(every):
    with pytest.raises(ValueError, match="every must be an integer >= 1"):
        vv.callbacks.Statistics(every)
    with pytest.raises(KeyError, match="grad_norm"):
        vv.callbacks.Statistics()["gradients"]
