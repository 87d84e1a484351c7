"""Accumulated gradients, moving averages of weights, and clipping by value, in the compiled epoch."""
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(100, 4)), RNG.normal(size=(100, 2))
WEIGHT = RNG.uniform(0.1, 2, 100)


def trainer_of(seed=3, p=0.0, make=optim.AdamW, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Dropout(p), nn.Linear(9, 2)).double()
    return vv.Trainer(model, nn.MSELoss(), make(model.parameters(), lr=0.02), seed=seed, **options)


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("weight, clip", [(None, None), (WEIGHT, None), (WEIGHT, 0.3)])
def test_accumulating_is_a_larger_batch(weight, clip, backend):
    """Batches of 8 by threes are batches of 24: 100 rows are four of these and a short one of 4 rows."""
    options = dict(clip_grad_norm=clip, backend=backend, metrics=["mae"])
    a, b = trainer_of(accumulate=3, **options), trainer_of(**options)
    a.fit(X, T, epochs=4, batch_size=8, sample_weight=weight, verbose=0)
    b.fit(X, T, epochs=4, batch_size=24, sample_weight=weight, verbose=0)
    np.testing.assert_allclose(weights(a), weights(b), rtol=1e-9)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-10)
    np.testing.assert_allclose(a.history["mae"], b.history["mae"], rtol=1e-10)
    assert a.step == b.step == 20


def test_accumulating_gives_the_same_bits_for_all_threads_and_resumes(tmp_path):
    found = []
    for threads in (1, 2, 3):
        a = trainer_of(p=0.3, accumulate=4, num_threads=threads, ema_decay=0.8)
        a.fit(X, T, epochs=4, batch_size=8, verbose=0)
        found.append(weights(a).tobytes() + a.store.vector("ema").tobytes())
    first = trainer_of(p=0.3, accumulate=4, num_threads=2, ema_decay=0.8)
    first.fit(X, T, epochs=2, batch_size=8, verbose=0)
    first.save(tmp_path / "a.vivace")
    again = vv.load(tmp_path / "a.vivace")
    again.fit(X, T, epochs=2, batch_size=8, verbose=0)
    found.append(weights(again).tobytes() + again.store.vector("ema").tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("make", [optim.AdamW, optim.SGD])
def test_the_average_is_that_of_the_weights_after_every_step(make):
    a, seen = trainer_of(ema_decay=0.9, make=make), []
    a.fit(X, T, epochs=2, batch_size=32, verbose=0)
    b = trainer_of(make=make)
    b.fit(X, T, epochs=2, batch_size=32, verbose=0,
          callbacks=[vv.callbacks.LambdaCallback(on_batch_end=lambda *_: seen.append(weights(b)))])
    average = seen[0]
    for w in seen[1:]:
        average = 0.9 * average + 0.1 * w
    assert np.array_equal(weights(a), weights(b))
    with a.averaged():
        np.testing.assert_allclose(weights(a), average, rtol=1e-12)
        inside = a.evaluate(X, T)["loss"]
    assert np.array_equal(weights(a), seen[-1]) and inside != a.evaluate(X, T)["loss"]
    with pytest.raises(RuntimeError, match="no average of weights"), b.averaged():
        pass


def test_clipping_by_value_cuts_every_element():
    a = trainer_of(make=optim.SGD, clip_grad_value=0.01)
    a.fit(X, T, epochs=2, batch_size=100, shuffle=False, verbose=0)
    assert all(c.chained for c in a.plan.calls if c.name == "sgd_update")
    b = trainer_of(make=optim.SGD)
    for _ in range(2):
        b.optimizer.zero_grad()
        F.mse_loss(b.model(X), T).backward()
        for p in b.model.parameters():
            p.grad = np.clip(p.grad.numpy(), -0.01, 0.01)
        b.optimizer.step()
    assert np.array_equal(weights(a), weights(b))


def test_swa_leaves_the_mean_of_the_weights_at_the_ends_of_epochs():
    seen = []
    a = trainer_of()
    watch = vv.callbacks.LambdaCallback(on_epoch_end=lambda trainer, epoch, logs: seen.append(weights(trainer)))
    a.fit(X, T, epochs=7, verbose=0, callbacks=[watch, vv.callbacks.SWA(start=2, every=2)])
    np.testing.assert_allclose(weights(a), np.mean([seen[2], seen[4], seen[6]], axis=0), rtol=1e-12)


def test_bad_arguments():
    for options, says in (({"accumulate": 0}, "accumulate must be an int >= 1"), ({"ema_decay": 1.0}, "ema_decay must be"),
                          ({"clip_grad_value": -1}, "clip_grad_value must be")):
        with pytest.raises(ValueError, match=says):
            trainer_of(**options)
