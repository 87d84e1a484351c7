"""Callbacks of Trainer.fit: what is asked after every epoch, and when to stop."""
import math
import numbers

import numpy as np

from .extras import require


class Callback:
    """Base of callbacks: override what is needed. `trainer` has model, optimizer, history, epoch (epochs finished so far);
    setting trainer.stop_training = True ends the fit after this epoch (after this step, from on_batch_end).

    on_batch_end is called only where a class overrides it: it cuts the compiled run into single steps.
    needs_grad_norm: whether the logs must have grad_norm, the mean over an epoch's steps of the norm of the gradient of the batch's
    loss before clipping. They have it too where Trainer clips the norm.
    """

    needs_grad_norm = False

    def on_train_begin(self, trainer):
        """Before the first epoch of a fit."""

    def on_epoch_begin(self, trainer, epoch):
        """Before epoch 0, 1, ..."""

    def on_batch_end(self, trainer, step, logs):
        """After a step."""

    def on_epoch_end(self, trainer, epoch, logs):
        """After an epoch; logs: loss, the metrics, val_..., lr, seconds, samples_per_second."""

    def on_train_end(self, trainer):
        """After the last epoch of a fit, unless an error or Ctrl-C ended it."""

    def epochs_ahead(self, trainer):
        """How many epochs may run before this callback has to see one: short ones then run together, and their hooks are called one
        after the other when the weights are those after the last. More than 1 is right where hooks look at their logs alone and cannot
        end the fit or change anything before so many epochs."""
        return 1

    def state(self):
        """What a resumed run needs to go on as if never stopped; load_state takes it back."""
        return {}

    def load_state(self, state):
        """Go on from `state`."""


def watchers(callbacks):
    """fit's `callbacks`, None, one or several, as a list."""
    found = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for watcher in found:
        if not isinstance(watcher, Callback):
            raise TypeError(f"callbacks must be vivace.callbacks.Callback objects, got {type(watcher).__name__}")
    return found


HOOKS = ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end")


class LambdaCallback(Callback):
    """A callback from functions, each with the arguments of the hook it is named after:

    LambdaCallback(on_epoch_end=lambda trainer, epoch, logs: print(epoch, logs["loss"]))
    """

    def __new__(cls, **functions):
        return super().__new__(_LambdaPerBatch if cls is LambdaCallback and functions.get("on_batch_end") else cls)

    def __init__(self, **functions):
        for name, function in functions.items():
            if name not in HOOKS:
                raise ValueError(f"LambdaCallback takes {', '.join(HOOKS)}, got {name!r}")
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function, got {type(function).__name__}")
        self.functions = {name: function for name, function in functions.items() if function is not None}

    def _call(self, name, *args):
        if name in self.functions:
            self.functions[name](*args)

    def on_train_begin(self, trainer):
        self._call("on_train_begin", trainer)

    def on_epoch_begin(self, trainer, epoch):
        self._call("on_epoch_begin", trainer, epoch)

    def on_epoch_end(self, trainer, epoch, logs):
        self._call("on_epoch_end", trainer, epoch, logs)

    def on_train_end(self, trainer):
        self._call("on_train_end", trainer)


class _LambdaPerBatch(LambdaCallback):
    """Its own class, so that only a LambdaCallback with on_batch_end costs single steps."""

    def on_batch_end(self, trainer, step, logs):
        self._call("on_batch_end", trainer, step, logs)


class SWA(Callback):
    """Stochastic weight averaging: the mean of the weights at the ends of epochs start, start + every, ... (counted from 0), which the
    model holds after the fit. Izmailov et al. 2018, arXiv:1803.05407. Buffers such as BatchNorm's statistics stay those of the last epoch.
    """

    def __init__(self, start=0, every=1):
        self.start, self.every = _count("start", start, 0), _count("every", every, 1)
        self.averaged, self.weights = 0, None

    def on_epoch_end(self, trainer, epoch, logs):
        if epoch < self.start or (epoch - self.start) % self.every:
            return
        now = {name: p.numpy().astype("float64") for name, p in trainer.model.named_parameters()}
        self.averaged += 1
        if self.weights is None:
            self.weights = now
        else:
            for name, value in self.weights.items():
                value += (now[name] - value) / self.averaged

    def on_train_end(self, trainer):
        if self.weights is not None:
            for name, p in trainer.model.named_parameters():
                p.copy_(self.weights[name])

    def state(self):
        return {"averaged": self.averaged, **({} if self.weights is None else {"weights": self.weights})}

    def load_state(self, state):
        self.averaged, self.weights = state["averaged"], state.get("weights")


class _Counting(Callback):
    """A callback that counts epochs. A fit that goes on where the last one ended goes on counting; any other starts anew."""

    _counters = ()

    def __init__(self):
        self.reset()

    def reset(self, epoch=0):
        """Forget everything; the next epoch is number `epoch`."""
        self.epoch = epoch

    def on_train_begin(self, trainer):
        if trainer.epoch != self.epoch:
            self.reset(trainer.epoch)

    def state(self):
        return {name: getattr(self, name) for name in ("epoch", *self._counters)}

    def load_state(self, state):
        names = ("epoch", *self._counters)
        if set(state) != set(names):
            raise ValueError(f"{type(self).__name__} state must have {', '.join(names)}, got {', '.join(map(str, state))}")
        for name in names:
            setattr(self, name, state[name])


class EarlyStopping(_Counting):
    """Stop when the monitored value has not improved for `patience` epochs, and go back to the weights of the best epoch.

    monitor: a name of the logs; None takes val_loss where there is one, else loss, at the first epoch.
    min_delta: an improvement must be larger than this. NaN is never one.
    mode: "min", "max", or "auto" by the name (losses and errors down, accuracy and r2 up).
    restore_best: at the end of the fit, stopped or not, load the weights of the best epoch.
    After a fit: best, best_epoch (0, 1, ...), wait (epochs since). state() holds numbers, names and, as arrays, the best weights.
    """

    _counters = ("name", "best", "best_epoch", "wait", "weights")

    def __init__(self, monitor=None, patience=10, min_delta=0.0, mode="auto", restore_best=True):
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name of the logs or None, got {type(monitor).__name__}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode must be "auto", "min" or "max", got {mode!r}')
        if monitor is not None and mode == "auto" and _direction(monitor) is None:
            raise ValueError(f'mode must be "min" or "max" for monitor={monitor!r}, which "auto" does not know')
        self.monitor, self.mode, self.restore_best = monitor, mode, bool(restore_best)
        self.patience, self.min_delta = _count("patience", patience, 0), _real("min_delta", min_delta, 0)
        self.needs_grad_norm = monitor == "grad_norm"
        super().__init__()

    def reset(self, epoch=0):
        super().reset(epoch)
        self.name, self.best, self.best_epoch, self.wait, self.weights = None, None, None, 0, None

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        if self.wait >= self.patience:
            self.wait = 0  # it stopped here before, and more epochs were asked for

    def on_epoch_end(self, trainer, epoch, logs):
        self.name = self.name or self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        value = _entry(logs, self.name, "monitor")
        if self._improved(value):
            self.best, self.best_epoch, self.wait = value, self.epoch, 0
            self.weights = trainer.model.state_dict() if self.restore_best else None
        else:
            self.wait += 1
        self.epoch += 1
        if self.wait and self.wait >= self.patience:
            trainer.stop_training = True
            best = "none was finite" if self.best is None else f"best {self.best:.4g} in epoch {self.best_epoch + 1}"
            trainer.stop_reason = f"{self.name} has not improved for {self.wait} epoch{'s' * (self.wait > 1)} ({best})"

    def on_train_end(self, trainer):
        if self.weights is not None:
            trainer.model.load_state_dict(self.weights)

    def _improved(self, value):
        if self.best is None:
            return math.isfinite(value)
        sign = -1 if (self.mode if self.mode != "auto" else _direction(self.name)) == "max" else 1
        return sign * value < sign * self.best - self.min_delta


class StopWhen(_Counting):
    """Stop when a condition has held for `patience` epochs in a row; of several, the first to do so.

    loss_below: loss < value.  loss_change_below: |loss - loss of the epoch before| < value.  grad_norm_below: grad_norm < value,
    the mean norm of the batches' gradients; with all rows in one batch, that of the loss itself before the epoch's update.
    metric_above: {name: value} or (name, value): that entry of the logs > value; each name is a condition of its own.
    Raises ValueError without any condition, and after the first epoch for a name that the logs do not have. NaN holds nothing.
    """

    _counters = ("previous", "held")

    def __init__(self, loss_below=None, loss_change_below=None, grad_norm_below=None, metric_above=None, patience=1):
        self.conditions = {}
        given = {"loss_below": loss_below, "loss_change_below": loss_change_below, "grad_norm_below": grad_norm_below}
        for name, value in given.items():
            if value is not None:
                self.conditions[name] = _real(name, value)
        for name, value in _pairs(metric_above):
            self.conditions[f"metric_above {name}"] = _real(f"metric_above[{name!r}]", value)
        if not self.conditions:
            raise ValueError("StopWhen needs loss_below, loss_change_below, grad_norm_below or metric_above, got none")
        self.patience, self.needs_grad_norm = _count("patience", patience, 1), grad_norm_below is not None
        super().__init__()

    def reset(self, epoch=0):
        super().reset(epoch)
        self.previous, self.held = None, dict.fromkeys(self.conditions, 0)

    def on_epoch_end(self, trainer, epoch, logs):
        for name, value in self.conditions.items():
            self.held[name] = self.held[name] + 1 if self._holds(name, value, logs) else 0
            if self.held[name] >= self.patience:
                trainer.stop_training, trainer.stop_reason = True, f"{name} {value:g} reached"
        self.previous, self.epoch = float(logs["loss"]), self.epoch + 1

    def _holds(self, name, value, logs):
        if name == "loss_below":
            return logs["loss"] < value
        if name == "loss_change_below":
            return self.previous is not None and abs(logs["loss"] - self.previous) < value
        if name == "grad_norm_below":
            return _entry(logs, "grad_norm", name) < value
        return _entry(logs, name.removeprefix("metric_above "), "metric_above") > value


class Statistics(Callback):
    """Record, for single steps of a fit, what every layer computed. The bits of the training do not change.

    every: k records the steps 0, k, 2k, ... of the trainer. None (default) records the first step of a fit, and then as often as
    keeps the cost near 1% of the time; which steps those are then depends on the clock, what is recorded of them does not.
    Several epochs and fits go on in one object. `statistics[name]` is an array (records, layers) or (records, activations):

    per layer (names in `layers`), over weight and bias together: "grad_norm" (after clipping, where the trainer clips), "grad_rms"
    = grad_norm / sqrt(elements), "weight_norm" before the update, "update_norm", "update_ratio" = update_norm / weight_norm.
    per activation function inside the network (names in `activations`: the layer before it and the function), over the rows of the
    batch: "mean" and "std" of its output, "saturation": the share of outputs where the function's slope is below 2% of its largest,
    "dead": the share of units where it is on every row, through which no row's gradient passes (of a ReLU: units always 0).
    `steps`, `epochs`, `losses`: one number per record.
    """

    PER_LAYER = ("grad_norm", "grad_rms", "weight_norm", "update_norm", "update_ratio")
    PER_ACTIVATION = ("mean", "std", "saturation", "dead")

    def __init__(self, every=None):
        self.every = None if every is None else _count("every", every, 1)
        self.records, self.layers, self.activations = [], [], []

    steps = property(lambda self: [r.step for r in self.records])
    epochs = property(lambda self: [r.epoch for r in self.records])
    losses = property(lambda self: [r.loss for r in self.records])

    def __getitem__(self, name):
        if name not in (*self.PER_LAYER, *self.PER_ACTIVATION):
            raise KeyError(f"statistics have no {name!r}: they have {', '.join((*self.PER_LAYER, *self.PER_ACTIVATION))}")
        width = len(self.layers if name in self.PER_LAYER else self.activations)
        return np.array([r.values[name] for r in self.records]).reshape(len(self.records), width)

    def __len__(self):
        """Number of recorded steps."""
        return len(self.records)

    def __bool__(self):
        return True

    def to_frame(self):
        """A pandas DataFrame: one row per record and layer or activation, columns step, epoch, loss, where, and the statistics."""
        pandas = require("pandas", "tables", "to_frame")
        kinds = ((self.layers, self.PER_LAYER), (self.activations, self.PER_ACTIVATION))
        rows = [{"step": r.step, "epoch": r.epoch, "loss": r.loss, "where": name, **{key: r.values[key][i] for key in keys}}
                for r in self.records for names, keys in kinds for i, name in enumerate(names)]
        return pandas.DataFrame(rows)

    def add(self, record, layers, activations):
        """Take a record in. Another network than that of the records so far begins anew."""
        if (layers, activations) != (self.layers, self.activations):
            self.records, self.layers, self.activations = [], layers, activations
        self.records.append(record)


def _direction(name):
    """"min", "max" or None where the name does not tell."""
    base = name.removeprefix("val_")
    if base in ("accuracy", "r2"):
        return "max"
    return "min" if base in ("mae", "rmse", "mse", "grad_norm") or base.endswith(("loss", "error")) else None


def _entry(logs, name, argument):
    if name not in logs:
        raise ValueError(f"{argument} must name an entry of the logs, which are {', '.join(logs)}, got {name!r}")
    return float(logs[name])


def _pairs(metric_above):
    if metric_above is None:
        return []
    pairs = list(metric_above.items()) if isinstance(metric_above, dict) else [metric_above]
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str)):
            raise TypeError(f"metric_above must be {{name: value}} or (name, value), got {metric_above!r}")
    return pairs


def _real(name, value, least=None):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (least is not None and value < least):
        raise ValueError(f"{name} must be a finite number{'' if least is None else f' >= {least}'}, got {value!r}")
    return float(value)


def _count(name, value, least):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    return int(value)
