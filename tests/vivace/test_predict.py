"""predict, predict_proba, predict_classes and evaluate."""
import numpy as np
import pytest
from sklearn import metrics as sk

import vivace as vv
from vivace import nn, optim


def blobs(rows=103, features=7, classes=3, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    return (rng.standard_normal((rows, features)) + 0.7 * y[:, None]).astype(dtype), y


def network(seed=0, features=7, classes=3, p=0.25, dtype=None):
    vv.manual_seed(seed)
    model = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Dropout(p), nn.Linear(16, classes))
    return model if dtype is None else model.to(dtype)


def trainer_of(model, make=optim.Adam, loss=None, seed=5, **options):
    return vv.Trainer(model, loss or nn.CrossEntropyLoss(), make(model.parameters(), lr=0.02), seed=seed, **options)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8))


def log_loss(y, p, **options):
    """scikit-learn's, which wants rows that sum to 1 in float64."""
    p = p.astype(np.float64)
    return sk.log_loss(y, p / p.sum(axis=1, keepdims=True), **options)


@pytest.mark.parametrize("loss, link", [("CrossEntropyLoss", "softmax"), ("BCEWithLogitsLoss", "sigmoid")])
def test_probabilities_and_classes(loss, link):
    X, y = blobs(classes=3 if link == "softmax" else 2)
    model = network(classes=3 if link == "softmax" else 1)
    trainer = trainer_of(model, loss=getattr(nn, loss)())
    trainer.fit(X, y.astype(np.float32) if link == "sigmoid" else y, epochs=5, verbose=0)
    z, p = trainer.predict(X).astype(np.float64), trainer.predict_proba(X)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    assert np.allclose(p, e / e.sum(axis=1, keepdims=True) if link == "softmax" else 1 / (1 + np.exp(-z)), rtol=1e-5)
    assert np.array_equal(trainer.predict_classes(X), z.argmax(axis=1) if link == "softmax" else (z[:, 0] > 0).astype(int))


@pytest.mark.parametrize("loss, last", [("CrossEntropyLoss", nn.Softmax), ("BCELoss", nn.Sigmoid)])
def test_outputs_that_are_probabilities_stay(loss, last):
    X, y = blobs(classes=2)
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 2 if last is nn.Softmax else 1), last())
    criterion = nn.CrossEntropyLoss(from_logits=False) if last is nn.Softmax else nn.BCELoss()
    trainer = trainer_of(model, loss=criterion, metrics=["accuracy"])
    history = trainer.fit(X, y if last is nn.Softmax else y[:, None] * 1.0, epochs=4, verbose=0)
    p = trainer.predict_proba(X)
    assert same(p, trainer.predict(X)) and (p >= 0).all() and (p <= 1).all()
    classes = trainer.predict_classes(X)
    assert np.array_equal(classes, p.argmax(axis=1) if last is nn.Softmax else (p[:, 0] > 0.5).astype(int))
    found = trainer.evaluate(X, y if last is nn.Softmax else y[:, None] * 1.0)
    assert found["accuracy"] == pytest.approx((classes == y).mean()) and history["loss"][-1] < history["loss"][0]
    assert found["loss"] == pytest.approx(log_loss(y, p if last is nn.Softmax else np.hstack([1 - p, p])), rel=1e-4)


def test_a_regression_has_no_probabilities():
    with pytest.raises(ValueError, match="MSELoss has no probabilities; use predict"):
        trainer_of(network(), loss=nn.MSELoss()).predict_proba(blobs()[0])


def test_predictions_do_not_depend_on_the_batch_they_come_in():
    X, y = blobs(rows=1100)
    trainer = trainer_of(network())
    trainer.fit(X, y, epochs=1, verbose=0)
    whole = trainer.predict(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert same(trainer.predict(X[order]), whole[order])
    for size in (1, 7, 15, 16, 17, 513):
        assert same(np.concatenate([trainer.predict(X[i:i + size]) for i in range(0, 3 * size, size)]), whole[:3 * size])
    assert trainer.predict(X[:0]).shape == (0, 3)


def test_predict_equals_the_eager_model_and_leaves_its_mode():
    X, y = blobs()
    trainer = trainer_of(network())
    trainer.fit(X, y, epochs=1, verbose=0)
    assert trainer.model.training
    planned = trainer.predict(X)
    assert trainer.model.training
    with vv.no_grad():
        assert same(planned, trainer.model.eval()(X).numpy())
