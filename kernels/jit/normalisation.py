"""Normalisation: over the columns of a batch, over each row. Sums over rows: chunks of 128, joined by a binary tree."""
import numpy as np

from .. import reference
from ..contract import CHUNK
from .activations import row_sum
from .face import absent, face, inline, loop

__all__ = ["batch_statistics", "inverse_deviation", "normalize_columns", "batch_norm_backward_weight", "batch_norm_backward_input",
           "scale_columns", "running_update", "layer_norm_forward", "layer_norm_backward_input", "layer_norm_backward_weight"]


@inline
def push(stack, top, chunk, last):
    """Join what a binary counter joins when chunk number `chunk` was put at stack[top]; the new top."""
    top += 1
    while top > 1 and (chunk & 1 or last):
        top -= 1
        stack[top - 1] += stack[top]
        chunk >>= 1
    return top


@face(reference.batch_statistics)
def batch_statistics(x, mean, rstd, var, eps=1e-5):
    _batch_statistics(x, mean, rstd, var, float(eps))


@loop
def _batch_statistics(x, mean, rstd, var, eps):
    rows, columns = x.shape
    real = x.dtype.type
    stack, chunks = np.zeros((64, columns), x.dtype), (rows + CHUNK - 1) // CHUNK
    for again in range(2):
        top = 0
        stack[0] = real(0)
        for chunk in range(chunks):
            stack[top] = real(0)
            for n in range(chunk * CHUNK, min(rows, (chunk + 1) * CHUNK)):
                for o in range(columns):
                    if again:
                        d = x[n, o] - mean[o]
                        stack[top, o] += d * d
                    else:
                        stack[top, o] += x[n, o]
            top = push(stack, top, chunk, chunk == chunks - 1)
        for o in range(columns):
            if again:
                rstd[o] = real(1) / np.sqrt(stack[0, o] / real(max(rows, 1)) + real(eps))
                var[o] = stack[0, o] / real(max(rows - 1, 1))
            else:
                mean[o] = stack[0, o] / real(max(rows, 1))


@face(reference.inverse_deviation)
def inverse_deviation(var, rstd, eps=1e-5):
    _inverse_deviation(var, rstd, float(eps))


@loop
def _inverse_deviation(var, rstd, eps):
    real = var.dtype.type
    for i in range(var.size):
        rstd[i] = real(1) / np.sqrt(var[i] + real(eps))


@face(reference.normalize_columns)
def normalize_columns(x, mean, rstd, w, b, y):
    _normalize_columns(x, mean, rstd, absent(w, 1, x), absent(b, 1, x), y)


@loop
def _normalize_columns(x, mean, rstd, w, b, y):
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = (x[n, i] - mean[i]) * (rstd[i] * w[i] if w.size else rstd[i])
            y[n, i] = v + b[i] if b.size else v


@loop
def _sums(x, dy, mean, rstd, dw, db, by_row):
    """dw and db of both normalisations; mean and rstd belong to rows or to columns."""
    rows, columns = x.shape
    real = x.dtype.type
    one, two = np.zeros((64, columns), x.dtype), np.zeros((64, columns), x.dtype)
    chunks, top = (rows + CHUNK - 1) // CHUNK, 0
    for chunk in range(chunks):
        one[top], two[top] = real(0), real(0)
        for n in range(chunk * CHUNK, min(rows, (chunk + 1) * CHUNK)):
            for o in range(columns):
                at = n if by_row else o
                one[top, o] += dy[n, o] * ((x[n, o] - mean[at]) * rstd[at])
                two[top, o] += dy[n, o]
        push(one, top, chunk, chunk == chunks - 1)
        top = push(two, top, chunk, chunk == chunks - 1)
    for o in range(dw.size):
        dw[o] = one[0, o]
    for o in range(db.size):
        db[o] = two[0, o]


@face(reference.batch_norm_backward_weight)
def batch_norm_backward_weight(x, dy, mean, rstd, dw, db):
    _sums(x, dy, mean, rstd, dw, db, False)


@face(reference.layer_norm_backward_weight)
def layer_norm_backward_weight(x, dy, mean, rstd, dw, db):
    _sums(x, dy, mean, rstd, absent(dw, 1, x), absent(db, 1, x), True)


@face(reference.batch_norm_backward_input)
def batch_norm_backward_input(x, dy, mean, rstd, w, dw, db, dx):
    _batch_norm_backward_input(x, dy, mean, rstd, absent(w, 1, x), dw, db, dx)


@loop
def _batch_norm_backward_input(x, dy, mean, rstd, w, dw, db, dx):
    rows = x.dtype.type(max(x.shape[0], 1))
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = (dy[n, i] - db[i] / rows) - (x[n, i] - mean[i]) * (rstd[i] * (dw[i] / rows))
            dx[n, i] = v * (rstd[i] * w[i] if w.size else rstd[i])


@face(reference.scale_columns)
def scale_columns(dy, rstd, w, dx):
    _scale_columns(dy, rstd, absent(w, 1, dy), dx)


@loop
def _scale_columns(dy, rstd, w, dx):
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx[n, i] = dy[n, i] * (rstd[i] * w[i] if w.size else rstd[i])


@face(reference.running_update)
def running_update(mean, var, running_mean, running_var, count, momentum=0.1):
    _running_update(mean, var, running_mean, running_var, count, float(momentum))


@loop
def _running_update(mean, var, running_mean, running_var, count, momentum):
    real = mean.dtype.type
    count[0] += 1
    m = 1.0 / np.float64(count[0]) if momentum < 0 else momentum
    new, old = real(m), real(1.0 - m)
    for o in range(mean.size):
        running_mean[o] = old * running_mean[o] + new * mean[o]
        running_var[o] = old * running_var[o] + new * var[o]


@face(reference.layer_norm_forward)
def layer_norm_forward(x, w, b, y, mean, rstd, eps=1e-5, centred=True):
    _layer_norm_forward(x, absent(w, 1, x), absent(b, 1, x), y, mean, rstd, float(eps), bool(centred))


@loop
def _layer_norm_forward(x, w, b, y, mean, rstd, eps, centred):
    real = x.dtype.type
    width = real(max(x.shape[1], 1))
    for n in range(x.shape[0]):
        m = row_sum(x, n) / width if centred else real(0)
        for i in range(x.shape[1]):
            d = x[n, i] - m
            y[n, i] = d * d
        s = real(1) / np.sqrt(row_sum(y, n) / width + real(eps))
        mean[n], rstd[n] = m, s
        for i in range(x.shape[1]):
            v = (x[n, i] - m) * s
            v = v * w[i] if w.size else v
            y[n, i] = v + b[i] if b.size else v


@face(reference.layer_norm_backward_input)
def layer_norm_backward_input(x, w, dy, mean, rstd, dx, centred=True):
    _layer_norm_backward_input(x, absent(w, 1, x), dy, mean, rstd, dx, bool(centred))


@loop
def _layer_norm_backward_input(x, w, dy, mean, rstd, dx, centred):
    real = x.dtype.type
    width, g = real(max(x.shape[1], 1)), np.empty((2, x.shape[1]), x.dtype)
    for n in range(x.shape[0]):
        m, s = mean[n], rstd[n]
        for i in range(x.shape[1]):
            g[0, i] = dy[n, i] * w[i] if w.size else dy[n, i]
            g[1, i] = g[0, i] * ((x[n, i] - m) * s)
        shift = row_sum(g, 0) / width if centred else real(0)
        along = row_sum(g, 1) / width
        for i in range(x.shape[1]):
            dx[n, i] = (g[0, i] - shift - ((x[n, i] - m) * s) * along) * s
