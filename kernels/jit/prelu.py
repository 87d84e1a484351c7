"""A leaky ReLU whose slope is learned, and what a slope shared by all columns needs."""
import numpy as np

from .. import reference
from ..contract import CHUNK
from .elementwise import tree_total
from .face import face, loop
from .normalisation import push

__all__ = ["prelu_forward", "prelu_backward_input", "prelu_backward_weight", "spread", "sum_all"]


@face(reference.prelu_forward)
def prelu_forward(x, w, y):
    _prelu(x, w, y)


@loop
def _prelu(x, w, y):
    zero = x.dtype.type(0)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            y[n, i] = x[n, i] if x[n, i] > zero else w[i] * x[n, i]


@face(reference.prelu_backward_input)
def prelu_backward_input(x, w, dy, dx):
    _prelu_backward_input(x, w, dy, dx)


@loop
def _prelu_backward_input(x, w, dy, dx):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            dx[n, i] = dy[n, i] * (one if x[n, i] > zero else w[i])


@face(reference.prelu_backward_weight)
def prelu_backward_weight(x, dy, dw):
    _prelu_backward_weight(x, dy, dw)


@loop
def _prelu_backward_weight(x, dy, dw):
    rows, columns = x.shape
    zero = x.dtype.type(0)
    stack, chunks, top = np.zeros((64, columns), x.dtype), (rows + CHUNK - 1) // CHUNK, 0
    for chunk in range(chunks):
        stack[top] = zero
        for n in range(chunk * CHUNK, min(rows, (chunk + 1) * CHUNK)):
            for o in range(columns):
                stack[top, o] += zero if x[n, o] > zero else dy[n, o] * x[n, o]
        top = push(stack, top, chunk, chunk == chunks - 1)
    for o in range(columns):
        dw[o] = stack[0, o]


@face(reference.spread)
def spread(x, y):
    _spread(x, y)


@loop
def _spread(x, y):
    for i in range(y.size):
        y[i] = x[0]


@face(reference.sum_all)
def sum_all(x, y):
    _sum_all(x, y)


@loop
def _sum_all(x, y):
    y[0] = tree_total(x, x[:0])
