"""Random augmentation by counter-based numbers: each element's is a function of (seed, op, step) and its place."""
import numpy as np

from ..contract import kernel
from .dropout import philox

__all__ = ["gaussian_noise", "rrelu_forward", "rrelu_backward", "mix_rows", "mix_labels"]


def _words(shape, seed, op, step, per):
    """(N, blocks, 4) words of 32 bits; `per` elements of a row share one counter (block, n, op, step)."""
    rows, width = shape
    blocks = np.arange(-(-width // per), dtype=np.uint64)
    words = philox(seed, blocks[None, :], np.arange(rows, dtype=np.uint64)[:, None], np.uint64(op), np.uint64(step & 0xFFFFFFFF))
    return np.stack(words, axis=-1)


def normals(shape, seed, op, step):
    """Standard normal numbers in float64 by Box and Muller: each pair (u, v) of words gives sqrt(-2 log((u + 1) / 2^32)) times
    cos and sin of 2 pi v / 2^32."""
    words = _words(shape, seed, op, step, 4).astype(np.float64)
    radius = np.sqrt(-2 * np.log((words[..., 0::2] + 1) * 2.0 ** -32))
    angle = 2 * np.pi * (words[..., 1::2] * 2.0 ** -32)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(shape[0], 4 * words.shape[1])[:, :shape[1]]


@kernel("x(N,I) -> y(N,I)")
def gaussian_noise(x, y, std=1.0, seed=0, op=0, step=0):
    """y = x + std z, z standard normal, a function of (seed, op, step, n, i); the gradient is that of the identity. y may be x.

    Four elements of a row share a Philox counter (i / 4, n, op, step); z is computed in float64 and rounded. Box and Muller 1958.
    """
    y[...] = x + x.dtype.type(std) * normals(x.shape, seed, op, step).astype(x.dtype)


def slopes(shape, lower, upper, seed, op, step, dtype):
    """lower + (upper - lower) u, u = (h + 1/2) / 65536 from 16 bits h, placed as dropout's."""
    words = _words(shape, seed, op, step, 8)
    halves = np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], axis=-1).reshape(shape[0], 8 * words.shape[1])
    u = ((halves[:, :shape[1]].astype(np.float64) + 0.5) / 65536).astype(dtype)
    return dtype.type(lower) + dtype.type(upper - lower) * u


@kernel("x(N,I) -> y(N,I)")
def rrelu_forward(x, y, lower=0.125, upper=1 / 3, seed=0, op=0, step=0):
    """y = x where x > 0, a x elsewhere, a uniform in lower..upper for each element. Xu et al. 2015, arXiv:1505.00853"""
    with np.errstate(invalid="ignore"):
        y[...] = np.where(x > 0, x, slopes(x.shape, lower, upper, seed, op, step, x.dtype) * x)


@kernel("x(N,I) dy(N,I) -> dx(N,I)")
def rrelu_backward(x, dy, dx, lower=0.125, upper=1 / 3, seed=0, op=0, step=0):
    """dx = dy (1 where x > 0, a elsewhere), a as in the forward pass"""
    dx[...] = dy * np.where(x > 0, x.dtype.type(1), slopes(x.shape, lower, upper, seed, op, step, x.dtype))


@kernel("x(N,I)! -> y(N,I)")
def mix_rows(x, y, lam=1.0):
    """y[n] = lam x[n] + (1 - lam) x[N-1-n]: each row of the batch with the one that stands opposite. Zhang et al. 2018, arXiv:1710.09412

    N is the number of rows of the whole batch. y must not be x.
    """
    real = x.dtype.type
    y[...] = real(lam) * x + real(1 - lam) * x[::-1]


def _labels(t, y, *_):
    if len(t) and (t.min() < 0 or t.max() >= y.shape[1]):
        wrong = t[(t < 0) | (t >= y.shape[1])][0]
        raise ValueError(f"t must hold classes 0..{y.shape[1] - 1}, got {wrong}")


@kernel("t:int(N)! -> y(N,C)", also=_labels)
def mix_labels(t, y, lam=1.0, label_smoothing=0.0):
    """y[n] = q[n] lam + q[N-1-n] (1 - lam), q[n, c] = (1 - s) [c = t[n]] + s / C, s the label smoothing: targets of mix_rows"""
    if not y.size:
        return
    real = y.dtype.type
    y[...] = real(label_smoothing / y.shape[1])
    rows = np.arange(len(t))
    y[rows, t] += real((1 - label_smoothing) * lam)
    y[rows, t[::-1]] += real((1 - label_smoothing) * (1 - lam))
