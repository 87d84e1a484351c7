"""One compiled training step, for loops that the user writes."""
import numpy as np

from . import threads
from .kernels import record as R
from .nn.mixup import shares
from .nn.plan import Data
from .run import NonFiniteError


class Step:
    """step(xb, yb, sample_weight=None) -> the batch's mean loss before the update; made by Trainer.make_step."""

    def __init__(self, trainer, batch_size):
        self.trainer, self.batch_size = trainer, batch_size

    def __call__(self, xb, yb, sample_weight=None):
        trainer = self.trainer
        with trainer._lock:
            arrays, target, weight = trainer._data(xb, yb, sample_weight)
            rows = len(target)
            if not 0 < rows <= self.batch_size:
                raise ValueError(f"xb must have 1..batch_size = {self.batch_size} rows, got {rows}")
            return self._run(arrays, target, weight, rows)

    def _run(self, arrays, target, weight, rows):
        trainer = self.trainer
        data = Data(None, False, "int" if target.dtype == np.int64 else target.shape[1], weight is not None)
        plan = trainer._training_plan([a.shape[1] for a in arrays], self.batch_size, data, False)
        plan.graph.check_batches(rows, rows)
        plan.enter()
        table, result = np.zeros((1, max(len(plan.columns), 1))), np.zeros((1, 2))
        trainer.optimizer.fill(table, plan.columns, trainer.optimizer.steps[plan.trained[0]] - plan.first_step)
        if "step" in plan.columns:
            table[0, plan.columns["step"]] = trainer.step
        if "mixup" in plan.columns:
            table[0, plan.columns["mixup"]] = shares(trainer.mixup, trainer.seed, np.array([trainer.step]))[0]
        spaces = {R.INPUT_ROWS + i: np.ascontiguousarray(a, plan.dtype) for i, a in enumerate(arrays)}
        spaces |= {R.TARGET_ROWS: target, R.WEIGHT_ROWS: weight, R.RESULT: result, **trainer.optimizer.spaces()}
        with threads.team(trainer._threads(), plan.flops(rows), rows) as team:
            _, _, status = plan.run(spaces, table, rows, rows, (0, 0), 1, team, np.inf)
        if status == "not finite":
            message = f"the loss of step {trainer.step + 1} is not finite; the weights are those before it"
            raise NonFiniteError(message, 0, trainer.step, "loss")
        trainer.step += 1
        for p in plan.trained:
            trainer.optimizer.steps[p] += 1
        trainer.store.version += 1
        trainer.store.packed_version = trainer.store.version
        return float(result[0, 0] / result[0, 1]) if result[0, 1] else 0.0


