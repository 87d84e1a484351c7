"""Losses as scikit-learn counts them: summed over the outputs of a row, and the mean over rows."""
import numpy as np

from .. import nn
from ..nn.losses import Loss


class _Rows:
    """A loss operation whose rows are multiplied with a factor, and whose values, not gradients, end at `most`."""

    def __init__(self, operation, factor, most):
        self.operation, self.factor, self.most, self.mean = operation, factor, most, operation.mean

    def rows(self, k, z, t, w, l, dz):
        self.operation.rows(k, z, t, w, l, dz)
        if self.factor != 1.0:
            k.scale(l, l, self.factor, 0.0)
            if dz is not None:
                k.scale(dz, dz, self.factor, 0.0)
        if self.most is not None:  # min(l, most) = most - max(most - l, 0)
            k.scale(l, l, -1.0, self.most)
            k.relu_forward(l, l)
            k.scale(l, l, -1.0, self.most)


class AsSklearn(Loss):
    """factor * `loss`, its mean over the outputs of a row turned into their sum (`sums`). Value and gradient belong together.

    clips: a row's value is at most -log(eps), as scikit-learn's, which clips probabilities at eps of their type; the gradient is not.
    """

    def __init__(self, loss, factor=1.0, sums=True, clips=False):
        super().__init__()
        self.loss, self.factor, self.sums, self.clips, self.outputs, self.most = loss, float(factor), sums, clips, 1, None
        self.link, self.threshold, self.from_logits = loss.link, loss.threshold, True

    def source(self, z):
        self.outputs = z.shape[1]
        self.most = -float(np.log(np.finfo(z.dtype).eps)) if self.clips else None
        return self.loss.source(z)

    def operation(self, labels, logits):
        return _Rows(self.loss.operation(labels, logits), self.factor * (self.outputs if self.sums else 1), self.most)

    def target(self, target, outputs, dtype):
        return self.loss.target(target, outputs, dtype)

    def row_weight(self, target, weight, dtype):
        return self.loss.row_weight(target, weight, dtype)

    def config(self):
        return {"loss": type(self.loss).__name__, "factor": self.factor, "clips": self.clips, **self.loss.config()}


def of_classes(multiclass, outputs, label_smoothing):
    """Cross-entropy of classes, or of each of several yes-or-no outputs (whose targets the estimator smooths)."""
    if multiclass:
        return AsSklearn(nn.CrossEntropyLoss(label_smoothing=label_smoothing), sums=False, clips=not label_smoothing)
    return AsSklearn(nn.BCEWithLogitsLoss(), clips=outputs == 1 and not label_smoothing)


REAL = {"squared_error": ("MSELoss", 0.5, {}), "absolute_error": ("L1Loss", 1.0, {}), "huber": ("HuberLoss", 1.0, {}),
        "poisson": ("PoissonNLLLoss", 1.0, {"log_input": True, "full": False}), "quantile": ("QuantileLoss", 1.0, {}),
        "gamma": ("GammaLoss", 1.0, {}), "tweedie": ("TweedieLoss", 1.0, {})}
"""Losses of a regressor by name: the class in nn, what its sum over outputs is multiplied with, and its options."""

LOG_LINK = ("poisson", "gamma", "tweedie")
"""Those whose raw outputs are logarithms of predictions."""


def of_numbers(loss):
    """The loss a name stands for; a Loss is taken as it is."""
    if isinstance(loss, Loss):
        return loss
    name, factor, options = REAL[loss]
    if not hasattr(nn, name):
        raise ValueError(f"loss={loss!r} needs nn.{name}, which this version of vivace does not have")
    return AsSklearn(getattr(nn, name)(**options), factor)


def constant(loss, target):
    """What scikit-learn's value of `loss` has beyond ours in each row, a function of the target alone; None where nothing."""
    if loss != "poisson":
        return None
    terms = np.where(target > 0, target * np.log(np.where(target > 0, target, 1.0)), 0.0) - target
    return terms.reshape(len(target), -1).sum(axis=1)
