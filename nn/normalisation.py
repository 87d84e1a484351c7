"""Layers that normalise: batch norm, layer norm, RMS norm."""
import numpy as np

from . import functional as F
from . import init
from .buffer import Buffer
from .checks import count, flag, number, positive
from .dtype import real_dtype
from .module import Module
from .parameter import Parameter


class BatchNorm1d(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, statistics of each column of x (N, num_features).

    In training they are those of the batch (var over N), and the buffers running_mean, running_var (num_features,) move towards them:
    running = (1 - momentum) running + momentum batch, with the unbiased variance (over N - 1); momentum None: the average over all
    batches. In evaluation the running ones are used, so that a row's output does not depend on the rows around it.
    track_running_stats=False: the batch's own always. affine=False: no weight and bias (which start as ones and zeros).
    A training batch of one row raises ValueError, its variance being 0. Ioffe and Szegedy 2015, arXiv:1502.03167
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, dtype=None):
        super().__init__()
        self.num_features, self.eps = count("num_features", num_features), positive("eps", eps)
        self.momentum = None if momentum is None else number("momentum", momentum, 0, 1)
        self.affine, self.track_running_stats = flag("affine", affine), flag("track_running_stats", track_running_stats)
        dtype = real_dtype(dtype)
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def reset_running_stats(self):
        """Forget all batches."""
        if self.track_running_stats:
            self.running_mean.copy_(np.zeros(self.num_features))
            self.running_var.copy_(np.ones(self.num_features))
            self.num_batches_tracked.copy_(np.zeros((), np.int64))

    def reset_parameters(self):
        """Forget all batches; weight ones, bias zeros."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training or not self.track_running_stats, self.momentum, self.eps, self.num_batches_tracked)

    def config(self):
        held = next((t for t in (self.weight, self.running_mean) if t is not None), None)
        return {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum, "affine": self.affine,
                "track_running_stats": self.track_running_stats, "dtype": None if held is None else str(held.dtype)}

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")


def _one_dimension(normalized_shape):
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if len(shape) != 1:
        raise ValueError(f"normalized_shape must be one dimension, the last of the input, got {normalized_shape!r}")
    return count("normalized_shape", shape[0])


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and var over the last dimension: of each row of x (N, normalized_shape).

    The same in training and evaluation, for any batch. weight (ones) and bias (zeros) (normalized_shape,) where
    elementwise_affine; bias=False leaves out the latter. Ba, Kiros and Hinton 2016, arXiv:1607.06450
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, dtype=None):
        super().__init__()
        size, dtype = _one_dimension(normalized_shape), real_dtype(dtype)
        self.normalized_shape, self.eps = (size,), positive("eps", eps)
        self.elementwise_affine = flag("elementwise_affine", elementwise_affine)
        self.weight = Parameter(np.ones(size, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(size, dtype)) if elementwise_affine and flag("bias", bias) else None

    def reset_parameters(self):
        """weight ones, bias zeros"""
        for p, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if p is not None:
                init.constant_(p, value)

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def config(self):
        return {"normalized_shape": self.normalized_shape[0], "eps": self.eps, "elementwise_affine": self.elementwise_affine,
                "bias": self.bias is not None, "dtype": None if self.weight is None else str(self.weight.dtype)}

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """y = x / sqrt(mean of x² + eps) * weight, the mean over the last dimension: of each row of x (N, normalized_shape).

    eps None: the spacing of floats at 1 (1.2e-7 in float32, 2.2e-16 in float64). weight starts as ones.
    Zhang and Sennrich 2019, arXiv:1910.07467
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, dtype=None):
        super().__init__()
        size = _one_dimension(normalized_shape)
        self.normalized_shape, self.elementwise_affine = (size,), flag("elementwise_affine", elementwise_affine)
        self.eps = None if eps is None else positive("eps", eps)
        self.weight = Parameter(np.ones(size, real_dtype(dtype))) if elementwise_affine else None

    def reset_parameters(self):
        """weight ones"""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def config(self):
        return {"normalized_shape": self.normalized_shape[0], "eps": self.eps, "elementwise_affine": self.elementwise_affine,
                "dtype": None if self.weight is None else str(self.weight.dtype)}

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
