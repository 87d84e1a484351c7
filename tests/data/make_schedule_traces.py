"""Writes PyTorch's learning rates (and momenta) over 500 steps: schedule_traces.json, beside this file. Run with torch installed.

Two groups, initial rates 0.4 and 0.01. Every tenth step is kept, and the first 40. Momenta stand where a schedule moves them.
"""
import json
import pathlib
import warnings

import numpy as np

SCHEDULES = {
    "StepLR": [{"step_size": 30, "gamma": 0.9}, {"step_size": 7}], "MultiStepLR": [{"milestones": [3, 10, 10, 200], "gamma": 0.5}],
    "ExponentialLR": [{"gamma": 0.99}], "ConstantLR": [{}, {"factor": 0.2, "total_iters": 33}],
    "LinearLR": [{}, {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 90}],
    "PolynomialLR": [{"total_iters": 300, "power": 2.0}, {"total_iters": 501}],
    "CosineAnnealingLR": [{"T_max": 600, "eta_min": 1e-3}, {"T_max": 50, "eta_min": 1e-3}],
    "CosineAnnealingWarmRestarts": [{"T_0": 40}, {"T_0": 10, "T_mult": 3, "eta_min": 1e-3}],
    "OneCycleLR": [{"max_lr": 1.0, "total_steps": 500}, {"max_lr": [1.0, 0.1], "epochs": 50, "steps_per_epoch": 10, "pct_start": 0.2,
                   "anneal_strategy": "linear", "three_phase": True, "div_factor": 10.0, "base_momentum": 0.6}],
    "CyclicLR": [{"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 40}, {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 20,
                 "step_size_down": 35, "mode": "triangular2"}, {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 25, "mode": "exp_range",
                 "gamma": 0.995}],
}
PLATEAU = [{}, {"factor": 0.5, "patience": 3, "cooldown": 5, "min_lr": 1e-3, "threshold": 0.01}, {"mode": "max", "patience": 2},
           {"threshold_mode": "abs", "threshold": 0.05, "patience": 4, "factor": 0.7}]
KEPT = [*range(40), *range(40, 500, 10), 499]


def metric(step):
    """A loss that falls, stands and trembles."""
    return float(np.exp(-step / 80) + 0.05 * np.sin(step * 1.7) + 0.3)


def composed(s, o):
    """Schedules of schedules, by a module `s` of schedules and an optimizer; of vivace or of PyTorch."""
    return {
        "sequence": lambda: s.SequentialLR(o, [s.LinearLR(o, start_factor=0.1, total_iters=20), s.CosineAnnealingLR(o, T_max=300),
                                               s.ExponentialLR(o, gamma=0.9)], milestones=[20, 320]),
        "chain": lambda: s.ChainedScheduler([s.ConstantLR(o, factor=0.1, total_iters=50), s.ExponentialLR(o, gamma=0.99)]),
        "lambda": lambda: s.LambdaLR(o, [lambda step: 1 / (1 + step), lambda step: 0.95 ** step]),
        "multiplicative": lambda: s.MultiplicativeLR(o, lambda step: 0.9 if step % 7 == 0 else 1.001),
    }


def run(make, optimizer, options=None, metrics=False):
    scheduler, found = make(optimizer, **(options or {})), []
    for step in range(500):
        found.append([[g["lr"], g.get("momentum", 0.0)] for g in optimizer.param_groups])
        optimizer.step()
        scheduler.step(metric(step)) if metrics else scheduler.step()
    return [found[step] for step in KEPT]


def main():
    import torch
    from torch.optim import lr_scheduler as s
    warnings.simplefilter("ignore")

    def made():
        parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        return torch.optim.SGD([{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.01}], lr=0.4, momentum=0.9)
    found = {"torch": torch.__version__, "cases": [], "plateau": [], "composed": {}}
    for name, settings in SCHEDULES.items():
        for options in settings:
            o = made()
            found["cases"].append({"name": name, "options": options, "rates": run(getattr(s, name), o, options)})
    for options in PLATEAU:
        o = made()
        found["plateau"].append({"options": options, "rates": run(s.ReduceLROnPlateau, o, options, True)})
    for name in composed(s, made()):
        o = made()
        found["composed"][name] = run(lambda _, name=name, o=o: composed(s, o)[name](), o)
    pathlib.Path(__file__).with_name("schedule_traces.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
