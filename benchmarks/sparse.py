"""Sparse rows beside the same rows dense (10,000 features of which 1% are there, 100 hidden units, 10 classes, batch 128), and a table of
200,000 rows whose update touches the rows of a batch beside one that touches all.

    python -m vivace.benchmarks.sparse

Needs SciPy. Verified first: both reach the same weights, bit for bit where the level has fused multiply-add, else nearly. Then timed
in turns on one thread; the median of the ratios of each turn counts. Exit status 1 where sparse rows are not 3 times as fast.
"""
import time
from statistics import median

import numpy as np
import scipy.sparse

from .. import kernels, manual_seed, nn, optim
from ..trainer import Trainer

FEATURES, DENSITY, HIDDEN, CLASSES, BATCH, STEPS, TURNS = 10_000, 0.01, 100, 10, 128, 32, 5
OPTIMIZERS = {"SGD": lambda p: optim.SGD(p, lr=0.1), "Adagrad": lambda p: optim.Adagrad(p, lr=0.05), "Adam": lambda p: optim.Adam(p)}
WANTED = 3.0
TABLE, WIDTH, CODES = 200_000, 32, 4
"""Rows and columns of the table, and how many of its rows a row of data names."""


def trainer_of(name):
    manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return Trainer(model, nn.CrossEntropyLoss(), OPTIMIZERS[name](model.parameters()), seed=0, num_threads=1)


def table_trainer(decay):
    """A decay below the least float changes no weight, and makes the update go over all rows."""
    manual_seed(0)
    model = nn.Sequential(nn.Embedding(TABLE, WIDTH), nn.Flatten(), nn.Linear(CODES * WIDTH, CLASSES))
    return Trainer(model, nn.CrossEntropyLoss(), optim.Adagrad(model.parameters(), weight_decay=decay), seed=0, num_threads=1)


def verify(sparse, dense, name):
    for a, b in zip(sparse.model.parameters(), dense.model.parameters()):
        a, b = a.numpy(), b.numpy()
        same = np.array_equal(a, b) if kernels.which()["isa"] in ("v3", "v4") else np.allclose(a, b, rtol=1e-4, atol=1e-5)
        if not same:
            raise SystemExit(f"{name}: sparse and dense training reach different weights")


def in_turns(trainers, data, y, name):
    """{kind: seconds of each turn}, verified after the first, which warms up."""
    seconds = {kind: [] for kind in trainers}
    for turn in range(TURNS + 1):
        for kind, trainer in trainers.items():
            begin = time.perf_counter()
            trainer.fit(data[kind], y, epochs=1, batch_size=BATCH, verbose=0)
            seconds[kind] += [time.perf_counter() - begin] * bool(turn)
        if not turn:
            verify(*trainers.values(), name)
    return seconds


def main():
    rows = BATCH * STEPS
    X = scipy.sparse.random(rows, FEATURES, density=DENSITY, format="csr", random_state=0, dtype=np.float32)
    data, y = {"sparse": X, "dense": X.toarray()}, np.random.default_rng(1).integers(0, CLASSES, rows)
    print(f"{kernels.which()}, 1 thread\n\n| optimizer | dense us / step | sparse us / step | times faster |\n|---|---|---|---|")
    least = np.inf
    for name in OPTIMIZERS:
        seconds = in_turns({kind: trainer_of(name) for kind in data}, data, y, name)
        ratio = median(d / s for d, s in zip(seconds["dense"], seconds["sparse"]))
        least = min(least, ratio)
        us = {kind: median(values) / STEPS * 1e6 for kind, values in seconds.items()}
        print(f"| {name} | {us['dense']:.0f} | {us['sparse']:.0f} | {ratio:.1f} |", flush=True)
    codes = np.random.default_rng(2).integers(0, TABLE, (rows, CODES))
    seconds = in_turns({"named": table_trainer(0.0), "all": table_trainer(1e-300)}, {"named": codes, "all": codes}, y, "table")
    named, everything = (median(seconds[kind]) / STEPS * 1e6 for kind in ("named", "all"))
    ratio = median(a / n for a, n in zip(seconds["all"], seconds["named"]))
    print(f"\nTable of {TABLE:,} x {WIDTH}, Adagrad: {everything:.0f} us a step over all rows, {named:.0f} over those named, "
          f"{ratio:.1f} times faster")
    if least < WANTED:
        raise SystemExit(f"sparse training is only {least:.1f} times as fast as dense, not {WANTED:g} times")


if __name__ == "__main__":
    main()
