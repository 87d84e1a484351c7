"""Dense layers: y = f(x wᵀ + b) and its gradients."""
import numpy as np

from ..contract import ACTIVATIONS, CHUNK, chunk_rows, kernel, lanes
from .activations import apply, derivative

__all__ = ["linear_pack", "linear_forward", "linear_backward_input", "linear_backward_weight", "weight_parts", "weight_join"]


@kernel("w(O,I) -> packed(Q,I,L)", over="outputs")
def linear_pack(w, packed):
    """packed[q, i, l] = w[q L + l, i], and zero where q L + l >= O.

    The form the forward matmul reads: for each input i the L outputs of a panel stand side by side.
    w (O, I) -> packed (Q, I, L), Q = ceil(O / L), L = 16 (float32) or 8 (float64).
    """
    outputs, inputs = w.shape
    width = lanes(w.dtype)
    padded = np.zeros((packed.shape[0] * width, inputs), w.dtype)
    padded[:outputs] = w
    packed[...] = padded.reshape(packed.shape[0], width, inputs).transpose(0, 2, 1)


def _known_activation(x, w, b, y, packed=None, activation="identity", alpha=0.0):
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")


@kernel("x(N,I) w(O,I) b(O)? -> y(N,O) ; packed(Q,I,L)?", also=_known_activation)
def linear_forward(x, w, b, y, packed=None, activation="identity", alpha=0.0):
    """y = f(x wᵀ + b)

    x (N, I)  w (O, I)  b (O,) or None  ->  y (N, O).  f: a name of contract.ACTIVATIONS, alpha its parameter.
    Each sum over I is one chain, i ascending, starting from zero; b is added at its end.
    packed: the packed form of w where the caller keeps one; it must agree with w.
    """
    np.matmul(x, w.T, out=y)
    if b is not None:
        y += b
    apply(activation, y, alpha)


def _output_for_derivative(dy, w, x, dx, activation="identity", alpha=0.0):
    _known_activation(dy, w, x, dx, None, activation)
    if x is None and activation != "identity":
        raise TypeError("x must be an array when an activation is given, got None")


@kernel("dy(N,O) w(O,I) x(N,I)? -> dx(N,I)", also=_output_for_derivative)
def linear_backward_input(dy, w, x, dx, activation="identity", alpha=0.0):
    """dx = (dy w) * f'(x), where x = f(z) is the output of the activation before this layer.

    dy (N, O)  w (O, I)  x (N, I)  ->  dx (N, I).  With activation="identity" x is not read and may be None.
    Each sum over O is one chain, o ascending.
    """
    np.matmul(dy, w, out=dx)
    if activation != "identity":
        dx *= derivative(activation, x, alpha)


@kernel("x(N,I) dy(N,O) -> dw(O,I)? db(O)?", over="outputs")
def linear_backward_weight(x, dy, dw, db):
    """dw = dyᵀ x ;  db = sum over N of dy

    x (N, I)  dy (N, O)  ->  dw (O, I)  db (O,); either may be None.
    Rows are summed in chunks of 128 (where O I < 2^17 of 64 if N <= 128, of 32 if N <= 64), each one chain, n ascending;
    chunks are combined by a binary tree.
    """
    _sums(x, dy, dw, db, chunk_rows(len(x), x.shape[1] * dy.shape[1]))


def _sums(x, dy, dw, db, chunk):
    if dw is not None:
        dw[...] = tree_sum(len(x), lambda rows: dy[rows].T @ x[rows], dw.shape, dw.dtype, chunk)
    if db is not None:
        db[...] = tree_sum(len(x), lambda rows: dy[rows].sum(axis=0), db.shape, db.dtype, chunk)


def block_rows(rows, blocks, elements=0):
    """Rows of a block where at most `blocks` hold all: chunks, as many as the smallest fitting power of two. A block's sum is then a part
    of the binary tree over all chunks."""
    chunk, size = chunk_rows(rows, elements), 1
    while size * blocks * chunk < rows:
        size *= 2
    return size * chunk


def _some_blocks(*arrays):
    parts = next(a for a in arrays if a is not None and a.ndim == 3)
    if not len(parts):
        raise ValueError(f"parts must have at least one block, got shape {parts.shape}")


@kernel("x(N,I) dy(N,O) -> parts(M,O,I) db_parts(M,O)?", over="rows", also=_some_blocks)
def weight_parts(x, dy, parts, db_parts):
    """linear_backward_weight of blocks of rows (block_rows(N, M)), for each its dw and db; zero where a block has no rows"""
    elements = parts[0].size
    step = block_rows(len(x), len(parts), elements)
    for m, part in enumerate(parts):
        rows = slice(m * step, (m + 1) * step)
        _sums(x[rows], dy[rows], part, None if db_parts is None else db_parts[m], chunk_rows(len(x), elements))


@kernel("parts(M,O,I) db_parts(M,O)? dy(N,O) -> dw(O,I)? db(O)?", over="outputs", also=_some_blocks)
def weight_join(parts, db_parts, dy, dw, db):
    """dw and db of linear_backward_weight from weight_parts; of dy only the number of rows counts. Without db_parts db is 0."""
    used = -(-len(dy) // block_rows(len(dy), len(parts), parts[0].size))
    for blocks, out in ((parts, dw), (db_parts, db)):
        if out is not None:
            found = np.zeros_like(parts[:, :, 0]) if blocks is None else blocks
            out[...] = tree_sum(used * CHUNK, lambda rows, found=found: found[rows.start // CHUNK], out.shape, out.dtype)


def tree_sum(rows, part, shape, dtype, chunk=CHUNK):
    """Sum part(slice) over chunks of rows: equal-sized neighbours are joined first, as in a binary counter."""
    stack = []
    for index, start in enumerate(range(0, rows, chunk)):
        total = part(slice(start, min(start + chunk, rows)))
        while index & 1:
            total = stack.pop() + total
            index >>= 1
        stack.append(total)
    if not stack:
        return np.zeros(shape, dtype)
    total = stack.pop()
    while stack:
        total = stack.pop() + total
    return total
