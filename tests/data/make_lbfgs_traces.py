"""Writes where PyTorch's L-BFGS goes: lbfgs_traces.json, beside this file. Run with torch installed; all numbers are float64.

After one step of one iteration, and after 200 steps on a network of two layers and on Rosenbrock's function. Of the 200 steps those
settings are kept that a unit in the last place of the start, up or down, moves by less than 1e-8; the others are named.
"""
import json
import pathlib

import numpy as np
import torch

RIDGE = 0.05
"""Factor of the weights' sum of squares in the network's loss: without it the minimum is a flat valley, in which rounding leads the way."""

WOLFE = {"line_search_fn": "strong_wolfe"}
CLOSE = {"tolerance_grad": 1e-5, "tolerance_change": 1e-12}
"""Where a run on the network ends: beyond, losses differ in their last digits, from which a line search takes its step."""
SETTINGS = [{"lr": 0.1, **CLOSE}, {"lr": 0.5, "history_size": 5, **CLOSE}, {"lr": 0.2, "max_iter": 3, "history_size": 2, **CLOSE},
            {**WOLFE, **CLOSE}, {**WOLFE, "history_size": 3, "max_iter": 7, **CLOSE}, {**WOLFE, "lr": 0.3, "max_iter": 2, **CLOSE},
            {**WOLFE, "max_iter": 5, "max_eval": 4, **CLOSE}, {**WOLFE, "lr": 20.0, "max_iter": 2, "max_eval": 3, **CLOSE}]
ROSENBROCK = [{"lr": 5e-3, "max_iter": 2}, {**WOLFE}, {**WOLFE, "history_size": 2, "max_iter": 4},
              {**WOLFE, "max_iter": 3, "max_eval": 3}, {**WOLFE, "lr": 0.5, "max_iter": 3},
              {**WOLFE, "max_iter": 2, "tolerance_change": 1e-12}]


def tensor(array):
    return torch.tensor(array, dtype=torch.float64)


def network(options, given, start, steps):
    """Weights of a network of two layers after `steps` steps, and the loss before each of them."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    model.load_state_dict({key: tensor(value) for key, value in start.items()})
    optimizer, X, y = torch.optim.LBFGS(model.parameters(), **options), tensor(given["X"]), tensor(given["y"])

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(X), y) + RIDGE * sum((p * p).sum() for p in model.parameters())
        loss.backward()
        return loss
    losses = [optimizer.step(closure).item() for _ in range(steps)]
    return model.state_dict(), losses


def rosenbrock(options, start, steps):
    """Where 100 (y - x²)² + (1 - x)² is after `steps` steps."""
    p = torch.nn.Parameter(tensor(start))
    optimizer = torch.optim.LBFGS([p], **options)

    def closure():
        optimizer.zero_grad()
        loss = 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        loss.backward()
        return loss
    for _ in range(steps):
        optimizer.step(closure)
    return {"p": p.detach()}


def moved(end, other):
    return max(((other[key] - value).abs() / value.abs()).max().item() for key, value in end.items())


def kept(what, options, end, others):
    """Whether a case may be compared: the ulps of its start moved it little."""
    far = max(moved(end, other) for other in others)
    if not far < 1e-8:
        print(f"{what} {options}: a unit in the last place of the start moves it by {far:.1e}")
    return far < 1e-8


def plain(state):
    return {key: value.tolist() for key, value in state.items()}


def traces():
    rng = np.random.default_rng(7)
    given = {"X": rng.normal(size=(40, 4)), "y": rng.normal(size=(40, 2))}
    start = {"0.weight": rng.normal(size=(3, 4)) * 0.5, "0.bias": rng.normal(size=3) * 0.1,
             "2.weight": rng.normal(size=(2, 3)) * 0.5, "2.bias": rng.normal(size=2) * 0.1}
    nudged = [{key: np.nextafter(value, 9 * rng.choice([-1.0, 1.0], value.shape)) for key, value in start.items()} for _ in range(8)]
    begin = [-1.2, 1.0]
    beside = [[np.nextafter(-1.2, a), np.nextafter(1.0, b)] for a in (-9, 9) for b in (-9, 9)]
    found = {"one": [], "network": [], "rosenbrock": []}
    for options in SETTINGS:
        found["one"].append({"options": options, "state": plain(network({**options, "max_iter": 1}, given, start, 1)[0])})
        state, losses = network(options, given, start, 200)
        if kept("network", options, state, [network(options, given, other, 200)[0] for other in nudged]):
            found["network"].append({"options": options, "state": plain(state), "losses": losses[:8]})
    for options in ROSENBROCK:
        end = rosenbrock(options, begin, 200)
        if kept("rosenbrock", options, end, [rosenbrock(options, other, 200) for other in beside]):
            found["rosenbrock"].append({"options": options, **plain(end)})
    return {"torch": torch.__version__, "ridge": RIDGE, "given": plain(given), "start": plain(start), **found}


if __name__ == "__main__":
    torch.set_num_threads(1)
    pathlib.Path(__file__).with_name("lbfgs_traces.json").write_text(json.dumps(traces()) + "\n")
