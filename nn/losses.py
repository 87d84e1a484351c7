"""Losses as modules. Each knows its kernel, how it reads targets, and the link that turns raw outputs into what users expect."""
import numpy as np

from ..kernels.checks import labels_within
from . import eager_ops, ops
from .checks import choice, flag, number, weights
from .loss_value import linked_input, loss_value
from .module import Module
from .tensor import Tensor, apply, as_tensor, grad_enabled


class Loss(Module):
    """A loss: loss(input, target, weight=None), weight (N,) being row weights.

    reduction: "mean" (sum of w l / sum of w over the batch, a row's loss being the mean over its outputs) or "sum" (over all elements).
    """

    link = None  # activation that makes probabilities of raw outputs
    binary = False  # whether each output is a class of its own, there or not
    threshold = 0.5  # a binary output above it is class 1
    any_target = False  # whether every finite (N, O) array of the input's type is a target, as it stands
    reductions = ("mean", "sum")

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = choice("reduction", reduction, self.reductions)

    def forward(self, input, target, weight=None):
        z = self.predictions(input)
        op, z, array, weight = self.plan(z, target, weight)
        return loss_value(op, z, array, weight)

    def predictions(self, input):
        """The input as a tensor (N, O)."""
        z = as_tensor(input)
        dimensions = len(z.shape)
        if dimensions == 1 and not z.traced:
            return apply(eager_ops.Reshape((-1, 1)), z)
        if dimensions != 2:
            raise ValueError(f"input must have shape (N, outputs), got {z.shape}")
        return z

    def plan(self, z, target, weight):
        """(operation, tensor it reads, prepared target, prepared row weights)."""
        array = self.target(target, z.shape[1], z.dtype)
        _same_rows("target", array, z)
        z, logits = self.source(z)
        return self.operation(array.dtype == np.int64, logits), z, array, self.row_weight(array, weight, z.dtype)

    def source(self, z):
        """(tensor the kernel reads, whether it is logits)."""
        return z, False

    def operation(self, labels, logits):
        """The graph operation, for targets that are labels or not, on logits or not."""
        raise NotImplementedError

    def target(self, target, outputs, dtype):
        """`target` as a C-contiguous array that the kernel takes; raises with the expected shape."""
        array = _numbers("target", target)
        if array.ndim == 1 and outputs == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != outputs:
            raise ValueError(f"target must have shape (N, {outputs}) like the input, got {array.shape}")
        return np.ascontiguousarray(array, dtype)

    def row_weight(self, target, weight, dtype):
        """Row weights (N,) or None."""
        if weight is None:
            return None
        weight = _numbers("weight", weight)
        if weight.shape != target.shape[:1]:
            raise ValueError(f"weight must have shape (N,) = {target.shape[:1]}, got {weight.shape}")
        if (weight < 0).any() or not np.isfinite(weight).all():
            raise ValueError("weight must be finite and not negative")
        return np.ascontiguousarray(weight, dtype)

    def config(self):
        return {"reduction": self.reduction}


class MSELoss(Loss):
    """mean of (y - t)² over all elements. Targets (N,) and (N, 1) are the same; nothing else is broadcast."""

    any_target = True

    def operation(self, labels, logits):
        return ops.Loss("squared_error", self.reduction == "mean")


class CrossEntropyLoss(Loss):
    """-log of the probability given to the class; softmax merged in.

    from_logits: inputs are raw scores (True), or probabilities (False); then a Softmax that made them is merged into the kernel.
    target: classes 0..C-1 (N,), or probabilities (N, C). label_smoothing s: target q = (1 - s) onehot + s / C (or (1 - s) target + s / C).
    weight (C,): class weights, for targets that are classes. As in PyTorch a row's loss is then the sum of weight[c] q[c] -log p[c], and
    the mean divides by the sum of weight[target]. With label_smoothing a weight of 0 counts as 2^-60 of the largest one.
    Rows whose class is ignore_index count nothing (a mean over none is 0).
    """

    link = "softmax"

    def __init__(self, from_logits=True, label_smoothing=0.0, weight=None, reduction="mean", ignore_index=-100):
        super().__init__(reduction)
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
            raise ValueError(f"ignore_index must be an int, got {ignore_index!r}")
        self.ignore_index = int(ignore_index)
        self.from_logits, self.label_smoothing = flag("from_logits", from_logits), number("label_smoothing", label_smoothing, 0, 1)
        if label_smoothing and not from_logits:
            raise ValueError("label_smoothing needs from_logits=True")
        self.weight = None if weight is None else weights("weight", weight)

    def source(self, z):
        return linked_input(z, "softmax", self.from_logits, "CrossEntropyLoss")

    def operation(self, labels, logits):
        mean = self.reduction == "mean"
        if not logits:
            return ops.Loss("cross_entropy" if labels else "cross_entropy_soft", mean)
        if labels and self.weight is not None and self.label_smoothing:
            return ops.Loss("softmax_cross_entropy_weighted", mean, [self._class_weights()], label_smoothing=self.label_smoothing)
        if labels:
            return ops.Loss("softmax_cross_entropy", mean, label_smoothing=self.label_smoothing)
        return ops.Loss("softmax_cross_entropy_soft", mean)

    def target(self, target, outputs, dtype):
        array = _numbers("target", target)
        if array.ndim == 2 and array.shape[1] == outputs and (outputs > 1 or array.dtype.kind == "f"):
            s = dtype.type(self.label_smoothing) if self.label_smoothing else 0
            soft = np.ascontiguousarray(array, dtype)
            return soft * (1 - s) + s / outputs if s else soft
        if self.weight is not None and len(self.weight) != outputs:
            raise ValueError(f"weight must have shape (C,) = ({outputs},), got ({len(self.weight)},)")
        return labels(array, outputs, self.ignore_index, f"(N,) of classes or (N, {outputs}) of probabilities")

    def _class_weights(self):
        """The class weights in float64. Those of 0 that smoothing makes divisors of become 2^-60 of the largest: nothing beside the
        others in any sum, while the share of the smoothed target that a row of such a class has on the other classes stays."""
        v = self.weight
        return np.where(v == 0, v.max(initial=0) * 2.0 ** -60, v) if self.label_smoothing else v

    def row_weight(self, target, weight, dtype):
        """Row weights times those of the classes; a row to ignore gets 0, and in `target` class 0, which then counts nothing."""
        weight = None if weight is None else super().row_weight(target, weight, dtype)
        ignored = _ignored(target, self.ignore_index)
        if ignored is not None:
            weight = np.where(ignored, 0, np.ones(len(target), dtype) if weight is None else weight).astype(dtype)
            target[ignored] = 0
        if self.weight is None:
            return weight
        if target.dtype != np.int64:
            raise ValueError("class weights need targets that are classes, got probabilities")
        by_class = self._class_weights().astype(dtype)[target]
        return by_class if weight is None else weight * by_class

    def config(self):
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing,
                "weight": None if self.weight is None else self.weight.tolist(), "reduction": self.reduction,
                "ignore_index": self.ignore_index}


class BinaryLoss(Loss):
    """A loss whose outputs are classes of their own, with targets in 0..1."""

    link = "sigmoid"
    binary = True

    def target(self, target, outputs, dtype):
        array = super().target(target, outputs, dtype)
        if array.size and (array.min() < 0 or array.max() > 1):
            raise ValueError(f"target must lie in 0..1, got {array.min() if array.min() < 0 else array.max()}")
        return array

    def operation(self, labels, logits):
        return ops.Loss("binary_cross_entropy_logits" if logits else "binary_cross_entropy", self.reduction == "mean")


class BCELoss(BinaryLoss):
    """-(t log p + (1 - t) log(1 - p)), mean over all elements, p probabilities; a Sigmoid that made them is merged into the kernel"""

    def source(self, z):
        return linked_input(z, "sigmoid", False, "BCELoss")


class BCEWithLogitsLoss(BinaryLoss):
    """Binary cross-entropy of sigmoid(z), mean over all elements, safe for any finite z.

    pos_weight: a number, or one per output (O,): how much more a positive counts, for classes that are rare.
    """

    threshold = 0.0

    def __init__(self, reduction="mean", pos_weight=None):
        super().__init__(reduction)
        self.pos_weight = None if pos_weight is None else weights("pos_weight", pos_weight, "(O,)")

    def target(self, target, outputs, dtype):
        same_length("pos_weight", self.pos_weight, outputs, "(O,)")
        return super().target(target, outputs, dtype)

    def operation(self, labels, logits):
        if self.pos_weight is None:
            return super().operation(labels, logits)
        return ops.Loss("weighted_binary_cross_entropy_logits", self.reduction == "mean", [self.pos_weight])

    def config(self):
        return {**super().config(), "pos_weight": None if self.pos_weight is None else self.pos_weight.tolist()}

    def source(self, z):
        return linked_input(z, "sigmoid", True, "BCEWithLogitsLoss")


def labels(target, classes, ignored=None, shapes="(N,) of classes"):
    """`target` as int64 labels (N,) in 0..classes-1, some of them `ignored`, in an array of their own if there are such."""
    array = _numbers("target", target)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"target must have shape {shapes}, got {array.shape}")
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        raise ValueError(f"target must hold classes 0..{classes - 1}, got {array[array != np.floor(array)][0]}")
    if not labels_within(array, classes):
        wrong = array[((array < 0) | (array >= classes)) & (True if ignored is None else array != ignored)]
        if len(wrong):
            raise ValueError(f"target must hold classes 0..{classes - 1}, got {wrong[0]}")
    found = np.ascontiguousarray(array, np.int64)
    return found if ignored is None or _ignored(found, ignored) is None else np.array(found)


def _ignored(target, label):
    """Which of the int64 labels are `label`, or None where none is; of a negative one that is seen in a single pass."""
    if target.dtype != np.int64 or label < 0 and labels_within(target, _MOST):
        return None
    found = target == label
    return found if found.any() else None


_MOST = np.iinfo(np.int64).max


def same_length(name, array, outputs, letters="(C,)"):
    """Raise unless `array` is None, one number for all, or one per output."""
    if array is not None and len(array) not in (1, outputs):
        raise ValueError(f"{name} must have shape {letters} = ({outputs},), got ({len(array)},)")


def _numbers(name, value):
    if isinstance(value, Tensor) and value.requires_grad and grad_enabled():
        raise ValueError(f"{name} must not require a gradient, which a loss gives its input alone: {name}.detach(), or tensor operations")
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}; vivace.estimators encode text labels")
    return array


def _same_rows(name, array, z):
    if not z.traced and len(array) != z.shape[0]:
        raise ValueError(f"{name} must have N = {len(z)} rows like the input, got {len(array)}")


TABLE = {cls.__name__: cls for cls in (MSELoss, CrossEntropyLoss, BCELoss, BCEWithLogitsLoss)}
"""Losses by name: what a saved file may hold; regression_losses.py and classification_losses.py add theirs."""
