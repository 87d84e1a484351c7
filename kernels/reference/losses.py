"""Losses with their gradient in one pass, the link function merged in where that is safer.

Each writes l[n], the loss of row n without its weight, and dy, the gradient of the batch's loss
    mean: sum of w[n] l[n] / sum of w[n]        (mean=True; 0 where all weights are 0)
    sum:  sum of w[n] l[n]                      (mean=False)
w (N,) are row weights; None means ones. dy may be None when only the value is wanted. A loss over O
outputs is their mean with mean=True and their sum with mean=False, as PyTorch's reductions over all elements.
"""
import numpy as np

from ..contract import kernel
from .activations import sigmoid
from .linear import tree_sum

__all__ = ["squared_error", "softmax_cross_entropy", "softmax_cross_entropy_weighted", "softmax_cross_entropy_soft", "cross_entropy",
           "cross_entropy_soft", "binary_cross_entropy", "binary_cross_entropy_logits", "mean_loss"]


def weight_sum(w, rows):
    """Sum of the row weights in float64, by chunks and tree; N where w is None."""
    if w is None:
        return float(rows)
    return float(tree_sum(rows, lambda part: np.add.reduce(w[part], dtype=np.float64), (), np.float64))


def row_factor(w, rows, mean, dtype):
    """(N, 1): what dl[n]/dy is multiplied with: w[n] / sum of w, or w[n] for the sum."""
    total = weight_sum(w, rows) if mean else 1.0
    inverse = dtype.type(1.0 / total if total != 0 else 0.0)
    return np.full((rows, 1), inverse, dtype) if w is None else (w * inverse)[:, None]


def averaged(y, mean):
    """What the loss over the outputs is divided by: O for the mean, 1 for the sum."""
    return max(y.shape[1], 1) if mean else 1


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def squared_error(y, t, w, l, dy, mean=True):
    """l[n] = sum over o of (y - t)² / O ;  dl/dy = 2 (y - t) / O"""
    d = y - t
    outputs = averaged(y, mean)
    l[...] = np.square(d).sum(axis=1) / y.dtype.type(outputs)
    if dy is not None:
        np.multiply(d, row_factor(w, len(y), mean, y.dtype) * y.dtype.type(2.0 / outputs), out=dy)


def _log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    s = e.sum(axis=1, keepdims=True)
    return shifted, np.log(s), e / s


def _has_classes(z, *_):
    if z.shape[1] == 0:
        raise ValueError("there must be at least one class, got 0")


def _labels_in_range(z, t, *_):
    _has_classes(z)
    classes = z.shape[1]
    if len(t) and (t.min() < 0 or t.max() >= classes):
        wrong = t[(t < 0) | (t >= classes)][0]
        raise ValueError(f"t must hold classes 0..{classes - 1}, got {wrong}")


@kernel("z(N,C) t:int(N) w(N)?! -> l(N) dz(N,C)?", also=_labels_in_range)
def softmax_cross_entropy(z, t, w, l, dz, label_smoothing=0.0, mean=True):
    """l[n] = sum over c of q[c] (log sum exp z[n] - z[n, c]) ;  dl/dz = softmax(z) - q

    q = (1 - s) [c = t[n]] + s / C, s the label smoothing. t (N,) classes 0..C-1. Safe for any finite logits.
    """
    if not len(z):
        return
    q = np.full(z.shape, label_smoothing / z.shape[1], z.dtype)
    q[np.arange(len(t)), t] += z.dtype.type(1 - label_smoothing)
    _soft_cross_entropy(z, q, w, l, dz, mean, label_smoothing == 0)


@kernel("z(N,C) t:int(N) w(N)?! v(C) -> l(N) dz(N,C)?", also=_labels_in_range)
def softmax_cross_entropy_weighted(z, t, w, v, l, dz, label_smoothing=0.0, mean=True):
    """l[n] = sum over c of q[c] (log sum exp z[n] - z[n, c]) ;  dl/dz = softmax(z) sum of q - q

    q = (1 - s) [c = t[n]] + s / C v[c] / v[t[n]], s the label smoothing, v (C,) class weights > 0. With the class weight v[t[n]] as a
    factor of the row weight w[n], the sum and the mean of the batch are PyTorch's, which weights every class of the smoothed target.
    """
    if not len(z):
        return
    q = (label_smoothing / z.shape[1] * v)[None, :] / v[t][:, None]
    q[np.arange(len(t)), t] += z.dtype.type(1 - label_smoothing)
    _soft_cross_entropy(z, q.astype(z.dtype), w, l, dz, mean, False)


@kernel("z(N,C) t(N,C) w(N)?! -> l(N) dz(N,C)?", also=_has_classes)
def softmax_cross_entropy_soft(z, t, w, l, dz, mean=True):
    """l[n] = sum over c of t[n, c] (log sum exp z[n] - z[n, c]) ;  dl/dz = softmax(z) sum of t[n] - t

    t (N, C) probabilities (rows need not sum to one).
    """
    if len(z):
        _soft_cross_entropy(z, t, w, l, dz, mean, False)


def _soft_cross_entropy(z, q, w, l, dz, mean, one_hot):
    shifted, log_sum, p = _log_softmax(z)
    terms = np.where(q == 0, 0, q * (log_sum - shifted))
    l[...] = terms.sum(axis=1)
    if dz is not None:
        mass = 1 if one_hot else q.sum(axis=1, keepdims=True)
        np.multiply(p * mass - q, row_factor(w, len(z), mean, z.dtype), out=dz)


@kernel("p(N,C) t:int(N) w(N)?! -> l(N) dp(N,C)?", also=_labels_in_range)
def cross_entropy(p, t, w, l, dp, mean=True):
    """l[n] = -log p[n, t[n]] ;  dl/dp = -1 / p at the class, 0 elsewhere.  p (N, C) probabilities, 0 counts as the smallest normal"""
    rows = np.arange(len(t))
    chosen = np.maximum(p[rows, t], np.finfo(p.dtype).tiny)
    l[...] = -np.log(chosen)
    if dp is not None:
        dp[...] = 0
        dp[rows, t] = -row_factor(w, len(p), mean, p.dtype)[:, 0] / chosen


@kernel("p(N,C) t(N,C) w(N)?! -> l(N) dp(N,C)?")
def cross_entropy_soft(p, t, w, l, dp, mean=True):
    """l[n] = -sum over c of t log p ;  dl/dp = -t / p.  p, t (N, C) probabilities, p = 0 counts as the smallest normal"""
    safe = np.maximum(p, np.finfo(p.dtype).tiny)
    l[...] = -(t * np.log(safe)).sum(axis=1)
    if dp is not None:
        np.multiply(-t / safe, row_factor(w, len(p), mean, p.dtype), out=dp)


@kernel("p(N,O) t(N,O) w(N)?! -> l(N) dp(N,O)?")
def binary_cross_entropy(p, t, w, l, dp, mean=True):
    """l[n] = -sum over o of (t log p + (1 - t) log(1 - p)) / O ;  dl/dp = (p - t) / (p (1 - p)) / O

    p, t (N, O) in 0..1. Logarithms are cut at -100 and the divisor at 1e-12, as PyTorch does.
    """
    outputs = averaged(p, mean)
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    l[...] = -(t * yes + (1 - t) * no).sum(axis=1) / p.dtype.type(outputs)
    if dp is not None:
        slope = (p - t) / np.maximum((1 - p) * p, p.dtype.type(1e-12))
        np.multiply(slope, row_factor(w, len(p), mean, p.dtype) * p.dtype.type(1.0 / outputs), out=dp)


@kernel("z(N,O) t(N,O) w(N)?! -> l(N) dz(N,O)?")
def binary_cross_entropy_logits(z, t, w, l, dz, mean=True):
    """l[n] = sum over o of (max(z, 0) - z t + log(1 + exp(-|z|))) / O ;  dl/dz = (sigmoid(z) - t) / O.  t (N, O) in 0..1"""
    outputs = averaged(z, mean)
    terms = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    l[...] = terms.sum(axis=1) / z.dtype.type(outputs)
    if dz is not None:
        np.multiply(sigmoid(z) - t, row_factor(w, len(z), mean, z.dtype) * z.dtype.type(1.0 / outputs), out=dz)


@kernel("l(N) w(N)? -> s:f64(2)", over="all")
def mean_loss(l, w, s):
    """s = (sum of w[n] l[n], sum of w[n]) in float64, by chunks of 128 and a binary tree; the batch's mean loss is s[0] / s[1]"""
    weighted = l.astype(np.float64) if w is None else l.astype(np.float64) * w
    s[0] = tree_sum(len(l), lambda part: np.add.reduce(weighted[part]), (), np.float64)
    s[1] = weight_sum(w, len(l))
