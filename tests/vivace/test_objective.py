"""value_and_grad over given data: against formulas in NumPy, whole and in chunks, for any number of threads."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(3)
X, T = RNG.normal(size=(300, 4)), RNG.normal(size=(300, 2))
LABELS = RNG.integers(0, 2, 300)
WEIGHT = RNG.uniform(0, 2, 300)


def trainer_of(loss=None, dtype="float64", **options):
    vv.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5, dtype=dtype), nn.Tanh(), nn.Linear(5, 2, dtype=dtype))
    return vv.Trainer(model, loss or nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0, **options)


def by_hand(flat, weight, l2):
    """Value and gradient of the mean squared error of the net above."""
    w1, b1, w2, b2 = flat[:20].reshape(5, 4), flat[20:25], flat[25:35].reshape(2, 5), flat[35:]
    h = np.tanh(X @ w1.T + b1)
    d = h @ w2.T + b2 - T
    share = (np.ones(300) if weight is None else weight)[:, None]
    share = share / share.sum()
    value = (share * d ** 2).sum() / 2 + l2 / 2 * ((w1 ** 2).sum() + (w2 ** 2).sum())
    dy = share * d
    dh = dy @ w2 * (1 - h * h)
    return value, np.concatenate([(dh.T @ X + l2 * w1).ravel(), dh.sum(0), (dy.T @ h + l2 * w2).ravel(), dy.sum(0)])


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("batch_size", [None, 64, 300])
@pytest.mark.parametrize("weighted, l2", [(False, 0.0), (True, 0.3)])
def test_value_and_gradient(backend, batch_size, weighted, l2):
    weight = WEIGHT if weighted else None
    f = trainer_of(backend=backend).objective(X, T, weight, l2=l2, batch_size=batch_size)
    for flat in (f.flat(), np.linspace(-1, 1, 37)):
        value, gradient = f.value_and_grad(flat)
        expected, slopes = by_hand(flat, weight, l2)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-14)
        assert np.array_equal(f.flat(), flat)
    assert np.array_equal(f.trainer.model[2].bias.grad.numpy(), gradient[-2:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [None, 50])
def test_threads_give_the_same_bits(dtype, batch_size):
    found = []
    for threads in (1, 2, 3):
        f = trainer_of(nn.CrossEntropyLoss(), dtype, num_threads=threads).objective(X, LABELS, WEIGHT, batch_size=batch_size)
        value, gradient = f.value_and_grad(np.linspace(-1, 1, 37))
        found.append((value, gradient.tobytes()))
    assert found[0] == found[1] == found[2]


def test_a_sum_and_a_frozen_layer():
    trainer = trainer_of(nn.MSELoss(reduction="sum"))
    trainer.model[0].requires_grad_(False)
    f = trainer.objective(X, T, batch_size=70)
    assert f.size == 12
    full = np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])
    value, gradient = f.value_and_grad()
    expected, slopes = by_hand(full, None, 0)
    assert value == pytest.approx(600 * expected, rel=1e-12)
    np.testing.assert_allclose(gradient, 600 * slopes[25:], rtol=1e-10)


def test_nothing_is_updated_and_fit_goes_on_as_before():
    a, b = trainer_of(), trainer_of()
    before = a.model.state_dict()
    a.objective(X, T).value_and_grad()
    assert all(np.array_equal(v, before[name]) for name, v in a.model.state_dict().items())
    a.fit(X, T, epochs=2, verbose=0)
    b.fit(X, T, epochs=2, verbose=0)
    assert all(np.array_equal(v, b.model.state_dict()[name]) for name, v in a.model.state_dict().items())


def test_dropout_has_the_same_masks_in_every_call():
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 2))
    f = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), seed=5).objective(X, T, batch_size=100)
    assert f.value_and_grad()[0] == f.value_and_grad()[0] != f.trainer.evaluate(X, T)["loss"]


def test_scipy_can_use_it():
    optimize = pytest.importorskip("scipy.optimize")
    model = nn.Linear(4, 2, dtype="float64")
    f = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters())).objective(X, T)
    optimize.minimize(f, f.flat(), jac=True, method="L-BFGS-B", options={"gtol": 1e-12, "ftol": 1e-16})
    design = np.column_stack([X, np.ones(300)])
    best = np.linalg.lstsq(design, T, rcond=None)[0]
    np.testing.assert_allclose(model.weight.numpy(), best[:4].T, atol=1e-6)


def test_what_is_not_finite_and_what_does_not_fit():
    f = trainer_of().objective(X, T)
    value, gradient = f.value_and_grad(np.full(37, 1e200))
    assert value == np.inf and np.isnan(gradient).all()
    with pytest.raises(ValueError, match=r"flat must have shape \(P,\) = \(37,\), got \(3,\)"):
        f.value_and_grad(np.zeros(3))
    with pytest.raises(ValueError, match="l2 must be a finite number >= 0, got -1"):
        trainer_of().objective(X, T, l2=-1)
    trainer = trainer_of()
    trainer.model.requires_grad_(False)
    with pytest.raises(ValueError, match="all are frozen"):
        trainer.objective(X, T)
