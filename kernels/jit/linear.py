"""Dense layers: y = f(x wᵀ + b) and its gradients.

All three matmuls are `accumulate`: c += a b, where c and b are panels of at most 64 columns, copied so that they are contiguous
and stay in the nearest caches. Its innermost loop runs over the columns, which LLVM vectorises; each element is one chain,
k ascending. Measured (float32, 32 x 64 x 128): 9 us so, 13 us with panels of 32 columns, 22 us with 16, 48 us without panels:
LLVM then cannot rule out that the rows of c overlap b. Nor can it where an index may be negative for all it knows: hence slices.
"""
import numpy as np

from .. import reference
from ..contract import CHUNK, chunk_rows
from ..reference.linear import block_rows
from .activations import CODE, activate, chain
from .face import absent, face, inline, loop

__all__ = ["linear_pack", "linear_forward", "linear_backward_input", "linear_backward_weight", "weight_parts",
           "weight_join"]

WIDTH = 64
"""Columns of a panel at most."""


@loop
def accumulate(c, a, b):
    """c += a b for c (R, W), a (R, K), b (K, W). Four rows by four k share the loads of b and c."""
    rows, columns = c.shape
    count = b.shape[0]
    whole = count - count % 4
    for row in range(0, rows - 3, 4):
        s, v = c[row:row + 4], a[row:row + 4]
        for k in range(0, count - 3, 4):
            v00, v01, v02, v03 = v[0, k], v[0, k + 1], v[0, k + 2], v[0, k + 3]
            v10, v11, v12, v13 = v[1, k], v[1, k + 1], v[1, k + 2], v[1, k + 3]
            v20, v21, v22, v23 = v[2, k], v[2, k + 1], v[2, k + 2], v[2, k + 3]
            v30, v31, v32, v33 = v[3, k], v[3, k + 1], v[3, k + 2], v[3, k + 3]
            for l in range(columns):
                b0, b1, b2, b3 = b[k, l], b[k + 1, l], b[k + 2, l], b[k + 3, l]
                s[0, l] = s[0, l] + v00 * b0 + v01 * b1 + v02 * b2 + v03 * b3
                s[1, l] = s[1, l] + v10 * b0 + v11 * b1 + v12 * b2 + v13 * b3
                s[2, l] = s[2, l] + v20 * b0 + v21 * b1 + v22 * b2 + v23 * b3
                s[3, l] = s[3, l] + v30 * b0 + v31 * b1 + v32 * b2 + v33 * b3
        for r in range(4):
            for k in range(whole, count):
                for l in range(columns):
                    s[r, l] += v[r, k] * b[k, l]
    for row in range(rows - rows % 4, rows):
        s, v = c[row], a[row]
        for k in range(0, count - 3, 4):
            v0, v1, v2, v3 = v[k], v[k + 1], v[k + 2], v[k + 3]
            for l in range(columns):
                s[l] = s[l] + v0 * b[k, l] + v1 * b[k + 1, l] + v2 * b[k + 2, l] + v3 * b[k + 3, l]
        for k in range(whole, count):
            for l in range(columns):
                s[l] += v[k] * b[k, l]


@inline
def padded(width, like):
    """The width of a panel: full vectors, for the rest of a loop would run element by element."""
    lanes = 64 // like.itemsize
    return (width + lanes - 1) // lanes * lanes


@inline
def copy_panel(source, row, column, width, panel):
    """panel[k, l] = source[row + k, column + l], zero beyond `width`."""
    lines = source[row:row + panel.shape[0]]
    for k in range(panel.shape[0]):
        for l in range(width):
            panel[k, l] = lines[k, column + l]
        for l in range(width, panel.shape[1]):
            panel[k, l] = 0


@face(reference.linear_pack)
def linear_pack(w, packed):
    _pack(w, packed)


@loop
def _pack(w, packed):
    for q in range(packed.shape[0]):
        transpose_panel(w, q * packed.shape[2], 0, packed[q])


@inline
def transpose_panel(w, first, start, panel):
    """panel[k, l] = w[first + l, start + k], zero where there is no such row."""
    for l in range(panel.shape[1]):
        if first + l < w.shape[0]:
            line = w[first + l, start:]
            for k in range(panel.shape[0]):
                panel[k, l] = line[k]
        else:
            for k in range(panel.shape[0]):
                panel[k, l] = 0


@face(reference.linear_forward)
def linear_forward(x, w, b, y, packed=None, activation="identity", alpha=0.0):
    _forward(x, w, absent(b, 1, y), y, absent(packed, 3, y), CODE[activation], float(alpha))


@loop
def _forward(x, w, b, y, packed, code, alpha):
    rows, inputs = x.shape
    outputs = w.shape[0]
    size = padded(min(WIDTH, outputs), y)
    room, sums = np.empty(CHUNK * size, y.dtype), np.empty(CHUNK * size, y.dtype)
    for top in range(0, rows, CHUNK):
        height = min(CHUNK, rows - top)
        for column in range(0, outputs, WIDTH):
            width = min(WIDTH, outputs - column)
            size = padded(width, y)
            c = sums[:height * size].reshape((height, size))
            c[:] = 0
            for start in range(0, inputs, CHUNK):
                depth = min(CHUNK, inputs - start)
                panel = room[:depth * size].reshape((depth, size))
                if packed.size:
                    lanes = packed.shape[2]
                    for q in range(size // lanes):
                        lines = packed[column // lanes + q, start:start + depth]
                        for k in range(depth):
                            for l in range(lanes):
                                panel[k, q * lanes + l] = lines[k, l]
                else:
                    transpose_panel(w, column, start, panel)
                accumulate(c, x[top:top + height, start:start + depth], panel)
            for n in range(height):
                for l in range(width):
                    y[top + n, column + l] = c[n, l] + b[column + l] if b.size else c[n, l]
    activate(code, y, y, alpha)


@face(reference.linear_backward_input)
def linear_backward_input(dy, w, x, dx, activation="identity", alpha=0.0):
    _backward_input(dy, w, absent(x, 2, dx), dx, CODE[activation], float(alpha))


@loop
def _backward_input(dy, w, x, dx, code, alpha):
    rows, outputs = dy.shape
    inputs = w.shape[1]
    size = padded(min(WIDTH, inputs), dx)
    room, sums = np.empty(CHUNK * size, dx.dtype), np.empty(CHUNK * size, dx.dtype)
    for top in range(0, rows, CHUNK):
        height = min(CHUNK, rows - top)
        for column in range(0, inputs, WIDTH):
            width = min(WIDTH, inputs - column)
            size = padded(width, dx)
            c = sums[:height * size].reshape((height, size))
            c[:] = 0
            for start in range(0, outputs, CHUNK):
                depth = min(CHUNK, outputs - start)
                panel = room[:depth * size].reshape((depth, size))
                copy_panel(w, start, column, width, panel)
                accumulate(c, dy[top:top + height, start:start + depth], panel)
            for n in range(height):
                for l in range(width):
                    dx[top + n, column + l] = c[n, l]
    chain(code, x, dx, dx, alpha)


@face(reference.linear_backward_weight)
def linear_backward_weight(x, dy, dw, db):
    _backward_weight(x, dy, absent(dw, 2, x), absent(db, 1, x), chunk_rows(len(x), x.shape[1] * dy.shape[1]))


@loop
def _backward_weight(x, dy, dw, db, most):
    """64 columns of dw at a time through all chunks of `most` rows; the sums of the binary tree wait on a small stack of such panels."""
    rows, outputs, inputs = x.shape[0], dy.shape[1], x.shape[1]
    chunks = (rows + most - 1) // most
    levels = 1
    while 1 << (levels - 1) < chunks:
        levels += 1
    if dw.size:
        size = padded(min(WIDTH, inputs), x)
        room, sums = np.empty(most * size, x.dtype), np.zeros(levels * outputs * size, x.dtype)
        for column in range(0, inputs, WIDTH):
            width = min(WIDTH, inputs - column)
            size = padded(width, x)
            stack = sums[:levels * outputs * size].reshape((levels, outputs, size))
            stack[0] = 0
            top = 0
            for chunk in range(chunks):
                start = chunk * most
                depth = min(most, rows - start)
                panel = room[:depth * size].reshape((depth, size))
                copy_panel(x, start, column, width, panel)
                stack[top] = 0
                accumulate(stack[top], dy[start:start + depth].T, panel)
                top = join(stack, top, chunk)
            join_all(stack, top)
            for o in range(outputs):
                for l in range(width):
                    dw[o, column + l] = stack[0, o, l]
    if db.size:
        stack = np.zeros((levels, 1, outputs), x.dtype)
        top = 0
        for chunk in range(chunks):
            stack[top] = 0
            for n in range(chunk * most, min((chunk + 1) * most, rows)):
                for o in range(outputs):
                    stack[top, 0, o] += dy[n, o]
            top = join(stack, top, chunk)
        join_all(stack, top)
        for o in range(outputs):
            db[o] = stack[0, 0, o]


@face(reference.weight_parts)
def weight_parts(x, dy, parts, db_parts):
    step, chunk = block_rows(len(x), len(parts), parts[0].size), chunk_rows(len(x), parts[0].size)
    for m, part in enumerate(parts):
        rows = slice(m * step, (m + 1) * step)
        _backward_weight(x[rows], dy[rows], part, absent(None if db_parts is None else db_parts[m], 1, x), chunk)


@face(reference.weight_join)
def weight_join(parts, db_parts, dy, dw, db):
    used = -(-len(dy) // block_rows(len(dy), len(parts), parts[0].size))
    for blocks, out in ((parts, dw), (db_parts, db)):
        if blocks is None and out is not None:
            out[:] = 0
        elif out is not None:
            _join_blocks(blocks[:used].reshape(used, out.size), out.reshape(-1))


@loop
def _join_blocks(blocks, out):
    stack, top = np.zeros((max(len(blocks), 1), 1, out.size), out.dtype), 0
    for m in range(len(blocks)):
        stack[top, 0] = blocks[m]
        top = join(stack, top, m)
    join_all(stack, top)
    out[:] = stack[0, 0]


@loop
def join(stack, top, chunk):
    """After chunk number `chunk` was summed into level `top`: equal-sized neighbours become one, as in a binary counter."""
    while chunk & 1:
        fold(stack[top - 1], stack[top])
        top -= 1
        chunk >>= 1
    return top + 1


@loop
def join_all(stack, top):
    while top > 1:
        top -= 1
        fold(stack[top - 1], stack[top])


@inline
def fold(left, right):
    for r in range(left.shape[0]):
        for l in range(left.shape[1]):
            left[r, l] += right[r, l]
