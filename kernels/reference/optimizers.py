"""Optimizer updates: one pass over gradient, parameter and state.

All share their last scalars and the direction d that they make of the gradient first:

    d = g, cut to -clip..clip where clip > 0 ;  d = -d to maximize ;  d = d + weight_decay p + l1 sign(p)

Terms whose factor is 0 are left out, so that an infinite weight does not make NaN of them. Kernels with `shrink` multiply p by it
first: decoupled weight decay, shrink = 1 - lr weight_decay. `first` says that this is the parameter's first step.
"""
import numpy as np

from ..contract import kernel
from .linear import tree_sum

__all__ = ["sgd_update", "adagrad_update", "adadelta_update", "rmsprop_update", "rprop_update", "adam_update", "adamw_update",
           "adamax_update", "nadam_update", "radam_update", "lion_update", "limit_rows", "average_update", "clip_norm", "accumulate"]


def _direction(g, p, weight_decay, l1, maximize, clip):
    real = p.dtype.type
    d = np.clip(g, real(-clip), real(clip)) if clip > 0 else g
    d = -d if maximize else d
    if weight_decay != 0:
        d = d + real(weight_decay) * p
    return d + real(l1) * np.sign(p) if l1 != 0 else d


def _flushed(x):
    """x with zeros for its subnormal numbers. The average of gradients that have ended, of a unit that died, would stay among them for
    ever, and processors take up to a hundred times as long to compute with such a number: three layers of 256 with 64 dead units, 920 us a
    step with Adam until the averages got there and 1,400 from then on."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x)


def _state_for_momentum(g, p, m, lr=0.01, momentum=0.0, *_):
    if m is None and momentum != 0:
        raise TypeError("m must be an array when momentum is not 0, got None")


@kernel("g(P) -> p(P)~ m(P)?~", over="flat", also=_state_for_momentum)
def sgd_update(g, p, m, lr=0.01, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False, l1=0.0, maximize=False,
               clip=0.0):
    """m = momentum m + (1 - dampening) d (m = d on the first step) ;  p -= lr m

    Nesterov: p -= lr (d + momentum m). Without momentum p -= lr d, and m is not touched and may be None.
    g, p, m (P,). Sutskever et al. 2013; the conventions are PyTorch's.
    """
    real = p.dtype.type
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    if momentum != 0:
        m[...] = d if first else _flushed(real(momentum) * m + real(1 - dampening) * d)
        d = d + real(momentum) * m if nesterov else m
    p -= real(lr) * d


@kernel("g(P) -> p(P)~ v(P)~", over="flat")
def adagrad_update(g, p, v, lr=1e-2, eps=1e-10, initial=0.0, weight_decay=0.0, first=False, l1=0.0, maximize=False, clip=0.0):
    """v = v + d² (v = initial + d² on the first step) ;  p -= lr d / (sqrt(v) + eps)

    g, p, v (P,). Duchi, Hazan and Singer 2011, JMLR 12.
    """
    real = p.dtype.type
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    v[...] = (real(initial) if first else v) + d * d
    p -= real(lr) * (d / (np.sqrt(v) + real(eps)))


@kernel("g(P) -> p(P)~ v(P)~ u(P)~", over="flat")
def adadelta_update(g, p, v, u, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, l1=0.0, maximize=False, clip=0.0):
    """v = rho v + (1 - rho) d² ;  e = sqrt(u + eps) / sqrt(v + eps) d ;  u = rho u + (1 - rho) e² ;  p -= lr e

    g, p, v, u (P,). Zeiler 2012, arXiv:1212.5701.
    """
    real = p.dtype.type
    keep, share, least = real(rho), real(1 - rho), real(eps)
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    v[...] = _flushed(keep * v + share * d * d)
    e = np.sqrt(u + least) / np.sqrt(v + least) * d
    u[...] = _flushed(keep * u + share * e * e)
    p -= real(lr) * e


def _state_for_rmsprop(g, p, v, m, b, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, *_):
    if b is None and momentum != 0:
        raise TypeError("b must be an array when momentum is not 0, got None")


@kernel("g(P) -> p(P)~ v(P)~ m(P)?~ b(P)?~", over="flat", also=_state_for_rmsprop)
def rmsprop_update(g, p, v, m, b, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, l1=0.0, maximize=False, clip=0.0):
    """v = alpha v + (1 - alpha) d² ;  e = d / (sqrt(v) + eps) ;  b = momentum b + e ;  p -= lr b

    With m (centred): m = alpha m + (1 - alpha) d, and v - m² (at least 0) in place of v in e. Without momentum p -= lr e, and b is
    not touched and may be None. g, p, v, m, b (P,). Tieleman and Hinton 2012; centred: Graves 2013, arXiv:1308.0850.
    """
    real = p.dtype.type
    keep, share = real(alpha), real(1 - alpha)
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    v[...] = _flushed(keep * v + share * d * d)
    spread = v
    if m is not None:
        m[...] = _flushed(keep * m + share * d)
        spread = np.maximum(v - m * m, 0)
    e = d / (np.sqrt(spread) + real(eps))
    if momentum != 0:
        b[...] = _flushed(real(momentum) * b + e)
        e = b
    p -= real(lr) * e


@kernel("g(P) -> p(P)~ m(P)~ v(P)~", over="flat")
def rprop_update(g, p, m, v, lr=1e-2, etaminus=0.5, etaplus=1.2, smallest=1e-6, largest=50.0, first=False, l1=0.0, maximize=False,
                 clip=0.0):
    """v = v etaplus where d m > 0, v etaminus where d m < 0, within smallest..largest ;  d = 0 where d m < 0
    p -= sign(d) v ;  m = d

    On the first step m = 0 and v = lr before. g, p, m (the gradient before), v (step sizes) (P,). Riedmiller and Braun 1993 (iRprop-).
    """
    real = p.dtype.type
    d = _direction(g, p, 0.0, l1, maximize, clip)
    turn = np.zeros_like(p) if first else np.sign(d) * np.sign(m)
    size = real(lr) if first else v
    factor = np.where(turn > 0, real(etaplus), np.where(turn < 0, real(etaminus), real(1)))
    v[...] = np.clip(size * factor, real(smallest), real(largest))
    m[...] = np.where(turn < 0, real(0), d)
    p -= np.sign(m) * v


@kernel("g(P) -> p(P)~ m(P)~ v(P)~ top(P)?~", over="flat")
def adam_update(g, p, m, v, top, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, correction2=1.0, l1=0.0,
                maximize=False, clip=0.0):
    """m = beta1 m + (1 - beta1) d ;  v = beta2 v + (1 - beta2) d² ;  p -= lr / correction1 * m / (sqrt(v / correction2) + eps)

    With top (AMSGrad): top = max(top, v), and top in place of v in p. g, p, m, v, top (P,). correction1 = 1 - beta1^t,
    correction2 = 1 - beta2^t for step t = 1, 2, ... Kingma and Ba 2015, arXiv:1412.6980; AMSGrad: Reddi et al. 2018, arXiv:1904.09237.
    """
    _adam(_direction(g, p, weight_decay, l1, maximize, clip), p, m, v, top, lr, beta1, beta2, eps, correction1, correction2)


@kernel("g(P) -> p(P)~ m(P)~ v(P)~ top(P)?~", over="flat")
def adamw_update(g, p, m, v, top, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, correction1=1.0, correction2=1.0,
                 l1=0.0, maximize=False, clip=0.0):
    """p *= 1 - lr weight_decay, then Adam's update without weight decay. Loshchilov and Hutter 2019, arXiv:1711.05101"""
    p *= p.dtype.type(1 - lr * weight_decay)
    _adam(_direction(g, p, 0.0, l1, maximize, clip), p, m, v, top, lr, beta1, beta2, eps, correction1, correction2)


def _moments(d, m, v, beta1, beta2):
    real = m.dtype.type
    m[...] = _flushed(real(beta1) * m + real(1 - beta1) * d)
    v[...] = _flushed(real(beta2) * v + real(1 - beta2) * d * d)


def _adam(d, p, m, v, top, lr, beta1, beta2, eps, correction1, correction2):
    real = p.dtype.type
    _moments(d, m, v, beta1, beta2)
    if top is not None:
        v = np.maximum(top, v, out=top)
    p -= real(lr / correction1) * (m / (np.sqrt(v) * real(1 / np.sqrt(correction2)) + real(eps)))


@kernel("g(P) -> p(P)~ m(P)~ u(P)~", over="flat")
def adamax_update(g, p, m, u, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, l1=0.0, maximize=False,
                  clip=0.0):
    """m = beta1 m + (1 - beta1) d ;  u = max(beta2 u, |d| + eps) ;  p -= lr / correction1 * m / u

    g, p, m, u (P,). Kingma and Ba 2015, section 7.
    """
    real = p.dtype.type
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    m[...] = _flushed(real(beta1) * m + real(1 - beta1) * d)
    u[...] = np.maximum(real(beta2) * u, np.abs(d) + real(eps))
    p -= real(lr / correction1) * (m / u)


@kernel("g(P) -> p(P)~ m(P)~ v(P)~", over="flat")
def nadam_update(g, p, m, v, rate_d=2e-3, rate_m=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, shrink=1.0, correction2=1.0,
                 l1=0.0, maximize=False, clip=0.0):
    """m, v as Adam's ;  p -= (rate_d d + rate_m m) / (sqrt(v / correction2) + eps)

    g, p, m, v (P,). With mu_t = beta1 (1 - 0.5 * 0.96^(t momentum_decay)) and M_t = mu_1 ... mu_t:
    rate_d = lr (1 - mu_t) / (1 - M_t), rate_m = lr mu_(t+1) / (1 - M_(t+1)). Dozat 2016.
    """
    real = p.dtype.type
    if shrink != 1:
        p *= real(shrink)
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    _moments(d, m, v, beta1, beta2)
    p -= (real(rate_d) * d + real(rate_m) * m) / (np.sqrt(v) * real(1 / np.sqrt(correction2)) + real(eps))


@kernel("g(P) -> p(P)~ m(P)~ v(P)~", over="flat")
def radam_update(g, p, m, v, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, shrink=1.0, rectified=True, l1=0.0,
                 maximize=False, clip=0.0):
    """m, v as Adam's ;  p -= rate m / (sqrt(v) + eps) where the step is rectified, else p -= rate m

    g, p, m, v (P,). rho_inf = 2 / (1 - beta2) - 1, rho = rho_inf - 2 t beta2^t / (1 - beta2^t); a step is rectified where rho > 5, and
    then rate = lr / (1 - beta1^t) sqrt(1 - beta2^t) sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)), else
    lr / (1 - beta1^t). Liu et al. 2020, arXiv:1908.03265.
    """
    real = p.dtype.type
    if shrink != 1:
        p *= real(shrink)
    d = _direction(g, p, weight_decay, l1, maximize, clip)
    _moments(d, m, v, beta1, beta2)
    p -= real(rate) * (m / (np.sqrt(v) + real(eps)) if rectified else m)


@kernel("g(P) -> p(P)~ m(P)~", over="flat")
def lion_update(g, p, m, lr=1e-4, beta1=0.9, beta2=0.99, shrink=1.0, l1=0.0, maximize=False, clip=0.0):
    """p *= shrink ;  p -= lr sign(beta1 m + (1 - beta1) d) ;  m = beta2 m + (1 - beta2) d

    g, p, m (P,). Chen et al. 2023, arXiv:2302.06675.
    """
    real = p.dtype.type
    if shrink != 1:
        p *= real(shrink)
    d = _direction(g, p, 0.0, l1, maximize, clip)
    p -= real(lr) * np.sign(real(beta1) * m + real(1 - beta1) * d)
    m[...] = real(beta2) * m + real(1 - beta2) * d


@kernel("w(N,I)~ -> ", over="rows")
def limit_rows(w, limit=1.0):
    """Rows of w (N, I) whose Euclidean norm exceeds `limit` are multiplied by limit / norm, in place. Srebro et al. 2005 (max-norm)."""
    norm = np.sqrt(np.square(w).sum(axis=1, keepdims=True))
    over = norm > limit
    np.multiply(w, w.dtype.type(limit) / np.where(over, norm, 1), out=w, where=over)


@kernel("p(P) -> average(P)~", over="flat")
def average_update(p, average, keep=0.999):
    """average = keep average + (1 - keep) p ;  with keep = 0 it becomes p. p, average (P,)."""
    real = p.dtype.type
    average[...] = real(keep) * average + real(1 - keep) * p if keep != 0 else p


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
