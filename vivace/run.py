"""One run of a training plan: slices of compiled steps, and what must hold between them."""
import signal
import threading
import time

import numpy as np

from . import prepare
from .kernels import record as R
from .measure import layer_of
from .nn.mixup import shares
from .nn.own import own_names
from .penalty import inverse
from .prepare import finite
from .span import Span
from .team import SLICE


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

    def __exit__(self, kind, *_):
        if callable(self.before):
            signal.signal(signal.SIGINT, self.before)
        if kind is None:
            self.check()  # it may have come after the last look

    def check(self):
        """Raise KeyboardInterrupt if Ctrl-C came: called where the state is whole."""
        if self.came:
            raise KeyboardInterrupt


class Snapshots:
    """The last known finite state, from which a run can be repeated up to the step that broke it.

    A copy is made when the time since the last one is 100 times what a copy costs: at most 1% of the run. `options` holds, for every
    (epoch, step) since then at which a slice began, the optimizer's options of that slice.
    """

    def __init__(self, trainer, store):
        self.trainer, self.store, self.cost, self.taken = trainer, store, 0.0, -np.inf
        self.options = {}

    def offer(self, place, changed):
        """Take a copy at `place` (epoch, step) if it is time for one, or if the weights were `changed` by other than the run."""
        self.options[place] = [dict(group) for group in self.trainer.optimizer.param_groups]
        now = time.monotonic()
        if (changed or now - self.taken >= 100 * self.cost) and finite(self.store.vectors["data"]):
            self.take(place)
            self.options = {place: self.options[place]}
            self.taken = time.monotonic()
            self.cost = self.taken - now

    def take(self, place):
        """Copy vectors and counters, into the room of the last copy where there is one: new pages cost more than the copy.
        Gradients are left out: every step writes its own."""
        room, vectors = self.trainer.spare, {name: v for name, v in self.store.vectors.items() if name != "grad"}
        for name, vector in vectors.items():
            if name not in room or room[name].shape != vector.shape or room[name].dtype != vector.dtype:
                room[name] = np.empty_like(vector)
            np.copyto(room[name], vector)
        self.vectors = {name: room[name] for name in vectors}
        self.steps, self.count, self.place = dict(self.trainer.optimizer.steps), self.trainer.step, place

    def restore(self):
        """Put the copy back."""
        store = self.store
        for name, vector in store.vectors.items():
            if name != "grad":
                vector[...] = self.vectors.get(name, 0)  # an optimizer's state that was not there yet was zero
        store.written()
        self.trainer.optimizer.steps.update(self.steps)
        self.trainer.step = self.count


class Run:
    """A fit in progress: `go` runs steps of an epoch; it leaves the trainer's model, counters and optimizer in step with each other."""

    def __init__(self, trainer, plan, spaces, rows, batch, outputs, emits, team, interrupts, moving=None):
        self.trainer, self.plan, self.rows, self.batch = trainer, plan, rows, batch
        self.spaces = {**spaces, **trainer.optimizer.spaces()}
        self.outputs, self.emits, self.team, self.moving = outputs, emits, team, moving
        self.store = plan.store
        self.measure, self.latest = None, plan  # what records statistics, if asked for; the plan of the last step
        self.interrupts, self.snapshots, self.version = interrupts, Snapshots(trainer, plan.store), plan.store.version
        updating = [c for c in plan.calls if not c.chained and any(t and t.name.endswith("_update") for t in (c, *c.then))]
        self.update_phase = min((c.phase for c in updating), default=0)
        self.counts = np.full(-(-rows // batch), float(batch))  # rows of each batch
        self.counts[-1] = rows - (len(self.counts) - 1) * batch
        self.per_row = inverse(self.counts)
        self.orders = np.empty(0, np.int64)  # of epochs that run together

    def go(self, epoch, start, stop, seconds, slice_steps=None):
        """Run steps start..stop of the Span `epoch` until `seconds` are over; yields the next step after every slice of at most 100 ms.

        Of several epochs it yields once, at the end or where it has to stop; where they did not stay finite it leaves the state before
        them, and yields nothing: run one by one, they tell which step it was.
        """
        slice_steps = 1 if self.moving is not None else slice_steps
        position, told = (start, 0), start
        if self.trainer.scheduled_ahead():
            epoch.begun = self.trainer.scheduler.last_epoch - start
        deadline = time.monotonic() + seconds
        store = self.store
        while position[0] < stop:
            if position[1] == 0:
                self.plan.enter()  # a callback may have written weights
                changed = store.version != self.version or store.escaped
                self.snapshots.offer((epoch.epoch, position[0]), changed or epoch.count > 1)
                self._move(epoch, position[0])
            self._fill(epoch, position[0], stop)
            last = stop if slice_steps is None else min(stop, position[0] + slice_steps)
            before = position[0]
            if position[1] == 0 and self.measure is not None and self.measure.due():
                step, phase, status = self._measured(epoch, before)
            else:
                last = last if self.measure is None else min(last, before + self.measure.until())
                step, phase, status = self._engine(epoch, position, last, min(SLICE, max(deadline - time.monotonic(), 0)))
            self._advance(step - before)
            if status == "not finite":
                return self._not_finite(epoch, step)
            position = (step, phase)
            ending = self.interrupts.came or time.monotonic() >= deadline
            if ending and phase:
                position = self._settle(epoch, position)
            done = position[0] if not position[1] else told
            if (ending or done == stop) and not finite(store.vectors["data"]):
                return self._not_finite(epoch, max(done - 1, 0))
            if done > told and (ending or done == stop or epoch.count == 1):
                told = done
                yield told
            self.interrupts.check()
            if ending:
                return

    def _spaces(self, epoch):
        spaces = {**self.spaces, R.ORDER: epoch.order, R.RESULT: epoch.result, R.OUTPUT: epoch.output, R.NORMS: epoch.norms,
                  R.SQUARES: epoch.squares}
        if self.trainer.ema_decay is not None:
            spaces[R.AVERAGE] = self.store.vector("ema")
        return spaces

    def _measured(self, epoch, step):
        """One whole step by the plan that shows what it computes; its bits are those of any other."""
        measure, self.latest = self.measure, self.measure.plan
        return measure.step(self._spaces(epoch), self.rows, self.batch, step, self.team.size, epoch.epoch)

    def _engine(self, epoch, position, last, seconds):
        spaces, self.latest = self._spaces(epoch), self.plan
        if seconds == np.inf:
            size = self.team.rest()
        else:
            size, seconds, steps = self.team.next(seconds, position[1] == 0)
            last = last if steps is None else min(last, position[0] + steps)
        began = time.monotonic()
        place = self.plan.run(spaces, epoch.table, self.rows, self.batch, position, last, size, seconds)
        self.team.ran(place[0] - position[0], time.monotonic() - began)
        return place

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
        self.store.written()
        self.version = self.store.version

    def _move(self, epoch, step):
        """Adversarial training: the step's rows are moved against the weights that it begins with."""
        if self.moving is not None:
            self.moving.move(epoch.order[step * self.batch:(step + 1) * self.batch])

    def _fill(self, epoch, first, stop):
        """The hyperparameters of steps first..stop, into the table."""
        table, columns, trainer = epoch.table[first:stop], self.plan.columns, self.trainer
        done = trainer.optimizer.steps[self.plan.trained[0]] - self.plan.first_step if self.plan.trained else 0
        trainer.optimizer.fill(table, columns, done, self._ahead(epoch, first, stop))
        if "ema" in columns:  # the average begins as the weights after the first update
            table[:, columns["ema"]] = np.where(trainer.step + np.arange(len(table)) == 0, 0.0, trainer.ema_decay)
        if epoch.penalty is not None:
            epoch.penalty.fill(table, columns, epoch.per_row[first:stop])
        if "step" in columns:
            table[:, columns["step"]] = trainer.step + np.arange(len(table))
        if "mixup" in columns:
            table[:, columns["mixup"]] = shares(trainer.mixup, trainer.seed, trainer.step + np.arange(len(table)))

    def _ahead(self, epoch, first, stop):
        """What the schedule says for steps first..stop of the epoch, where it goes by steps and knows."""
        if not self.trainer.scheduled_ahead():
            return None
        if epoch.options is None:
            epoch.options = self.trainer.scheduler.over(epoch.begun, epoch.steps)
        return [{name: values[first:stop] for name, values in group.items()} for group in epoch.options]

    # --- when something stops being finite

    def check(self, epoch, step):
        """Raise NonFiniteError unless the weights are finite after `step`."""
        if not finite(self.store.vectors["data"]):
            self._not_finite(epoch, step)

    def _not_finite(self, epoch, step):
        trainer = self.trainer
        if epoch.count > 1:
            self.snapshots.restore()
            epoch.broken = True
            return
        layer, what = self._culprit()
        where = f"epoch {epoch.epoch + 1}, step {step + 1}"
        if not finite(self.store.vectors["data"]):
            epoch_index, step = self.rewind(epoch)
            where = f"epoch {epoch_index + 1}, step {step + 1}"
            own = own_names(trainer.model, trainer.loss, trainer.optimizer)
            layer, what = "weights", "an update made weights that are not finite" + (f"; own functions: {', '.join(own)}" if own else "")
        rates = ", ".join(f"{group['lr']:g}" for group in trainer.optimizer.param_groups)
        trainer._keep(epoch, step)
        trainer.course.failure = f"{where}, {what}"
        raise NonFiniteError(
            f"training stopped being finite at {where}: {what}. Likely cause: the learning rate ({rates}) is too high for these "
            "inputs, or inputs or targets are not scaled. The model holds the last finite weights.", epoch.epoch, step, layer)

    def _culprit(self):
        names = self.trainer.model.state_names()
        for node, values in self.latest.values():
            if not np.isfinite(values[:self.batch]).all():
                layer = layer_of(self.plan.graph, node, names)
                return layer, f"first in the output of {node.op.title}" + (f" (layer {layer})" if layer else "")
        return "loss", f"in the loss {type(self.trainer.loss).__name__}"

    def rewind(self, epoch):
        """From the last snapshot, repeat step by step up to the last state in which every weight is finite: (epoch, step) that broke it."""
        trainer, shots = self.trainer, self.snapshots
        place, target, options = shots.place, (epoch.epoch, epoch.steps), dict(shots.options)
        shots.restore()
        while place < target:
            index, step = place
            again = epoch if index == epoch.epoch else Span(self, index)
            again.begun = epoch.begun - (epoch.epoch - index) * epoch.steps
            while step < again.steps:
                for group, saved in zip(trainer.optimizer.param_groups, options.get((index, step), ())):
                    group.update(saved)
                shots.take((index, step))
                self._move(again, step)
                self._fill(again, step, step + 1)
                self.plan.enter()
                _, _, status = self._engine(again, (step, 0), step + 1, np.inf)
                if status != "not finite":
                    self._advance(1)
                if status == "not finite" or not finite(self.store.vectors["data"]):
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
        spaces = prepare.input_spaces(arrays, R.INPUT_ROWS)
        steps = -(-rows // plan.rows)
        position = (0, 0)
        with Interrupts() as interrupts:
            while position[0] < steps:
                step, phase, _ = plan.run({**spaces, R.OUTPUT: out}, _EMPTY, rows, plan.rows, position, steps, threads, 0.1)
                position = (step, phase)
                interrupts.check()
    return out


_EMPTY = np.zeros((0, 0))
