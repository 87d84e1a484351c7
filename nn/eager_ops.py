"""Operations of custom loops that a plan cannot hold: they change shapes freely. They move and add; arithmetic stays in kernels."""
import math

import numpy as np

from ..kernels.tangent import loss_curvature
from .ops import Moving, Op


class _Multilinear(Moving):
    """Linear in each input, so its tangents come from the operation itself, one input at a time."""

    def forward_pair(self, t, y, *inputs):
        self.forward(t.book, y, *inputs)
        parts = []
        for place, array in enumerate(inputs):
            if t.get(array) is not None:
                parts.append(np.empty_like(y))
                self.forward(t.book, parts[-1], *inputs[:place], t.get(array), *inputs[place + 1:])
        t.set(y, sum(parts[1:], parts[0]) if parts else None)

    def backward_pair(self, t, new, needs, dy, y, *inputs):
        gradients = self.backward(t.book, new, needs, dy, y, *inputs)
        parts = [[] for _ in inputs]
        if t.get(dy) is not None:
            for part, gradient in zip(parts, self.backward(t.book, np.empty_like, needs, t.get(dy), y, *inputs)):
                part.append(gradient)
        for place, array in enumerate(inputs):
            if t.get(array) is not None and len(inputs) > 1:  # a gradient depends on the other inputs alone
                others = [need and i != place for i, need in enumerate(needs)]
                given = *inputs[:place], t.get(array), *inputs[place + 1:]
                for part, gradient, need in zip(parts, self.backward(t.book, np.empty_like, others, dy, y, *given), others):
                    if need:
                        part.append(gradient)
        for gradient, part, need in zip(gradients, parts, needs):
            if need:
                t.set(gradient, sum(part[1:], part[0]) if part else None)
        return gradients


class Reshape(_Multilinear):
    """y = x in another shape"""

    name, planned = "reshape", False

    def __init__(self, shape):
        self.target = tuple(shape)

    def shape(self, x):
        return np.empty(x, np.bool_).reshape(self.target).shape

    def forward(self, k, y, x):
        y[...] = x.reshape(y.shape)

    def backward(self, k, new, needs, dy, y, x):
        return (dy.reshape(x.shape),)


class Index(_Multilinear):
    """y = x[key]"""

    name, planned = "index", False

    def __init__(self, key):
        self.key = key

    def shape(self, x):
        return np.broadcast_to(np.False_, x)[self.key].shape

    def forward(self, k, y, x):
        y[...] = x[self.key]

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        dx[...] = 0
        np.add.at(dx, self.key, dy)
        return (dx,)


class Broadcast(_Multilinear):
    """y = x repeated to a larger shape; the gradient is summed over what was repeated"""

    name, planned = "broadcast", False

    def __init__(self, shape):
        self.target = tuple(shape)

    def shape(self, x):
        return self.target

    def forward(self, k, y, x):
        y[...] = x

    def backward(self, k, new, needs, dy, y, x):
        extra = dy.ndim - x.ndim
        axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(x.shape) if n == 1 and dy.shape[i + extra] != 1)
        return (np.array(dy.sum(axis=axes)).reshape(x.shape),)


class Sum(_Multilinear):
    """y = sum of all elements of x"""

    name, planned = "sum", False

    def shape(self, x):
        return ()

    def forward(self, k, y, x):
        s = np.empty(1)
        k.total(x, s)
        y[...] = s[0]

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.fill(dx, float(dy))
        return (dx,)


class SumAlong(_Multilinear):
    """y = sum of x along `axes`, which stay as 1 with keepdims"""

    name, planned = "sum_along", False

    def __init__(self, axes, keepdims):
        self.axes, self.keepdims = axes, keepdims

    def shape(self, x):
        return np.broadcast_to(np.False_, x).sum(axis=self.axes, keepdims=self.keepdims).shape

    def forward(self, k, y, x):
        y[...] = x.sum(axis=self.axes, keepdims=self.keepdims, dtype=np.float64)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        dx[...] = dy if self.keepdims else np.expand_dims(dy, self.axes)
        return (dx,)


class Transpose(_Multilinear):
    """y = xᵀ for a matrix"""

    name, planned = "transpose", False

    def shape(self, x):
        if len(x) != 2:
            raise ValueError(f"T needs a matrix, got shape {x}")
        return x[::-1]

    def forward(self, k, y, x):
        y[...] = x.T

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        dx[...] = dy.T
        return (dx,)


class MatMul(_Multilinear):
    """y = a b for matrices, by the kernels of dense layers"""

    name, planned = "matmul", False

    def shape(self, a, b):
        if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
            raise ValueError(f"matmul needs shapes (N, K) and (K, O), got {a} and {b}")
        return (a[0], b[1])

    def forward(self, k, y, a, b):
        k.linear_forward(a, np.ascontiguousarray(b.T), None, y)

    def backward(self, k, new, needs, dy, y, a, b):
        da, db = new(a) if needs[0] else None, new(b) if needs[1] else None
        if da is not None:
            k.linear_forward(dy, b, None, da)
        if db is not None:
            k.linear_backward_weight(dy, a, db, None)
        return da, db

    def reads(self, needs):
        return [needs[1], needs[0]]


class Exponential(Op):
    """y = base ** x = exp(x log(base)) ;  dx = dy y log(base)"""

    name, planned = "exponential", False

    def __init__(self, base):
        self.base, self.rate = base, math.log(base)

    def forward(self, k, y, x):
        k.scale(x, y, self.rate, 0.0)
        k.exp(y, y)

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.multiply(dy, y, dx)
        k.scale(dx, dx, self.rate, 0.0)
        return (dx,)

    def reads(self, needs):
        return [False]


class LossValue(Op):
    """The scalar of a loss whose gradient was computed with it; `loss` (ops.Loss, target, row weights) is what it is the gradient of"""

    name, planned = "loss_value", False

    def __init__(self, gradient, *loss):
        self.gradient, self.loss = gradient, loss

    def backward(self, k, new, needs, dy, y, *inputs):
        factor = dy.item()
        if factor != 1:
            scaled = new(self.gradient)
            k.scale(self.gradient, scaled, factor, 0.0)
            return (scaled,)
        return (self.gradient,)

    def forward_pair(self, t, y, z):
        dz = t.get(z)
        t.set(y, None if dz is None else np.array((self.gradient * dz).sum(), y.dtype))

    def backward_pair(self, t, new, needs, dy, y, z):
        gradient, parts = self.gradient * dy, []
        if t.get(dy) is not None:
            parts.append(self.gradient * t.get(dy))
        if t.get(z) is not None:
            op, target, weight = self.loss
            parts.append(op.curvature(loss_curvature, z, t.get(z), target, weight) * dy)
        t.set(gradient, sum(parts[1:], parts[0]) if parts else None)
        return (gradient,)
