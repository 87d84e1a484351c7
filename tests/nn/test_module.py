"""Module and Parameter: names and layouts as PyTorch's, one flat store behind them, and what a plan notices of a write."""
import copy
import pickle

import numpy as np
import pytest
import vivace.nn.functional as F
from vivace.nn.store import Store

import vivace as vv
from vivace import nn, optim


class Tied(nn.Module):
    """The twin of Tied in tests/data/make_nn_traces.py."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.blocks = nn.ModuleList([nn.Linear(3, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 5))])

    def forward(self, x):
        return self.blocks[1](self.blocks[0](self.second(self.first(x))))


def sequential():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(), nn.Linear(6, 3, bias=False))


MODELS = {"sequential": sequential, "tied": Tied}


@pytest.mark.parametrize("name", MODELS)
def test_names_and_layouts_are_pytorchs(torch_traces, name):
    model, expected = MODELS[name](), torch_traces["names"][name]
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == expected["state"]
    assert [[key, list(p.shape)] for key, p in model.named_parameters()] == expected["parameters"]
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]


# --- state_dict

def test_a_state_dict_is_a_copy_and_comes_back():
    vv.manual_seed(0)
    model, other = Tied(), Tied()
    state = model.state_dict()
    state["scale"][...] = 7
    assert model.scale.numpy().tolist() == [1, 1, 1]
    other.load_state_dict(state)
    assert all(np.array_equal(value, state[key]) for key, value in other.state_dict().items())


def test_loading_converts_to_the_parameters_dtype():
    model, double = sequential(), sequential().double()
    model.load_state_dict(double.state_dict())
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert np.array_equal(model[0].weight.numpy(), double[0].weight.numpy().astype(np.float32))
    model.load_state_dict({key: value.tolist() for key, value in double.state_dict().items()})
    model.load_state_dict(dict(sequential().named_parameters()))


@pytest.mark.parametrize("change, error, says", [
    (lambda s: s.pop("3.weight"), KeyError, r"missing \['3.weight'\], unexpected \[\]"),
    (lambda s: s.update(extra=np.ones(2)), KeyError, r"missing \[\], unexpected \['extra'\]"),
    (lambda s: s.update({"0.weight": np.ones((6, 5))}), ValueError, r"0.weight must have shape \(6, 4\), got \(6, 5\)"),
    (lambda s: s.update({"3.weight": np.full((3, 6), "a")}), TypeError, "numbers"),
])
def test_a_state_that_does_not_fit_changes_nothing(change, error, says):
    model, state = sequential(), sequential().state_dict()
    before = model.state_dict()
    change(state)
    with pytest.raises(error, match=says):
        model.load_state_dict(state)
    if error is not TypeError:
        assert all(np.array_equal(value, before[key]) for key, value in model.state_dict().items())


def test_not_strict_takes_what_fits():
    model = sequential()
    kept = model[3].weight.numpy().copy()
    model.load_state_dict({"0.bias": np.arange(6), "other": np.ones(1)}, strict=False)
    assert model[0].bias.numpy().tolist() == [0, 1, 2, 3, 4, 5] and np.array_equal(model[3].weight.numpy(), kept)


# --- modes, types, freezing

def test_train_and_eval_reach_all_modules():
    model = Tied()
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert model.train() is model and all(m.training for m in model.modules())


def test_double_and_float():
    model = Tied()
    weight, value = model.first.weight, model.first.weight.numpy().copy()
    assert model.double() is model and {p.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert model.first.weight is weight is model.second.weight and np.array_equal(weight.numpy(), value)
    assert model(np.ones((2, 3), np.float32)).dtype == np.float64
    assert model.float()(np.ones((2, 3))).dtype == np.float32
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model.double()
    F.mse_loss(model(np.ones((2, 3))), np.ones((2, 5))).backward()
    before = weight.numpy().copy()
    optimizer.step()
    assert not np.array_equal(weight.numpy(), before)
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        model.to("int32")


def test_requires_grad():
    model = sequential()
    assert model.requires_grad_(False) is model and not any(p.requires_grad for p in model.parameters())
    assert not model(np.ones((1, 4))).requires_grad
    model[3].requires_grad_()
    model(np.ones((1, 4))).sum().backward()
    assert model[0].weight.grad is None and model[3].weight.grad.shape == (3, 6)
    model.zero_grad()
    assert model[3].weight.grad is None


# --- attributes

def test_parameters_follow_their_attributes():
    layer = nn.Linear(3, 2)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"] and layer.bias is None
    assert layer(np.ones((1, 3))).shape == (1, 2)
    layer.bias = nn.Parameter(np.ones(2))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    with pytest.raises(TypeError, match="weight must be a Parameter, a Buffer, a Module or None, got ndarray"):
        layer.weight = np.ones((2, 3))
    del layer.bias
    assert not hasattr(layer, "bias") and len(list(layer.parameters())) == 1
    model = Tied()
    model.blocks = nn.ReLU()
    assert not any(name.startswith("blocks") for name in model.state_dict())
    model.note = "not a module"
    model.note = [nn.Linear(2, 2)]
    assert len(list(model.children())) == 3


def test_super_init_is_asked_for():
    class Forgets(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(2, 2)
    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) before fc is set"):
        Forgets()


def test_containers():
    model = sequential()
    assert len(model) == 4 and isinstance(model[-1], nn.Linear) and [type(m).__name__ for m in model[:2]] == ["Linear", "Tanh"]
    assert model.append(nn.Sigmoid()) is model and isinstance(model[4], nn.Sigmoid)
    blocks = nn.ModuleList([nn.Linear(2, 2)])
    blocks.append(nn.ReLU())
    assert len(blocks) == 2 and [type(m) for m in blocks] == [nn.Linear, nn.ReLU] and blocks[-1] is list(blocks)[1]
    assert list(blocks.state_dict()) == ["0.weight", "0.bias"]
    with pytest.raises(TypeError, match="Sequential takes modules, got function at place 1"):
        nn.Sequential(nn.ReLU(), F.relu)
    with pytest.raises(TypeError, match="ModuleList must define forward"):
        blocks(np.ones((1, 2)))


def test_copies_keep_ties_and_values():
    model = Tied()
    optim.Adam(model.parameters())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.second.weight is other.first.weight is not model.first.weight
        assert all(np.array_equal(value, model.state_dict()[key]) for key, value in other.state_dict().items())
        other.scale.copy_([5, 5, 5])
        assert model.scale.numpy().tolist() == [1, 1, 1]


# --- what people see

def test_repr():
    assert repr(sequential()) == ("Sequential(\n  (0): Linear(in_features=4, out_features=6, bias=True)\n  (1): Tanh()\n"
                                  "  (2): Dropout(p=0.5)\n  (3): Linear(in_features=6, out_features=3, bias=False)\n)")
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)" and repr(nn.ELU()) == "ELU(alpha=1.0)"
    assert "(1): Sequential(\n      (0): ReLU()" in repr(Tied())
    assert repr(nn.Parameter([1.0])).startswith("Parameter containing:\ntensor([1.]")


def test_summary_counts_shared_parameters_once():
    lines = Tied().summary().splitlines()
    assert lines[0].split() == ["layer", "type", "parameters", "count"] and lines[-1] == "38 parameters"
    assert any(line.split()[:2] == ["blocks.1.1", "Linear"] and line.endswith(" 15") for line in lines)
    html = sequential()._repr_html_()
    assert html.startswith("<table>") and html.endswith("</table>") and "<td>weight (6, 4), bias (6,)</td><td>30</td>" in html
    assert "<td>48</td>" in html


# --- storage

def test_parameters_move_into_one_store_and_stay_themselves():
    model = Tied()
    before = [(p, p.numpy().copy()) for p in model.parameters()]
    first = optim.Adam([model.blocks[0].weight, model.first.weight])
    model.blocks[0].weight.grad = np.ones((2, 3))
    first.step()
    moments = first.state_dict()
    trainer = vv.Trainer(model, nn.MSELoss(), first, seed=0)
    store = trainer.store
    assert [p for p in model.parameters()] == [p for p, _ in before]
    assert all(p._store is store and np.shares_memory(p.numpy(), store.vectors["data"]) for p, _ in before)
    assert all(p.numpy().ctypes.data % 64 == 0 for p, _ in before)
    changed = model.blocks[0].weight
    assert all(np.array_equal(p.numpy(), value) for p, value in before if p is not changed)
    assert changed.grad.numpy().tolist() == np.ones((2, 3)).tolist()  # gradient and optimizer state came along
    after = first.state_dict()
    assert np.array_equal(after["state"][0]["exp_avg"], moments["state"][0]["exp_avg"]) and after["state"][0]["exp_avg"].any()
    assert trainer.store is store


def test_tied_weights_have_one_slot():
    model = Tied()
    store = Store.of(model.parameters())
    assert len(store.params) == 7 and store.size == 16 * 7
    model.second.weight.copy_(np.eye(3))
    assert model.first.weight.numpy().tolist() == np.eye(3).tolist()
    twice = nn.Tensor(np.array([[1.0, 2.0, 3.0]], np.float32))
    F.sum(F.linear(F.linear(twice, model.first.weight), model.second.weight)).backward()
    assert model.first.weight.grad is not None and np.array_equal(model.first.weight.grad.numpy(), np.tile([2.0, 4.0, 6.0], (3, 1)))


def test_numpy_is_read_only_and_copy_checks():
    p = nn.Parameter(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="read-only"):
        p.numpy()[0, 0] = 1
    assert p.copy_(np.arange(6).reshape(2, 3)) is p and p.numpy()[1, 2] == 5
    for write in (p.copy_, lambda v: setattr(p, "data", v)):
        with pytest.raises(ValueError, match=r"value must have shape \(2, 3\), got \(3,\)"):
            write(np.ones(3))
    with pytest.raises(ValueError, match=r"grad must have shape \(2, 3\), got \(2,\)"):
        p.grad = np.ones(2)
    assert nn.Parameter([1, 2], dtype="float64").dtype == np.float64 and nn.Parameter([1, 2]).dtype == np.float32


def trained():
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 3))
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
    X = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    trainer.fit(X, X[:, :3], epochs=1, verbose=0)
    trainer.predict(X)
    return model, trainer, X


def by_hand(model, X):
    with vv.no_grad():
        return model(X).numpy()


WRITES = {
    "copy_": lambda m, value: m[0].weight.copy_(value),
    "load_state_dict": lambda m, value: m.load_state_dict({**m.state_dict(), "0.weight": value}),
    "init": lambda m, value: nn.init.constant_(m[0].weight, 0.25),
    "data =": lambda m, value: setattr(m[0].weight, "data", value),
    "data[...] =": lambda m, value: m[0].weight.data.__setitem__(Ellipsis, value),
    "optimizer": lambda m, value: (setattr(m[0].weight, "grad", value), optim.SGD(m.parameters(), lr=1.0).step()),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_plan_sees_writes_from_python(write):
    """The packed forms of the weights are caches: predict, fit and make_step repack after any write."""
    value = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    results = []
    for act in ("predict", "fit", "step"):
        model, trainer, X = trained()
        before = by_hand(model, X)
        WRITES[write](model, value)
        expected = by_hand(model, X)
        assert not np.array_equal(before, expected)
        if act == "predict":
            assert np.array_equal(trainer.predict(X), expected)
            continue
        loss = float(np.mean((expected - X[:, :3]) ** 2))  # of one batch of all rows, before its update
        if act == "fit":
            results.append(trainer.fit(X, X[:, :3], epochs=1, batch_size=30, verbose=0)["loss"][-1])
        else:
            results.append(trainer.make_step(batch_size=30)(X, X[:, :3]))
        assert np.isclose(results[-1], loss, rtol=1e-5)


def test_versions_and_escaped_views():
    model, trainer, X = trained()
    store = trainer.store
    version = store.version
    model[0].weight.copy_(np.ones((20, 5)))
    assert store.version == version + 1 and not store.escaped
    trainer.predict(X)
    assert store.packed_version == store.version
    view = model[0].weight.data
    assert store.escaped and view.flags.writeable
    for value in (2.0, 3.0):  # nobody tells the store, so every entry repacks
        view[...] = value
        assert np.array_equal(trainer.predict(X), by_hand(model, X))


def test_predict_after_an_eager_step():
    model, trainer, X = trained()
    for _ in range(2):
        trainer.optimizer.zero_grad()
        F.mse_loss(model(X), X[:, :3]).backward()
        trainer.optimizer.step()
        assert np.array_equal(trainer.predict(X), by_hand(model, X))


# --- what PyTorch's users write
def test_what_load_state_dict_tells():
    model = sequential()
    told = model.load_state_dict({"0.bias": np.zeros(6), "other": np.ones(1)}, strict=False)
    assert "0.weight" in told.missing_keys and told.unexpected_keys == ["other"]
    assert model.load_state_dict(model.state_dict()) == ([], [])


@pytest.mark.parametrize("wrong", [np.array(["a"] * 6), np.zeros(6, complex), np.zeros(6, object)], ids=["text", "complex", "object"])
def test_nothing_is_written_where_one_array_is_wrong(wrong):
    model = sequential()
    before = model.state_dict()
    with pytest.raises(TypeError, match="0.bias must be numbers, got dtype"):
        model.load_state_dict({**{name: value * 0 for name, value in before.items()}, "0.bias": wrong})
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    for state in (None, [1, 2]):
        with pytest.raises(TypeError, match="state must be a dict of arrays by name, got"):
            model.load_state_dict(state)


def test_functions_are_applied_from_the_leaves_to_the_root():
    seen = []
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))

    def start(module):
        seen.append(type(module).__name__)
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 2.0)
    assert model.apply(start) is model
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Sequential"]
    assert (model[0].weight == 2).all() and (model[1][1].weight == 2).all()


def test_names_made_at_run_time():
    model = nn.Module()
    model.add_module("first", nn.Linear(2, 2))
    model.register_parameter("scale", nn.Parameter(np.ones(2, np.float32)))
    model.register_parameter("none", None)
    assert [name for name, _ in model.named_parameters()] == ["scale", "first.weight", "first.bias"] and model.none is None
    assert [name for name, _ in model.named_children()] == ["first"]
    for name in ("a.b", "", "forward", 3):
        with pytest.raises(ValueError, match="name must be a text without a point"):
            model.add_module(name, nn.ReLU())


def test_a_layer_is_exchanged():
    """As for another number of classes; the plan follows."""
    X, y = np.ones((8, 3), np.float32), np.zeros(8, np.int64)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(X, y, epochs=1, verbose=0)
    model[-1] = nn.Linear(4, 5)
    assert trainer.predict(X).shape == (8, 5) and model.state_dict()["2.weight"].shape == (5, 4)
    named = nn.Sequential({"a": nn.Linear(3, 4), "b": nn.Tanh()})
    named[0] = nn.Linear(3, 2)
    assert named.a is named[0] and named(X).shape == (8, 2)
    for bad in (lambda: model.__setitem__(0, 3), lambda: nn.ModuleList().append(3), lambda: nn.Sequential({"a": 3})):
        with pytest.raises(TypeError, match="takes modules, got int"):
            bad()


def test_a_sequential_with_names(tmp_path):
    """PyTorch's OrderedDict: the names stand in state_dict, and a saved run predicts the same bits."""
    vv.manual_seed(0)
    model = nn.Sequential({"hidden": nn.Linear(3, 4), "act": nn.ReLU(), "out": nn.Linear(4, 2)})
    assert list(model.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"] and model.out is model[2]
    X, y = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32), np.arange(8) % 2
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0)
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.save(tmp_path / "m.vivace")
    assert vv.load(tmp_path / "m.vivace").predict(X).tobytes() == trainer.predict(X).tobytes()
    with pytest.raises(ValueError, match="has no method of, got 'forward'"):
        nn.Sequential({"forward": nn.ReLU()})


def test_inplace_is_accepted_and_changes_nothing():
    x = np.array([[-2.0, 0.5, 7.0]], np.float32)
    for make in (nn.ReLU, nn.ReLU6, nn.SiLU, nn.SELU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.LeakyReLU, nn.ELU, nn.CELU, nn.Hardtanh,
                 lambda **o: nn.Threshold(0.1, 20.0, **o), lambda **o: nn.RReLU(**o).eval(), lambda **o: nn.Dropout(0.5, **o).eval()):
        layer, before = make(inplace=True), x.copy()
        assert (layer(x) == make()(x)).all() and (x == before).all() and "inplace" not in repr(layer)
    for function in (F.relu, F.leaky_relu, F.elu, F.silu, lambda v, inplace: F.dropout(v, 0.5, False, inplace)):
        assert function(x, inplace=True).shape == x.shape


def test_a_parameter_of_another_type_is_named_and_converted():
    """np.ones gives float64: the error says how to go on, and what it says helps."""
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.scale = nn.Linear(3, 2), nn.Parameter(np.full(2, 3.0))

        def forward(self, x):
            return self.fc(x) * self.scale

    model = Scaled()
    with pytest.raises(ValueError, match=r"one dtype, got float32 and float64: .* model.float\(\)"):
        optim.SGD(model.parameters(), lr=0.1)
    model.fc(np.ones((1, 3))).sum().backward()
    gradient = model.fc.weight.grad.numpy().copy()
    assert {p.dtype for p in model.float().parameters()} == {np.dtype(np.float32)} and (model.scale == 3).all()
    np.testing.assert_array_equal(model.fc.weight.grad.numpy(), gradient)
    assert model.scale.grad is None and model(np.ones((4, 3))).shape == (4, 2)
    optim.SGD(model.parameters(), lr=0.1)
