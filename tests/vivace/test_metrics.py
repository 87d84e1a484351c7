"""Metrics against scikit-learn, in every shape a model gives."""
import math

import numpy as np
import pytest
from sklearn import metrics as sk

from vivace import metrics

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
