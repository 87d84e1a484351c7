"""Time of one optimizer step on 1,000,000 float32 parameters, against a copy of the same bytes and PyTorch's fused or foreach step.

    python -m vivace.benchmarks.optimizers

One thread. Each figure is the minimum of many repeats, all taken in turns within one run. "bytes" counts what a step must read and
write: gradient, parameter and states; the copy moves as many (half read, half written).
"""
import functools
import time

import numpy as np

from .. import kernels, nn, optim

P = 1_000_000
REPEATS = 60
OPTIONS = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}


def streams(optimizer):
    """Arrays of P elements read and written by a step: g once, p and the states twice."""
    return 1 + 2 * (1 + len(optimizer.uses(optimizer.param_groups[0])))


START, GRADIENT = (np.random.default_rng(seed).normal(size=P).astype(np.float32) for seed in (0, 1))


def ours(name):
    """(optimizer, parameter) after one step."""
    p = nn.Parameter(START)
    optimizer = getattr(optim, name)([p], **OPTIONS.get(name, {}))
    p.grad = GRADIENT
    optimizer.step()
    return optimizer, p


def theirs(name, after):
    """{kind: step} of PyTorch's versions, where it is installed and has them; SystemExit where they do not go where ours goes."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    found = {}
    for kind in ("fused", "foreach"):
        p = torch.nn.Parameter(torch.tensor(START))
        p.grad = torch.tensor(GRADIENT)
        try:
            optimizer = getattr(torch.optim, name)([p], **OPTIONS.get(name, {}), **{kind: True})
            optimizer.step()
        except (AttributeError, TypeError, RuntimeError):
            continue
        if not np.allclose(p.detach().numpy(), after, rtol=1e-4, atol=1e-6):
            raise SystemExit(f"{name}: one step differs from PyTorch's {kind} one")
        found[kind] = optimizer.step
    return found


def measure(steps):
    """Seconds of each step, the least of REPEATS turns."""
    best = dict.fromkeys(steps, np.inf)
    for _ in range(REPEATS):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def main():
    print(f"{kernels.which()}\n")
    print("| optimizer | streams | us | copy us | us / copy | torch fused us | torch foreach us |\n|---|---|---|---|---|---|---|")
    for name in nn.optim.TABLE:
        optimizer, p = ours(name)
        count = streams(optimizer)
        source = np.ones(P * count // 2, np.float32)
        target = np.empty_like(source)
        copy = functools.partial(np.copyto, target, source)
        best = measure({"ours": optimizer.step, "copy": copy, **theirs(name, p.numpy())})
        us = {kind: f"{seconds * 1e6:.0f}" for kind, seconds in best.items()}
        print(f"| {name} | {count} | {us['ours']} | {us['copy']} | {best['ours'] / best['copy']:.2f} | {us.get('fused', '-')} | "
              f"{us.get('foreach', '-')} |", flush=True)


if __name__ == "__main__":
    main()
