"""Losses as scikit-learn counts them: summed over the outputs of a row, and the mean over rows."""
import numpy as np

from .. import nn
from ..nn.losses import Loss
from ..nn.recorder import Buffer


class _Rows:
    """A loss operation whose rows are multiplied with a factor. eps: its values, not gradients, are those of probabilities in eps..1 - eps.

    Those of yes-or-no outputs then come from 1 - p, whose rounding is seen in the sum where a network is sure and wrong.
    """

    def __init__(self, operation, factor, eps, binary):
        self.operation, self.factor, self.eps, self.binary, self.mean = operation, factor, eps, binary, operation.mean

    def rows(self, k, z, t, w, l, dz):
        self.operation.rows(k, z, t, w, l, dz)
        if self.eps is not None and self.binary:
            p = np.empty_like(z) if isinstance(z, np.ndarray) else Buffer(z.shape)
            k.sigmoid_forward(z, p)
            k.hardtanh_forward(p, p, self.eps, 1 - self.eps)
            k.binary_cross_entropy(p, t, w, l, None, self.mean)
        elif self.eps is not None:
            k.hardtanh_forward(l, l, 0.0, -float(np.log(self.eps)))
        if self.factor != 1.0:
            k.scale(l, l, self.factor, 0.0)
            if dz is not None:
                k.scale(dz, dz, self.factor, 0.0)


class AsSklearn(Loss):
    """factor * `loss`, its mean over the outputs of a row turned into their sum (`sums`). Value and gradient belong together.

    clips: values are computed as scikit-learn's, which clips probabilities at eps of their type; the gradient is not.
    """

    def __init__(self, loss, factor=1.0, sums=True, clips=False):
        super().__init__()
        self.loss, self.factor, self.sums, self.clips, self.outputs, self.eps = loss, float(factor), sums, clips, 1, None
        self.link, self.threshold, self.from_logits = loss.link, loss.threshold, True

    def source(self, z):
        self.outputs = z.shape[1]
        self.eps = float(np.finfo(z.dtype).eps) if self.clips else None
        return self.loss.source(z)

    def operation(self, labels, logits):
        factor = self.factor * (self.outputs if self.sums else 1)
        return _Rows(self.loss.operation(labels, logits), factor, self.eps, self.loss.binary)

    def target(self, target, outputs, dtype):
        return self.loss.target(target, outputs, dtype)

    def row_weight(self, target, weight, dtype):
        return self.loss.row_weight(target, weight, dtype)

    def config(self):
        return {"loss": type(self.loss).__name__, "factor": self.factor, "clips": self.clips, **self.loss.config()}


def of_classes(multiclass, label_smoothing):
    """Cross-entropy of classes, or of each of several yes-or-no outputs (whose targets the estimator smooths)."""
    if multiclass:
        return AsSklearn(nn.CrossEntropyLoss(label_smoothing=label_smoothing), sums=False, clips=not label_smoothing)
    return AsSklearn(nn.BCEWithLogitsLoss(), clips=not label_smoothing)


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
