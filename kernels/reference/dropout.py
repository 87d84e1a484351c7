"""Dropout by counter-based random numbers: the mask is a function of its place, so it is computed again instead of kept."""
import numpy as np

from ..contract import kernel

__all__ = ["dropout_forward", "dropout_backward"]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(key, c0, c1, c2, c3, rounds=10):
    """Philox4x32-10: four words of 32 random bits (in uint64) for the counter (c0, c1, c2, c3) and a 64-bit key.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    k0, k1 = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32 & 0xFFFFFFFF)
    c0, c1, c2, c3 = np.broadcast_arrays(c0, c1, c2, c3)
    for _ in range(rounds):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> _SHIFT) ^ c1 ^ k0, b & _LOW, (a >> _SHIFT) ^ c3 ^ k1, a & _LOW
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & _LOW, (k1 + np.uint64(0xBB67AE85)) & _LOW
    return c0, c1, c2, c3


def dropout_mask(shape, p, seed, op, step):
    """Keep (True) or drop: 16 bits per element against round(65536 p); also the factor of the kept ones.

    Element (n, i) takes bits 16 (i mod 2) .. of word (i mod 8) / 2 of Philox at counter (i / 8, n, op, step).
    """
    threshold = int(np.floor(65536 * p + 0.5))
    rows, width = shape
    blocks = np.arange(-(-width // 8), dtype=np.uint64)
    words = philox(seed, blocks[None, :], np.arange(rows, dtype=np.uint64)[:, None], np.uint64(op), np.uint64(step & 0xFFFFFFFF))
    halves = [half for word in words for half in (word & np.uint64(0xFFFF), word >> np.uint64(16))]
    bits = np.stack(halves, axis=-1).reshape(rows, 8 * blocks.size)[:, :width]
    return bits >= threshold, 65536 / (65536 - threshold) if threshold < 65536 else 0.0


def _drop(x, y, p, seed, op, step):
    keep, factor = dropout_mask(x.shape, p, seed, op, step)
    y[...] = np.where(keep, x * x.dtype.type(factor), 0)


@kernel("x(N,I) -> y(N,I)")
def dropout_forward(x, y, p=0.5, seed=0, op=0, step=0):
    """y = x / (1 - p) where kept, 0 where dropped; p is rounded to 1/65536.

    x, y (N, I). The mask is a function of (seed, op, step, n, i) alone. Srivastava et al. 2014.
    """
    _drop(x, y, p, seed, op, step)


@kernel("dy(N,I) -> dx(N,I)")
def dropout_backward(dy, dx, p=0.5, seed=0, op=0, step=0):
    """dx = dy / (1 - p) where kept, 0 where dropped, by the mask of the forward pass"""
    _drop(dy, dx, p, seed, op, step)
