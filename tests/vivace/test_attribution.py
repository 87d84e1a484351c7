"""Saliency and integrated gradients against analytic answers and plain sums along the path."""
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn
from vivace.attribution import integrated_gradients, saliency


def network(activation, dtype="float64", hidden=64):
    vv.manual_seed(2)
    layers = [nn.Linear(10, hidden, dtype=dtype), activation, nn.Linear(hidden, hidden, dtype=dtype), activation,
              nn.Linear(hidden, 4, dtype=dtype)]
    for layer in layers[::2]:
        layer.weight.copy_(layer.weight.numpy() * 3)
    return nn.Sequential(*layers)


def inputs(n=12, dtype=np.float64):
    return np.random.default_rng(4).normal(0, 2, (n, 10)).astype(dtype)


def test_a_linear_model_is_known():
    model, x = nn.Linear(10, 4, dtype="float64"), inputs()
    w, base, target = model.weight.numpy(), np.linspace(-1, 1, 10), np.arange(12) % 4
    np.testing.assert_array_equal(saliency(model, x, 2), np.tile(np.abs(w[2]), (12, 1)))
    np.testing.assert_array_equal(saliency(model, x, target, absolute=False), w[target])
    np.testing.assert_allclose(integrated_gradients(model, x, target, base), w[target] * (x - base), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(integrated_gradients(model, x), w[model(x).numpy().argmax(axis=1)] * x, rtol=1e-12, atol=1e-14)


class Product(nn.Module):
    """x0² x1: integrated gradients from 0 are (2/3, 1/3) of its value."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(np.ones((1, 1)))

    def forward(self, x):
        return F.linear(x[:, 0:1] * x[:, 0:1] * x[:, 1:2], self.one)


def test_a_product_is_known():
    x = np.array([[2.0, 3.0], [-1.0, 4.0]])
    np.testing.assert_allclose(integrated_gradients(Product(), x), [[8.0, 4.0], [8 / 3, 4 / 3]], rtol=1e-12)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.Tanh(), nn.GELU(), nn.Softplus()], ids=repr)
def test_completeness(activation):
    """Also where kinks lie close: 128 hidden units, weights three times as large as usual."""
    model, x = network(activation), inputs()
    base = np.full(10, 0.3)
    for target in range(4):
        found = integrated_gradients(model, x, target, base)
        gap = found.sum(axis=1) - (model(x).numpy() - model(base[None]).numpy())[:, target]
        assert np.abs(gap).max() < 1e-4


def test_completeness_in_float32():
    model, x = network(nn.ReLU(), "float32"), inputs(dtype=np.float32)
    z = model(x).numpy()
    found = integrated_gradients(model, x)
    assert found.dtype == np.float32
    gap = found.sum(axis=1) - (z.max(axis=1) - model(np.zeros((1, 10), np.float32)).numpy()[0, z.argmax(axis=1)])
    assert np.abs(gap).max() < 1e-4 * (1 + np.abs(z).max())


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()], ids=repr)
def test_equal_a_plain_sum_along_the_path(activation):
    model, x = network(activation), inputs(3)
    parts = 20000
    places = (np.arange(parts) + 0.5)[:, None] / parts
    for row, found in zip(x, integrated_gradients(model, x, 1)):
        plain = saliency(model, places * row, 1, absolute=False).mean(axis=0) * row
        np.testing.assert_allclose(found, plain, atol=2e-3)


def test_gradient_of_a_network_and_its_largest_output():
    model, x = network(nn.Tanh()), inputs()
    chosen = model(x).numpy().argmax(axis=1)
    blocks = vv.func.batch_jacobian(model, x)
    np.testing.assert_allclose(saliency(model, x), np.abs(blocks[np.arange(12), chosen]), rtol=1e-12)


def test_dropout_is_off_and_the_model_as_before():
    model = nn.Sequential(nn.Linear(10, 8, dtype="float64"), nn.Dropout(0.5), nn.Linear(8, 2, dtype="float64"))
    x = inputs()
    assert np.array_equal(saliency(model, x), saliency(model, x))
    assert all(m.training for m in model.modules()) and model.forwards == 0 and model[0].weight.grad is None


def test_no_rows_and_errors():
    model, x = network(nn.ReLU()), inputs()
    assert integrated_gradients(model, x[:0]).shape == saliency(model, x[:0]).shape == (0, 10)
    for bad in (4, -1, 0.5, [0, 1]):
        with pytest.raises(ValueError, match=r"target must be None, an output 0..3, or \(N,\) of them"):
            saliency(model, x, bad)
    with pytest.raises(ValueError, match=r"X must have shape \(N, features\), got \(10,\)"):
        integrated_gradients(model, x[0])
    with pytest.raises(ValueError, match="tolerance must be > 0, got 0"):
        integrated_gradients(model, x, tolerance=0)
    with pytest.raises(TypeError, match="model must be an nn.Module"):
        saliency(np.sin, x)
