"""The Jacobian of a model's outputs by its parameters, kernel by kernel."""
import numpy as np

from .. import kernels
from . import root
from .sparse import is_sparse
from .tape import Tape
from .tensor import as_real, enable_grad, no_grad, wrap

CHUNK_ROWS = 4096
"""Rows whose outputs are computed at a time."""


class EagerJacobian:
    """Outputs of `model` for the rows X (N, I), and their derivatives by parameters; a row must not depend on those around it.

    Where the model draws numbers (dropout), every row draws its own, the same ones in every call.
    """

    def __init__(self, model, X, dtype):
        if is_sparse(X):
            raise ValueError("X is sparse, which LevenbergMarquardt does not take; it needs X.toarray()")
        self.model, self.X, self.draws, self.begun = model, as_real(X, dtype), False, model.forwards
        try:
            with no_grad():
                self.width = self._run(0, 1).shape[1]
        except ValueError as error:
            raise ValueError(f"LevenbergMarquardt takes every row alone: {error}") from error

    def _run(self, start, stop):
        """The model's output for rows start..stop."""
        before = root.enter_root(self.begun + start)
        try:
            out = self.model(wrap(self.X[start:stop]))
            self.draws = self.draws or root.current().place > 0
        finally:
            root.leave_root(before)
        if out.ndim != 2:
            raise ValueError(f"the model must give outputs (N, O), got shape {out.shape}")
        return out

    def outputs(self):
        """(N, O) in float64."""
        rows, step = len(self.X), 1 if self.draws else CHUNK_ROWS
        y = np.empty((rows, self.width))
        with no_grad():
            for start in range(0, rows, step):
                y[start:start + step] = self._run(start, start + step).numpy()
        return y

    def jacobian(self, params):
        """J (N O, P) in float64: the derivatives of each output of each row by every element of `params`.

        Dense layers and operations on rows take one backward for each output. Others are run row by row, as is everything where the
        kernels' last bits depend on the rows around.
        """
        rows, width = len(self.X), self.width
        J = np.empty((rows, width, sum(p.size for p in params)))
        with enable_grad():
            if not self.draws and hasattr(kernels.get(), "ENGINE_SIZES"):
                tape = Tape(self._run(0, rows), params)
                if tape.keeps_rows(rows):
                    self._fill(J, tape, tape.pull_rows)
                    return J.reshape(rows * width, -1)
            for n in range(rows):
                tape = Tape(self._run(n, n + 1), params)
                self._fill(J[n:n + 1], tape, tape.pull)
        return J.reshape(rows * width, -1)

    def _fill(self, J, tape, pull):
        """Rows of the Jacobian (N, O, P), by `pull` of the tape."""
        seed = np.zeros_like(tape.out.numpy())
        for o in range(self.width):
            seed[...] = 0
            seed[:, o] = 1
            start = 0
            for gradient in pull(seed):
                part = gradient.reshape(len(J), -1)
                J[:, o, start:start + part.shape[1]] = part
                start += part.shape[1]

    def end(self):
        """The next step draws other numbers."""
        if self.model.training:
            self.model.__dict__["forwards"] += len(self.X)
