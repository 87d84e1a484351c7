"""Mixup: the distribution of its share, the eager loop's bits, and what it cannot be combined with."""
import numpy as np
import pytest
from scipy import stats
from vivace.nn.mixup import shares

import vivace as vv
from vivace import nn, optim


@pytest.mark.parametrize("alpha", [0.2, 1.0, 1.5, 8.0])
def test_the_share_is_beta_distributed(alpha):
    s = shares(alpha, 7, np.arange(5000))
    assert stats.kstest(s, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    np.testing.assert_array_equal(s[40:50], shares(alpha, 7, np.arange(40, 50)))  # a function of seed and step
    assert not np.array_equal(s, shares(alpha, 8, np.arange(5000)))
    assert abs(np.corrcoef(s[1:], s[:-1])[0, 1]) < 0.05


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(70, 5)).astype(np.float32), rng.integers(0, 3, 70), rng.normal(size=(70, 2)).astype(np.float32)


def start(loss):
    vv.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3 if isinstance(loss, nn.CrossEntropyLoss) else 2))
    return model, optim.Adam(model.parameters(), lr=1e-2)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1), nn.MSELoss()],
                         ids=["ce", "smooth", "mse"])
def test_equals_the_loop_that_mixes_by_hand(loss):
    X, classes, values = data()
    labels = isinstance(loss, nn.CrossEntropyLoss)
    model, optimizer = start(loss)
    order, step, kernel = np.empty(70, np.int64), 0, vv.kernels
    plain = nn.CrossEntropyLoss() if labels else loss
    for epoch in range(3):
        kernel.permutation(order, 9, epoch)
        for at in range(0, 70, 16):
            rows, share = order[at:at + 16], shares(0.4, 9, np.array([step]))[0]
            x, t = np.empty((len(rows), 5), np.float32), np.empty((len(rows), 3 if labels else 2), np.float32)
            kernel.mix_rows(X[rows], x, share)
            if labels:
                kernel.mix_labels(classes[rows], t, share, loss.label_smoothing)
            else:
                kernel.mix_rows(values[rows], t, share)
            value = plain(model(x), t)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            step += 1
    expected = model.state_dict()
    for threads in (1, 3):
        model, optimizer = start(loss)
        trainer = vv.Trainer(model, loss, optimizer, seed=9, mixup=0.4, num_threads=threads)
        trainer.fit(X, classes if labels else values, epochs=3, batch_size=16, verbose=0)
        assert "mix_rows" in {call.name for call in trainer.plan.calls}
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, expected[name])


def test_goes_on_after_a_load(tmp_path):
    X, y, _ = data()
    loss = nn.CrossEntropyLoss()
    model, optimizer = start(loss)
    trainer = vv.Trainer(model, loss, optimizer, seed=9, mixup=0.4)
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.save(tmp_path / "a.vivace")
    other = vv.load(tmp_path / "a.vivace")
    assert other.mixup == 0.4
    for t in (trainer, other):
        t.fit(X, y, epochs=2, verbose=0)
        t.make_step(32)(X[:20], y[:20])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, other.model.state_dict()[name])


def test_refusals():
    X, y, values = data()
    model, optimizer = start(nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="mixup must be a finite number > 0, got 0"):
        vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, mixup=0)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, mixup=1.0)
    with pytest.raises(ValueError, match="cannot be combined with sample_weight"):
        trainer.fit(X, y, sample_weight=np.ones(70), verbose=0)


def test_refuses_what_has_no_mixture():
    X, y, values = data()
    model, optimizer = start(nn.CrossEntropyLoss())
    y = y.copy()
    y[3] = -100
    with pytest.raises(ValueError, match="ignore_index"):
        vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, mixup=1.0).fit(X, y, verbose=0)
    table = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 1))
    trainer = vv.Trainer(table, nn.MSELoss(), vv.optim.SGD(table.parameters(), lr=0.1), mixup=1.0)
    with pytest.raises(ValueError, match="embedding"):
        trainer.fit(np.zeros((8, 1)), np.zeros((8, 1)), verbose=0)
    with pytest.raises(ValueError, match="LBFGS"):
        vv.Trainer(model, nn.CrossEntropyLoss(), vv.optim.LBFGS(model.parameters()), mixup=1.0)


def test_sparse_rows_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    X, y, _ = data()
    model, optimizer = start(nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="X is sparse, which mixup does not take"):
        vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, mixup=1.0).fit(sparse.csr_matrix(X), y, verbose=0)


def test_parts_of_one_step_share_its_share():
    """Two equal parts have the mean gradient of one of them, if both are mixed by the share of the step."""
    X, y, _ = data()
    X, y, found = X[:16], y[:16], []
    for parts in (1, 2):
        model, optimizer = start(nn.CrossEntropyLoss())
        trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=2, mixup=0.5, accumulate=parts)
        trainer.fit(np.tile(X, (parts, 1)), np.tile(y, parts), epochs=3, batch_size=16, shuffle=False, verbose=0)
        found.append(model.state_dict())
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=1e-4, atol=1e-5)
