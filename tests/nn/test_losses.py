"""Losses: values and gradients against PyTorch, links merged into kernels, and what they refuse."""
import warnings

import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

LOSSES = nn.losses.TABLE


def made(case):
    return LOSSES[case["loss"]](**case["options"])


def test_values_and_gradients_equal_torch(torch_traces):
    cases = torch_traces["losses"]
    assert {case["loss"] for case in cases} == {"MSELoss", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss"}
    for case in cases:
        x, what = nn.Tensor(np.array(case["input"]), requires_grad=True), f"{case['loss']} {case['options']}"
        value = made(case)(x, np.array(case["target"]))
        assert value.shape == () and value.dtype == np.float64
        np.testing.assert_allclose(value.item(), case["value"], rtol=1e-10, err_msg=what)
        value.backward()
        np.testing.assert_allclose(x.grad.numpy(), case["grad"], rtol=1e-10, atol=1e-15, err_msg=what)


def test_row_weights_equal_repeated_rows(torch_traces):
    """mean = sum of w l / sum of w: weights 1, 2, 3 count a row once, twice, three times."""
    for case in torch_traces["losses"]:
        x, t, counts = np.array(case["input"]), np.array(case["target"]), np.array([1, 2, 3, 1, 0, 2])
        weighted = made(case)(x, t, counts.astype(float)).item()
        repeated = made(case)(np.repeat(x, counts, axis=0), np.repeat(t, counts, axis=0)).item()
        assert np.isclose(weighted, repeated, rtol=1e-12), case["options"]


def test_no_weight_at_all_gives_zero():
    x = nn.Tensor(np.ones((3, 2)), requires_grad=True)
    loss = nn.MSELoss()(x, np.zeros((3, 2)), np.zeros(3))
    loss.backward()
    assert loss.item() == 0 and not x.grad.numpy().any()


def test_functions_equal_modules():
    rng = np.random.default_rng(0)
    z, labels, share, w = rng.normal(size=(5, 3)), rng.integers(0, 3, 5), rng.uniform(0, 1, (5, 3)), rng.uniform(1, 2, 5)
    p = F.softmax(nn.Tensor(z)).numpy()
    for a, b in [
            (F.mse_loss(z, share, "sum", w), nn.MSELoss("sum")(z, share, w)),
            (F.cross_entropy(z, labels, [1, 2, 3], reduction="sum"), nn.CrossEntropyLoss(weight=[1, 2, 3], reduction="sum")(z, labels)),
            (F.cross_entropy(z, labels, label_smoothing=0.2, sample_weight=w), nn.CrossEntropyLoss(label_smoothing=0.2)(z, labels, w)),
            (F.cross_entropy(z, labels, weight=[1, 2, 3], sample_weight=w), nn.CrossEntropyLoss(weight=[1, 2, 3])(z, labels, w)),
            (F.multi_margin_loss(z, labels, weight=[1, 2, 3]), nn.MultiMarginLoss(weight=[1, 2, 3])(z, labels)),
            (F.cross_entropy(p, labels, from_logits=False), nn.CrossEntropyLoss(from_logits=False)(p, labels)),
            (F.binary_cross_entropy(p, share), nn.BCELoss()(p, share)),
            (F.binary_cross_entropy_with_logits(z, share, sample_weight=w), nn.BCEWithLogitsLoss()(z, share, w))]:
        assert a.item() == b.item()
    assert np.isclose(F.cross_entropy(z, labels).item(), F.cross_entropy(p, labels, from_logits=False).item(), rtol=1e-12)


def test_weight_of_a_function_is_pytorchs():
    """Class weights also where there are as many rows as classes: sum of weight[t] l / sum of weight[t]."""
    z, t, weight = np.array([[1.0, 0, 2], [0, 3, 1], [2, 2, 0]]), np.array([2, 0, 0]), np.array([1.0, 5, 3])
    rows = np.log(np.exp(z).sum(axis=1)) - z[np.arange(3), t]
    assert F.cross_entropy(z, t, weight=weight).item() == pytest.approx((weight[t] * rows).sum() / weight[t].sum(), rel=1e-12)
    assert F.cross_entropy(z, t, sample_weight=weight).item() == pytest.approx((weight * rows).sum() / weight.sum(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_class_weights_with_smoothing_in_a_plan(dtype):
    """Bitwise the loop by hand; accuracy and history are those of labels; another weight is another plan."""
    rng = np.random.default_rng(0)
    X, t, w = rng.normal(size=(50, 4)).astype(dtype), rng.integers(0, 3, 50), rng.uniform(0.5, 2, 50)
    weights = []
    for classes in ([1.0, 3.0, 0.5], [1.0, 0.0, 0.5]):
        loss = nn.CrossEntropyLoss(weight=classes, label_smoothing=0.1)
        by_hand, planned = pair(nn.Softmax())[0].to(dtype), pair(nn.Softmax())[0].to(dtype)
        optimizer, total, share = optim.SGD(by_hand.parameters(), lr=0.5), 0.0, np.asarray(classes)[t] * w
        for start in range(0, 50, 16):
            part = slice(start, start + 16)
            value = loss(by_hand(X[part]), t[part], w[part])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * share[part].sum()
        trainer = vv.Trainer(planned, loss, optim.SGD(planned.parameters(), lr=0.5), metrics=["accuracy"], num_threads=2)
        history = trainer.fit(X, t, epochs=1, batch_size=16, sample_weight=w, shuffle=False, verbose=0)
        weights.append(planned[0].weight.numpy().tobytes())
        assert weights[-1] == by_hand[0].weight.numpy().tobytes()
        assert np.isclose(history["loss"][0], total / share.sum(), rtol=1e-6)
        right = trainer.predict_classes(X) == t
        assert np.isclose(trainer.evaluate(X, t)["accuracy"], np.average(right, weights=np.asarray(classes)[t]))
    assert weights[0] != weights[1]


# --- links

def pair(last, hidden_last=None):
    """Two models with the same weights: raw outputs, and outputs behind a link."""
    models = []
    for tail in ([], [last]):
        vv.manual_seed(0)
        models.append(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), *tail))
    return models


LINKED = [(nn.Softmax, nn.CrossEntropyLoss(), nn.CrossEntropyLoss(from_logits=False), "class"),
          (nn.Softmax, nn.CrossEntropyLoss(), nn.CrossEntropyLoss(from_logits=False), "soft"),
          (nn.Sigmoid, nn.BCEWithLogitsLoss(), nn.BCELoss(), "share")]


def _targets(kind, rng):
    return rng.integers(0, 3, 20) if kind == "class" else rng.uniform(0, 1, (20, 3))


@pytest.mark.parametrize("link, on_logits, on_probabilities, kind", LINKED)
def test_a_final_link_is_merged(link, on_logits, on_probabilities, kind):
    """Bitwise the logits version, by hand and in a plan; extreme logits included."""
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(20, 4)).astype(np.float32), _targets(kind, rng)
    raw, linked = pair(link())
    a, b = on_logits(raw(X), t), on_probabilities(linked(X), t)
    a.backward()
    b.backward()
    assert a.item() == b.item() and np.array_equal(raw[0].weight.grad.numpy(), linked[0].weight.grad.numpy())
    raw, linked = pair(link())
    trainers = [vv.Trainer(m, loss, optim.SGD(m.parameters(), lr=0.1), seed=0)
                for m, loss in ((raw, on_logits), (linked, on_probabilities))]
    histories = [trainer.fit(X, t, epochs=3, batch_size=8, verbose=0)["loss"] for trainer in trainers]
    assert histories[0] == histories[1] and np.array_equal(raw[0].weight.numpy(), linked[0].weight.numpy())
    names = [call.name for call in trainers[1].plan.calls]
    assert not any(name.startswith(("softmax_f", "softmax_b", "sigmoid")) for name in names)
    assert np.array_equal(trainers[0].predict_proba(X), trainers[1].predict(X))
    for m in (raw, linked):
        m[2].bias.copy_([1e4, -1e4, 0])
    assert np.isfinite(on_probabilities(linked(X), t).item()) and on_logits(raw(X), t).item() == on_probabilities(linked(X), t).item()


@pytest.mark.parametrize("link, loss, says", [(nn.Softmax, nn.CrossEntropyLoss(), "output of softmax, which is then applied twice"),
                                              (nn.Sigmoid, nn.BCEWithLogitsLoss(), "output of sigmoid, which is then applied twice")])
def test_a_link_twice_warns(link, loss, says):
    X, t = np.ones((4, 4), np.float32), np.zeros((4, 3)) if link is nn.Sigmoid else np.zeros(4, int)
    raw, linked = pair(link())
    with pytest.warns(UserWarning, match=says) as caught:
        loss(linked(X), t)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=says):
        vv.Trainer(linked, loss, optim.SGD(linked.parameters()), seed=0).fit(X, t, epochs=1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(raw(X), t)
        loss(F.relu(linked(X)), t)


# --- targets and weights

def test_a_column_and_a_vector_are_the_same():
    z, t = np.random.default_rng(0).normal(size=(6, 1)), np.linspace(0, 1, 6)
    for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss()):
        values = {loss(a, b).item() for a in (z, z[:, 0]) for b in (t, t[:, None])}
        assert len(values) == 1
    assert np.isclose(nn.MSELoss()(z[:, 0], t).item(), ((z[:, 0] - t) ** 2).mean())
    labels = np.array([0, 1, 1])
    logits = np.eye(3)[:, :2]
    assert nn.CrossEntropyLoss()(logits, labels[:, None]).item() == nn.CrossEntropyLoss()(logits, labels.astype(float)).item()


Z, Z1 = np.zeros((4, 3)), np.zeros((4, 1))


@pytest.mark.parametrize("loss, z, t, w, error, says", [
    (nn.MSELoss(), Z, np.zeros(4), None, ValueError, r"target must have shape \(N, 3\) like the input, got \(4,\)"),
    (nn.MSELoss(), Z, np.zeros((4, 1)), None, ValueError, r"\(N, 3\) like the input, got \(4, 1\)"),
    (nn.MSELoss(), Z1, np.zeros((4, 3)), None, ValueError, r"\(N, 1\) like the input, got \(4, 3\)"),
    (nn.MSELoss(), Z1, np.zeros((1, 4)), None, ValueError, r"\(N, 1\) like the input, got \(1, 4\)"),
    (nn.MSELoss(), Z1, np.zeros(5), None, ValueError, "target must have N = 4 rows like the input, got 5"),
    (nn.MSELoss(), Z1, np.zeros(1), None, ValueError, "target must have N = 4 rows like the input, got 1"),
    (nn.MSELoss(), Z1, 0.0, None, ValueError, r"got \(\)"),
    (nn.MSELoss(), np.zeros((2, 2, 2)), Z, None, ValueError, r"input must have shape \(N, outputs\), got \(2, 2, 2\)"),
    (nn.MSELoss(), Z1, ["a"] * 4, None, TypeError, "target must be numbers.*encode text labels"),
    (nn.CrossEntropyLoss(), Z, [0, 1, 2, 3], None, ValueError, "target must hold classes 0..2, got 3"),
    (nn.CrossEntropyLoss(), Z, [0, 1, 2, -1], None, ValueError, "target must hold classes 0..2, got -1"),
    (nn.CrossEntropyLoss(), Z, [0, 1, 2, 0.5], None, ValueError, "target must hold classes 0..2, got 0.5"),
    (nn.CrossEntropyLoss(), Z, [0, 1, 2, np.nan], None, ValueError, "target must hold classes 0..2, got nan"),
    (nn.CrossEntropyLoss(), Z, [0, 1, 2], None, ValueError, "target must have N = 4 rows"),
    (nn.CrossEntropyLoss(), Z, np.zeros((4, 2)), None, ValueError, r"\(N,\) of classes or \(N, 3\) of probabilities, got \(4, 2\)"),
    (nn.CrossEntropyLoss(), Z, ["x", "y", "x", "y"], None, TypeError, "encode text labels"),
    (nn.CrossEntropyLoss(weight=[1, 2]), Z, [0, 1, 2, 0], None, ValueError, r"weight must have shape \(C,\) = \(3,\), got \(2,\)"),
    (nn.CrossEntropyLoss(weight=[1, 2, 3]), Z, np.ones((4, 3)), None, ValueError, "class weights need targets that are classes"),
    (nn.BCELoss(), Z1 + 0.5, [0, 1, 2, 0], None, ValueError, "target must lie in 0..1, got 2.0"),
    (nn.BCEWithLogitsLoss(), Z1, [0, 1, -1, 0], None, ValueError, "target must lie in 0..1, got -1.0"),
    (nn.MSELoss(), Z1, np.zeros(4), np.ones(3), ValueError, r"weight must have shape \(N,\) = \(4,\), got \(3,\)"),
    (nn.MSELoss(), Z1, np.zeros(4), np.ones((4, 1)), ValueError, r"weight must have shape \(N,\) = \(4,\), got \(4, 1\)"),
    (nn.MSELoss(), Z1, np.zeros(4), [1, 1, 1, -1], ValueError, "weight must be finite and not negative"),
    (nn.MSELoss(), Z1, np.zeros(4), [1, 1, 1, np.nan], ValueError, "weight must be finite and not negative"),
    (nn.MSELoss(), Z1, np.zeros(4), list("abcd"), TypeError, "weight must be numbers"),
])
def test_what_does_not_fit_is_refused(loss, z, t, w, error, says):
    with pytest.raises(error, match=says):
        loss(z, t, w)


@pytest.mark.parametrize("make, says", [
    (lambda: nn.MSELoss("none"), "reduction must be 'mean' or 'sum', got 'none'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), "label_smoothing must lie in 0..1, got 1.5"),
    (lambda: nn.CrossEntropyLoss(from_logits=False, label_smoothing=0.1), "label_smoothing needs from_logits=True"),
    (lambda: nn.CrossEntropyLoss(weight=[[1, 2]]), r"weight must be weights \(C,\), finite and not negative, got \[\[1, 2\]\]"),
    (lambda: nn.CrossEntropyLoss(weight=[1, np.nan]), "weight must be weights"),
    (lambda: nn.MSELoss()(np.ones((2, 1)), nn.Tensor([[1.0], [2.0]], requires_grad=True)), "target must not require a gradient"),
    (lambda: nn.CrossEntropyLoss(weight=[1, -2]), "weight must be weights"),
])
def test_bad_options(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_no_rows():
    none = np.zeros((0, 3))
    for loss, t in ((nn.MSELoss(), none), (nn.CrossEntropyLoss(), np.zeros(0, int)), (nn.BCEWithLogitsLoss(), none)):
        x = nn.Tensor(np.zeros((0, 3)), requires_grad=True)
        value = loss(x, t)
        value.backward()
        assert value.item() == 0 and x.grad.shape == (0, 3)


def test_config_makes_the_loss_again():
    for loss in (nn.CrossEntropyLoss(weight=[1, 2], reduction="sum"), nn.CrossEntropyLoss(weight=[1, 2], label_smoothing=0.1),
                 nn.CrossEntropyLoss(label_smoothing=0.1), nn.MSELoss("sum"), nn.BCELoss()):
        again = type(loss)(**loss.config())
        assert again.config() == loss.config()


@pytest.mark.parametrize("make, outputs, end", [(lambda: nn.CrossEntropyLoss(from_logits=False), 3, "Softmax"), (nn.BCELoss, 1, "Sigmoid")])
def test_losses_of_probabilities_take_nothing_else(make, outputs, end):
    """Eagerly and in a Trainer; a model that ends with what makes probabilities is let through."""
    rng = np.random.default_rng(0)
    X, z = rng.standard_normal((20, 6)), np.full((4, outputs), 1.5)
    y, few = (np.arange(20) % 3, np.arange(4) % 3) if outputs == 3 else ((np.arange(20) % 2)[:, None], np.ones((4, 1)))
    match = rf"{type(make()).__name__} must be probabilities, in 0..1, got .* end the model with {end}"
    with pytest.raises(ValueError, match=match):
        make()(z, few)
    bare = nn.Linear(6, outputs)
    with pytest.raises(ValueError, match=match):
        vv.Trainer(bare, make(), optim.SGD(bare.parameters(), lr=0.1)).fit(X, y, epochs=1, verbose=0)
    good = nn.Sequential(nn.Linear(6, outputs), getattr(nn, end)())
    vv.Trainer(good, make(), optim.SGD(good.parameters(), lr=0.1)).fit(X, y, epochs=1, verbose=0)
