"""A tuned dense-network trainer in pure NumPy: the honest baseline of the benchmarks.

N batch, I inputs, O outputs, C classes, P parameters. A step, with w stored (I, O), transposed against PyTorch:
    y = f(x @ w + b)                             per layer; the last one is linear
    dz = (softmax(z) - onehot) / N               cross_entropy; mse: 2 (z - t) / (N O)
    dw = x.T @ dz, db = ones @ dz, dx = (dz @ w.T) f'
then Adam or SGD over one flat vector of all w and b. Every operation writes into a buffer made when its batch size was first met.

Measured with NumPy 2.4.6, OpenBLAS 0.3.31, AVX-512, one thread; us per step of 64-128-10, batch 32, Adam, float32:
    79.9  row-major, w (O, I), Adam as in the paper
    67.2  m and v stored without their factors 1 - beta: 10 passes over P instead of 13
    51.0  row sums as products with ones (0.6 us, reduce 1.5); one-hot rows from identity / N (fancy indexing 2.1 us);
          ReLU as z * mask, the mask kept in floats for the way back; scalars as 0-d arrays (0.2 us a call)
    48.2  w (I, O): the forward product takes 6.5 us instead of 10
Lost: batch last with the bias as a column of w inside the product (48.9); Adam in blocks of 8k to 32k parameters
(784-512-256-10, batch 128: 4180 us, unblocked 4116). take(mode="raise") buffers its output (28 us, "clip" 9): indices are
checked once an epoch instead. Adam: Kingma, Ba, https://arxiv.org/abs/1412.6980; epsilon stands where PyTorch has it.
Run as a program it prints two standard steps; try OPENBLAS_NUM_THREADS=1 and 2 and keep the better.
"""

import math
import time
from types import SimpleNamespace

import numpy as np


class NumpyMLP:
    """Layers of `sizes` (inputs, hidden ..., outputs): hidden ones activated, the last one linear.
    activation "relu" | "sigmoid" | "tanh"; loss "cross_entropy" (classes 0..C-1) | "mse" (targets (N, O));
    optimizer "adam" | "sgd"; weights [(w (O, I), b (O,)), ...] to start from, otherwise uniform in +-1/sqrt(I) by `seed`."""

    def __init__(self, sizes, activation="relu", loss="cross_entropy", optimizer="adam", lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
                 dtype="float32", seed=0, weights=None):
        if {activation, loss, optimizer} - {"relu", "sigmoid", "tanh", "cross_entropy", "mse", "adam", "sgd"}:
            raise ValueError(f"unknown activation, loss or optimizer: {activation!r}, {loss!r}, {optimizer!r}")
        self.sizes, self.activation, self.loss, self.optimizer = list(sizes), activation, loss, optimizer
        self.lr, self.betas, self.eps, self.dtype, self.steps, self._sets = lr, betas, eps, np.dtype(dtype), 0, {}
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.p, self.g, self.m, self.v, self.t = (np.zeros(sum(i * o + o for i, o in pairs), self.dtype) for _ in range(5))
        self.w, self.b, self.dw, self.db, at, rng = [], [], [], [], 0, np.random.default_rng(seed)
        for layer, (i, o) in enumerate(pairs):
            for flat, ws, bs in ((self.p, self.w, self.b), (self.g, self.dw, self.db)):
                ws.append(flat[at:at + i * o].reshape(i, o))
                bs.append(flat[at + i * o:at + i * o + o])
            at += i * o + o
            w, b = weights[layer] if weights is not None else (rng.uniform(-1, 1, s) / math.sqrt(i) for s in ((o, i), o))
            if np.shape(w) != (o, i) or np.shape(b) != (o,):
                raise ValueError(f"weights[{layer}] must have shapes {(o, i)} and {(o,)}, got {np.shape(w)} and {np.shape(b)}")
            self.w[layer][...], self.b[layer][...] = np.asarray(w).T, b
        self.wT = [w.T for w in self.w]
        self.zero, self.half, self.one, self.beta1, self.beta2 = (np.array(c, self.dtype) for c in (0, 0.5, 1, *betas))

    def weights(self):
        """Copies of [(w (O, I), b (O,)), ...]."""
        return [(w.T.copy(), b.copy()) for w, b in zip(self.w, self.b, strict=True)]

    def fit_epoch(self, X, y, batch_size, order=None):
        """One pass over the rows of X in `order` (default: as they stand). The mean loss over rows, taken before the updates."""
        X, y = np.ascontiguousarray(X, self.dtype), self._targets(y)
        total, order = 0.0, np.arange(len(X)) if order is None else np.asarray(order)
        if X.shape != (len(y), self.sizes[0]) or not order.size or order.min() < 0 or order.max() >= len(X):
            raise ValueError(f"X must have shape ({len(y)}, {self.sizes[0]}), got {X.shape}, and order rows 0..{len(y) - 1}")
        for at in range(0, len(order), batch_size):
            rows = order[at:at + batch_size]
            s = self._buffers(len(rows))
            X.take(rows, 0, s.a[0], "clip")
            y.take(rows, 0, s.y, "clip")
            total += self._step(s) * s.N
        return float(total) / len(order)

    def step(self, xb, yb):
        """One update from one batch. Its mean loss before the update."""
        s, xb, yb = self._buffers(len(xb)), np.asarray(xb, self.dtype), self._targets(yb)
        if xb.shape != s.a[0].shape or yb.shape != s.y.shape:
            raise ValueError(f"xb, yb must have shapes {s.a[0].shape}, {s.y.shape}, got {xb.shape}, {yb.shape}")
        s.a[0][...], s.y[...] = xb, yb
        return float(self._step(s))

    def _targets(self, y):
        if self.loss == "mse":
            return np.ascontiguousarray(y, self.dtype)
        y = np.asarray(y, np.intp)
        if y.size and not 0 <= y.min() <= y.max() < self.sizes[-1]:
            raise ValueError(f"y must hold classes 0..{self.sizes[-1] - 1}, got {y.min()}..{y.max()}")
        return y

    def _buffers(self, N):
        """Buffers and constants for batches of N rows: a outputs of the layers, d their gradients, f mask or scratch."""
        if N not in self._sets:
            s, dtype, C = SimpleNamespace(N=N, log_n=math.log(N)), self.dtype, self.sizes[-1]
            s.a, s.d, s.f = ([np.zeros((N, n), dtype) for n in self.sizes] for _ in range(3))
            s.mask, s.aT = [np.zeros((N, n), bool) for n in self.sizes], [a.T for a in s.a]
            s.target, s.col = np.zeros((N, C), dtype), np.zeros((N, 1), dtype)
            s.y = s.target if self.loss == "mse" else np.zeros(N, np.intp)
            s.row, s.z_flat, s.d_flat, s.t_flat = s.col[:, 0], s.a[-1].reshape(-1), s.d[-1].reshape(-1), s.target.reshape(-1)
            s.eye, s.ones = np.eye(C, dtype=dtype) / dtype.type(N), np.ones(N, dtype)
            s.mean, s.n_c = np.full(N, 1 / N, dtype), np.full(C, N, dtype)
            self._sets[N] = s
        return self._sets[N]

    def _step(self, s):
        last = len(self.w) - 1
        for layer, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            y = s.a[layer + 1]
            np.dot(s.a[layer], w, y)
            np.add(y, b, y)
            if layer < last:
                self._activate(y, s.f[layer + 1], s.mask[layer + 1])
        loss = self._cross_entropy(s) if self.loss == "cross_entropy" else self._mse(s)
        for layer in range(last, -1, -1):
            dz = s.d[layer + 1]
            np.dot(s.aT[layer], dz, self.dw[layer])
            np.dot(s.ones, dz, self.db[layer])
            if layer:                                   # nothing needs the gradient of the inputs
                np.dot(dz, self.wT[layer], s.d[layer])
                self._activate_backward(s.a[layer], s.d[layer], s.f[layer])
        self._update()
        return loss

    def _activate(self, y, f, mask):
        """y = f(z) in place: relu z [z > 0], tanh, sigmoid (1 + tanh(z / 2)) / 2 (exp(-z) would overflow)."""
        if self.activation == "relu":
            np.greater(y, self.zero, mask)
            np.copyto(f, mask)
            np.multiply(y, f, y)
            return
        if self.activation == "sigmoid":
            np.multiply(y, self.half, y)
        np.tanh(y, y)
        if self.activation == "sigmoid":
            np.multiply(y, self.half, y)
            np.add(y, self.half, y)

    def _activate_backward(self, y, dy, f):
        """dz = dy f'(z) in place, from the output y: relu [y > 0], sigmoid y (1 - y), tanh 1 - y^2."""
        if self.activation == "tanh":
            np.multiply(y, y, f)
            np.subtract(self.one, f, f)
        elif self.activation == "sigmoid":
            np.subtract(self.one, y, f)
            np.multiply(f, y, f)
        np.multiply(dy, f, dy)

    def _cross_entropy(self, s):
        """mean_n (log sum_c exp(z_c) - z_target), dz = (softmax(z) - onehot) / N; z is shifted by its row maximum first."""
        z, dz = s.a[-1], s.d[-1]
        s.eye.take(s.y, 0, s.target, "clip")            # onehot / N
        np.maximum.reduce(z, 1, None, s.col, True)
        np.subtract(z, s.col, z)
        np.exp(z, dz)
        np.dot(dz, s.n_c, s.row)                        # N sum_c exp(z_c)
        np.divide(dz, s.col, dz)
        np.subtract(dz, s.target, dz)
        np.log(s.row, s.row)
        return s.row.dot(s.mean) - s.log_n - s.z_flat.dot(s.t_flat)

    def _mse(self, s):
        """mean over rows and columns of (z - t)^2, dz = 2 (z - t) / (N O)."""
        np.subtract(s.a[-1], s.target, s.d[-1])
        loss = s.d_flat.dot(s.d_flat)
        np.multiply(s.d_flat, 2 / s.d_flat.size, s.d_flat)
        return loss / s.d_flat.size

    def _update(self):
        """sgd: p -= lr g. adam stores M = m / (1 - beta1), V = v / (1 - beta2): M = beta1 M + g, V = beta2 V + g^2,
        p -= q M / (sqrt(V) + r eps) with r^2 = (1 - beta2^k) / (1 - beta2), q = lr r (1 - beta1) / (1 - beta1^k)."""
        p, g, m, v, t, (beta1, beta2) = self.p, self.g, self.m, self.v, self.t, self.betas
        self.steps += 1
        if self.optimizer == "sgd":
            np.multiply(g, self.lr, t)
        else:
            r = math.sqrt((1 - beta2**self.steps) / (1 - beta2))
            np.multiply(m, self.beta1, m)
            np.add(m, g, m)
            np.multiply(g, g, g)
            np.multiply(v, self.beta2, v)
            np.add(v, g, v)
            np.sqrt(v, t)
            np.add(t, np.array(r * self.eps, self.dtype), t)
            np.divide(m, t, t)
            np.multiply(t, np.array(self.lr * r * (1 - beta1) / (1 - beta1**self.steps), self.dtype), t)
        np.subtract(p, t, p)


def microseconds_per_step(sizes, batch_size, steps=200, rounds=7):
    """Median over rounds: Adam, cross-entropy, ReLU, float32, shuffled rows."""
    rng, rows, net, seconds = np.random.default_rng(0), steps * batch_size, NumpyMLP(sizes), []
    X, y, order = rng.standard_normal((rows, sizes[0]), np.float32), rng.integers(0, sizes[-1], rows), rng.permutation(rows)
    for _ in range(rounds + 1):                         # the first round warms up
        start = time.perf_counter()
        net.fit_epoch(X, y, batch_size, order)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])) / steps * 1e6


if __name__ == "__main__":
    for sizes, N in (([64, 128, 10], 32), ([784, 512, 256, 10], 128)):
        print(f"{sizes} batch {N}: {microseconds_per_step(sizes, N):.1f} us/step")
