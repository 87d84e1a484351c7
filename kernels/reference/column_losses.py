"""Losses that are a sum (or a mean) over the outputs of one expression of prediction and target. What losses.py says of l, dy, w and
mean holds.

Expressions are written so that finite inputs give no NaN: what is multiplied by a zero target or a zero distance to the margin is
left out, logarithms come from exp(-|z|). A value that lies beyond the largest float is inf.
"""
import numpy as np

from ..contract import kernel
from .activations import sigmoid
from .losses import averaged, row_factor

__all__ = ["absolute_error", "huber_error", "quantile_error", "poisson_error", "tweedie_error", "gaussian_nll", "hinge_error",
           "hinge_embedding_error", "kl_divergence", "weighted_binary_cross_entropy_logits", "sigmoid_focal"]


def _columns(terms, slopes, w, l, dy, averages, mean):
    real, outputs = l.dtype.type, averaged(terms, averages)
    l[...] = terms.sum(axis=1) / real(outputs)
    if dy is not None:
        np.multiply(slopes, row_factor(w, len(terms), mean, l.dtype) * real(1.0 / outputs), out=dy)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def absolute_error(y, t, w, l, dy, mean=True):
    """l[n] = sum over o of |y - t| / O ;  dl/dy = sign(y - t) / O, 0 where they are equal"""
    _columns(np.abs(y - t), np.sign(y - t), w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def huber_error(y, t, w, l, dy, delta=1.0, scale=1.0, mean=True):
    """l[n] = scale sum over o of h(y - t) / O ;  h(d) = d² / 2 where |d| <= delta, delta (|d| - delta / 2) beyond

    dl/dy = scale clip(d, -delta, delta) / O. delta > 0. SmoothL1 of PyTorch is delta = beta, scale = 1 / beta. Source: Huber 1964.
    """
    real = y.dtype.type
    d, delta, scale = y - t, real(delta), real(scale)
    a = np.abs(d)
    _columns(scale * np.where(a <= delta, real(0.5) * d * d, delta * (a - real(0.5) * delta)), scale * np.clip(d, -delta, delta),
             w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! q(O) -> l(N) dy(N,O)?")
def quantile_error(y, t, w, q, l, dy, mean=True):
    """l[n] = sum over o of max(q d, (q - 1) d) / O, d = t - y ;  dl/dy = -q where d > 0, 1 - q where d < 0, 0 at 0, over O

    q (O,) in 0..1: the quantile of each output. Source: Koenker and Bassett 1978.
    """
    d = t - y
    _columns(np.where(d > 0, q * d, (q - 1) * d), np.where(d > 0, -q, np.where(d < 0, 1 - q, d)), w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def poisson_error(y, t, w, l, dy, eps=1e-8, log_input=True, full=False, mean=True):
    """l[n] = sum over o of (exp(y) - t y) / O ;  dl/dy = (exp(y) - t) / O.  y is the logarithm of the rate

    log_input=False: y is the rate: y - t log(y + eps) and 1 - t / (y + eps). full adds Stirling's formula for log t!,
    t log t - t + log(2 pi t) / 2, where t > 1. t >= 0.
    """
    real = y.dtype.type
    with np.errstate(all="ignore"):
        if log_input:
            e = np.exp(y)
            terms, slopes = e - np.where(t == 0, t, t * y), e - t
        else:
            rate = y + real(eps)
            terms, slopes = y - np.where(t == 0, t, t * np.log(rate)), 1 - t / rate
        if full:
            log_t = np.log(t)
            terms = terms + np.where(t > 1, (t * log_t - t) + real(0.5) * (log_t + real(np.log(2 * np.pi))), 0)
        _columns(terms, slopes, w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def tweedie_error(y, t, w, l, dy, power=1.5, eps=1e-8, log_input=True, mean=True):
    """Half the deviance of a Tweedie distribution with variance mu^p, without the terms of t alone, mu = exp(y):

    l[n] = sum over o of (mu^(2-p) / (2-p) - t mu^(1-p) / (1-p)) / O ;  dl/dy = (mu^(2-p) - t mu^(1-p)) / O
    p = 1 (Poisson): mu - t y.  p = 2 (gamma): y + t / mu.  log_input=False: mu = max(y, eps), and the slope is that over mu.
    Source: Jorgensen 1987; the half deviances of scikit-learn.
    """
    real = y.dtype.type
    with np.errstate(all="ignore"):
        mu = None if log_input else np.where(y < real(eps), real(eps), y)
        z = y if log_input else np.log(mu)
        up, down = np.exp(real(2 - power) * z), np.exp(real(1 - power) * z)
        pull = np.where(t == 0, t, t * down)
        slopes = up - pull
        if power == 1:
            terms = up - np.where(t == 0, t, t * z)
        elif power == 2:
            terms = z + pull
        else:
            terms = up * real(1 / (2 - power)) - pull * real(1 / (1 - power))
        _columns(terms, slopes if log_input else slopes / mu, w, l, dy, mean, mean)


@kernel("y(N,2,O) t(N,O) w(N)?! -> l(N) dy(N,2,O)?")
def gaussian_nll(y, t, w, l, dy, eps=1e-6, full=False, log_variance=False, mean=True):
    """l[n] = sum over o of (log v + (m - t)² / v) / 2 / O ;  dl/dm = (m - t) / v / O ;  dl/dv = (1 - (m - t)² / v) / (2 v) / O

    y[n] is the row of means m, then that of variances v; v below eps counts as eps, the slope there as well (as PyTorch).
    log_variance: the second row is s = log v, and dl/ds = (1 - (m - t)² exp(-s)) / 2 / O. full adds log(2 pi) / 2.
    Source: Nix and Weigend 1994.
    """
    real, half = y.dtype.type, y.dtype.type(0.5)
    d = y[:, 0] - t
    with np.errstate(over="ignore", invalid="ignore"):
        if log_variance:
            log_v = y[:, 1]
            precision = np.exp(-log_v)
        else:
            v = np.where(y[:, 1] < real(eps), real(eps), y[:, 1])
            log_v, precision = np.log(v), 1 / v
        distance = np.where(d == 0, d, d * (d * precision))
        terms = half * (log_v + distance)
        if full:
            terms = terms + real(0.5 * np.log(2 * np.pi))
        slopes = np.stack([np.where(d == 0, d, d * precision), half * (1 - distance) * (1 if log_variance else precision)], axis=1)
    outputs = averaged(terms, mean)
    l[...] = terms.sum(axis=1) / real(outputs)
    if dy is not None:
        np.multiply(slopes, (row_factor(w, len(y), mean, y.dtype) * real(1.0 / outputs))[:, :, None], out=dy)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def hinge_error(y, t, w, l, dy, margin=1.0, squared=False, mean=True):
    """l[n] = sum over o of h / O, h = max(0, margin - t y) ;  dl/dy = -t / O where h > 0.  t is 1 or -1.  squared: h², -2 h t"""
    h = np.maximum(y.dtype.type(margin) - t * y, 0)
    _columns(h * h if squared else h, np.where(h > 0, -(h + h) * t if squared else -t, 0), w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def hinge_embedding_error(y, t, w, l, dy, margin=1.0, mean=True):
    """l[n] = sum over o of (y where t = 1, max(0, margin - y) where t = -1) / O ;  dl/dy = 1, or -1 within the margin, over O"""
    h = np.maximum(y.dtype.type(margin) - y, 0)
    _columns(np.where(t > 0, y, h), np.where(t > 0, y.dtype.type(1), np.where(h > 0, y.dtype.type(-1), 0)), w, l, dy, mean, mean)


@kernel("y(N,O) t(N,O) w(N)?! -> l(N) dy(N,O)?")
def kl_divergence(y, t, w, l, dy, log_target=False, per_row=False, mean=True):
    """l[n] = sum over o of t (log t - y) / O ;  dl/dy = -t / O.  y are logarithms of probabilities, t probabilities; 0 log 0 = 0

    log_target: t are logarithms as well: exp(t) (t - y) and -exp(t). per_row: a row's loss is the sum over its outputs, also with mean.
    """
    with np.errstate(all="ignore"):
        share, log_t = (np.exp(t), t) if log_target else (t, np.log(t))
        terms = np.where(share == 0, share, share * (log_t - y))
    _columns(terms, -share, w, l, dy, mean and not per_row, mean)


@kernel("z(N,O) t(N,O) w(N)?! c(O) -> l(N) dz(N,O)?")
def weighted_binary_cross_entropy_logits(z, t, w, c, l, dz, mean=True):
    """l[n] = sum over o of (c t log(1 + exp(-z)) + (1 - t) log(1 + exp(z))) / O ;  dl/dz = ((1 - t) sigmoid(z) - c t sigmoid(-z)) / O

    c (O,): how much more a positive counts, per output. t (N, O) in 0..1.
    """
    rest = np.log1p(np.exp(-np.abs(z)))
    yes, no = c * t, 1 - t
    _columns(yes * (np.maximum(-z, 0) + rest) + no * (np.maximum(z, 0) + rest), no * sigmoid(z) - yes * sigmoid(-z), w, l, dz, mean, mean)


def power_of(m, gamma):
    """m ** gamma for m in 0..1, gamma >= 0"""
    if gamma in (0, 1, 2):
        return (np.ones_like(m), m, m * m)[int(gamma)]
    with np.errstate(divide="ignore"):
        return np.exp(m.dtype.type(gamma) * np.log(m))


@kernel("z(N,O) t(N,O) w(N)?! -> l(N) dz(N,O)?")
def sigmoid_focal(z, t, w, l, dz, gamma=2.0, alpha=0.25, mean=True):
    """l[n] = sum over o of a m^gamma b / O ;  dl/dz = a m^gamma ((p - t) + gamma b (1 - 2 t) p (1 - p) / m) / O

    p = sigmoid(z), b the binary cross-entropy, m = p (1 - t) + (1 - p) t what was missed, a = alpha t + (1 - alpha) (1 - t), or 1 where
    alpha < 0. Source: Lin et al. 2017, arXiv:1708.02002.
    """
    real = z.dtype.type
    p, rest = sigmoid(z), sigmoid(-z)
    near = np.log1p(np.exp(-np.abs(z)))
    b = t * (np.maximum(-z, 0) + near) + (1 - t) * (np.maximum(z, 0) + near)
    m = p * (1 - t) + rest * t
    a = real(alpha) * t + real(1 - alpha) * (1 - t) if alpha >= 0 else real(1)
    focus = a * power_of(m, gamma)
    ratio = np.where(m > 0, p * rest / np.where(m > 0, m, 1), m)
    _columns(focus * b, focus * (((1 - t) * p - t * rest) + real(gamma) * b * (1 - (t + t)) * ratio), w, l, dz, mean, mean)
