"""What PyTorch makes of each layer in float64: writes layer_traces.json. Run once with PyTorch installed; the tests read the file.

    python tests/data/make_layer_traces.py
"""
import json
import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
ROWS, WIDTH = 5, 6

ACTIVATIONS = {
    "ELU": {"alpha": 0.7}, "SELU": {}, "CELU": {"alpha": 0.6}, "GELU": {}, "GELU tanh": {"approximate": "tanh"}, "SiLU": {}, "Mish": {},
    "Hardswish": {}, "Hardsigmoid": {}, "Hardtanh": {"min_val": -0.4, "max_val": 1.3}, "ReLU": {}, "ReLU6": {},
    "LeakyReLU": {"negative_slope": 0.2}, "LogSigmoid": {}, "Softplus": {}, "Softplus beta": {"beta": 2.5, "threshold": 3.0},
    "Softsign": {}, "Softshrink": {"lambd": 0.3}, "Hardshrink": {"lambd": 0.3}, "Tanhshrink": {},
    "Threshold": {"threshold": 0.1, "value": -2.0}, "RReLU": {"lower": 0.1, "upper": 0.4}, "Sigmoid": {}, "Tanh": {}, "Identity": {},
    "Softmax": {"dim": 1}, "LogSoftmax": {"dim": 1}, "Softmin": {"dim": 1}, "GLU": {"dim": 1}, "PReLU": {},
    "PReLU wide": {"num_parameters": 6},
}
OTHERS = {
    "Linear": {"in_features": 6, "out_features": 3}, "Linear no bias": {"in_features": 6, "out_features": 3, "bias": False},
    "BatchNorm1d": {"num_features": 6}, "BatchNorm1d plain": {"num_features": 6, "affine": False},
    "BatchNorm1d average": {"num_features": 6, "momentum": None}, "BatchNorm1d slow": {"num_features": 6, "momentum": 0.02, "eps": 0.1},
    "BatchNorm1d untracked": {"num_features": 6, "track_running_stats": False},
    "LayerNorm": {"normalized_shape": 6}, "LayerNorm no bias": {"normalized_shape": 6, "bias": False, "eps": 0.2},
    "LayerNorm plain": {"normalized_shape": 6, "elementwise_affine": False},
    "RMSNorm": {"normalized_shape": 6}, "RMSNorm eps": {"normalized_shape": 6, "eps": 0.1}, "RMSNorm plain": {"normalized_shape": 6,
                                                                                                             "elementwise_affine": False},
    "Embedding": {"num_embeddings": 9, "embedding_dim": 4}, "Embedding padded": {"num_embeddings": 9, "embedding_dim": 4, "padding_idx": 2},
    **{f"EmbeddingBag {mode}": {"num_embeddings": 9, "embedding_dim": 4, "mode": mode} for mode in ("sum", "mean", "max")},
    **{f"EmbeddingBag {mode} padded": {"num_embeddings": 9, "embedding_dim": 4, "mode": mode, "padding_idx": -1}
       for mode in ("sum", "mean", "max")},
}


def numbers(shape, start):
    """The same in every program: a sine of the element's number."""
    return 1.7 * np.sin(1.3 * np.arange(start, start + int(np.prod(shape))) ** 1.5).reshape(shape)


def indices(rows, width):
    return (np.arange(rows * width) * 7 % 9).reshape(rows, width)


def trace(name, options):
    torch.set_default_dtype(torch.float64)
    kind = name.split()[0]
    module, found = getattr(nn, kind)(**options), {"options": options}
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(torch.tensor(numbers(tuple(p.shape), 100 * (i + 1))))
    if kind == "RReLU":
        module.eval()
    lookup = kind.startswith("Embedding")
    for step in range(2 if kind.startswith("BatchNorm") else 1):
        x = torch.tensor(indices(ROWS, 3) if lookup else numbers((ROWS, WIDTH), 11 * step + 1), requires_grad=not lookup)
        y = module(x)
    found["y"] = y.tolist()
    module.zero_grad()
    y.backward(torch.tensor(numbers(tuple(y.shape), 50)))
    found["gradients"] = [([] if lookup else x.grad.tolist()), *[p.grad.tolist() for p in module.parameters()]]
    found["buffers"] = {key: b.tolist() for key, b in module.named_buffers()}
    if kind.startswith("BatchNorm"):
        found["eval"] = module.eval()(x).tolist()
    return found


if __name__ == "__main__":
    traces = {name: trace(name, options) for name, options in {**ACTIVATIONS, **OTHERS}.items()}
    text = json.dumps({"torch": torch.__version__, "traces": traces})
    (HERE / "layer_traces.json").write_text(text + "\n")
