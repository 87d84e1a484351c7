"""One training step, side by side: the three backends of vivace and the tuned NumPy program, float32, Adam, cross-entropy, ReLU.

First verified: all start from the same weights, see the same rows in the same order, and must reach the same losses. Then timed
in turns, so that a slow moment of the machine meets all of them; the median over the turns counts. `vivace bench` runs this.
"""
import argparse
import contextlib
import functools
import importlib.util
import sys
import time
from statistics import median

import numpy as np

from .. import kernels, nn, optim
from ..trainer import Trainer
from .numpy_mlp import NumpyMLP
from .peak import Peak
from .workloads import flops

CASES = (((64, 128, 10), 32, 200), ((784, 512, 256, 10), 128, 20))
"""Sizes, batch, and steps per epoch when timed."""
TOLERANCE = 1e-4
"""Largest relative difference of an epoch's loss, of 4 epochs of 5 steps."""
TURNS = 5
SETTLE = 0.1
"""Seconds that each runs before it is timed: idle threads of the one before spin on for tens of milliseconds (OpenBLAS: 30)."""


class Failed(Exception):
    """A trainer does not compute what the others do."""


class Vivace:
    """A Trainer on one backend; threads None leaves the choice to it."""

    def __init__(self, sizes, batch_size, weights, backend, threads=None):
        layers = [layer for i, o in zip(sizes[:-1], sizes[1:]) for layer in (nn.Linear(i, o), nn.ReLU())][:-1]
        model = nn.Sequential(*layers)
        model.load_state_dict({f"{2 * at}.{name}": value for at, pair in enumerate(weights)
                               for name, value in zip(("weight", "bias"), pair)})
        self.name, self.batch_size = f"vivace {backend}", batch_size
        self.trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), seed=0, backend=backend,
                               num_threads=threads)

    def losses(self, X, y, epochs):
        """The loss of each epoch."""
        before = len(self.trainer.history)
        self.trainer.fit(X, y, epochs=epochs, batch_size=self.batch_size, shuffle=True, verbose=0)
        return self.trainer.history["loss"][before:]

    @property
    def threads(self):
        return self.trainer.last_run.threads


class Numpy:
    """The baseline with a given number of BLAS threads; None leaves them as they are."""

    def __init__(self, sizes, batch_size, weights, threads):
        self.name, self.batch_size, self.blas, self.epoch = "NumPy", batch_size, threads, 0
        self.net = NumpyMLP(sizes, weights=weights)

    def losses(self, X, y, epochs):
        """The loss of each epoch, rows in the Trainer's order."""
        losses, order = [], np.empty(len(X), np.int64)
        with _controller().limit(limits=self.blas, user_api="blas") if self.blas else contextlib.nullcontext():
            for _ in range(epochs):
                kernels.permutation(order, 0, self.epoch)
                losses.append(self.net.fit_epoch(X, y, self.batch_size, order))
                self.epoch += 1
        return losses

    @property
    def threads(self):
        return self.blas or "?"


@functools.cache
def _controller():
    """Made once: it looks through all loaded libraries, which takes milliseconds that are not NumPy's."""
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController()


def _data(sizes, rows):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, sizes[0]), np.float32), rng.integers(0, sizes[-1], rows)


def trainers(sizes, batch_size):
    """All that can run here, with the same weights; the baseline first."""
    weights = NumpyMLP(sizes, seed=1).weights()
    blas = (1, 2) if importlib.util.find_spec("threadpoolctl") else (None,)
    backends = [("cython", 1), ("cython", 2), ("numba", None), ("numpy", None)]
    return [*(Numpy(sizes, batch_size, weights, threads) for threads in blas),
            *(Vivace(sizes, batch_size, weights, *backend) for backend in backends if kernels.available()[backend[0]])]


def verify(sizes, batch_size):
    """The largest relative difference to the baseline's losses over 20 steps; raises Failed above TOLERANCE."""
    X, y = _data(sizes, 5 * batch_size)
    first, *others = trainers(sizes, batch_size)
    expected, worst = np.array(first.losses(X, y, 4)), 0.0
    for other in others:
        losses = np.array(other.losses(X, y, 4))
        worst = max(worst, difference := float(np.max(np.abs(losses / expected - 1))))
        if not difference <= TOLERANCE:
            raise Failed(f"{_title(sizes, batch_size)}: {other.name} reaches losses {losses}, {first.name} {expected}")
    return worst


def measure(sizes, batch_size, steps, seconds):
    """[(name, threads, microseconds per step)], medians over turns, in about `seconds`; each at its best number of threads."""
    X, y = _data(sizes, steps * batch_size)
    peers = trainers(sizes, batch_size)
    taken = {peer: [] for peer in peers}
    share = max(seconds / len(peers) / TURNS - SETTLE, 2 * SETTLE)
    for turn in range(TURNS + 1):
        for peer in peers:
            epoch = _settle(peer, X, y)
            if turn:  # the first turn warms up
                epochs = max(1, int(share / epoch))
                taken[peer].append(_seconds(peer, X, y, epochs) / epochs / steps)
    rows = [(peer.name, peer.threads, median(taken[peer]) * 1e6) for peer in peers]
    names = dict.fromkeys(row[0] for row in rows)
    return [min((row for row in rows if row[0] == name), key=lambda row: row[2]) for name in names]


def _settle(peer, X, y):
    """Let it run alone for a while; the seconds of its last epoch."""
    end = time.perf_counter() + SETTLE
    while True:
        epoch = _seconds(peer, X, y, 1)
        if time.perf_counter() >= end:
            return epoch


def _seconds(peer, X, y, epochs):
    start = time.perf_counter()
    peer.losses(X, y, epochs)
    return time.perf_counter() - start


def table(rows, work, top):
    """Lines of the results: [(name, threads, microseconds)], the baseline first."""
    lines = [f"  {'trainer':<16}{'threads':>8}{'us/step':>11}{'vs NumPy':>10}{'GFLOP/s':>9}{'% of peak':>11}"]
    for name, threads, microseconds in rows:
        ratio, speed = rows[0][2] / microseconds, work / microseconds / 1e3
        share = 100 * speed / (top * (threads if isinstance(threads, int) else 1))
        lines.append(f"  {name:<16}{threads:>8}{microseconds:>11.1f}{ratio:>9.2f}x{speed:>9.1f}{share:>10.1f}%")
    return lines


def _title(sizes, batch_size):
    return f"{'-'.join(map(str, sizes))}, batch {batch_size}"


def main(argv=None):
    """Verify and time all cases, print tables; exit status 1 where results differ."""
    parser = argparse.ArgumentParser(prog="vivace bench", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="time for measuring, compilation by numba aside")
    seconds = parser.parse_args(argv).seconds
    which, peak = kernels.which(), Peak()
    print(f"one training step, float32, Adam, cross-entropy, ReLU; {which['backend']} backend, level {which['isa']}", flush=True)
    if which["available"]["numba"]:
        print("verifying first; the numba backend compiles itself for that, which takes a while", file=sys.stderr)
    for sizes, batch_size, steps in CASES:
        try:
            worst = verify(sizes, batch_size)
        except Failed as failure:
            print(f"vivace bench: {failure}", file=sys.stderr)
            return 1
        print(f"\n{_title(sizes, batch_size)}: losses of 20 steps agree to {worst:.0e}", flush=True)
        rows, top = measure(sizes, batch_size, steps, seconds / len(CASES)), peak.look(times=5)
        print("\n".join(table(rows, flops(sizes, batch_size), top)))
        print(f"  peak: {top:.0f} GFLOP/s per thread, measured now", flush=True)
    print("\nNumPy is benchmarks/numpy_mlp.py; NumPy and the Cython backend stand at the better of 1 and 2 threads")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
