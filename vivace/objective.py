"""Objective: the loss over given data as a function of the flat weights, with its gradient, for optimizers that call functions."""
import numpy as np

from . import threads
from .kernels import record as R
from .nn import checks
from .nn.plan import Data
from .nn.store import aligned

CHUNK_ROWS = 4096
"""Rows computed at a time where the caller does not say: activations of all rows need not be held, and bits depend on the data alone."""


class Objective:
    """f(w) = loss(model with weights w; X, y) + l2 / 2 * sum of w² over the weight matrices, made by Trainer.objective.

    value_and_grad(flat) gives (value, gradient) by one pass of compiled records: gradients go to the flat vector, nothing is updated.
    `flat` (P,) holds the trained parameters in the order of model.parameters(), each row-major; P is `size`. Values and gradients come
    in float64, computed in the model's precision. The model holds the weights of the last call, its parameters' .grad the gradient.
    Dropout draws the masks of one step, the same in every call. A mean loss is the mean over all rows by weight, whatever `batch_size`.
    """

    def __init__(self, trainer, arrays, target, weight, l2=0.0, batch_size=None):
        self.trainer, self.store, self.l2 = trainer, trainer.store, float(l2)
        self.rows = len(target)
        self.batch = min(CHUNK_ROWS if batch_size is None else batch_size, self.rows)
        self.chunks = -(-self.rows // self.batch)
        dtype = self.store.dtype
        arrays = [np.ascontiguousarray(a, dtype) for a in arrays]
        self.spaces = {R.INPUT_ROWS + i: a for i, a in enumerate(arrays)} | {R.TARGET_ROWS: target, R.WEIGHT_ROWS: weight}
        data = Data(None, False, "int" if target.dtype == np.int64 else target.shape[1], weight is not None)
        self.plan = trainer.gradient_plan([a.shape[1] for a in arrays], self.batch, data, self.chunks > 1)
        self.plan.graph.check_batches(self.rows, self.batch)
        self.params = [p for p in self.store.params if p in set(self.plan.trained)]
        self.size = sum(p.size for p in self.params)
        self.result, self.table = np.zeros((self.chunks, 2)), np.zeros((self.chunks, max(len(self.plan.columns), 1)))
        self.mean = trainer.loss.reduction == "mean"
        self._shares(weight)
        if self.chunks > 1:
            self.spaces[R.TOTAL] = aligned(self.store.size, dtype)

    def _shares(self, weight):
        if "step" in self.plan.columns:
            self.table[:, self.plan.columns["step"]] = np.arange(self.chunks)
        if "share" in self.plan.columns:
            self.table[:, self.plan.columns["share"]] = shares(weight, self.rows, self.batch) if self.mean else 1.0

    # --- the weights as one vector

    def flat(self):
        """The weights (P,) as they stand, float64."""
        return np.concatenate([p.numpy().reshape(-1) for p in self.params], dtype=np.float64)

    def set_flat(self, flat):
        """Write the weights (P,) into the model."""
        flat = np.asarray(flat)
        if flat.shape != (self.size,):
            raise ValueError(f"flat must have shape (P,) = ({self.size},), got {flat.shape}")
        start = 0
        for p in self.params:
            p._array.reshape(-1)[...] = flat[start:start + p.size]
            start += p.size
        self.store.written()

    def weights_mask(self):
        """(P,) bool: which elements belong to weight matrices, those that l2 applies to."""
        return np.concatenate([np.full(p.size, p.ndim >= 2) for p in self.params])

    # --- value and gradient

    def value_and_grad(self, flat=None):
        """(value, gradient (P,)) at the weights `flat`, or where they stand. A loss that is not finite gives (inf, NaNs)."""
        trainer = self.trainer
        with trainer._lock:
            if flat is not None:
                self.set_flat(flat)
            self.plan.enter()
            if not self._run():
                return np.inf, np.full(self.size, np.nan)
            total, mass = self.result.sum(axis=0)
            value = total / mass if self.mean and mass else 0.0 if self.mean else total
            vector = self.spaces.get(R.TOTAL)
            for p in self.params:
                if vector is not None:
                    p._grad_array.reshape(-1)[...] = vector[p._offset:p._offset + p.size]
                if self.l2 and p.ndim >= 2:
                    value += 0.5 * self.l2 * float(np.add.reduce(np.square(p._array, dtype=np.float64), axis=None))
                    p._grad_array += p.dtype.type(self.l2) * p._array
                p._has_grad = True
            return float(value), np.concatenate([p._grad_array.reshape(-1) for p in self.params], dtype=np.float64)

    __call__ = value_and_grad

    def _run(self):
        trainer, position = self.trainer, (0, 0)
        if R.TOTAL in self.spaces:
            self.spaces[R.TOTAL][...] = 0
        spaces = {**self.spaces, R.RESULT: self.result}
        with threads.team(trainer._threads(), self.plan.worth(self.batch), self.batch) as team:
            while position[0] < self.chunks:
                step, phase, status = self.plan.run(spaces, self.table, self.rows, self.batch, position, self.chunks, team, 0.1)
                if status == "not finite":
                    return False
                position = (step, phase)
        return True


def shares(weight, rows, batch):
    """What the mean loss of each part of `batch` rows counts in the mean over all rows: its part of the sum of weights."""
    starts = np.arange(0, rows, batch)
    mass = np.diff([*starts, rows]).astype(np.float64) if weight is None else np.add.reduceat(weight.astype(np.float64), starts)
    total = mass.sum()
    return mass / total if total else mass


def objective(trainer, X, y, sample_weight=None, *, l2=0.0, batch_size=None):
    """The loss over X, y as a function of the flat weights: see Objective. l2 adds l2 / 2 * the sum of squares of the weight matrices
    (not of biases); batch_size: rows computed at a time."""
    if not checks.real(l2) or l2 < 0:
        raise ValueError(f"l2 must be a finite number >= 0, got {l2!r}")
    if batch_size is not None:
        checks.count("batch_size", batch_size)
    with trainer._lock:
        arrays, target, weight = trainer._data(X, y, sample_weight)
        if not len(target):
            raise ValueError("X must have at least one row, got 0")
        return Objective(trainer, arrays, target, weight, l2, batch_size)
