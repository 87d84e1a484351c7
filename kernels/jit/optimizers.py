"""Optimizer updates: one pass over gradient, parameter and state."""
import numpy as np

from .. import reference
from .elementwise import tree_total
from .face import face, loop

__all__ = ["sgd_update", "adam_update", "adamw_update", "clip_norm", "accumulate"]


@face(reference.sgd_update)
def sgd_update(g, p, m, lr=0.01, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False):
    if momentum == 0:
        _sgd(g, p, float(lr), float(weight_decay))
    else:
        _sgd_momentum(g, p, m, float(lr), float(momentum), float(dampening), float(weight_decay), bool(nesterov), bool(first))


@loop
def _sgd(g, p, lr, weight_decay):
    real = p.dtype.type
    rate, decay = real(lr), real(weight_decay)
    for i in range(p.size):
        p[i] -= rate * (g[i] + decay * p[i])


@loop
def _sgd_momentum(g, p, m, lr, momentum, dampening, weight_decay, nesterov, first):
    real = p.dtype.type
    rate, keep, share, decay = real(lr), real(momentum), real(1 - dampening), real(weight_decay)
    for i in range(p.size):
        d = g[i] + decay * p[i]
        new = d if first else keep * m[i] + share * d
        m[i] = new
        p[i] -= rate * (d + keep * new if nesterov else new)


@face(reference.adam_update)
def adam_update(g, p, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, correction2=1.0):
    _adam(g, p, m, v, float(lr), float(beta1), float(beta2), float(eps), float(weight_decay), float(correction1),
          float(correction2), False)


@face(reference.adamw_update)
def adamw_update(g, p, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, correction1=1.0, correction2=1.0):
    _adam(g, p, m, v, float(lr), float(beta1), float(beta2), float(eps), float(weight_decay), float(correction1),
          float(correction2), True)


@loop
def _adam(g, p, m, v, lr, beta1, beta2, eps, weight_decay, correction1, correction2, decoupled):
    real = p.dtype.type
    keep1, share1, keep2, share2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    rate, root, least = real(lr / correction1), real(1 / np.sqrt(correction2)), real(eps)
    decay, shrink = real(weight_decay), real(1 - lr * weight_decay)
    for i in range(p.size):
        old = p[i] * shrink if decoupled else p[i]
        d = g[i] if decoupled else g[i] + decay * p[i]
        m[i] = keep1 * m[i] + share1 * d
        v[i] = keep2 * v[i] + share2 * d * d
        p[i] = old - rate * (m[i] / (np.sqrt(v[i]) * root + least))


@face(reference.clip_norm)
def clip_norm(g, norm, max_norm=1.0):
    _clip_norm(g, norm, float(max_norm))


@loop
def _clip_norm(g, norm, max_norm):
    norm[0] = np.sqrt(tree_total(g, g))
    if norm[0] > max_norm:
        factor = g.dtype.type(max_norm / (norm[0] + 1e-6))
        for i in range(g.size):
            g[i] *= factor


@face(reference.accumulate)
def accumulate(g, total, share=1.0):
    _accumulate(g, total, float(share))


@loop
def _accumulate(g, total, share):
    factor = total.dtype.type(share)
    for i in range(g.size):
        total[i] += factor * g[i]
