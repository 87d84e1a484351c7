"""Gradient accumulation: a step over several batches, of which only one is held at a time."""
import time

import numpy as np

from ..kernels import record as R
from .plan import LARGEST, Plan
from .recorder import Recorder
from .store import aligned


class UpdatePlan(Plan):
    """The updates alone, from the gradients in the flat vector."""

    def __init__(self, gradients, optimizer, clip_norm=None, clip_value=0.0, averages=False, norms=False):
        self.graph, self.store, self.book, self.rows, self.seed = gradients.graph, gradients.store, gradients.book, 1, gradients.seed
        self.dtype, self.whole, self.clip_value, self.averages = gradients.dtype, norms or clip_norm is not None, clip_value, averages
        self.norms, clip_norm = norms, LARGEST if norms and clip_norm is None else clip_norm
        self._buffers, self.alone = gradients._buffers, False
        self._packs, self.trained = {}, [p for p in gradients.trained if p in optimizer.steps]
        recorder = Recorder(self.dtype)
        self._update(recorder, {p: (None, True) for p in self.trained}, optimizer, False, clip_norm)
        self.reads_packed, self.constants = False, recorder.constants
        self._finish(recorder.calls)


class AccumulatedPlan:
    """A plan whose step goes over `parts` batches of the gradient plan `inner`, and then makes the updates of `updates`.

    The gradient is the sum over the batches of theirs, each times its part of the sum of row weights: that of one batch of all the
    rows, up to rounding. Used in place of a Plan; returns between steps only.
    """

    def __init__(self, inner, updates, parts, mean):
        self.inner, self.updates, self.parts, self.mean = inner, updates, parts, mean
        self.graph, self.store, self.dtype, self.rows = inner.graph, inner.store, inner.dtype, inner.rows * parts
        self.trained, self.calls, self.norms = updates.trained, updates.calls, updates.norms
        self.values, self.flops, self.worth = inner.values, inner.flops, inner.worth
        names = [*updates.columns, *(name for name in ("step", "mixup") if name in inner.columns)]
        self.columns = {name: index for index, name in enumerate(names)}
        self.total = aligned(self.store.size, self.dtype)

    norms = False  # each part has a gradient of its own

    def enter(self):
        self.inner.enter()

    def memory(self):
        found = self.inner.memory()
        more = self.updates.arena_bytes + self.total.nbytes
        return {**found, "arena": found["arena"] + more, "total": found["total"] + more}

    def __str__(self):
        return f"{self.parts} times:\n{self.inner}\nthen\n{self.updates}"

    def run(self, spaces, table, rows, batch, start, last_step, threads=1, seconds=0.1):
        """Steps start..last_step of an epoch of `rows` rows in batches of self.inner.rows; as Plan.run."""
        deadline = time.monotonic() + seconds
        size = self.inner.rows
        weight = spaces.get(R.WEIGHT)
        for step in range(start[0], last_step):
            if step > start[0] and time.monotonic() >= deadline:
                return step, 0, "time"
            first, last = step * self.parts, min((step + 1) * self.parts, -(-rows // size))
            result, inner = self._table(spaces, table, step, first, last, rows, weight)
            self.total[...] = 0
            done, _, status = self.inner.run({**spaces, R.RESULT: result, R.TOTAL: self.total}, inner, rows, size, (first, 0), last,
                                             threads, np.inf)
            spaces[R.RESULT][step] = result[first:last].sum(axis=0)
            if status == "not finite":
                return step, 0, status
            self.store.vectors["grad"][...] = self.total
            norm = {R.NORMS: spaces[R.NORMS][step:]} if self.norms else {}
            row = np.ascontiguousarray(table[step:step + 1, :len(self.updates.columns)])
            self.updates.run({**spaces, **norm}, row, 1, 1, (0, 0), 1, threads, np.inf)
        return last_step, 0, "finished"

    def _table(self, spaces, table, step, first, last, rows, weight):
        """Room for results up to batch `last`, and the gradient plan's table."""
        size, columns = self.inner.rows, self.inner.columns
        inner = np.zeros((last, max(len(columns), 1)))
        starts = np.arange(first, last) * size
        if "step" in columns:
            inner[first:, columns["step"]] = table[step, self.columns["step"]] * self.parts + np.arange(last - first)
        if "mixup" in columns:  # one share for all rows of the step
            inner[first:, columns["mixup"]] = table[step, self.columns["mixup"]]
        mass = np.minimum(starts + size, rows) - starts
        if weight is not None:
            order = spaces[R.ORDER]
            mass = [weight[order[s:s + size]].sum(dtype=np.float64) for s in starts]
        total = np.sum(mass, dtype=np.float64) if self.mean else 1.0
        inner[first:, columns["share"]] = np.asarray(mass, np.float64) / total if self.mean and total else 1.0
        return np.zeros((last, 2)), inner
