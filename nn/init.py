"""Initialisers, in PyTorch's names: each writes into a parameter and returns it. Randomness: vivace.manual_seed."""
import math

import numpy as np

from . import random

GAINS = {"linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps the variance through `nonlinearity`; leaky_relu: sqrt(2 / (1 + param²)), param its slope (0.01)."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"nonlinearity must be one of {', '.join([*GAINS, 'leaky_relu'])}, got {nonlinearity!r}")
    return GAINS[nonlinearity]


def _fans(p):
    if p.ndim != 2:
        raise ValueError(f"this initialiser needs a weight of shape (O, I), got {p.shape}")
    return p.shape[1], p.shape[0]


def uniform_(p, a=0.0, b=1.0):
    """Uniform in a..b"""
    return p.copy_(random.generator().uniform(a, b, p.shape))


def normal_(p, mean=0.0, std=1.0):
    """Normal; small random weights are std=0.01"""
    return p.copy_(random.generator().normal(mean, std, p.shape))


def constant_(p, value):
    """Every element `value`"""
    return p.copy_(np.full(p.shape, value))


def zeros_(p):
    """Zeros"""
    return constant_(p, 0.0)


def ones_(p):
    """Ones"""
    return constant_(p, 1.0)


def kaiming_normal_(p, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal of variance gain² / fan, gain of leaky_relu with slope a (0: ReLU). He et al. 2015, arXiv:1502.01852"""
    return normal_(p, 0.0, _kaiming_std(p, a, mode, nonlinearity))


def kaiming_uniform_(p, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform of variance gain² / fan. He et al. 2015, arXiv:1502.01852"""
    bound = math.sqrt(3) * _kaiming_std(p, a, mode, nonlinearity)
    return uniform_(p, -bound, bound)


def _kaiming_std(p, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(p)[mode == "fan_out"])


def xavier_normal_(p, gain=1.0):
    """Normal of variance 2 gain² / (fan_in + fan_out). Glorot and Bengio 2010"""
    return normal_(p, 0.0, gain * math.sqrt(2 / sum(_fans(p))))


def xavier_uniform_(p, gain=1.0):
    """Uniform of variance 2 gain² / (fan_in + fan_out). Glorot and Bengio 2010"""
    bound = gain * math.sqrt(6 / sum(_fans(p)))
    return uniform_(p, -bound, bound)


def lecun_normal_(p):
    """Normal of variance 1 / fan_in. LeCun et al. 1998, "Efficient BackProp" """
    return normal_(p, 0.0, math.sqrt(1 / _fans(p)[0]))


def lecun_uniform_(p):
    """Uniform of variance 1 / fan_in. LeCun et al. 1998, "Efficient BackProp" """
    bound = math.sqrt(3 / _fans(p)[0])
    return uniform_(p, -bound, bound)


def orthogonal_(p, gain=1.0):
    """Rows (or columns, where there are more rows) orthonormal, times gain. Saxe et al. 2013, arXiv:1312.6120"""
    inputs, outputs = _fans(p)
    q, r = np.linalg.qr(random.generator().normal(size=(max(inputs, outputs), min(inputs, outputs))))
    q *= np.sign(np.diag(r))
    return p.copy_(gain * (q if outputs >= inputs else q.T))
