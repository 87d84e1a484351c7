"""Losses of real targets beside MSELoss: robust ones, quantiles, and the likelihoods of counts, amounts and uncertain values."""
import numpy as np

from . import eager_ops, ops
from .checks import flag, not_negative, positive
from .losses import TABLE, Loss
from .tensor import apply, as_tensor


class L1Loss(Loss):
    """mean of |y - t| over all elements (MAE): the median, unmoved by outliers. The gradient at y = t is 0."""

    def operation(self, labels, logits):
        return ops.Loss("absolute_error", self.reduction == "mean")


class HuberLoss(Loss):
    """mean of d² / 2 where |d| <= delta and delta (|d| - delta / 2) beyond, d = y - t: a parabola with straight arms"""

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction)
        self.delta = positive("delta", delta)

    def operation(self, labels, logits):
        return ops.Loss("huber_error", self.reduction == "mean", delta=self.delta, scale=1.0)

    def config(self):
        return {**super().config(), "delta": self.delta}


class SmoothL1Loss(Loss):
    """mean of d² / (2 beta) where |d| < beta and |d| - beta / 2 beyond: HuberLoss(delta=beta) / beta. beta = 0 is L1Loss"""

    def __init__(self, reduction="mean", beta=1.0):
        super().__init__(reduction)
        self.beta = not_negative("beta", beta)

    def operation(self, labels, logits):
        mean = self.reduction == "mean"
        if not self.beta:
            return ops.Loss("absolute_error", mean)
        return ops.Loss("huber_error", mean, delta=self.beta, scale=1 / self.beta)

    def config(self):
        return {**super().config(), "beta": self.beta}


class QuantileLoss(Loss):
    """mean of max(q d, (q - 1) d), d = t - y (pinball loss): its minimum is the q-quantile of the targets.

    quantile: a number in 0..1, or one per output (O,). With one target and several quantiles the target is repeated by itself.
    Source: Koenker and Bassett 1978.
    """

    def __init__(self, quantile=0.5, reduction="mean"):
        super().__init__(reduction)
        wrong = ValueError(f"quantile must be a number in 0..1 or one per output, got {quantile!r}")
        try:
            self.quantile = np.atleast_1d(np.asarray(quantile, np.float64)).tolist()
        except (TypeError, ValueError):
            raise wrong from None
        if np.ndim(quantile) > 1 or not self.quantile or not all(0 <= q <= 1 for q in self.quantile):
            raise wrong

    def target(self, target, outputs, dtype):
        if len(self.quantile) not in (1, outputs):
            raise ValueError(f"quantile must be a number or one per output ({outputs}), got {len(self.quantile)} of them")
        array = np.asarray(target)
        if len(self.quantile) > 1 and (array.ndim == 1 or array.shape[1:] == (1,)):
            target = np.repeat(array.reshape(-1, 1), outputs, axis=1)
        return super().target(target, outputs, dtype)

    def operation(self, labels, logits):
        return ops.Loss("quantile_error", self.reduction == "mean", [np.array(self.quantile)])

    def config(self):
        return {"quantile": self.quantile, **super().config()}


class PoissonNLLLoss(Loss):
    """mean of exp(y) - t y: counts t >= 0 of a Poisson distribution, y the logarithm of its rate (exp(trainer.predict(X))).

    log_input=False: y is the rate: y - t log(y + eps). full: plus Stirling's t log t - t + log(2 pi t) / 2 where t > 1.
    """

    def __init__(self, log_input=True, full=False, eps=1e-8, reduction="mean"):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = flag("log_input", log_input), flag("full", full), positive("eps", eps)

    def target(self, target, outputs, dtype):
        return at_least(super().target(target, outputs, dtype))

    def operation(self, labels, logits):
        return ops.Loss("poisson_error", self.reduction == "mean", eps=self.eps, log_input=self.log_input, full=self.full)

    def config(self):
        return {"log_input": self.log_input, "full": self.full, "eps": self.eps, **super().config()}


class TweedieLoss(Loss):
    """Half the deviance of a Tweedie distribution, variance mu^power, without the terms of t alone; y = log mu:

    mean of mu^(2 - p) / (2 - p) - t mu^(1 - p) / (1 - p). power: 0 normal, 1 Poisson, between 1 and 2 amounts that are often
    exactly 0 (rain, claims), 2 gamma, 3 inverse Gaussian. log_input=False: y is mu, at least eps.
    Targets: any for power 0, >= 0 below 2, > 0 from 2 on. Source: Jorgensen 1987; the half losses of scikit-learn.
    """

    def __init__(self, power=1.5, log_input=True, eps=1e-8, reduction="mean"):
        super().__init__(reduction)
        self.power = not_negative("power", power)
        if 0 < self.power < 1:
            raise ValueError(f"power must be 0 or at least 1: there is no Tweedie distribution between, got {power!r}")
        self.log_input, self.eps = flag("log_input", log_input), positive("eps", eps)

    def target(self, target, outputs, dtype):
        array = super().target(target, outputs, dtype)
        return array if self.power == 0 else at_least(array, above=self.power >= 2)

    def operation(self, labels, logits):
        return ops.Loss("tweedie_error", self.reduction == "mean", power=self.power, eps=self.eps, log_input=self.log_input)

    def config(self):
        return {"power": self.power, "log_input": self.log_input, "eps": self.eps, **super().config()}


class GammaLoss(TweedieLoss):
    """mean of y + t exp(-y): positive targets of a gamma distribution, whose spread grows with their mean; y the logarithm of the mean.

    log_input=False: log y + t / y, y at least eps.
    """

    def __init__(self, log_input=True, eps=1e-8, reduction="mean"):
        super().__init__(2.0, log_input, eps, reduction)

    def config(self):
        return {"log_input": self.log_input, "eps": self.eps, "reduction": self.reduction}


class GaussianNLLLoss(Loss):
    """mean of (log v + (m - t)² / v) / 2: a mean m and its uncertainty v for every target.

    input (N, 2 D) holds the means of D targets, then their variances, so a network has two outputs per target; or, as in PyTorch,
    loss(m, target, v). v below eps counts as eps. log_variance=True: the second half is log v, which any linear layer may give
    (variances need a Softplus). full adds log(2 pi) / 2. Source: Nix and Weigend 1994.
    """

    def __init__(self, full=False, eps=1e-6, reduction="mean", log_variance=False):
        super().__init__(reduction)
        self.full, self.eps, self.log_variance = flag("full", full), positive("eps", eps), flag("log_variance", log_variance)

    def forward(self, input, target, var=None, weight=None):
        return super().forward(input if var is None else self._side_by_side(input, var), target, weight)

    def _side_by_side(self, mean, var):
        mean = self.predictions(mean)
        var = as_tensor(var, mean.dtype)
        if var.ndim == 1 and mean.shape[1] == 1:
            var = apply(eager_ops.Reshape((-1, 1)), var)
        if var.shape != mean.shape:
            if var.shape not in ((), (1,), (mean.shape[0], 1)):
                raise ValueError(f"var must have shape {mean.shape} like the input, ({mean.shape[0]}, 1) or one number, got {var.shape}")
            var = apply(eager_ops.Broadcast(mean.shape), var)
        if not self.log_variance and (var.numpy() < 0).any():
            raise ValueError(f"var must not be negative, got {var.numpy().min()}")
        return apply(ops.Concatenate(), mean, var)

    def target(self, target, outputs, dtype):
        if outputs % 2:
            raise ValueError(f"GaussianNLLLoss needs an input (N, 2 D) of means and variances, got {outputs} columns")
        return super().target(target, outputs // 2, dtype)

    def operation(self, labels, logits):
        return ops.Loss("gaussian_nll", self.reduction == "mean", halves=True, eps=self.eps, full=self.full,
                        log_variance=self.log_variance)

    def config(self):
        return {"full": self.full, "eps": self.eps, "reduction": self.reduction, "log_variance": self.log_variance}


def at_least(array, above=False):
    """The targets, which must be >= 0, or > 0."""
    if array.size and (array.min() < 0 or above and array.min() == 0):
        raise ValueError(f"target must be {'> 0' if above else '>= 0'}, got {array.min()}")
    return array


TABLE.update({cls.__name__: cls for cls in (L1Loss, HuberLoss, SmoothL1Loss, QuantileLoss, PoissonNLLLoss, TweedieLoss, GammaLoss,
                                            GaussianNLLLoss)})
