"""Dense layers: y = f(x wᵀ + b) and its gradients.

All three matmuls are made of one tile: a few rows by `width` columns of c = a b, summed in a scratch that stays in the
first-level cache. LLVM vectorises its innermost loop over the columns; each element is one chain, k ascending. Four rows by
four k share the loads of b. (Summing into the output itself is four times slower: for all LLVM knows its rows overlap b.)
"""
import numpy as np

from .. import reference
from ..contract import CHUNK, lanes
from .activations import CODE, activate, chain
from .face import absent, face, inline, loop

__all__ = ["linear_pack", "linear_forward", "linear_backward_input", "linear_backward_weight"]

ROWS = 4
WIDTH = 64
"""Columns of a tile of the gradients; the forward tile is one packed panel wide."""


@inline
def tile(s, level, a, row, rows, b, column, width, start, stop):
    """s[level, r, l] = sum over k in start..stop-1 of a[row + r, k] b[k, column + l], for r < rows <= 4 and l < width."""
    for r in range(rows):
        for l in range(width):
            s[level, r, l] = 0
    if rows == 4:
        _tile_of_four(s, level, a, row, b, column, width, start, stop)
    else:
        for r in range(rows):
            _tile_of_one(s, level, r, a, row + r, b, column, width, start, stop)


@loop
def _tile_of_four(s, level, a, row, b, column, width, start, stop):
    k = start
    while k + 4 <= stop:
        a00, a01, a02, a03 = a[row, k], a[row, k + 1], a[row, k + 2], a[row, k + 3]
        a10, a11, a12, a13 = a[row + 1, k], a[row + 1, k + 1], a[row + 1, k + 2], a[row + 1, k + 3]
        a20, a21, a22, a23 = a[row + 2, k], a[row + 2, k + 1], a[row + 2, k + 2], a[row + 2, k + 3]
        a30, a31, a32, a33 = a[row + 3, k], a[row + 3, k + 1], a[row + 3, k + 2], a[row + 3, k + 3]
        for l in range(width):
            b0, b1, b2, b3 = b[k, column + l], b[k + 1, column + l], b[k + 2, column + l], b[k + 3, column + l]
            s[level, 0, l] = s[level, 0, l] + a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
            s[level, 1, l] = s[level, 1, l] + a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
            s[level, 2, l] = s[level, 2, l] + a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
            s[level, 3, l] = s[level, 3, l] + a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3
        k += 4
    while k < stop:
        a00, a10, a20, a30 = a[row, k], a[row + 1, k], a[row + 2, k], a[row + 3, k]
        for l in range(width):
            b0 = b[k, column + l]
            s[level, 0, l] += a00 * b0
            s[level, 1, l] += a10 * b0
            s[level, 2, l] += a20 * b0
            s[level, 3, l] += a30 * b0
        k += 1


@loop
def _tile_of_one(s, level, r, a, row, b, column, width, start, stop):
    k = start
    while k + 4 <= stop:
        a0, a1, a2, a3 = a[row, k], a[row, k + 1], a[row, k + 2], a[row, k + 3]
        for l in range(width):
            s[level, r, l] = (s[level, r, l] + a0 * b[k, column + l] + a1 * b[k + 1, column + l]
                              + a2 * b[k + 2, column + l] + a3 * b[k + 3, column + l])
        k += 4
    while k < stop:
        a0 = a[row, k]
        for l in range(width):
            s[level, r, l] += a0 * b[k, column + l]
        k += 1


@face(reference.linear_pack)
def linear_pack(w, packed):
    _pack(w, packed)


@loop
def _pack(w, packed):
    for q in range(packed.shape[0]):
        pack_panel(w, q, packed[q])


@inline
def pack_panel(w, q, panel):
    outputs, inputs = w.shape
    width = panel.shape[1]
    for l in range(width):
        o = q * width + l
        if o < outputs:
            for i in range(inputs):
                panel[i, l] = w[o, i]
        else:
            for i in range(inputs):
                panel[i, l] = 0


@face(reference.linear_forward)
def linear_forward(x, w, b, y, packed=None, activation="identity", alpha=0.0):
    given = packed is not None
    if not given:
        packed = np.empty((1, w.shape[1], lanes(w.dtype)), w.dtype)
    _forward(x, w, absent(b, 1, y), y, packed, given, CODE[activation], float(alpha))


@loop
def _forward(x, w, b, y, packed, given, code, alpha):
    """`packed` is the packed w, or else room for one panel of it."""
    rows, inputs = x.shape
    outputs, width = w.shape[0], packed.shape[2]
    s = np.empty((1, ROWS, width), y.dtype)
    for q in range((outputs + width - 1) // width):
        panel = packed[q if given else 0]
        if not given:
            pack_panel(w, q, panel)
        first, count = q * width, min(width, outputs - q * width)
        for row in range(0, rows, ROWS):
            height = min(ROWS, rows - row)
            tile(s, 0, x, row, height, panel, 0, width, 0, inputs)
            for r in range(height):
                for l in range(count):
                    y[row + r, first + l] = s[0, r, l] + b[first + l] if b.size else s[0, r, l]
    activate(code, y, y, alpha)


@face(reference.linear_backward_input)
def linear_backward_input(dy, w, x, dx, activation="identity", alpha=0.0):
    _backward_input(dy, w, absent(x, 2, dx), dx, CODE[activation], float(alpha))


@loop
def _backward_input(dy, w, x, dx, code, alpha):
    rows, outputs = dy.shape
    inputs = w.shape[1]
    s = np.empty((1, ROWS, WIDTH), dx.dtype)
    for column in range(0, inputs, WIDTH):
        width = min(WIDTH, inputs - column)
        for row in range(0, rows, ROWS):
            height = min(ROWS, rows - row)
            tile(s, 0, dy, row, height, w, column, width, 0, outputs)
            for r in range(height):
                for l in range(width):
                    dx[row + r, column + l] = s[0, r, l]
    chain(code, x, dx, dx, alpha)


@face(reference.linear_backward_weight)
def linear_backward_weight(x, dy, dw, db):
    _backward_weight(x, dy, absent(dw, 2, x), absent(db, 1, x))


@loop
def _backward_weight(x, dy, dw, db):
    """Tile by tile through all chunks of rows; the sums of the binary tree wait on a small stack, the levels of s."""
    rows, outputs, inputs = x.shape[0], dy.shape[1], x.shape[1]
    chunks = (rows + CHUNK - 1) // CHUNK
    depth = 2
    while 1 << (depth - 2) < chunks:
        depth += 1
    s = np.zeros((depth, ROWS, WIDTH), x.dtype)
    if dw.size:
        across = dy.T
        for column in range(0, inputs, WIDTH):
            width = min(WIDTH, inputs - column)
            for row in range(0, outputs, ROWS):
                height = min(ROWS, outputs - row)
                top = 0
                for chunk in range(chunks):
                    start = chunk * CHUNK
                    tile(s, top, across, row, height, x, column, width, start, min(start + CHUNK, rows))
                    top = join(s, top, chunk, height, width)
                join_all(s, top, height, width)
                for r in range(height):
                    for l in range(width):
                        dw[row + r, column + l] = s[0, r, l]
    if db.size:
        s[0, 0, :] = 0
        for column in range(0, outputs, WIDTH):
            width = min(WIDTH, outputs - column)
            top = 0
            for chunk in range(chunks):
                start = chunk * CHUNK
                sum_rows(s, top, dy, column, width, start, min(start + CHUNK, rows))
                top = join(s, top, chunk, 1, width)
            join_all(s, top, 1, width)
            for l in range(width):
                db[column + l] = s[0, 0, l]


@loop
def sum_rows(s, level, b, column, width, start, stop):
    for l in range(width):
        s[level, 0, l] = 0
    for n in range(start, stop):
        for l in range(width):
            s[level, 0, l] += b[n, column + l]


@loop
def join(s, top, chunk, height, width):
    """After chunk number `chunk` was summed into level `top`: equal-sized neighbours become one, as in a binary counter."""
    while chunk & 1:
        fold(s, top, height, width)
        top -= 1
        chunk >>= 1
    return top + 1


@loop
def join_all(s, top, height, width):
    while top > 1:
        top -= 1
        fold(s, top, height, width)


@inline
def fold(s, top, height, width):
    for r in range(height):
        for l in range(width):
            s[top - 1, r, l] += s[top, r, l]
