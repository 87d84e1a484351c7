"""nn.utils: clipping against stored PyTorch results and formulas, flat parameters there and back."""
import numpy as np
import pytest

from vivace import nn


def test_clip_grad_norm(torch_traces):
    given = torch_traces["clipping"]
    for case in given["cases"]:
        parameters = [nn.Parameter(np.zeros(np.shape(g))) for g in given["gradients"]]
        for p, g in zip(parameters, given["gradients"]):
            p.grad = np.array(g)
        assert nn.utils.clip_grad_norm_(parameters, case["limit"]) == pytest.approx(case["norm"], rel=1e-12)
        for p, after in zip(parameters, case["after"]):
            np.testing.assert_allclose(p.grad.numpy(), after, rtol=1e-12)


def test_clip_grad_value_and_flat_parameters():
    p, q = nn.Parameter(np.zeros((2, 2))), nn.Parameter(np.zeros(3))
    p.grad = [[-3, 0.5], [2, -0.1]]
    nn.utils.clip_grad_value_([p, q], 1.0)
    assert p.grad.numpy().tolist() == [[-1, 0.5], [1, -0.1]] and q.grad is None
    nn.utils.vector_to_parameters(np.arange(7.0), [p, q])
    assert p.numpy().tolist() == [[0, 1], [2, 3]] and nn.utils.parameters_to_vector([p, q]).tolist() == list(range(7))
    with pytest.raises(ValueError, match=r"vec must have shape \(7,\), got \(6,\)"):
        nn.utils.vector_to_parameters(np.zeros(6), [p, q])


@pytest.mark.parametrize("order, norm", [(1, 11.0), (3, 371 ** (1 / 3)), (np.inf, 7.0), (0.5, (3 ** 0.5 + 1 + 7 ** 0.5) ** 2)])
def test_clip_grad_norm_of_other_orders(order, norm):
    p, q = nn.Parameter(np.zeros((1, 2))), nn.Parameter(np.zeros(2))
    for limit in (2.0, np.inf):
        p.grad, q.grad = [[3.0, -1.0]], [-7.0, 0.0]
        assert nn.utils.clip_grad_norm_([p, q], limit, order) == pytest.approx(norm, rel=1e-12)
        scale = 1 if limit == np.inf else limit / (norm + 1e-6)
        np.testing.assert_allclose(p.grad.numpy(), np.array([[3, -1]]) * scale, rtol=1e-12)


@pytest.mark.parametrize("order", [2, 1])
def test_a_norm_that_is_not_finite(order):
    p = nn.Parameter(np.zeros(2))
    p.grad = [1.0, np.inf]
    with pytest.raises(RuntimeError, match=f"order {order} of the gradients is inf"):
        nn.utils.clip_grad_norm_(p, 1.0, order, error_if_nonfinite=True)
    assert p.grad.numpy().tolist() == [1, np.inf]


def test_skip_init_draws_nothing():
    nn.manual_seed(0)
    expected = nn.Linear(3, 2).weight.numpy().copy()
    nn.manual_seed(0)
    layer = nn.utils.skip_init(nn.Linear, 3, 4, bias=False)
    assert type(layer) is nn.Linear and layer.weight.shape == (4, 3) and layer.bias is None
    np.testing.assert_array_equal(nn.Linear(3, 2).weight.numpy(), expected)
