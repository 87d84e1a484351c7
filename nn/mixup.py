"""Mixup's share: one number per step from the symmetric Beta distribution, a function of (seed, step) alone."""
import numpy as np

from ..kernels.reference.dropout import philox

MARK = 0x4D58
"""Tells these numbers from those of other uses of the same key."""


def _uniform(seed, steps, attempt):
    """Two numbers in (0, 1) for each step."""
    words = philox(seed, np.uint64(attempt), np.uint64(0), np.uint64(MARK), steps.astype(np.uint64) & np.uint64(0xFFFFFFFF))
    return [(words[i].astype(np.float64) * 2.0 ** 32 + words[i + 1].astype(np.float64) + 0.5) * 2.0 ** -64 for i in (0, 2)]


def shares(alpha, seed, steps):
    """lambda of Beta(alpha, alpha), alpha > 0, for each of `steps` (S,).

    Rejection until every step has its number: Jöhnk 1964 for alpha <= 1 (by logarithms, so that no power underflows), Cheng 1978
    (BB) above.
    """
    steps = np.asarray(steps)
    found, left, attempt = np.empty(len(steps)), np.arange(len(steps)), 0
    while len(left):
        value, accepted = (_johnk if alpha <= 1 else _cheng)(alpha, *_uniform(seed, steps[left], attempt))
        found[left[accepted]] = value[accepted]
        left, attempt = left[~accepted], attempt + 1
    return found


def _johnk(alpha, u, v):
    a, b = np.log(u) / alpha, np.log(v) / alpha
    total = np.logaddexp(a, b)
    return np.exp(a - total), total <= 0


def _cheng(alpha, u, v):
    beta = np.sqrt((2 * alpha - 2) / (2 * alpha * alpha - 2 * alpha))
    gamma = alpha + 1 / beta
    t = beta * np.log(u / (1 - u))
    w, z = alpha * np.exp(t), u * u * v
    r = gamma * t - np.log(4)
    return w / (alpha + w), r + 2 * alpha * np.log(2 * alpha / (alpha + w)) >= np.log(z)
