"""Normalisation: over the columns of a batch (batch norm), over each row (layer norm, RMS norm). Sums over rows: chunks and tree."""
import numpy as np

from ..contract import kernel
from .linear import tree_sum

__all__ = ["batch_statistics", "inverse_deviation", "normalize_columns", "batch_norm_backward_weight", "batch_norm_backward_input",
           "scale_columns", "running_update", "layer_norm_forward", "layer_norm_backward_input", "layer_norm_backward_weight"]


def _column_sum(terms):
    return tree_sum(len(terms), lambda rows: terms[rows].sum(axis=0), terms.shape[1:], terms.dtype)


@kernel("x(N,O) -> mean(O) rstd(O) var(O)", over="outputs")
def batch_statistics(x, mean, rstd, var, eps=1e-5):
    """mean = sum of x / N ;  rstd = 1 / sqrt(sum of (x - mean)² / N + eps) ;  var = sum of (x - mean)² / (N - 1)

    x (N, O) -> mean, rstd, var (O,): what a batch is normalised with, and the unbiased variance that running statistics take (with
    one row it is 0). Two passes, so that a large mean costs no digits.
    """
    rows, real = len(x), x.dtype.type
    mean[...] = _column_sum(x) / real(max(rows, 1))
    squares = _column_sum(np.square(x - mean))
    rstd[...] = 1 / np.sqrt(squares / real(max(rows, 1)) + real(eps))
    var[...] = squares / real(max(rows - 1, 1))


@kernel("var(P) -> rstd(P)", over="flat")
def inverse_deviation(var, rstd, eps=1e-5):
    """rstd = 1 / sqrt(var + eps)"""
    with np.errstate(invalid="ignore", divide="ignore"):
        rstd[...] = 1 / np.sqrt(var + var.dtype.type(eps))


@kernel("x(N,I) mean(I) rstd(I) w(I)? b(I)? -> y(N,I)")
def normalize_columns(x, mean, rstd, w, b, y):
    """y = (x - mean) rstd w + b;  without w and b (None): (x - mean) rstd. Ioffe and Szegedy 2015, arXiv:1502.03167"""
    np.subtract(x, mean, out=y)
    y *= rstd if w is None else rstd * w
    if b is not None:
        y += b


@kernel("x(N,O) dy(N,O) mean(O) rstd(O) -> dw(O) db(O)", over="outputs")
def batch_norm_backward_weight(x, dy, mean, rstd, dw, db):
    """dw = sum over N of dy (x - mean) rstd ;  db = sum over N of dy"""
    dw[...] = _column_sum(dy * ((x - mean) * rstd))
    db[...] = _column_sum(dy)


@kernel("x(N,I) dy(N,I) mean(I) rstd(I) w(I)? dw(I) db(I) -> dx(N,I)")
def batch_norm_backward_input(x, dy, mean, rstd, w, dw, db, dx):
    """dx = rstd w (dy - db / N - (x - mean) rstd dw / N), the statistics being those of the batch; dw, db are sums over all N rows.

    N is the number of rows of the call: a plan calls it on parts of a batch, and means the batch.
    """
    rows = x.dtype.type(max(len(x), 1))
    factor = rstd if w is None else rstd * w
    dx[...] = ((dy - db / rows) - (x - mean) * (rstd * (dw / rows))) * factor


@kernel("dy(N,I) rstd(I) w(I)? -> dx(N,I)")
def scale_columns(dy, rstd, w, dx):
    """dx = dy rstd w: the gradient of normalize_columns where its statistics are constants"""
    np.multiply(dy, rstd if w is None else rstd * w, out=dx)


@kernel("mean(O) var(O) -> running_mean(O)~ running_var(O)~ count:int(1)~", over="all")
def running_update(mean, var, running_mean, running_var, count, momentum=0.1):
    """count += 1 ;  running = (1 - m) running + m batch for mean and var, m = momentum, or 1 / count where momentum is negative

    The latter is the plain average over all batches. In place; mean, var as batch_statistics writes them.
    """
    count += 1
    m = 1.0 / float(count[0]) if momentum < 0 else momentum
    new, old = mean.dtype.type(m), mean.dtype.type(1.0 - m)
    running_mean[...] = old * running_mean + new * mean
    running_var[...] = old * running_var + new * var


@kernel("x(N,I) w(I)? b(I)? -> y(N,I) mean(N) rstd(N)")
def layer_norm_forward(x, w, b, y, mean, rstd, eps=1e-5, centred=True):
    """y = (x - mean) rstd w + b;  mean = sum over i of x / I, rstd = 1 / sqrt(sum over i of (x - mean)² / I + eps)

    x, y (N, I)  w, b (I,) or None  mean, rstd (N,). centred=False: mean is 0, which is RMS norm. Ba et al. 2016, arXiv:1607.06450;
    Zhang and Sennrich 2019, arXiv:1910.07467.
    """
    real, width = x.dtype.type, max(x.shape[1], 1)
    mean[...] = x.sum(axis=1) / real(width) if centred else 0
    np.subtract(x, mean[:, None], out=y)
    rstd[...] = 1 / np.sqrt(np.square(y).sum(axis=1) / real(width) + real(eps))
    y *= rstd[:, None]
    if w is not None:
        y *= w
    if b is not None:
        y += b


@kernel("x(N,I) w(I)? dy(N,I) mean(N) rstd(N) -> dx(N,I)")
def layer_norm_backward_input(x, w, dy, mean, rstd, dx, centred=True):
    """dx = rstd (g - mean of g - h mean of g h), g = dy w, h = (x - mean) rstd, means over i; without "mean of g" where not centred"""
    width = x.dtype.type(max(x.shape[1], 1))
    h = (x - mean[:, None]) * rstd[:, None]
    g = dy if w is None else dy * w
    along = (g * h).sum(axis=1, keepdims=True) / width
    shift = g.sum(axis=1, keepdims=True) / width if centred else 0
    dx[...] = (g - shift - h * along) * rstd[:, None]


@kernel("x(N,O) dy(N,O) mean(N) rstd(N) -> dw(O)? db(O)?", over="outputs")
def layer_norm_backward_weight(x, dy, mean, rstd, dw, db):
    """dw = sum over N of dy (x - mean) rstd ;  db = sum over N of dy; either may be None"""
    if dw is not None:
        dw[...] = _column_sum(dy * ((x - mean[:, None]) * rstd[:, None]))
    if db is not None:
        db[...] = _column_sum(dy)
