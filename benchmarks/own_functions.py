"""The user's own functions beside the built-in ones: Swish, LeakyReLU, the pinball loss and Lion on 64-256-256-256-2, batch 256.

    python -m vivace.benchmarks.own_functions [--seconds 60]

First verified: from the same weights, on the same rows in the same order, each must reach the losses of a program in NumPy and float64,
whose forward, backward and update are written out below, to a relative 1e-5 (1e-11 in float64, where a derivative is given). Then own and
built-in train in turns, and the speed of the own one is the median over the turns of the built-in one's time over its own.
"""
import argparse
import math
import sys
import time
from statistics import median

import numpy as np

from .. import nn, optim
from ..trainer import Trainer
from .workloads import SEED, WORKLOADS

WORKLOAD = WORKLOADS["tabular"]
TOLERANCES = {"float32": 1e-5, "float64": 1e-11}
"""Largest relative difference of a step's loss."""
SETTLE, SHARE, WARM_UP = 0.05, 0.1, 2
"""Seconds before and seconds of a measurement; epochs of the first call, which compiles."""


class Failed(Exception):
    """A training does not reach the losses of NumPy."""


# --- what a user writes
def swish(z, beta):
    return z / (1.0 + math.exp(-beta * z))


def swish_slope(z, beta):
    s = 1.0 / (1.0 + math.exp(-beta * z))
    return s + beta * z * s * (1.0 - s)


def leaky(z, slope):
    return z if z > 0 else slope * z


def pinball(y, t):
    return max(0.9 * (t - y), 0.1 * (y - t))


def lion(p, g, m, lr, step, beta1, beta2):
    return p - lr * np.sign(beta1 * m + (1 - beta1) * g), beta2 * m + (1 - beta2) * g


# --- the same in NumPy: (f, f') of an activation, (loss, its gradient by the outputs), and an update of p in place
def numpy_swish(z):
    s = 1 / (1 + np.exp(-2 * z))
    return z * s, s + 2 * z * s * (1 - s)


def numpy_leaky(z):
    slope = np.where(z > 0, 1.0, 0.01)
    return slope * z, slope


def numpy_relu(z):
    return np.maximum(z, 0), z > 0


def numpy_cross_entropy(z, y):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    hot = np.eye(z.shape[1])[y]
    return -np.log((p * hot).sum(axis=1)).mean(), (p - hot) / len(z)


def numpy_pinball(z, t):
    return np.maximum(0.9 * (t - z), 0.1 * (z - t)).mean(), np.where(z > t, 0.1, -0.9) / z.size


def numpy_adam(p, g, state, step):
    m, v = state
    m += 0.1 * (g - m)
    v += 0.001 * (g * g - v)
    p -= 1e-3 * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)


def numpy_lion(p, g, state, step):
    m, _ = state
    p -= 1e-4 * np.sign(0.9 * m + 0.1 * g)
    m += 0.01 * (g - m)


def numpy_losses(workload, case, dtype, epochs):
    """The loss of each step, in float64 from the rows and weights of the type `dtype`."""
    X, y = _data(workload, case, workload.verified_rows, dtype)
    p = [a.astype(np.float64) for pair in workload.weights() for a in pair]
    states = [(np.zeros_like(a), np.zeros_like(a)) for a in p]
    losses, step = [], 0
    for order in workload.orders(len(X), 0, epochs):
        for at in range(0, len(order), workload.batch):
            rows = order[at:at + workload.batch]
            inputs, slopes = [X[rows].astype(np.float64)], []
            for w, b in zip(p[:-2:2], p[1:-2:2]):
                a, slope = case.activation(inputs[-1] @ w.T + b)
                inputs.append(a)
                slopes.append(slope)
            loss, d = case.loss(inputs[-1] @ p[-2].T + p[-1], y[rows])
            losses.append(loss)
            gradients = []
            for layer in range(len(inputs) - 1, -1, -1):
                gradients[:0] = [d.T @ inputs[layer], d.sum(axis=0)]
                if layer:
                    d = d @ p[2 * layer] * slopes[layer - 1]
            step += 1
            for parameter, gradient, state in zip(p, gradients, states):
                case.update(parameter, gradient, state, step)
    return np.array(losses)


# --- a case: what is the user's, what it stands beside, and the program in NumPy
class Case:
    """own, builtin: (activation, loss, optimizer) as makers of a module, a loss, and an optimizer of parameters. activation, loss, update:
    the functions above. bound: the least speed that is asked for. real: whether targets are real numbers."""

    def __init__(self, name, bound, own, builtin, activation=numpy_relu, loss=numpy_cross_entropy, update=numpy_adam, real=False,
                 dtypes=("float32",)):
        self.name, self.bound, self.own, self.builtin, self.real, self.dtypes = name, bound, own, builtin, real, dtypes
        self.activation, self.loss, self.update = activation, loss, update


def cases():
    """Made here and not when the module is imported: Numba compiles for it."""
    adam, entropy = lambda p: optim.Adam(p, lr=1e-3), nn.CrossEntropyLoss
    Swish, Leaky = nn.activation(swish, beta=2.0), nn.activation(leaky, slope=0.01)
    Exact = nn.activation(swish, derivative=swish_slope, beta=2.0)
    Lion = optim.optimizer(lion, state=0, beta1=0.9, beta2=0.99)
    silu = (nn.SiLU, entropy, adam)
    return [
        Case("Swish(beta=2) / SiLU", 0.6, (Swish, entropy, adam), silu, numpy_swish),
        Case("Swish(beta=2), derivative given / SiLU", 0.6, (Exact, entropy, adam), silu, numpy_swish, dtypes=("float32", "float64")),
        Case("LeakyReLU / LeakyReLU", 0.8, (Leaky, entropy, adam), (nn.LeakyReLU, entropy, adam), numpy_leaky),
        Case("pinball loss / MSELoss", 0.7, (nn.ReLU, nn.loss(pinball), adam), (nn.ReLU, nn.MSELoss, adam), loss=numpy_pinball, real=True),
        Case("Lion / Adam", 0.7, (nn.ReLU, entropy, lambda p: Lion(p, lr=1e-4)), (nn.ReLU, entropy, adam), update=numpy_lion),
    ]


def _data(workload, case, rows, dtype):
    X, y = workload.data(rows, dtype)
    if case.real:
        y = np.random.default_rng(8).standard_normal((rows, workload.sizes[-1])).astype(dtype)
    return X, y


def trainer_of(workload, parts, dtype="float32", threads=None):
    """A Trainer of the workload's network from its first weights; parts as in Case."""
    activation, loss, optimizer = parts
    layers = [layer for i, o in zip(workload.sizes[:-1], workload.sizes[1:]) for layer in (nn.Linear(i, o), activation())][:-1]
    model = nn.Sequential(*layers).to(np.dtype(dtype).type)
    for p, value in zip(model.parameters(), (v for pair in workload.weights() for v in pair)):
        p.copy_(value)
    return Trainer(model, loss(), optimizer(model.parameters()), seed=SEED, num_threads=threads)


def verify(workload, case, epochs=4):
    """{dtype: largest relative difference of a step's loss}; raises Failed above TOLERANCES."""
    found = {}
    for dtype in case.dtypes:
        expected = numpy_losses(workload, case, dtype, epochs)
        X, y = _data(workload, case, workload.verified_rows, dtype)
        losses, trainer = [], trainer_of(workload, case.own, dtype)
        step = trainer.make_step(workload.batch)
        for order in workload.orders(len(X), 0, epochs):
            losses += [step(X[order[at:at + workload.batch]], y[order[at:at + workload.batch]])
                       for at in range(0, len(order), workload.batch)]
        fitted = trainer_of(workload, case.own, dtype)
        history = fitted.fit(X, y, epochs=epochs, batch_size=workload.batch, verbose=0)["loss"]
        means = expected.reshape(epochs, -1).mean(axis=1)
        found[dtype] = max(float(np.abs(np.array(losses) / expected - 1).max()), float(np.abs(np.array(history) / means - 1).max()))
        if not found[dtype] <= TOLERANCES[dtype]:
            raise Failed(f"{case.name}, {dtype}: losses differ from NumPy's by {found[dtype]:.1e}, allowed are {TOLERANCES[dtype]:.0e}")
    return found


def measure(workload, case, seconds, threads=None):
    """(microseconds of the own one, of the built-in one, speed): medians over the turns that fit into `seconds`."""
    X, y = _data(workload, case, workload.rows, "float32")
    trainers = [trainer_of(workload, parts, threads=threads) for parts in (case.own, case.builtin)]
    epochs, taken = [], ([], [])
    for trainer in trainers:
        _seconds(workload, trainer, X, y, WARM_UP)
        epochs.append(max(1, round(SHARE / _seconds(workload, trainer, X, y, 1))))
    end, turn = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or turn < 3:
        for index in (0, 1) if turn % 2 else (1, 0):
            _settle(workload, trainers[index], X, y)
            taken[index].append(_seconds(workload, trainers[index], X, y, epochs[index]) / epochs[index] / workload.steps)
        turn += 1
    return median(taken[0]) * 1e6, median(taken[1]) * 1e6, median(b / a for a, b in zip(*taken))


def _settle(workload, trainer, X, y):
    end = time.perf_counter() + SETTLE
    while time.perf_counter() < end:
        _seconds(workload, trainer, X, y, 1)


def _seconds(workload, trainer, X, y, epochs):
    start = time.perf_counter()
    trainer.fit(X, y, epochs=epochs, batch_size=workload.batch, verbose=0)
    return time.perf_counter() - start


def main(argv=None):
    """Verify and time all cases, print a table; exit status 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time for measuring, compilation aside")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args(argv)
    found = cases()
    try:
        for case in found:
            worst = ", ".join(f"{dtype} {difference:.0e}" for dtype, difference in verify(WORKLOAD, case).items())
            print(f"{case.name}: losses of 20 steps equal NumPy's ({worst})", flush=True)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"\n{WORKLOAD.title}, float32, us per step\n  {'own / built-in':<40}{'threads':>8}{'own':>9}{'built-in':>10}{'speed':>8}"
          f"{'asked':>7}")
    share = options.seconds / len(found) / len(options.threads)
    for case in found:
        for threads in options.threads:
            own, builtin, speed = measure(WORKLOAD, case, share, threads)
            print(f"  {case.name:<40}{threads:>8}{own:>9.0f}{builtin:>10.0f}{speed:>7.2f}x{case.bound:>6.1f}x", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
