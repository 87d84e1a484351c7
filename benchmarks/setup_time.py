"""What a fit costs besides its steps: before the first step (first fit, and a fit that finds its plan made), and per epoch.

    python -m vivace.benchmarks.setup_time

A table in microseconds, minima over fresh trainers: other processes only add. An epoch here has one step, whose own time is taken off.
"""
import sys
import time

import numpy as np

from .. import nn, optim
from ..nn.plan import Plan
from ..trainer import Trainer

WORKLOADS = {"tiny": ((4, 16, 3), 16, 1000), "rl": ((17, 64, 64, 6), 64, 4000), "digits": ((64, 128, 10), 32, 1797),
             "tabular": ((64, 256, 256, 256, 2), 256, 20000), "mnist": ((784, 512, 256, 10), 128, 10000)}
"""Sizes, batch, rows."""


class Started(Exception):
    """The first step would begin here."""


def trainer_of(sizes):
    layers = [layer for i, o in zip(sizes[:-1], sizes[1:]) for layer in (nn.Linear(i, o), nn.ReLU())][:-1]
    model = nn.Sequential(*layers)
    return Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), seed=0, num_threads=1)


def until_first_step(trainer, X, y, batch):
    """Seconds from the call of fit to the first call of the engine."""
    run = Plan.run
    found = []

    def started(*_, **__):
        found.append(time.perf_counter())
        raise Started
    Plan.run = started
    begin = time.perf_counter()
    try:
        trainer.fit(X, y, epochs=1, batch_size=batch, verbose=0)
    except Started:
        return found[0] - begin
    finally:
        Plan.run = run
    raise AssertionError("the engine was not called")


def per_epoch(trainer, X, y, epochs=300):
    """Seconds of an epoch of one step, less the step itself as the engine counts it."""
    trainer.fit(X, y, epochs=3, batch_size=len(X), verbose=0)
    inside, run = [0.0], Plan.run

    def timed(*args, **options):
        begin = time.perf_counter()
        place = run(*args, **options)
        inside[0] += time.perf_counter() - begin
        return place
    Plan.run = timed
    try:
        begin = time.perf_counter()
        trainer.fit(X, y, epochs=epochs, batch_size=len(X), verbose=0)
        return (time.perf_counter() - begin - inside[0]) / epochs
    finally:
        Plan.run = run


def measure(name, repeats=15):
    """(first fit, second fit, epoch) in seconds."""
    sizes, batch, rows = WORKLOADS[name]
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, sizes[0]), np.float32), rng.integers(0, sizes[-1], rows)
    first, second, epoch = [], [], []
    for _ in range(repeats):
        trainer = trainer_of(sizes)
        first.append(until_first_step(trainer, X, y, batch))
        second.append(until_first_step(trainer, X, y, batch))
    for _ in range(3):
        epoch.append(per_epoch(trainer_of(sizes), X[:16], y[:16]))
    return min(first), min(second), min(epoch)


def main():
    print("| workload | first fit | again | epoch |\n|---|---|---|---|")
    for name, (sizes, batch, _) in WORKLOADS.items():
        times = " | ".join(f"{1e6 * seconds:.0f}" for seconds in measure(name))
        print(f"| {name} {'-'.join(map(str, sizes))}, batch {batch} | {times} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
