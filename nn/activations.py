"""Activations as modules."""
import numpy as np

from . import functional as F
from .checks import choice, count, not_negative, number, positive
from .dtype import real_dtype
from .module import Module
from .parameter import Parameter


class _Simple(Module):
    function = None

    def forward(self, x):
        return type(self).function(x)

    def config(self):
        return {}


class _InPlace(_Simple):
    """inplace is there for programs written for PyTorch, whose results are the same: nothing is ever changed in place."""

    def __init__(self, inplace=False):
        super().__init__()


class Identity(_Simple):
    """y = x"""

    function = staticmethod(F.identity)


class Sigmoid(_Simple):
    """y = 1 / (1 + exp(-x))"""

    function = staticmethod(F.sigmoid)


class Tanh(_Simple):
    """y = tanh x"""

    function = staticmethod(F.tanh)


class ReLU(_InPlace):
    """y = max(x, 0)"""

    function = staticmethod(F.relu)


class SiLU(_InPlace):
    """y = x sigmoid(x)"""

    function = staticmethod(F.silu)


class _WithOptions(_Simple):
    """An activation whose constructor's arguments are its attributes, under the names of its function (inplace as in _InPlace)."""

    def forward(self, x):
        return type(self).function(x, **self.config())

    def config(self):
        return {name: value for name, value in self.__dict__.items() if name in self.options}

    def extra_repr(self):
        return ", ".join(f"{name}={value!r}" for name, value in self.config().items())


class LeakyReLU(_WithOptions):
    """y = x where x >= 0, negative_slope x elsewhere; negative_slope >= 0"""

    function, options = staticmethod(F.leaky_relu), ("negative_slope",)

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__()
        self.negative_slope = not_negative("negative_slope", negative_slope)


class ELU(_WithOptions):
    """y = x where x >= 0, alpha (exp(x) - 1) elsewhere; alpha >= 0. Clevert et al. 2016, arXiv:1511.07289"""

    function, options = staticmethod(F.elu), ("alpha",)

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = not_negative("alpha", alpha)


class CELU(_WithOptions):
    """y = x where x > 0, alpha (exp(x / alpha) - 1) elsewhere; alpha > 0. Barron 2017, arXiv:1704.07483"""

    function, options = staticmethod(F.celu), ("alpha",)

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = positive("alpha", alpha)


class SELU(_InPlace):
    """y = s (x where x > 0, a (exp(x) - 1) elsewhere), s = 1.0507009873554805, a = 1.6732632423543772. Klambauer 2017, arXiv:1706.02515"""

    function = staticmethod(F.selu)


class GELU(_WithOptions):
    """y = x Φ(x), Φ the normal distribution; approximate="tanh": y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2"""

    function, options = staticmethod(F.gelu), ("approximate",)

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = choice("approximate", approximate, ("none", "tanh"))


class Softplus(_WithOptions):
    """y = log(1 + exp(beta x)) / beta where beta x <= threshold, x above; beta > 0.

    With the defaults the function is exact everywhere: nothing overflows, so nothing has to be cut.
    """

    function, options = staticmethod(F.softplus), ("beta", "threshold")

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = positive("beta", beta), number("threshold", threshold, infinite=True)


class Mish(_InPlace):
    """y = x tanh(log(1 + exp(x))). Misra 2019, arXiv:1908.08681"""

    function = staticmethod(F.mish)


class Hardswish(_InPlace):
    """y = x min(max(x + 3, 0), 6) / 6. Howard et al. 2019, arXiv:1905.02244"""

    function = staticmethod(F.hardswish)


class Hardsigmoid(_InPlace):
    """y = min(max(x + 3, 0), 6) / 6"""

    function = staticmethod(F.hardsigmoid)


class Hardtanh(_WithOptions):
    """y = min(max(x, min_val), max_val)"""

    function, options = staticmethod(F.hardtanh), ("min_val", "max_val")

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        super().__init__()
        self.min_val, self.max_val = number("min_val", min_val, infinite=True), number("max_val", max_val, infinite=True)
        if not min_val < max_val:
            raise ValueError(f"max_val must be > min_val = {min_val!r}, got {max_val!r}")


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6)"""

    function = staticmethod(F.relu6)


class LogSigmoid(_Simple):
    """y = -log(1 + exp(-x))"""

    function = staticmethod(F.logsigmoid)


class Softsign(_Simple):
    """y = x / (1 + |x|)"""

    function = staticmethod(F.softsign)


class Softshrink(_WithOptions):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, 0 between; lambd >= 0"""

    function, options = staticmethod(F.softshrink), ("lambd",)

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = not_negative("lambd", lambd)


class Hardshrink(_WithOptions):
    """y = 0 where |x| <= lambd, x elsewhere; lambd >= 0"""

    function, options = staticmethod(F.hardshrink), ("lambd",)

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = not_negative("lambd", lambd)


class Tanhshrink(_Simple):
    """y = x - tanh(x)"""

    function = staticmethod(F.tanhshrink)


class Threshold(_WithOptions):
    """y = x where x > threshold, value elsewhere"""

    function, options = staticmethod(F.threshold), ("threshold", "value")

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold, self.value = number("threshold", threshold, infinite=True), number("value", value, infinite=True)


class RReLU(_WithOptions):
    """y = x where x > 0, a x elsewhere: a uniform in lower..upper for each element in training, (lower + upper) / 2 in evaluation.

    Xu et al. 2015, arXiv:1505.00853
    """

    options = ("lower", "upper")

    def __init__(self, lower=0.125, upper=1 / 3, inplace=False):
        super().__init__()
        self.lower, self.upper = not_negative("lower", lower), not_negative("upper", upper)
        if not lower <= upper:
            raise ValueError(f"0 <= lower <= upper must hold, got lower={lower!r}, upper={upper!r}")

    def forward(self, x):
        return F.rrelu(x, self.lower, self.upper, self.training)


class PReLU(Module):
    """y = x where x > 0, weight x elsewhere; weight (num_parameters,), learned: 1 for all columns, or one for each.

    It starts as init. Weight decay would pull it towards ReLU. He et al. 2015, arXiv:1502.01852
    """

    def __init__(self, num_parameters=1, init=0.25, dtype=None):
        super().__init__()
        self.num_parameters, self.init = count("num_parameters", num_parameters), number("init", init)
        self.weight = Parameter(np.full(self.num_parameters, self.init), dtype=real_dtype(dtype))

    def forward(self, x):
        return F.prelu(x, self.weight)

    def config(self):
        return {"num_parameters": self.num_parameters, "init": self.init, "dtype": str(self.weight.dtype)}

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class Softmax(Module):
    """y[n] = exp(x[n]) / sum of exp(x[n]) over the classes; x (N, C). A loss that takes probabilities merges it into its kernel."""

    def __init__(self, dim=1):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, self.dim)

    def config(self):
        return {"dim": self.dim}


class LogSoftmax(Softmax):
    """y[n] = x[n] - log(sum of exp(x[n]) over the classes); x (N, C)"""

    def forward(self, x):
        return F.log_softmax(x, self.dim)


class Softmin(Softmax):
    """y[n] = softmax of -x[n]; x (N, C)"""

    def forward(self, x):
        return F.softmin(x, self.dim)


class GLU(Softmax):
    """y = a sigmoid(b), a and b the left and right half of the columns of x (N, 2 H). Dauphin et al. 2017, arXiv:1612.08083"""

    def __init__(self, dim=-1):
        super().__init__(dim)

    def forward(self, x):
        return F.glu(x, self.dim)
