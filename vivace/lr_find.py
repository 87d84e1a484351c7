"""A range test of the learning rate."""
import numpy as np

from . import prepare
from .extras import require
from .nn import checks
from .nn.optim.lr_scheduler import LRScheduler
from .run import NonFiniteError


class RangeTest:
    """What lr_find found: rates, losses (smoothed), and `suggestion`, the rate at which the loss falls fastest; plot(path=None)."""

    def __init__(self, rates, losses):
        self.rates, self.losses = np.asarray(rates), np.asarray(losses)
        self.suggestion = self._steepest()

    def _steepest(self):
        if len(self.losses) < 3:
            return None
        start = min(10, len(self.losses) // 3)  # the mean of the first few batches is still their noise
        end = max(int(self.losses.argmin()) + 1, start + 2)
        slopes = np.gradient(self.losses[start:end], np.log(self.rates[start:end]))
        return float(self.rates[start + int(slopes.argmin())])

    def plot(self, path=None):
        """The loss over the rate, with the suggestion marked; saved to `path` if given. Needs matplotlib. Returns the figure."""
        figure = require("matplotlib.figure", "plot", "plotting").Figure(figsize=(6, 4))
        axis = figure.subplots()
        axis.semilogx(self.rates, self.losses)
        if self.suggestion is not None:
            axis.axvline(self.suggestion, color="tab:red", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
            axis.legend()
        axis.set_xlabel("learning rate")
        axis.set_ylabel("loss (smoothed)")
        if path is not None:
            figure.savefig(path)
        return figure

    def __repr__(self):
        return f"RangeTest({len(self.rates)} steps, suggestion={self.suggestion})"


class _Rising(LRScheduler):
    """From the lowest rate to the highest by equal factors."""

    def __init__(self, optimizer, low, high, steps):
        self.low, self.ratio = low, (high / low) ** (1 / max(steps - 1, 1))
        self.optimizer, self.option, self.last_epoch = optimizer, "lr", 0
        self.base_lrs = [low] * len(optimizer.param_groups)
        self._write()

    def factor(self, step):
        return self.ratio ** (step * 1.0)


def lr_find(trainer, X, y, *, min_lr=1e-6, max_lr=10.0, steps=100, batch_size=32, sample_weight=None, smoothing=0.9, diverged=4.0):
    """Train for `steps` steps while the rate rises from min_lr to max_lr by equal factors, until the smoothed loss exceeds `diverged`
    times its minimum; a RangeTest. Weights, optimizer, history and everything else of the trainer are as before. Smith 2017,
    arXiv:1506.01186.
    """
    for name, value in (("min_lr", min_lr), ("max_lr", max_lr), ("diverged", diverged)):
        prepare.positive(name, value)
    checks.count("steps", steps, 2)
    if not min_lr < max_lr:
        raise ValueError(f"min_lr must be below max_lr = {max_lr!r}, got {min_lr!r}")
    if not checks.real(smoothing) or not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be a number >= 0 and < 1, got {smoothing!r}")
    if trainer.optimizer.whole:
        raise TypeError(f"lr_find needs an optimizer of batches, got {type(trainer.optimizer).__name__}")
    with trainer._lock:
        arrays, target, weight = trainer._data(X, y, sample_weight)
        kept = _state(trainer)
        rates, losses = [], []
        try:
            schedule = _Rising(trainer.optimizer, min_lr, max_lr, steps)
            step, batch = trainer.make_step(batch_size), min(checks.count("batch_size", batch_size), len(target))
            mean = 0.0
            for index in range(steps):
                per_epoch = -(-len(target) // batch)
                order = trainer.order_of(index // per_epoch, len(target))
                rows = order[index % per_epoch * batch:][:batch]
                rate = trainer.optimizer.param_groups[0]["lr"]
                try:
                    loss = step([a[rows] for a in arrays], target[rows], None if weight is None else weight[rows])
                except NonFiniteError:
                    break
                mean = smoothing * mean + (1 - smoothing) * loss
                rates.append(rate)
                losses.append(mean / (1 - smoothing ** (index + 1)))
                if not np.isfinite(losses[-1]) or losses[-1] > diverged * min(losses) or not trainer.store.finite():
                    break
                schedule.step()
        finally:
            _restore(trainer, kept)
    return RangeTest(rates, losses)


def _state(trainer):
    trainer.optimizer.home()
    for buffer in trainer.model.buffers():
        trainer.store.buffer_place(buffer)
    return ({name: v.copy() for name, v in trainer.store.vectors.items()}, dict(trainer.optimizer.steps), trainer.step,
            [dict(g) for g in trainer.optimizer.param_groups], trainer._order, trainer._train_plan)


def _restore(trainer, kept):
    vectors, steps, trainer.step, groups, trainer._order, trainer._train_plan = kept
    store = trainer.store
    for name, vector in store.vectors.items():
        vector[...] = vectors.get(name, 0)
    store.written()
    trainer.optimizer.steps.update(steps)
    for group, saved in zip(trainer.optimizer.param_groups, groups):
        group.update(saved)
    trainer._plans.clear()
