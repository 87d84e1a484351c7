"""Optimizer updates: one pass over gradient, parameter and state."""
import numpy as np

from .. import reference
from .elementwise import tree_total
from .face import absent, face, inline, like, loop

__all__ = ["sgd_update", "adagrad_update", "adadelta_update", "rmsprop_update", "rprop_update", "adam_update", "adamw_update",
           "adamax_update", "nadam_update", "radam_update", "lion_update", "limit_rows", "average_update", "clip_norm", "accumulate"]


@inline
def _sign(x):
    return like(x, 1) if x > 0 else like(x, -1) if x < 0 else x


@inline
def _larger(a, b):
    return b if b > a or b != b else a


@inline
def _flushed(x, tiny):
    return like(x, 0) if abs(x) < tiny else x


@inline
def _direction(d, w, decay, l1, maximize, clip):
    if clip > 0:
        d = clip if d > clip else -clip if d < -clip else d
    if maximize:
        d = -d
    if decay != 0:
        d = d + decay * w
    if l1 != 0:
        d = d + l1 * _sign(w)
    return d


@face(reference.sgd_update)
def sgd_update(g, p, m, lr=0.01, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False, l1=0.0, maximize=False,
               clip=0.0):
    _sgd(g, p, absent(m, 1, p), float(lr), float(momentum), float(dampening), float(weight_decay), bool(nesterov), bool(first), float(l1),
         bool(maximize), float(clip))


@loop
def _sgd(g, p, m, lr, momentum, dampening, weight_decay, nesterov, first, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    rate, keep, share = real(lr), real(momentum), real(1 - dampening)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], decay, one, maximize, cut)
        if momentum != 0:
            new = d if first else _flushed(keep * m[i] + share * d, tiny)
            m[i] = new
            d = d + keep * new if nesterov else new
        p[i] -= rate * d


@face(reference.adagrad_update)
def adagrad_update(g, p, v, lr=1e-2, eps=1e-10, initial=0.0, weight_decay=0.0, first=False, l1=0.0, maximize=False, clip=0.0):
    _adagrad(g, p, v, float(lr), float(eps), float(initial), float(weight_decay), bool(first), float(l1), bool(maximize), float(clip))


@loop
def _adagrad(g, p, v, lr, eps, initial, weight_decay, first, l1, maximize, clip):
    real = p.dtype.type
    rate, least, start, decay, one, cut = real(lr), real(eps), real(initial), real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], decay, one, maximize, cut)
        v[i] = (start if first else v[i]) + d * d
        p[i] -= rate * (d / (np.sqrt(v[i]) + least))


@face(reference.adadelta_update)
def adadelta_update(g, p, v, u, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, l1=0.0, maximize=False, clip=0.0):
    _adadelta(g, p, v, u, float(lr), float(rho), float(eps), float(weight_decay), float(l1), bool(maximize), float(clip))


@loop
def _adadelta(g, p, v, u, lr, rho, eps, weight_decay, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    rate, keep, share, least = real(lr), real(rho), real(1 - rho), real(eps)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], decay, one, maximize, cut)
        v[i] = _flushed(keep * v[i] + share * d * d, tiny)
        e = np.sqrt(u[i] + least) / np.sqrt(v[i] + least) * d
        u[i] = _flushed(keep * u[i] + share * e * e, tiny)
        p[i] -= rate * e


@face(reference.rmsprop_update)
def rmsprop_update(g, p, v, m, b, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, l1=0.0, maximize=False, clip=0.0):
    _rmsprop(g, p, v, absent(m, 1, p), absent(b, 1, p), m is not None, float(lr), float(alpha), float(eps), float(weight_decay),
             float(momentum), float(l1), bool(maximize), float(clip))


@loop
def _rmsprop(g, p, v, m, b, centered, lr, alpha, eps, weight_decay, momentum, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    rate, keep, share, least, mu = real(lr), real(alpha), real(1 - alpha), real(eps), real(momentum)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], decay, one, maximize, cut)
        s = _flushed(keep * v[i] + share * d * d, tiny)
        v[i] = s
        if centered:
            m[i] = _flushed(keep * m[i] + share * d, tiny)
            s = _larger(real(0), s - m[i] * m[i])
        e = d / (np.sqrt(s) + least)
        if momentum != 0:
            e = _flushed(mu * b[i] + e, tiny)
            b[i] = e
        p[i] -= rate * e


@face(reference.rprop_update)
def rprop_update(g, p, m, v, lr=1e-2, etaminus=0.5, etaplus=1.2, smallest=1e-6, largest=50.0, first=False, l1=0.0, maximize=False,
                 clip=0.0):
    _rprop(g, p, m, v, float(lr), float(etaminus), float(etaplus), float(smallest), float(largest), bool(first), float(l1),
           bool(maximize), float(clip))


@loop
def _rprop(g, p, m, v, lr, etaminus, etaplus, smallest, largest, first, l1, maximize, clip):
    real = p.dtype.type
    rate, less, more, low, high, one, cut = real(lr), real(etaminus), real(etaplus), real(smallest), real(largest), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], real(0), one, maximize, cut)
        turn = real(0) if first else _sign(d) * _sign(m[i])
        size = rate if first else v[i]
        size = size * (more if turn > 0 else less if turn < 0 else real(1))
        size = low if size < low else high if size > high else size
        d = real(0) if turn < 0 else d
        v[i] = size
        m[i] = d
        p[i] -= _sign(d) * size


@face(reference.adam_update)
def adam_update(g, p, m, v, top, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, correction2=1.0, l1=0.0,
                maximize=False, clip=0.0):
    _adam(g, p, m, v, absent(top, 1, p), top is not None, float(lr / correction1), float(beta1), float(beta2), float(eps),
          float(weight_decay), 1.0, float(1 / np.sqrt(correction2)), float(l1), bool(maximize), float(clip))


@face(reference.adamw_update)
def adamw_update(g, p, m, v, top, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, correction1=1.0, correction2=1.0,
                 l1=0.0, maximize=False, clip=0.0):
    _adam(g, p, m, v, absent(top, 1, p), top is not None, float(lr / correction1), float(beta1), float(beta2), float(eps),
          0.0, float(1 - lr * weight_decay), float(1 / np.sqrt(correction2)), float(l1), bool(maximize), float(clip))


@loop
def _adam(g, p, m, v, top, amsgrad, lr, beta1, beta2, eps, weight_decay, shrink, root, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    keep1, share1, keep2, share2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    rate, scale, least, keep = real(lr), real(root), real(eps), real(shrink)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        w = p[i] * keep
        d = _direction(g[i], w, decay, one, maximize, cut)
        m[i] = _flushed(keep1 * m[i] + share1 * d, tiny)
        s = _flushed(keep2 * v[i] + share2 * d * d, tiny)
        v[i] = s
        if amsgrad:
            s = _larger(top[i], s)
            top[i] = s
        p[i] = w - rate * (m[i] / (np.sqrt(s) * scale + least))


@face(reference.adamax_update)
def adamax_update(g, p, m, u, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, correction1=1.0, l1=0.0, maximize=False,
                  clip=0.0):
    _adamax(g, p, m, u, float(lr / correction1), float(beta1), float(beta2), float(eps), float(weight_decay), float(l1), bool(maximize),
            float(clip))


@loop
def _adamax(g, p, m, u, lr, beta1, beta2, eps, weight_decay, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    rate, keep1, share1, keep2, least = real(lr), real(beta1), real(1 - beta1), real(beta2), real(eps)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        d = _direction(g[i], p[i], decay, one, maximize, cut)
        m[i] = _flushed(keep1 * m[i] + share1 * d, tiny)
        u[i] = _larger(keep2 * u[i], abs(d) + least)
        p[i] -= rate * (m[i] / u[i])


@face(reference.nadam_update)
def nadam_update(g, p, m, v, rate_d=2e-3, rate_m=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, shrink=1.0, correction2=1.0,
                 l1=0.0, maximize=False, clip=0.0):
    _nadam(g, p, m, v, float(rate_d), float(rate_m), float(beta1), float(beta2), float(eps), float(weight_decay), float(shrink),
           float(1 / np.sqrt(correction2)), float(l1), bool(maximize), float(clip))


@loop
def _nadam(g, p, m, v, rate_d, rate_m, beta1, beta2, eps, weight_decay, shrink, root, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    keep1, share1, keep2, share2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    of_d, of_m, scale, least, keep = real(rate_d), real(rate_m), real(root), real(eps), real(shrink)
    decay, one, cut = real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        w = p[i] * keep
        d = _direction(g[i], w, decay, one, maximize, cut)
        m[i] = _flushed(keep1 * m[i] + share1 * d, tiny)
        v[i] = _flushed(keep2 * v[i] + share2 * d * d, tiny)
        p[i] = w - (of_d * d + of_m * m[i]) / (np.sqrt(v[i]) * scale + least)


@face(reference.radam_update)
def radam_update(g, p, m, v, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, shrink=1.0, rectified=True, l1=0.0,
                 maximize=False, clip=0.0):
    _radam(g, p, m, v, float(rate), float(beta1), float(beta2), float(eps), float(weight_decay), float(shrink), bool(rectified), float(l1),
           bool(maximize), float(clip))


@loop
def _radam(g, p, m, v, rate, beta1, beta2, eps, weight_decay, shrink, rectified, l1, maximize, clip):
    real = p.dtype.type
    tiny = np.finfo(p.dtype).tiny
    keep1, share1, keep2, share2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    step, least, keep, decay, one, cut = real(rate), real(eps), real(shrink), real(weight_decay), real(l1), real(clip)
    for i in range(p.size):
        w = p[i] * keep
        d = _direction(g[i], w, decay, one, maximize, cut)
        m[i] = _flushed(keep1 * m[i] + share1 * d, tiny)
        v[i] = _flushed(keep2 * v[i] + share2 * d * d, tiny)
        p[i] = w - step * (m[i] / (np.sqrt(v[i]) + least) if rectified else m[i])


@face(reference.lion_update)
def lion_update(g, p, m, lr=1e-4, beta1=0.9, beta2=0.99, shrink=1.0, l1=0.0, maximize=False, clip=0.0):
    _lion(g, p, m, float(lr), float(beta1), float(beta2), float(shrink), float(l1), bool(maximize), float(clip))


@loop
def _lion(g, p, m, lr, beta1, beta2, shrink, l1, maximize, clip):
    real = p.dtype.type
    keep1, share1, keep2, share2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    rate, keep, one, cut = real(lr), real(shrink), real(l1), real(clip)
    for i in range(p.size):
        w = p[i] * keep
        d = _direction(g[i], w, real(0), one, maximize, cut)
        p[i] = w - rate * _sign(keep1 * m[i] + share1 * d)
        m[i] = keep2 * m[i] + share2 * d


@face(reference.limit_rows)
def limit_rows(w, limit=1.0):
    _limit_rows(w, float(limit))


@loop
def _limit_rows(w, limit):
    real = w.dtype.type
    for n in range(w.shape[0]):
        total = real(0)
        for i in range(w.shape[1]):
            total += w[n, i] * w[n, i]
        norm = np.sqrt(total)
        if norm > limit:
            factor = real(limit) / norm
            for i in range(w.shape[1]):
                w[n, i] *= factor


@face(reference.average_update)
def average_update(p, average, keep=0.999):
    _average(p, average, float(keep))


@loop
def _average(p, average, keep):
    real = p.dtype.type
    old, new = real(keep), real(1 - keep)
    for i in range(p.size):
        average[i] = old * average[i] + new * p[i] if keep != 0 else p[i]


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
