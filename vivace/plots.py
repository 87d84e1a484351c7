"""Pictures of a training. They need matplotlib (extra `plot`); each returns a Figure, saved to `path` where one is given."""
import numpy as np

from .callbacks import Statistics
from .extras import require
from .nn.module import Module
from .trainer import Trainer

MOST = 24
"""Layers that a picture of one panel per layer shows at most."""


def curves(trainer, path=None):
    """Loss and metrics over the epochs: History.plot. trainer: a Trainer or a History."""
    history = getattr(trainer, "history", None)
    if not hasattr(trainer, "plot") and not hasattr(history, "plot"):
        raise TypeError(f"trainer must be a Trainer or a History, got {type(trainer).__name__}")
    return (trainer if hasattr(trainer, "plot") else history).plot(path)


def gradient_flow(statistics, path=None):
    """Gradient per weight (root of mean square) of every layer, first layer left, from the first record (light) to the last (dark); and
    the update-to-weight ratio of every layer over the steps, 1e-3 dotted. statistics: a callbacks.Statistics, or a Trainer whose last
    fit had one."""
    statistics = getattr(statistics, "statistics", statistics) if isinstance(statistics, Trainer) else statistics
    if statistics is None:
        raise ValueError("the trainer's last fit recorded no statistics: fit(..., callbacks=[vv.callbacks.Statistics()])")
    if not isinstance(statistics, Statistics):
        raise TypeError(f"statistics must be a callbacks.Statistics or a Trainer, got {type(statistics).__name__}")
    if not len(statistics):
        raise ValueError("statistics must hold at least one record to plot, got none: call fit first")
    figure = _figure(2, 1)
    flow, ratio = figure.subplots(1, 2)
    maps = require("matplotlib", "plot", "plotting").colormaps
    shown = np.unique(np.linspace(0, len(statistics) - 1, 8).astype(int))
    places = np.arange(len(statistics.layers))
    for order, index in enumerate(shown):
        flow.plot(places, _positive(statistics["grad_rms"][index]), marker="o", markersize=3, linewidth=1.2,
                  color=maps["viridis_r"](0.1 + 0.9 * order / max(len(shown) - 1, 1)), label=f"step {statistics.steps[index]}")
    flow.set(title="gradient per weight", xlabel="layer", yscale="log")
    flow.set_xticks(places, statistics.layers, rotation=90 if len(places) > 8 else 0, fontsize=8)
    flow.legend(frameon=False, fontsize=7)
    for place, name in enumerate(statistics.layers):
        ratio.plot(statistics.steps, _positive(statistics["update_ratio"][:, place]), marker="." if len(statistics) < 20 else None,
                   linewidth=1.2, color=maps["plasma"](0.9 * place / max(len(places) - 1, 1)), label=name)
    ratio.axhline(1e-3, color="gray", linestyle=":", linewidth=1)
    ratio.set(title="update / weight", xlabel="step", yscale="log")
    if len(places) <= 12:
        ratio.legend(frameon=False, fontsize=7, title="layer", title_fontsize=7)
    return _done(figure, (flow, ratio), path)


def weight_histograms(model, path=None, bins=50):
    """A histogram of the weights of every layer (the matrices, by name; at most MOST). model: a Module or a Trainer."""
    model = model.model if isinstance(model, Trainer) else model
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module or a Trainer, got {type(model).__name__}")
    weights = [(name, p.numpy()) for name, p in model.named_parameters() if p.ndim == 2][:MOST]
    if not weights:
        raise ValueError("model must have at least one weight matrix, got none")
    columns = min(len(weights), 4)
    rows = -(-len(weights) // columns)
    figure = _figure(columns, rows, 2.4, 2.2)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for place, (name, w) in zip(axes, weights):
        place.hist(w.reshape(-1), bins=bins, color="C0")
        place.set_title(f"{name} {w.shape[0]}x{w.shape[1]}\nstd {w.std():.2g}", fontsize=8)
        place.set_yticks([])
        place.tick_params(labelsize=7)
    for place in axes[len(weights):]:
        place.set_visible(False)
    return _done(figure, axes, path)


def _figure(columns, rows, width=4.6, height=3.6):
    return require("matplotlib.figure", "plot", "plotting").Figure(figsize=(width * columns, height * rows), layout="constrained")


def _positive(values):
    """With gaps where a logarithmic axis has no place."""
    return np.where(np.asarray(values) > 0, values, np.nan)


def _done(figure, axes, path):
    for place in axes:
        place.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
