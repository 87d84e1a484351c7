"""Metrics against scikit-learn, in every shape a model gives."""
import math

import numpy as np
import pytest
from sklearn import metrics as sk

import vivace as vv
from vivace import metrics, nn, optim

RNG = np.random.default_rng(7)
WEIGHTS = [None, RNG.uniform(0, 2, 40), np.r_[np.zeros(20), np.ones(20)]]
TYPES = ["float32", "float64"]


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "weights", "zeros"])
@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("dtype", TYPES)
def test_regression(dtype, outputs, weight):
    shape = (40,) if outputs is None else (40, outputs)
    target = (RNG.standard_normal(shape) * 50 + 1e3).astype(dtype)
    prediction = (target + RNG.standard_normal(shape) * 9).astype(dtype)
    wide = prediction.astype(np.float64), target.astype(np.float64)
    for ours, theirs in zip((metrics.r2, metrics.mae, metrics.rmse),
                            (sk.r2_score, sk.mean_absolute_error, sk.root_mean_squared_error)):
        value = ours(prediction, target, weight)
        assert type(value) is float and value == pytest.approx(theirs(wide[1], wide[0], sample_weight=weight), rel=1e-12)


def test_column_and_vector_count_as_equal_and_nothing_broadcasts():
    target = RNG.standard_normal(10)
    for metric in (metrics.r2, metrics.mae, metrics.rmse):
        assert metric(target[:, None] + 1, target) == metric(target + 1, target[:, None]) == metric(target + 1, target)
        with pytest.raises(ValueError, match=r"prediction must have the shape of the target, \(10,\), got \(10, 2\)"):
            metric(np.zeros((10, 2)), target)
    with pytest.raises(ValueError, match=r"weight must have shape \(N,\) = \(10,\), got \(9,\)"):
        metrics.mae(target, target, np.ones(9))
    with pytest.raises(ValueError, match="target must be numbers"):
        metrics.mae(target, np.array(list("abcdefghij")))


def test_r2_of_constant_targets_as_in_sklearn():
    constant = np.full((4, 2), 3.0)
    mixed = constant + [[0, 0], [0, 1], [0, 0], [0, 0]]
    for prediction, target in ((constant, constant), (mixed, constant), (constant, mixed)):
        assert metrics.r2(prediction, target) == sk.r2_score(target, prediction)
    assert math.isnan(metrics.r2([1.0], [2.0]))


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "weights", "zeros"])
@pytest.mark.parametrize("dtype", TYPES)
def test_accuracy_of_classes(dtype, weight):
    logits, labels = RNG.standard_normal((40, 5)).astype(dtype), RNG.integers(0, 5, 40)
    expected = pytest.approx(sk.accuracy_score(labels, logits.argmax(axis=1), sample_weight=weight), rel=1e-12)
    one_hot = np.eye(5, dtype=dtype)[labels]
    for target in (labels, labels[:, None], labels.astype("int32"), labels.astype(float), one_hot):
        assert metrics.accuracy(logits, target, weight) == expected
    assert metrics.accuracy(logits, labels, weight, threshold=0.0) == expected  # labels cannot be met by a threshold
    assert metrics.accuracy(logits.argmax(axis=1), labels, weight) == expected


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "weights", "zeros"])
def test_accuracy_of_two_classes_by_threshold(weight):
    logits, target = RNG.standard_normal((40, 1)).astype("float32"), RNG.integers(0, 2, 40)
    expected = pytest.approx(sk.accuracy_score(target, logits[:, 0] > 0, sample_weight=weight), rel=1e-12)
    probabilities = 1 / (1 + np.exp(-logits))
    for t in (target, target[:, None], target.astype("float32"), target.astype(bool)):
        assert metrics.accuracy(logits, t, weight, threshold=0.0) == expected
        assert metrics.accuracy(probabilities[:, 0], t, weight, threshold=0.5) == expected
        assert metrics.accuracy(probabilities, t, weight) == expected


def test_accuracy_of_many_outputs_counts_elements():
    logits, target = RNG.standard_normal((40, 3)), RNG.integers(0, 2, (40, 3)).astype("float32")
    expected = sk.accuracy_score(target.ravel(), (logits > 0).ravel())
    assert metrics.accuracy(logits, target, threshold=0.0) == pytest.approx(expected, rel=1e-12)


def test_no_rows_and_no_weight_give_nan():
    for metric in metrics.KNOWN.values():
        assert math.isnan(metric(np.zeros((0, 1)), np.zeros((0, 1))))
        assert math.isnan(metric(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros(3)))
    assert math.isnan(metrics.accuracy(np.zeros((0, 4)), np.zeros(0, int)))


def test_accuracy_shape_errors():
    with pytest.raises(ValueError, match=r"target must have shape \(N,\) or \(N, C\) = \(4,\) or \(4, 3\), got \(4, 2\)"):
        metrics.accuracy(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"prediction must have the shape of the target"):
        metrics.accuracy(np.zeros((4, 1)), np.zeros((4, 4)))


def test_inputs_are_not_changed():
    prediction, target, weight = np.ones((4, 1), "float32"), np.zeros(4, "float32"), np.ones(4)
    for metric in metrics.KNOWN.values():
        metric(prediction, target, weight)
    assert prediction.all() and not target.any() and (weight == 1).all()


def test_resolve():
    def bias(prediction, target):
        return np.float32(np.mean(prediction - target))

    def weighted(prediction, target, weight):
        return (weight * (prediction - target)).sum()

    pairs = dict(metrics.resolve(["accuracy", "r2", bias, weighted]))
    p, t, w = np.array([1.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0]), np.array([1.0, 2.0, 3.0])
    assert list(pairs) == ["accuracy", "r2", "bias", "weighted"]
    assert pairs["accuracy"](p, t, threshold=0.5) == pytest.approx(1 / 3) and pairs["r2"](p, t, w) == metrics.r2(p, t, w)
    value = pairs["bias"](p, t, w, threshold=0.5)
    assert type(value) is float and value == pytest.approx(1 / 3) and pairs["weighted"](p, t, w) == 4.0
    assert metrics.resolve(None) == [] and [name for name, _ in metrics.resolve("mae")] == ["mae"]
    with pytest.raises(ValueError, match="metrics must name some of accuracy, r2, mae, rmse, or be functions, got 'auc'"):
        metrics.resolve(["auc"])
    with pytest.raises(ValueError, match="names of their own .* got 'mae' twice"):
        metrics.resolve(["mae", "mae"])
    with pytest.raises(TypeError, match="names or functions, got int"):
        metrics.resolve([3])


# --- the user's own
def test_a_metric_of_numbers_is_the_mean_of_numpys():
    close = vv.metric(lambda y, t, width: abs(y - t) < width, width=0.5)
    assert close.__name__ == "<lambda>" and repr(close) == "<metric <lambda>>"

    def log_cosh(y, t):
        return math.log(np.exp(y - t) / 2 + math.exp(t - y) / 2)
    p, t, w = RNG.standard_normal((40, 3)), RNG.standard_normal((40, 3)), RNG.uniform(0.1, 2, 40)
    for dtype in TYPES:
        p, t = p.astype(dtype), t.astype(dtype)
        d = p.astype(float) - t.astype(float)
        assert close(p, t) == pytest.approx((np.abs(d) < 0.5).mean(), rel=1e-14)
        assert vv.metric(log_cosh)(p, t, w) == pytest.approx(np.average(np.log(np.cosh(d)).mean(axis=1), weights=w), rel=1e-12)
    assert close(p[:, 0], t[:, :1]) == close(p[:, 0], t[:, 0]) and math.isnan(close(p[:0], t[:0]))
    with pytest.raises(ValueError, match="prediction must have the shape of the target"):
        close(p, t[:, 0])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_metric_of_numbers_in_a_fit(weighted):
    """Of training rows, validation rows and evaluate: the built-in mean absolute error says what it must be."""
    def off(y, t):
        return abs(y - t)
    vv.manual_seed(0)
    X = RNG.standard_normal((70, 4)).astype("f")
    y, w = X[:, :2] + 1, RNG.uniform(0.1, 2, 70) if weighted else None
    model = nn.Linear(4, 2)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=["mae", vv.metric(off)], seed=0)
    history = trainer.fit(X, y, epochs=3, batch_size=16, sample_weight=w, validation_split=0.2, verbose=0)
    for name in ("", "val_"):
        np.testing.assert_allclose(history[f"{name}off"], history[f"{name}mae"], rtol=1e-12)
    assert trainer.evaluate(X, y)["off"] == pytest.approx(trainer.evaluate(X, y)["mae"], rel=1e-12)


def test_nan_of_a_metric_of_numbers_names_the_place():
    root = vv.metric(lambda y, t: math.sqrt(5 - y))
    assert root(np.array([1.0, np.nan]), np.zeros(2)) != 0
    with pytest.raises(ValueError, match="vv.metric: function=<lambda> returns NaN at y = 6, t = 2"):
        root(np.array([1.0, 6.0]), np.array([1.0, 2.0]))


def test_errors_of_metrics_of_arrays_name_them():
    def trainer(metric):
        model = nn.Linear(2, 1)
        return vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), metrics=[metric], seed=0)

    def broken(prediction, target):
        raise KeyError("no such thing")

    def arrays(prediction, target):
        return prediction

    def empty(prediction, target):
        return np.nan
    X, y = np.ones((6, 2), "f"), np.ones((6, 1), "f")
    with pytest.raises(TypeError, match=r"metrics: lonely must take \(prediction, target\), and weight where it wants it, got \(p\)"):
        def lonely(p):
            return 0
        trainer(lonely)
    with pytest.raises(KeyError) as caught:
        trainer(broken).fit(X, y, epochs=1, verbose=0)
    assert caught.value.__notes__ == [
        "in the metric broken, called with prediction float32 of shape (6, 1) and target float32 of shape (6, 1)"]
    with pytest.raises(TypeError, match=r"metrics: arrays must return one number, got float32 of shape \(6, 1\)"):
        trainer(arrays).fit(X, y, epochs=1, verbose=0)
    with pytest.warns(RuntimeWarning, match=r"metrics: empty is NaN for prediction float32 of shape \(6, 1\)"):
        trainer(empty).fit(X, y, epochs=1, verbose=0)
