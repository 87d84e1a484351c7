"""Draws pictures/losses.png: losses and their slopes, computed by Vivace. Run from anywhere: python docs/losses.py [folder]"""
import pathlib
import sys

import numpy as np

from vivace import nn


def curve(loss, inputs, target):
    """Values and slopes of `loss` over a line of single inputs."""
    leaf = nn.Tensor(inputs[:, None], requires_grad=True)
    targets = np.full((len(inputs), 1), target) if np.isscalar(target) else target
    values = [loss(nn.Tensor(v.reshape(1, 1)), np.atleast_2d(t)).item() for v, t in zip(inputs, targets)]
    type(loss)(**{**loss.config(), "reduction": "sum"})(leaf, targets).backward()
    return np.array(values), leaf.grad.numpy()[:, 0]


PANELS = [
    ("Residual y - t", np.linspace(-3, 3, 301), 0.0,
     {"MSE": nn.MSELoss(), "L1": nn.L1Loss(), "Huber, delta 1": nn.HuberLoss(), "quantile 0.9": nn.QuantileLoss(0.9)}),
    ("Logit z, target 1", np.linspace(-4, 4, 301), 1.0,
     {"BCE with logits": nn.BCEWithLogitsLoss(), "focal, gamma 2": nn.BinaryFocalLoss(alpha=None), "hinge": nn.HingeLoss(),
      "squared hinge": nn.HingeLoss(squared=True)}),
    ("y = log of the mean, target 2", np.linspace(-1.5, 2.5, 301), 2.0,
     {"Poisson": nn.PoissonNLLLoss(), "Tweedie 1.5": nn.TweedieLoss(), "gamma": nn.GammaLoss()}),
]


def draw(folder):
    """Write losses.png into `folder`."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    figure, axes = plt.subplots(2, len(PANELS), figsize=(12, 6.4), sharex="col")
    for (title, inputs, target, losses), value_axis, slope_axis in zip(PANELS, *axes):
        for name, loss in losses.items():
            values, slopes = curve(loss, inputs.astype(np.float64), target)
            value_axis.plot(inputs, values - values.min(), label=name)
            slope_axis.plot(inputs, slopes)
        value_axis.legend(frameon=False)
        value_axis.set_ylim(top=min(value_axis.get_ylim()[1], 6))
        slope_axis.set_ylim(max(slope_axis.get_ylim()[0], -4), min(slope_axis.get_ylim()[1], 4))
        slope_axis.set_xlabel(title)
        slope_axis.axhline(0, color="0.8", zorder=0)
    axes[0, 0].set_ylabel("loss above its minimum")
    axes[1, 0].set_ylabel("slope")
    figure.tight_layout()
    figure.savefig(pathlib.Path(folder) / "losses.png", dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    draw(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "pictures")
