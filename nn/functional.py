"""Operations as functions, in PyTorch's names: they take arrays or tensors, and give tensors."""
import functools

import numpy as np

from . import eager_ops, ops
from .calls import along_last, drawn
from .calls import real as _real
from .checks import choice, not_negative, number, positive
from .layer_functions import *  # noqa: F403
from .loss_functions import (  # noqa: F401
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    multi_margin_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from .sparse import is_sparse, sparse_rows
from .tensor import Tensor, apply, as_tensor, wrap

# operations without attributes: one of each is enough
_LINEAR, _ADD, _SUBTRACT, _MULTIPLY, _DIVIDE = ops.Linear(), ops.Add(), ops.Subtract(), ops.Multiply(), ops.Divide()


def linear(input, weight, bias=None):
    """y = x wᵀ + b;  x (..., I)  w (O, I)  b (O,) or None -> y (..., O)"""
    weight, bias = as_tensor(weight), None if bias is None else as_tensor(bias)
    if isinstance(input, Tensor) or not is_sparse(input):
        x = as_tensor(input, weight.dtype)
    else:
        x = wrap(sparse_rows("input", input, weight.dtype).astype(weight.dtype))
    if len(x.shape) == 2:
        return apply(_LINEAR, x, weight, bias)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"input must have shape (..., in_features) = (..., {weight.shape[1]}), got {x.shape}")
    flat = apply(eager_ops.Reshape((-1, weight.shape[1])), x)
    return apply(eager_ops.Reshape((*x.shape[:-1], weight.shape[0])), apply(_LINEAR, flat, weight, bias))


_activation = functools.cache(ops.Activation)  # of those without a parameter


def sigmoid(input):
    """1 / (1 + exp(-x))"""
    return apply(_activation("sigmoid"), _real(input))


def tanh(input):
    """tanh x"""
    return apply(_activation("tanh"), _real(input))


def relu(input, inplace=False):
    """max(x, 0); inplace is there for programs written for PyTorch and changes nothing"""
    return apply(_activation("relu"), _real(input))


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x >= 0, negative_slope x elsewhere; negative_slope >= 0"""
    return apply(ops.Activation("leaky_relu", not_negative("negative_slope", negative_slope)), _real(input))


def elu(input, alpha=1.0, inplace=False):
    """x where x >= 0, alpha (exp(x) - 1) elsewhere; alpha >= 0"""
    return apply(ops.Activation("elu", not_negative("alpha", alpha)), _real(input))


def gelu(input, approximate="none"):
    """x Φ(x), Φ the normal distribution; approximate="tanh": x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2"""
    choice("approximate", approximate, ("none", "tanh"))
    return apply(_activation("gelu" if approximate == "none" else "gelu_tanh"), _real(input))


def silu(input, inplace=False):
    """x sigmoid(x)"""
    return apply(_activation("silu"), _real(input))


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x)) / beta where beta x <= threshold, x above; with beta=1, threshold=20 it is exact everywhere"""
    if (beta, threshold) == (1, 20):
        return apply(_activation("softplus"), _real(input))
    return apply(ops.Activation("softplus_beta", positive("beta", beta), threshold), _real(input))


def softmax(input, dim=1):
    """exp(x) / sum of exp(x) along the last dimension, `dim`"""
    return along_last(lambda x: apply(_activation("softmax"), x), input, dim)


def identity(input):
    """x"""
    return as_tensor(input)


def dropout(input, p=0.5, training=True, inplace=False, layer=None):
    """x / (1 - p) where kept, 0 where dropped, in training; x otherwise. layer: whose p it is, where a schedule moves it."""
    if type(p) is not float or not 0 <= p <= 1:
        number("p", p, 0, 1)
    x = _real(input)
    return x if not training or p == 0 else drawn(ops.Dropout(p, layer=layer), x)


def _scalar(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _binary(op, a, b):
    dtype = next(t.dtype for t in (a, b) if isinstance(t, Tensor))
    a, b = as_tensor(a, dtype), as_tensor(b, dtype)
    if not (a.traced or b.traced) and a.shape != b.shape:
        shape = np.broadcast_shapes(a.shape, b.shape)
        a, b = (t if t.shape == shape else apply(eager_ops.Broadcast(shape), t) for t in (a, b))
    return apply(op, a, b)


def add(a, b):
    """a + b"""
    if _scalar(b):
        return apply(ops.Scale(1.0, b), a)
    return apply(ops.Scale(1.0, a), b) if _scalar(a) else _binary(_ADD, a, b)


def subtract(a, b):
    """a - b"""
    if _scalar(b):
        return apply(ops.Scale(1.0, -b), a)
    return apply(ops.Scale(-1.0, a), b) if _scalar(a) else _binary(_SUBTRACT, a, b)


def multiply(a, b):
    """a b, element by element"""
    if _scalar(b):
        return apply(ops.Scale(b), a)
    return apply(ops.Scale(a), b) if _scalar(a) else _binary(_MULTIPLY, a, b)


def divide(a, b):
    """a / b, element by element"""
    if _scalar(b):
        return apply(ops.Scale(1.0 / b), a)
    if _scalar(a):
        return apply(ops.Scale(a), apply(ops.Power(-1.0), b))
    return _binary(_DIVIDE, a, b)


def power(a, exponent):
    """a ** exponent for a number"""
    if not _scalar(exponent):
        raise TypeError(f"exponent must be a number, got {type(exponent).__name__}")
    return apply(ops.Power(exponent), as_tensor(a))


def exponential(base, x):
    """base ** x for a number base > 0, in custom loops"""
    return apply(eager_ops.Exponential(positive("base", base)), _real(x))


def matmul(a, b):
    """The product of two matrices"""
    dtype = next(t.dtype for t in (a, b) if isinstance(t, Tensor))
    return apply(eager_ops.MatMul(), as_tensor(a, dtype), as_tensor(b, dtype))


def concatenate(tensors, dim=1):
    """Inputs (N, width) side by side"""
    if dim not in (1, -1):
        raise ValueError(f"dim must be 1 or -1 (the columns of (N, width) inputs), got {dim!r}")
    given = [_real(t) for t in tensors]
    if not given:
        raise ValueError("tensors must be at least one tensor, got none")
    return apply(ops.Concatenate(), *given)


cat = concatenate


def getitem(x, key):
    """x[key]; columns x[:, start:stop] also in a plan"""
    if isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, slice) for k in key) and key[0] == slice(None) and x.ndim == 2:
        start, stop, step = key[1].indices(x.shape[1])
        if step == 1:
            return apply(ops.Slice(start, max(start, stop)), x)
    return apply(eager_ops.Index(key), x)


def reshape(x, shape):
    """The same values in another shape"""
    return apply(eager_ops.Reshape(shape), x)


def sum(x, axis=None, keepdims=False):
    """Sum of all elements, or along `axis` (an int or a tuple)"""
    x = as_tensor(x)
    if axis is None and not keepdims:
        return apply(eager_ops.Sum(), x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return apply(eager_ops.SumAlong(axes, keepdims), x)


def mean(x, axis=None, keepdims=False):
    """Mean of all elements, or along `axis`"""
    x = as_tensor(x)
    total = sum(x, axis, keepdims)
    return apply(ops.Scale(1.0 / max(x.size // max(total.size, 1), 1)), total)


def mse_loss(input, target, reduction="mean", weight=None):
    """Mean of (input - target)² over all elements; weight (N,): row weights"""
    return MSELoss(reduction)(input, target, weight)


def cross_entropy(input, target, weight=None, label_smoothing=0.0, from_logits=True, reduction="mean", ignore_index=-100,
                  sample_weight=None):
    """Cross-entropy of logits or probabilities (N, C) against classes (N,) or probabilities (N, C)

    weight (C,): class weights; sample_weight (N,): row weights.
    """
    return CrossEntropyLoss(from_logits, label_smoothing, weight, reduction, ignore_index)(input, target, sample_weight)


def binary_cross_entropy(input, target, reduction="mean", sample_weight=None):
    """Binary cross-entropy of probabilities; sample_weight (N,): row weights"""
    return BCELoss(reduction)(input, target, sample_weight)


def binary_cross_entropy_with_logits(input, target, reduction="mean", pos_weight=None, sample_weight=None):
    """Binary cross-entropy of logits; pos_weight (O,) or a number: how much more a positive counts; sample_weight (N,): row weights"""
    return BCEWithLogitsLoss(reduction, pos_weight)(input, target, sample_weight)


def _method(function, swapped=False):
    def method(self, other):
        return function(other, self) if swapped else function(self, other)
    return method


for _name, _function in {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "matmul": matmul}.items():
    setattr(Tensor, f"__{_name}__", _method(_function))
    setattr(Tensor, f"__r{_name}__", _method(_function, swapped=True))
Tensor.__pow__, Tensor.__rpow__ = _method(power), _method(exponential, swapped=True)
Tensor.__neg__ = lambda self: multiply(self, -1.0)
Tensor.__getitem__ = getitem
Tensor.reshape = lambda self, *shape: reshape(self, tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
Tensor.view, Tensor.flatten = Tensor.reshape, lambda self: reshape(self, (-1,))
Tensor.T = property(lambda self: apply(eager_ops.Transpose(), self))
Tensor.clone = lambda self: apply(ops.Scale(1.0), self)


def _reduction(function):
    def method(self, axis=None, keepdims=False, *, dim=None, keepdim=False, dtype=None, out=None):
        """NumPy's arguments, or PyTorch's dim and keepdim."""
        if dtype is not None or out is not None:
            raise TypeError(f"{function.__name__} of a tensor takes neither dtype nor out")
        return function(self, axis if dim is None else dim, keepdims or keepdim)
    return method


Tensor.sum, Tensor.mean = _reduction(sum), _reduction(mean)
