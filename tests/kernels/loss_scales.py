"""sum|terms| of the losses that are a sum over outputs of one expression, and of those of a row of classes: for test_contract.py."""
import numpy as np
from vivace.kernels import reference

sigmoid = reference.activations.sigmoid


def averages(terms, slopes, w, mean, over=None):
    """The scales of l and dy out of those of one element's value and slope."""
    outputs = max(terms.shape[1], 1) if (mean if over is None else over) else 1
    factor = np.abs(reference.losses.row_factor(w, len(terms), mean, terms.dtype)) / outputs
    return [terms.sum(axis=1) / outputs, slopes * factor.reshape(-1, *[1] * (slopes.ndim - 1))]


def absolute(y, t, w, l, dy, mean):
    size = np.abs(y) + np.abs(t)
    return averages(size, np.ones_like(y), w, mean)


def huber(y, t, w, l, dy, delta, scale, mean):
    size, d = np.abs(y) + np.abs(t), np.abs(y - t)
    return averages(scale * (np.minimum(d, delta) * size + delta * delta), scale * np.minimum(size, size + delta), w, mean)


def quantile(y, t, w, q, l, dy, mean):
    return averages(np.abs(y) + np.abs(t), np.ones_like(y), w, mean)


def grown(z):
    """What rounding its argument costs exp(z), relative."""
    return 1 + np.abs(z)


def poisson(y, t, w, l, dy, eps, log_input, full, mean):
    log_t = np.abs(np.log(np.where(t > 1, t, 1)))
    rest = (t * log_t + t + 3) * full
    if log_input:
        return averages(np.exp(y) * grown(y) + t * np.abs(y) + rest, np.exp(y) * grown(y) + t, w, mean)
    return averages(y + t * (1 + np.abs(np.log(y + eps))) + rest, 1 + t / (y + eps), w, mean)


def tweedie(y, t, w, l, dy, power, eps, log_input, mean):
    z = y if log_input else np.log(y)
    up = np.exp((2 - power) * z) * grown((2 - power) * z) * (1 + abs(2 - power))
    down = t * np.exp((1 - power) * z) * grown((1 - power) * z) * (1 + abs(1 - power))
    slopes = (up + down) / (1 if log_input else y)
    terms = {1: up + t * grown(z), 2: grown(z) + down}.get(power, up / abs(2 - power or 1) + down / abs(1 - power or 1))
    return averages(terms, slopes, w, mean)


def gaussian(y, t, w, l, dy, eps, full, log_variance, mean):
    v = y[:, 1]
    log_v = v if log_variance else np.log(np.maximum(v, eps))
    precision = np.exp(-log_v) * (grown(v) if log_variance else 1)
    size, d = np.abs(y[:, 0]) + np.abs(t), np.abs(y[:, 0] - t)
    slopes = np.stack([size * precision, (1 + size * d * precision) * (1 if log_variance else precision)], axis=1)
    return averages(np.abs(log_v) + 1 + d * size * precision, slopes, w, mean)


def hinge(y, t, w, l, dy, margin, squared, mean):
    size, h = margin + np.abs(y), np.maximum(margin - t * y, 0)
    return averages(size * (h if squared else 1), 2 * size if squared else np.ones_like(y), w, mean)


def hinge_embedding(y, t, w, l, dy, margin, mean):
    return averages(margin + np.abs(y), np.ones_like(y), w, mean)


def divergence(y, t, w, l, dy, log_target, per_row, mean):
    share, log_t = (np.exp(t), t) if log_target else (t, np.log(np.where(t > 0, t, 1)))
    return averages(share * (np.abs(log_t) + np.abs(y) + 1) * grown(log_t), share * grown(log_t), w, mean, mean and not per_row)


def weighted_logits(z, t, w, c, l, dz, mean):
    rest = np.log1p(np.exp(-np.abs(z)))
    yes, no = c * t, 1 + t
    return averages(yes * (np.maximum(-z, 0) + rest) + no * (np.maximum(z, 0) + rest), no * sigmoid(z) + yes * sigmoid(-z), w, mean)


def focal(z, t, w, l, dz, gamma, alpha, mean):
    rest = np.log1p(np.exp(-np.abs(z)))
    b = (1 + t) * (np.maximum(z, 0) + rest) + t * (np.maximum(-z, 0) + rest)
    m = sigmoid(z) * (1 - t) + sigmoid(-z) * t
    a = 1 if alpha < 0 else abs(alpha) * t + (1 + alpha) * (1 + t)
    focus = a * m ** gamma * (1 + gamma * (np.abs(np.log(m)) + (1 + t) / m))
    return averages(focus * b, focus * (1 + t + gamma * b * (1 + 2 * t)), w, mean)


def softmax_focal(z, t, w, l, dz, gamma, mean):
    if not z.size:
        return [l, dz]
    shifted, log_sum, p = reference.losses._log_softmax(z)
    own, rows = np.arange(z.shape[1]) == t[:, None], np.arange(len(t))
    spread = 1 + log_sum - shifted
    chosen, missed = p[rows, t], np.where(own, 0, p).sum(axis=1)
    lost = 1 + np.where(own, 0, p * spread).sum(axis=1) / np.where(missed > 0, missed, 1)
    focus = missed ** gamma * (1 + gamma * (lost + np.abs(np.log(np.where(missed > 0, missed, 1)))))
    log_p = spread[rows, t]
    rate = focus * (1 + gamma * chosen * log_p / np.where(missed > 0, missed, 1)) * lost
    factor = np.abs(reference.losses.row_factor(w, len(z), mean, z.dtype))
    return [focus * log_p, np.where(own, missed[:, None], p * spread) * rate[:, None] * log_p[:, None] * factor]


def multi_margin(z, t, w, c, l, dz, margin, p, mean):
    rows = np.arange(len(t))
    share = (1.0 if c is None else c[t][:, None]) / max(z.shape[1], 1) + np.zeros((len(z), 1))
    size = margin + np.abs(z[rows, t][:, None]) + np.abs(z)
    h = np.maximum(margin - z[rows, t][:, None] + z, 0)
    slope = (size if p == 2 else np.ones_like(z)) * (h > 0)
    slope[rows, t] = slope.sum(axis=1)
    factor = np.abs(reference.losses.row_factor(w, len(z), mean, z.dtype))
    return [(size * (h if p == 2 else 1)).sum(axis=1) * share[:, 0], slope * share * factor]


SCALE = {"absolute_error": absolute, "huber_error": huber, "quantile_error": quantile, "poisson_error": poisson, "tweedie_error": tweedie,
         "gaussian_nll": gaussian, "hinge_error": hinge, "hinge_embedding_error": hinge_embedding, "kl_divergence": divergence,
         "weighted_binary_cross_entropy_logits": weighted_logits, "sigmoid_focal": focal, "softmax_focal": softmax_focal,
         "multi_margin": multi_margin}
TOLERANCE = dict.fromkeys(SCALE, 4)
