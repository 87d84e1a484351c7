"""One compiled training step, for loops that the user writes."""
import numpy as np

from . import prepare, threads
from .adversarial import Moving
from .door import SMALL, standing
from .kernels import record as R
from .kernels.checks import finite
from .nn.mixup import shares
from .nn.plan import Data
from .penalty import inverse
from .run import NonFiniteError

AHEAD = 64
"""Steps whose hyperparameters are computed at once, while the optimizer's options stay as they are."""


class Step:
    """step(xb, yb, sample_weight=None) -> the batch's mean loss before the update; made by Trainer.make_step.

    A loss that is not finite raises NonFiniteError before anything is updated. Weights are not looked at in every call: an update
    that makes them infinite is noticed by the first loss it reaches, and the error says so.
    """

    def __init__(self, trainer, batch_size):
        self.trainer, self.batch_size, self.room = trainer, batch_size, 0
        self.plan = self.door = None

    def __call__(self, xb, yb, sample_weight=None):
        trainer = self.trainer
        with trainer._lock:
            if sample_weight is None and trainer.adversarial is None and self._takes(xb, yb) and self._stands():
                spaces = self.spaces
                spaces[R.INPUT_ROWS], spaces[R.TARGET_ROWS] = xb, yb
                try:
                    return self._run(len(xb), None)
                finally:
                    spaces[R.INPUT_ROWS] = spaces[R.TARGET_ROWS] = None
            arrays, target, weight = trainer._data(xb, yb, sample_weight)
            rows = len(target)
            if not 0 < rows <= self.batch_size:
                raise ValueError(f"xb must have 1..batch_size = {self.batch_size} rows, got {rows}")
            if trainer.adversarial is not None:
                moving = Moving(trainer, arrays, target)
                moving.move(np.arange(rows))
                arrays = [moving.moved]
            self._prepare(arrays, target, weight)
            if trainer.penalty is not None or target is not yb or arrays[0] is not xb or weight is not None or len(arrays) > 1:
                self.door = None
            given = prepare.input_spaces(prepare.as_type(arrays, self.plan.dtype), R.INPUT_ROWS)
            given |= {R.TARGET_ROWS: target, R.WEIGHT_ROWS: weight}
            try:
                for space, array in given.items():
                    self.spaces[space] = array
                return self._run(rows, weight)
            finally:
                for space in given:
                    self.spaces[space] = None

    # --- what the last call found out, and what must be as it was for the next one to go on with it

    def _prepare(self, arrays, target, weight):
        """The plan for such data, and all that stays the same from step to step."""
        trainer = self.trainer
        labels = target.dtype == np.int64
        data = Data(None, False, "int" if labels else target.shape[1], weight is not None, prepare.sparse_places(arrays))
        if len(target) > self.room:  # a plan for many rows shares them out in ways that cost a few rows more than they save
            self.room = min(1 << (len(target) - 1).bit_length(), self.batch_size)
        plan = trainer._training_plan([a.shape[1] for a in arrays], self.room, data, False)
        plan.graph.check_batches(len(target), len(target))
        plan.enter()
        self.plan, self.standing, self.signature = plan, standing(trainer), trainer.optimizer.signature()
        self.others = [(p, p.requires_grad) for p in plan.store.params if p not in set(plan.trained)]
        self._fill()
        self.flops, self.alone = plan.flops(1), (trainer._threads() or threads.forced()) in (None, 1)
        self.result, self.squares = np.zeros((1, 2)), np.zeros((1, 1))
        self.spaces = plan.full({R.RESULT: self.result, R.SQUARES: self.squares, **trainer.optimizer.spaces()})
        if trainer.ema_decay is not None:
            self.spaces[R.AVERAGE] = trainer.store.vector("ema")
        self.door = None
        unchecked = trainer.mixup is None and not plan.graph.looks_at_data()
        anything = getattr(trainer.loss, "ignore_index", -1) < 0 if labels else trainer.loss.any_target
        if unchecked and anything and hasattr(plan.book, "ready_rows"):
            width = trainer._outputs([a.shape[1] for a in arrays])
            self.door = plan.book, arrays[0].shape[1], width, plan.dtype == np.float64, labels

    def _takes(self, xb, yb):
        """Whether the data may go to the plan as they are."""
        if self.door is None:
            return False
        book, columns, outputs, wide, labels = self.door
        return (book.ready_rows(xb, columns, wide) and 0 < len(xb) <= self.room
                and (book.ready_labels(yb, outputs) if labels else book.ready_rows(yb, outputs, wide)) and len(yb) == len(xb))

    def _stands(self):
        """Whether the plan is still that of the model, the loss and the optimizer, and the table goes on with this step."""
        trainer, row = self.trainer, self.row
        optimizer = trainer.optimizer
        if standing(trainer) != self.standing or trainer.step != self.step + row:
            return False
        steps = optimizer.steps
        for p, at in self.trained:
            if steps[p] != at + row or not p.requires_grad:
                return False
        for p, wanted in self.others:
            if p.requires_grad != wanted:
                return False
        if row == AHEAD or self.options != optimizer.param_groups or optimizer.layers:  # whose numbers may have moved
            if self.signature != optimizer.signature():
                return False
            self._fill()
        return True

    def _fill(self):
        """The table of hyperparameters from the next step on."""
        trainer, plan = self.trainer, self.plan
        optimizer = trainer.optimizer
        self.trained = [(p, optimizer.steps[p]) for p in plan.trained]
        self.step, self.row, self.options = trainer.step, 0, optimizer.options()
        self.table = np.zeros((AHEAD, max(len(plan.columns), 1)))
        optimizer.fill(self.table, plan.columns, optimizer.steps[plan.trained[0]] - plan.first_step)
        if "step" in plan.columns:
            self.table[:, plan.columns["step"]] = trainer.step + np.arange(AHEAD)
        if "mixup" in plan.columns:
            self.table[:, plan.columns["mixup"]] = shares(trainer.mixup, trainer.seed, trainer.step + np.arange(AHEAD))
        if "ema" in plan.columns:
            self.table[:, plan.columns["ema"]] = trainer.ema_decay
            if not trainer.step:
                self.table[0, plan.columns["ema"]] = 0.0  # the average begins as the weights of the first step

    # --- the step

    def _run(self, rows, weight):
        """The step on the data that the spaces hold."""
        trainer, plan = self.trainer, self.plan
        plan.enter()
        if trainer.penalty is not None:  # its decay depends on the batch, for which the table was made anew
            per_row = inverse(np.array([float(rows) if weight is None else weight.sum(dtype=np.float64)]))
            trainer.penalty.fill(self.table[self.row:self.row + 1], plan.columns, per_row)
        status = self._launch(self.table[self.row:self.row + 1], rows)
        if status == "not finite":
            self._refuse()
        trainer.step += 1
        self.row += 1
        steps, store = trainer.optimizer.steps, plan.store
        for p in plan.trained:
            steps[p] += 1
        store.written()
        total, mass = self.result[0].tolist()
        value = total / mass if mass else 0.0
        return value if trainer.penalty is None else value + float(trainer.penalty.values(self.squares[:, 0], per_row)[0])

    def _launch(self, table, rows):
        plan, flops = self.plan, self.flops * rows
        if self.alone and flops < SMALL:
            return plan.launch(self.spaces, table, rows, rows, _START, 1, 1, np.inf)[2]
        with threads.team(self.trainer._threads(), plan.worth(rows) if flops >= SMALL else 1, rows) as team:
            return plan.launch(self.spaces, table, rows, rows, _START, 1, team, np.inf)[2]

    def _refuse(self):
        trainer = self.trainer
        where = f"the loss of step {trainer.step + 1} is not finite"
        if finite(self.plan.store.vectors["data"]):
            raise NonFiniteError(f"{where}; the weights are those before it", 0, trainer.step, "loss")
        raise NonFiniteError(f"{where}: the weights are not, since the update of an earlier step. Likely cause: the learning rate is too "
                             "high, or inputs or targets are not scaled", 0, trainer.step, "weights")


_START = (0, 0)
