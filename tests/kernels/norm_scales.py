"""sum|terms| of the normalisation kernels: for test_contract.py."""
import numpy as np
from vivace.kernels import reference


def scale_of_batch_statistics(x, mean, rstd, var, eps):
    reference.batch_statistics(x, mean, rstd, var, eps)
    size = np.abs(x).mean(axis=0) if len(x) else mean
    spread = np.abs(x - mean).mean(axis=0) if len(x) else mean
    return [size, rstd * (1 + spread * size * rstd ** 2), var + spread * size * len(x) / max(len(x) - 1, 1)]


def scale_of_layer_norm(x, w, b, y, mean, rstd, eps, centred):
    reference.layer_norm_forward(x, w, b, y, mean, rstd, eps, centred)
    if not x.size:
        return [y, mean, rstd]
    size, apart = np.abs(x).mean(axis=1), np.abs(x - mean[:, None])
    deviation = rstd * (1 + (apart * np.abs(x)).mean(axis=1) * rstd ** 2)
    scaled = (np.abs(x) + size[:, None]) * rstd[:, None] + apart * deviation[:, None]
    return [scaled * (1 if w is None else np.abs(w)) + (0 if b is None else np.abs(b)), size, deviation]


def magnitude(x, mean, rstd):
    """Terms of (x - mean) rstd."""
    return (np.abs(x) + np.abs(mean)) * rstd


def scale_of_layer_norm_backward_input(x, w, dy, mean, rstd, dx, centred):
    if not x.size:
        return [dx]
    g = np.abs(dy if w is None else dy * w)
    h = magnitude(x, mean[:, None], rstd[:, None])
    along = (g * h).mean(axis=1, keepdims=True)
    return [(g + g.mean(axis=1, keepdims=True) + h * along) * rstd[:, None]]


def scale_of_batch_norm_backward_input(x, dy, mean, rstd, w, dw, db, dx):
    rows = max(len(x), 1)
    terms = np.abs(dy) + np.abs(db) / rows + magnitude(x, mean, rstd) * np.abs(dw) / rows
    return [terms * rstd * (1 if w is None else np.abs(w))]


def sums_over_rows(x, dy, mean, rstd):
    return [(np.abs(dy) * magnitude(x, mean, rstd)).sum(axis=0), np.abs(dy).sum(axis=0)]


SCALE = {
    "batch_statistics": scale_of_batch_statistics, "layer_norm_forward": scale_of_layer_norm,
    "normalize_columns": lambda x, mean, rstd, w, b, y: [
        magnitude(x, mean, rstd) * (1 if w is None else np.abs(w)) + (0 if b is None else np.abs(b))],
    "batch_norm_backward_input": scale_of_batch_norm_backward_input,
    "batch_norm_backward_weight": lambda x, dy, mean, rstd, dw, db: sums_over_rows(x, dy, mean, rstd),
    "layer_norm_backward_input": scale_of_layer_norm_backward_input,
    "layer_norm_backward_weight": lambda x, dy, mean, rstd, dw, db: [
        None if a is None else terms for a, terms in zip((dw, db), sums_over_rows(x, dy, mean[:, None], rstd[:, None]))],
}
"""sum|terms| of each written array, in order."""
