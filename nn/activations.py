"""Activations as modules."""
from . import functional as F
from .module import Module


class _Simple(Module):
    function = None

    def forward(self, x):
        return type(self).function(x)

    def config(self):
        return {}


class Identity(_Simple):
    """y = x"""

    function = staticmethod(F.identity)


class Sigmoid(_Simple):
    """y = 1 / (1 + exp(-x))"""

    function = staticmethod(F.sigmoid)


class Tanh(_Simple):
    """y = tanh x"""

    function = staticmethod(F.tanh)


class ReLU(_Simple):
    """y = max(x, 0)"""

    function = staticmethod(F.relu)


class GELU(_Simple):
    """y = x Φ(x), Φ the normal distribution (the exact form, not the tanh approximation)"""

    function = staticmethod(F.gelu)


class SiLU(_Simple):
    """y = x sigmoid(x)"""

    function = staticmethod(F.silu)


class Softplus(_Simple):
    """y = log(1 + exp(x))"""

    function = staticmethod(F.softplus)


class LeakyReLU(Module):
    """y = x where x >= 0, negative_slope x elsewhere; negative_slope >= 0"""

    def __init__(self, negative_slope=0.01):
        super().__init__()
        self.negative_slope = float(F.not_negative("negative_slope", negative_slope))

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope)

    def config(self):
        return {"negative_slope": self.negative_slope}

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """y = x where x >= 0, alpha (exp(x) - 1) elsewhere; alpha >= 0"""

    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = float(F.not_negative("alpha", alpha))

    def forward(self, x):
        return F.elu(x, self.alpha)

    def config(self):
        return {"alpha": self.alpha}

    def extra_repr(self):
        return f"alpha={self.alpha}"


class Softmax(Module):
    """y[n] = exp(x[n]) / sum of exp(x[n]) over the classes; x (N, C). A loss that takes probabilities merges it into its kernel."""

    def __init__(self, dim=1):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, self.dim)

    def config(self):
        return {"dim": self.dim}
