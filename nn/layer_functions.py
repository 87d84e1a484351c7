"""Layers as functions, in PyTorch's names: further activations, normalisation, embedding, noise."""
import numpy as np

from . import eager_ops, layer_ops, ops
from .calls import activation, along_last, as_rows, drawn, real
from .checks import choice, not_negative, positive
from .tensor import Tensor, apply, as_tensor, wrap

__all__ = ["batch_norm", "celu", "embedding", "embedding_bag", "flatten", "gaussian_noise", "glu", "hardshrink", "hardsigmoid",
           "hardswish", "hardtanh", "layer_norm", "log_softmax", "logsigmoid", "mish", "prelu", "relu6", "rms_norm", "rrelu", "selu",
           "softmin", "softshrink", "softsign", "tanhshrink", "threshold"]


# --- activations
def selu(input):
    """1.0507 (x where x > 0, 1.6733 (exp(x) - 1) elsewhere)"""
    return activation("selu")(input)


def celu(input, alpha=1.0):
    """x where x > 0, alpha (exp(x / alpha) - 1) elsewhere; alpha > 0"""
    return activation("celu", positive("alpha", alpha))(input)


def mish(input):
    """x tanh(log(1 + exp(x)))"""
    return activation("mish")(input)


def hardswish(input):
    """x min(max(x + 3, 0), 6) / 6"""
    return activation("hardswish")(input)


def hardsigmoid(input):
    """min(max(x + 3, 0), 6) / 6"""
    return activation("hardsigmoid")(input)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """min(max(x, min_val), max_val)"""
    if not min_val < max_val:
        raise ValueError(f"max_val must be > min_val = {min_val!r}, got {max_val!r}")
    return activation("hardtanh", min_val, max_val)(input)


def relu6(input):
    """min(max(x, 0), 6)"""
    return activation("hardtanh", 0.0, 6.0)(input)


def logsigmoid(input):
    """log(1 / (1 + exp(-x)))"""
    return activation("log_sigmoid")(input)


def softsign(input):
    """x / (1 + |x|)"""
    return activation("softsign")(input)


def softshrink(input, lambd=0.5):
    """x - lambd where x > lambd, x + lambd where x < -lambd, 0 between; lambd >= 0"""
    return activation("softshrink", not_negative("lambd", lambd))(input)


def hardshrink(input, lambd=0.5):
    """0 where |x| <= lambd, x elsewhere"""
    return activation("hardshrink", not_negative("lambd", lambd))(input)


def tanhshrink(input):
    """x - tanh(x)"""
    return activation("tanhshrink")(input)


def threshold(input, threshold, value):
    """x where x > threshold, value elsewhere"""
    return activation("threshold", threshold, value)(input)


def rrelu(input, lower=0.125, upper=1 / 3, training=False):
    """x where x > 0, a x elsewhere: a uniform in lower..upper for each element in training, (lower + upper) / 2 otherwise"""
    if not 0 <= lower <= upper:
        raise ValueError(f"0 <= lower <= upper must hold, got lower={lower!r}, upper={upper!r}")
    x = real(input)
    return drawn(layer_ops.RReLU(lower, upper), x) if training else activation("leaky_relu", (lower + upper) / 2)(x)


def prelu(input, weight):
    """x where x > 0, weight x elsewhere; weight (1,), or (I,) for each column of x (N, I)"""
    return as_rows(layer_ops.PReLU(), as_tensor(input, weight.dtype), weight)


def log_softmax(input, dim=1):
    """x - log(sum of exp(x)) along the last dimension, `dim`"""
    return along_last(activation("log_softmax"), input, dim)


def softmin(input, dim=1):
    """softmax(-x)"""
    return along_last(activation("softmax"), apply(ops.Scale(-1.0), real(input)), dim)


def glu(input, dim=-1):
    """a sigmoid(b), a and b the left and right half of the last dimension, `dim`, of x (..., 2 H)"""
    return along_last(_glu, input, dim)


def _glu(x):
    if x.ndim != 2 or x.shape[1] % 2:
        raise ValueError(f"input must have shape (N, 2 H), got {x.shape}")
    half = x.shape[1] // 2
    gate = activation("sigmoid")(apply(ops.Slice(half, 2 * half), x))
    return apply(ops.Multiply(), apply(ops.Slice(0, half), x), gate)


# --- normalisation
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, count=None):
    """(x - mean) / sqrt(var + eps) * weight + bias for x (N, I), statistics of each column.

    training: those of the batch (N > 1), and running_mean, running_var (I,), where given, move towards them by `momentum` (None:
    they become the average over all batches, `count` (1,) int64 being how many there were); otherwise the running ones.
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must be given together")
    if running_mean is None and not training:
        raise ValueError("running_mean and running_var must be arrays unless training=True, got None")
    x = real(input)
    if count is None and training and running_mean is not None:
        count = np.zeros((), np.int64)
    given = [None if t is None else as_tensor(t) for t in (weight, bias, running_mean, running_var, count)]
    return apply(layer_ops.BatchNorm(eps, momentum, training), x, *given)


def _row_norm(op, input, normalized_shape, *others):
    x = real(input)
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if len(shape) != 1 or x.ndim < 1 or x.shape[-1] != shape[0]:
        raise ValueError(f"normalized_shape must be the last dimension of the input, got {shape} for an input of shape {x.shape}")
    return as_rows(op, x, *[None if t is None else as_tensor(t, None if x.traced else x.dtype) for t in others])


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, statistics over the last dimension (normalized_shape), of each row"""
    return _row_norm(layer_ops.LayerNorm(eps), input, normalized_shape, weight, bias)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean of x² + eps) * weight over the last dimension; eps None: the spacing of floats at 1, of x's type"""
    x = real(input)
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    return _row_norm(layer_ops.LayerNorm(eps, centred=False), x, normalized_shape, weight, None)


# --- embedding
MODES = ("sum", "mean", "max")


def _indices(input, rows, low=0):
    """int64 indices, or whole numbers held in floats, as a tensor; ValueError for others."""
    if isinstance(input, Tensor) and input.requires_grad:
        raise TypeError("input must be indices, got a tensor that requires a gradient")
    if isinstance(input, Tensor) and input.traced:
        return input
    array = input.numpy() if isinstance(input, Tensor) else np.asarray(input)
    if array.dtype.kind not in "iuf" or (array.dtype.kind == "f" and not (array == np.floor(array)).all()):
        raise TypeError(f"input must hold indices (whole numbers), got dtype {array.dtype}")
    if array.size and (array.min() < low or array.max() >= rows):
        wrong = array[(array < low) | (array >= rows)][0]
        raise ValueError(f"input must hold indices 0..{rows - 1}, got {wrong:g}")
    return wrap(np.array(array, np.int64, order="C"))


def embedding(input, weight, padding_idx=None):
    """weight[input]: rows of weight (V, O).  input (...) int64 -> (..., O)

    In a plan, input is (N, K) columns of the data, whole numbers, and the result (N, K O). The row padding_idx gets no gradient.
    """
    x = _indices(input, weight.shape[0])
    op = layer_ops.Embedding(_padding(padding_idx, weight))
    if x.traced:
        return apply(op, x, weight)
    flat = apply(op, wrap(x._array.reshape(-1, 1)), weight)
    return apply(eager_ops.Reshape((*x.shape, weight.shape[1])), flat)


def _padding(padding_idx, weight):
    if padding_idx is None:
        return -1
    rows = weight.shape[0]
    if not -rows <= padding_idx < rows:
        raise ValueError(f"padding_idx must lie in {-rows}..{rows - 1}, got {padding_idx!r}")
    return padding_idx % rows


def embedding_bag(input, weight, offsets=None, mode="mean", padding_idx=None):
    """Sum, mean or elementwise largest of the rows of weight (V, O) that each bag names; an empty bag gives 0.

    input (N, K) int64, each row a bag; or input (L,) with offsets (N,), where each bag begins. padding_idx is absent from bags.
    """
    choice("mode", mode, MODES)
    if offsets is not None:
        input = _bags(_indices(input, weight.shape[0]).numpy(), np.asarray(offsets))
    x = _indices(input, weight.shape[0], -1 if offsets is not None else 0)
    if x.ndim != 2:
        raise ValueError(f"input must have shape (N, K), or (L,) with offsets, got {x.shape}")
    return apply(layer_ops.EmbeddingBag(MODES.index(mode), _padding(padding_idx, weight)), x, weight)


def _bags(flat, offsets):
    """Bags of different sizes as rows (N, K), filled up with -1, which a bag does not count."""
    if flat.ndim != 1 or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise ValueError("offsets must be ints (N,) for an input of shape (L,)")
    if len(offsets) and (offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] > len(flat)):
        raise ValueError(f"offsets must begin with 0, not fall, and stay below {len(flat) + 1}")
    sizes = np.diff(offsets, append=len(flat))
    bags = np.full((len(offsets), max(sizes.max(initial=0), 1)), -1, np.int64)
    bags[np.arange(bags.shape[1]) < sizes[:, None]] = flat if len(offsets) else []
    return bags


# --- noise and shape
def gaussian_noise(input, std=1.0, training=True, layer=None):
    """x + std z in training, z standard normal; x otherwise. layer: whose std it is, where a schedule moves it."""
    x = real(input)
    return drawn(layer_ops.GaussianNoise(not_negative("std", std), layer=layer), x) if training and std else x


def flatten(input):
    """(N, ...) -> (N, features)"""
    x = as_tensor(input)
    if x.traced or x.ndim == 2:
        return x
    return apply(eager_ops.Reshape((x.shape[0], int(np.prod(x.shape[1:])))), x)
