"""Loops written by hand, side by side: zero_grad, forward, loss, backward, step in vivace and in PyTorch (fused Adam), and one row.

Each trainer runs in a process of its own. First verified: all start from the same weights, see the same rows, and must reach the
losses of the NumPy baseline and its outputs for one row. Then timed in turns; the best turn of each counts, because what else runs
on the machine only ever adds. Without PyTorch the vivace lines stand alone.
"""
import argparse
import importlib.util
import json
import subprocess
import sys
import time

import numpy as np

from .numpy_mlp import NumpyMLP

CASES = (((4, 16, 3), 16), ((17, 64, 64, 6), 64), ((64, 128, 10), 32))
"""Sizes and batch."""
STEPS, TURNS, RUN = 20, 5, 10
TOLERANCE = 1e-4
"""Largest relative difference of a loss, and of the outputs for one row after STEPS steps."""


def _data(sizes, batch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((STEPS, batch, sizes[0]), np.float32), rng.integers(0, sizes[-1], (STEPS, batch))
    return NumpyMLP(sizes, seed=1).weights(), x, y


def _stack(library, sizes):
    return library.Sequential(*[layer for i, o in zip(sizes[:-1], sizes[1:]) for layer in (library.Linear(i, o), library.ReLU())][:-1])


def _vivace(sizes, weights, compiled):
    """(step(x, y) -> loss, row(x) -> outputs, convert): the eager loop, or make_step and predict of a Trainer."""
    from .. import Trainer, nn, no_grad, optim
    model, loss = _stack(nn, sizes), nn.CrossEntropyLoss()
    for p, value in zip(model.parameters(), (v for pair in weights for v in pair)):
        p.copy_(value)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    if compiled:
        trainer = Trainer(model, loss, optimizer)
        return trainer.make_step(4096), trainer.predict, lambda a: a

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    def row(x):
        with no_grad():
            return model(x)
    return step, row, lambda a: a


def _torch(sizes, weights, threads):
    import torch
    torch.set_num_threads(threads)
    model, loss = _stack(torch.nn, sizes), torch.nn.CrossEntropyLoss()
    with torch.no_grad():
        for p, value in zip(model.parameters(), (v for pair in weights for v in pair)):
            p.copy_(torch.from_numpy(value))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    def row(x):
        with torch.inference_mode():
            return model(x)
    return step, row, torch.from_numpy


TRAINERS = {
    "vivace eager": lambda sizes, weights: _vivace(sizes, weights, False),
    "vivace make_step, predict": lambda sizes, weights: _vivace(sizes, weights, True),
    "PyTorch, 1 thread": lambda sizes, weights: _torch(sizes, weights, 1),
    "PyTorch, 2 threads": lambda sizes, weights: _torch(sizes, weights, 2),
}


def _best(seconds, call, *args):
    """Microseconds of a call: the best of many short runs."""
    best, end = np.inf, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        for _ in range(RUN):
            call(*args)
        best = min(best, time.perf_counter() - start)
    return best / RUN * 1e6


def _worker(name):
    """Answers each line `case seconds` on standard input with JSON; seconds 0 asks for the results instead of times."""
    held = {}
    for line in sys.stdin:
        case, seconds = line.split()
        sizes, batch = CASES[int(case)]
        weights, xs, ys = _data(sizes, batch)
        if case not in held:
            step, row, convert = TRAINERS[name](sizes, weights)
            losses = [step(convert(x), convert(y)) for x, y in zip(xs, ys)]
            losses = [loss if isinstance(loss, float) else loss.item() for loss in losses]
            held[case] = step, row, convert(xs[0]), convert(ys[0]), convert(xs[0][:1].copy())
            answer = [losses, np.asarray(row(held[case][4])).tolist()]
        else:
            step, row, x, y, one = held[case]
            answer = [_best(float(seconds), step, x, y), _best(float(seconds) / 4, row, one)]
        print(json.dumps(answer), flush=True)


def _expected(sizes, batch):
    """What the NumPy baseline finds: losses of STEPS steps, and the outputs for one row after them."""
    weights, xs, ys = _data(sizes, batch)
    net = NumpyMLP(sizes, weights=weights)
    losses = [net.fit_epoch(x, y, batch, np.arange(batch)) for x, y in zip(xs, ys)]
    h = xs[0][:1].astype(np.float64)
    for index, (w, b) in enumerate(net.weights()):
        h = h @ w.T.astype(np.float64) + b
        h = np.maximum(h, 0) if index < len(sizes) - 2 else h
    return losses, h


def _ask(process, case, seconds):
    process.stdin.write(f"{case} {seconds}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _differ(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def main(argv=None):
    """Verify and time all cases, print tables; exit status 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time for measuring")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        return _worker(options.worker)
    names = [name for name in TRAINERS if name.startswith("vivace") or importlib.util.find_spec("torch")]
    command = [sys.executable, "-m", "vivace.benchmarks.eager", "--worker"]
    workers = {name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in names}
    try:
        return _compare(workers, options.seconds / len(names) / len(CASES) / TURNS / 1.25)
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()


def _compare(workers, seconds):
    for case, (sizes, batch) in enumerate(CASES):
        losses, outputs = _expected(sizes, batch)
        worst = 0.0
        for name, worker in workers.items():
            found = _ask(worker, case, 0)
            worst = max(worst, difference := max(_differ(found[0], losses), _differ(found[1], outputs)))
            if not difference <= TOLERANCE:
                print(f"{sizes}: {name} differs from the NumPy baseline by {difference:.1e}", file=sys.stderr)
                return 1
        turns = [{name: _ask(worker, case, seconds) for name, worker in workers.items()} for _ in range(TURNS)]
        best = {name: np.min([turn[name] for turn in turns], axis=0) for name in workers}
        peer = np.min([best[name] for name in best if name.startswith("PyTorch")] or [[np.nan] * 2], axis=0)
        print(f"\n{'-'.join(map(str, sizes))}, batch {batch}, Adam, float32: {STEPS} losses agree to {worst:.0e}\n"
              f"  {'':<28}{'us/step':>9}{'PyTorch / it':>14}{'us/row':>9}{'PyTorch / it':>14}")
        for name, (step, row) in best.items():
            print(f"  {name:<28}{step:>9.1f}{peer[0] / step:>13.1f}x{row:>9.2f}{peer[1] / row:>13.1f}x", flush=True)
    print("\nPyTorch / it: the better of its 1 and 2 threads; us/row is one row through the model (no_grad, inference_mode, predict)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
