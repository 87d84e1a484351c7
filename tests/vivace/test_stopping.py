"""Each way to stop a fit, on real fits: by loss, change of loss, gradient norm, score, plateau and time."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim
from vivace.callbacks import EarlyStopping, StopWhen


def quadratic(**options):
    """Least squares with one weight: loss (w - 1)² s, gradient 2 s (w - 1), s the mean of x²."""
    X = np.linspace(0.5, 1.5, 16)[:, None]
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1, bias=False)).to(np.float64)
    model[0].weight.copy_([[5.0]])
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0, **options)
    return X, trainer, float((X ** 2).mean())


def fit(callback, epochs=500, batch_size=16, **options):
    X, trainer, s = quadratic(**options)
    history = trainer.fit(X, X[:, 0], epochs=epochs, batch_size=batch_size, callbacks=callback, verbose=0)
    return trainer, history, s


def test_gradient_norm_of_a_full_batch_is_exact():
    """With one batch the entry is the norm of the loss's gradient before the update, which the formula gives."""
    trainer, history, s = fit(StopWhen(grad_norm_below=1e-3))
    w = 1 + 4 * (1 - 0.2 * s) ** np.arange(len(history["loss"]))
    np.testing.assert_allclose(history["grad_norm"], 2 * s * (w - 1), rtol=1e-9)
    assert history["grad_norm"][-1] < 1e-3 <= history["grad_norm"][-2]
    assert trainer.stop_reason == "grad_norm_below 0.001 reached" and len(history["loss"]) < 500


def test_gradient_norm_is_the_mean_over_batches_before_clipping():
    X, trainer, _ = quadratic(clip_grad_norm=0.5)
    w, norms = 5.0, []
    for start in range(0, 16, 4):
        x = X[start:start + 4, 0]
        g = 2 * (x ** 2).mean() * (w - 1)
        norms.append(abs(g))
        w -= 0.1 * np.sign(g) * min(abs(g), 0.5)
    history = trainer.fit(X, X[:, 0], epochs=1, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(history["grad_norm"], [np.mean(norms)], rtol=1e-7)  # clipping adds 1e-6 to a norm
    np.testing.assert_allclose(trainer.model[0].weight.numpy(), [[w]], rtol=1e-6)


def test_nobody_pays_for_a_norm_that_is_not_asked_for():
    trainer, history, _ = fit(StopWhen(loss_below=1e-3))
    assert "grad_norm" not in history.history and "clip_norm" not in [call.name for call in trainer.plan.calls]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_asking_for_the_norm_changes_no_bit(threads):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 20)).astype(np.float32), rng.integers(0, 3, 100)
    weights, norms = [], []
    for callback in (None, StopWhen(grad_norm_below=0.0)):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 3))
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0, num_threads=threads)
        history = trainer.fit(X, y, epochs=3, callbacks=callback, verbose=0)
        weights.append(b"".join(p.numpy().tobytes() for p in model.parameters()))
        norms.append(history.history.get("grad_norm"))
    assert weights[0] == weights[1] and norms[0] is None and all(np.isfinite(norms[1]))


def test_loss_and_change_of_loss():
    trainer, history, _ = fit(StopWhen(loss_below=1e-3))
    assert history["loss"][-1] < 1e-3 <= history["loss"][-2] and trainer.stop_reason == "loss_below 0.001 reached"
    _, history, _ = fit(StopWhen(loss_change_below=1e-3))
    change = np.abs(np.diff(history["loss"]))
    assert change[-1] < 1e-3 and (change[:-1] >= 1e-3).all()


def test_score_and_plateau():
    trainer, history, _ = fit(StopWhen(metric_above=("r2", 0.99)), metrics=["r2"])
    assert history["r2"][-1] > 0.99 >= history["r2"][-2]
    trainer, history, _ = fit(EarlyStopping(patience=5, min_delta=1e-6))
    assert len(history["loss"]) < 500 and "has not improved for 5 epochs" in trainer.stop_reason
    trainer, history, _ = fit(EarlyStopping("grad_norm", patience=3, min_delta=1e-4))
    assert len(history["loss"]) < 500 and "grad_norm has not improved" in trainer.stop_reason


def test_time():
    X, trainer, _ = quadratic()
    trainer.fit(X, X[:, 0], epochs=10 ** 9, max_time=0.05, verbose=0)
    assert trainer.stop_reason == "max_time"


def test_norms_of_an_epoch_that_was_cut_short_are_saved(tmp_path):
    """A run that is saved in the middle of an epoch logs the same norm as one that never stopped."""
    def stop_at(step):
        def on_batch_end(trainer, now, logs):
            if trainer.step == step:
                trainer.stop_training = True
        return vv.callbacks.LambdaCallback(on_batch_end=on_batch_end)

    X, whole, _ = quadratic(clip_grad_norm=0.5)
    expected = whole.fit(X, X[:, 0], epochs=2, batch_size=4, verbose=0)["grad_norm"]
    _, first, _ = quadratic(clip_grad_norm=0.5)
    first.fit(X, X[:, 0], epochs=2, batch_size=4, callbacks=stop_at(6), verbose=0)
    first.save(tmp_path / "run.vivace")
    again = vv.load(tmp_path / "run.vivace")
    again.fit(X, X[:, 0], epochs=1, batch_size=4, verbose=0)
    assert list(again.history["grad_norm"]) == list(expected)
