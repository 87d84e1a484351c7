"""Optimizer updates: one pass over gradient, parameter and state."""
import numpy as np

from ..contract import kernel
from .linear import tree_sum

__all__ = ["sgd_update", "adam_update", "adamw_update", "clip_norm", "accumulate"]


def _state_for_momentum(g, p, m, lr=0.01, momentum=0.0, *_):
    if m is None and momentum != 0:
        raise TypeError("m must be an array when momentum is not 0, got None")


@kernel("g(P) -> p(P)~ m(P)?~", over="flat", also=_state_for_momentum)
def sgd_update(g, p, m, lr=0.01, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False):
    """d = g + weight_decay p ;  m = momentum m + (1 - dampening) d (m = d on the first step) ;  p -= lr m

    Nesterov: p -= lr (d + momentum m). Without momentum p -= lr d, and m is not touched and may be None.
    g, p, m (P,). Sutskever et al. 2013; the conventions are PyTorch's.
    """
    real = p.dtype.type
    d = g + real(weight_decay) * p
    if momentum != 0:
        m[...] = d if first else real(momentum) * m + real(1 - dampening) * d
        d = d + real(momentum) * m if nesterov else m
    p -= real(lr) * d


@kernel("g(P) -> p(P)~ m(P)~ v(P)~", over="flat")
def adam_update(g, p, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, correction2=1.0):
    """d = g + weight_decay p ;  m = beta1 m + (1 - beta1) d ;  v = beta2 v + (1 - beta2) d²
    p -= lr / correction1 * m / (sqrt(v / correction2) + eps)

    g, p, m, v (P,). correction1 = 1 - beta1^t, correction2 = 1 - beta2^t for step t = 1, 2, ... Kingma and Ba 2015, arXiv:1412.6980.
    """
    _adam(g + p.dtype.type(weight_decay) * p, p, m, v, lr, beta1, beta2, eps, correction1, correction2)


@kernel("g(P) -> p(P)~ m(P)~ v(P)~", over="flat")
def adamw_update(g, p, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, correction1=1.0, correction2=1.0):
    """p *= 1 - lr weight_decay, then Adam's update without weight decay. Loshchilov and Hutter 2019, arXiv:1711.05101"""
    p *= p.dtype.type(1 - lr * weight_decay)
    _adam(g, p, m, v, lr, beta1, beta2, eps, correction1, correction2)


def _adam(d, p, m, v, lr, beta1, beta2, eps, correction1, correction2):
    real = p.dtype.type
    m[...] = real(beta1) * m + real(1 - beta1) * d
    v[...] = real(beta2) * v + real(1 - beta2) * d * d
    p -= real(lr / correction1) * (m / (np.sqrt(v) * real(1 / np.sqrt(correction2)) + real(eps)))


@kernel("g(P)~ -> norm:f64(1)", over="all")
def clip_norm(g, norm, max_norm=1.0):
    """norm = sqrt(sum of g²) ;  where it exceeds max_norm, g *= max_norm / (norm + 1e-6)

    g (P,) in place. The sum is in float64, by chunks of 128 and a binary tree. Pascanu et al. 2013, arXiv:1211.5063; as PyTorch's.
    """
    squares = np.square(g, dtype=np.float64)
    norm[0] = np.sqrt(tree_sum(len(g), lambda part: np.add.reduce(squares[part]), (), np.float64))
    if norm[0] > max_norm:
        g *= g.dtype.type(max_norm / (norm[0] + 1e-6))


@kernel("g(P) -> total(P)~", over="flat")
def accumulate(g, total, share=1.0):
    """total += share g: the gradient of a batch as the sum over its parts. g, total (P,)."""
    total += total.dtype.type(share) * g
