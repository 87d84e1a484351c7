"""An optimizer's eager step keeps views and scalars between steps: it must notice whatever changes in between. Oracle: Adam in NumPy."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim


def adam(p, g, m, v, t, lr, betas, eps=1e-8):
    """One step as in Kingma and Ba 2015, in place."""
    m[...] = betas[0] * m + (1 - betas[0]) * g
    v[...] = betas[1] * v + (1 - betas[1]) * g * g
    p -= lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def test_a_step_sees_options_and_places_that_change():
    rng = np.random.default_rng(0)
    p, other = nn.Parameter(rng.standard_normal((3, 5))), nn.Parameter(np.ones(7))
    optimizer = optim.Adam([p], lr=0.01)
    group = optimizer.param_groups[0]
    q, m, v = p.numpy().copy(), np.zeros((3, 5)), np.zeros((3, 5))
    for t in range(1, 141):  # more than twice the steps whose scalars are computed ahead
        if t == 5:
            group["lr"] = 0.1
        if t == 10:
            group["betas"] = [0.5, 0.9]  # a list may change without being set
        if t == 15:
            group["betas"][0] = 0.7
        if t == 20:
            group["betas"] = (0.8, 0.95)
        if t == 30:
            optim.SGD([other, p], lr=0.1)  # both move into a store of their own
        if t == 40:
            optimizer.load_state_dict(optimizer.state_dict())
        g = rng.standard_normal((3, 5))
        p.grad = g
        optimizer.step()
        adam(q, g, m, v, t, group["lr"], group["betas"])
        np.testing.assert_allclose(p.numpy(), q, rtol=1e-10, atol=1e-12, err_msg=f"step {t}")
    assert np.array_equal(other.numpy(), np.ones(7))


def test_momentum_that_is_switched_on_later():
    p = nn.Parameter(np.zeros(4))
    optimizer = optim.SGD([p], lr=1.0)
    for momentum, expected in ((0.0, -1.0), (0.5, -2.0), (0.5, -3.5)):
        optimizer.param_groups[0]["momentum"] = momentum
        p.grad = np.ones(4)
        optimizer.step()
        assert p.numpy() == pytest.approx(expected)


def test_a_gradient_that_was_forgotten_is_replaced_and_one_that_was_not_is_added_to():
    vv.manual_seed(0)
    layer, x = nn.Linear(3, 2).double(), np.arange(12.0).reshape(4, 3)
    optimizer = optim.SGD(layer.parameters(), lr=0.0)

    def twice():  # a weight used twice within one pass: only one of the gradients can be computed in its own room
        return (layer(x) + layer(x * 2)).sum()
    for expected in (1, 2, 3):
        twice().backward()
        np.testing.assert_array_equal(layer.weight.grad.numpy(), expected * np.tile(3 * x.sum(axis=0), (2, 1)))
        np.testing.assert_array_equal(layer.bias.grad.numpy(), [8 * expected] * 2)
    optimizer.zero_grad()
    assert layer.weight.grad is None
    layer(x).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.tile(x.sum(axis=0), (2, 1)))
