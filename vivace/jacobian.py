"""The Jacobian of a model's outputs by its parameters, by compiled records."""
import numpy as np

from . import threads
from .door import standing
from .kernels import record as R
from .nn.jacobian import CHUNK_ROWS
from .nn.plan import Data, Plan
from .nn.sparse import SparseRows
from .nn.store import aligned

CHUNK_BYTES = 1 << 18
"""Rows of the Jacobian that are computed at a time: they are in the cache when they are converted to float64."""


class Jacobian:
    """What nn.jacobian.EagerJacobian has, for `trainer`'s model and the rows X, in training mode: the same bits, by compiled records.

    A row of the Jacobian is a step of a plan on one row of X, whose last record lays the gradients down in a stream. Steps of one
    row take a microsecond, which the barriers of a team would only prolong: one thread makes them, whatever num_threads says.
    """

    def __init__(self, trainer, X):
        if isinstance(X, SparseRows):
            raise ValueError("X is sparse, which LevenbergMarquardt does not take; it needs X.toarray()")
        self.trainer, self.X = trainer, np.ascontiguousarray(X, trainer.store.dtype)
        self._passes = {}  # kind -> (what it holds for, Steps)
        self._traced()

    def _traced(self):
        graph, text = self.trainer._traced([self.X.shape[1]], True)
        if any(getattr(node.op, "needs_rows", False) for node in graph.nodes):
            raise ValueError("LevenbergMarquardt takes every row alone, and batch norm in training needs more than 1 row: use layer norm")
        return graph, text

    def _rows_at_once(self):
        """Where the model draws numbers, every row has a step of its own, which its draws go by."""
        draws = any(node.op.random for node in self._traced()[0].nodes)
        return 1 if draws else min(CHUNK_ROWS, len(self.X))

    def _held(self, kind, params, make):
        """What make() laid out for passes of one kind, while model and settings stand as they are."""
        now = standing(self.trainer), tuple(map(id, params))
        if self._passes.get(kind, (None, None))[0] != now:
            self._passes[kind] = now, make()
        return self._passes[kind][1]

    def _plan(self, name, rows, data, params=()):
        trainer = self.trainer
        graph, text = self._traced()

        def make():
            return Plan(graph, trainer.store, trainer.book, rows, data, None, None, trainer.seed, emit=not params, gradients=params)
        return trainer._cached((name, text, rows, *map(id, params), trainer.seed), make)

    def outputs(self):
        """(N, O) in float64."""
        steps = self._held("outputs", (), self._output_pass)
        steps.run(self.trainer.step * len(self.X), len(self.X))
        return steps.full[R.OUTPUT].astype(np.float64)

    def _output_pass(self):
        rows, batch = len(self.X), self._rows_at_once()
        plan = self._plan("outputs", batch, Data())
        y = np.empty((rows, plan.graph.output.shape[1]), plan.dtype)
        return Steps(self.trainer, plan, {R.INPUT_ROWS: self.X, R.OUTPUT: y}, np.arange(0, rows, batch), batch)

    def jacobian(self, params):
        """J (N O, P) in float64: the derivatives of each output of each row by every element of `params`."""
        steps = self._held("jacobian", params, lambda: self._jacobian_pass(params))
        places, trained = np.cumsum([0, *(p.size for p in params)]), set(steps.plan.trained)
        parts = [(p._offset, place, p.size) for p, place in zip(params, places) if p in trained]
        width, laid = steps.plan.graph.output.shape[1], steps.full[R.JACOBIAN]
        J = np.zeros((len(self.X) * width, places[-1]))
        for start in range(0, len(J), len(laid)):
            order = np.repeat(np.arange(start // width, min((start + len(laid)) // width, len(self.X))), width)
            steps.full[R.ORDER], steps.numbers = order, order
            steps.run(self.trainer.step * len(self.X), len(order))
            for offset, place, count in parts:
                J[start:start + len(order), place:place + count] = laid[:len(order), offset:offset + count]
        return J

    def _jacobian_pass(self, params):
        plan = self._plan("jacobian", 1, Data([self.X.dtype], True), params)
        width, size = plan.graph.output.shape[1], plan.store.size
        rows = min(-(-CHUNK_BYTES // (size * plan.dtype.itemsize * width)), len(self.X))  # whole ones, so that each has all its seeds
        laid, seeds = np.empty((rows * width, size), plan.dtype), np.tile(np.eye(width, dtype=plan.dtype), (rows, 1))
        spaces = {R.INPUT: self.X, R.TARGET_ROWS: seeds, R.GRADIENTS: aligned(size, plan.dtype), R.JACOBIAN: laid}
        return Steps(self.trainer, plan, spaces, np.arange(0), 1)


class Steps:
    """Passes of a plan over rows in batches. numbers: which of its draws each step makes, from the number that run() is given."""

    def __init__(self, trainer, plan, spaces, numbers, batch):
        self.trainer, self.plan, self.full, self.numbers, self.batch = trainer, plan, plan.full(spaces), numbers, batch

    def run(self, first, rows):
        """All steps over `rows` rows."""
        plan, batch, steps, position = self.plan, self.batch, -(-rows // self.batch), (0, 0)
        table = np.zeros((steps, max(len(plan.columns), 1)))
        if "step" in plan.columns:
            table[:, plan.columns["step"]] = first + self.numbers
        plan.enter()
        with threads.team(self.trainer._threads() if batch > 1 else 1, plan.worth(batch), batch) as team:
            while position[0] < steps:
                step, phase, _ = plan.launch(self.full, table, rows, batch, position, steps, team, 0.1)
                position = (step, phase)
