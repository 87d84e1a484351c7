"""Which inputs an output depends on: saliency and integrated gradients, one number per feature and row."""
import numpy as np

from .nn.module import Module, evaluation
from .nn.tape import Tape
from .nn.tensor import as_real, enable_grad, wrap

NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
"""Gauss's rule of three points on 0..1: exact for gradients that are polynomials of degree 5 along the path."""

PARTS, AT_ONCE, SMALLEST = 8, 2048, 2.0 ** -40
"""Pieces a path is cut into at first, pieces that are evaluated at once, and the length of a piece that is cut no further."""


def saliency(model, X, target=None, absolute=True):
    """|d z[n, c] / d X[n, i]|, (N, I): how much each feature moves the output c. Simonyan et al. 2014, arXiv:1312.6034

    target: outputs c, a number or (N,); None takes each row's largest output. absolute=False keeps signs. The model, whose rows must
    not depend on each other, is looked at in evaluation mode.
    """
    X = _rows(model, X)
    values, gradient = _slopes(model, X, _targets(model, X, target))
    return np.abs(gradient) if absolute else gradient


def integrated_gradients(model, X, target=None, baseline=None, tolerance=1e-4):
    """(X - b) * the mean of d z[c] / dx over the straight path from the baseline b to X, (N, I). Sundararajan et al. 2017, arXiv:1703.01365

    A row's numbers add up to z[c](X) - z[c](b) (completeness) within `tolerance` (float64; float32 adds its rounding of z): each piece
    of a path is integrated by Gauss's rule and halved until it adds up to the difference of its ends, so the kinks of ReLU are found.
    target: as in `saliency`, the largest output being that at X. baseline: None is zeros; (I,) or (N, I).
    """
    X = _rows(model, X)
    target = _targets(model, X, target)
    base = np.zeros_like(X) if baseline is None else np.broadcast_to(np.asarray(baseline, X.dtype), X.shape)
    if not tolerance > 0:
        raise ValueError(f"tolerance must be > 0, got {tolerance!r}")
    total, edges = np.zeros(X.shape), np.linspace(0, 1, PARTS + 1)
    work = [(np.repeat(np.arange(len(X)), PARTS), np.tile(edges[:-1], len(X)), np.tile(edges[1:], len(X)))]
    while work:
        rows, low, high = work.pop()
        if len(rows) > AT_ONCE:
            work.append((rows[AT_ONCE:], low[AT_ONCE:], high[AT_ONCE:]))
            rows, low, high = rows[:AT_ONCE], low[:AT_ONCE], high[:AT_ONCE]
        if not len(rows):
            continue
        part, error, noise = _piece(model, X[rows], base[rows], target[rows], low, high)
        width = high - low
        # half of the tolerance by length, and as much for up to 1000 kinks, whose pieces never come to add up by length
        done = (error <= np.maximum(0.5 * tolerance * np.maximum(width, 1e-3), noise)) | (width <= SMALLEST)
        np.add.at(total, rows[done], part[done])
        rows, low, high = rows[~done], low[~done], high[~done]
        middle = (low + high) / 2
        work.append((np.concatenate([rows, rows]), np.concatenate([low, middle]), np.concatenate([middle, high])))
    return total.astype(X.dtype)


def _piece(model, x, base, target, low, high):
    """Integrals over the pieces low..high of the paths (K, I), how far each is from the difference of its ends, and what rounding
    makes of that difference."""
    places = np.stack([low, high, *(low + (high - low) * node for node in NODES)])[:, :, None]
    points = (base + places * (x - base).astype(np.float64)).astype(x.dtype)
    values, gradients = _slopes(model, points.reshape(-1, x.shape[1]), np.tile(target, len(places)))
    values = values.astype(np.float64).reshape(len(places), -1)
    mean = np.einsum("q,qki->ki", WEIGHTS, gradients.reshape(points.shape)[2:].astype(np.float64))
    part = mean * (x - base) * (high - low)[:, None]
    noise = 8 * np.finfo(x.dtype).eps * (1 + np.abs(values[:2]).max(axis=0))
    return part, np.abs(values[1] - values[0] - part.sum(axis=1)), noise


def _slopes(model, x, target):
    """(z[n, target[n]], its gradient by x[n])"""
    leaf = wrap(np.ascontiguousarray(x).view())
    leaf.requires_grad = True
    with evaluation(model), enable_grad():
        out = model(leaf)
    dout, rows = np.zeros_like(out.numpy()), np.arange(len(x))
    dout[rows, target] = 1
    return out.numpy()[rows, target], Tape(out, [leaf]).pull(dout)[0]


def _rows(model, X):
    if not isinstance(model, Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    p = next(iter(model.parameters()), None)
    X = as_real(X, None if p is None else p.dtype)
    if X.ndim != 2:
        raise ValueError(f"X must have shape (N, features), got {X.shape}")
    return X


def _targets(model, X, target):
    with evaluation(model):
        z = model(X).numpy()
    if z.ndim != 2 or len(z) != len(X):
        raise ValueError(f"the model must give outputs (N, O), got {z.shape}")
    if target is None:
        return z.argmax(axis=1) if z.size else np.zeros(len(X), np.int64)
    chosen = np.asarray(target)
    if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (len(X),)) or (chosen.size and not (
            0 <= chosen.min() and chosen.max() < z.shape[1])):
        raise ValueError(f"target must be None, an output 0..{z.shape[1] - 1}, or (N,) of them, got {target!r}")
    return np.broadcast_to(chosen, (len(X),)).astype(np.int64)


__all__ = ["integrated_gradients", "saliency"]
