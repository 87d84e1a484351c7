"""The epochs of a fit, one after the other."""
import time

import numpy as np

from . import callbacks as cb
from .nn import no_grad
from .span import Span

TOGETHER, ROWS = 0.05, 1 << 16
"""Seconds and rows that epochs may have to run together: by then what happens between them is a hundredth of the time, and their orders
are half a megabyte."""


class Loop:
    """Runs the epochs of one fit, and writes down what came of each: history, callbacks, the state that is saved.

    The interpreter and NumPy have left the caches while the engine ran, so what happens between two epochs takes about 100 us, three
    times what it takes alone. So epochs run together, in one call of the engine, where nobody needs the weights in between: no
    validation, schedule or callback that has not said so (Callback.epochs_ahead).
    """

    def __init__(self, trainer, run, target, weight, validation, watchers, progress, deadline):
        self.trainer, self.run, self.target, self.weight, self.validation = trainer, run, target, weight, validation
        self.watchers, self.progress, self.deadline = watchers, progress, deadline
        self.per_batch = [w for w in watchers if type(w).on_batch_end is not cb.Callback.on_batch_end]
        self.by_step = trainer.scheduler is not None and trainer.scheduler_interval == "step"
        order = trainer._order
        self.apart = bool(self.per_batch or trainer.accumulate != 1 or callable(order) and not getattr(order, "ahead", False)) \
            or not all(x is None for x in (validation, trainer.scheduler, run.moving, run.measure))
        self.begun, self.took, self.single = None, None, 0  # epoch that was begun, seconds of one, epochs that have to run alone

    def train(self, last):
        """Train up to epoch number `last`."""
        trainer = self.trainer
        while trainer.epoch < last and not trainer.stop_training:
            self._span(min(self._together(), last - trainer.epoch))
            self.run.interrupts.check()

    def _together(self):
        """How many epochs may run before anybody has to see one."""
        self.single -= 1
        if self.apart or self.took is None or self.single >= 0 or self.trainer.partial is not None:
            return 1
        asked = [watcher.epochs_ahead(self.trainer) for watcher in self.watchers]
        return max(1, min(*asked, ROWS // self.run.rows, int(TOGETHER / self.took)))

    def _begin(self):
        if self.begun != self.trainer.epoch:
            self.begun = self.trainer.epoch
            for watcher in self.watchers:
                watcher.on_epoch_begin(self.trainer, self.begun)

    def _span(self, count):
        trainer, run, progress = self.trainer, self.run, self.progress
        span = Span(run, trainer.epoch, count)
        start = self._resume(span)
        self._begin()
        ahead = trainer.scheduled_ahead()
        began, done, before = time.monotonic(), start, start
        try:
            for done in run.go(span, start, span.steps, self.deadline - began, 1 if self.per_batch or self.by_step and not ahead else None):
                self._keep(span, done, began)
                if progress.due():
                    progress.update(trainer.epoch, min(trainer.position * run.batch, run.rows), span.mean_loss(done))
                if ahead:
                    trainer.scheduler.advance(done - before)
                elif self.by_step:
                    trainer.scheduler.step()
                before = done
                self._after_step(span, done)
                if trainer.stop_training:
                    break
        finally:
            trainer._seconds += time.monotonic() - began
            if ahead and trainer.position != before:  # steps before an error that nobody was told of, or back to the last finite ones
                trainer.scheduler.advance(trainer.position - before)
            trainer.course.see(span.epoch, span.result[:done])
        if time.monotonic() >= self.deadline:
            trainer.stop_training, trainer.stop_reason = True, "max_time"
        if self.per_batch or done < span.steps:  # left by a hook, or with weights that a hook wrote
            run.check(span, max(done - 1, 0))
        if span.broken:
            self.single = count
        if done == span.steps:
            self.took = (time.monotonic() - began) / count
            self._end(span.part(count - 1), self.took)

    def _after_step(self, span, done):
        for watcher in self.per_batch:
            total, part = span.result[done - 1]
            watcher.on_batch_end(self.trainer, done - 1, {"loss": total / part if part else 0.0})

    def _keep(self, span, done, began):
        """Where the training stands, which is part of the state that is saved. An epoch whose end is not yet written down stands at its
        last step."""
        whole = max(done - 1, 0) // span.each
        seconds = (time.monotonic() - began) * span.each / max(done, 1)
        if span.count > 1 and done == span.steps:
            span.add_up()
        for index in range(self.trainer.epoch - span.epoch, whole):
            self._end(span.part(index), seconds)
            self._begin()
        self.trainer._keep(span.part(whole), done - whole * span.each)

    def _resume(self, span):
        """The step at which the span begins: that of an epoch which was cut short, if it was one of these rows and batches."""
        trainer, run = self.trainer, self.run
        held = trainer.partial
        if held is None or (held["rows"], held["batch"]) != (run.rows, run.batch):
            trainer.position, trainer.partial = 0, None
            return 0
        span.resume(held, trainer.position)
        return trainer.position

    def _end(self, epoch, seconds):
        """The end of `epoch`, a Span of one."""
        trainer = self.trainer
        trainer.last_epoch = epoch
        logs = {"loss": epoch.mean_loss(epoch.steps)}
        if trainer.metrics:
            order = epoch.order
            logs |= trainer._scores(epoch.output, self.target[order], None if self.weight is None else self.weight[order])
        if self.validation is not None:
            with no_grad():
                logs |= {f"val_{name}": value for name, value in trainer._evaluate(*self.validation).items()}
        if epoch.norms is not None:
            logs["grad_norm"] = float(np.mean(epoch.norms))
        logs |= {"lr": trainer.optimizer.param_groups[0]["lr"], "seconds": seconds,
                 "samples_per_second": self.run.rows / max(seconds, 1e-9)}
        if trainer.scheduler is not None and not self.by_step:
            trainer._step_scheduler(logs)
        # from here to the callbacks nothing can raise: either all of the epoch's end is written down, or none
        trainer.epoch, trainer.position, trainer.partial = trainer.epoch + 1, 0, None
        trainer.history.append(logs)
        for watcher in self.watchers:
            watcher.on_epoch_end(trainer, trainer.epoch - 1, logs)
        self.progress.end_epoch(trainer.epoch - 1, logs)
