"""Attacks against analytic answers, and training on them against a loop written by hand."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim
from vivace.adversarial import FGSM, PGD, robust_accuracy


def network(dtype="float64", dropout=0.0):
    vv.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 12, dtype=dtype), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 3, dtype=dtype))


def rows(n=45, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (n, 5)).astype(dtype), rng.integers(0, 3, n)


def trainer_of(model, attack, **options):
    return vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.02), adversarial=attack, seed=3, **options)


def weights(model):
    return np.concatenate([p.numpy().reshape(-1) for p in model.parameters()])


# --- attacks

def test_fgsm_of_a_linear_model_is_known():
    """d (x w - t)² / dx = 2 (x w - t) w."""
    model = nn.Linear(4, 1, bias=False, dtype="float64")
    model.weight.copy_([[1.0, -2.0, 0.0, 3.0]])
    x, t = np.full((2, 4), 0.5), np.array([0.0, 5.0])  # x w = 1: above the first target, below the second
    moved = FGSM(0.1)(model, nn.MSELoss(), x, t)
    sign = np.array([1.0, -1.0, 0.0, 1.0])
    np.testing.assert_array_equal(moved, [0.5 + 0.1 * sign, 0.5 - 0.1 * sign])
    np.testing.assert_array_equal(FGSM(0.1, clip=(0.45, 0.55))(model, nn.MSELoss(), x, t)[0], 0.5 + 0.05 * sign + np.array([0, 0, 0, 0]))
    np.testing.assert_array_equal(x, np.full((2, 4), 0.5))


def test_pgd_reaches_the_worst_corner_of_a_linear_model_and_never_leaves():
    model = nn.Linear(5, 3, dtype="float64")
    x, y = rows()
    loss = nn.CrossEntropyLoss()
    for start in (False, True):
        moved = PGD(0.05, clip=(0, 1), steps=8, random_start=start)(model, loss, x, y)
        assert np.abs(moved - x).max() <= 0.05 + 1e-15 and moved.min() >= 0 and moved.max() <= 1
        binary = nn.Linear(5, 1, dtype="float64")  # its worst corner is the sign of the weights whatever the start
        corner = np.clip(x + 0.05 * np.where(y[:, None] > 0, -1, 1) * np.sign(binary.weight.numpy()), 0, 1)
        found = PGD(0.05, clip=(0, 1), steps=8, random_start=start)(binary, nn.BCEWithLogitsLoss(), x, (y > 0).astype(float))
        np.testing.assert_allclose(found, corner, atol=1e-15)


def test_attacks_raise_the_loss_in_order_of_their_effort():
    model, loss = network(), nn.CrossEntropyLoss()
    trainer_of(model, None).fit(*rows(), epochs=60, batch_size=9, verbose=0)
    x, y = rows()
    found = [loss(model.eval()(a), y).item() for a in (x, FGSM(0.1)(model, loss, x, y), PGD(0.1, steps=20)(model, loss, x, y))]
    noise = x + np.random.default_rng(0).choice([-0.1, 0.1], x.shape)
    assert found[0] < loss(model(noise), y).item() < found[1] <= found[2] * 1.001


def test_attacks_are_functions_of_their_arguments():
    model, loss, (x, y) = network(dropout=0.5), nn.CrossEntropyLoss(), rows()
    model[0].eval()
    before, state = weights(model), np.random.get_state()[1].copy()
    first, again, other = (PGD(0.1)(model, loss, x, y, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(weights(model), before) and np.array_equal(np.random.get_state()[1], state)
    assert [m.training for m in model.modules()] == [True, False, True, True, True] and model.forwards == 0
    assert all(p.grad is None for p in model.parameters())
    assert FGSM(0.1)(model.float(), loss, x, y).dtype == np.float32


def test_soft_targets_are_smoothed_once():
    model, loss = network(), nn.CrossEntropyLoss(label_smoothing=0.3)
    x, y = rows()
    soft = np.eye(3)[y]
    gradient = vv.func.grad(lambda x: loss(model(x), soft))(x)
    np.testing.assert_array_equal(FGSM(0.1)(model, loss, x, soft), np.clip(x + 0.1 * np.sign(gradient), x - 0.1, x + 0.1))
    target = loss.target(soft, 3, x.dtype)
    np.testing.assert_allclose(vv.adversarial.input_gradient(model, loss, x, target), gradient, rtol=1e-12, atol=1e-17)


# --- training on them

def by_hand(model, attack, x, y, epochs, batch):
    """The same training as a loop: every batch is moved against the weights that its step begins with."""
    loss, optimizer, step = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.02), 0
    for epoch in range(epochs):
        for index, _ in vv.batches(np.arange(len(x)), y, batch, seed=3, epoch=epoch):
            moved = attack.moved(model, loss, x[index], y[index], (3, step))
            value = loss(model(moved), y[index])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            step += 1
    return weights(model)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("attack", [FGSM(0.1), PGD(0.1, clip=(0, 1), steps=3)], ids=["fgsm", "pgd"])
def test_fit_equals_a_loop_written_by_hand(attack, dtype):
    x, y = rows(dtype=dtype)
    kept = x.copy()
    want = by_hand(network(dtype), attack, x, y, 3, 16)
    for threads in (1, 2):
        model = network(dtype)
        trainer_of(model, attack, num_threads=threads).fit(x, y, epochs=3, batch_size=16, verbose=0)
        assert np.array_equal(weights(model), want)
    assert np.array_equal(x, kept)
    plain = network(dtype)
    trainer_of(plain, None).fit(x, y, epochs=3, batch_size=16, verbose=0)
    assert not np.array_equal(weights(plain), want)


def test_make_step_equals_fit():
    attack, (x, y) = PGD(0.1, steps=3), rows(48)
    fitted, stepped = network(), network()
    trainer_of(fitted, attack).fit(x, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
    step = trainer_of(stepped, attack).make_step(16)
    for start in range(0, 48, 16):
        step(x[start:start + 16], y[start:start + 16])
    assert np.array_equal(weights(fitted), weights(stepped))


def test_a_saved_trainer_goes_on_with_its_attack(tmp_path):
    attack, (x, y) = PGD(0.1, clip=(0, 1), steps=3), rows()
    whole = network(dropout=0.2)
    trainer_of(whole, attack).fit(x, y, epochs=4, batch_size=16, verbose=0)
    trainer = trainer_of(network(dropout=0.2), attack)

    def stop(trainer, step, logs):
        trainer.stop_training = trainer.epoch == 1 and step == 1
    trainer.fit(x, y, epochs=2, batch_size=16, verbose=0, callbacks=[vv.callbacks.LambdaCallback(on_batch_end=stop)])
    assert trainer.position == 2
    trainer.save(tmp_path / "m.vivace")
    loaded = vv.load(tmp_path / "m.vivace")
    assert loaded.adversarial == attack != FGSM(0.1) and loaded.adversarial.clip == (0.0, 1.0)
    loaded.fit(x, y, epochs=3, batch_size=16, verbose=0)
    assert np.array_equal(weights(loaded.model), weights(whole))


def test_a_run_that_stops_being_finite_leaves_the_weights_before_it():
    model, (x, y) = network(), rows()
    trainer = vv.Trainer(model, nn.MSELoss("sum"), optim.SGD(model.parameters(), lr=1e30), adversarial=FGSM(0.1), seed=3)
    with pytest.raises(vv.NonFiniteError):
        trainer.fit(x, np.stack([y] * 3, 1).astype(float), epochs=20, batch_size=9, verbose=0)
    assert np.isfinite(weights(model)).all()


def test_validation_and_evaluate_see_inputs_as_they_are():
    x, y = rows()
    trainer = trainer_of(network(), FGSM(0.3))
    history = trainer.fit(x, y, epochs=1, batch_size=45, verbose=0, validation_data=(x, y))
    fresh = network()
    assert history["loss"][0] == pytest.approx(nn.CrossEntropyLoss()(fresh(FGSM(0.3)(fresh, nn.CrossEntropyLoss(), x, y)), y).item())
    assert history["val_loss"][0] == pytest.approx(nn.CrossEntropyLoss()(trainer.model(x), y).item(), rel=1e-12)


def test_robust_accuracy_on_digits_rises_by_20_points():
    """eps is 0.1 of the range, the judge is stronger than the attack trained on."""
    pytest.importorskip("sklearn")
    from vivace.datasets import load, split
    data = load("digits")
    (X, y), _, (X_test, y_test) = split(data.X / 16, data.y, seed=0)
    loss, judge, found = nn.CrossEntropyLoss(), PGD(0.1, clip=(0, 1), steps=20), {}
    for name, attack in (("plain", None), ("pgd", PGD(0.1, clip=(0, 1), steps=5))):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        trainer = vv.Trainer(model, loss, optim.Adam(model.parameters(), lr=2e-3), adversarial=attack, seed=0)
        trainer.fit(X, y, epochs=20, batch_size=64, verbose=0)
        found[name] = robust_accuracy(model, loss, X_test, y_test, judge)
        assert robust_accuracy(model, loss, X_test, y_test, FGSM(0)) == np.mean(trainer.predict_classes(X_test) == y_test) > 0.94
    assert found["pgd"] >= found["plain"] + 0.2


def test_robust_accuracy_of_one_output():
    model, x = nn.Linear(1, 1, dtype="float64"), np.array([[-1.0], [-0.05], [0.05], [1.0]])
    model.weight.copy_([[2.0]])
    model.bias.copy_([0.0])
    y = np.array([0, 0, 1, 1])
    assert robust_accuracy(model, nn.BCEWithLogitsLoss(), x, y, FGSM(0.0)) == 1
    assert robust_accuracy(model, nn.BCEWithLogitsLoss(), x, y, FGSM(0.1)) == 0.5


def test_errors_name_the_argument():
    model, loss, (x, y) = network(), nn.CrossEntropyLoss(), rows()
    for bad in (-0.1, np.nan, "0.1", True):
        with pytest.raises(ValueError, match="eps must be a finite number >= 0"):
            FGSM(bad)
    for bad in ((1, 0), (0,), 3, (0, np.inf)):
        with pytest.raises(ValueError, match=r"clip must be None or \(low, high\)"):
            FGSM(0.1, clip=bad)
    with pytest.raises(ValueError, match="steps must be"):
        PGD(0.1, steps=0)
    with pytest.raises(TypeError, match="adversarial must be None or a vivace.adversarial.Attack, got float"):
        trainer_of(model, 0.1)
    with pytest.raises(TypeError, match="model must be an nn.Module, got function"):
        FGSM(0.1)(lambda x: x, loss, x, y)
    with pytest.raises(ValueError, match="X must be finite"):
        FGSM(0.1)(model, loss, x * np.nan, y)
    with pytest.raises(ValueError, match="y must"):
        FGSM(0.1)(model, loss, x, y[:-1])

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, a, b):
            return self.fc(a) + self.fc(b)
    with pytest.raises(ValueError, match="adversarial training needs a model of one input, got 2"):
        trainer_of(Two(), FGSM(0.1)).fit([x, x], y, epochs=1, verbose=0)
