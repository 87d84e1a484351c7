"""Writes the PyTorch results that tests/nn compares with: nn_traces.json, beside this file.

Run with torch installed: python tests/data/make_nn_traces.py. All numbers are float64; inputs stand beside results, so that
nothing depends on a random generator.
"""
import json
import pathlib

import numpy as np
import torch

OPTIMIZERS = {
    "SGD": [{"lr": 0.05}, {"lr": 0.02, "momentum": 0.9}, {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
            {"lr": 0.03, "momentum": 0.5, "dampening": 0.3}, {"lr": 0.05, "weight_decay": 0.1}, {"lr": 1e-4, "maximize": True}],
    "Adagrad": [{}, {"lr": 0.05, "lr_decay": 0.02}, {"lr": 0.02, "weight_decay": 0.1, "eps": 1e-4},
                {"lr": 0.03, "initial_accumulator_value": 0.3}, {"lr": 1e-4, "maximize": True}],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.7}, {"eps": 1e-4, "weight_decay": 0.05}, {"lr": 0.01, "maximize": True}],
    "RMSprop": [{"lr": 0.002}, {"lr": 0.005, "alpha": 0.9, "eps": 1e-4}, {"lr": 0.001, "momentum": 0.8, "weight_decay": 0.05},
                {"lr": 0.002, "centered": True, "eps": 1e-3}, {"lr": 0.001, "centered": True, "momentum": 0.5, "eps": 1e-3},
                {"lr": 1e-4, "maximize": True}],
    "Rprop": [{}, {"lr": 0.001, "etas": [0.3, 1.1]}, {"lr": 0.02, "step_sizes": [1e-4, 0.05]}, {"lr": 1e-3, "etas": [0.7, 1.05]}],
    "Adam": [{"lr": 0.01}, {"lr": 0.02, "betas": [0.8, 0.9]}, {"lr": 0.005, "eps": 1e-3}, {"lr": 0.01, "weight_decay": 0.1},
             {"lr": 0.01, "amsgrad": True}, {"lr": 0.02, "betas": [0.5, 0.6], "amsgrad": True, "weight_decay": 0.02},
             {"lr": 1e-4, "maximize": True}],
    "AdamW": [{"lr": 0.01}, {"lr": 0.02, "betas": [0.5, 0.99]}, {"lr": 0.005, "eps": 1e-4, "weight_decay": 0.0},
              {"lr": 0.01, "weight_decay": 0.3}, {"lr": 0.01, "weight_decay": 0.1, "betas": [0.5, 0.6], "amsgrad": True}],
    "Adamax": [{}, {"lr": 0.01, "betas": [0.8, 0.9], "eps": 1e-2}, {"lr": 0.005, "eps": 1e-3}, {"lr": 0.01, "weight_decay": 0.1}],
    "NAdam": [{}, {"lr": 0.01, "betas": [0.8, 0.9], "momentum_decay": 0.05}, {"lr": 0.005, "weight_decay": 0.1, "eps": 1e-4},
              {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{}, {"lr": 0.01, "betas": [0.8, 0.9], "eps": 1e-3}, {"lr": 0.005, "weight_decay": 0.1, "eps": 1e-4},
              {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.01, "betas": [0.9, 0.5], "eps": 1e-2}],
}
ROSENBROCK = {
    "SGD": [{"lr": 5e-4}, {"lr": 1e-4, "momentum": 0.9}, {"lr": 1e-4, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
            {"lr": 2e-4, "momentum": 0.5, "dampening": 0.3}, {"lr": 1e-6, "maximize": True}],
    "Adagrad": [{"lr": 0.1}, {"lr": 0.3, "lr_decay": 0.01}, {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-4},
                {"lr": 0.1, "initial_accumulator_value": 0.3}],
    "Adadelta": [{}, {"rho": 0.7, "eps": 1e-4}, {"lr": 0.1, "eps": 1e-5}, {"lr": 0.01, "maximize": True}],
    "RMSprop": [{"lr": 1e-3, "eps": 1e-2}, {"lr": 1e-3, "centered": True, "momentum": 0.5, "eps": 0.1},
                {"lr": 1e-3, "momentum": 0.8, "weight_decay": 0.05}, {"lr": 2e-3, "centered": True, "eps": 1e-3}],
    "Rprop": [{"lr": 1e-3}, {"lr": 1e-2, "etas": [0.4, 1.1]}, {"lr": 0.02, "step_sizes": [1e-4, 0.05]}, {"lr": 1e-3, "etas": [0.7, 1.05]}],
    "Adam": [{"lr": 0.01}, {"lr": 0.02, "betas": [0.8, 0.9]}, {"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.01, "amsgrad": True}],
    "AdamW": [{"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.01, "amsgrad": True}, {"lr": 0.02, "betas": [0.5, 0.99]},
              {"lr": 0.005, "eps": 1e-4, "weight_decay": 0.0}],
    "Adamax": [{"lr": 0.01}, {"lr": 0.02, "betas": [0.8, 0.9]}, {"lr": 0.005, "eps": 1e-3}, {"lr": 0.01, "weight_decay": 0.1}],
    "NAdam": [{"lr": 0.01}, {"lr": 0.01, "momentum_decay": 0.02}, {"lr": 0.005, "weight_decay": 0.1, "eps": 1e-4},
              {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{"lr": 0.01}, {"lr": 0.01, "betas": [0.8, 0.9]}, {"lr": 0.005, "weight_decay": 0.1, "eps": 1e-4},
              {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}],
}
EXPRESSIONS = ["a + b", "a + row", "row + a", "a + column", "column + row", "a + scalar", "scalar * row", "cube + a", "a - b",
               "row - a", "a * b", "a * column", "a / pos", "row / pos", "1.5 / pos", "a / 4", "2 - a", "3 * a - 1", "-a",
               "a ** 2", "pos ** -1.5", "pos ** 0.5", "a @ m", "a @ m @ m.reshape(2, 4)", "a[1]", "a[:, 1]", "a[1:, ::2]",
               "a[:, 1:3]", "a[[0, 0, 2]]", "a[0, 1]", "cube[1, :, 2:]", "a.sum()", "a.mean()", "(a * a).mean() + b.sum()",
               "a.reshape(2, 6)", "a.reshape(4, 3) @ a", "sigmoid(a)", "tanh(a)", "relu(a)", "leaky_relu(a, 0.2)",
               "elu(a, 0.5)", "gelu(a)", "silu(a)", "softplus(a)", "softmax(a, 1)[:, 0]", "softmax(a @ m, 1) * m[:3]",
               "(sigmoid(a) + a) * a", "a * a * a + a"]
"""What tests/nn/test_tensor.py computes too."""

SCHEDULES = {"StepLR": {"step_size": 3, "gamma": 0.5}, "ExponentialLR": {"gamma": 0.9}, "LambdaLR": {}}


def plain(value):
    """JSON-able data; floats keep all their bits."""
    if isinstance(value, torch.Tensor):
        return value.detach().tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def tensor(array):
    return torch.tensor(array, dtype=torch.float64)


def kind(name):
    return getattr(torch.optim, name)


def updates(rng):
    """Three updates of one vector by given gradients."""
    p0, gradients, found = rng.normal(size=7), rng.normal(size=(3, 7)), []
    for name, settings in OPTIMIZERS.items():
        for options in settings:
            p = torch.nn.Parameter(tensor(p0))
            optimizer, after = kind(name)([p], **options), []
            for g in gradients:
                p.grad = tensor(g)
                optimizer.step()
                after.append(p.detach().clone())
            found.append({"optimizer": name, "options": options, "after": after})
    return {"p": p0, "gradients": gradients, "cases": found}


def trained(name, options, X, y, start):
    """Weights and losses of 200 steps of a network of two layers."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()
    model.load_state_dict({key: tensor(value) for key, value in start.items()})
    optimizer, losses, X, y = kind(name)(model.parameters(), **options), [], tensor(X), tensor(y)
    for _ in range(200):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.state_dict(), losses


def two_layers(rng, measure):
    """200 steps of a network of two layers; with `measure` those that one unit in the last place moves by more than 1e-8 are named."""
    X, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    start = {"0.weight": rng.normal(size=(6, 4)) * 0.5, "0.bias": rng.normal(size=6) * 0.1,
             "2.weight": rng.normal(size=(3, 6)) * 0.5, "2.bias": rng.normal(size=3) * 0.1}
    found = []
    for name, settings in OPTIMIZERS.items():
        for options in settings:
            state, losses = trained(name, options, X, y, start)
            found.append({"optimizer": name, "options": options, "losses": losses[::20], "state": state})
            if measure:
                other, _ = trained(name, options, X, y, {key: np.nextafter(value, 9) for key, value in start.items()})
                moved = max(((other[key] - value).abs() / value.abs()).max().item() for key, value in state.items())
                if moved > 1e-8:
                    print(f"two layers: {name} {options} is moved by {moved:.1e}")
    return {"X": X, "y": y, "start": start, "cases": found}


def rosenbrock():
    """200 steps on 100 (y - x²)² + (1 - x)² from (-1.2, 1); cases that one unit in the last place of the start moves by less than 1e-8."""
    def after(name, options, start):
        p = torch.nn.Parameter(tensor(start))
        optimizer = kind(name)([p], **options)
        for _ in range(200):
            optimizer.zero_grad()
            (100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2).backward()
            optimizer.step()
        return p.detach()
    found = []
    for name, settings in ROSENBROCK.items():
        for options in settings:
            end = after(name, options, [-1.2, 1.0])
            moved = [after(name, options, start) for start in ([np.nextafter(-1.2, 0), 1.0], [-1.2, np.nextafter(1.0, 2)])]
            if max(((m - end).abs() / end.abs()).max().item() for m in moved) < 1e-8:
                found.append({"optimizer": name, "options": options, "after": end})
            else:
                print(f"rosenbrock: {name} {options} is too sensitive")
    return found


def clipping(rng):
    """clip_grad_norm_ on the gradients of three parameters, above and below the limit."""
    gradients = [rng.normal(size=shape) for shape in ((3, 4), (4,), (130,))]
    found = []
    for limit in (0.5, 5.0, 100.0):
        parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
        for p, g in zip(parameters, gradients):
            p.grad = tensor(g)
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        found.append({"limit": limit, "norm": norm.item(), "after": [p.grad for p in parameters]})
    return {"gradients": gradients, "cases": found}


def schedules():
    """Learning rates of two groups over 12 steps."""
    found = {}
    for name, options in SCHEDULES.items():
        parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        optimizer = torch.optim.SGD([{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.01}], lr=0.4)
        options = options or {"lr_lambda": lambda step: 1 / (1 + step)}
        scheduler, rates = getattr(torch.optim.lr_scheduler, name)(optimizer, **options), []
        for _ in range(12):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
        found[name] = rates
    return found


def losses(rng):
    """Values and gradients of the losses."""
    F = torch.nn.functional
    z, labels, weight = rng.normal(size=(6, 4)) * 3, rng.integers(0, 4, 6), rng.uniform(0.2, 2, 4)
    p, soft, real = rng.uniform(0.1, 0.9, (6, 4)), rng.uniform(0, 1, (6, 4)), rng.normal(size=(6, 4))
    soft /= soft.sum(axis=1, keepdims=True)
    share, cases = rng.uniform(0, 1, (6, 4)), []

    def add(name, options, x, target, function, *arguments, **others):
        leaf = tensor(x).requires_grad_()
        value = function(leaf, *arguments, **others)
        value.backward()
        cases.append({"loss": name, "options": options, "input": x, "target": target, "value": value, "grad": leaf.grad})

    def of_probabilities(x, target, weight=None, reduction="mean"):
        if target.ndim == 1:
            return F.nll_loss(x.log(), target, weight, reduction=reduction)
        return -(target * x.log()).sum() / (len(x) if reduction == "mean" else 1)

    classes, weights = torch.tensor(labels), tensor(weight)
    for reduction in ("mean", "sum"):
        r = {"reduction": reduction}
        add("MSELoss", r, z, real, F.mse_loss, tensor(real), **r)
        add("BCELoss", r, p, share, F.binary_cross_entropy, tensor(share), **r)
        add("BCEWithLogitsLoss", r, z, share, F.binary_cross_entropy_with_logits, tensor(share), **r)
        for smoothing in (0.0, 0.1):
            options = {**r, "label_smoothing": smoothing}
            add("CrossEntropyLoss", options, z, labels, F.cross_entropy, classes, **options)
            add("CrossEntropyLoss", options, z, soft, F.cross_entropy, tensor(soft), **options)
        for smoothing in ({}, {"label_smoothing": 0.2}):
            add("CrossEntropyLoss", {**r, **smoothing, "weight": weight}, z, labels, F.cross_entropy, classes, weights, **r, **smoothing)
        for zero in range(len(weight)):  # a class of weight 0, among the targets or not
            some = [0.0 if c == zero else v for c, v in enumerate(weight)]
            add("CrossEntropyLoss", {**r, "label_smoothing": 0.2, "weight": some}, z, labels, F.cross_entropy, classes, tensor(some), **r,
                label_smoothing=0.2)
        given = {**r, "from_logits": False}
        add("CrossEntropyLoss", given, p, labels, of_probabilities, classes, **r)
        add("CrossEntropyLoss", {**given, "weight": weight}, p, labels, of_probabilities, classes, weights, **r)
        add("CrossEntropyLoss", given, p, soft, of_probabilities, tensor(soft), **r)
    return cases


def expressions(rng):
    """Values and gradients of EXPRESSIONS."""
    given = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=(3, 4)), "row": rng.normal(size=4), "column": rng.normal(size=(3, 1)),
             "scalar": rng.normal(size=()), "m": rng.normal(size=(4, 2)), "pos": rng.uniform(0.5, 2, (3, 4)),
             "cube": rng.normal(size=(2, 3, 4))}
    found = {}
    for text in EXPRESSIONS:
        leaves = {name: tensor(value).requires_grad_() for name, value in given.items()}
        functions = {name: getattr(torch, name) for name in ("sigmoid", "tanh", "relu", "softmax")}
        functions.update({name: getattr(torch.nn.functional, name) for name in ("gelu", "silu", "softplus", "elu", "leaky_relu")})
        value = eval(text, {**functions, **leaves})
        value.sum().backward()
        found[text] = {"value": value, "grads": {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}}
    return {"given": given, "found": found}


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.scale = torch.nn.Parameter(torch.ones(3))
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(2, 5))])


def names():
    """state_dict's names and shapes, and the order of parameters()."""
    nn = torch.nn
    models = {"sequential": nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(), nn.Linear(6, 3, bias=False)), "tied": Tied()}
    return {name: {"state": [[key, list(value.shape)] for key, value in model.state_dict().items()],
                   "parameters": [[key, list(p.shape)] for key, p in model.named_parameters()]} for name, model in models.items()}


def traces(measure=False):
    """All of them."""
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in the default type
    try:
        optimizers = {"updates": updates(rng), "two_layers": two_layers(rng, measure), "rosenbrock": rosenbrock()}
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
    return plain({"torch": torch.__version__, **optimizers,
                  "clipping": clipping(rng), "schedules": schedules(), "losses": losses(rng), "expressions": expressions(rng),
                  "names": names()})


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("nn_traces.json").write_text(json.dumps(traces(measure=True)) + "\n")
