"""One run of a training plan: slices of compiled steps, and what must hold between them."""
import signal
import threading
import time

import numpy as np

from .kernels import record as R


class NonFiniteError(FloatingPointError):
    """The loss or a weight stopped being finite. epoch, step (of the epoch), layer; the weights are the last finite ones."""

    def __init__(self, message, epoch, step, layer):
        super().__init__(message)
        self.epoch, self.step, self.layer = epoch, step, layer


class Interrupts:
    """While it is entered, the first Ctrl-C only sets `came`; a second one acts as usual. Elsewhere than the main thread: nothing."""

    def __enter__(self):
        self.came, self.before = False, None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.getsignal(signal.SIGINT)
            if callable(self.before):
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number, frame):
        self.came = True
        signal.signal(signal.SIGINT, self.before)

    def __exit__(self, *_):
        if callable(self.before):
            signal.signal(signal.SIGINT, self.before)


class Snapshots:
    """The last known finite state, from which a run can be repeated up to the step that broke it.

    A copy is made when the time since the last one is 50 times what a copy costs: at most 2% of the run.
    """

    def __init__(self, trainer):
        self.trainer, self.cost, self.taken = trainer, 0.0, -np.inf
        self.epochs = {}

    def offer(self, epoch, step):
        """Take a copy if it is time for one."""
        self.epochs[epoch] = [dict(group) for group in self.trainer.optimizer.param_groups]
        now = time.monotonic()
        if now - self.taken < 50 * self.cost:
            return
        store = self.trainer.store
        if not np.isfinite(store.vectors["data"]).all():
            return
        self.vectors = {name: vector.copy() for name, vector in store.vectors.items()}
        self.steps, self.count, self.place = dict(self.trainer.optimizer.steps), self.trainer.step, (epoch, step)
        self.epochs = {epoch: self.epochs[epoch]}
        self.taken = time.monotonic()
        self.cost = self.taken - now

    def restore(self):
        """Put the copy back."""
        store = self.trainer.store
        for name, vector in self.vectors.items():
            store.vectors[name][...] = vector
        store.version += 1
        self.trainer.optimizer.steps.update(self.steps)
        self.trainer.step = self.count


class Epoch:
    """What the engine needs for one epoch: the order of rows, room for results, and the table of hyperparameters."""

    def __init__(self, run, epoch, order):
        self.epoch, self.order = epoch, order
        self.steps = -(-run.rows // run.batch)
        self.result = np.zeros((self.steps, 2))
        self.output = np.empty((run.rows, run.outputs), run.plan.dtype) if run.emits else None
        self.table = np.zeros((self.steps, max(len(run.plan.columns), 1)))

    def mean_loss(self, done):
        """Mean loss over the rows (by weight) of the first `done` steps."""
        total, weight = self.result[:done].sum(axis=0)
        return total / weight if weight != 0 else 0.0


class Run:
    """A fit in progress: `go` runs steps of an epoch; it leaves the trainer's model, counters and optimizer in step with each other."""

    def __init__(self, trainer, plan, spaces, rows, batch, outputs, emits, threads):
        self.trainer, self.plan, self.spaces, self.rows, self.batch = trainer, plan, spaces, rows, batch
        self.outputs, self.emits, self.threads = outputs, emits, threads
        self.snapshots = Snapshots(trainer)
        self.update_phase = min((c.phase for c in plan.calls if c.name.endswith("_update")), default=0)

    def go(self, epoch, start, stop, seconds, slice_steps=None):
        """Run steps start..stop of `epoch` until `seconds` are over; yields the next step after every slice of at most 100 ms."""
        position = (start, 0)
        deadline = time.monotonic() + seconds
        with Interrupts() as interrupts:
            while position[0] < stop:
                self._fill(epoch, position[0], stop)
                if position[1] == 0:
                    self.snapshots.offer(epoch.epoch, position[0])
                last = stop if slice_steps is None else min(stop, position[0] + slice_steps)
                before = position[0]
                step, phase, status = self._engine(epoch, position, last, min(0.1, max(deadline - time.monotonic(), 0)))
                self._advance(step - before)
                if status == "not finite":
                    self._not_finite(epoch, step)
                position = (step, phase)
                ending = interrupts.came or time.monotonic() >= deadline
                if ending and phase:
                    position = self._settle(epoch, position)
                if not position[1]:
                    yield position[0]
                if interrupts.came:
                    raise KeyboardInterrupt
                if ending:
                    return

    def _engine(self, epoch, position, last, seconds):
        spaces = {**self.spaces, **self.trainer.optimizer.spaces(), R.ORDER: epoch.order, R.RESULT: epoch.result, R.OUTPUT: epoch.output}
        return self.plan.run(spaces, epoch.table, self.rows, self.batch, position, last, self.threads, seconds)

    def _settle(self, epoch, position):
        """Out of the middle of a step: back to its beginning where nothing was updated yet, else on to its end."""
        step, phase = position
        if phase <= self.update_phase:
            return step, 0
        step, phase, _ = self._engine(epoch, position, step + 1, np.inf)
        self._advance(1)
        return step, phase

    def _advance(self, steps):
        trainer = self.trainer
        trainer.step += steps
        for p in self.plan.trained:
            trainer.optimizer.steps[p] += steps
        trainer.store.version += 1
        trainer.store.packed_version = trainer.store.version

    def _fill(self, epoch, first, stop):
        table, columns, trainer = epoch.table[first:stop], self.plan.columns, self.trainer
        done = trainer.optimizer.steps[self.plan.trained[0]] - self.plan.first_step if self.plan.trained else 0
        trainer.optimizer.fill(table, columns, done)
        if "step" in columns:
            table[:, columns["step"]] = trainer.step + np.arange(len(table))

    # --- when something stops being finite

    def _not_finite(self, epoch, step):
        trainer = self.trainer
        layer, what = self._culprit()
        where = f"epoch {epoch.epoch + 1}, step {step + 1}"
        rates = ", ".join(f"{group['lr']:g}" for group in trainer.optimizer.param_groups)
        if not np.isfinite(trainer.store.vectors["data"]).all():
            epoch_index, step = self.rewind(epoch)
            where = f"epoch {epoch_index + 1}, step {step + 1}"
            what = "an update made weights that are not finite"
        raise NonFiniteError(
            f"training stopped being finite at {where}: {what}. Likely cause: the learning rate ({rates}) is too high for these "
            "inputs, or inputs or targets are not scaled. The model holds the last finite weights.", epoch.epoch, step, layer)

    def _culprit(self):
        names = {id(p): name for name, p in self.trainer.model.named_parameters()}
        for node, values in self.plan.values():
            if not np.isfinite(values[:self.batch]).all():
                layer = next((names[id(p)].rpartition(".")[0] or "the model" for p in node.inputs if p is not None and not p.traced), None)
                return layer, f"first in the output of {node.op.name}" + (f" (layer {layer})" if layer else "")
        return "loss", "in the loss"

    def rewind(self, epoch):
        """From the last snapshot, repeat step by step up to the last state in which every weight is finite: (epoch, step) that broke it."""
        trainer, shots = self.trainer, self.snapshots
        target = (epoch.epoch, epoch.steps)
        shots.restore()
        place = shots.place
        while place < target:
            index, step = place
            again = epoch if index == epoch.epoch else Epoch(self, index, trainer.order_of(index, self.rows))
            for group, saved in zip(trainer.optimizer.param_groups, shots.epochs[index]):
                group.update(saved)
            while step < again.steps:
                shots.cost, shots.taken = 0.0, -np.inf
                shots.offer(index, step)
                self._fill(again, step, step + 1)
                trainer.store.packed_version = -1
                self.plan.enter()
                _, _, status = self._engine(again, (step, 0), step + 1, np.inf)
                if status != "not finite":
                    self._advance(1)
                if status == "not finite" or not np.isfinite(trainer.store.vectors["data"]).all():
                    shots.restore()
                    return index, step
                step += 1
            place = (index + 1, 0)
        return target


def eval_outputs(plan, arrays, rows, threads):
    """Run a prediction plan over all rows: (rows, width)."""
    out = np.empty((rows, plan.graph.output.shape[1]), plan.dtype)
    if rows:
        plan.enter()
        spaces = {R.INPUT_ROWS + i: a for i, a in enumerate(arrays)}
        steps = -(-rows // plan.rows)
        position = (0, 0)
        with Interrupts() as interrupts:
            while position[0] < steps:
                step, phase, _ = plan.run({**spaces, R.OUTPUT: out}, _EMPTY, rows, plan.rows, position, steps, threads, 0.1)
                position = (step, phase)
                if interrupts.came:
                    raise KeyboardInterrupt
    return out


_EMPTY = np.zeros((0, 0))
