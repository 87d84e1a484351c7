"""Writes gradient_traces.json: PyTorch's input gradients, Jacobians, per-sample gradients and Hessian-vector products in float64.

Needs torch; run as `python tests/data/make_gradient_traces.py`. The numbers stand in the file, so that the tests need no torch.
"""
import json
import pathlib

import numpy as np

ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "gelu", "silu"]
LOSSES = {"mse": "real", "mse_sum": "real", "cross_entropy": "class", "cross_entropy_smooth": "class", "cross_entropy_weighted": "class",
          "bce_logits": "share", "bce": "share"}
CASES = [("tanh", loss) for loss in LOSSES] + [(activation, "mse") for activation in ACTIVATIONS] + [
    ("silu", "cross_entropy"), ("gelu", "bce_logits"), ("relu", "cross_entropy"), ("softmax", "mse")]
N, I, H, O = 4, 3, 5, 3
CLASS_WEIGHTS = [1.0, 2.0, 0.5]


def data(seed):
    """Arrays of a case: weights, inputs, targets of each kind, and directions."""
    rng = np.random.default_rng(seed)
    return {"w1": rng.normal(0, 0.8, (H, I)), "b1": rng.normal(0, 0.5, H), "w2": rng.normal(0, 0.8, (O, H)), "b2": rng.normal(0, 0.5, O),
            "x": rng.normal(0, 1, (N, I)), "real": rng.normal(0, 1, (N, O)), "class": rng.integers(0, O, N),
            "share": rng.uniform(0.1, 0.9, (N, O)), "vx": rng.normal(0, 1, (N, I)),
            "vp": rng.normal(0, 1, H * I + H + O * H + O)}


def results(activation, loss, arrays):
    import torch
    import torch.nn.functional as F
    from torch.autograd import functional as A
    t = {name: torch.tensor(value) for name, value in arrays.items()}
    function = {"softmax": lambda z: torch.softmax(z, 1)}.get(activation) or getattr(F, activation, None) or getattr(torch, activation)
    names = ["w1", "b1", "w2", "b2"]
    target = t[LOSSES[loss]]

    def model(x, w1, b1, w2, b2):
        out = F.linear(function(F.linear(x, w1, b1)), w2, b2)
        return torch.sigmoid(out) if loss == "bce" else out

    def criterion(z, y):
        return {"mse": lambda: F.mse_loss(z, y), "mse_sum": lambda: F.mse_loss(z, y, reduction="sum"),
                "cross_entropy": lambda: F.cross_entropy(z, y),
                "cross_entropy_smooth": lambda: F.cross_entropy(z, y, label_smoothing=0.2),
                "cross_entropy_weighted": lambda: F.cross_entropy(z, y, weight=torch.tensor(CLASS_WEIGHTS, dtype=z.dtype)),
                "bce_logits": lambda: F.binary_cross_entropy_with_logits(z, y), "bce": lambda: F.binary_cross_entropy(z, y)}[loss]()

    weights = [t[name] for name in names]
    flat = torch.cat([w.reshape(-1) for w in weights])
    shapes = [w.shape for w in weights]

    def parts(p):
        return [piece.reshape(shape) for piece, shape in zip(torch.split(p, [s.numel() for s in shapes]), shapes)]

    by_input = lambda x: criterion(model(x, *weights), target)
    by_weights = lambda p: criterion(model(t["x"], *parts(p)), target)
    value, product = A.hvp(by_weights, flat, t["vp"])
    rows = [A.jacobian(lambda *w, n=n: criterion(model(t["x"][n:n + 1], *w), target[n:n + 1]), tuple(weights)) for n in range(N)]
    found = {"loss": value, "input_grad": A.jacobian(by_input, t["x"]), "jacobian": A.jacobian(lambda x: model(x, *weights), t["x"]),
             "hvp_input": A.hvp(by_input, t["x"], t["vx"])[1], "hvp_weights": product,
             "per_sample": torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])}
    return {name: value.tolist() for name, value in found.items()}


def traces():
    cases = []
    for seed, (activation, loss) in enumerate(CASES):
        arrays = data(seed)
        cases.append({"activation": activation, "loss": loss, "arrays": {k: v.tolist() for k, v in arrays.items()},
                      "results": results(activation, loss, arrays)})
    return cases


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("gradient_traces.json")
    path.write_text(json.dumps(traces()) + "\n")
