"""The matrix products: every element counted once, in the order that the arithmetic law fixes, and no byte touched outside the
arrays.

Small integers make every product and sum exact, whatever the order: the threshold is zero, and one element that is dropped,
doubled or misplaced shows. The activations of the epilogue are then applied to exact numbers.
"""
import os
import random
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from vivace.kernels import ACTIVATIONS, cases, packed_shape, reference

DTYPES = [np.float32, np.float64]
SIZES = [*range(10), 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129]
ALL = [(n, i, o) for n in SIZES for i in SIZES for o in SIZES]


def sample_of_pairs():
    """Triples in which every pair of sizes stands at every pair of places: a Latin square; and some at random."""
    k = len(SIZES)
    square = [(SIZES[a], SIZES[b], SIZES[(a + b) % k]) for a in range(k) for b in range(k)]
    return square + random.Random(3).sample(ALL, 100) + [(300, 300, 70), (5, 600, 33), (2, 257, 513)]


def integers(rng, *shape, dtype):
    return rng.integers(-4, 5, shape).astype(dtype)


def pack(book, w):
    form = np.full(packed_shape(*w.shape, w.dtype), np.nan, w.dtype)
    book.linear_pack(w, form)
    return form


def product(a, b, dtype):
    """a b of whole numbers: every float64 on the way is exact."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64).astype(dtype)


def check_all_products(book, n, i, o, dtype, activation="identity"):
    rng = np.random.default_rng([n, i, o])
    x, w, b, dy = (integers(rng, *shape, dtype=dtype) for shape in ((n, i), (o, i), (o,), (n, o)))
    where = f"N, I, O = {n}, {i}, {o} {activation}"
    form = pack(book, w)
    padded = np.zeros((form.shape[0] * form.shape[2], i), dtype)
    padded[:o] = w
    assert (form.transpose(0, 2, 1).reshape(padded.shape) == padded).all(), where

    z = product(x, w.T, dtype)
    for bias in (None, b):
        expected = activated(book, activation, z if bias is None else z + bias)
        for packed in (None, form):
            y = np.full((n, o), np.nan, dtype)
            book.linear_forward(x, w, bias, y, packed, activation, 0.25)
            assert y.tobytes() == expected.tobytes(), where

    before = activated(book, activation, x)
    dx, slope = np.full((n, i), np.nan, dtype), np.empty((n, i), dtype)
    book.linear_backward_input(dy, w, before, dx, activation, 0.25)
    sums = product(dy, w, dtype)
    chain(book, activation, before, sums, slope)
    assert (dx == slope).all(), where

    if activation == "identity":
        dw, db = np.full((o, i), np.nan, dtype), np.full(o, np.nan, dtype)
        book.linear_backward_weight(x, dy, dw, db)
        assert (dw == product(dy.T, x, dtype)).all(), where
        assert (db == dy.astype(np.int64).sum(axis=0)).all(), where
        alone = np.full_like(dw, np.nan), np.full_like(db, np.nan)
        book.linear_backward_weight(x, dy, alone[0], None)
        book.linear_backward_weight(x, dy, None, alone[1])
        assert (alone[0] == dw).all() and (alone[1] == db).all(), where


def activated(book, activation, z):
    y = np.empty_like(z)
    kernel = getattr(book, f"{activation}_forward")
    kernel(z, y, 0.25) if activation in ("leaky_relu", "elu") else kernel(z, y)
    return y


def chain(book, activation, y, dy, dx):
    kernel = getattr(book, f"{activation}_backward")
    kernel(y, dy, dx, 0.25) if activation in ("leaky_relu", "elu") else kernel(y, dy, dx)


# --- no element dropped, doubled or misplaced
@pytest.mark.parametrize("dtype", DTYPES)
def test_products(book, dtype):
    for n, i, o in sample_of_pairs():
        check_all_products(book, n, i, o, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS[1:])
def test_epilogues(book, dtype, activation):
    """A fused activation equals the product followed by the activation's own kernel, bit for bit."""
    for n, i, o in sample_of_pairs()[::7]:
        check_all_products(book, n, i, o, dtype, activation)


NARROW = [(n, i, o) for i, o in ((1, 2), (3, 40), (7, 65), (15, 33), (16, 130), (17, 64), (33, 100), (47, 129), (48, 90))
          for n in (1, 64, 127, 128, 129, 255, 256, 257, 300)]
"""Few inputs and more outputs, whose gradient of the weight is computed the other way round."""

JOINED = [(n, i, o) for n in (*range(129, 301, 9), 256, 257, 384, 385) for i, o in ((70, 20), (18, 19))]
"""Two to four chunks of rows."""

LARGE = [(300, 1030, 70), (129, 2100, 40), (1000, 530, 150), (1030, 270, 20), (64, 1025, 21), (65, 4096, 17), (80, 1100, 700),
         (63, 1024, 5), (1300, 290, 135), (2500, 1070, 10)]
"""x beyond a mebibyte, whose columns are copied for 16, more or all outputs, or chunk by chunk; rows of w a page apart, for rows of dy
enough that a block of them is copied, or one too few."""

DEEP = [(64, 1030, 2100), (9, 2100, 33), (9, 33, 2100)]
"""Several blocks of k in both products, on Intel's cores too, where a block is four times as long."""


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_special_shapes(book, dtype):
    """Shapes for which a product goes another way."""
    for n, i, o in NARROW + JOINED + LARGE + DEEP:
        check_all_products(book, n, i, o, dtype)
    for n, i, o in DEEP[1:]:
        check_all_products(book, n, i, o, dtype, "relu")


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_all_sizes(level, level_books, dtype, activation):
    for n, i, o in ALL:
        check_all_products(level_books[level], n, i, o, dtype, activation)


# --- nothing outside the arrays is read or written
GUARD = os.path.join(os.path.dirname(__file__), "guard.py")


@pytest.mark.parametrize("place", ["end", "start"])
def test_guard_pages(level, place):
    """Arrays end, or begin, at a page that may not be touched: a process that reads or writes one byte beyond dies."""
    done = subprocess.run([sys.executable, GUARD, level, place], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-2000:]}"
    assert done.stdout.endswith("done\n")


def test_the_guard_guards(level):
    """A read one byte beyond does end the process."""
    for place in ("end", "start"):
        done = subprocess.run([sys.executable, GUARD, level, place, "trespass"], capture_output=True, text=True, timeout=300)
        assert done.returncode < 0, done.stdout


# --- the arithmetic law
def fma(a, b, c, dtype):
    """a b + c with one rounding, from exact fractions."""
    return nearest(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), dtype)


def nearest(value, dtype):
    """The float nearest to a fraction in the normal range, ties to even."""
    if dtype == np.float64 or value == 0:
        return dtype(float(value))
    digits = 23
    exponent = int(np.floor(np.log2(abs(float(value)))))
    if abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    elif abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - digits)
    return dtype(float(round(value / unit) * unit))


def test_the_emulated_fma_rounds_once():
    """1 + 2^-24 rounds to 1 (tie to even), a little more rounds up; rounding to float64 first would lose the little."""
    one, half = np.float32(1), np.float32(2.0 ** -24)
    assert fma(one, half, one, np.float32) == one
    assert fma(np.float32(2.0 ** -24), np.float32(1 + 2.0 ** -23), one, np.float32) == np.nextafter(one, np.float32(2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_chain(level, level_books, dtype):
    """Each element is one chain of fused multiply-adds over the inner index, ascending from zero; the bias comes at its end."""
    if level == "baseline":
        pytest.skip("exempt: no fused multiply-add")
    book, rng = level_books[level], np.random.default_rng(1)
    n, i, o = 3, 300, 21
    x, w, b = (rng.normal(size=shape).astype(dtype) for shape in ((n, i), (o, i), (o,)))
    y, dx, dw = np.empty((n, o), dtype), np.empty((o, i), dtype), np.empty((n, o), dtype)
    book.linear_forward(x, w, b, y)
    book.linear_backward_weight(w[:, :o].T.copy(), x[:, :o].T.copy(), dw, None)  # (21, 21)ᵀ of x by w: 21 rows, one chunk
    for row, column in ((0, 0), (1, 16), (2, 20)):
        total = dtype(0)
        for k in range(i):
            total = fma(x[row, k], w[column, k], total, dtype)
        assert y[row, column] == total + b[column]
        total = dtype(0)
        for k in range(o):
            total = fma(x[row, k], w[column, k], total, dtype)
        assert dw[row, column] == total
    dy = rng.normal(size=(o, o)).astype(dtype)
    book.linear_backward_input(dy, w, None, dx)
    for row, column in ((0, 0), (20, 299), (7, 130)):
        total = dtype(0)
        for k in range(o):
            total = fma(dy[row, k], w[k, column], total, dtype)
        assert dx[row, column] == total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_rows_do_not_depend_on_the_batch(level, level_books, dtype, activation):
    """A prediction and its gradient are the same bits alone, in chunks, and in any order of rows."""
    book, rng = level_books[level], np.random.default_rng(2)
    for n, i, o in ((37, 65, 33), (19, 300, 70), (129, 17, 5)):
        x, w, b = (rng.normal(size=shape).astype(dtype) for shape in ((n, i), (o, i), (o,)))
        form = pack(book, w)

        def forward(rows, packed=form, x=x, w=w, b=b):
            y = np.empty((len(rows), len(w)), dtype)
            book.linear_forward(x[rows], w, b, y, packed, activation)
            dx = np.empty((len(rows), w.shape[1]), dtype)
            book.linear_backward_input(y, w, np.tanh(x[rows]), dx, activation)
            return np.hstack([y, dx])

        together = forward(np.arange(n))
        order = rng.permutation(n)
        assert forward(order).tobytes() == together[order].tobytes()
        assert forward(np.arange(n), None).tobytes() == together.tobytes()
        for size in (1, 2, 7, 16):
            parts = [forward(np.arange(start, min(start + size, n))) for start in range(0, n, size)]
            assert np.vstack(parts).tobytes() == together.tobytes(), size


def tree(parts):
    """Neighbours of equal size joined first, as in a binary counter; the rest from the right."""
    stack = []
    for index, part in enumerate(parts):
        while index & 1:
            part, index = stack.pop() + part, index >> 1
        stack.append(part)
    total = stack.pop()
    while stack:
        total = stack.pop() + total
    return total


def one_chunk(book, x, dy):
    """dw of rows that are one chunk: the forward's sums, each one chain."""
    dw = np.empty((dy.shape[1], x.shape[1]), x.dtype)
    book.linear_forward(np.ascontiguousarray(dy.T), np.ascontiguousarray(x.T), None, dw)
    return dw


def chunks(n):
    size = 32 if n <= 64 else 64 if n <= 128 else 128
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(19, 17), (5, 33)])
def test_chunk_tree(level, level_books, dtype, shape):
    """dw and db are chunks of 128 rows, of 64 or 32 in small batches, each one chain, joined by the binary tree; N = 1..700."""
    book, rng = level_books[level], np.random.default_rng(3)
    i, o = shape
    x, dy = rng.normal(size=(700, i)).astype(dtype), rng.normal(size=(700, o)).astype(dtype)
    for n in range(1, 701):
        dw, db = np.empty((o, i), dtype), np.empty(o, dtype)
        book.linear_backward_weight(x[:n], dy[:n], dw, db)
        assert dw.tobytes() == tree([one_chunk(book, x[rows], dy[rows]) for rows in chunks(n)]).tobytes(), n
        assert db.tobytes() == tree([np.add.accumulate(dy[rows])[-1] for rows in chunks(n)]).tobytes(), n


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_large_weights_are_one_chunk(level, level_books, dtype):
    """128 of them, from 2^17 elements on; blocks of parts are as large. Thin layers on either side, for the sake of time."""
    book, rng = level_books[level], np.random.default_rng(8)
    for i, o, large in ((65535, 2, False), (65536, 2, True), (2, 65536, True)):
        x, dy = rng.normal(size=(100, i)).astype(dtype), rng.normal(size=(100, o)).astype(dtype)
        dw, parts, db_parts = np.empty((o, i), dtype), np.full((2, o, i), np.nan, dtype), np.full((2, o), np.nan, dtype)
        db = np.empty(o, dtype)
        book.linear_backward_weight(x, dy, dw, db)
        rows = [slice(0, 100)] if large else [slice(0, 64), slice(64, 100)]
        assert dw.tobytes() == tree([one_chunk(book, x[part], dy[part]) for part in rows]).tobytes()
        assert db.tobytes() == tree([np.add.accumulate(dy[part])[-1] for part in rows]).tobytes()
        book.weight_parts(x, dy, parts, db_parts)
        assert parts[0].tobytes() == one_chunk(book, x[rows[0]], dy[rows[0]]).tobytes() and parts[1].any() != large
        joined = np.empty_like(dw), np.empty_like(db)
        book.weight_join(parts, db_parts, dy, *joined)
        assert joined[0].tobytes() == dw.tobytes() and joined[1].tobytes() == db.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300, 150), (1030, 20), (65, 260)])
def test_chunk_tree_of_far_weights(level, level_books, dtype, shape):
    """The same where x is far: blocks of outputs and columns, whose sums are on a stack of their own."""
    book, rng = level_books[level], np.random.default_rng(6)
    i, o = shape
    for n in (260, 1000, 1100, 1664) if i > 65 else (4200, 128 * 37):
        x, dy = rng.normal(size=(n, i)).astype(dtype), rng.normal(size=(n, o)).astype(dtype)
        dw = np.full((o, i), np.nan, dtype)
        book.linear_backward_weight(x, dy, dw, None)
        assert dw.tobytes() == tree([one_chunk(book, x[rows], dy[rows]) for rows in chunks(n)]).tobytes(), n


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(19, 17), (4, 33), (70, 3)])
def test_blocks_of_rows_are_parts_of_the_tree(level, level_books, dtype, shape):
    """weight_parts and weight_join give the bits of linear_backward_weight, whatever the number of blocks; a block's are those of its rows
    alone, in the chunks of the batch."""
    book, rng = level_books[level], np.random.default_rng(5)
    i, o = shape
    for n in (0, 1, 33, 64, 100, 127, 128, 129, 160, 500, 1024, 1500, 2177):
        x, dy = rng.normal(size=(n, i)).astype(dtype), rng.normal(size=(n, o)).astype(dtype)
        dw, db = np.empty((o, i), dtype), np.empty(o, dtype)
        book.linear_backward_weight(x, dy, dw, db)
        chunk = 32 if n <= 64 else 64 if n <= 128 else 128
        for blocks in (1, 2, 3, 7, 32):
            parts, db_parts = np.full((blocks, o, i), np.nan, dtype), np.full((blocks, o), np.nan, dtype)
            book.weight_parts(x, dy, parts, db_parts)
            joined = np.full_like(dw, np.nan), np.full_like(db, np.nan)
            book.weight_join(parts, db_parts, dy, *joined)
            assert joined[0].tobytes() == dw.tobytes() and joined[1].tobytes() == db.tobytes(), (n, blocks)
            step = reference.linear.block_rows(n, blocks)
            assert step * blocks >= n and (step == chunk or step // 2 * blocks < n)
            for m, start in enumerate(range(0, n, step)):
                own = [slice(at, min(at + chunk, start + step, n)) for at in range(start, min(start + step, n), chunk)]
                assert tree([one_chunk(book, x[rows], dy[rows]) for rows in own]).tobytes() == parts[m].tobytes(), (n, blocks)
            assert not parts[-(-n // step):].any() and not db_parts[-(-n // step):].any()


@pytest.mark.parametrize("count", [6, 10, 13, 64, 77])
def test_tree_of_many_chunks(level, level_books, count):
    """The stack of partial sums is as deep as the number of chunks asks for; db is a plain chain of sums within a chunk."""
    book, rng = level_books[level], np.random.default_rng(4)
    x, dy = (rng.normal(size=(count * 128 - 3, size)).astype(np.float32) for size in (3, 2))
    db, dw = np.empty(2, np.float32), np.empty((2, 3), np.float32)
    book.linear_backward_weight(x, dy, dw, db)
    assert db.tobytes() == tree([np.add.accumulate(dy[rows])[-1] for rows in chunks(len(dy))]).tobytes()
    assert dw.tobytes() == tree([one_chunk(book, x[rows], dy[rows]) for rows in chunks(len(dy))]).tobytes()
    expected = np.empty((2, 3))
    reference.linear_backward_weight(x.astype(float), dy.astype(float), expected, None)
    np.testing.assert_allclose(dw, expected, rtol=0, atol=1e-7 * len(x))


def eight_lanes(terms):
    """A chunk's sum: eight chains side by side, then halves of them joined."""
    lanes = np.zeros(128)
    lanes[:len(terms)] = terms
    lanes = np.add.accumulate(lanes.reshape(16, 8))[-1]
    while len(lanes) > 1:
        lanes = lanes[:len(lanes) // 2] + lanes[len(lanes) // 2:]
    return lanes[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums_are_trees(level, level_books, dtype):
    """total, sum_squares and mean_loss: float64 sums of 128 elements, joined by the same tree. The terms are of very different sizes:
    another order rounds to another sum."""
    book, rng = level_books[level], np.random.default_rng(6)

    def expected(terms):
        return tree([eight_lanes(terms[start:start + 128]) for start in range(0, len(terms), 128)]) if len(terms) else 0.0
    for n in (1, 7, 127, 128, 129, 256, 300, 384, 385, 640, 1000, 1664, 9000):
        x, w = ((rng.normal(size=n) * 2.0 ** rng.integers(-18, 18, n)).astype(dtype) for _ in range(2))
        total, squares, parts, loss = np.empty(1), np.empty(1), np.empty(3), np.empty(2)
        book.total(x, total)
        book.sum_squares(x, squares)
        book.sum_squares(x, parts)
        book.mean_loss(x, w, loss)
        wide, v = x.astype(np.float64), w.astype(np.float64)
        assert total[0] == expected(wide), n
        assert squares[0] == expected(wide * wide), n
        begins = [-(-n // 128) * part // 3 * 128 for part in range(3)]
        assert parts.tolist() == [expected(wide[begin:end] ** 2) for begin, end in zip(begins, [*begins[1:], n])], n
        assert loss.tolist() == [expected(wide * v), expected(v)], n


def test_every_level_is_tested():
    assert set(cases.books()) >= {"reference", "baseline"}
