"""The Jacobian of a model's outputs by its parameters, by compiled records."""
import numpy as np

from . import threads
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

    def _plan(self, name, rows, data, params=()):
        trainer = self.trainer
        graph, text = self._traced()

        def make():
            return Plan(graph, trainer.store, trainer.book, rows, data, None, None, trainer.seed, emit=not params, gradients=params)
        return trainer._cached((name, text, rows, *map(id, params), trainer.seed), make)

    def _run(self, plan, spaces, numbers, rows, batch):
        """All steps of the plan over `rows` rows; numbers: which of its draws each step makes."""
        steps, position = -(-rows // batch), (0, 0)
        table = np.zeros((steps, max(len(plan.columns), 1)))
        if "step" in plan.columns:
            table[:, plan.columns["step"]] = self.trainer.step * len(self.X) + numbers
        plan.enter()
        with threads.team(self.trainer._threads() if batch > 1 else 1, plan.worth(batch), batch) as team:
            while position[0] < steps:
                step, phase, _ = plan.run(spaces, table, rows, batch, position, steps, team, 0.1)
                position = (step, phase)

    def outputs(self):
        """(N, O) in float64."""
        rows, batch = len(self.X), self._rows_at_once()
        plan = self._plan("outputs", batch, Data())
        y = np.empty((rows, plan.graph.output.shape[1]), plan.dtype)
        self._run(plan, {R.INPUT_ROWS: self.X, R.OUTPUT: y}, np.arange(0, rows, batch), rows, batch)
        return y.astype(np.float64)

    def jacobian(self, params):
        """J (N O, P) in float64: the derivatives of each output of each row by every element of `params`."""
        plan = self._plan("jacobian", 1, Data([self.X.dtype], True), params)
        width, size = plan.graph.output.shape[1], plan.store.size
        places = np.cumsum([0, *(p.size for p in params)])
        trained = set(plan.trained)
        parts = [(p._offset, place, p.size) for p, place in zip(params, places) if p in trained]
        J = np.zeros((len(self.X) * width, places[-1]))
        order = np.repeat(np.arange(len(self.X)), width)
        length = -(-CHUNK_BYTES // (size * plan.dtype.itemsize * width)) * width  # whole rows of X, so that each has all its seeds
        laid = np.empty((min(length, len(J)), size), plan.dtype)
        seeds = np.tile(np.eye(width, dtype=plan.dtype), (len(laid) // width, 1))
        spaces = {R.INPUT: self.X, R.TARGET_ROWS: seeds, R.GRADIENTS: aligned(size, plan.dtype), R.JACOBIAN: laid}
        for start in range(0, len(J), length):
            some = order[start:start + length]
            self._run(plan, {**spaces, R.ORDER: some}, some, len(some), 1)
            for offset, place, count in parts:
                J[start:start + length, place:place + count] = laid[:len(some), offset:offset + count]
        return J
