"""Tensor: arithmetic and its derivatives against PyTorch and the stencil, the tape, and the words of its errors."""
import threading

import numpy as np
import pytest
import vivace.nn.functional as F
from nn_stencil import check_gradient
from scipy import special

import vivace as vv
from vivace import nn, optim

FUNCTIONS = {name: getattr(F, name) for name in ("sigmoid", "tanh", "relu", "softmax", "gelu", "silu", "softplus", "elu", "leaky_relu")}


def test_expressions_equal_torch(torch_traces):
    """Arithmetic, broadcasting, slices, reductions, products: values, and the gradient that reaches every leaf."""
    given = {name: np.array(value) for name, value in torch_traces["expressions"]["given"].items()}
    found = torch_traces["expressions"]["found"]
    assert len(found) > 40
    for text, expected in found.items():
        leaves = {name: nn.Tensor(value, requires_grad=True) for name, value in given.items()}
        value = eval(text, {**FUNCTIONS, **leaves})
        assert value.shape == np.shape(expected["value"]), text
        np.testing.assert_allclose(value.numpy(), expected["value"], rtol=1e-13, atol=1e-14, err_msg=text)
        value.sum().backward()
        assert {name for name, leaf in leaves.items() if leaf.grad is not None} == set(expected["grads"]), text
        for name, grad in expected["grads"].items():
            assert leaves[name].grad.shape == leaves[name].shape, f"{text}: {name}"
            np.testing.assert_allclose(leaves[name].grad.numpy(), grad, rtol=1e-12, atol=1e-13, err_msg=f"{text}: {name}")


@pytest.mark.parametrize("key", [1, -1, (1, 2), slice(1, 3), (slice(None), slice(1, 3)), (slice(None), slice(3, 1)),
                                 (slice(None), slice(-2, None)), (slice(None, None, -1), 0), (Ellipsis, 1), None, [2, 0, 2],
                                 ([0, 1], [1, 1]), np.array([True, False, True])])
def test_indexing_equals_numpy(key):
    x = np.random.default_rng(0).normal(size=(3, 4))
    leaf = nn.Tensor(x, requires_grad=True)
    part = leaf[key]
    assert np.array_equal(part.numpy(), x[key]) and part.shape == x[key].shape
    dy = np.random.default_rng(1).normal(size=part.shape)
    part.backward(dy)
    expected = np.zeros_like(x)
    np.add.at(expected, key, dy)
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-15)


def test_a_long_expression_against_the_stencil():
    rng = np.random.default_rng(0)
    x, m = rng.normal(size=(5, 3)), rng.normal(size=(3, 3))

    def value(x):
        h = F.tanh(x @ m) / (1.5 + F.sigmoid(x)) - 0.3 * x[:, :1]
        return (h ** 2 * F.softmax(h[::2].mean() + x) - 2 ** x).sum() + (x[1] * x[2:, 1:2]).mean()

    leaf = nn.Tensor(x, requires_grad=True)
    value(leaf).backward()
    check_gradient(lambda v: value(nn.Tensor(v)).numpy(), x, leaf.grad.numpy(), None, rng, "expression")


# --- what a tensor is made of

def test_types():
    assert nn.Tensor([1, 2]).dtype == np.float32 and nn.Tensor([1.0]).dtype == np.float32
    assert nn.Tensor(np.ones(2)).dtype == np.float64 and nn.Tensor(np.arange(2)).dtype == np.int64
    assert nn.Tensor(np.ones(2, np.float16)).dtype == np.float32 and nn.Tensor(True).dtype == np.float32
    vv.set_default_dtype("float64")
    try:
        assert nn.Tensor([1, 2]).dtype == np.float64 and nn.Linear(2, 2).weight.dtype == np.float64
    finally:
        vv.set_default_dtype("float32")
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'float16'"):
        vv.set_default_dtype("float16")
    for bad in (["a"], [None], [1j]):
        with pytest.raises(TypeError, match="data must be numbers, got dtype"):
            nn.Tensor(bad)


def test_what_it_answers():
    x = nn.Tensor([[1.0, 2.0, 3.0], [4.0, 6.0, 5.0]])
    assert (x.shape, x.ndim, x.size, len(x), x.argmax(), x.argmax(axis=1).tolist()) == ((2, 3), 2, 6, 2, 4, [2, 1])
    assert [row.numpy().tolist() for row in x] == [[1, 2, 3], [4, 6, 5]]
    assert nn.Tensor(2.5).item() == float(nn.Tensor([2.5])) == 2.5 and isinstance(nn.Tensor(2.5).item(), float)
    assert bool(nn.Tensor(1.0)) and not bool(nn.Tensor(0.0))
    with pytest.raises(ValueError):
        x.item()
    with pytest.raises(TypeError, match="len"):
        len(nn.Tensor(1.0))
    assert repr(nn.Tensor([1.0, 2.0], requires_grad=True)) == "tensor([1., 2.], requires_grad=True)"


def test_arrays_of_it_are_copies():
    """As np.array promises; np.asarray gives the values themselves."""
    x, p = nn.Tensor([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    for tensor in (x, p):
        copy = np.array(tensor)
        copy[0] = 9
        assert tensor.numpy().tolist() == [1, 2]
        assert np.shares_memory(np.asarray(tensor), tensor.numpy())
        assert np.asarray(tensor, np.float64).dtype == np.float64
    assert not np.asarray(p).flags.writeable


def test_arrays_and_numbers_on_either_side():
    x, a = nn.Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 5.0])
    for result, expected in ((a + x, [4, 7]), (x + a, [4, 7]), (a - x, [2, 3]), (x - a, [-2, -3]), (a * x, [3, 10]), (a / x, [3, 2.5]),
                             (np.float64(2) * x, [2, 4]), (2 - x, [1, 0]), (x / 2, [0.5, 1]), (np.int64(3) + x, [4, 5])):
        assert isinstance(result, nn.Tensor) and result.requires_grad and result.dtype == np.float32
        assert result.numpy().tolist() == expected


def test_power_zero_has_no_slope():
    x = nn.Tensor([0.0, 2.0], requires_grad=True)
    (x ** 0).sum().backward()
    assert x.grad.numpy().tolist() == [0, 0]


# --- the tape

def test_gradients_accumulate_and_are_their_own():
    a, b = nn.Tensor([1.0, 2.0], requires_grad=True), nn.Tensor([1.0, 2.0], requires_grad=True)
    (a + b).sum().backward()
    (a * 3).sum().backward()
    assert a.grad.numpy().tolist() == [4, 4] and b.grad.numpy().tolist() == [1, 1]
    given = np.ones(2, np.float32)
    (b * 1.0).backward(given)
    (b * 1.0).backward(given)
    assert b.grad.numpy().tolist() == [3, 3] and given.tolist() == [1, 1]
    a.grad = None
    assert a.grad is None
    a.sum().backward()
    assert a.grad.numpy().tolist() == [1, 1]


def test_a_tensor_used_many_times():
    x = nn.Tensor([2.0], requires_grad=True)
    y = x * x
    (y * y + y + x).sum().backward()
    assert x.grad.item() == 4 * 8 + 2 * 2 + 1


def test_backward_of_a_leaf():
    x = nn.Tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1 and x.grad.shape == ()


def test_a_second_backward_is_an_error():
    x = nn.Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="backward.. was called before on this result; run the forward pass again"):
        y.backward()
    assert x.grad.numpy().tolist() == [2, 4]


@pytest.mark.parametrize("act, error, says", [
    (lambda x: (x * 2).backward(), RuntimeError, r"gradient must be given for a tensor of shape \(2,\)"),
    (lambda x: (x * 2).backward(np.ones(3)), ValueError, r"gradient must have shape \(2,\), got \(3,\)"),
    (lambda x: x.detach().sum().backward(), RuntimeError, "depends on something with requires_grad=True"),
    (lambda x: x @ x, ValueError, r"matmul needs shapes \(N, K\) and \(K, O\), got \(2,\) and \(2,\)"),
    (lambda x: x + np.ones(3), ValueError, "broadcast"),
    (lambda x: x ** x, TypeError, "exponent must be a number, got Tensor"),
    (lambda x: x.reshape(3), ValueError, "reshape"),
    (lambda x: x[5], IndexError, "out of bounds"),
    (lambda x: x + "a", TypeError, "data must be numbers"),
    (lambda x: F.softmax(x), ValueError, "dim must be 0 or -1, the last dimension of its input, got 1"),
    (lambda x: F.softmax(x.reshape(1, 2), dim=0), ValueError, "dim must be 1 or -1, the last dimension of its input, got 0"),
    (lambda x: F.log_softmax(x.sum(), dim=-1), ValueError, "dim must be that of an input which has one, got -1"),
    (lambda x: x.T, ValueError, r"T needs a matrix, got shape \(2,\)"),
    (lambda x: x.sum(axis=1), ValueError, "axis 1 is out of bounds"),
    (lambda x: x.sum(dtype=np.float64), TypeError, "sum of a tensor takes neither dtype nor out"),
    (lambda x: x.zero_(), RuntimeError, r"use it under no_grad\(\)"),
    (lambda x: (x * 2).requires_grad_(False), RuntimeError, r"use detach\(\)"),
    (lambda x: f"{x:.2f}", ValueError, "size 1"),
    (lambda x: F.cat([x, x]), ValueError, r"concatenate needs inputs of shape \(N, width\) with one N, got \(2,\), \(2,\)"),
    (lambda x: F.leaky_relu(x, -1), ValueError, "negative_slope must be a finite number >= 0, got -1"),
    (lambda x: F.dropout(x, 1.5), ValueError, r"p must lie in 0..1, got 1.5"),
    (lambda x: nn.Linear(3, 2)(x), ValueError, r"input must have shape \(..., in_features\) = \(..., 3\), got \(2,\)"),
    (lambda x: nn.Linear(3, 2)(np.ones((4, 2))), ValueError, r"input must have shape \(N, in_features\) = \(N, 3\), got \(4, 2\)"),
    (lambda x: nn.Linear(2, 2, dtype="float64")(x), TypeError, "input must be float64 like the parameters, got float32"),
    (lambda x: nn.Linear(0, 2), ValueError, "in_features must be an int >= 1, got 0"),
])
def test_errors_say_what_was_expected(act, error, says):
    with pytest.raises(error, match=says):
        act(nn.Tensor([1.0, 2.0], requires_grad=True))


def test_no_grad_and_detach():
    x = nn.Tensor([1.0], requires_grad=True)
    with vv.no_grad():
        assert not (x * 2).requires_grad
        with vv.no_grad():
            pass
        assert not (x * 2).requires_grad
        seen = []
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
        assert seen == [True]  # the mode is that of one thread
    assert (x * 2).requires_grad

    @vv.no_grad()
    def quiet():
        return x * 2
    assert not quiet().requires_grad
    with pytest.raises(ZeroDivisionError), vv.no_grad():
        raise ZeroDivisionError
    assert (x * 2).requires_grad
    y = (x * 2).detach()
    assert not y.requires_grad and np.shares_memory(y.numpy(), y.detach().numpy())
    (x * y).sum().backward()
    assert x.grad.item() == 2.0


def test_inputs_of_three_dimensions():
    layer, x = nn.Linear(3, 2, dtype="float64"), np.random.default_rng(0).normal(size=(4, 5, 3))
    y = layer(x)
    assert y.shape == (4, 5, 2)
    np.testing.assert_allclose(y.numpy(), x @ layer.weight.numpy().T + layer.bias.numpy(), rtol=1e-13)
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.tile(x.sum(axis=(0, 1)), (2, 1)), rtol=1e-12)
    assert layer.bias.grad.numpy().tolist() == [20, 20]


class MyNet(nn.Module):
    """The program of the documentation, as a PyTorch user types it."""

    def __init__(self, input_size, hidden_size, output_size):
        super(MyNet, self).__init__()  # noqa: UP008
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.fc2 = nn.Linear(hidden_size, output_size)
        self.activation = nn.ReLU()

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


def test_a_loop_in_the_style_of_pytorch():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(40, 10)), rng.normal(size=(40, 3))
    vv.manual_seed(0)
    model = MyNet(10, 20, 3)
    criterion, optimizer, losses = nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), []
    for epoch in range(20):
        for xb, yb in vv.batches(inputs, targets, batch_size=16, shuffle=True, seed=0, epoch=epoch):
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0] and isinstance(losses[0], float)
    assert np.all(np.isfinite(losses))


# --- what PyTorch's users write
def test_comparisons_are_arrays_of_bools():
    x = nn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    for compared, expected in ((x > 1, [False, True, True]), (x >= 2, [False, True, True]), (2 > x, [True, False, False]),
                               (x <= np.array([0, 2, 4]), [False, True, True]), (x == 2, [False, True, False]),
                               (x != nn.Tensor([1.0, 0, 3]), [False, True, False])):
        assert type(compared) is np.ndarray and compared.dtype == bool and compared.tolist() == expected
    assert x.sum() == 6 and max(x.sum(), 7) == 7
    assert (x == None) is False and x != "text"  # noqa: E711
    assert {x: 1}[x] == 1 and x in {x} and nn.Tensor([1.0, 2.0, 3.0]) not in {x}
    assert (nn.Parameter([0.0, 1.0]) == 0).tolist() == [True, False]


def test_numbers_are_formatted_and_taken():
    x = nn.Tensor([[2.5]], requires_grad=True)
    assert f"{x:.3f} {x.sum():6.1f}" == "2.500    2.5" and f"{x}" == str(x)
    assert int(x) == 2 and float(x) == 2.5 and x.tolist() == [[2.5]] and (x.numel(), x.dim()) == (1, 2)


SUMS = {"axis 0": (lambda t: t.sum(axis=0), lambda t: t.sum(0)), "dim 1": (lambda t: t.sum(dim=1), lambda t: t.sum(1)),
        "keepdim": (lambda t: t.mean(dim=-1, keepdim=True), lambda t: t.mean(-1, keepdims=True)),
        "place": (lambda t: t.mean(0), lambda t: t.mean(0)), "all": (lambda t: t.sum(keepdims=True), lambda t: t.sum(keepdims=True)),
        "two": (lambda t: t.sum((0, 1)), lambda t: t.sum((0, 1))), "numpy": (np.sum, np.sum), "numpy mean": (np.mean, np.mean),
        "numpy axis": (lambda t: np.mean(t, axis=1), lambda t: np.mean(t, axis=1)), "T": (lambda t: t.T, lambda t: t.T),
        "flatten": (lambda t: t.flatten(), lambda t: t.flatten()), "view": (lambda t: t.view(-1, 2), lambda t: t.reshape(-1, 2)),
        "list": (lambda t: t.reshape([2, -1]), lambda t: t.reshape(2, -1)), "clone": (lambda t: t.clone(), lambda t: t.copy())}


@pytest.mark.parametrize("name", SUMS)
def test_reductions_and_shapes_equal_numpy(name):
    ours, numpys = SUMS[name]
    a = np.random.default_rng(0).standard_normal((4, 6))
    x = nn.Tensor(a, requires_grad=True)
    y = ours(x)
    assert y.requires_grad and y.shape == numpys(a).shape
    np.testing.assert_allclose(y.numpy(), numpys(a), rtol=1e-15, atol=1e-15)
    y.sum().backward()
    assert np.isclose((x.grad.numpy() * a).sum(), numpys(a).sum(), rtol=1e-12)  # linear in a
    assert x.argmax(dim=1).tolist() == a.argmax(axis=1).tolist()


def test_an_empty_mean_along_an_axis():
    assert nn.Tensor(np.zeros((0, 3))).mean(axis=1).shape == (0,) and nn.Tensor(np.zeros((0, 3))).sum(axis=0).tolist() == [0, 0, 0]


def test_clones_share_nothing():
    x = nn.Tensor([1.0, 2.0])
    x.clone().zero_()
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (2, 0, 4), (2, 3, 2, 6)])
def test_softmax_along_the_last_dimension_of_anything(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    for function, whole in ((F.softmax, special.softmax), (F.log_softmax, special.log_softmax)):
        x = nn.Tensor(a, requires_grad=True)
        for dim in (-1, len(shape) - 1):
            np.testing.assert_allclose(function(x, dim=dim).numpy(), whole(a, axis=-1), rtol=1e-14, atol=1e-14)
        function(x, dim=-1)[..., 0].sum().backward()
        flat = nn.Tensor(a.reshape(-1, shape[-1]), requires_grad=True)
        function(flat)[:, 0].sum().backward()
        np.testing.assert_array_equal(x.grad.numpy().reshape(flat.shape), flat.grad.numpy())


def test_a_manual_update_in_place():
    """The loop of PyTorch's tutorials: w -= lr * w.grad under no_grad(), then w.grad.zero_()."""
    model = nn.Linear(3, 2)
    x, before = np.ones((4, 3), np.float32), model.weight.numpy().copy()
    model(x).sum().backward()
    gradient = model.weight.grad.numpy().copy()
    with vv.no_grad():
        for p in model.parameters():
            p -= 0.5 * p.grad
            p.grad.zero_()
        model.bias += 1
        model.bias *= 2
        model.bias /= 4
    np.testing.assert_allclose(model.weight.numpy(), before - 0.5 * gradient, rtol=1e-6)
    assert isinstance(model.weight, nn.Parameter) and (model.weight.grad == 0).all()
    model(x).sum().backward()
    np.testing.assert_array_equal(model.weight.grad.numpy(), gradient)
    with pytest.raises(RuntimeError, match=r"changed in place under no_grad\(\) only"):
        model.weight -= 1
    with vv.no_grad(), pytest.raises(ValueError, match=r"shape \(2,\)"):
        model.bias += np.ones((3, 2))
    with vv.no_grad():
        assert model.weight.zero_().numel() == 6 and not model.weight.numpy().any()
        assert (model.bias.fill_(3) == 3).all()


def test_a_plan_sees_updates_in_place():
    X, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model = nn.Sequential(nn.Linear(3, 2))
    trainer = vv.Trainer(model, nn.MSELoss(), vv.optim.SGD(model.parameters(), lr=0.0))
    trainer.fit(X, y, epochs=1, verbose=0)
    trainer.predict(X)
    with vv.no_grad():
        model[0].weight *= 0
        model[0].bias.fill_(7)
    assert (trainer.predict(X) == 7).all()
