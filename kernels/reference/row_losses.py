"""Losses over the classes of a row, beside cross-entropy. What losses.py says of l, dz, w and mean holds."""
import numpy as np

from ..contract import kernel
from .column_losses import power_of
from .losses import _labels_in_range, row_factor

__all__ = ["softmax_focal", "multi_margin"]


@kernel("z(N,C) t:int(N) w(N)?! -> l(N) dz(N,C)?", also=_labels_in_range)
def softmax_focal(z, t, w, l, dz, gamma=2.0, mean=True):
    """l[n] = -m^gamma log p ;  dl/dz = m^gamma (1 - gamma p log p / m) (softmax(z) - onehot).  p = softmax(z)[t], m = 1 - p

    m comes from the other classes, not from 1 - p, and log p near 1 from log(1 + the others). Source: Lin et al. 2017.
    """
    if not len(z):
        return
    real, rows = z.dtype.type, np.arange(len(t))
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    own, e[rows, t] = e[rows, t].copy(), 0
    others = e.sum(axis=1)
    s = own + others
    own_shift = shifted[rows, t]
    log_p = np.where(own_shift == 0, -np.log1p(others), own_shift - np.log(s))
    p, m = own / s, others / s
    focus = power_of(m, gamma)
    l[...] = focus * -log_p
    if dz is not None:
        ratio = np.where(m > 0, p * -log_p / np.where(m > 0, m, 1), np.where(m == m, 1, m))
        factor = focus * (1 + real(gamma) * ratio) * row_factor(w, len(z), mean, z.dtype)[:, 0]
        dz[...] = e / s[:, None] * factor[:, None]
        dz[rows, t] = -m * factor


@kernel("z(N,C) t:int(N) w(N)?! c(C)? -> l(N) dz(N,C)?", also=_labels_in_range)
def multi_margin(z, t, w, c, l, dz, margin=1.0, p=1, mean=True):
    """l[n] = c[t] sum over i != t of max(0, margin - z[t] + z[i])^p / C ;  p is 1 or 2, c (C,) weights of classes

    dl/dz[i] = c[t] p h^(p-1) / C where h > 0, and dl/dz[t] minus their sum. As PyTorch, the mean is not over the weights c, and the
    sum over the outputs is divided by C for mean=False too. Source: Crammer and Singer 2001.
    """
    rows, classes = np.arange(len(t)), z.shape[1]
    share = np.full(len(t), 1.0 / classes, z.dtype) if c is None else c[t] * z.dtype.type(1.0 / classes)
    h = np.maximum(z.dtype.type(margin) - z[rows, t][:, None] + z, 0)
    h[rows, t] = 0
    l[...] = (h if p == 1 else h * h).sum(axis=1) * share
    if dz is not None:
        slope = (h > 0).astype(z.dtype) if p == 1 else h + h
        slope[rows, t] = -slope.sum(axis=1)
        np.multiply(slope, share[:, None] * row_factor(w, len(z), mean, z.dtype), out=dz)
