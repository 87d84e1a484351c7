"""Levenberg-Marquardt in compiled records: no fallback, the bits of steps by hand, and the Jacobian of differences."""
import pathlib
import sys

import numpy as np
import processes
import pytest
import vivace.nn.functional as F
from levenberg_nets import INPUTS, NETS, OUTPUTS, ROWS, T, W, X, parts, trained
from vivace.kernels import record
from vivace.nn import tensor
from vivace.nn.jacobian import EagerJacobian
from vivace.nn.plan import Data

import vivace as vv
from vivace import jacobian, nn, optim, threads
from vivace.jacobian import Jacobian

PROGRAM = pathlib.Path(__file__).with_name("levenberg_nets.py")


def digests(name):
    return processes.digests(PROGRAM, name)


@pytest.mark.parametrize("name", processes.NAMES)
def test_steps_by_hand_equal_compiled_ones_for_any_threads(name):
    """Weights and losses of five steps: dense, residual with a tied layer, layer norm and PReLU, dropout; with and without row weights."""
    found = digests(name)
    assert len(found) == (16 if name in processes.LEVELS else 8)
    assert {key: len(set(values)) for key, values in found.items()} == dict.fromkeys(found, 1)
    assert len({values[0] for values in found.values()}) == len(found)  # the configurations do differ


@pytest.mark.parametrize("level", processes.LEVELS_BESIDE_V3)
def test_levels_agree(level):
    assert digests("v3") == digests(level)


def refuse(*_):
    raise AssertionError("a kernel was called from Python")


@pytest.mark.parametrize("name", NETS)
def test_nothing_is_eager_in_a_trainer(name, monkeypatch):
    """With the tape out of order a fit has the digest that it has with it; threads are those asked for."""
    expected, asked = trained(name, "float32", W, 1), []
    original = threads.team

    def team(n, flops, rows):
        asked.append(n)
        return original(n, flops, rows)
    apply = tensor.apply

    def only_traced(op, *inputs):
        return apply(op, *inputs) if any(t is not None and t.traced for t in inputs) else refuse()
    for module in [module for key, module in sys.modules.items() if key.startswith("vivace.")]:
        if getattr(module, "apply", None) is apply:
            monkeypatch.setattr(module, "apply", only_traced)
    monkeypatch.setattr(threads, "team", team)
    with pytest.raises(AssertionError, match="from Python"):
        parts(name, "float32")[0](X.astype("float32"))
    assert trained(name, "float32", W, 3) == expected
    assert set(asked) == ({1} if name == "dropping" else {1, 3})  # rows alone are one thread's


def functions(model, X):
    trainer = vv.Trainer(model, nn.MSELoss(), optim.LevenbergMarquardt(model.parameters()))
    return Jacobian(trainer, X), EagerJacobian(model, X, next(iter(model.parameters())).dtype)


def differences(model, params, h=1e-6):
    """The Jacobian (N O, P) at X by central differences."""
    columns = []
    for p in params:
        kept = p.numpy().copy()
        for index in np.ndindex(p.shape):
            ends = []
            for step in (h, -h):
                moved = kept.copy()
                moved[index] += step
                p.copy_(moved)
                ends.append(model(X).numpy().reshape(-1).copy())
            columns.append((ends[0] - ends[1]) / (2 * h))
        p.copy_(kept)
    return np.array(columns).T


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("room", [None, 1])
def test_the_jacobian_is_that_of_differences(room, backend, monkeypatch):
    """Each row in its place, in one chunk and in chunks of a row of X; a frozen layer and one that is not in the graph have no part."""
    if room is not None:
        monkeypatch.setattr(jacobian, "CHUNK_BYTES", room)
    vv.manual_seed(2)
    model = nn.Sequential(nn.Linear(INPUTS, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 5), nn.GELU(), nn.Linear(5, OUTPUTS)).double()
    model[3].requires_grad_(False)
    idle = nn.Linear(2, 1).double()
    params = [p for p in model.parameters() if p.requires_grad]
    expected = differences(model, params)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.LevenbergMarquardt(model.parameters()), backend=backend)
    for function in (Jacobian(trainer, X), EagerJacobian(model, X, np.dtype(np.float64))):
        found = function.jacobian([*params, idle.weight])
        np.testing.assert_allclose(found[:, :-2], expected, atol=1e-8)
        assert found.shape[1] == expected.shape[1] + 2 and not found[:, -2:].any()


class Backwards(nn.Module):
    """The parameter at the beginning of the flat vector is that of the last layer."""

    def __init__(self):
        super().__init__()
        self.out, self.middle, self.into = nn.Linear(90, OUTPUTS), nn.Linear(90, 90), nn.Linear(INPUTS, 90)

    def forward(self, x):
        return self.out(F.tanh(self.middle(F.tanh(self.into(x)))))


def test_a_row_is_laid_down_when_all_its_gradients_stand():
    vv.manual_seed(2)
    model = Backwards().double()
    compiled, by_hand = functions(model, X[:9])
    params = list(model.parameters())
    np.testing.assert_array_equal(compiled.jacobian(params), by_hand.jacobian(params))
    plan = compiled._plan("jacobian", 1, Data([X.dtype], True), params)
    last = plan.calls[-1]
    assert last.name == "identity_forward" and all(call.phase < last.phase for call in plan.calls[:-1])


def test_an_embedding_has_a_jacobian():
    """Column k of the table's part is the weight of the layer behind, where the row names k."""
    vv.manual_seed(2)
    model = nn.Sequential(nn.Embedding(6, 2), nn.Flatten(), nn.Linear(2, OUTPUTS)).double()
    index = np.array([[3.0], [0.0], [5.0]])
    expected = np.zeros((3, OUTPUTS, 6, 2))
    for n, k in enumerate((3, 0, 5)):
        expected[n, :, k] = model[2].weight.numpy()
    for function in functions(model, index):
        np.testing.assert_allclose(function.jacobian([model[0].weight]), expected.reshape(3 * OUTPUTS, -1), rtol=1e-12)


def test_a_step_keeps_its_masks():
    """Dropout: one mask for each row, in J and in outputs, other masks in other rows and in the next step."""
    model, _ = parts("dropping", "float64")
    trainer = vv.Trainer(model, nn.MSELoss(), optim.LevenbergMarquardt(model.parameters()), seed=3)
    ones = np.ones((ROWS, INPUTS))
    function = Jacobian(trainer, ones)
    y, J = function.outputs(), function.jacobian(list(model.parameters()))
    np.testing.assert_array_equal(y, function.outputs())
    last = model[4]
    hidden = J.reshape(ROWS, OUTPUTS, -1)[:, 0, -OUTPUTS - last.weight.size:-OUTPUTS][:, :8]
    np.testing.assert_allclose(hidden @ last.weight.numpy().T + last.bias.numpy(), y, rtol=1e-12)
    assert 0.1 < np.mean(hidden == 0) < 0.5 and len(np.unique(hidden == 0, axis=0)) > 20
    trainer.step += 1
    assert not np.array_equal(y, function.outputs())


def test_gradients_of_the_user_stay():
    model, _ = parts("dense", "float64")
    model(X).sum().backward()
    kept = [p.grad.numpy().copy() for p in model.parameters()]
    function, _ = functions(model, X)
    function.jacobian(list(model.parameters()))
    for p, gradient in zip(model.parameters(), kept):
        np.testing.assert_array_equal(p.grad.numpy(), gradient)


def test_the_stream_is_one_of_steps():
    assert record.STEP_STREAM <= record.JACOBIAN < record.SPACES


def test_what_it_refuses():
    sparse = pytest.importorskip("scipy.sparse")
    model = nn.Sequential(nn.Linear(INPUTS, 5), nn.BatchNorm1d(5), nn.Linear(5, OUTPUTS)).double()
    optimizer = optim.LevenbergMarquardt(model.parameters())
    with pytest.raises(ValueError, match="every row alone, and batch norm in training"):
        vv.Trainer(model, nn.MSELoss(), optimizer).fit(X, T, verbose=0)
    with pytest.raises(ValueError, match="every row alone: batch_norm needs more than 1 row"):
        optimizer.step(model, X, T)
    model.eval()
    first = optimizer.step(model, X, T)
    assert optimizer.step(model, X, T) < first
    model, optimizer = parts("dense", "float64")
    with pytest.raises(ValueError, match=r"X is sparse, which LevenbergMarquardt does not take; it needs X\.toarray\(\)"):
        vv.Trainer(model, nn.MSELoss(), optimizer).fit(sparse.csr_matrix(X), T, verbose=0)
    with pytest.raises(ValueError, match="X is sparse, which LevenbergMarquardt"):
        optimizer.step(model, sparse.csr_matrix(X), T)
