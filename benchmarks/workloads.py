"""What is measured: networks, batches, data and first weights, the same for every library."""
import math
from dataclasses import dataclass

import numpy as np

from .. import kernels

SEED = 0
"""Of the order of the rows; data have their own."""


def flops(sizes, rows):
    """Floating-point operations of a step's matmuls: forward, dw, and dx of all but the first layer."""
    products = [2 * rows * i * o for i, o in zip(sizes[:-1], sizes[1:])]
    return 3 * sum(products) - products[0]


@dataclass(frozen=True)
class Workload:
    """A network of `sizes`, hidden layers activated, trained by Adam (or asked for predictions), `batch` rows at a time."""

    name: str
    sizes: tuple
    batch: int
    steps: int = 100
    """Per epoch."""
    activation: str = "relu"
    loss: str = "cross_entropy"
    dtype: str = "float32"
    kind: str = "train"
    """"train", or "predict": one call on `batch` rows."""
    group: str = "training"
    """The table it stands in."""
    verified_epochs: int = 4
    turns: int = 5
    """How often it is timed."""

    @property
    def title(self):
        shape = "-".join(map(str, self.sizes))
        if self.kind == "predict":
            return f"{shape}, predict {self.batch:,} row{'s' * (self.batch > 1)}"
        extra = "" if self.activation == "relu" else f", {self.activation}"
        return f"{shape}, batch {self.batch:,}{extra}{', MSE' if self.loss == 'mse' else ''}"

    @property
    def shuffled(self):
        """Whether rows come in a new order every epoch; a step over all rows has no use for one."""
        return self.steps > 1

    @property
    def rows(self):
        return self.batch * self.steps if self.kind == "train" else self.batch

    @property
    def verified_rows(self):
        """Few steps an epoch, so that the losses of single epochs show what single steps did."""
        return self.batch * min(self.steps, 5) if self.kind == "train" else self.batch

    @property
    def flops(self):
        """Of the matmuls of a step or call."""
        if self.kind == "predict":
            return sum(2 * self.batch * i * o for i, o in zip(self.sizes[:-1], self.sizes[1:]))
        return flops(self.sizes, self.batch)

    def data(self, rows, dtype=None):
        """X (rows, inputs) and classes (rows,), or real targets (rows, outputs)."""
        rng = np.random.default_rng(7)
        X = rng.standard_normal((rows, self.sizes[0])).astype(self.dtype)
        if self.loss == "mse":
            y = rng.standard_normal((rows, self.sizes[-1])).astype(self.dtype)
            return X.astype(dtype or self.dtype), y.astype(dtype or self.dtype)
        return X.astype(dtype or self.dtype), rng.integers(0, self.sizes[-1], rows)

    def weights(self):
        """[(w (O, I), b (O,)), ...] of the dtype, uniform in +-1/sqrt(I)."""
        rng = np.random.default_rng(1)
        return [tuple((rng.uniform(-1, 1, shape) / math.sqrt(i)).astype(self.dtype) for shape in ((o, i), (o,)))
                for i, o in zip(self.sizes[:-1], self.sizes[1:])]

    def orders(self, rows, first, epochs):
        """int64 (epochs, rows): the rows of `epochs` epochs from the epoch `first` on, in the Trainer's order."""
        orders = np.empty((epochs, rows), np.int64)
        for epoch, order in enumerate(orders, first):
            if self.shuffled:
                kernels.permutation(order, SEED, epoch)
            else:
                order[:] = np.arange(rows)
        return orders


_DIGITS, _TABULAR, _MNIST = (64, 128, 10), (64, 256, 256, 256, 2), (784, 512, 256, 10)

WORKLOADS = {w.name: w for w in (
    Workload("tiny", (4, 16, 3), 16, 200),
    Workload("rl", (17, 64, 64, 6), 64, 100),
    Workload("digits", _DIGITS, 32, 200),
    Workload("tabular", _TABULAR, 256, 20),
    Workload("mnist", _MNIST, 128, 20),
    Workload("large", (1024, 4096, 4096, 1000), 512, 6, verified_epochs=1, turns=3),
    Workload("fullbatch", (4, 32, 16, 4), 10_000, 1, activation="tanh", loss="mse", verified_epochs=8),
    Workload("rl-f64", (17, 64, 64, 6), 64, 100, dtype="float64", group="float64"),
    Workload("tabular-f64", _TABULAR, 256, 20, dtype="float64", group="float64"),
    Workload("mnist-f64", _MNIST, 128, 20, dtype="float64", group="float64"),
    Workload("odd", (37, 129, 65, 33, 7), 50, 100, group="widths"),
    Workload("even", (48, 144, 80, 48, 16), 50, 100, group="widths"),
    Workload("predict-1", _DIGITS, 1, kind="predict", group="prediction"),
    Workload("predict-100k", _DIGITS, 100_000, kind="predict", group="prediction"),
)}
