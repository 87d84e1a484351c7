"""Tracing: what a plan cannot hold is refused by the user's line, nothing is baked in, and a described graph comes back."""
import json

import numpy as np
import pytest
import vivace.nn.functional as F
from vivace.nn.graph import TraceError, trace

import vivace as vv
from vivace import nn, optim


class Net(nn.Module):
    """Its forward is the function it is given."""

    def __init__(self, function):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def constant(self, x):
    return self.fc(x) + np.ones((1, 3))


REFUSED = {
    "numpy": (lambda self, x: self.fc(x.numpy()), r"numpy\(\) asks for the values"),
    "item": (lambda self, x: self.fc(x) * x.item(), r"item\(\) asks for the values"),
    "bool": (lambda self, x: self.fc(x) if x else x, r"bool\(\) asks for the values"),
    "float": (lambda self, x: self.fc(x) * float(x), r"float\(\) asks for the values"),
    "array": (lambda self, x: self.fc(np.asarray(x)), "__array__ asks for the values"),
    "a function of NumPy": (lambda self, x: self.fc(x) * np.tanh(x), "__array__ asks for the values"),
    "NumPy's own Python": (lambda self, x: self.fc(x) * np.linalg.norm(x), "__array__ asks for the values"),
    "data": (lambda self, x: self.fc(x.data), "data asks for the values"),
    "argmax": (lambda self, x: self.fc(x) * x.argmax(), r"argmax\(\) asks for the values"),
    "len": (lambda self, x: self.fc(x) * len(x), r"len\(\) asks for the values"),
    "equal": (lambda self, x: self.fc(x) if x == 0 else x, "== asks for the values"),
    "above": (lambda self, x: self.fc(x) * (x > 0), "> asks for the values"),
    "below": (lambda self, x: self.fc(x) * (0 > x), "< asks for the values"),
    "int": (lambda self, x: self.fc(x) * int(x), r"int\(\) asks for the values"),
    "format": (lambda self, x: self.fc(x) * float(f"{x:.1f}"), r"item\(\) asks for the values"),
    "mean": (lambda self, x: self.fc(x) - x.mean(axis=1, keepdims=True), "the operation sum_along cannot be part of a plan"),
    "size": (lambda self, x: self.fc(x) * x.size, "size asks for the values"),
    "mean over the batch": (lambda self, x: self.fc(x) * F.mean(x), "size asks for the values"),
    "backward": (lambda self, x: x.backward(), r"backward\(\) asks for the values"),
    "detach": (lambda self, x: self.fc(x.detach()), r"detach\(\) is used on a traced tensor"),
    "a constant": (constant, "takes a constant array; make it a Parameter"),
    "a constant first": (lambda self, x: np.ones(3) - self.fc(x), "takes a constant array"),
    "a parameter's values": (lambda self, x: F.linear(x, self.fc.weight * 2), "takes a constant array"),
    "1 / N": (lambda self, x: self.fc(x) * (1 / x.shape[0]), "the batch size N is used as a number"),
    "x / N": (lambda self, x: self.fc(x) / x.shape[0], "the batch size N is used as a number"),
    "N > 1": (lambda self, x: self.fc(x) if x.shape[0] > 1 else x, "the batch size N is used as a number"),
    "N == 1": (lambda self, x: self.fc(x) if x.shape[0] == 1 else x, "the batch size N is used as a number"),
    "N != 1": (lambda self, x: self.fc(x) if x.shape[0] != 1 else x, "the batch size N is used as a number"),
    "shape == (1, 3)": (lambda self, x: self.fc(x) if x.shape == (1, 3) else x, "the batch size N is used as a number"),
    "N % 2": (lambda self, x: self.fc(x) if x.shape[0] % 2 else x, "the batch size N is used as a number"),
    "range(N)": (lambda self, x: [self.fc(x) for _ in range(x.shape[0])][0], "the batch size N is used as a number"),
    "zeros of N": (lambda self, x: self.fc(x) + np.zeros((x.shape[0], 3)), "the batch size N is used as a number"),
    "reshape": (lambda self, x: self.fc(x.reshape(-1, 3)), "the operation reshape cannot be part of a plan"),
    "rows": (lambda self, x: self.fc(x[0]), "the operation index cannot be part of a plan"),
    "steps of columns": (lambda self, x: self.fc(x)[:, ::2], "the operation index cannot be part of a plan"),
    "iteration": (lambda self, x: [self.fc(row) for row in x], "the operation index cannot be part of a plan"),
    "sum": (lambda self, x: self.fc(x) * F.sum(x), "the operation sum cannot be part of a plan"),
    "matmul": (lambda self, x: x @ self.fc.weight, "the operation matmul cannot be part of a plan"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_depends_on_values_is_refused(what):
    function, says = REFUSED[what]
    model = Net(function)
    model.eval()
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()))
    with pytest.raises(TraceError, match=says) as caught:
        trainer.fit(np.ones((4, 3)), np.ones((4, 3)), verbose=0)
    line = function.__code__.co_firstlineno
    assert any(f"test_trace.py, line {n}:" in str(caught.value) for n in (line, line + 1)), caught.value
    assert "eager loop" in str(caught.value)
    assert not model.training  # a refused trace leaves the model as it was
    other = nn.Linear(3, 2)  # and the thread: the next forward is one of a root again
    assert other(np.ones((1, 3))).shape == (1, 2) and other.forwards == 1


def test_the_line_is_quoted():
    model = Net(constant)
    with pytest.raises(TraceError, match=r"return self.fc\(x\) \+ np.ones\(\(1, 3\)\)"):
        trace(model, [3], np.dtype("float32"), True)


def test_shapes_are_known_while_tracing():
    seen = []

    def forward(self, x):
        seen.append((x.shape[1], x.ndim, str(x.dtype), str(x.shape[0]), x.shape == self.fc(x).shape))
        return self.fc(x) * 2.0
    trace(Net(forward), [3], np.dtype("float32"), True)
    assert seen == [(3, 2, "float32", "N", True)]


@pytest.mark.parametrize("function, error, says", [
    (lambda self, x: self.fc(F.cat([x, x])), ValueError, r"in_features\) = \(N, 3\), got \(N, 6\)"),
    (lambda self, x: self.fc(x) + x[:, :2], ValueError, r"add: shapes must be equal, got \(N, 3\) and \(N, 2\)"),
    (lambda self, x: self.fc(x) + self.fc.bias, ValueError, r"add: shapes must be equal, got \(N, 3\) and \(3,\)"),
    (lambda self, x: [self.fc(x)], TypeError, "forward must return one tensor made of its inputs, got list"),
    (lambda self, x: np.ones(3), TypeError, "forward must return one tensor made of its inputs, got ndarray"),
])
def test_other_mistakes_have_their_own_words(function, error, says):
    with pytest.raises(error, match=says):
        trace(Net(function), [3], np.dtype("float32"), True)


def test_training_and_evaluation_are_two_traces():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    train, evaluation = (trace(model, [3], np.dtype("float32"), mode) for mode in (True, False))
    assert [n.op.name for n in train.nodes] == ["linear", "dropout", "linear"]
    assert [n.op.name for n in evaluation.nodes] == ["linear", "linear"]
    assert model.training and all(m.training for m in model.modules())

    branch = Net(lambda self, x: self.fc(x) if self.training else F.relu(self.fc(x)))
    assert [len(trace(branch, [3], np.dtype("float32"), mode).nodes) for mode in (True, False)] == [1, 2]


def test_modes_of_single_modules_come_back():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    model[1].eval()
    trace(model, [3], np.dtype("float32"), True)
    assert model.training and not model[1].training


def test_several_inputs_and_unused_ones():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 2)

        def forward(self, a, b, unused):
            return self.fc(F.cat([a, b]))
    model = Two()
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(20, w)).astype(np.float32) for w in (2, 3, 4)]
    history = trainer.fit(X, rng.normal(size=(20, 2)), epochs=5, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    with vv.no_grad():
        assert np.array_equal(trainer.predict(X), model(*X).numpy())


# --- graphs as data

class Everything(nn.Module):
    """Every operation a plan knows, dropout twice, one layer used twice."""

    def __init__(self):
        super().__init__()
        self.fc, self.out, self.drop = nn.Linear(3, 3), nn.Linear(5, 2, bias=False), nn.Dropout(0.4)

    def forward(self, x):
        h = self.drop(F.elu(self.fc(x), 0.7))
        h = self.drop(self.fc(h)) - 0.5 * x
        h = (h * x + 2.0) / (F.sigmoid(h) + 1.0) + F.softmax(x) ** 2
        return self.out(F.cat([h, F.gelu(h[:, 1:3])]))


def described(model, widths=(3,)):
    names = {id(p): name for name, p in model.named_parameters()}
    graphs = {mode: trace(model, widths, np.dtype("float32"), mode == "train").describe(names) for mode in ("train", "eval")}
    return json.loads(json.dumps(graphs)), dict(model.named_parameters())


def test_a_graph_survives_json():
    vv.manual_seed(0)
    model = Everything()
    graphs, parameters = described(model)
    layers = {op.name for op in vars(nn.layer_ops).values() if isinstance(op, type)}  # their graphs: test_layers_planned.py
    assert {n["op"] for n in graphs["train"]["nodes"]} == set(nn.ops.TABLE) - layers
    again = nn.GraphModule(graphs, {name: nn.Parameter(p.numpy()) for name, p in parameters.items()})
    assert list(again.state_dict()) == list(model.state_dict())
    X = np.random.default_rng(0).normal(size=(33, 3)).astype(np.float32)
    for mode in (True, False):
        vv.manual_seed(5)
        expected = model.train(mode)(X).numpy()
        vv.manual_seed(5)
        assert np.array_equal(again.train(mode)(X).numpy(), expected), mode  # dropout included
    trainers = [vv.Trainer(m, nn.MSELoss(), optim.Adam(m.parameters()), seed=1) for m in (model, again)]
    assert np.array_equal(*[t.predict(X) for t in trainers])
    t = np.random.default_rng(1).normal(size=(33, 2))
    for trainer in trainers:
        trainer.fit(X, t, epochs=3, batch_size=8, verbose=0)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(model.parameters(), again.parameters()))
    assert np.array_equal(*[t.predict(X) for t in trainers])
    assert repr(again) == f"GraphModule({len(graphs['eval']['nodes'])} operations, 3 parameters)"


def _change(path, value):
    def change(graphs):
        place = graphs["eval"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    return change


@pytest.mark.parametrize("change, says", [
    (_change(["nodes", 0, "op"], "os.system"), "unknown operation 'os.system'"),
    (_change(["nodes", 0, "op"], "reshape"), "unknown operation 'reshape'"),
    (_change(["nodes", 0, "inputs", 1], "fc.nothing"), "refers to 'fc.nothing', which nothing makes"),
    (_change(["nodes", 0, "inputs", 0], 99), "refers to 99, which nothing makes"),
    (_change(["output"], 99), "output 99 is made by nothing"),
])
def test_a_wrong_graph_is_refused(change, says):
    graphs, parameters = described(Everything())
    change(graphs)
    with pytest.raises(ValueError, match=says):
        nn.GraphModule(graphs, parameters)


def test_a_graph_module_counts_its_inputs():
    graphs, parameters = described(Everything())
    with pytest.raises(ValueError, match="this model takes 1 inputs, got 2"):
        nn.GraphModule(graphs, parameters)(np.ones((2, 3)), np.ones((2, 3)))
