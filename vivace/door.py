"""The fast door of small calls: what the last call found out is kept, and holds while nothing it depends on has changed."""
import numpy as np

from . import threads
from .kernels import record as R
from .nn.module import Module
from .nn.store import moves

SMALL = 2e6
"""Floating-point operations of a call that runs on the caller's thread: up to some 30 us, which waking a second thread may cost."""


ROWS = 512
"""Rows of such a call, at most."""


def standing(trainer):
    """What a plan and its place in memory depend on, apart from frozen parameters and options of the optimizer."""
    return (Module._changes[0], moves[0], trainer.model, trainer.loss, trainer.optimizer, trainer.clip_grad_norm, trainer.seed,
            trainer.num_threads, threads.asked())


class Door:
    """predict() on few rows: (N, features) of the model's own float type, C-contiguous and finite; its plan is at hand."""

    @classmethod
    def of(cls, trainer, arrays):
        """The door that the next call like this one may take; None where there can be none."""
        plan = trainer._prediction_plan([a.shape[1] for a in arrays])
        usable = len(arrays) == 1 and not plan.columns and not plan.graph.looks_at_data() and hasattr(plan.book, "ready_rows")
        return cls(trainer, plan, arrays[0].shape[1]) if usable else None

    def __init__(self, trainer, plan, columns):
        self.trainer, self.plan, self.columns, self.standing = trainer, plan, columns, standing(trainer)
        self.ready, self.wide, self.width = plan.book.ready_rows, plan.dtype == np.float64, plan.graph.output.shape[1]
        self.most = min(plan.rows, ROWS, int(SMALL / max(plan.flops(1), 1)) or 1)
        self.spaces = plan.full({})

    def takes(self, X):
        """Whether X may go through as it is."""
        return self.ready(X, self.columns, self.wide) and 0 < len(X) <= self.most and standing(self.trainer) == self.standing

    def predict(self, X):
        """Outputs (N, O)."""
        rows, spaces = len(X), self.spaces
        out = np.empty((rows, self.width), self.plan.dtype)
        self.plan.enter()
        spaces[R.INPUT_ROWS], spaces[R.OUTPUT] = X, out
        self.plan.launch(spaces, _NO_TABLE, rows, rows, _START, 1, 1, np.inf)
        spaces[R.INPUT_ROWS] = spaces[R.OUTPUT] = None
        return out


_START, _NO_TABLE = (0, 0), np.zeros((0, 0))
