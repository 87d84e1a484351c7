"""Draws activations.png and normalisation.png beside this file.

    python docs/pictures/layers.py
"""
import pathlib

import matplotlib
import numpy as np

import vivace as vv
from vivace import nn

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SHAPES = [("ReLU", nn.ReLU()), ("LeakyReLU", nn.LeakyReLU(0.1)), ("ELU", nn.ELU()), ("SELU", nn.SELU()), ("CELU(2)", nn.CELU(2.0)),
          ("GELU", nn.GELU()), ("SiLU", nn.SiLU()), ("Mish", nn.Mish()), ("Hardswish", nn.Hardswish()), ("Softplus", nn.Softplus()),
          ("ReLU6", nn.ReLU6()), ("Sigmoid", nn.Sigmoid()), ("Hardsigmoid", nn.Hardsigmoid()), ("LogSigmoid", nn.LogSigmoid()),
          ("Tanh", nn.Tanh()), ("Hardtanh", nn.Hardtanh()), ("Softsign", nn.Softsign()), ("Tanhshrink", nn.Tanhshrink()),
          ("Softshrink", nn.Softshrink()), ("Hardshrink", nn.Hardshrink())]


def activations():
    """Each activation and its derivative."""
    figure, axes = plt.subplots(4, 5, figsize=(10, 7), sharex=True, layout="constrained")
    points = np.linspace(-5, 5, 1001)
    for axis, (name, module) in zip(axes.flat, SHAPES):
        x = nn.Tensor(points, requires_grad=True)
        y = module(x)
        y.backward(np.ones(y.shape))
        axis.plot(points, y.numpy(), color="tab:blue")
        axis.plot(points, x.grad.numpy(), color="tab:orange", linewidth=0.9)
        axis.axhline(0, color="0.8", linewidth=0.6, zorder=0)
        axis.set_title(name, fontsize=9)
        axis.set_ylim(-2.2, 3.2)
    figure.savefig(HERE / "activations.png", dpi=80)


def normalisation():
    """A deep tanh network with and without normalisation: training loss by epoch."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 20)).astype(np.float32)
    y = np.sin(X @ rng.normal(size=(20, 1)).astype(np.float32)) * 1.0
    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for name, norm in (("none", None), ("BatchNorm1d", nn.BatchNorm1d), ("LayerNorm", nn.LayerNorm), ("RMSNorm", nn.RMSNorm)):
        vv.manual_seed(0)
        layers = [nn.Linear(20, 32)]
        for _ in range(8):
            layers += [*([norm(32)] if norm else []), nn.Tanh(), nn.Linear(32, 32)]
        model = nn.Sequential(*layers, nn.Tanh(), nn.Linear(32, 1))
        trainer = vv.Trainer(model, nn.MSELoss(), vv.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), seed=0)
        axis.plot(trainer.fit(X, y, epochs=30, batch_size=50, verbose=0)["loss"], label=name)
    axis.set_xlabel("epoch")
    axis.set_ylabel("training loss")
    axis.legend()
    figure.savefig(HERE / "normalisation.png", dpi=80)


if __name__ == "__main__":
    activations()
    normalisation()
