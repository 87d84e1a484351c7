"""Scores of predictions against targets, in float64; `weight` (N,) are row weights, None means ones.

(N,) and (N, 1) count as the same shape; anything else that differs raises ValueError. No rows, or weights that sum to 0: NaN.
"""
import math
import warnings

import numpy as np

from .kernels.reference.custom import call
from .nn.own import OwnFunction, loss_points


def accuracy(prediction, target, weight=None, *, threshold=None):
    """Fraction of right answers: sum over n of w[n] [class of prediction n = class of target n] / sum of w.

    prediction (N, C), C > 1, and target (N,) integers or (N, C) probabilities: classes by argmax, unless a threshold is given.
    prediction (N,) or (N, 1) integers: these are classes.
    prediction (N, O) and target (N, O) in 0..1: prediction > threshold against target > 0.5, each element one answer.
    threshold: 0.0 for logits, 0.5 for probabilities; None takes argmax where it can and 0.5 for a single output.
    """
    prediction, target = _array("prediction", prediction), _array("target", target)
    same = _flat_column(prediction).shape == _flat_column(target).shape
    if prediction.ndim == 2 and prediction.shape[1] > 1 and (threshold is None or not same):
        classes = _flat_column(target) if not same else target.argmax(axis=1)
        if classes.shape != prediction.shape[:1]:
            n, c = prediction.shape
            raise ValueError(f"target must have shape (N,) or (N, C) = ({n},) or ({n}, {c}), got {target.shape}")
        right = prediction.argmax(axis=1) == classes
        return _mean(right[:, None].astype(np.float64), _weights(weight, len(right)))
    labels = threshold is None and prediction.dtype.kind in "iub"
    prediction, target = _columns(prediction, target)
    right = prediction == target if labels else (prediction > (0.5 if threshold is None else threshold)) == (target > 0.5)
    return _mean(right.astype(np.float64), _weights(weight, len(right)))


def r2(prediction, target, weight=None):
    """1 - sum of w (t - p)² / sum of w (t - mean t)², averaged over the outputs.

    A constant target gives 1 if met exactly and 0 otherwise, as in scikit-learn. Fewer than two rows: NaN.
    """
    prediction, target = _columns(prediction, target)
    w = _weights(weight, len(target))
    if len(target) < 2 or w.sum() == 0:
        return math.nan
    center = (w * target).sum(axis=0) / w.sum()
    residual, total = (w * (target - prediction) ** 2).sum(axis=0), (w * (target - center) ** 2).sum(axis=0)
    score = np.where(residual == 0, 1.0, 0.0)
    np.subtract(1.0, np.divide(residual, total, where=total != 0, out=score.copy()), where=total != 0, out=score)
    return float(score.mean())


def mae(prediction, target, weight=None):
    """Mean absolute error: sum of w |t - p| / sum of w, averaged over the outputs."""
    prediction, target = _columns(prediction, target)
    return _mean(np.abs(target - prediction), _weights(weight, len(target)))


def rmse(prediction, target, weight=None):
    """Root mean squared error: sqrt(sum of w (t - p)² / sum of w) of each output, averaged over the outputs."""
    prediction, target = _columns(prediction, target)
    w = _weights(weight, len(target))
    total = w.sum()
    return float(np.sqrt((w * (target - prediction) ** 2).sum(axis=0) / total).mean()) if total != 0 else math.nan


class OwnMetric:
    """What metric() makes: the mean over rows, by their weights, and outputs of a user's function of numbers. name: for the history."""

    def __init__(self, own):
        self.own, self.__name__ = own, own.name

    def __call__(self, prediction, target, weight=None):
        """The metric as a float; ValueError names function and place where it is NaN of finite numbers."""
        prediction, target = _columns(prediction, target)
        w, parameters = _weights(weight, len(target)), self.own.defaults.values()
        values = np.empty_like(prediction)
        call(self.own.block("value", np.float64), (prediction, target, values), values.size, [*parameters, 0.0])
        wrong = np.isnan(values) & np.isfinite(prediction) & np.isfinite(target)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            self.own.check_result("function", values[at], (prediction[at], target[at], *parameters))
        return _mean(values, w)

    def __repr__(self):
        return f"<metric {self.own.name}>"


def metric(function, **parameters):
    """A metric from a plain Python function of numbers, f(y, t, *parameters) -> number, y a prediction and t its target.

        Close = vv.metric(lambda y, t, width: abs(y - t) < width, width=0.1)
        trainer = vv.Trainer(model, nn.MSELoss(), optimizer, metrics=["r2", Close])

    It is compiled as own losses are, and averaged over outputs and, by their weights, over rows. What needs whole rows or columns is a
    plain function of arrays instead, f(prediction, target) -> number, which is not compiled: metrics=[f]. Errors as of nn.loss; NaN of
    finite numbers is a ValueError that names the place, later too.
    """
    own = OwnFunction("vv.metric", function, None, parameters, 2)
    own.check(loss_points())
    return OwnMetric(own)


KNOWN = {"accuracy": accuracy, "r2": r2, "mae": mae, "rmse": rmse}
"""Metrics by name."""


def resolve(metrics):
    """[(name, f)] from names of KNOWN or functions (prediction, target) -> number; one may stand alone, None is none.

    Every f can be called as f(prediction, target, weight=None, threshold=None). A user's function gets the arguments
    prediction and target, and weight if it has a parameter of that name; what it raises carries a note with its name and arguments, and
    where it gives NaN a RuntimeWarning names it. Raises ValueError for an unknown or a repeated name, TypeError for other arguments.
    """
    if not (metrics is None or isinstance(metrics, str) or callable(metrics) or hasattr(metrics, "__iter__")):
        raise TypeError(f"metrics must be names or functions, or a list of them, got {metrics!r}")
    items = [] if metrics is None else [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    pairs = []
    for item in items:
        if isinstance(item, str):
            if item not in KNOWN:
                raise ValueError(f"metrics must name some of {', '.join(KNOWN)}, or be functions, got {item!r}")
            pairs.append((item, _uniform(KNOWN[item])))
        elif callable(item):
            pairs.append((getattr(item, "__name__", type(item).__name__), _uniform(item)))
        else:
            raise TypeError(f"metrics must be names or functions, got {type(item).__name__}")
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1 or name == "loss":
            raise ValueError(f"metrics must have names of their own (not loss), got {name!r}{' twice' if name != 'loss' else ''}")
    return pairs


def _uniform(function):
    """f(prediction, target, weight, threshold) that passes on what `function` takes."""
    import inspect  # only where a metric is asked for: it takes milliseconds to import
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function of C without a signature
        takes = set()
    else:
        takes = signature.parameters.keys() & {"weight", "threshold"}
        try:
            signature.bind(None, None, **dict.fromkeys(takes))
        except TypeError:
            raise TypeError(f"metrics: {name} must take (prediction, target), and weight where it wants it, got {signature}") from None
    known = function in KNOWN.values()

    def metric(prediction, target, weight=None, threshold=None):
        extra = {"weight": weight, "threshold": threshold}
        try:
            value = function(prediction, target, **{name: extra[name] for name in takes})
        except Exception as error:
            error.add_note(f"in the metric {name}, called with prediction {_told(prediction)} and target {_told(target)}")
            raise
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"metrics: {name} must return one number, got {_told(value)}") from None
        if not known and math.isnan(value):
            warnings.warn(f"metrics: {name} is NaN for prediction {_told(prediction)} and target {_told(target)}", RuntimeWarning,
                          stacklevel=2)
        return value
    return metric


def _told(value):
    """An argument in a few words."""
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _array(name, value):
    value = np.asarray(value)
    if value.ndim not in (1, 2) or value.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers of shape (N,) or (N, O), got {value.dtype} of shape {value.shape}")
    return value


def _flat_column(value):
    return value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value


def _columns(prediction, target):
    """Both as float64 (N, O); raises where their shapes differ."""
    prediction, target = _array("prediction", prediction), _array("target", target)
    if _flat_column(prediction).shape != _flat_column(target).shape:
        raise ValueError(f"prediction must have the shape of the target, {target.shape}, got {prediction.shape}")
    return tuple(a.astype(np.float64).reshape(len(a), -1 if len(a) else 1) for a in (prediction, target))


def _weights(weight, rows):
    """Float64 (N, 1)."""
    if weight is None:
        return np.ones((rows, 1))
    weight = np.asarray(weight, np.float64)
    if weight.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"weight must have shape (N,) = ({rows},), got {weight.shape}")
    return weight.reshape(rows, 1)


def _mean(values, w):
    """Weighted mean over rows of the mean over columns."""
    total = w.sum()
    return float((w * values).sum() / (total * values.shape[1])) if total != 0 else math.nan
