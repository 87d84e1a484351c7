"""Training by optimizers that work on all rows at once: an epoch is one step of theirs."""
import time

from .jacobian import Jacobian
from .nn import losses
from .nn.optim import LevenbergMarquardt
from .objective import Objective
from .progress import Progress
from .run import Interrupts


def fit_whole(trainer, arrays, target, weight, validation, epochs, watchers, verbose, max_time):
    """Trainer.fit for LBFGS and LevenbergMarquardt. history["loss"] is the loss before each step, metrics are those after it."""
    step = _step_of(trainer, arrays, target, weight)
    rows, first, begin = len(target), trainer.epoch, time.monotonic()
    trainer.stop_training, trainer.stop_reason, trainer._seconds = False, None, 0.0
    with Progress(verbose, first + epochs, rows) as progress, Interrupts() as interrupts:
        for watcher in watchers:
            watcher.on_train_begin(trainer)
        while trainer.epoch < first + epochs and not trainer.stop_training:
            for watcher in watchers:
                watcher.on_epoch_begin(trainer, trainer.epoch)
            began = time.monotonic()
            loss = step()
            seconds = time.monotonic() - began
            trainer._seconds += seconds
            if max_time is not None and time.monotonic() >= begin + max_time:
                trainer.stop_training, trainer.stop_reason = True, "max_time"
            logs = {"loss": loss}
            if trainer.metrics:
                logs |= trainer._scores(trainer._predict(arrays), target, weight)
            if validation is not None:
                logs |= {f"val_{name}": value for name, value in trainer._evaluate(*validation).items()}
            logs |= {"lr": trainer.optimizer.param_groups[0]["lr"], "seconds": seconds, "samples_per_second": rows / max(seconds, 1e-9)}
            if trainer.scheduler is not None:
                trainer._step_scheduler(logs)
            trainer.epoch, trainer.step = trainer.epoch + 1, trainer.step + 1
            trainer.history.append(logs)
            for watcher in watchers:
                watcher.on_epoch_end(trainer, trainer.epoch - 1, logs)
            progress.end_epoch(trainer.epoch - 1, logs)
            interrupts.check()
        for watcher in watchers:
            watcher.on_train_end(trainer)
    return trainer.history


def _step_of(trainer, arrays, target, weight):
    """The function that makes one step and returns the loss before it."""
    optimizer = trainer.optimizer
    if isinstance(optimizer, LevenbergMarquardt):
        if not isinstance(trainer.loss, losses.MSELoss) or len(arrays) != 1:
            raise TypeError(f"LevenbergMarquardt minimises squares: the loss must be MSELoss of one input, got {trainer.loss!r}")
        factor = 1.0 if trainer.loss.reduction == "mean" else float(target.size)
        function = Jacobian(trainer, arrays[0])
        return lambda: factor * optimizer.minimise(function, target, weight)
    objective = Objective(trainer, arrays, target, weight)
    if set(objective.params) != {p for p in optimizer.steps if p.requires_grad}:
        raise ValueError("the optimizer must hold all parameters of the model that are trained: freeze the others")

    def step():
        value, x = optimizer.minimise(objective.value_and_grad, objective.flat())
        objective.set_flat(x)
        return value
    return step
