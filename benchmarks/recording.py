"""What callbacks.Statistics costs on `tabular` and `mnist`: recorded every 100th step, and as often as it chooses itself.

    python -m vivace.benchmarks.recording [--seconds 60]

First verified: the weights are those of a fit without it, bit for bit. Then fits take turns: without, recording each step, every 100th, and
by its own choice. On a shared machine a cost of 1% drowns in the noise of whole fits, so two figures stand in the table: "wall", the
median over the turns of the time over that without, less 1; and "steps", the extra time of a recorded step, which is large enough to
measure, times the recorded steps, over the time of the fit.
"""
import argparse
import sys
import time
from statistics import median

from .. import callbacks, nn, optim
from ..trainer import Trainer
from .workloads import SEED, WORKLOADS

NAMES = ("tabular", "mnist")
EVERY = 100
SHARE = 0.5
"""Seconds of a fit that is timed; those that record each step are shorter."""


class Failed(Exception):
    """Recording changed the training."""


class Fit:
    """A trainer of a workload that records every `every` steps; 0: never, None: by the callback's own choice."""

    def __init__(self, workload, every, threads=None):
        self.workload, self.every = workload, every
        layers = [layer for i, o in zip(workload.sizes[:-1], workload.sizes[1:]) for layer in (nn.Linear(i, o), nn.ReLU())][:-1]
        model = nn.Sequential(*layers)
        for p, value in zip(model.parameters(), (v for pair in workload.weights() for v in pair)):
            p.copy_(value)
        self.trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), seed=SEED, num_threads=threads)

    def run(self, X, y, epochs):
        """(seconds of a step, share of the steps that were recorded) of a fit of `epochs` epochs."""
        statistics = None if self.every == 0 else callbacks.Statistics(self.every)
        start, before = time.perf_counter(), self.trainer.step
        self.trainer.fit(X, y, epochs=epochs, batch_size=self.workload.batch, verbose=0, callbacks=statistics)
        steps = self.trainer.step - before
        return (time.perf_counter() - start) / steps, 0.0 if statistics is None else len(statistics) / steps

    def weights(self):
        return [p.numpy().tobytes() for p in self.trainer.model.parameters()]


def verify(workload, epochs=4):
    """Train without recording and with each way of it; raises Failed where a bit differs, or nothing was recorded."""
    X, y = workload.data(workload.verified_rows)
    plain = Fit(workload, 0)
    plain.run(X, y, epochs)
    for every in (1, 7, None):
        fit = Fit(workload, every)
        _, share = fit.run(X, y, epochs)
        if fit.weights() != plain.weights() or not share:
            raise Failed(f"{workload.name}: Statistics({every}) changes the weights, or recorded nothing")


def measure(workload, seconds, threads=None):
    """{every: (microseconds of a step, wall cost, steps cost)} for 0, EVERY and None, and the same of 1; costs as parts of 1."""
    X, y = workload.data(workload.rows)
    fits = {every: Fit(workload, every, threads) for every in (0, 1, EVERY, None)}
    step = min(fits[0].run(X, y, 2)[0] for _ in range(3))
    epochs = {every: max(5, round(SHARE * (0.2 if every == 1 else 1.0) / step / workload.steps)) for every in fits}
    taken, shares = {every: [] for every in fits}, {every: [] for every in fits}
    end, order = time.perf_counter() + seconds, list(fits)
    while time.perf_counter() < end or len(taken[0]) < 3:
        for every in order:
            found, share = fits[every].run(X, y, epochs[every])
            taken[every].append(found)
            shares[every].append(share)
        order = order[1:] + order[:1]
    plain = median(taken[0])
    extra = median(a - b for a, b in zip(taken[1], taken[0]))
    return {every: (median(taken[every]) * 1e6, median(a / b for a, b in zip(taken[every], taken[0])) - 1,
                    extra * median(shares[every]) / plain) for every in fits}


def main(argv=None):
    """Verify and time both workloads, print a table; exit status 1 where recording changes a bit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time for measuring")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args(argv)
    try:
        for name in NAMES:
            verify(WORKLOADS[name])
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    print("weights with and without are equal bit for bit\n\n"
          f"  {'':<40}{'threads':>8}{'us/step':>9}{'each':>8}{f'every {EVERY}: wall':>17}{'steps':>8}{'by itself: wall':>17}{'steps':>8}")
    for name in NAMES:
        for threads in options.threads:
            found = measure(WORKLOADS[name], options.seconds / len(NAMES) / len(options.threads), threads)
            costs = "".join(f"{found[every][1]:>{17}.1%}{found[every][2]:>8.2%}" for every in (EVERY, None))
            print(f"  {f'{name}: {WORKLOADS[name].title}':<40}{threads:>8}{found[0][0]:>9.0f}{found[1][0]:>8.0f}{costs}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
