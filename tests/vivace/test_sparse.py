"""Sparse rows through Trainer: the weights of dense training bit for bit, and what is taken and refused."""
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import vivace as vv
from vivace import nn, optim

ROWS, FEATURES, CLASSES = 331, 700, 4


@pytest.fixture(scope="module")
def data():
    """A matrix with an empty row and an empty column, its labels and weights."""
    rng = np.random.default_rng(0)
    X = sp.random(ROWS, FEATURES, density=0.02, random_state=1, format="lil", data_rvs=rng.standard_normal)
    X[7], X[:, 300] = 0, 0
    return X.tocsr(), rng.integers(0, CLASSES, ROWS), rng.uniform(0.5, 2, ROWS)


def model_for(dtype="float32", hidden=37):
    vv.manual_seed(2)
    return nn.Sequential(nn.Linear(FEATURES, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, CLASSES)).to(np.dtype(dtype))


def digest(model):
    return b"".join(p.numpy().tobytes() for p in model.parameters())


OPTIMIZERS = [lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3), lambda p: optim.Adam(p, lr=0.01),
              lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1)]


def fit(X, data, make, dtype, threads=None, batch=32, **options):
    _, y, w = data
    model = model_for(dtype)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), make(model.parameters()), metrics=["accuracy"], seed=5, num_threads=threads,
                         **options)
    history = trainer.fit(X, y, epochs=3, batch_size=batch, validation_split=0.2, sample_weight=w, verbose=0)
    return digest(model), history.history, trainer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", OPTIMIZERS, ids=["sgd", "adam", "adamw"])
@pytest.mark.parametrize("batch", [32, 200])
def test_the_weights_of_dense_training(data, make, dtype, batch):
    """Shuffling, a validation split, row weights, dropout, batches of two chunks of rows; 1, 2 and 3 threads. On levels with fused
    multiply-add the sums are one chain without its zeros; the baseline, NumPy and Numba are near."""
    X = data[0]
    dense, history, _ = fit(X.toarray(), data, make, dtype, batch=batch)
    for threads in (1, 2, 3):
        sparse, found, trainer = fit(X, data, make, dtype, threads, batch)
        assert trainer.last_run.threads == threads
        assert [call.name for call in trainer.plan.calls if call.name.startswith("sparse")] == [
            "sparse_linear_forward", "sparse_backward_weight"]
        assert sparse == dense
        for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert found[name] == history[name]


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_the_other_books(data, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    weights = []
    for X, book in ((data[0], backend), (data[0].toarray(), "cython")):
        model = model_for("float64")
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), seed=0, backend=book)
        trainer.fit(X, data[1], epochs=1, batch_size=150, verbose=0)
        weights.append(model[0].weight.numpy())
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-9, atol=1e-13)


def test_the_loop_equals_the_plan(data):
    X, y, _ = data
    digests = []
    for eager in (True, False):
        model = model_for()
        optimizer, loss = optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
        vv.manual_seed(9)
        if eager:
            for start in range(0, ROWS, 50):
                optimizer.zero_grad()
                loss(model(X[start:start + 50]), y[start:start + 50]).backward()
                optimizer.step()
        else:
            vv.Trainer(model, loss, optimizer, seed=9).fit(X, y, epochs=1, batch_size=50, shuffle=False, verbose=0)
        digests.append(digest(model))
    assert digests[0] == digests[1]


def test_predictions_scores_and_steps(data):
    X, y, w = data
    model = model_for()
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), metrics=["accuracy"], seed=0)
    trainer.fit(X, y, epochs=1, verbose=0)
    dense = X.toarray()
    np.testing.assert_array_equal(trainer.predict(X), trainer.predict(dense))
    np.testing.assert_array_equal(trainer.predict(X[17:18]), trainer.predict(dense)[17:18])
    np.testing.assert_array_equal(trainer.predict_classes(X), trainer.predict_classes(dense))
    assert trainer.evaluate(X, y, w) == trainer.evaluate(dense, y, w)
    assert trainer.predict(X[:0]).shape == (0, CLASSES)
    steps = []
    for part in (X[:30], dense[:30]):
        model = model_for()
        step = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), seed=0).make_step(32)
        steps.append((step(part, y[:30]), step(part[:9], y[:9]), digest(model)))
    assert steps[0] == steps[1]


class Wide(nn.Module):
    """Sparse features beside dense ones, the sparse ones used twice; the first bias is frozen, as is the weight of the second."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(FEATURES, 9), nn.Linear(3, 9), nn.Linear(FEATURES, 9, bias=False)
        self.out = nn.Linear(9, CLASSES)
        self.d = nn.Linear(FEATURES, 9)
        self.a.bias.requires_grad_(False)
        self.d.weight.requires_grad_(False)

    def forward(self, sparse, dense):
        return self.out(self.a(sparse) + self.b(dense) + self.c(sparse) + self.d(sparse))


@pytest.mark.parametrize("clip", [None, 0.5])
def test_several_inputs_and_uses(data, clip):
    """Also with a clipped norm, where no update rides on a tile."""
    X, y, _ = data
    beside = np.random.default_rng(3).standard_normal((ROWS, 3)).astype(np.float32)
    digests = []
    for sparse in (X, X.toarray()):
        vv.manual_seed(0)
        model = Wide()
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01), seed=0, clip_grad_norm=clip)
        trainer.fit((sparse, beside), y, epochs=2, batch_size=64, verbose=0)
        digests.append(digest(model))
    assert digests[0] == digests[1]


# --- what is taken

def test_weights_written_by_a_callback_are_trained_on(data):
    """Packed forms of the weights outlive a step here, so a write in between must be noticed: by the next epoch, and by the next step."""
    X, y, _ = data
    halve = lambda t, *_: [p.copy_(p.numpy() / 2) for p in t.model.parameters()]
    for hook in ("on_epoch_end", "on_batch_end"):
        found = []
        for inputs in (X, X.toarray()):
            model = model_for()
            trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=3)
            trainer.fit(inputs, y, epochs=2, callbacks=vv.callbacks.LambdaCallback(**{hook: halve}), verbose=0)
            found.append(digest(model))
        assert found[0] == found[1], hook


def test_any_form_of_the_same_matrix(data):
    """Other formats, unsorted columns, elements in parts, stored zeros, other dtypes: one result; the matrix stays as it was."""
    X, y, _ = data
    X = X.astype(np.float32)
    rng = np.random.default_rng(0)
    shuffled, twice = X.copy(), X.tocoo()
    for begin, end in zip(X.indptr, X.indptr[1:]):
        order = begin + rng.permutation(end - begin)
        shuffled.indices[begin:end], shuffled.data[begin:end] = X.indices[order], X.data[order]
    shuffled.has_sorted_indices = False
    halves = sp.csr_matrix((np.repeat(twice.data / 2, 2), (np.repeat(twice.row, 2), np.repeat(twice.col, 2))), X.shape)
    in_parts = sp.csr_matrix((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), X.indptr * 2), X.shape)
    zeros = X.copy()
    zeros.data[::3] = 0
    forms = [X, X.tocsc(), X.tocoo(), shuffled, halves, in_parts, sp.csr_array(X), X.astype(np.float64),
             sp.csr_matrix((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)]
    results = set()
    for form in forms:
        before = [form.data.tobytes()] + [getattr(form, name).tobytes() for name in ("indices", "indptr", "row") if hasattr(form, name)]
        model = model_for()
        vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), seed=0).fit(form, y, epochs=1, verbose=0)
        results.add(digest(model))
        after = [form.data.tobytes()] + [getattr(form, name).tobytes() for name in ("indices", "indptr", "row") if hasattr(form, name)]
        assert before == after
    assert len(results) == 1
    model = model_for()
    np.testing.assert_array_equal(nn.Sequential(model[0])(zeros).numpy(), nn.Sequential(model[0])(zeros.toarray()).numpy())
    whole = sp.csr_matrix((X != 0).astype(np.int8))
    assert model(whole).shape == (ROWS, CLASSES)


def test_what_no_memory_holds_dense():
    """A million rows of a million columns."""
    n = 1_000_000
    X = sp.csr_matrix((np.ones(n, np.float32), (np.arange(n), np.arange(n) % 1000 * 999)), (n, n))
    model = nn.Sequential(nn.Linear(n, 1))
    vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0).fit(X[:2000], np.ones(2000), epochs=1, verbose=0)
    assert model(X[:5]).shape == (5, 1)


def broken(change):
    X = sp.csr_matrix(np.eye(4, FEATURES))
    change(X)
    return X


def _set(name, place, value):
    def change(X):
        getattr(X, name)[place] = value
    return change


@pytest.mark.parametrize("X, model, says", [
    (lambda: broken(_set("data", 2, np.nan)), None, "X must be finite, got nan at row 2, column 2"),
    (lambda: broken(_set("data", 1, 1e300)), None, "X must be finite in float32, got 1e\\+300"),
    (lambda: broken(_set("indices", 1, FEATURES)), None, "X must be a valid CSR matrix: its indices must lie in 0..699"),
    (lambda: broken(_set("indices", 1, -1)), None, "its indices must lie in 0..699"),
    (lambda: broken(_set("indptr", 2, 9)), None, "its indptr must ascend from 0"),
    (lambda: sp.csr_matrix((4, 0)), None, r"X must have at least one column, got shape \(4, 0\)"),
    (lambda: sp.csr_matrix((4, 3)), None, "X with 3 columns does not fit the model"),
    (lambda: sp.csr_matrix((5, FEATURES)), None, "y must have N = 5 rows like X, got 4"),
    (lambda: broken(lambda X: None), lambda: nn.Sequential(nn.Tanh(), model_for()),
     "X is sparse, which only Linear takes as its input; activation needs X.toarray"),
    (lambda: broken(lambda X: setattr(X, "data", X.data.astype(complex))), None, "X must be numbers, got dtype complex128")])
def test_refusals(X, model, says):
    model = model() if model else model_for()
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), seed=0)
    with pytest.raises((ValueError, TypeError), match=says):
        trainer.fit(X(), [0, 1, 2, 3], epochs=1, verbose=0)


def test_scipy_is_not_imported():
    """Sparse input is told by its attributes."""
    code = """
import sys, numpy as np, vivace as vv
from vivace import nn, optim
class Csr:
    shape, nnz = (2, 3), 2
    data, indices, indptr = np.ones(2), np.array([2, 0]), np.array([0, 1, 2])
    def tocsr(self): return self
model = nn.Sequential(nn.Linear(3, 1))
trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), seed=0)
trainer.fit(Csr(), [0.0, 1.0], epochs=1, verbose=0)
w, b = model[0].weight.numpy(), model[0].bias.numpy()
assert np.array_equal(trainer.predict(Csr())[:, 0], [w[0, 2] + b[0], w[0, 0] + b[0]])
assert "scipy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
