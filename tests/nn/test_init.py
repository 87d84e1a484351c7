"""Initialisers: bounds, moments, orthogonality; and one generator behind all of them, which is nobody else's."""
import math
import random

import numpy as np
import pytest
from vivace.nn import init

import vivace as vv
from vivace import nn, optim

SHAPE = (300, 200)  # O, I


def drawn(function, *args, shape=SHAPE, **options):
    vv.manual_seed(0)
    p = nn.Parameter(np.zeros(shape))
    assert function(p, *args, **options) is p
    return p.numpy()


UNIFORM = {
    "uniform_": (init.uniform_, (-0.5, 0.5), {}, 0.5),
    "kaiming_uniform_": (init.kaiming_uniform_, (), {}, math.sqrt(6 / 200)),
    "kaiming_uniform_ leaky": (init.kaiming_uniform_, (0.5,), {}, math.sqrt(6 / 1.25 / 200)),
    "kaiming_uniform_ fan_out tanh": (init.kaiming_uniform_, (), {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 * math.sqrt(3 / 300)),
    "xavier_uniform_": (init.xavier_uniform_, (), {}, math.sqrt(6 / 500)),
    "xavier_uniform_ gain": (init.xavier_uniform_, (), {"gain": 2.0}, 2 * math.sqrt(6 / 500)),
    "lecun_uniform_": (init.lecun_uniform_, (), {}, math.sqrt(3 / 200)),
}
NORMAL = {
    "normal_": (init.normal_, (0.0, 0.01), {}, 0.01),
    "kaiming_normal_": (init.kaiming_normal_, (), {}, math.sqrt(2 / 200)),
    "kaiming_normal_ fan_out": (init.kaiming_normal_, (), {"mode": "fan_out"}, math.sqrt(2 / 300)),
    "kaiming_normal_ linear": (init.kaiming_normal_, (), {"nonlinearity": "linear"}, math.sqrt(1 / 200)),
    "xavier_normal_": (init.xavier_normal_, (), {}, math.sqrt(2 / 500)),
    "lecun_normal_": (init.lecun_normal_, (), {}, math.sqrt(1 / 200)),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name):
    function, args, options, bound = UNIFORM[name]
    values = drawn(function, *args, **options)
    assert 0.999 * bound < np.abs(values).max() <= bound  # 60,000 draws come close to the bound
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
    assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.02


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name):
    function, args, options, std = NORMAL[name]
    values = drawn(function, *args, **options)
    assert abs(values.mean()) < 5 * std / math.sqrt(values.size) and abs(values.std() / std - 1) < 0.02
    assert 0.67 < (np.abs(values) < std).mean() < 0.70 and np.abs(values).max() > 3.5 * std


def test_constants_and_shifts():
    assert (drawn(init.zeros_) == 0).all() and (drawn(init.ones_) == 1).all() and (drawn(init.constant_, 0.3) == 0.3).all()
    assert abs(drawn(init.normal_, 4.0, 0.1).mean() - 4) < 0.01
    values = drawn(init.uniform_)
    assert 0 <= values.min() < 0.001 and 0.999 < values.max() <= 1


def test_constants_by_name_the_identity_and_zeros_in_columns():
    assert (drawn(init.constant_, val=0.25) == 0.25).all() and np.array_equal(drawn(init.eye_, shape=(3, 5)), np.eye(3, 5))
    values = drawn(init.sparse_, 0.25, std=2.0)
    assert ((values == 0).sum(axis=0) == 75).all() and 0 < (values == 0).sum(axis=1).min() and abs(values[values != 0].std() / 2 - 1) < 0.02


@pytest.mark.parametrize("mean, std, a, b", [(0, 1, -2, 2), (1, 2, 0, np.inf), (0, 1, 6, 9), (0, 0.5, -4, -3)])
def test_a_normal_that_is_cut(mean, std, a, b):
    """Against the mean of a truncated normal distribution, mean + std (phi(low) - phi(high)) / (Phi(high) - Phi(low))."""
    values, (low, high) = drawn(init.trunc_normal_, mean, std, a, b), ((a - mean) / std, (b - mean) / std)
    density = [math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high)]
    mass = (math.erfc(abs(low) / math.sqrt(2)) - math.erfc(abs(high) / math.sqrt(2))) / 2 if low * high > 0 else (
        math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    assert a <= values.min() and values.max() <= b
    assert abs(values.mean() - mean - std * (density[0] - density[1]) / abs(mass)) < 4 * values.std() / math.sqrt(values.size)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (50, 50), (1, 7), (7, 1)])
def test_orthogonal(shape):
    w = drawn(init.orthogonal_, shape=shape, gain=2.0)
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-12)
    if min(shape) == 50:  # both signs of the diagonal: no convention of the QR decomposition shines through
        assert 10 < (np.diag(w) > 0).sum() < 40


def test_a_layer_starts_as_in_pytorch():
    vv.manual_seed(0)
    layer = nn.Linear(200, 300)
    for p in (layer.weight, layer.bias):
        assert 0.95 / math.sqrt(200) < np.abs(p.numpy()).max() <= np.float32(1 / math.sqrt(200))
    before = layer.weight.numpy().copy()
    layer.reset_parameters()
    assert not np.array_equal(before, layer.weight.numpy())


def test_gains_and_errors():
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("tanh") == 5 / 3 and init.calculate_gain("linear") == 1
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04) and init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    for call, says in ((lambda: init.calculate_gain("swish"), "nonlinearity must be 'linear', .* or 'leaky_relu', got 'swish'"),
                       (lambda: drawn(init.kaiming_normal_, mode="fan"), "mode must be 'fan_in' or 'fan_out', got 'fan'"),
                       (lambda: drawn(init.xavier_normal_, shape=(3,)), r"weight of shape \(O, I\), got \(3,\)"),
                       (lambda: vv.manual_seed(-1), "seed must be an int >= 0, got -1"),
                       (lambda: vv.manual_seed(1.5), "seed must be an int >= 0, got 1.5")):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_seed_gives_the_same_weights():
    def weights(seed):
        vv.manual_seed(seed)
        return [p.numpy().copy() for p in nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).parameters()]
    a, b, c = weights(1), weights(1), weights(2)
    assert all(np.array_equal(x, y) for x, y in zip(a, b)) and not any(np.array_equal(x, y) for x, y in zip(a, c))
    double = weights(1 << 70)
    assert not np.array_equal(double[0], weights(0)[0])


def dropped(model, X, times):
    return [model(X).numpy().copy() for _ in range(times)]


def test_a_seed_gives_the_same_dropout():
    """Each forward of a root has a mask of its own, each Dropout in it another."""
    X = np.ones((40, 50), np.float32)
    model = nn.Sequential(nn.Dropout(0.3))
    vv.manual_seed(1)
    first = dropped(model, X, 3)
    again = nn.Sequential(nn.Dropout(0.3))
    vv.manual_seed(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, dropped(again, X, 3)))
    assert len({a.tobytes() for a in first}) == 3
    vv.manual_seed(2)
    assert not np.array_equal(dropped(nn.Sequential(nn.Dropout(0.3)), X, 1)[0], first[0])
    two = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))(X).numpy()
    assert 0.15 < (two != 0).mean() < 0.35  # one mask twice would leave half
    kept = np.concatenate(first)
    assert 0.66 < (kept != 0).mean() < 0.74 and np.allclose(kept[kept != 0], 1 / 0.7, rtol=1e-4)
    assert np.array_equal(model.eval()(X).numpy(), X)


def test_no_global_generator_is_touched():
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.random.seed(1)
    random.seed(1)
    before = np.random.get_state()[1].copy(), np.random.get_state()[2], random.getstate()
    for seeded in (True, False):
        if seeded:
            vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        init.orthogonal_(model[0].weight)
        model(X)
        trainer = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
        trainer.fit(X, X[:, 0], epochs=2, validation_split=0.2, verbose=0)
        trainer.predict(X)
        next(iter(vv.batches(X, X)))
    after = np.random.get_state()[1], np.random.get_state()[2], random.getstate()
    assert np.array_equal(before[0], after[0]) and before[1:] == after[1:]
