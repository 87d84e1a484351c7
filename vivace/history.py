"""What happened in each epoch of training."""
import math

from .extras import require

NOT_METRICS = ("loss", "val_loss", "lr", "seconds", "samples_per_second", "grad_norm")
"""Columns that are not scores of the model: the plot and the progress line leave them out of the metrics."""


class History:
    """Columns of floats, one entry per epoch: history["loss"][e]. `history` is the dict of lists, `epoch` the list 0, 1, ...

    Columns stay aligned: an epoch without a value holds NaN there.
    """

    def __init__(self):
        self.history, self.epoch = {}, []

    def append(self, logs):
        """Add one epoch from a dict name -> number."""
        values = {str(name): float(value) for name, value in logs.items()}
        if values.keys() == self.history.keys():
            for name, value in values.items():
                self.history[name].append(value)
            self.epoch.append(len(self.epoch))
            return
        for name in values:
            self.history.setdefault(name, [math.nan] * len(self.epoch))
        for name, column in self.history.items():
            column.append(values.get(name, math.nan))
        self.epoch.append(len(self.epoch))

    def __getitem__(self, name):
        if name not in self.history:
            raise KeyError(f"history has no column {name!r}: it has {', '.join(self.history) or 'none yet'}")
        return self.history[name]

    def __contains__(self, name):
        return name in self.history

    def __len__(self):
        """Number of epochs."""
        return len(self.epoch)

    def __bool__(self):
        return True  # an untrained history is still a history

    def __repr__(self):
        spans = [f"{name} {column[0]:.4g} -> {column[-1]:.4g}" for name, column in self.history.items() if "loss" in name]
        return f"History({len(self)} epochs{': ' if spans else ''}{', '.join(spans)})"

    def keys(self):
        """Names of the columns."""
        return self.history.keys()

    def state(self):
        """A dict that strict JSON can hold (a value that is not finite as its name); `from_state` reads it."""
        return {name: [x if math.isfinite(x) else repr(x) for x in column] for name, column in self.history.items()}

    @classmethod
    def from_state(cls, state):
        """The History that `state()` described. Raises ValueError for columns of different lengths."""
        history = cls()
        history.history = {name: [float(x) for x in column] for name, column in state.items()}
        lengths = {len(column) for column in history.history.values()}
        if len(lengths) > 1:
            raise ValueError(f"history must have columns of one length, got lengths {sorted(lengths)}")
        history.epoch = list(range(max(lengths, default=0)))
        return history

    def to_frame(self):
        """A pandas DataFrame: one row per epoch, one column per name."""
        pandas = require("pandas", "tables", "to_frame")
        return pandas.DataFrame(self.history, index=pandas.Index(self.epoch, name="epoch", dtype="int64"))

    def plot(self, path=None):
        """Loss on one axes (logarithmic where it spans more than a factor of 100), metrics on a second.

        Saved to `path` where one is given, the format by its ending. Returns the matplotlib Figure. No pyplot state is touched.
        """
        figure_class = require("matplotlib.figure", "plot", "plotting").Figure
        if not self.epoch:
            raise ValueError("history must have at least one epoch to plot, got none: call fit first")
        losses = [name for name in ("loss", "val_loss") if name in self]
        metrics = [name for name in self.history if name not in NOT_METRICS]
        panels = [(title, names) for title, names in (("loss", losses), ("metrics", metrics)) if names]
        figure = figure_class(figsize=(5.2 * max(len(panels), 1), 3.8), layout="constrained")
        for place, (title, names) in enumerate(panels, 1):
            self._draw(figure.add_subplot(1, len(panels), place), title, names)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def _draw(self, axes, title, names):
        from matplotlib.ticker import MaxNLocator
        bases = list(dict.fromkeys(name.removeprefix("val_") for name in names))
        for name in names:
            base, validation = name.removeprefix("val_"), name.startswith("val_")
            color = f"C{int(validation)}" if len(bases) == 1 else f"C{bases.index(base)}"
            style = "--" if validation and len(bases) > 1 else "-"
            axes.plot([e + 1 for e in self.epoch], self[name], style, color=color, linewidth=1.6,
                      label=_label(base, validation, len(bases)), marker="o" if len(self) == 1 else None)
        values = [x for name in names for x in self[name] if math.isfinite(x)]
        if title == "loss" and values and min(values) > 0 and max(values) > 100 * min(values):
            axes.set_yscale("log")
        axes.set(xlabel="epoch", title=bases[0] if len(bases) == 1 else title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)


def _label(base, validation, bases):
    part = "validation" if validation else "training"
    return part if bases == 1 else f"{base}, {part}"
