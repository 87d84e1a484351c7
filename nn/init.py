"""Initialisers, in PyTorch's names: each writes into a parameter and returns it. Randomness: vivace.manual_seed."""
import math
from statistics import NormalDist

import numpy as np

from . import random
from .buffer import Buffer
from .checks import choice, number
from .parameter import Parameter

GAINS = {"linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps the variance through `nonlinearity`; leaky_relu: sqrt(2 / (1 + param²)), param its slope (0.01)."""
    choice("nonlinearity", nonlinearity, (*GAINS, "leaky_relu"))
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else number("param", param)) ** 2))
    return GAINS[nonlinearity]


def _write(tensor, draw):
    """Write draw(generator, shape) into `tensor`, which must have room that stays."""
    if not isinstance(tensor, (Parameter, Buffer)):
        raise TypeError(f"tensor must be a Parameter (or a Buffer), got {type(tensor).__name__}")
    return tensor.copy_(draw(random.generator(), tensor.shape))


def _fans(tensor):
    if getattr(tensor, "ndim", None) != 2:
        raise ValueError(f"tensor must be a weight of shape (O, I), got {getattr(tensor, 'shape', tensor)!r}")
    return tensor.shape[1], tensor.shape[0]


def uniform_(tensor, a=0.0, b=1.0):
    """Uniform in a..b"""
    number("b", b, low=number("a", a))
    return _write(tensor, lambda generator, shape: generator.uniform(a, b, shape))


def normal_(tensor, mean=0.0, std=1.0):
    """Normal; small random weights are std=0.01"""
    number("mean", mean)
    number("std", std, low=0)
    return _write(tensor, lambda generator, shape: generator.normal(mean, std, shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Normal within a..b, by the inverse of the distribution function; a and b are values, not multiples of std"""
    number("mean", mean)
    number("std", std, above=0)
    number("b", b, above=number("a", a, infinite=True), infinite=True)
    side = 1.0 if a + b <= 2 * mean else -1.0  # in the left tail the function has digits that it lacks near 1
    low, high = sorted((side * (a - mean) / std, side * (b - mean) / std))
    normal = NormalDist()
    first, last = normal.cdf(low), normal.cdf(high)

    def draw(generator, shape):
        chances = np.clip(generator.uniform(first, last, shape), 1e-300, 1 - 2.0 ** -53)
        found = np.fromiter(map(normal.inv_cdf, chances.reshape(-1)), np.float64, chances.size).reshape(shape)
        return np.clip(mean + side * std * found, a, b)
    return _write(tensor, draw)


def constant_(tensor, val):
    """Every element `val`"""
    number("val", val, infinite=True)
    return _write(tensor, lambda generator, shape: np.full(shape, val))


def zeros_(tensor):
    """Zeros"""
    return constant_(tensor, 0.0)


def ones_(tensor):
    """Ones"""
    return constant_(tensor, 1.0)


def eye_(tensor):
    """The identity: ones where row and column are the same, for a weight (O, I)"""
    inputs, outputs = _fans(tensor)
    return _write(tensor, lambda generator, shape: np.eye(outputs, inputs))


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal of variance gain² / fan, gain of leaky_relu with slope a (0: ReLU). He et al. 2015, arXiv:1502.01852"""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform of variance gain² / fan. He et al. 2015, arXiv:1502.01852"""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def _kaiming_std(tensor, a, mode, nonlinearity):
    choice("mode", mode, ("fan_in", "fan_out"))
    return calculate_gain(nonlinearity, number("a", a)) / math.sqrt(_fans(tensor)[mode == "fan_out"])


def xavier_normal_(tensor, gain=1.0):
    """Normal of variance 2 gain² / (fan_in + fan_out). Glorot and Bengio 2010"""
    return normal_(tensor, 0.0, number("gain", gain, low=0) * math.sqrt(2 / sum(_fans(tensor))))


def xavier_uniform_(tensor, gain=1.0):
    """Uniform of variance 2 gain² / (fan_in + fan_out). Glorot and Bengio 2010"""
    bound = number("gain", gain, low=0) * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def lecun_normal_(tensor):
    """Normal of variance 1 / fan_in. LeCun et al. 1998, "Efficient BackProp" """
    return normal_(tensor, 0.0, math.sqrt(1 / _fans(tensor)[0]))


def lecun_uniform_(tensor):
    """Uniform of variance 1 / fan_in. LeCun et al. 1998, "Efficient BackProp" """
    bound = math.sqrt(3 / _fans(tensor)[0])
    return uniform_(tensor, -bound, bound)


def orthogonal_(tensor, gain=1.0):
    """Rows (or columns, where there are more rows) orthonormal, times gain. Saxe et al. 2013, arXiv:1312.6120"""
    number("gain", gain)
    inputs, outputs = _fans(tensor)

    def draw(generator, shape):
        q, r = np.linalg.qr(generator.normal(size=(max(inputs, outputs), min(inputs, outputs))))
        q *= np.sign(np.diag(r))
        return gain * (q if outputs >= inputs else q.T)
    return _write(tensor, draw)


def sparse_(tensor, sparsity, std=0.01):
    """Normal, with zeros in ceil(sparsity O) elements of each column of a weight (O, I): of what each input gives. Martens 2010"""
    number("sparsity", sparsity, 0, 1)
    number("std", std, low=0)
    _, outputs = _fans(tensor)

    def draw(generator, shape):
        values = generator.normal(0.0, std, shape)
        values[generator.random(shape).argsort(axis=0).argsort(axis=0) < math.ceil(sparsity * outputs)] = 0
        return values
    return _write(tensor, draw)
