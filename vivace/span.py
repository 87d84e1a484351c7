"""The epochs that the engine runs in one go."""
import numpy as np

from .kernels import record as R
from .penalty import inverse

FEW = 32
"""Steps of an epoch up to which numbers are added up in Python: NumPy's code has left the caches while the engine ran, and costs more."""


class Span:
    """What the engine needs for `count` epochs from number `epoch` on, and what it leaves: orders of rows, results, the table of
    hyperparameters. Most often it is one epoch; several follow each other in all arrays, and `part` shows one of them."""

    def __init__(self, run, epoch, count=1):
        # nothing here leads back to the run, which holds the data: the trainer keeps the last epoch
        self.epoch, self.count, self.each, self.rows, self.batch = epoch, count, len(run.counts), run.rows, run.batch
        self.steps = count * self.each
        self.order = self._orders(run)
        self.result = np.zeros((self.steps, 2))
        self.output = np.empty((count * run.rows, run.outputs), run.plan.dtype) if run.emits else None
        self.norms = np.zeros(self.steps) if run.plan.norms else None
        self.table = np.zeros((self.steps, max(len(run.plan.columns), 1)))
        self.begun, self.options = 0, None  # how often a schedule had stepped when the epoch began, and what it says for its steps
        self.penalty, self.squares = run.trainer.penalty, np.zeros((self.steps, 1))
        self.broken = False  # of several epochs: they did not stay finite, and the run stands before them again
        self.sums = None  # of the results of each epoch, once add_up() took them
        self.counts, self.masses, self.per_row = run.counts, run.counts, run.per_row
        if self.penalty is not None:
            self._weigh(run.spaces[R.WEIGHT])

    def _orders(self, run):
        trainer, rows = run.trainer, self.rows
        if self.count == 1:
            return trainer.order_of(self.epoch, rows)
        size = self.count * rows
        if len(run.orders) < size:  # one room for all spans: new pages cost more than the numbers in them
            run.orders = np.empty(size, np.int64)
        for index in range(self.count):
            trainer.order_of(self.epoch + index, rows, run.orders[index * rows:(index + 1) * rows])
        return run.orders[:size]

    def _weigh(self, weight):
        """The row weights of the batches, by which a penalty goes."""
        if weight is not None:
            starts = np.arange(self.count)[:, None] * self.rows + np.arange(0, self.rows, self.batch)
            self.masses = np.add.reduceat(weight[self.order].astype(np.float64), starts.reshape(-1))
            self.per_row = inverse(self.masses)
        elif self.count > 1:
            self.masses, self.per_row = np.tile(self.masses, self.count), np.tile(self.per_row, self.count)

    def part(self, index):
        """Epoch `index` of these, as if it had run alone; arrays are views, the order's until the next span."""
        if self.count == 1:
            return self
        part = object.__new__(Span)
        steps, rows = slice(index * self.each, (index + 1) * self.each), slice(index * self.rows, (index + 1) * self.rows)
        part.epoch, part.count, part.each, part.steps = self.epoch + index, 1, self.each, self.each
        part.rows, part.batch = self.rows, self.batch
        part.order, part.result, part.table, part.squares = self.order[rows], self.result[steps], self.table[steps], self.squares[steps]
        part.output = None if self.output is None else self.output[rows]
        part.norms = None if self.norms is None else self.norms[steps]
        part.penalty, part.counts, part.masses, part.per_row = self.penalty, self.counts, self.masses, self.per_row
        part.sums = None if self.sums is None else self.sums[index:index + 1]
        if self.penalty is not None:
            part.masses, part.per_row = self.masses[steps], self.per_row[steps]
        return part

    def add_up(self):
        """Take the sums of the results of all epochs at once, now that they are there: one step after the other, as sum() does, which takes
        four times as long."""
        self.sums = np.einsum("esk->ek", self.result.reshape(self.count, self.each, 2)).tolist()

    def kept(self, done):
        """What is saved of an epoch of which `done` steps are done."""
        result = np.empty((done, 3))
        result[:, :2], result[:, 2:] = self.result[:done], self.squares[:done]
        return {"rows": self.rows, "batch": self.batch, "result": result,
                "output": None if self.output is None else self.output[:done * self.batch],
                "norms": None if self.norms is None else self.norms[:done]}

    def resume(self, held, done):
        """Take over what kept() gave of the first `done` steps; what the run of now did not ask for then is NaN."""
        self.result[:done], self.squares[:done] = held["result"][:, :2], held["result"][:, 2:]
        if self.norms is not None:
            self.norms[:done] = np.nan if held["norms"] is None else held["norms"]
        if self.output is not None:
            fits = held["output"] is not None and held["output"].shape[1] == self.output.shape[1]
            self.output[:done * self.batch] = held["output"] if fits else np.nan

    def mean_loss(self, done):
        """Mean loss over the rows (by weight) of the first `done` steps, with the penalty of each step."""
        few, penalty = 0 < done <= FEW, 0.0
        if self.penalty is not None:
            squares, masses = self.squares[:done, 0], self.masses[:done]
            penalty = self.penalty.total(squares.tolist(), masses.tolist()) if few \
                else self.penalty.values(squares, self.per_row[:done]) @ masses
        if self.sums is not None and self.count == 1 and done == self.steps:
            total, weight = self.sums[0]
        else:
            total, weight = map(sum, zip(*self.result[:done].tolist())) if few else self.result[:done].sum(axis=0).tolist()
        return (total + penalty) / weight if weight != 0 else 0.0
