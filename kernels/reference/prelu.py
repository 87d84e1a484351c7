"""A leaky ReLU whose slope is learned, and what a slope shared by all columns needs."""
import numpy as np

from ..contract import kernel
from .linear import tree_sum

__all__ = ["prelu_forward", "prelu_backward_input", "prelu_backward_weight", "spread", "sum_all"]


@kernel("x(N,I) w(I) -> y(N,I)")
def prelu_forward(x, w, y):
    """y = x where x > 0, w x elsewhere; w (I,) a slope for each column. He et al. 2015, arXiv:1502.01852"""
    with np.errstate(invalid="ignore"):
        y[...] = np.where(x > 0, x, w * x)


@kernel("x(N,I) w(I) dy(N,I) -> dx(N,I)")
def prelu_backward_input(x, w, dy, dx):
    """dx = dy (1 where x > 0, w elsewhere)"""
    dx[...] = dy * np.where(x > 0, x.dtype.type(1), w)


@kernel("x(N,O) dy(N,O) -> dw(O)", over="outputs")
def prelu_backward_weight(x, dy, dw):
    """dw = sum over N of dy x where x <= 0"""
    with np.errstate(invalid="ignore"):
        terms = np.where(x > 0, 0, dy * x)
    dw[...] = tree_sum(len(x), lambda rows: terms[rows].sum(axis=0), dw.shape, dw.dtype)


@kernel("x(1) -> y(P)", over="flat")
def spread(x, y):
    """y = x everywhere"""
    y[...] = x


@kernel("x(P) -> y(1)", over="all")
def sum_all(x, y):
    """y = the sum of x, in float64, by chunks of 128 and a binary tree"""
    y[0] = tree_sum(len(x), lambda part: np.add.reduce(x[part], dtype=np.float64), (), np.float64)
