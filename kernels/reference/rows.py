"""Rows of a data set: picking a batch, its order, and the class of a row."""
import numpy as np

from ..contract import kernel
from .dropout import philox

__all__ = ["gather_rows", "gather_labels", "gather_weights", "argmax_rows", "permutation"]


def _index_in_range(x, index, y):
    if len(index) and (index.min() < 0 or index.max() >= len(x)):
        wrong = index[(index < 0) | (index >= len(x))][0]
        raise ValueError(f"index must lie in 0..{len(x) - 1}, got {wrong}")


def _has_columns(x, y):
    if x.shape[1] == 0:
        raise ValueError("x must have at least one column, got 0")


@kernel("x:any(M,I) index:int(N) -> y(N,I)", also=_index_in_range)
def gather_rows(x, index, y):
    """y[n] = x[index[n]], converted to y's type.  x (M, I) float32 or float64, index (N,) in 0..M-1"""
    y[...] = x[index]


@kernel("t:int(M) index:int(N) -> y:int(N)", also=_index_in_range)
def gather_labels(t, index, y):
    """y[n] = t[index[n]] for int64 labels"""
    y[...] = t[index]


@kernel("w:any(M) index:int(N) -> y(N)", also=_index_in_range)
def gather_weights(w, index, y):
    """y[n] = w[index[n]], converted to y's type"""
    y[...] = w[index]


@kernel("x(N,C) -> y:int(N)", also=_has_columns)
def argmax_rows(x, y):
    """y[n] = the first c with the largest x[n, c]; a NaN counts as the largest.  C >= 1"""
    y[...] = x.argmax(axis=1) if len(x) else 0


@kernel("-> index:int(N)", over="all")
def permutation(index, seed=0, epoch=0):
    """A random order of 0..N-1, a function of (seed, epoch) alone.

    Fisher-Yates from the top: for n = N-1 .. 1 swap places n and floor(u (n + 1) / 2^64),
    u the 64-bit word number N-1-n of Philox with key = seed and counter = (word / 2, epoch, 0, 0x5A5A).
    """
    index[...] = np.arange(len(index))
    words = np.arange((len(index) + 1) // 2, dtype=np.uint64)
    bits = philox(seed, words, np.uint64(epoch), np.uint64(0), np.uint64(0x5A5A))
    stream = np.stack([bits[0] | bits[1] << np.uint64(32), bits[2] | bits[3] << np.uint64(32)], axis=-1).reshape(-1)
    for draw, n in enumerate(range(len(index) - 1, 0, -1)):
        other = int(stream[draw]) * (n + 1) >> 64
        index[n], index[other] = index[other], index[n]
