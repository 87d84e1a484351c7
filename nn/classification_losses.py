"""Losses of classes beside cross-entropy: margins, focal losses, and the divergence of distributions."""
import numpy as np

from . import ops
from .checks import flag, not_negative, number, weights
from .loss_value import linked_input
from .losses import TABLE, BinaryLoss, CrossEntropyLoss, Loss, labels, same_length
from .regression_losses import at_least


class HingeLoss(Loss):
    """mean of max(0, margin - t y), t = 1 or -1 (targets 0 count as -1): the loss of support vector machines; y > 0 is class 1.

    squared: the square of it, which is smooth.
    """

    binary, threshold = True, 0.0

    def __init__(self, margin=1.0, squared=False, reduction="mean"):
        super().__init__(reduction)
        self.margin, self.squared = not_negative("margin", margin), flag("squared", squared)

    def target(self, target, outputs, dtype):
        return _signs(super().target(target, outputs, dtype), (-1, 0, 1))

    def operation(self, labels, logits):
        return ops.Loss("hinge_error", self.reduction == "mean", margin=self.margin, squared=self.squared)

    def config(self):
        return {"margin": self.margin, "squared": self.squared, **super().config()}


class HingeEmbeddingLoss(Loss):
    """mean of y where t = 1 and max(0, margin - y) where t = -1: y is a distance, small for what is alike"""

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = not_negative("margin", margin)

    def target(self, target, outputs, dtype):
        return _signs(super().target(target, outputs, dtype), (-1, 1))

    def operation(self, labels, logits):
        return ops.Loss("hinge_embedding_error", self.reduction == "mean", margin=self.margin)

    def config(self):
        return {"margin": self.margin, **super().config()}


class MultiMarginLoss(Loss):
    """mean over rows of weight[t] sum over i != t of max(0, margin - z[t] + z[i])^p / C; t (N,) classes 0..C-1, p = 1 or 2.

    As in PyTorch the mean is not over the class weights (C,), unlike CrossEntropyLoss. Source: Crammer and Singer 2001.
    """

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean"):
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, got {p!r}")
        self.p, self.margin = int(p), not_negative("margin", margin)
        self.weight = None if weight is None else weights("weight", weight)

    def target(self, target, outputs, dtype):
        same_length("weight", self.weight, outputs)
        return labels(target, outputs)

    def operation(self, labels, logits):
        weight = np.ones(1) if self.weight is None else self.weight
        return ops.Loss("multi_margin", self.reduction == "mean", [weight], margin=self.margin, p=self.p)

    def config(self):
        return {"p": self.p, "margin": self.margin, "weight": None if self.weight is None else self.weight.tolist(), **super().config()}


class FocalLoss(CrossEntropyLoss):
    """mean of -(1 - p)^gamma log p, p = softmax(z)[t]: cross-entropy that turns away from what is already right. gamma = 0 is that.

    target: classes (N,); weight (C,), ignore_index and the mean as in CrossEntropyLoss. Source: Lin et al. 2017, arXiv:1708.02002.
    """

    def __init__(self, gamma=2.0, weight=None, reduction="mean", ignore_index=-100):
        super().__init__(weight=weight, reduction=reduction, ignore_index=ignore_index)
        self.gamma = not_negative("gamma", gamma)

    def source(self, z):
        return linked_input(z, "softmax", True, "FocalLoss")

    def target(self, target, outputs, dtype):
        same_length("weight", self.weight, outputs)
        return labels(target, outputs, self.ignore_index)

    def operation(self, labels, logits):
        return ops.Loss("softmax_focal", self.reduction == "mean", gamma=self.gamma)

    def config(self):
        config = super().config()
        return {"gamma": self.gamma, **{name: config[name] for name in ("weight", "reduction", "ignore_index")}}


class BinaryFocalLoss(BinaryLoss):
    """mean of a (1 - p)^gamma times the binary cross-entropy of logits, p the probability given to the target.

    alpha: a = alpha for targets 1 and 1 - alpha for targets 0; None: a = 1. Defaults as torchvision's sigmoid_focal_loss.
    Source: Lin et al. 2017, arXiv:1708.02002.
    """

    threshold = 0.0

    def __init__(self, gamma=2.0, alpha=0.25, reduction="mean"):
        super().__init__(reduction)
        self.gamma = not_negative("gamma", gamma)
        self.alpha = None if alpha is None else number("alpha", alpha, 0, 1)

    def source(self, z):
        return linked_input(z, "sigmoid", True, "BinaryFocalLoss")

    def operation(self, labels, logits):
        return ops.Loss("sigmoid_focal", self.reduction == "mean", gamma=self.gamma, alpha=-1.0 if self.alpha is None else self.alpha)

    def config(self):
        return {"gamma": self.gamma, "alpha": self.alpha, **super().config()}


class KLDivLoss(Loss):
    """mean of t (log t - y): the divergence of the distribution exp(y) from t, y being logarithms of probabilities (N, C).

    log_target: t are logarithms too. reduction: "mean" over all elements as in PyTorch; "batchmean", over rows, is the divergence
    as mathematics has it; "sum".
    """

    reductions = ("mean", "batchmean", "sum")

    def __init__(self, reduction="mean", log_target=False):
        super().__init__(reduction)
        self.log_target = flag("log_target", log_target)

    def target(self, target, outputs, dtype):
        array = super().target(target, outputs, dtype)
        return array if self.log_target else at_least(array)

    def operation(self, labels, logits):
        return ops.Loss("kl_divergence", self.reduction != "sum", log_target=self.log_target, per_row=self.reduction == "batchmean")

    def config(self):
        return {**super().config(), "log_target": self.log_target}


def _signs(array, known):
    if not np.isin(array, known).all():
        wrong = array[~np.isin(array, known)][0]
        raise ValueError(f"target must be {'1 or -1' if len(known) == 2 else '1 or -1 (or 1 and 0)'}, got {wrong}")
    return np.where(array > 0, 1, -1).astype(array.dtype)


TABLE.update({cls.__name__: cls for cls in (HingeLoss, HingeEmbeddingLoss, MultiMarginLoss, FocalLoss, BinaryFocalLoss, KLDivLoss)})
