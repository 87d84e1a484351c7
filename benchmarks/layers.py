"""What a layer adds to a training step: 64-256-256-256-2, batch 256, Adam, one of each kind at each of the three hidden layers.

    python -m vivace.benchmarks.layers [--threads 1]

Verified first: weights after some steps equal those of the loop by hand, bit for bit, and losses PyTorch's where it is installed and
the layer draws no numbers. Then timed in turns, whole epochs at a time; the median of the ratios to the plain network's time in the
same turn counts.
"""
import argparse
import time
from statistics import median

import numpy as np

from .. import kernels, manual_seed, nn, optim
from ..trainer import Trainer

WIDTHS, BATCH, STEPS, TURNS, SEED = (64, 256, 256, 256, 2), 256, 40, 25, 3
BETWEEN = {
    "plain": lambda m, n: [m.ReLU()],
    "BatchNorm1d": lambda m, n: [m.BatchNorm1d(n), m.ReLU()],
    "LayerNorm": lambda m, n: [m.LayerNorm(n), m.ReLU()],
    "RMSNorm": lambda m, n: [m.RMSNorm(n), m.ReLU()],
    "Dropout": lambda m, n: [m.ReLU(), m.Dropout(0.1)],
}
"""What stands behind each hidden Linear; m: the module that has the layers, ours or PyTorch's."""


def network(name, m=nn):
    layers = []
    for i, o in zip(WIDTHS[:-2], WIDTHS[1:]):
        layers += [m.Linear(i, o), *BETWEEN[name](m, o)]
    return m.Sequential(*layers, m.Linear(*WIDTHS[-2:]))


def data(steps):
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps * BATCH, WIDTHS[0])).astype(np.float32), rng.integers(0, WIDTHS[-1], steps * BATCH)


def trainer_of(name, threads):
    manual_seed(SEED)
    model = network(name)
    return Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), seed=SEED, num_threads=threads)


def by_hand(name, X, y):
    """The weights that a loop of single steps reaches."""
    manual_seed(SEED)
    model, loss = network(name), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    manual_seed(SEED)  # dropout begins as a Trainer's with this seed
    for start in range(0, len(y), BATCH):
        optimizer.zero_grad()
        loss(model(X[start:start + BATCH]), y[start:start + BATCH]).backward()
        optimizer.step()
    return model


def torchs_loss(name, X, y):
    """The mean loss of PyTorch's steps from the same weights, or None."""
    try:
        import torch
    except ImportError:
        return None
    manual_seed(SEED)
    model = network(name, torch.nn)
    model.load_state_dict({key: torch.tensor(value) for key, value in network(name).state_dict().items()})
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-3), []
    for start in range(0, len(y), BATCH):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(X[start:start + BATCH])), torch.tensor(y[start:start + BATCH]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def verify(name, threads):
    X, y = data(5)
    trainer = trainer_of(name, threads)
    found = trainer.fit(X, y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)["loss"][0]
    for ours, eager in zip(trainer.model.state_dict().values(), by_hand(name, X, y).state_dict().values()):
        if not np.array_equal(ours, eager):
            raise SystemExit(f"{name}: the compiled epoch and the loop by hand give different weights")
    expected = None if name == "Dropout" else torchs_loss(name, X, y)
    if expected is not None and abs(found - expected) > 1e-4 * abs(expected):
        raise SystemExit(f"{name}: the loss is {found}, PyTorch's {expected}")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m vivace.benchmarks.layers", description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every trainer (%(default)s)")
    threads = parser.parse_args(argv).threads
    for name in BETWEEN:
        verify(name, threads)
    X, y = data(STEPS)
    trainers = {name: trainer_of(name, threads) for name in BETWEEN}
    turns = {name: [] for name in BETWEEN}
    for turn in range(TURNS + 1):
        for name, trainer in trainers.items():
            begin = time.perf_counter()
            trainer.fit(X, y, epochs=1, batch_size=BATCH, verbose=0)
            turns[name] += [time.perf_counter() - begin] * bool(turn)  # the first one warms up
    print(f"{kernels.which()}, {threads} thread{'s' * (threads > 1)}, verified\n")
    print("| at each hidden layer | us / step | added |\n|---|---|---|")
    for name, seconds in turns.items():
        ratio = median(a / b for a, b in zip(seconds, turns["plain"]))
        print(f"| {name} | {median(seconds) / STEPS * 1e6:.0f} | {100 * (ratio - 1):+.1f}% |")


if __name__ == "__main__":
    main()
